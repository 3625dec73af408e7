//! The life of a tunnel: half-closes, resets, silence, the slot it holds, its line in the log, stopping.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::access::Line;
use common::client::Client;
use common::process::Beelance;
use common::raw::{End, RawBackend};
use common::tunnel::{SWITCHED, assert_open, open};
use nix::sys::signal::Signal;
use std::time::Duration;

#[track_caller]
fn assert_ended(line: &Line, state: &str, bytes: usize) {
    assert_eq!((line.status, line.state.as_str()), (101, state), "{line:?}");
    assert_eq!(line.bytes, (SWITCHED.len() + bytes) as u64, "{line:?}");
}

#[test]
fn a_half_close_is_passed_on_and_the_other_direction_flows() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for of_client in [true, false] {
        let (mut client, mut server) = open(&beelance, &backend);
        assert_open(&mut client, &mut server);
        let (quiet, speaks) = if of_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        quiet.send("last");
        quiet.half_close();
        let (last, end) = speaks.rest();
        assert_eq!((last, end), (b"last".to_vec(), End::Closed));
        for _ in 0..3 {
            speaks.send("still here");
            quiet.expect("still here");
        }
        speaks.half_close();
        let (rest, end) = quiet.rest();
        assert_eq!((rest, end), (Vec::new(), End::Closed));
    }
    let [first, second] = beelance.access(2).try_into().unwrap();
    assert_ended(&first, "----", "pong".len() + 3 * "still here".len());
    assert_ended(&second, "----", "ponglast".len());
}

#[test]
fn a_reset_of_one_side_resets_the_other() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for (number, (of_client, half)) in
        [(true, false), (true, true), (false, false), (false, true)].into_iter().enumerate()
    {
        let (mut client, mut server) = open(&beelance, &backend);
        assert_open(&mut client, &mut server);
        let (breaks, mut other) = if of_client { (client, server) } else { (server, client) };
        if half {
            // Its end of sending does not make the reset that follows an end in order.
            other.half_close();
            let mut breaks = breaks;
            breaks.ends();
            breaks.reset();
        } else {
            breaks.reset();
        }
        assert_eq!(other.rest(), (Vec::new(), End::Reset), "of the client: {of_client}, half-closed: {half}");
        let line = beelance.access(number + 1).remove(number);
        assert_ended(&line, if of_client { "CD--" } else { "SD--" }, "pong".len());
    }
}

#[test]
fn a_reset_behind_a_half_close_resets_the_other_too() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for (number, of_client) in [true, false].into_iter().enumerate() {
        let (client, server) = open(&beelance, &backend);
        let (mut breaks, mut other) = if of_client { (client, server) } else { (server, client) };
        breaks.send("last");
        breaks.half_close();
        // Its end is passed on, and nothing flows when the reset comes.
        other.expect("last");
        breaks.reset();
        let (rest, _) = other.rest();
        assert_eq!(rest, b"");
        let line = beelance.access(number + 1).remove(number);
        assert_ended(&line, if of_client { "CD--" } else { "SD--" }, if of_client { 0 } else { "last".len() });
    }
}

#[test]
fn what_was_sent_before_an_end_arrives() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for of_client in [true, false] {
        let (client, server) = open(&beelance, &backend);
        let (mut leaves, mut other) = if of_client { (client, server) } else { (server, client) };
        let parting = common::pattern(100_000);
        beelance.frozen(|| {
            leaves.send(&parting);
            leaves.half_close();
        });
        let (last, end) = other.rest();
        common::assert_same("what was sent", &last, &parting);
        assert_eq!(end, End::Closed);
        other.half_close();
        leaves.ends();
    }
}

#[test]
fn silence_ends_a_tunnel() {
    let backend = RawBackend::start();
    // No other time is that of a tunnel.
    let beelance = Beelance::start(&backend.config("timeout.tunnel = 2s\n"));
    let (mut client, mut server) = open(&beelance, &backend);
    assert_open(&mut client, &mut server);
    client.ends();
    server.ends();
    let line = beelance.access(1).remove(0);
    assert_ended(&line, "cD--", "pong".len());
    // Half of one is no better.
    let (mut client, mut server) = open(&beelance, &backend);
    client.half_close();
    server.ends();
    client.ends();
    assert_ended(&beelance.access(2)[1], "cD--", 0);
}

#[test]
fn traffic_of_either_side_keeps_a_tunnel() {
    let backend = RawBackend::start();
    let others = "timeout.client = 1s\ntimeout.server = 1s\ntimeout.http-keep-alive = 1s\n";
    let beelance = Beelance::start(&backend.config(&format!("timeout.tunnel = 4s\n{others}")));
    let (mut up, mut down) = (open(&beelance, &backend), open(&beelance, &backend));
    // Longer than any of these times, with pauses longer than all but that of tunnels: what nobody says is the test.
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(1200));
        up.0.send("here");
        up.1.expect("here");
        down.1.send("here");
        down.0.expect("here");
    }
    for (client, server) in [&mut up, &mut down] {
        assert_open(client, server);
    }
}

/// Serves a request on this connection.
#[track_caller]
fn serve(server: &mut Client, target: &str) {
    let head = server.head_bytes();
    assert!(head.starts_with(&format!("GET {target} ")), "{head}");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
}

#[test]
fn a_tunnel_holds_its_slot_and_gives_it_back_however_it_ends() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("backend.s1.maxconn = 1\ntimeout.tunnel = 3s\n"));
    for end in ["both close", "the client resets", "the backend resets", "silence"] {
        let (mut client, mut server) = open(&beelance, &backend);
        let mut queued = beelance.connect();
        queued.send("GET /queued HTTP/1.1\r\nHost: a\r\n\r\n");
        // When this one is refused, the one before it has been read.
        let mut other = beelance.connect();
        other.send("(\r\n\r\n");
        assert_eq!(other.response().status, 400);
        assert_open(&mut client, &mut server);
        assert!(backend.is_silent() && queued.is_silent(), "before the end: {end}");
        match end {
            "both close" => {
                client.half_close();
                server.ends();
                server.half_close();
                client.ends();
            }
            "the client resets" => client.reset(),
            "the backend resets" => server.reset(),
            _ => client.ends(),
        }
        serve(&mut backend.accept(), "/queued");
        assert_eq!(queued.response().text(), "done", "{end}");
    }
}

#[test]
fn a_tunnel_is_logged_when_it_ends() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    let (mut client, mut server) = open(&beelance, &backend);
    assert_open(&mut client, &mut server);
    beelance.connect().send("(\r\n\r\n");
    assert_eq!(beelance.access(1)[0].status, 400, "no line while it is open");
    server.send("x".repeat(1000));
    client.exactly(1000);
    client.half_close();
    drop(server);
    client.ends();
    let line = beelance.access(2).remove(1);
    assert_ended(&line, "----", 1000 + "pong".len());
    assert_eq!((line.request.as_str(), line.backend.as_str()), ("GET /tunnel HTTP/1.1", "s1"));
    assert!(line.timers.iter().all(|&timer| timer >= 0), "{line:?}");
}

#[test]
fn stopping_waits_for_a_tunnel() {
    let backend = RawBackend::start();
    let mut beelance = Beelance::start(&backend.config("drain-timeout = 5m\n"));
    let (mut client, mut server) = open(&beelance, &backend);
    let mut idle = beelance.connect();
    beelance.signal(Signal::SIGTERM);
    // It has stopped when it closes who asks nothing.
    idle.ends();
    for _ in 0..3 {
        assert_open(&mut client, &mut server);
    }
    assert!(beelance.is_running());
    client.half_close();
    server.ends();
    server.half_close();
    assert_eq!(beelance.exit_code(), Some(0));
    assert_ended(&beelance.access(1)[0], "----", 3 * "pong".len());
}

#[test]
fn stopping_waits_for_a_tunnel_no_longer_than_the_drain_timeout() {
    let backend = RawBackend::start();
    let mut beelance = Beelance::start(&backend.config("drain-timeout = 300ms\n"));
    let (mut client, mut server) = open(&beelance, &backend);
    assert_open(&mut client, &mut server);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    client.until_end();
    server.until_end();
}
