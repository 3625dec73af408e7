//! The header edits that docs/http.md lists, and whether a head that was passed on shows any other.

use crate::cases::Case;
use crate::common::recorder::{Message, lines, split_field};

/// Fields that are removed wherever they are, apart from those that Connection names.
const REMOVED: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "transfer-encoding"];
/// Fields that are written anew, or added.
const WRITTEN: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "max-forwards",
    "connection",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// Edits of the first message's head that are not listed, in words.
pub fn unlisted(case: &Case, messages: &[Message]) -> Vec<String> {
    let Some(message) = messages.first() else { return Vec::new() };
    let start = case.sent.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
    let Some(end) = case.sent.windows(4).skip(start).position(|four| four == b"\r\n\r\n") else { return Vec::new() };
    let sent: Vec<&[u8]> = lines(&case.sent[start..start + end]).into_iter().skip(1).collect();
    let got = message.lines();
    let named = named(&sent);
    let mut wrong = Vec::new();
    // What is left of the client's lines keeps its order. A line that may be removed is there only if it is the next one:
    // one like it further behind is the proxy's own.
    let mut at = 0;
    for line in &sent {
        let removable = may(line, &REMOVED)
            || may(line, &["host", "content-length", "max-forwards"])
            || name(line).replace('_', "-").starts_with("x-forwarded-")
            || named.contains(&name(line));
        let found = match removable {
            true => (got.get(at) == Some(line)).then_some(0),
            false => got[at..].iter().position(|other| other == line),
        };
        match found {
            Some(found) => {
                wrong.extend(added(&got[at..at + found]));
                at += found + 1;
            }
            None if removable => {}
            None => wrong.push(say("removed", line)),
        }
    }
    wrong.extend(added(&got[at..]));
    wrong
}

fn added(lines: &[&[u8]]) -> Vec<String> {
    lines.iter().filter(|line| !may(line, &WRITTEN)).map(|line| say("added", line)).collect()
}

fn name(line: &[u8]) -> String {
    String::from_utf8_lossy(split_field(line).map_or(line, |(name, _)| name)).to_ascii_lowercase()
}

fn may(line: &[u8], names: &[&str]) -> bool {
    names.contains(&name(line).as_str())
}

/// The names in all Connection fields.
fn named(sent: &[&[u8]]) -> Vec<String> {
    let values = sent.iter().filter(|line| name(line) == "connection").filter_map(|line| split_field(line));
    values
        .flat_map(|(_, value)| {
            String::from_utf8_lossy(value).split(',').map(|n| n.trim().to_ascii_lowercase()).collect::<Vec<_>>()
        })
        .collect()
}

fn say(what: &str, line: &[u8]) -> String {
    format!("{what} \"{}\"", line.escape_ascii())
}
