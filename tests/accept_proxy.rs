//! Listeners that require a PROXY header: whom it makes the client, and that nothing else gets in
//! (HAProxy's doc/proxy-protocol.txt).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::process::{Beelance, listener_and};
use common::raw::End;
use nix::sys::signal::Signal;

/// A version 2 header: command, family, and what follows its length.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, block].concat()
}

/// From 192.0.2.7:49153 to 10.0.0.1:80.
const INET: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0x01, 0, 80];

fn inet6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    [&source.octets()[..], &[0; 16], &[0xc0, 0x02, 0, 80]].concat()
}

/// The client that a header names: its address and port; none: it stays the peer.
type Client = Option<(&'static str, u16)>;

/// Headers by name.
fn headers() -> Vec<(&'static str, Vec<u8>, Client)> {
    let line = |line: &str| line.as_bytes().to_vec();
    let v4 = Some(("192.0.2.7", 49153));
    let extensions = b"\x01\0\x02h2\x02\0\x09localhost\x04\0\0\xe0\0\x01x";
    vec![
        ("a line", line("PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n"), v4),
        ("a line of IPv6", line("PROXY TCP6 2001:db8::7 ::1 49154 80\r\n"), Some(("2001:db8::7", 49154))),
        ("a line of IPv4 in IPv6", line("PROXY TCP6 ::ffff:192.0.2.7 ::1 49153 80\r\n"), v4),
        ("a line that does not know", line("PROXY UNKNOWN\r\n"), None),
        ("a line that does not know, with addresses", line("PROXY UNKNOWN 192.0.2.7 10.0.0.1 1 2\r\n"), None),
        ("version 2", v2(0x21, 0x11, INET), v4),
        ("version 2 of IPv6", v2(0x21, 0x21, &inet6("2001:db8::8")), Some(("2001:db8::8", 49154))),
        ("version 2 of IPv4 in IPv6", v2(0x21, 0x21, &inet6("::ffff:192.0.2.9")), Some(("192.0.2.9", 49154))),
        ("version 2 with extensions", v2(0x21, 0x11, &[INET, extensions].concat()), v4),
        ("version 2, LOCAL", v2(0x20, 0x00, b""), None),
        ("version 2, LOCAL with addresses", v2(0x20, 0x11, INET), None),
        ("version 2, UNSPEC", v2(0x21, 0x00, b""), None),
        ("version 2, a UNIX socket", v2(0x21, 0x31, &[b'/'; 216]), None),
    ]
}

/// `web` requires the header.
fn config(backends: &[&Backend], more: &str) -> String {
    listener_and(backends) + "listen.web.accept-proxy = yes\n" + more
}

#[test]
fn the_address_it_names_is_the_clients() {
    let backend = Backend::named("one");
    let beelance = Beelance::start(&config(&[&backend], ""));
    for (number, (name, header, source)) in headers().into_iter().enumerate() {
        for way in ["whole", "dribbled", "apart"] {
            let target = format!("/{number}/{way}");
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut client = beelance.connect();
            match way {
                "whole" => client.send([&header, request.as_bytes()].concat()),
                "dribbled" => client.dribble([&header, request.as_bytes()].concat()),
                _ => {
                    client.send(&header);
                    client.send(request);
                }
            }
            assert_eq!(client.response().text(), "one", "{name}, {way}");
            // One header is for all requests of the connection.
            assert_eq!(client.get(&format!("{target}/next")).text(), "one", "{name}, {way}");
            let peer = client.local();
            let (address, port) =
                source.map_or((peer.ip().to_string(), peer.port()), |(ip, port)| (ip.to_owned(), port));
            for target in [target.clone(), target + "/next"] {
                assert_eq!(beelance.access_to(&target).client, format!("{address}:{port}"), "{name}, {way}");
                let request = backend.requests().into_iter().find(|request| request.target() == target).unwrap();
                assert_eq!(request.all("x-forwarded-for"), [address.as_str()], "{name}, {way}");
            }
        }
    }
}

#[test]
fn what_is_no_header_is_closed_without_a_word() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("none", b"".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\0\x01".to_vec()),
        ("an empty line", b"\r\n".to_vec()),
        ("a blank before", b" PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec()),
        ("lower case", b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec()),
        ("another family", b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec()),
        ("no addresses", b"PROXY TCP4\r\n".to_vec()),
        ("a port missing", b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n".to_vec()),
        ("a port too large", b"PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n".to_vec()),
        ("an address that is none", b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n".to_vec()),
        ("IPv6 as IPv4", b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec()),
        ("two blanks", b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n".to_vec()),
        ("a bare LF", b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n".to_vec()),
        ("no end", [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat()),
        ("version 1 of the binary form", v2(0x11, 0x11, INET)),
        ("version 3", v2(0x31, 0x11, INET)),
        ("an unknown command", v2(0x22, 0x11, INET)),
        ("an unknown family", v2(0x21, 0x41, INET)),
        ("datagrams", v2(0x21, 0x12, INET)),
        ("shorter than its addresses", v2(0x21, 0x11, &INET[..11])),
        ("an extension that is cut short", v2(0x21, 0x11, &[INET, b"\x04\0\x09x"].concat())),
        ("a wrong checksum", v2(0x21, 0x11, &[INET, b"\x03\0\x04abcd"].concat())),
        ("a length without end", [&v2(0x21, 0x11, &[])[..14], b"\xff\xff"].concat()),
        ("a signature that is broken", b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c".to_vec()),
    ];
    let backend = Backend::named("one");
    let beelance = Beelance::start(&config(&[&backend], "timeout.http-request = 5m\n"));
    for (name, bytes) in bad {
        let mut client = beelance.connect();
        client.send([&bytes, &request[..]].concat());
        let (reply, _) = client.rest();
        assert_eq!(reply, b"", "{name}");
        // Byte by byte it is refused as soon as it cannot be one.
        let mut client = beelance.connect();
        let _ = bytes.chunks(1).chain([&request[..]]).try_for_each(|byte| client.try_send(byte));
        assert_eq!(client.rest().0, b"", "{name}, byte by byte");
    }
    assert_eq!(backend.count(), 0);
    let mut client = beelance.connect();
    client.send("PROXY UNKNOWN\r\n");
    assert_eq!(client.get("/good").text(), "one");
    assert_eq!(beelance.access(1).len(), 1, "only a request has a line");
}

#[test]
fn it_is_waited_for_no_longer_than_for_a_request() {
    let backend = Backend::named("one");
    let beelance = Beelance::start(&config(&[&backend], "timeout.http-request = 3s\n"));
    let whole = v2(0x21, 0x11, INET);
    // A whole header without a request is an idle client.
    let parts =
        [&b""[..], b"P", b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r", &whole[..1], &whole[..whole.len() - 1], &whole];
    let clients = parts.map(|part| {
        let mut client = beelance.connect();
        client.send(part);
        client
    });
    for (part, mut client) in parts.into_iter().zip(clients) {
        assert_eq!(client.rest(), (Vec::new(), End::Closed), "{}", part.escape_ascii());
    }
    let mut client = beelance.connect();
    client.send([&whole, &b"GET / HT"[..]].concat());
    assert_eq!(client.response().status, 408);
    assert_eq!(beelance.access(1)[0].client, "192.0.2.7:49153");
    assert_eq!(backend.count(), 0);
}

#[test]
fn who_leaves_before_it_does_no_harm() {
    let backend = Backend::named("one");
    let beelance = Beelance::start(&config(&[&backend], ""));
    for part in [&b""[..], b"PROXY", b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n"] {
        let mut client = beelance.connect();
        client.send(part);
        client.half_close();
        assert_eq!(client.rest(), (Vec::new(), End::Closed), "{}", part.escape_ascii());
        let mut client = beelance.connect();
        client.send(part);
        client.reset();
    }
    let mut client = beelance.connect();
    client.send("PROXY UNKNOWN\r\n");
    assert_eq!(client.get("/").text(), "one");
}

#[test]
fn who_has_not_sent_it_does_not_delay_stopping() {
    let backend = Backend::named("one");
    let mut beelance = Beelance::start(&config(&[&backend], "timeout.http-request = 5m\ndrain-timeout = 5m\n"));
    let mut clients = ["", "PROXY", "PROXY UNKNOWN\r\n"].map(|part| {
        let mut client = beelance.connect();
        client.send(part);
        client
    });
    // They are all accepted before this one is.
    let mut client = beelance.connect();
    client.send("PROXY UNKNOWN\r\n");
    assert_eq!(client.get("/").text(), "one");
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    clients.iter_mut().for_each(common::client::Client::ends);
}

#[test]
fn routes_and_trust_are_about_the_client_it_names() {
    let (inside, outside) = (Backend::named("inside"), Backend::named("outside"));
    let more = format!(
        "listen.web.trust = 192.0.2.0/24\nbackend.in = {}\nbackend.in.pool = in\nroute.r.src = 192.0.2.0/24, ::1\n\
         route.r.pool = in\n",
        inside.address()
    );
    let beelance = Beelance::start(&config(&[&outside], &more));
    let forged = "X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\n";
    // The peer is 127.0.0.1, which is neither routed nor trusted.
    let cases = [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "inside", vec!["203.0.113.1", "192.0.2.7"], vec!["https"]),
        ("PROXY TCP4 198.51.100.7 10.0.0.1 1 2\r\n", "outside", vec!["198.51.100.7"], vec!["http"]),
        ("PROXY TCP6 ::1 ::1 1 2\r\n", "inside", vec!["::1"], vec!["http"]),
        ("PROXY UNKNOWN\r\n", "outside", vec!["127.0.0.1"], vec!["http"]),
    ];
    for (number, (header, pool, forwarded, proto)) in cases.into_iter().enumerate() {
        let target = format!("/{number}");
        let mut client = beelance.connect();
        client.send(header);
        assert_eq!(client.get_with(&target, forged).text(), pool, "{header:?}");
        let requests = [inside.requests(), outside.requests()].concat();
        let request = requests.iter().find(|request| request.target() == target).unwrap();
        assert_eq!(request.all("x-forwarded-for"), forwarded, "{header:?}");
        assert_eq!(request.all("x-forwarded-proto"), proto, "{header:?}");
    }
}

#[test]
fn a_second_header_is_no_request() {
    let backend = Backend::named("one");
    let beelance = Beelance::start(&config(&[&backend], ""));
    for second in [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), v2(0x21, 0x11, INET)] {
        let mut client = beelance.connect();
        client.send([b"PROXY UNKNOWN\r\n", &second[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(client.response().status, 400, "{}", second.escape_ascii());
        client.ends();
    }
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_plain_listener_takes_none() {
    let backend = Backend::named("one");
    let plain = "listen.plain = 127.0.0.1:0\nlisten.plain.trust = 127.0.0.0/8\n";
    let beelance = Beelance::start(&config(&[&backend], plain));
    for (name, header, _) in headers() {
        let mut client = common::client::Client::connect(beelance.address("plain"));
        client.send([&header, &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]].concat());
        assert_eq!(client.response().status, 400, "{name}");
        client.ends();
    }
    assert_eq!(backend.count(), 0);
    assert_eq!(common::client::Client::connect(beelance.address("plain")).get("/").text(), "one");
}

#[test]
fn ipv6_clients_before_the_proxy_in_front() {
    if !common::port::has_v6() {
        return;
    }
    let backend = Backend::named("one");
    let config = config(&[&backend], "").replace("127.0.0.1:0", "[::1]:0");
    let beelance = Beelance::start(&config);
    for (number, (header, address)) in
        [("PROXY UNKNOWN\r\n", "::1"), ("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "192.0.2.7")].into_iter().enumerate()
    {
        let mut client = beelance.connect();
        client.send(header);
        assert_eq!(client.get("/").text(), "one");
        assert_eq!(backend.requests()[number].all("x-forwarded-for"), [address]);
    }
}
