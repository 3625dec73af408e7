//! The tarpit: it holds who falls in, holds only so many, and gives way.
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
use common::process::{Beelance, NOTHING};
use nix::sys::signal::Signal;
use std::time::Instant;

/// A tarpit that nobody leaves within a test.
const FOREVER: &str = "route.t.path = /trap\nroute.t.tarpit = 1h\n";

/// A client in the tarpit.
fn trapped(beelance: &Beelance) -> Client {
    let mut client = beelance.connect();
    client.ask("GET", "/trap", "");
    client
}

#[test]
fn held_then_refused() {
    let backend = Backend::named("one");
    let more = "route.t.path = /trap\nroute.t.tarpit = 300ms\nroute.u.path = /other\nroute.u.tarpit = 1ms\nroute.u.deny = 429\n";
    let beelance = Beelance::before(&[&backend], more);
    let begin = Instant::now();
    let mut client = trapped(&beelance);
    // What comes behind it is not read.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert!(begin.elapsed().as_millis() >= 300, "no sooner");
    assert_eq!((response.status, response.says_close()), (500, true));
    client.ends();
    let line = beelance.access_to("/trap");
    assert_eq!((line.state.as_str(), line.status, line.pool.as_str()), ("PT--", 500, "web"));
    assert_eq!(beelance.connect().get("/other").status, 429);
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_flood_leaves_others_served() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("limits.connections = 16\n{FOREVER}"));
    let mut held = [trapped(&beelance), trapped(&beelance)];
    // An eighth is held, the rest refused at once: each place is free again for the next.
    for _ in 0..100 {
        let mut client = trapped(&beelance);
        assert_eq!(client.response().status, 500);
        assert_eq!(beelance.connect().get("/").text(), "one");
    }
    assert!(held.iter_mut().all(|client| client.is_silent()));
    let states: Vec<String> = beelance.access(200).into_iter().map(|line| line.state).collect();
    assert_eq!(states.iter().filter(|state| *state == "PR--").count(), 100, "{states:?}");
}

#[test]
fn when_places_run_out_the_tarpit_gives_way_first() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("limits.connections = 8\n{FOREVER}"));
    let mut held = trapped(&beelance);
    // Served ones, which stay: seven of them and the held one are all there may be.
    let mut others: Vec<Client> = (0..7).map(|_| beelance.connect()).collect();
    others.iter_mut().for_each(|client| assert_eq!(client.get("/").text(), "one"));
    let mut late = beelance.connect();
    assert_eq!(late.get("/").text(), "one");
    assert_eq!(held.response().status, 503);
    held.ends();
    assert_eq!(beelance.access_to("/trap").state, "RT--");
    others.iter_mut().for_each(|client| assert_eq!(client.get("/again").text(), "one"));
}

#[test]
fn who_leaves_is_gone_at_once_and_a_stop_waits_for_nobody() {
    let backend = Backend::named("one");
    let mut beelance = Beelance::before(&[&backend], &format!("limits.connections = 16\n{FOREVER}"));
    trapped(&beelance).reset();
    assert_eq!(beelance.access_to("/trap").state, "CT--");
    let mut held = [trapped(&beelance), trapped(&beelance)];
    assert_eq!(trapped(&beelance).response().status, 500, "the two are in, and the place of the first was free again");
    beelance.signal(Signal::SIGTERM);
    for client in &mut held {
        assert_eq!(client.response().status, 500);
    }
    assert_eq!(beelance.exit_code(), Some(0));
    assert_eq!(beelance.ended().in_use, NOTHING);
}
