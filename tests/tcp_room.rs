//! A listener with `mode = tcp` beside one of HTTP: who says nothing costs a place, and keeps nobody out.
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
use common::port::Deaf;
use common::process::{Beelance, NOTHING, listener_and};
use common::raw::RawBackend;
use common::tunnel::assert_open;
use nix::sys::signal::Signal;
use std::net::SocketAddr;

/// A listener `web` before `http`, and `db` with `mode = tcp` before a server at `tcp`, with so many places for both.
fn both(http: &Backend, tcp: SocketAddr, places: usize, more: &str) -> Beelance {
    Beelance::start(&format!(
        "{}listen.db = 127.0.0.1:0\nlisten.db.mode = tcp\nlisten.db.pool = db\nbackend.db1 = {tcp}\nbackend.db1.pool = db\n\
         limits.connections = {places}\ntimeout.queue = 5m\ntimeout.connect = 5m\n{more}",
        listener_and(&[http])
    ))
}

fn to_db(beelance: &Beelance) -> Client {
    Client::connect(beelance.address("db"))
}

fn state_of(beelance: &Beelance, client: &Client) -> String {
    beelance.tcp_line_of(&client.local().to_string()).state
}

#[test]
fn silent_connections_up_to_the_limit_do_not_keep_an_http_client_out() {
    const PLACES: usize = 4;
    let (http, tcp) = (Backend::named("one"), RawBackend::start());
    let mut beelance = both(&http, tcp.address, PLACES, "");
    let mut silent: Vec<_> = (0..PLACES).map(|_| (to_db(&beelance), tcp.accept())).collect();
    let mut client = beelance.connect();
    assert_eq!(client.get("/").text(), "one");
    // The oldest made room, in order on both sides, and it alone.
    let (mut oldest, mut server) = silent.remove(0);
    oldest.ends();
    server.ends();
    assert_eq!(state_of(&beelance, &oldest), "RD");
    for (client, server) in &mut silent {
        assert_open(client, server);
    }
    drop((client, server, silent));
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    assert_eq!(beelance.ended().in_use, NOTHING);
}

#[test]
fn a_silent_connection_stays_while_there_is_room() {
    let (http, tcp) = (Backend::named("one"), RawBackend::start());
    let beelance = both(&http, tcp.address, 3, "");
    let mut silent: Vec<_> = (0..2).map(|_| (to_db(&beelance), tcp.accept())).collect();
    // Longer than a client without a request is spared.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut client = beelance.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "one");
    }
    for (client, server) in &mut silent {
        assert_open(client, server);
    }
}

#[test]
fn a_byte_of_either_side_takes_a_connection_out_of_those_that_make_room() {
    let (http, tcp) = (Backend::named("one"), RawBackend::start());
    let beelance = both(&http, tcp.address, 3, "");
    let mut pairs: Vec<_> = (0..3).map(|_| (to_db(&beelance), tcp.accept())).collect();
    let [(asks, asked), (told, tells), (silent, _)] = &mut pairs[..] else { panic!() };
    asks.send("hello");
    asked.expect("hello");
    tells.send("220 ready");
    told.expect("220 ready");
    // The youngest of the three.
    assert_eq!(beelance.connect().get("/").text(), "one");
    silent.ends();
    for (client, server) in [(asks, asked), (told, tells)] {
        assert_open(client, server);
    }
}

#[test]
fn a_silent_client_in_the_queue_makes_room_and_one_that_said_something_does_not() {
    let (http, tcp) = (Backend::named("one"), RawBackend::start());
    let beelance = both(&http, tcp.address, 4, "backend.db1.maxconn = 1\n");
    let (mut client, mut server) = (to_db(&beelance), tcp.accept());
    assert_open(&mut client, &mut server);
    let mut says = to_db(&beelance);
    says.send("late");
    let mut silent = to_db(&beelance);
    // Accepted behind them: when it has left, they are in the queue.
    let last = to_db(&beelance);
    last.hang_up();
    assert_eq!(state_of(&beelance, &last), "CQ");
    let mut inside = beelance.connect();
    assert_eq!(inside.get("/").text(), "one");
    assert_eq!(beelance.connect().get("/").text(), "one");
    silent.ends();
    assert_eq!(state_of(&beelance, &silent), "RQ");
    assert_eq!(inside.get("/").text(), "one");
    assert_open(&mut client, &mut server);
    drop((client, server));
    let mut server = tcp.accept();
    server.expect("late");
    assert_open(&mut says, &mut server);
}

#[test]
fn a_silent_client_that_is_being_connected_makes_room() {
    let (http, deaf) = (Backend::named("one"), Deaf::listening());
    let beelance = both(&http, deaf.address(), 1, "");
    let mut silent = to_db(&beelance);
    // Whichever listener is looked at first: of these two, one came behind it.
    let _next = to_db(&beelance);
    assert_eq!(beelance.connect().get("/").text(), "one");
    silent.ends();
    assert_eq!(state_of(&beelance, &silent), "RC");
}
