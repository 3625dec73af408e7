//! What the proxy makes of a head, the way `proxy::ask` and `proxy::exchange` call it: the only file here that knows the
//! interface of the parsers.

use beelance::http::body::{Framing, Malformed};
use beelance::http::cookie;
use beelance::http::fields::Cuts;
use beelance::http::request::{self, Method, Refusal};
use beelance::http::response;
use std::mem::MaybeUninit;

/// Fields a head may have.
pub(super) const MAX_FIELDS: usize = beelance::limits::MAX_HEADERS;

/// The affinity cookie.
pub(super) const COOKIE: &str = "SRV";

/// A head that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// The head that leaves, with what framing and Host add to it.
    pub(super) head: Vec<u8>,
    /// How the body that came is delimited.
    pub(super) framing: Framing,
}

/// A request's head, its affinity cookie taken out where it has one.
pub(super) fn request(bytes: &[u8], affinity: bool) -> Result<Passed, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut cuts = Cuts::default();
    let parsed = request::parse(bytes, &mut fields, &mut cuts)?;
    if affinity {
        cookie::take(bytes, parsed.fields, COOKIE, &mut cuts)?;
    }
    let host = match parsed.host {
        Some(host) if parsed.rewrites_host => Some(host.to_vec()),
        Some(_) => None,
        None => Some(b"192.0.2.1:80".to_vec()),
    };
    let (framing, rewrites_length) = (parsed.framing, parsed.rewrites_length);
    let mut head = bytes.to_vec();
    let length = parsed.rewrite().apply(&mut head, &mut cuts);
    head.truncate(length);
    if let Some(host) = host {
        head.extend_from_slice(&[b"Host: ", &host[..], b"\r\n"].concat());
    }
    add(
        &mut head,
        match framing {
            Framing::Chunked => Some("Transfer-Encoding: chunked".to_owned()),
            Framing::Length(length) => rewrites_length.then(|| format!("Content-Length: {length}")),
            Framing::None => rewrites_length.then(|| "Content-Length: 0".to_owned()),
            Framing::UntilClose => panic!("a request until the connection closes"),
        },
    );
    Ok(Passed { head, framing })
}

/// A response's head on its way to an HTTP/1.1 client.
pub(super) fn response(bytes: &[u8], method: Method, affinity: bool) -> Result<Passed, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut cuts = Cuts::default();
    let parsed = response::parse(bytes, &mut fields, method, affinity.then_some(COOKIE), &mut cuts)?;
    let mut head = bytes.to_vec();
    let length = response::rewrite(&mut head, &mut cuts);
    head.truncate(length);
    let chunked = matches!(parsed.framing, Framing::Chunked | Framing::UntilClose);
    let length = parsed.new_length.map(|length| format!("Content-Length: {length}"));
    add(&mut head, if chunked { Some("Transfer-Encoding: chunked".to_owned()) } else { length });
    Ok(Passed { head, framing: parsed.framing })
}

/// Adds a line, and ends the head.
fn add(head: &mut Vec<u8>, line: Option<String>) {
    if let Some(line) = line {
        head.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}
