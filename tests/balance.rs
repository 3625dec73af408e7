//! How requests without affinity and without a key spread: `roundrobin`, `leastconn`, `random` and `first`, with weights.
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
use common::process::Beelance;

/// The names in the order in which requests, one after the other, were answered by them.
fn turns(beelance: &Beelance, count: usize) -> Vec<String> {
    let mut client = beelance.connect();
    (0..count).map(|_| client.get("/").text().to_owned()).collect()
}

/// So many requests at once; none is answered before the next has come to a backend.
fn at_once(beelance: &Beelance, backends: &[Backend], count: usize) -> Vec<Client> {
    let before: usize = backends.iter().map(Backend::count).sum();
    let one = |number| {
        let mut client = beelance.connect();
        client.ask("GET", "/", "");
        let seen = || backends.iter().map(Backend::count).sum::<usize>() > before + number;
        common::eventually("the request comes to a backend", || seen().then_some(()));
        client
    };
    (0..count).map(one).collect()
}

#[test]
fn roundrobin_is_smooth() {
    // Weights; in any window as long as their sum each server has exactly its share.
    let cases: [&[usize]; 4] = [&[1, 1], &[3, 1], &[5, 1, 1], &[4, 2, 1]];
    for weights in cases {
        let names = ["a", "b", "c"];
        let backends: Vec<Backend> = weights.iter().zip(names).map(|(_, name)| Backend::named(name)).collect();
        let set = |(number, weight): (usize, &usize)| format!("backend.s{}.weight = {weight}\n", number + 1);
        let more: String = weights.iter().enumerate().map(set).collect();
        let beelance = Beelance::before(&backends.iter().collect::<Vec<_>>(), &more);
        let sum = weights.iter().sum();
        let turns = turns(&beelance, 3 * sum);
        for window in turns.windows(sum) {
            for (name, weight) in names.iter().zip(weights) {
                let share = window.iter().filter(|turn| turn == name).count();
                assert_eq!(share, *weight, "{name} in {window:?} of {turns:?}");
            }
        }
        // Smooth: whoever has less than half is never asked twice in a row.
        for pair in turns.windows(2) {
            let weight = weights[names.iter().position(|name| *name == pair[0]).unwrap()];
            assert!(pair[0] != pair[1] || 2 * weight > sum, "{turns:?}");
        }
    }
}

#[test]
fn leastconn_goes_round_a_slow_server() {
    let (slow, quick) = (Backend::named("slow"), Backend::named("quick"));
    let beelance = Beelance::before(&[&slow, &quick], "pool.default.balance = leastconn\n");
    slow.hold();
    let mut client = beelance.connect();
    let mut waiting = Vec::new();
    // Idle servers are taken in turn; once the slow one holds a request, it is the busier one.
    while slow.in_flight() == 0 {
        let mut asking = beelance.connect();
        asking.ask("GET", "/", "");
        common::eventually("it comes to a backend", || (slow.count() + quick.count() > waiting.len()).then_some(()));
        waiting.push(asking);
        assert!(waiting.len() <= 2, "the slow server is idle and gets nothing");
    }
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "quick");
    }
    assert_eq!(slow.count(), 1);
    slow.open();
    assert!(waiting.iter_mut().all(|client| client.response().status == 200));
    // Both are idle again: both get requests.
    let turns = turns(&beelance, 6);
    assert!(turns.iter().any(|name| name == "slow") && turns.iter().any(|name| name == "quick"), "{turns:?}");
}

#[test]
fn leastconn_counts_by_weight() {
    // Weights, requests at once, how many each server has then.
    let cases: [([usize; 2], usize, [usize; 2]); 4] =
        [([1, 1], 6, [3, 3]), ([3, 1], 8, [6, 2]), ([1, 3], 8, [2, 6]), ([2, 1], 6, [4, 2])];
    for (weights, count, wanted) in cases {
        let backends = ["a", "b"].map(Backend::named);
        let more = format!(
            "pool.default.balance = leastconn\nbackend.s1.weight = {}\nbackend.s2.weight = {}\n",
            weights[0], weights[1]
        );
        let beelance = Beelance::before(&backends.each_ref(), &more);
        backends.iter().for_each(Backend::hold);
        let mut clients = at_once(&beelance, &backends, count);
        assert_eq!(backends.each_ref().map(Backend::in_flight), wanted, "{weights:?}");
        backends.iter().for_each(Backend::open);
        assert!(clients.iter_mut().all(|client| client.response().status == 200));
    }
}

#[test]
fn leastconn_fills_free_slots_first() {
    let backends = ["a", "b"].map(Backend::named);
    let more = "pool.default.balance = leastconn\nbackend.s1.maxconn = 1\nbackend.s2.maxconn = 5\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    backends.iter().for_each(Backend::hold);
    let mut clients = at_once(&beelance, &backends, 6);
    assert_eq!(backends.each_ref().map(Backend::in_flight), [1, 5]);
    backends.iter().for_each(Backend::open);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn weight_0_keeps_its_cookies_users() {
    for balance in ["roundrobin", "leastconn", "random", "first", "uri"] {
        let (old, new) = (Backend::named("old"), Backend::named("new"));
        let more = format!("pool.*.balance = {balance}\npool.*.cookie = SRV\nbackend.s1.weight = 0\n");
        let beelance = Beelance::before(&[&old, &new], &more);
        let mut client = beelance.connect();
        for _ in 0..5 {
            let response = client.get_with("/", "Cookie: SRV=s1\r\n");
            assert_eq!(response.text(), "old", "{balance}");
            assert!(response.all("set-cookie").is_empty(), "{balance}: {:?}", response.head);
            assert_eq!(client.get("/").text(), "new", "{balance}");
        }
    }
}

#[test]
fn random_draws_by_weight() {
    let backends = ["a", "b", "c", "d"].map(Backend::named);
    let more = "pool.default.balance = random\nbackend.s2.weight = 3\nbackend.s3.weight = 0\nbackend.s4.weight = 4\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    // One at a time: all are idle and the draws alone decide.
    let count = common::scale(800).max(200);
    turns(&beelance, count);
    let share = |backend: &Backend| backend.count() * 100 / count;
    let [a, b, c, d] = backends.each_ref().map(share);
    assert_eq!(c, 0, "weight 0");
    // 12.5, 37.5 and 50 %, each give or take what hardly ever happens by chance.
    if count >= 800 {
        assert!((6..20).contains(&a) && (28..47).contains(&b) && (41..60).contains(&d), "{a} {b} {d} %");
    }
    assert!(a > 0 && b > 0 && d > 0, "{a} {b} {d} %");
}

#[test]
fn random_takes_the_less_loaded_of_two() {
    let backends = ["a", "b"].map(Backend::named);
    let beelance = Beelance::before(&backends.each_ref(), "pool.default.balance = random\n");
    backends.iter().for_each(Backend::hold);
    let mut clients = at_once(&beelance, &backends, 40);
    // Any draw of both evens them out: were it one draw, a difference of twelve would be usual enough.
    let [a, b] = backends.each_ref().map(Backend::in_flight);
    assert!(a.abs_diff(b) <= 10, "{a} and {b}");
    backends.iter().for_each(Backend::open);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn first_leaves_the_last_servers_alone() {
    let backends = ["a", "b", "c", "d"].map(Backend::named);
    let more = "pool.default.balance = first\nbackend.*.maxconn = 2\nbackend.s2.weight = 9\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    assert!(turns(&beelance, 5).iter().all(|name| name == "a"));
    backends.iter().for_each(Backend::hold);
    let mut clients = at_once(&beelance, &backends, 5);
    assert_eq!(backends.each_ref().map(Backend::in_flight), [2, 2, 1, 0]);
    backends.iter().for_each(Backend::open);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
    assert!(turns(&beelance, 5).iter().all(|name| name == "a"));
}
