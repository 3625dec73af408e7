//! What opens a tunnel, and what does not: offers, answers, and the bytes behind a request that offers (RFC 9110
//! section 7.8).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::process::Beelance;
use common::raw::RawBackend;
use common::tunnel::{ASK, SWITCH, SWITCHED, agree};
use common::{assert_same, pattern};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

fn reply(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn early_bytes_go_through_behind_the_101_only() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    // Within the request's buffer, and far beyond it. What looks like a request is none any more.
    for early in [NEXT.as_bytes().to_vec(), pattern(100_000)] {
        let mut client = beelance.connect();
        client.send([ASK.as_bytes(), &early].concat());
        let mut server = backend.accept();
        let head = server.head_bytes();
        assert!(head.starts_with("GET /tunnel HTTP/1.1\r\n") && head.contains("\r\nUpgrade: chat\r\n"), "{head}");
        assert!(server.is_silent(), "bytes of a tunnel that is not open");
        server.send(SWITCH);
        client.expect(SWITCHED);
        assert_same("the early bytes", &server.exactly(early.len()), &early);
        server.send("answer");
        client.expect("answer");
    }
    assert!(backend.is_silent(), "no other request");
}

#[test]
fn bytes_behind_the_101_are_the_first_of_the_tunnel() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for at_once in [true, false] {
        let mut client = beelance.connect();
        client.send(ASK);
        let mut server = backend.accept();
        server.head_bytes();
        let sent = format!("{SWITCH}HTTP/1.1 200 OK\r\n\r\n");
        if at_once {
            server.send(&sent)
        } else {
            server.dribble(&sent)
        }
        client.expect(format!("{SWITCHED}HTTP/1.1 200 OK\r\n\r\n"));
        client.send("more");
        server.expect("more");
    }
}

#[test]
fn interim_responses_may_come_before_the_101() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let mut client = beelance.connect();
    client.send(format!("{ASK}early"));
    let mut server = backend.accept();
    server.head_bytes();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    server.send(format!("{hints}{SWITCH}"));
    client.expect(format!("{hints}{SWITCHED}"));
    server.expect("early");
}

#[test]
fn refused_the_bytes_behind_are_the_next_request() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for status in ["200 OK", "400 Bad Request", "426 Upgrade Required", "503 Full"] {
        let mut client = beelance.connect();
        client.send(format!("{ASK}{NEXT}"));
        let mut server = backend.accept();
        server.head_bytes();
        assert!(server.is_silent());
        server.send(reply(status, "Connection: upgrade\r\nUpgrade: chat\r\n", "no"));
        let response = client.response();
        assert_eq!((response.head.get(9..12), response.text()), (status.get(..3), "no"));
        let hop = (response.header("connection"), response.header("upgrade"));
        assert_eq!(hop, (None, None), "{:?}", response.head);
        let next = server.head_bytes();
        assert!(next.starts_with("GET /next HTTP/1.1\r\n"), "{status}: {next:?}");
        server.send(reply("200 OK", "", "next"));
        assert_eq!(client.response().text(), "next", "{status}");
        drop(server);
    }
}

#[test]
fn refused_the_bytes_of_a_tunnel_are_400_and_never_passed() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for early in [&b"\x81\x85abcdhello"[..], b"hello\r\n\r\n", b"\x16\x03\x01\x02\0\r\n\r\n", b"\0\0\r\n"] {
        let mut client = beelance.connect();
        client.send([ASK.as_bytes(), early, b"\r\n\r\n"].concat());
        let mut server = backend.accept();
        server.head_bytes();
        server.send(reply("200 OK", "", "no"));
        assert_eq!(client.response().text(), "no");
        assert_eq!(client.response().status, 400, "{}", early.escape_ascii());
        client.ends();
        assert!(server.is_silent() && backend.is_silent(), "{}", early.escape_ascii());
        // What was told no better takes the next request.
        let mut other = beelance.connect();
        other.send(NEXT);
        server.head_bytes();
        server.send(reply("200 OK", "Connection: close\r\n", "next"));
        assert_eq!(other.response().text(), "next");
    }
}

/// An upgrade that is not one: the client's field lines, and a 101 to them.
struct Mismatch {
    name: &'static str,
    ask: &'static str,
    answer: &'static str,
}

const CHAT: &str = "Connection: upgrade\r\nUpgrade: chat\r\n";

const MISMATCHES: &[Mismatch] = &[
    Mismatch { name: "nothing", ask: CHAT, answer: "" },
    Mismatch { name: "no Upgrade", ask: CHAT, answer: "Connection: upgrade\r\n" },
    Mismatch { name: "no Connection", ask: CHAT, answer: "Upgrade: chat\r\n" },
    Mismatch { name: "Connection without it", ask: CHAT, answer: "Connection: close\r\nUpgrade: chat\r\n" },
    Mismatch { name: "another protocol", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade: websocket\r\n" },
    Mismatch { name: "another version", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade: chat/2\r\n" },
    Mismatch { name: "one more", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade: chat, x\r\n" },
    Mismatch { name: "an empty one", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade:\r\n" },
    Mismatch { name: "an empty element", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade: chat,\r\n" },
    Mismatch { name: "two fields", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade: chat\r\nUpgrade: chat\r\n" },
    Mismatch { name: "h2c instead", ask: CHAT, answer: "Connection: upgrade\r\nUpgrade: h2c\r\n" },
    Mismatch { name: "nobody asked", ask: "", answer: CHAT },
    Mismatch { name: "not named by Connection", ask: "Upgrade: chat\r\n", answer: CHAT },
    Mismatch {
        name: "h2c",
        ask: "Connection: upgrade\r\nUpgrade: h2c\r\n",
        answer: "Connection: upgrade\r\nUpgrade: h2c\r\n",
    },
    Mismatch {
        name: "h2c with its settings",
        ask: "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        answer: "Connection: upgrade\r\nUpgrade: h2c\r\n",
    },
    Mismatch {
        name: "H2C",
        ask: "Connection: upgrade\r\nUpgrade: H2C\r\n",
        answer: "Connection: upgrade\r\nUpgrade: H2C\r\n",
    },
    Mismatch {
        name: "h2c behind another",
        ask: "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
        answer: "Connection: upgrade\r\nUpgrade: websocket\r\n",
    },
    Mismatch {
        name: "HTTP/2.0",
        ask: "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
        answer: "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
    },
    Mismatch {
        name: "TLS",
        ask: "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
        answer: "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    },
    Mismatch { name: "a body", ask: "Connection: upgrade\r\nUpgrade: chat\r\nContent-Length: 2\r\n", answer: CHAT },
];

#[test]
fn any_other_101_is_502() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("pool.*.retries = 0\n"));
    let mut wrong = Vec::new();
    for (number, case) in MISMATCHES.iter().enumerate() {
        let target = format!("/{number}");
        let mut client = beelance.connect();
        let body = if case.ask.contains("Content-Length") { "ab" } else { "" };
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{}\r\n{body}", case.ask));
        let mut server = backend.accept();
        let head = server.head_bytes().to_ascii_lowercase();
        server.exactly(body.len());
        let offered = head.contains("\r\nupgrade:") && head.contains("\r\nconnection: upgrade\r\n");
        server.send(format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\nhello", case.answer));
        let response = client.response();
        // Whoever switched speaks no HTTP any more: this connection is never used again.
        let (rest, _) = server.rest();
        let line = beelance.access_to(&target);
        let sound = response.status == 502 && !response.text().contains("hello") && rest.is_empty();
        if !sound || line.state != "PH--" || line.status != 502 || offered != (case.ask == CHAT) {
            wrong.push(format!("{}: {:?}, offered: {offered}, {rest:?}, {line:?}", case.name, response.head));
        }
        // The client's connection is one of HTTP, and stays.
        client.send(NEXT);
        let mut server = backend.accept();
        server.head_bytes();
        server.send(reply("200 OK", "Connection: close\r\n", "next"));
        assert_eq!(client.response().text(), "next", "{}", case.name);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISMATCHES.len(), wrong.join("\n"));
}

#[test]
fn http_1_0_gets_no_tunnel() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let mut client = beelance.connect();
    client.send(ASK.replace("HTTP/1.1", "HTTP/1.0"));
    let mut server = backend.accept();
    let head = server.head_bytes().to_ascii_lowercase();
    assert!(!head.contains("\r\nupgrade:") && !head.contains("\r\nconnection:"), "{head}");
    server.send(SWITCH);
    assert_eq!(client.response().status, 502);
}

#[test]
fn the_protocols_case_and_order_are_the_servers_affair() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let answers = [("a/1, CHAT", "Chat"), ("a/1, chat", "a/1"), ("a/1,\tchat", "chat, a/1")];
    for (offer, answer) in answers {
        let mut client = beelance.connect();
        client.send(ASK.replace("Upgrade: chat", &format!("Upgrade: {offer}")));
        let mut server = backend.accept();
        let head = server.head_bytes();
        assert!(head.contains(&format!("\r\nUpgrade: {offer}\r\n")), "{head}");
        server.send(SWITCH.replace("Upgrade: chat", &format!("Upgrade: {answer}")));
        client.expect(SWITCHED.replace("Upgrade: chat", &format!("Upgrade: {answer}")));
        client.send("up");
        server.expect("up");
    }
}

#[test]
fn a_connection_may_become_a_tunnel_later() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let mut client = beelance.connect();
    client.send(NEXT);
    let mut server = backend.accept();
    server.head_bytes();
    server.send(reply("200 OK", "Connection: close\r\n", "next"));
    assert_eq!(client.response().text(), "next");
    let (mut client, mut server) = agree(client, &backend);
    server.send("down");
    client.expect("down");
}
