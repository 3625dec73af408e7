//! Sockets that listen before beelance runs: systemd's socket activation, by systemd's own tool.
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
use common::port::Port;
use common::process::{Beelance, command, listener_and, temporary};
use common::tool;
use nix::sys::signal::Signal;
use std::process::Command;

/// The binary, run by systemd-socket-activate with these sockets and names; it runs as soon as somebody connects to one.
fn activated(sockets: &[&str], names: &str) -> Command {
    let mut activate = tool("systemd-socket-activate");
    for socket in sockets {
        activate.args(["-l", socket]);
    }
    if !names.is_empty() {
        activate.arg(format!("--fdname={names}"));
    }
    // Of the variables of the test it hands on only what it is told to.
    for variable in ["PATH", "TMPDIR"] {
        activate.args(["-E", variable]);
    }
    let plain = command();
    activate.arg(plain.get_program()).args(plain.get_args());
    activate
}

/// Connects as soon as somebody listens there.
fn first(address: std::net::SocketAddr) -> std::thread::JoinHandle<Client> {
    std::thread::spawn(move || common::eventually("somebody listens", || Client::try_connect(address).ok()))
}

#[test]
fn a_listener_takes_the_socket_that_is_bound_where_it_would_be() {
    let (backend, port, path) = (Backend::named("s1"), Port::take(), temporary("web.sock"));
    let address = port.address.to_string();
    let config = format!(
        "listen.web = {address}\nlisten.local = unix:{}\nlisten.own = 127.0.0.1:0\nbackend.s1 = {}\n",
        path.display(),
        backend.address()
    );
    // Who comes first waits in the kernel until it serves.
    let first = first(port.address);
    let mut beelance = Beelance::start_by(activated(&[path.to_str().unwrap(), &address], ""), &config);
    let mut first = first.join().unwrap();
    assert_eq!(first.get("/").text(), "s1");
    assert_eq!(beelance.web(), port.address);
    assert_eq!(beelance.connect().get("/").text(), "s1");
    assert_eq!(Client::connect_unix(&path).get("/").text(), "s1");
    assert_eq!(Client::connect(beelance.address("own")).get("/").text(), "s1");
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    // The file is systemd's.
    assert!(path.exists());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn by_its_name_it_is_taken_at_any_port() {
    let (backend, port) = (Backend::named("s1"), Port::take());
    let first = first(port.address);
    // Both would do for `web` if it were not for the name.
    let other = Port::take();
    let path = temporary("unwanted.sock");
    let sockets = [&*other.address.to_string(), &*port.address.to_string(), path.to_str().unwrap()];
    let beelance = Beelance::start_by(activated(&sockets, "other:web:unwanted"), &listener_and(&[&backend]));
    assert_eq!(beelance.web(), port.address);
    assert_eq!(first.join().unwrap().get("/").text(), "s1");
    for place in [format!("{} (`other`)", other.address), format!("{} (`unwanted`)", path.display())] {
        let told = format!("no `listen.N` or `admin.*` is at {place}, which was handed over: it is closed");
        beelance.wait_log("what is not wanted is closed", |lines| {
            lines.iter().any(|line| line.contains(&told)).then_some(())
        });
    }
    assert!(Client::try_connect(other.address).is_err());
    // The file is systemd's.
    assert!(path.exists());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_was_handed_to_somebody_else_is_not_touched() {
    let backend = Backend::named("s1");
    let mut command = command();
    // Its own descriptors have these numbers.
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "5");
    let beelance = Beelance::start_by(command, &listener_and(&[&backend]));
    assert_eq!(beelance.connect().get("/").text(), "s1");
    assert!(!beelance.log().iter().any(|line| line.contains("handed over")));
}
