//! Standard error is a pipe that nobody reads: traffic goes on, and what was dropped is told later.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::access::Line;
use common::backend::{Backend, ok, send};
use common::process::{Beelance, command, listener_and};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// More than any pipe and any buffer holds: each line of the log is about a kilobyte.
const REQUESTS: usize = 500;

fn fill(beelance: &Beelance) {
    let mut client = beelance.connect();
    let long = "x".repeat(900);
    for number in 0..REQUESTS {
        assert_eq!(client.get(&format!("/{number}/{long}")).status, 200);
    }
}

/// How many lines a line of the log says were dropped.
fn dropped(line: &str) -> Option<usize> {
    if Line::find(line).is_some() || !line.contains("dropped") {
        return None;
    }
    line.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).find_map(|digits| {
        // Not the time, not the number of the process.
        let counted = line.contains(&format!(" {digits} lines"));
        counted.then(|| digits.parse().unwrap())
    })
}

#[test]
fn a_full_pipe_stops_nobody_and_no_line_is_lost_silently() {
    let backend = Backend::named("one");
    let mut beelance = Beelance::start_unread(command(), &listener_and(&[&backend]));
    fill(&beelance);
    beelance.read_log();
    let mut client = beelance.connect();
    let mut asked = REQUESTS;
    let told = common::eventually("a line tells how many were dropped", || {
        assert_eq!(client.get("/later").status, 200);
        asked += 1;
        beelance.log().iter().find_map(|line| dropped(line))
    });
    assert!(told > 0 && told < REQUESTS, "{told} dropped");
    // Every request has a line or is counted.
    beelance.wait_log("the other lines", |lines| {
        let written = lines.iter().filter(|line| Line::find(line).is_some()).count();
        let dropped: usize = lines.iter().filter_map(|line| dropped(line)).sum();
        (written + dropped >= asked).then_some(())
    });
    let lines = beelance.log();
    let written = lines.iter().filter(|line| Line::find(line).is_some()).count();
    let dropped: usize = lines.iter().filter_map(|line| dropped(line)).sum();
    assert_eq!(written + dropped, asked);
}

#[test]
fn a_full_pipe_does_not_stop_the_messages_about_servers_either() {
    // Servers go down and up with every probe: each time that is a line, twenty times of each server.
    let full = Arc::new(AtomicBool::new(false));
    let fickle = || {
        let (probes, full) = (AtomicUsize::new(0), Arc::clone(&full));
        Backend::start(move |request| match request.target() {
            "/probe" if full.load(Ordering::Relaxed) && probes.fetch_add(1, Ordering::Relaxed) % 2 == 1 => {
                send("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n")
            }
            _ => ok(b"fickle"),
        })
    };
    let fickle: [Backend; 12] = std::array::from_fn(|_| fickle());
    let two = Backend::named("two");
    let more = "pool.*.check.uri = /probe\npool.*.check.inter = 20ms\npool.*.check.timeout = 5s\npool.*.check.rise = 1\npool.*.check.fall = 1\n";
    let all: Vec<&Backend> = fickle.iter().chain([&two]).collect();
    let beelance = Beelance::start_unread(command(), &(listener_and(&all) + more));
    fill(&beelance);
    full.store(true, Ordering::Relaxed);
    // More lines than a pipe that was just found full has room for.
    for backend in &fickle {
        backend.wait_requests(backend.count() + 30);
    }
    let mut client = beelance.connect();
    for _ in 0..4 {
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn a_closed_standard_error_stops_nobody() {
    let backend = Backend::named("one");
    let mut beelance = Beelance::start_unread(command(), &listener_and(&[&backend]));
    beelance.close_log();
    let mut client = beelance.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "one");
    }
    assert!(beelance.is_running());
}
