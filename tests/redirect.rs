//! Backends that redirect, and pools that overflow: who is sent where, and what that costs nobody.
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
use common::haproxy::Haproxy;
use common::nginx::Nginx;
use common::process::{Beelance, NOTHING, Output};
use common::{DEADLINE, tool};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;

/// `s1` and `s2` redirect to hosts of their names.
const BOTH: &str = "backend.s1.redirect = http://one.test/edge/\nbackend.s2.redirect = http://two.test\n";

/// Where a client of its own is sent for each of these targets, and how often.
fn spread(beelance: &Beelance, targets: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut client = beelance.connect();
    let mut counts = BTreeMap::new();
    for target in targets {
        let response = client.get(&target);
        let host = match response.header("location") {
            Some(location) => location.split('/').nth(2).unwrap().to_owned(),
            None => response.text().to_owned(),
        };
        *counts.entry(host).or_default() += 1;
    }
    counts
}

#[test]
fn get_and_head_are_redirected_the_rest_is_served() {
    let backends = [Backend::named("one"), Backend::named("two")];
    let mut beelance = Beelance::before(&[&backends[0], &backends[1]], BOTH);
    let mut client = beelance.connect();
    for (target, location) in [
        ("/a/b?c=d", "http://one.test/edge/a/b?c=d"),
        ("//x", "http://two.test//x"),
        ("http://h/y?", "http://one.test/edge/y?"),
    ] {
        let response = client.get(target);
        assert_eq!((response.status, response.header("location")), (302, Some(location)));
        assert_eq!(
            (response.header("cache-control"), response.header("content-length")),
            (Some("no-store"), Some("0"))
        );
        assert!(!response.says_close());
    }
    client.ask("HEAD", "/h", "");
    assert_eq!(client.head_response().header("location"), Some("http://two.test/h"));
    assert_eq!(backends.iter().map(Backend::accepted).sum::<usize>(), 0, "no connection to them");
    // The same turn as any request.
    assert_eq!(client.post("/p", b"abc").text(), "one");
    client.ask("OPTIONS", "/o", "");
    assert_eq!(client.response().text(), "two");
    client.ask("DELETE", "/d", "");
    assert_eq!(client.response().text(), "one");
    let line = beelance.access_to("/a/b?c=d");
    assert_eq!((line.pool.as_str(), line.backend.as_str(), line.state.as_str()), ("default", "s1", "LC--"));
    assert_eq!((line.status, line.timers[2], line.timers[3]), (302, -1, -1));
    drop(client);
    beelance.signal(Signal::SIGTERM);
    assert_eq!((beelance.exit_code(), beelance.ended().in_use.as_str()), (Some(0), NOTHING));
}

#[test]
fn as_haproxys_redir() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "backend.s1.redirect = http://one.test/edge\n");
    let haproxy = Haproxy::before(&[&backend], &["redir http://one.test/edge"], "");
    // HAProxy closes behind each.
    for target in ["/", "/a?b", "/%2f?", "//x/../y?z=/"] {
        let [ours, theirs] = [beelance.web(), haproxy.address()].map(|address| {
            let response = Client::connect(address).get(target);
            (response.status, response.header("location").map(str::to_owned))
        });
        assert_eq!(ours, theirs, "{target}");
    }
    for address in [beelance.web(), haproxy.address()] {
        assert_eq!(Client::connect(address).post("/", b"x").text(), "one");
    }
}

#[test]
fn a_key_has_its_server_and_one_that_all_ask_for_is_shared() {
    let (names, backend) = ([1, 2, 3, 4], Backend::named("none"));
    let mut more = "pool.*.balance = uri\npool.*.hash-balance-factor = 125\n".to_owned();
    for name in names {
        more += &format!("backend.s{name}.redirect = http://s{name}.test\n");
    }
    let beelance = Beelance::before(&[&backend, &backend, &backend, &backend], &more);
    let all = spread(&beelance, (0..200).map(|number| format!("/video/{number}")));
    assert!(all.len() == 4 && all.values().all(|&count| count <= 63), "a quarter and a quarter of that: {all:?}");
    // Nobody's slot is held, but all count: three at least are needed for that many.
    let one = spread(&beelance, (0..400).map(|_| "/video/popular".to_owned()));
    assert!(one.len() >= 3, "one server is not left alone with it: {one:?}");
    assert_eq!(backend.accepted(), 0);
}

#[test]
fn only_who_is_up_and_never_more_than_maxconn() {
    let [one, mut two, other] = ["one", "two", "other"].map(Backend::named);
    let more = format!(
        "{BOTH}backend.*.maxconn = 3\nbackend.s3.maxconn = 0\npool.default.check = tcp\npool.default.check.inter = 50ms\n\
         pool.default.check.timeout = 5s\n\
         backend.s3 = {}\nbackend.s3.pool = cloud\npool.default.overflow = cloud\n",
        other.address()
    );
    let beelance = Beelance::before(&[&one, &two], &more);
    let counts = spread(&beelance, (0..10).map(|number| format!("/{number}")));
    assert_eq!(counts, BTreeMap::from([("one.test".into(), 3), ("two.test".into(), 3), ("other".into(), 4)]));
    two.stop();
    beelance.wait_change("s2", "down", 1);
    // In ten seconds the window is empty; the one that is up has three again.
    common::eventually("the window moves", || (beelance.connect().get("/late").status == 302).then_some(()));
    let counts = spread(&beelance, (0..5).map(|number| format!("/again/{number}")));
    assert!(counts.get("one.test").is_none_or(|&count| count <= 3) && !counts.contains_key("two.test"), "{counts:?}");
}

#[test]
fn who_waits_for_the_window_is_redirected_when_it_moves() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "backend.s1.redirect = http://one.test\nbackend.s1.maxconn = 1\n");
    let mut client = beelance.connect();
    assert_eq!(client.get("/first").status, 302);
    assert_eq!(client.get("/second").status, 302);
    let line = beelance.access_to("/second");
    assert!(line.timers[1] > 0, "it waited: {line:?}");
}

#[test]
fn a_full_pool_overflows_and_takes_again_what_it_has_room_for() {
    let [one, two, three] = ["one", "two", "three"].map(Backend::named);
    let more = format!(
        "backend.s1.maxconn = 1\nbackend.two = {}\nbackend.two.pool = b\nbackend.two.maxconn = 1\nbackend.three = {}\n\
         backend.three.pool = c\npool.default.overflow = b\npool.b.overflow = c\npool.b.maxqueue = 1\n",
        two.address(),
        three.address()
    );
    let beelance = Beelance::before(&[&one], &more);
    one.hold();
    two.hold();
    let mut clients: Vec<_> = (0..4).map(|_| beelance.connect()).collect();
    clients[0].ask("GET", "/0", "");
    one.wait_in_flight(1);
    clients[1].ask("GET", "/1", "");
    two.wait_in_flight(1);
    // The second pool's queue has one place.
    clients[2].ask("GET", "/2", "");
    assert!(clients[2].is_silent());
    assert_eq!(clients[3].get("/3").text(), "three");
    one.open();
    two.open();
    for (client, name) in clients.iter_mut().zip(["one", "two", "two"]) {
        assert_eq!(client.response().text(), name);
    }
    assert_eq!(beelance.connect().get("/4").text(), "one");
    assert_eq!(beelance.access_to("/2").pool, "b");
}

#[test]
fn a_pool_without_a_server_overflows_and_the_last_one_refuses() {
    let [mut one, mut two] = ["one", "two"].map(Backend::named);
    let more = format!(
        "backend.two = {}\nbackend.two.pool = b\npool.default.overflow = b\npool.*.check = tcp\npool.*.check.inter = 50ms\n\
         pool.*.check.timeout = 5s\n",
        two.address()
    );
    let beelance = Beelance::before(&[&one], &more);
    assert_eq!(beelance.connect().get("/").text(), "one");
    one.stop();
    beelance.wait_change("s1", "down", 1);
    assert_eq!(beelance.connect().get("/").text(), "two");
    two.stop();
    beelance.wait_change("two", "down", 1);
    assert_eq!(beelance.connect().get("/none").status, 503);
    assert_eq!(beelance.access_to("/none").pool, "default");
    one.restart();
    beelance.wait_change("s1", "up", 1);
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn where_the_next_pool_is_down_a_full_one_lets_wait() {
    let [one, mut two] = ["one", "two"].map(Backend::named);
    two.stop();
    let more = format!(
        "backend.s1.maxconn = 1\nbackend.two = {}\nbackend.two.pool = b\npool.default.overflow = b\npool.b.check = tcp\n\
         pool.b.check.inter = 50ms\npool.b.check.timeout = 5s\n",
        two.address()
    );
    let beelance = Beelance::before(&[&one], &more);
    beelance.wait_change("two", "down", 1);
    one.hold();
    let [mut first, mut second] = [(); 2].map(|()| beelance.connect());
    first.ask("GET", "/0", "");
    one.wait_in_flight(1);
    second.ask("GET", "/1", "");
    assert!(second.is_silent());
    one.open();
    assert_eq!((first.response().text(), second.response().text()), ("one", "one"));
}

#[test]
fn a_user_stays_where_his_session_is() {
    let [one, two] = ["one", "two"].map(Backend::named);
    let more = format!(
        "backend.s1.maxconn = 1\nbackend.two = {}\nbackend.two.pool = b\npool.default.overflow = b\npool.*.cookie = SRV\n",
        two.address()
    );
    let beelance = Beelance::before(&[&one], &more);
    one.hold();
    let [mut busy, mut user, mut stranger] = [(); 3].map(|()| beelance.connect());
    busy.ask("GET", "/", "");
    one.wait_in_flight(1);
    user.ask("GET", "/", "Cookie: SRV=s1\r\n");
    assert!(user.is_silent(), "he waits for his server");
    let response = stranger.get("/");
    assert_eq!((response.text(), response.header("set-cookie")), ("two", Some("SRV=two; path=/")));
    one.open();
    assert_eq!((busy.response().text(), user.response().text()), ("one", "one"));
    assert!(two.requests()[0].all("cookie").is_empty());
}

#[test]
fn curl_follows_to_nginx() {
    let nginx = Nginx::start("edge");
    nginx.file("v", &vec![b'v'; 100_000]);
    let config = format!(
        "listen.web = 127.0.0.1:0\nbackend.e = {0}\nbackend.e.redirect = http://{0}\npool.*.check.uri = /healthz\n",
        nginx.address
    );
    let beelance = Beelance::start(&config);
    let mut curl = tool("curl");
    let arguments =
        ["-sSL", "-o", "/dev/null", "-w", "%{http_code} %{num_redirects} %{size_download} %{url_effective}"];
    let output = Output::of(curl.args(arguments).arg(format!("http://{}/file/v?t=1", beelance.web())), DEADLINE);
    assert_eq!(output.stdout, format!("200 1 100000 http://{}/file/v?t=1", nginx.address), "{}", output.stderr);
}
