//! Real software over `mode = tcp`: Redis behind, redis-cli and many sessions in front, and the recipe of docs/recipes.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::process::Beelance;
use common::redis::{Redis, Session};
use common::{eventually, output, recipe, scale, tool};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The recipe as it stands, but for the addresses.
#[track_caller]
fn run_recipe(servers: [SocketAddr; 2]) -> Beelance {
    let [first, second] = servers.map(|address| address.to_string());
    let replaced = [("0.0.0.0:6379", "127.0.0.1:0"), ("192.168.1.21:6379", &first), ("192.168.1.22:6379", &second)];
    Beelance::start(&recipe::with(recipe::block("beelance", "redis"), &replaced))
}

/// What redis-cli prints for these words.
#[track_caller]
fn redis_cli(address: SocketAddr, words: &[&str]) -> String {
    let mut command = tool("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]).args(words);
    let output = output(&mut command, Duration::ZERO);
    assert_eq!(output.code, Some(0), "{words:?}: {output:?}");
    output.stdout.trim_end().to_owned()
}

#[test]
fn the_recipe_moves_clients_to_the_standby_and_back() {
    let (mut first, second) = (Redis::start("first"), Redis::start("second"));
    let beelance = run_recipe([first.address(), second.address()]);
    let address = beelance.address("redis");
    assert_eq!(redis_cli(address, &["GET", "name"]), "first");
    // As much as does not fit any buffer, there and back.
    let value = "x".repeat(300_000);
    assert_eq!(redis_cli(address, &["SET", "large", &value[..100_000]]), "OK");
    assert_eq!(redis_cli(address, &["APPEND", "large", &value[..100_000]]), "200000");
    assert_eq!(redis_cli(address, &["GET", "large"]), value[..200_000]);

    let mut open = Session::open(address);
    assert_eq!(open.ask("GET name"), Ok("first".to_owned()));
    first.kill();
    assert!(open.ask("GET name").is_err(), "its server is gone");
    beelance.wait_change("redis1", "down", 1);
    assert_eq!(redis_cli(address, &["GET", "name"]), "second");
    let mut stays = Session::open(address);
    assert_eq!(stays.ask("GET name"), Ok("second".to_owned()));

    first.start_again("first");
    beelance.wait_change("redis1", "up", 1);
    assert_eq!(redis_cli(address, &["GET", "name"]), "first");
    assert_eq!(stays.ask("GET name"), Ok("second".to_owned()));
}

#[test]
fn clients_of_a_server_that_is_killed_go_on_with_the_other() {
    const CLIENTS: usize = 8;
    let (mut one, two) = (Redis::start("one"), Redis::start("two"));
    // No probes: a connection that fails is tried again elsewhere.
    let beelance = Beelance::start(&format!(
        "listen.redis = 127.0.0.1:0\nlisten.redis.mode = tcp\nbackend.one = {}\nbackend.two = {}\nlog.access = stderr\npool.*.retry-budget = 1000\n",
        one.address(),
        two.address()
    ));
    let address = beelance.address("redis");
    let (over, dead) = (AtomicBool::new(false), AtomicBool::new(false));
    let (asked, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let client = || {
        let mut session = None;
        while !over.load(Ordering::Relaxed) {
            let open = session.get_or_insert_with(|| Session::open(address));
            match open.ask("INCR counter") {
                Ok(answer) => {
                    assert!(answer.starts_with(':'), "{answer}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                // What was under way is lost with its server; the next connection must work. A process that is killed may
                // close its connections before its listener, which accepts and resets until then: wait for its end.
                Err(_) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                    eventually("its server has ended", || dead.load(Ordering::Relaxed).then_some(()));
                    let mut next = Session::open(address);
                    assert_eq!(next.ask("PING"), Ok("+PONG".to_owned()), "a new connection works at once");
                    session = Some(next);
                }
            }
        }
    };
    let more = |what: &str| {
        let before = asked.load(Ordering::Relaxed);
        eventually(what, || (asked.load(Ordering::Relaxed) >= before + scale(2000)).then_some(()));
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        more("both are asked");
        one.kill();
        dead.store(true, Ordering::Relaxed);
        let end = Ender(&over);
        eventually("the clients of the dead one notice", || {
            let failed = clients.iter().any(|client| client.is_finished());
            assert!(!failed, "a client gave up");
            (lost.load(Ordering::Relaxed) >= CLIENTS / 2).then_some(())
        });
        more("the other one is asked");
        drop(end);
    });
    // Each lost its connection once, those of the other server never.
    assert_eq!(lost.load(Ordering::Relaxed), CLIENTS / 2);
    let lines = beelance.tcp_lines(CLIENTS + CLIENTS / 2);
    let (dead, other): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.backend == "one");
    assert_eq!((dead.len(), other.len()), (CLIENTS / 2, CLIENTS), "{lines:?}");
    assert!(dead.iter().all(|line| matches!(line.state.as_str(), "SD" | "--")), "{dead:?}");
    // Some of the new connections were to go to the dead one first.
    assert!(other.iter().any(|line| line.redispatched && line.counts[4] == 1), "{other:?}");
}

/// Ends the clients, also when the test fails.
struct Ender<'a>(&'a AtomicBool);

impl Drop for Ender<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
