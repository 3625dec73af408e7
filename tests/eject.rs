//! Passive checks: the traffic ejects a server that fails, never too many, and one request tells when it is well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok, send};
use common::fixture::Fixture;
use common::process::Beelance;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const OBSERVE: &str = "pool.*.observe = http\npool.*.error-limit = 3\n";

/// A server that answers 503 while its switch is on.
fn moody(name: &'static str) -> (Backend, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(true));
    let mood = Arc::clone(&ill);
    let backend = Backend::start(move |_| match mood.load(Ordering::Relaxed) {
        true => send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
        false => ok(name.as_bytes()),
    });
    (backend, ill)
}

#[test]
fn errors_in_a_row_eject_a_server_and_one_request_brings_it_back() {
    let ((one, ill), two) = (moody("one"), Backend::named("two"));
    let beelance = Beelance::before(&[&one, &two], &format!("{OBSERVE}pool.*.eject-time = 300ms\n"));
    let mut client = beelance.connect();
    for _ in 0..3 {
        assert_eq!((client.get("/").status, client.get("/").status), (503, 200));
    }
    beelance.wait_change("s1", "down", 1);
    // Every 300 ms one request finds out that it is still ill; nothing is said about that.
    one.wait_requests(3);
    while one.count() < 5 {
        let response = client.get("/");
        assert!(response.status == 503 || response.text() == "two");
    }
    assert_eq!(beelance.changes("s1", "down"), 1);
    assert_eq!(beelance.changes("s1", "up"), 0);
    ill.store(false, Ordering::Relaxed);
    while beelance.changes("s1", "up") == 0 {
        client.get("/");
    }
    let seen: Vec<String> = (0..4).map(|_| client.get("/").text().to_owned()).collect();
    assert_eq!(seen.iter().filter(|name| *name == "one").count(), 2, "its share again: {seen:?}");
    assert_eq!((beelance.changes("s1", "down"), beelance.changes("s1", "up")), (1, 1));
    let line = beelance.log().into_iter().find(|line| line.contains("s1 is DOWN")).unwrap();
    assert!(line.contains("reason: Layer7 status, code: 503 (observed). 1 active and 0 backup"), "{line}");
}

#[test]
fn while_it_is_on_trial_a_server_works_on_one_request() {
    let ((one, ill), two) = (moody("one"), Backend::named("two"));
    let beelance = Beelance::before(&[&one, &two], &format!("{OBSERVE}pool.*.eject-time = 100ms\n"));
    let mut client = beelance.connect();
    (0..6).for_each(|_| assert_ne!(client.get("/").status, 404));
    beelance.wait_change("s1", "down", 1);
    ill.store(false, Ordering::Relaxed);
    one.hold();
    let before = one.count();
    let mut trial = Vec::new();
    // Whichever is the one: it hangs at the server until that is let go.
    while one.count() == before {
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        trial.push(client);
        common::eventually("an answer, or the trial", || {
            (one.count() > before || !trial.last().unwrap().is_silent()).then_some(())
        });
    }
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "two");
    }
    assert_eq!((one.count(), beelance.changes("s1", "up")), (before + 1, 0));
    one.open();
    assert_eq!(trial.last_mut().unwrap().response().text(), "one");
    beelance.wait_change("s1", "up", 1);
}

#[test]
fn the_last_server_is_never_ejected() {
    let ((one, _), (two, _)) = (moody("one"), moody("two"));
    let beelance = Beelance::before(&[&one, &two], &format!("{OBSERVE}pool.*.eject-max = 100\n"));
    let mut client = beelance.connect();
    for _ in 0..20 {
        let response = client.get("/");
        assert_eq!((response.status, response.header("x-nothing"), response.text()), (503, None, ""));
    }
    assert_eq!(one.count() + two.count(), 20, "all were answered by a server");
    // What was said of the servers stands before the lines of the requests behind it.
    beelance.access(20);
    assert_eq!(beelance.changes("s1", "down") + beelance.changes("s2", "down"), 1);
}

#[test]
fn no_more_than_a_share_is_ejected() {
    let servers = ["one", "two", "three", "four"].map(moody);
    let backends = servers.each_ref().map(|(backend, _)| backend);
    for (most, down) in [("50", 2), ("25", 1), ("24", 0), ("100", 3)] {
        let beelance = Beelance::before(&backends, &format!("{OBSERVE}pool.*.eject-max = {most}\n"));
        let mut client = beelance.connect();
        for _ in 0..40 {
            assert_eq!(client.get("/").status, 503);
        }
        beelance.access(40);
        let ejected: usize = ["s1", "s2", "s3", "s4"].map(|name| beelance.changes(name, "down")).iter().sum();
        assert_eq!(ejected, down, "eject-max = {most}");
    }
}

#[test]
fn who_fails_while_others_are_down_is_used_again() {
    let ((one, _), mut two) = (moody("one"), Backend::named("two"));
    let beelance =
        Beelance::before(&[&one, &two], &format!("{OBSERVE}pool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n"));
    let mut client = beelance.connect();
    while beelance.changes("s1", "down") == 0 {
        client.get("/");
    }
    two.stop();
    beelance.wait_change("s2", "down", 1);
    beelance.wait_change("s1", "up", 1);
    let before = one.count();
    assert_eq!(beelance.connect().get("/").status, 503);
    assert_eq!(one.count(), before + 1, "an ill server is better than none");
}

#[test]
fn connections_that_fail_eject_without_any_probe() {
    for observe in ["connect", "http"] {
        let (mut one, two) = (Backend::named("one"), Backend::named("two"));
        one.stop();
        let more = format!("pool.*.observe = {observe}\npool.*.error-limit = 3\npool.*.eject-time = 200ms\n");
        let beelance = Beelance::before(&[&one, &two], &more);
        let mut client = beelance.connect();
        while beelance.changes("s1", "down") == 0 {
            assert_eq!(client.get("/").text(), "two");
        }
        one.restart();
        while beelance.changes("s1", "up") == 0 {
            assert_eq!(client.get("/").status, 200, "{observe}");
        }
    }
}

#[test]
fn a_good_response_in_between_forgives() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let one = Backend::start(move |_| match count.fetch_add(1, Ordering::Relaxed) % 3 {
        2 => ok(b"one"),
        _ => send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
    });
    let two = Backend::named("two");
    let beelance = Beelance::before(&[&one, &two], OBSERVE);
    let mut client = beelance.connect();
    (0..40).for_each(|_| assert!([200, 500].contains(&client.get("/").status)));
    beelance.access(40);
    assert_eq!((beelance.changes("s1", "down"), one.count()), (0, 20));
}

#[test]
fn what_is_bound_to_an_ejected_server_moves_and_its_idle_connections_are_closed() {
    let (one, two) = (
        Backend::start(|request| if request.target() == "/ill" { vec![Step::Close] } else { ok(b"one") }),
        Backend::named("two"),
    );
    let more = format!("{OBSERVE}pool.*.cookie = SRV\nbackend.s1.maxconn = 2\npool.*.retries = 0\n");
    let mut fixture = Fixture::new(&[&one, &two], &more);
    const BOUND: &str = "Cookie: SRV=s1\r\n";
    // Fresh connections alone count: a reused one that ends says nothing.
    for _ in 0..2 {
        assert_eq!(fixture.beelance.connect().get_with("/ill", BOUND).status, 502);
    }
    one.hold();
    // One after the other: the first that came is the first that is let go.
    let _ill = fixture.sent("/ill", BOUND);
    one.wait_requests(3);
    let mut fine = fixture.sent("/fine", BOUND);
    one.wait_requests(4);
    let mut waiting = fixture.sent("/waiting", BOUND);
    assert_eq!(one.count(), 4, "it is queued");
    one.release(1);
    let answer = waiting.response();
    fixture.beelance.wait_change("s1", "down", 1);
    assert_eq!((answer.status, answer.text()), (200, "two"));
    assert_eq!(answer.all("set-cookie"), ["SRV=s2; path=/"]);
    one.open();
    assert_eq!(fine.response().text(), "one", "what it works on goes on");
    one.wait_open(0);
}
