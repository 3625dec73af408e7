//! `set maxconn global` and `set maxconn frontend` beside HAProxy's: what they answer, and who waits.
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
use common::ctl::{Place, ask, ctl, value};
use common::eventually;
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, listener_and};
use std::os::unix::net::UnixStream;

const PATIENT: &str = "timeout.client = 5m\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\n";

fn config(backend: &Backend, socket: &Place) -> String {
    listener_and(&[backend])
        + &format!(
            "admin.socket = {}\nlimits.connections = 100\nlisten.other = 127.0.0.1:0\n{PATIENT}",
            socket.0.display()
        )
}

#[test]
fn the_answers_are_haproxys() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours));
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        format!(
            "global\n  maxconn 100\n  stats socket {} level admin\nfrontend web\n  bind {bind}\n  default_backend default\n\
             backend default\n  server s1 {}\n",
            theirs.0.display(),
            backend.address()
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    for line in [
        "set maxconn frontend",
        "set maxconn frontend zz 1",
        "set maxconn frontend web",
        "set maxconn frontend web -1",
        "set maxconn frontend web 50",
        "set maxconn global",
        "set maxconn global 60",
        "set maxconn global 0",
        "set maxconn global 100",
        "operator; set maxconn global 1; set maxconn frontend web 1",
    ] {
        assert_eq!(ask(&ours.0, line), ask(&theirs.0, line), "{line}");
    }
    let told = ctl(&ours.0, &["set", "maxconn", "global", "101"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        told.stderr,
        "Value out of range: the tables and the memory budget have 100 connections (limits.connections).\n"
    );
    for (line, answer) in [
        ("set maxconn global x", "Integer value expected.\n\n"),
        ("set maxconn global -4", "Value out of range.\n\n"),
        ("set maxconn frontend web 5x", "Integer value expected.\n\n"),
        ("set maxconn frontend web 99999999999999999999", "Integer value expected.\n\n"),
    ] {
        assert_eq!(ask(&ours.0, line), answer, "{line}");
    }
}

/// Two of three clients at work are served; the third is when the limit is raised, and so is a fourth when one has left.
fn hold(line: fn(u32) -> String, slim: impl Fn(&Place) -> String) {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::start(&config(&backend, &socket));
    assert_eq!(ask(&socket.0, &line(2)), "\n");
    assert_eq!(slim(&socket), "2");
    backend.hold();
    let mut clients: Vec<Client> = (0..4).map(|_| beelance.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("GET", "/", ""));
    backend.wait_held(2);
    // What comes to another listener meanwhile tells that the loop has seen the others.
    eventually("two are here", || (value(&socket.0, "web", "FRONTEND", "scur") == "2").then_some(()));
    assert_eq!(ask(&socket.0, &line(3)), "\n");
    backend.wait_held(3);
    assert_eq!(value(&socket.0, "web", "FRONTEND", "scur"), "3");
    // A lower limit sends nobody away.
    assert_eq!(ask(&socket.0, &line(1)), "\n");
    backend.open();
    for client in &mut clients[..3] {
        assert_eq!(client.response().text(), "one");
    }
    clients.drain(..3);
    assert_eq!(clients[0].response().text(), "one");
    assert_eq!(ask(&socket.0, &line(0)), "\n");
    assert_eq!(slim(&socket), "100");
}

#[test]
fn a_listener_takes_as_many_as_it_may() {
    hold(|count| format!("set maxconn frontend web {count}"), |socket| value(&socket.0, "web", "FRONTEND", "slim"));
}

#[test]
fn all_listeners_take_as_many_as_they_may() {
    hold(
        |count| format!("set maxconn global {count}"),
        |socket| {
            let info = ask(&socket.0, "show info");
            assert!(info.contains("\nHard_maxconn: 100\n"), "{info}");
            info.lines().find_map(|line| Some(line.strip_prefix("Maxconn: ")?.to_owned())).unwrap()
        },
    );
}

#[test]
fn the_limit_of_one_listener_is_no_others() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::start(&config(&backend, &socket));
    assert_eq!(ask(&socket.0, "set maxconn frontend web 1"), "\n");
    let mut first = beelance.connect();
    assert_eq!(first.get("/").text(), "one");
    let mut waits = beelance.connect();
    waits.ask("GET", "/", "");
    assert_eq!(Client::connect(beelance.address("other")).get("/").text(), "one");
    drop(first);
    assert_eq!(waits.response().text(), "one");
}
