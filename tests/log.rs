//! The access log: HAProxy's HTTP format to the byte, so that halog and its kind read it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::access::Line;
use common::backend::{Backend, Port, Step, ok, send};
use common::client::Client;
use common::fixture::Fixture;
use common::haproxy::Haproxy;
use common::process::{Beelance, listener_and, temporary};
use common::{output, tool};
use std::time::Duration;

#[test]
fn the_line_field_by_field() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    let response = client.get("/path?query=%20x");
    let line = beelance.access(1).remove(0);
    assert_eq!(line.client, client.local().to_string());
    assert_eq!(line.pid, beelance.pid());
    assert!(!line.host.is_empty() && !line.host.contains(' '), "{line:?}");
    assert!(is_stamp(&line.stamp), "{line:?}");
    assert!(is_date(&line.accepted), "{line:?}");
    assert_eq!((line.listener.as_str(), line.pool.as_str(), line.backend.as_str()), ("web", "default", "s1"));
    let [request, queue, connect, reply, all] = line.timers;
    assert!([request, queue, connect, reply].iter().all(|&ms| ms >= 0), "{line:?}");
    assert!(all >= queue + connect + reply, "{line:?}");
    assert_eq!(line.status, 200);
    assert_eq!(line.bytes, (response.head.len() + response.body.len()) as u64);
    assert_eq!(line.cookies, ["-", "-"]);
    assert_eq!(line.state, "----");
    // The connection is still counted, the request itself no more.
    let [active, listener, pool, server, retries] = line.counts;
    assert!((1..=2).contains(&active) && listener <= active, "{line:?}");
    assert_eq!([pool, server, retries], [0; 3], "{line:?}");
    assert!(!line.redispatched);
    assert_eq!(line.queues, [0, 0]);
    assert_eq!(line.request, "GET /path?query=%20x HTTP/1.1");
}

/// `Nov  3 09:08:07`.
fn is_stamp(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() == 15
        && MONTHS.contains(&&text[..3])
        && b[3] == b' '
        && (b[4] == b' ' || (b'1'..=b'3').contains(&b[4]))
        && b[5].is_ascii_digit()
        && b[6] == b' '
        && shaped(&text[7..], "00:00:00")
}

/// `03/Nov/2026:09:08:07.006`.
fn is_date(text: &str) -> bool {
    text.len() == 24
        && shaped(&text[..3], "00/")
        && MONTHS.contains(&&text[3..6])
        && shaped(&text[6..], "/0000:00:00:00.000")
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Digits where the shape has a 0, else the same characters.
fn shaped(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(b, s)| if s == b'0' { b.is_ascii_digit() } else { b == s })
}

#[test]
fn one_line_for_each_request() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    for number in 0..10 {
        client.get(&format!("/{number}"));
    }
    let lines = beelance.access(10);
    let requests: Vec<String> = lines.into_iter().map(|line| line.request).collect();
    assert_eq!(requests, (0..10).map(|n| format!("GET /{n} HTTP/1.1")).collect::<Vec<_>>());
}

#[test]
fn without_log_access_there_are_no_lines() {
    let backend = Backend::named("one");
    let config = listener_and(&[&backend]).replace("log.access = stderr\n", "");
    for more in ["", "log.access = off\n"] {
        let beelance = Beelance::start(&format!("{config}{more}"));
        let mut client = beelance.connect();
        for _ in 0..3 {
            client.get("/");
        }
        assert!(beelance.log().iter().all(|line| Line::find(line).is_none()));
    }
}

/// Something that happens to a request, and the states that say so.
struct Scene {
    name: &'static str,
    states: &'static [&'static str],
    config: &'static str,
    backend: fn() -> Backend,
    client: fn(&Beelance, &Backend, Client),
    status: &'static [i16],
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";

fn well() -> Backend {
    Backend::named("one")
}

fn get(_: &Beelance, _: &Backend, mut client: Client) {
    client.ask("GET", "/", "");
    let _ = client.try_response(false);
}

fn get_with_cookie(_: &Beelance, _: &Backend, mut client: Client) {
    client.get_with("/", "Cookie: SRV=s1\r\n");
}

fn leave_after_request(_: &Beelance, backend: &Backend, mut client: Client) {
    client.ask("GET", "/", "");
    backend.wait_requests(1);
    client.reset();
}

const SCENES: &[Scene] = &[
    Scene { name: "no cookie asked for", states: &["----"], config: "", backend: well, client: get, status: &[200] },
    Scene {
        name: "a new user",
        states: &["--NI"],
        config: "pool.*.cookie = SRV\n",
        backend: well,
        client: get,
        status: &[200],
    },
    Scene {
        name: "a known user",
        states: &["--VN"],
        config: "pool.*.cookie = SRV\n",
        backend: well,
        client: get_with_cookie,
        status: &[200],
    },
    Scene {
        name: "a cookie of nobody's",
        states: &["--II"],
        config: "pool.*.cookie = SRV\n",
        backend: well,
        client: |_, _, mut client| {
            client.get_with("/", "Cookie: SRV=nobody\r\n");
        },
        status: &[200],
    },
    Scene {
        name: "no server is up",
        states: &["SCNN", "SCN-", "SC--"],
        config: "pool.*.cookie = SRV\npool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n",
        backend: || {
            let backend = well();
            backend.set_health(500);
            backend
        },
        client: |beelance, backend, client| {
            beelance.wait_change("s1", "down", 1);
            get(beelance, backend, client);
        },
        status: &[503],
    },
    Scene {
        name: "the server does not answer in time",
        states: &["sH--"],
        config: "timeout.server = 1s\n",
        backend: || Backend::scripted(vec![Step::Hang]),
        client: get,
        status: &[504],
    },
    Scene {
        name: "the server stops in the body",
        states: &["sD--"],
        config: "timeout.server = 1s\n",
        backend: || Backend::scripted(vec![Step::Send(HALF.to_vec()), Step::Hang]),
        client: get,
        status: &[200],
    },
    Scene {
        name: "the server closes in the body",
        states: &["SD--"],
        config: "",
        backend: || Backend::scripted(vec![Step::Send(HALF.to_vec()), Step::Close]),
        client: get,
        status: &[200],
    },
    Scene {
        name: "the server closes before its head",
        states: &["SH--"],
        config: "",
        backend: || Backend::scripted(vec![Step::Close]),
        client: get,
        status: &[502],
    },
    Scene {
        name: "the server sends garbage",
        states: &["PH--"],
        config: "",
        backend: || Backend::scripted(send("garbage\r\n\r\n")),
        client: get,
        status: &[502],
    },
    Scene {
        name: "the client leaves before the response",
        states: &["CH--", "CD--"],
        config: "",
        backend: || Backend::scripted(vec![Step::Hang]),
        client: leave_after_request,
        status: &[-1, 400],
    },
    Scene {
        name: "the client leaves in the body of the response",
        states: &["CD--"],
        config: "",
        backend: || Backend::start(|_| vec![Step::Send(HALF.to_vec()), Step::Hang]),
        client: |_, backend, mut client| {
            client.ask("GET", "/", "");
            backend.wait_requests(1);
            client.some();
            client.reset();
        },
        status: &[200],
    },
    Scene {
        name: "the client leaves in the body of its request",
        states: &["CD--", "CH--"],
        config: "",
        backend: || Backend::at_head(|_| vec![Step::ReadBody]),
        client: |_, backend, mut client| {
            client.ask("POST", "/", "Content-Length: 100\r\n");
            client.send("half");
            backend.wait_requests(1);
            client.reset();
        },
        status: &[-1, 400],
    },
    Scene {
        name: "the client is slow with its head",
        states: &["cR--"],
        config: "timeout.http-request = 1s\n",
        backend: well,
        client: |_, _, mut client| {
            client.send("GET / HT");
            client.response();
        },
        status: &[408],
    },
    Scene {
        name: "the client leaves in its head",
        states: &["CR--"],
        config: "",
        backend: well,
        client: |_, _, mut client| client.send("GET / HT"),
        status: &[-1, 400],
    },
    Scene {
        name: "a broken head",
        states: &["PR--"],
        config: "",
        backend: well,
        client: |_, _, mut client| {
            client.send("broken\r\n\r\n");
            client.response();
        },
        status: &[400],
    },
];

/// TR + Tw + Tc + Tr + Td = Ta: what is left for Td, which the line leaves to the reader; a phase not reached counts as 0,
/// and none behind it was reached.
#[track_caller]
fn data_ms(line: &Line) -> i64 {
    let [phases @ .., all] = line.timers;
    let reached = phases.iter().take_while(|&&ms| ms >= 0).count();
    assert!(phases[reached..].iter().all(|&ms| ms == -1), "{line:?}");
    let data_ms = all - phases[..reached].iter().sum::<i64>();
    assert!(data_ms >= -1, "{line:?}");
    data_ms
}

#[test]
fn termination_states() {
    for scene in SCENES {
        let backend = (scene.backend)();
        let beelance = Beelance::before(&[&backend], &format!("pool.*.retries = 0\n{}", scene.config));
        (scene.client)(&beelance, &backend, beelance.connect());
        let line = beelance.access(1).remove(0);
        let fits = scene.states.contains(&line.state.as_str()) && scene.status.contains(&line.status);
        assert!(fits, "{}: {:?} wanted, {line:?}", scene.name, scene.states);
        let (request, server) = (line.request.as_str(), line.backend.as_str());
        if line.state.as_bytes()[1] == b'R' {
            assert_eq!((request, server), ("<BADREQ>", "<NOSRV>"), "{}", scene.name);
            assert_eq!(line.timers[..4], [-1; 4], "{}", scene.name);
        } else if line.status == 503 {
            assert_eq!(server, "<NOSRV>", "{}", scene.name);
        } else {
            assert_eq!(server, "s1", "{}", scene.name);
        }
        // Their end is a timeout of 200 ms in the phase that the state names.
        let (data_ms, [request_ms, ..]) = (data_ms(&line), line.timers);
        match line.state.get(..2) {
            Some("sD") => assert!(data_ms >= 199, "{}: {line:?}", scene.name),
            Some("cR" | "sQ" | "sC" | "sH") => {
                assert!(line.timers[4] - request_ms.max(0) >= 199, "{}: {line:?}", scene.name)
            }
            _ => {}
        }
        if line.status == 504 || line.status == 502 {
            assert_eq!(line.timers[3], -1, "{}: no head came", scene.name);
        }
    }
}

#[test]
fn a_moved_user_and_a_refused_server() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    let more = "pool.*.cookie = SRV\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n";
    let beelance = Beelance::before(&[&one, &two], more);
    one.stop();
    beelance.wait_change("s1", "down", 1);
    assert_eq!(beelance.connect().get_with("/moved", "Cookie: SRV=s1\r\n").text(), "two");
    assert_eq!(beelance.access_to("/moved").state, "--DI");

    let port = Port::take();
    let config =
        format!("listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.s1 = {}\npool.*.retries = 0\n", port.address);
    let beelance = Beelance::start(&config);
    assert_eq!(beelance.connect().get("/").status, 503);
    let line = beelance.access(1).remove(0);
    assert_eq!((line.state.as_str(), line.timers[2], line.timers[3]), ("SC--", -1, -1), "{line:?}");
}

#[test]
fn time_in_the_queue_is_logged() {
    let backend = Backend::named("one");
    let mut fixture = Fixture::new(&[&backend], "backend.s1.maxconn = 1\n");
    backend.hold();
    let mut clients: Vec<Client> = (0..3).map(|number| fixture.sent(&format!("/{number}"), "")).collect();
    backend.wait_in_flight(1);
    // The time that is to be in the lines.
    std::thread::sleep(Duration::from_millis(100));
    backend.open();
    for client in &mut clients {
        client.response();
    }
    let lines = [0, 1, 2].map(|number| fixture.beelance.access_to(&format!("/{number}")));
    assert_eq!(lines.iter().filter(|line| line.timers[1] >= 50).count(), 2, "{lines:?}");
    // The place in the queue, from 1 on: HAProxy's halog finds by it who waited.
    assert_eq!(lines.map(|line| line.queues), [[0, 0], [0, 1], [0, 2]]);
}

#[test]
fn those_who_are_still_there_are_counted_as_haproxy_does() {
    let backends = ["one", "two"].map(Backend::named);
    let haproxy = Haproxy::start(Port::take(), |address| {
        let log = "  log stdout format raw local0\n  option httplog\n  default_backend default\n";
        format!("frontend web\n  bind {address}\n{log}backend default\n  server s1 {}\n", backends[0].address())
    });
    let beelance = Beelance::before(&[&backends[1]], "");
    // Three are at the backend, and one of them ends.
    let one_ends = |proxy, backend: &Backend| {
        backend.hold();
        let mut clients = [(); 3].map(|()| Client::connect(proxy));
        clients.iter_mut().for_each(|client| client.ask("GET", "/", ""));
        backend.wait_held(3);
        backend.release(1);
        clients
    };
    let _to_haproxy = one_ends(haproxy.address(), &backends[0]);
    let theirs = haproxy.line("default");
    let theirs: Vec<u32> = theirs.split(' ').nth(10).unwrap().split('/').map(|it| it.parse().unwrap()).collect();
    let _to_beelance = one_ends(beelance.web(), &backends[1]);
    let ours = beelance.access(1).remove(0).counts;
    assert_eq!((&theirs[2..], &ours[2..]), (&[2, 2, 0][..], &[2, 2, 0][..]));
}

#[test]
fn a_long_or_odd_request_line_does_not_break_the_line() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.get(&format!("/{}", "x".repeat(5000)));
    client.get("/quote\"d");
    client.get("/last");
    let line = beelance.wait_log("the last line", |lines| {
        lines.iter().filter_map(|line| Line::find(line)).find(|line| line.request.contains("/last"))
    });
    assert_eq!(line.request, "GET /last HTTP/1.1");
    assert!(beelance.log().iter().all(|line| line.len() < 8192));
    assert!(beelance.log().iter().any(|line| line.contains("\"GET /xxxx")));
}

#[test]
fn halog_reads_it() {
    let (one, two) = (
        Backend::named("one"),
        Backend::start(|request| match request.target() {
            "/bad" => send("garbage\r\n\r\n"),
            "/missing" => send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            _ => ok(b"two"),
        }),
    );
    let beelance = Beelance::before(&[&one, &two], "pool.*.cookie = SRV\n");
    let mut client = beelance.connect();
    for (server, target, times) in [("s1", "/", 7), ("s2", "/", 4), ("s2", "/missing", 2), ("s2", "/bad", 1)] {
        for _ in 0..times {
            client.ask("GET", target, &format!("Cookie: SRV={server}\r\n"));
            if client.try_response(false).is_ok_and(|response| response.says_close()) {
                client = beelance.connect();
            }
        }
    }
    beelance.access(14);
    let file = temporary("access.log");
    std::fs::write(&file, beelance.log().join("\n") + "\n").unwrap();
    let halog = |option: &str| {
        // Through a shell, because halog reads standard input only.
        let program = tool("halog").get_program().to_owned();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$1\" < \"$2\""]).arg(program).arg(option).arg(&file);
        output(&mut command, Duration::ZERO).stdout
    };
    let statuses = halog("-st");
    let servers = halog("-srv");
    std::fs::remove_file(&file).unwrap();
    let mut counts: Vec<&str> = statuses.lines().collect();
    counts.sort_unstable();
    assert_eq!(counts, ["200 11", "404 2", "502 1"], "{statuses}");
    // srv_name 1xx 2xx 3xx 4xx 5xx other tot_req req_ok ...
    let find = |name: &str| servers.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(find("default/s1 ").starts_with("default/s1 0 7 0 0 0 0 7 "), "{servers}");
    assert!(find("default/s2 ").starts_with("default/s2 0 4 0 2 1 0 7 "), "{servers}");
}
