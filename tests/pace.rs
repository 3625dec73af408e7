//! What a backend is given at the moment: little after it came up again, and as much as it does well with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::Client;
use common::process::Beelance;

const PROBES: &str = "pool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n\
                      pool.*.check.rise = 1\npool.*.check.fall = 1\n";

#[test]
fn slowstart_holds_back_who_came_up_again() {
    let mut backend = Backend::named("one");
    let config = "backend.s1.maxconn = 100\npool.default.slowstart = 1h\ntimeout.queue = 5m\ntimeout.server = 5m\n";
    let beelance = Beelance::before(&[&backend], &format!("{PROBES}{config}"));
    let ask = |count: usize| -> Vec<Client> {
        let mut clients: Vec<Client> = (0..count).map(|_| beelance.connect()).collect();
        clients.iter_mut().for_each(|client| client.ask("GET", "/", ""));
        clients
    };
    // Not at the start of the process.
    backend.hold();
    let first = ask(20);
    backend.wait_in_flight(20);
    backend.open();
    first.into_iter().for_each(|mut client| assert_eq!(client.response().status, 200));

    backend.stop();
    beelance.wait_change("s1", "DOWN", 1);
    backend.restart();
    beelance.wait_change("s1", "UP", 1);
    backend.hold();
    let before = backend.count();
    let again = ask(20);
    backend.wait_requests(before + 1);
    // A refusal of a later request tells that the earlier ones were placed.
    let mut late = beelance.connect();
    late.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(late.response().status, 400);
    assert_eq!(backend.in_flight(), 1, "a 256th part of 100 at once");
    backend.open();
    again.into_iter().for_each(|mut client| assert_eq!(client.response().status, 200));
}

#[test]
fn an_automatic_limit_begins_at_its_least() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "backend.s1.maxconn = auto:2..6\ntimeout.queue = 5m\n");
    backend.hold();
    let mut clients: Vec<Client> = (0..10).map(|_| beelance.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("GET", "/", ""));
    backend.wait_in_flight(2);
    backend.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    assert!(backend.most_in_flight() <= 6, "{}", backend.most_in_flight());
}
