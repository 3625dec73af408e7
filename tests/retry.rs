//! What goes wrong with a backend: replayed or moved where that is safe, else a clear reply, never sent twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, Step, ok, ok_to, send};
use common::port::Deaf;
use common::process::{Beelance, listener_and};
use common::{chunked, scale};

/// Ends each connection when the second request comes on it: what a keep-alive timeout does at the worst moment.
fn stale(end: Step) -> Backend {
    Backend::start(move |request| if request.index > 0 { vec![end.clone()] } else { ok_to(request, b"fresh") })
}

#[test]
fn a_stale_connection_is_not_the_clients_trouble() {
    for end in [Step::Close, Step::Reset] {
        for reuse in ["safe", "always"] {
            let backend = stale(end.clone());
            let beelance = Beelance::before(&[&backend], &format!("pool.*.reuse = {reuse}\n"));
            let mut client = beelance.connect();
            assert_eq!(client.get("/first").text(), "fresh");
            for number in 0..5 {
                assert_eq!(client.get(&format!("/{number}")).text(), "fresh", "{end:?} {reuse}");
            }
            let mut targets = backend.targets();
            targets.retain(|target| target == "/0");
            assert_eq!(targets.len(), 2, "once on the stale connection, once on a fresh one");
        }
    }
}

#[test]
fn a_replay_happens_once() {
    let backend = Backend::start(|request| if request.target() == "/bad" { vec![Step::Close] } else { ok(b"good") });
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    assert_eq!(client.get("/good").text(), "good");
    assert_eq!(client.get("/bad").status, 502);
    assert_eq!(backend.targets(), ["/good", "/bad", "/bad"]);
    assert_eq!(beelance.connect().get("/good").text(), "good");
}

#[test]
fn the_tail_of_a_streamed_put_is_not_sent_again() {
    // Wherever the last piece that was passed on begins, it is likely to be a request if it goes out alone.
    let request = format!("{:<60}\r\n\r\n", "GET /tail HTTP/1.1\r\nHost: a\r\nX: padded to 64 bytes");
    let once = request.as_bytes();
    let cases = [
        ("Content-Length: 64\r\n", once.to_vec()),
        ("Content-Length: 128000\r\n", once.repeat(2000)),
        ("Transfer-Encoding: chunked\r\n", chunked(once, 64)),
        ("Transfer-Encoding: chunked\r\n", chunked(&once.repeat(2000), 16 << 10)),
    ];
    for (framing, body) in cases {
        for end in [Step::Close, Step::Reset] {
            let last = end.clone();
            let backend = Backend::at_head(move |request| match request.method() {
                "PUT" => vec![Step::ReadBody, last.clone()],
                _ => ok(b"fine"),
            });
            let beelance = Beelance::before(&[&backend], "pool.*.reuse = always\n");
            let mut client = beelance.connect();
            assert_eq!(client.get("/first").text(), "fine");
            client.ask("PUT", "/put", framing);
            // The head is gone before any of the body comes, so no piece of the body is in one batch with it.
            backend.wait_requests(2);
            client.send(&body);
            assert_eq!(client.response().status, 502, "{framing:?} {end:?}");
            assert_eq!(backend.targets(), ["/first", "/put"], "{framing:?} {end:?}");
            assert_eq!(
                backend.accepted(),
                1,
                "{framing:?} {end:?}: the PUT was on the reused connection, and only there"
            );
            assert!(backend.requests()[1].complete, "{framing:?} {end:?}");
        }
    }
}

#[test]
fn connections_that_close_right_after_the_response() {
    // No `Connection: close` announces it: whether the FIN comes before the next request is a race.
    let backend = Backend::start(|request| {
        let Step::Send(reply) = ok_to(request, b"fine").remove(0) else { unreachable!() };
        vec![Step::Send(reply), Step::Close]
    });
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    for _ in 0..scale(200) {
        assert_eq!(client.get("/").text(), "fine");
        assert_eq!(client.post("/", b"body").text(), "fine");
    }
    let posts = backend.requests().iter().filter(|request| request.method() == "POST").count();
    assert_eq!(posts, scale(200));
}

#[test]
fn what_may_not_be_replayed_goes_on_a_fresh_connection() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/get").text(), "one");
        assert_eq!(client.post("/post", b"body").text(), "one");
        client.ask("PATCH", "/patch", "Content-Length: 0\r\n");
        assert_eq!(client.response().text(), "one");
    }
    for request in backend.requests() {
        assert!(request.method() == "GET" || request.index == 0, "{} on a used connection", request.line());
    }
}

#[test]
fn reuse_always_and_never() {
    for (reuse, wanted) in [("always", 1), ("never", 6)] {
        let backend = Backend::named("one");
        let beelance = Beelance::before(&[&backend], &format!("pool.default.reuse = {reuse}\n"));
        let mut client = beelance.connect();
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "one");
            assert_eq!(client.post("/", b"body").text(), "one");
        }
        assert_eq!(backend.connections(), wanted, "{reuse}");
    }
}

#[test]
fn a_post_is_never_sent_twice() {
    let endings = [
        vec![Step::Close],
        vec![Step::Reset],
        vec![Step::Hang],
        send("no HTTP at all\r\n\r\n"),
        vec![Step::Send(b"HTTP/1.1 200 O".to_vec()), Step::Close],
    ];
    for reuse in ["safe", "always", "never"] {
        for steps in &endings {
            let given = steps.clone();
            let backends = [(); 2].map(|()| {
                let steps = given.clone();
                Backend::start(move |request| if request.method() == "POST" { steps.clone() } else { ok(b"one") })
            });
            // Short where it ends the request.
            let time = if matches!(steps[..], [Step::Hang]) { "1s" } else { "30s" };
            let more = format!("pool.default.reuse = {reuse}\ntimeout.server = {time}\n");
            let beelance = Beelance::before(&backends.each_ref(), &more);
            let mut client = beelance.connect();
            for _ in 0..4 {
                assert_eq!(client.get("/").text(), "one");
            }
            client.ask("POST", "/", "Content-Length: 4\r\n");
            client.send("body");
            // A reused connection that dies may also end the client's, as HAProxy does.
            let status = client.try_response(false).map(|response| response.status);
            let known = matches!(status, Ok(502 | 504)) || (status.is_err() && reuse == "always");
            assert!(known, "{reuse} {steps:?}: {status:?}");
            let posts = backends.iter().flat_map(Backend::requests).filter(|r| r.method() == "POST").count();
            assert_eq!(posts, 1, "{reuse} {steps:?}");
        }
    }
}

#[test]
fn a_refused_connection_goes_elsewhere() {
    let (port, backend) = (Port::take(), Backend::named("two"));
    let config = listener_and(&[&backend]) + &format!("backend.s2 = {}\npool.*.retries = 1\n", port.address);
    let beelance = Beelance::start(&config);
    let mut client = beelance.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "two");
        // It was never sent, so it may go elsewhere whatever it is.
        assert_eq!(client.post("/", b"body").text(), "two");
    }
    let lines = beelance.access(6);
    assert!(lines.iter().all(|line| line.backend == "s1" && line.status == 200), "{lines:?}");
    assert!(lines.iter().any(|line| line.redispatched && line.counts[4] >= 1), "{lines:?}");
}

#[test]
fn without_redispatch_a_refused_connection_is_503() {
    let (port, backend) = (Port::take(), Backend::named("two"));
    let config = listener_and(&[&backend])
        + &format!(
            "backend.dead = {}\npool.*.retries = 1\npool.*.redispatch = no\npool.*.cookie = SRV\n",
            port.address
        );
    let beelance = Beelance::start(&config);
    let response = beelance.connect().get_with("/", "Cookie: SRV=dead\r\n");
    assert_eq!(response.status, 503);
    assert_eq!(backend.count(), 0);
}

#[test]
fn after_all_retries_503() {
    let port = Port::take();
    for retries in [0, 2] {
        let config = format!(
            "listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.dead = {}\npool.*.retries = {retries}\n\
             timeout.connect = 1s\n",
            port.address
        );
        let beelance = Beelance::start(&config);
        assert_eq!(beelance.connect().get("/").status, 503);
        let line = beelance.access(1).remove(0);
        assert_eq!((line.state.as_str(), line.status, line.counts[4]), ("SC--", 503, retries), "{line:?}");
    }
}

#[test]
fn a_connection_that_is_never_accepted_times_out() {
    let deaf = Deaf::listening();
    let config = format!(
        "listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.deaf = {}\npool.*.retries = 0\n\
         timeout.connect = 300ms\n",
        deaf.address()
    );
    let beelance = Beelance::start(&config);
    assert_eq!(beelance.connect().get("/").status, 503);
    let line = beelance.access(1).remove(0);
    assert_eq!((line.state.as_str(), line.status), ("sC--", 503), "{line:?}");
}

#[test]
fn bad_responses_are_answered_with_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(100_000));
    let cases: [(&str, Vec<Step>); 14] = [
        ("nothing", vec![Step::Close]),
        ("a reset", vec![Step::Reset]),
        ("another protocol", send("SSH-2.0-OpenSSH_9.2\r\n\r\n")),
        ("no status", send("HTTP/1.1\r\n\r\n")),
        ("a status of letters", send("HTTP/1.1 abc OK\r\n\r\n")),
        ("a status of two digits", send("HTTP/1.1 20 OK\r\n\r\n")),
        ("half a head", vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), Step::Close]),
        ("a header without a colon", send("HTTP/1.1 200 OK\r\nbroken\r\nContent-Length: 0\r\n\r\n")),
        ("a blank before the colon", send("HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n")),
        ("a length of letters", send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")),
        ("a negative length", send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")),
        ("two lengths", send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
        ("a NUL", send("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n")),
        ("a head too long", send(long)),
    ];
    let mut wrong = Vec::new();
    for (name, steps) in cases {
        let backend = Backend::scripted(steps.clone());
        let beelance = Beelance::before(&[&backend], "pool.*.retries = 0\n");
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        let status = client.try_response(false).map(|response| response.status);
        if status != Ok(502) {
            wrong.push(format!("{name}: {status:?}"));
            continue;
        }
        let line = beelance.access(1).remove(0);
        let empty = matches!(&steps[..], [.., Step::Close | Step::Reset]);
        let state = if empty { "SH--" } else { "PH--" };
        if line.status != 502 || line.state != state || backend.count() != 1 {
            wrong.push(format!("{name}: {} {}, sent {} times", line.state, line.status, backend.count()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_first_chunk_that_is_broken_is_502_and_nothing_of_the_head_is_passed() {
    let bodies = ["zz\r\n", "-1\r\n", "\r\n", "5\nhello\r\n", "5\r\nhello, world\r\n", "fffffffffffffffff\r\n"];
    for version in ["1.0", "1.1"] {
        for body in bodies {
            let reply = format!("HTTP/1.1 200 OK\r\nX-From: backend\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            let backend =
                Backend::start(move |request| if request.target() == "/bad" { send(&reply) } else { ok(b"good") });
            let beelance = Beelance::before(&[&backend], "");
            let mut client = beelance.connect();
            client.send(format!("GET /bad HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"));
            let response = client.response();
            assert_eq!((response.status, response.header("x-from")), (502, None), "{body:?}: {:?}", response.head);
            let line = beelance.access_to("/bad");
            assert_eq!((line.state.as_str(), line.status), ("PH--", 502), "{body:?}: {line:?}");
            // Nothing of the broken response comes later, on either connection.
            assert_eq!(client.get("/good").text(), "good", "{body:?}");
            assert_eq!((backend.count(), backend.accepted()), (2, 2), "{body:?}");
        }
    }
}

#[test]
fn a_silent_backend_is_answered_with_504() {
    let half = vec![Step::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), Step::Hang];
    for steps in [vec![Step::Hang], half] {
        let backend = Backend::scripted(steps);
        let beelance = Beelance::before(&[&backend], "timeout.server = 1s\n");
        assert_eq!(beelance.connect().get("/").status, 504);
        let line = beelance.access(1).remove(0);
        assert_eq!((line.state.as_str(), line.status), ("sH--", 504), "{line:?}");
        // Nobody wants the response any more: the connection is closed, not kept.
        backend.wait_left(1);
        assert_eq!(backend.count(), 1, "a timeout is no reason to ask again");
    }
}

#[test]
fn silence_in_the_body_cuts_the_response() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec();
    let backend = Backend::scripted(vec![Step::Send(half), Step::Hang]);
    let beelance = Beelance::before(&[&backend], "timeout.server = 1s\n");
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    assert!(client.try_response(false).is_err());
    let line = beelance.access(1).remove(0);
    assert_eq!((line.state.as_str(), line.status), ("sD--", 200), "{line:?}");
}

#[test]
fn bytes_after_a_response_are_not_the_next_response() {
    let extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfineHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let backend = Backend::start(move |request| if request.index == 0 { send(extra) } else { ok(b"fine") });
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "fine");
    }
}
