//! systemd is told when it is ready, that it is alive, and when it ends: sd_notify(3) to a socket, as systemd would have it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::process::{Beelance, command, is_native, listener_and, temporary};
use common::{DEADLINE, output, tool};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// In systemd's place.
struct Systemd {
    socket: UnixDatagram,
    /// As `NOTIFY_SOCKET` has it.
    name: String,
    path: PathBuf,
}

impl Systemd {
    fn at_a_path() -> Self {
        let path = temporary("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::of(socket, path.display().to_string(), path)
    }

    fn by_name() -> Self {
        let name = temporary("notify").display().to_string().replace('/', "-");
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self::of(socket, format!("@{name}"), PathBuf::new())
    }

    fn of(socket: UnixDatagram, name: String, path: PathBuf) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, name, path }
    }

    fn command(&self) -> Command {
        let mut command = command();
        command.env("NOTIFY_SOCKET", &self.name);
        command
    }

    /// The next message: its variables.
    #[track_caller]
    fn next(&self) -> BTreeMap<String, String> {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("a message");
        let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
        text.lines()
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[track_caller]
    fn is_told_ready_by(&self, pid: u32) {
        let message = self.next();
        assert_eq!((message["READY"].as_str(), message["MAINPID"].as_str()), ("1", pid.to_string().as_str()));
        assert_eq!(message["STATUS"], "serving");
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn it_says_that_it_is_ready_and_that_it_stops() {
    for systemd in [Systemd::at_a_path(), Systemd::by_name()] {
        let backend = Backend::named("s1");
        let mut beelance = Beelance::start_by(systemd.command(), &listener_and(&[&backend]));
        systemd.is_told_ready_by(beelance.pid());
        assert_eq!(beelance.connect().get("/").status, 200);
        beelance.signal(Signal::SIGTERM);
        let message = systemd.next();
        assert_eq!(message["STOPPING"], "1");
        assert!(message["STATUS"].starts_with("finishing"), "{message:?}");
        assert_eq!(beelance.exit_code(), Some(0));
    }
}

#[test]
fn who_stops_while_it_reloads_is_not_ready_again() {
    let (systemd, backend, silent) =
        (Systemd::at_a_path(), Backend::named("s1"), UdpSocket::bind("127.0.0.1:0").unwrap());
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    let text = listener_and(&[&backend]) + &format!("resolver.nameservers = {}\n", silent.local_addr().unwrap());
    let mut beelance = Beelance::start_by(systemd.command(), &text);
    systemd.is_told_ready_by(beelance.pid());
    backend.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    backend.wait_in_flight(1);
    fs::write(beelance.config(), text + "backend.new = app.test:80\n").unwrap();
    beelance.signal(Signal::SIGHUP);
    assert_eq!(systemd.next()["RELOADING"], "1");
    // The name is looked up.
    silent.recv(&mut [0; 512]).unwrap();
    beelance.signal(Signal::SIGTERM);
    assert_eq!(systemd.next()["STOPPING"], "1");
    beelance.wait_log("the reload is over", |lines| {
        lines.iter().any(|line| line.contains("reload: beelance is about to end")).then_some(())
    });
    backend.open();
    assert_eq!(client.response().text(), "s1");
    assert_eq!(beelance.exit_code(), Some(0));
    systemd.socket.set_nonblocking(true).unwrap();
    let more = systemd.socket.recv(&mut [0; 4096]).map_err(|error| error.kind());
    assert_eq!(more, Err(std::io::ErrorKind::WouldBlock), "nothing follows");
}

#[test]
fn systemds_own_tool_says_it_in_the_same_form() {
    let systemd = Systemd::at_a_path();
    let mut theirs = tool("systemd-notify");
    let pid = std::process::id();
    theirs
        .args(["--no-block", "--ready", "--status=serving", &format!("--pid={pid}")])
        .env("NOTIFY_SOCKET", &systemd.name);
    assert_eq!(output(&mut theirs, Duration::ZERO).code, Some(0));
    systemd.is_told_ready_by(pid);
}

#[test]
fn it_gives_signs_of_life_when_it_is_asked_for_them() {
    let (systemd, backend) = (Systemd::at_a_path(), Backend::named("s1"));
    let mut command = systemd.command();
    command.env("WATCHDOG_USEC", "100000");
    let beelance = Beelance::start_by(command, &listener_and(&[&backend]));
    systemd.is_told_ready_by(beelance.pid());
    for _ in 0..3 {
        assert_eq!(systemd.next(), BTreeMap::from([("WATCHDOG".to_owned(), "1".to_owned())]));
    }
    // Until it ends.
    beelance.signal(Signal::SIGTERM);
    while !systemd.next().contains_key("STOPPING") {}
}

#[test]
fn who_was_not_asked_gives_none() {
    let (systemd, backend) = (Systemd::at_a_path(), Backend::named("s1"));
    let mut command = systemd.command();
    // Another process was: such variables are inherited. A sign every millisecond would not be overlooked.
    command.env("WATCHDOG_USEC", "2000").env("WATCHDOG_PID", "1");
    let beelance = Beelance::start_by(command, &listener_and(&[&backend]));
    systemd.is_told_ready_by(beelance.pid());
    for _ in 0..20 {
        assert_eq!(beelance.connect().get("/").status, 200);
    }
    beelance.signal(Signal::SIGTERM);
    assert_eq!(systemd.next()["STOPPING"], "1");
}

#[test]
fn a_socket_that_is_not_there_or_takes_nothing_keeps_nobody() {
    let backend = Backend::named("s1");
    let mut nowhere = command();
    nowhere.env("NOTIFY_SOCKET", temporary("nobody"));
    let beelance = Beelance::start_by(nowhere, &listener_and(&[&backend]));
    assert_eq!(beelance.connect().get("/").status, 200);
    beelance.wait_log("a word about it", |lines| {
        lines.iter().any(|line| line.contains("NOTIFY_SOCKET") && line.contains("told nothing")).then_some(())
    });
    // Nobody reads, and soon the queue is full.
    let systemd = Systemd::at_a_path();
    let mut command = systemd.command();
    command.env("WATCHDOG_USEC", "2000");
    let beelance = Beelance::start_by(command, &listener_and(&[&backend]));
    for _ in 0..50 {
        assert_eq!(beelance.connect().get("/").status, 200);
    }
}

#[test]
fn it_is_within_reach_from_a_chroot() {
    if !is_native() || !geteuid().is_root() {
        eprintln!("SKIPPED, needs root and no emulator: a chroot");
        return;
    }
    let (systemd, backend, root) = (Systemd::at_a_path(), Backend::named("s1"), temporary("root"));
    fs::create_dir(&root).unwrap();
    let keys = format!("user = 54321\ngroup = 54322\nchroot = {}\n", root.display());
    let mut beelance = Beelance::start_by(systemd.command(), &(listener_and(&[&backend]) + &keys));
    systemd.is_told_ready_by(beelance.pid());
    beelance.signal(Signal::SIGTERM);
    assert_eq!(systemd.next()["STOPPING"], "1");
    assert_eq!(beelance.exit_code(), Some(0));
    fs::remove_dir(root).unwrap();
}
