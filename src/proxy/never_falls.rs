//! The totals of pools and of the process while servers and listeners come and go, against sums kept beside them.

use super::Proxy;
use super::footprint::proxy;
use super::record::Record;
use crate::config::{self, Backend, Standing};
use crate::fault::{Fault, Phase};
use crate::limits::{BackendId, ListenerId, Machine, PoolId};
use std::rc::Rc;

const SERVERS: usize = 6;
const LISTENERS: [&str; 3] = ["a", "b", "c"];

/// Which servers and listeners a file has, bit by bit; the first listener and the pools stay.
fn file(servers: u64, listeners: u64) -> String {
    let mut text = "limits.connections = 10\npool.one.balance = first\npool.two.balance = first\n".to_owned();
    for (at, name) in LISTENERS.iter().enumerate().filter(|(at, _)| *at == 0 || listeners >> at & 1 > 0) {
        text += &format!("listen.{name} = 127.0.0.1:{}\nlisten.{name}.pool = one\n", 1 + at);
    }
    for at in (0..SERVERS).filter(|at| servers >> at & 1 > 0) {
        let pool = if at % 2 == 0 { "one" } else { "two" };
        text += &format!("backend.s{at} = 127.0.0.1:{}\nbackend.s{at}.pool = {pool}\n", 1 + at);
    }
    text
}

pub(super) fn reload(proxy: &Proxy, text: &str) {
    let again = |standing: &Standing<'_>| config::again("f", text.as_bytes(), &Machine::default(), standing);
    let config = proxy.with_standing(again).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let place = |_, backend: &Backend| format!("{}:{}", backend.host, backend.port).parse().ok();
    proxy.adopt(Rc::new(config), place);
}

fn served(proxy: &Proxy, listener: ListenerId, pool: PoolId, id: Option<BackendId>, bytes: u64) {
    proxy.asked(listener);
    drop(proxy.listener_connections[listener.index()].enter());
    let mut record = Record::new(None, listener, 0);
    (record.pool, record.backend, record.status, record.bytes) = (Some(pool), id, 200, bytes);
    (record.headed_ms, record.placed_ms, record.connected_ms, record.answered_ms) =
        (Some(0), Some(0), Some(0), Some(0));
    record.phase = Phase::Data;
    // One of three finds a connection that served before.
    record.fresh = !bytes.is_multiple_of(3);
    proxy.ended(&record, bytes);
    proxy.failed(&record, Fault::ClientGone);
    if let Some(id) = id {
        proxy.connects(id);
        proxy.led(id, None);
    }
}

/// Of a pool: bytes, responses, what went wrong, who was led, connections.
fn told(proxy: &Proxy, pool: u8) -> [u64; 7] {
    let it = proxy.pool_stats(PoolId(pool)).work;
    let (traffic, failures) = (it.traffic, it.failures);
    [
        traffic.sent,
        traffic.received,
        traffic.statuses[2],
        failures.client_aborts,
        it.loyalty.new,
        it.links[0],
        it.links[1],
    ]
}

/// What comes next, the same in each run (xorshift).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 8
}

#[test]
fn totals_fall_by_an_operators_order_alone() {
    for seed in 1..=20 {
        let mut state = seed * 0x9e37_79b9;
        let proxy = proxy(&file(u64::MAX, u64::MAX));
        let (mut pools, mut requests, mut tried) = ([[0; 7]; 2], 0, 0);
        for step in 0..200 {
            let config = proxy.config();
            let number = next(&mut state);
            match number % 8 {
                0 => reload(proxy, &file(next(&mut state), next(&mut state))),
                1 if number.is_multiple_of(5) => {
                    proxy.clear_statistics(true);
                    (pools, requests) = ([[0; 7]; 2], 0);
                }
                1 => proxy.clear_statistics(false),
                // Somebody who left ends what it had, too.
                _ => {
                    let at = usize::try_from(number / 8 % 1000).unwrap();
                    let id = BackendId::new(at % config.backends.len()).unwrap();
                    let pool = config.backends[id.index()].pool;
                    let listener = ListenerId::new(at % config.listeners.len()).unwrap();
                    served(proxy, listener, pool, Some(id), number % 1000);
                    let sum = &mut pools[usize::from(config.pools[pool.index()].name == "two")];
                    let bytes = number % 1000;
                    let more = [bytes, bytes, 1, 1, 1, 1, u64::from(bytes.is_multiple_of(3))];
                    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
                    (requests, tried) = (requests + 1, tried + 1);
                }
            }
            proxy.refresh_statistics();
            let config = proxy.config();
            for (id, pool) in config.pools() {
                assert_eq!(told(proxy, id.0), pools[usize::from(pool.name == "two")], "{seed}, {step}: {}", pool.name);
            }
            assert_eq!([proxy.requests(), proxy.all_connections()], [requests; 2], "{seed}, {step}");
            assert_eq!(proxy.tried(), tried, "{seed}, {step}");
        }
    }
}

#[test]
fn who_comes_back_begins_anew_and_its_pool_goes_on() {
    let both = "listen.a = 127.0.0.1:0\nlimits.connections = 10\nbackend.s1 = 127.0.0.1:1\nbackend.s2 = 127.0.0.1:2\n";
    let proxy = proxy(both);
    for id in [0, 1] {
        served(proxy, ListenerId(0), PoolId(0), Some(BackendId(id)), 5);
    }
    let sent = |id| proxy.backend_stats(BackendId(id)).work.traffic.sent;
    let mut seen = Vec::new();
    for text in [both.replace("backend.s2 = 127.0.0.1:2\n", ""), both.to_owned()] {
        reload(proxy, &text);
        proxy.refresh_statistics();
        seen.push((told(proxy, 0)[0], sent(0), sent(1)));
    }
    assert_eq!(seen, [(10, 5, 0), (10, 5, 0)]);
}

#[test]
fn a_pool_is_down_for_as_long_as_nobody_takes_users() {
    let ready = "listen.a = 127.0.0.1:0\nlimits.connections = 10\nbackend.s1 = 127.0.0.1:1\nbackend.s1.weight = 1\n";
    let none = ready.replace("weight = 1", "weight = 0");
    let proxy = proxy(&none);
    let is_down = |proxy: &Proxy| proxy.statistics.borrow().pools[0].health.is_down();
    let mut seen = vec![(is_down(proxy), proxy.pool_stats(PoolId(0)).downs)];
    let more = format!("{none}backend.s2 = 127.0.0.1:2\n");
    for text in [ready, &none, &more, &none, &more] {
        reload(proxy, text);
        seen.push((is_down(proxy), proxy.pool_stats(PoolId(0)).downs));
    }
    assert_eq!(seen, [(true, 0), (false, 0), (true, 1), (false, 1), (true, 2), (false, 2)]);
}
