//! The admin listener: who may ask what, how many may, and what they change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::{Client, Response};
use common::process::{Beelance, temporary};
use nix::sys::signal::Signal::SIGTERM;
use std::process::Command;

const OPERATOR: &str = "operator-0123456789";
const ADMIN: &str = "admin-0123456789abc";

fn listening() -> String {
    format!("admin.listen = 127.0.0.1:0\nadmin.token.operator = {OPERATOR}\nadmin.token.admin = {ADMIN}\n")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A client of the admin listener.
fn connect(beelance: &Beelance) -> Client {
    Client::connect(beelance.address("admin.listen"))
}

#[track_caller]
fn ask(client: &mut Client, line: &str, fields: &str) -> Response {
    client.send(format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n"));
    if line.starts_with("HEAD") { client.head_response() } else { client.response() }
}

/// Which of three servers answer twelve requests without affinity.
fn served_by(beelance: &Beelance) -> Vec<String> {
    let mut client = beelance.connect();
    let mut names: Vec<String> = (0..12).map(|_| client.get("/").text().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

fn three() -> [Backend; 3] {
    ["one", "two", "three"].map(Backend::named)
}

#[test]
fn health_is_told_to_everybody_and_why_it_is_ill() {
    let backends = three();
    let [one, two, three] = &backends;
    let more = format!(
        "{}backend.o = {}\nbackend.o.pool = other\nroute.o.path = /o\nroute.o.pool = other\ndrain-timeout = 5m\n",
        listening(),
        three.address()
    );
    let mut beelance = Beelance::before(&[one, two], &more);
    let mut client = connect(&beelance);
    let healthy = ask(&mut client, "GET /healthz", "");
    assert_eq!((healthy.status, healthy.text()), (200, "ok\n"));
    let ready = ask(&mut client, "GET /readyz", "");
    assert_eq!((ready.status, ready.text()), (200, "ready\n"));
    // By whatever name, without a body where none is asked for.
    client.send("HEAD /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(client.head_response().status, 200);
    let admin = bearer(ADMIN);
    assert_eq!(ask(&mut client, "POST /api/v1/servers/other/o/state/maint", &admin).status, 200);
    let ready = ask(&mut client, "GET /readyz", "");
    assert_eq!((ready.status, ready.text()), (503, "pool other has no server available\n"));
    // A stopping process says so for as long as it lives.
    one.hold();
    two.hold();
    let mut waiting = beelance.connect();
    waiting.ask("GET", "/", "");
    common::eventually("a request is in flight", || (one.in_flight() + two.in_flight() == 1).then_some(()));
    beelance.signal(SIGTERM);
    beelance.wait_log("the signal", |lines| lines.iter().any(|line| line.contains("finishing")).then_some(()));
    let ready = ask(&mut client, "GET /readyz", "");
    assert_eq!((ready.status, ready.text()), (503, "stopping\npool other has no server available\n"));
    assert_eq!(ask(&mut client, "GET /healthz", "").status, 200);
    one.open();
    two.open();
    assert_eq!(waiting.response().status, 200);
    assert_eq!(beelance.exit_code(), Some(0));
}

#[test]
fn a_drain_drains_and_a_weight_weighs() {
    let backends = three();
    let beelance = Beelance::before(&[&backends[0], &backends[1], &backends[2]], &listening());
    assert_eq!(served_by(&beelance), ["one", "three", "two"]);
    let mut client = connect(&beelance);
    let operator = bearer(OPERATOR);
    let drained = ask(&mut client, "POST /api/v1/servers/default/s1/state/drain", &operator);
    assert_eq!((drained.status, drained.text()), (200, "done\n"));
    assert_eq!(served_by(&beelance), ["three", "two"]);
    // A length of nothing is no body.
    let fields = format!("{operator}Content-Length: 0\r\n");
    assert_eq!(ask(&mut client, "POST /api/v1/servers/default/s2/weight/0", &fields).status, 200);
    assert_eq!(served_by(&beelance), ["three"]);
    assert_eq!(ask(&mut client, "POST /api/v1/servers/default/s1/state/ready", &operator).status, 200);
    assert_eq!(served_by(&beelance), ["one", "three"]);
    beelance.wait_log("who did it", |lines| {
        let told = |line: &String| line.contains("admin listener: drain for default/s1 by 127.0.0.1:");
        lines.iter().any(told).then_some(())
    });
}

#[test]
fn without_the_right_token_nothing_changes() {
    let backends = three();
    let beelance = Beelance::before(&[&backends[0], &backends[1], &backends[2]], &listening());
    let mut client = connect(&beelance);
    let drain = "POST /api/v1/servers/default/s1/state/drain";
    let (operator, admin) = (bearer(OPERATOR), bearer(ADMIN));
    let longer = bearer(&format!("{OPERATOR}0"));
    let twice = format!("{operator}{operator}");
    for (line, fields, status) in [
        (drain, "", 401),
        (drain, "Authorization: Bearer wrong-wrong-wrong-wr\r\n", 401),
        (drain, longer.as_str(), 401),
        (drain, "Authorization: Bearer\r\n", 401),
        (drain, "Authorization: Basic b3BlcmF0b3ItMDEyMzQ1Njc4OQ==\r\n", 401),
        (drain, twice.as_str(), 401),
        ("POST /api/v1/servers/default/s1/maxconn/1", operator.as_str(), 403),
        ("POST /api/v1/servers/default/none/state/drain", admin.as_str(), 404),
        ("POST /api/v1/servers/other/s1/state/drain", admin.as_str(), 404),
        ("POST /api/v1/servers/default/s1/state/off", admin.as_str(), 400),
        ("POST /api/v1/servers/default/s1/weight/257", admin.as_str(), 400),
        ("GET /api/v1/servers/default/s1/state/drain", admin.as_str(), 405),
        ("POST /healthz", admin.as_str(), 405),
        ("OPTIONS /api/v1/servers/default/s1/state/drain", "", 405),
        ("GET /nothing", admin.as_str(), 404),
        ("GET /api/v1/servers/default/s1/../s1/state/drain", admin.as_str(), 405),
    ] {
        let answer = ask(&mut client, line, fields);
        assert_eq!(answer.status, status, "{line} {fields}: {}", answer.text());
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{line}");
        let allowed = if line.contains("/state/") { "POST" } else { "GET, HEAD" };
        assert_eq!(answer.header("allow"), (status == 405).then_some(allowed), "{line}");
    }
    // A password keeps nobody from looking: what is made for HAProxy's page sends one.
    assert_eq!(ask(&mut client, "GET /stats;csv", "Authorization: Basic Og==\r\n").status, 200);
    assert_eq!(ask(&mut client, "GET /stats;csv", "Authorization: Bearer Og==\r\n").status, 401);
    assert_eq!(served_by(&beelance), ["one", "three", "two"]);
    // A wrong token is told of, without the token.
    let told = beelance.wait_log("the wrong token", |lines| {
        lines.iter().find(|line| line.contains("wrong token from 127.0.0.1:")).cloned()
    });
    assert!(!told.contains("wrong-wrong"), "{told}");
    assert_eq!(ask(&mut client, drain, &operator).status, 200);
}

#[test]
fn where_no_token_is_set_none_is_called_wrong() {
    let beelance = Beelance::before(&[&Backend::named("one")], "admin.listen = 127.0.0.1:0\n");
    let mut client = connect(&beelance);
    for fields in [String::new(), bearer(OPERATOR)] {
        let answer = ask(&mut client, "POST /api/v1/servers/default/s1/state/drain", &fields);
        let told = "no token is set: see admin.token.operator and admin.token.admin\n";
        assert_eq!((answer.status, answer.text()), (401, told), "{fields}");
    }
}

#[test]
fn pages_from_elsewhere_are_refused() {
    let backends = three();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let more = format!("{}admin.host = board.example.net\n", listening());
    let beelance = Beelance::before(&[&backends[0], &backends[1], &backends[2]], &more);
    let mut client = connect(&beelance);
    let drain = "POST /api/v1/servers/default/s1/state/drain HTTP/1.1";
    let operator = bearer(OPERATOR);
    let port = beelance.address("admin.listen").port();
    // A name that somebody else gave this address, whatever token comes with it.
    for name in [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "board.example.net.evil",
    ] {
        client.send(format!("{drain}\r\nHost: {name}\r\n{operator}\r\n"));
        assert_eq!(client.response().status, 421, "{name}");
    }
    // Another page's request, which a browser marks so.
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        client.send(format!("{drain}\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\n{operator}\r\n"));
        assert_eq!(client.response().status, 403, "{origin}");
    }
    let twice = format!("Origin: http://127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n");
    client.send(format!("{drain}\r\nHost: 127.0.0.1:{port}\r\n{twice}{operator}\r\n"));
    assert_eq!(client.response().status, 403);
    assert_eq!(served_by(&beelance), ["one", "three", "two"]);
    // Nobody tells a browser that a page from elsewhere may.
    client.send("OPTIONS /api/v1/servers/default/s1/state/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n");
    let answer = client.response();
    assert!(answer.status >= 400 && !answer.head.to_ascii_lowercase().contains("access-control"), "{}", answer.head);
    for (field, value) in [
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(field), Some(value));
    }
    // Names of its own, and its own page.
    let names = [
        format!("{host}:{port}"),
        format!("{host}.local"),
        "LOCALHOST".into(),
        "[::1]:1".into(),
        "board.example.net:99".into(),
    ];
    for name in names {
        client.send(format!("{drain}\r\nHost: {name}\r\nOrigin: http://{name}\r\n{operator}\r\n"));
        assert_eq!(client.response().status, 200, "{name}");
    }
    assert_eq!(served_by(&beelance), ["three", "two"]);
}

#[test]
fn what_is_malformed_is_refused_and_ends() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &listening());
    let long = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(5_000));
    let post = "POST /api/v1/servers/default/s1/state/drain HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    for (bytes, status) in [
        ("GET /healthz HTTP/1.1\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (long, 431),
        (format!("{post}{}Content-Length: 5\r\n\r\nstate", bearer(OPERATOR)), 413),
        (format!("{post}{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", bearer(OPERATOR)), 413),
        (format!("{post}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
    ] {
        let mut client = connect(&beelance);
        client.send(&bytes);
        let answer = client.response();
        assert_eq!(answer.status, status, "{bytes:.60}");
        assert!(answer.says_close(), "{bytes:.60}");
        client.ends();
    }
    // An old client gets all of it, and then the end.
    let mut old = connect(&beelance);
    old.send("GET /readyz HTTP/1.0\r\n\r\n");
    let bytes = String::from_utf8(old.until_end()).unwrap();
    assert!(bytes.starts_with("HTTP/1.1 200 OK\r\n") && bytes.ends_with("\r\n\r\nready\n"), "{bytes}");
    // Several at once are answered in order; bytes may trickle in.
    let mut client = connect(&beelance);
    client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (client.response().text().to_owned(), client.response().text().to_owned()),
        ("ok\n".into(), "ready\n".into())
    );
    client.dribble("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok\n");
}

#[test]
fn silent_clients_keep_nobody_out() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &listening());
    let mut silent: Vec<Client> = (0..20).map(|_| connect(&beelance)).collect();
    silent.iter_mut().for_each(|client| client.send("GET /healthz HT"));
    let mut client = connect(&beelance);
    assert_eq!(ask(&mut client, "GET /healthz", "").status, 200);
    // The longest silent made room, the last ones are still there.
    silent[0].ends();
    silent[19].send("TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(silent[19].response().status, 200);
}

/// Lines of many servers: what is told of them is more than sockets hold.
fn many() -> String {
    (0..100).map(|number| format!("backend.b{number} = 127.0.0.1:9\n")).collect()
}

/// As many clients as there are places, each in the middle of a long answer; `more` is what they ask for behind it.
fn busy(beelance: &Beelance, more: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect_narrow(beelance.address("admin.listen"))).collect();
    for client in &mut clients {
        client.send(format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n{more}"));
        client.some();
    }
    clients
}

#[track_caller]
fn assert_long(response: &Response) {
    assert_eq!(response.status, 200);
    assert!(response.body.len() > 100_000, "{} bytes are not enough to be slow at", response.body.len());
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn clients_that_were_busy_when_another_came_make_room_between_requests() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &(listening() + &many()));
    let mut busy = busy(&beelance, "");
    let mut late = connect(&beelance);
    late.send(HEALTH);
    // One of them may have left already, if this test was slow to read.
    let answers = busy.iter_mut().filter_map(|client| client.try_response(false).ok());
    assert!(answers.inspect(assert_long).count() >= 7);
    // They ask again and again, as a dashboard does: none is silent for long.
    common::eventually("the late one's answer", || {
        for client in &mut busy {
            let _ = client.try_send(HEALTH).map(|()| client.try_response(false));
        }
        (!late.is_silent()).then_some(())
    });
    assert_eq!(late.response().status, 200);
    // One of them left.
    let answered = |client: &mut Client| client.try_send(HEALTH).is_ok() && client.try_response(false).is_ok();
    assert_eq!(busy.iter_mut().filter_map(|client| answered(client).then_some(())).count(), 7);
}

#[test]
fn clients_whose_next_request_is_there_make_room_too() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &(listening() + &many()));
    let busy = busy(&beelance, HEALTH);
    let mut late = connect(&beelance);
    late.send(HEALTH);
    // All read at once, so that none of them makes room as one that takes nothing.
    let both = |mut client: Client| {
        let long = client.try_response(false).inspect(assert_long);
        long.is_ok() && client.try_response(false).is_ok_and(|answer| answer.text() == "ok\n")
    };
    let readers: Vec<_> = busy.into_iter().map(|client| std::thread::spawn(move || both(client))).collect();
    assert_eq!(late.response().status, 200);
    assert_eq!(readers.into_iter().filter_map(|it| it.join().unwrap().then_some(())).count(), 7);
}

#[test]
fn clients_that_take_nothing_of_an_answer_make_room_too() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &(listening() + &many()));
    let busy = busy(&beelance, "");
    // Nobody reads, and yet who comes is answered; all others keep their places.
    let mut late = connect(&beelance);
    assert_eq!(ask(&mut late, "GET /healthz", "").status, 200);
    let whole = busy.into_iter().filter_map(|mut client| client.try_response(false).ok());
    assert_eq!(whole.inspect(assert_long).count(), 7);
}

#[test]
fn who_comes_is_heard_and_who_was_answered_keeps_nobody_out() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &listening());
    // Each that is refused and stays would have its place for a second, each that is told to leave before it is heard no answer.
    let come = |number: u16| {
        let mut client = connect(&beelance);
        let (asks, status) = if number.is_multiple_of(4) { (HEALTH, 200) } else { ("nonsense\r\n\r\n", 400) };
        client.send(asks);
        (client, status)
    };
    let mut clients: Vec<(Client, u16)> = (0..300).map(come).collect();
    let answers = clients.iter_mut().map(|(client, status)| (client.response().status, *status));
    assert!(answers.inspect(|(status, expected)| assert_eq!(status, expected)).count() == 300);
}

#[test]
fn empty_lines_without_end_are_refused() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &listening());
    let mut client = connect(&beelance);
    let few = "\r\n".repeat(1_000);
    client.send(format!("{few}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(client.response().status, 200);
    client.send("\r\n".repeat(2_048));
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (400, "too many empty lines before the request\n"));
    client.ends();
}

#[test]
fn it_answers_where_all_connections_are_taken() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{}limits.connections = 2\n", listening()));
    backend.hold();
    let mut busy: Vec<Client> = (0..2).map(|_| beelance.connect()).collect();
    busy.iter_mut().for_each(|client| client.ask("GET", "/", ""));
    backend.wait_in_flight(2);
    assert_eq!(ask(&mut connect(&beelance), "GET /readyz", "").status, 200);
    backend.open();
    busy.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn over_a_unix_socket_with_curl() {
    let backend = Backend::named("one");
    let path = temporary("admin.sock");
    let more =
        format!("admin.listen = unix:{}\nadmin.listen.perm = 660\nadmin.token.admin = {ADMIN}\n", path.display());
    let beelance = Beelance::before(&[&backend], &more);
    assert_eq!(beelance.place("admin.listen"), format!("unix:{}", path.display()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    let curl = |words: &[&str]| {
        let mut command: Command = common::tool("curl");
        command.args(["-sS", "--unix-socket"]).arg(&path).args(words);
        common::output(&mut command, std::time::Duration::ZERO).stdout
    };
    assert_eq!(curl(&["http://whatever/readyz"]), "ready\n");
    let token = format!("Authorization: Bearer {ADMIN}");
    assert_eq!(curl(&["-X", "POST", "-H", &token, "http://b/api/v1/servers/default/s1/state/maint"]), "done\n");
    assert_eq!(curl(&["http://whatever/readyz"]), "pool default has no server available\n");
}
