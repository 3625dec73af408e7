//! What others take from the runtime socket: the last messages, and the state of servers, which a real HAProxy loads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::agent::Agent;
use common::backend::Backend;
use common::ctl::{Place, ask, config, value};
use common::eventually;
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, listener_and};
use std::os::unix::net::UnixStream;

#[test]
fn the_last_messages_are_kept_for_who_looks_later() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let beelance = Beelance::start(&config(&backend, &socket.0, ""));
    ask(&socket.0, "set server shop/s1 state drain; set server shop/s1 state ready");
    let shown = ask(&socket.0, "show log");
    let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    // The same as on standard error, in their order, with their times.
    let told = |line: &str| line.split_once(']').map(|(_, rest)| rest.to_owned());
    let shown: Vec<String> = lines.iter().filter_map(|line| told(line)).collect();
    beelance.wait_log("both are there", |log| {
        let log: Vec<String> = log.iter().filter_map(|line| told(line)).collect();
        (log == shown).then_some(())
    });
    assert!(shown.iter().any(|line| line.contains("Server shop/s1 enters DRAIN state")), "{shown:?}");
    // However many there were, the answer ends, and the last is the last.
    for _ in 0..200 {
        ask(&socket.0, "set server shop/s2 state drain; set server shop/s2 state ready");
    }
    let shown = ask(&socket.0, "show log");
    assert!(shown.len() <= 16 * 1024 + 2, "{} bytes", shown.len());
    assert!(shown.trim_end().ends_with("Server shop/s2 is READY. 3 active and 0 backup servers left."), "{shown}");
    // Who is no operator sees nothing of it.
    assert_eq!(ask(&socket.0, "user; show log"), "\nPermission denied\n\n");
}

#[test]
fn a_haproxy_loads_the_state_of_servers() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours.0, ""));
    ask(&ours.0, "set server shop/s2 state maint; set server shop/s3 state drain; set weight api/a1 7");
    let file = common::process::temporary("server.state");
    std::fs::write(&file, ask(&ours.0, "show servers state")).unwrap();
    let address = backend.address();
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        format!(
            "  load-server-state-from-file global\nglobal\n  nbthread 1\n  stats socket {} level admin\n  server-state-file {}\nfrontend web\n  \
             bind {bind}\n  default_backend shop\nbackend shop\n  balance leastconn\n  server s1 {address}\n  server s2 {address}\n  \
             server s3 {address}\nbackend api\n  server a1 {address} weight 5\n",
            theirs.0.display(),
            file.display()
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    for (server, status) in [("s1", "no check"), ("s2", "MAINT"), ("s3", "DRAIN")] {
        assert_eq!(value(&theirs.0, "shop", server, "status"), status, "{server}");
        assert_eq!(value(&ours.0, "shop", server, "status"), status, "{server}");
    }
    assert_eq!(ask(&theirs.0, "get weight api/a1"), ask(&ours.0, "get weight api/a1"));
    assert_eq!(ask(&theirs.0, "get weight api/a1"), "7 (initial 5)\n\n");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_is_said_of_health_and_agent_holds_until_they_are_asked_again() {
    let (backend, agent, socket) = (Backend::named("one"), Agent::saying("up\n"), Place::new());
    let beelance = Beelance::start(
        &(listener_and(&[&backend])
            + &format!(
                "admin.socket = {}\npool.*.check.uri = /healthz\npool.*.check.inter = 30ms\npool.*.check.timeout = 5s\npool.*.check.agent-port = {}\n",
                socket.0.display(),
                agent.port()
            )),
    );
    let status = |wanted: &str| {
        eventually(wanted, || (value(&socket.0, "default", "s1", "status") == wanted).then_some(()));
        beelance.connect().get("/").status
    };
    assert_eq!(status("UP"), 200);
    // Probes rest: nobody contradicts the operator. What was under way is over when the agent was asked some times.
    assert_eq!(ask(&socket.0, "disable health default/s1; set server default/s1 health down"), "\n\n");
    agent.says(Some("up\n"));
    let probes = backend.probes();
    agent.says(Some("up\n"));
    assert_eq!((status("DOWN"), backend.probes()), (503, probes));
    assert_eq!(ask(&socket.0, "set server default/s1 health up"), "\n");
    assert_eq!(status("UP"), 200);
    // A probe knows better.
    assert_eq!(ask(&socket.0, "set server default/s1 health down; enable health default/s1"), "\n\n");
    backend.wait_more_probes(3);
    assert_eq!(status("UP"), 200);
    let rows = ask(&socket.0, "show log");
    assert_eq!(rows.matches("Server default/s1 is UP").count(), 2, "by the operator, by the probe: {rows}");
    // So it is with the agent.
    assert_eq!(ask(&socket.0, "set server default/s1 agent down; disable agent default/s1"), "\n\n");
    backend.wait_more_probes(3);
    assert_eq!(status("DOWN"), 503);
    // HAProxy's answer, too: nobody would contradict that.
    let refused = "agent checks are not enabled on this server.\n\n";
    assert_eq!(ask(&socket.0, "set server default/s1 agent up"), refused);
    assert_eq!(ask(&socket.0, "enable agent default/s1; set server default/s1 agent down"), "\n\n");
    assert_eq!(status("UP"), 200);
}
