//! What an upgrade in place keeps beside connections: where users are, what is said of servers, and the operator's ways in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::{Client, get};
use common::ctl::{Caller, Place, ask, ctl, value};
use common::process::{Beelance, ConfigFile, command, listener_and, temporary};
use common::program::{Program, can_show, children, copy_libraries, no_children_are_left, upgrade, wait_for};
use common::rsyslog::Rsyslog;
use common::{DEADLINE, eventually, output};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Who serves each of so many users.
fn homes(beelance: &Beelance, users: usize) -> Vec<String> {
    let home = |user| beelance.connect().get_with("/", &format!("X-User: u{user}\r\n")).text().to_owned();
    (0..users).map(home).collect()
}

#[test]
fn users_of_the_session_map_stay_where_they_are() {
    if !can_show() {
        return;
    }
    let (backends, program) = (NAMES.map(Backend::named), Program::new());
    let stick = "pool.*.stick = hdr:X-User\n";
    let beelance = Beelance::start_by(program.command(), &(listener_and(&backends.each_ref()) + stick));
    // One more each time: nobody's turn falls on his server by chance.
    let before = homes(&beelance, 20);
    upgrade(&beelance, 1);
    wait_for(&beelance, "upgrade: the state of 3 servers and 20 users is as before", 1);
    assert_eq!(homes(&beelance, 20), before);
    // Pools and servers change their places in the file; those that are gone have no users any more.
    let [one, two, three] = backends.each_ref().map(Backend::address);
    let text = format!(
        "listen.web = 127.0.0.1:0\nbackend.new = {one}\nbackend.new.pool = first\nbackend.s3 = {three}\n\
         backend.s1 = {one}\nroute.r.path = /new\nroute.r.pool = first\n{stick}"
    );
    fs::write(beelance.config(), text).unwrap();
    upgrade(&beelance, 2);
    let after = homes(&beelance, 20);
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || before == "two" && after != "two", "{before}, then {after}");
    }
    // One who was placed by the first of three programs, or the second, is known to the third's successor.
    fs::write(beelance.config(), listener_and(&backends.each_ref()) + stick).unwrap();
    upgrade(&beelance, 3);
    assert_eq!(homes(&beelance, 20), after);
    assert!(two.port() > 0);
}

#[test]
fn a_map_that_is_no_longer_wanted_is_nobodys() {
    if !can_show() {
        return;
    }
    let (backends, program) = (NAMES.map(Backend::named), Program::new());
    let text = listener_and(&backends.each_ref());
    let beelance = Beelance::start_by(program.command(), &(text.clone() + "pool.*.stick = hdr:X-User\n"));
    assert_eq!(homes(&beelance, 3), NAMES);
    fs::write(beelance.config(), &text).unwrap();
    upgrade(&beelance, 1);
    assert_eq!(homes(&beelance, 6), [NAMES, NAMES].concat());
    // And one that is new has nobody yet.
    fs::write(beelance.config(), text + "pool.*.stick = hdr:X-User\n").unwrap();
    upgrade(&beelance, 2);
    assert_eq!(homes(&beelance, 3), homes(&beelance, 3));
}

#[test]
fn what_probes_and_operators_said_of_servers_holds() {
    if !can_show() {
        return;
    }
    let (backends, program, place) = (["1", "2", "3", "4", "5"].map(Backend::named), Program::new(), Place::new());
    let moved = Backend::named("moved");
    let more = format!(
        "admin.socket = {}\npool.*.check.uri = /healthz\npool.*.check.inter = 100ms\npool.*.check.timeout = 20s\n",
        place.0.display()
    );
    let beelance = Beelance::start_by(program.command(), &(listener_and(&backends.each_ref()) + &more));
    backends[0].set_health(500);
    beelance.wait_change("s1", "down", 1);
    let address = moved.address();
    for command in [
        "set server default/s2 state maint".to_owned(),
        "set server default/s3 state drain".to_owned(),
        "set server default/s4 weight 7".to_owned(),
        "set maxconn server default/s4 3".to_owned(),
        "disable health default/s4".to_owned(),
        format!("set server default/s5 addr {} port {}", address.ip(), address.port()),
    ] {
        let answer = ctl(&place.0, &[&command]);
        assert_eq!(answer.code, Some(0), "{command}: {answer:?}");
    }
    let state = || {
        let stat = |server: &str, name: &str| value(&place.0, "default", server, name);
        let of = |server: &str| [stat(server, "status"), stat(server, "weight"), stat(server, "slim")];
        (["s1", "s2", "s3", "s4", "s5"].map(of), stat("s5", "addr"))
    };
    let before = state();
    for (at, status) in [(0, "DOWN"), (1, "MAINT"), (2, "DRAIN"), (3, "UP"), (4, "UP")] {
        assert!(before.0[at][0].starts_with(status), "{before:?}");
    }
    assert_eq!(before.0[3][1..], ["7", "3"]);
    assert_eq!(before.1, address.to_string());
    for number in 1..=2 {
        let (served, probed) = (backends.each_ref().map(Backend::count), backends[3].probes());
        upgrade(&beelance, number);
        let answers: Vec<String> = (0..8).map(|_| beelance.connect().get("/").text().to_owned()).collect();
        assert!(answers.iter().all(|answer| answer == "4" || answer == "moved"), "{answers:?}");
        assert_eq!(state(), before, "{number}");
        // Not even the first request went to who is down or rests.
        assert_eq!(backends.each_ref().map(Backend::count)[..3], served[..3]);
        backends[0].wait_more_probes(2);
        assert_eq!(backends[3].probes(), probed, "its probes rest");
    }
    // All of it can be taken back, and does not come again.
    backends[0].set_health(200);
    beelance.wait_change("s1", "up", 1);
    ctl(&place.0, &["set server default/s2 state ready"]);
    ctl(&place.0, &["set server default/s3 state ready"]);
    upgrade(&beelance, 3);
    let after = state();
    assert!(after.0.iter().all(|server| server[0].starts_with("UP") || server[0].starts_with("no check")), "{after:?}");
}

#[test]
fn what_nobody_could_take_back_is_not_kept() {
    if !can_show() {
        return;
    }
    let (backends, program) = (["1", "2"].map(Backend::named), Program::new());
    let check = "pool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n";
    let text = listener_and(&backends.each_ref());
    let beelance = Beelance::start_by(program.command(), &(text.clone() + check));
    backends[0].set_health(500);
    beelance.wait_change("s1", "down", 1);
    // Without probes nobody would ever find out that it is well.
    fs::write(beelance.config(), text).unwrap();
    upgrade(&beelance, 1);
    let answers: Vec<String> = (0..4).map(|_| beelance.connect().get("/").text().to_owned()).collect();
    assert_eq!(answers, ["1", "2", "1", "2"]);
}

#[test]
fn the_operators_ways_in_stay_open() {
    if !can_show() {
        return;
    }
    let (backend, program, place) = (Backend::named("s1"), Program::new(), Place::new());
    let more = format!("admin.socket = {}\nadmin.listen = 127.0.0.1:0\ndrain-timeout = 5m\n", place.0.display());
    let mut beelance = Beelance::start_by(program.command(), &(listener_and(&[&backend]) + &more));
    let admin = beelance.address("admin.listen");
    let inode = || {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&place.0).unwrap().ino()
    };
    let before = inode();
    // The child of the first upgrade lives on for this one.
    backend.hold();
    let mut held = beelance.connect();
    held.ask("GET", "/held", "");
    backend.wait_in_flight(1);
    for number in 1..=3 {
        // An operator in the middle of a session is sent away at once, and does not wait for the end of a download.
        let mut operator = Caller::new(&place.0);
        operator.send("prompt; show version");
        operator.until("> ");
        let mut browser = Client::connect(admin);
        browser.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert_eq!(browser.response().status, 200);
        upgrade(&beelance, number);
        operator.rest();
        browser.ends();
        // Whoever comes now comes to the new program, by the same socket.
        assert_eq!(inode(), before);
        let info = ask(&place.0, "show info");
        assert!(info.contains(&format!("\nPid: {}\n", beelance.pid())), "{info}");
        assert_eq!(get(admin, "/metrics").status, 200);
        assert_eq!(ctl(&place.0, &["set server default/s1 weight 3"]).code, Some(0));
        assert_eq!(value(&place.0, "default", "s1", "weight"), "3");
    }
    eventually("only the download's process is left", || (children(beelance.pid()).len() == 1).then_some(()));
    backend.open();
    assert_eq!(held.response().text(), "s1");
    no_children_are_left(&beelance);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
}

#[test]
fn a_unix_socket_that_the_file_lost_leaves_nothing_behind() {
    if !can_show() {
        return;
    }
    let (backend, program, admin, web) = (Backend::named("s1"), Program::new(), Place::new(), temporary("web.sock"));
    let config = listener_and(&[&backend]);
    let more = format!("admin.socket = {}\nlisten.local = unix:{}\n", admin.0.display(), web.display());
    let beelance = Beelance::start_by(program.command(), &(config.clone() + &more));
    assert_eq!(Client::connect_unix(&web).get("/").text(), "s1");
    fs::write(beelance.config(), config).unwrap();
    upgrade(&beelance, 1);
    for name in
        ["(`local`), which was handed over: it is closed", "(`admin.socket`), which was handed over: it is closed"]
    {
        wait_for(&beelance, name, 1);
    }
    eventually("their files are gone", || (!web.exists() && !admin.0.exists()).then_some(()));
    assert_eq!(beelance.connect().get("/").text(), "s1");
}

#[test]
fn lines_reach_the_syslog_of_a_chroot_after_an_upgrade() {
    if !can_show() || !geteuid().is_root() {
        eprintln!("SKIPPED, needs root: an upgrade in a chroot");
        return;
    }
    let (backend, program, rsyslog, root) = (Backend::named("s1"), Program::new(), Rsyslog::start(), temporary("root"));
    fs::set_permissions(&program.0, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&root).unwrap();
    copy_libraries(&program.0, &root);
    // The same path inside, as a bind mount or a second socket of the daemon's would be.
    let socket = rsyslog.socket();
    let inside = root.join(socket.strip_prefix("/").unwrap());
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::hard_link(&socket, &inside).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let text = listener_and(&[&backend]).replace("log.access = stderr\n", "");
    let beelance = Beelance::start_by(
        program.command(),
        &format!(
            "{text}log.access = syslog:{0}\nlog.messages = syslog:{0}\nuser = 54321\ngroup = 54321\nchroot = {1}\n",
            socket.display(),
            root.display()
        ),
    );
    for number in 0..3 {
        if number > 0 {
            program.renew();
            upgrade(&beelance, number);
            let told = rsyslog.wait(&format!("upgrade {number}: it took over"));
            assert_eq!((told.kind.as_str(), told.pid), ("local0.info", beelance.pid().to_string()));
        }
        assert_eq!(beelance.connect().get(&format!("/round-{number}")).status, 200);
        let entry = rsyslog.wait(&format!("/round-{number}"));
        assert_eq!((entry.kind.as_str(), entry.program.as_str()), ("local0.info", "beelance"));
        assert_eq!(fs::read_link(format!("/proc/{}/root", beelance.pid())).unwrap(), root);
    }
    drop(beelance);
    fs::remove_dir_all(root).unwrap();
}

/// What is printed to a standard output that is full, closed by its reader, or was never there.
#[test]
fn a_standard_output_that_takes_nothing_is_an_error_and_no_crash() {
    let file = ConfigFile::new("listen.l = 127.0.0.1:1\nbackend.a = 127.0.0.1:2\n");
    let file = file.path().display();
    for arguments in ["--version".to_owned(), "--help".to_owned(), format!("check -c {file}")] {
        let run = |redirected: &str| {
            let plain = command();
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", &format!("\"$0\" \"$@\" {arguments} {redirected}")]);
            output(shell.arg(plain.get_program()).args(plain.get_args()), DEADLINE)
        };
        let full = run(">/dev/full");
        assert_eq!((full.code, full.stderr.lines().count()), (Some(3), 1), "{arguments}: {full:?}");
        assert!(full.stderr.starts_with("beelance: standard output: No space left on device"), "{full:?}");
        // Nobody can be told.
        assert_eq!(run(">/dev/full 2>/dev/full").code, Some(3), "{arguments}");
        // Who has read enough is no error.
        let read = run("| true; exit 0");
        assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""), "{arguments}");
        let closed = run(">&-");
        assert!(!closed.stderr.contains("panicked"), "{arguments}: {closed:?}");
    }
    let usage = output(
        std::process::Command::new("/bin/sh")
            .args(["-c", "\"$0\" \"$@\" nonsense 2>/dev/full"])
            .arg(command().get_program())
            .args(command().get_args()),
        DEADLINE,
    );
    assert_eq!(usage.code, Some(2), "{usage:?}");
}
