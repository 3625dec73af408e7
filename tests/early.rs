//! What a backend says before its final response (1xx), or before the request has come to its end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, send};
use common::process::{Beelance, listener_and};
use common::{assert_same, output, pattern, tool};
use std::io::{Read, Write};
use std::time::Duration;

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

fn sent(text: &str) -> Step {
    Step::Send(text.into())
}

/// Asks for the body with 100 when the client expects that, and answers `done`.
fn asking_for_more() -> Backend {
    Backend::at_head(|request| match request.header("expect") {
        Some("100-continue") => vec![sent(CONTINUE), Step::ReadBody, sent(DONE)],
        _ => vec![Step::ReadBody, sent(DONE)],
    })
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    let backend = asking_for_more();
    let beelance = Beelance::before(&[&backend], "");
    let body = pattern(100_000);
    let mut client = beelance.connect();
    for _ in 0..3 {
        client.ask("POST", "/", "Content-Length: 100000\r\nExpect: 100-continue\r\n");
        let interim = client.any_response(false).unwrap();
        assert_eq!(interim.status, 100, "{:?}", interim.head);
        client.send(&body);
        assert_eq!(client.response().text(), "done");
    }
    for request in backend.requests() {
        assert_same("the body", &request.body, &body);
    }
}

#[test]
fn curl_waits_for_100_and_gets_it() {
    let backend = asking_for_more();
    let beelance = Beelance::before(&[&backend], "");
    let url = format!("http://{}/", beelance.web());
    // curl sends the body without 100 when it does not come in time: here that is longer than anything may take.
    let waits = ["-sS", "--max-time", "20", "--expect100-timeout", "60", "-H", "Expect: 100-continue", "-D", "-"];
    let output = output(tool("curl").args(waits).args(["-d", "some text", &url]), Duration::from_secs(20));
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("HTTP/1.1 100 ") && output.stdout.ends_with("\r\n\r\ndone"), "{output:?}");
    assert_eq!(backend.only().body, b"some text");
}

#[test]
fn a_refusal_instead_of_100() {
    let refusal = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n";
    let backend = Backend::at_head(move |request| match request.header("expect") {
        Some(_) => vec![sent(refusal), Step::Hang],
        None => send(DONE),
    });
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.ask("POST", "/", "Content-Length: 10\r\nExpect: 100-continue\r\n");
    let response = client.response();
    assert_eq!(response.status, 417);
    // What comes next on this connection could be the body as well as a request.
    assert!(response.says_close(), "{:?}", response.head);
    client.ends();
    backend.wait_left(1);
    assert_eq!(beelance.connect().get("/").text(), "done");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn interim_responses_are_for_1_1_only() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let in_one = [hints, processing, DONE].concat();
    let cases = [
        vec![sent(hints), sent(processing), sent(DONE)],
        vec![sent(&in_one)],
        vec![Step::Dribble(in_one.clone().into_bytes())],
    ];
    for steps in cases {
        let backend = Backend::scripted(steps);
        let beelance = Beelance::before(&[&backend], "pool.default.cookie = SRV\n");
        let mut client = beelance.connect();
        for _ in 0..2 {
            client.ask("GET", "/", "");
            let first = client.any_response(false).unwrap();
            assert_eq!((first.status, first.header("link")), (103, Some("</a.css>; rel=preload")));
            assert!(first.all("set-cookie").is_empty(), "the cookie belongs to the final response: {:?}", first.head);
            assert_eq!(client.any_response(false).unwrap().status, 102);
            let last = client.any_response(false).unwrap();
            assert_eq!((last.status, last.text(), last.all("set-cookie").len()), (200, "done", 1));
        }
        let mut old = beelance.connect();
        old.send("GET / HTTP/1.0\r\n\r\n");
        let only = old.any_response(false).unwrap();
        assert_eq!((only.status, only.text()), (200, "done"));
        old.ends();
    }
}

#[test]
fn switching_protocols_unasked_is_502() {
    for upgrade in ["", "Connection: upgrade\r\nUpgrade: other\r\n"] {
        let reply = format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n");
        let backend = Backend::start(move |request| match request.target() {
            "/" => vec![sent(&reply), Step::Hang],
            _ => send(DONE),
        });
        let beelance = Beelance::before(&[&backend], "");
        let response = beelance.connect().get("/");
        assert_eq!(response.status, 502, "{:?}", response.head);
        // Whoever switched speaks no HTTP any more.
        assert_eq!(beelance.connect().get("/next").text(), "done");
        assert_eq!(backend.connections(), 2);
    }
}

#[test]
fn endless_interim_responses_keep_nobody_else_waiting() {
    for version in ["1.0", "1.1"] {
        let (port, quick) = (Port::take(), Backend::named("quick"));
        let listener = port.listener();
        let config = listener_and(&[&quick])
            + &format!("backend.flood = {}\nbackend.flood.pool = flood\n", port.address)
            + "route.flood.path = /flood\nroute.flood.pool = flood\n";
        let beelance = Beelance::start(&config);
        let flood = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            // Small heads in large writes: this side is always faster than whoever has to understand them.
            let hints = "HTTP/1.1 103 \r\n\r\n".repeat(100_000);
            while stream.write_all(hints.as_bytes()).is_ok() {}
        });
        let mut flooded = beelance.connect();
        flooded.send(format!("GET /flood HTTP/{version}\r\nHost: a\r\n\r\n"));
        let mut reader = flooded.both_ends();
        let reading = std::thread::spawn(move || reader.count_until_end());
        let mut client = beelance.connect();
        for _ in 0..5 {
            assert_eq!(client.get("/").text(), "quick", "HTTP/{version}");
        }
        flooded.hang_up();
        drop(beelance);
        flood.join().unwrap();
        reading.join().unwrap();
    }
}

#[test]
fn a_refusal_while_the_body_still_flows() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much";
    // The backend reads on and throws away; closes; or does nothing more.
    let cases = [vec![sent(refusal), Step::Hang], vec![sent(refusal), Step::Close]];
    for steps in cases {
        let backend =
            Backend::at_head(move |request| if request.method() == "POST" { steps.clone() } else { send(DONE) });
        let beelance = Beelance::before(&[&backend], "pool.default.reuse = always\n");
        let mut client = beelance.connect();
        client.ask("POST", "/", "Content-Length: 100000000\r\n");
        let mut sender = client.both_ends();
        let sending = std::thread::spawn(move || {
            let piece = pattern(64 * 1024);
            // Until the connection is closed under it.
            while sender.try_send(&piece).is_ok() {}
        });
        let response = client.response();
        assert_eq!((response.status, response.text()), (413, "too much"));
        assert!(response.says_close(), "{:?}", response.head);
        client.ends();
        sending.join().unwrap();
        // Half a request is on the backend's connection: it takes no other.
        let next = beelance.connect().get("/next");
        assert_eq!(next.text(), "done");
        let requests = backend.requests();
        assert_ne!(requests[0].connection, requests[1].connection);
        let line = beelance.access_to("/");
        assert_eq!(line.status, 413, "{line:?}");
    }
}
