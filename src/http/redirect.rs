//! Redirects: where a client is sent to ask again (`route.N.redirect`, `backend.N.redirect`).
//!
//! Owns how a redirect is written, and how a Location is made of it and of a request. A Location comes in pieces that lie
//! where they are: nothing is copied, however long the target. Refuses to know why a client is redirected.

use super::host;
use std::fmt;
use std::str::FromStr;

/// A Location, in pieces.
pub type Location<'a> = [&'a [u8]; 5];

/// HAProxy's `redirect`: a status, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308 (RFC 9110 section 15.4).
    pub code: u16,
    /// Where to.
    pub to: To,
    /// Whether the query of the request goes along.
    pub keeps_query: bool,
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// The target of the request behind this, which does not end with a slash; empty for the same host.
    Prefix(String),
    /// Exactly here.
    Location(String),
    /// The same host and target by `https`, or else by `http`.
    Scheme {
        /// It is `https`.
        secure: bool,
    },
}

impl Redirect {
    /// Where a request for `target` of `host` is sent. Both are of a head that was parsed, so no byte of them ends the line.
    #[must_use]
    pub fn location<'a>(&'a self, target: &'a [u8], host: &'a [u8]) -> Location<'a> {
        let (path, query) = target.split_at(target.iter().position(|&byte| byte == b'?').unwrap_or(target.len()));
        // That of OPTIONS for the whole server is an asterisk.
        let path: &[u8] = if path.first() == Some(&b'/') { path } else { b"/" };
        let query: &[u8] = if self.keeps_query { query } else { b"" };
        match &self.to {
            To::Prefix(prefix) if prefix.is_empty() => {
                // Browsers take what begins with two slashes, or a slash and a backslash, for a host.
                let run = path.iter().take_while(|&&byte| matches!(byte, b'/' | b'\\')).count();
                [b"/", b"", &path[run..], query, b""]
            }
            To::Prefix(prefix) => [prefix.as_bytes(), b"", path, query, b""],
            // The port of the one scheme is none of the other's.
            To::Scheme { secure: true } => [b"https://", host.strip_suffix(b":80").unwrap_or(host), path, query, b""],
            To::Scheme { secure: false } => [b"http://", host.strip_suffix(b":443").unwrap_or(host), path, query, b""],
            To::Location(location) => {
                let (front, fragment) = location.split_at(location.find('#').unwrap_or(location.len()));
                let query = query.get(1..).unwrap_or_default();
                let joint: &[u8] = match (query.is_empty(), front.contains('?')) {
                    (true, _) => b"",
                    (false, true) => b"&",
                    (false, false) => b"?",
                };
                [front.as_bytes(), joint, query, fragment.as_bytes(), b""]
            }
        }
    }

    /// Reads `[CODE] [prefix|location|scheme] WHERE`; `keeps_query` says whether the query goes along where that is not
    /// left to the form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, keeps_query: Option<bool>) -> Result<Self, &'static str> {
        let (word, rest) = first_word(text);
        let code = match word {
            "301" => Some(301),
            "302" => Some(302),
            "303" => Some(303),
            "307" => Some(307),
            "308" => Some(308),
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err("the code is 301, 302, 303, 307 or 308");
            }
            _ => None,
        };
        let text = if code.is_some() { rest } else { text };
        let code = code.unwrap_or(302);
        let to = match first_word(text) {
            ("scheme", "https") => To::Scheme { secure: true },
            ("scheme", "http") => To::Scheme { secure: false },
            ("scheme", _) => return Err("the scheme is http or https"),
            ("location", text) => To::Location(reference(text, true)?.to_owned()),
            ("prefix", text) | (text, "") => text.parse()?,
            _ => return Err(""),
        };
        let keeps_query = keeps_query.unwrap_or(!matches!(to, To::Location(_)));
        Ok(Self { code, to, keeps_query })
    }
}

/// The first word, and what stands behind it.
fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_ascii_start())
}

/// A prefix.
impl FromStr for To {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::Prefix(reference(text, false)?.trim_end_matches('/').to_owned()))
    }
}

/// An absolute URL of http or https, or an absolute path; with a query and a fragment if it is `whole`.
fn reference(text: &str, whole: bool) -> Result<&str, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>".contains(&byte)) {
        return Err("write blanks and bytes beyond ASCII as %20");
    }
    if !whole && text.contains(['?', '#']) {
        return Err("a prefix has neither query nor fragment");
    }
    let is = |scheme: &&str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let Some(scheme) = ["https://", "http://"].into_iter().find(is) else {
        return match text.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => Err("two slashes begin a host: write http:// or https:// before it"),
            Some(_) => Ok(text),
            None => Err("it begins with http://, https:// or a slash"),
        };
    };
    let rest = &text[scheme.len()..];
    if rest.is_empty() {
        return Err("a host is missing; for the same host write `scheme https`");
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    host::check(authority.as_bytes()).map(|()| text).map_err(|_| "that is no host")
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, text) = match self {
            Self::Prefix(prefix) if prefix.is_empty() => ("", "/"),
            Self::Prefix(prefix) => ("", prefix.as_str()),
            Self::Location(location) => ("location ", location.as_str()),
            Self::Scheme { secure: true } => ("scheme ", "https"),
            Self::Scheme { secure: false } => ("scheme ", "http"),
        };
        f.write_str(form)?;
        f.write_str(text)
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.to)
    }
}

/// The target of a head that was parsed.
#[must_use]
pub fn target_of(head: &[u8]) -> &[u8] {
    head.split(|&byte| byte == b' ').nth(1).unwrap_or(b"/")
}

/// The Host of a head that was parsed, which may have been written behind it; empty when there is none.
#[must_use]
pub fn host_of<'a>(head: &'a [u8], behind: &'a [u8]) -> &'a [u8] {
    const NAME: &[u8] = b"\nhost:";
    let in_lines = |lines: &'a [u8]| {
        let at = lines.windows(NAME.len()).position(|name| name.eq_ignore_ascii_case(NAME))? + NAME.len();
        let end = lines[at..].iter().position(|&byte| byte == b'\r')?;
        Some(lines[at..at + end].trim_ascii())
    };
    // What is written behind the head is its own first line.
    let behind_it = |lines: &'a [u8]| {
        let name = lines.get(..NAME.len() - 1).filter(|name| name.eq_ignore_ascii_case(&NAME[1..]))?;
        let end = lines.iter().position(|&byte| byte == b'\r')?;
        lines.get(name.len()..end).map(<[u8]>::trim_ascii)
    };
    in_lines(head).or_else(|| behind_it(behind)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::{Cuts, Fields};
    use crate::http::request;
    use proptest::prelude::*;

    fn location(redirect: &str, keeps_query: Option<bool>, target: &str) -> String {
        let redirect = Redirect::read(redirect, keeps_query).unwrap_or_else(|why| panic!("{redirect}: {why}"));
        String::from_utf8(redirect.location(target.as_bytes(), b"a.test:80").concat()).unwrap()
    }

    #[test]
    fn locations() {
        for (redirect, keeps, target, expected) in [
            ("https://b.test", None, "/x/y?q=1", "https://b.test/x/y?q=1"),
            ("301 prefix https://b.test/", None, "/x?", "https://b.test/x?"),
            ("https://b.test/base/", None, "/", "https://b.test/base/"),
            ("https://b.test", None, "//evil.test/x", "https://b.test//evil.test/x"),
            ("https://b.test", None, "*", "https://b.test/"),
            ("/base", None, "//evil.test", "/base//evil.test"),
            ("/", None, "//evil.test/x?a", "/evil.test/x?a"),
            ("/", None, "/\\evil.test", "/evil.test"),
            ("/", None, "/\\/\\", "/"),
            ("/", None, "/?u=//x", "/?u=//x"),
            ("/", None, "*", "/"),
            ("https://b.test", Some(false), "/x?q", "https://b.test/x"),
            ("scheme https", None, "/x?q", "https://a.test/x?q"),
            ("scheme https", Some(false), "//x?q", "https://a.test//x"),
            ("scheme http", None, "/", "http://a.test:80/"),
            ("location /new#top", None, "/x?q=1", "/new#top"),
            ("location /new#top", Some(true), "/x?q=1", "/new?q=1#top"),
            ("location https://b.test/?a", Some(true), "/x?q=1", "https://b.test/?a&q=1"),
            ("location https://b.test?a", Some(true), "/x?", "https://b.test?a"),
        ] {
            assert_eq!(location(redirect, keeps, target), expected, "{redirect} {target}");
        }
    }

    #[test]
    fn what_is_no_redirect() {
        for bad in [
            "",
            "301",
            "300 https://b",
            "200 /x",
            "0302 /x",
            "302 /x y",
            "ftp://b/",
            "https://",
            "https:///x",
            "https://u@b/",
            "//b.test",
            "b.test",
            "/a b",
            "/a?b",
            "/a#b",
            "location",
            "location x",
            "location //b",
            "scheme ftp",
            "scheme",
            "prefix",
            "prefix /x /y",
            "https://b\\evil",
            "/\u{e9}",
        ] {
            assert!(Redirect::read(bad, None).is_err(), "{bad}");
        }
    }

    /// The target and the Host of this head, as they are found again.
    fn found(head: &str) -> Option<(String, String)> {
        let (mut bytes, mut cuts) = (head.as_bytes().to_vec(), Cuts::default());
        let mut fields = Fields::new();
        let parsed = request::parse(head.as_bytes(), 16, &mut fields, &mut cuts).ok()?;
        let behind = match parsed.host {
            Some(host) if parsed.rewrites_host => [b"Host: ", host, b"\r\n"].concat(),
            Some(_) | None => Vec::new(),
        };
        let length = parsed.rewrite().apply(&mut bytes, &mut cuts);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((text(target_of(&bytes[..length])), text(host_of(&bytes[..length], &behind))))
    }

    #[test]
    fn target_and_host_are_found_again() {
        for (head, target, host) in [
            ("GET /x?y HTTP/1.1\r\nhOsT:  a:1 \r\n\r\n", "/x?y", "a:1"),
            ("GET http://b/z HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", "/z", "b"),
            ("GET http://A HTTP/1.1\r\nX: host: c\r\nHost: a\r\n\r\n", "/", "a"),
            ("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n", "*", "b"),
            ("GET / HTTP/1.0\r\nX-Host: c\r\n\r\n", "/", ""),
        ] {
            assert_eq!(found(head), Some((target.to_owned(), host.to_owned())), "{head}");
        }
    }

    proptest! {
        /// Whatever a client asks for, it is one line, and leads to the host that the configuration says.
        #[test]
        fn a_location_is_one_line_and_leads_where_it_is_to(target in "[/*\\\\][!-~]{0,24}", host in "[a-z.:0-9]{1,9}", which in 0usize..5, keeps: bool) {
            let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let Some((target, host)) = found(&head) else { return Ok(()) };
            let forms = ["https://b.test", "/", "/base", "scheme https", "location https://b.test/new"];
            let redirect = Redirect::read(forms[which], Some(keeps)).unwrap();
            let location = String::from_utf8(redirect.location(target.as_bytes(), host.as_bytes()).concat()).unwrap();
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{}", location);
            let same_host = location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\");
            let safe = match which {
                0 | 4 => location.starts_with("https://b.test/"),
                1 => same_host,
                2 => same_host && location.starts_with("/base/"),
                _ => location.starts_with(&format!("https://{}/", host.strip_suffix(":80").unwrap_or(&host))),
            };
            prop_assert!(safe, "{} {}", forms[which], location);
            prop_assert_eq!(keeps && target.contains("?"), location.contains('?') || (which == 4 && keeps && target.ends_with("?")));
        }

        #[test]
        fn what_is_printed_is_read_again(text in "(30[12378] )?(prefix |location |scheme )?(https?://|/)?[a-z/:.?#]{0,12}", keeps: bool) {
            if let Ok(redirect) = Redirect::read(&text, Some(keeps)) {
                prop_assert_eq!(Redirect::read(&redirect.to_string(), Some(keeps)), Ok(redirect));
            }
        }
    }
}
