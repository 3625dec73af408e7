//! Nameservers that fail, are silent, have much to say, or lie.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port, ok_to};
use common::dnsmasq::{Dnsmasq, backends, config, count, wait};
use common::process::Beelance;
use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn no_nameserver_beats_the_answer_of_another() {
    let ([_two, _three], port) = backends(["two", "three"]);
    let knows_not = Dnsmasq::knowing("");
    let knows = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let refusing = Port::take();
    for order in [
        [knows_not.address(), knows.address()],
        [knows.address(), knows_not.address()],
        [refusing.address, knows.address()],
    ] {
        let beelance = Beelance::start(&config(&order, port, ""));
        assert_eq!(beelance.connect().get("/").text(), "two", "{order:?}");
        knows.wait_asked("A", "app.test", 3);
        assert_eq!(count(&beelance, &["does not resolve"]), 0, "{order:?}");
    }
}

#[test]
fn a_silent_nameserver_is_not_waited_for() {
    let ([_two], port) = backends(["two"]);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let knows = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let nameservers = [silent.local_addr().unwrap(), knows.address()];
    let beelance = Beelance::start(&config(&nameservers, port, ""));
    assert_eq!(beelance.connect().get("/").text(), "two");
    // It is asked all the same, first.
    let mut question = [0; 512];
    let length = silent.recv(&mut question).unwrap();
    assert!(question[..length].windows(9).any(|bytes| bytes == b"\x03app\x04test"), "{question:?}");
    assert_eq!(count(&beelance, &["does not resolve"]), 0);
}

#[test]
fn what_a_datagram_cannot_hold_comes_by_tcp() {
    let dns = Dnsmasq::knowing(&(2..=101).map(|last| format!("127.0.0.{last} app.test\n")).collect::<String>());
    let beelance = Beelance::start(&config(&[dns.address()], 9, "backend.app.slots = 100\n"));
    beelance.wait_log("a hundred addresses", |lines| {
        (lines.iter().filter(|line| line.contains("has the IP 127.0.0.")).count() == 100).then_some(())
    });
    assert_eq!(count(&beelance, &["default/app1 has the IP 127.0.0.2 by"]), 1, "the least has the first slot");
    assert_eq!(count(&beelance, &["default/app100 has the IP 127.0.0.101 by"]), 1);
}

/// A nameserver that sends what `answers` makes of each question.
fn hostile(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    answer_at(UdpSocket::bind("127.0.0.1:0").unwrap(), answers)
}

/// The same, at this socket.
fn answer_at(socket: UdpSocket, answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            for answer in answers(&question[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    address
}

/// A good answer: for A the address 127.0.0.2, for AAAA none.
fn good(question: &[u8]) -> Vec<u8> {
    let is_v4 = question[question.len() - 3] == 1;
    let head = [&question[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]].concat();
    let record: &[u8] = if is_v4 { b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x02" } else { b"" };
    [&head, &question[12..], record].concat()
}

/// What must not be taken for an answer.
fn bad(question: &[u8]) -> Vec<Vec<u8>> {
    let good = good(question);
    let with = |at: usize, byte: u8| {
        let mut message = good.clone();
        message[at] = byte;
        message
    };
    let at = question.len();
    let mut poisoned = good.clone();
    if let Some(last) = poisoned.last_mut() {
        *last = 9;
    }
    let elsewhere = |mut message: Vec<u8>, at: usize| {
        message[at] ^= 0x55;
        message
    };
    vec![
        elsewhere(poisoned.clone(), 0),
        elsewhere(poisoned.clone(), 1),
        elsewhere(poisoned.clone(), 13),
        with(2, 0x01),
        with(5, 0),
        with(7, 200),
        [&good[..7], &[1], &good[8..at], &[0xc0, u8::try_from(at).unwrap()], &good[at.min(good.len())..]].concat(),
        good[..at - 1].to_vec(),
        good[..11].to_vec(),
        vec![0xff; 512],
        Vec::new(),
        question.to_vec(),
    ]
}

#[test]
fn a_hostile_nameserver_is_not_believed() {
    let ([two], port) = backends(["two"]);
    let address = hostile(|question| bad(question).into_iter().chain([good(question)]).collect());
    let beelance = Beelance::start(&config(&[address], port, ""));
    assert_eq!(beelance.connect().get("/").text(), "two");
    assert_eq!((two.count(), count(&beelance, &["changed its IP"])), (1, 0));

    let flood = hostile(|question| (0..9).flat_map(|_| bad(question)).collect());
    let beelance = Beelance::start(&config(&[flood], port, "backend.s2 = 127.0.0.2:1\nbackend.s2.weight = 0\n"));
    wait(&beelance, &["app.test does not resolve: what it sends are no answers: its servers stay DOWN"]);
    // Another nameserver beside it is believed.
    let knows = Dnsmasq::knowing("127.0.0.2 app.test\n");
    let beelance = Beelance::start(&config(&[flood, knows.address()], port, ""));
    assert_eq!(beelance.connect().get("/").text(), "two");
}

/// For A the address 127.0.0.2, for AAAA ::1.
fn both(question: &[u8]) -> Vec<u8> {
    if question[question.len() - 3] == 1 {
        return good(question);
    }
    let head = [&question[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]].concat();
    let record = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    [&head, &question[12..], record].concat()
}

#[test]
fn an_answer_counts_although_the_other_does_not_fit_and_tcp_is_refused() {
    // Which of the two are truncated, A and AAAA; where the name is then.
    for (v4, v6, says) in [
        (false, true, "default/app has the IP 127.0.0.2 by DNS."),
        (true, false, "default/app has the IP ::1 by DNS."),
        (true, true, "app.test does not resolve: Connection refused (os error 111): its servers stay DOWN"),
    ] {
        let port = Port::take_both();
        answer_at(port.datagrams(), move |question| {
            let is_v4 = question[question.len() - 3] == 1;
            let mut answer = both(question);
            answer[2] |= u8::from(if is_v4 { v4 } else { v6 }) * 2;
            vec![answer]
        });
        let beelance = Beelance::start(&config(&[port.address], 9, ""));
        wait(&beelance, &[says]);
    }
}

#[test]
fn strays_end_a_try_and_not_the_nameserver() {
    let ([_two], port) = backends(["two"]);
    let seen = Mutex::new(HashSet::new());
    // The first time a question comes it is answered by what ends a try, then by what answers it.
    let address = hostile(move |question| match seen.lock().unwrap().insert(question.to_vec()) {
        true => vec![vec![0xff; 12]; 32],
        false => vec![good(question)],
    });
    let beelance = Beelance::start(&config(&[address], port, ""));
    assert_eq!(beelance.connect().get("/").text(), "two");
    assert_eq!(count(&beelance, &["does not resolve"]), 0);
}

#[test]
fn half_an_answer_moves_nobody_to_the_other_half() {
    let v4 = Backend::start(|request| ok_to(request, b"four"));
    let port = v4.address().port();
    let failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    // AAAA is ::1, A is 127.0.0.1; later there is no answer for AAAA but SERVFAIL.
    let address = hostile(move |question| {
        let is_v4 = question[question.len() - 3] == 1;
        let code = u8::from(!is_v4 && fails.load(Ordering::Acquire)) * 2;
        let head = [&question[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::from(code == 0), 0, 0, 0, 0]].concat();
        let data: &[u8] = if is_v4 { &[127, 0, 0, 1] } else { &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] };
        let kind = if is_v4 { 1 } else { 28 };
        let record =
            [b"\xc0\x0c\0", &[kind][..], b"\0\x01\0\0\0\x3c\0", &[u8::try_from(data.len()).unwrap()], data].concat();
        vec![[&head[..], &question[12..], if code == 0 { &record } else { b"" }].concat()]
    });
    let beelance = Beelance::start(&config(&[address], port, ""));
    wait(&beelance, &["default/app has the IP ::1 by DNS."]);
    failing.store(true, Ordering::Release);
    wait(&beelance, &["app.test does not resolve: no answer: its last addresses are kept."]);
    // A whole answer of another nameserver counts more than half of one, and half of one more than none.
    let whole = Dnsmasq::knowing("127.0.0.1 app.test\n::1 app.test\n");
    for (nameservers, ip) in [(vec![address, whole.address()], "::1"), (vec![address], "127.0.0.1")] {
        let beelance = Beelance::start(&config(&nameservers, port, ""));
        wait(&beelance, &[&format!("default/app has the IP {ip} by DNS.")]);
    }
    failing.store(false, Ordering::Release);
    wait(&beelance, &["app.test resolves again."]);
    assert_eq!(count(&beelance, &["changed its IP"]), 0);
    let beelance = Beelance::start(&config(&[address], port, "resolver.prefer = ipv4\n"));
    assert_eq!(beelance.connect().get("/").text(), "four");
    assert_eq!(v4.count(), 1);
}
