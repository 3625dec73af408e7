//! The target of a request, and which of its four forms it has (RFC 9112 section 3.2).

use super::host;
use super::request::Refusal;
use std::ops::Range;

/// A target that is passed on, in origin form or as `*`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    /// The path without the query; `*` for OPTIONS of the server.
    pub path: &'b [u8],
    /// The query with its `?`; empty when there is none.
    pub query: &'b [u8],
    /// Of an absolute form.
    pub absolute: Option<Absolute<'b>>,
}

/// What an absolute form is cut down from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Absolute<'b> {
    /// Its authority, which replaces Host.
    pub authority: &'b [u8],
    /// Bytes of the target that are cut.
    pub cut: Range<usize>,
    /// What the byte behind the cut becomes, when the target has no path of its own: `/`, or the `*` of an OPTIONS that
    /// names no resource (RFC 9112 section 3.2.4).
    pub path: Option<u8>,
}

impl<'b> Target<'b> {
    /// Understands `target` of a request with this method.
    ///
    /// # Errors
    /// [`Refusal`] with 400, or 501 for CONNECT.
    pub(super) fn read(method: &[u8], target: &'b [u8]) -> Result<Self, Refusal> {
        let is_good = |&byte: &u8| matches!(byte, b'!'..=b'~') && byte != b'#';
        let path_end = target.iter().position(|byte| !is_good(byte) || *byte == b'?').unwrap_or(target.len());
        if !target[path_end..].iter().all(is_good) {
            return Err(bad("bad byte in the target"));
        }
        if method == b"CONNECT" {
            return Err(Refusal { status: 501, reason: "CONNECT" });
        }
        if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
            let (path, query) = target.split_at(path_end);
            return Ok(Self { path, query, absolute: None });
        }
        if let Some(scheme) = scheme(target) {
            let authority = &target[scheme..];
            let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(authority.len());
            let (authority, rest) = authority.split_at(end);
            host::check(authority).map_err(bad)?;
            let (own, query) = split(rest);
            let (path, byte): (&[u8], _) = match rest.first() {
                Some(b'/') => (own, None),
                None if method == b"OPTIONS" => (b"*", Some(b'*')),
                _ => (b"/", Some(b'/')),
            };
            let cut = 0..scheme + end - usize::from(byte.is_some());
            return Ok(Self { path, query, absolute: Some(Absolute { authority, cut, path: byte }) });
        }
        Err(bad("bad target"))
    }
}

const fn bad(reason: &'static str) -> Refusal {
    Refusal { status: 400, reason }
}

/// The length of `http://` or `https://` at the start of an absolute form.
fn scheme(target: &[u8]) -> Option<usize> {
    let begins =
        |scheme: &&str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()));
    ["http://", "https://"].iter().find(|scheme| begins(scheme)).map(|scheme| scheme.len())
}

/// The path, and the query with its `?`.
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    target.split_at(target.iter().position(|&byte| byte == b'?').unwrap_or(target.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        type Case = (&'static str, &'static str, &'static str, Option<(&'static str, usize, Option<u8>)>);
        let cases: [Case; 9] = [
            ("GET", "/a/b?c", "/a/b", None),
            ("GET", "//a/b", "//a/b", None),
            ("OPTIONS", "*", "*", None),
            ("GET", "http://a/x?y", "/x", Some(("a", 8, None))),
            ("GET", "HTTPS://a:80/", "/", Some(("a:80", 12, None))),
            ("GET", "http://a", "/", Some(("a", 7, Some(b'/')))),
            ("GET", "http://a?x", "/", Some(("a", 7, Some(b'/')))),
            ("OPTIONS", "http://a?x", "/", Some(("a", 7, Some(b'/')))),
            ("OPTIONS", "http://[::1]:8", "*", Some(("[::1]:8", 13, Some(b'*')))),
        ];
        for (method, target, path, absolute) in cases {
            let read = Target::read(method.as_bytes(), target.as_bytes()).unwrap();
            assert_eq!(read.path, path.as_bytes(), "{target}");
            assert_eq!(read.query, &target.as_bytes()[target.find('?').unwrap_or(target.len())..], "{target}");
            let expected =
                absolute.map(|(authority, end, path)| Absolute { authority: authority.as_bytes(), cut: 0..end, path });
            assert_eq!(read.absolute, expected, "{target}");
        }
    }

    #[test]
    fn none_of_them() {
        for (method, target, status) in [
            ("GET", "", 400),
            ("GET", "x", 400),
            ("GET", "*", 400),
            ("OPTIONS", "**", 400),
            ("GET", "a:80", 400),
            ("GET", "http:/a", 400),
            ("GET", "http:///x", 400),
            ("GET", "http://u@a/", 400),
            ("GET", "http://a:x/", 400),
            ("GET", "ftp://a/", 400),
            ("GET", "/#x", 400),
            ("GET", "/\u{e9}", 400),
            ("CONNECT", "a:80", 501),
        ] {
            assert_eq!(
                Target::read(method.as_bytes(), target.as_bytes()).unwrap_err().status,
                status,
                "{method} {target}"
            );
        }
    }
}
