//! Every state of an exchange has its deadline, and no other ends it: one time is short, all others are longer than
//! anything here may take.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::Client;
use common::port::Deaf;
use common::process::Beelance;
use common::raw::{End, RawBackend, asked};
use common::{DEADLINE, tunnel};

const KEYS: [&str; 7] = ["http-request", "http-keep-alive", "client", "queue", "connect", "server", "tunnel"];

/// What happens until the deadline, and after it.
type Play = fn(&Beelance, &RawBackend);

struct Row {
    name: &'static str,
    /// The time that is short.
    key: &'static str,
    more: &'static str,
    play: Play,
    /// Status and termination state of the first line in the log; none: there is no line.
    logged: Option<(i16, &'static str)>,
}

const fn row(name: &'static str, key: &'static str, play: Play, logged: Option<(i16, &'static str)>) -> Row {
    Row { name, key, more: "", play, logged }
}

const ROWS: &[Row] = &[
    row("no byte of a request", "http-request", nothing, None),
    row("a head", "http-request", half_a_head, Some((408, "cR--"))),
    row("a PROXY header", "http-request", half_a_proxy_header, None).with("listen.web.accept-proxy = yes\n"),
    row("the next request", "http-keep-alive", no_next_request, Some((200, "----"))),
    row("the next request behind an empty line", "http-keep-alive", an_empty_line, Some((200, "----"))),
    row("a body by length", "client", half_a_body, Some((408, "cD--"))),
    row("a body in chunks", "client", half_the_chunks, Some((408, "cD--"))),
    row("a response that is not taken", "client", response_not_taken, Some((200, "cD--"))),
    row("a slot", "queue", queued, Some((503, "sQ--"))).with("backend.s1.maxconn = 1\n"),
    row("a connection", "connect", deaf, Some((503, "sC--"))).with("pool.*.retries = 0\n"),
    row("a request that is not taken", "server", request_not_taken, Some((504, "sD--"))),
    row("a response", "server", no_response, Some((504, "sH--"))),
    row("a response's head", "server", half_a_response_head, Some((504, "sH--"))),
    row("a response behind a 1xx", "server", only_hints, Some((504, "sH--"))),
    row("a body of a response by length", "server", half_a_response, Some((200, "sD--"))),
    row("a body of a response in chunks", "server", half_the_response_chunks, Some((200, "sD--"))),
    row("a body of a response until the close", "server", no_close, Some((200, "sD--"))),
    row("an answer to an upgrade", "server", no_answer_to_an_upgrade, Some((504, "sH--"))),
    row("a tunnel", "tunnel", silent_tunnel, Some((101, "cD--"))),
];

impl Row {
    const fn with(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    #[track_caller]
    fn check(&self) {
        let long = format!("{}s", 10 * DEADLINE.as_secs());
        let time = |key: &&str| format!("timeout.{key} = {}\n", if *key == self.key { "3s" } else { &long });
        let times: String = KEYS.iter().map(time).collect();
        let backend = RawBackend::start();
        let mut config = backend.config(&(times + self.more));
        // Who waits for a connection needs a backend that accepts none.
        let deaf = (self.key == "connect").then(Deaf::listening);
        if let Some(deaf) = &deaf {
            config = config.replace(&backend.address.to_string(), &deaf.address().to_string());
        }
        let beelance = Beelance::start(&config);
        (self.play)(&beelance, &backend);
        match self.logged {
            Some(wanted) => {
                let line = beelance.access(1).remove(0);
                assert_eq!((line.status, line.state.as_str()), wanted, "{}: {line:?}", self.name);
            }
            None => {
                // A line would come before that of a later request.
                refused(&beelance, self);
                assert_eq!(beelance.access(1).len(), 1, "{}", self.name);
            }
        }
    }
}

/// Rows at once: each waits for its deadline.
const AT_ONCE: usize = 7;

#[test]
fn each_state_has_its_own() {
    for rows in ROWS.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            for row in rows {
                let thread = std::thread::Builder::new().name(row.name.to_owned());
                thread.spawn_scoped(scope, || row.check()).unwrap();
            }
        });
    }
}

/// A request that has a line of its own.
fn refused(beelance: &Beelance, row: &Row) {
    let mut client = beelance.connect();
    if row.more.contains("accept-proxy") {
        client.send("PROXY UNKNOWN\r\n");
    }
    client.send("(\r\n\r\n");
    assert_eq!(client.response().status, 400, "{}", row.name);
}

#[track_caller]
fn assert_status(client: &mut Client, status: u16) {
    assert_eq!(client.response().status, status);
}

/// A response that breaks off: what of it came, to the letter, behind its head.
#[track_caller]
fn breaks_off(beelance: &Beelance, backend: &RawBackend, reply: &str, body: &str) -> End {
    let (mut client, mut server) = asked(beelance, backend, "");
    server.send(format!("HTTP/1.1 200 OK\r\n{reply}"));
    client.head_bytes();
    let (rest, end) = client.rest();
    assert_eq!(String::from_utf8(rest).unwrap(), body);
    server.ends();
    end
}

fn nothing(beelance: &Beelance, _: &RawBackend) {
    let mut client = beelance.connect();
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}

fn half_a_head(beelance: &Beelance, backend: &RawBackend) {
    let mut client = beelance.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    assert_status(&mut client, 408);
    client.ends();
    assert!(backend.is_silent());
}

fn half_a_proxy_header(beelance: &Beelance, _: &RawBackend) {
    let mut client = beelance.connect();
    client.send("PROXY UNKNOWN\r");
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}

#[track_caller]
fn answered(beelance: &Beelance, backend: &RawBackend) -> Client {
    let (mut client, mut server) = asked(beelance, backend, "");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_status(&mut client, 200);
    client
}

fn no_next_request(beelance: &Beelance, backend: &RawBackend) {
    let mut client = answered(beelance, backend);
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}

fn an_empty_line(beelance: &Beelance, backend: &RawBackend) {
    let mut client = answered(beelance, backend);
    client.send("\r\n");
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}

fn half_a_body(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, mut server) = asked(beelance, backend, "Content-Length: 10\r\n");
    client.send("half");
    server.expect("half");
    assert_status(&mut client, 408);
    client.ends();
    server.ends();
}

fn half_the_chunks(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, mut server) = asked(beelance, backend, "Transfer-Encoding: chunked\r\n");
    client.send("4\r\nhalf\r\n");
    server.expect("4\r\nhalf\r\n");
    assert_status(&mut client, 408);
    client.ends();
    // The final chunk would make it whole.
    server.ends();
}

fn response_not_taken(beelance: &Beelance, backend: &RawBackend) {
    let mut client = Client::connect_narrow(beelance.web());
    client.ask("GET", "/asked", "");
    let mut server = backend.accept();
    server.head_bytes();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    let piece = [b'x'; 16 * 1024];
    // Until the connection is closed under it.
    while server.try_send(piece).is_ok() {}
    client.until_end();
}

fn queued(beelance: &Beelance, backend: &RawBackend) {
    let (_first, _server) = asked(beelance, backend, "");
    assert_status(&mut queued_client(beelance), 503);
    assert!(backend.is_silent());
}

#[track_caller]
fn queued_client(beelance: &Beelance) -> Client {
    let mut client = beelance.connect();
    client.ask("GET", "/queued", "");
    client
}

fn deaf(beelance: &Beelance, _: &RawBackend) {
    assert_status(&mut queued_client(beelance), 503);
}

fn request_not_taken(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, _server) = asked(beelance, backend, "Content-Length: 1000000000\r\n");
    let mut sender = client.both_ends();
    let sending = std::thread::spawn(move || {
        let piece = [b'x'; 16 * 1024];
        while sender.try_send(piece).is_ok() {}
    });
    assert_status(&mut client, 504);
    client.hang_up();
    sending.join().unwrap();
}

fn no_response(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, mut server) = asked(beelance, backend, "");
    assert_status(&mut client, 504);
    server.ends();
}

fn half_a_response_head(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, mut server) = asked(beelance, backend, "");
    server.send("HTTP/1.1 200 OK\r\nContent-Le");
    assert_status(&mut client, 504);
    server.ends();
}

fn only_hints(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, mut server) = asked(beelance, backend, "");
    server.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_eq!(client.any_response(false).unwrap().status, 103);
    assert_status(&mut client, 504);
    server.ends();
}

fn half_a_response(beelance: &Beelance, backend: &RawBackend) {
    breaks_off(beelance, backend, "Content-Length: 10\r\n\r\nhalf", "half");
}

fn half_the_response_chunks(beelance: &Beelance, backend: &RawBackend) {
    breaks_off(beelance, backend, "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "4\r\nhalf\r\n");
}

fn no_close(beelance: &Beelance, backend: &RawBackend) {
    breaks_off(beelance, backend, "\r\nhalf", "4\r\nhalf\r\n");
}

fn no_answer_to_an_upgrade(beelance: &Beelance, backend: &RawBackend) {
    let mut client = beelance.connect();
    client.send(tunnel::ASK);
    let mut server = backend.accept();
    server.head_bytes();
    assert_status(&mut client, 504);
    server.ends();
}

fn silent_tunnel(beelance: &Beelance, backend: &RawBackend) {
    let (mut client, mut server) = tunnel::open(beelance, backend);
    client.ends();
    server.ends();
}
