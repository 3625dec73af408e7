//! `add server`, `del server` and `wait` beside HAProxy's, and what a reload makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::{Client, get};
use common::ctl::{Caller, Place, ask, ctl, value};
use common::eventually;
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, listener_and};
use std::os::unix::net::UnixStream;

fn config(backends: &[&Backend], socket: &Place) -> String {
    listener_and(backends) + &format!("admin.socket = {}\n", socket.0.display())
}

/// Who answered so many requests, each once.
fn who(beelance: &Beelance, requests: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..requests).map(|_| beelance.connect().get("/").text().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_answers_are_haproxys() {
    let backend = Backend::named("one");
    let address = backend.address();
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&[&backend, &backend], &ours));
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        format!(
            "global\n  nbthread 1\n  stats socket {} level admin\nfrontend web\n  bind {bind}\n  default_backend default\n\
             backend default\n  balance roundrobin\n  server s1 {address}\n  server s2 {address}\n",
            theirs.0.display()
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    for line in [
        "add server",
        "add server default",
        "add server default/",
        "add server /x 127.0.0.1:1",
        "add server zz/x 127.0.0.1:1",
        "add server default/s1 127.0.0.1:1",
        "add server default/n1",
        "add server default/x! 127.0.0.1:1",
        "add server default/n1 127.0.0.1:1 foo",
        "add server default/n1 127.0.0.1:1 weight 300",
        "add server default/n1 127.0.0.1:1 redir http://x/",
        "add server default/n1 127.0.0.1:1 weight 3 maxconn 4 maxqueue 5 backup",
        "add server default/n1 127.0.0.1:1",
        "get weight default/n1",
        "add server default/N2.b:c 127.0.0.1:2 send-proxy",
        "add server default/n3 127.0.0.1:3 send-proxy-v2 enabled",
        "set severity-output number; add server default/n4 127.0.0.1:4 disabled; add server default/n4 127.0.0.1:4; del server default/n4; del server default/n4",
        "set severity-output string; add server default/n4 127.0.0.1:4; add server default/n4 127.0.0.1:4; del server default/n4; del server default/n4",
        "set severity-output none; del server zz/x",
        "del server",
        "del server zz/x",
        "del server default/zz",
        "del server default/n3",
        "disable server default/n3; del server default/n3",
        "del server default/n3",
        "disable server default/s2; del server default/s2",
        "operator; add server default/q 127.0.0.1:1; del server default/n1; show cli level",
    ] {
        let differs = |text: String| match line {
            // Where HAProxy guesses what was meant, and why.
            _ if text.starts_with("unknown keyword 'foo'") => "unknown keyword 'foo'".to_owned(),
            _ => text,
        };
        assert_eq!(differs(ask(&ours.0, line)), differs(ask(&theirs.0, line)), "{line:?}");
    }
    // Both know the same servers now, in the same states.
    let states = |path| -> Vec<String> {
        let text = ask(path, "show servers state");
        // Without the ids of pools, and of servers: theirs stay what they were when one before is gone; and without times.
        let of = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{} {} {:?} {:?} {:?}", words[3], words[4], &words[5..9], &words[13..17], &words[17..])
        };
        text.lines().skip(2).filter(|line| !line.is_empty()).map(of).collect()
    };
    assert_eq!(states(&ours.0), states(&theirs.0));
}

#[test]
fn what_is_wrong_with_a_server_is_said() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let _beelance = Beelance::start(&config(&[&backend], &socket));
    for (words, expected) in [
        ("127.0.0.1", "'127.0.0.1': no port: expected <addr>:<port>, <name>:<port> or unix:<path>."),
        ("127.0.0.1:99999", "'127.0.0.1:99999': the port is a number from 1 to 65535"),
        ("unix:run", "'unix:run': the path of a UNIX socket is absolute"),
        ("127.0.0.1:1 weight x", "'weight' expects a whole number, not 'x'."),
        ("127.0.0.1:1 weight", "'weight' expects a whole number, not ''."),
        ("127.0.0.1:1 maxconn 99999999999", "'maxconn' expects a whole number, not '99999999999'."),
        ("127.0.0.1:1 cookie a,b", "'cookie' expects a value"),
        ("127.0.0.1:1 check", "'check': pool default has no check; pool.default.check says so for all of it."),
        ("127.0.0.1:1 inter 3s", "'inter' option is not accepted for dynamic server"),
    ] {
        let told = ctl(&socket.0, &["add", "server", "default/n", words]);
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{words}");
        assert!(told.stderr.starts_with(expected), "{words}: {}", told.stderr);
    }
    let long = ask(&socket.0, &format!("add server default/{} 127.0.0.1:1", "x".repeat(33)));
    assert_eq!(long, "a server's name has at most 32 characters.\n\n");
}

#[test]
fn a_server_is_added_serves_and_is_removed() {
    let [one, two] = [Backend::named("one"), Backend::named("two")];
    let socket = Place::new();
    let beelance = Beelance::start(&(config(&[&one], &socket) + "pool.default.cookie = SRV\n"));
    let said = |line: &str| ask(&socket.0, line);
    let mut kept = beelance.connect();
    assert_eq!(kept.get("/").text(), "one");
    assert_eq!(said(&format!("add server default/n1 {} weight 3", two.address())), "New server registered.\n\n");
    assert_eq!(
        (value(&socket.0, "default", "n1", "status"), value(&socket.0, "default", "n1", "weight")),
        ("MAINT".into(), "3".into())
    );
    // Nobody goes there, not even who asks for it.
    let mut asks = beelance.connect();
    asks.ask("GET", "/", "Cookie: SRV=n1\r\n");
    assert_eq!(asks.response().text(), "one");
    assert_eq!(who(&beelance, 6), ["one"]);
    assert_eq!(said("enable server default/n1"), "\n");
    assert_eq!(who(&beelance, 8), ["one", "two"]);
    asks.ask("GET", "/", "Cookie: SRV=n1\r\n");
    assert_eq!(asks.response().text(), "two");
    // It has its lines everywhere.
    assert_eq!(said("get weight default/n1"), "3 (initial 3)\n\n");
    assert_eq!(value(&socket.0, "default", "n1", "addr"), two.address().to_string());
    assert!(beelance.access(9).iter().any(|line| line.backend == "n1"));
    // While it is not in maintenance, and while it works, it stays.
    assert_eq!(said("del server default/n1"), "Only servers in maintenance mode can be deleted.\n");
    two.hold();
    let mut held = beelance.connect();
    held.ask("GET", "/held", "Cookie: SRV=n1\r\n");
    two.wait_held(1);
    assert_eq!(said("disable server default/n1"), "\n");
    assert_eq!(said("del server default/n1"), "Server still has connections attached to it, cannot remove it.\n");
    assert_eq!(
        said("wait 20ms srv-removable default/n1"),
        "Wait delay expired. Server still has connections attached to it, cannot remove it.\n\n"
    );
    // Whoever waits for it sees the end.
    let mut waits = Caller::new(&socket.0);
    waits.send("wait 1h srv-removable default/n1; del server default/n1");
    let mut leaves = Caller::new(&socket.0);
    leaves.send("wait 1h srv-removable default/n1");
    drop(leaves);
    two.release(1);
    assert_eq!(held.response().text(), "two");
    assert_eq!(waits.rest(), "Done.\n\nServer deleted.\n");
    two.wait_open(0);
    assert_eq!(said("get weight default/n1"), "No such server.\n\n");
    assert_eq!(who(&beelance, 4), ["one"]);
    assert_eq!(kept.get("/").text(), "one", "on the connection of the beginning");
    // Its place is free for another.
    assert_eq!(said(&format!("add server default/n2 {} enabled", two.address())), "New server registered.\n\n");
    two.open();
    assert_eq!(who(&beelance, 4), ["one", "two"]);
    for (line, answer) in [
        ("wait", "Expects a duration in milliseconds.\n\n"),
        ("wait x", "Invalid duration.\n\n"),
        ("wait 0", "Invalid duration.\n\n"),
        ("wait 1ms", "Done.\n\n"),
        ("wait 1s srv-removable", "Missing server name (<backend>/<server>).\n\n"),
        ("wait 1s srv-removable x", "Failed. Require 'backend/server'.\n\n"),
        ("wait 1s srv-removable default/zz", "Failed. No such server.\n\n"),
        ("wait 1h srv-removable default/n2", "Failed. Only servers in maintenance mode can be deleted.\n\n"),
    ] {
        assert_eq!(said(line), answer, "{line}");
    }
    assert!(said("wait 1s foo").starts_with("Usage: wait {-h|<duration>} [condition [args...]]\n  - '-h' displays"));
    assert_eq!(said("wait -h"), said("wait 1s foo"));
}

#[test]
fn the_last_server_of_a_pool_can_leave_and_another_come() {
    let [one, two] = [Backend::named("one"), Backend::named("two")];
    let socket = Place::new();
    let beelance = Beelance::start(&(config(&[&one], &socket) + "pool.default.balance = uri\n"));
    ask(&socket.0, "disable server default/s1");
    assert_eq!(ask(&socket.0, "del server default/s1"), "Server deleted.\n");
    let mut client = beelance.connect();
    assert_eq!(client.get("/").status, 503);
    ask(&socket.0, &format!("add server default/n1 {} enabled", two.address()));
    assert_eq!(beelance.connect().get("/").text(), "two");
}

#[test]
fn the_table_has_an_end_and_hammering_it_costs_nothing() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::start(&config(&[&backend], &socket));
    let address = backend.address();
    // One server in the file, sixteen places more.
    for number in 0..16 {
        let line = format!("add server default/n{number} {address}");
        assert_eq!(ask(&socket.0, &line), "New server registered.\n\n", "{number}");
    }
    let full = "No place is free: 17 were made for servers at the start; a restart makes more.\n\n";
    assert_eq!(ask(&socket.0, &format!("add server default/more {address}")), full);
    for number in 0..50 {
        let (gone, new) = (format!("n{number}"), format!("n{}", number + 16));
        let line = format!("del server default/{gone}; add server default/{new} {address}");
        assert_eq!(ask(&socket.0, &line), "Server deleted.\nNew server registered.\n\n", "{number}");
    }
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn a_reload_makes_it_what_the_file_says() {
    let backends = [Backend::named("one"), Backend::named("two"), Backend::named("three")];
    let [one, two, three] = &backends;
    let socket = Place::new();
    let file = config(&[one], &socket);
    let beelance = Beelance::start(&file);
    let line =
        |name: &str, backend: &Backend| format!("add server default/{name} {} weight 2 enabled", backend.address());
    for (name, backend) in [("stays", two), ("leaves", three)] {
        assert_eq!(ask(&socket.0, &line(name, backend)), "New server registered.\n\n");
    }
    assert_eq!(who(&beelance, 10), ["one", "three", "two"]);
    // A file that says the same of one, and nothing of the other: that one is the file's now, the other is gone.
    let same = format!("backend.stays = {}\nbackend.stays.weight = 2\n", two.address());
    assert_eq!(beelance.reload(&(file.clone() + &same)), Ok("removed backend.leaves; changed backend.stays".into()));
    assert_eq!(who(&beelance, 6), ["one", "two"]);
    assert_eq!(beelance.reload(&(file.clone() + &same)), Ok("nothing differs".into()));
    // One that was removed comes back with the file that names it.
    assert_eq!(ask(&socket.0, "disable server default/s1; del server default/s1"), "\nServer deleted.\n");
    assert_eq!(who(&beelance, 4), ["two"]);
    assert_eq!(beelance.reload(&(file.clone() + &same)), Ok("added backend.s1".into()));
    assert_eq!(who(&beelance, 6), ["one", "two"]);
    // Slots belong together.
    let slots = "backend.web = localhost:1\nbackend.web.slots = 2\n";
    beelance.reload(&(file + slots)).unwrap();
    ask(&socket.0, "disable server default/web1");
    let refused = "This server cannot be removed at runtime due to other configuration elements pointing to it.\n";
    assert_eq!(ask(&socket.0, "del server default/web1"), refused);
}

#[test]
fn it_is_probed_as_its_pool_is() {
    let (one, two, socket) = (Backend::named("one"), Backend::named("two"), Place::new());
    let checks =
        "pool.default.check.uri = /healthz\npool.default.check.inter = 50ms\npool.default.check.timeout = 5s\n";
    let beelance = Beelance::start(&(config(&[&one], &socket) + checks));
    let mut two = two;
    two.stop();
    ask(&socket.0, &format!("add server default/n1 {} check enabled", two.address()));
    beelance.wait_change("n1", "down", 1);
    assert_eq!(who(&beelance, 4), ["one"]);
    two.restart();
    beelance.wait_change("n1", "up", 1);
    assert_eq!(who(&beelance, 4), ["one", "two"]);
    let mut client = Client::connect(beelance.web());
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_pool_keeps_what_a_server_that_leaves_has_counted() {
    let [one, two] = [Backend::named("one"), Backend::named("two")];
    let socket = Place::new();
    let file =
        |more: &str| config(&[&one, &two], &socket) + "admin.listen = 127.0.0.1:0\npool.default.cookie = SRV\n" + more;
    let beelance = Beelance::start(&file("listen.more = 127.0.0.1:0\n"));
    let metrics = || get(beelance.address("admin.listen"), "/metrics").text().to_owned();
    let totals = || {
        let metrics = metrics();
        [
            "haproxy_backend_http_responses_total{proxy=\"default\",code=\"2xx\"} ",
            "haproxy_backend_bytes_out_total{proxy=\"default\"} ",
            "haproxy_process_requests_total ",
            "haproxy_process_connections_total ",
            "beelance_affinity_requests_total{proxy=\"default\",result=\"new\"} ",
        ]
        .map(|name| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} in {metrics}")).parse::<u64>().unwrap()
        })
    };
    let of_s2 = || ["stot", "hrsp_2xx"].map(|column| value(&socket.0, "default", "s2", column));
    assert_eq!(who(&beelance, 10), ["one", "two"]);
    let more = Client::connect(beelance.address("more")).get("/").status;
    assert_eq!(more, 200);
    let before = eventually("all are counted", || Some(totals()).filter(|totals| totals[0] == 11 && totals[4] == 11));
    assert_eq!((before[2], before[3]), (11, 11));
    assert!(of_s2()[1].parse::<u64>().unwrap() >= 5);
    assert_eq!(ask(&socket.0, "disable server default/s2; del server default/s2"), "\nServer deleted.\n");
    assert_eq!(totals(), before);
    // The file brings it back, in its place; and the other listener's place is a third one's.
    beelance.reload(&file("listen.third = 127.0.0.1:0\n")).unwrap();
    assert_eq!((totals(), of_s2()), (before, ["0", "0"].map(String::from)));
    assert_eq!(who(&beelance, 4), ["one", "two"]);
    let after = eventually("all are counted", || Some(totals()).filter(|totals| totals[0] == 15 && totals[4] == 15));
    assert_eq!((after[2], after[3]), (15, 15));
    assert!(after[1] > before[1]);
    assert_eq!(of_s2(), ["2", "2"].map(String::from));
}

#[test]
fn servers_draw_from_their_coming_to_their_leaving() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let more = "admin.listen = 127.0.0.1:0\npower.board = 1\npower.server = 1\n";
    let beelance = Beelance::start(&(config(&[&backend], &socket) + more));
    // Of the board, which is as old as the process, and of the servers: millijoules, so milliseconds.
    let drawn = || {
        let metrics = get(beelance.address("admin.listen"), "/metrics").text().to_owned();
        ["board", "servers"].map(|of| {
            let name = format!("beelance_energy_joules_total{{of=\"{of}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
            line.unwrap_or_else(|| panic!("{name} in {metrics}")).replace('.', "").parse::<u64>().unwrap()
        })
    };
    let early = eventually("some time passes", || Some(drawn()).filter(|[board, _]| *board >= 100));
    assert_eq!(early[0], early[1]);
    for name in ["n1", "n2", "n3"] {
        assert_eq!(ask(&socket.0, &format!("add server default/{name} 127.0.0.1:1")), "New server registered.\n\n");
    }
    let four = eventually("they draw", || Some(drawn()).filter(|[board, servers]| servers > board));
    assert!(four[1] - four[0] <= 3 * (four[0] - early[0]), "{early:?}, {four:?}");
    for name in ["n1", "n2", "n3"] {
        assert_eq!(ask(&socket.0, &format!("del server default/{name}")), "Server deleted.\n");
    }
    let one = drawn();
    assert!(one[1] - one[0] >= four[1] - four[0], "{four:?}, {one:?}");
    let later = eventually("some time passes", || Some(drawn()).filter(|[board, _]| board > &one[0]));
    assert_eq!(later[1] - later[0], one[1] - one[0]);
}
