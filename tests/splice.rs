//! Bodies and tunnels that pass through pipes: the same bytes, faults and lines in the log as by copying.
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
use common::process::{Beelance, NOTHING};
use common::raw::{End, RawBackend};
use common::tunnel::open;
use common::{assert_same, eventually, pattern, settled};
use nix::sys::signal::Signal;

const WAYS: [&str; 2] = ["splice = yes\n", "splice = no\n"];
/// Below and above what a receive, a pipe and a turn take, and the number of bytes from which on bodies are spliced.
const SIZES: [usize; 13] =
    [16_000, 16_384, 32_767, 32_768, 48_000, 49_152, 49_153, 65_536, 81_920, 131_073, 262_144, 300_001, 1 << 20];

/// Ends of pipes that the process has open, once it has served a request.
fn pipes(beelance: &Beelance) -> usize {
    beelance.connect().get("/first");
    beelance.access_to("/first");
    let entries = std::fs::read_dir(format!("/proc/{}/fd", beelance.pid())).unwrap();
    let is_pipe = |path| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"));
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| is_pipe(entry.path()))).count()
}

#[track_caller]
fn assert_nothing_held(beelance: &Beelance) {
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.ended().in_use, NOTHING);
}

fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn bodies_of_all_sizes_both_ways() {
    for way in WAYS {
        let backend = Backend::start(|request| ok(&request.body));
        let beelance = Beelance::before(&[&backend], &format!("pool.*.reuse = always\n{way}"));
        let before = pipes(&beelance);
        let mut client = beelance.connect();
        for size in SIZES {
            let body = pattern(size);
            let response = client.post(&format!("/{size}"), &body);
            assert_same(&format!("{size} bytes back"), &response.body, &body);
            let request = backend.requests().pop().unwrap();
            assert_same(&format!("{size} bytes there"), &request.body, &body);
            let line = beelance.access_to(&format!("/{size}"));
            assert_eq!(line.state, "----", "{line:?}");
            assert!(line.bytes > size as u64 && line.bytes < size as u64 + 300, "{line:?}");
        }
        assert_eq!(backend.connections(), 1, "{way}: the connection is kept after each of them");
        // The two directions of one exchange follow each other: one pipe.
        let made = pipes(&beelance) - before;
        assert!(made == if way == WAYS[0] { 2 } else { 0 }, "{way}: {made} ends of pipes");
        assert_nothing_held(&beelance);
    }
}

#[test]
fn a_body_that_the_connection_ends_passes_to_a_client_of_http_1_0() {
    for way in WAYS {
        let body = pattern(3_000_001);
        let steps = vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Send(body.clone()), Step::Close];
        let backend = Backend::scripted(steps);
        let beelance = Beelance::before(&[&backend], way);
        let mut client = beelance.connect();
        client.send("GET / HTTP/1.0\r\n\r\n");
        client.head_bytes();
        let (got, end) = client.rest();
        assert_same("the body", &got, &body);
        assert_eq!(end, End::Closed);
        assert_eq!(beelance.access_to("/").state, "----");
        assert_nothing_held(&beelance);
    }
}

#[test]
fn a_backend_that_ends_early_breaks_the_response() {
    for way in WAYS {
        for (last, sent) in [(Step::Close, 500_000), (Step::Reset, 500_000), (Step::Close, 999_999)] {
            let resets = matches!(last, Step::Reset);
            let backend = Backend::scripted(vec![Step::Send(head(1_000_000).into()), Step::Send(pattern(sent)), last]);
            let beelance = Beelance::before(&[&backend], way);
            let mut client = beelance.connect();
            client.ask("GET", "/", "");
            client.head_bytes();
            let (got, _) = client.rest();
            // A reset may overtake bytes.
            assert!(got.len() == sent || (resets && got.len() < sent), "{} bytes", got.len());
            assert_same("what came", &got, &pattern(sent)[..got.len()]);
            assert_eq!(beelance.access_to("/").state, "SD--", "{way}");
            assert_nothing_held(&beelance);
        }
    }
}

#[test]
fn a_client_that_stops_in_its_body_and_closes_has_left() {
    for way in WAYS {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(way));
        let mut client = beelance.connect();
        client.ask("POST", "/", "Content-Length: 1000000\r\n");
        client.send(pattern(600_000));
        client.half_close();
        let mut server = backend.accept();
        server.head_bytes();
        assert_same("what came", &server.rest().0, &pattern(600_000));
        let line = beelance.access_to("/");
        assert_eq!((line.status, line.state.as_str()), (400, "CD--"), "{way}");
        assert_nothing_held(&beelance);
    }
}

#[test]
fn who_stops_reading_and_goes_on_gets_all() {
    const SIZE: usize = 32 << 20;
    for way in WAYS {
        let backend = Backend::start(|_| vec![Step::Send(head(SIZE).into()), Step::Send(pattern(SIZE))]);
        let beelance = Beelance::before(&[&backend], way);
        let mut client = Client::connect_narrow(beelance.web());
        client.ask("GET", "/", "");
        let sent = settled(|| backend.sent());
        assert!(sent < SIZE as u64, "all of it fits between them: the test shows nothing");
        assert_same("the body", &client.response().body, &pattern(SIZE));
        assert_nothing_held(&beelance);
    }
}

#[test]
fn a_client_that_vanishes_in_a_body_frees_everything() {
    const SIZE: usize = 32 << 20;
    for way in WAYS {
        for reset in [false, true] {
            let backend = Backend::start(|request| match request.target() {
                "/large" => vec![Step::Send(head(SIZE).into()), Step::Send(pattern(SIZE))],
                _ => ok(b"next"),
            });
            let beelance = Beelance::before(&[&backend], &format!("backend.s1.maxconn = 1\n{way}"));
            let mut client = Client::connect_narrow(beelance.web());
            client.ask("GET", "/large", "");
            client.some();
            settled(|| backend.sent());
            let mut next = beelance.connect();
            next.ask("GET", "/next", "");
            if reset {
                client.reset()
            } else {
                drop(client)
            }
            assert_eq!(next.response().text(), "next");
            assert_eq!(beelance.access_to("/large").state, "CD--", "{way}");
            assert_nothing_held(&beelance);
        }
    }
}

#[test]
fn what_follows_a_large_response_reaches_nobody() {
    for way in WAYS {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(way));
        let mut client = beelance.connect();
        let next = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        // The end of the first goes through a pipe.
        for (target, size) in [("/1", 40_000), ("/2", 500_000), ("/3", 10)] {
            let body = pattern(size);
            client.ask("GET", target, "");
            // The connection of the one before is not used again.
            let mut server = backend.accept();
            assert!(server.head_bytes().starts_with(&format!("GET {target} ")));
            let answer = [head(body.len()).as_bytes(), &body, next.as_bytes()].concat();
            // It may be closed before all of it is sent.
            let _ = server.try_send(&answer);
            assert_same("the body", &client.response().body, &body);
        }
    }
}

#[test]
fn requests_behind_a_large_upload_are_served() {
    for way in WAYS {
        let backend = Backend::start(|request| ok(request.body.len().to_string().as_bytes()));
        let beelance = Beelance::before(&[&backend], way);
        let mut client = beelance.connect();
        let mut sent = Vec::new();
        let sizes = [300_000, 0, 65_536, 70_001, 5];
        for size in sizes {
            sent.extend_from_slice(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n").as_bytes());
            sent.extend_from_slice(&pattern(size));
        }
        client.send(&sent);
        for size in sizes {
            assert_eq!(client.response().text(), size.to_string(), "{way}");
        }
        for (request, size) in backend.requests().iter().zip(sizes) {
            assert_same("the body", &request.body, &pattern(size));
        }
        assert_nothing_held(&beelance);
    }
}

#[test]
fn an_upload_whose_end_comes_late_keeps_both_connections() {
    for way in WAYS {
        let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"done").remove(0)]);
        let beelance = Beelance::before(&[&backend], &format!("pool.*.reuse = always\n{way}"));
        let mut client = beelance.connect();
        let body = pattern(400_000);
        for round in 0..2 {
            client.ask("POST", &format!("/{round}"), "Content-Length: 400000\r\n");
            client.send(&body[..399_999]);
            backend.wait_in_flight(1);
            client.send(&body[399_999..]);
            assert_eq!(client.response().text(), "done");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn a_backend_that_refuses_a_large_upload_is_heard() {
    for way in WAYS {
        let backend = Backend::at_head(|_| {
            vec![Step::Send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno".to_vec())]
        });
        let beelance = Beelance::before(&[&backend], way);
        let mut client = beelance.connect();
        client.ask("POST", "/", "Content-Length: 100000000\r\n");
        client.send(pattern(200_000));
        let response = client.response();
        assert_eq!((response.status, response.text()), (413, "no"));
        drop(client);
        assert_nothing_held(&beelance);
    }
}

#[test]
fn more_streams_than_pipes() {
    const SIZE: usize = 16 << 20;
    let backend = Backend::start(|request| match request.target() {
        "/large" => vec![Step::Send(head(SIZE).into()), Step::Repeat(vec![b'x'; 1 << 16], SIZE >> 16)],
        "/first" => ok(b"first"),
        _ => ok(&pattern(200_000)),
    });
    // For so few connections there are two pipes.
    let beelance = Beelance::before(&[&backend], "limits.connections = 32\ntimeout.client = 5m\ntimeout.server = 5m\n");
    let before = pipes(&beelance);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect_narrow(beelance.web())).collect();
    for client in &mut clients {
        client.ask("GET", "/large", "");
        client.some();
    }
    settled(|| backend.sent());
    assert_eq!(pipes(&beelance) - before, 4, "both ends of two pipes are held");
    assert_same("beside them", &beelance.connect().get("/small").body, &pattern(200_000));
    for client in &mut clients {
        assert_eq!(client.response().body.len(), SIZE);
    }
    drop(clients);
    assert_nothing_held(&beelance);
}

#[test]
fn half_closed_tunnels_pass_on_what_is_left() {
    let bytes = pattern(5_000_000);
    for way in WAYS {
        for of_client in [true, false] {
            let backend = RawBackend::start();
            let beelance = Beelance::start(&backend.config(way));
            let (client, server) = open(&beelance, &backend);
            let (mut quiet, mut speaks) = if of_client { (client, server) } else { (server, client) };
            quiet.send("last words");
            quiet.half_close();
            speaks.expect("last words");
            speaks.ends();
            let mut writer = speaks.both_ends();
            let sent = bytes.clone();
            let sending = std::thread::spawn(move || {
                writer.send(sent);
                writer.half_close();
            });
            let (got, end) = quiet.rest();
            assert_same("what came", &got, &bytes);
            assert_eq!(end, End::Closed);
            sending.join().unwrap();
            assert_eq!(beelance.access(1).remove(0).state, "----");
            assert_nothing_held(&beelance);
        }
    }
}

#[test]
fn a_tunnel_flows_by_turns_in_drops_and_in_floods() {
    for way in WAYS {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(way));
        let (mut client, mut server) = open(&beelance, &backend);
        for size in [1, 500_000, 3, 16_384, 65_536, 2, 300_000, 1] {
            let bytes = pattern(size);
            let mut writer = server.both_ends();
            let sent = bytes.clone();
            let sending = std::thread::spawn(move || writer.send(sent));
            assert_same("down", &client.exactly(size), &bytes);
            sending.join().unwrap();
            client.send("more");
            server.expect("more");
        }
    }
}

/// A splice stops before urgent data and does not step over it, also when the end has come behind it.
#[test]
fn urgent_data_is_no_end_of_a_large_body() {
    for way in WAYS {
        let backend = RawBackend::start();
        let beelance = Beelance::start(&backend.config(way));
        for target in ["/1", "/2"] {
            let mut client = beelance.connect();
            client.ask("GET", target, "");
            let mut server = backend.accept();
            server.head_bytes();
            server.send(head(200_000));
            server.send(pattern(40_000));
            client.head_bytes();
            client.exactly(40_000);
            beelance.frozen(|| {
                server.send(&pattern(200_000)[40_000..80_000]);
                server.send_urgent(b'!');
                server.send(&pattern(200_000)[80_000..90_000]);
            });
            client.exactly(50_000);
            server.send(&pattern(200_000)[90_000..]);
            server.half_close();
            assert_same("the rest", &client.exactly(110_000), &pattern(200_000)[90_000..]);
        }
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_as_ever() {
    for way in WAYS {
        let backend = Backend::at_head(|_| vec![Step::ReadBody, ok(b"done").remove(0)]);
        let beelance = Beelance::before(&[&backend], &format!("limits.body = 100k\n{way}"));
        let mut client = beelance.connect();
        assert_eq!(client.post("/fits", &pattern(100 << 10)).text(), "done");
        client.ask("POST", "/", "Content-Length: 102401\r\n");
        assert_eq!(client.response().status, 413);
    }
}

#[test]
fn bytes_that_wait_for_a_slow_client_do_not_hold_the_backend() {
    let backend = Backend::start(|request| match request.target() {
        "/large" => ok(&pattern(300_000)),
        _ => send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"),
    });
    let beelance =
        Beelance::before(&[&backend], "backend.s1.maxconn = 1\ntimeout.queue = 5m\nlimits.notsent-lowat = 1m\n");
    let mut slow: Vec<Client> = (0..3).map(|_| beelance.connect()).collect();
    for client in &mut slow {
        client.ask("GET", "/large", "");
    }
    // None of them reads.
    assert_eq!(beelance.connect().get("/next").text(), "next");
    eventually("all were served", || (backend.in_flight() == 0).then_some(()));
    for client in &mut slow {
        assert_same("the body", &client.response().body, &pattern(300_000));
    }
}
