//! What the proxy makes of a head, the way `proxy::ask` and `proxy::exchange` call it: the only file here that knows the
//! interface of the parsers.

use beelance::http::body::{Framing, Malformed};
use beelance::http::cookie;
use beelance::http::fields::{Cuts, Field, Fields, Known};
use beelance::http::request::{self, Method, Refusal};
use beelance::http::response::{self, Asked, Own};

/// Fields a head may have.
pub(super) const MAX_FIELDS: usize = beelance::limits::MAX_HEADERS;

/// The affinity cookie.
pub(super) const COOKIE: &str = "SRV";

/// A head that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// The head that leaves, with what is added to it.
    pub(super) head: Vec<u8>,
    /// How the body that came is delimited.
    pub(super) framing: Framing,
    /// Whether another protocol is offered, or begins behind it.
    pub(super) upgrade: bool,
}

/// A request's head; `touched`: its affinity cookie and the X-Forwarded fields, which nobody trusts, taken out.
pub(super) fn request(bytes: &[u8], touched: bool) -> Result<Passed, Refusal> {
    let (mut fields, mut cuts) = (Fields::new(), Cuts::default());
    let parsed = request::parse(bytes, MAX_FIELDS, &mut fields, &mut cuts)?;
    assert_eq!(parsed.length, bytes.len());
    if touched {
        cookie::take(bytes, parsed.fields, COOKIE, &mut cuts)?;
        for (index, field) in parsed.fields.iter().enumerate() {
            if matches!(Known::of(field.name), Some(Known::Forwarded | Known::ForwardedProto)) {
                cuts.add(line(bytes, parsed.fields, index))?;
            }
        }
    }
    let host = match parsed.host {
        Some(host) if parsed.rewrites_host => Some(String::from_utf8_lossy(host).into_owned()),
        Some(_) => None,
        None => Some("192.0.2.1:80".to_owned()),
    };
    let (framing, rewrites_length, upgrade) = (parsed.framing, parsed.rewrites_length, parsed.upgrade.is_some());
    let added = [
        host.map(|host| format!("Host: {host}")),
        parsed.max_forwards.map(|left| format!("Max-Forwards: {}", left.saturating_sub(1))),
        upgrade.then(|| "Connection: upgrade".to_owned()),
        match framing {
            Framing::Chunked => Some("Transfer-Encoding: chunked".to_owned()),
            Framing::Length(length) => rewrites_length.then(|| format!("Content-Length: {length}")),
            Framing::None => rewrites_length.then(|| "Content-Length: 0".to_owned()),
            Framing::UntilClose => panic!("a request until the connection closes"),
        },
    ];
    let rewrite = parsed.rewrite();
    let mut head = bytes.to_vec();
    let length = rewrite.apply(&mut head, &mut cuts);
    head.truncate(length);
    end(&mut head, added);
    Ok(Passed { head, framing, upgrade })
}

/// The `index`th field's line, its CRLF included.
fn line(head: &[u8], fields: &[Field<'_>], index: usize) -> std::ops::Range<usize> {
    let start = |name: &[u8]| name.as_ptr() as usize - head.as_ptr() as usize;
    start(fields[index].name)..fields.get(index + 1).map_or(head.len() - 2, |next| start(next.name))
}

/// What was asked, as responses see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The method.
    pub(super) method: Method,
    /// Whether websocket was offered.
    pub(super) upgrade: bool,
    /// Whether the affinity cookie is beelance's.
    pub(super) touched: bool,
}

/// A response's head on its way to an HTTP/1.1 client.
pub(super) fn response(bytes: &[u8], question: Question) -> Result<Passed, Malformed> {
    let mut cuts = Cuts::default();
    let asked = Asked {
        method: question.method,
        offer: question.upgrade.then_some(b"websocket"),
        affinity: question.touched.then_some((COOKIE, Own::Cut)),
    };
    let parsed = response::parse(bytes, asked, &mut cuts)?.expect("the scan found its end");
    assert_eq!(parsed.length, bytes.len());
    let mut head = bytes.to_vec();
    let length = response::rewrite(&mut head, &mut cuts);
    head.truncate(length);
    let chunked = matches!(parsed.framing, Framing::Chunked | Framing::UntilClose);
    let length = parsed.new_length.map(|length| format!("Content-Length: {length}"));
    let upgrade = parsed.switches();
    let added = [
        if chunked { Some("Transfer-Encoding: chunked".to_owned()) } else { length },
        upgrade.then(|| "Connection: upgrade".to_owned()),
    ];
    end(&mut head, added);
    Ok(Passed { head, framing: parsed.framing, upgrade })
}

/// Adds lines, and the empty one.
fn end<const N: usize>(head: &mut Vec<u8>, added: [Option<String>; N]) {
    for line in added.into_iter().flatten() {
        head.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}
