//! Replies of beelance's own: small, and the same words HAProxy uses, which people search for.

use super::redirect::Location;
use std::fmt::{self, Write};

/// Bytes of a reply that are made for it, at most.
pub const MAX_REPLY: usize = 336;
/// Pieces a reply is sent in.
pub const PIECES: usize = 7;

/// The reply's reason phrase and the sentence of its body (HAProxy's `http_err_msgs`).
const REPLIES: [(u16, &str, &str); 18] = [
    (200, "OK", ""),
    (400, "Bad Request", "Your browser sent an invalid request."),
    (403, "Forbidden", "Request forbidden by administrative rules."),
    (404, "Not Found", "The resource could not be found."),
    (405, "Method Not Allowed", "This method ends here."),
    (408, "Request Time-out", "Your browser didn't send a complete request in time."),
    (410, "Gone", "The resource is no longer available and will not be available again."),
    (413, "Payload Too Large", "The request entity exceeds the maximum allowed."),
    (414, "URI Too Long", "The request target exceeds the maximum allowed."),
    (425, "Too Early", "Your browser sent early data."),
    (429, "Too Many Requests", "You have sent too many requests in a given amount of time."),
    (431, "Request Header Fields Too Large", "The request header fields exceed the maximum allowed."),
    (500, "Internal Server Error", "An internal server error occurred."),
    (501, "Not Implemented", "The server does not support the functionality required to fulfill the request."),
    (502, "Bad Gateway", "The server returned an invalid or incomplete response."),
    (503, "Service Unavailable", "No server is available to handle this request."),
    (504, "Gateway Time-out", "The server didn't respond in time."),
    (505, "HTTP Version Not Supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
];

/// Reason phrases of what only a rule answers.
const REASONS: [(u16, &str); 9] = [
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (451, "Unavailable For Legal Reasons"),
];

/// Whether beelance has a body of its own for this status, which another may replace.
#[must_use]
pub fn has_body(status: u16) -> bool {
    REPLIES.iter().any(|(known, _, sentence)| *known == status && !sentence.is_empty())
}

/// What the connection does behind a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It closes, and the reply says so.
    Close,
    /// It stays, as an HTTP/1.1 client expects.
    Keep,
    /// It stays, and an HTTP/1.0 client has to be told.
    SayKeep,
}

/// What a reply holds.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The table's sentence.
    Own,
    /// These bytes, and their type.
    Body(&'a [u8], &'a str),
    /// Nothing but where to ask instead.
    Location(Location<'a>),
}

/// A reply to be made.
#[derive(Clone, Copy, Debug)]
pub struct Sketch<'a> {
    /// Its status.
    pub status: u16,
    /// What it holds.
    pub content: Content<'a>,
    /// What caches may do with it; nothing is said where this is empty.
    pub cache: &'static str,
    /// In how many seconds to ask again.
    pub retry_after_s: Option<u64>,
}

impl<'a> Sketch<'a> {
    /// The plain reply for a status.
    #[must_use]
    pub fn new(status: u16, content: Content<'a>) -> Self {
        Self { status, content, cache: "no-cache", retry_after_s: None }
    }

    /// The reply, with the Date line `date`; without a body when it answers HEAD.
    #[must_use]
    pub fn reply(&self, after: After, head_only: bool, date: &str) -> Reply<'a> {
        let mut reply = Reply { status: self.status, made: heapless::Vec::new(), rest: [b""; PIECES - 1] };
        // The longest fits: a test says so.
        let written = self.write(&mut reply, after, head_only, date);
        debug_assert!(written.is_ok());
        reply
    }

    fn write(&self, reply: &mut Reply<'a>, after: After, head_only: bool, date: &str) -> fmt::Result {
        let (out, status) = (&mut reply.made, self.status);
        let own = REPLIES.iter().find(|(known, ..)| *known == status);
        let reason = || REASONS.iter().find(|(known, _)| *known == status).map_or("", |(_, reason)| reason);
        let (reason, sentence) = own.map_or_else(|| (reason(), ""), |&(_, reason, sentence)| (reason, sentence));
        let frame = "<html><body><h1> </h1>\n\n</body></html>\n".len() + 3;
        let (length, media_type) = match self.content {
            Content::Own if sentence.is_empty() => (0, ""),
            Content::Own => (frame + reason.len() + sentence.len(), "text/html"),
            Content::Body(body, media_type) => (body.len(), media_type),
            Content::Location(_) => (0, ""),
        };
        write!(out, "HTTP/1.1 {status} {reason}\r\n{date}")?;
        // Such a response has no length (RFC 9110 section 8.6).
        if status != 204 {
            write!(out, "Content-Length: {length}\r\n")?;
        }
        if !self.cache.is_empty() {
            write!(out, "Cache-Control: {}\r\n", self.cache)?;
        }
        if let Some(seconds) = self.retry_after_s {
            write!(out, "Retry-After: {seconds}\r\n")?;
        }
        out.write_str(match after {
            After::Close => "Connection: close\r\n",
            After::Keep => "",
            After::SayKeep => "Connection: keep-alive\r\n",
        })?;
        if matches!((self.content, status), (Content::Own, 200) | (Content::Own | Content::Body(..), 405)) {
            // What beelance itself does, when a request says that it shall go no further (RFC 9110 section 7.6.2).
            out.write_str("Allow: OPTIONS\r\n")?;
        }
        if length > 0 {
            write!(out, "Content-Type: {media_type}\r\n")?;
        }
        if let Content::Location([a, b, c, d, e]) = self.content {
            reply.rest = [a, b, c, d, e, b"\r\n\r\n"];
            return out.write_str("Location: ");
        }
        out.write_str("\r\n")?;
        match self.content {
            _ if head_only => Ok(()),
            Content::Body(body, _) => {
                reply.rest[0] = body;
                Ok(())
            }
            Content::Own if length > 0 => {
                write!(out, "<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n")
            }
            Content::Own | Content::Location(_) => Ok(()),
        }
    }
}

/// A complete reply: bytes made for it, then others that lie where they are.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Its status.
    pub status: u16,
    made: heapless::Vec<u8, MAX_REPLY>,
    rest: [&'a [u8]; PIECES - 1],
}

impl Reply<'_> {
    /// The bytes to send, in pieces.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; PIECES] {
        let [a, b, c, d, e, f] = self.rest;
        [&self.made, a, b, c, d, e, f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::redirect::Redirect;

    const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    fn text(reply: &Reply<'_>) -> String {
        String::from_utf8(reply.pieces().concat()).unwrap()
    }

    #[test]
    fn it_says_when_to_come_again() {
        for after_s in [1, u64::from(u16::MAX)] {
            let sketch = Sketch { retry_after_s: Some(after_s), ..Sketch::new(429, Content::Own) };
            let text = text(&sketch.reply(After::SayKeep, false, DATE));
            let lines = format!("\r\nRetry-After: {after_s}\r\nConnection: keep-alive\r\n");
            assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n") && text.contains(&lines), "{text}");
            assert!(text.contains(DATE) && text.ends_with("</html>\n"), "{text}");
        }
    }

    #[test]
    fn every_reply_is_whole_and_its_length_is_right() {
        let contents =
            [Content::Own, Content::Body(b"<p>\n", "text/html; charset=utf-8"), Content::Body(b"", "text/plain")];
        for (status, reason, sentence) in REPLIES {
            for (content, after) in contents
                .map(|content| [After::Close, After::Keep, After::SayKeep].map(|after| (content, after)))
                .as_flattened()
            {
                let sketch = Sketch { retry_after_s: Some(86_400), ..Sketch::new(status, *content) };
                let reply = text(&sketch.reply(*after, false, DATE));
                let (head, body) = reply.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with(&format!("HTTP/1.1 {status} {reason}\r\n")), "{head}");
                assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head} {}", body.len());
                assert_eq!(head.contains("Connection: close"), *after == After::Close);
                assert_eq!(head.contains("Content-Type"), !body.is_empty());
                match content {
                    Content::Own => assert!(body.ends_with("</html>\n") && body.contains(sentence) || status == 200),
                    Content::Body(bytes, _) => assert_eq!(body.as_bytes(), *bytes),
                    Content::Location(_) => unreachable!(),
                }
                assert!(head.contains(DATE.trim_end()) && head.contains("Retry-After: 86400"));
                assert_eq!(text(&sketch.reply(*after, true, DATE)), reply[..head.len() + 4]);
            }
        }
    }

    #[test]
    fn where_to_ask_instead() {
        let redirect = Redirect::read("301 https://b.test", None).unwrap();
        let content = Content::Location(redirect.location(b"/x?y", b"a"));
        let sketch = Sketch { cache: "", ..Sketch::new(301, content) };
        let expected = format!(
            "HTTP/1.1 301 Moved Permanently\r\n{DATE}Content-Length: 0\r\nConnection: close\r\nLocation: https://b.test/x?y\r\n\r\n"
        );
        assert_eq!(text(&sketch.reply(After::Close, false, DATE)), expected);
        assert_eq!(text(&sketch.reply(After::Close, true, DATE)), expected);
    }

    #[test]
    fn no_content_has_no_length() {
        let reply = text(&Sketch::new(204, Content::Body(b"", "text/plain")).reply(After::Keep, false, ""));
        assert_eq!(reply, "HTTP/1.1 204 No Content\r\nCache-Control: no-cache\r\n\r\n");
    }

    #[test]
    fn the_longest_that_is_made_fits() {
        let (media_type, body) = ("x".repeat(crate::limits::MAX_TOKEN), vec![0; 99_999]);
        let longest = Sketch { retry_after_s: Some(86_400), ..Sketch::new(431, Content::Body(&body, &media_type)) };
        assert!(longest.reply(After::SayKeep, false, DATE).pieces()[0].ends_with(b"\r\n\r\n"));
    }
}
