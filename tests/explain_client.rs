//! What `explain` says of the limits of a client: what it says is what happens, and to ask counts for nothing.
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
use common::ctl::{Place, ask};
use common::eventually;
use common::process::Beelance;
use common::raw::named;
use common::told::{client, from, step, steps};

#[test]
fn connections_of_a_client_are_told_and_not_counted() {
    let socket = Place::new();
    let backend = Backend::named("one");
    let text = format!(
        "listen.web = 127.0.0.1:0\nbackend.w = {}\nlisten.db = 127.0.0.1:0\nlisten.db.mode = tcp\nlisten.db.pool = db\n\
         listen.db.trust = 127.0.0.8\nbackend.db1 = {}\nbackend.db1.pool = db\nadmin.socket = {}\nlimits.exempt = 127.0.0.9\n\
         limits.per-client = 2\nlisten.in = 127.0.0.1:0\nlisten.in.mode = tcp\nlisten.in.pool = db\nlisten.in.accept-proxy = yes\n\
         listen.in.trust = peer:127.0.0.3\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\n",
        backend.address(),
        named("a"),
        socket.0.display()
    );
    let beelance = Beelance::start(&text);
    let of_one = "connection src 127.0.0.1";
    let free =
        "unknown: nothing is counted of it now; 0 of 2 connections (limits.per-client); another connection is let in";
    for _ in 0..5 {
        assert_eq!(client(&socket.0, of_one), free);
    }
    // One without requests, one with.
    let mut first = from(1, beelance.address("db"));
    first.exactly(1);
    let second = "counted; 1 of 2 connections (limits.per-client); another connection is let in";
    assert_eq!(client(&socket.0, of_one), second);
    assert_eq!(client(&socket.0, "GET h / src 127.0.0.1"), second);
    let mut web = from(1, beelance.web());
    assert_eq!(web.get("/").status, 200);
    let full = "counted; 2 of 2 connections (limits.per-client); another connection is closed by limits.per-client";
    for question in [of_one, "connection src 127.0.0.1 listen web", "GET h / src 127.0.0.1"] {
        assert_eq!(client(&socket.0, question), full, "{question}");
    }
    let told = ask(&socket.0, "explain connection src 127.0.0.1");
    assert_eq!(step(&told, "closed"), "by limits.per-client, right after it is accepted");
    assert_eq!(steps(&told), ["listener", "client", "closed"]);
    for address in [beelance.address("db"), beelance.web()] {
        from(1, address).ends();
    }
    // What it has goes on: a request on it is placed as any is.
    assert_eq!(step(&ask(&socket.0, "explain GET h / src 127.0.0.1"), "choice"), "w");
    assert_eq!(web.get("/").status, 200);
    // Others are themselves.
    assert_eq!(client(&socket.0, "connection src 127.0.0.2"), free);
    from(2, beelance.address("db")).exactly(1);
    for (question, says) in [
        ("connection src 127.0.0.9", "has no limits (limits.exempt)"),
        ("connection src 127.0.0.8 listen db", "has no limits: its listener trusts it (trust)"),
        ("connection src 127.0.0.8 listen web", free),
        ("connection", "not named (src ADDRESS): its limits are not looked at"),
        ("GET h /", "not named (src ADDRESS): its limits are not looked at"),
    ] {
        assert_eq!(client(&socket.0, question), says, "{question}");
    }
    // One of its own leaves, and the next may come.
    first.half_close();
    first.ends();
    eventually("it left", || (client(&socket.0, of_one) == second).then_some(()));
    let mut again = from(1, beelance.address("db"));
    again.exactly(1);
    assert_eq!(client(&socket.0, of_one), full);
    // Whom a PROXY header names, and who shares its network.
    let header = "PROXY TCP6 2001:db8::1 2001:db8::2 49153 80\r\n";
    let mut inside: Vec<Client> = Vec::new();
    for count in 0..2 {
        let told = client(&socket.0, "connection src 2001:db8::ffff listen in");
        assert!(told.contains(&format!("; {count} of 2 connections")), "{told}");
        let mut client = Client::connect(beelance.address("in"));
        client.send(header);
        client.exactly(1);
        inside.push(client);
    }
    let told = ask(&socket.0, "explain connection src 2001:db8::ffff listen in");
    assert_eq!(step(&told, "closed"), "by limits.per-client, when its PROXY header was read");
    assert!(client(&socket.0, "connection src 2001:db8:0:1::1 listen in").starts_with("unknown"));
    // Who sent the header is not whom it names: a client in the trusted block is judged.
    assert_eq!(client(&socket.0, "connection src 127.0.0.3 listen in"), free);
}

#[test]
fn rates_and_errors_of_a_client_are_told_and_not_counted() {
    let socket = Place::new();
    let backend = Backend::named("one");
    let more = format!(
        "admin.socket = {}\nlimits.rate = 2/m\nlimits.errors = 1/m\nroute.login.path = /login\nroute.login.pool = default\n\
         route.login.rate = 1/m\nlisten.db = 127.0.0.1:0\nlisten.db.mode = tcp\nlisten.db.pool = db\nbackend.db1 = {}\n\
         backend.db1.pool = db\n",
        socket.0.display(),
        named("a")
    );
    let beelance = Beelance::before(&[&backend], &more);
    let rate = |path: &str| step(&ask(&socket.0, &format!("explain GET h {path} src 127.0.0.1")), "rate").to_owned();
    let reply = |path: &str| step(&ask(&socket.0, &format!("explain GET h {path} src 127.0.0.1")), "reply").to_owned();
    for _ in 0..5 {
        assert_eq!(rate("/"), "0 of 2/m requests (limits.rate); another one is admitted");
        let both =
            "0 of 2/m requests (limits.rate), 0 of 1/m requests (rate of the route login); another one is admitted";
        assert_eq!(rate("/login"), both);
    }
    let mut web = from(1, beelance.web());
    assert_eq!(web.get("/login").status, 200);
    let told = rate("/login");
    let (counted, wait) = told.split_once("; the next is admitted in ").unwrap();
    assert_eq!(counted, "1 of 2/m requests (limits.rate), 1 of 1/m requests (rate of the route login)");
    let wait_ms: u64 = wait.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((1..=60_000).contains(&wait_ms), "{told}");
    assert_eq!(reply("/login"), "429, its client asks more often than it may");
    assert!(rate("/").ends_with("; another one is admitted"));
    assert_eq!(
        client(&socket.0, "GET h / src 127.0.0.1"),
        "counted; 0 of 1/m errors (limits.errors); another connection is let in"
    );
    assert!(
        client(&socket.0, "GET h / src 127.0.0.2")
            .starts_with("unknown: nothing is counted of it now; 0 of 1/m errors")
    );
    // What it says is what happens; a refusal is an error, and the second one bars.
    assert_eq!(web.get("/login").status, 429);
    assert!(
        client(&socket.0, "GET h / src 127.0.0.1")
            .starts_with("counted; 1 of 1/m errors (limits.errors); another connection is let")
    );
    assert!(rate("/login").starts_with("1 of 2/m"), "what is refused is no request");
    assert_eq!(web.get("/login").status, 429);
    let barred = "counted; 2 of 1/m errors (limits.errors); another connection is closed by limits.errors";
    for question in ["GET h / src 127.0.0.1", "connection src 127.0.0.1", "connection src 127.0.0.1 listen web"] {
        assert_eq!(client(&socket.0, question), barred, "{question}");
    }
    assert_eq!(reply("/"), "429, its client did too much wrong (limits.errors)");
    let told = ask(&socket.0, "explain connection src 127.0.0.1");
    assert_eq!(step(&told, "closed"), "by limits.errors, right after it is accepted");
    assert_eq!(client(&socket.0, "connection src 127.0.0.1"), barred, "to ask is no error");
    from(1, beelance.address("db")).ends();
    assert_eq!(step(&ask(&socket.0, "explain connection src 127.0.0.2"), "choice"), "db1");
    from(2, beelance.address("db")).exactly(1);
}

#[test]
fn how_a_connection_comes_in_when_they_run_short() {
    let socket = Place::new();
    let backend = Backend::named("one");
    let text = format!(
        "listen.web = 127.0.0.1:0\nbackend.w = {}\nlisten.db = 127.0.0.1:0\nlisten.db.mode = tcp\nlisten.db.pool = db\n\
         backend.db1 = {}\nbackend.db1.pool = db\nadmin.socket = {}\nlimits.connections = 12\nlimits.reserve = 1\n\
         pool.default.cookie = SRV\nlimits.exempt = 127.0.0.9\ntimeout.http-keep-alive = 5m\ntimeout.http-request = 5m\n",
        backend.address(),
        named("a"),
        socket.0.display()
    );
    let beelance = Beelance::start(&text);
    // One comes with its cookie while there is room, and is known from then on.
    let mut user = from(7, beelance.web());
    assert_eq!(user.get_with("/", "Cookie: SRV=w\r\n").status, 200);
    user.half_close();
    user.ends();
    eventually("it left", || ask(&socket.0, "explain connection").starts_with("listener: db; 0 of").then_some(()));
    // Two, and one more for those who are known.
    assert_eq!(ask(&socket.0, "set maxconn global 3"), "\n");
    let listener = |question: &str| step(&ask(&socket.0, &format!("explain {question}")), "listener").to_owned();
    assert_eq!(listener("connection"), "db; 0 of 2 connections");
    let mut first = from(1, beelance.address("db"));
    first.exactly(1);
    let mut second = from(2, beelance.web());
    assert_eq!(second.get("/").status, 200);
    // Who waits between two requests is spared a while: until then only the reserve is left.
    let replaces = "db; 2 of 2 connections; another takes the place of one without a request";
    eventually("it is no longer spared", || (listener("connection src 127.0.0.3") == replaces).then_some(()));
    assert!(client(&socket.0, "connection src 127.0.0.3").ends_with("another connection is let in"));
    let mut third = from(3, beelance.address("db"));
    third.exactly(1);
    second.ends();
    // Something passed on both: nobody makes room.
    let reserve = "db; 2 of 2 connections; what is left is kept for known clients (limits.reserve)";
    assert_eq!(listener("connection src 127.0.0.4"), reserve);
    let told = ask(&socket.0, "explain connection src 127.0.0.4");
    assert_eq!(
        step(&told, "client"),
        "unknown: nothing is counted of it now; another connection is closed by limits.reserve"
    );
    assert_eq!(step(&told, "closed"), "by limits.reserve, right after it is accepted");
    from(4, beelance.address("db")).ends();
    // One who is exempt may have it, or one who is known; and then all of them are gone.
    assert_eq!(step(&ask(&socket.0, "explain connection src 127.0.0.9"), "choice"), "db1");
    let told = ask(&socket.0, "explain connection src 127.0.0.7");
    assert_eq!(step(&told, "client"), "known as a user (limits.reserve); another connection is let in");
    assert_eq!(step(&told, "choice"), "db1");
    let mut known = from(7, beelance.address("db"));
    known.exactly(1);
    assert_eq!(listener("connection"), "db; 3 of 2 connections; another waits until one ends");
    let mut waits = from(9, beelance.address("db"));
    assert!(waits.is_silent());
    known.half_close();
    known.ends();
    waits.exactly(1);
    // A listener may have a bound of its own.
    assert_eq!(ask(&socket.0, "set maxconn global 12;set maxconn frontend web 1"), "\n\n");
    assert_eq!(listener("connection listen web"), "web; 3 of 11 connections");
    let mut only = from(5, beelance.web());
    assert_eq!(only.get("/").status, 200);
    assert_eq!(listener("GET h /"), "web; 4 of 11 connections; another waits until one ends");
    assert_eq!(listener("connection"), "db; 4 of 11 connections");
}
