//! `explain connection`: what it says is what happens, and to ask has no effect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::{Client, Response};
use common::ctl::{Place, ask, ctl, value};
use common::process::Beelance;
use common::raw::named;
use common::told::{Chance, from, step, steps};
use common::{eventually, scale};
use std::collections::BTreeSet;
use std::fmt::Write;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A pool for each algorithm that connections have, behind a listener of the same name.
const POOLS: [(&str, &str); 8] = [
    ("rr", "balance = roundrobin"),
    ("least", "balance = leastconn"),
    ("random", "balance = random"),
    ("first", "balance = first"),
    ("source", "balance = source"),
    ("ring", "balance = source\npool.ring.hash = haproxy"),
    ("stick", "stick = src"),
    ("both", "stick = src\npool.both.balance = leastconn"),
];

/// Who greets on a connection.
#[track_caller]
fn greeting(client: &mut Client) -> String {
    String::from_utf8(client.exactly(1)).unwrap()
}

/// Listeners and pools for [`POOLS`], each with three servers that greet with their names.
fn all_pools(socket: &Place) -> String {
    let servers = NAMES.map(|name| (name, named(name)));
    let mut text = format!("admin.socket = {}\ntimeout.queue = 60s\n", socket.0.display());
    for (name, settings) in POOLS {
        let _ = writeln!(text, "listen.{name} = 127.0.0.1:0\nlisten.{name}.mode = tcp\nlisten.{name}.pool = {name}");
        let _ = writeln!(text, "pool.{name}.{settings}");
        for (server, address) in servers {
            let _ = writeln!(text, "backend.{name}-{server} = {address}\nbackend.{name}-{server}.pool = {name}");
            let _ = writeln!(text, "backend.{name}-{server}.maxconn = 4");
        }
        let _ = writeln!(text, "backend.{name}-c.weight = 2");
    }
    text
}

#[test]
fn a_connection_lands_where_it_is_said() {
    let socket = Place::new();
    let beelance = Beelance::start(&all_pools(&socket));
    let mut chance = Chance(11);
    let mut held: [Vec<Client>; POOLS.len()] = Default::default();
    let mut chosen = BTreeSet::new();
    for round in 0..scale(30) {
        for (at, (name, _)) in POOLS.iter().enumerate() {
            let held = &mut held[at];
            // Six at most: two servers hold them, so that one may drain and nobody has to wait for ever.
            if held.len() == 6 || (!held.is_empty() && chance.below(4) == 0) {
                let leaving = usize::try_from(chance.below(held.len() as u64)).unwrap();
                let mut leaving = held.swap_remove(leaving);
                leaving.half_close();
                leaving.ends();
                let left = held.len().to_string();
                eventually("it is gone", || (value(&socket.0, name, "BACKEND", "scur") == left).then_some(()));
            }
            let states = ["ready", "ready", "ready", "drain", "maint"];
            let (one, other) = (chance.of(&NAMES), chance.of(&states));
            let all_ready = NAMES.map(|server| format!("set server {name}/{name}-{server} state ready")).join(";");
            ask(&socket.0, &format!("{all_ready};set server {name}/{name}-{one} state {other}"));
            let source = 1 + chance.below(3);
            let line = format!("explain connection src 127.0.0.{source} listen {name}");
            let told = ask(&socket.0, &line);
            assert_eq!(ask(&socket.0, &line), told, "asked twice, it is the same");
            let mut client = from(source, beelance.address(name));
            if step(&told, "choice").starts_with("it waits for ") {
                // For the one it is bound to, which has no slot: it is left waiting, and leaves.
                assert_eq!(value(&socket.0, name, step(&told, "choice").split(' ').nth(3).unwrap(), "scur"), "4");
                eventually("it waits", || {
                    (value(&socket.0, name, "BACKEND", "scur") != held.len().to_string()).then_some(())
                });
                drop(client);
                let left = held.len().to_string();
                eventually("it left", || (value(&socket.0, name, "BACKEND", "scur") == left).then_some(()));
                continue;
            }
            let choice = step(&told, "choice").split(',').next().unwrap().to_owned();
            let served = greeting(&mut client);
            assert_eq!(choice, format!("{name}-{served}"), "round {round} of {name}: {told}");
            held.push(client);
            chosen.insert(choice);
        }
    }
    // Each server was chosen by somebody, so that it is no matter of course.
    assert!(scale(30) < 30 || chosen.len() >= POOLS.len() * 3 - 3, "{chosen:?}");
}

#[test]
fn every_step_of_a_connection_is_told() {
    let socket = Place::new();
    let address = named("a");
    let text = format!(
        "listen.web = 127.0.0.1:0\nbackend.w = {address}\nlisten.db = 127.0.0.1:0\nlisten.db.mode = tcp\nlisten.db.pool = db\n\
         admin.socket = {}\nadmin.listen = 127.0.0.1:0\nbackend.db1 = {address}\nbackend.db1.pool = db\nbackend.db1.maxconn = 1\n\
         backend.db2 = {address}\nbackend.db2.pool = db\nbackend.db2.maxconn = 1\nbackend.db2.maxqueue = 1\n\
         pool.db.stick = src\npool.db.stick.wait = 700ms\npool.db.maxqueue = 2\npool.db.balance = first\ntimeout.queue = 60s\n",
        socket.0.display()
    );
    let beelance = Beelance::start(&text);
    let explain = |question: &str| ask(&socket.0, &format!("explain {question}"));
    let told = explain("connection src 127.0.0.1");
    let most = told.split(" of ").nth(1).unwrap().split(' ').next().unwrap();
    let expected = format!(
        "listener: db; 0 of {most} connections\npool: db by its listener\n\
         affinity: by its address; the session map does not know it\n\
         balance: first: the first that has a slot free\n\
         server: db1 free; weight 1, 0 of 1 in flight, 0 waiting\n\
         server: db2 free; weight 1, 0 of 1 in flight, 0 waiting\n\
         choice: db1\nretries: 3 when it cannot connect, each elsewhere\n\n"
    );
    assert_eq!(told, expected);
    assert_eq!(explain("connection listen db src 127.0.0.1"), expected, "the first listener that carries no requests");
    assert_eq!(
        step(&explain("connection"), "affinity"),
        "by its address; the session map needs a key, which it has not"
    );
    assert!(ask(&socket.0, "show table db").contains("used:0"), "nobody was remembered");
    let web = explain("connection listen web");
    assert_eq!(
        web,
        format!(
            "listener: web; 0 of {most} connections\nrequests: each is placed by itself: explain METHOD HOST PATH\n\n"
        )
    );
    // It comes, and is known.
    let mut one = from(1, beelance.address("db"));
    one.exactly(1);
    assert_eq!(step(&explain("connection src 127.0.0.1"), "affinity"), "by its address; the session map leads to db1");
    let late = "for 60000 ms at most; after 700 ms for any other as well";
    assert_eq!(
        step(&explain("connection src 127.0.0.1"), "choice"),
        format!("it waits for db1 behind 0 others, {late}")
    );
    assert_eq!(step(&explain("connection src 127.0.0.2"), "choice"), "db2");
    let mut two = from(2, beelance.address("db"));
    two.exactly(1);
    let any = "none: all who could take it are full; it waits for any, behind";
    let choice = |question: &str| step(&explain(question), "choice").to_owned();
    assert_eq!(choice("connection src 127.0.0.3"), format!("{any} 0 others, for 60000 ms at most"));
    let mut three = from(3, beelance.address("db"));
    let until_waiting = |count: &str| {
        eventually("it waits", || (value(&socket.0, "db", "BACKEND", "qcur") == count).then_some(()));
    };
    until_waiting("1");
    assert_eq!(choice("connection src 127.0.0.4"), format!("{any} 1 others, for 60000 ms at most"));
    let mut four = from(4, beelance.address("db"));
    until_waiting("2");
    // The queue is full: the next is closed without a word.
    let full = explain("connection src 127.0.0.5");
    assert_eq!(step(&full, "choice"), "none: the queue is full; it is closed");
    assert_eq!(steps(&full).last(), Some(&"choice"));
    assert!(from(5, beelance.address("db")).until_end().is_empty());
    // Who waited first is first, wherever a slot is.
    two.half_close();
    two.ends();
    three.exactly(1);
    assert!(four.is_silent());
    one.half_close();
    one.ends();
    four.exactly(1);
    // Drained, a server has its own users only; in maintenance nobody.
    assert_eq!(ask(&socket.0, "set server db/db1 state drain;set server db/db2 state maint"), "\n\n");
    three.half_close();
    three.ends();
    four.half_close();
    four.ends();
    eventually("all have left", || (value(&socket.0, "db", "BACKEND", "scur") == "0").then_some(()));
    for (source, ends) in [(1, "db1, to which it is bound"), (9, "none: nobody takes connections; it is closed")] {
        assert_eq!(choice(&format!("connection src 127.0.0.{source}")), ends);
        let mut client = from(source, beelance.address("db"));
        match source {
            1 => assert_eq!(greeting(&mut client), "a"),
            _ => assert!(client.until_end().is_empty()),
        }
        client.half_close();
        eventually("it has left", || (value(&socket.0, "db", "BACKEND", "scur") == "0").then_some(()));
    }
    // The same as JSON, and what it comes to for a program.
    let mut admin = Client::connect(beelance.address("admin.listen"));
    for (query, start) in [
        (
            "&src=127.0.0.1",
            "{\"result\":\"server\",\"listener\":\"db\",\"route\":\"\",\"pool\":\"db\",\"server\":\"db1\",\"status\":0,",
        ),
        (
            "&src=127.0.0.9",
            "{\"result\":\"closed\",\"listener\":\"db\",\"route\":\"\",\"pool\":\"db\",\"server\":\"\",\"status\":0,",
        ),
        (
            "&listen=web",
            "{\"result\":\"accepted\",\"listener\":\"web\",\"route\":\"\",\"pool\":\"\",\"server\":\"\",\"status\":0,",
        ),
    ] {
        let told = get(&mut admin, query);
        assert!(told.status == 200 && told.text().starts_with(start), "{query}: {}", told.text());
        assert!(told.text().ends_with("\"}]}\n"), "{}", told.text());
    }
}

/// What the admin listener says of a connection.
fn get(admin: &mut Client, query: &str) -> Response {
    admin.send(format!("GET /api/v1/explain?method=connection{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    admin.response()
}

#[test]
fn what_is_asked_wrongly_of_a_connection_is_told() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let more = format!(
        "admin.socket = {}\nadmin.socket.level = user\nadmin.listen = 127.0.0.1:0\nlimits.per-client = 3\n",
        socket.0.display()
    );
    let beelance = Beelance::before(&[&backend], &more);
    let usage = "Usage: explain {METHOD HOST PATH [cookie NAME=VALUE] [header NAME=VALUE] | connection} [src ADDRESS] [listen NAME]...\n\n";
    let no_head = "A connection has no host, path, cookie or header: it is asked about by src and listen alone.\n\n";
    for (line, expected) in [
        ("explain connection src", usage),
        ("explain connection h /", usage),
        ("explain connection colour red", usage),
        ("explain connection src 127.0.0.1 listen", usage),
        ("explain connection cookie A=1", no_head),
        ("explain connection src ::1 header X=1", no_head),
        ("explain connection host h", no_head),
        ("explain connection src nobody", "src takes an IPv4 or IPv6 address.\n\n"),
        ("explain connection src 1.2.3.4.5", "src takes an IPv4 or IPv6 address.\n\n"),
        ("explain connection src ::1%lo", "src takes an IPv4 or IPv6 address.\n\n"),
        ("explain connection listen none", "No such listener.\n\n"),
    ] {
        assert_eq!(ask(&socket.0, line), expected, "{line}");
    }
    // Where no listener carries connections alone, the first is meant.
    assert!(ask(&socket.0, "explain connection").starts_with("listener: web; "));
    let wrong = ctl(&socket.0, &["explain", "connection", "path", "/"]);
    assert_eq!((wrong.code, wrong.stderr.trim_end()), (Some(1), no_head.trim_end()));
    let right = ctl(&socket.0, &["explain", "connection", "src", "127.0.0.1"]);
    assert_eq!((right.code, steps(&right.stdout)), (Some(0), vec!["listener", "client", "requests"]));
    let mut admin = Client::connect(beelance.address("admin.listen"));
    for (query, message) in [
        ("&path=/", no_head),
        ("&host=h", no_head),
        ("&cookie=a", no_head),
        ("&src=nobody", "src takes an IPv4 or IPv6 address."),
        ("&listen=%00", "A value is one line."),
        ("&colour=red", "Usage: explain {METHOD"),
        (&format!("&src={}", "1".repeat(3000)), "The request is too long."),
    ] {
        let wrong = get(&mut admin, query);
        assert!(wrong.status == 400 && wrong.text().starts_with(message.trim_end()), "{query}: {}", wrong.text());
    }
    // Whatever is asked, there is an answer, and nothing breaks.
    let mut chance = Chance(3);
    let words = [
        "connection",
        "src",
        "listen",
        "web",
        "::1",
        "127.0.0.1",
        "GET",
        "h",
        "/",
        "cookie",
        "header",
        "=",
        "\u{1}",
        "\u{e9}",
        "\\ ",
        "\"",
        "'",
        "%00",
        "CONNECTION",
        "-1",
        "99999999999999999999",
    ];
    for _ in 0..scale(300) {
        let line: Vec<&str> = (0..chance.below(9)).map(|_| chance.of(&words)).collect();
        let line = format!("explain {}", line.join(" "));
        assert!(ask(&socket.0, &line).ends_with("\n\n"), "{line}");
    }
    assert_eq!(beelance.connect().get("/").status, 200);
}
