//! One id for a request: made or kept, the same at the backend and in the log (HAProxy's `unique-id-header`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, ok, send};
use common::client::Client;
use common::process::{Beelance, temporary};
use common::tool;
use std::collections::HashSet;

const ID: &str = "listen.web.request-id = X-Request-ID\n";

/// The id the backend found in the request for this target.
#[track_caller]
fn at_backend(backend: &Backend, target: &str) -> String {
    let requests = backend.requests();
    let request = requests.iter().find(|request| request.target() == target).unwrap();
    let ids = request.all("x-request-id");
    assert_eq!(ids.len(), 1, "{target}: {ids:?}");
    ids[0].to_owned()
}

#[track_caller]
fn is_made(id: &str) {
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id:?}");
}

#[test]
fn every_request_has_one_of_its_own() {
    let backend = Backend::named("one");
    let mut seen = HashSet::new();
    for start in 0..2 {
        let beelance = Beelance::before(&[&backend], ID);
        for connection in 0..2 {
            let mut client = beelance.connect();
            for number in 0..3 {
                let target = format!("/{start}/{connection}/{number}");
                assert_eq!(client.get(&target).text(), "one");
                let id = at_backend(&backend, &target);
                is_made(&id);
                assert_eq!(beelance.access_to(&target).id.as_deref(), Some(id.as_str()));
                assert!(seen.insert(id), "{target}: an id twice");
            }
        }
    }
}

#[test]
fn nobody_has_one_where_it_is_not_asked_for() {
    let backend = Backend::named("one");
    let more = "listen.named = 127.0.0.1:0\nlisten.named.request-id = X-Trace\n";
    let beelance = Beelance::before(&[&backend], more);
    assert_eq!(beelance.connect().get_with("/plain", "X-Request-ID: mine\r\n").text(), "one");
    // It is any field then, and stays as it came.
    assert_eq!(at_backend(&backend, "/plain"), "mine");
    assert_eq!(beelance.access_to("/plain").id, None);
    let mut client = Client::connect(beelance.address("named"));
    assert_eq!(client.get_with("/named", "X-Request-ID: mine\r\n").text(), "one");
    let request = backend.requests().into_iter().find(|request| request.target() == "/named").unwrap();
    is_made(request.all("x-trace")[0]);
    assert_eq!(request.all("x-request-id"), ["mine"]);
    assert_eq!(beelance.access_to("/named").id.as_deref(), Some(request.all("x-trace")[0]));
}

#[test]
fn who_may_name_a_request() {
    let backend = Backend::named("one");
    let proxy = "listen.web.accept-proxy = yes\n";
    let (here, there) = ("PROXY TCP4 127.0.0.9 10.0.0.1 1 2\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n");
    let cases = [
        ("nobody", "", "", false),
        ("a client", "listen.web.trust = 127.0.0.0/8\n", "", true),
        ("another client", "listen.web.trust = 192.0.2.0/24\n", "", false),
        ("who connects", "listen.web.trust = peer:127.0.0.1\n", "", true),
        ("another one who connects", "listen.web.trust = peer:192.0.2.7, unix\n", "", false),
        // Who names a client does not answer for it, unless that is said.
        ("a client that a header names", &format!("{proxy}listen.web.trust = 192.0.2.0/24\n"), there, true),
        ("a client that a proxy names", &format!("{proxy}listen.web.trust = 127.0.0.1\n"), there, false),
        ("a client that it calls its own", &format!("{proxy}listen.web.trust = 127.0.0.0/8\n"), here, true),
        ("a proxy", &format!("{proxy}listen.web.trust = peer:127.0.0.1\n"), there, true),
        ("another proxy", &format!("{proxy}listen.web.trust = peer:192.0.2.7\n"), there, false),
    ];
    for (name, more, hello, kept) in cases {
        let beelance = Beelance::before(&[&backend], &format!("{ID}{more}"));
        let target = format!("/{}", name.replace(' ', "-"));
        let mut client = beelance.connect();
        client.send(hello);
        client.get_with(&target, "X-Request-ID: 7f9c\r\nX-Forwarded-For: 203.0.113.9\r\n");
        let id = at_backend(&backend, &target);
        assert_eq!(id == "7f9c", kept, "{name}: {id}");
        assert_eq!(beelance.access_to(&target).id, Some(id), "{name}");
        // It is the same with the fields that say where it comes from.
        let request = backend.requests().into_iter().find(|request| request.target() == target).unwrap();
        assert_eq!(request.all("x-forwarded-for").contains(&"203.0.113.9"), kept, "{name}");
    }
}

#[test]
fn what_is_no_id_is_replaced() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{ID}listen.web.trust = 127.0.0.1\n"));
    let long = format!("X-Request-ID: {}\r\n", "a".repeat(65));
    for (number, lines) in [
        "X-Request-ID: \r\n",
        "X-Request-ID: a b\r\n",
        "X-Request-ID: a}{b\r\n",
        "X-Request-ID: a\"b\r\n",
        "X-Request-ID: \u{e9}\r\n",
        "X-Request-ID: 1\r\nX-Request-ID: 1\r\n",
        "X-Request-ID: 1\r\nX_Request_ID: 2\r\n",
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{number}");
        assert_eq!(beelance.connect().get_with(&target, lines).text(), "one", "{lines:?}");
        let id = at_backend(&backend, &target);
        is_made(&id);
        let request = backend.requests().into_iter().find(|request| request.target() == target).unwrap();
        assert_eq!(request.all("x_request_id"), Vec::<&str>::new(), "{lines:?}");
        assert_eq!(beelance.access_to(&target).id, Some(id));
    }
    // No option of the connection takes it away.
    assert_eq!(
        beelance.connect().get_with("/nominated", "Connection: x-request-id\r\nX-Request-ID: 1\r\n").text(),
        "one"
    );
    assert_eq!(at_backend(&backend, "/nominated"), "1");
}

#[test]
fn it_is_one_through_all_attempts() {
    let failing = Backend::start(|_| send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
    let backend = Backend::named("two");
    let beelance =
        Beelance::before(&[&failing, &backend], &format!("{ID}pool.*.balance = first\npool.*.retry-on = 503\n"));
    assert_eq!(beelance.connect().get("/again").text(), "two");
    let id = at_backend(&failing, "/again");
    assert_eq!(at_backend(&backend, "/again"), id);
    let line = beelance.access_to("/again");
    assert_eq!((line.id, line.backend.as_str(), line.counts[4]), (Some(id), "s2", 1));
}

#[test]
fn a_head_as_large_as_may_be_has_room_for_it() {
    let backend = Backend::named("one");
    let name = format!("X-{}", "n".repeat(62));
    let beelance =
        Beelance::before(&[&backend], &format!("listen.web.request-id = {name}\nlisten.web.trust = 127.0.0.1\n"));
    let id = "i".repeat(64);
    // The longest host, and a line longer than the log takes.
    let host = format!("{}:65535", "h".repeat(63).repeat(4).as_str().split_at(250).0);
    let target = format!("http://{host}/{}", "t".repeat(3000));
    let mut client = beelance.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n{name}: {id}\r\n\r\n"));
    assert_eq!(client.response().text(), "one");
    assert_eq!(backend.only().all(&name), [id.as_str()]);
    let line = beelance.access(1).remove(0);
    assert_eq!(line.id.as_deref(), Some(id.as_str()));
    assert!(line.request.starts_with(&format!("GET http://{host}/ttt")) && line.request.len() >= 900, "{line:?}");
}

#[test]
fn what_is_no_request_has_none() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], ID);
    let mut client = beelance.connect();
    client.send("GET / HTTP/1.1\r\nX-Request-ID: 1\r\n\r\n");
    assert_eq!(client.response().status, 400);
    let line = beelance.access(1).remove(0);
    assert_eq!((line.id.as_deref(), line.request.as_str()), (Some(""), "<BADREQ>"));
}

#[test]
fn halog_reads_lines_with_ids() {
    let backend = Backend::start(|request| match request.target() {
        "/bad" => send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        _ => ok(b"fine"),
    });
    let beelance = Beelance::before(&[&backend], ID);
    let mut client = beelance.connect();
    for target in ["/a", "/a", "/bad", "/b?c"] {
        client.get(target);
    }
    beelance.access(4);
    let log = temporary("halog");
    std::fs::write(&log, beelance.log().join("\n") + "\n").unwrap();
    let run = |word: &str| {
        let file = std::fs::File::open(&log).unwrap();
        let mut child = tool("halog");
        let child = child.args(["-q", word]).stdin(file).output().unwrap();
        String::from_utf8(child.stdout).unwrap()
    };
    let statuses: Vec<String> =
        run("-st").lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(statuses, ["200 3", "500 1"]);
    // The line is found behind the braces.
    let urls = run("-uc");
    let counted: Vec<(&str, &str)> = urls
        .lines()
        .filter_map(|line| Some((line.split_whitespace().next()?, line.split_whitespace().last()?)))
        .collect();
    assert!(counted.contains(&("2", "/a")) && counted.contains(&("1", "/b")), "{urls}");
    let _ = std::fs::remove_file(&log);
}
