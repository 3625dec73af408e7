//! Whom a connection of a listener with `mode = tcp` is given to, and what is said of its client on the way in and out.
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
use common::raw::{RawBackend, named};
use std::net::IpAddr;

/// `web` before servers that say `a`, `b`, `c`.
fn before_three(more: &str) -> Beelance {
    let servers = ["a", "b", "c"].map(|name| format!("backend.{name} = {}\n", named(name)));
    Beelance::start(&format!("listen.web = 127.0.0.1:0\nlisten.web.mode = tcp\n{}{more}", servers.concat()))
}

/// A connection from this address, and which server it is given.
#[track_caller]
fn open_from(beelance: &Beelance, source: &str) -> (Client, String) {
    let source: IpAddr = source.parse().unwrap();
    let mut client = Client::connect_from(source, beelance.web());
    let name = String::from_utf8(client.exactly(1)).unwrap();
    (client, name)
}

const SOURCES: [&str; 12] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.3",
    "127.0.0.4",
    "127.0.0.5",
    "127.0.0.6",
    "127.0.0.7",
    "127.0.0.8",
    "127.0.0.9",
    "127.0.0.10",
    "127.0.0.11",
    "127.0.0.12",
];

#[test]
fn in_turn_or_where_the_fewest_are() {
    let beelance = before_three("");
    let turns: Vec<String> = (0..9).map(|_| open_from(&beelance, "127.0.0.1").1).collect();
    let mut window = turns[..3].to_vec();
    window.sort();
    assert_eq!(window, ["a", "b", "c"]);
    assert!(turns.windows(4).all(|four| four[0] == four[3]), "{turns:?}");

    let beelance = before_three("pool.*.balance = leastconn\n");
    let mut held: Vec<(Client, String)> = (0..9).map(|_| open_from(&beelance, "127.0.0.1")).collect();
    let count = |held: &[(Client, String)], name: &str| held.iter().filter(|(_, known)| known == name).count();
    assert_eq!(["a", "b", "c"].map(|name| count(&held, name)), [3, 3, 3]);
    // Those of `b` leave: the next ones are its.
    for (mut client, _) in held.extract_if(.., |(_, name)| name == "b") {
        client.half_close();
        client.ends();
    }
    let next: Vec<(Client, String)> = (0..3).map(|_| open_from(&beelance, "127.0.0.1")).collect();
    assert_eq!(count(&next, "b"), 3, "{:?}", next.iter().map(|(_, name)| name).collect::<Vec<_>>());
}

#[test]
fn by_the_clients_address() {
    // Without a bound on load: who held a connection a moment ago would count.
    for more in [
        "pool.*.balance = source\npool.*.hash-balance-factor = 0\n",
        "pool.*.balance = source\npool.*.hash = haproxy\n",
        "pool.*.stick = src\n",
    ] {
        let beelance = before_three(more);
        let first: Vec<String> = SOURCES.iter().map(|source| open_from(&beelance, source).1).collect();
        let again: Vec<String> = SOURCES.iter().rev().map(|source| open_from(&beelance, source).1).rev().collect();
        assert_eq!(first, again, "{more}");
        assert!(first.iter().any(|name| *name != first[0]), "{more}: all at {}", first[0]);
    }
}

/// A version 2 header that says 192.0.2.7:49153 came to 10.0.0.1:80.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\x00\x02\x07\x0a\0\0\x01\xc0\x01\0\x50";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n";

#[test]
fn a_proxy_header_in_names_the_client_and_is_taken_off() {
    let backend = RawBackend::start();
    let config = backend.config("listen.web.mode = tcp\nlisten.web.accept-proxy = yes\n");
    let beelance = Beelance::start(&config);
    for (number, header) in [V1, V2].into_iter().enumerate() {
        for way in ["together", "dribbled", "alone"] {
            let mut client = beelance.connect();
            match way {
                "together" => client.send([header, b"hello"].concat()),
                "dribbled" => client.dribble([header, b"hello"].concat()),
                _ => client.send(header),
            }
            // With the header alone the server may speak: its client is known, whether it says more or not.
            let mut server = backend.accept();
            server.send("welcome");
            client.expect("welcome");
            if way == "alone" {
                client.send("hello");
            }
            server.expect("hello");
            client.half_close();
            server.ends();
            drop(server);
            client.ends();
            let lines = beelance.tcp_lines(number * 3 + 1);
            assert!(lines.iter().all(|line| line.client == "192.0.2.7:49153" && line.state == "--"), "{lines:?}");
        }
    }
    assert_eq!(beelance.tcp_lines(6).len(), 6);
}

#[test]
fn without_the_header_there_is_no_connection() {
    let backend = RawBackend::start();
    let more = "listen.web.mode = tcp\nlisten.web.accept-proxy = yes\ntimeout.http-request = 1s\n";
    let beelance = Beelance::start(&backend.config(more));
    for bytes in ["hello\r\n", "PROXY TCP4 nonsense\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "PROXY TCP4 "] {
        let mut client = beelance.connect();
        client.send(bytes);
        // The last two are only late.
        client.ends();
    }
    assert!(backend.is_silent());
    let mut client = beelance.connect();
    client.send(V1);
    backend.accept().send("welcome");
    client.expect("welcome");
}

#[test]
fn a_proxy_header_out_names_the_client() {
    let backend = RawBackend::start();
    for (word, header) in [("v1", V1), ("v2", V2)] {
        let more = format!("listen.web.mode = tcp\nlisten.web.accept-proxy = yes\nbackend.s1.send-proxy = {word}\n");
        let beelance = Beelance::start(&backend.config(&more));
        let mut client = beelance.connect();
        client.send(V1);
        let mut server = backend.accept();
        // The client's address is the header's; where it came to is beelance's own.
        let (start, port) = (if word == "v1" { 21 } else { 20 }, beelance.web().port());
        let got = server.exactly(start);
        assert_eq!(got, header[..start]);
        match word {
            "v1" => assert_eq!(server.head_line(), format!("127.0.0.1 49153 {port}\r\n")),
            _ => assert_eq!(server.exactly(8), [&[127, 0, 0, 1, 0xc0, 0x01][..], &port.to_be_bytes()].concat()),
        }
        client.send("hello");
        server.expect("hello");
        server.send("welcome");
        client.expect("welcome");
    }
}
