//! `/metrics`: Prometheus' text format, HAProxy's names for what it has, `beelance_*` for the rest.
//!
//! Written a piece at a time, an object of a family, each read when it is written. What there is to tell is in the tables of
//! [`super::own`] and [`super::fields`]; here is how it is written.

use super::fields::{FAMILIES, Family, Label, first_label, next_label};
use super::own::{SINGLES, Single};
use crate::operate::figures::{self, Figures, NOTHING, Object, Unit, of};
use crate::operate::lines::Lines;
use crate::operate::own::Own;
use crate::operate::text::Text;
use crate::proxy::Proxy;

/// The kinds of objects, and what HAProxy's names begin with for each.
const KINDS: [(u8, &str); 3] =
    [(of::LISTENER, "haproxy_frontend_"), (of::POOL, "haproxy_backend_"), (of::BACKEND, "haproxy_server_")];

/// How far a scrape is.
pub(super) struct Scrape {
    own: Own,
    single: usize,
    family: usize,
    /// A place in [`KINDS`].
    kind: usize,
    /// The next object; `None`: the family's head.
    object: Option<usize>,
    /// Of the last object, those of the family.
    figures: Figures,
}

impl Scrape {
    pub(super) fn new(proxy: &Proxy, lines: &[Lines]) -> Self {
        Self { own: Own::of(proxy, lines), single: 0, family: 0, kind: 0, object: None, figures: Figures::NONE }
    }

    /// Writes the next piece; whether there is another.
    pub(super) fn piece(&mut self, proxy: &Proxy, out: &mut Text<'_>) -> bool {
        if let Some(single) = SINGLES.get(self.single) {
            let before = self.single.checked_sub(1).map(|at| SINGLES[at].name);
            write_single(out, single, (single.value)(&self.own), before != Some(single.name));
            self.single += 1;
            return true;
        }
        let Some(family) = FAMILIES.get(self.family) else { return false };
        let Some(&(kind, prefix)) = KINDS.get(self.kind) else {
            (self.family, self.kind) = (self.family + 1, 0);
            return true;
        };
        let prefix = if family.is_haproxys { prefix } else { "beelance_" };
        let config = proxy.config();
        let next = match self.object {
            _ if family.which & kind == 0 => None,
            None => {
                write_head(out, prefix, family.name, family.help);
                Some(0)
            }
            Some(at) => Object::nth(&config, kind, at).map(|object| {
                let [proxy_name, server] = object.names(&config);
                let names = [(first_label!("proxy"), proxy_name), (next_label!("server"), server)];
                let names = if kind == of::BACKEND { &names[..] } else { &names[..1] };
                self.figures.read(proxy, &config, object, family.figure);
                write_object(out, prefix, family, names, &self.figures);
                at + 1
            }),
        };
        self.object = next;
        self.kind += usize::from(next.is_none());
        true
    }
}

fn write_single(out: &mut Text<'_>, single: &Single, value: u64, is_first: bool) {
    if value == NOTHING {
        return;
    }
    if is_first {
        write_head(out, single.prefix, single.name, single.help);
    }
    let [label, text] = single.label;
    let labels = [(label, text)];
    write_line(out, [single.prefix, single.name], if label.is_empty() { &[] } else { &labels }, value, single.unit);
}

fn write_object(out: &mut Text<'_>, prefix: &str, family: &Family, names: &[(&str, &str)], figures: &Figures) {
    let mut labels = heapless::Vec::<(&str, &str), 3>::new();
    let _ = labels.extend_from_slice(names);
    let (label, values, holds) = match family.label {
        Label::None => {
            let value = figures.get(family.figure);
            return write_line(out, [prefix, family.name], &labels, value, family.unit);
        }
        Label::Each(label, values) => (label, values, None),
        Label::State(values) => (next_label!("state"), values, Some(figures.get(family.figure))),
    };
    if holds == Some(NOTHING) {
        return;
    }
    for (at, text) in values.iter().enumerate() {
        let value = match holds {
            Some(place) => u64::from(at as u64 == place),
            None => figures.behind(family.figure, at),
        };
        labels.truncate(names.len());
        let _ = labels.push((label, text));
        write_line(out, [prefix, family.name], &labels, value, family.unit);
    }
}

/// `# HELP` and `# TYPE`.
fn write_head(out: &mut Text<'_>, prefix: &str, name: &str, help: &str) {
    let kind = if name.ends_with("_total") { " counter\n" } else { " gauge\n" };
    for part in ["# HELP ", prefix, name, " ", help, ".\n# TYPE ", prefix, name, kind] {
        out.bytes(part.as_bytes());
    }
}

/// `prefix name{label="value",...} number`, each label as it is written; nothing for no value.
fn write_line(out: &mut Text<'_>, name: [&str; 2], labels: &[(&str, &str)], value: u64, unit: Unit) {
    if value == NOTHING {
        return;
    }
    name.iter().for_each(|part| out.bytes(part.as_bytes()));
    for (label, text) in labels {
        // Names have no character that would have to be escaped.
        [label, text].iter().for_each(|part| out.bytes(part.as_bytes()));
    }
    out.bytes(if labels.is_empty() { b" " } else { b"\"} " });
    figures::write(out, value, unit);
    out.byte(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{Admin, Authority};
    use crate::operate::small::proxy;

    #[test]
    fn what_a_row_reads_is_what_it_is_among_all() {
        let proxy = proxy(
            "listen.l = 127.0.0.1:0\nbackend.a = 127.0.0.1:1\nbackend.b = 127.0.0.1:2\nbackend.b.maxconn = 7\n\
             pool.*.stick = hdr:X-User\npool.*.check.uri = /\npool.*.check.agent-port = 9\n",
        );
        let config = proxy.config();
        let Some(Object::Backend(first)) = Object::nth(&config, of::BACKEND, 0) else { panic!() };
        proxy.set_weight(first, 7);
        proxy.set_admin(first, Authority::Operator, Admin::Drain);
        let mut told = 0;
        for family in FAMILIES {
            let values = match family.label {
                Label::Each(_, values) => values.len(),
                Label::None | Label::State(_) => 1,
            };
            for (kind, _) in KINDS.iter().filter(|(kind, _)| family.which & kind != 0) {
                // What the object before left there is not told of the next one.
                let mut row = Figures::NONE;
                for object in (0..).map_while(|at| Object::nth(&config, *kind, at)) {
                    let all = Figures::of(proxy, &config, object);
                    row.read(proxy, &config, object, family.figure);
                    for at in 0..values {
                        let both = [&row, &all].map(|figures| figures.behind(family.figure, at));
                        assert_eq!(both[0], both[1], "{} of {object:?}, {at}", family.name);
                        told += usize::from(both[0] != NOTHING);
                    }
                }
            }
        }
        assert!(told > 150, "{told}");
    }
}
