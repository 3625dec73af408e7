//! `cookie.mode = prefix`: the application's own session cookie says which server has the session.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, send};
use common::process::Beelance;
use common::{assert_same, chunked, pattern, scale};

const PREFIX: &str = "pool.default.cookie = SID\npool.default.cookie.mode = prefix\n";

/// The `PHPSESSID` of an application of two servers, each with sessions of its own.
#[test]
fn a_session_stays_where_it_began() {
    let names = ["one", "two"];
    let backends = names.map(|name| {
        Backend::start(move |request| {
            let known = request.all("cookie").iter().any(|cookie| *cookie == format!("SID={name}-7"));
            let set = if known { String::new() } else { format!("Set-Cookie: SID={name}-7; path=/\r\n") };
            send(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 3\r\n\r\n{name}"))
        })
    });
    let beelance = Beelance::before(&backends.each_ref(), PREFIX);
    for _ in 0..4 {
        let begun = beelance.connect().get("/");
        let number = if begun.text() == "one" { 1 } else { 2 };
        assert_eq!(begun.all("set-cookie"), [format!("SID=s{number}~{}-7; path=/", begun.text())]);
        assert!(begun.all("cache-control").is_empty(), "the application says whether it may be kept");
        for _ in 0..3 {
            let again = beelance.connect().get_with("/", &format!("Cookie: SID=s{number}~{}-7\r\n", begun.text()));
            assert_eq!(again.text(), begun.text());
            assert!(again.all("set-cookie").is_empty(), "the server knew its session: {:?}", again.head);
        }
    }
}

#[test]
fn the_cookie_of_a_dead_server_is_balanced() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    let more = format!("{PREFIX}pool.*.check.inter = 50ms\npool.*.check.timeout = 5s\n");
    let beelance = Beelance::before(&[&one, &two], &more);
    one.stop();
    beelance.wait_change("s1", "down", 1);
    let response = beelance.connect().get_with("/dead", "Cookie: a=1; SID=s1~x\r\n");
    assert_eq!(response.text(), "two");
    assert!(response.all("set-cookie").is_empty());
    assert_eq!(two.only().all("cookie"), ["a=1; SID=x"]);
    assert_eq!(beelance.access_to("/dead").state, "--DN");
}

/// The head grows in place, in front of a body of which as much came with it as the buffer takes.
#[test]
fn the_body_behind_a_longer_head_stays_whole() {
    let body = pattern(scale(300_000).max(100_000));
    let name = "n".repeat(64);
    for session in ["x".to_owned(), "s".repeat(3000)] {
        for times in 1..=4 {
            let lines = format!("Set-Cookie: SID={session}; path=/\r\n").repeat(times);
            let more = format!("{PREFIX}backend.s1.cookie = {name}\n");
            let replies = [
                [
                    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n", body.len()).into_bytes(),
                    body.clone(),
                ],
                [
                    format!("HTTP/1.1 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
                    chunked(&body, 999),
                ],
                [
                    format!("HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: {name}\r\n{lines}Content-Length: 0\r\n\r\n")
                        .into_bytes(),
                    vec![],
                ],
            ];
            for reply in replies {
                let wanted: &[u8] = if reply[1].is_empty() { b"" } else { &body };
                let backend = Backend::scripted(send(reply.concat()));
                let beelance = Beelance::before(&[&backend], &more);
                let response = beelance.connect().get("/");
                assert_same("the body", &response.body, wanted);
                assert_eq!(response.all("set-cookie"), vec![format!("SID={name}~{session}; path=/"); times]);
            }
        }
    }
}

#[test]
fn a_head_that_leaves_no_room_is_refused_and_one_that_just_does_is_not() {
    // The most a head may have; what goes before its cookies has room of its own.
    let room = 16 * 1024;
    for (length, status) in [(room - 1, 200), (room, 200), (room + 1, 502)] {
        let head = "HTTP/1.1 200 OK\r\nSet-Cookie: SID=x\r\nContent-Length: 0\r\nX: \r\n\r\n";
        let filler = "y".repeat(length - head.len());
        let backend = Backend::scripted(send(head.replace("X: ", &format!("X: {filler}"))));
        let beelance = Beelance::before(&[&backend], PREFIX);
        let response = beelance.connect().get("/");
        assert_eq!(response.status, status, "{length}");
        if status == 200 {
            assert_eq!(response.all("set-cookie"), ["SID=s1~x"]);
        }
    }
}

#[test]
fn five_session_cookies_in_one_response_are_refused() {
    let lines = "Set-Cookie: SID=x\r\n".repeat(5);
    let backend = Backend::scripted(send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n")));
    let beelance = Beelance::before(&[&backend], PREFIX);
    assert_eq!(beelance.connect().get("/five").status, 502);
    assert_eq!(beelance.access_to("/five").state, "PHNN");
}

#[test]
fn a_cookie_in_an_interim_response_is_left_alone() {
    let early = "HTTP/1.1 103 Early Hints\r\nSet-Cookie: SID=early\r\n\r\n";
    let reply = "HTTP/1.1 200 OK\r\nSet-Cookie: SID=x\r\nContent-Length: 0\r\n\r\n";
    let backend = Backend::scripted(send(format!("{early}{reply}")));
    let beelance = Beelance::before(&[&backend], PREFIX);
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    assert_eq!(client.any_response(false).unwrap().all("set-cookie"), ["SID=early"]);
    assert_eq!(client.response().all("set-cookie"), ["SID=s1~x"]);
}
