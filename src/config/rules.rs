//! What a route does with a request, and the bodies of beelance's own replies.
//!
//! Owns which keys of a route exclude each other, and reads the files of `reply.STATUS.file`: at the start, never later.
//! Refuses to know how a reply is sent.

use super::Listener;
use super::keys::Id;
use super::resolve::Resolver;
use super::value::Value;
use crate::http::edits::Edits;
use crate::http::redirect::Redirect;
use crate::http::reply;
use crate::http::route::Cidr;
use crate::limits::{MAX_EDITS, MAX_REPLY_FILE, MAX_REQUEST_ID};
use std::path::Path;

/// What becomes of a request that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The route's pool serves it.
    Pool,
    /// It is refused with this status.
    Deny(u16),
    /// The same after so many milliseconds, and the connection closes.
    Tarpit {
        /// How long it is held.
        hold_ms: u64,
        /// The status.
        status: u16,
    },
    /// It is answered with a status and a text.
    Return {
        /// The status.
        status: u16,
        /// The text, which may be empty.
        text: String,
    },
    /// The client is sent elsewhere.
    Redirect(Redirect),
}

/// `route.N.maintenance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Whether it begins with the switch on.
    pub on: bool,
    /// Who passes nevertheless.
    pub allow: Vec<Cidr>,
    /// When the others are to ask again, in milliseconds.
    pub retry_after_ms: u64,
}

/// `reply.STATUS`: the body of beelance's own replies with this status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// The status.
    pub status: u16,
    /// Where it was read.
    pub file: String,
    /// Its Content-Type.
    pub media_type: String,
    /// The file's bytes.
    pub body: Vec<u8>,
}

/// The keys that say what finally becomes of a request; the last two may stand together.
const FINAL: [Id; 5] = [Id::RoutePool, Id::RouteReturn, Id::RouteRedirect, Id::RouteDeny, Id::RouteTarpit];

impl Resolver<'_, '_> {
    /// What the route `name` does, [`Deed::Pool`] where that is wrong; `None` when no key says it.
    pub(super) fn deed(&mut self, name: &str) -> Option<Deed> {
        let settings = self.settings;
        let line = |object: &str, id: Id| {
            let setting = settings.exactly(id, object, "").filter(|setting| setting.value != Value::Unset);
            setting.map(|setting| setting.line)
        };
        let mut lines = FINAL.map(|id| line(name, id));
        // A line of its own beats those of `*`, whatever they say.
        if lines == [None; FINAL.len()] {
            lines = FINAL.map(|id| line("*", id).filter(|_| settings.exactly(id, name, "").is_none()));
        }
        let (mut first, mut last) = (None, None);
        for (id, line) in FINAL.into_iter().zip(lines) {
            let Some(line) = line else { continue };
            if first.is_none_or(|(_, other)| line < other) {
                first = Some((id, line));
            }
            if last.is_none_or(|(_, other)| line > other) {
                last = Some((id, line));
            }
        }
        let ((first, first_line), (last, last_line)) = (first?, last?);
        let [.., deny, tarpit] = lines;
        let refuses = lines.iter().flatten().count() == 2 && deny.is_some() && tarpit.is_some();
        if first_line != last_line && !refuses {
            let reason =
                format!("`{}` on line {first_line} says already what becomes of the request", first.key().of(name));
            self.errors.push(last_line, &last.key().of(name), reason);
            return Some(Deed::Pool);
        }
        let status =
            deny.and_then(|_| settings.number(Id::RouteDeny, name)).and_then(|status| u16::try_from(status).ok());
        let hold_ms = tarpit.and_then(|_| settings.number(Id::RouteTarpit, name));
        Some(match (settings.value(first, name), hold_ms, status) {
            (Value::Return(status, text), ..) => Deed::Return { status, text },
            (Value::Redirect(mut redirect), ..) => {
                if let Some(choice) = settings.number(Id::RouteRedirectQuery, name) {
                    redirect.keeps_query = choice == 0;
                }
                Deed::Redirect(redirect)
            }
            (_, Some(hold_ms), status) => Deed::Tarpit { hold_ms, status: status.unwrap_or(500) },
            (_, None, Some(status)) => Deed::Deny(status),
            (_, None, None) => Deed::Pool,
        })
    }

    /// How the route `name` edits what it passes on.
    /// What a route on these listeners does to a head.
    pub(super) fn edits<'l>(
        &mut self,
        name: &str,
        listeners: impl Iterator<Item = &'l Listener>,
    ) -> Option<Box<Edits>> {
        let settings = self.settings;
        let ids = listeners.filter_map(|listener| listener.request_id.as_ref());
        let ids = ids.map(|field| field.len() + ": \r\n".len() + MAX_REQUEST_ID).max();
        let most = MAX_EDITS.saturating_sub(ids.unwrap_or(0));
        let mut edits = Edits::default();
        for id in [Id::RouteSetHeader, Id::RouteDelHeader] {
            for setting in settings.with_header(id, name) {
                let edited = match &setting.value {
                    Value::Text(value) => edits.set(setting.header, value),
                    Value::Number(1) if settings.is_set_with(Id::RouteSetHeader, name, setting.header) => {
                        Err("it is set, too: setting it replaces what the client sent")
                    }
                    Value::Number(1) => edits.delete(setting.header),
                    _ => Ok(()),
                };
                if let Err(reason) = edited {
                    self.errors.push(setting.line, setting.written, reason.to_owned());
                } else if edits.length() > most {
                    let beside = if ids.is_some() { "Host and the id" } else { "Host" };
                    let reason = format!("too long: a route adds at most {most} bytes to a head, beside {beside}");
                    self.errors.push(setting.line, setting.written, reason);
                    return None;
                }
            }
        }
        (!edits.is_empty()).then(|| Box::new(edits))
    }

    pub(super) fn maintenance(&self, name: &str) -> Maintenance {
        Maintenance {
            on: self.settings.yes(Id::RouteMaintenance, name),
            allow: match self.settings.value(Id::RouteMaintenanceAllow, name) {
                Value::Sources(blocks) => blocks,
                _ => Vec::new(),
            },
            retry_after_ms: self.settings.number(Id::RouteMaintenanceRetryAfter, name).unwrap_or_default(),
        }
    }

    /// Reads the bodies of all replies that have one of their own.
    pub(super) fn replies(&mut self, objects: &[(u32, &str)]) -> Vec<Custom> {
        let settings = self.settings;
        let mut replies = Vec::new();
        for &(line, name) in objects {
            let Some(status) = name.parse().ok().filter(|&status| reply::has_body(status)) else {
                let reason = format!("beelance has no reply `{name}`: expected {STATUSES}");
                self.errors.push(line, &format!("reply.{name}"), reason);
                continue;
            };
            let Some(file) = settings.text(Id::ReplyFile, name) else { continue };
            match read(&file) {
                Ok(body) => {
                    let media_type = settings.text(Id::ReplyType, name).unwrap_or_default();
                    replies.push(Custom { status, file, media_type, body });
                }
                Err(reason) => {
                    let line = settings.line(Id::ReplyFile, name);
                    self.errors.push(line, &Id::ReplyFile.key().of(name), format!("`{file}`: {reason}"));
                }
            }
        }
        replies
    }
}

/// The statuses whose bodies are beelance's own, for messages.
pub(super) const STATUSES: &str =
    "400, 403, 404, 405, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502, 503, 504 or 505";

/// The bytes of a regular file.
fn read(path: &str) -> Result<Vec<u8>, String> {
    // To open a pipe would wait for whoever writes to it.
    let bytes = match super::metadata(Path::new(path)) {
        Ok(about) if !about.is_file() => return Err("not a file".to_owned()),
        Ok(_) => super::read_at_most(Path::new(path), MAX_REPLY_FILE),
        Err(why) => Err(why),
    };
    match bytes {
        Ok(bytes) if bytes.len() as u64 <= MAX_REPLY_FILE => Ok(bytes),
        Ok(_) => Err(format!("too long: a body has at most {MAX_REPLY_FILE} bytes")),
        Err(why) => Err(format!("cannot be read: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::tests::{errors, read};

    /// A listener and a backend, on lines 1 and 2, and more.
    fn config(text: &str) -> Config {
        read(&format!("listen.web = 0.0.0.0:80\nbackend.a = 10.0.0.1:80\n{text}"))
    }

    #[test]
    fn what_a_route_does() {
        let redirect = |text| Deed::Redirect(Redirect::read(text, None).unwrap());
        for (text, deed) in [
            ("route.r.pool = default\n", Deed::Pool),
            ("route.r.deny = 429\n", Deed::Deny(429)),
            ("route.r.tarpit = 2s\n", Deed::Tarpit { hold_ms: 2_000, status: 500 }),
            ("route.r.tarpit = 2s\nroute.r.deny = 403\n", Deed::Tarpit { hold_ms: 2_000, status: 403 }),
            ("route.r.return = 200  a  b \n", Deed::Return { status: 200, text: "a  b".into() }),
            ("route.r.return = 404\n", Deed::Return { status: 404, text: String::new() }),
            ("route.r.redirect = https://b/\n", redirect("302 https://b")),
            ("route.*.deny = 403\nroute.r.path = /x\n", Deed::Deny(403)),
            // A line of its own beats those of `*`, be they of another key.
            ("route.*.deny = 403\nroute.r.pool = default\n", Deed::Pool),
            ("route.*.redirect = /x\nroute.r.deny = 403\n", Deed::Deny(403)),
            ("route.*.tarpit = 1s\nroute.*.deny = 403\nroute.r.tarpit = none\n", Deed::Deny(403)),
        ] {
            assert_eq!(config(text).routes[0].deed, deed, "{text}");
        }
        let dropped = config("route.r.redirect = /x\nroute.r.redirect.query = drop\n").routes.remove(0).deed;
        assert!(matches!(dropped, Deed::Redirect(Redirect { keeps_query: false, .. })), "{dropped:?}");
    }

    #[test]
    fn every_message() {
        const NO_BACKEND: &str = "has no backend: `backend.NAME.pool = b` puts one there";
        for (text, expected) in [
            (
                "route.r.deny = 403\nroute.r.pool = default",
                &["f:4: route.r.pool: `route.r.deny` on line 3 says already what becomes of the request"][..],
            ),
            (
                "route.r.tarpit = 1s\nroute.r.return = 200\nroute.r.deny = 403",
                &["f:5: route.r.deny: `route.r.tarpit` on line 3 says already what becomes of the request"],
            ),
            (
                "route.r.deny = 405\nroute.s.deny = 200",
                &[
                    "f:3: route.r.deny: `405`: expected 400, 403, 404, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502, 503, 504 or 505",
                    "f:4: route.s.deny: `200`: expected 400, 403, 404, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502, 503, 504 or 505",
                ],
            ),
            (
                "route.r.pool = default\nroute.r.set-header.te = trailers\nroute.r.del-header.host = yes\nroute.r.set-header.a = 1\nroute.r.del-header.a = yes",
                &[
                    "f:4: route.r.set-header.te: it is of one hop only, and beelance writes it itself",
                    "f:5: route.r.del-header.host: a request needs its Host",
                    "f:7: route.r.del-header.a: it is set, too: setting it replaces what the client sent",
                ],
            ),
            (
                "route.r.pool = default\nroute.*.set-header.content-length = 1",
                &["f:4: route.*.set-header.content-length: it frames the message, and no rule may change that"],
            ),
            (
                "backend.a.redirect = /x",
                &[
                    "f:3: backend.a.redirect: `/x`: the host is missing; expected an address such as https://cdn1.example.com, which the path and query of the request follow",
                ],
            ),
            (
                "reply.302.file = x\nreply.a.type = text/html",
                &[
                    "f:3: reply.302: beelance has no reply `302`: expected 400, 403, 404, 405, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502, 503, 504 or 505",
                    "f:4: reply.a: beelance has no reply `a`: expected 400, 403, 404, 405, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502, 503, 504 or 505",
                ],
            ),
            ("pool.default.overflow = b", &[&format!("f:3: pool.default.overflow: the pool `b` {NO_BACKEND}")]),
            (
                "pool.default.overflow = b\nlisten.web.pool = b",
                &[
                    &format!("f:3: pool.default.overflow: the pool `b` {NO_BACKEND}"),
                    &format!(
                        "f:4: listen.web.pool: the pool `b` {NO_BACKEND} (a key of its own, such as `pool.b.balance`, lets it be empty)"
                    ),
                ],
            ),
            (
                "backend.b = b:1\nbackend.b.pool = b\npool.default.overflow = b\npool.b.overflow = default",
                &[
                    "f:5: pool.default.overflow: a circle: default -> b -> default",
                    "f:6: pool.b.overflow: a circle: b -> default -> b",
                ],
            ),
            ("pool.default.overflow = default", &["f:3: pool.default.overflow: a circle: default -> default"]),
        ] {
            assert_eq!(errors(text), expected, "{text}");
        }
        for (text, why) in [
            ("route.r.redirect = 300 /x", "the code is 301, 302, 303, 307 or 308; expected"),
            ("route.r.redirect = https://", "a host is missing; for the same host write `scheme https`; expected"),
            ("route.r.return = 401 no", "expected a status"),
            ("route.r.return = 204 no", "expected a status"),
            ("route.r.return = 100", "expected a status"),
            ("reply.503.type = html", "expected the type of a body"),
        ] {
            let errors = errors(text);
            assert!(errors.len() <= 2 && errors[0].contains(why), "{errors:?}");
        }
        let long = |count: usize| {
            let line = |number| format!("route.r.set-header.x-{number} = {}\n", "v".repeat(50));
            format!("route.r.pool = default\n{}", (0..count).map(line).collect::<String>())
        };
        let host = format!("route.r.set-header.host = {}\n", "h".repeat(280));
        assert!(config(&(long(3) + &host)).routes[0].edits.is_some());
        let reason = "too long: a route adds at most 184 bytes to a head, beside Host";
        assert_eq!(errors(&long(4)), [format!("f:7: route.r.set-header.x-3: {reason}")]);
        let with_id = |count| long(count) + "listen.*.request-id = X-Request-ID\n";
        assert!(config(&with_id(1)).routes[0].edits.is_some());
        let reason = "too long: a route adds at most 104 bytes to a head, beside Host and the id";
        assert_eq!(errors(&with_id(2)), [format!("f:5: route.r.set-header.x-1: {reason}")]);
    }

    #[test]
    fn the_examples_of_the_page_are_right() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md")).unwrap();
        let page = page.replace("/etc/beelance/503.html", concat!(env!("CARGO_MANIFEST_DIR"), "/../rustfmt.toml"));
        let mut examples = vec![String::new()];
        for line in page.lines() {
            match line.strip_prefix("    ") {
                Some(line) => examples.last_mut().unwrap().push_str(&format!("{line}\n")),
                // A blank line inside one is no end of it.
                None if line.is_empty() => {}
                None => examples.push(String::new()),
            }
        }
        examples.retain(|example| !example.is_empty());
        for example in &examples {
            let config = if example.contains("listen.") { read(example) } else { config(example) };
            assert_eq!(config.warnings, [""; 0], "{example}");
        }
        assert_eq!(examples.len(), 4);
    }

    #[test]
    fn what_does_nothing_is_told() {
        for (text, expected) in [
            (
                "route.r.deny = 403\nroute.r.set-header.a = 1\nroute.r.redirect.query = keep\n",
                &[
                    "f:5: route.r.redirect.query: it does nothing without `route.r.redirect`",
                    "f:4: route.r.set-header.a: it does nothing without `route.r.pool`",
                ][..],
            ),
            ("reply.503.type = text/plain\n", &["f:3: reply.503.type: it does nothing without `reply.503.file`"]),
            ("route.r.deny = 403\nroute.*.set-header.a = 1\nreply.*.type = text/plain\n", &[]),
        ] {
            let mut warnings = config(text).warnings;
            warnings.retain(|warning| !warning.contains("no later route"));
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            warnings.sort_unstable();
            assert_eq!(warnings, expected, "{text}");
        }
    }

    #[test]
    fn the_statuses_that_are_named_are_those_there_are() {
        let there: Vec<u16> = (0..1000).filter(|&status| reply::has_body(status)).collect();
        let named: Vec<u16> =
            STATUSES.replace(" or", ",").split(", ").filter_map(|word| word.trim().parse().ok()).collect();
        assert_eq!(named, there);
    }
}
