//! What broke once and has no place among the other files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, ok, send};
use common::client::Client;
use common::process::Beelance;

#[test]
fn a_burst_within_one_turn_loses_no_lines_of_the_access_log() {
    // More than the log's buffer holds (16 kB), less than what a pipe takes unread (64 kB) or a turn looks at (64).
    const CLIENTS: usize = 40;
    let beelance = Beelance::start("listen.web = 127.0.0.1:0\nlog.access = stderr\n");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| beelance.connect()).collect();
    let long = "x".repeat(900);
    for round in 0..3 {
        beelance.frozen(|| {
            for (number, client) in clients.iter_mut().enumerate() {
                client.ask("GET", &format!("/{round}/{number}/{long}"), "");
            }
        });
        // No backend: each is answered in the turn in which it came.
        for client in &mut clients {
            assert_eq!(client.response().status, 503);
        }
        let lines = beelance.access((round + 1) * CLIENTS);
        for number in 0..CLIENTS {
            let start = format!("GET /{round}/{number}/");
            let count = lines.iter().filter(|line| line.request.starts_with(&start)).count();
            assert_eq!(count, 1, "lines for {start}");
        }
    }
    let said: Vec<String> = beelance.log().into_iter().filter(|line| line.contains("dropped")).collect();
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_204_with_a_length_is_passed_without_it() {
    for (length, more) in [("0", ""), ("5", ""), ("5, 5", ""), ("5", "hello")] {
        let reply = format!("HTTP/1.1 204 No Content\r\nContent-Length: {length}\r\nX-From: backend\r\n\r\n{more}");
        let backend =
            Backend::start(move |request| if request.target() == "/next" { ok(b"next") } else { send(&reply) });
        let beelance = Beelance::before(&[&backend], "");
        let mut client = beelance.connect();
        for method in ["GET", "DELETE"] {
            client.ask(method, "/", "");
            let response = client.response();
            assert_eq!((response.status, response.header("x-from")), (204, Some("backend")), "{length:?}");
            assert!(response.all("content-length").is_empty(), "{:?}", response.head);
            assert!(response.all("transfer-encoding").is_empty(), "{:?}", response.head);
            // What follows on this connection is the next response; what the backend sent behind its own goes nowhere.
            assert_eq!(client.get("/next").text(), "next", "{length:?} {more:?}");
        }
        assert_eq!(backend.connections(), if more.is_empty() { 1 } else { 3 }, "{length:?} {more:?}");
    }
}
