//! Backends that are told who the client is: the header, whose connection it then is, probes (HAProxy's
//! doc/proxy-protocol.txt).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::Client;
use common::haproxy::Haproxy;
use common::nginx::Nginx;
use common::port::{Port, has_v6};
use common::process::Beelance;
use common::raw::RawBackend;
use std::net::{IpAddr, SocketAddr};

/// The header of a connection as the document has it.
fn header(version: &str, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    if version == "v1" {
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        return format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes();
    }
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let family = if from.is_ipv4() { b"\x21\x11\0\x0c" } else { b"\x21\x21\0\x24" };
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    [b"\r\n\r\n\0\r\nQUIT\n", &family[..], &octets(from), &octets(to), &ports].concat()
}

/// What a connection of beelance's own begins with.
fn own(version: &str) -> &'static [u8] {
    if version == "v1" { b"PROXY UNKNOWN\r\n" } else { b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0" }
}

/// The next connection to the backend, once it has said that it is from this client.
#[track_caller]
fn accept(backend: &RawBackend, version: &str, client: &Client, beelance: &Beelance) -> Client {
    let mut server = backend.accept();
    server.expect(header(version, client.local(), beelance.web()));
    server
}

/// Answers a request for `target` with it.
#[track_caller]
fn answer(server: &mut Client, target: &str) {
    let head = server.head_bytes();
    assert!(head.split(' ').nth(1) == Some(target), "{target}: {head}");
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()));
}

#[track_caller]
fn ask(client: &mut Client, server: &mut Client, target: &str) {
    client.ask("GET", target, "");
    answer(server, target);
    assert_eq!(client.response().text(), target);
}

#[test]
fn each_connection_begins_with_the_clients_address() {
    for version in ["v1", "v2"] {
        for address in families(&["127.0.0.1:0", "[::1]:0"]) {
            let backend = RawBackend::start();
            let config = backend.config(&format!("backend.s1.send-proxy = {version}\n"));
            let beelance = Beelance::start(&config.replacen("127.0.0.1:0", address, 1));
            let mut client = beelance.connect();
            client.ask("GET", "/", "");
            let mut server = accept(&backend, version, &client, &beelance);
            answer(&mut server, "/");
            assert_eq!(client.response().text(), "/", "{version} {address}");
        }
    }
}

#[test]
fn an_address_that_came_in_a_header_goes_on_in_one() {
    for version in ["v1", "v2"] {
        let backend = RawBackend::start();
        let config = format!("backend.s1.send-proxy = {version}\nlisten.web.accept-proxy = yes\n");
        let beelance = Beelance::start(&backend.config(&config));
        let web = beelance.web();
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), web.port());
        let cases = [
            ("PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n", Some("192.0.2.7:49153"), web),
            // Both ends are of one family.
            ("PROXY TCP6 2001:db8::7 2001:db8::1 49153 80\r\n", Some("[2001:db8::7]:49153"), mapped),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 49153 80\r\n", Some("192.0.2.7:49153"), web),
            ("PROXY UNKNOWN\r\n", None, web),
        ];
        for (line, source, to) in cases {
            let mut client = beelance.connect();
            client.send(line);
            client.ask("GET", "/", "");
            let from = source.map_or(client.local(), |source| source.parse().unwrap());
            let mut server = backend.accept();
            server.expect(header(version, from, to));
            answer(&mut server, "/");
            assert_eq!(client.response().text(), "/", "{version} {line:?}");
        }
    }
}

#[test]
fn a_connection_serves_one_client_only() {
    for reuse in ["safe", "always"] {
        let backend = RawBackend::start();
        let beelance =
            Beelance::start(&backend.config(&format!("backend.s1.send-proxy = v1\npool.*.reuse = {reuse}\n")));
        let mut clients = [beelance.connect(), beelance.connect()];
        let [first, second] = &mut clients;
        first.ask("GET", "/first", "");
        let mut of_first = accept(&backend, "v1", first, &beelance);
        answer(&mut of_first, "/first");
        assert_eq!(first.response().text(), "/first");
        // The connection of the first is idle, and not for the second.
        second.ask("GET", "/second", "");
        let mut of_second = accept(&backend, "v1", second, &beelance);
        answer(&mut of_second, "/second");
        assert_eq!(second.response().text(), "/second");
        for round in 0..3 {
            ask(first, &mut of_first, &format!("/first/{round}"));
            ask(second, &mut of_second, &format!("/second/{round}"));
        }
        // Both at once, answered in the other order.
        first.ask("GET", "/a", "");
        second.ask("GET", "/b", "");
        answer(&mut of_second, "/b");
        answer(&mut of_first, "/a");
        assert_eq!((first.response().text(), second.response().text()), ("/a", "/b"), "{reuse}");
        assert!(backend.is_silent(), "{reuse}: two connections are enough");
        // What may not be replayed shares a connection with `always` only.
        first.ask("POST", "/post", "Content-Length: 0\r\n");
        let mut server = if reuse == "always" { of_first } else { accept(&backend, "v1", first, &beelance) };
        answer(&mut server, "/post");
        assert_eq!(first.response().text(), "/post");
        // Who leaves takes its connection along.
        let [first, mut second] = clients;
        drop(first);
        server.ends();
        ask(&mut second, &mut of_second, "/still");
    }
}

#[test]
fn without_reuse_each_request_has_a_connection() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("backend.s1.send-proxy = v2\npool.*.reuse = never\n"));
    let mut client = beelance.connect();
    for target in ["/1", "/2", "/3"] {
        client.ask("GET", target, "");
        let mut server = accept(&backend, "v2", &client, &beelance);
        answer(&mut server, target);
        assert_eq!(client.response().text(), target);
        server.ends();
    }
}

#[test]
fn a_connection_that_the_backend_closed_is_replaced() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("backend.s1.send-proxy = v1\n"));
    let mut client = beelance.connect();
    for (target, end) in [("/close", "close"), ("/reset", "reset"), ("/unasked", "unasked"), ("/just then", "race")] {
        let target = target.replace(' ', "-");
        client.ask("GET", &target, "");
        let mut server = accept(&backend, "v1", &client, &beelance);
        answer(&mut server, &target);
        assert_eq!(client.response().text(), target);
        match end {
            "close" => drop(server),
            "reset" => server.reset(),
            "unasked" => {
                server.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                server.ends();
            }
            // The request is there at the same moment.
            _ => beelance.frozen(|| {
                client.ask("GET", "/behind", "");
                drop(server);
            }),
        }
    }
    let mut server = accept(&backend, "v1", &client, &beelance);
    answer(&mut server, "/behind");
    assert_eq!(client.response().text(), "/behind");
    ask(&mut client, &mut server, "/last");
}

#[test]
fn a_client_that_goes_to_another_backend_leaves_none_open() {
    let backends = [RawBackend::start(), RawBackend::start()];
    let config = format!("backend.s2 = {}\nbackend.*.send-proxy = v1\n", backends[1].address);
    let beelance = Beelance::start(&backends[0].config(&config));
    let mut client = beelance.connect();
    let mut last: Option<Client> = None;
    for round in 0..4 {
        let target = format!("/{round}");
        client.ask("GET", &target, "");
        let mut server = accept(&backends[round % 2], "v1", &client, &beelance);
        answer(&mut server, &target);
        assert_eq!(client.response().text(), target);
        if let Some(mut before) = last.replace(server) {
            before.ends();
        }
    }
}

#[test]
fn a_tunnel_begins_with_it_too() {
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config("backend.s1.send-proxy = v2\n"));
    let mut client = beelance.connect();
    client.send(common::tunnel::ASK);
    let mut server = accept(&backend, "v2", &client, &beelance);
    server.head_bytes();
    server.send(common::tunnel::SWITCH);
    client.expect(common::tunnel::SWITCHED);
    client.send("up");
    server.expect("up");
}

#[test]
fn a_retry_says_it_again() {
    let (backend, port) = (RawBackend::start(), Port::take());
    let config = format!("backend.dead = {}\nbackend.*.send-proxy = v1\npool.*.retries = 1\n", port.address);
    let beelance = Beelance::start(&backend.config(&config));
    for _ in 0..2 {
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        let mut server = accept(&backend, "v1", &client, &beelance);
        answer(&mut server, "/");
        assert_eq!(client.response().text(), "/");
    }
}

#[test]
fn probes_begin_with_a_header_of_nobody() {
    for version in ["v1", "v2"] {
        let backend = RawBackend::start();
        let checks = "pool.*.check = tcp\npool.*.check.inter = 100ms\npool.*.check.timeout = 20s\n";
        let _beelance = Beelance::start(&backend.config(&format!("backend.s1.send-proxy = {version}\n{checks}")));
        for _ in 0..2 {
            let mut server = backend.accept();
            assert_eq!(server.until_end(), own(version), "{version}");
        }
        let backend = RawBackend::start();
        let checks = "pool.*.check.uri = /well\npool.*.check.inter = 100ms\npool.*.check.timeout = 20s\n";
        let _beelance = Beelance::start(&backend.config(&format!("backend.s1.send-proxy = {version}\n{checks}")));
        for _ in 0..2 {
            let mut server = backend.accept();
            server.expect(own(version));
            answer(&mut server, "/well");
        }
    }
}

/// A listener for each family before one backend.
fn both_families(backend: SocketAddr, version: &str) -> Beelance {
    let config = format!(
        "listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.s1 = {backend}\nbackend.s1.send-proxy = {version}\n"
    );
    let six = if has_v6() { "listen.six = [::1]:0\n" } else { "" };
    Beelance::start(&(config + six))
}

/// Those of both families, IPv4's first, as far as this machine has them.
fn families<'a>(both: &'a [&'a str; 2]) -> impl Iterator<Item = &'a str> {
    both.iter().copied().take(if has_v6() { 2 } else { 1 })
}

#[test]
fn nginx_sees_the_client() {
    let nginx = Nginx::behind_proxy("seeing");
    for version in ["v1", "v2"] {
        let beelance = both_families(nginx.address, version);
        for listener in families(&["web", "six"]) {
            let mut client = Client::connect(beelance.address(listener));
            let seen = format!("{},{}", client.local().ip(), client.local().port());
            for _ in 0..3 {
                assert_eq!(client.get("/who").text(), seen, "{version}");
            }
        }
    }
}

const SAYS_WHO: &str = "http-request return status 200 content-type text/plain \
                        lf-string \"%[src] %[src_port] %[dst] %[dst_port]\"";

#[test]
fn haproxy_sees_the_client() {
    let haproxy =
        Haproxy::start(Port::take(), |address| format!("frontend f\n  bind {address} accept-proxy\n  {SAYS_WHO}\n"));
    for version in ["v1", "v2"] {
        let beelance = both_families(haproxy.address(), version);
        for listener in families(&["web", "six"]) {
            let mut client = Client::connect(beelance.address(listener));
            let (from, to) = (client.local(), beelance.address(listener));
            let seen = format!("{} {} {} {}", from.ip(), from.port(), to.ip(), to.port());
            for _ in 0..3 {
                assert_eq!(client.get("/").text(), seen, "{version}");
            }
        }
    }
}

#[test]
fn haproxy_takes_the_probes() {
    for version in ["v1", "v2"] {
        let port = Port::take();
        let checks = "pool.*.check.uri = /\npool.*.check.inter = 100ms\npool.*.check.timeout = 5s\npool.*.check.rise = 1\n\
                      pool.*.check.fall = 1\n";
        let beelance = Beelance::start(&format!(
            "listen.web = 127.0.0.1:0\nbackend.s1 = {}\nbackend.s1.send-proxy = {version}\n{checks}",
            port.address
        ));
        beelance.wait_change("s1", "DOWN", 1);
        let _haproxy =
            Haproxy::start(port, |address| format!("frontend f\n  bind {address} accept-proxy\n  {SAYS_WHO}\n"));
        beelance.wait_change("s1", "UP", 1);
    }
}

#[test]
fn haproxy_in_front_names_the_client() {
    let backend = common::backend::Backend::named("one");
    for (number, send) in
        ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"].iter().enumerate()
    {
        let config = common::process::listener_and(&[&backend]) + "listen.web.accept-proxy = yes\n";
        let beelance = Beelance::start(&config);
        for port in [Some(Port::take()), has_v6().then(Port::take_v6)].into_iter().flatten() {
            let haproxy = Haproxy::start(port, |address| {
                format!("listen l\n  bind {address}\n  unique-id-format %rt\n  server s {} {send}\n", beelance.web())
            });
            let family = if haproxy.address().is_ipv4() { 4 } else { 6 };
            let target = format!("/{number}/{family}");
            let mut client = Client::connect(haproxy.address());
            assert_eq!(client.get(&target).text(), "one", "{send}");
            let from = client.local();
            assert_eq!(beelance.access_to(&target).client, format!("{}:{}", from.ip(), from.port()), "{send}");
            let requests = backend.requests();
            let request = requests.iter().find(|request| request.target() == target).unwrap();
            assert_eq!(request.all("x-forwarded-for"), [from.ip().to_string()], "{send}");
        }
    }
}

#[test]
fn at_the_limit_a_request_that_needs_a_fresh_connection_gets_one() {
    const LIMIT: usize = 40;
    let backend = RawBackend::start();
    let config = format!("backend.s1.send-proxy = v1\nlimits.connections = {LIMIT}\n");
    let beelance = Beelance::start(&backend.config(&config));
    let mut clients: Vec<Client> = (0..LIMIT).map(|_| beelance.connect()).collect();
    let mut servers = Vec::new();
    for client in &mut clients {
        client.ask("GET", "/", "");
        servers.push(accept(&backend, "v1", client, &beelance));
        answer(servers.last_mut().unwrap(), "/");
        assert_eq!(client.response().text(), "/");
    }
    // Each has a connection of its own, and now all of them need another one at the same time.
    for (client, idle) in clients.iter_mut().zip(&mut servers) {
        client.ask("POST", "/post", "Content-Length: 0\r\n");
        let server = accept(&backend, "v1", client, &beelance);
        idle.ends();
        *idle = server;
    }
    for (client, server) in clients.iter_mut().zip(&mut servers) {
        answer(server, "/post");
        assert_eq!(client.response().text(), "/post");
    }
}
