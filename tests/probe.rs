//! When probes are sent, and what they take for an answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, ok};
use common::process::{Beelance, listener_and};
use std::time::{Duration, Instant};

/// Timers may be this much early in the eyes of another process.
const EARLY: Duration = Duration::from_millis(20);

/// What lies between probes. Each is noted before it is answered, and the interval begins with the answer: on a busy
/// machine a gap is longer, never shorter.
fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn first_probes_are_spread_over_an_interval() {
    let backends = ["one", "two", "three", "four"].map(Backend::named);
    let more = "pool.*.check.uri = /healthz\npool.*.check.inter = 8s\n";
    let _beelance = Beelance::before(&backends.each_ref(), more);
    for backend in &backends {
        common::eventually("the first probe", || (backend.probes() > 0).then_some(()));
    }
    let first: Vec<Instant> = backends.iter().map(|backend| backend.probe_times()[0]).collect();
    assert!(first.is_sorted(), "in the order of the file: {first:?}");
    // Two seconds apart; how punctually each is seen depends on the machine.
    assert!(first[3] - first[0] >= Duration::from_secs(4), "{:?}", gaps(&first));
    assert!(gaps(&first).into_iter().all(|gap| gap >= Duration::from_millis(100)), "{:?}", gaps(&first));
}

#[test]
fn who_is_down_is_probed_every_downinter() {
    // With an interval of an hour, anything that happens here is due to the other one.
    for (inter, downinter, least) in [("1h", "100ms", 100), ("50ms", "400ms", 400)] {
        let backend = Backend::named("one");
        backend.set_health(500);
        let more = format!(
            "pool.*.check.uri = /healthz\npool.*.check.inter = {inter}\npool.*.check.timeout = 5s\npool.*.check.downinter = {downinter}\n"
        );
        let beelance = Beelance::before(&[&backend], &more);
        beelance.wait_change("s1", "down", 1);
        let down_from = backend.probes();
        backend.wait_more_probes(4);
        let gaps = gaps(&backend.probe_times()[down_from - 1..]);
        let least = Duration::from_millis(least).saturating_sub(EARLY);
        assert!(gaps.iter().all(|gap| *gap >= least), "{inter} {downinter}: {gaps:?}");
    }
}

#[test]
fn who_changes_is_probed_every_fastinter() {
    let backend = Backend::named("one");
    backend.set_health(500);
    let more = "pool.*.check.uri = /healthz\npool.*.check.inter = 1h\npool.*.check.downinter = 100ms\n\
                pool.*.check.timeout = 5s\npool.*.check.fastinter = 300ms\npool.*.check.rise = 4\n";
    let beelance = Beelance::before(&[&backend], more);
    beelance.wait_change("s1", "down", 1);
    backend.set_health(200);
    beelance.wait_change("s1", "up", 1);
    // The last four were good; between them it was on its way up.
    let times = backend.probe_times();
    let gaps = gaps(&times[times.len() - 4..]);
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(300).saturating_sub(EARLY)), "{gaps:?}");
    assert_eq!(beelance.connect().get("/").text(), "one");
    assert_eq!((beelance.changes("s1", "down"), beelance.changes("s1", "up")), (1, 1));
}

#[test]
fn fastinter_on_the_way_down() {
    let backend = Backend::named("one");
    let more = "pool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\npool.*.check.downinter = 1h\n\
                pool.*.check.fastinter = 300ms\npool.*.check.fall = 3\n";
    let beelance = Beelance::before(&[&backend], more);
    backend.wait_more_probes(3);
    backend.set_health(500);
    beelance.wait_change("s1", "down", 1);
    let times = backend.probe_times();
    let gaps = gaps(&times[times.len() - 3..]);
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(300).saturating_sub(EARLY)), "{gaps:?}");
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    // The kernel completes the connections; no program ever takes them.
    for (kind, up) in [("http", false), ("tcp", true)] {
        let (port, other) = (Port::take(), Backend::named("other"));
        let _listener = port.listener();
        let more = format!(
            "backend.silent = {}\npool.*.check = {kind}\npool.*.check.inter = 50ms\npool.*.check.timeout = 1s\n",
            port.address
        );
        let beelance = Beelance::start(&(listener_and(&[&other]) + &more));
        let begin = Instant::now();
        if up {
            // One that is well is probed as often.
            common::eventually("many probes", || (other.accepted() >= 10).then_some(()));
            assert_eq!(beelance.changes("silent", "down"), 0);
        } else {
            beelance.wait_change("silent", "down", 1);
            assert!(begin.elapsed() >= Duration::from_millis(900), "after {:?}", begin.elapsed());
            for _ in 0..4 {
                assert_eq!(beelance.connect().get("/").text(), "other");
            }
            assert_eq!(beelance.changes("silent", "down"), 1);
        }
        assert_eq!(beelance.changes("s1", "down"), 0);
    }
}

#[test]
fn a_reply_is_judged_when_it_is_complete_not_when_the_connection_ends() {
    // HAProxy looks at what has come, and so do servers that keep connections open whatever they are told.
    for (more, target) in [("", "/probe"), ("pool.*.check.host = shop.test\n", "/probe")] {
        let backend = Backend::start(move |request| {
            let reply = ok(b"all is well").remove(0);
            if request.target() == target { vec![reply, Step::Hang] } else { vec![reply] }
        });
        let config = format!(
            "pool.*.check.uri = {target}\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\npool.*.check.fall = 1\n{more}"
        );
        let beelance = Beelance::before(&[&backend], &config);
        backend.wait_requests(4);
        assert_eq!(beelance.changes("s1", "down"), 0, "{more}");
        assert_eq!(beelance.connect().get("/").status, 200);
    }
}

#[test]
fn endless_replies_to_probes_harm_nobody() {
    let backend = Backend::start(|request| match request.target() {
        "/probe" => vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Repeat(vec![b'x'; 1 << 16], 1 << 14)],
        _ => ok(b"one"),
    });
    let more = "pool.*.check.uri = /probe\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n";
    let beelance = Beelance::before(&[&backend], more);
    backend.wait_requests(4);
    assert!(beelance.resident() < 64 << 20 || !common::process::is_native());
    assert_eq!(beelance.connect().get("/").text(), "one");
    assert_eq!(beelance.changes("s1", "down"), 0);
}
