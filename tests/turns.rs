//! What one connection may do before the others have their turn is bounded.
//!
//! All that one connection could do is there before any of it is looked at, and a stranger comes, who can be answered in
//! the turn after the one that accepts him. The order of the lines in the access log tells whether he was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Port;
use common::client::Client;
use common::eventually;
use common::process::{Beelance, listener_and};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Beside `web` a listener without backends, which answers 503 at once.
const LOCAL: &str = "listen.local = 127.0.0.1:0\nlisten.local.pool = nobody\npool.nobody.balance = first\n";

/// Between a client and a backend of our own, whose listener comes with it.
fn before_own(more: &str) -> (Beelance, TcpListener, Port) {
    let port = Port::take();
    let listener = port.listener();
    let config = listener_and(&[]) + &format!("backend.s1 = {}\n{LOCAL}{more}", port.address);
    (Beelance::start(&config), listener, port)
}

/// Accepts a connection, and waits for the first bytes of a request.
fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    stream
}

/// How many of the `busy` lines with `/busy` come before the stranger's, who is there when all that `prepare` did is.
#[track_caller]
fn lines_before_stranger(beelance: &Beelance, busy: usize, prepare: impl FnOnce()) -> usize {
    let mut stranger = beelance.frozen(|| {
        prepare();
        let mut stranger = Client::connect(beelance.address("local"));
        stranger.ask("GET", "/stranger", "");
        stranger
    });
    assert_eq!(stranger.response().status, 503);
    beelance.wait_log("the stranger's line and the others", |lines| {
        let count = |lines: &[String]| lines.iter().filter(|line| line.contains(" /busy ")).count();
        let at = lines.iter().position(|line| line.contains(" /stranger "))?;
        (count(lines) == busy).then(|| count(&lines[..at]))
    })
}

#[test]
fn a_flood_of_interim_responses_gives_way() {
    let (beelance, listener, _port) = before_own("");
    let mut client = beelance.connect();
    // They are not passed on to a client of HTTP/1.0: it need not read.
    client.send("GET /busy HTTP/1.0\r\n\r\n");
    let mut server = accept(&listener);
    let flood = "HTTP/1.1 103 \r\n\r\n".repeat(2000) + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    let before = lines_before_stranger(&beelance, 1, || server.write_all(flood.as_bytes()).unwrap());
    assert_eq!(before, 0, "the stranger waited for all of them");
    assert_eq!(client.response().text(), "done");
}

#[test]
fn a_body_that_never_runs_dry_gives_way() {
    // With the large buffers taken and no pipes, a body goes by 2 kB: what a socket holds of it is more than one turn's
    // share.
    let patient = "timeout.client = 5m\ntimeout.http-request = 5m\nlimits.connections = 64\nsplice = no\n";
    let (beelance, listener, _port) = before_own(patient);
    let mut heads: Vec<Client> = (0..40).map(|_| beelance.connect()).collect();
    for client in &mut heads {
        client.send(format!("GET /slow HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(3_000)));
    }
    eventually("a slow head is refused", || heads.iter().any(|client| !client.is_silent()).then_some(()));
    let mut client = beelance.connect();
    client.ask("GET", "/busy", "");
    let mut server = accept(&listener);
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n{}", "x".repeat(50_000));
    let before = lines_before_stranger(&beelance, 1, || server.write_all(response.as_bytes()).unwrap());
    assert_eq!(before, 0, "the stranger waited for all of it");
    assert_eq!(client.response().body.len(), 50_000);
}

#[test]
fn a_pipeline_gives_way() {
    const COUNT: usize = 100;
    // Buffers end within requests, with every fourth one, with each one.
    for bytes in [50, 512, 2048] {
        let beelance = Beelance::start(&format!("listen.web = 127.0.0.1:0\nlog.access = stderr\n{LOCAL}"));
        let start = "GET /busy HTTP/1.1\r\nHost: a\r\nX: ";
        let request = format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4));
        let mut client = beelance.connect();
        assert_eq!(client.get("/first").status, 503);
        // Without a backend there is no other wait between two of them.
        let before = lines_before_stranger(&beelance, COUNT, || client.send(request.repeat(COUNT)));
        assert!(before <= 3, "{bytes}: the stranger waited for {before} of {COUNT} requests");
        for _ in 0..COUNT {
            assert_eq!(client.response().status, 503);
        }
    }
}
