//! What came of a case in one proxy, in a form that can be compared and said in a few words.

use crate::cases::table::FORWARDED;
use crate::cases::{Case, check};
use crate::common::lane::Seen;
use crate::common::recorder::{Message, lines, split_field};

/// Characters of a field or body that are shown.
const SHOWN: usize = 40;

/// What a proxy did with a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the backend got, field names in lower case and fields ordered by name.
    pub messages: Vec<Plain>,
    /// The final replies, the next request's included.
    pub replies: Vec<u16>,
    /// Whether the next request on the connection was answered.
    pub next: bool,
}

/// A message without what may differ and mean the same: case and order of the names, the blanks around values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    pub line: Vec<u8>,
    pub fields: Vec<Vec<u8>>,
    /// `None`: whatever it is, it is not compared.
    pub body: Option<Vec<u8>>,
    pub trailers: Vec<u8>,
    pub unclear: Option<String>,
}

impl Plain {
    fn of(head: &[u8], body: Option<&[u8]>, trailers: &[u8], unclear: Option<&String>) -> Self {
        let mut all = lines(head).into_iter().filter(|line| !line.is_empty());
        let line = all.next().unwrap_or_default().to_vec();
        let mut fields: Vec<Vec<u8>> = all.filter_map(|line| plain_field(line, unclear.is_none())).collect();
        // Stable: fields of one name keep their order.
        fields.sort_by(|a, b| a.split(|&byte| byte == b':').next().cmp(&b.split(|&byte| byte == b':').next()));
        Self { line, fields, body: body.map(<[u8]>::to_vec), trailers: trailers.to_vec(), unclear: unclear.cloned() }
    }
}

/// `None` for what says how a body is framed, where that is clear: the body itself is compared. So for what a proxy that
/// keeps connections says about its own.
fn plain_field(line: &[u8], clear: bool) -> Option<Vec<u8>> {
    let Some((name, value)) = split_field(line) else { return Some(line.to_vec()) };
    let (name, mut value) = (name.to_ascii_lowercase(), value.to_vec());
    if name == b"connection" {
        value = value.to_ascii_lowercase();
    }
    if name == b"host" && value.starts_with(b"127.0.0.1:") {
        // Where a listener was bound differs from run to run.
        value = b"127.0.0.1:PORT".to_vec();
    }
    let framing = clear && (name == b"content-length" || name == b"transfer-encoding");
    let own = name == b"connection" && value == b"keep-alive";
    (!framing && !own).then(|| [&name, &b": "[..], &value].concat())
}

impl Outcome {
    pub fn of(case: &Case, seen: &Seen) -> Self {
        let whole = |message: &&Message| message.complete || message.unclear.is_some() || case.passes_in_part();
        let plain = |message: &Message| {
            // What beelance adds for every request is said once, in the documentation.
            let head = without(&message.head, FORWARDED.as_bytes());
            Plain::of(&head, Some(&message.body), &message.trailers, message.unclear.as_ref())
        };
        let replies = check::replies(&seen.replies).0.iter().map(|reply| reply.status).collect();
        Self { messages: seen.messages.iter().filter(whole).map(plain).collect(), replies, next: seen.next }
    }

    pub fn forwards(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Nothing was passed on and the client was told so, or the connection closed without a word.
    pub fn refuses(&self) -> bool {
        !self.forwards() && self.replies.first().is_none_or(|status| *status >= 400)
    }

    /// In a few words, for a table. `base` is what a forwarded message is compared with: what beelance forwarded, or what
    /// the client wrote.
    pub fn say(&self, base: &[Plain]) -> String {
        if !self.forwards() {
            return match self.replies.first() {
                Some(status) if *status < 400 => format!("answers {status}"),
                Some(status) => status.to_string(),
                None => "closes".to_owned(),
            };
        }
        let mut words = Vec::new();
        if self.messages.len() > base.len().max(1) {
            words.push(format!("as {} requests", self.messages.len()));
        }
        if self.messages.len() < base.len() {
            words.push(format!("only {} of {}", self.messages.len(), base.len()));
        }
        for (message, base) in self.messages.iter().zip(base) {
            differences(message, base, &mut words);
        }
        words.dedup();
        let mut text = "forwards".to_owned();
        if !words.is_empty() {
            text += &format!(" {}", words.join(", "));
        }
        match self.replies.last() {
            Some(status) if *status >= 400 => text += &format!(", then {status}"),
            _ if !self.next => text += ", then closes",
            _ => {}
        }
        text
    }
}

/// The first message of a case as the client wrote it, the body aside.
pub fn as_sent(case: &Case) -> Vec<Plain> {
    let start = case.sent.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
    let rest = &case.sent[start..];
    let end = rest.windows(4).position(|four| four == b"\r\n\r\n").map_or(rest.len(), |at| at + 4);
    // Its framing is what the case is about: it is shown as it is.
    let mut plain = Plain::of(&rest[..end], None, b"", None);
    if let Some(line) = plain.line.strip_suffix(b"HTTP/1.0") {
        plain.line = [line, b"HTTP/1.1"].concat();
    }
    vec![plain]
}

fn differences(message: &Plain, base: &Plain, words: &mut Vec<String>) {
    if message.line != base.line {
        words.push(format!("as {}", code(&message.line)));
    }
    let mut missing = base.fields.clone();
    let mut more = Vec::new();
    for field in &message.fields {
        match missing.iter().position(|known| known == field) {
            Some(at) => drop(missing.remove(at)),
            None => more.push(field),
        }
    }
    // A field whose value changed is shown with what it is now; what the client wrote is the case's own name.
    let as_sent = base.body.is_none();
    let lost = missing.iter().filter(|field| !more.iter().any(|other| name(other) == name(field)));
    let lost: Vec<&Vec<u8>> = lost.collect();
    if !as_sent {
        words.extend(lost.iter().map(|field| format!("without {}", code(field))));
    } else if !lost.is_empty() && more.is_empty() {
        words.push("without the field".to_owned());
    }
    words.extend(more.iter().map(|field| format!("with {}", code(field))));
    if let Some(body) = &base.body
        && message.body.as_ref() != Some(body)
    {
        let body = message.body.as_deref().unwrap_or_default();
        words.push(if body.is_empty() { "without a body".to_owned() } else { format!("with the body {}", code(body)) });
    }
    if message.trailers != base.trailers {
        words.push(format!("with the trailers {}", code(&message.trailers)));
    }
    words.extend(message.unclear.clone());
}

fn name(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == b':').next().unwrap_or_default()
}

/// Bytes as code in a table of Markdown, cut where they are long.
fn code(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string().replace('|', "\\|").replace('`', "'");
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() { format!("`{cut}…`") } else { format!("`{cut}`") }
}

fn without(bytes: &[u8], part: &[u8]) -> Vec<u8> {
    match bytes.windows(part.len()).position(|window| window == part) {
        Some(at) => [&bytes[..at], &bytes[at + part.len()..]].concat(),
        None => bytes.to_vec(),
    }
}
