//! `limits.connections` and file descriptors: who has no request makes room, what is beyond waits, nothing spins.
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
use common::process::{Beelance, ConfigFile, command_with_descriptors, listener_and};
use common::{assert_same, eventually, output, pattern, scale, tool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Long enough for nobody here to be closed for idleness.
const PATIENT: &str = "timeout.client = 5m\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\n";
/// What doing nothing for a second may cost, in ticks of 10 ms.
const IDLE_TICKS: u64 = 20;

/// Asserts that beelance does nothing to speak of for a second: a busy loop takes all of it. That nothing happens has no
/// event.
#[track_caller]
fn assert_idle(beelance: &Beelance) {
    let before = beelance.ticks();
    std::thread::sleep(Duration::from_secs(1));
    let ticks = beelance.ticks() - before;
    assert!(ticks <= IDLE_TICKS, "{ticks} ticks in a second with nothing to do");
}

#[test]
fn who_comes_beyond_the_limit_waits_while_all_are_at_work() {
    const LIMIT: usize = 5;
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = {LIMIT}\n"));
    backend.hold();
    let mut inside: Vec<Client> = (0..LIMIT).map(|_| beelance.connect()).collect();
    for client in &mut inside {
        client.ask("GET", "/inside", "");
    }
    backend.wait_in_flight(LIMIT);
    let mut outside: Vec<Client> = (0..3).map(|_| beelance.connect()).collect();
    for client in &mut outside {
        client.ask("GET", "/outside", "");
    }
    assert_idle(&beelance);
    assert!(outside.iter().all(Client::is_silent) && backend.count() == LIMIT, "one too many is served");
    // One leaves, one comes in; leaving by a reset is leaving too.
    for (number, leaving) in inside.drain(..outside.len()).enumerate() {
        if number == 1 {
            leaving.reset()
        } else {
            drop(leaving)
        }
        backend.wait_requests(LIMIT + number + 1);
    }
    backend.open();
    for client in outside.iter_mut().chain(&mut inside) {
        assert_eq!(client.response().text(), "one");
    }
    assert_eq!(backend.targets().iter().filter(|target| *target == "/outside").count(), 3);
}

#[test]
fn who_has_no_request_makes_room_the_oldest_first() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 3\n"));
    let (mut silent, mut begun) = (beelance.connect(), beelance.connect());
    begun.send("GET / HT");
    let mut served = beelance.connect();
    assert_eq!(served.get("/").text(), "one");
    assert_eq!(beelance.connect().get("/").text(), "one");
    silent.ends();
    // The place is free again: two more come, and only one of them needs another's.
    let (mut first, mut second) = (beelance.connect(), beelance.connect());
    assert_eq!(first.get("/").text(), "one");
    assert_eq!(second.get("/").text(), "one");
    assert_eq!(begun.response().status, 503);
    begun.ends();
    assert!(beelance.access(5).iter().any(|line| (line.status, line.state.as_str()) == (503, "RR--")));
    assert_eq!(served.get("/").text(), "one");
}

#[test]
fn who_was_served_long_ago_makes_room_too() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 2\n"));
    let (mut older, mut younger) = (beelance.connect(), beelance.connect());
    assert_eq!(older.get("/").text(), "one");
    assert_eq!(younger.get("/").text(), "one");
    let mut outside = beelance.connect();
    assert_eq!(outside.get("/").text(), "one");
    older.ends();
    assert_eq!(younger.get("/").text(), "one");
}

#[test]
fn slow_large_heads_make_room_for_others() {
    // Sixteen large buffers, twelve of them for heads of requests.
    const HEAD: &str = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Large: ";
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 40\n"));
    let large = format!("{HEAD}{}", "x".repeat(3000));
    let mut slow: Vec<Client> = (0..20).map(|_| beelance.connect()).collect();
    // When this one is served, all of them are accepted: their heads are read in the order in which they come.
    assert_eq!(beelance.connect().get("/").text(), "one");
    for client in &mut slow {
        client.send(&large);
    }
    for client in &mut slow[..8] {
        assert_eq!(client.response().status, 503);
    }
    let mut other = beelance.connect();
    assert_eq!(other.get_with("/", &format!("Cookie: {}\r\n", "c".repeat(3000))).text(), "one");
    assert_eq!(slow[8].response().status, 503);
    // The others go on where they were.
    for client in &mut slow[9..] {
        client.send("\r\n\r\n");
        assert_eq!(client.response().text(), "one");
    }
}

#[test]
fn who_leaves_while_waiting_for_room_does_no_harm() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 1\n"));
    let mut inside = beelance.connect();
    assert_eq!(inside.get("/").text(), "one");
    for reset in [true, false] {
        let mut leaving = beelance.connect();
        leaving.ask("GET", "/left", "");
        if reset { leaving.reset() } else { drop(leaving) }
    }
    let mut staying = beelance.connect();
    staying.ask("GET", "/stayed", "");
    drop(inside);
    assert_eq!(staying.response().text(), "one");
}

#[test]
fn two_listeners_share_the_limit() {
    let backend = Backend::named("one");
    let config = listener_and(&[&backend]) + "listen.other = 127.0.0.1:0\nlimits.connections = 2\n" + PATIENT;
    let beelance = Beelance::start(&config);
    let mut inside = [Client::connect(beelance.web()), Client::connect(beelance.address("other"))];
    for client in &mut inside {
        assert_eq!(client.get("/").text(), "one");
    }
    let mut outside = [Client::connect(beelance.web()), Client::connect(beelance.address("other"))];
    for client in &mut outside {
        client.ask("GET", "/", "");
    }
    assert_idle(&beelance);
    drop(inside);
    for client in &mut outside {
        assert_eq!(client.response().text(), "one");
    }
}

/// Short connections, one after the other by many clients at once; how many got 200, how many another answer.
fn short_connections(beelance: &Beelance, clients: usize, each: usize) -> (usize, usize) {
    let (good, other) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                for _ in 0..each {
                    let mut client = beelance.connect();
                    client.ask("GET", "/", "Connection: close\r\n");
                    let count = if client.response().status == 200 { &good } else { &other };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (good.into_inner(), other.into_inner())
}

#[test]
fn many_short_connections_with_few_descriptors() {
    // What `limits.connections = 20` needs, and no more.
    let backend = Backend::named("one");
    let config = listener_and(&[&backend]) + "limits.connections = 20\n";
    let beelance = Beelance::start_by(command_with_descriptors(124), &config);
    let (clients, each) = (40, scale(50));
    assert_eq!(short_connections(&beelance, clients, each), (clients * each, 0));
    assert!(beelance.descriptors() <= 124);
}

#[test]
fn with_32_descriptors_it_serves_some_and_lets_the_others_wait() {
    let backend = Backend::named("one");
    let beelance = Beelance::start_by(command_with_descriptors(32), &(listener_and(&[&backend]) + PATIENT));
    // They come one after the other: who holds a place without a request makes room.
    let (clients, each) = (20, scale(50).max(2));
    assert_eq!(short_connections(&beelance, clients, each), (clients * each, 0));
    let idle: Vec<Client> = (0..40).map(|_| beelance.connect()).collect();
    assert_idle(&beelance);
    assert!(beelance.descriptors() <= 32);
    drop(idle);
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn too_few_descriptors_for_the_limit_are_told_at_start() {
    let config = ConfigFile::new("listen.web = 127.0.0.1:0\nlimits.connections = 200\n");
    let mut command = command_with_descriptors(64);
    let output = output(command.args(["run", "-c"]).arg(config.path()), Duration::ZERO);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("limits.connections") && output.stderr.contains("descriptors"), "{output:?}");
}

#[test]
fn heads_that_never_end_leave_buffers_for_the_others() {
    let head = |bytes: usize| format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n", "x".repeat(bytes));
    let backend = Backend::start(move |request| match request.target() {
        "/long" => send(format!("{}Content-Length: 5\r\n\r\nsmall", head(5_000))),
        "/longest" => send(format!("{}Content-Length: 5\r\n\r\nsmall", head(15_000))),
        _ => ok(&request.body),
    });
    // There is one large buffer for eight connections, and at least 16 of them.
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 64\n"));
    let mut slow: Vec<Client> = (0..40).map(|_| beelance.connect()).collect();
    for client in &mut slow {
        client.send(format!("GET /slow HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(3_000)));
    }
    // They get no more than their share: who comes later is refused.
    eventually("a slow head is refused", || slow.iter().any(|client| !client.is_silent()).then_some(()));
    let mut client = beelance.connect();
    for (target, bytes) in [("/long", 5_000), ("/longest", 15_000)] {
        for _ in 0..3 {
            let response = client.get(target);
            assert_eq!((response.status, response.text()), (200, "small"), "{target}");
            assert_eq!(response.header("x-long").map(str::len), Some(bytes), "{target}");
        }
    }
    let body = pattern(100_000);
    assert_same("the echo", &client.post("/", &body).body, &body);
    // A slow head that is still held may yet end.
    let mut held: Vec<Client> = slow.into_iter().filter(Client::is_silent).collect();
    assert!(!held.is_empty(), "all slow heads are refused");
    for client in &mut held {
        client.send("\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn long_heads_wait_for_each_other() {
    let backend = Backend::named("one");
    // Sixteen large buffers, twelve of them for heads of requests; each is held until the response begins.
    let config = format!("{PATIENT}limits.connections = 40\nbackend.s1.maxconn = 2\n");
    let beelance = Beelance::before(&[&backend], &config);
    backend.hold();
    let mut clients: Vec<Client> = (0..36).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        client.ask("GET", "/", &format!("Cookie: {}\r\n", "x".repeat(3_000)));
    }
    backend.wait_in_flight(2);
    // A short head needs none of them, not even for a refusal.
    let mut short = beelance.connect();
    short.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(short.response().status, 400);
    assert!(clients.iter().all(Client::is_silent), "nobody is refused");
    backend.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_response_that_goes_on_and_on_does_not_hold_the_buffer_of_its_long_request() {
    // Sixteen large buffers, twelve of them for heads of requests.
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun";
    let backend = Backend::scripted(vec![Step::Send(head.to_vec()), Step::Hang]);
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 40\n"));
    let mut clients: Vec<Client> = (0..20).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        client.ask("GET", "/", &format!("Cookie: {}\r\n", "x".repeat(3_000)));
        assert!(client.head_bytes().starts_with("HTTP/1.1 200 "));
        client.expect("begun");
    }
}

/// Takes the process's descriptors away but for `spare` more than it has open.
#[track_caller]
fn squeeze(beelance: &Beelance, spare: usize) {
    let files = std::fs::read_dir(format!("/proc/{}/fd", beelance.pid())).unwrap();
    let highest = files.filter_map(|file| file.unwrap().file_name().to_str()?.parse::<usize>().ok());
    // Emulators keep some of their own at the upper end.
    let lowest_free = highest.filter(|number| *number < 200).max().unwrap_or(0) + 1;
    let limit = format!("--nofile={0}:{0}", lowest_free + spare);
    let output = output(tool("prlimit").args(["--pid", &beelance.pid().to_string(), &limit]), Duration::ZERO);
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn out_of_descriptors_it_neither_spins_nor_loses_anybody() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], PATIENT);
    assert_eq!(beelance.connect().get("/").text(), "one");
    squeeze(&beelance, 10);
    // Everybody gets some answer, whoever is refused for now included.
    let (clients, each) = (30, scale(50).max(2));
    let (good, other) = short_connections(&beelance, clients, each);
    assert_eq!(good + other, clients * each);
    assert!(good > 0, "nobody was served");
    // Idle clients hold all descriptors; more wait to be accepted.
    let idle: Vec<Client> = (0..20).map(|_| beelance.connect()).collect();
    assert_idle(&beelance);
    drop(idle);
    assert_eq!(beelance.connect().get("/").text(), "one");
}
