//! A backend works on `maxconn` requests; the others wait in order, and no slot is lost or idle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok, send};
use common::client::Client;
use common::fixture::Fixture;
use common::process::Beelance;
use common::scale;

#[test]
fn maxconn_is_reached_and_never_exceeded() {
    const MAXCONN: usize = 3;
    let backends = [Backend::named("one"), Backend::named("two")];
    let beelance = Beelance::before(&[&backends[0], &backends[1]], &format!("backend.*.maxconn = {MAXCONN}\n"));
    let clients = scale(40).max(4 * MAXCONN);
    for backend in &backends {
        backend.hold();
    }
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = beelance.connect();
                for number in 0..scale(20) {
                    assert_eq!(client.get(&format!("/{number}")).status, 200);
                }
            });
        }
        for backend in &backends {
            backend.wait_in_flight(MAXCONN);
        }
        for backend in &backends {
            backend.open();
        }
    });
    for backend in &backends {
        assert_eq!(backend.most_in_flight(), MAXCONN);
    }
    assert_eq!(backends[0].count() + backends[1].count(), clients * scale(20));
}

#[test]
fn who_waits_longest_is_served_first() {
    let backend = Backend::named("one");
    let mut fixture = Fixture::new(&[&backend], "backend.s1.maxconn = 1\n");
    backend.hold();
    let targets: Vec<String> = (0..10).map(|number| format!("/{number}")).collect();
    let mut clients: Vec<Client> = targets.iter().map(|target| fixture.sent(target, "")).collect();
    backend.wait_requests(1);
    assert_eq!(backend.targets(), targets[..1], "the others wait");
    // Each end lets exactly the next one in.
    for (number, client) in clients.iter_mut().enumerate() {
        backend.release(1);
        assert_eq!(client.response().status, 200);
        let seen = (number + 2).min(targets.len());
        backend.wait_requests(seen);
        assert_eq!(backend.targets(), targets[..seen]);
    }
    assert_eq!(backend.most_in_flight(), 1);
}

#[test]
fn a_sticky_request_waits_for_its_server_and_a_free_one_goes_anywhere() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let mut fixture = Fixture::new(&[&one, &two], "backend.*.maxconn = 1\npool.default.cookie = SRV\n");
    one.hold();
    let mut first = fixture.sent("/first", "Cookie: SRV=s1\r\n");
    one.wait_in_flight(1);
    let mut sticky = fixture.sent("/sticky", "Cookie: SRV=s1\r\n");
    for _ in 0..3 {
        assert_eq!(fixture.sent("/free", "").response().text(), "two");
    }
    assert_eq!(one.targets(), ["/first"]);
    one.open();
    assert_eq!(first.response().text(), "one");
    let response = sticky.response();
    assert_eq!(response.text(), "one");
    assert!(response.all("set-cookie").is_empty(), "it waited, so it did not move: {:?}", response.head);
}

#[test]
fn the_older_of_the_two_queues_heads_goes_first() {
    for sticky_first in [true, false] {
        let (one, two) = (Backend::named("one"), Backend::named("two"));
        let mut fixture = Fixture::new(&[&one, &two], "backend.*.maxconn = 1\npool.default.cookie = SRV\n");
        one.hold();
        two.hold();
        let _busy = [fixture.sent("/a", "Cookie: SRV=s1\r\n"), fixture.sent("/b", "Cookie: SRV=s2\r\n")];
        one.wait_in_flight(1);
        two.wait_in_flight(1);
        let _waiting = if sticky_first {
            [fixture.sent("/sticky", "Cookie: SRV=s1\r\n"), apart(&mut fixture, "/free")]
        } else {
            [fixture.sent("/free", ""), apart(&mut fixture, "/sticky")]
        };
        one.release(1);
        one.wait_requests(2);
        let next = if sticky_first { "/sticky" } else { "/free" };
        assert_eq!(one.targets(), ["/a", next]);
        assert_eq!(two.targets(), ["/b"]);
    }
}

/// A request that comes at least some milliseconds later: HAProxy's queues know no finer time. Only time makes it later.
#[track_caller]
fn apart(fixture: &mut Fixture, target: &str) -> Client {
    std::thread::sleep(std::time::Duration::from_millis(20));
    fixture.sent(target, if target == "/sticky" { "Cookie: SRV=s1\r\n" } else { "" })
}

#[test]
fn a_free_request_takes_the_first_slot_of_any_server() {
    for freed in [0, 1] {
        let backends = [Backend::named("one"), Backend::named("two")];
        let mut fixture = Fixture::new(&[&backends[0], &backends[1]], "backend.*.maxconn = 1\n");
        for backend in &backends {
            backend.hold();
        }
        let _busy = [fixture.sent("/a", ""), fixture.sent("/b", "")];
        for backend in &backends {
            backend.wait_in_flight(1);
        }
        let mut waiting = fixture.sent("/waiting", "");
        backends[freed].open();
        assert_eq!(waiting.response().text(), ["one", "two"][freed]);
    }
}

#[test]
fn waiting_too_long_is_answered_with_503() {
    let backend = Backend::named("one");
    let mut fixture = Fixture::new(&[&backend], "backend.s1.maxconn = 1\ntimeout.queue = 300ms\n");
    backend.hold();
    let mut busy = fixture.sent("/busy", "");
    backend.wait_in_flight(1);
    let mut late = fixture.sent("/late", "");
    assert_eq!(late.response().status, 503);
    let line = fixture.beelance.access_to("/late");
    assert_eq!((line.state.as_str(), line.status), ("sQ--", 503));
    assert!(line.timers[1] >= 300 && line.timers[2] == -1, "{line:?}");
    backend.open();
    assert_eq!(busy.response().text(), "one");
    assert_eq!(fixture.sent("/next", "").response().text(), "one");
    assert_eq!(backend.targets(), ["/busy", "/next"]);
}

#[test]
fn a_client_that_leaves_is_taken_out() {
    for reset in [false, true] {
        let backend = Backend::named("one");
        let mut fixture = Fixture::new(&[&backend], "backend.s1.maxconn = 1\n");
        backend.hold();
        let mut busy = fixture.sent("/busy", "");
        backend.wait_in_flight(1);
        let leaving = fixture.sent("/leaving", "");
        let mut staying = fixture.sent("/staying", "");
        if reset {
            leaving.reset();
        } else {
            drop(leaving);
        }
        let line = fixture.beelance.access_to("/leaving");
        assert!(line.state.starts_with("CQ"), "{line:?}");
        backend.open();
        assert_eq!(busy.response().text(), "one");
        assert_eq!(staying.response().text(), "one");
        assert_eq!(backend.targets(), ["/busy", "/staying"]);
    }
}

#[test]
fn no_slot_is_lost_however_an_exchange_ends() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec();
    let endings: [(&str, Vec<Step>); 9] = [
        ("a good response", ok(b"fine")),
        ("close before the response", vec![Step::Close]),
        ("reset before the response", vec![Step::Reset]),
        ("garbage", send("SSH-2.0-OpenSSH_9\r\n\r\n")),
        ("close in the head", vec![Step::Send(b"HTTP/1.1 200 O".to_vec()), Step::Close]),
        ("close in the body", vec![Step::Send(half.clone()), Step::Close]),
        ("reset in the body", vec![Step::Send(half.clone()), Step::Reset]),
        ("silence", vec![Step::Hang]),
        ("silence in the body", vec![Step::Send(half), Step::Hang]),
    ];
    for (name, steps) in endings {
        let silent = matches!(steps.last(), Some(Step::Hang));
        let more = format!("backend.s1.maxconn = 2\n{}", if silent { "timeout.server = 1s\n" } else { "" });
        let good = ok(b"good");
        let backend =
            Backend::start(move |request| if request.target() == "/bad" { steps.clone() } else { good.clone() });
        let beelance = Beelance::before(&[&backend], &more);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut client = beelance.connect();
                    client.ask("GET", "/bad", "");
                    let _ = client.try_response(false);
                });
            }
        });
        for _ in 0..4 {
            assert_eq!(beelance.connect().get("/good").text(), "good", "after {name}");
        }
        // A silent backend learns later than its slot is freed that nobody waits for it.
        assert!(silent || backend.most_in_flight() <= 2, "{name}");
    }
}

#[test]
fn no_slot_is_lost_when_clients_leave() {
    let backend = Backend::start(|request| match request.target() {
        "/silent" => vec![Step::Hang],
        "/half" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec()), Step::Hang],
        _ => ok(b"good"),
    });
    let beelance = Beelance::before(&[&backend], "backend.s1.maxconn = 1\n");
    for target in ["/silent", "/half"] {
        let (requests, left) = (backend.count(), backend.left());
        let mut client = beelance.connect();
        client.ask("GET", target, "");
        backend.wait_requests(requests + 1);
        client.reset();
        // Nobody wants the response any more: the backend's connection is closed, its slot is free.
        backend.wait_left(left + 1);
        assert_eq!(beelance.connect().get("/good").text(), "good", "{target}");
    }
}

#[test]
fn beyond_maxqueue_a_sticky_request_moves() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let more = "backend.*.maxconn = 1\nbackend.s1.maxqueue = 1\npool.default.cookie = SRV\n";
    let mut fixture = Fixture::new(&[&one, &two], more);
    one.hold();
    let _busy = fixture.sent("/busy", "Cookie: SRV=s1\r\n");
    one.wait_in_flight(1);
    let mut waiting = fixture.sent("/waiting", "Cookie: SRV=s1\r\n");
    assert_eq!(fixture.sent("/moved", "Cookie: SRV=s1\r\n").response().text(), "two");
    one.open();
    assert_eq!(waiting.response().text(), "one");
}

#[test]
fn idle_backend_connections_hold_no_slot() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "backend.s1.maxconn = 1\n");
    // Both clients keep their connections; the second must not wait for the first one's to close.
    let (mut first, mut second) = (beelance.connect(), beelance.connect());
    for _ in 0..5 {
        assert_eq!(first.get("/").text(), "one");
        assert_eq!(second.get("/").text(), "one");
        assert_eq!(second.post("/", b"x").text(), "one");
    }
}
