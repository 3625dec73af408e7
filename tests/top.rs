//! `beelance ctl top` in a terminal of its own: it moves, follows the window, and leaves the terminal as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::ctl::{Place, ctl};
use common::process::{Beelance, command};
use common::{eventually, output, tool};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{Pid, ttyname};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A terminal, and `top` in it; killed when dropped.
struct Screen {
    keys: File,
    line: OwnedFd,
    seen: Arc<Mutex<String>>,
    child: Child,
}

impl Screen {
    fn start(socket: &Path) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        let mut output = File::from(master.try_clone().unwrap());
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let child = command()
            .args(["ctl", "-s"])
            .arg(socket)
            .arg("top")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { keys: master.into(), line: slave, seen, child }
    }

    /// Waits until `text` was shown since the last look.
    #[track_caller]
    fn shows(&self, text: &str) {
        eventually(text, || {
            let mut seen = self.seen.lock().unwrap();
            let end = seen.find(text)? + text.len();
            seen.drain(..end);
            Some(())
        });
    }

    /// Whether the terminal gives whole lines and echoes them, as one does.
    fn is_plain(&self) -> bool {
        let plain = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        tcgetattr(&self.line).unwrap().local_flags.contains(plain)
    }

    /// Its exit code, once it has ended; the terminal is as it was.
    #[track_caller]
    fn ends(mut self) -> Option<i32> {
        let status = eventually("its end", || self.child.try_wait().unwrap());
        self.shows("\x1b[?25h\x1b[?1049l");
        assert!(self.is_plain());
        status.code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(backend: &Backend, socket: &Place) -> Beelance {
    let more = format!("admin.socket = {}\nbackend.*.maxconn = 5\npool.default.cookie = SRV\n", socket.0.display());
    Beelance::before(&[backend, backend], &more)
}

#[test]
fn it_moves_and_follows_the_window() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let beelance = start(&backend, &socket);
    let mut screen = Screen::start(&socket.0);
    screen.shows("\x1b[?1049h");
    screen.shows("POOL / SERVER");
    // The last column, whole and not at the window's edge.
    screen.shows("WEIGHT\x1b[0m\x1b[K");
    screen.shows("0 of 5");
    assert!(!screen.is_plain());
    // A request that is under way is seen by itself, a key asks at once.
    backend.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "Cookie: SRV=s2\r\n");
    screen.shows("1 of 5");
    backend.open();
    assert_eq!(client.response().status, 200);
    screen.keys.write_all(b" ").unwrap();
    screen.shows("users stayed 100.0 %");
    screen.shows("0 of 5");
    // A window of four lines has no room for both servers.
    let name = ttyname(&screen.line).unwrap();
    let sized = output(tool("stty").arg("-F").arg(name).args(["rows", "5", "cols", "30"]), Duration::ZERO);
    assert_eq!(sized.code, Some(0), "{}", sized.stderr);
    kill(Pid::from_raw(screen.child.id().try_into().unwrap()), Signal::SIGWINCH).unwrap();
    screen.shows("3 more lines");
    screen.keys.write_all(b"q").unwrap();
    assert_eq!(screen.ends(), Some(0));
}

#[test]
fn whatever_ends_it_the_terminal_is_as_it_was() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let beelance = start(&backend, &socket);
    let begun = || {
        let screen = Screen::start(&socket.0);
        screen.shows("POOL / SERVER");
        screen
    };
    let mut screen = begun();
    screen.keys.write_all(b"\x03").unwrap();
    assert_eq!(screen.ends(), Some(0));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let screen = begun();
        kill(Pid::from_raw(screen.child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(screen.ends(), Some(0), "{signal}");
    }
    // Nobody answers, and nobody has to wait for that.
    let mut screen = begun();
    let signal = |signal| kill(Pid::from_raw(beelance.pid().try_into().unwrap()), signal).unwrap();
    signal(Signal::SIGSTOP);
    screen.keys.write_all(b" ").unwrap();
    screen.keys.write_all(b"more q").unwrap();
    assert_eq!(screen.ends(), Some(0));
    signal(Signal::SIGCONT);
    // Nobody is there any more.
    let screen = begun();
    drop(beelance);
    assert_eq!(screen.ends(), Some(3));
}

#[test]
fn without_a_terminal_it_is_one_table() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let beelance = start(&backend, &socket);
    assert_eq!(beelance.connect().get("/").status, 200);
    let told = ctl(&socket.0, &["top"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(!told.stdout.contains('\x1b'), "{:?}", told.stdout);
    let row = |name: &str| {
        let line = told.stdout.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("POOL")[3..], ["STATE", "IN", "FLIGHT", "WAITING", "RATE/S", "RESPONSE", "ERRORS", "WEIGHT"]);
    assert_eq!(row("default")[..2], ["default", "UP"]);
    assert_eq!(row("s1")[..6], ["s1", "no", "check", "0", "of", "5"]);
    assert_eq!(row("connections")[2..4], ["of", &row("connections")[3]]);
    let none = ctl(&Place::new().0, &["top"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(3), ""));
}
