//! The Date field: which responses get one, and its form (RFC 9110 sections 5.6.7 and 6.6.1).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, send};
use common::client::Response;
use common::process::Beelance;
use common::raw::RawBackend;
use common::{output, tool};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn date(argument: &str, format: &str) -> String {
    let output = output(tool("date").env("LC_ALL", "C").args(["-u", "-d", argument, format]), Duration::ZERO);
    assert_eq!(output.code, Some(0), "date -d {argument:?}: {}", output.stderr);
    output.stdout.trim().to_owned()
}

/// Fails unless there is one Date, an IMF-fixdate of about now.
#[track_caller]
fn assert_dated(what: &str, response: &Response) {
    let dates = response.all("date");
    assert_eq!(dates.len(), 1, "{what}: {:?}", response.head);
    let seconds = date(dates[0], "+%s");
    assert_eq!(date(&format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S GMT"), dates[0], "{what}: the form");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Two clocks of one machine: minutes are for machines that stand still.
    assert!(now.abs_diff(seconds.parse().unwrap()) < 300, "{what}: {:?} at {now}", dates[0]);
}

#[test]
fn a_response_without_one_gets_one() {
    let backend = Backend::start(|request| match request.target() {
        "/204" => send("HTTP/1.1 204 No Content\r\n\r\n"),
        "/304" => send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        "/404" => send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        "/close" => vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Close],
        "/chunks" => send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        _ => send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    });
    let beelance = Beelance::before(&[&backend], "");
    for target in ["/200", "/204", "/304", "/404", "/close", "/chunks"] {
        assert_dated(target, &beelance.connect().get(target));
    }
    let mut client = beelance.connect();
    client.ask("HEAD", "/", "");
    assert_dated("HEAD", &client.head_response());
    let mut client = beelance.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_dated("HTTP/1.0", &client.response());
}

#[test]
fn one_that_is_there_is_kept() {
    let cases = [format!("Date: {THEN}\r\n"), format!("date:{THEN}\r\n"), "DATE: yesterday\r\n".to_owned()];
    for line in cases {
        let head = format!("HTTP/1.1 200 OK\r\nX: y\r\n{line}Content-Length: 0\r\n\r\n");
        let backend = Backend::scripted(send(&head));
        let beelance = Beelance::before(&[&backend], "");
        assert_eq!(beelance.connect().get("/").head, head);
    }
}

#[test]
fn own_replies_carry_one() {
    let backend = Backend::start(|request| match request.target() {
        "/502" => send("nonsense\r\n\r\n"),
        "/504" => vec![Step::Hang],
        _ => send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    });
    let more = "limits.body = 10\ntimeout.server = 1s\ntimeout.http-request = 1s\nlisten.empty = 127.0.0.1:0\n\
                listen.empty.pool = empty\npool.empty.balance = first\n";
    let beelance = Beelance::before(&[&backend], more);
    let host = "Host: a\r\n";
    let cases = [
        (400, "GET  / HTTP/1.1\r\n\r\n".to_owned()),
        (405, format!("TRACE / HTTP/1.1\r\n{host}Max-Forwards: 0\r\n\r\n")),
        (200, format!("OPTIONS * HTTP/1.1\r\n{host}Max-Forwards: 0\r\n\r\n")),
        (408, "GET / HT".to_owned()),
        (413, format!("POST / HTTP/1.1\r\n{host}Content-Length: 11\r\n\r\n")),
        (414, format!("GET /{}", "x".repeat(20_000))),
        (431, format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(100))),
        (501, format!("CONNECT a:80 HTTP/1.1\r\n{host}\r\n")),
        (505, format!("GET / HTTP/2.0\r\n{host}\r\n")),
        (502, format!("GET /502 HTTP/1.1\r\n{host}\r\n")),
        (504, format!("GET /504 HTTP/1.1\r\n{host}\r\n")),
    ];
    for (status, request) in cases {
        let mut client = beelance.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, status, "{:?}", response.head);
        assert_dated(&status.to_string(), &response);
    }
    let response = common::client::Client::connect(beelance.address("empty")).get("/");
    assert_eq!(response.status, 503);
    assert_dated("503", &response);
}

#[test]
fn interim_responses_and_101_get_none() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let mut client = beelance.connect();
    client.send(common::tunnel::ASK);
    let mut server = backend.accept();
    server.head_bytes();
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    server.send(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    client.expect(interim);
    assert_dated("the final response", &client.response());
    // To the letter: `open` compares the 101.
    common::tunnel::agree(client, &reused(backend, server));
}

/// The backend again, without the connection it had.
fn reused(backend: RawBackend, mut server: common::client::Client) -> RawBackend {
    server.half_close();
    server.ends();
    backend
}
