//! The part of a request that its placement is hashed by, found as HAProxy's `balance` finds it.
//!
//! Owns where a key begins and ends. Refuses to know what becomes of it.

use super::cookie;
use super::fields::Field;
use super::request::RequestHead;

/// What of a request is the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The client's address, which no head holds.
    Source,
    /// The path.
    Uri {
        /// Only so many of its segments, when it has more.
        depth: Option<u32>,
        /// With the query.
        whole: bool,
    },
    /// The first element of this header field.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of this parameter in the query.
    UrlParam(String),
}

impl Key {
    /// The key, in two pieces that belong together. `None`: the request has none, or an empty one, or it is the source.
    #[must_use]
    pub fn of<'b>(&self, head: &RequestHead<'b, '_>) -> Option<[&'b [u8]; 2]> {
        let value = match self {
            Self::Source => None,
            Self::Uri { depth, whole } => {
                let query: &[u8] = if *whole { head.query } else { &[] };
                return Some(depth.map_or([head.path, query], |depth| cut(head.path, query, depth)));
            }
            Self::Header(name) => header(head.fields, name),
            Self::Cookie(name) => cookie::find(head.fields, name),
            Self::UrlParam(name) => parameter(head.query, name),
        };
        value.filter(|value| !value.is_empty()).map(|value| [value, &[]])
    }
}

/// Both up to the slash behind `depth` segments.
fn cut<'b>(path: &'b [u8], query: &'b [u8], depth: u32) -> [&'b [u8]; 2] {
    let mut slashes = 0;
    let mut is_end = |&byte: &u8| {
        slashes += u32::from(byte == b'/');
        slashes > depth
    };
    if let Some(end) = path.iter().position(&mut is_end) {
        return [&path[..end], &[]];
    }
    let end = query.iter().position(is_end).unwrap_or(query.len());
    [path, &query[..end]]
}

/// The first element of the first field of that name.
fn header<'b>(fields: &[Field<'b>], name: &str) -> Option<&'b [u8]> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?;
    let mut quoted = false;
    let mut escaped = false;
    let is_end = |&byte: &u8| {
        let ends = byte == b',' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && quoted && !escaped;
        ends
    };
    let end = field.value.iter().position(is_end).unwrap_or(field.value.len());
    Some(field.value[..end].trim_ascii())
}

/// The value of the first `name=` in a query, which begins with its `?` unless it is empty.
fn parameter<'b>(query: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let mut parameters = query.get(1..)?.split(|&byte| byte == b'&');
    parameters.find_map(|parameter| parameter.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::super::fields::{Cuts, Fields};
    use super::super::request;
    use super::*;

    #[track_caller]
    fn check(key: &Key, target: &str, lines: &str, expected: Option<&str>) {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes();
        let (mut table, mut cuts) = (Fields::new(), Cuts::default());
        let head = request::parse(&head, 8, &mut table, &mut cuts).unwrap();
        let found = key.of(&head).map(|pieces| pieces.concat());
        assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{key:?} {target} {lines:?}");
    }

    #[test]
    fn uris() {
        for (depth, whole, target, expected) in [
            (None, false, "/", "/"),
            (None, false, "/a/b?c=/d", "/a/b"),
            (None, false, "/a;x=1/b", "/a;x=1/b"),
            (None, true, "/a/b?c=/d", "/a/b?c=/d"),
            (None, true, "/a?", "/a?"),
            (Some(1), false, "/a/b/c", "/a"),
            (Some(1), false, "/a", "/a"),
            (Some(1), false, "/", "/"),
            (Some(2), false, "/a/b/c?d", "/a/b"),
            (Some(2), false, "//a/b", "//a"),
            (Some(1), false, "/a?b/c", "/a"),
            (Some(1), true, "/a?b/c", "/a?b"),
            (Some(9), true, "/a/b?c", "/a/b?c"),
            (None, false, "http://h/a?b", "/a"),
            (None, true, "http://h/a?b", "/a?b"),
            (None, true, "http://h?b", "/?b"),
        ] {
            check(&Key::Uri { depth, whole }, target, "", Some(expected));
        }
    }

    #[test]
    fn headers() {
        for (lines, expected) in [
            ("", None),
            ("X-User:\r\n", None),
            ("X-Users: a\r\n", None),
            ("X-User: alice\r\n", Some("alice")),
            ("x-uSER:  alice smith \t\r\n", Some("alice smith")),
            ("X-User: a , b\r\nX-User: c\r\n", Some("a")),
            ("X-User: , b\r\n", None),
            ("X-User: \"a, b\", c\r\n", Some("\"a, b\"")),
            ("X-User: \"a\\\", b\", c\r\n", Some("\"a\\\", b\"")),
            ("X-User: \"a, b\r\n", Some("\"a, b")),
        ] {
            check(&Key::Header("X-User".into()), "/", lines, expected);
        }
    }

    #[test]
    fn cookies() {
        for (lines, expected) in [
            ("", None),
            ("Cookie: a=1\r\n", None),
            ("Cookie: U=x\r\n", Some("x")),
            ("Cookie: a=1; U=x=y ;b=2\r\n", Some("x=y")),
            ("Cookie: UU=1; u=2; U\r\n", None),
            ("Cookie: U=\r\n", None),
            ("Cookie: a=1\r\ncookie: U=x\r\nCookie: U=y\r\n", Some("x")),
        ] {
            check(&Key::Cookie("U".into()), "/", lines, expected);
        }
    }

    #[test]
    fn parameters() {
        for (target, expected) in [
            ("/", None),
            ("/?", None),
            ("/?user", None),
            ("/?user=", None),
            ("/?user=a", Some("a")),
            ("/user=a", None),
            ("/?x=1&user=a&user=b", Some("a")),
            ("/?users=1&auser=2", None),
            ("/?user&user=b", Some("b")),
            ("/?x=?user=a", None),
            ("/?user=a?b=c/d;e", Some("a?b=c/d;e")),
            ("/?&&user=a%26", Some("a%26")),
            ("http://h?user=a", Some("a")),
        ] {
            check(&Key::UrlParam("user".into()), target, "", expected);
        }
    }

    #[test]
    fn the_source_is_in_no_head() {
        check(&Key::Source, "/", "", None);
    }
}
