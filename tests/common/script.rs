//! What a scripted backend does with a request: steps, one after the other.

use super::request::Request;

/// What a backend does next on a connection. After the last step it waits for the next request.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes in as few segments as the system likes.
    Send(Vec<u8>),
    /// These bytes so many times.
    Repeat(Vec<u8>, usize),
    /// These bytes one by one, each in a segment of its own.
    Dribble(Vec<u8>),
    /// The request's body, when the handler was called at the head.
    ReadBody,
    /// An orderly end (FIN).
    Close,
    /// A reset (RST).
    Reset,
    /// Nothing, until the peer leaves.
    Hang,
}

/// A reply with status 200 and this body, framed by its length.
pub fn ok(body: &[u8]) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// The same, without the body when the request is a `HEAD`.
pub fn ok_to(request: &Request, body: &[u8]) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let body = if request.method() == "HEAD" { b"" } else { body };
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// These bytes in one piece.
pub fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}
