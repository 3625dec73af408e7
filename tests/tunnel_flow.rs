//! Bytes through tunnels: both ways at once, unchanged, and in bounded memory before a peer that does not read.
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
use common::raw::{End, RawBackend};
use common::tunnel::{ASK, SWITCH, SWITCHED, agree, open};
use common::{assert_same, pattern, scale, settled};
use nix::sys::signal::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// More than the kernel takes for the sockets on the way.
const PLENTY: usize = 64 << 20;

/// Sends all of it, counting, and then its end.
fn sending(mut end: Client, bytes: Arc<Vec<u8>>) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let thread = std::thread::spawn(move || {
        for piece in bytes.chunks(16 * 1024) {
            end.send(piece);
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        end.half_close();
    });
    (count, thread)
}

#[test]
fn megabytes_both_ways_at_once() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let size = scale(32 << 20);
    let (down, up) = (pattern(size), pattern(size + 1).split_off(1));
    let (down, up) = (Arc::new(down), Arc::new(up));
    let (mut client, mut server) = open(&beelance, &backend);
    let threads = [sending(client.both_ends(), Arc::clone(&up)).1, sending(server.both_ends(), Arc::clone(&down)).1];
    let reading = std::thread::spawn(move || server.rest());
    let (got, end) = client.rest();
    assert_same("what the client got", &got, &down);
    assert_eq!(end, End::Closed);
    let (got, end) = reading.join().unwrap();
    assert_same("what the backend got", &got, &up);
    assert_eq!(end, End::Closed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let line = beelance.access(1).remove(0);
    assert_eq!((line.state.as_str(), line.bytes), ("----", (SWITCHED.len() + down.len()) as u64));
}

/// The backend writes before the client reads, and the client before the backend reads.
#[test]
fn who_does_not_read_costs_no_memory_and_loses_nothing() {
    for to_client in [true, false] {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(""));
        let bytes = Arc::new(pattern(PLENTY));
        // A first tunnel has taken what any tunnel takes.
        let (mut client, mut server) = open(&beelance, &backend);
        client.send("up");
        server.expect("up");
        let (client, server) = agree(Client::connect_narrow(beelance.web()), &backend);
        let before = beelance.resident();
        let (sends, mut reads) = if to_client { (server, client) } else { (client, server) };
        let (count, thread) = sending(sends.both_ends(), Arc::clone(&bytes));
        let stuck = settled(|| count.load(Ordering::Relaxed));
        assert!(stuck < bytes.len() as u64, "all of {stuck} bytes fit between them: the test shows nothing");
        let more = beelance.resident().saturating_sub(before);
        assert!(more < 4 << 20, "{more} bytes more for a peer that does not read");
        // The other direction flows meanwhile.
        reads.send("hello");
        let mut other = sends;
        other.expect("hello");
        let (got, end) = reads.rest();
        assert_same("what came in the end", &got, &bytes);
        assert_eq!(end, End::Closed);
        thread.join().unwrap();
    }
}

#[test]
fn a_client_that_resets_before_a_backend_that_does_not_read_gives_the_slot_back() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("backend.s1.maxconn = 1\n"));
    let (mut client, _deaf) = open(&beelance, &backend);
    let mut queued = beelance.connect();
    queued.ask("GET", "/queued", "");
    let stuck = client.send_until_stuck(PLENTY);
    assert!(stuck < PLENTY, "all of {stuck} bytes fit between them: the test shows nothing");
    client.reset();
    let mut server = backend.accept();
    server.head_bytes();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(queued.response().status, 200);
}

#[test]
fn a_tunnel_of_which_half_is_closed_holds_no_buffer() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("drain-timeout = 1ms\n"));
    let mut tunnels = Vec::new();
    for of_client in [true, false] {
        let (client, server) = open(&beelance, &backend);
        let (mut quiet, mut speaks) = if of_client { (client, server) } else { (server, client) };
        quiet.half_close();
        speaks.ends();
        speaks.send("still here");
        quiet.expect("still here");
        tunnels.push((quiet, speaks));
    }
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.ended().in_use, "2 connections, 2 slots, 0 queued, 0 small and 0 large buffers, 0 pipes");
}

#[test]
fn many_tunnels_beside_each_other() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let mut tunnels: Vec<_> = (0..scale(200)).map(|_| open(&beelance, &backend)).collect();
    for round in 0..3 {
        for (number, (client, server)) in tunnels.iter_mut().enumerate() {
            client.send(format!("up {round} {number}"));
            server.send(format!("down {round} {number}"));
        }
        for (number, (client, server)) in tunnels.iter_mut().enumerate() {
            server.expect(format!("up {round} {number}"));
            client.expect(format!("down {round} {number}"));
        }
    }
}

#[test]
fn bytes_that_come_one_by_one() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let mut client = beelance.connect();
    let text = pattern(scale(2000));
    client.dribble(ASK);
    let mut server = backend.accept();
    server.head_bytes();
    server.dribble([SWITCH.as_bytes(), &text].concat());
    client.dribble(&text);
    client.expect(SWITCHED);
    assert_same("down", &client.exactly(text.len()), &text);
    assert_same("up", &server.exactly(text.len()), &text);
}
