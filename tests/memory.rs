//! Memory: what `beelance check` says is what it takes, and it takes no more of it whatever comes.
//!
//! What is resident is compared natively only: in an emulator it is the emulator's. There the same loads count what is
//! given back. `RssAnon` is compared, not `VmRSS`: it is all that grows, while the pages of the program's file, which the
//! budget has in a line of its own, come and go, and in a debug build are many times those of a release.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok};
use common::client::Client;
use common::crowd::Crowd;
use common::mob::{Conduct, Mob, need_descriptors};
use common::process::{Beelance, ConfigFile, NOTHING, command, command_within, is_native};
use common::{eventually, output, scale, settled};
use nix::sys::signal::Signal::SIGTERM;
use std::net::SocketAddr;
use std::time::Duration;

const PATIENT: &str = "timeout.client = 5m\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\n\
                       timeout.server = 5m\ntimeout.queue = 5m\n";

/// The bytes of a line of the budget.
#[track_caller]
fn budget(config: &str, line: &str) -> u64 {
    let file = ConfigFile::new(config);
    let output = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
    assert_eq!(output.code, Some(0), "{output:?}");
    let found = output.stdout.lines().find(|text| text.starts_with(&format!("# {line}")));
    let words: Vec<&str> = found.unwrap_or_else(|| panic!("no line {line}: {output:?}")).split_whitespace().collect();
    words[words.len() - 2].parse().unwrap()
}

/// Stops it, and asserts that it ends well with nothing held; the requests it had.
#[track_caller]
fn ends_with_nothing(mut beelance: Beelance) -> u64 {
    beelance.signal(SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    let ended = beelance.ended();
    assert_eq!(ended.in_use, NOTHING);
    ended.requests
}

#[test]
fn with_every_table_full_and_every_buffer_in_use_it_takes_what_the_budget_says() {
    let connections = scale(1000);
    need_descriptors(4 * connections + 100);
    // An eighth of the connections hold a large buffer each, all there are, full of a response's head that goes on. The
    // others have both their small ones full: the backend reads nothing of their body, they read nothing of its.
    let large = (connections / 8).max(16);
    let heads = Crowd::backend(format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(16_000)).leak().as_bytes(), false);
    let floods = Crowd::backend(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", true);
    let config = format!(
        "listen.web = 127.0.0.1:0\nbackend.heads = {}\nbackend.heads.pool = heads\nbackend.floods = {}\nroute.heads.path = /heads\n\
         route.heads.pool = heads\nlimits.connections = {connections}\nlimits.memory = 256m\nlimits.header-size = 16k\n\
         limits.sndbuf = 4k\nlimits.rcvbuf = 4k\n{PATIENT}",
        heads.address(),
        floods.address(),
    );
    let bound = budget(&config, "the process") - budget(&config, "program");
    let beelance = Beelance::start(&config);
    let first = Crowd::clients(beelance.web(), large, "GET /heads HTTP/1.1\r\nHost: a\r\n\r\n", false);
    eventually("all long heads are out", || (heads.sent() >= large * 16_000).then_some(()));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n";
    let second = Crowd::clients(beelance.web(), connections - large, head, true);
    eventually("all others are at work", || (floods.connections() == connections - large).then_some(()));
    settled(|| (second.sent() + floods.sent()) as u64);
    // Their place is then for others, who do as the second did, and so use the small buffers that are left.
    drop(first);
    let third = Crowd::clients(beelance.web(), large, head, true);
    eventually("all are at work", || (floods.connections() >= connections).then_some(()));
    settled(|| (third.sent() + floods.sent()) as u64);
    if is_native() {
        let taken = beelance.resident_of_its_own();
        eprintln!("memory: {taken} bytes with everything in use, the budget has {bound}");
        assert!(taken <= bound, "{taken} bytes, the budget has {bound}");
        assert!(taken * 100 >= bound * 95, "{taken} bytes only, the budget has {bound}");
    }
    drop((second, third, heads, floods));
    ends_with_nothing(beelance);
}

#[test]
fn idle_connections_take_their_entries_and_no_more() {
    let count = scale(1000);
    need_descriptors(2 * count + 100);
    let backend = Backend::named("one");
    let config = format!("limits.connections = {}\nlimits.memory = 128m\n{PATIENT}", count + 50);
    let beelance = Beelance::before(&[&backend], &config);
    let ask = |_| {
        let mut client = beelance.connect();
        assert_eq!(client.get("/").text(), "one");
        client
    };
    let warm: Vec<Client> = (0..20).map(ask).collect();
    let before = beelance.resident_of_its_own();
    let idle: Vec<Client> = (0..count).map(ask).collect();
    let each = (beelance.resident_of_its_own() - before) / count as u64;
    if is_native() {
        eprintln!("memory: {each} bytes for an idle connection");
        // Those of the tables that were not touched before are among them.
        assert!(each <= 512, "{each} bytes for an idle connection");
    }
    drop((warm, idle));
    ends_with_nothing(beelance);
}

#[test]
fn connections_without_http_take_a_worker_each_and_buffers_while_they_hold_bytes() {
    /// What is in use at once while they greet each other: a few large buffers.
    const GREETING: u64 = 8 * 18 * 1024;
    let count = scale(500);
    need_descriptors(4 * count + 200);
    let config = |backend: &Crowd| {
        format!(
            "listen.web = 127.0.0.1:0\nlisten.web.mode = tcp\nbackend.s1 = {}\nlimits.connections = {count}\nlimits.memory = 128m\n\
             limits.sndbuf = 4k\nlimits.rcvbuf = 4k\n",
            backend.address()
        )
    };
    let greets = Crowd::backend(b"hello", false);
    let lines = config(&greets);
    let held = ["connections", "table of clients", "workers", "fixed"];
    let bound = held.map(|line| budget(&lines, line)).iter().sum::<u64>() + GREETING;
    let beelance = Beelance::start(&lines);
    let clients = Crowd::clients(beelance.web(), count, "hello", false);
    eventually("all are connected", || (greets.connections() == count).then_some(()));
    if is_native() {
        let taken = settled(|| beelance.resident_of_its_own());
        eprintln!("memory: {taken} bytes with {count} idle connections without HTTP, the budget has {bound}");
        assert!(taken <= bound, "{taken} bytes, the budget has {bound}");
    }
    drop(clients);
    ends_with_nothing(beelance);

    let floods = Crowd::backend(b"hello", true);
    let lines = config(&floods);
    let bound = budget(&lines, "the process") - budget(&lines, "program");
    let beelance = Beelance::start(&lines);
    let clients = Crowd::clients(beelance.web(), count, "hello", true);
    eventually("all are connected", || (floods.connections() == count).then_some(()));
    settled(|| (clients.sent() + floods.sent()) as u64);
    if is_native() {
        let taken = beelance.resident_of_its_own();
        eprintln!("memory: {taken} bytes with {count} stuck both ways, the budget has {bound}");
        assert!(taken <= bound, "{taken} bytes, the budget has {bound}");
    }
    drop((clients, floods));
    ends_with_nothing(beelance);
}

/// One odd client after the other.
fn odd(address: SocketAddr, number: usize) {
    let long = "x".repeat(3000);
    let mut client = Client::connect(address);
    match number % 8 {
        0 => client.send("GET / HTTP/1.1\nHost: a\n\n"),
        1 => client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        2 => client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}{long}{long}\r\n\r\n")),
        3 => client.send("GET / HTTP/1.1\r\nHo"),
        4 => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"),
        5 => client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n"),
        6 => {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {long}\r\n\r\n"));
            assert_eq!(client.response().status, 200);
        }
        _ => {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8));
            (0..8).for_each(|_| assert_eq!(client.response().status, 200));
        }
    }
    // Some read what they are told, some leave at once.
    if number % 16 >= 8 {
        client.half_close();
        let _ = client.until_end();
    }
    client.reset();
}

#[test]
fn odd_requests_leave_resident_memory_where_it_was() {
    const CLIENTS: usize = 4;
    /// What more clients at the same time than ever before may touch of the tables and buffers.
    const TOLERANCE: u64 = 64 * 1024;
    let backend = Backend::start(|request| match request.target() {
        "/long" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n".to_vec()),
            Step::Repeat(vec![b'x'; 20_000], 10),
        ],
        _ => ok(b"one"),
    });
    let config = format!("listen.web = 127.0.0.1:0\nbackend.s1 = {}\nlimits.connections = 64\n", backend.address());
    let beelance = Beelance::start(&config);
    let load = |count: usize| {
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let address = beelance.web();
                scope.spawn(move || (0..count / CLIENTS).for_each(|number| odd(address, client + number)));
            }
        });
    };
    // Eight clients in a row have fifteen requests.
    load(scale(5_000 * 8 / 15));
    let before = beelance.resident_of_its_own();
    load(scale(95_000 * 8 / 15));
    let after = beelance.resident_of_its_own();
    if is_native() {
        eprintln!("memory: {before} bytes after the warm-up, {after} after all");
        assert!(after <= before + TOLERANCE, "{before} bytes after the warm-up, {after} after all");
    }
    assert!(ends_with_nothing(beelance) > 0);
}

/// What waits in the kernel to be sent by sockets with this local port, in bytes.
fn unsent(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of_line = |line: &str| -> Option<u64> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let local = words.get(1)?.rsplit_once(':')?.1;
        let queue = words.get(4)?.split_once(':')?.0;
        (u16::from_str_radix(local, 16).ok()? == port).then(|| u64::from_str_radix(queue, 16).ok())?
    };
    table.lines().skip(1).filter_map(of_line).sum()
}

#[test]
fn clients_that_never_read_do_not_fill_the_kernel() {
    const LARGE: usize = 4 << 20;
    // Each bound, and what the kernel takes in one piece beyond it: a pipe's content. Of a send buffer it takes two where the
    // second comes before the first is counted, as the other tests here bring about. Without a bound it would be megabytes.
    const PIECE: u64 = 64 * 1024;
    /// What was sent and not taken note of yet, on a busy machine: a narrow client's window.
    const ON_ITS_WAY: u64 = 32 * 1024;
    const EACH: u64 = 16 * 1024 + PIECE + ON_ITS_WAY;
    let count = scale(200);
    let backend = Backend::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        vec![Step::Send(head.into_bytes()), Step::Repeat(vec![b'x'; 1 << 16], LARGE >> 16)]
    });
    let mut asked = 0;
    for (bounds, each) in [
        ("limits.notsent-lowat = 16k\n", EACH),
        ("limits.sndbuf = 16k\nlimits.rcvbuf = 16k\n", 3 * 16 * 1024 + 2 * PIECE),
    ] {
        let config = format!("{PATIENT}limits.connections = {count}\nlimits.memory = 64m\n{bounds}");
        let beelance = Beelance::before(&[&backend], &config);
        let clients: Vec<_> = (0..count)
            .map(|_| {
                let mut client = Client::connect_narrow(beelance.web());
                client.ask("GET", "/", "");
                client
            })
            .collect();
        asked += count;
        backend.wait_requests(asked);
        // It moves a little for as long as the kernel asks closed windows whether they are open.
        eventually("something waits", || (unsent(beelance.web().port()) > 0).then_some(()));
        let looks = std::iter::repeat_with(|| unsent(beelance.web().port())).take(30);
        let held = looks.max().unwrap();
        eprintln!("memory: {bounds:?}: {} bytes for each of {count} clients that never read", held / count as u64);
        assert!(held <= each * count as u64, "{held} bytes wait for {count} clients");
        assert!(held > 0, "nothing waits for them");
        drop(clients);
        ends_with_nothing(beelance);
    }
}

#[test]
fn within_32_megabytes_it_survives_ten_times_overload() {
    // Every page it could write to counts (RLIMIT_DATA): an allocation beyond it ends the process. An emulator does not even
    // start with so little.
    if !is_native() {
        return;
    }
    let backend = Backend::start(|request| match request.target() {
        "/large" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec()),
            Step::Repeat(vec![b'x'; 10_000], 100),
        ],
        _ => ok(b"one"),
    });
    let config = format!(
        "listen.web = 127.0.0.1:0\nbackend.s1 = {}\ntimeout.client = 2s\ntimeout.http-request = 2s\nlog.access = stderr\n",
        backend.address()
    );
    let beelance = Beelance::start_by(command_within(32 << 20), &config);
    let connections =
        usize::try_from(budget(&(config.clone() + "limits.memory = 16m\n"), "large buffers") / 2048).unwrap();
    let each = scale(connections * 10 / 4);
    need_descriptors(4 * each + 2000);
    let large_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(6_000)).into_bytes();
    let upload =
        [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n".to_vec(), vec![b'x'; 20_000]].concat();
    let mobs: Vec<Mob> = [
        (vec![b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()], false),
        (vec![large_head], true),
        (vec![upload], true),
        (vec![b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(); 50], true),
    ]
    .into_iter()
    .map(|(pieces, reads)| {
        Mob::start(beelance.web(), each, Conduct { pieces, period: Duration::from_millis(250), reads })
    })
    .collect();
    for mob in &mobs {
        eventually("the crowd comes and goes", || (mob.tally().ended >= each / 2).then_some(()));
    }
    drop(mobs);
    assert_eq!(beelance.connect().get("/").text(), "one");
    assert!(ends_with_nothing(beelance) > 0);
}
