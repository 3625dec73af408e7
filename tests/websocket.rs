//! WebSocket end to end between a client and servers of real software (Debian's python3-websockets).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::process::{Beelance, Output};
use common::{DEADLINE, output};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// Debian's interpreter: another one has not its packages.
fn python(script: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(format!("{}/tests/websocket/{script}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// A running server; killed when dropped.
struct Server {
    child: Child,
    port: u16,
    lines: Receiver<String>,
}

impl Server {
    #[track_caller]
    fn start(name: &str) -> Self {
        let mut child = python("server.py").arg(name).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdout, (found, lines)) = (child.stdout.take().unwrap(), channel());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = found.send(line);
            }
        });
        let mut server = Self { child, port: 0, lines };
        server.port = server.line().parse().expect("its port");
        server
    }

    /// The next line it prints.
    #[track_caller]
    fn line(&self) -> String {
        let line = self.lines.recv_timeout(DEADLINE);
        line.expect("a line of server.py (python3-websockets must be installed; scripts/setup does that)")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn talk(beelance: &Beelance, cookie: &[&str]) -> Output {
    let url = format!("ws://{}/chat", beelance.web());
    let output = output(python("client.py").arg(url).args(cookie), 2 * DEADLINE);
    assert_eq!(output.code, Some(0), "{output:?}");
    output
}

#[test]
fn all_a_websocket_does() {
    let server = Server::start("one");
    let config = format!("listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.s1 = 127.0.0.1:{}\n", server.port);
    let beelance = Beelance::start(&config);
    let output = talk(&beelance, &[]);
    assert_eq!(output.stdout, "server one\nclosed 1000\nserver one\nclosed 4001 as you wish\n");
    // The close handshake reaches the server whoever begins it.
    assert_eq!([server.line(), server.line()], ["closed 1000 enough", "closed 4001 as you wish"]);
    for line in beelance.access(2) {
        assert_eq!((line.status, line.state.as_str(), line.backend.as_str()), (101, "----", "s1"), "{line:?}");
        assert!(line.bytes > 1 << 20 && line.request == "GET /chat HTTP/1.1", "{line:?}");
    }
}

#[test]
fn affinity_holds_for_a_websocket_too() {
    let servers = [Server::start("one"), Server::start("two")];
    let mut config = String::from("listen.web = 127.0.0.1:0\nlog.access = stderr\npool.*.cookie = SRV\n");
    for (server, name) in servers.iter().zip(["s1", "s2"]) {
        config += &format!("backend.{name} = 127.0.0.1:{}\n", server.port);
    }
    let beelance = Beelance::start(&config);
    // The 101 sets the cookie; two connections without it go to both servers in turn.
    let free = talk(&beelance, &[]).stdout;
    let met: Vec<&str> = free.lines().filter(|line| !line.starts_with("closed")).collect();
    assert_eq!(met, ["cookie SRV=s1", "server one", "cookie SRV=s2", "server two"]);
    for (cookie, name) in [("SRV=s2", "two"), ("SRV=s1", "one"), ("SRV=s2", "two")] {
        let bound = talk(&beelance, &[cookie]).stdout;
        assert_eq!(bound, format!("server {name}\nclosed 1000\nserver {name}\nclosed 4001 as you wish\n"), "{cookie}");
    }
    let lines = beelance.access(8);
    let states: Vec<&str> = lines.iter().map(|line| line.state.as_str()).collect();
    assert_eq!(states, ["--NI", "--NI", "--VN", "--VN", "--VN", "--VN", "--VN", "--VN"]);
}
