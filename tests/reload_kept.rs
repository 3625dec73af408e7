//! What a reload keeps of what it does not change: counts, what operators changed, and what a confined process can still do. And
//! a real stack under it: nginx behind, wrk before, reloads and upgrades meanwhile.
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
use common::ctl::{Place, ctl, value};
use common::nginx::Nginx;
use common::process::{Beelance, is_native, listener_and, own_address, temporary};
use common::program::{Program, children, upgrade};
use common::{eventually, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Stdio};

const USER: u32 = 54_321;

#[test]
fn counts_do_not_go_back_and_what_operators_changed_stays() {
    let [one, two] = ["one", "two"].map(Backend::named);
    let place = Place::new();
    let socket = format!("admin.socket = {}\n", place.0.display());
    let beelance = Beelance::before(&[&one, &two], &socket);
    (0..10).for_each(|_| assert_eq!(beelance.connect().get("/").status, 200));
    for command in
        ["set server default/s1 weight 7", "set maxconn server default/s1 3", "set server default/s2 state drain"]
    {
        assert_eq!(ctl(&place.0, &[command]).code, Some(0), "{command}");
    }
    let of = |server: &str, name: &str| value(&place.0, "default", server, name);
    let state = || ["s1", "s2"].map(|server| ["status", "weight", "slim", "stot", "bout"].map(|name| of(server, name)));
    let totals = || [value(&place.0, "web", "FRONTEND", "stot"), value(&place.0, "web", "FRONTEND", "req_tot")];
    let before = (state(), totals());
    assert_eq!((before.0[0][3].as_str(), before.1[1].as_str()), ("5", "10"));
    assert_eq!(before.0[0][1..3], ["7", "3"]);
    // Something else changes, in the pool as well.
    let more = format!("{socket}timeout.client = 20s\npool.default.retries = 1\nbackend.s2.maxconn = 9\n");
    beelance.reload(&(listener_and(&[&one, &two]) + &more)).unwrap();
    let mut after = (state(), totals());
    assert_eq!(after.0[1][2], "9", "what the file says anew holds");
    after.0[1][2].clone_from(&before.0[1][2]);
    assert_eq!(after, before);
    // They count on from there, also over a reload that changes nothing.
    assert_eq!(beelance.connect().get("/").text(), "one");
    assert_eq!(beelance.reload(&(listener_and(&[&one, &two]) + &more)), Ok("nothing differs".into()));
    assert_eq!((of("s1", "stot"), totals()[1].clone()), ("6".into(), "11".into()));
}

#[test]
fn without_root_and_in_a_chroot_what_is_allowed_works_and_the_rest_is_refused_whole() {
    if !is_native() || !geteuid().is_root() {
        eprintln!("SKIPPED, needs root and no emulator: a reload in a chroot");
        return;
    }
    let ([one, two], own) = (["one", "two"].map(Backend::named), own_address());
    let (root, other) = (temporary("root"), temporary("other"));
    [&root, &other].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
    let who = |chroot: &std::path::Path| format!("user = {USER}\ngroup = {USER}\nchroot = {}\n", chroot.display());
    let text = listener_and(&[&one]) + &format!("listen.low = {own}:80\n");
    let beelance = Beelance::start(&(text.clone() + &who(&root)));
    let named = |more: &str, key: &str| {
        let refusals = beelance.reload(more).unwrap_err();
        let is_it = |line: &String| line.contains(key) && line.ends_with("restart needed");
        assert!(refusals.iter().any(is_it), "{key}: {refusals:?}");
        assert_eq!(Client::connect(beelance.address("low")).get("/").text(), "one");
    };
    named(&(text.clone() + &who(&other)), "chroot: ");
    named(&(text.clone() + &who(&root).replace("user = 54321", "user = 54322")), "user: ");
    named(&(text.clone() + &who(&root).replace("group = 54321", "group = 54322")), "group: ");
    named(
        &(text.clone() + &who(&root) + &format!("listen.new = {own}:81\nbackend.s2 = 127.0.0.1:1\n")),
        &format!("listen.new: {own}:81: "),
    );
    named(&(text.clone() + &who(&root) + "listen.new = unix:/no-such-folder/socket\n"), "listen.new: ");
    // A server more, a port that anybody may have, and the low one keeps its socket.
    let more = format!("listen.high = {own}:0\nbackend.s2 = {}\n", two.address());
    let told = beelance.reload(&(text + &more + &who(&root))).unwrap();
    assert_eq!(told, "added backend.s2, listen.high");
    let high = beelance.opened("high");
    for address in [high, beelance.address("low"), beelance.web()] {
        let mut who: Vec<String> = (0..2).map(|_| Client::connect(address).get("/").text().to_owned()).collect();
        who.sort_unstable();
        assert_eq!(who, ["one", "two"]);
    }
    drop(beelance);
    [root, other].into_iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
}

/// wrk at work; killed when dropped.
struct Wrk(Child);

impl Wrk {
    fn on(web: SocketAddr) -> Self {
        let mut wrk = tool("wrk");
        wrk.args(["-t", "1", "-c", "8", "-d", "600", "--timeout", "20"]).arg(format!("http://{web}/healthz"));
        Self(wrk.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// What it tells at its end.
    fn ended(mut self) -> String {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGINT).unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nginx_and_wrk_notice_neither_reloads_nor_upgrades() {
    let servers = ["one", "two", "three"].map(Nginx::start);
    let file = |count: usize, weight: usize| {
        let server = |(number, nginx): (usize, &Nginx)| format!("backend.s{number} = {}\n", nginx.address);
        let servers: String = servers.iter().take(count).enumerate().map(server).collect();
        format!(
            "listen.web = 127.0.0.1:0\n{servers}backend.*.weight = {weight}\npool.*.check.uri = /healthz\npool.*.check.inter = 1s\n\
             pool.*.check.timeout = 20s\n"
        )
    };
    let program = is_native().then(Program::new);
    let command = program.as_ref().map_or_else(common::process::command, Program::command);
    let place = Place::new();
    let socket = format!("admin.socket = {}\n", place.0.display());
    let beelance = Beelance::start_by(command, &(file(3, 1) + &socket));
    let served = || -> u64 { value(&place.0, "web", "FRONTEND", "req_tot").parse().unwrap() };
    let wrk = Wrk::on(beelance.web());
    let goes_on = || {
        let before = served();
        eventually("wrk goes on", || (served() >= before + 50).then_some(()));
    };
    goes_on();
    for number in 1..=10 {
        beelance.reload(&(file(2 + number % 2, number) + &socket)).unwrap();
        goes_on();
        if let Some(program) = &program {
            program.renew();
            upgrade(&beelance, number);
            goes_on();
        }
    }
    let said = wrk.ended();
    assert!(said.contains(" requests in "), "{said}");
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    eventually("nobody is left behind", || children(beelance.pid()).is_empty().then_some(()));
}

#[test]
fn a_token_that_is_revoked_is_told_of_without_a_word_of_it() {
    let backend = Backend::named("one");
    let with = |token: &str, watts: &str| {
        listener_and(&[&backend])
            + &format!("admin.listen = 127.0.0.1:0\nadmin.token.admin = {token}\npower.board = {watts}\n")
    };
    let beelance = Beelance::start(&with("leaked-leaked-leaked", "1"));
    assert_eq!(beelance.reload(&with("secret-secret-secret", "1")), Ok("changed admin".into()));
    assert_eq!(beelance.reload(&with("secret-secret-secret", "2")), Ok("changed power".into()));
    assert!(!beelance.log().iter().any(|line| line.contains("-secret") || line.contains("-leaked")));
}
