//! What single clients may do: rates and their 429, errors, connections, and who is admitted first when they run short.
//! Clients are addresses of the loopback network, or those that PROXY headers name.
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
use common::ctl::{Place, value};
use common::nginx::Nginx;
use common::process::{Beelance, ConfigFile, listener_and, temporary};
use common::{eventually, output, scale, tool};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Nobody here is closed for idleness.
const PATIENT: &str = "timeout.client = 5m\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\n";

/// 127.0.0.N.
fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// A client whose address is 127.0.0.N.
#[track_caller]
fn from(last: u8, beelance: &Beelance) -> Client {
    Client::connect_from(loopback(last), beelance.web())
}

/// Whether a new connection of 127.0.0.N is served. One that is closed may be so before all of the request is sent.
fn is_served(last: u8, beelance: &Beelance) -> bool {
    let mut client = from(last, beelance);
    let sent = client.try_send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let response = sent.map_err(|e| e.to_string()).and_then(|()| client.try_response(false));
    response.is_ok_and(|response| response.status == 200)
}

#[track_caller]
fn retry_after_s(response: &Response) -> u64 {
    assert_eq!(response.status, 429);
    response.header("retry-after").expect("Retry-After").parse().unwrap()
}

/// What a client that asks as fast as it can was told.
#[derive(Default)]
struct Flood {
    asked: AtomicUsize,
    served: AtomicUsize,
    refused: AtomicUsize,
    closed: AtomicUsize,
    over: AtomicBool,
}

impl Flood {
    /// Asks on one connection after the other until it is told to stop.
    fn run(&self, source: IpAddr, address: SocketAddr) {
        while !self.over.load(Ordering::Relaxed) {
            let mut client = Client::connect_from(source, address);
            while !self.over.load(Ordering::Relaxed) {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let sent = client.try_send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
                let response = sent.map_err(|e| e.to_string()).and_then(|()| client.try_response(false));
                let count = match &response {
                    Ok(response) if response.status == 200 => &self.served,
                    Ok(response) => {
                        assert!((1..=60).contains(&retry_after_s(response)));
                        &self.refused
                    }
                    Err(_) => &self.closed,
                };
                count.fetch_add(1, Ordering::Relaxed);
                if !response.is_ok_and(|response| !response.says_close()) {
                    break;
                }
            }
            client.reset();
        }
    }
}

#[test]
fn a_flood_at_ten_times_the_rate_leaves_clients_below_it_without_an_error() {
    const RATE: usize = 60;
    const FLOODS: [u8; 2] = [2, 3];
    let nginx = ["n1", "n2"].map(Nginx::start);
    let mut config = format!("listen.web = 127.0.0.1:0\nlog.access = stderr\nlimits.rate = {RATE}/m\n");
    for (number, nginx) in nginx.iter().enumerate() {
        config += &format!("backend.n{number} = {}\nbackend.n{number}.maxconn = 10\n", nginx.address);
    }
    let beelance = Beelance::start(&config);
    let floods = FLOODS.map(|_| Flood::default());
    thread::scope(|scope| {
        for (last, flood) in FLOODS.into_iter().zip(&floods).chain(FLOODS.into_iter().zip(&floods)) {
            let address = beelance.web();
            scope.spawn(move || flood.run(loopback(last), address));
        }
        let ordinary: Vec<_> = (10u8..14)
            .map(|last| {
                let beelance = &beelance;
                scope.spawn(move || {
                    let mut kept = from(last, beelance);
                    // Never more than the rate in a period, however long it takes.
                    (0..RATE / 2).all(|_| kept.get("/").status == 200 && is_served(last, beelance))
                })
            })
            .collect();
        let without_error = ordinary.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>();
        // All of it happens within a minute: they are far above ten times their rate.
        for flood in &floods {
            eventually("ten times the rate", || (flood.asked.load(Ordering::Relaxed) >= 12 * RATE).then_some(()));
            flood.over.store(true, Ordering::Relaxed);
        }
        assert_eq!(without_error, [true; 4]);
    });
    for Flood { asked, served, refused, closed, .. } in floods {
        let [asked, served, refused, closed] = [asked, served, refused, closed].map(AtomicUsize::into_inner);
        assert!((RATE..=2 * RATE).contains(&served), "{served} of {asked} served");
        assert!(refused >= 9 * RATE, "{refused} of {asked} refused");
        assert!(closed > 0, "who goes on regardless is closed at once");
    }
    let lines = beelance.access(1);
    let refused: Vec<_> = lines.iter().filter(|line| line.status == 429).collect();
    assert!(!refused.is_empty());
    for line in refused {
        assert_eq!((line.state.as_str(), line.pool.as_str(), line.backend.as_str()), ("PR--", "web", "<NOSRV>"));
        assert!(line.client.starts_with("127.0.0.2:") || line.client.starts_with("127.0.0.3:"), "{line:?}");
    }
}

#[test]
fn who_waits_as_long_as_is_said_is_served() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "limits.rate = 2/s\n");
    let mut client = from(2, &beelance);
    let refused = eventually("it is too fast", || Some(client.get("/")).filter(|response| response.status != 200));
    assert_eq!((retry_after_s(&refused), refused.says_close()), (1, false));
    assert_eq!(refused.header("content-type"), Some("text/html"));
    // That time passes has no event.
    thread::sleep(Duration::from_secs(retry_after_s(&refused)));
    assert_eq!(client.get("/").text(), "one", "on the same connection");
    // curl waits for as long as Retry-After says, and asks again.
    let mut curl = tool("curl");
    curl.args(["-s", "-f", "--interface", "127.0.0.3", "--retry", "5"]);
    curl.args(vec![format!("http://{}/", beelance.web()); 6]);
    let got = output(&mut curl, Duration::ZERO);
    assert_eq!((got.code, got.stdout.matches("one").count()), (Some(0), 6), "{got:?}");
    assert!(beelance.access(9).iter().any(|line| line.status == 429 && line.client.starts_with("127.0.0.3:")));
}

#[test]
fn what_is_refused_is_a_whole_reply_whatever_was_asked() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "limits.rate = 1/m\n");
    let mut client = from(2, &beelance);
    assert_eq!(client.get("/").status, 200);
    client.ask("HEAD", "/", "");
    let head = client.head_response();
    assert!(head.status == 429 && head.body.is_empty());
    assert_eq!(client.post("/", b"body").status, 429);
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("keep-alive"));
    // The minute is over before the sixty seconds that are left of it are.
    let last = client.get("/");
    assert!((50..=60).contains(&retry_after_s(&last)), "{:?}", last.head);
    // Of a body that is still on its way nothing is waited for.
    client.ask("POST", "/", "Content-Length: 100000\r\n");
    assert!(client.response().says_close());
    assert_eq!(backend.count(), 1);
}

#[test]
fn a_route_may_have_a_rate_of_its_own() {
    let backend = Backend::named("one");
    let more = "route.login.path = /login\nroute.login.pool = default\nroute.login.rate = 2/m\n\
                route.other.path = /other\nroute.other.pool = default\nroute.other.rate = 1/m\n";
    let beelance = Beelance::before(&[&backend], more);
    let mut client = from(2, &beelance);
    let statuses = |client: &mut Client, target: &str| [0; 3].map(|_| client.get(target).status);
    assert_eq!(statuses(&mut client, "/login"), [200, 200, 429]);
    assert_eq!(statuses(&mut client, "/other"), [200, 429, 429]);
    assert_eq!(statuses(&mut client, "/"), [200; 3]);
    assert_eq!(statuses(&mut from(3, &beelance), "/login"), [200, 200, 429]);
}

#[test]
fn a_rate_comes_before_what_a_rule_does() {
    let (backend, page) = (Backend::named("one"), ConfigFile::new("<p>slower</p>\n"));
    let more = format!(
        "limits.errors = 5/m\nreply.429.file = {}\nroute.r.path = /hi\nroute.r.return = 200 hi\nroute.r.rate = 1/m\n\
         route.t.path = /trap\nroute.t.tarpit = 1ms\nroute.t.rate = 1/m\nroute.n.path = /no\nroute.n.deny = 503\n",
        page.path().display(),
    );
    let beelance = Beelance::before(&[&backend], &more);
    let mut client = from(2, &beelance);
    assert_eq!(client.get("/hi").text(), "hi");
    let refused = client.get("/hi");
    assert!((1..=60).contains(&retry_after_s(&refused)));
    assert_eq!((refused.text(), refused.says_close()), ("<p>slower</p>\n", false));
    let line = beelance.access(2).remove(1);
    assert_eq!((line.status, line.state.as_str(), line.request.as_str()), (429, "PR--", "GET /hi HTTP/1.1"));
    assert_eq!([0; 2].map(|_| from(3, &beelance).get("/trap").status), [500, 429]);
    // What a rule denies is an error of the client's, whatever its status.
    let mut client = from(4, &beelance);
    let barred = eventually("it did too much wrong", || Some(client.get("/no")).filter(|reply| reply.status != 503));
    assert!(barred.says_close() && (1..=60).contains(&retry_after_s(&barred)), "{:?}", barred.head);
    assert_eq!(from(2, &beelance).get("/").status, 200);
    assert_eq!(backend.count(), 1);
}

#[test]
fn who_does_too_much_wrong_is_closed_before_it_can_ask() {
    let nginx = Nginx::start("one");
    let more = format!("listen.web = 127.0.0.1:0\nbackend.n = {}\nlog.level = debug\n", nginx.address);
    let beelance = Beelance::start(&(more + "limits.errors = 5/m\n"));
    let mut client = from(2, &beelance);
    for _ in 0..6 {
        assert_eq!(client.get("/file/missing").status, 404);
    }
    let refused = client.get("/healthz");
    assert!((1..=60).contains(&retry_after_s(&refused)) && refused.says_close());
    for _ in 0..50 {
        assert!(!is_served(2, &beelance));
    }
    assert!(is_served(3, &beelance), "another client");
    // Malformed requests are errors too, and it is the client that errs, not the connection.
    for _ in 0..6 {
        let mut client = from(4, &beelance);
        client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
        assert_eq!(client.response().status, 400);
    }
    eventually("it is barred", || (!is_served(4, &beelance)).then_some(()));
    let told = beelance.log().iter().filter(|line| line.contains("127.0.0.2: closed by limits.errors")).count();
    assert!((1..10).contains(&told), "{told} lines for 50 connections");
}

#[test]
fn one_client_has_so_many_connections() {
    let backend = Backend::named("one");
    let place = Place::new();
    let socket = place.0.display();
    let more = format!("{PATIENT}limits.per-client = 3\nlimits.exempt = 127.0.0.9\nadmin.socket = {socket}\n");
    let beelance = Beelance::before(&[&backend], &more);
    let served = |last| {
        let mut client = from(last, &beelance);
        assert_eq!(client.get("/").text(), "one");
        client
    };
    let mut inside: Vec<Client> = (0..3).map(|_| served(2)).collect();
    for _ in 0..20 {
        assert!(!is_served(2, &beelance));
    }
    assert_eq!(["dcon", "dses"].map(|column| value(&place.0, "web", "FRONTEND", column)), ["20", "0"]);
    let others = [served(3), served(4)];
    let exempt: Vec<Client> = (0..10).map(|_| served(9)).collect();
    // Whoever leaves, however, makes room for exactly one.
    inside.pop().unwrap().reset();
    drop(inside.pop());
    for _ in 0..2 {
        inside.push(eventually("there is room", || {
            let mut client = from(2, &beelance);
            client.try_send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").ok()?;
            client.try_response(false).ok().map(|_| client)
        }));
    }
    assert!(!is_served(2, &beelance));
    assert!(inside.iter_mut().all(|client| client.get("/").text() == "one"));
    drop((inside, others, exempt));
    eventually("nothing is left of them", || {
        let several: Vec<Client> = (0..3).map(|_| from(2, &beelance)).collect();
        let ask = |mut client: Client| {
            client.try_send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").is_ok() && client.try_response(false).is_ok()
        };
        several.into_iter().all(ask).then_some(())
    });
}

/// A connection whose PROXY header names `source`, served or not.
fn named(source: &str, address: SocketAddr) -> (Client, Option<u16>) {
    let mut client = Client::connect(address);
    let (family, here) = if source.contains(':') { ("TCP6", "::1") } else { ("TCP4", "127.0.0.1") };
    let header = format!("PROXY {family} {source} {here} 1000 80\r\n");
    let sent = client.try_send(header + "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let response = sent.map_err(|e| e.to_string()).and_then(|()| client.try_response(false));
    (client, response.ok().map(|response| response.status))
}

#[test]
fn a_client_is_whom_a_proxy_header_names_and_an_ipv6_client_is_a_network() {
    let backend = Backend::named("one");
    let place = Place::new();
    let more = "listen.web.accept-proxy = yes\nlimits.rate = 2/m\nlimits.per-client = 3\n";
    let beelance = Beelance::before(&[&backend], &format!("{more}admin.socket = {}\n", place.0.display()));
    let status = |source: &str| named(source, beelance.web()).1;
    for [one, two, three, other] in [
        ["2001:db8:1:2::1", "2001:db8:1:2::ffff", "2001:db8:1:2:f::3", "2001:db8:1:3::1"],
        ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"],
    ] {
        assert_eq!([one, two, three, other].map(status), [Some(200), Some(200), Some(429), Some(200)], "{one}");
    }
    let held = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|source| named(source, beelance.web()));
    assert_eq!(held.each_ref().map(|(_, status)| *status), [Some(200), Some(200), Some(429)]);
    assert_eq!(status("2001:db8::4"), None, "a fourth connection");
    assert_eq!(["dcon", "dses"].map(|column| value(&place.0, "web", "FRONTEND", column)), ["0", "1"]);
    assert_eq!(status("2001:db8:0:1::4"), Some(200));
}

#[test]
fn who_has_no_address_has_no_limits_and_is_in_no_block() {
    let (socket, backend) = (temporary("limits"), Backend::named("one"));
    let more = format!(
        "listen.web = unix:{}\nbackend.s1 = {}\nlimits.rate = 1/m\nlimits.per-client = 1\nlimits.errors = 1/m\nroute.r.path = /closed\n\
         route.r.pool = default\nroute.r.maintenance = yes\nroute.r.maintenance.allow = 0.0.0.0/0, ::/0\n\
         route.e.path = /set\nroute.e.pool = default\nroute.e.set-header.x-way = unix\n",
        socket.display(),
        backend.address()
    );
    let _beelance = Beelance::start(&more);
    let mut clients = [(); 2].map(|()| Client::connect_unix(&socket));
    std::fs::remove_file(&socket).unwrap();
    for client in &mut clients {
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "one");
            assert_eq!(client.get("/closed").status, 503);
        }
        assert_eq!(client.get("/set").text(), "one");
    }
    assert!(backend.requests().iter().any(|request| request.header("x-way") == Some("unix")));
}

#[test]
fn any_number_of_addresses_push_out_nobody_who_is_counted_for_a_reason() {
    let backend = Backend::named("one");
    const RATE: usize = 20;
    let more = format!("listen.web.accept-proxy = yes\nlimits.rate = {RATE}/m\n");
    let beelance = Beelance::start(&(listener_and(&[&backend]).replace("log.access = stderr\n", "") + &more));
    let ask = || named("192.0.2.1", beelance.web()).1;
    // Requests it has left.
    let drain = || (0..).find(|_| ask() == Some(429)).unwrap_or(0);
    assert!(drain() >= RATE);
    // More than the table has places for.
    let crowd = scale(12_000);
    let served = |part: usize| {
        let served = |number: &usize| {
            let (client, status) = named(&format!("10.{part}.{}.{}", number / 256, number % 256), beelance.web());
            client.reset();
            status == Some(200)
        };
        (0..crowd / 2).filter(served).count()
    };
    let all = thread::scope(|scope| {
        let served = &served;
        let parts = [0, 1].map(|part| scope.spawn(move || served(part)));
        parts.map(|part| part.join().unwrap()).iter().sum::<usize>()
    });
    assert_eq!(all, crowd / 2 * 2, "who comes once is served");
    // Some of it is back by now; all of it would be if the client had been forgotten.
    let left = drain();
    assert!(left < RATE, "{left} requests left");
}

#[test]
fn who_came_back_with_his_cookie_keeps_his_place_longest() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.connections = 2\npool.*.cookie = SRV\n"));
    let (mut user, mut stranger) = (beelance.connect(), beelance.connect());
    let first = user.get("/");
    assert!(first.header("set-cookie").unwrap().starts_with("SRV=s1;"));
    assert_eq!(user.get_with("/", "Cookie: SRV=s1\r\n").text(), "one");
    assert_eq!(stranger.get_with("/", "Cookie: SRV=guess\r\n").text(), "one");
    assert_eq!(beelance.connect().get("/").text(), "one");
    stranger.ends();
    assert_eq!(user.get("/").text(), "one");
}

/// Places are kept, for whomever `door` makes the client: 127.0.0.N by its address, or by a PROXY header.
#[track_caller]
fn keeps_places(more: &str, door: impl Fn(u8, SocketAddr) -> Client) {
    const LIMIT: usize = 6;
    let backend = Backend::named("one");
    let more = format!("{PATIENT}limits.connections = {LIMIT}\nlimits.reserve = 2\npool.*.cookie = SRV\n{more}");
    let beelance = Beelance::before(&[&backend], &more);
    let mut user = door(5, beelance.web());
    for cookie in ["", "Cookie: SRV=s1\r\n"] {
        assert_eq!(user.get_with("/", cookie).text(), "one");
    }
    drop(user);
    backend.hold();
    let ask = |last| {
        let mut client = door(last, beelance.web());
        // One that is closed may be so already.
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nCookie: SRV=s1\r\n\r\n");
        client
    };
    let before = backend.count();
    let strangers: Vec<Client> = (0..LIMIT - 2).map(|_| ask(2)).collect();
    backend.wait_in_flight(LIMIT - 2);
    for _ in 0..3 {
        let end = ask(3).try_response(false);
        assert!(end.is_err(), "the cookie's value is no secret: it is the client that is known; {end:?}");
    }
    let users = [ask(5), ask(5)];
    backend.wait_in_flight(LIMIT);
    backend.open();
    for mut client in strangers.into_iter().chain(users) {
        assert_eq!(client.response().text(), "one");
    }
    assert_eq!(backend.count() - before, LIMIT);
    eventually("there is room for all", || ask(3).try_response(false).ok());
}

#[test]
fn some_places_are_for_clients_who_are_known() {
    keeps_places("", |last, address| Client::connect_from(loopback(last), address));
}

#[test]
fn some_places_are_for_clients_who_are_known_by_a_proxy_header() {
    keeps_places("listen.web.accept-proxy = yes\n", |last, address| {
        let mut client = Client::connect(address);
        let _ = client.try_send(format!("PROXY TCP4 127.0.0.{last} 127.0.0.1 1000 80\r\n"));
        client
    });
}
