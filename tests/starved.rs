//! Probes have what they need whatever the traffic takes: full load, no descriptors, a loop that lags.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port};
use common::client::Client;
use common::process::{Beelance, ConfigFile, command, command_with_descriptors, listener_and};
use common::{output, scale, tool};
use std::time::Duration;

/// One failure is enough to be down.
const STRICT: &str = "pool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n\
                      pool.*.check.fall = 1\npool.*.check.rise = 1\n";
const PATIENT: &str = "timeout.client = 5m\ntimeout.queue = 5m\ntimeout.server = 5m\n";

/// The descriptors a file needs, as `beelance check` says.
fn descriptors(config: &str) -> usize {
    let file = ConfigFile::new(config);
    let said = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO).stdout;
    let line = said.lines().find(|line| line.contains("file descriptors")).unwrap_or_else(|| panic!("{said}"));
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn no_live_server_is_marked_down_while_connections_and_descriptors_are_used_up() {
    let connections = scale(200).max(20);
    let mut backends = ["one", "two", "three", "dead"].map(Backend::named);
    let config = format!("{}{STRICT}{PATIENT}limits.connections = {connections}\n", listener_and(&backends.each_ref()));
    let needed = descriptors(&config);
    let beelance = Beelance::start_by(command_with_descriptors(needed), &config);
    backends.iter().for_each(Backend::hold);
    let ask = |_| {
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        client
    };
    // All at work, then as many again before the door: who has not asked yet when they come would make room for them.
    let mut clients: Vec<Client> = (0..connections).map(ask).collect();
    let at_work = || backends.iter().map(Backend::in_flight).sum::<usize>();
    common::eventually("all connections are at work", || (at_work() == connections).then_some(()));
    clients.extend((0..connections).map(ask));
    // One dies with all it worked on: what is now free is taken by those before the door.
    backends[3].stop();
    beelance.wait_change("s4", "down", 1);
    for backend in &backends[..3] {
        backend.wait_more_probes(10);
    }
    for name in ["s1", "s2", "s3"] {
        assert_eq!(beelance.changes(name, "down"), 0, "{name} is live");
    }
    backends[..3].iter().for_each(Backend::open);
    let served = clients.iter_mut().filter_map(|client| client.try_response(false).ok());
    let well = served.filter(|response| response.status == 200).count();
    assert!(well >= connections, "{well} of {} served", 2 * connections);
    assert_eq!(beelance.changes("s1", "down"), 0);
}

#[test]
fn a_probe_that_finds_no_descriptor_says_nothing_about_its_server() {
    let (one, dead) = (Backend::named("one"), Port::take());
    let config = format!("{}backend.dead = {}\n{STRICT}log.level = debug\n", listener_and(&[&one]), dead.address);
    let beelance = Beelance::start(&config);
    beelance.wait_change("dead", "down", 1);
    one.wait_more_probes(2);
    let limit = |count: usize| {
        let pid = beelance.pid().to_string();
        let done = tool("prlimit").args(["--pid", &pid, &format!("--nofile={count}:")]).status().unwrap();
        assert!(done.success());
    };
    // None is left, and what is open stays open.
    limit(3);
    let failed = |lines: &[String]| lines.iter().filter(|line| line.contains("probe of default/s1")).count();
    beelance.wait_log("probes that could not be made", |lines| (failed(lines) >= 5).then_some(()));
    assert_eq!(beelance.changes("s1", "down"), 0);
    limit(1000);
    one.wait_more_probes(3);
    assert_eq!((beelance.changes("s1", "down"), beelance.changes("dead", "up")), (0, 0));
}

#[test]
fn a_process_that_stood_still_does_not_blame_its_servers() {
    let (one, other) = (Backend::named("one"), Backend::named("other"));
    let more =
        "pool.*.check.uri = /probe\npool.*.check.inter = 50ms\npool.*.check.timeout = 2s\npool.*.check.fall = 1\n";
    let beelance = Beelance::before(&[&one, &other], more);
    for answered_meanwhile in [true, false] {
        one.hold();
        one.wait_held(1);
        let asked = one.count();
        beelance.frozen(|| {
            if answered_meanwhile {
                one.open();
            }
            // Nothing else makes the probe's time pass.
            std::thread::sleep(Duration::from_millis(2500));
        });
        // It has found out how late it is, by the times of the other server's probes, before the answer comes.
        other.wait_requests(other.count() + 2);
        one.open();
        one.wait_requests(asked + 3);
    }
    let down: Vec<String> = beelance.log().into_iter().filter(|line| line.contains("DOWN")).collect();
    assert!(down.is_empty(), "{down:?}");
}
