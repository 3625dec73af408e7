//! Messages that servers and agents can cause at will: one that flaps floods no log, no other is hidden by it, and what is left out is
//! counted and told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, ok, send};
use common::client::get;
use common::ctl::{Place, ask, value};
use common::process::{Beelance, listener_and};
use common::repeats::{BURST, TOLD, lines_about, most, settled, suppressed, told_and_left_out, wait_for_many};
use common::{eventually, scale};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Each probe is a change, and there are as many as may be.
const HASTY: &str =
    "pool.*.check.inter = 1ms\npool.*.check.timeout = 10s\npool.*.check.rise = 1\npool.*.check.fall = 1\n";

/// A server that is well and ill in turn, while it is told to be.
struct Fickle {
    backend: Backend,
    is_fickle: Arc<AtomicBool>,
}

impl Fickle {
    fn new() -> Self {
        let (is_fickle, probes) = (Arc::new(AtomicBool::new(true)), AtomicUsize::new(0));
        let fickle = Arc::clone(&is_fickle);
        let backend = Backend::start(move |_| {
            if fickle.load(Ordering::Relaxed) && probes.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                ill()
            } else {
                ok(b"")
            }
        });
        Self { backend, is_fickle }
    }

    /// Is well from now on, and was found to be.
    #[track_caller]
    fn calms_down(&self) {
        self.is_fickle.store(false, Ordering::Relaxed);
        self.backend.wait_requests(self.backend.count() + 3);
    }
}

fn ill() -> Vec<Step> {
    send("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n")
}

fn downs(socket: &Path, pool: &str, server: &str) -> usize {
    value(socket, pool, server, "chkdown").parse().unwrap()
}

#[test]
fn a_server_and_an_agent_that_flap_flood_no_log_and_hide_nobody() {
    let began = Instant::now();
    let (fickle, agent) = (Fickle::new(), Agent::new());
    let steady_ill = Arc::new(AtomicBool::new(false));
    let is_ill = Arc::clone(&steady_ill);
    let steady = Backend::start(move |_| if is_ill.load(Ordering::Relaxed) { ill() } else { ok(b"") });
    let guided = Backend::named("guided");
    let socket = Place::new();
    let beelance = Beelance::start(&format!(
        "{HASTY}listen.web = 127.0.0.1:0\nlisten.web.pool = shop\nadmin.socket = {}\nadmin.listen = 127.0.0.1:0\n\
         backend.s1 = {}\nbackend.s1.pool = shop\nbackend.s2 = {}\nbackend.s2.pool = shop\npool.shop.check.uri = /probe\n\
         backend.a1 = {}\nbackend.a1.pool = api\npool.api.check.agent-port = {}\n",
        socket.0.display(),
        fickle.backend.address(),
        steady.address(),
        guided.address(),
        agent.port,
    ));
    let half = scale(1000).max(2 * BURST);
    wait_for_many("changes", half, || downs(&socket.0, "shop", "s1"));
    wait_for_many("orders", half, || agent.turns.load(Ordering::Relaxed));
    // In the midst of it another server of the same pool goes down, and then at times nobody is left.
    assert_eq!((beelance.changes("s2", "down"), lines_about(&beelance, &["pool shop has no server"])), (0, 0));
    assert!(suppressed(&socket.0) > 0);
    steady_ill.store(true, Ordering::Relaxed);
    beelance.wait_change("s2", "down", 1);
    beelance.wait_log("nobody is left", |lines| {
        lines.iter().any(|line| line.contains("pool shop has no server available!")).then_some(())
    });
    steady_ill.store(false, Ordering::Relaxed);
    beelance.wait_change("s2", "up", 1);
    wait_for_many("changes", 2 * half, || downs(&socket.0, "shop", "s1"));
    fickle.calms_down();
    agent.calms_down();
    eventually("both are well", || {
        let is_up = |pool, server| value(&socket.0, pool, server, "status") == "UP";
        (is_up("shop", "s1") && is_up("api", "a1")).then_some(())
    });
    let (drains, turns) = (downs(&socket.0, "api", "BACKEND"), agent.turns.load(Ordering::Relaxed));
    let downs = downs(&socket.0, "shop", "s1");
    let left_out = suppressed(&socket.0);
    let lines = settled(&beelance, left_out);
    // What happened was told, or counted and told of, each time.
    for (what, words, happened) in [
        ("s1", ["Server shop/s1 "], 2 * downs),
        ("s2", ["Server shop/s2 "], 2),
        ("a1", ["Server api/a1 "], turns),
        ("api", ["pool api has "], drains),
    ] {
        let (told, left_out) = told_and_left_out(&lines, &words);
        assert_eq!(told + left_out, happened, "{what}: {told} told, {left_out} left out");
        let (there, most) = (lines.iter().filter(|line| line.contains(words[0])).count(), most(BURST, began));
        assert!(there <= most && (happened <= BURST || told >= BURST), "{what}: {there} lines, {most} may be");
    }
    assert!(lines_about(&beelance, &["pool shop has "]) <= most(BURST, began));
    assert_eq!(told_and_left_out(&lines, &[TOLD]).1, left_out);
    // Who looks at the log now is not deceived.
    for (server, end) in [("shop/s1", "is UP now; "), ("api/a1", "is UP now; ")] {
        let last = lines.iter().rfind(|line| line.contains(server)).unwrap();
        assert!(last.contains(&format!("Server {server} {end}")), "{last}");
    }
    let metrics = get(beelance.address("admin.listen"), "/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains(&format!("\nbeelance_messages_suppressed_total {left_out}\n")), "{metrics}");
}

/// An agent that says `drain` and `ready` in turn.
struct Agent {
    port: u16,
    /// How often it said another word than before.
    turns: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    is_fickle: Arc<AtomicBool>,
}

impl Agent {
    fn new() -> Self {
        let port = Port::take();
        let agent = Self {
            port: port.address.port(),
            turns: Arc::default(),
            asked: Arc::default(),
            is_fickle: Arc::new(AtomicBool::new(true)),
        };
        let (listener, turns, is_fickle) = (port.listener(), Arc::clone(&agent.turns), Arc::clone(&agent.is_fickle));
        let asked = Arc::clone(&agent.asked);
        std::thread::spawn(move || {
            let _port = port;
            for stream in listener.incoming() {
                // A calm one is ready.
                let said = turns.load(Ordering::Relaxed);
                let changes = is_fickle.load(Ordering::Relaxed) || said % 2 == 1;
                let said = turns.fetch_add(usize::from(changes), Ordering::Relaxed) + usize::from(changes);
                let _ = stream.unwrap().write_all(if said % 2 == 1 { b"drain\n" } else { b"ready\n" });
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        agent
    }

    /// Is ready from now on, and was heard.
    #[track_caller]
    fn calms_down(&self) {
        self.is_fickle.store(false, Ordering::Relaxed);
        let before = self.asked.load(Ordering::Relaxed);
        eventually("the agent is asked", || (self.asked.load(Ordering::Relaxed) >= before + 3).then_some(()));
    }
}

#[test]
fn all_servers_may_go_down_at_once() {
    const SERVERS: usize = 30;
    let mut backend = Backend::named("one");
    let socket = Place::new();
    let mut config = format!(
        "listen.web = 127.0.0.1:0\npool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 10s\n\
         admin.socket = {}\n",
        socket.0.display()
    );
    for number in 1..=SERVERS {
        config += &format!("backend.s{number} = {}\nbackend.s{number}.pool = p{}\n", backend.address(), number % 4);
    }
    let beelance = Beelance::start(&config);
    for round in 1..=4 {
        backend.stop();
        (1..=SERVERS).for_each(|number| beelance.wait_change(&format!("s{number}"), "down", round));
        beelance.wait_log("four pools have no server", |lines| {
            let none = lines.iter().filter(|line| line.contains("has no server available!")).count();
            (none >= 4 * round).then_some(())
        });
        backend.restart();
        (1..=SERVERS).for_each(|number| beelance.wait_change(&format!("s{number}"), "up", round));
    }
    assert_eq!(suppressed(&socket.0), 0);
}

#[test]
fn what_an_operator_does_is_always_told() {
    let (fickle, socket) = (Fickle::new(), Place::new());
    let more = format!("{HASTY}pool.*.check.uri = /probe\nadmin.socket = {}\n", socket.0.display());
    let beelance = Beelance::before(&[&fickle.backend], &more);
    wait_for_many("lines left out", 1, || suppressed(&socket.0));
    let count = scale(300).max(2 * BURST);
    for _ in 0..count {
        ask(&socket.0, "set server default/s1 state drain; set server default/s1 state ready");
    }
    beelance.wait_log("each order is told", |lines| {
        let told = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        (told("s1 enters DRAIN state. ") == count && told("s1 is READY. ") == count).then_some(())
    });
    fickle.calms_down();
    eventually("it is well", || (value(&socket.0, "default", "s1", "status") == "UP").then_some(()));
    let happened = 2 * downs(&socket.0, "default", "s1") + 2 * count;
    let lines = settled(&beelance, suppressed(&socket.0));
    let (told, left_out) = told_and_left_out(&lines, &["Server default/s1 "]);
    assert_eq!(told + left_out, happened, "{told} told, {left_out} left out");
}

#[test]
fn what_is_left_out_is_told_before_the_end_and_before_a_reload() {
    let (fickle, socket) = (Fickle::new(), Place::new());
    let config = format!("{HASTY}pool.*.check.uri = /probe\nadmin.socket = {}\n", socket.0.display());
    let config = listener_and(&[&fickle.backend]) + &config;
    let mut beelance = Beelance::start(&config);
    let all_told = |lines: &[String]| {
        let (told, left_out) = told_and_left_out(lines, &["Server default/s1 "]);
        assert!(left_out > 0, "{told} told, none left out");
        told + left_out
    };
    wait_for_many("lines left out", BURST, || suppressed(&socket.0));
    beelance.reload(&config.replace("s1 = ", "other = ")).unwrap();
    let lines = beelance.log();
    let at = lines.iter().position(|line| line.contains("] reloaded ")).unwrap();
    assert!(all_told(&lines[..at]) > BURST, "under the name it had");
    wait_for_many("lines left out", BURST, || {
        let counted = suppressed(&socket.0);
        counted.saturating_sub(told_and_left_out(&beelance.log(), &[TOLD]).1)
    });
    beelance.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    beelance.ended();
    let lines = beelance.log();
    let at = lines.iter().position(|line| line.contains("lag of the loop")).unwrap();
    assert!(told_and_left_out(&lines[at..], &["Server default/other "]).1 > 0, "told at the end");
}
