//! Lines for a syslog: understood by a real one, in both forms, and never waited for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::access::Line;
use common::backend::Backend;
use common::client::Client;
use common::ctl;
use common::port::has_v6;
use common::process::{Beelance, ConfigFile, command, is_native, listener_and, temporary};
use common::rsyslog::Rsyslog;
use common::{DEADLINE, eventually, output, scale, tool};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// `web` before one backend; lines go where `log` says.
fn start(backend: &Backend, log: &str) -> Beelance {
    Beelance::start(&(listener_and(&[backend]).replace("log.access = stderr\n", "") + log))
}

fn host() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

/// The text behind a header is an access line.
#[track_caller]
fn line(text: &str) -> Line {
    Line::find(&format!("Nov 23 23:59:16 h beelance[1]: {text}")).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn the_daemon_of_this_machine_understands_lines_and_messages() {
    let (backend, rsyslog) = (Backend::named("one"), Rsyslog::start());
    let socket = rsyslog.socket();
    let log = format!(
        "log.access = syslog:{0}\nlog.messages = syslog:{0}\npool.default.check.inter = 50ms\npool.default.check.timeout = 5s\npool.default.check.uri = /healthz\n",
        socket.display()
    );
    let beelance = start(&backend, &log);
    beelance.connect().get("/local?a=%22");
    let entry = rsyslog.wait("/local");
    assert_eq!((entry.kind.as_str(), entry.program.as_str(), entry.version.as_str()), ("local0.info", "beelance", "0"));
    assert_eq!(entry.pid, beelance.pid().to_string());
    assert_eq!(entry.host, host());
    let line = line(&entry.text);
    assert_eq!((line.status, line.backend.as_str()), (200, "s1"));
    assert_eq!(line.request, "GET /local?a=%22 HTTP/1.1");
    // A message has its own level, and goes to standard error as well.
    backend.set_health(500);
    let down = rsyslog.wait("Server default/s1 is DOWN");
    assert_eq!((down.kind.as_str(), down.program.as_str()), ("local0.warning", "beelance"));
    assert_eq!(rsyslog.wait("pool default has no server available!").kind, "local0.err");
    beelance.wait_change("s1", "down", 1);
    assert!(beelance.log().iter().all(|line| Line::find(line).is_none()), "lines of requests go to one place");
}

#[test]
fn another_machines_daemon_understands_both_forms() {
    let (backend, rsyslog) = (Backend::named("one"), Rsyslog::start());
    let [far, near] = [rsyslog.address().to_string(), rsyslog.any_form().display().to_string()];
    for (form, version, to) in [("rfc3164", "0", &far), ("rfc5424", "1", &far), ("rfc5424", "1", &near)] {
        let log = format!("log.access = syslog:{to}\nlog.format = {form}\nlog.facility = local3\n");
        let beelance = start(&backend, &log);
        let target = format!("/{form}-{version}-{}", to.len());
        beelance.connect().get(&target);
        let entry = rsyslog.wait(&target);
        assert_eq!((entry.kind.as_str(), entry.version.as_str()), ("local3.info", version));
        assert_eq!((entry.host, entry.program, entry.pid), (host(), "beelance".into(), beelance.pid().to_string()));
        assert_eq!(line(&entry.text).status, 200);
        // RFC 5424 has milliseconds, RFC 3164 has none.
        assert_eq!(entry.time.contains('.'), version == "1", "{}", entry.time);
    }
    // What is sent while nobody knows the time is understood as well: the daemon says when it came.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (bytes, pid) in [("<134>beelance[7]: no-clock-one", "7"), ("<134>1 - board beelance 8 - - no-clock-two", "8")] {
        socket.send_to(bytes.as_bytes(), rsyslog.address()).unwrap();
        let entry = rsyslog.wait(bytes.rsplit_once(' ').unwrap().1);
        assert_eq!((entry.program.as_str(), entry.pid.as_str()), ("beelance", pid));
        assert!(entry.time.starts_with("20"), "{}", entry.time);
    }
}

/// As on a board without a battery, by libfaketime, which a static program does not load.
#[test]
fn before_the_clock_is_set_no_line_pretends_to_know_when() {
    if !is_native() {
        eprintln!("SKIPPED, the binary loads no library: its clock cannot be another's");
        return;
    }
    let (backend, rsyslog) = (Backend::named("one"), Rsyslog::start());
    let libraries = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let library = libraries.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.is_file());
    let library = library.expect("faketime is installed; scripts/setup does it");
    let started = |log: &str| {
        let mut early = command();
        early
            .env("LD_PRELOAD", &library)
            .env("FAKETIME", "@1970-01-01 00:00:09")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let plain = listener_and(&[&backend]).replace("log.access = stderr\n", "");
        Beelance::start_by(early, &(plain + log))
    };
    let this_year = || {
        let said = output(tool("date").args(["-u", "+%Y-"]), Duration::ZERO).stdout;
        said.trim().to_owned()
    };
    for form in ["rfc3164", "rfc5424"] {
        let beelance = started(&format!("log.access = syslog:{}\nlog.format = {form}\n", rsyslog.address()));
        let response = beelance.connect().get(&format!("/early-{form}"));
        assert!(response.status == 200 && !response.header("date").is_some_and(|date| date.contains("1970")));
        let entry = rsyslog.wait(&format!("/early-{form}"));
        assert!(entry.time.starts_with(&this_year()), "when it came, as the daemon knows it: {}", entry.time);
        assert_eq!((entry.program.as_str(), entry.pid), ("beelance", beelance.pid().to_string()));
        // The date in brackets is no header: it is HAProxy's, and counts from 1970, which nobody takes for now.
        assert!(entry.text.contains(" [01/Jan/1970:00:00:"), "{}", entry.text);
    }
    let beelance = started("log.access = stderr\n");
    beelance.connect().get("/early");
    let line = beelance.wait_log("its line", |lines| lines.iter().find(|line| line.contains("/early")).cloned());
    assert!(line.starts_with("up "), "{line}");
    let words: Vec<&str> = line.split(' ').collect();
    assert!(
        words[1].ends_with('d') && words[2].len() == 8 && words[4].starts_with("beelance["),
        "as many as a date has: {line}"
    );
}

#[test]
fn a_daemon_that_comes_later_or_again_gets_the_lines_from_then_on() {
    let (backend, mut rsyslog) = (Backend::named("one"), Rsyslog::absent());
    let socket = ctl::Place::new();
    let more = format!("log.access = syslog:{}\nadmin.socket = {}\n", rsyslog.socket().display(), socket.0.display());
    let beelance = start(&backend, &more);
    beelance.wait_log("that nobody is there", |lines| {
        lines.iter().any(|line| line.contains("syslog at") && line.contains("No such file")).then_some(())
    });
    let mut client = beelance.connect();
    // A line is sent after the response: that it is lost, and not late, is known when it was counted.
    let lose = |client: &mut Client, all: usize| {
        (0..3).for_each(|_| assert_eq!(client.get("/lost").status, 200));
        let counted = format!("\nDroppedLogs: {all}\n");
        eventually("the lines are lost", || ctl::ask(&socket.0, "show info").contains(&counted).then_some(()));
    };
    lose(&mut client, 3);
    for (number, round) in ["first", "second"].into_iter().enumerate() {
        rsyslog.restart();
        // How many of them were lost is known when there is somebody to tell.
        client.get(&format!("/{round}"));
        rsyslog.wait(&format!("/{round}"));
        let told = eventually("it is told how many", || {
            let mut told = rsyslog.entries().into_iter().filter(|entry| entry.text.contains("lines were dropped"));
            told.nth(number)
        });
        assert_eq!(
            (told.kind.as_str(), told.text.as_str()),
            ("local0.warning", "3 lines were dropped: nobody took them")
        );
        rsyslog.stop();
        lose(&mut client, 3 * (number + 2));
    }
    assert!(!rsyslog.entries().iter().any(|entry| entry.text.contains("/lost")));
}

#[test]
fn a_daemon_that_does_not_read_holds_nobody_up() {
    let backend = Backend::named("one");
    let path = temporary("syslog.sock");
    let receiver = UnixDatagram::bind(&path).unwrap();
    receiver.set_read_timeout(Some(DEADLINE)).unwrap();
    let beelance = start(&backend, &format!("log.access = syslog:{}\n", path.display()));
    let mut client = beelance.connect();
    let sent = scale(2_000);
    let target = format!("/{}", "x".repeat(900));
    (0..sent).for_each(|_| assert_eq!(client.get(&target).status, 200));
    // What the socket and the buffer held comes, and how many did not.
    let mut bytes = [0; 4096];
    let (mut lines, mut dropped) = (0, 0);
    while lines + dropped < sent {
        let count = receiver.recv(&mut bytes).expect("a line");
        assert!(count <= 2048, "{count}");
        let text = std::str::from_utf8(&bytes[..count]).unwrap();
        assert!(text.starts_with("<134>") || text.starts_with("<132>"), "{text}");
        match text.split_once(" lines were dropped") {
            Some((before, _)) => dropped += before.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap(),
            None => lines += 1,
        }
    }
    assert_eq!(lines + dropped, sent);
    assert!(dropped > 0 && lines > 0, "{lines} lines, {dropped} dropped");
    assert_eq!(client.get("/after").status, 200);
    let count = receiver.recv(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).contains("/after"));
    let _ = std::fs::remove_file(&path);
}

#[test]
fn a_line_is_one_datagram_however_long() {
    let backend = Backend::named("one");
    let receiver = UdpSocket::bind(if has_v6() { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
    receiver.set_read_timeout(Some(DEADLINE)).unwrap();
    let beelance = start(&backend, &format!("log.access = syslog:{}\n", receiver.local_addr().unwrap()));
    let mut client = beelance.connect();
    let mut bytes = [0; 8192];
    for (length, byte) in [(1, 'x'), (1_000, '"'), (1_500, 'x')] {
        assert_eq!(client.get(&format!("/{}", byte.to_string().repeat(length))).status, 200);
        let count = receiver.recv(&mut bytes).unwrap();
        assert!(count <= 2048 && bytes[..count].starts_with(b"<134>") && !bytes[..count].contains(&b'\n'), "{count}");
    }
}

#[test]
fn a_name_is_no_address() {
    let file = ConfigFile::new("listen.l = 127.0.0.1:1\nbackend.a = h:1\nlog.access = syslog:logs.example:514\n");
    let checked = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
    assert_eq!(checked.code, Some(1));
    assert!(
        checked.stderr.contains(":3: log.access: `syslog:logs.example:514`: a syslog is named by its address; "),
        "{}",
        checked.stderr
    );
}
