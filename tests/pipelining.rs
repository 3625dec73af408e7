//! Requests that do not wait for each other, their bodies framed in every way, answered in order (RFC 9112 section 9.3.2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step};
use common::process::Beelance;
use common::{assert_same, chunked, pattern};
use nix::sys::signal::Signal;

/// The request's body, framed as its target says.
fn echo() -> Backend {
    Backend::start(|request| {
        let (framing, body) = match request.target().split('/').nth(2) {
            Some("chunks") => ("Transfer-Encoding: chunked\r\n".to_owned(), chunked(&request.body, 0)),
            Some("close") => ("Connection: close\r\n".to_owned(), request.body.clone()),
            _ => (format!("Content-Length: {}\r\n", request.body.len()), request.body.clone()),
        };
        let body = if request.method() == "HEAD" { Vec::new() } else { body };
        let reply = [format!("HTTP/1.1 200 OK\r\n{framing}\r\n").as_bytes(), &body].concat();
        let close = request.target().ends_with("close");
        if close { vec![Step::Send(reply), Step::Close] } else { vec![Step::Send(reply)] }
    })
}

struct Message {
    method: &'static str,
    target: String,
    bytes: Vec<u8>,
    body: Vec<u8>,
}

/// Requests of all methods and framings, with bodies of all sizes; among the bodies are some that look like requests.
fn messages() -> Vec<Message> {
    let sizes = [0, 1, 5, 100, 2000, 2048, 5000, 17_000, 70_000];
    let mut messages = Vec::new();
    for (number, size) in sizes.into_iter().chain(sizes.into_iter().rev()).enumerate() {
        for (part, framing) in ["none", "length", "chunks", "trailers", "head", "smuggled"].into_iter().enumerate() {
            let answer = ["length", "chunks", "close"][(number + part) % 3];
            let target = format!("/{number}.{part}/{answer}");
            let mut body = pattern(size);
            let (method, fields, sent) = match framing {
                "none" => ("GET", String::new(), Vec::new()),
                "head" => ("HEAD", String::new(), Vec::new()),
                "length" => ("PUT", format!("Content-Length: {size}\r\n"), body.clone()),
                "chunks" => ("POST", "Transfer-Encoding: chunked\r\n".to_owned(), chunked(&body, 700)),
                "trailers" => {
                    let mut sent = chunked(&body, 0);
                    sent.truncate(sent.len() - 2);
                    sent.extend_from_slice(b"X: y\r\nContent-Length: 3\r\n\r\n");
                    ("POST", "Trailer: X\r\nTransfer-Encoding: chunked\r\n".to_owned(), sent)
                }
                _ => {
                    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n".repeat(1 + size / 100);
                    ("POST", format!("Content-Length: {}\r\n", body.len()), body.clone())
                }
            };
            if sent.is_empty() {
                body.clear();
            }
            let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            messages.push(Message { method, target, bytes: [head.as_bytes(), &sent].concat(), body });
        }
    }
    messages
}

#[test]
fn bodies_of_all_framings_behind_each_other() {
    let messages = messages();
    let all: Vec<u8> = messages.iter().flat_map(|message| message.bytes.clone()).collect();
    // At once; in pieces that cut heads and chunk sizes everywhere; in segments.
    for piece in [all.len(), 1460, 613] {
        let backend = echo();
        let beelance = Beelance::before(&[&backend], "pool.*.reuse = always\n");
        let mut client = beelance.connect();
        let (mut sender, bytes) = (client.both_ends(), all.clone());
        let sending = std::thread::spawn(move || bytes.chunks(piece).for_each(|part| sender.send(part)));
        for message in &messages {
            let response = client.try_response(message.method == "HEAD");
            let response = response.unwrap_or_else(|e| panic!("{} by {piece}: {e}", message.target));
            assert_eq!(response.status, 200, "{} by {piece}", message.target);
            assert_same(&message.target, &response.body, if message.method == "HEAD" { b"" } else { &message.body });
        }
        sending.join().unwrap();
        let targets: Vec<String> = messages.iter().map(|message| message.target.clone()).collect();
        assert_eq!(backend.targets(), targets, "by {piece}");
        for (request, message) in backend.requests().iter().zip(&messages) {
            assert_eq!((request.method(), request.all("trailer").len()), (message.method, 0), "{}", message.target);
            assert_same(&message.target, &request.body, &message.body);
        }
        let lines = beelance.access(messages.len());
        assert!(lines.len() == messages.len() && lines.iter().all(|line| line.state == "----"), "by {piece}");
    }
}

#[test]
fn requests_of_one_connection_do_not_overtake_each_other() {
    let backends = [Backend::named("one"), Backend::named("two")];
    let beelance = Beelance::before(&[&backends[0], &backends[1]], "");
    backends[0].hold();
    let mut client = beelance.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    backends[0].wait_requests(1);
    // The other backend is free, and another client gets it at once.
    assert_eq!(beelance.connect().get("/other").text(), "two");
    assert_eq!(backends[1].targets(), ["/other"]);
    assert!(client.is_silent());
    backends[0].open();
    for _ in 0..2 {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn what_follows_a_failed_request_is_answered_where_its_end_is_known() {
    let backend = Backend::start(|request| match request.target() {
        "/gone" => vec![Step::Close],
        _ => common::backend::ok(request.target().as_bytes()),
    });
    let beelance = Beelance::before(&[&backend], "pool.*.retries = 0\n");
    let mut client = beelance.connect();
    let post = |target: &str| format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none");
    client.send([post("/1"), post("/gone"), post("/2")].concat());
    assert_eq!(client.response().text(), "/1");
    assert_eq!(client.response().status, 502);
    assert_eq!(client.response().text(), "/2");
}

#[test]
fn a_request_that_begins_behind_a_body_holds_no_large_buffer() {
    let backend = echo();
    let beelance = Beelance::before(&[&backend], "drain-timeout = 1ms\ntimeout.http-request = 5m\n");
    let mut client = beelance.connect();
    let body = pattern(9_000);
    client.send([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", &body[..], b"GET "].concat());
    assert_same("the response", &client.response().body, &body);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.ended().in_use, "1 connections, 0 slots, 0 queued, 1 small and 0 large buffers, 0 pipes");
}

#[test]
fn a_request_behind_urgent_data_is_read() {
    let backend = echo();
    let beelance = Beelance::before(&[&backend], "timeout.http-request = 5m\n");
    let mut client = beelance.connect();
    assert_eq!(client.get("/").status, 200);
    beelance.frozen(|| {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n");
        client.send_urgent(b'!');
        client.send("\r\n");
    });
    assert_eq!(client.response().status, 200);
}
