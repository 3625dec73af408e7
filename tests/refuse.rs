//! What must not pass: answered with a clear status, the connection closed, nothing of it seen by a backend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok};
use common::process::Beelance;
use common::{chunked, pattern};

/// Name, head, the statuses that are right.
type Case = (&'static str, &'static [u8], &'static [u16]);

const BROKEN: &[Case] = &[
    ("no method", b" / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("no version", b"GET /\r\nHost: a\r\n\r\n", &[400]),
    ("HTTP/0.9", b"GET /\r\n\r\n", &[400, 505]),
    ("a word too many", b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("another protocol", b"GET / FTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a version of letters", b"GET / HTTP/x.y\r\nHost: a\r\n\r\n", &[400]),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[400, 505]),
    ("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400]),
    ("a method that is no token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a control character in the target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", &[400]),
    ("bare LF after a header", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", &[400]),
    ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", &[400]),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", &[400]),
    ("NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", &[400]),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", &[400]),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    ("a header without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n", &[400]),
    ("a header without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", &[400]),
    ("a blank before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", &[400]),
    ("a blank in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", &[400]),
    ("obs-fold", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", &[400]),
    ("a fold as the first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", &[400]),
    (
        "both framings",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "both framings, the other way round",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", &[400]),
    ("two lengths in a line", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab", &[400]),
    ("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", &[400]),
    ("a length of letters", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", &[400]),
    ("a negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", &[400]),
    ("a length with a sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", &[400]),
    ("a length in hexadecimal", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", &[400]),
    (
        "a length beyond 64 bits",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
        &[400, 413],
    ),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("an unknown coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: rot13\r\n\r\n", &[400, 501]),
    (
        "a coding that is not the last",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        &[400, 501],
    ),
    (
        "chunked twice",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "gzip before chunked",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "a coding hidden by a tab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", &[400, 405, 501]),
];

#[test]
fn broken_heads() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in BROKEN {
        let before = backend.count();
        let mut client = beelance.connect();
        client.send(bytes);
        match client.try_response(false) {
            Ok(response) if !statuses.contains(&response.status) => wrong.push(format!("{name}: {}", response.status)),
            Ok(response) if !response.says_close() => wrong.push(format!("{name}: {:?}", response.head)),
            Ok(_) => client.ends(),
            Err(e) => wrong.push(format!("{name}: {e}")),
        }
        for request in &backend.requests()[before..] {
            wrong.push(format!("{name}: the backend saw {:?}", request.head));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn broken_heads_that_come_byte_by_byte() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in BROKEN {
        let before = backend.count();
        let mut client = beelance.connect();
        // It may be refused before its end: then sending on may fail, and a reset may overtake the reply.
        let sent = bytes.chunks(1).try_for_each(|byte| client.try_send(byte));
        match client.try_response(false) {
            Ok(response) if statuses.contains(&response.status) => {}
            Err(e) if sent.is_err() || e.contains("reset") => {}
            other => wrong.push(format!("{name}: {:?}", other.map(|response| response.head))),
        }
        if backend.count() > before {
            wrong.push(format!("{name}: the backend saw it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_after_a_broken_head_is_read() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut wrong = Vec::new();
    for (name, bytes, _) in BROKEN {
        let before = backend.count();
        let mut client = beelance.connect();
        let _ = client.try_send([*bytes, smuggled].concat());
        client.half_close();
        let _ = client.until_end();
        if backend.count() > before {
            wrong.push(*name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(beelance.connect().get("/last").text(), "one");
    assert_eq!(backend.targets(), ["/last"], "nothing came late");
}

#[test]
fn a_good_request_before_a_broken_one_is_answered() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\nbroken\r\n\r\nGET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "one");
    assert_eq!(client.response().status, 400);
    client.ends();
    assert_eq!(backend.targets(), ["/good"]);
}

#[test]
fn broken_chunks_never_make_a_whole_request() {
    let cases: [(&str, &str); 9] = [
        ("no number", "x\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", "-3\r\nabc\r\n0\r\n\r\n"),
        ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("an empty size", "\r\nabc\r\n0\r\n\r\n"),
        ("a size beyond 64 bits", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("more bytes than said", "3\r\nabcd\r\n0\r\n\r\n"),
        ("a bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("a bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
        ("a blank before the size", " 3\r\nabc\r\n0\r\n\r\n"),
    ];
    let mut wrong = Vec::new();
    for (name, body) in cases {
        let backend = Backend::named("one");
        let beelance = Beelance::before(&[&backend], "");
        let mut client = beelance.connect();
        client.ask("POST", "/", "Transfer-Encoding: chunked\r\n");
        client.send("2\r\nok\r\n");
        client.send(body);
        // The head may be on its way already: the client gets 400 or just the end.
        let status = client.try_response(false).map(|response| response.status);
        if !matches!(status, Ok(400) | Err(_)) || backend.requests().iter().any(|request| request.complete) {
            wrong.push(format!("{name}: {status:?}"));
        }
        assert_eq!(beelance.connect().get("/next").text(), "one", "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bodies_beyond_the_limit() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "limits.body = 1000\n");
    let mut client = beelance.connect();
    assert_eq!(client.post("/", &pattern(1000)).text(), "one");
    client.ask("POST", "/", "Content-Length: 1001\r\n");
    let response = client.response();
    assert_eq!(response.status, 413);
    assert_eq!(backend.count(), 1);
    // Without a length it shows later; then the request is not completed.
    let mut client = beelance.connect();
    client.ask("POST", "/", "Transfer-Encoding: chunked\r\n");
    let _ = client.try_send(chunked(&pattern(5000), 100));
    let status = client.try_response(false).map(|response| response.status);
    assert!(matches!(status, Ok(413) | Err(_)), "{status:?}");
    assert!(backend.requests()[1..].iter().all(|request| !request.complete));
}

#[test]
fn heads_beyond_the_limits() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "limits.header-size = 4k\nlimits.headers = 20\n");
    let long = "x".repeat(5000);
    let many: String = (0..30).map(|n| format!("X-{n}: y\r\n")).collect();
    let few: String = (0..15).map(|n| format!("X-{n}: {}\r\n", "y".repeat(200))).collect();
    let cases: [(&str, String, &[u16]); 5] = [
        ("a long target", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), &[414]),
        ("a long method", format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"), &[400, 414, 431, 501]),
        ("a long value", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), &[431]),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), &[431]),
        ("a head without an end", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), &[431]),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in cases {
        let mut client = beelance.connect();
        client.send(bytes);
        match client.try_response(false) {
            Ok(response) if statuses.contains(&response.status) && response.says_close() => client.ends(),
            other => wrong.push(format!("{name}: {:?}", other.map(|response| response.head))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(backend.count(), 0);
    // Below the limits, and larger than a small buffer.
    let mut client = beelance.connect();
    assert_eq!(client.get_with("/", &few).text(), "one");
    assert_eq!(backend.only().all("x-14"), ["y".repeat(200)]);
}

#[test]
fn slow_heads_are_answered_with_408() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "timeout.http-request = 1s\n");
    for part in ["GET", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        let mut client = beelance.connect();
        client.send(part);
        let response = client.response();
        assert_eq!(response.status, 408, "{part:?}");
        client.ends();
    }
    // The time is for the whole head: bytes now and then do not stretch it.
    let mut client = beelance.connect();
    let mut slow = client.both_ends();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A slow client is what this is about; it stops when it is refused.
            while slow.try_send("x").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        assert!(client.try_response(false).map_or(true, |response| response.status == 408));
        client.half_close();
    });
    assert_eq!(backend.count(), 0);
}

#[test]
fn idle_clients_are_closed_without_a_word() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "timeout.http-keep-alive = 300ms\n");
    let mut client = beelance.connect();
    assert_eq!(client.get("/").text(), "one");
    client.ends();
}

#[test]
fn an_empty_line_behind_a_body_is_no_slow_head() {
    let backend = Backend::named("one");
    let quick = Beelance::before(&[&backend], "timeout.http-request = 1s\ntimeout.http-keep-alive = 1s\n");
    let patient = Beelance::before(&[&backend], "");
    let mut idle = Vec::new();
    for empty in ["\r\n", "\r", "\r\n\r\n"] {
        for apart in [false, true] {
            let begin = |beelance: &Beelance| {
                let mut client = beelance.connect();
                client.ask("POST", "/", "Content-Length: 4\r\n");
                client.send(if apart { "body".to_owned() } else { format!("body{empty}") });
                assert_eq!(client.response().text(), "one");
                if apart {
                    client.send(empty);
                }
                client
            };
            idle.push(begin(&quick));
            if empty != "\r" {
                assert_eq!(begin(&patient).get("/next").text(), "one", "{empty:?}");
            }
        }
    }
    idle.iter_mut().for_each(common::client::Client::ends);
    assert_eq!(quick.connect().get("/last").text(), "one");
    let lines = quick.access(7);
    assert!(lines.len() == 7 && lines.iter().all(|line| line.status == 200), "{lines:?}");
}

#[test]
fn an_empty_line_does_not_delay_stopping() {
    let backend = Backend::named("one");
    let config = "timeout.http-request = 5m\ntimeout.http-keep-alive = 5m\ndrain-timeout = 5m\n";
    let mut beelance = Beelance::before(&[&backend], config);
    let mut clients = ["", "\r\n", "\r"].map(|empty| {
        let mut client = beelance.connect();
        assert_eq!(client.get("/").text(), "one");
        client.send(empty);
        client
    });
    // Those bytes are read before a request that comes later is.
    assert_eq!(beelance.connect().get("/").text(), "one");
    beelance.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    clients.iter_mut().for_each(common::client::Client::ends);
}

#[test]
fn a_body_that_stops_coming_is_answered_with_408_or_the_end() {
    let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"one").remove(0)]);
    let beelance = Beelance::before(&[&backend], "timeout.client = 300ms\n");
    let mut client = beelance.connect();
    client.ask("POST", "/", "Content-Length: 1000\r\n");
    client.send(pattern(10));
    let status = client.try_response(false).map(|response| response.status);
    assert!(matches!(status, Ok(408) | Err(_)), "{status:?}");
    // The backend is not left waiting for the rest.
    backend.wait_left(1);
}

#[test]
fn own_replies_are_small_and_whole() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.send("broken\r\n\r\n");
    let raw = client.until_end();
    assert!(raw.len() < 500, "{} bytes", raw.len());
    let text = String::from_utf8(raw).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    assert_eq!(length.unwrap().trim(), body.len().to_string());
    assert!(text.starts_with("HTTP/1.1 400 "), "{text:?}");
}

#[test]
fn the_reply_to_a_head_has_no_body() {
    let beelance = Beelance::start("listen.web = 127.0.0.1:0\n");
    let mut client = beelance.connect();
    client.ask("HEAD", "/", "Connection: close\r\n");
    assert_eq!(client.head_response().status, 503);
    client.ends();
}
