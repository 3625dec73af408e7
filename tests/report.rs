//! `beelance report`: what it says of servers whose workers and service times are known, and that it says nothing where too
//! little was seen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, ok};
use common::client::Client;
use common::ctl::{Place, ask};
use common::process::{Beelance, Output, command, is_native};
use common::{DEADLINE, output};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// What a worker takes for a request.
const ALONE_MS: u64 = 40;
const WORKERS: usize = 4;

/// A server with so many workers: who finds none waits inside. A response is `ALONE_MS` of a worker's.
fn server() -> Backend {
    let (free, changed) = (Mutex::new(WORKERS), Condvar::new());
    Backend::start(move |_| {
        let mut left = changed.wait_while(free.lock().unwrap(), |left| *left == 0).unwrap();
        *left -= 1;
        drop(left);
        // The work: there is nothing else to wait for.
        std::thread::sleep(Duration::from_millis(ALONE_MS));
        *free.lock().unwrap() += 1;
        changed.notify_one();
        ok(b"done")
    })
}

/// So many clients, each with so many requests, one after the other.
fn crowd(beelance: &Beelance, clients: usize, requests: usize) {
    let one = || {
        let mut client = beelance.connect();
        (0..requests).for_each(|_| assert_eq!(client.get("/").text(), "done"));
    };
    std::thread::scope(|scope| (0..clients).for_each(|_| drop(scope.spawn(one))));
}

#[track_caller]
fn report(socket: &Place, words: &[&str]) -> Output {
    output(command().arg("report").arg("-s").arg(&socket.0).args(words), DEADLINE)
}

/// The number behind `before`.
#[track_caller]
fn number(text: &str, before: &str) -> f64 {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in\n{text}"));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().unwrap_or_else(|_| panic!("no number behind {before:?} in\n{text}"))
}

#[test]
fn the_workers_of_a_server_and_what_it_does_are_found() {
    let (backend, socket) = (server(), Place::new());
    let beelance = Beelance::start(&format!(
        "listen.web = 127.0.0.1:0\nbackend.s1 = {}\nadmin.socket = {}\npool.default.cookie = SRV\npower.board = 2\npower.server = 50\nadmin.listen = 127.0.0.1:0\n",
        backend.address(),
        socket.0.display()
    ));
    let early = report(&socket, &[]);
    assert_eq!(early.code, Some(0), "{}", early.stderr);
    assert!(early.stdout.contains("server   s1: no figure: fewer than 100 responses"), "{}", early.stdout);
    assert!(early.stdout.contains("servers  no figure"), "{}", early.stdout);
    // Alone, then one for each worker, then far too many.
    crowd(&beelance, 1, 200);
    crowd(&beelance, 4, 100);
    crowd(&beelance, 24, 25);
    let said = report(&socket, &[]).stdout;
    println!("{said}");
    let maxconn = number(&said, "maxconn = ");
    // An emulator's own time is in each response: the knee is less sharp, and still far from the 24 at once.
    let (blur, slower) = if is_native() { (1.0, 2.5) } else { (2.0, 4.0) };
    assert!((WORKERS as f64 - maxconn).abs() <= blur, "{said}");
    // A machine that is busy adds to it, and never takes away.
    let alone_ms = number(&said, "s1: alone ");
    assert!((ALONE_MS as f64..slower * ALONE_MS as f64).contains(&alone_ms), "{said}");
    let most = number(&said, "at most ");
    assert!(most <= 1.1 * (WORKERS as u64 * 1000 / ALONE_MS) as f64, "{said}");
    assert!(!said.contains("or more") && !said.contains("no figure") && said.contains("; has no limit\n"), "{said}");
    assert!(said.contains("power.board = 2.0 W: ") && said.contains("power.server = 50.0 W each: "), "{said}");
    assert!(said.contains("queue    nobody waited"), "{said}");
    assert!(number(&said, "users    ") > 0.0 || said.contains("users    0.0 %"), "{said}");
    // The same in metrics: watts times time.
    let mut admin = Client::connect(beelance.address("admin.listen"));
    admin.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let response = admin.response();
    let metrics = response.text();
    let [seconds, board, servers, each] = [
        "\nhaproxy_process_uptime_seconds ",
        "\nbeelance_energy_joules_total{of=\"board\"} ",
        "\nbeelance_energy_joules_total{of=\"servers\"} ",
        "\nbeelance_energy_joules_per_million_requests{of=\"board\"} ",
    ]
    .map(|series| number(metrics, series));
    // In whole millijoules.
    let [board_mj, servers_mj] = [board, servers].map(|joules| (joules * 1000.0).round());
    assert!(board >= 2.0 * seconds && servers_mj == 25.0 * board_mj, "{seconds} s, {board} J, {servers} J");
    assert_eq!(each, (board_mj * 1000.0 / 1200.0).floor());
    assert!(number(metrics, "\nbeelance_cpu_seconds_total ") > 0.0);
    // What that rests on.
    let table = report(&socket, &["default/s1"]).stdout;
    println!("{table}");
    let rows: Vec<Vec<f64>> = table
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect())
        .collect();
    assert!(rows.len() >= 3, "{table}");
    for row in &rows {
        let [at_once, _, _, per_second, ms] = row[..] else { panic!("{table}") };
        assert!((at_once * 1000.0 - per_second * ms).abs() <= 60.0 + at_once * 50.0, "Little's law: {table}");
    }
    assert!(rows.iter().map(|row| row[2]).sum::<f64>() <= 1200.0, "{table}");
}

#[test]
fn what_waits_and_who_moves_is_told() {
    let (backends, socket) = (["one", "two"].map(Backend::named), Place::new());
    let beelance = Beelance::before(
        &[&backends[0], &backends[1]],
        &format!("admin.socket = {}\npool.default.cookie = SRV\nbackend.*.maxconn = 1\n", socket.0.display()),
    );
    (0..3).for_each(|_| assert_eq!(beelance.connect().get_with("/", "Cookie: SRV=s1\r\n").status, 200));
    assert_eq!(beelance.connect().get("/").status, 200);
    backends[0].hold();
    let mut clients: Vec<Client> = (0..2).map(|_| beelance.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("GET", "/", "Cookie: SRV=s1\r\n"));
    backends[0].wait_in_flight(1);
    common::eventually("one waits", || (common::ctl::value(&socket.0, "default", "s1", "qcur") == "1").then_some(()));
    backends[0].open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    let said = ask(&socket.0, "show report");
    // Five of six were known.
    assert!(
        said.contains("users    83.3 % of the requests went to their user's server, 0.0 % elsewhere, 16.7 %"),
        "{said}"
    );
    assert!(said.contains("queue    16.7 % of the requests waited"), "{said}");
    assert!(said.contains("; has 1\n"), "{said}");
    assert!(said.contains("energy: the servers' is not known: set power.server\n"), "{said}");
    // Processor time and energy are those since the start, and so are the requests that they are shared out to.
    let since =
        |said: &str| said.starts_with("beelance: 6 requests in ") && said.contains(" J for a million requests\n");
    assert!(since(&said), "{said}");
    assert_eq!(ask(&socket.0, "clear counters all").trim(), "");
    let cleared = ask(&socket.0, "show report");
    assert!(since(&cleared) && cleared.contains("users    did not come yet"), "{cleared}");
    // What is not there is an error, and only `report` takes no more words.
    let wrong = report(&socket, &["default/zz"]);
    assert_eq!((wrong.code, wrong.stderr.as_str()), (Some(1), "No such server.\n"));
    assert_eq!(report(&socket, &["a", "b"]).code, Some(2));
}
