//! Large bodies, and many at once: numbers beyond 32 bits, fairness, bounded memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok, send};
use common::client::Client;
use common::process::{Beelance, is_native};
use common::{assert_same, pattern, scale, settled};
use std::sync::atomic::{AtomicBool, Ordering};

/// Beyond what 32 bits hold.
const ANNOUNCED: u64 = 5 << 30;
const PATIENT: &str = "timeout.client = 5m\ntimeout.server = 5m\ntimeout.queue = 5m\n";

#[test]
fn five_gigabytes_announced_by_a_client() {
    let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"one").remove(0)]);
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.ask("PUT", "/", &format!("Content-Length: {ANNOUNCED}\r\n"));
    let body = pattern(3_000_001);
    client.send(&body);
    client.half_close();
    let _ = client.until_end();
    backend.wait_left(1);
    let request = backend.only();
    assert_eq!(request.header("content-length"), Some("5368709120"));
    assert!(!request.complete);
    assert_same("what was sent", &request.body, &body);
}

#[test]
fn five_gigabytes_announced_by_a_backend() {
    for length in [ANNOUNCED, (1 << 32) + 3, u64::from(u32::MAX)] {
        let body = pattern(3_000_001);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let backend = Backend::scripted(vec![Step::Send(head.into()), Step::Send(body.clone()), Step::Close]);
        let beelance = Beelance::before(&[&backend], "");
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        let raw = client.until_end();
        let at = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&raw[..at]).to_ascii_lowercase();
        assert!(head.contains(&format!("content-length: {length}\r\n")), "{head}");
        assert_same("what came", &raw[at..], &body);
        let line = beelance.access_to("/");
        assert_eq!((line.state.as_str(), line.bytes), ("SD--", raw.len() as u64), "{line:?}");
    }
}

#[test]
fn a_chunk_of_five_gigabytes() {
    let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"one").remove(0)]);
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.ask("PUT", "/", "Transfer-Encoding: chunked\r\n");
    client.send("140000000\r\n");
    let body = pattern(1_000_001);
    client.send(&body);
    client.half_close();
    let _ = client.until_end();
    backend.wait_left(1);
    assert!(!backend.only().complete);
}

#[test]
fn five_gigabytes_pass() {
    // In the emulator too: there a size has 32 bits.
    let (piece, times) = (vec![b'x'; 1 << 20], 5000);
    let total = (piece.len() * times) as u64;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n");
    let backend = Backend::start(move |_| vec![Step::Send(head.clone().into()), Step::Repeat(piece.clone(), times)]);
    let beelance = Beelance::before(&[&backend], PATIENT);
    let mut client = beelance.connect();
    client.ask("GET", "/", "Connection: close\r\n");
    let received = client.count_until_end();
    let line = beelance.access_to("/");
    assert_eq!(line.bytes, received);
    assert!(received > total && received < total + 1000, "{received} bytes of {total}");
    assert_eq!(line.state, "----", "{line:?}");
}

#[test]
fn small_requests_go_on_beside_large_bodies() {
    const SIZE: usize = 64 << 20;
    let backend = Backend::start(|request| match request.target() {
        "/down" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            vec![Step::Send(head.into()), Step::Repeat(pattern(1 << 20), SIZE >> 20)]
        }
        "/up" => ok(request.body.len().to_string().as_bytes()),
        _ => ok(b"small"),
    });
    let beelance = Beelance::before(&[&backend], PATIENT);
    // Made before anybody is connected: it takes longer than who connects may wait with his request.
    let body = pattern(SIZE);
    let over = AtomicBool::new(false);
    let transfers = std::thread::scope(|scope| {
        let small = scope.spawn(|| {
            let (mut client, mut count) = (beelance.connect(), 0);
            while !over.load(Ordering::Relaxed) {
                assert_eq!(client.get("/").text(), "small");
                count += 1;
            }
            count
        });
        let down = scope.spawn(|| beelance.connect().get("/down").body.len());
        let up = scope.spawn(|| beelance.connect().post("/up", &body).text().to_owned());
        let transfers = (down.join(), up.join());
        over.store(true, Ordering::Relaxed);
        let small = small.join().unwrap();
        assert!(small >= 5, "{small} small requests meanwhile");
        transfers
    });
    assert_eq!((transfers.0.unwrap(), transfers.1.unwrap()), (SIZE, SIZE.to_string()));
}

#[test]
fn many_slow_downloads_in_bounded_memory() {
    const SIZE: usize = 16 << 20;
    let backend = Backend::start(|request| match request.target() {
        "/large" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            vec![Step::Send(head.into()), Step::Repeat(vec![b'x'; 1 << 16], SIZE >> 16)]
        }
        _ => ok(b"small"),
    });
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.memory = 16m\n"));
    assert_eq!(beelance.connect().get("/").text(), "small");
    let before = beelance.resident();
    let mut clients: Vec<Client> = (0..scale(200)).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        client.ask("GET", "/large", "");
    }
    for client in &mut clients {
        client.some();
    }
    let sent = settled(|| backend.sent());
    assert!(sent < (SIZE * clients.len()) as u64, "the backend could send all of it");
    assert_eq!(beelance.connect().get("/").text(), "small");
    let (after, limit) = (beelance.resident(), 16 << 20);
    assert!(after - before < 8 << 20, "{} bytes more for {} slow clients", after - before, clients.len());
    assert!(!is_native() || after < limit, "{after} bytes resident, {limit} allowed");
    // Those who read on get all of it.
    for client in clients.iter_mut().take(scale(20)) {
        assert_eq!(client.response().body.len(), SIZE);
    }
}

#[test]
fn many_slow_uploads_in_bounded_memory() {
    let backend = Backend::at_head(|request| match request.method() {
        "POST" => vec![Step::ReadBody, ok(b"done").remove(0)],
        _ => send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall"),
    });
    let beelance = Beelance::before(&[&backend], &format!("{PATIENT}limits.memory = 16m\n"));
    assert_eq!(beelance.connect().get("/").text(), "small");
    let before = beelance.resident();
    let mut clients: Vec<Client> = (0..scale(200)).map(|_| beelance.connect()).collect();
    let body = pattern(40_000);
    for client in &mut clients {
        client.ask("POST", "/", "Content-Length: 40000\r\n");
        client.send(&body[..20_000]);
    }
    backend.wait_in_flight(clients.len());
    let grown = beelance.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more for {} slow clients", clients.len());
    assert_eq!(beelance.connect().get("/").text(), "small");
    for client in &mut clients {
        client.send(&body[20_000..]);
        assert_eq!(client.response().text(), "done");
    }
    for request in backend.requests().iter().filter(|request| request.method() == "POST") {
        assert_same("the body", &request.body, &body);
    }
}
