//! Hostile crowds: ordinary clients get every answer, about as fast as from a twin that nobody attacks, memory stays in
//! its budget, and nothing stays held.
//!
//! What is measured is a ratio: the same client asks the attacked balancer and the twin in turn (`common::beside`), so
//! noise of the machine is in both figures. What is left of it is bounded twice. The best of three rounds counts: a
//! disturbance that lasts does not hit one of the two alone in all three. And the twin's 99th percentile counts as
//! [`SLICE`] at least: with more threads ready than there are cores, one of the two may lose its core for a time slice
//! just when it was to answer. A balancer that waited for a core much longer than it had one ([`STARVED`]) tells about
//! the machine: who has more to do then waits longer for each turn, so of such a round the median counts, and a slice as often
//! as it waited. In
//! an emulator, where both are many times slower and memory is the emulator's, only the answers and the counts at the end
//! are held against anything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok};
use common::beside::{Ordinary, Times, Use, round};
use common::mob::{Conduct, Mob, Tally, need_descriptors};
use common::process::{Beelance, ConfigFile, NOTHING, command, is_native};
use common::{eventually, output, scale, settled};
use nix::sys::signal::Signal::SIGTERM;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much slower the attacked one may be.
const RATIO: u32 = 5;
/// What the kernel may let a ready thread wait while others have its core.
const SLICE: Duration = Duration::from_millis(4);
/// So many times longer than it had a core it waited for one: the others on the machine are more than this test. Alone it
/// waits about as long.
const STARVED: u32 = 3;
const ROUNDS: usize = 3;
/// Deadlines that pass while the test runs, so that the attackers are turned out by them and come back.
const SHORT: &str = "timeout.http-request = 2s\ntimeout.client = 2s\n";

/// Each client acts four times a second.
const SLOWLY: Duration = Duration::from_millis(250);

const KEEP: Ordinary<'static> = Ordinary { how: Use::Keep, clients: 4, requests: 800, headers: "" };
const NEW: Ordinary<'static> = Ordinary { how: Use::New, clients: 2, requests: 300, headers: "" };
/// In a crowd at the door a new client waits for its turn, as anybody who came before it: it must get in.
const AT_THE_DOOR: Ordinary<'static> = Ordinary { how: Use::New, clients: 2, requests: 20, headers: "" };

struct Attack<'a> {
    name: &'a str,
    /// Lines of the configuration of both balancers.
    config: String,
    mobs: Vec<(usize, Conduct)>,
    /// Ordinary clients whose times are compared.
    compared: Vec<Ordinary<'a>>,
    /// Ordinary clients who only must get their answers.
    answered: Vec<Ordinary<'a>>,
}

/// These tests measure: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn backend() -> Backend {
    Backend::start(|request| match request.target() {
        "/large" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 20);
            vec![Step::Send(head.into()), Step::Repeat(vec![b'x'; 1 << 16], 16)]
        }
        _ => ok(b"one"),
    })
}

/// One byte a turn, never the last one.
fn bytewise(start: &str) -> Vec<Vec<u8>> {
    let endless = format!("{start}GET /slow HTTP/1.1\r\nHost: example.com\r\nX-Slow: {}", "s".repeat(1000));
    endless.bytes().map(|byte| vec![byte]).collect()
}

/// Runs the attack; what the mobs saw.
#[track_caller]
fn survive(attack: Attack<'_>) -> Vec<Tally> {
    let _alone = alone();
    let attackers: usize = attack.mobs.iter().map(|(count, _)| count).sum();
    need_descriptors(attackers + 1000);
    let backend = backend();
    let config = format!("listen.web = 127.0.0.1:0\nbackend.s1 = {}\n{}", backend.address(), attack.config);
    let mut report = format!("attack: {}: {attackers} clients\n", attack.name);
    let budget = budget(&config, &mut report);
    let (mut attacked, twin) = (Beelance::start(&config), Beelance::start(&config));
    // It listens before the last of its own is open: its loop has begun when it refuses somebody.
    let mut refused = attacked.connect();
    refused.send("broken\r\n\r\n");
    assert_eq!(refused.response().status, 400);
    drop(refused);
    let at_rest = usize::try_from(settled(|| attacked.descriptors() as u64)).unwrap();
    for ordinary in &attack.compared {
        round(attacked.web(), twin.web(), ordinary);
    }
    let before = attacked.resident();

    let mobs: Vec<_> =
        attack.mobs.into_iter().map(|(count, conduct)| (count, Mob::start(attacked.web(), count, conduct))).collect();
    for (count, mob) in &mobs {
        mob.wait_connected(*count);
    }
    // The attack lasts: those who were closed are back.
    for (count, mob) in &mobs {
        eventually("attackers are closed", || (mob.tally().ended >= count / 2).then_some(()));
    }
    let mut slow = Vec::new();
    for (ordinary, limited) in
        attack.compared.iter().map(|it| (it, true)).chain(attack.answered.iter().map(|it| (it, false)))
    {
        let mut good = false;
        for number in 1..=ROUNDS {
            let before = attacked.scheduled();
            let (loaded, unloaded) = round(attacked.web(), twin.web(), ordinary);
            let after = attacked.scheduled();
            let waits = (after.waited - before.waited).as_millis() / (after.ran - before.ran).as_millis().max(1);
            let waits = u32::try_from(waits).unwrap();
            let starved = waits >= STARVED;
            let (ours, theirs) = (loaded.percentile(99), unloaded.percentile(99));
            let counts = |times: &Times| times.percentile(if starved { 50 } else { 99 });
            good |= counts(&loaded) <= counts(&unloaded).max(SLICE * waits.max(1)) * RATIO;
            let _ = writeln!(
                report,
                "  {:?}, round {number}: {} requests answered; p50 {:?} (unloaded {:?}), p99 {ours:?} (unloaded {theirs:?}){}",
                ordinary.how,
                loaded.len(),
                loaded.percentile(50),
                unloaded.percentile(50),
                if starved { "; it had no core of its own" } else { "" },
            );
        }
        if limited && !good {
            slow.push(ordinary.how);
        }
    }
    let connected: usize = mobs.iter().map(|(_, mob)| mob.connected()).sum();
    let _ = writeln!(report, "  attackers: {connected} connected at the end");
    let peak = attacked.peak_resident();
    let tallies: Vec<Tally> = mobs.into_iter().map(|(_, mob)| mob.stop()).collect();
    tallies.iter().for_each(|tally| report += &format!("  attackers: {tally:?}\n"));

    // What is left are idle connections to the backend.
    fewer("the attackers' connections", || attacked.descriptors().saturating_sub(at_rest + backend.open_connections()));
    attacked.signal(SIGTERM);
    assert_eq!(attacked.exit_code(), Some(0));
    let ended = attacked.ended();
    let _ = writeln!(report, "  resident: {before} before, {peak} at most; budget {budget}");
    let _ = writeln!(report, "  at the end: {} requests; in use: {}", ended.requests, ended.in_use);
    // Not `print`, which is shown only when the test fails.
    std::io::stderr().write_all(report.as_bytes()).unwrap();
    assert_eq!(ended.in_use, NOTHING);
    if is_native() {
        assert!(peak <= budget, "{peak} bytes resident, {budget} allowed");
        assert!(slow.is_empty(), "more than {RATIO} times slower than the twin in {ROUNDS} rounds: {slow:?}");
    }
    tallies
}

/// What `beelance check` says of the memory: its lines go to the report; all of them together, which `limits.memory` allows.
#[track_caller]
fn budget(config: &str, report: &mut String) -> u64 {
    let file = ConfigFile::new(config);
    let output = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
    assert_eq!(output.code, Some(0), "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("# ")).collect();
    lines.iter().for_each(|line| *report += &format!("  {line}\n"));
    let bytes = |name: &str| -> u64 {
        let line = lines.iter().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)).expect(name);
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (together, limit) = (bytes("together"), bytes("limits.memory"));
    assert!(together <= limit, "{together} > {limit}");
    together
}

/// Waits until none is left; as long as they become fewer, it goes on.
#[track_caller]
fn fewer(what: &str, mut left: impl FnMut() -> usize) {
    let mut least = left();
    while least > 0 {
        least = eventually(&format!("{what}: less than {least} are left"), || Some(left()).filter(|now| *now < least));
    }
}

/// Room for `count` connections.
fn room_for(count: usize) -> String {
    format!("limits.connections = {count}\nlimits.memory = 128m\n{SHORT}")
}

#[test]
fn slowloris_while_there_is_room() {
    let count = scale(2000);
    let conduct = Conduct { pieces: bytewise(""), period: SLOWLY, reads: true };
    let tallies = survive(Attack {
        name: "slowloris, with room for all",
        config: room_for(count + 100),
        mobs: vec![(count, conduct)],
        compared: vec![KEEP, NEW],
        answered: vec![],
    });
    // Those who were closed were told why.
    assert!(tallies[0].answers.keys().eq(["408"]), "{tallies:?}");
}

#[test]
fn slowloris_beyond_the_limit() {
    let count = scale(2000);
    let conduct = Conduct { pieces: bytewise(""), period: SLOWLY, reads: true };
    survive(Attack {
        name: "slowloris, five times limits.connections",
        config: room_for(count / 5),
        mobs: vec![(count, conduct)],
        compared: vec![KEEP],
        answered: vec![AT_THE_DOOR],
    });
}

#[test]
fn slow_heads_that_outgrow_a_small_buffer() {
    let count = scale(2000);
    let large = format!("GET /slow HTTP/1.1\r\nHost: example.com\r\nX-Slow: {}", "s".repeat(2100));
    let pieces = [vec![large.into_bytes()], bytewise("")].concat();
    let cookie = format!("Cookie: {}\r\n", "c".repeat(3000));
    survive(Attack {
        name: "slow heads of more than a small buffer",
        config: room_for(count + 100),
        mobs: vec![(count, Conduct { pieces, period: SLOWLY, reads: true })],
        compared: vec![Ordinary { headers: &cookie, ..KEEP }, Ordinary { headers: &cookie, ..NEW }],
        answered: vec![],
    });
}

#[test]
fn clients_that_never_read() {
    let count = scale(200);
    let pieces = vec![b"GET /large HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec()];
    survive(Attack {
        name: "clients that never read a megabyte",
        config: format!("limits.memory = 16m\n{SHORT}"),
        mobs: vec![(count, Conduct { pieces, period: SLOWLY, reads: false })],
        compared: vec![KEEP, NEW],
        answered: vec![],
    });
}

/// A whole request whose head has `fields` more fields and is `size` bytes long.
fn head(size: usize, fields: usize) -> Vec<u8> {
    let mut head = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n".to_owned();
    (1..fields).for_each(|number| head += &format!("X-{number}: v\r\n"));
    let missing = size.saturating_sub(head.len() + "X-0: \r\n\r\n".len());
    head += &format!("X-0: {}\r\n\r\n", "v".repeat(missing));
    head.into_bytes()
}

#[test]
fn header_floods() {
    // As many as the balancer can answer beside others, in a debug build: what is more than that no balancer survives.
    let (count, period) = (scale(100), Duration::from_millis(500));
    let conduct = |pieces| Conduct { pieces: vec![pieces], period, reads: true };
    // limits.header-size is 8k, limits.headers 64.
    let mobs = [head(8192, 62), head(8193, 10), head(4000, 63), head(40_000, 10)];
    let tallies = survive(Attack {
        name: "heads of the greatest size, and beyond",
        // All of them have a place, as they would not be heard otherwise; large buffers there are for one in eight.
        config: format!("limits.connections = 500\nlimits.memory = 40m\n{SHORT}"),
        mobs: mobs.into_iter().map(|head| (count, conduct(head))).collect(),
        compared: vec![KEEP, NEW],
        answered: vec![],
    });
    for (tally, wanted) in tallies.iter().zip(["200", "431", "431", "431"]) {
        // When many come in the same moment the large buffers do not suffice for all of them; on a machine so slow that one waits
        // for its turn longer than a head may take, it is late.
        let of = |status: &str| *tally.answers.get(status).unwrap_or(&0);
        let (answered, refused, late) = (of(wanted), of("503"), of("408"));
        let all: usize = tally.answers.values().sum();
        assert!(answered > refused && answered + refused + late == all, "{tallies:?}");
    }
}

#[test]
fn a_flood_of_connections() {
    // Ten times the limit; some never send a byte, some begin a head.
    let limit = scale(200);
    let silent = Conduct { pieces: vec![], period: SLOWLY, reads: true };
    let begun = Conduct { pieces: vec![b"GET / HT".to_vec()], ..silent.clone() };
    let tallies = survive(Attack {
        name: "connections, ten times limits.connections",
        config: room_for(limit),
        mobs: vec![(limit * 5, silent), (limit * 5, begun)],
        compared: vec![KEEP],
        answered: vec![AT_THE_DOOR],
    });
    assert!(tallies.iter().all(|tally| tally.ended > 0), "nobody had to make room: {tallies:?}");
}
