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
    let (here, there) = (answers(beelance.web(), asks), answers(haproxy.address, asks));
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
    assert_eq!(from_each(beelance.web(), &sources), from_each(haproxy.address, &sources));
}

#[test]
fn places_stay_as_haproxys_when_a_server_is_down_or_a_backup() {
    let mut backends = four();
    backends[1].stop();
    let backends = backends.each_ref();
    let theirs = "    balance uri\n    hash-type consistent\n";
    let haproxy = Haproxy::before(&backends, &["", "disabled", "backup", ""], theirs);
    let ours = "pool.default.balance = uri\npool.default.hash = haproxy\nbackend.s3.backup = yes\npool.default.check = tcp\npool.default.check.inter = 20ms\n";
    let beelance = Beelance::before(&backends, ours);
    beelance.wait_change("s2", "DOWN", 1);
    let asks = targets(300, |number| format!("/obj/{number}"));
    let here = answers(beelance.web(), &asks);
    assert_eq!(here, answers(haproxy.address, &asks));
    assert_eq!(here.iter().collect::<BTreeSet<_>>().len(), 2);
}
