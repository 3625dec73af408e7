//! Replies of beelance's own: small, and the same words HAProxy uses, which people search for.

use std::fmt::{self, Write};

/// Bytes a reply has at most.
pub const MAX_REPLY: usize = 400;

/// The reply's reason phrase and the sentence of its body (HAProxy's `http_err_msgs`).
const REPLIES: [(u16, &str, &str); 14] = [
    (200, "OK", ""),
    (400, "Bad Request", "Your browser sent an invalid request."),
    (405, "Method Not Allowed", "This method ends here."),
    (408, "Request Time-out", "Your browser didn't send a complete request in time."),
    (413, "Payload Too Large", "The request entity exceeds the maximum allowed."),
    (414, "URI Too Long", "The request target exceeds the maximum allowed."),
    (429, "Too Many Requests", "You have sent too many requests in a given amount of time."),
    (431, "Request Header Fields Too Large", "The request header fields exceed the maximum allowed."),
    (500, "Internal Server Error", "An internal server error occurred."),
    (501, "Not Implemented", "The server does not support the functionality required to fulfill the request."),
    (502, "Bad Gateway", "The server returned an invalid or incomplete response."),
    (503, "Service Unavailable", "No server is available to handle this request."),
    (504, "Gateway Time-out", "The server didn't respond in time."),
    (505, "HTTP Version Not Supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
];

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

/// A complete reply.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    bytes: heapless::Vec<u8, MAX_REPLY>,
}

impl Reply {
    /// The reply for `status`, one of the table's, with the Date line `date`; without a body when it answers HEAD.
    #[must_use]
    pub fn new(status: u16, after: After, head_only: bool, date: &str) -> Self {
        Self::make(status, None, after, head_only, date)
    }

    /// The reply 429, which says after how many seconds another request is welcome (RFC 6585 section 4).
    #[must_use]
    pub fn too_many(after_s: u16, after: After, head_only: bool, date: &str) -> Self {
        Self::make(429, Some(after_s), after, head_only, date)
    }

    #[inline(never)]
    fn make(status: u16, retry_after_s: Option<u16>, after: After, head_only: bool, date: &str) -> Self {
        let known = REPLIES.iter().find(|(known, ..)| *known == status);
        let &(status, reason, sentence) = known.unwrap_or(&(500, "Internal Server Error", ""));
        debug_assert!(known.is_some(), "no reply {status}");
        let mut bytes = heapless::Vec::new();
        // The table's longest reply fits: a test says so.
        let written = write_reply(&mut bytes, status, (reason, sentence), retry_after_s, after, head_only, date);
        debug_assert!(written.is_ok());
        Self { status, bytes }
    }

    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn write_reply(
    out: &mut heapless::Vec<u8, MAX_REPLY>,
    status: u16,
    (reason, sentence): (&str, &str),
    retry_after_s: Option<u16>,
    after: After,
    head_only: bool,
    date: &str,
) -> fmt::Result {
    let frame = "<html><body><h1> </h1>\n\n</body></html>\n".len() + 3;
    let length = if sentence.is_empty() { 0 } else { frame + reason.len() + sentence.len() };
    write!(out, "HTTP/1.1 {status} {reason}\r\n{date}Content-Length: {length}\r\nCache-Control: no-cache\r\n")?;
    if let Some(after_s) = retry_after_s {
        write!(out, "Retry-After: {after_s}\r\n")?;
    }
    out.write_str(match after {
        After::Close => "Connection: close\r\n",
        After::Keep => "",
        After::SayKeep => "Connection: keep-alive\r\n",
    })?;
    if matches!(status, 200 | 405) {
        // What beelance itself does, when a request says that it shall go no further (RFC 9110 section 7.6.2).
        out.write_str("Allow: OPTIONS\r\n")?;
    }
    if length == 0 {
        return out.write_str("\r\n");
    }
    out.write_str("Content-Type: text/html\r\n\r\n")?;
    if head_only {
        return Ok(());
    }
    write!(out, "<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    #[test]
    fn it_says_when_to_come_again() {
        for after_s in [1, u16::MAX] {
            let reply = Reply::too_many(after_s, After::SayKeep, false, DATE);
            let text = std::str::from_utf8(reply.bytes()).unwrap();
            let lines = format!("\r\nRetry-After: {after_s}\r\nConnection: keep-alive\r\n");
            assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n") && text.contains(&lines), "{text}");
            assert!(text.contains(DATE) && text.ends_with("</html>\n"), "{text}");
        }
    }

    #[test]
    fn every_reply_is_whole_and_its_length_is_right() {
        for (status, reason, _) in REPLIES {
            for after in [After::Close, After::Keep, After::SayKeep] {
                let reply = Reply::new(status, after, false, DATE);
                let text = std::str::from_utf8(reply.bytes()).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with(&format!("HTTP/1.1 {status} {reason}\r\n")), "{head}");
                assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head} {}", body.len());
                assert_eq!(head.contains("Connection: close"), after == After::Close);
                assert!(body.ends_with("</html>\n") || status == 200);
                assert!(head.contains(DATE.trim_end()));
                let head_only = Reply::new(status, after, true, DATE);
                assert_eq!(head_only.bytes(), &reply.bytes()[..head.len() + 4]);
            }
        }
    }
}
