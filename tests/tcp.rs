//! Listeners with `mode = tcp`: a backend at once, every byte both ways, half-closes, resets, silence, the queue, retries,
//! PROXY headers, stopping.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::Client;
use common::port::{Deaf, Port};
use common::process::{Beelance, NOTHING, is_native};
use common::raw::{End, RawBackend};
use common::tcp_line::TcpLine;
use common::tunnel::assert_open;
use common::{assert_same, pattern, scale};
use nix::sys::signal::Signal;
use std::net::SocketAddr;

/// A listener `web` of this mode before `s1`.
fn before(backend: &RawBackend, more: &str) -> Beelance {
    Beelance::start(&backend.config(&format!("listen.web.mode = tcp\n{more}")))
}

/// Both ends of a new connection.
#[track_caller]
fn open(beelance: &Beelance, backend: &RawBackend) -> (Client, Client) {
    let client = beelance.connect();
    (client, backend.accept())
}

/// Returns when all who connected before wait in the queue of a full server.
#[track_caller]
fn queued(beelance: &Beelance) {
    // Accepted in the order in which they came: this one behind them.
    let last = beelance.connect();
    let local = last.local();
    drop(last);
    assert_eq!(line_of(beelance, &local).state, "CQ");
}

/// Its line, once it is over.
#[track_caller]
fn line_of(beelance: &Beelance, client: &SocketAddr) -> TcpLine {
    beelance.tcp_line_of(&client.to_string())
}

#[test]
fn the_server_may_speak_first() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "");
    let (mut client, mut server) = open(&beelance, &backend);
    server.send("220 ready\r\n");
    client.expect("220 ready\r\n");
    assert_open(&mut client, &mut server);
    let local = client.local();
    drop(client);
    server.ends();
    drop(server);
    let line = line_of(&beelance, &local);
    assert_eq!((line.listener.as_str(), line.pool.as_str(), line.backend.as_str()), ("web", "default", "s1"));
    assert_eq!((line.state.as_str(), line.bytes), ("--", "220 ready\r\npong".len() as u64));
    assert_eq!((line.counts, line.redispatched, line.queues), ([1, 1, 0, 0, 0], false, [0, 0]));
    assert!(line.timers.iter().all(|&ms| ms >= 0), "{line:?}");
}

#[test]
fn one_client_has_so_many_connections() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "limits.per-client = 2\n");
    let (mut first, mut first_server) = open(&beelance, &backend);
    let (mut second, mut second_server) = open(&beelance, &backend);
    assert_eq!(beelance.connect().rest(), (Vec::new(), End::Reset));
    assert_open(&mut first, &mut first_server);
    assert_open(&mut second, &mut second_server);
    let local = first.local();
    drop((first, first_server));
    line_of(&beelance, &local);
    let (mut third, mut third_server) = open(&beelance, &backend);
    assert_open(&mut third, &mut third_server);
}

#[test]
fn nothing_is_understood_and_nothing_changed() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "limits.header-size = 1k\nlimits.body = 1k\n");
    let (mut client, mut server) = open(&beelance, &backend);
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
    for bytes in [&bytes[..], b"\r\n\r\n", b"broken\n\n", head] {
        client.send(bytes);
        assert_eq!(server.exactly(bytes.len()), bytes);
        server.send(bytes);
        assert_eq!(client.exactly(bytes.len()), bytes);
    }
}

#[test]
fn a_half_close_is_passed_on_and_the_other_direction_flows() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "");
    for of_client in [true, false] {
        let (mut client, mut server) = open(&beelance, &backend);
        let local = client.local();
        let (quiet, speaks) = if of_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        quiet.send("last");
        quiet.half_close();
        assert_eq!(speaks.rest(), (b"last".to_vec(), End::Closed));
        for _ in 0..3 {
            speaks.send("still here");
            quiet.expect("still here");
        }
        speaks.half_close();
        assert_eq!(quiet.rest(), (Vec::new(), End::Closed));
        assert_eq!(line_of(&beelance, &local).state, "--");
    }
}

#[test]
fn a_reset_of_one_side_resets_the_other() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "");
    for (of_client, state) in [(true, "CD"), (false, "SD")] {
        let (mut client, mut server) = open(&beelance, &backend);
        let local = client.local();
        assert_open(&mut client, &mut server);
        let (breaks, mut other) = if of_client { (client, server) } else { (server, client) };
        breaks.reset();
        assert_eq!(other.rest(), (Vec::new(), End::Reset), "{state}");
        assert_eq!(line_of(&beelance, &local).state, state);
    }
}

/// Pipes that the process has open.
fn pipes(beelance: &Beelance) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", beelance.pid())).unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
}

#[test]
fn much_flows_both_ways_at_once() {
    let sent = pattern(scale(16 << 20));
    for splice in ["yes", "no"] {
        let backend = RawBackend::start();
        let mut beelance = before(&backend, &format!("splice = {splice}\n"));
        let (mut client, mut server) = open(&beelance, &backend);
        assert_open(&mut client, &mut server);
        let before = pipes(&beelance);
        let (mut from_client, mut from_server) = (client.both_ends(), server.both_ends());
        std::thread::scope(|scope| {
            for side in [&mut from_client, &mut from_server] {
                scope.spawn(|| {
                    side.send(&sent);
                    side.half_close();
                });
            }
            let reads = [&mut client, &mut server].map(|side| scope.spawn(|| side.rest()));
            for (who, read) in ["the client", "the server"].into_iter().zip(reads) {
                let (got, end) = read.join().unwrap();
                assert_same(who, &got, &sent);
                assert_eq!(end, End::Closed, "{who}");
            }
        });
        let line = beelance.tcp_lines(1).remove(0);
        assert_eq!((line.state.as_str(), line.bytes), ("--", ("pong".len() + sent.len()) as u64));
        if is_native() {
            assert_eq!(pipes(&beelance) > before, splice == "yes", "splice = {splice}");
        }
        beelance.signal(Signal::SIGTERM);
        assert_eq!(beelance.exit_code(), Some(0));
        assert_eq!(beelance.ended().in_use, NOTHING);
    }
}

#[test]
fn connections_beyond_maxconn_wait_for_their_turn() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "backend.s1.maxconn = 1\n");
    let (mut client, mut server) = open(&beelance, &backend);
    let mut waiting = beelance.connect();
    waiting.send("late");
    let mut behind = beelance.connect();
    behind.send("later");
    queued(&beelance);
    // What it said may still have an answer.
    waiting.half_close();
    queued(&beelance);
    assert_open(&mut client, &mut server);
    assert!(backend.is_silent(), "one at a time");
    drop((client, server));
    for (client, word) in [(&mut waiting, "late"), (&mut behind, "later")] {
        let mut server = backend.accept();
        server.expect(word);
        assert!(backend.is_silent(), "one at a time");
        server.send("served");
        client.expect("served");
        client.half_close();
        server.ends();
    }
    let lines = [&waiting, &behind].map(|client| line_of(&beelance, &client.local()));
    assert_eq!(lines.each_ref().map(|line| (line.state.as_str(), line.queues)), [("--", [0, 1]), ("--", [0, 2])]);
}

#[test]
fn a_client_that_leaves_the_queue_has_left() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "backend.s1.maxconn = 1\n");
    let (mut client, mut server) = open(&beelance, &backend);
    // One says nothing and closes, one breaks off whatever it said.
    let closes = beelance.connect();
    let breaks = beelance.connect();
    let locals = [closes.local(), breaks.local()];
    let mut breaks = breaks;
    breaks.send("late");
    drop(closes);
    breaks.reset();
    for local in locals {
        let line = line_of(&beelance, &local);
        assert_eq!((line.state.as_str(), line.backend.as_str(), line.bytes), ("CQ", "<NOSRV>", 0), "{line:?}");
        assert!(line.timers[0] >= 0 && line.timers[1] == -1, "{line:?}");
    }
    assert_open(&mut client, &mut server);
    drop((client, server));
    let (mut client, mut server) = open(&beelance, &backend);
    assert_open(&mut client, &mut server);
}

#[test]
fn who_waits_too_long_is_closed() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "backend.s1.maxconn = 1\ntimeout.queue = 200ms\n");
    let (mut client, mut server) = open(&beelance, &backend);
    let mut waiting = beelance.connect();
    waiting.ends();
    let line = line_of(&beelance, &waiting.local());
    assert_eq!((line.state.as_str(), line.backend.as_str()), ("sQ", "<NOSRV>"));
    assert!(line.timers[0] >= 199 && line.timers[1] == -1, "{line:?}");
    assert_open(&mut client, &mut server);
}

#[test]
fn a_dead_server_is_passed_over() {
    let (backend, dead) = (RawBackend::start(), Port::take());
    let more = format!("backend.s2 = {}\npool.*.balance = first\n", backend.address);
    let config = backend.config(&format!("listen.web.mode = tcp\n{more}"));
    let beelance = Beelance::start(&config.replacen(&backend.address.to_string(), &dead.address.to_string(), 1));
    let (mut client, mut server) = open(&beelance, &backend);
    assert_open(&mut client, &mut server);
    let local = client.local();
    drop((client, server));
    let line = line_of(&beelance, &local);
    assert_eq!((line.backend.as_str(), line.counts[4], line.redispatched), ("s2", 1, true), "{line:?}");
}

#[test]
fn without_a_server_the_connection_is_closed() {
    let (dead, deaf, backend) = (Port::take(), Deaf::listening(), RawBackend::start());
    let config = |address: SocketAddr, more: &str| {
        let config = backend.config(&format!("listen.web.mode = tcp\npool.*.retries = 0\n{more}"));
        config.replace(&backend.address.to_string(), &address.to_string())
    };
    let none = "listen.web = 127.0.0.1:0\nlog.access = stderr\nlisten.web.mode = tcp\n".to_owned();
    for (config, state, server) in [
        (config(dead.address, ""), "SC", "s1"),
        (config(deaf.address(), "timeout.connect = 200ms\n"), "sC", "s1"),
        (none, "SC", "<NOSRV>"),
    ] {
        let beelance = Beelance::start(&config);
        let mut client = beelance.connect();
        client.ends();
        let line = beelance.tcp_lines(1).remove(0);
        assert_eq!((line.state.as_str(), line.backend.as_str(), line.timers[1]), (state, server, -1), "{line:?}");
    }
    let beelance = Beelance::start(&config(deaf.address(), ""));
    drop(beelance.connect());
    assert_eq!(beelance.tcp_lines(1)[0].state, "CC");
}

#[test]
fn silence_of_both_ends_it_and_no_other_time_does() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "timeout.tunnel = 2s\n");
    let (mut client, mut server) = open(&beelance, &backend);
    let local = client.local();
    assert_open(&mut client, &mut server);
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
    assert_eq!(server.rest(), (Vec::new(), End::Closed));
    let line = line_of(&beelance, &local);
    assert_eq!((line.state.as_str(), line.bytes), ("cD", "pong".len() as u64));
    assert!(line.timers[2] >= 1999, "{line:?}");

    let short = "timeout.client = 200ms\ntimeout.server = 200ms\ntimeout.http-request = 200ms\ntimeout.http-keep-alive = 200ms\n";
    let beelance = before(&backend, short);
    let (mut client, mut server) = open(&beelance, &backend);
    let mut spoke = open(&beelance, &backend);
    assert_open(&mut spoke.0, &mut spoke.1);
    // Longer than all of these: what nobody does is the test.
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_open(&mut client, &mut server);
    assert_open(&mut spoke.0, &mut spoke.1);
}

#[test]
fn stopping_waits_for_connections_and_takes_no_more() {
    let backend = RawBackend::start();
    let mut beelance = before(&backend, "drain-timeout = 5m\nbackend.s1.maxconn = 1\n");
    let (mut client, mut server) = open(&beelance, &backend);
    let mut waiting = beelance.connect();
    waiting.send("late");
    queued(&beelance);
    let address = beelance.web();
    beelance.signal(Signal::SIGTERM);
    common::eventually("the listener is closed", || Client::try_connect(address).is_err().then_some(()));
    assert_open(&mut client, &mut server);
    assert!(beelance.is_running());
    drop((client, server));
    // Who was in the queue is served, too.
    let mut server = backend.accept();
    server.expect("late");
    assert_open(&mut waiting, &mut server);
    drop((waiting, server));
    assert_eq!(beelance.exit_code(), Some(0));
    assert_eq!(beelance.ended().in_use, NOTHING);
}

#[test]
fn a_connection_that_carried_something_makes_no_room_for_another() {
    let backend = RawBackend::start();
    let beelance = before(&backend, "limits.connections = 2\n");
    let (mut first, mut second) = (open(&beelance, &backend), open(&beelance, &backend));
    for (client, server) in [&mut first, &mut second] {
        assert_open(client, server);
    }
    let mut third = beelance.connect();
    third.send("late");
    // Longer than a client without a request is spared.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(backend.is_silent());
    for (client, server) in [&mut first, &mut second] {
        assert_open(client, server);
    }
    drop(first);
    let mut server = backend.accept();
    server.expect("late");
    assert_open(&mut third, &mut server);
    assert_open(&mut second.0, &mut second.1);
}

#[test]
fn an_idle_connection_holds_a_slot_and_no_buffer() {
    const COUNT: usize = 20;
    let backend = RawBackend::start();
    let mut beelance = before(&backend, "drain-timeout = 100ms\n");
    let mut pairs: Vec<_> = (0..COUNT).map(|_| open(&beelance, &backend)).collect();
    for (client, server) in &mut pairs {
        assert_open(client, server);
    }
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    let in_use = beelance.ended().in_use;
    let held = format!("{COUNT} connections, {COUNT} slots, 0 queued, 0 small and 0 large buffers, 0 pipes");
    assert_eq!(in_use, held);
}
