//! With nothing to do the process sleeps, also when connections end halfway: no wake-ups, no busy loop.
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
use common::dnsmasq::Dnsmasq;
use common::process::{Beelance, command, is_native};
use std::time::Duration;

const PATIENT: &str =
    "timeout.client = 5m\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\ntimeout.server = 5m\n";
/// Wake-ups in two seconds: a handful, for what the system does of its own accord.
const HANDFUL: u64 = 12;
/// What doing nothing for two seconds may cost, in ticks of 10 ms.
const IDLE_TICKS: u64 = 20;

/// Asserts that beelance sleeps for two seconds. That nothing happens has no event.
#[track_caller]
fn assert_sleeps(beelance: &Beelance, what: &str) {
    let (ticks, wakeups) = (beelance.ticks(), beelance.wakeups());
    std::thread::sleep(Duration::from_secs(2));
    let (ticks, wakeups) = (beelance.ticks() - ticks, beelance.wakeups() - wakeups);
    assert!(ticks <= IDLE_TICKS, "{what}: {ticks} ticks in two seconds");
    // An emulator's own threads come and go.
    assert!(!is_native() || wakeups <= HANDFUL, "{what}: {wakeups} wake-ups in two seconds");
}

#[test]
fn idle_connections_cost_nothing() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], PATIENT);
    let mut clients: Vec<Client> = (0..10).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "one");
    }
    assert_sleeps(&beelance, "idle clients and pooled connections");
    // Nobody needs the pooled connections: they go one after the other.
    backend.wait_open(0);
    assert_sleeps(&beelance, "idle clients, after the purge");
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "one");
    }
}

#[test]
fn a_name_wakes_nobody_while_its_answer_is_good() {
    let dns = Dnsmasq::knowing("127.0.0.1 app.test\n");
    let backend = Backend::named("one");
    let beelance = Beelance::start(&format!(
        "listen.web = 127.0.0.1:0\nbackend.s1 = app.test:{}\nbackend.many = app.test:9\nbackend.many.slots = 8\n\
         backend.many.pool = many\npool.many.check.inter = 20ms\nbackend.many1.pool = default\nbackend.many1.weight = 0\n\
         resolver.nameservers = {}\nresolver.hold = 1h\n{PATIENT}",
        backend.address().port(),
        dns.address()
    ));
    assert_eq!(beelance.connect().get("/").text(), "one");
    backend.wait_open(0);
    assert_sleeps(&beelance, "names with good answers, and free slots that would be probed");
}

#[test]
fn a_backend_that_closes_its_idle_connection() {
    for end in [Step::Close, Step::Reset] {
        let backend = Backend::start(move |_| {
            let Step::Send(reply) = ok(b"one").remove(0) else { unreachable!() };
            vec![Step::Send(reply), end.clone()]
        });
        let beelance = Beelance::before(&[&backend], PATIENT);
        let mut client = beelance.connect();
        assert_eq!(client.get("/").text(), "one");
        assert_sleeps(&beelance, "the backend closed");
        assert_eq!(client.get("/").text(), "one");
    }
}

#[test]
fn lines_that_nobody_reads() {
    // More than the pipe and the buffer before it hold.
    let beelance =
        Beelance::start_unread(command(), &format!("listen.web = 127.0.0.1:0\nlog.access = stderr\n{PATIENT}"));
    let mut client = beelance.connect();
    let long = "x".repeat(900);
    for _ in 0..200 {
        assert_eq!(client.get(&format!("/{long}")).status, 503);
    }
    assert_sleeps(&beelance, "standard error takes no more");
}

#[test]
fn clients_that_end_while_idle() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], PATIENT);
    let mut before = beelance.connect();
    before.half_close();
    before.ends();
    let mut after = beelance.connect();
    assert_eq!(after.get("/").text(), "one");
    after.half_close();
    after.ends();
    assert_sleeps(&beelance, "half-closed while idle");
    let mut client = beelance.connect();
    assert_eq!(client.get("/").text(), "one");
    client.reset();
    beelance.connect().reset();
    assert_sleeps(&beelance, "reset while idle");
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn clients_that_end_in_the_middle_of_a_request() {
    for part in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome"] {
        let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"one").remove(0)]);
        let beelance = Beelance::before(&[&backend], PATIENT);
        let mut half = beelance.connect();
        half.send(part);
        half.half_close();
        let _ = half.until_end();
        assert_sleeps(&beelance, "half-closed in a request");
        let mut gone = beelance.connect();
        gone.send(part);
        gone.reset();
        assert_sleeps(&beelance, "reset in a request");
        assert_eq!(beelance.connect().get("/").text(), "one");
    }
}

#[test]
fn clients_that_end_while_the_backend_works() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], PATIENT);
    backend.hold();
    let (mut half, mut gone) = (beelance.connect(), beelance.connect());
    half.ask("GET", "/", "");
    gone.ask("GET", "/", "");
    backend.wait_in_flight(2);
    half.half_close();
    gone.reset();
    assert_sleeps(&beelance, "ended while the backend works");
    backend.open();
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn ends_in_the_middle_of_a_response() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    let backend = Backend::start(move |request| match request.target() {
        "/half" => vec![Step::Send(half.clone()), Step::Hang],
        _ => send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
    });
    let beelance = Beelance::before(&[&backend], PATIENT);
    // The client sends no more but still reads: the response goes on, and nothing turns meanwhile.
    let mut client = beelance.connect();
    client.ask("GET", "/half", "");
    client.some();
    client.half_close();
    assert_sleeps(&beelance, "half-closed in a response");
    client.reset();
    backend.wait_left(1);
    let mut client = beelance.connect();
    client.ask("GET", "/half", "");
    client.some();
    client.reset();
    backend.wait_left(2);
    assert_sleeps(&beelance, "reset in a response");
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn a_client_that_reads_nothing() {
    let backend = Backend::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n".to_vec();
        vec![Step::Send(head), Step::Repeat(vec![b'x'; 1 << 16], 1 << 10)]
    });
    let beelance = Beelance::before(&[&backend], PATIENT);
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    let _ = common::settled(|| backend.sent());
    assert_sleeps(&beelance, "a client that reads nothing");
    client.half_close();
    assert_sleeps(&beelance, "a client that reads nothing, half-closed");
    client.reset();
    backend.wait_left(1);
    assert_sleeps(&beelance, "after it");
}
