//! What a client still sends when its response is on the way does not cut the response off: a close with unread bytes
//! is a reset, and takes with it what the client's system has not taken yet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, ok};
use common::client::Client;
use common::port::reset_on_close;
use common::process::{Beelance, listener_and};
use common::{assert_same, pattern};
use std::io::{Read, Write};
use std::net::TcpStream;

/// More than a narrow client takes unread, less than what any other socket does.
/// The kernel takes the whole response, though nobody reads it.
const ROOM: &str = "limits.notsent-lowat = 1m\n";
const BODY: usize = 48_000;
/// What the client sends in vain: more than is read at once, less than what is read and thrown away in the end.
const UNREAD: usize = 100_000;

/// Reads from a backend's connection until the request's head is complete.
fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

#[test]
fn a_backend_that_answers_and_leaves_in_the_middle_of_a_body() {
    for framing in ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        for reset in [false, true] {
            let port = Port::take();
            let listener = port.listener();
            let config = listener_and(&[]) + &format!("backend.s1 = {}\n{ROOM}", port.address);
            let beelance = Beelance::start(&config);
            let mut client = Client::connect_narrow(beelance.web());
            client.ask("POST", "/", framing);
            let (mut server, _) = listener.accept().unwrap();
            read_head(&mut server);
            let Step::Send(response) = ok(&pattern(BODY)).remove(0) else { unreachable!() };
            // All of this is there before any of it is looked at: the body finds the backend gone.
            beelance.frozen(|| {
                client.send("186a0\r\n");
                client.send(pattern(UNREAD));
                server.write_all(&response).unwrap();
                if reset {
                    reset_on_close(&server);
                }
                drop(server);
            });
            let line = beelance.access_to("/");
            assert_eq!((line.status, line.state.as_str()), (200, "----"), "{framing:?} {reset}: {line:?}");
            // The exchange is over, and the client has read nothing yet.
            let response = client.response();
            assert_eq!(response.status, 200);
            assert!(response.says_close(), "{:?}", response.head);
            assert_same("the response", &response.body, &pattern(BODY));
            client.ends();
        }
    }
}

#[test]
fn a_reset_that_a_send_found_first_does_not_make_a_response_look_whole() {
    let port = Port::take();
    let listener = port.listener();
    let beelance = Beelance::start(&(listener_and(&[]) + &format!("backend.s1 = {}\n", port.address)));
    let mut client = beelance.connect();
    client.ask("POST", "/", "Content-Length: 1000\r\n");
    let (mut server, _) = listener.accept().unwrap();
    read_head(&mut server);
    beelance.frozen(|| {
        client.send("some");
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of").unwrap();
        reset_on_close(&server);
        drop(server);
    });
    let raw = client.until_end();
    assert!(!raw.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&raw));
    let line = beelance.access_to("/");
    assert_eq!(line.state, "SD--", "{line:?}");
}

#[test]
fn bytes_behind_the_last_request_do_not_cut_its_response() {
    for behind in [&b"\r\n"[..], b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n", &pattern(UNREAD)] {
        let backend = Backend::start(|_| ok(&pattern(BODY)));
        let beelance = Beelance::before(&[&backend], ROOM);
        let mut client = Client::connect_narrow(beelance.web());
        let last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.send([last, behind].concat());
        let line = beelance.access_to("/");
        assert_eq!((line.status, line.state.as_str()), (200, "----"), "{line:?}");
        assert_same("the response", &client.response().body, &pattern(BODY));
        client.ends();
        assert_eq!(backend.targets(), ["/"]);
    }
}

#[test]
fn an_end_with_more_behind_the_last_request_does_not_cut_its_response() {
    let backend = Backend::start(|_| ok(&pattern(BODY)));
    let beelance = Beelance::before(&[&backend], ROOM);
    let mut client = Client::connect_narrow(beelance.web());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nmore");
    // From now on what comes is thrown away.
    let line = beelance.access_to("/");
    assert_eq!((line.status, line.state.as_str()), (200, "----"), "{line:?}");
    beelance.frozen(|| {
        client.send(pattern(UNREAD));
        client.half_close();
    });
    assert_same("the response", &client.response().body, &pattern(BODY));
    client.ends();
}
