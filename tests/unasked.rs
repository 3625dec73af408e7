//! What a backend says when nobody asked: on an idle connection, or behind a complete response. Nobody ever sees it, and
//! the connection is closed at once (RFC 9112 section 9.5).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::Client;
use common::process::Beelance;
use common::raw::RawBackend;

const UNASKED: [&str; 5] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "\r\n",
    "x",
];

/// Answers the next request, which is for `target`.
#[track_caller]
fn answer(server: &mut Client, target: &str, behind: &str) {
    let head = server.head_bytes();
    assert!(head.starts_with(&format!("GET {target} ")), "{head}");
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{behind}"));
}

#[track_caller]
fn assert_next(client: &mut Client, backend: &RawBackend, target: &str) -> Client {
    client.ask("GET", target, "");
    let mut server = backend.accept();
    answer(&mut server, target, "");
    assert_eq!(client.response().text(), "ok", "{target}");
    server
}

#[test]
fn on_an_idle_connection_it_closes_that_connection() {
    let backend = RawBackend::start();
    // Neither an idle client's end nor the purge of what is not needed explains the close.
    let beelance = Beelance::start(&backend.config("timeout.http-keep-alive = 5m\n"));
    for own in ["", "backend.s1.send-proxy = v1\n"] {
        let own = (!own.is_empty())
            .then(|| Beelance::start(&backend.config(&format!("timeout.http-keep-alive = 5m\n{own}"))));
        let beelance = own.as_ref().unwrap_or(&beelance);
        for unasked in UNASKED {
            for close in [false, true] {
                let mut client = beelance.connect();
                client.ask("GET", "/first", "");
                let mut server = backend.accept();
                if own.is_some() {
                    let line = format!(
                        "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
                        client.local().port(),
                        beelance.web().port()
                    );
                    server.expect(line);
                }
                answer(&mut server, "/first", "");
                assert_eq!(client.response().text(), "ok");
                server.send(unasked);
                if close {
                    server.half_close();
                }
                let (rest, _) = server.rest();
                assert!(rest.is_empty() && client.is_silent(), "{unasked:?}");
                client.ask("GET", "/next", "");
                let mut server = backend.accept();
                if own.is_some() {
                    server.head_line();
                }
                answer(&mut server, "/next", "");
                assert_eq!(client.response().text(), "ok", "{unasked:?}");
                // For the next round.
                server.half_close();
                server.ends();
            }
        }
    }
}

#[test]
fn at_the_moment_of_a_request_it_is_not_the_answer() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for unasked in UNASKED {
        for request_first in [false, true] {
            let mut client = beelance.connect();
            let mut server = assert_next(&mut client, &backend, "/first");
            beelance.frozen(|| {
                if request_first {
                    client.ask("GET", "/next", "");
                }
                server.send(unasked);
                if !request_first {
                    client.ask("GET", "/next", "");
                }
            });
            // It came before the request was sent: whoever it was meant for.
            let mut fresh = backend.accept();
            answer(&mut fresh, "/next", "");
            assert_eq!(client.response().text(), "ok", "{unasked:?}");
            server.ends();
            fresh.half_close();
            fresh.ends();
        }
    }
}

#[test]
fn behind_a_complete_response_it_closes_that_connection() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("timeout.http-keep-alive = 5m\n"));
    let mut client = beelance.connect();
    for unasked in UNASKED {
        client.ask("GET", "/first", "");
        let mut server = backend.accept();
        answer(&mut server, "/first", unasked);
        assert_eq!(client.response().text(), "ok");
        let (rest, _) = server.rest();
        assert!(rest.is_empty() && client.is_silent(), "{unasked:?}");
    }
    assert_next(&mut client, &backend, "/last");
}

/// A server that gives up waiting says 408 and closes, while the request that waits for a connection comes.
#[test]
fn a_request_timeout_of_the_backend_is_never_seen() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("pool.*.reuse = always\n"));
    let mut client = beelance.connect();
    for method in ["GET", "POST"] {
        let mut server = assert_next(&mut client, &backend, "/first");
        beelance.frozen(|| {
            server.send(UNASKED[1]);
            drop(server);
            client.ask(method, "/next", if method == "POST" { "Content-Length: 0\r\n" } else { "" });
        });
        let mut fresh = backend.accept();
        fresh.head_bytes();
        fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnext");
        assert_eq!(client.response().text(), "next", "{method}");
    }
}
