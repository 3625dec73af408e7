//! SIGHUP: the file is read again, and what runs follows it. What the file does not change stays, and so does what is under way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok, send};
use common::client::{Client, User};
use common::eventually;
use common::process::{Beelance, NOTHING, listener_and, temporary};
use nix::sys::signal::Signal;

/// The names of who answers so many requests, sorted, each once.
fn who(beelance: &Beelance, requests: usize) -> Vec<String> {
    let mut client = beelance.connect();
    let mut names: Vec<String> = (0..requests).map(|_| client.get("/").text().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Returns when all that was sent before is read: the loop is one thread, and answers this by itself.
fn seen(beelance: &Beelance) {
    for _ in 0..2 {
        let mut client = beelance.connect();
        client.ask("OPTIONS", "/", "Max-Forwards: 0\r\n");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_file_that_did_not_change_changes_nothing() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let text = listener_and(&[&backend]);
    let mut client = beelance.connect();
    assert_eq!(client.get("/").text(), "one");
    assert_eq!(beelance.reload(&text), Ok("nothing differs".into()));
    assert_eq!(client.get("/").text(), "one", "on the connection of before");
    assert_eq!(backend.connections(), 1, "and on the backend's");
}

#[test]
fn backends_come_and_go() {
    let backends = [Backend::named("one"), Backend::named("two"), Backend::named("three")];
    let [one, two, three] = &backends;
    let beelance = Beelance::before(&[one, two], "");
    assert_eq!(who(&beelance, 4), ["one", "two"]);
    let all = listener_and(&[one, two, three]);
    assert_eq!(beelance.reload(&all), Ok("added backend.s3".into()));
    assert_eq!(who(&beelance, 6), ["one", "three", "two"]);
    assert_eq!(beelance.reload(&listener_and(&[one])), Ok("removed backend.s2, backend.s3".into()));
    assert_eq!(who(&beelance, 4), ["one"]);
    two.wait_open(0);
    three.wait_open(0);
    // One takes the other's name, which is another server.
    assert_eq!(beelance.reload(&listener_and(&[one, three])), Ok("added backend.s2".into()));
    assert_eq!(who(&beelance, 4), ["one", "three"]);
}

#[test]
fn a_backend_that_is_removed_finishes_what_it_works_on() {
    let [stays, leaves] = [Backend::named("stays"), Backend::named("leaves")];
    let beelance = Beelance::before(&[&leaves], "");
    leaves.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    leaves.wait_held(1);
    let text = listener_and(&[]) + &format!("backend.new = {}\n", stays.address());
    assert_eq!(beelance.reload(&text), Ok("added backend.new; removed backend.s1".into()));
    assert_eq!(beelance.connect().get("/").text(), "stays");
    leaves.release(1);
    assert_eq!(client.response().text(), "leaves");
    leaves.wait_open(0);
    assert_eq!(client.get("/").text(), "stays", "the connection is as good as before");
    let line = beelance.access(2).remove(1);
    assert_eq!(line.backend, "s1", "it is called what it was: {line:?}");
}

#[test]
fn who_waits_for_a_backend_that_is_removed_goes_to_another() {
    let [full, other] = [Backend::named("full"), Backend::named("other")];
    let more = "backend.*.maxconn = 1\npool.default.cookie = SRV\n";
    let beelance = Beelance::before(&[&full], more);
    full.hold();
    let mut first = beelance.connect();
    first.ask("GET", "/", "");
    full.wait_held(1);
    // One is bound to it, one is not.
    let mut bound = beelance.connect();
    bound.ask("GET", "/bound", "Cookie: SRV=s1\r\n");
    let mut free = beelance.connect();
    free.ask("GET", "/free", "");
    seen(&beelance);
    let text = listener_and(&[]) + &format!("backend.new = {}\n{more}", other.address());
    assert_eq!(beelance.reload(&text), Ok("added backend.new; removed backend.s1".into()));
    assert_eq!(bound.response().text(), "other");
    assert_eq!(free.response().text(), "other");
    full.open();
    assert_eq!(first.response().text(), "full");
}

#[test]
fn a_queue_goes_on_and_a_higher_limit_is_felt_at_once() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "backend.*.maxconn = 1\n");
    backend.hold();
    let mut clients: Vec<Client> = (0..3).map(|_| beelance.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("GET", "/", ""));
    backend.wait_held(1);
    seen(&beelance);
    let text = listener_and(&[&backend]);
    assert_eq!(
        beelance.reload(&(text.clone() + "backend.*.maxconn = 1\ntimeout.queue = 1m\n")),
        Ok("changed timeout".into())
    );
    assert_eq!(backend.in_flight(), 1, "they wait as before");
    assert_eq!(beelance.reload(&(text + "backend.*.maxconn = 3\n")), Ok("changed backend.s1, timeout".into()));
    backend.wait_held(3);
    backend.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn a_pool_that_is_removed_serves_who_is_in_it() {
    let [old, new] = [Backend::named("old"), Backend::named("new")];
    let of = |pool: &str, backend: &Backend| {
        listener_and(&[])
            + &format!(
                "listen.web.pool = {pool}\nbackend.{pool}1 = {}\nbackend.{pool}1.pool = {pool}\n",
                backend.address()
            )
            + "backend.*.maxconn = 1\n"
    };
    let beelance = Beelance::start(&of("a", &old));
    old.hold();
    let mut clients = [beelance.connect(), beelance.connect()];
    clients[0].ask("GET", "/1", "");
    old.wait_held(1);
    clients[1].ask("GET", "/2", "");
    seen(&beelance);
    let what = beelance.reload(&of("b", &new)).unwrap();
    assert_eq!(what, "added backend.b1, pool.b; removed backend.a1, pool.a; changed listen.web");
    assert_eq!(beelance.connect().get("/").text(), "new");
    old.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "old"));
    assert_eq!(clients[1].get("/").text(), "new");
}

#[test]
fn an_address_that_changes_moves_requests_and_no_one_under_way() {
    let [old, new] = [Backend::named("old"), Backend::named("new")];
    let beelance = Beelance::before(&[&old], "");
    old.hold();
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    old.wait_held(1);
    assert_eq!(beelance.reload(&listener_and(&[&new])), Ok("changed backend.s1".into()));
    assert_eq!(beelance.connect().get("/").text(), "new");
    old.open();
    assert_eq!(client.response().text(), "old");
    old.wait_open(0);
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn listeners_are_opened_and_closed() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "listen.two = 127.0.0.1:0\n");
    let mut idle = Client::connect(beelance.address("two"));
    assert_eq!(idle.get("/").status, 200);
    let mut busy = Client::connect(beelance.address("two"));
    backend.hold();
    busy.ask("GET", "/", "");
    backend.wait_held(1);
    let mut of_web = beelance.connect();
    let text = listener_and(&[&backend]) + "listen.three = 127.0.0.1:0\n";
    assert_eq!(beelance.reload(&text), Ok("added listen.three; removed listen.two".into()));
    let three = beelance.opened("three");
    // As at a stop.
    idle.ends();
    backend.open();
    let last = busy.response();
    assert!(last.status == 200, "{last:?}");
    busy.ends();
    eventually("the socket is closed", || Client::try_connect(beelance.address("two")).is_err().then_some(()));
    assert_eq!(Client::connect(three).get("/").status, 200);
    assert_eq!(of_web.get("/").status, 200, "those of others stay");
    // And again, under its name.
    let text = listener_and(&[&backend]) + "listen.two = 127.0.0.1:0\n";
    assert_eq!(beelance.reload(&text), Ok("added listen.two; removed listen.three".into()));
    let mut client = Client::connect(beelance.opened("two"));
    assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
}

#[test]
fn a_socket_outlives_the_name_of_its_listener() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let address = beelance.web();
    let text = format!("listen.web = {address}\nlog.access = stderr\nbackend.s1 = {}\n", backend.address());
    beelance.reload(&text).unwrap();
    let renamed = text.replace("listen.web", "listen.www");
    // What connects meanwhile waits in its backlog.
    let mut early = beelance.frozen(|| {
        let mut client = Client::connect(address);
        client.ask("GET", "/early", "");
        std::fs::write(beelance.config(), &renamed).unwrap();
        beelance.signal(Signal::SIGHUP);
        client
    });
    assert_eq!(early.response().status, 200);
    beelance.wait_log("the new name", |lines| lines.iter().any(|l| l.contains("added listen.www")).then_some(()));
    assert_eq!(Client::connect(address).get("/").status, 200);
    assert_eq!(beelance.access(2).last().unwrap().listener, "www");
}

#[test]
fn a_listener_of_a_unix_socket() {
    let backend = Backend::named("one");
    let path = temporary("reload.sock");
    let with = |perm: &str| {
        format!("{}listen.u = unix:{}\nlisten.u.perm = {perm}\n", listener_and(&[&backend]), path.display())
    };
    let mode = || std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777;
    let beelance = Beelance::before(&[&backend], "");
    beelance.reload(&with("600")).unwrap();
    assert_eq!(Client::connect_unix(&path).get("/").status, 200);
    assert_eq!(mode(), 0o600);
    let mut client = Client::connect_unix(&path);
    assert_eq!(beelance.reload(&with("660")), Ok("changed listen.u".into()));
    assert_eq!((mode(), client.get("/").status), (0o660, 200));
    beelance.reload(&listener_and(&[&backend])).unwrap();
    eventually("its file is removed", || (!path.exists()).then_some(()));
}

#[test]
fn users_stay_on_their_servers() {
    let [one, two, three] = [Backend::named("one"), Backend::named("two"), Backend::named("three")];
    let more = "pool.default.cookie = SRV\n";
    let beelance = Beelance::before(&[&one, &two], more);
    let mut users: Vec<User> = (0..6).map(|_| User::new(beelance.web(), "SRV")).collect();
    let homes: Vec<String> = users.iter_mut().map(|user| user.get("/").text().to_owned()).collect();
    beelance.reload(&(listener_and(&[&one, &two, &three]) + more)).unwrap();
    for (user, home) in users.iter_mut().zip(&homes) {
        assert_eq!(user.get("/").text(), home);
    }
}

#[test]
fn the_session_map_stays_also_over_a_server_that_was_gone() {
    let backends = [Backend::named("one"), Backend::named("two"), Backend::named("three")];
    let [one, two, three] = &backends;
    let more = "pool.default.stick = hdr:X-User\n";
    let beelance = Beelance::before(&[one, two], more);
    let ask = |user: usize| beelance.connect().get_with("/", &format!("X-User: u{user}\r\n")).text().to_owned();
    let homes: Vec<String> = (0..8).map(ask).collect();
    beelance.reload(&(listener_and(&[one, two, three]) + more)).unwrap();
    assert_eq!((0..8).map(ask).collect::<Vec<_>>(), homes);
    // While it is gone nobody of its users comes.
    beelance.reload(&(listener_and(&[one]) + more)).unwrap();
    beelance.reload(&(listener_and(&[one, two]) + more)).unwrap();
    assert_eq!((0..8).map(ask).collect::<Vec<_>>(), homes);
}

#[test]
fn health_is_kept_and_probes_go_on() {
    let [ill, well] = [Backend::named("ill"), Backend::named("well")];
    let check = "pool.*.check.uri = /healthz\npool.*.check.inter = 50ms\npool.*.check.timeout = 20s\npool.*.check.fall = 1\npool.*.check.rise = 2\n";
    let beelance = Beelance::before(&[&ill, &well], check);
    ill.set_health(500);
    beelance.wait_change("s1", "down", 1);
    let text = listener_and(&[&ill, &well]);
    // The same probes, and others: what is down stays down until it was probed well.
    assert_eq!(beelance.reload(&(text.clone() + check + "timeout.client = 20s\n")), Ok("changed timeout".into()));
    assert_eq!(who(&beelance, 4), ["well"]);
    let other = check.replace("50ms", "40ms");
    assert_eq!(beelance.reload(&(text.clone() + &other)), Ok("changed pool.default, timeout".into()));
    assert_eq!(who(&beelance, 4), ["well"]);
    ill.wait_more_probes(3);
    assert_eq!((beelance.changes("s1", "down"), beelance.changes("s1", "up")), (1, 0));
    ill.set_health(200);
    beelance.wait_change("s1", "up", 1);
    // Without probes everything is up, and nobody asks any more.
    ill.set_health(500);
    beelance.wait_change("s1", "down", 2);
    assert_eq!(beelance.reload(&text), Ok("changed pool.default".into()));
    assert_eq!(who(&beelance, 4), ["ill", "well"]);
    // And with them again.
    beelance.reload(&(text + check)).unwrap();
    beelance.wait_change("s1", "down", 3);
}

#[test]
fn a_long_download_and_its_connection_go_on() {
    const PIECES: usize = 64;
    let piece = common::pattern(64 * 1024);
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECES * piece.len());
    let backend = Backend::scripted([send(reply), vec![Step::Repeat(piece, PIECES)]].concat());
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.ask("GET", "/", "");
    client.some();
    // Its server leaves, its pool has other rules, then the server is back.
    let other =
        listener_and(&[]) + &format!("backend.other = {}\npool.default.balance = leastconn\n", backend.address());
    for text in [other, listener_and(&[&backend])] {
        beelance.reload(&text).unwrap();
    }
    assert_eq!(client.response().body.len(), PIECES * 64 * 1024);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_tunnel_goes_on() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let backend = Backend::scripted([send(upgrade), vec![Step::Hang]].concat());
    let mut beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    client.ask("GET", "/", "Connection: upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(client.any_response(false).unwrap().status, 101);
    let other = Backend::named("other");
    beelance.reload(&(listener_and(&[]) + &format!("backend.new = {}\n", other.address()))).unwrap();
    assert_eq!(beelance.connect().get("/").text(), "other");
    client.send("still there");
    assert!(client.is_silent());
    assert_eq!(backend.open_connections(), 1);
    client.hang_up();
    backend.wait_open(0);
    assert_eq!(beelance.access_to("/").backend, "new");
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.ended().in_use, NOTHING);
    assert_eq!(beelance.exit_code(), Some(0));
}

#[test]
fn routes_rules_and_replies() {
    let [one, two] = [Backend::named("one"), Backend::named("two")];
    let text =
        |rules: &str| listener_and(&[&one]) + &format!("backend.b = {}\nbackend.b.pool = b\n", two.address()) + rules;
    let beelance = Beelance::start(&text("route.a.path = /a\nroute.a.pool = b\n"));
    let mut client = beelance.connect();
    assert_eq!(client.get("/a").text(), "two");
    let rules = "route.z.path = /a\nroute.z.deny = 403\nroute.a.path = /a\nroute.a.pool = b\n";
    assert_eq!(beelance.reload(&text(rules)), Ok("added route.z".into()));
    assert_eq!(client.get("/a").status, 403, "the first in the file matches");
    // The same two the other way round.
    let rules = "route.a.path = /a\nroute.a.pool = b\nroute.z.path = /a\nroute.z.deny = 403\n";
    assert_eq!(beelance.reload(&text(rules)), Ok("changed the order of routes".into()));
    assert_eq!(client.get("/a").text(), "two");
    let rules = "route.a.path = /a\nroute.a.pool = b\nroute.a.maintenance = yes\n";
    assert_eq!(beelance.reload(&text(rules)), Ok("removed route.z; changed route.a".into()));
    assert_eq!(client.get("/a").status, 503);
    assert_eq!(client.get("/").text(), "one");
    let body = temporary("busy.html");
    std::fs::write(&body, "back soon").unwrap();
    let rules = rules.to_owned() + &format!("reply.503.file = {}\n", body.display());
    assert_eq!(beelance.reload(&text(&rules)), Ok("changed reply".into()));
    assert_eq!(client.get("/a").text(), "back soon");
    std::fs::remove_file(&body).unwrap();
}

#[test]
fn timeouts_and_logs() {
    let backend = Backend::start(|request| if request.target() == "/never" { vec![Step::Hang] } else { ok(b"") });
    let beelance = Beelance::before(&[&backend], "");
    let mut waits = beelance.connect();
    waits.ask("GET", "/never", "");
    backend.wait_requests(1);
    let text = listener_and(&[&backend]);
    assert_eq!(beelance.reload(&(text.clone() + "timeout.server = 100ms\n")), Ok("changed timeout".into()));
    assert_eq!(beelance.connect().get("/never").status, 504);
    // The access log goes off and on.
    let quiet = text.replace("stderr", "off") + "log.level = debug\n";
    assert_eq!(beelance.reload(&quiet), Ok("changed timeout, log".into()));
    assert_eq!(beelance.connect().get("/quiet").status, 200);
    assert_eq!(beelance.reload(&text), Ok("changed log".into()));
    assert_eq!(beelance.connect().get("/loud").status, 200);
    beelance.access_to("/loud");
    let log = beelance.log();
    assert!(!log.iter().any(|line| line.contains("/quiet")));
    drop(waits);
}

#[test]
fn limits_of_clients_change_where_they_are_counted() {
    let backend = Backend::named("one");
    let text = |rate: &str| listener_and(&[&backend]) + &format!("limits.rate = {rate}\n");
    let beelance = Beelance::start(&text("1000/s"));
    let mut client = beelance.connect();
    assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
    assert_eq!(beelance.reload(&text("1/m")), Ok("changed limits".into()));
    let statuses: Vec<u16> = (0..3).map(|_| client.get("/").status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}

#[test]
fn a_backend_that_is_told_who_its_client_is_and_one_that_is_not() {
    let backend = Backend::named("one");
    let server = Beelance::before(&[&backend], "listen.told = 127.0.0.1:0\nlisten.told.accept-proxy = yes\n");
    let text =
        |listener: &str, more: &str| listener_and(&[]) + &format!("backend.s1 = {}\n{more}", server.place(listener));
    let beelance = Beelance::start(&text("web", ""));
    let mut client = beelance.connect();
    assert_eq!(client.get("/1").status, 200);
    let told = "backend.s1.send-proxy = v2\n";
    for (listener, more) in [("told", told), ("web", ""), ("told", told)] {
        beelance.reload(&text(listener, more)).unwrap();
        assert_eq!([client.get("/2").status, client.get("/3").status], [200, 200], "{listener}");
    }
    let last = server.access(7).pop().unwrap();
    assert_eq!((last.listener.as_str(), last.client), ("told", client.local().to_string()));
}
