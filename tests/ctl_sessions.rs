//! `show sess` and the commands that end connections, beside HAProxy's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::Client;
use common::ctl::{Caller, Place, ask};
use common::eventually;
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, temporary};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A line of `show sess`: the id, and what its words say.
#[derive(Clone, Debug)]
struct Session {
    id: String,
    words: Vec<(String, String)>,
}

impl Session {
    fn read(line: &str) -> Self {
        let (id, rest) = line.split_once(": ").unwrap();
        let words = rest.split(' ').filter_map(|word| word.split_once('='));
        Self { id: id.to_owned(), words: words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }

    #[track_caller]
    fn of(&self, key: &str) -> &str {
        &self.words.iter().find(|(known, _)| known == key).unwrap_or_else(|| panic!("{key} in {self:?}")).1
    }

    /// Who, how and where to.
    fn way(&self) -> [&str; 5] {
        ["proto", "src", "fe", "be", "srv"].map(|key| self.of(key))
    }
}

/// All of them, but the client's of the socket itself.
fn sessions(path: &Path) -> Vec<Session> {
    let text = ask(path, "show sess");
    let lines = text.lines().filter(|line| !line.is_empty()).map(Session::read);
    lines.filter(|session| session.of("fe") != "GLOBAL").collect()
}

#[track_caller]
fn of_client(path: &Path, client: &Client) -> Session {
    let source = client.local().to_string();
    sessions(path).into_iter().find(|session| session.of("src") == source).expect("its line")
}

fn config(backend: &Backend, socket: &Place) -> String {
    format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = shop\nbackend.s1 = {0}\nbackend.s1.pool = shop\nbackend.s1.maxconn = 1\n\
         backend.a1 = {0}\nbackend.a1.pool = api\nroute.api.path = /api/*\nroute.api.pool = api\nadmin.socket = {1}\n",
        backend.address(),
        socket.0.display()
    )
}

#[test]
fn a_connection_is_shown_as_haproxy_shows_it() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let beelance = Beelance::start(&config(&backend, &ours));
    let address = backend.address();
    let haproxy = Haproxy::start(Port::take(), |bind| {
        format!(
            "global\n  nbthread 1\n  stats socket {} level admin\nfrontend web\n  bind {bind}\n  use_backend api if {{ path_beg /api/ }}\n  \
             default_backend shop\nbackend shop\n  server s1 {address} maxconn 1\nbackend api\n  server a1 {address}\n",
            theirs.0.display()
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    backend.hold();
    for (number, (path, web)) in [(&ours.0, beelance.web()), (&theirs.0, haproxy.address())].into_iter().enumerate() {
        let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(web)).collect();
        for (at, (client, target)) in clients.iter_mut().zip(["/", "/api/", "/queued"]).enumerate() {
            client.ask("GET", target, "");
            match at {
                0 | 1 => backend.wait_in_flight(number * 2 + at + 1),
                _ => eventually("it waits", || (sessions(path).len() == 3).then_some(())),
            }
        }
        eventually("the last one is routed", || (of_client(path, &clients[2]).of("be") == "shop").then_some(()));
        for (client, (pool, server)) in clients.iter().zip([("shop", "s1"), ("api", "a1"), ("shop", "<none>")]) {
            let source = client.local().to_string();
            let session = of_client(path, client);
            assert_eq!(session.way(), ["tcpv4", &source, "web", pool, server], "{session:?}");
            assert!(session.of("age").ends_with('s'));
        }
        if number == 0 {
            let line = ask(path, &format!("show sess {}", of_client(path, &clients[1]).id));
            assert_eq!(Session::read(line.lines().next().unwrap()).way(), of_client(path, &clients[1]).way());
        }
        // Who waits leaves first: it would have the slot of one that left before it, and be one more at the backend. HAProxy's
        // come last, and disturb nobody.
        drop(clients.pop());
        if number == 0 {
            eventually("nobody waits", || (sessions(path).len() == 2).then_some(()));
        }
        drop(clients);
    }
    for line in [
        "show sess 0x12",
        "shutdown session",
        "shutdown session 0x12",
        "shutdown sessions server",
        "shutdown sessions server zz/s1",
        "shutdown sessions server shop/zz",
        "shutdown sessions server shop/s1",
        "user; show sess; shutdown session 0x1",
    ] {
        assert_eq!(ask(&ours.0, line), ask(&theirs.0, line), "{line}");
    }
}

#[test]
fn an_idle_connection_and_a_unix_socket() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let path = temporary("web.sock");
    let more = format!("listen.local = unix:{}\nlisten.local.pool = shop\n", path.display());
    let beelance = Beelance::start(&(config(&backend, &socket) + &more));
    let mut idle = beelance.connect();
    assert_eq!(idle.get("/").text(), "one");
    let source = idle.local().to_string();
    eventually("it is idle", || (of_client(&socket.0, &idle).of("be") == "<NONE>").then_some(()));
    assert_eq!(of_client(&socket.0, &idle).way(), ["tcpv4", &source, "web", "<NONE>", "<none>"]);
    backend.hold();
    let mut local = Client::connect_unix(&path);
    local.ask("GET", "/", "");
    backend.wait_held(1);
    let found = sessions(&socket.0).into_iter().find(|session| session.of("proto") == "unix_stream").unwrap();
    assert_eq!(found.way(), ["unix_stream", "unix:1", "local", "shop", "s1"]);
    backend.open();
    assert_eq!(local.response().text(), "one");
}

#[test]
fn who_is_shut_down_is_gone_and_nobody_else() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::start(&config(&backend, &socket));
    let mut idle = beelance.connect();
    assert_eq!(idle.get("/").text(), "one");
    backend.hold();
    let [mut works, mut waits, mut other] = [beelance.connect(), beelance.connect(), beelance.connect()];
    works.ask("GET", "/works", "");
    backend.wait_held(1);
    other.ask("GET", "/api/other", "");
    backend.wait_held(2);
    waits.ask("GET", "/waits", "");
    eventually("it waits", || (of_client(&socket.0, &waits).of("be") == "shop").then_some(()));
    // An idle one, and one in the queue.
    for client in [&mut idle, &mut waits] {
        let id = of_client(&socket.0, client).id;
        assert_eq!(ask(&socket.0, &format!("shutdown session {id}")), "\n");
        client.ends();
        assert_eq!(ask(&socket.0, &format!("show sess {id}")), "Session not found.\n\n", "an id is nobody else's");
    }
    // All whose requests a server works on.
    assert_eq!(ask(&socket.0, "shutdown sessions server shop/s1"), "\n");
    works.ends();
    eventually("its slot is free", || (sessions(&socket.0).len() == 1).then_some(()));
    backend.open();
    assert_eq!(other.response().text(), "one", "at another server");
    assert_eq!(beelance.connect().get("/").text(), "one");
}

#[test]
fn many_connections_are_shown_through_one_buffer() {
    const MANY: usize = 400;
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::start(&config(&backend, &socket));
    let clients: Vec<Client> = (0..MANY).map(|_| beelance.connect()).collect();
    eventually("all are accepted", || (sessions(&socket.0).len() == MANY).then_some(()));
    let mut sources: Vec<String> = sessions(&socket.0).iter().map(|session| session.of("src").to_owned()).collect();
    let mut expected: Vec<String> = clients.iter().map(|client| client.local().to_string()).collect();
    sources.sort();
    expected.sort();
    assert_eq!(sources, expected);
    // Whoever reads slowly holds nobody up, and whoever leaves in the middle either.
    let mut slow = Caller::new(&socket.0);
    slow.send("show sess;show sess;show sess;show sess;show sess");
    let mut gone = Caller::new(&socket.0);
    gone.send("show sess;show sess;show sess;show sess;show sess");
    drop(gone);
    assert_eq!(beelance.connect().get("/").text(), "one");
    assert_eq!(slow.rest().lines().filter(|line| line.starts_with("0x")).count(), 5 * MANY);
}
