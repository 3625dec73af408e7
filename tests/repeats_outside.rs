//! Messages that clients and nameservers can cause at will: the log is not flooded, and what is left out is counted and told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::access::Line;
use common::backend::Backend;
use common::client::Client;
use common::ctl::{Place, ask};
use common::process::Beelance;
use common::repeats::{
    BURST, REFUSED_BURST, TOLD, lines_about, most, settled, suppressed, told_and_left_out, wait_for_many,
};
use common::{scale, tool};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

#[test]
fn faulty_clients_cause_no_message_and_all_their_lines() {
    let began = Instant::now();
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::before(
        &[&backend],
        &format!(
            "admin.listen = 127.0.0.1:0\nadmin.token.admin = admin-0123456789abc\nadmin.socket = {}\n",
            socket.0.display()
        ),
    );
    ask(
        &socket.0,
        "set server default/s1 state ready; set server default/s1 state drain; set server default/s1 state ready",
    );
    let before = beelance.wait_log("all that is said at the start", |lines| {
        lines.iter().any(|line| line.contains("s1 is READY")).then_some(lines.len())
    });
    // The beginning of a TLS connection, what is no request, what two would read differently, half a head, and nothing.
    const FAULTS: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        b"broken\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo",
        b"GET / HTTP/1.1\nHost: a\n\n",
    ];
    let (threads, each) = (4, scale(1000));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for number in 0..each {
                    let mut client = beelance.connect();
                    let _ = client.try_send(FAULTS[number % FAULTS.len()]);
                    client.half_close();
                    client.until_end();
                }
            });
        }
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..scale(30) {
                    let mut client = Client::connect(beelance.address("admin.listen"));
                    client.send(
                        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer guess\r\nConnection: close\r\n\r\n",
                    );
                    assert_eq!(client.response().status, 401);
                }
            });
        }
    });
    assert_eq!(beelance.access(threads * each).len(), threads * each, "each has its line");
    let left_out = suppressed(&socket.0);
    let lines = settled(&beelance, left_out);
    let messages: Vec<&String> = lines.iter().filter(|line| Line::find(line).is_none()).skip(before).collect();
    let others: Vec<_> = messages.iter().filter(|line| !line.contains("] admin listener: wrong token")).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!((REFUSED_BURST.min(threads)..=most(REFUSED_BURST, began)).contains(&messages.len()), "{messages:?}");
    assert_eq!(told_and_left_out(&lines, &["wrong token"]), (threads * scale(30) - left_out, left_out));
}

#[test]
fn a_listener_that_cannot_accept_says_so_now_and_then() {
    let began = Instant::now();
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    assert_eq!(beelance.connect().get("/").status, 200);
    let pid = beelance.pid().to_string();
    assert!(tool("prlimit").args(["--pid", &pid, "--nofile=3:"]).status().unwrap().success());
    // It waits in the backlog, and is tried for ten times a second.
    let mut client = beelance.connect();
    let left_out = beelance.wait_log("what was left out", |lines| {
        let (told, left_out) = told_and_left_out(lines, &["] listener web: accept"]);
        (left_out > 0).then_some((told, left_out))
    });
    assert!(
        left_out.0 == REFUSED_BURST && lines_about(&beelance, &["listener web: accept"]) <= most(REFUSED_BURST, began)
    );
    assert!(tool("prlimit").args(["--pid", &pid, "--nofile=1000:"]).status().unwrap().success());
    assert_eq!(client.get("/").status, 200);
}

/// A nameserver for `app.test` that says what `answers` makes of the number of a question for an A record; for AAAA there is
/// nothing.
fn nameserver(answers: impl Fn(usize) -> Option<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut question, mut number) = ([0; 512], 0);
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let question = &question[..length];
            let is_v4 = question[length - 3] == 1;
            let last = if is_v4 { answers(number) } else { answers(number.saturating_sub(1)).and(Some(0)) };
            number += usize::from(is_v4);
            let code = if last.is_none() { 3 } else { 0 };
            let record = last.filter(|_| is_v4);
            let head = [&question[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]].concat();
            let record = record.map(|last| [&b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0"[..], &[last]].concat());
            let _ = socket.send_to(&[head, question[12..].to_vec(), record.unwrap_or_default()].concat(), from);
        }
    });
    address
}

/// What a nameserver does, and what of it is told.
struct Names {
    slots: bool,
    answers: fn(usize) -> Option<u8>,
    /// What its lines hold, and how they end.
    words: &'static [&'static str],
    settled: &'static str,
}

#[test]
fn a_nameserver_that_cannot_make_up_its_mind_floods_no_log() {
    let scenes = [
        Names {
            slots: false,
            answers: |number| Some(2 + u8::from(number % 2 == 1)),
            words: &["default/app changed its IP", "default/app has the IP", "default/app now has the IP"],
            settled: "default/app now has the IP 127.0.0.2;",
        },
        Names {
            slots: false,
            answers: |number| (number % 2 == 0).then_some(2),
            words: &[
                "app.test resolves again",
                "app.test does not resolve",
                "default/app has the IP",
                "default/app now has the IP",
            ],
            settled: "default/app now has the IP 127.0.0.2;",
        },
        Names {
            slots: true,
            answers: |number| Some(2 + u8::from(number % 2 == 1)),
            words: &["Server default/app1 ", "Server default/app2 "],
            settled: "Server default/app1 is UP now",
        },
    ];
    for Names { slots, answers, words, settled: settled_as } in scenes {
        let began = Instant::now();
        let (steady, socket) = (Backend::named("steady"), Place::new());
        let (asked, is_calm) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, calm) = (Arc::clone(&asked), Arc::clone(&is_calm));
        let dns = nameserver(move |number| {
            count.store(number, Ordering::Relaxed);
            if calm.load(Ordering::Relaxed) { Some(2) } else { answers(number) }
        });
        let mut config = format!(
            "listen.web = 127.0.0.1:0\nresolver.nameservers = {dns}\nresolver.hold = 1ms\nbackend.app = app.test:9\n\
             backend.s1 = {}\nbackend.s1.pool = calm\npool.calm.check.uri = /healthz\npool.calm.check.inter = 50ms\n\
             pool.calm.check.timeout = 10s\nadmin.socket = {}\n",
            steady.address(),
            socket.0.display()
        );
        if slots {
            config += "backend.app.slots = 2\n";
        }
        let beelance = Beelance::start(&config);
        wait_for_many("questions", scale(1000).max(5 * BURST), || asked.load(Ordering::Relaxed));
        let left_out = suppressed(&socket.0);
        assert!(left_out > BURST, "{words:?}: {left_out}");
        assert_eq!(beelance.changes("s1", "down"), 0);
        steady.set_health(500);
        beelance.wait_change("s1", "down", 1);
        is_calm.store(true, Ordering::Relaxed);
        let calm_from = asked.load(Ordering::Relaxed);
        wait_for_many("questions", calm_from + 4, || asked.load(Ordering::Relaxed));
        let left_out = suppressed(&socket.0);
        let lines = settled(&beelance, left_out);
        assert_eq!(told_and_left_out(&lines, &[TOLD]).1, left_out, "{words:?}");
        let there = lines.iter().filter(|line| words.iter().any(|word| line.contains(word))).count();
        // Each of them is about at most two servers; the first addresses are told beside it.
        let most = words.len().min(2) * most(BURST, began) + 2;
        assert!(there <= most, "{words:?}: {there} lines, {most} may be");
        assert!(lines.iter().any(|line| line.contains(settled_as)), "{settled_as}");
    }
}
