//! Upgrade: offered to a server only where a tunnel may follow, and a refused one changes nothing (RFC 9110 section 7.8).
//!
//! The backend of these tests answers 200; tests/upgrade.rs is about those that answer 101.

use super::table::{FORWARDED, Table, get, post};
use super::{Case, Kind, Passed};

/// The head with a Connection of its own that a server gets.
fn offered(fields: &str, upgrade: &str) -> Passed {
    let head =
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}{FORWARDED}Connection: upgrade\r\nUpgrade: {upgrade}\r\n\r\n");
    Passed { head: head.into_bytes(), body: Vec::new() }
}

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("upgrade");

    t.group(
        "9110 7.8",
        Kind::Valid,
        "An upgrade is offered hop by hop; a server that does not take it answers as if it were not there.",
    );
    let websocket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    t.pipeline(
        "WebSocket",
        get(format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{websocket}")),
        vec![offered(websocket, "websocket")],
    );
    t.pipeline(
        "beside keep-alive",
        get("Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"),
        vec![offered("", "websocket")],
    );
    t.pipeline("two protocols", get("Connection: upgrade\r\nUpgrade: a/1, b\r\n"), vec![offered("", "a/1, b")]);
    t.group("9110 7.8", Kind::Framing, "What follows the head is a request until a 101 says otherwise: it waits for the answer and is then read as one.");
    let next = Passed { head: format!("GET /2 HTTP/1.1\r\nHost: a\r\n{FORWARDED}\r\n").into_bytes(), body: Vec::new() };
    t.pipeline(
        "a request behind a refused one",
        [get("Connection: upgrade\r\nUpgrade: websocket\r\n"), b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()].concat(),
        vec![offered("", "websocket"), next],
    );
    t.pipeline(
        "bytes of a tunnel behind a refused one",
        [get("Connection: upgrade\r\nUpgrade: websocket\r\n"), b"\x81\x05hello\r\n\r\n".to_vec()].concat(),
        vec![offered("", "websocket")],
    )
    .then(400);

    t.group(
        "9110 7.8",
        Kind::Valid,
        "Upgrade is of this hop: where no tunnel can follow, it is not passed on and the request is an ordinary one.",
    );
    t.forward_without("not named by Connection", get("Upgrade: websocket\r\n"), &["Upgrade"], "");
    t.forward_without("Connection: upgrade alone", get("Connection: upgrade\r\n"), &["Connection"], "");
    t.forward_without(
        "h2c",
        get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        &["Connection", "Upgrade", "HTTP2-Settings"],
        "",
    );
    t.forward_without("H2C", get("Connection: upgrade\r\nUpgrade: H2C\r\n"), &["Connection", "Upgrade"], "");
    t.forward_without(
        "h2c in a list",
        get("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"),
        &["Connection", "Upgrade"],
        "",
    );
    t.forward_without("HTTP/2.0", get("Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n"), &["Connection", "Upgrade"], "");
    t.forward_without("TLS/1.2", get("Connection: upgrade\r\nUpgrade: TLS/1.2\r\n"), &["Connection", "Upgrade"], "");
    t.forward_without(
        "in HTTP/1.0",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        &["Connection", "Upgrade"],
        "",
    )
    .closes();
    t.forward_without(
        "with a body",
        post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", "hello"),
        &["Connection", "Upgrade"],
        "hello",
    );
    t.forward_without(
        "with chunks",
        post("Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        &["Connection", "Upgrade"],
        "",
    );
    t.forward_without(
        "two Upgrade fields",
        get("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n"),
        &["Connection", "Upgrade"],
        "",
    );
    t.forward_without("an empty Upgrade", get("Connection: upgrade\r\nUpgrade:\r\n"), &["Connection", "Upgrade"], "");
    t.forward_without(
        "an Upgrade that is no token",
        get("Connection: upgrade\r\nUpgrade: web socket\r\n"),
        &["Connection", "Upgrade"],
        "",
    );
    t.done()
}
