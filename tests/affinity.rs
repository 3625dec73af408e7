//! The affinity cookie (`cookie NAME insert indirect nocache`): users stay on their server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, ok, send};
use common::client::{Response, User};
use common::process::Beelance;
use common::scale;

const COOKIE: &str = "pool.default.cookie = SRV\n";

fn private(response: &Response) -> bool {
    response.all("cache-control").iter().any(|value| value.eq_ignore_ascii_case("private"))
}

#[test]
fn a_new_user_gets_the_cookie() {
    let cases = [
        ("", "SRV=s1; path=/"),
        ("backend.s1.cookie = shop-1\n", "SRV=shop-1; path=/"),
        ("pool.default.cookie.httponly = yes\n", "SRV=s1; path=/; HttpOnly"),
        ("pool.default.cookie.secure = yes\n", "SRV=s1; path=/; Secure"),
        ("pool.default.cookie.httponly = yes\npool.*.cookie.secure = yes\n", "SRV=s1; path=/; HttpOnly; Secure"),
        ("pool.default.cookie.attr = SameSite=Lax\n", "SRV=s1; path=/; SameSite=Lax"),
    ];
    for (more, wanted) in cases {
        // HAProxy adds Cache-Control where a cache might keep the response: this one says that it may be kept.
        let reply = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n";
        let backend = Backend::scripted(send(reply));
        let beelance = Beelance::before(&[&backend], &format!("{COOKIE}{more}"));
        let mut client = beelance.connect();
        let response = client.get("/");
        assert_eq!(response.all("set-cookie"), [wanted], "{more}");
        assert!(private(&response), "{:?}", response.head);
        assert_eq!(client.post("/", b"body").all("set-cookie"), [wanted], "{more}");
    }
}

#[test]
fn the_backends_own_cookies_and_headers_stay() {
    let backend = Backend::scripted(send(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nCache-Control: max-age=60\r\nSet-Cookie: b=2; path=/x\r\n\
         Content-Length: 0\r\n\r\n",
    ));
    let beelance = Beelance::before(&[&backend], COOKIE);
    let response = beelance.connect().get("/");
    assert_eq!(response.all("set-cookie"), ["a=1", "b=2; path=/x", "SRV=s1; path=/"]);
    assert!(private(&response), "{:?}", response.head);
    let response = beelance.connect().get_with("/", "Cookie: SRV=s1\r\n");
    assert_eq!(response.all("set-cookie"), ["a=1", "b=2; path=/x"]);
    assert_eq!(response.all("cache-control"), ["max-age=60"]);
}

#[test]
fn a_known_user_gets_none_and_the_server_does_not_see_it() {
    // What the client sends, what the server sees.
    let cases: [(&[&str], &[&str]); 9] = [
        (&["SRV=s2"], &[]),
        (&["SRV=s2; a=1"], &["a=1"]),
        (&["a=1; SRV=s2"], &["a=1"]),
        (&["a=1; SRV=s2; b=2"], &["a=1; b=2"]),
        (&["a=1;SRV=s2;b=2"], &["a=1;b=2"]),
        (&["A=\"x=y\"; XSRV=s1; SRV=s2; SRVX=s1; b=%20=="], &["A=\"x=y\"; XSRV=s1; SRVX=s1; b=%20=="]),
        (&["srv=s1; SRV=s2"], &["srv=s1"]),
        (&["a=1", "SRV=s2"], &["a=1"]),
        (&["a=1", "SRV=s2; b=2"], &["a=1", "b=2"]),
    ];
    for (sent, seen) in cases {
        let (one, two) = (Backend::named("one"), Backend::named("two"));
        let beelance = Beelance::before(&[&one, &two], COOKIE);
        let lines: String = sent.iter().map(|value| format!("Cookie: {value}\r\n")).collect();
        let response = beelance.connect().get_with("/", &lines);
        assert_eq!(response.text(), "two", "{sent:?}");
        assert!(response.all("set-cookie").is_empty() && !private(&response), "{sent:?}: {:?}", response.head);
        // Blanks after a semicolon are the sender's taste.
        let bare = |values: Vec<&str>| values.iter().map(|v| v.replace("; ", ";")).collect::<Vec<_>>();
        assert_eq!(bare(two.only().all("cookie")), bare(seen.to_vec()), "{sent:?}");
    }
}

#[test]
fn an_unknown_value_is_replaced() {
    for value in ["", "s3", "s", "s1x", "S1", "\"s1\"", "s1~x"] {
        let (one, two) = (Backend::named("one"), Backend::named("two"));
        let beelance = Beelance::before(&[&one, &two], COOKIE);
        let response = beelance.connect().get_with("/", &format!("Cookie: SRV={value}\r\n"));
        let wanted = if response.text() == "one" { "SRV=s1; path=/" } else { "SRV=s2; path=/" };
        assert_eq!(response.all("set-cookie"), [wanted], "{value:?}");
    }
}

#[test]
fn users_spread_over_all_servers_and_each_stays_on_its_own() {
    let names = ["one", "two", "three", "four"];
    let backends = names.map(Backend::named);
    let beelance = Beelance::before(&backends.each_ref(), COOKIE);
    let mut users: Vec<User> = (0..12).map(|_| User::new(beelance.web(), "SRV")).collect();
    let homes: Vec<String> = users.iter_mut().map(|user| user.get("/").text().to_owned()).collect();
    for name in names {
        assert!(homes.iter().any(|home| home == name), "{name} has no user: {homes:?}");
    }
    for _ in 0..scale(100) {
        for (user, home) in users.iter_mut().zip(&homes) {
            assert_eq!(user.get("/").text(), home);
        }
    }
    assert!(users.iter().all(|user| user.set == 1), "nobody got a second cookie");
}

#[test]
fn one_connection_many_users() {
    // A proxy before beelance may send several users' requests down one connection.
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let beelance = Beelance::before(&[&one, &two], COOKIE);
    let mut client = beelance.connect();
    for number in 0..10 {
        let (cookie, home) = [("s1", "one"), ("s2", "two")][number % 2];
        assert_eq!(client.get_with("/", &format!("Cookie: SRV={cookie}\r\n")).text(), home);
    }
}

#[test]
fn a_dead_servers_users_move_once() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    let beelance =
        Beelance::before(&[&one, &two], &format!("{COOKIE}pool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n"));
    let mut users: Vec<User> = (0..8).map(|_| User::new(beelance.web(), "SRV")).collect();
    let homes: Vec<String> = users.iter_mut().map(|user| user.get("/").text().to_owned()).collect();
    assert!(homes.iter().any(|home| home == "one") && homes.iter().any(|home| home == "two"), "{homes:?}");
    one.stop();
    beelance.wait_change("s1", "down", 1);
    for _ in 0..5 {
        for user in &mut users {
            assert_eq!(user.get("/").text(), "two");
        }
    }
    // Back again: who moved stays where the new cookie says.
    one.restart();
    beelance.wait_change("s1", "up", 1);
    for (user, home) in users.iter_mut().zip(&homes) {
        assert_eq!(user.get("/").text(), "two");
        assert_eq!(user.set, if home == "one" { 2 } else { 1 }, "cookies of a user of {home}");
    }
}

#[test]
fn weight_0_serves_known_users_only() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let beelance = Beelance::before(&[&one, &two], &format!("{COOKIE}backend.s1.weight = 0\n"));
    for _ in 0..6 {
        assert_eq!(beelance.connect().get("/").text(), "two");
    }
    assert_eq!(beelance.connect().get_with("/", "Cookie: SRV=s1\r\n").text(), "one");
}

#[test]
fn without_a_cookie_name_nothing_is_added_or_removed() {
    let backend = Backend::start(|_| ok(b"one"));
    let beelance = Beelance::before(&[&backend], "");
    let response = beelance.connect().get_with("/", "Cookie: SRV=s1\r\n");
    assert!(response.all("set-cookie").is_empty() && response.all("cache-control").is_empty());
    assert_eq!(backend.only().all("cookie"), ["SRV=s1"]);
}
