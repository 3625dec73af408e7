//! Names of servers: who is asked for them, and the slots that the addresses of one name fill.
//!
//! Owns the rule that backends `N1` to `NK` are the slots of `backend.N.slots = K`. Refuses to ask anybody.

use super::Backend;
use super::keys::Id;
use super::resolve::Resolver;
use super::settings::Settings;
use super::value::{Value, is_name};
use crate::dns::Family;
use crate::limits::{MAX_BACKENDS, MAX_NAMESERVERS};
use std::net::{IpAddr, SocketAddr};

/// The port of nameservers.
const PORT: u16 = 53;

/// `resolver.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Who is asked, in this order; those of /etc/resolv.conf when not given.
    pub nameservers: Option<Vec<SocketAddr>>,
    /// Milliseconds for which an answer is good at most (HAProxy `hold valid`).
    pub hold_ms: u64,
    /// Which addresses of a name that has both are used (HAProxy `resolve-prefer`).
    pub prefer: Family,
}

impl Names {
    pub(super) fn of(settings: &Settings<'_>) -> Self {
        Self {
            nameservers: match settings.value(Id::ResolverNameservers, "") {
                Value::Addresses(addresses) => Some(addresses),
                _ => None,
            },
            hold_ms: settings.number(Id::ResolverHold, "").unwrap_or_default(),
            prefer: if settings.number(Id::ResolverPrefer, "") == Some(1) { Family::V4 } else { Family::V6 },
        }
    }
}

/// `backend.N.slots`, of one of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// N.
    pub of: String,
    /// How many there are.
    pub count: usize,
}

/// A backend there is to be.
pub(super) struct Wanted<'a> {
    /// The line that declares it, or its slots.
    pub(super) line: u32,
    pub(super) name: String,
    /// N of `backend.N.slots`, when it is a slot.
    of: Option<&'a str>,
    count: usize,
}

impl Wanted<'_> {
    pub(super) fn slots(&self) -> Option<Slots> {
        self.of.map(|of| Slots { of: of.to_owned(), count: self.count })
    }
}

impl<'a> Settings<'a> {
    /// How many slots the backend `name` has.
    pub(super) fn slots(&self, name: &str) -> Option<usize> {
        let setting = self.exactly(Id::Slots, name, "").or_else(|| self.exactly(Id::Slots, "*", ""))?;
        match (&setting.value, &self.exactly(Id::Backend, name, "")?.value) {
            (Value::Number(count), Value::Server(host, _)) if host.parse::<IpAddr>().is_err() => {
                usize::try_from(*count).ok()
            }
            _ => None,
        }
    }

    /// The backend of which `name` is a slot.
    pub(super) fn slot_of(&self, name: &'_ str) -> Option<&'a str> {
        if self.of(Id::Slots).is_empty() {
            return None;
        }
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let split = |length: usize| {
            let (of, number) = name.split_at(name.len() - length);
            let fits = |count| !number.starts_with('0') && number.parse::<usize>().is_ok_and(|number| number <= count);
            self.slots(of).filter(|&count| fits(count)).and_then(|_| self.exactly(Id::Backend, of, ""))
        };
        (1..=digits.min(3)).find_map(split).map(|setting| setting.name)
    }
}

impl<'a> Resolver<'_, 'a> {
    /// The backends that these lines declare, slots in the place of what has them.
    pub(super) fn with_slots(&mut self, declared: &[(u32, &'a str)]) -> Vec<Wanted<'a>> {
        let settings = self.settings;
        let mut wanted = Vec::new();
        for &(line, name) in declared {
            let Some(count) = settings.slots(name) else {
                if let Some(setting) =
                    settings.exactly(Id::Slots, name, "").filter(|s| matches!(s.value, Value::Number(_)))
                {
                    let reason = "an address has no slots: only the addresses of a host name fill them".to_owned();
                    self.errors.push(setting.line, setting.written, reason);
                }
                if let Some(of) = settings.slot_of(name) {
                    let first = settings.line(Id::Backend, of);
                    let reason = format!("it is a slot of `backend.{of}` on line {first} already");
                    self.errors.push(line, &format!("backend.{name}"), reason);
                }
                wanted.push(Wanted { line, name: name.to_owned(), of: None, count: 0 });
                continue;
            };
            if !is_name(&format!("{name}{count}")) {
                let reason = format!("the name of `backend.{name}{count}` is longer than 32 characters");
                self.errors.push(settings.line(Id::Slots, name), &format!("backend.{name}.slots"), reason);
            }
            let slot = |number: usize| Wanted { line, name: format!("{name}{number}"), of: Some(name), count };
            wanted.extend((1..=count).map(slot));
        }
        if let Some(Wanted { line, name, .. }) = wanted.get(MAX_BACKENDS) {
            let reason = format!("too many: at most {MAX_BACKENDS}, the file names {}, slots included", wanted.len());
            self.errors.push(*line, &format!("backend.{name}"), reason);
        }
        wanted.truncate(MAX_BACKENDS);
        wanted
    }
}

/// How many names they have.
pub(super) fn count(backends: &[Backend]) -> usize {
    let is_first = |(at, name): (usize, &String)| {
        name.parse::<IpAddr>().is_err() && !backends.iter().take(at).any(|other| other.host.eq_ignore_ascii_case(name))
    };
    let hosts = backends.iter().map(|backend| &backend.host).enumerate();
    // A UNIX socket has none.
    hosts.filter(|&(at, host)| !host.is_empty() && is_first((at, host))).count()
}

/// An address, with a port or without.
pub(super) fn nameserver(text: &str) -> Result<SocketAddr, &'static str> {
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    bare.or_else(|_| text.parse()).ok().filter(|address| address.port() != 0).ok_or("")
}

/// A list of them.
pub(super) fn nameservers(items: &[String]) -> Result<Vec<SocketAddr>, &'static str> {
    if items.len() > MAX_NAMESERVERS {
        return Err("too many");
    }
    items.iter().map(|item| nameserver(item)).collect()
}

/// One of them, as a file says it.
pub(super) fn nameserver_text(address: &SocketAddr) -> String {
    if address.port() == PORT { address.ip().to_string() } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOARD, read};
    use super::super::{Config, parse};
    use super::*;

    const BASE: &str = "listen.web = 127.0.0.1:80\n";

    fn names(config: &Config) -> Vec<&str> {
        config.backends.iter().map(|backend| backend.name.as_str()).collect()
    }

    #[test]
    fn slots_are_backends_with_the_attributes_of_what_has_them() {
        let config = read(&format!(
            "{BASE}backend.z = 10.0.0.1:80\nbackend.app = app.lan:8080\nbackend.app.slots = 12\nbackend.app.weight = 7\n\
             backend.app.pool = p\nbackend.*.maxconn = 9\nbackend.app2.weight = 3\nbackend.app12.maxconn = 4\n\
             backend.app13 = 10.0.0.2:80\nlisten.web.pool = p\n"
        ));
        let expected = "z app1 app2 app3 app4 app5 app6 app7 app8 app9 app10 app11 app12 app13";
        assert_eq!(names(&config).join(" "), expected);
        let of = |name: &str| config.backends.iter().find(|backend| backend.name == name).unwrap();
        let facts = |name| (of(name).host.as_str(), of(name).port, of(name).weight, of(name).maxconn);
        assert_eq!(facts("app1"), ("app.lan", 8080, 7, 9));
        assert_eq!(facts("app2"), ("app.lan", 8080, 3, 9));
        assert_eq!(facts("app12"), ("app.lan", 8080, 7, 4));
        assert_eq!(facts("app13"), ("10.0.0.2", 80, 1, 9), "not one of them");
        assert_eq!(of("app12").slots, Some(Slots { of: "app".to_owned(), count: 12 }));
        assert_eq!((&of("app13").slots, of("app1").cookie.as_str()), (&None, "app1"));
        let pool = config.pools.iter().find(|pool| pool.name == "p").unwrap();
        assert_eq!(pool.backends.len(), 12);
        assert_eq!(
            (config.limits.budget.beside.objects, config.limits.budget.beside.names),
            ((1 + 4) + (14 + 16) + (2 + 8) + 16, 1)
        );
    }

    #[test]
    fn slots_for_all_are_for_those_with_a_name() {
        let config = read(&format!("{BASE}backend.a = 10.0.0.1:80\nbackend.b = b:80\nbackend.*.slots = 2\n"));
        assert_eq!(names(&config), ["a", "b1", "b2"]);
        let config = read(&format!("{BASE}backend.b = b:80\nbackend.b.slots = none\nbackend.*.slots = 2\n"));
        assert_eq!(names(&config), ["b"]);
        let config =
            read(&format!("{BASE}backend.b = b:80\nbackend.c = c:80\nbackend.d = B:81\nbackend.e = 10.0.0.1:80\n"));
        assert_eq!(config.limits.budget.beside.names, 2);
        let config = read(&format!("{BASE}backend.b = b:80\nbackend.u = unix:/run/u\nbackend.*.slots = 2\n"));
        assert_eq!((names(&config).join(" "), config.limits.budget.beside.names), ("b1 b2 u".to_owned(), 1));
    }

    #[test]
    fn slots_that_cannot_be() {
        let long = "x".repeat(31);
        let cases = [
            (
                "backend.a = 10.0.0.1:80\nbackend.a.slots = 2\n".to_owned(),
                "f:3: backend.a.slots: an address has no slots: only the addresses of a host name fill them",
            ),
            (
                "backend.a = unix:/run/a\nbackend.a.slots = 2\n".to_owned(),
                "f:3: backend.a.slots: an address has no slots: only the addresses of a host name fill them",
            ),
            (
                "backend.a = a:80\nbackend.a.slots = 2\nbackend.a2 = b:80\n".to_owned(),
                "f:4: backend.a2: it is a slot of `backend.a` on line 2 already",
            ),
            (
                "backend.a = a:80\nbackend.a.slots = 2\nbackend.a3.weight = 1\n".to_owned(),
                "f:4: backend.a3.weight: no line declares `backend.a3`",
            ),
            (
                "backend.a = a:80\nbackend.a.slots = 2\nbackend.a02.weight = 1\n".to_owned(),
                "f:4: backend.a02.weight: no line declares `backend.a02`",
            ),
            (
                format!("backend.{long} = a:80\nbackend.{long}.slots = 10\n"),
                "f:3: backend.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.slots: the name of",
            ),
            (
                "backend.a = a:80\nbackend.a.slots = 200\nbackend.b = b:80\nbackend.b.slots = 57\n".to_owned(),
                "f:4: backend.b57: too many: at most 256, the file names 257, slots included",
            ),
            (
                "backend.a = a:80\nbackend.a.slots = 0\n".to_owned(),
                "f:3: backend.a.slots: `0`: expected a whole number from 1 to 256",
            ),
        ];
        for (text, message) in cases {
            let errors = parse("f", format!("{BASE}{text}").as_bytes(), &BOARD).unwrap_err().to_string();
            assert!(errors.starts_with(message) && errors.lines().count() == 1, "{errors}\n{message}");
        }
    }

    #[test]
    fn nameservers_with_ports_and_without() {
        let given = |text: &str| nameserver(text).map(|address| (address.to_string(), nameserver_text(&address)));
        let pair = |address: &str, text: &str| Ok((address.to_owned(), text.to_owned()));
        assert_eq!(given("192.0.2.1"), pair("192.0.2.1:53", "192.0.2.1"));
        assert_eq!(given("192.0.2.1:53"), pair("192.0.2.1:53", "192.0.2.1"));
        assert_eq!(given("::1"), pair("[::1]:53", "::1"));
        assert_eq!(given("[::1]:5353"), pair("[::1]:5353", "[::1]:5353"));
        assert_eq!([given("dns.lan"), given("192.0.2.1:0"), given("")], [Err(""), Err(""), Err("")]);
        let four = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(str::to_owned);
        assert_eq!((nameservers(&four), nameservers(&four[1..]).unwrap().len()), (Err("too many"), 3));
        let config = read(&format!("{BASE}backend.a = a:1\nresolver.nameservers = none\n"));
        let expected = Names { nameservers: None, hold_ms: 10_000, prefer: Family::V6 };
        assert_eq!(config.names, expected);
    }
}
