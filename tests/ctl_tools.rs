//! Tools made for HAProxy's runtime socket, unchanged, at beelance's: hatop, haproxyadmin, socat.
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
use common::process::Beelance;
use common::{DEADLINE, eventually, output, tool};
use std::path::Path;
use std::process::Command;

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
