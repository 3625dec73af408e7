//! `reload` and `upgrade` on the runtime socket: the answer is what the log says, and `beelance ctl` tells by its exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::Client;
use common::ctl::{Caller, Place, ask, ctl};
use common::process::{Beelance, ConfigFile, command, listener_and};
use common::program::{Program, can_show};
use common::{eventually, output};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

fn config(backends: &[&Backend], socket: &Place) -> String {
    listener_and(backends) + &format!("admin.socket = {}\n", socket.0.display())
}

#[test]
fn a_reload_says_what_changed_or_why_nothing_did() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let socket = Place::new();
    let beelance = Beelance::start(&config(&[&one], &socket));
    let file = beelance.config().display().to_string();
    assert_eq!(ask(&socket.0, "reload"), format!("Success=1\n--\n{file}: nothing differs\n\n"));
    fs::write(beelance.config(), config(&[&one, &two], &socket)).unwrap();
    // What follows on the line finds the new server.
    let fine = ctl(&socket.0, &["reload;", "get", "weight", "default/s2"]);
    assert_eq!(fine.stdout, format!("Success=1\n--\n{file}: added backend.s2\n\n1 (initial 1)\n"));
    assert_eq!((fine.code, fine.stderr.as_str()), (Some(0), ""));
    beelance.wait_log("the same in the log", |lines| {
        lines.iter().any(|line| line.ends_with(&format!("reloaded {file}: added backend.s2"))).then_some(())
    });
    // Two errors, both told, and nothing changed.
    fs::write(beelance.config(), config(&[&one], &socket) + "pool.default.balanc = first\ntimeout.client = never\n")
        .unwrap();
    let wrong = ctl(&socket.0, &["reload"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(1), ""));
    let told: Vec<&str> = wrong.stderr.lines().collect();
    assert_eq!(told[..2], ["Success=0", "--"]);
    assert!(told[2].starts_with(&format!("{file}:5: pool.default.balanc: unknown key")), "{told:?}");
    assert!(told[3].starts_with(&format!("{file}:6: timeout.client: `never`")), "{told:?}");
    assert_eq!(told[4..], [format!("{file}: the old configuration stays")]);
    beelance.wait_log("the same in the log", |lines| {
        told[2..].iter().all(|told| lines.iter().any(|line| line.ends_with(&format!("reload: {told}")))).then_some(())
    });
    assert_eq!(ask(&socket.0, "get weight default/s2"), "1 (initial 1)\n\n");
    // Whoever asks and leaves gets his reload all the same.
    fs::write(beelance.config(), config(&[&one], &socket)).unwrap();
    Caller::new(&socket.0).send("reload");
    eventually("s2 is gone", || (ask(&socket.0, "get weight default/s2") == "No such server.\n\n").then_some(()));
}

#[test]
fn only_an_admin_reloads_and_upgrades() {
    let (one, socket) = (Backend::named("one"), Place::new());
    let _beelance = Beelance::start(&(config(&[&one], &socket) + "admin.socket.level = operator\n"));
    for line in ["reload", "upgrade", "add server default/x 127.0.0.1:1", "del server default/s1", "wait 1"] {
        assert_eq!(ask(&socket.0, line), "Permission denied\n\n", "{line}");
    }
}

#[test]
fn an_upgrade_hands_both_admin_sockets_over() {
    if !can_show() {
        return;
    }
    let (one, program, socket) = (Backend::named("one"), Program::new(), Place::new());
    let beelance = Beelance::start_by(program.command(), &(config(&[&one], &socket) + "admin.listen = 127.0.0.1:0\n"));
    let inode = || fs::metadata(format!("/proc/{}/exe", beelance.pid())).unwrap();
    let admin = |path: &str| Client::connect(beelance.address("admin.listen")).get(path);
    let mut kept = beelance.connect();
    assert_eq!(kept.get("/").text(), "one");
    let mut before = Caller::new(&socket.0);
    before.send("prompt");
    assert_eq!(before.until("> "), "\n> ");
    let mut scraping = Client::connect(beelance.address("admin.listen"));
    assert_eq!(scraping.get("/healthz").status, 200);

    program.renew();
    let path = program.0.display().to_string();
    let told = ctl(&socket.0, &["upgrade"]);
    let expected = format!("Success=1\n--\n{path} takes the place of this one\n");
    assert_eq!((told.code, told.stdout.as_str(), told.stderr.as_str()), (Some(0), expected.as_str(), ""));
    beelance.wait_log("it took over", |lines| {
        lines.iter().any(|line| line.contains("upgrade 1: it took over")).then_some(())
    });
    assert_eq!(inode().ino(), program.inode(), "it is the new program");
    // The sessions of before end: what they would look at is another process's.
    assert_eq!(before.rest(), "");
    scraping.ends();
    // Both sockets are where they were, and the new program is behind them.
    assert_eq!(admin("/healthz").status, 200);
    assert_eq!(ask(&socket.0, "show cli level"), "admin\n\n");
    assert_eq!(kept.get("/").text(), "one");

    // To a program of another name, and on.
    let other = Program::new();
    let told = ctl(&socket.0, &["upgrade", other.0.to_str().unwrap()]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    beelance.wait_log("it took over again", |lines| {
        lines.iter().any(|line| line.contains("upgrade 2: it took over")).then_some(())
    });
    assert_eq!(inode().ino(), other.inode());
    assert_eq!(ask(&socket.0, "show cli level"), "admin\n\n");
    assert_eq!(admin("/healthz").status, 200);
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn an_upgrade_that_is_refused_says_why() {
    if !can_show() {
        return;
    }
    let (one, program, socket) = (Backend::named("one"), Program::new(), Place::new());
    let beelance = Beelance::start_by(program.command(), &config(&[&one], &socket));
    let file = beelance.config().display().to_string();
    let path = program.0.display().to_string();
    let refused = |words: &[&str], why: &str| {
        let told = ctl(&socket.0, words);
        let expected = format!("Success=0\n--\n{why}\n");
        assert_eq!((told.code, told.stdout.as_str(), told.stderr.as_str()), (Some(1), "", expected.as_str()));
        beelance.wait_log(why, |lines| {
            lines.iter().any(|line| line.ends_with(&format!("upgrade: refused: {why}"))).then_some(())
        });
    };
    refused(&["upgrade", "bin/beelance"], "bin/beelance: expected a path that starts with /");
    refused(&["upgrade", "/nowhere"], "/nowhere: No such file or directory (os error 2)");
    program.become_script("exit 7");
    refused(&["upgrade"], &format!("`{path} check -c {file}` ends with exit code 7: this one goes on"));
    program.become_script("kill -KILL $$");
    refused(&["upgrade", &path], &format!("`{path} check` was ended by SIGKILL: this one goes on"));
    // While one is under way there is no other: its check lasts until somebody reads the pipe.
    let pipe = common::process::temporary("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    program.become_script(&format!("echo > {}; exit 3", pipe.display()));
    let mut first = Caller::new(&socket.0);
    first.send("upgrade");
    eventually("the first is under way", || {
        ask(&socket.0, "upgrade").contains("another one is under way").then_some(())
    });
    fs::read(&pipe).unwrap();
    fs::remove_file(pipe).unwrap();
    assert!(first.rest().contains("ends with exit code 3"));
    assert_eq!(ask(&socket.0, "show cli level"), "admin\n\n");
    assert_eq!(beelance.connect().get("/").text(), "one");
}

/// A regression: the tasks that serve these sockets are never dropped, and no more were their files.
#[test]
fn the_files_of_the_control_sockets_are_removed() {
    let (one, [web, socket, admin]) = (Backend::named("one"), [(); 3].map(|()| Place::new()));
    let of_web = format!("listen.web = unix:{}\n", web.0.display());
    let control = format!("admin.socket = {}\nadmin.listen = unix:{}\n", socket.0.display(), admin.0.display());
    let there = || [&web, &socket, &admin].map(|place| place.0.exists());
    for signals in [1, 2] {
        let mut beelance = Beelance::start(&format!("{of_web}{control}backend.s1 = {}\n", one.address()));
        assert_eq!(there(), [true; 3]);
        one.hold();
        let mut client = Client::connect_unix(&web.0);
        client.ask("GET", "/", "");
        one.wait_in_flight(1);
        beelance.signal(Signal::SIGTERM);
        beelance
            .wait_log("it stops", |lines| lines.iter().any(|line| line.contains("SIGTERM: finishing")).then_some(()));
        assert_eq!(there()[1..], [true; 2], "an operator can see how far the end is");
        // One signal lets the request be answered, two do not.
        if signals == 2 {
            beelance.signal(Signal::SIGTERM);
        } else {
            one.open();
        }
        assert_eq!(beelance.exit_code(), Some(0));
        assert_eq!(there(), [false; 3], "{signals} signals");
        one.open();
    }
    // A start that is refused leaves none either.
    let taken = UnixListener::bind(&admin.0).unwrap();
    let config = ConfigFile::new(format!("{of_web}{control}backend.s1 = {}\n", one.address()));
    let refused = output(command().args(["run", "-c"]).arg(config.path()), Duration::from_secs(60));
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    let told = format!("beelance: admin.listen: unix:{}: ", admin.0.display());
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    assert_eq!(there(), [false, false, true]);
    drop(taken);
}
