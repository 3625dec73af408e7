//! Routes: every condition, all that are given must hold, the first match wins; addresses of both families.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port};
use common::client::Client;
use common::port::has_v6;
use common::process::Beelance;
use std::fmt::Write;

/// Pools `default`, `a`, `b`, each with one backend of its name.
struct Pools([Backend; 3]);

impl Pools {
    fn new() -> Self {
        Self(["default", "a", "b"].map(Backend::named))
    }

    fn with(&self, routes: &str) -> Beelance {
        let mut config = String::from("listen.web = 127.0.0.1:0\n");
        for (backend, pool) in self.0.iter().zip(["default", "a", "b"]) {
            writeln!(config, "backend.{pool} = {}\nbackend.{pool}.pool = {pool}", backend.address()).unwrap();
        }
        Beelance::start(&(config + routes))
    }
}

/// Routes, then requests with the pool that takes each.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const CASES: &[Case] = &[
    (
        "route.r.host = a.test, *.b.test, [::1], 192.0.2.1\nroute.r.pool = a\n",
        &[
            ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "a"),
            ("GET / HTTP/1.1\r\nHost: A.Test:81\r\n\r\n", "a"),
            ("GET / HTTP/1.1\r\nHost: x.y.b.test\r\n\r\n", "a"),
            ("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", "default"),
            ("GET / HTTP/1.1\r\nHost: xb.test\r\n\r\n", "default"),
            ("GET / HTTP/1.1\r\nHost: a.test.evil\r\n\r\n", "default"),
            ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "a"),
            ("GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n", "a"),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "default"),
            ("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "a"),
        ],
    ),
    (
        "route.r.path = /exact, /under/*, *.jpg\nroute.r.pool = a\n",
        &[
            ("GET /exact HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /exact?q HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /exact/ HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
            ("GET /Exact HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
            ("GET /under HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
            ("GET /under/ HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /under/x/y HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /x/under/ HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
            ("GET /b.jpg HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /b.jpg?x=.png HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /b.png?x=.jpg HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
            ("GET /%65xact HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
        ],
    ),
    (
        "route.r.method = POST, PUT\nroute.r.pool = a\n",
        &[
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "a"),
            ("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "a"),
            ("post / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "default"),
            ("POSTS / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "default"),
        ],
    ),
    (
        "route.r.header.x-one = 1, one\nroute.r.header.x-two = 2\nroute.r.pool = a\n",
        &[
            ("GET / HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nX-Two: 2\r\n\r\n", "a"),
            ("GET / HTTP/1.1\r\nHost: x\r\nX-TWO:  2 \r\nX-ONE: one\r\n\r\n", "a"),
            ("GET / HTTP/1.1\r\nHost: x\r\nX-One: 1\r\n\r\n", "default"),
            ("GET / HTTP/1.1\r\nHost: x\r\nX-One: 11\r\nX-Two: 2\r\n\r\n", "default"),
            ("GET / HTTP/1.1\r\nHost: x\r\nX-One: One\r\nX-Two: 2\r\n\r\n", "default"),
        ],
    ),
    ("route.r.src = 127.0.0.0/8\nroute.r.pool = a\n", &[("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a")]),
    ("route.r.src = 10.0.0.0/8, 127.0.0.1\nroute.r.pool = a\n", &[("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a")]),
    (
        "route.r.src = 10.0.0.0/8, 126.0.0.0/8, ::1, ::/0\nroute.r.pool = a\n",
        &[("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "default")],
    ),
    (
        // All that are given must hold.
        "route.r.host = a.test\nroute.r.path = /x/*\nroute.r.method = GET\nroute.r.src = 127.0.0.1/32\nroute.r.pool = a\n",
        &[
            ("GET /x/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "a"),
            ("GET /y/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "default"),
            ("GET /x/ HTTP/1.1\r\nHost: b.test\r\n\r\n", "default"),
            ("DELETE /x/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "default"),
        ],
    ),
    (
        // In the order of their first lines, not of their names or of their pools' lines.
        "route.z.path = /x/*\nroute.a.path = /x/y/*, /z\nroute.a.pool = a\nroute.z.pool = b\n",
        &[
            ("GET /x/y/z HTTP/1.1\r\nHost: x\r\n\r\n", "b"),
            ("GET /z HTTP/1.1\r\nHost: x\r\n\r\n", "a"),
            ("GET /w HTTP/1.1\r\nHost: x\r\n\r\n", "default"),
        ],
    ),
];

#[test]
fn each_condition_and_their_order() {
    let mut wrong = Vec::new();
    for (routes, requests) in CASES {
        let pools = Pools::new();
        let beelance = pools.with(routes);
        // On one connection: every request is routed by itself.
        let mut client = beelance.connect();
        for (request, wanted) in *requests {
            client.send(request);
            let response = client.response();
            if response.text() != *wanted {
                wrong.push(format!("{routes:?} {request:?}: {} {:?}", response.status, response.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn listeners_have_pools_of_their_own() {
    let pools = Pools::new();
    let more = "listen.other = 127.0.0.1:0\nlisten.other.pool = b\nroute.r.path = /a\nroute.r.pool = a\n";
    let beelance = pools.with(more);
    let (mut web, mut other) = (beelance.connect(), Client::connect(beelance.address("other")));
    assert_eq!((web.get("/").text(), other.get("/").text()), ("default", "b"));
    assert_eq!((web.get("/a").text(), other.get("/a").text()), ("a", "a"));
}

#[test]
fn ipv6_on_both_sides() {
    if !has_v6() {
        return;
    }
    let backend = Backend::named_on("six", Port::take_v6());
    let config = format!(
        "listen.web = [::1]:0\nlog.access = stderr\nbackend.s1 = {}\npool.*.check = tcp\nroute.r.src = ::1\nroute.r.pool = default\n",
        backend.address()
    );
    let beelance = Beelance::start(&config);
    assert!(beelance.web().is_ipv6());
    assert_eq!(beelance.connect().get("/").text(), "six");
    assert_eq!(backend.only().all("x-forwarded-for"), ["::1"]);
    assert!(beelance.access(1)[0].client.starts_with("::1:"));
}

#[test]
fn a_listener_for_both_families_knows_ipv4_clients_by_their_own_address() {
    if !has_v6() {
        return;
    }
    let (backend, inside) = (Backend::named("one"), Backend::named("inside"));
    let config = format!(
        "listen.web = [::]:0\nlog.access = stderr\nbackend.s1 = {}\nbackend.s2 = {}\nbackend.s2.pool = inside\n\
         route.r.src = 127.0.0.0/8\nroute.r.path = /inside\nroute.r.pool = inside\n",
        backend.address(),
        inside.address()
    );
    let beelance = Beelance::start(&config);
    let port = beelance.web().port();
    let mut four = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(four.get("/").text(), "one");
    assert_eq!(backend.only().all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(four.get("/inside").text(), "inside");
    let mut six = Client::connect(format!("[::1]:{port}").parse().unwrap());
    assert_eq!(six.get("/inside").text(), "one");
    let lines = beelance.access(3);
    assert!(lines[0].client.starts_with("127.0.0.1:") && lines[2].client.starts_with("::1:"), "{lines:?}");
}

#[test]
fn a_listener_for_ipv4_leaves_the_same_port_to_ipv6() {
    if !has_v6() {
        return;
    }
    let backend = Backend::named("one");
    let port = Port::take();
    let number = port.address.port();
    let config =
        format!("listen.four = 0.0.0.0:{number}\nlisten.web = [::]:{number}\nbackend.s1 = {}\n", backend.address());
    let beelance = Beelance::start(&config);
    assert_eq!(Client::connect(([127, 0, 0, 1], number).into()).get("/").text(), "one");
    assert_eq!(Client::connect(format!("[::1]:{number}").parse().unwrap()).get("/").text(), "one");
    assert_eq!(beelance.web().port(), number);
}

#[test]
fn a_route_of_one_listener() {
    let (all, one) = (Backend::named("all"), Backend::named("one"));
    let more = format!(
        "listen.inner = 127.0.0.1:0\nlisten.third = 127.0.0.1:0\nbackend.one = {}\nbackend.one.pool = one\n\
         route.r.path = /x\nroute.r.listen = web, third\nroute.r.pool = one\n",
        one.address()
    );
    let beelance = Beelance::before(&[&all], &more);
    for (listener, target, expected) in
        [("web", "/x", "one"), ("inner", "/x", "all"), ("third", "/x", "one"), ("web", "/y", "all")]
    {
        assert_eq!(Client::connect(beelance.address(listener)).get(target).text(), expected, "{listener} {target}");
    }
}
