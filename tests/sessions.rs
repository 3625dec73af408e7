//! The session map (`pool.N.stick`): users stay on their server without a cookie of the balancer's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::fixture::Fixture;
use common::process::{Beelance, ConfigFile, command, listener_and};
use common::{eventually, output};
use std::time::Duration;

const NAMES: [&str; 3] = ["one", "two", "three"];

fn home(beelance: &Beelance, target: &str, lines: &str) -> String {
    let response = beelance.connect().get_with(target, lines);
    assert!(response.all("set-cookie").is_empty(), "{:?}", response.head);
    response.text().to_owned()
}

#[test]
fn users_stay_by_what_tells_them_apart() {
    type Ask = fn(&str) -> (String, String);
    let cases: [(&str, Ask); 3] = [
        ("hdr:X-User", |user| ("/".into(), format!("x-user: {user}\r\n"))),
        ("cookie:SID", |user| ("/".into(), format!("Cookie: a=1; SID={user}\r\n"))),
        ("url_param:sid", |user| (format!("/?a=1&sid={user}"), String::new())),
    ];
    for (key, ask) in cases {
        let backends = NAMES.map(Backend::named);
        let beelance = Beelance::before(&backends.each_ref(), &format!("pool.default.stick = {key}\n"));
        let get = |user: &str| {
            let (target, lines) = ask(user);
            home(&beelance, &target, &lines)
        };
        let users: Vec<String> = (0..6).map(|number| format!("user-{number}")).collect();
        let homes: Vec<String> = users.iter().map(|user| get(user)).collect();
        // In turn, as without stickiness; then each where he was.
        assert_eq!(homes, [NAMES, NAMES].concat(), "{key}");
        for _ in 0..3 {
            assert_eq!(users.iter().map(|user| get(user)).collect::<Vec<_>>(), homes, "{key}");
        }
        // Who cannot be told apart is balanced.
        let strangers: Vec<String> = (0..3).map(|_| get("")).collect();
        assert_eq!(strangers, NAMES, "{key}");
        assert_eq!(backends[0].requests()[0].all("cookie").len(), usize::from(key == "cookie:SID"), "it is passed on");
    }
}

#[test]
fn addresses_are_users_and_networks_of_ipv6_are() {
    let backends = NAMES.map(Backend::named);
    let more = "pool.default.stick = src\nlisten.web.accept-proxy = yes\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    let get = |source: &str| {
        let family = if source.contains(':') { "TCP6" } else { "TCP4" };
        let to = if source.contains(':') { "::1" } else { "127.0.0.1" };
        let mut client = beelance.connect();
        client.send(format!("PROXY {family} {source} {to} 1000 80\r\n"));
        client.get("/").text().to_owned()
    };
    let sources = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"];
    let homes = sources.map(get);
    assert_eq!(homes, ["one", "two", "three", "one"]);
    assert_eq!(sources.map(get), homes);
    assert_eq!(get("2001:db8::abcd:1:2:3"), "three", "the same network");
    assert_eq!(get("2001:db8:0:2::1"), "two", "another one: the next in turn");
}

#[test]
fn the_cookie_goes_before_the_map_and_the_map_learns_from_it() {
    let backends = NAMES.map(Backend::named);
    let more = "pool.default.cookie = SRV\npool.default.stick = hdr:X-User\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    let mut client = beelance.connect();
    let first = client.get_with("/", "X-User: a\r\n");
    assert_eq!((first.text(), first.all("set-cookie")), ("one", vec!["SRV=s1; path=/"]));
    assert_eq!(client.get_with("/", "X-User: a\r\nCookie: SRV=s3\r\n").text(), "three");
    // Without his cookie he is known all the same, and gets it again.
    let again = client.get_with("/again", "X-User: a\r\n");
    assert_eq!((again.text(), again.all("set-cookie")), ("three", vec!["SRV=s3; path=/"]));
    assert_eq!(beelance.access_to("/again").state, "--NI");
}

#[test]
fn who_comes_back_after_his_server_finds_it_again() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    let more = "pool.default.stick = hdr:X-User\npool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n";
    let beelance = Beelance::before(&[&one, &two], more);
    let get = |user: &str| home(&beelance, "/", &format!("X-User: {user}\r\n"));
    let users: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    let homes: Vec<String> = users.iter().map(|user| get(user)).collect();
    one.stop();
    beelance.wait_change("s1", "down", 1);
    // The first user comes meanwhile, and moves.
    assert_eq!((homes[0].as_str(), get(&users[0])), ("one", "two".to_owned()));
    one.restart();
    beelance.wait_change("s1", "up", 1);
    for (user, home) in users.iter().zip(&homes).skip(1) {
        assert_eq!(&get(user), home, "{user} did not come while his server was away");
    }
    assert_eq!(get(&users[0]), "two", "he stays where he moved");
}

#[test]
fn a_refused_connection_moves_the_user_once() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    let more = "pool.default.stick = hdr:X-User\npool.*.retries = 1\ntimeout.connect = 1s\n";
    let beelance = Beelance::before(&[&one, &two], more);
    let get = || home(&beelance, "/", "X-User: a\r\n");
    assert_eq!(get(), "one");
    one.stop();
    assert_eq!(get(), "two");
    one.restart();
    for _ in 0..3 {
        assert_eq!(get(), "two");
    }
}

#[test]
fn who_stays_away_is_forgotten() {
    let backends = NAMES.map(Backend::named);
    let more = "pool.default.stick = hdr:X-User\npool.default.stick.expire = 100ms\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    assert_eq!(home(&beelance, "/", "X-User: a\r\n"), "one");
    // Whoever is forgotten is placed in turn, which is another server each time. To ask is to be remembered: he stays away.
    eventually("he is placed anew", || {
        std::thread::sleep(Duration::from_millis(400));
        (home(&beelance, "/", "X-User: a\r\n") != "one").then_some(())
    });
}

#[test]
fn the_map_is_in_the_budget_where_a_pool_has_one() {
    let backend = Backend::named("one");
    let budget = |more: &str| {
        let file = ConfigFile::new(&(listener_and(&[&backend]) + more));
        let said = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
        let line = said.stdout.lines().find(|line| line.contains("session map")).map(str::to_owned);
        line.map(|line| line.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).collect::<Vec<_>>())
    };
    assert_eq!(budget(""), None);
    assert_eq!(budget("pool.default.stick = src\n"), Some(vec![16_384, 16, 262_144]));
}

#[test]
fn a_request_waits_for_its_full_server_only_so_long_and_the_user_stays() {
    for (more, lines) in [
        ("pool.default.cookie = SRV\n", "Cookie: SRV=s1\r\n"),
        ("pool.default.stick = hdr:X-User\n", "X-User: a\r\n"),
        ("pool.default.cookie = SRV\npool.default.cookie.maxidle = 5m\n", "Cookie: SRV=s1\r\n"),
    ] {
        let (one, two) = (Backend::named("one"), Backend::named("two"));
        let more = format!("{more}pool.default.stick.wait = 100ms\nbackend.*.maxconn = 1\n");
        let beelance = Beelance::before(&[&one, &two], &more);
        assert_eq!(beelance.connect().get_with("/", lines).text(), "one");
        one.hold();
        let mut first = beelance.connect();
        first.ask("GET", "/first", lines);
        one.wait_in_flight(1);
        let response = beelance.connect().get_with("/second", lines);
        assert_eq!(response.text(), "two", "{more}");
        // The date of his cookie is of now, and still it is the cookie of his own server.
        let set = response.all("set-cookie");
        assert!(
            set.iter().all(|set| set.starts_with("SRV=s1|")) && set.is_empty() != more.contains("maxidle"),
            "{set:?}"
        );
        let line = beelance.access_to("/second");
        assert!(line.redispatched && line.timers[1] >= 90 && line.backend == "s2", "{line:?}");
        one.open();
        assert_eq!(first.response().text(), "one");
        for _ in 0..3 {
            assert_eq!(beelance.connect().get_with("/", lines).text(), "one", "{more}");
        }
    }
}

#[test]
fn where_all_are_full_who_waited_goes_elsewhere_behind_who_is_at_home_there() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let more = "backend.*.maxconn = 1\npool.default.cookie = SRV\npool.default.stick.wait = 50ms\n";
    let mut fixture = Fixture::new(&[&one, &two], more);
    one.hold();
    two.hold();
    let mut busy = ["SRV=s1", "SRV=s2"].map(|cookie| fixture.sent("/busy", &format!("Cookie: {cookie}\r\n")));
    one.wait_in_flight(1);
    two.wait_in_flight(1);
    let mut late = fixture.sent("/late", "Cookie: SRV=s1\r\n");
    let mut own = fixture.sent("/own", "Cookie: SRV=s2\r\n");
    let mut home = fixture.sent("/home", "Cookie: SRV=s1\r\n");
    let mut free = fixture.sent("/free", "");
    // Their wait is over, which only time can do. Two serves its own, and then by turns who is late and who is bound to none.
    std::thread::sleep(Duration::from_millis(150));
    fixture.settle();
    for count in 2..=4 {
        two.release(1);
        two.wait_requests(count);
    }
    assert_eq!(two.targets(), ["/busy", "/own", "/late", "/home"]);
    one.open();
    assert_eq!(free.response().text(), "one");
    two.open();
    for (client, target) in [(&mut late, "/late"), (&mut home, "/home"), (&mut own, "/own")] {
        let response = client.response();
        assert_eq!((response.text(), response.all("set-cookie").len()), ("two", 0), "{target}");
        assert_eq!(fixture.beelance.access_to(target).redispatched, target != "/own", "{target}");
    }
    assert!(busy.iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn whose_server_goes_down_while_he_is_late_moves_for_good() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let more = "backend.*.maxconn = 1\npool.default.check.uri = /healthz\npool.default.check.inter = 50ms\n\
                pool.default.check.timeout = 5s\n\
                pool.default.cookie = SRV\npool.default.stick.wait = 50ms\n";
    let mut fixture = Fixture::new(&[&one, &two], more);
    one.hold();
    two.hold();
    let mut busy = ["SRV=s1", "SRV=s2"].map(|cookie| fixture.sent("/busy", &format!("Cookie: {cookie}\r\n")));
    one.wait_in_flight(1);
    two.wait_in_flight(1);
    let mut late = fixture.sent("/late", "Cookie: SRV=s1\r\n");
    // Only time makes him late.
    std::thread::sleep(Duration::from_millis(150));
    one.set_health(500);
    fixture.beelance.wait_change("s1", "down", 1);
    two.open();
    let response = late.response();
    assert_eq!((response.text(), response.all("set-cookie").len()), ("two", 1), "he is bound to it from now on");
    one.open();
    assert!(busy.iter_mut().all(|client| client.response().status == 200));
}
