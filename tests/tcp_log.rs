//! The line of a connection without HTTP, beside that of a real HAProxy (`option tcplog`) to which the same happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::Client;
use common::haproxy::Haproxy;
use common::port::{Deaf, Port};
use common::process::{Beelance, temporary};
use common::raw::RawBackend;
use common::tcp_line::TcpLine;
use common::{eventually, output, tool};
use std::net::SocketAddr;
use std::time::Duration;

/// What the server `s1` is.
enum Server {
    Backend,
    Refuses,
    NeverAnswers,
    IsNone,
}

/// Something that happens to a connection, and how the first and the last of both are set for it.
struct Scene {
    name: &'static str,
    state: &'static str,
    server: Server,
    haproxy: &'static str,
    beelance: &'static str,
    /// Given the proxy; the address of the client whose line it is.
    happens: fn(SocketAddr, &RawBackend) -> SocketAddr,
}

fn exchange(proxy: SocketAddr, backend: &RawBackend) -> (Client, Client, SocketAddr) {
    let mut client = Client::connect(proxy);
    let mut server = backend.accept();
    client.send("ping");
    server.expect("ping");
    server.send("pong");
    client.expect("pong");
    let local = client.local();
    (client, server, local)
}

/// Connects and waits for the end.
fn is_closed(proxy: SocketAddr, _: &RawBackend) -> SocketAddr {
    let mut client = Client::connect(proxy);
    client.until_end();
    client.local()
}

/// Connects, ends once that is known, and waits for the other end.
fn leaves(proxy: SocketAddr, _: &RawBackend) -> SocketAddr {
    let mut client = Client::connect(proxy);
    accepted(client.local());
    client.half_close();
    client.until_end();
    client.local()
}

const FULL: [&str; 2] = ["maxconn 1", "backend.s1.maxconn = 1\n"];

const SCENES: &[Scene] = &[
    Scene {
        name: "the client closes first",
        state: "--",
        server: Server::Backend,
        haproxy: "",
        beelance: "",
        happens: |proxy, backend| {
            let (client, mut server, local) = exchange(proxy, backend);
            drop(client);
            server.ends();
            local
        },
    },
    Scene {
        name: "the server closes first",
        state: "--",
        server: Server::Backend,
        haproxy: "",
        beelance: "",
        happens: |proxy, backend| {
            let (mut client, mut server, local) = exchange(proxy, backend);
            server.send("goodbye");
            drop(server);
            client.expect("goodbye");
            client.ends();
            local
        },
    },
    Scene {
        name: "the client resets",
        state: "CD",
        server: Server::Backend,
        haproxy: "",
        beelance: "",
        happens: |proxy, backend| {
            let (client, mut server, local) = exchange(proxy, backend);
            client.reset();
            server.until_end();
            local
        },
    },
    Scene {
        name: "the server resets",
        state: "SD",
        server: Server::Backend,
        haproxy: "",
        beelance: "",
        happens: |proxy, backend| {
            let (mut client, server, local) = exchange(proxy, backend);
            server.reset();
            client.until_end();
            local
        },
    },
    Scene {
        name: "silence",
        state: "cD",
        server: Server::Backend,
        haproxy: "  timeout tunnel 1s\n",
        beelance: "timeout.tunnel = 1s\n",
        happens: |proxy, backend| {
            let (mut client, mut server, local) = exchange(proxy, backend);
            client.until_end();
            server.until_end();
            local
        },
    },
    Scene {
        name: "the server refuses",
        state: "SC",
        server: Server::Refuses,
        haproxy: "",
        beelance: "",
        happens: is_closed,
    },
    Scene {
        name: "the server does not answer",
        state: "sC",
        server: Server::NeverAnswers,
        haproxy: "  timeout connect 1s\n",
        beelance: "timeout.connect = 1s\n",
        happens: is_closed,
    },
    Scene {
        name: "the client leaves while it connects",
        state: "CC",
        server: Server::NeverAnswers,
        haproxy: "  timeout connect 2s\n",
        beelance: "",
        happens: leaves,
    },
    Scene {
        name: "there is no server",
        state: "SC",
        server: Server::IsNone,
        haproxy: "",
        beelance: "",
        happens: is_closed,
    },
    Scene {
        name: "the queue takes too long",
        state: "sQ",
        server: Server::Backend,
        haproxy: "  timeout queue 1s\n",
        beelance: "timeout.queue = 1s\n",
        happens: |proxy, backend| {
            let (_client, _server, _) = exchange(proxy, backend);
            is_closed(proxy, backend)
        },
    },
    Scene {
        name: "the client leaves the queue",
        state: "CQ",
        server: Server::Backend,
        haproxy: "",
        beelance: "",
        happens: |proxy, backend| {
            let (client, mut server, _) = exchange(proxy, backend);
            // It is closed because it left, not because it is served.
            let local = leaves(proxy, backend);
            drop(client);
            server.ends();
            local
        },
    },
];

/// What is the same whatever the machine: all but dates, of each time whether its phase was reached, and whether who
/// knocked is gone already.
fn lasting(line: &TcpLine) -> TcpLine {
    let mut line = line.clone();
    line.accepted.clear();
    line.client.clear();
    line.counts[0] = 0;
    line.timers = line.timers.map(|ms| ms.signum().min(0));
    line
}

/// Whether the system has a TCP socket like that, told by the fields of its line (`proc_net_tcp`).
fn socket(is: impl Fn(&[&str]) -> bool) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| is(&line.split_whitespace().collect::<Vec<_>>()))
}

/// Whether this field, an address, has this port.
fn has_port(field: &str, address: SocketAddr) -> bool {
    field.ends_with(&format!(":{:04X}", address.port()))
}

/// Whether somebody listens there.
fn listens(address: SocketAddr) -> bool {
    socket(|fields| has_port(fields[1], address) && fields[3] == "0A")
}

/// Waits until somebody has accepted the connection of this client: only then its socket has an inode.
fn accepted(client: SocketAddr) {
    let taken = || socket(|fields| has_port(fields[2], client) && fields[3] == "01" && fields[9] != "0");
    eventually("the connection is accepted", || taken().then_some(()));
}

#[test]
fn the_line_is_haproxys() {
    for Scene { name, state, server, haproxy, beelance, happens } in SCENES {
        let (backend, refuses, deaf) = (RawBackend::start(), Port::take(), Deaf::listening());
        let address = match server {
            Server::Backend => Some(backend.address),
            Server::Refuses => Some(refuses.address),
            Server::NeverAnswers => Some(deaf.address()),
            Server::IsNone => None,
        };
        let full = matches!(server, Server::Backend);
        let port = Port::take();
        // Who waits for it to listen knocks at another door.
        let proxy = Haproxy::start(Port::take(), |knocked| {
            let max = if full { FULL[0] } else { "" };
            let server = address.map_or(String::new(), |address| format!("  server s1 {address} {max}\n"));
            format!(
                "frontend other\n  bind {knocked}\nfrontend web\n  mode tcp\n  bind {}\n  option tcplog\n  log stdout format raw local0\n  default_backend default\n\
                 backend default\n  mode tcp\n  retries 0\n{haproxy}{server}",
                port.address
            )
        });
        // A connection to see that it listens at this one, too, would have a line.
        eventually("HAProxy listens", || listens(port.address).then_some(()));
        let once = || {
            let local = happens(port.address, &backend).to_string();
            loop {
                let line = proxy.line("default");
                let line = TcpLine::find(&line).unwrap_or_else(|| panic!("{name}: {line}"));
                if line.client == local {
                    return line;
                }
            }
        };
        // To HAProxy an end that is there when it accepts is now and then another one than the same a moment later.
        let mut tries = std::iter::repeat_with(once).take(10);
        let theirs = tries.find(|line| line.state == *state).unwrap_or_else(|| panic!("{name}: never {state}"));
        let server = address.map_or(String::new(), |address| format!("backend.s1 = {address}\n"));
        let max = if full { FULL[1] } else { "" };
        let beelance = Beelance::start(&format!(
            "listen.web = 127.0.0.1:0\nlisten.web.mode = tcp\nlog.access = stderr\npool.default.retries = 0\n{server}{max}{beelance}"
        ));
        let local = happens(beelance.web(), &backend).to_string();
        let ours = beelance.tcp_line_of(&local);
        assert_eq!(lasting(&ours), lasting(&theirs), "{name}\n{ours:?}\n{theirs:?}");
        assert_eq!((ours.state.as_str(), ours.counts[0]), (*state, ours.counts[1]), "{name}");
    }
}

#[test]
fn halog_tells_it_from_a_request() {
    let backend = RawBackend::start();
    let more = "listen.db = 127.0.0.1:0\nlisten.db.mode = tcp\nlisten.db.pool = db\nbackend.d1.pool = db\nbackend.d1.maxconn = 9\n";
    let beelance = Beelance::start(&backend.config(&format!("{more}backend.d1 = {}\n", backend.address)));
    for _ in 0..3 {
        let (client, mut server, _) = exchange(beelance.address("db"), &backend);
        drop(client);
        server.ends();
    }
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    let mut server = backend.accept();
    server.head_bytes();
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response().status, 204);
    beelance.tcp_lines(3);
    beelance.access(1);
    let file = temporary("access.log");
    // It counts what beelance says else, too, as it does with HAProxy's.
    let lines = beelance.log().into_iter().filter(|line| line.contains(" beelance["));
    std::fs::write(&file, lines.map(|line| line + "\n").collect::<String>()).unwrap();
    // Through a shell, because halog reads standard input only.
    let halog = |options: &str| {
        let mut command = std::process::Command::new("sh");
        let program = tool("halog").get_program().to_owned();
        command.args(["-c", &format!("exec \"$0\" {options} < \"$1\"")]).arg(program).arg(&file);
        output(&mut command, Duration::ZERO).stdout.trim().to_owned()
    };
    // All lines; those of HTTP; those without an error that it knows of.
    let counts = ["-c", "-H -c", "-E -c"].map(halog);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(counts, ["4", "1", "4"]);
}
