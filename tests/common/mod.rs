//! What the end-to-end tests share: the real process, scripted backends, a raw client, nginx, access-log lines.
//!
//! Everything waits for events, with one generous deadline, because the same tests run under qemu on busy machines.
#![allow(dead_code, unused_imports, reason = "each test file is a crate of its own and uses a part of this")]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

pub mod access;
pub mod agent;
pub mod backend;
pub mod beside;
pub mod client;
pub mod counts;
pub mod crowd;
pub mod ctl;
pub mod device;
pub mod dnsmasq;
pub mod fixture;
pub mod haproxy;
pub mod lane;
pub mod memory;
pub mod mob;
pub mod nginx;
pub mod peer;
pub mod port;
pub mod process;
pub mod program;
pub mod prometheus;
pub mod recipe;
pub mod recorder;
pub mod raw;
pub mod redis;
pub mod repeats;
pub mod request;
pub mod rsyslog;
pub mod script;
pub mod tcp_line;
pub mod told;
pub mod tunnel;
pub mod varnish;

use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything may take before a test calls it lost.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// `n`, divided by `BEELANCE_LOAD_DIVISOR` (10 under qemu), at least 1.
pub fn scale(n: usize) -> usize {
    let divisor = std::env::var("BEELANCE_LOAD_DIVISOR").ok().and_then(|d| d.parse().ok()).unwrap_or(1);
    (n / usize::max(divisor, 1)).max(1)
}

/// Looks until `probe` answers; for what gives no event of its own (memory of a process, a port that opens).
#[track_caller]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Looks in a row, at least 5 ms apart, that find a value unchanged until it counts as settled.
const LOOKS: usize = 100;

/// Waits until a value that only time can settle has stopped changing. Looks are counted, not time: on a busy machine
/// who looks waits for his turn as long as who changes it.
#[track_caller]
pub fn settled(mut value: impl FnMut() -> u64) -> u64 {
    let (mut last, mut same) = (value(), 0);
    eventually("the value settles", || {
        let now = value();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == LOOKS).then_some(now)
    })
}

/// `n` bytes in which a lost, doubled or moved piece shows.
pub fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| b'a' + u8::try_from((i + i / 26 + i / 4096) % 26).unwrap()).collect()
}

/// `body` as chunks of `size` bytes (0: sizes that change: 1, 2, 3, ...), with the final one.
pub fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut next) = (body, size.max(1));
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(next.min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
        rest = tail;
        next = if size == 0 { next % 9973 + 1 + next / 2 } else { size };
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Fails unless both are the same; long bodies are not printed, the first difference is.
#[track_caller]
pub fn assert_same(what: &str, got: &[u8], wanted: &[u8]) {
    if got != wanted {
        let at = got.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        panic!("{what}: {} bytes instead of {}, first difference at {at}", got.len(), wanted.len());
    }
}

/// A command that has to be installed; `scripts/test` sees to that.
#[track_caller]
pub fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin", "/sbin"].map(Into::into));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is not installed; scripts/test installs what the tests need")))
}

/// Runs a command to its end within the deadline (plus `extra`) and returns its standard output and exit code.
#[track_caller]
pub fn output(command: &mut Command, extra: Duration) -> process::Output {
    process::Output::of(command, DEADLINE + extra)
}
