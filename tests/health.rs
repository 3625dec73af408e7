//! Probes find out who is up; who is down gets nothing, and nobody notices more than has to be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, ok, send};
use common::client::User;
use common::process::{Beelance, listener_and};
use common::scale;
use std::sync::atomic::{AtomicUsize, Ordering};

const TCP: &str = "pool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n";
const HTTP: &str = "pool.*.check.inter = 50ms\npool.*.check.timeout = 5s\npool.*.check.uri = /healthz\n";

#[test]
fn a_dead_server_is_taken_out_and_comes_back() {
    for check in [TCP, HTTP] {
        let (mut one, two) = (Backend::named("one"), Backend::named("two"));
        let beelance = Beelance::before(&[&one, &two], check);
        let mut client = beelance.connect();
        let seen: Vec<String> = (0..4).map(|_| client.get("/").text().to_owned()).collect();
        assert!(seen.iter().any(|name| name == "one") && seen.iter().any(|name| name == "two"), "{seen:?}");
        for cycle in 1..=2 {
            one.stop();
            beelance.wait_change("s1", "down", cycle);
            for _ in 0..10 {
                assert_eq!(client.get("/").text(), "two");
            }
            one.restart();
            beelance.wait_change("s1", "up", cycle);
            let seen: Vec<String> = (0..4).map(|_| client.get("/").text().to_owned()).collect();
            assert!(seen.iter().any(|name| name == "one"), "{seen:?}");
        }
        // One line for each change.
        assert_eq!((beelance.changes("s1", "down"), beelance.changes("s1", "up")), (2, 2));
        assert_eq!((beelance.changes("s2", "down"), beelance.changes("s2", "up")), (0, 0));
    }
}

#[test]
fn rise_and_fall_count_in_a_row() {
    // How each probe goes: fewer than `fall` failures in a row and fewer than `rise` successes change nothing.
    const PROBES: &[u8] = b"++--+-+--+---+-+-++++";
    const DOWN_AFTER: usize = 13;
    const UP_AFTER: usize = 19;
    let done = AtomicUsize::new(0);
    let backend = Backend::start(move |request| match request.target() {
        "/probe" => match PROBES.get(done.fetch_add(1, Ordering::Relaxed)).unwrap_or(&b'+') {
            b'+' => ok(b"well"),
            _ => send("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n"),
        },
        _ => ok(b"one"),
    });
    let more = "pool.*.check.inter = 20ms\npool.*.check.timeout = 5s\npool.*.check.uri = /probe\npool.*.check.fall = 3\npool.*.check.rise = 2\n";
    let beelance = Beelance::before(&[&backend], more);
    let probes = || backend.requests().iter().filter(|request| request.target() == "/probe").count();
    beelance.wait_change("s1", "down", 1);
    assert!(probes() >= DOWN_AFTER, "down after {} probes", probes());
    beelance.wait_change("s1", "up", 1);
    assert!(probes() >= UP_AFTER, "up after {} probes", probes());
    assert_eq!(beelance.connect().get("/").text(), "one");
    backend.wait_requests(backend.count() + 5);
    assert_eq!((beelance.changes("s1", "down"), beelance.changes("s1", "up")), (1, 1));
}

#[test]
fn what_a_probe_asks_and_what_it_takes_for_health() {
    // Configuration, the reply, whether it is well.
    let cases = [
        ("", "204 No Content", "", true),
        ("", "302 Found", "", true),
        ("", "404 Not Found", "", false),
        ("", "500 Error", "", false),
        ("pool.*.check.expect = 200\n", "204 No Content", "", false),
        ("pool.*.check.expect = 200, 400-404\n", "403 Forbidden", "", true),
        ("pool.*.check.expect = string:all is well\n", "200 OK", "I say all is well here", true),
        ("pool.*.check.expect = string:all is well\n", "200 OK", "I say all is bad here", false),
        ("pool.*.check.method = HEAD\npool.*.check.host = shop.test\n", "200 OK", "", true),
    ];
    for (more, status, body, well) in cases {
        let reply = if status.starts_with("204") {
            format!("HTTP/1.1 {status}\r\n\r\n")
        } else {
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let backend =
            Backend::start(move |request| if request.target() == "/probe?x=1" { send(&reply) } else { ok(b"one") });
        let config =
            format!("pool.*.check.inter = 30ms\npool.*.check.timeout = 5s\npool.*.check.uri = /probe?x=1\n{more}");
        let beelance = Beelance::before(&[&backend], &config);
        if well {
            backend.wait_requests(6);
            assert_eq!(beelance.changes("s1", "down"), 0, "{more} {status}");
        } else {
            beelance.wait_change("s1", "down", 1);
        }
        let wanted = if well { 200 } else { 503 };
        assert_eq!(beelance.connect().get("/").status, wanted, "{more} {status}");
        let requests = backend.requests();
        let probe = requests.iter().find(|request| request.target() == "/probe?x=1").unwrap();
        let host = more.contains("shop.test").then_some("shop.test");
        assert_eq!(probe.method(), if host.is_some() { "HEAD" } else { "GET" });
        if host.is_some() {
            assert_eq!(probe.header("host"), host);
        }
    }
}

#[test]
fn a_probe_that_is_never_answered_fails() {
    let backend = Backend::start(|request| if request.target() == "/probe" { vec![Step::Hang] } else { ok(b"one") });
    let more = "pool.*.check.inter = 50ms\npool.*.check.uri = /probe\npool.*.check.timeout = 100ms\n";
    let beelance = Beelance::before(&[&backend], more);
    beelance.wait_change("s1", "down", 1);
    assert_eq!(beelance.connect().get("/").status, 503);
}

#[test]
fn who_is_ill_from_the_start_gets_nothing() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    one.set_health(500);
    let beelance = Beelance::before(&[&one, &two], HTTP);
    beelance.wait_change("s1", "down", 1);
    let mut client = beelance.connect();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "two");
    }
}

#[test]
fn without_checks_everybody_is_up() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    assert_eq!(beelance.connect().get("/").text(), "one");
    assert_eq!(backend.accepted(), backend.connections(), "nobody probes");
}

#[test]
fn nobody_up_is_answered_with_503_at_once() {
    let one = Backend::named("one");
    one.set_health(500);
    let beelance = Beelance::before(&[&one], HTTP);
    beelance.wait_change("s1", "down", 1);
    let mut client = beelance.connect();
    for method in ["GET", "DELETE"] {
        client.ask(method, "/", "");
        assert_eq!(client.response().status, 503);
    }
    let line = beelance.access(1).remove(0);
    assert_eq!((line.backend.as_str(), line.state.as_str(), line.status), ("<NOSRV>", "SC--", 503));
    assert_eq!(one.count(), 0);
    one.set_health(200);
    beelance.wait_change("s1", "up", 1);
    assert_eq!(beelance.connect().get("/").text(), "one");
}

/// Clients that send GETs until told to stop; how many responses were no 200.
fn errors_under_load(beelance: &Beelance, clients: usize, meanwhile: impl FnOnce()) -> usize {
    let (errors, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut user = User::new(beelance.web(), "SRV");
                let mut more = 3;
                // Everybody still asks a few times after the event.
                while over.load(Ordering::Relaxed) == 0 || more > 0 {
                    more -= over.load(Ordering::Relaxed).min(more);
                    if !user.try_get("/").is_ok_and(|response| response.status == 200) {
                        errors.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let guard = Set(&over);
        meanwhile();
        drop(guard);
    });
    errors.into_inner()
}

/// Ends the load also when the test fails in between.
struct Set<'a>(&'a AtomicUsize);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

#[test]
fn killed_while_busy_only_what_it_worked_on_is_lost() {
    const MAXCONN: usize = 5;
    let names = ["one", "two", "three", "four"];
    for cookie in ["", "pool.default.cookie = SRV\n"] {
        let mut backends = names.map(Backend::named);
        let more = format!("{HTTP}backend.*.maxconn = {MAXCONN}\npool.*.retries = 1\n{cookie}");
        let beelance = Beelance::before(&backends.each_ref(), &more);
        let mut lost = 0;
        let errors = errors_under_load(&beelance, scale(40).max(4 * MAXCONN), || {
            // No more than these can be on their way to it: the rest waits.
            backends[0].hold();
            backends[0].wait_in_flight(MAXCONN);
            lost = backends[0].stop();
            beelance.wait_change("s1", "down", 1);
        });
        assert_eq!(lost, MAXCONN);
        assert!(errors <= lost, "{errors} errors, {lost} requests were in flight");
        // It listens again but is ill: nothing goes there.
        backends[0].set_health(500);
        backends[0].open();
        let before = backends[0].count();
        backends[0].restart();
        assert_eq!(errors_under_load(&beelance, 8, || backends[0].wait_more_probes(3)), 0);
        assert_eq!(backends[0].count(), before);
    }
}

#[test]
fn killed_while_idle_nothing_is_lost() {
    let names = ["one", "two", "three", "four"];
    let mut backends = names.map(Backend::named);
    let beelance = Beelance::before(&backends.each_ref(), &format!("{HTTP}pool.*.retries = 1\n"));
    // All have idle connections in the pool when one goes.
    assert_eq!(errors_under_load(&beelance, 8, || backends.iter().for_each(|b| b.wait_requests(4))), 0);
    assert_eq!(backends[0].stop(), 0);
    let errors = errors_under_load(&beelance, 8, || beelance.wait_change("s1", "down", 1));
    assert_eq!(errors, 0);
}

#[test]
fn who_waits_for_a_server_that_dies_moves() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    let more = format!("{HTTP}backend.*.maxconn = 1\npool.default.cookie = SRV\n");
    let beelance = Beelance::before(&[&one, &two], &more);
    one.hold();
    let mut busy = beelance.connect();
    busy.ask("GET", "/busy", "Cookie: SRV=s1\r\n");
    one.wait_in_flight(1);
    let mut waiting: Vec<_> = (0..4).map(|_| beelance.connect()).collect();
    for client in &mut waiting {
        client.ask("GET", "/waiting", "Cookie: SRV=s1\r\n");
    }
    one.stop();
    for client in &mut waiting {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "two"));
        assert_eq!(response.all("set-cookie"), ["SRV=s2; path=/"]);
    }
}

#[test]
fn backups_serve_when_no_other_is_up() {
    let (mut one, two) = (Backend::named("one"), Backend::named("backup"));
    let beelance = Beelance::before(&[&one, &two], &format!("{TCP}backend.s2.backup = yes\n"));
    let mut client = beelance.connect();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "one");
    }
    one.stop();
    beelance.wait_change("s1", "down", 1);
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "backup");
    }
    one.restart();
    beelance.wait_change("s1", "up", 1);
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "one");
    }
}

#[test]
fn a_name_that_does_not_resolve_is_a_server_that_is_down() {
    let one = Backend::named("one");
    for check in ["", TCP] {
        let config = listener_and(&[&one]) + "backend.lost = no-such-host.invalid:80\n" + check;
        let beelance = Beelance::start(&config);
        let mut client = beelance.connect();
        for _ in 0..4 {
            assert_eq!(client.get("/").text(), "one");
        }
    }
    let beelance = Beelance::start("listen.web = 127.0.0.1:0\nbackend.lost = no-such-host.invalid:80\n");
    assert_eq!(beelance.connect().get("/").status, 503);
}

#[test]
fn a_name_that_resolves_is_used() {
    let one = Backend::named("one");
    let port = one.address().port();
    let beelance = Beelance::start(&format!("listen.web = 127.0.0.1:0\nbackend.s1 = localhost:{port}\n"));
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn a_closed_port_is_down_from_the_start() {
    let (port, two) = (Port::take(), Backend::named("two"));
    let config = format!("{}backend.s2 = {}\n{TCP}", listener_and(&[&two]), port.address);
    let beelance = Beelance::start(&config);
    beelance.wait_change("s2", "down", 1);
    let mut client = beelance.connect();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "two");
    }
    assert!(beelance.access(6).iter().all(|line| line.counts[4] == 0), "no retries once it is known");
}
