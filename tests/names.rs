//! Names of servers, looked up at a real nameserver while beelance runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Port;
use common::client::Client;
use common::dnsmasq::{Dnsmasq, backends, config, count, neighbours, wait};
use common::process::Beelance;
use common::{DEADLINE, recipe, scale};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

#[test]
fn a_name_that_does_not_resolve_yet_comes_up_when_it_does() {
    let ([two], port) = backends(["two"]);
    let dns = Dnsmasq::knowing("");
    let beelance = Beelance::start(&config(&[dns.address()], port, ""));
    let mut client = beelance.connect();
    assert_eq!(client.get("/").status, 503);
    wait(&beelance, &["app.test does not resolve: no such name (NXDOMAIN): its servers stay DOWN until it resolves."]);
    dns.know("127.0.0.2 app.test\n");
    wait(&beelance, &["app.test resolves again."]);
    wait(&beelance, &["Server default/app is UP, reason: IP 127.0.0.2 by DNS. 1 active and 0 backup servers left."]);
    assert_eq!(beelance.connect().get("/").text(), "two");
    assert_eq!(two.count(), 1);
    assert_eq!(count(&beelance, &["does not resolve"]), 1, "it is said once");
}

#[test]
fn the_first_connections_wait_for_the_first_answers() {
    let ([two], port) = backends(["two"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
    for name in ["app.test", "APP.test.", "alias.test"] {
        let more =
            format!("backend.b = {name}:{port}\nlisten.b = 127.0.0.1:0\nlisten.b.pool = b\nbackend.b.pool = b\n");
        let beelance = Beelance::start(&config(&[dns.address()], port, &more));
        assert_eq!(Client::connect(beelance.address("b")).get("/").text(), "two", "{name}");
        wait(&beelance, &["b/b has the IP 127.0.0.2 by DNS."]);
        assert_eq!(count(&beelance, &["b/b has the IP"]), 1, "{name}");
        assert_eq!(beelance.changes("b", "up"), 0, "it was never down: {name}");
    }
    assert_eq!(two.count(), 3);
}

#[test]
fn a_reload_waits_for_the_first_answers() {
    let ([two], port) = backends(["two"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n127.0.0.2 other.test\n");
    let text = |host: &str| config(&[dns.address()], port, "").replace("app.test", host);
    let beelance = Beelance::start(&text("app.test"));
    assert_eq!(beelance.connect().get("/").text(), "two");
    let moved =
        format!("{}backend.new = other.test:{port}\nbackend.new.pool = new\nlisten.web.pool = new\n", text("app.test"));
    for _ in 0..scale(20) {
        for text in [&moved, &text("app.test"), &text("other.test")] {
            beelance.reload(text).unwrap();
            assert_eq!(beelance.connect().get("/").status, 200);
        }
    }
    assert_eq!(beelance.changes("app", "down") + beelance.changes("new", "down"), 0);
    assert!(two.count() > 3);
}

#[test]
fn an_address_changes_under_load_without_an_error() {
    let ([two, three], port) = backends(["two", "three"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let beelance = Beelance::start(&config(&[dns.address()], port, ""));
    let moved = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (beelance, moved) = (&beelance, &moved);
                scope.spawn(move || {
                    let mut client = beelance.connect();
                    loop {
                        let last = moved.load(Ordering::Acquire);
                        let response = client.get("/");
                        assert_eq!(response.status, 200);
                        if last {
                            assert_eq!(response.text(), "three", "nobody goes to the old address");
                            return;
                        }
                    }
                })
            })
            .collect();
        two.wait_requests(scale(200));
        dns.know("127.0.0.3 app.test\n");
        wait(&beelance, &["default/app changed its IP from 127.0.0.2 to 127.0.0.3 by DNS."]);
        moved.store(true, Ordering::Release);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    two.wait_open(0);
    assert!(three.count() >= 4);
    assert_eq!(beelance.changes("app", "down"), 0);
}

#[test]
fn what_is_under_way_finishes_at_the_old_address() {
    let ([two, three], port) = backends(["two", "three"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let beelance = Beelance::start(&config(&[dns.address()], port, ""));
    let mut client = beelance.connect();
    two.hold();
    client.ask("GET", "/", "");
    two.wait_held(1);
    dns.know("127.0.0.3 app.test\n");
    wait(&beelance, &["default/app changed its IP from 127.0.0.2 to 127.0.0.3 by DNS."]);
    assert_eq!(beelance.connect().get("/").text(), "three");
    two.open();
    assert_eq!(client.response().text(), "two");
    two.wait_open(0);
    assert_eq!(client.get("/").text(), "three");
    assert_eq!((two.count(), three.count()), (1, 2));
}

/// Answers each request on each connection with `name`, whatever comes before the request line.
fn answering(port: Port, name: &'static str) {
    let listener = port.listener();
    std::thread::spawn(move || {
        let _port = port;
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.by_ref().find(|line| line.is_empty()).is_some() {
                    let length = name.len();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
                    let _ = (&stream).write_all(answer.as_bytes());
                }
            });
        }
    });
}

#[test]
fn a_clients_own_connection_does_not_outlive_the_address() {
    let [two, three] = neighbours(2);
    let port = two.address.port();
    answering(two, "two");
    answering(three, "three");
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let beelance = Beelance::start(&config(&[dns.address()], port, "backend.app.send-proxy = v1\n"));
    let mut client = beelance.connect();
    assert_eq!([client.get("/").text(), client.get("/").text()], ["two", "two"]);
    dns.know("127.0.0.3 app.test\n");
    wait(&beelance, &["default/app changed its IP from 127.0.0.2 to 127.0.0.3 by DNS."]);
    assert_eq!(client.get("/").text(), "three");
}

#[test]
fn probes_and_the_cookie_follow_the_address() {
    let ([two, three], port) = backends(["two", "three"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let more = "pool.*.check.uri = /healthz\npool.*.check.inter = 30ms\npool.*.check.timeout = 5s\n\
                pool.*.cookie = SRV\npool.*.cookie.dynamic-key = key\n";
    let beelance = Beelance::start(&config(&[dns.address()], port, more));
    two.wait_more_probes(2);
    let value = |address: SocketAddr| beelance::balance::dynamic::value(b"key", address);
    let cookie = |response: &common::client::Response| {
        response.header("set-cookie").map(|cookie| cookie.split([';', '=']).nth(1).unwrap().to_owned())
    };
    let first = beelance.connect().get("/");
    assert_eq!(cookie(&first).as_deref(), Some(value(two.address()).as_str()));
    dns.know("127.0.0.3 app.test\n");
    wait(&beelance, &["default/app changed its IP from 127.0.0.2 to 127.0.0.3 by DNS."]);
    three.wait_more_probes(1);
    let before = two.probes();
    three.wait_more_probes(3);
    assert_eq!(two.probes(), before, "nobody probes the old address");
    let old = format!("Cookie: SRV={}\r\n", value(two.address()));
    let response = beelance.connect().get_with("/", &old);
    assert_eq!(cookie(&response).as_deref(), Some(value(three.address()).as_str()), "the old value leads nowhere");
    let new = format!("Cookie: SRV={}\r\n", value(three.address()));
    assert_eq!(cookie(&beelance.connect().get_with("/", &new)), None);
}

/// Says at each of the ports its word to everybody who connects, at the first one when `release` is dropped. The
/// numbers of the ports as they are asked.
fn saying(ports: [Port; 2], words: [&'static [u8]; 2], release: Receiver<()>) -> Receiver<usize> {
    let (asked, asks) = channel();
    let mut release = Some(release);
    for (number, (port, word)) in ports.into_iter().zip(words).enumerate() {
        let (listener, asked, release) = (port.listener(), asked.clone(), release.take());
        std::thread::spawn(move || {
            let _port = port;
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = asked.send(number);
                // Nothing is ever sent: it returns when the other end is dropped.
                let _ = release.as_ref().map(Receiver::recv);
                let _ = stream.write_all(word);
            }
        });
    }
    asks
}

#[test]
fn a_probe_or_an_agent_of_the_last_address_says_nothing_of_the_next() {
    let probes = "pool.*.check = http\npool.*.check.fall = 1\n";
    let probed: [&[u8]; 2] = [b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"];
    let told: [&[u8]; 2] = [b"down\n", b"ready\n"];
    for (agent, words) in [(false, probed), (true, told)] {
        let (ports, (hold, release)) = (neighbours(2), channel());
        let port = ports[0].address.port();
        let asks = saying(ports, words, release);
        let dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
        let check =
            if agent { format!("pool.*.check = none\npool.*.check.agent-port = {port}\n") } else { probes.into() };
        let more = format!("pool.*.check.inter = 50ms\npool.*.check.timeout = 1h\n{check}");
        let beelance = Beelance::start(&config(&[dns.address()], port, &more));
        assert_eq!(asks.recv_timeout(DEADLINE), Ok(0), "agent: {agent}");
        dns.know("127.0.0.3 app.test\n");
        wait(&beelance, &["default/app changed its IP from 127.0.0.2 to 127.0.0.3 by DNS."]);
        drop(hold);
        // One task asks one after the other: when it asks again, it has taken what was said before.
        for _ in 0..2 {
            assert_eq!(asks.recv_timeout(DEADLINE), Ok(1), "agent: {agent}");
        }
        assert_eq!(beelance.changes("app", "down"), 0, "agent: {agent}");
    }
}

#[test]
fn round_robin_of_the_nameserver_moves_nobody() {
    let ([two, _three, _four], port) = backends(["two", "three", "four"]);
    let dns = Dnsmasq::knowing("127.0.0.4 app.test\n127.0.0.2 app.test\n127.0.0.3 app.test\n");
    let beelance = Beelance::start(&config(&[dns.address()], port, ""));
    assert_eq!(beelance.connect().get("/").text(), "two", "the least");
    dns.wait_asked("A", "app.test", 8);
    assert_eq!(beelance.connect().get("/").text(), "two");
    assert_eq!((count(&beelance, &["changed its IP"]), two.count()), (0, 2));
    // It stays as long as the name has it.
    dns.know("127.0.0.1 app.test\n127.0.0.2 app.test\n");
    dns.wait_asked("A", "app.test", 3);
    assert_eq!(count(&beelance, &["changed its IP"]), 0);
}

#[test]
fn slots_fill_and_keep_their_addresses() {
    let ([two, three, four, _five], port) = backends(["two", "three", "four", "five"]);
    let dns = Dnsmasq::knowing("127.0.0.3 app.test\n127.0.0.2 app.test\n");
    let more = "backend.app.slots = 3\npool.*.slowstart = 24h\n";
    let beelance = Beelance::start(&config(&[dns.address()], port, more));
    let mut client = beelance.connect();
    let mut names = |count: usize| (0..count).map(|_| client.get("/").text().to_owned()).collect::<Vec<String>>();
    assert_eq!(names(4), ["two", "three", "two", "three"], "the free slot gets nothing");
    assert_eq!(beelance.changes("app3", "down"), 0, "a slot that is free is no failure");

    dns.know("127.0.0.3 app.test\n127.0.0.4 app.test\n127.0.0.2 app.test\n");
    wait(&beelance, &["Server default/app3 is UP, reason: IP 127.0.0.4 by DNS. 3 active"]);
    // It has one sixteenth of a weight of 1 at first.
    let share = names(66).iter().filter(|name| *name == "four").count();
    assert!((1..=2).contains(&share), "{share} of 66 for the one that joined");

    dns.know("127.0.0.3 app.test\n127.0.0.4 app.test\n");
    wait(&beelance, &["Server default/app1 is DOWN, reason: its IP is no longer in DNS. 2 active"]);
    two.wait_open(0);
    let before = two.count();
    assert!(names(6).iter().all(|name| name == "three" || name == "four"));
    assert_eq!(two.count(), before);

    dns.know("127.0.0.3 app.test\n127.0.0.4 app.test\n127.0.0.5 app.test\n127.0.0.1 app.test\n");
    wait(&beelance, &["Server default/app1 is UP, reason: IP 127.0.0.1 by DNS. 3 active"]);
    wait(&beelance, &["app.test has more addresses than the 3 slots take: 1 get no requests."]);
    dns.wait_asked("A", "app.test", 3);
    assert_eq!(count(&beelance, &["more addresses"]), 1, "it is said once");
    assert_eq!((beelance.changes("app2", "down"), beelance.changes("app3", "down")), (0, 0));
    assert!(three.count() > 0 && four.count() > 0);
}

#[test]
fn a_new_server_waits_for_no_long_download_from_the_last_one() {
    let ([_two, three, four], port) = backends(["two", "three", "four"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n127.0.0.3 app.test\n");
    let beelance = Beelance::start(&config(&[dns.address()], port, "backend.app.slots = 2\npool.*.cookie = SRV\n"));
    three.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "Cookie: SRV=app2\r\n");
    three.wait_held(1);
    dns.know("127.0.0.2 app.test\n");
    wait(&beelance, &["Server default/app2 is DOWN, reason: its IP is no longer in DNS."]);
    let response = beelance.connect().get_with("/", "Cookie: SRV=app2\r\n");
    assert_eq!(response.text(), "two", "who was bound to it goes elsewhere");
    dns.know("127.0.0.2 app.test\n127.0.0.4 app.test\n");
    wait(&beelance, &["default/app2 takes another IP; requests under way at its last one: 1."]);
    wait(&beelance, &["Server default/app2 is UP, reason: IP 127.0.0.4 by DNS."]);
    assert_eq!(beelance.connect().get_with("/", "Cookie: SRV=app2\r\n").text(), "four");
    three.open();
    assert_eq!(client.response().text(), "three");
    three.wait_open(0);
    assert_eq!(client.get_with("/", "Cookie: SRV=app2\r\n").text(), "four");
    assert_eq!((three.count(), four.count()), (1, 2));
    assert_eq!(count(&beelance, &["takes another IP"]), 1);
    assert_eq!(count(&beelance, &["more addresses"]), 0, "there is a slot for each");
}

#[test]
fn a_nameserver_that_is_gone_takes_no_address_with_it() {
    let ([_two, three], port) = backends(["two", "three"]);
    let mut dns = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let beelance = Beelance::start(&config(&[dns.address()], port, ""));
    assert_eq!(beelance.connect().get("/").text(), "two");
    dns.stop();
    wait(&beelance, &["app.test does not resolve: ", ": its last addresses are kept."]);
    assert_eq!(beelance.connect().get("/").text(), "two");
    dns.restart();
    wait(&beelance, &["app.test resolves again."]);
    // A name that is gone keeps its address, too.
    dns.know("");
    beelance.wait_log("NXDOMAIN", |lines| lines.iter().any(|line| line.contains("NXDOMAIN")).then_some(()));
    dns.wait_asked("A", "app.test", 3);
    assert_eq!(beelance.connect().get("/").text(), "two");
    dns.know("127.0.0.3 app.test\n");
    wait(&beelance, &["default/app changed its IP from 127.0.0.2 to 127.0.0.3 by DNS."]);
    assert_eq!(beelance.connect().get("/").text(), "three");
    assert_eq!(count(&beelance, &["does not resolve"]), 2, "each failure is said once");
    assert_eq!((three.count(), beelance.changes("app", "down")), (1, 0));
}

#[test]
fn the_recipe_scales_out_and_in_under_load() {
    let ([two, three, four], port) = backends(["two", "three", "four"]);
    let dns = Dnsmasq::knowing("127.0.0.2 app.test\n127.0.0.3 app.test\n");
    let (server, nameserver) = (format!("app.test:{port}"), dns.address().to_string());
    let replaced = [
        ("0.0.0.0:80", "127.0.0.1:0"),
        ("app.internal:8080", server.as_str()),
        ("192.168.1.1", &nameserver),
        ("resolver.hold             = 5s", "resolver.hold = 100ms"),
    ];
    let beelance = Beelance::start(&recipe::with(recipe::block("beelance", "autoscaling"), &replaced));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (beelance, over) = (&beelance, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Acquire) {
                    // A new user each time.
                    assert_eq!(beelance.connect().get("/").status, 200);
                }
            });
        }
        two.wait_requests(scale(20));
        dns.know("127.0.0.2 app.test\n127.0.0.3 app.test\n127.0.0.4 app.test\n");
        four.wait_requests(scale(20));
        dns.know("127.0.0.4 app.test\n");
        wait(&beelance, &["Server default/app2 is DOWN, reason: its IP is no longer in DNS. 1 active"]);
        let before = three.count();
        four.wait_requests(four.count() + scale(20));
        assert!(three.count() <= before + 4, "no more than what was under way");
        over.store(true, Ordering::Release);
    });
    assert_eq!(count(&beelance, &["changed its IP"]), 0, "each has a slot of its own");
}
