//! Requests and responses pass unchanged but for what a proxy has to change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Request, Step, ok, ok_to, send};
use common::client::Framing;
use common::process::Beelance;
use common::{assert_same, chunked, pattern, scale, settled};
use std::sync::Arc;

const SIZES: [usize; 9] = [0, 1, 2047, 2048, 2049, 16383, 16384, 16385, 1_000_000];

/// Answers with the request's body, framed as the target asks: `/length`, `/chunked`, `/odd`, `/close`.
fn echo() -> Backend {
    Backend::start(|request| {
        let body = &request.body;
        match request.target() {
            "/length" => ok(body),
            "/close" => vec![Step::Send([b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat()), Step::Close],
            target => {
                let size = if target == "/odd" { 0 } else { 4096 };
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                vec![Step::Send([head, &chunked(body, size)[..]].concat())]
            }
        }
    })
}

#[test]
fn bodies_of_all_sizes_and_framings_both_ways() {
    let backend = echo();
    let beelance = Beelance::before(&[&backend], "");
    for size in SIZES {
        for target in ["/length", "/chunked", "/odd", "/close"] {
            for chunk in [None, Some(1000), Some(0)] {
                let what = format!("{size} bytes, {target}, chunks {chunk:?}");
                let body = pattern(size);
                let mut client = beelance.connect();
                match chunk {
                    None => client.ask("POST", target, &format!("Content-Length: {size}\r\n")),
                    Some(_) => client.ask("POST", target, "Transfer-Encoding: chunked\r\n"),
                }
                client.send(chunk.map_or_else(|| body.clone(), |chunk| chunked(&body, chunk)));
                let response = client.try_response(false).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(response.status, 200, "{what}");
                assert_same(&what, &response.body, &body);
                match target {
                    "/length" => assert_eq!(response.framing, Framing::Length, "{what}"),
                    "/close" => assert_ne!(response.framing, Framing::Length, "{what}"),
                    _ => assert_eq!(response.framing, Framing::Chunked, "{what}"),
                }
            }
        }
    }
    for request in backend.requests() {
        assert!(request.complete);
        assert_same("the request's body", &request.body, &pattern(request.body.len()));
    }
}

#[test]
fn responses_without_a_body() {
    let cases: [(&str, &str, u16, Option<&str>); 6] = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", 200, Some("1234")),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, None),
        ("HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", 404, Some("9")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", 304, Some("77")),
    ];
    for (method, reply, status, length) in cases {
        let backend =
            Backend::start(move |request| if request.target() == "/next" { ok(b"next") } else { send(reply) });
        let beelance = Beelance::before(&[&backend], "");
        let mut client = beelance.connect();
        client.ask(method, "/", "");
        let response = if method == "HEAD" { client.head_response() } else { client.response() };
        assert_eq!(response.status, status, "{method} {reply:?}");
        assert_eq!(response.header("content-length"), length, "{method} {reply:?}");
        // What follows on the same connection is the next response, not a body.
        assert_eq!(client.get("/next").text(), "next", "{method} {reply:?}");
        assert_eq!(backend.connections(), 1, "{method} {reply:?}");
    }
}

#[test]
fn connections_are_kept_on_both_sides() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    for number in 0..50 {
        assert_eq!(client.get(&format!("/{number}")).text(), "one");
    }
    // Another client finds the connection that the first one left warm.
    assert_eq!(beelance.connect().get("/other").text(), "one");
    assert!(backend.connections() <= 2, "{} backend connections for 51 requests", backend.connections());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::start(|request| ok_to(request, request.target().as_bytes()));
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    let mut bytes = Vec::new();
    for number in 0..20 {
        bytes.extend(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").bytes());
        bytes.extend(format!("POST /p{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").bytes());
        bytes.extend(format!("HEAD /h{number} HTTP/1.1\r\nHost: a\r\n\r\n").bytes());
    }
    client.send(bytes);
    for number in 0..20 {
        assert_eq!(client.response().text(), format!("/{number}"));
        assert_eq!(client.response().text(), format!("/p{number}"));
        assert_eq!(client.head_response().status, 200);
    }
}

#[test]
fn http_1_0_clients() {
    let backend = Backend::start(|request| match request.target() {
        "/chunked" => send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"),
        _ => ok(b"one"),
    });
    let beelance = Beelance::before(&[&backend], "");
    // Without keep-alive the connection ends after the response; chunks are not for HTTP/1.0.
    for target in ["/length", "/chunked"] {
        let mut client = beelance.connect();
        client.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "one"), "{target}");
        assert_ne!(response.framing, Framing::Chunked, "{target}");
        client.ends();
    }
    // With it, it stays when the length is known.
    let mut client = beelance.connect();
    for _ in 0..2 {
        client.send("GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!((response.text(), response.framing), ("one", Framing::Length));
        let connection = response.header("connection").unwrap_or_default().to_ascii_lowercase();
        assert_eq!(connection, "keep-alive");
    }
}

#[test]
fn a_client_that_says_close_gets_close() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    let response = client.get_with("/", "Connection: close\r\n");
    assert!(response.says_close(), "{:?}", response.head);
    client.ends();
}

#[test]
fn hop_by_hop_headers_stay_on_their_hop() {
    let backend = Backend::scripted(send(
        "HTTP/1.1 200 OK\r\nX-Reply: kept\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\n\
         X-Secret: gone\r\nContent-Length: 0\r\n\r\n",
    ));
    let beelance = Beelance::before(&[&backend], "");
    let response = beelance.connect().get_with(
        "/",
        "X-Ask: kept\r\nConnection: x-private,  X-Other\r\nX-Private: gone\r\nx-other: gone\r\nKeep-Alive: 300\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\n",
    );
    let request = backend.only();
    assert_eq!(request.header("x-ask"), Some("kept"));
    for name in ["x-private", "x-other", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(request.header(name), None, "{name} reached the backend");
    }
    assert_eq!(response.header("x-reply"), Some("kept"));
    for name in ["x-secret", "keep-alive"] {
        assert_eq!(response.header(name), None, "{name} reached the client");
    }
}

#[test]
fn other_headers_are_byte_identical_and_in_order() {
    let sent = [
        "Host: Example.COM:80",
        "x-CaSe:  two blanks ",
        "Accept: a",
        "X-Empty:",
        "Accept: b",
        "Cookie: a=1; b=2",
        "X-Latin: \u{e9}\u{20ac}",
        "User-Agent: x/1 (y)",
    ];
    let received = ["x-ReP:  two ", "Set-Cookie: a=1", "Vary: x", "Set-Cookie: b=2", "X-Empty:", "Server: me"];
    let reply = format!("HTTP/1.1 299 Odd Reason\r\n{}\r\nContent-Length: 0\r\n\r\n", received.join("\r\n"));
    let backend = Backend::scripted(send(reply));
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.send(format!("GET /a%2Fb/../c?x=/&y HTTP/1.1\r\n{}\r\n\r\n", sent.join("\r\n")));
    let response = client.response();
    let request = backend.only();
    assert_eq!(request.line(), "GET /a%2Fb/../c?x=/&y HTTP/1.1");
    // Blanks around a value are no part of it: they may go, nothing else may.
    let trimmed = |lines: Vec<&str>, only: &[&str]| -> Vec<String> {
        let names: Vec<&str> = only.iter().map(|line| line.split(':').next().unwrap()).collect();
        let pairs = lines.into_iter().map(|line| line.split_once(':').unwrap());
        pairs.filter(|(name, _)| names.contains(name)).map(|(name, value)| format!("{name}:{}", value.trim())).collect()
    };
    assert_eq!(trimmed(request.lines(), &sent), trimmed(sent.to_vec(), &sent));
    assert_eq!(trimmed(response.lines(), &received), trimmed(received.to_vec(), &received));
    assert!(response.head.starts_with("HTTP/1.1 299 Odd Reason\r\n"), "{:?}", response.head);
}

/// What a request with these fields arrives with, in a name's lines.
fn forwarded(config: &str, fields: &str) -> [Vec<String>; 3] {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], config);
    beelance.connect().get_with("/", fields);
    let request = backend.only();
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
        .map(|name| request.all(name).into_iter().map(str::to_owned).collect())
}

const FORWARDED: &str = "X-Forwarded-For: 1.2.3.4\r\nX-Between: x\r\nx-forwarded-for: 5.6.7.8\r\n\
                         X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\n";

#[test]
fn a_trusted_client_keeps_its_forwarded_fields() {
    let [addresses, proto, host] = forwarded("listen.web.trust = 10.0.0.0/8, 127.0.0.1\n", FORWARDED);
    assert_eq!(addresses, ["1.2.3.4", "5.6.7.8", "127.0.0.1"], "ours is a new line behind them");
    assert_eq!((proto, host), (vec!["https".to_owned()], vec!["shop".to_owned()]));
    let [addresses, proto, _] = forwarded("listen.*.trust = 127.0.0.0/8\n", "");
    assert_eq!((addresses, proto), (vec!["127.0.0.1".to_owned()], vec!["http".to_owned()]));
}

#[test]
fn a_client_behind_a_trusted_one_cannot_have_its_forwarded_fields_removed() {
    let nominated = format!("Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host\r\n{FORWARDED}");
    let [addresses, proto, host] = forwarded("listen.web.trust = 127.0.0.1\n", &nominated);
    assert_eq!(addresses, ["1.2.3.4", "5.6.7.8", "127.0.0.1"]);
    assert_eq!((proto, host), (vec!["https".to_owned()], vec!["shop".to_owned()]));
}

#[test]
fn forwarded_fields_of_others_are_removed() {
    for trust in ["", "listen.web.trust = 10.0.0.0/8, ::1\n"] {
        let [addresses, proto, host] = forwarded(trust, FORWARDED);
        assert_eq!((addresses, proto), (vec!["127.0.0.1".to_owned()], vec!["http".to_owned()]));
        assert!(host.is_empty());
    }
}

#[test]
fn without_forwardfor_they_pass_untouched() {
    let [addresses, proto, host] = forwarded("pool.default.forwardfor = no\n", FORWARDED);
    assert_eq!(addresses, ["1.2.3.4", "5.6.7.8"]);
    assert_eq!((proto, host), (vec!["https".to_owned()], vec!["shop".to_owned()]));
}

#[test]
fn bytes_that_come_one_by_one() {
    let body = pattern(300);
    let replies =
        [ok(&body), send([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunked(&body, 7)[..]].concat())];
    for reply in replies {
        let [Step::Send(bytes)] = &reply[..] else { unreachable!() };
        let backend = Backend::scripted(vec![Step::Dribble(bytes.clone())]);
        let beelance = Beelance::before(&[&backend], "");
        let mut client = beelance.connect();
        for _ in 0..2 {
            client.dribble("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.dribble(chunked(&body, 9));
            assert_same("the response", &client.response().body, &body);
            client.dribble("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n");
            client.dribble(&body);
            assert_same("the response", &client.response().body, &body);
        }
        for request in backend.requests() {
            assert_same("the request", &request.body, &body);
        }
    }
}

#[test]
fn trailers_and_chunk_extensions_do_no_harm() {
    let backend = Backend::scripted(send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n00\r\nX-Sum: 1\r\n\r\n",
    ));
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    for _ in 0..2 {
        client.ask("POST", "/", "Transfer-Encoding: chunked\r\n");
        client.send("4;x=\"y\"\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n");
        assert_eq!(client.response().text(), "one");
    }
    assert!(backend.requests().iter().all(|request| request.body == b"body" && request.complete));
}

#[test]
fn an_answer_before_the_end_of_the_body() {
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let backend = Backend::at_head(move |_| vec![Step::Send(refusal.into()), Step::Hang]);
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.ask("POST", "/", "Content-Length: 1000000\r\n");
    client.send(pattern(1000));
    let response = client.response();
    assert_eq!((response.status, response.text()), (403, "no"));
}

#[test]
fn a_response_that_ends_early_is_not_made_whole() {
    let cases: [&[u8]; 2] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    for reply in cases {
        for end in [Step::Close, Step::Reset] {
            let backend = Backend::scripted(vec![Step::Send(reply.to_vec()), end]);
            let beelance = Beelance::before(&[&backend], "");
            let mut client = beelance.connect();
            client.ask("GET", "/", "");
            let broken = client.try_response(false);
            assert!(broken.as_ref().map_or(true, |r| r.status == 502), "{broken:?}");
        }
    }
}

#[test]
fn a_client_that_does_not_read_costs_no_memory() {
    const SIZE: usize = 64 << 20;
    let body: Arc<Vec<u8>> = Arc::new(pattern(SIZE));
    let given = Arc::clone(&body);
    let backend = Backend::start(move |_: &Request| ok(&given));
    let beelance = Beelance::before(&[&backend], "timeout.client = 5m\ntimeout.server = 5m\n");
    beelance.connect().get("/warm");
    let (resident, sent) = (beelance.resident(), backend.sent());
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    let held = settled(|| backend.sent() - sent);
    assert!(held < SIZE as u64, "the backend could send all of it");
    let grown = beelance.resident().saturating_sub(resident);
    assert!(grown < 8 << 20, "{grown} bytes more for one slow client");
    assert_same("the body", &client.response().body, &body);
}

#[test]
fn a_backend_that_does_not_read_costs_no_memory() {
    const SIZE: usize = 64 << 20;
    let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"done").remove(0)]);
    let beelance = Beelance::before(&[&backend], "timeout.client = 5m\ntimeout.server = 5m\n");
    assert_eq!(beelance.connect().post("/warm", &pattern(1 << 20)).text(), "done");
    backend.hold();
    let resident = beelance.resident();
    let mut client = beelance.connect();
    client.ask("POST", "/", &format!("Content-Length: {SIZE}\r\n"));
    let mut sender = client.both_ends();
    let body = pattern(SIZE);
    let progress = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for piece in body.chunks(64 << 10) {
                sender.send(piece);
                progress.fetch_add(piece.len() as u64, std::sync::atomic::Ordering::Relaxed);
            }
        });
        backend.wait_in_flight(1);
        let held = settled(|| progress.load(std::sync::atomic::Ordering::Relaxed));
        assert!(held < SIZE as u64, "the client could send all of it");
        let grown = beelance.resident().saturating_sub(resident);
        backend.open();
        assert_eq!(client.response().text(), "done");
        assert!(grown < 8 << 20, "{grown} bytes more for one slow backend");
    });
    assert_same("the body", &backend.requests()[1].body, &body);
}

#[test]
fn many_clients_at_once() {
    let backend = Backend::start(|request| ok(&request.body));
    let beelance = Beelance::before(&[&backend], "");
    std::thread::scope(|scope| {
        for user in 0..scale(64) {
            let beelance = &beelance;
            scope.spawn(move || {
                let mut client = beelance.connect();
                for number in 0..scale(50) {
                    let body = pattern(user * 331 + number * 17);
                    assert_same("the echo", &client.post("/", &body).body, &body);
                }
            });
        }
    });
}

#[test]
fn a_listener_without_backends_answers_503() {
    let beelance = Beelance::start("listen.web = 127.0.0.1:0\n");
    let response = beelance.connect().get("/");
    assert_eq!(response.status, 503);
}

#[test]
fn routes_choose_the_pool() {
    let (default, api, pictures) = (Backend::named("default"), Backend::named("api"), Backend::named("pictures"));
    let config = format!(
        "listen.web = 127.0.0.1:0\nbackend.d = {}\nbackend.a = {}\nbackend.a.pool = api\nbackend.p = {}\n\
         backend.p.pool = pictures\nroute.api.host = api.example.com, *.api.test\nroute.api.pool = api\n\
         route.jpg.path = *.jpg, /pictures/*\nroute.jpg.method = GET\nroute.jpg.pool = pictures\n\
         route.beta.header.x-beta = yes\nroute.beta.pool = api\nroute.far.src = 10.0.0.0/8\nroute.far.pool = api\n",
        default.address(),
        api.address(),
        pictures.address()
    );
    let beelance = Beelance::start(&config);
    let mut client = beelance.connect();
    let cases = [
        ("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n", "default"),
        ("GET / HTTP/1.1\r\nHost: API.example.com:8080\r\n\r\n", "api"),
        ("GET / HTTP/1.1\r\nHost: x.api.test\r\n\r\n", "api"),
        ("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", "default"),
        ("GET /a/b.jpg?x HTTP/1.1\r\nHost: a\r\n\r\n", "pictures"),
        ("GET /a/b?x.jpg HTTP/1.1\r\nHost: a\r\n\r\n", "default"),
        ("GET /pictures/ HTTP/1.1\r\nHost: a\r\n\r\n", "pictures"),
        ("GET /pictures HTTP/1.1\r\nHost: a\r\n\r\n", "default"),
        ("POST /a/b.jpg HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "default"),
        ("GET / HTTP/1.1\r\nHost: a\r\nx-beta: yes\r\n\r\n", "api"),
        ("GET / HTTP/1.1\r\nHost: a\r\nx-beta: yes!\r\n\r\n", "default"),
    ];
    for (request, wanted) in cases {
        client.send(request);
        assert_eq!(client.response().text(), wanted, "{request:?}");
    }
}
