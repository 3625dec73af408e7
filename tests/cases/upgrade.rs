//! Upgrade: offered to a server only where a tunnel may follow, and a refused one changes nothing (RFC 9110 section 7.8).
//!
//! The backend of these tests answers 200; tests/upgrade.rs is about those that answer 101.

use super::table::{FORWARDED, Table, get, post};
use super::{Case, Kind, Passed};

/// What a client of WebSocket sends beside the offer.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A GET with an offer, and what a server gets of it.
fn offer(connection: &str, upgrade: &str) -> Vec<u8> {
    get(format!("Connection: {connection}\r\nUpgrade: {upgrade}\r\n{KEY}"))
}

fn offered(upgrade: &str) -> Passed {
    let head =
        format!("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: {upgrade}\r\n{KEY}{FORWARDED}Connection: upgrade\r\n\r\n");
    Passed { head: head.into_bytes(), body: Vec::new() }
}

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("upgrade");

    t.group(
        "9110 7.8",
        Kind::Valid,
        "An upgrade is offered hop by hop; a server that does not take it answers as if it were not there.",
    );
    t.pipeline("WebSocket", offer("Upgrade", "websocket"), vec![offered("websocket")]);
    t.pipeline("WebSocket beside keep-alive", offer("keep-alive, upgrade", "websocket"), vec![offered("websocket")]);
    t.pipeline("two protocols", offer("upgrade", "a/1, b"), vec![offered("a/1, b")]);
    t.group(
        "9110 7.8",
        Kind::Framing,
        "What follows the head is a request until a 101 says otherwise: it waits for the answer and is then read as one.",
    );
    let second = b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let next = Passed { head: format!("GET /2 HTTP/1.1\r\nHost: a\r\n{FORWARDED}\r\n").into_bytes(), body: Vec::new() };
    let behind = |bytes: &[u8]| [&offer("upgrade", "websocket"), bytes].concat();
    t.pipeline("a request behind a refused one", behind(second), vec![offered("websocket"), next]);
    let frame = b"\x81\x05hello\r\n\r\n";
    t.pipeline("bytes of a tunnel behind a refused one", behind(frame), vec![offered("websocket")]).then(400);

    t.group(
        "9110 7.8",
        Kind::Valid,
        "Upgrade is of this hop: where no tunnel can follow, it is not passed on and the request is an ordinary one.",
    );
    let both = &["Connection", "Upgrade"];
    t.forward_without("not named by Connection", get(format!("Upgrade: websocket\r\n{KEY}")), both, "");
    t.forward_without("Connection: upgrade alone", get("Connection: upgrade\r\n"), both, "");
    for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.2"] {
        t.forward_without(protocol, offer("upgrade", protocol), both, "");
    }
    t.forward_without(
        "h2c with its settings",
        get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        &["Connection", "Upgrade", "HTTP2-Settings"],
        "",
    );
    let old = format!("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n");
    t.forward_without("WebSocket in HTTP/1.0", old, both, "").closes();
    let fields = format!("Connection: upgrade\r\nUpgrade: websocket\r\n{KEY}");
    t.forward_without("with a body", post(format!("{fields}Content-Length: 5\r\n"), "hello"), both, "hello");
    t.forward_without("with chunks", post(format!("{fields}Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"), both, "");
    t.forward_without("two Upgrade fields", get(format!("{fields}Upgrade: x\r\n")), both, "");
    t.forward_without("an empty Upgrade", offer("upgrade", ""), both, "");
    t.forward_without("an Upgrade that is no token", offer("upgrade", "web socket"), both, "");
    t.done()
}
