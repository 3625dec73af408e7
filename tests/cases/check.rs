//! Whether what was seen is what a case expects.

use super::{Case, Expected, Passed};
use crate::common::lane::{End, Ending, Seen};
use crate::common::recorder::{Framing, Message, lines, split_field};

/// A reply as the client got it.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Reply {
    fn has(&self, name: &str, value: Option<&str>) -> bool {
        let fields = lines(&self.head).into_iter().filter_map(split_field);
        fields.into_iter().any(|(known, text)| {
            known.eq_ignore_ascii_case(name.as_bytes())
                && value.is_none_or(|value| text.eq_ignore_ascii_case(value.as_bytes()))
        })
    }
}

/// The final replies in what the client got, and what is behind them.
pub fn replies(mut bytes: &[u8]) -> (Vec<Reply>, Vec<u8>) {
    let mut found = Vec::new();
    while let Some(length) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = &bytes[..length + 4];
        let status = std::str::from_utf8(head.get(9..12).unwrap_or_default()).ok().and_then(|text| text.parse().ok());
        let Some(status) = status.filter(|_| head.starts_with(b"HTTP/1.")) else { break };
        bytes = &bytes[length + 4..];
        let mut reply = Reply { status, head: head.to_vec(), body: Vec::new() };
        // The reply to a HEAD names a length and has no body: another reply follows it, or nothing.
        if !bytes.starts_with(b"HTTP/1.") {
            let said = lines(head)
                .into_iter()
                .filter_map(split_field)
                .find(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
            let said = said.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
            let taken = said.unwrap_or(0).min(bytes.len());
            reply.body = bytes[..taken].to_vec();
            bytes = &bytes[taken..];
        }
        if status >= 200 {
            found.push(reply);
        }
    }
    (found, bytes.to_vec())
}

/// What is not as the case expects, in words; nothing when all is.
pub fn problems(case: &Case, seen: &Seen, listener: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (got, rest) = replies(&seen.replies);
    let statuses: Vec<u16> = got.iter().map(|reply| reply.status).collect();
    match (&case.expected, case.ending) {
        (Expected::Drop, _) if statuses.iter().any(|status| *status < 400) => {
            wrong.push(format!("replies {statuses:?}"));
        }
        (Expected::Drop, _) | (_, Ending::Leave) => {}
        _ if statuses != case.replies => wrong.push(format!("replies {statuses:?} instead of {:?}", case.replies)),
        _ => {}
    }
    if !rest.is_empty() {
        wrong.push(format!("behind the replies comes \"{}\"", rest.escape_ascii()));
    }
    match seen.end {
        End::Closed | End::Left => {}
        End::Reset if case.expected == Expected::Drop => {}
        End::Reset => wrong.push("the connection is reset".to_owned()),
        End::Open => wrong.push("the connection stays open".to_owned()),
    }
    for reply in got.iter().filter(|reply| reply.status >= 400) {
        let closing = !matches!(case.expected, Expected::Own(_));
        if closing && !reply.has("connection", Some("close")) || !reply.has("content-length", None) {
            wrong.push(format!("the reply \"{}\"", reply.head.escape_ascii()));
        }
    }
    if seen.next != case.keeps {
        let what = if seen.next { "answered" } else { "not answered" };
        wrong.push(format!("the next request is {what}"));
    }
    let none = Vec::new();
    let expected = match &case.expected {
        Expected::Forward(passed) | Expected::Normalise(passed) => passed,
        Expected::Refuse(_) | Expected::Own(_) | Expected::Drop => &none,
    };
    wrong.extend(messages(case, &seen.messages, expected, listener));
    wrong
}

fn messages(case: &Case, got: &[Message], expected: &[Passed], listener: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let seen: Vec<&Message> =
        got.iter().filter(|message| !case.late || message.complete || message.unclear.is_some()).collect();
    for (number, passed) in expected.iter().enumerate() {
        let Some(message) = seen.get(number) else {
            wrong.push(format!("the backend does not get \"{}\"", passed.head.escape_ascii()));
            continue;
        };
        let head = replaced(&passed.head, listener);
        if message.head != head {
            wrong.push(format!(
                "the backend gets \"{}\"\n     instead of \"{}\"",
                message.head.escape_ascii(),
                head.escape_ascii()
            ));
        }
        if message.body != passed.body {
            wrong.push(format!(
                "the body \"{}\" instead of \"{}\"",
                message.body.escape_ascii(),
                passed.body.escape_ascii()
            ));
        }
        if !message.trailers.is_empty() {
            wrong.push(format!("the trailers \"{}\"", message.trailers.escape_ascii()));
        }
        if message.complete == (case.ending == Ending::Leave) {
            wrong.push(format!("the message is {}complete", if message.complete { "" } else { "not " }));
        }
        if let Some(unclear) = &message.unclear {
            wrong.push(format!("the backend gets {unclear}"));
        }
        let framing =
            if head.windows(19).any(|w| w == b"\r\nTransfer-Encoding:") { Framing::Chunked } else { message.framing };
        if message.framing != framing {
            wrong.push(format!("the framing is {:?}", message.framing));
        }
    }
    for message in seen.iter().skip(expected.len()) {
        let whole = if message.complete { "" } else { ", not complete," };
        wrong.push(format!(
            "the backend gets \"{}\"{whole} with the body \"{}\"",
            message.head.escape_ascii(),
            message.body.escape_ascii()
        ));
    }
    wrong
}

fn replaced(head: &[u8], listener: &str) -> Vec<u8> {
    const MARK: &[u8] = b"{listener}";
    match head.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => [&head[..at], listener.as_bytes(), &head[at + MARK.len()..]].concat(),
        None => head.to_vec(),
    }
}
