//! What a proxy takes from the heap: the tables, as the budget has them, and for a request nothing.

use super::Proxy;
use super::connection::Connection;
use super::heard::Heard;
use crate::config;
use crate::limits::{
    CONNECTION_BYTES, ListenerId, Machine, OBJECT_BYTES, RATE_BYTES, RATES, SPARE_SEATS, SPARE_SOURCES, WAITER_BYTES,
};
use crate::runtime::{Bind, Endpoint, Heap, Listener, Loop, Reactor};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

/// What an allocator adds to each allocation.
const HEADER: u64 = 16;

pub(super) fn proxy(text: &str) -> &'static Proxy {
    let config = config::parse("f", text.as_bytes(), &Machine::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let budget = &config.limits.budget;
    let reactor = Reactor::new(budget.sockets() + SPARE_SOURCES, budget.connections + SPARE_SEATS).unwrap();
    let event_loop: &'static Loop = Box::leak(Box::new(Loop::new(Box::leak(Box::new(reactor)))));
    let address = |backend: &config::Backend| format!("{}:{}", backend.host, backend.port).parse().ok();
    let addresses: Vec<Option<SocketAddr>> = config.backends.iter().map(address).collect();
    Box::leak(Box::new(Proxy::new(Rc::new(config), event_loop, &addresses)))
}

/// What a proxy of this configuration holds at the start, and the bytes of its buffers among it.
fn held(text: &str) -> (u64, u64) {
    let before = Heap::now().bytes;
    let budget = &proxy(text).budget;
    let buffers =
        budget.small_buffers * crate::limits::SMALL_BUFFER + budget.large_buffers * crate::limits::LARGE_BUFFER;
    (Heap::now().bytes - before, buffers as u64)
}

#[test]
fn a_connection_has_the_entries_in_tables_that_the_budget_counts() {
    let of = |connections: usize| {
        let text = format!("listen.web = 127.0.0.1:0\nlimits.connections = {connections}\nlimits.memory = 1g\n");
        let (bytes, buffers) = held(&text);
        let waiters = ((connections + SPARE_SEATS) * 2).next_power_of_two() as u64;
        bytes - buffers - waiters * WAITER_BYTES
    };
    let (few, many) = (1000, 3000);
    let entries = (of(many) - of(few)).div_ceil((many - few) as u64);
    let bytes = entries + size_of::<Connection>() as u64 + HEADER;
    assert!(bytes <= CONNECTION_BYTES, "an idle connection takes {bytes} bytes, the budget has {CONNECTION_BYTES}");
    assert!(bytes * 10 >= CONNECTION_BYTES * 9, "an idle connection takes {bytes} bytes only: lower CONNECTION_BYTES");
}

#[test]
fn a_backend_takes_no_more_than_the_budget_counts() {
    let lines = |backends: usize| {
        let lines = (0..backends).map(|number| format!("backend.server{number} = 127.0.0.1:{}\n", 1000 + number));
        let more =
            "listen.web = 127.0.0.1:0\nlimits.connections = 10\npool.*.cookie = SRV\npool.*.check.uri = /healthz\n";
        lines.collect::<String>() + more
    };
    let of = |backends: usize| held(&lines(backends)).0;
    let mut bytes = (of(201) - of(1)) / 200;
    // The configuration is there three times at most: that of now, the one it may go back to, and one that is being read.
    let alone = |backends| {
        let before = Heap::now().bytes;
        let config = config::parse("f", lines(backends).as_bytes(), &Machine::default()).unwrap();
        let bytes = Heap::now().bytes - before;
        drop(config);
        bytes
    };
    bytes += 2 * ((alone(201) - alone(1)) / 200);
    // Made when the first one is heard of.
    bytes += size_of::<Heard>() as u64;
    assert!(bytes <= OBJECT_BYTES, "a backend takes {bytes} bytes, the budget has {OBJECT_BYTES}");
}

#[test]
fn limits_of_clients_take_what_the_budget_counts() {
    let of = |more: &str| {
        let (bytes, _) = held(&format!("listen.web = 127.0.0.1:0\nlimits.connections = 100\n{more}"));
        bytes
    };
    let without = of("");
    for (more, tables) in
        [("limits.rate = 10/s\n", RATES as u64 * RATE_BYTES), ("limits.per-client = 10\n", 256 * WAITER_BYTES)]
    {
        let taken = of(more) - without;
        assert!((tables..=tables + 2 * HEADER).contains(&taken), "{more}: {taken} bytes, the budget has {tables}");
    }
}

/// A backend that keeps its connections and answers each request with its body, or with `one`.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || while exchange(&stream, None).is_some() {});
        }
    });
    address
}

/// Reads a message and answers it with its body, or sends `request` and reads the answer; the body, if the peer is there.
fn exchange(mut stream: &TcpStream, request: Option<&str>) -> Option<Vec<u8>> {
    if let Some(request) = request {
        stream.write_all(request.as_bytes()).ok()?;
    }
    // Nothing comes behind a message before it is answered.
    let (mut reader, mut length) = (BufReader::new(stream), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if request.is_none() {
        let body = if body.is_empty() { b"one".to_vec() } else { body.clone() };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.into_bytes(), body].concat()).ok()?;
    }
    Some(body)
}

/// Allocations of the loop's thread in `count` requests, after as many to warm up.
fn allocations(request: &'static str, count: u64, more: &str) -> u64 {
    let text = format!("listen.web = 127.0.0.1:0\nbackend.s1 = {}\nlimits.memory = 16m\n{more}", backend());
    let proxy = proxy(&text);
    let event_loop = proxy.event_loop();
    let how = Bind { only_v6: false, mode: 0, bounds: proxy.budget.client_socket() };
    let listener = Listener::bind(event_loop.reactor, proxy.config().listeners[0].address.endpoint(), &how).unwrap();
    let Endpoint::Inet(address) = listener.endpoint() else { panic!("no port") };
    proxy.open(ListenerId(0), Rc::new(listener));
    event_loop.executor.spawn(super::purge_idle(proxy)).detach();
    let client = std::thread::spawn(move || {
        let stream = TcpStream::connect(address).unwrap();
        while exchange(&stream, Some(request)).is_some() {}
    });
    let (mut first, mut last) = (None, 0);
    let after_turn = || {
        if proxy.requests() >= count {
            first.get_or_insert_with(|| (proxy.requests(), Heap::now().allocations));
        }
        if proxy.requests() >= 2 * count && last == 0 {
            last = Heap::now().allocations;
            event_loop.end(0);
        }
    };
    event_loop.run(|seat| proxy.run_seat(seat), after_turn).unwrap();
    // The connection stays open with its loop: nobody joins the client.
    drop(client);
    last - first.unwrap().1
}

#[test]
fn a_request_allocates_nothing() {
    const COUNT: u64 = 500;
    let post: &'static str =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{}", "x".repeat(40_000)).leak();
    let long: &'static str = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(5_000)).leak();
    for (what, request, more) in [
        ("a small one", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("one with a new affinity cookie", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "pool.*.cookie = SRV\n"),
        ("one with a body, and a response with one", post, ""),
        ("one that is counted", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "limits.rate = 50000/s\nlimits.per-client = 9\n"),
        ("one that is refused", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "limits.rate = 1/m\nlimits.errors = 50000/s\n"),
        ("one with a long head", long, "pool.*.stick = hdr:X-Long\n"),
    ] {
        let allocations = allocations(request, COUNT, more);
        // A task of the executor may have been woken meanwhile: its queue is made of blocks.
        assert!(allocations <= 2, "{what}: {allocations} allocations in {COUNT} requests");
    }
}
