//! The configuration of a CDN's load balancers in production (`acceptance.conf`), with servers that stall, refuse, and
//! answer 503: its clients notice none of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, ok, send};
use common::process::Beelance;
use common::scale;

const CONFIG: &str = include_str!("acceptance.conf");

/// Theirs, but that a connection may take its time where who connects waits for a core: on this machine, and more so in an
/// emulator. What 20 ms are good for shows where connections are refused or not answered.
fn config(servers: &[(&str, std::net::SocketAddr)], more: &str) -> String {
    let lines: Vec<String> = servers.iter().map(|(name, at)| format!("backend.{name} = {at}\n")).collect();
    let config = CONFIG.replace("timeout.connect           = 20ms\n", "timeout.connect           = 5s\n");
    assert_ne!(config, CONFIG);
    let config = config
        .replace("pool.*.check              = tcp\n", "pool.*.check              = tcp\npool.*.check.timeout = 5s\n");
    format!("{config}{}{more}", lines.concat())
}

#[test]
fn clients_notice_neither_who_stalls_nor_who_refuses_nor_who_answers_503() {
    let (stalls, refuses) = (Backend::scripted(vec![Step::Hang]), Port::take());
    let busy = Backend::scripted(send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
    let well = ["well1", "well2", "well3", "well4"].map(Backend::named);
    let mut servers = vec![("stalls", stalls.address()), ("refuses", refuses.address), ("busy", busy.address())];
    servers.extend(["well1", "well2", "well3", "well4"].into_iter().zip(well.iter().map(Backend::address)));
    let config = config(&servers, "pool.*.error-limit = 3\n");
    let beelance = Beelance::start(&config.replace("timeout.server            = 2s", "timeout.server = 500ms"));
    let requests = scale(70).max(21);
    let mut client = beelance.connect();
    for number in 0..requests {
        let response = client.get("/");
        assert!(response.status == 200 && response.text().starts_with("well"), "{number}: {}", response.status);
    }
    beelance.wait_change("refuses", "down", 1);
    let lines = beelance.access(requests);
    assert!(lines.iter().any(|line| line.redispatched && line.counts[4] >= 1), "{lines:?}");
    assert!(stalls.count() >= 1 && busy.count() >= 1, "all had their turn");
    // Three errors in a row: the pool of seven does without three of them.
    assert!(stalls.count() <= 3 && busy.count() <= 3, "{} and {}", stalls.count(), busy.count());
    for name in ["well1", "well2", "well3", "well4"] {
        assert_eq!(beelance.changes(name, "down"), 0);
    }
}

#[test]
fn their_expected_errors_are_passed_on() {
    let app = Backend::start(|request| match request.target() {
        "/500" => send("HTTP/1.1 500 As expected\r\nContent-Length: 3\r\n\r\napp"),
        _ => ok(b"fine"),
    });
    let beelance = Beelance::start(&config(&[("app", app.address())], ""));
    let mut client = beelance.connect();
    let response = client.get("/500");
    assert_eq!((response.status, response.text(), app.count()), (500, "app", 1));
    assert_eq!(client.get("/").text(), "fine");
}

#[test]
fn when_all_answer_503_that_is_what_clients_get() {
    let busy = ["one", "two", "three"].map(|name| {
        Backend::scripted(send(format!("HTTP/1.1 503 Busy\r\nContent-Length: {}\r\n\r\n{name}", name.len())))
    });
    let servers = [("a", busy[0].address()), ("b", busy[1].address()), ("c", busy[2].address())];
    let beelance = Beelance::start(&config(&servers, ""));
    let response = beelance.connect().get("/");
    assert_eq!((response.status, response.text()), (503, "three"));
    assert_eq!(busy.each_ref().map(Backend::count), [1, 1, 1]);
}

/// One key that all ask for would fill its server while three are idle; the factor is what bounds it.
#[test]
fn a_hot_key_keeps_within_its_share_and_others_keep_their_server() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let servers = NAMES.map(Backend::named);
    let named: Vec<_> = NAMES.into_iter().zip(servers.iter().map(Backend::address)).collect();
    // Requests are held here for as long as it takes.
    let config = config(&named, "").replace("= 2s", "= 60s");
    let beelance = Beelance::start(&config);
    let homes = || -> Vec<String> {
        let mut client = beelance.connect();
        (0..40).map(|user| client.get_with("/", &format!("X-LB: user{user}\r\n")).text().to_owned()).collect()
    };
    let before = homes();
    assert!(NAMES.iter().all(|name| before.iter().any(|home| home == name)), "{before:?}");
    assert_eq!(homes(), before);

    let counted = || servers.iter().map(Backend::count).sum::<usize>();
    let earlier = counted();
    servers.iter().for_each(Backend::hold);
    let mut crowd = Vec::new();
    for number in 1..=20 {
        let mut client = beelance.connect();
        client.ask("GET", "/", "X-LB: hot\r\n");
        crowd.push(client);
        common::eventually("the request comes to a server", || (counted() == earlier + number).then_some(()));
        let most = servers.iter().map(Backend::in_flight).max().unwrap();
        // 140 percent of a quarter of them, and never less than one.
        assert_eq!(most, (number * 140).div_ceil(400), "of {number} in flight");
    }
    servers.iter().for_each(Backend::open);
    assert!(crowd.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(homes(), before, "a crowd for one key moves no other for good");
}
