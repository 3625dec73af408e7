//! Stopping: no new work, what is in flight is finished, exit 0; a second signal or `drain-timeout` cuts it short.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok};
use common::client::Client;
use common::process::{Beelance, NOTHING};
use common::{assert_same, eventually, pattern};
use nix::sys::signal::Signal::{self, SIGINT, SIGTERM, SIGUSR1};

const SIGNALS: [Signal; 3] = [SIGTERM, SIGINT, SIGUSR1];

#[track_caller]
fn no_longer_accepts(beelance: &Beelance) {
    let address = beelance.web();
    eventually("the listener is closed", || Client::try_connect(address).is_err().then_some(()));
}

#[test]
fn without_work_it_stops_at_once() {
    for signal in SIGNALS {
        let backend = Backend::named("one");
        let mut beelance = Beelance::before(&[&backend], "drain-timeout = 5m\n");
        let mut idle = beelance.connect();
        let _silent = beelance.connect();
        assert_eq!(idle.get("/").text(), "one");
        beelance.signal(signal);
        assert_eq!(beelance.exit_code(), Some(0), "{signal}");
        idle.ends();
    }
}

#[test]
fn what_is_in_flight_is_finished() {
    for signal in SIGNALS {
        let backend = Backend::named("one");
        let mut beelance = Beelance::before(&[&backend], "drain-timeout = 5m\n");
        backend.hold();
        let mut clients: Vec<Client> = (0..5).map(|_| beelance.connect()).collect();
        for client in &mut clients {
            client.ask("GET", "/", "");
        }
        backend.wait_in_flight(5);
        beelance.signal(signal);
        no_longer_accepts(&beelance);
        assert!(beelance.is_running(), "{signal}");
        backend.open();
        for client in &mut clients {
            let response = client.response();
            assert_eq!((response.status, response.text()), (200, "one"), "{signal}");
            client.ends();
        }
        assert_eq!(beelance.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn who_waits_in_the_queue_is_served() {
    let backend = Backend::named("one");
    let mut beelance = Beelance::before(&[&backend], "drain-timeout = 5m\nbackend.s1.maxconn = 1\n");
    backend.hold();
    let mut clients: Vec<Client> = (0..3).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        client.ask("GET", "/", "");
    }
    backend.wait_in_flight(1);
    // The other heads have been read when a later exchange that needs no slot is over.
    let mut refused = beelance.connect();
    refused.send("broken\r\n\r\n");
    assert_eq!(refused.response().status, 400);
    beelance.signal(SIGTERM);
    no_longer_accepts(&beelance);
    backend.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "one");
    }
    assert_eq!(beelance.exit_code(), Some(0));
    assert_eq!(backend.most_in_flight(), 1);
}

#[test]
fn bodies_in_both_directions_come_to_their_end() {
    let body = pattern(1_000_000);
    let reply = body.clone();
    let backend = Backend::at_head(move |_| vec![Step::ReadBody, ok(&reply).remove(0)]);
    let mut beelance = Beelance::before(&[&backend], "drain-timeout = 5m\n");
    let mut client = beelance.connect();
    client.ask("POST", "/", &format!("Content-Length: {}\r\n", body.len()));
    let (first, rest) = body.split_at(1000);
    client.send(first);
    backend.wait_requests(1);
    beelance.signal(SIGTERM);
    no_longer_accepts(&beelance);
    let mut sender = client.both_ends();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(rest));
        assert_same("the response", &client.response().body, &body);
    });
    assert_eq!(beelance.exit_code(), Some(0));
    assert_same("the request", &backend.only().body, &body);
    let ended = beelance.ended();
    assert_eq!((ended.requests, ended.in_use.as_str()), (1, NOTHING), "{ended:?}");
}

#[test]
fn a_second_signal_means_now() {
    for (first, second) in [(SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGUSR1, SIGUSR1), (SIGUSR1, SIGTERM)] {
        let backend = Backend::named("one");
        let mut beelance = Beelance::before(&[&backend], "drain-timeout = 5m\n");
        backend.hold();
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        backend.wait_in_flight(1);
        beelance.signal(first);
        no_longer_accepts(&beelance);
        beelance.signal(second);
        assert_eq!(beelance.exit_code(), Some(0), "{first}, {second}");
        assert!(client.try_response(false).map_or(true, |response| response.status >= 500));
        backend.open();
    }
}

#[test]
fn the_drain_timeout_ends_it() {
    let backend = Backend::named("one");
    let mut beelance = Beelance::before(&[&backend], "drain-timeout = 300ms\n");
    backend.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    backend.wait_in_flight(1);
    beelance.signal(SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    // What was cut short is still held, and said to be.
    let in_use = beelance.ended().in_use;
    assert!(in_use.starts_with("1 connections, 1 slots, 0 queued"), "{in_use}");
    assert!(client.try_response(false).map_or(true, |response| response.status >= 500));
    backend.open();
}
