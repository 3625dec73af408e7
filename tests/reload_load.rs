//! A thousand reloads under load: no request fails, and no memory is kept. One process all the time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::process::{Beelance, NOTHING, is_native};
use common::{scale, settled};
use nix::sys::signal::Signal::SIGTERM;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What the allocator's corners may come to: without a leak it stops growing.
const MAX_GROWTH: u64 = 128 * 1024;

/// Files that differ in all that can change.
fn files(servers: &[Backend; 4]) -> Vec<String> {
    let server = |name: &str, index: usize, pool: &str| {
        format!("backend.{name} = {}\nbackend.{name}.pool = {pool}\n", servers[index].address())
    };
    let (a, b) = (server("a", 0, "default"), server("b", 1, "default"));
    let of = |parts: &[&str]| format!("listen.web = 127.0.0.1:0\nlimits.rate = 50000/s\n{}", parts.concat());
    vec![
        of(&[&a, &b, "pool.*.stick = hdr:X-User\n"]),
        of(&[&a, &b, &server("c", 2, "default"), "backend.*.weight = 7\n"]),
        of(&[&b, "pool.default.balance = leastconn\nlisten.more = 127.0.0.1:0\ntimeout.client = 20s\n"]),
        of(&[
            &a,
            &server("b", 3, "default"),
            "pool.default.check.uri = /healthz\npool.default.check.inter = 1s\npool.default.check.timeout = 20s\n",
        ]),
        of(&[&a, &server("d", 2, "d"), "route.d.path = /d/*\nroute.d.pool = d\nroute.d.set-header.x-d = 1\n"]),
        of(&[&a, &server("d", 3, "d"), "listen.web.pool = d\npool.d.balance = hdr:Host\npool.d.hash = haproxy\n"]),
        of(&[&server("other", 1, "e"), "listen.web.pool = e\npool.e.cookie = SRV\nbackend.other.maxconn = 1\n"]),
        of(&[&b, &a, "pool.default.observe = http\nbackend.b.backup = yes\npool.*.stick = src\n"]),
    ]
}

/// A client that asks until told to stop, on connections that are kept or on fresh ones now and then.
fn ask(beelance: &Beelance, stop: &AtomicBool, served: &AtomicUsize, who: usize) {
    let (mut client, mut number) = (beelance.connect(), 0);
    while !stop.load(Ordering::Relaxed) {
        if who % 2 == 1 && number % 4 == 0 {
            client = beelance.connect();
        }
        let user = format!("X-User: {}\r\n", number % 50);
        match (number + who) % 3 {
            0 => client.ask("GET", "/", &user),
            1 => client.ask("GET", "/d/x", &user),
            _ => client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody"),
        }
        let response = client.try_response(false).unwrap_or_else(|why| panic!("client {who}, request {number}: {why}"));
        assert_eq!(response.status, 200, "client {who}, request {number}: {response:?}");
        served.fetch_add(1, Ordering::Relaxed);
        number += 1;
    }
}

/// Ends the clients, also when the reloads fail.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_thousand_reloads_under_load_fail_nobody_and_keep_nothing() {
    let servers = [(); 4].map(|()| Backend::named("ok"));
    let files = files(&servers);
    let mut beelance = Beelance::start(&files[0]);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let reload = |number: usize| {
        let before = served.load(Ordering::Relaxed);
        beelance.reload(&files[number % files.len()]).unwrap();
        common::eventually("requests are served", || (served.load(Ordering::Relaxed) > before).then_some(()));
    };
    // In an emulator what is resident is the emulator's.
    let resident = || if is_native() { settled(|| beelance.resident_of_its_own()) } else { 0 };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|who| {
                scope.spawn({
                    let (beelance, stop, served) = (&beelance, &stop, &served);
                    move || ask(beelance, stop, served, who)
                })
            })
            .collect();
        let stopping = Stop(&stop);
        (1..=2 * files.len()).for_each(reload);
        let begin = resident();
        (1..=scale(1000)).for_each(reload);
        let end = resident();
        println!("{begin} bytes, {end} after {} reloads; {} requests", scale(1000), served.load(Ordering::Relaxed));
        drop(stopping);
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert!(end <= begin + MAX_GROWTH, "{begin} bytes before, {end} after");
    });
    beelance.signal(SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    let ended = beelance.ended();
    assert_eq!((ended.in_use.as_str(), ended.requests), (NOTHING, served.load(Ordering::Relaxed) as u64));
}
