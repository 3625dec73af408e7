//! Who may ask what.
//!
//! Everybody who reaches the listener may look; to change something takes a token in the `Authorization` field. Three
//! things keep pages of strangers, open in the browser of somebody who may, from doing either:
//!
//! - A page can send a form anywhere, but not that field: for it a browser asks first (CORS, Fetch standard section 4.8), and
//!   nobody answers such a question here. There are no cookies, and no password that a browser would send by itself.
//! - A page can embed what it cannot read: `Cross-Origin-Resource-Policy` and `frame-ancestors` refuse that.
//! - A page of evil.example can have its own name lead here a second later (DNS rebinding): then the browser takes what is
//!   here for that page's own. It still asks by that name; so what is asked by a name that nobody gave this machine is refused.
//!   An address needs no such name.

use super::Level;
use crate::config::{Address, AdminListener};
use crate::http::fields::Field;
use crate::http::route::without_port;
use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};

/// The value of the only field of that name; `None` where there is none, or there are several.
pub(super) fn only<'b>(fields: &[Field<'b>], name: &str) -> Option<&'b [u8]> {
    let mut found = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    found.next().filter(|_| found.next().is_none()).map(|field| field.value)
}

/// What somebody with these fields may do; `None` for a token that is none.
pub(super) fn level(settings: &AdminListener, fields: &[Field<'_>]) -> Option<Level> {
    if !fields.iter().any(|field| field.name.eq_ignore_ascii_case(b"authorization")) {
        return Some(Level::User);
    }
    let value = only(fields, "authorization")?;
    // Clients of HAProxy's page send a user's password, some whether they have one or not. Here it opens nothing.
    if value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic ")) {
        return Some(Level::User);
    }
    let token = bearer(value)?;
    let is = |known: &Option<String>| known.as_ref().is_some_and(|known| same(known.as_bytes(), token));
    // Both are looked at, whichever it is.
    let [admin, operator] = [is(&settings.admin), is(&settings.operator)];
    match (admin, operator) {
        (true, _) => Some(Level::Admin),
        (false, true) => Some(Level::Operator),
        (false, false) => None,
    }
}

/// What there is to say of a token that is wrong or missing; another thing where none would be right.
pub(super) fn unless_none_is_set(settings: Option<&AdminListener>, words: &'static str) -> &'static str {
    match settings {
        Some(AdminListener { operator: None, admin: None, .. }) => {
            "no token is set: see admin.token.operator and admin.token.admin"
        }
        _ => words,
    }
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ")).then(|| rest.trim_ascii())
}

/// Whether both are the same, in a time that tells nothing about where they differ; only about their lengths.
fn same(known: &[u8], given: &[u8]) -> bool {
    known.len() == given.len() && known.iter().zip(given).fold(0, |sum, (a, b)| black_box(sum | (a ^ b))) == 0
}

/// Whether `host`, with a port or without, is a name of this machine.
pub(super) fn knows(settings: &AdminListener, machine: &str, host: Option<&[u8]>) -> bool {
    // No browser comes over a UNIX socket.
    if matches!(settings.address, Address::Unix(_)) {
        return true;
    }
    let Some(host) = host.map(without_port) else { return true };
    let text = std::str::from_utf8(host).unwrap_or_default();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let is_address = inner.map_or_else(|| text.parse::<IpAddr>().is_ok(), |it| it.parse::<Ipv6Addr>().is_ok());
    let own = || {
        let name = text.get(..machine.len()).filter(|name| name.eq_ignore_ascii_case(machine));
        // As it is called, or by multicast DNS.
        name.is_some() && matches!(text[machine.len()..].to_ascii_lowercase().as_str(), "" | ".local")
    };
    is_address
        || text.eq_ignore_ascii_case("localhost")
        || (!machine.is_empty() && own())
        || settings.hosts.iter().any(|pattern| pattern.matches(host))
}

/// Whether a request comes from a page of this very server, as far as the browser says where it comes from.
pub(super) fn is_own(origin: Option<&[u8]>, host: Option<&[u8]>) -> bool {
    let Some(origin) = origin else { return true };
    let start = origin.windows(3).position(|bytes| bytes == b"://").map(|at| at + 3);
    // Whoever ends TLS before this listener passes the host on, not the scheme.
    start.is_some_and(|start| host.is_some_and(|host| origin[start..].eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"abc", b""));
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("", None),
            ("Bearerabc", None),
        ] {
            assert_eq!(bearer(value.as_bytes()), token.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn a_field_given_twice_counts_for_none() {
        let field = |name: &'static str, value: &'static str| Field { name: name.as_bytes(), value: value.as_bytes() };
        let fields = [field("Origin", "a"), field("X", "b"), field("ORIGIN", "c")];
        assert_eq!(only(&fields[..2], "origin"), Some(&b"a"[..]));
        assert_eq!(only(&fields, "origin"), None);
    }

    #[test]
    fn where_a_request_comes_from() {
        for (origin, host, own) in [
            (None, None, true),
            (None, Some("a:1"), true),
            (Some("http://a:1"), Some("a:1"), true),
            (Some("https://A"), Some("a"), true),
            (Some("http://a:2"), Some("a:1"), false),
            (Some("http://evil.example"), Some("a:1"), false),
            (Some("null"), Some("null"), false),
            (Some("http://a"), None, false),
        ] {
            assert_eq!(is_own(origin.map(str::as_bytes), host.map(str::as_bytes)), own, "{origin:?} {host:?}");
        }
    }
}
