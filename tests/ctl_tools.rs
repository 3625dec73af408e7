//! Tools made for HAProxy's runtime socket, unchanged, at beelance's: hatop, haproxyadmin, Ansible, socat; and what HSDO sends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::ctl::{Place, value};
use common::process::{Beelance, temporary};
use common::{DEADLINE, eventually, output, tool};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn start(backend: &Backend, socket: &Place) -> Beelance {
    let address = backend.address();
    Beelance::start(&format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = shop\nbackend.s1 = {address}\nbackend.s1.pool = shop\n\
         backend.s2 = {address}\nbackend.s2.pool = shop\nadmin.socket = {}\n",
        socket.0.display()
    ))
}

/// Runs a script of this test's folder; it says what is wrong.
#[track_caller]
fn run(python: &mut Command, script: &str, words: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ctl_tools");
    let output = output(python.arg(folder.join(script)).args(words), DEADLINE);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
}

#[test]
fn hatop_shows_every_server() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let _beelance = start(&backend, &socket);
    let path = socket.0.to_str().unwrap();
    run(&mut tool("python3"), "hatop.py", &[path, "HAProxy", "web", "shop", "s1", "s2", "FRONTEND", "BACKEND"]);
}

#[test]
fn haproxyadmin_drains_a_server_and_brings_it_back() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = start(&backend, &socket);
    let mut client = common::client::Client::connect(beelance.address("web"));
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "one");
    }
    eventually("all are counted", || (value(&socket.0, "web", "FRONTEND", "hrsp_2xx") == "3").then_some(()));
    // scripts/setup makes it.
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python3");
    assert!(python.exists(), "{} is not there; scripts/setup makes it", python.display());
    run(&mut Command::new(python), "admin.py", &[socket.0.to_str().unwrap(), "3"]);
    assert_eq!(value(&socket.0, "shop", "s1", "weight"), "7");
}

#[test]
fn socat_asks_as_operators_do() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let _beelance = start(&backend, &socket);
    let line = format!("echo 'get weight shop/s1; show cli level' | socat stdio {}", socket.0.display());
    let answer = output(tool("sh").args(["-c", &line]), DEADLINE);
    assert_eq!(answer.stdout, "1 (initial 1)\n\nadmin\n\n", "{}", answer.stderr);
}

/// A folder for what Ansible keeps, which goes with its value.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let folder = temporary("ansible");
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// A task of Ansible's haproxy module; whether it changed something, or what is wrong.
    #[track_caller]
    fn task(&self, socket: &Path, words: &str) -> Result<bool, String> {
        let mut ansible = tool("ansible");
        ansible.env("HOME", &self.0).args(["localhost", "-o", "-m", "community.general.haproxy", "-a"]);
        let words = format!("socket={} {words}", socket.display());
        let done = output(ansible.arg(words), Duration::from_secs(120));
        let said = done.stdout.trim_start();
        match said.strip_prefix("localhost | ").and_then(|rest| rest.split(' ').next()) {
            Some(word @ ("CHANGED" | "SUCCESS")) if done.code == Some(0) => Ok(word == "CHANGED"),
            _ => Err(format!("{said}{}", done.stderr)),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn ansible_drains_a_server_that_works_and_brings_it_back() {
    let (backend, socket, home) = (Backend::named("one"), Place::new(), Home::new());
    let address = backend.address();
    let beelance = Beelance::start(&format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = shop\nbackend.s1 = {address}\nbackend.s1.pool = shop\n\
         backend.s2 = {address}\nbackend.s2.pool = shop\npool.shop.check.uri = /healthz\npool.shop.check.inter = 50ms\n\
         pool.shop.check.timeout = 5s\n\
         pool.shop.cookie = SRV\nadmin.socket = {}\n",
        socket.0.display()
    ));
    let of = |name: &str| value(&socket.0, "shop", "s1", name);
    backend.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "Cookie: SRV=s1\r\n");
    backend.wait_held(1);
    std::thread::scope(|scope| {
        let words = "state=disabled host=s1 backend=shop drain=yes wait=yes wait_interval=1 wait_retries=100";
        let task = scope.spawn(|| home.task(&socket.0, words));
        // It waits for the one request that is under way, and rests the server behind it.
        eventually("it drains", || (of("status") == "DRAIN").then_some(()));
        assert_eq!(of("scur"), "1");
        backend.release(1);
        assert_eq!(client.response().text(), "one");
        assert_eq!(task.join().unwrap(), Ok(true));
    });
    assert_eq!((of("status"), of("scur")), ("MAINT".into(), "0".into()));
    // Back, with the weight it is to have and its probes; it waits until they find it well.
    let enabled = "state=enabled host=s1 backend=shop health=yes weight=7 wait=yes wait_interval=1 wait_retries=100";
    assert_eq!(home.task(&socket.0, enabled), Ok(true));
    assert_eq!((of("status"), of("weight")), ("UP".into(), "7".into()));
    assert_eq!(home.task(&socket.0, enabled), Ok(false), "nothing differs");
    // In every pool there is, its users' connections are ended.
    let gone = "state=disabled host=s1 health=yes shutdown_sessions=yes wait=yes wait_interval=1";
    assert_eq!(home.task(&socket.0, gone), Ok(true));
    assert_eq!(of("status"), "MAINT");
    let unknown = home.task(&socket.0, "state=drain host=s9 backend=shop fail_on_not_found=yes").unwrap_err();
    assert!(unknown.contains("The specified backend 'shop/s9' was not found!"), "{unknown}");
}

#[test]
fn what_hsdos_client_sends_moves_and_rests_servers() {
    let ([one, two], socket) = (["one", "two"].map(Backend::named), Place::new());
    let beelance = start(&one, &socket);
    let of = |server: &str, name: &str| value(&socket.0, "shop", server, name);
    let mut client = common::client::Client::connect(beelance.address("web"));
    assert_eq!(client.get("/").text(), "one");
    let (path, port) = (socket.0.to_str().unwrap(), two.address().port().to_string());
    let send = |slots: &[&str]| run(&mut tool("python3"), "hsdo.py", &[&[path, "shop", "s", &port], slots].concat());
    // The second slot is spare. All is sent again each second, whether it differs or not.
    for _ in 0..2 {
        send(&["127.0.0.1,3", "none,0"]);
        assert_eq!((of("s1", "addr"), of("s1", "weight")), (two.address().to_string(), "3".into()));
        assert_eq!((of("s1", "status"), of("s2", "status")), ("no check".into(), "MAINT".into()));
        (0..4).for_each(|_| assert_eq!(client.get("/").text(), "two"));
    }
    // A machine comes, and another goes.
    send(&["none,0", "127.0.0.1,1"]);
    assert_eq!((of("s1", "status"), of("s2", "status")), ("MAINT".into(), "no check".into()));
    assert_eq!(of("s2", "addr"), two.address().to_string());
    assert_eq!(client.get("/").text(), "two");
    assert_eq!(two.count(), 9);
}
