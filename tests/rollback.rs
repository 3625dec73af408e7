//! `reload.rollback`: a reload that makes things worse is taken back by itself, any other stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, send};
use common::client::Client;
use common::ctl::{Place, ask};
use common::port::Port;
use common::process::{Beelance, listener_and};
use nix::sys::signal::Signal::SIGTERM;

/// The reason that the log gives for going back.
#[track_caller]
fn went_back(beelance: &Beelance) -> String {
    beelance.wait_log("the previous configuration is back", |lines| {
        let line = lines.iter().find_map(|line| line.split_once("] reload: ")?.1.split_once(" since: the previous"));
        line.map(|(why, _)| why.to_owned())
    })
}

fn one_at(address: impl std::fmt::Display, more: &str) -> String {
    format!("{}backend.s1 = {address}\n{more}", listener_and(&[]))
}

#[test]
fn more_failures_bring_the_previous_configuration_back() {
    let (backend, nobody) = (Backend::named("one"), Port::take());
    let more = "reload.rollback = 20s\npool.*.retries = 0\n";
    let beelance = Beelance::start(&one_at(backend.address(), more));
    let mut client = beelance.connect();
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    let added = format!("listen.new = 127.0.0.1:0\n{more}");
    beelance.reload(&one_at(nobody.address, &added)).unwrap();
    let failed = (0..5).filter(|_| client.get("/").status == 503).count();
    assert_eq!(failed, 5);
    assert_eq!(went_back(&beelance), "5 of 5 requests failed (100 %)");
    assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
    // A file that says what runs changes nothing.
    assert_eq!(beelance.reload(&one_at(backend.address(), more)), Ok("nothing differs".into()));
}

#[test]
fn a_pool_that_loses_all_its_servers_brings_the_previous_configuration_back() {
    let [well, ill] = [Backend::named("well"), Backend::named("ill")];
    ill.set_health(500);
    let more = "reload.rollback = 20s\npool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 20s\npool.*.check.fall = 1\n";
    let beelance = Beelance::start(&one_at(well.address(), more));
    well.wait_more_probes(1);
    assert_eq!(beelance.connect().get("/").text(), "well");
    beelance.reload(&one_at(ill.address(), more)).unwrap();
    assert_eq!(went_back(&beelance), "pool default has no server left");
    beelance.wait_change("s1", "up", 1);
    assert_eq!(beelance.connect().get("/").text(), "well");
}

#[test]
fn what_failed_before_is_not_the_reloads_fault() {
    let nobody = Port::take();
    let more = "reload.rollback = 2s\npool.*.retries = 0\n";
    let beelance = Beelance::start(&one_at(nobody.address, more));
    let mut client = beelance.connect();
    let mut fail = || {
        for _ in 0..20 {
            assert_eq!(client.get("/").status, 503);
        }
    };
    fail();
    // A second reload ends the watch over the first: what it says at last is about nothing that ran before.
    for timeout in ["20s", "21s"] {
        beelance.reload(&one_at(nobody.address, &format!("{more}timeout.client = {timeout}\n"))).unwrap();
        fail();
    }
    stays(&beelance);
}

#[test]
fn the_servers_own_errors_are_not_the_reloads_fault() {
    let backend = Backend::scripted(send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
    let well = Backend::named("well");
    let more = "reload.rollback = 2s\n";
    let beelance = Beelance::start(&one_at(well.address(), more));
    let mut client = beelance.connect();
    assert_eq!(client.get("/").status, 200);
    beelance.reload(&one_at(backend.address(), more)).unwrap();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 500);
    }
    stays(&beelance);
}

#[test]
fn counts_that_an_operator_clears_are_not_the_reloads_fault() {
    let (backend, nobody, socket) = (Backend::named("one"), Port::take(), Place::new());
    let more = format!(
        "reload.rollback = 4s\npool.*.retries = 0\nadmin.socket = {}\nbackend.dead = {}\nbackend.dead.pool = dead\n\
         route.dead.path = /dead\nroute.dead.pool = dead\n",
        socket.0.display(),
        nobody.address
    );
    let beelance = Beelance::start(&one_at(backend.address(), &more));
    let mut client = beelance.connect();
    let mut served = |count: usize, path: &str, status: u16| {
        (0..count).for_each(|_| assert_eq!(client.get(path).status, status, "{path}"));
    };
    served(200, "/", 200);
    beelance.reload(&one_at(backend.address(), &format!("{more}timeout.client = 20s\n"))).unwrap();
    assert_eq!(ask(&socket.0, "clear counters all"), "\n");
    served(120, "/", 200);
    served(5, "/dead", 503);
    stays(&beelance);
}

#[test]
fn who_was_told_to_stop_takes_nothing_back() {
    let backend = Backend::named("one");
    let more = "reload.rollback = 20s\npool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 20s\npool.*.check.fall = 1\ndrain-timeout = 5m\n";
    let mut beelance = Beelance::start(&one_at(backend.address(), more));
    backend.wait_more_probes(1);
    beelance.reload(&one_at(backend.address(), &format!("{more}timeout.client = 1m\n"))).unwrap();
    backend.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    backend.wait_in_flight(1);
    beelance.signal(SIGTERM);
    backend.set_health(500);
    beelance.wait_change("s1", "down", 1);
    beelance.wait_log("the trial is over", |lines| {
        lines.iter().any(|line| line.ends_with("its trial is over: beelance is about to end")).then_some(())
    });
    assert!(Client::try_connect(beelance.web()).is_err());
    backend.open();
    assert_eq!(client.response().text(), "one");
    assert_eq!(beelance.exit_code(), Some(0));
}

/// The reload before stays.
#[track_caller]
fn stays(beelance: &Beelance) {
    beelance.wait_log("the reload stays", |lines| {
        lines.iter().any(|line| line.ends_with("the reload stays")).then_some(())
    });
    assert!(!beelance.log().iter().any(|line| line.contains("is back")));
}
