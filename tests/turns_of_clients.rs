//! Whose request is served next when all wait: class, then clients in turn, then arrival; and a limit for a whole pool.
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
use common::process::{Beelance, listener_and};
use common::scale;

/// A client whose address is what the PROXY header says.
fn from(beelance: &Beelance, address: &str) -> Client {
    let mut client = beelance.connect();
    let family = if address.contains(':') { "TCP6 " } else { "TCP4 " };
    let here = if address.contains(':') { "::1" } else { "127.0.0.1" };
    client.send(format!("PROXY {family}{address} {here} 1000 80\r\n"));
    client
}

fn start(backend: &Backend, more: &str) -> Beelance {
    let config = "listen.*.accept-proxy = yes\ntimeout.queue = 5m\ntimeout.client = 5m\ntimeout.server = 5m\n";
    Beelance::start(&(listener_and(&[backend]) + config + more))
}

/// Sends a request that will wait, and waits until it does.
fn ask(beelance: &Beelance, client: &mut Client, target: &str, ahead: usize) {
    client.ask("GET", target, "");
    // Requests are placed in the order in which their connections become readable: one at a time keeps it certain.
    let mut probe = from(beelance, "192.0.2.99");
    probe.send("GET /not-http\r\n\r\n");
    assert_eq!(probe.response().status, 400, "{ahead} wait");
}

#[test]
fn one_client_with_many_requests_delays_another_by_one_service() {
    let backend = Backend::named("one");
    backend.hold();
    let beelance = start(&backend, "backend.s1.maxconn = 1\n");
    let crowd = scale(500).max(30);
    let mut greedy: Vec<Client> = (0..crowd).map(|_| from(&beelance, "10.0.0.1")).collect();
    for (number, client) in greedy.iter_mut().enumerate() {
        client.ask("GET", &format!("/greedy/{number}"), "");
    }
    backend.wait_requests(1);
    // An IPv6 customer has a whole network.
    let others = [("10.0.0.2", "/second"), ("2001:db8:1:2::3", "/third"), ("2001:db8:1:2:ffff::4", "/fourth")];
    let mut single = others.map(|(address, target)| {
        let mut client = from(&beelance, address);
        ask(&beelance, &mut client, target, crowd);
        client
    });
    backend.open();
    for client in single.iter_mut().chain(&mut greedy) {
        assert_eq!(client.response().status, 200);
    }
    let targets = backend.targets();
    let place = |target: &str| targets.iter().position(|served| served == target).unwrap();
    assert!(targets[0].starts_with("/greedy"));
    // One in service, then the three clients in turn with the crowd's.
    assert!(place("/second") <= 2 && place("/third") <= 3, "{:?}", &targets[..8]);
    assert!(place("/fourth") > place("/third") + 1, "the same customer again: {:?}", &targets[..8]);
    assert!(place("/fourth") <= 7, "{:?}", &targets[..8]);
    let line = beelance.access_to("/second");
    assert_eq!(line.state, "----");
}

#[test]
fn a_lower_priority_class_is_served_first() {
    let backend = Backend::named("one");
    backend.hold();
    let more = "backend.s1.maxconn = 1\nroute.pay.path = /pay/*\nroute.pay.pool = default\nroute.pay.priority = -5\n\
                route.feed.path = /feed/*\nroute.feed.pool = default\nroute.feed.priority = 10\n";
    let beelance = start(&backend, more);
    let mut clients: Vec<Client> = Vec::new();
    for (number, target) in ["/first", "/feed/1", "/1", "/pay/1", "/feed/2", "/2", "/pay/2"].iter().enumerate() {
        let mut client = from(&beelance, "10.0.0.1");
        ask(&beelance, &mut client, target, number);
        clients.push(client);
    }
    backend.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(backend.targets(), ["/first", "/pay/1", "/pay/2", "/1", "/2", "/feed/1", "/feed/2"]);
}

#[test]
fn a_pool_works_on_no_more_than_its_maxconn() {
    let backends = [Backend::named("one"), Backend::named("two"), Backend::named("three")];
    backends.iter().for_each(Backend::hold);
    let refs: Vec<&Backend> = backends.iter().collect();
    let config = listener_and(&refs) + "pool.default.maxconn = 4\npool.default.maxqueue = 20\ntimeout.queue = 5m\n";
    let beelance = Beelance::start(&config);
    let mut clients: Vec<Client> = (0..24).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        client.ask("GET", "/", "");
    }
    let in_flight = || backends.iter().map(Backend::in_flight).sum::<usize>();
    common::eventually("four in flight", || (in_flight() == 4).then_some(()));
    // The queue is full as well.
    assert_eq!(beelance.connect().get("/too-many").status, 503);
    assert_eq!(beelance.access_to("/too-many").state, "SQ--");
    assert_eq!(in_flight(), 4);
    // Each that ends lets exactly one in. All that are there are held: the count stands still.
    for come in 5..=24 {
        let busiest = backends.iter().max_by_key(|backend| backend.in_flight()).unwrap();
        busiest.release(1);
        let count = || backends.iter().map(Backend::count).sum::<usize>();
        common::eventually("the next one is let in", || (count() == come).then_some(()));
        assert_eq!(in_flight(), 4);
    }
    backends.iter().for_each(Backend::open);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert!(backends.iter().all(|backend| backend.count() >= 6), "all three share the room");
}
