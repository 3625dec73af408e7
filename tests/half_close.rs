//! One side sends no more. A client that does so before it has its answer has left; a backend has said what it will.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::port::Deaf;
use common::process::Beelance;
use common::raw::{End, RawBackend, asked};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[track_caller]
fn assert_logged(beelance: &Beelance, status: i16, state: &str) {
    let line = beelance.access_to("/asked");
    assert_eq!((line.status, line.state.as_str()), (status, state), "{line:?}");
}

#[test]
fn a_client_that_closes_unanswered_has_left() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let (mut client, mut server) = asked(&beelance, &backend, "");
    client.half_close();
    // The backend need not work on.
    server.ends();
    client.ends();
    assert_logged(&beelance, 400, "CH--");
}

#[test]
fn a_client_that_closes_in_its_body_has_left() {
    for (fields, half) in [("Content-Length: 10\r\n", "half"), ("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n")] {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(""));
        let (mut client, mut server) = asked(&beelance, &backend, fields);
        client.send(half);
        client.half_close();
        // Nothing says that this was all.
        server.expect(half);
        server.ends();
        client.ends();
        assert_logged(&beelance, 400, "CD--");
    }
}

#[test]
fn a_client_that_closes_in_the_queue_has_left() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("backend.s1.maxconn = 1\n"));
    let mut first = beelance.connect();
    first.ask("GET", "/first", "");
    let mut server = backend.accept();
    server.head_bytes();
    let mut client = beelance.connect();
    client.ask("GET", "/asked", "");
    client.half_close();
    client.ends();
    assert_logged(&beelance, 503, "CQ--");
    server.send(OK);
    assert_eq!(first.response().text(), "ok");
    // Nobody else had the slot.
    first.ask("GET", "/next", "");
    assert!(server.head_bytes().starts_with("GET /next "));
}

#[test]
fn a_client_that_closes_while_connecting_has_left() {
    let (backend, deaf) = (RawBackend::start(), Deaf::listening());
    let config = backend.config("").replace(&backend.address.to_string(), &deaf.address().to_string());
    let beelance = Beelance::start(&config);
    let mut client = beelance.connect();
    client.ask("GET", "/asked", "");
    client.half_close();
    client.ends();
    assert_logged(&beelance, 503, "CC--");
}

#[test]
fn a_client_that_closes_while_its_answer_comes_gets_all_of_it() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let (mut client, mut server) = asked(&beelance, &backend, "");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    assert!(client.head_bytes().starts_with("HTTP/1.1 200 OK\r\n"));
    client.expect("half");
    client.half_close();
    server.send("rest");
    assert_eq!(client.rest(), (b"rest".to_vec(), End::Closed));
    assert_logged(&beelance, 200, "----");
}

#[test]
fn a_client_that_closes_between_requests_is_closed() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let (mut client, mut server) = asked(&beelance, &backend, "");
    server.send(OK);
    assert_eq!(client.response().text(), "ok");
    client.half_close();
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
    // Its backend connection is everybody's.
    let mut other = beelance.connect();
    other.ask("GET", "/other", "");
    assert!(server.head_bytes().starts_with("GET /other "));
}

#[test]
fn a_backend_that_closes_unanswered_is_502() {
    for part in ["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"] {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config("pool.*.retries = 0\n"));
        let (mut client, mut server) = asked(&beelance, &backend, "");
        server.send(part);
        server.half_close();
        server.ends();
        assert_eq!(client.response().status, 502, "{part:?}");
        assert_logged(&beelance, 502, "SH--");
    }
}

#[test]
fn a_backend_that_closes_in_a_requests_body_is_502() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let (mut client, mut server) = asked(&beelance, &backend, "Content-Length: 10\r\n");
    client.send("half");
    server.expect("half");
    server.half_close();
    let response = client.response();
    assert_eq!((response.status, response.says_close()), (502, true));
    client.ends();
    server.ends();
}

#[test]
fn a_backend_that_closes_behind_its_response_is_not_asked_again() {
    let replies =
        [OK, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nok"];
    for reply in replies {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(""));
        let (mut client, mut server) = asked(&beelance, &backend, "");
        beelance.frozen(|| {
            server.send(reply);
            server.half_close();
        });
        assert_eq!(client.response().text(), "ok", "{reply:?}");
        server.ends();
        client.ask("GET", "/next", "");
        let mut next = backend.accept();
        next.head_bytes();
        next.send(OK);
        assert_eq!(client.response().text(), "ok", "{reply:?}");
        assert_logged(&beelance, 200, "----");
    }
}

#[test]
fn an_answer_before_the_end_of_the_body_and_a_close_is_an_answer() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let (mut client, mut server) = asked(&beelance, &backend, "Content-Length: 10\r\n");
    client.send("half");
    server.expect("half");
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    server.half_close();
    let response = client.response();
    assert_eq!((response.status, response.text(), response.says_close()), (403, "no", true));
    client.ends();
    server.ends();
}
