//! Placement by a key: `source`, `uri`, `hdr:NAME`, `cookie:NAME`, `url_param:NAME`; and the same placement as HAProxy's.
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
use common::haproxy::Haproxy;
use common::process::Beelance;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What tells one request from another: its target and further header lines.
type Ask = (String, String);

const NAMES: [&str; 4] = ["one", "two", "three", "four"];

fn four() -> [Backend; 4] {
    NAMES.map(Backend::named)
}

/// Who answers each, one after the other on one connection.
fn answers(address: SocketAddr, asks: &[Ask]) -> Vec<String> {
    let mut client = Client::connect(address);
    asks.iter().map(|(target, lines)| client.get_with(target, lines).text().to_owned()).collect()
}

fn targets(count: usize, target: impl Fn(usize) -> String) -> Vec<Ask> {
    (0..common::scale(count)).map(|number| (target(number), String::new())).collect()
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> Vec<Ask> {
    (0..common::scale(count)).map(|number| ("/".to_owned(), format!("{}\r\n", line(number)))).collect()
}

fn ask(target: &str, line: &str) -> Ask {
    (target.to_owned(), if line.is_empty() { String::new() } else { format!("{line}\r\n") })
}

/// Sends the same to both and expects the same answers, of more than one server.
#[track_caller]
fn same_as_haproxy(weights: [u16; 4], theirs: &str, ours: &str, asks: &[Ask]) {
    let backends = four();
    let backends = backends.each_ref();
    let words = weights.map(|weight| format!("weight {weight}"));
    let haproxy = Haproxy::before(
        &backends,
        &words.each_ref().map(String::as_str),
        &format!("{theirs}    hash-type consistent\n"),
    );
    let set = |(number, weight): (usize, u16)| format!("backend.s{}.weight = {weight}\n", number + 1);
    let weights: String = weights.into_iter().enumerate().map(set).collect();
    let beelance = Beelance::before(&backends, &format!("pool.default.hash = haproxy\n{weights}{ours}"));
    let (here, there) = (answers(beelance.web(), asks), answers(haproxy.address(), asks));
    for ((ask, here), there) in asks.iter().zip(&here).zip(&there) {
        assert_eq!(here, there, "{theirs}: HAProxy places {ask:?} otherwise");
    }
    assert!(here.iter().collect::<BTreeSet<_>>().len() > 1, "all keys are one server's");
}

#[test]
fn uri_as_haproxy() {
    let mut asks = targets(400, |number| format!("/obj/{number}"));
    asks.extend(
        ["/", "/a?b=c", "/a?", "/a/b/../c;d=e?f", "/%41%2f", "//a//b", "/a/b/c/d/e?f=/g/h"]
            .map(|target| ask(target, "")),
    );
    asks.extend(targets(50, |number| format!("/dir{number}/sub/file{number}?query={number}/{number}")));
    same_as_haproxy([1; 4], "    balance uri\n", "pool.default.balance = uri\n", &asks);
    same_as_haproxy([3, 10, 1, 64], "    balance uri\n", "pool.default.balance = uri\n", &asks);
    let ours = "pool.default.balance = uri\npool.default.balance.uri.whole = yes\n";
    same_as_haproxy([1; 4], "    balance uri whole\n", ours, &asks);
    let ours = "pool.default.balance = uri\npool.default.balance.uri.depth = 2\n";
    same_as_haproxy([1; 4], "    balance uri depth 2\n", ours, &asks);
    let ours = "pool.default.balance = uri\npool.default.balance.uri.depth = 4\npool.default.balance.uri.whole = yes\n";
    same_as_haproxy([10; 4], "    balance uri depth 4 whole\n", ours, &asks);
    // With one request at a time nobody is above the bound.
    let ours = "pool.default.balance = uri\npool.default.hash-balance-factor = 125\n";
    same_as_haproxy([1; 4], "    balance uri\n    hash-balance-factor 125\n", ours, &asks);
}

#[test]
fn a_header_as_haproxy() {
    let mut asks = lines(300, |number| format!("X-User: user-{number}@example.com"));
    asks.extend(lines(20, |number| format!("x-user:  {number} , {}", number + 1)));
    asks.extend(
        ["X-User: \"a, b\", c", "X-User: a;q=1,b", "X-User: x\r\nX-User: y", "X-User: \"a\\\", b\", c"]
            .map(|line| ask("/", line)),
    );
    asks.extend(lines(20, |number| format!("X-User: J\u{fc}rgen {number}")));
    same_as_haproxy([1; 4], "    balance hdr(X-User)\n", "pool.default.balance = hdr:X-User\n", &asks);
}

#[test]
fn a_parameter_as_haproxy() {
    let mut asks = targets(300, |number| format!("/?user=u{number}"));
    asks.extend(targets(30, |number| format!("/x?a={number}&user={number}&user=x")));
    asks.extend(
        ["/?user=a%20b", "/?user=x=y", "/?xuser=1&user=2", "/?user&user=3", "/a?user=b?user=c/d;e"]
            .map(|target| ask(target, "")),
    );
    same_as_haproxy([1; 4], "    balance url_param user\n", "pool.default.balance = url_param:user\n", &asks);
}

fn from_each(address: SocketAddr, sources: &[IpAddr]) -> Vec<String> {
    sources.iter().map(|&source| Client::connect_from(source, address).get("/").text().to_owned()).collect()
}

fn sources(count: u32) -> Vec<IpAddr> {
    (0..count).map(|number| IpAddr::from(Ipv4Addr::from_bits(0x7f00_0001 + number * 7919))).collect()
}

#[test]
fn the_source_as_haproxy() {
    let backends = four();
    let backends = backends.each_ref();
    let haproxy = Haproxy::before(&backends, &[""; 4], "    balance source\n    hash-type consistent\n");
    let beelance = Beelance::before(&backends, "pool.default.balance = source\npool.default.hash = haproxy\n");
    let sources = sources(u32::try_from(common::scale(300)).unwrap());
    assert_eq!(from_each(beelance.web(), &sources), from_each(haproxy.address(), &sources));
}

#[test]
fn places_stay_as_haproxys_when_a_server_is_down_or_a_backup() {
    let mut backends = four();
    backends[1].stop();
    let backends = backends.each_ref();
    let theirs = "    balance uri\n    hash-type consistent\n";
    let haproxy = Haproxy::before(&backends, &["", "disabled", "backup", ""], theirs);
    let ours = "pool.default.balance = uri\npool.default.hash = haproxy\nbackend.s3.backup = yes\npool.default.check = tcp\npool.default.check.inter = 20ms\npool.default.check.timeout = 5s\n";
    let beelance = Beelance::before(&backends, ours);
    beelance.wait_change("s2", "DOWN", 1);
    let asks = targets(300, |number| format!("/obj/{number}"));
    let here = answers(beelance.web(), &asks);
    assert_eq!(here, answers(haproxy.address(), &asks));
    assert_eq!(here.iter().collect::<BTreeSet<_>>().len(), 2);
}

/// A way to ask: what the pool hashes, a request with the n-th key, requests without a key.
type Keyed = (&'static str, fn(usize) -> Ask, Vec<Ask>);

fn keyed() -> Vec<Keyed> {
    let no_value = ["/", "/?user", "/?user=", "/?users=1"].map(|target| ask(target, "")).to_vec();
    let no_header = vec![ask("/", ""), ask("/", "X-User:"), ask("/", "X-User: ,b"), ask("/", "X-Users: b")];
    let no_cookie = vec![ask("/", ""), ask("/", "Cookie: U="), ask("/", "Cookie: UU=1; u=2"), ask("/", "Cookie: a=b")];
    vec![
        ("uri", |number| ask(&format!("/obj/{number}?any=thing"), ""), vec![]),
        ("hdr:X-User", |number| ask("/", &format!("x-user: {number}, more")), no_header),
        ("cookie:U", |number| ask("/", &format!("Cookie: a=b; U={number}")), no_cookie),
        ("url_param:user", |number| ask(&format!("/?a=b&user={number}"), ""), no_value),
    ]
}

#[test]
fn a_key_keeps_its_server_and_what_has_none_goes_round() {
    for (balance, of, without) in keyed() {
        let backends = four();
        let beelance = Beelance::before(&backends.each_ref(), &format!("pool.default.balance = {balance}\n"));
        let asks: Vec<Ask> = (0..40).map(of).collect();
        let first = answers(beelance.web(), &asks);
        assert_eq!(first, answers(beelance.web(), &asks), "{balance}");
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 4, "{balance}: {first:?}");
        let round = answers(beelance.web(), &without);
        assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), without.len(), "{balance}: {round:?}");
    }
}

#[test]
fn a_source_keeps_its_server() {
    let backends = four();
    let beelance = Beelance::before(&backends.each_ref(), "pool.default.balance = source\n");
    let sources = sources(40);
    let first = from_each(beelance.web(), &sources);
    assert_eq!(first, from_each(beelance.web(), &sources));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 4, "{first:?}");
}

#[test]
fn depth_and_whole_say_what_of_the_uri_counts() {
    let backends = four();
    let servers = |more: &str, target: &dyn Fn(usize) -> String| {
        let beelance = Beelance::before(&backends.each_ref(), &format!("pool.default.balance = uri\n{more}"));
        let asks: Vec<Ask> = (0..30).map(|number| ask(&target(number), "")).collect();
        answers(beelance.web(), &asks).iter().collect::<BTreeSet<_>>().len()
    };
    assert_eq!(servers("", &|number| format!("/a?{number}")), 1);
    assert_eq!(servers("pool.default.balance.uri.whole = yes\n", &|number| format!("/a?{number}")), 4);
    assert_eq!(servers("pool.default.balance.uri.depth = 2\n", &|number| format!("/a/b/{number}/c")), 1);
    assert_eq!(servers("pool.default.balance.uri.depth = 3\n", &|number| format!("/a/b/{number}/c")), 4);
}

#[test]
fn a_cookie_of_affinity_comes_before_the_key() {
    let backends = four();
    let more = "pool.default.balance = uri\npool.default.cookie = SRV\n";
    let beelance = Beelance::before(&backends.each_ref(), more);
    let asks: Vec<Ask> = (0..20).map(|number| ask(&format!("/{number}"), "Cookie: SRV=s2")).collect();
    assert!(answers(beelance.web(), &asks).iter().all(|name| name == "two"));
}

#[test]
fn shuffled_files_place_alike() {
    let backends = four();
    let lines = |order: [usize; 4]| -> String {
        let line = |at: usize| format!("backend.{} = {}\n", NAMES[at], backends[at].address());
        order.map(line).concat()
    };
    let head = "listen.web = 127.0.0.1:0\npool.default.balance = uri\n";
    let one = Beelance::start(&format!("{head}{}", lines([0, 1, 2, 3])));
    let other = Beelance::start(&format!("{head}{}", lines([2, 0, 3, 1])));
    let asks: Vec<Ask> = (0..60).map(|number| ask(&format!("/{number}"), "")).collect();
    assert_eq!(answers(one.web(), &asks), answers(other.web(), &asks));
}

#[test]
fn only_the_keys_of_a_server_that_is_gone_move() {
    for hash in ["beelance", "haproxy"] {
        let mut backends = four();
        let more = format!("pool.default.balance = uri\npool.default.hash = {hash}\ntimeout.connect = 1s\n");
        let beelance = Beelance::before(&backends.each_ref(), &more);
        let asks: Vec<Ask> = (0..40).map(|number| ask(&format!("/obj/{number}"), "")).collect();
        let before = answers(beelance.web(), &asks);
        backends[2].stop();
        let after = answers(beelance.web(), &asks);
        for (before, after) in before.iter().zip(&after) {
            assert!(if before == "three" { after != "three" } else { before == after }, "{hash}: {before} to {after}");
        }
        assert!(before.iter().any(|name| name == "three"), "{hash}");
    }
}

/// So many requests for one key at once, each seen by a server before the next; how many each server has then.
fn crowd(beelance: &Beelance, backends: &[Backend], count: usize) -> (Vec<Client>, Vec<usize>) {
    backends.iter().for_each(Backend::hold);
    let clients = (1..=count).map(|number| {
        let mut client = beelance.connect();
        client.ask("GET", "/hot", "");
        let seen = || backends.iter().map(Backend::count).sum::<usize>() >= number;
        common::eventually("the request comes to a server", || seen().then_some(()));
        client
    });
    let clients = clients.collect();
    let mut loads: Vec<usize> = backends.iter().map(Backend::in_flight).collect();
    loads.sort_unstable();
    (clients, loads)
}

#[test]
fn a_crowd_for_one_key_spills_at_the_bound() {
    // With so many in flight and this percentage, a server's load ends at so much: the last is placed when it is still
    // below 8 * factor / 4.
    for (more, loads) in [
        ("", [0, 2, 3, 3]),
        ("pool.default.hash-balance-factor = 101\n", [1, 2, 2, 3]),
        ("pool.default.hash-balance-factor = 400\n", [0, 0, 0, 8]),
        ("pool.default.hash-balance-factor = 0\n", [0, 0, 0, 8]),
        ("pool.default.hash = haproxy\n", [0, 0, 0, 8]),
        ("pool.default.hash = haproxy\npool.default.hash-balance-factor = 140\n", [0, 2, 3, 3]),
    ] {
        let backends = four();
        let beelance = Beelance::before(&backends.each_ref(), &format!("pool.default.balance = uri\n{more}"));
        let (mut clients, got) = crowd(&beelance, &backends, 8);
        assert_eq!(got, loads, "{more}");
        backends.iter().for_each(Backend::open);
        assert!(clients.iter_mut().all(|client| client.response().status == 200));
    }
}

#[test]
fn a_full_server_passes_its_keys_on_and_full_ones_make_them_wait() {
    for hash in ["beelance", "haproxy"] {
        let backends = four();
        let more = format!(
            "pool.default.balance = uri\npool.default.hash = {hash}\npool.default.hash-balance-factor = 0\nbackend.*.maxconn = 2\n"
        );
        let beelance = Beelance::before(&backends.each_ref(), &more);
        let (mut clients, loads) = crowd(&beelance, &backends, 8);
        assert_eq!(loads, [2, 2, 2, 2], "{hash}");
        let mut late = beelance.connect();
        late.ask("GET", "/hot", "");
        // Whoever has a slot first takes it, be it the key's own server or not.
        for client in &mut clients[..2] {
            assert!(client.is_silent());
        }
        backends[3].release(1);
        assert_eq!(late_server(&backends, 9), "four", "{hash}");
        backends.iter().for_each(Backend::open);
        assert_eq!(late.response().text(), "four", "{hash}");
        assert!(clients.iter_mut().all(|client| client.response().status == 200));
    }
}

/// The name of the server that has three requests when there are so many altogether.
fn late_server(backends: &[Backend], count: usize) -> &'static str {
    common::eventually("the last request comes to a server", || {
        (backends.iter().map(Backend::count).sum::<usize>() == count).then_some(())
    });
    NAMES[backends.iter().position(|backend| backend.count() == 3).unwrap()]
}
