//! A seeded simulation of requests, releases, departures and failures over one balancer, its invariants checked after
//! every step; and the plain cases beside it.

use super::*;
use crate::limits::{BackendId, PoolId};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const POOL: PoolId = PoolId(0);

fn spec(weight: u16, maxconn: u32) -> BackendSpec {
    BackendSpec { pool: POOL, weight, maxconn, maxqueue: 0, backup: false, cookie: "".into(), seed: 0, up: true }
}

fn balancer(algorithm: Algorithm, backends: Vec<BackendSpec>) -> Balancer {
    let backends = backends.into_iter().enumerate();
    let named = backends.map(|(index, spec)| {
        let name = format!("b{index}");
        BackendSpec { seed: Hash::Beelance.of(&[name.as_bytes()]), cookie: name.into(), ..spec }
    });
    Balancer::new(&[algorithm], named.collect(), 64, 1)
}

fn go(balancer: &mut Balancer) -> u8 {
    match balancer.place(0, POOL, None, None, None, true) {
        Placement::Go(id) => id.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn round_robin_is_smooth_and_weighted() {
    let mut even = balancer(Algorithm::RoundRobin, vec![spec(1, 0); 3]);
    assert_eq!([(); 6].map(|()| go(&mut even)), [0, 1, 2, 0, 1, 2]);
    let mut weighted = balancer(Algorithm::RoundRobin, vec![spec(5, 0), spec(1, 0), spec(1, 0)]);
    assert_eq!([(); 7].map(|()| go(&mut weighted)), [0, 0, 1, 0, 2, 0, 0]);
    let mut without = balancer(Algorithm::RoundRobin, vec![spec(1, 0), spec(0, 0)]);
    assert_eq!([(); 3].map(|()| go(&mut without)), [0, 0, 0]);
}

#[test]
fn least_conn_takes_the_idle_then_the_least_for_the_weight() {
    let mut balancer = balancer(Algorithm::LeastConn, vec![spec(4, 0), spec(1, 0)]);
    let first_two = [go(&mut balancer), go(&mut balancer)];
    assert!(first_two == [0, 1] || first_two == [1, 0], "an idle backend before any busy one");
    // (1+1)/4, (2+1)/4 and (3+1)/4 are all below (1+1)/1.
    assert_eq!([(); 3].map(|()| go(&mut balancer)), [0, 0, 0]);
    balancer.release(BackendId(1), |_| ());
    assert_eq!(go(&mut balancer), 1);
}

#[test]
fn a_backup_serves_only_when_nobody_else_does() {
    let backup = BackendSpec { backup: true, ..spec(1, 0) };
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0), backup.clone(), backup]);
    assert_eq!(go(&mut balancer), 0);
    balancer.set_up(BackendId(0), false, |_| ());
    assert_eq!([(); 2].map(|()| go(&mut balancer)), [1, 1], "the first backup alone");
    balancer.set_up(BackendId(1), false, |_| ());
    assert_eq!(go(&mut balancer), 2);
    balancer.set_up(BackendId(2), false, |_| ());
    assert_eq!(balancer.place(0, POOL, None, None, None, true), Placement::Refused(Refused::NoBackend));
    balancer.set_up(BackendId(0), true, |_| ());
    assert_eq!(go(&mut balancer), 0);
}

#[test]
fn affinity_finds_the_backend_of_a_cookie() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0), spec(0, 0)]);
    let of = |balancer: &Balancer, value| Affinity::of(balancer, POOL, value);
    assert_eq!(of(&balancer, None), Affinity::None);
    assert_eq!(of(&balancer, Some(b"x")), Affinity::Invalid);
    assert_eq!(of(&balancer, Some(b"b1")), Affinity::Valid(BackendId(1)));
    assert_eq!(
        balancer.place(0, POOL, None, Some(BackendId(1)), None, true),
        Placement::Go(BackendId(1)),
        "weight 0 keeps its users"
    );
    balancer.set_up(BackendId(1), false, |_| ());
    assert_eq!(of(&balancer, Some(b"b1")), Affinity::Down);
}

#[test]
fn a_full_backend_queues_its_own_and_the_older_head_is_served_first() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    let (one, two) = (Some(BackendId(0)), Some(BackendId(1)));
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    assert_eq!(balancer.place(1, POOL, None, one, None, true), Placement::WaitForBackend(BackendId(0), 0));
    assert_eq!(balancer.place(2, POOL, None, None, None, true), Placement::WaitForPool(0));
    assert_eq!(balancer.place(3, POOL, None, two, None, true), Placement::WaitForBackend(BackendId(1), 0));
    assert_eq!(balancer.place(4, POOL, None, None, None, true), Placement::WaitForPool(1));
    let mut order = Vec::new();
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    assert_eq!(order, [2, 3, 4]);
    assert_eq!(balancer.answer(2), Some(Answer::Granted(BackendId(1))));
    assert_eq!(balancer.answer(2), None);
    // A slot granted to a client that left goes to the next.
    assert_eq!(balancer.place(5, POOL, None, one, None, true), Placement::WaitForBackend(BackendId(0), 1));
    balancer.release(BackendId(0), |waiter| order.push(waiter));
    balancer.leave(1, |waiter| order.push(waiter));
    assert_eq!(order, [2, 3, 4, 1, 5]);
    balancer.check_invariants();
}

#[test]
fn a_full_queue_sends_elsewhere_or_refuses() {
    let full = BackendSpec { maxqueue: 1, ..spec(1, 1) };
    let mut balancer = balancer(Algorithm::RoundRobin, vec![full, spec(1, 1)]);
    let sticky = Some(BackendId(0));
    assert_eq!(balancer.place(1, POOL, None, sticky, None, true), Placement::Go(BackendId(0)));
    assert_eq!(balancer.place(2, POOL, None, sticky, None, true), Placement::WaitForBackend(BackendId(0), 0));
    assert_eq!(balancer.place(3, POOL, None, sticky, None, false), Placement::Refused(Refused::QueueFull));
    assert_eq!(balancer.place(3, POOL, None, sticky, None, true), Placement::Go(BackendId(1)));
}

#[test]
fn who_is_bound_to_a_backend_that_dies_goes_elsewhere_in_his_turn() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    balancer.place(1, POOL, None, Some(BackendId(0)), None, true);
    balancer.place(2, POOL, None, None, None, true);
    let mut order = Vec::new();
    balancer.set_up(BackendId(0), false, |waiter| order.push(waiter));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    assert_eq!(order, [1]);
    balancer.set_up(BackendId(1), false, |waiter| order.push(waiter));
    assert_eq!((&order[..], balancer.answer(2)), (&[1, 2][..], Some(Answer::Refused)));
    balancer.check_invariants();
}

#[test]
fn a_backend_that_refused_a_request_does_not_get_it_again_from_the_queue() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    // The first backend refused the first request; its slot is free, and still the request waits for the other.
    balancer.release(BackendId(0), |_| ());
    assert_eq!(balancer.place(1, POOL, None, None, Some(BackendId(0)), true), Placement::WaitForPool(0));
    balancer.check_invariants();
    assert_eq!(balancer.place(2, POOL, None, None, None, true), Placement::Go(BackendId(0)));
    balancer.release(BackendId(0), |_| panic!("taken back"));
    balancer.release(BackendId(1), |waiter| assert_eq!(waiter, 1));
    assert_eq!(balancer.answer(1), Some(Answer::Granted(BackendId(1))));
    // When no other is left, it is better than none.
    assert_eq!(balancer.place(1, POOL, None, None, Some(BackendId(0)), true), Placement::WaitForPool(0));
    balancer.set_up(BackendId(1), false, |waiter| assert_eq!(waiter, 1));
    assert_eq!(balancer.answer(1), Some(Answer::Granted(BackendId(0))));
}

#[derive(Clone, Debug)]
enum Event {
    Arrive { key: Option<u32>, sticky: Option<u8>, avoid: Option<u8>, may_move: bool },
    Finish(usize),
    Leave(usize),
    Up(u8),
    Down(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let backend = 0u8..4;
    let event = prop_oneof![
        6 => (any::<Option<u32>>(), prop::option::of(backend.clone()), prop::option::of(backend.clone()), any::<bool>())
            .prop_map(|(key, sticky, avoid, may_move)| Event::Arrive { key, sticky, avoid, may_move }),
        5 => any::<prop::sample::Index>().prop_map(|index| Event::Finish(index.index(1000))),
        2 => any::<prop::sample::Index>().prop_map(|index| Event::Leave(index.index(1000))),
        1 => backend.clone().prop_map(Event::Up),
        1 => backend.prop_map(Event::Down),
    ];
    prop::collection::vec(event, 1..300)
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    let hash = prop::sample::select(vec![Hash::Beelance, Hash::Haproxy]);
    prop_oneof![
        Just(Algorithm::RoundRobin),
        Just(Algorithm::LeastConn),
        Just(Algorithm::Random),
        Just(Algorithm::First),
        (hash, prop::sample::select(vec![0, 101, 140, 10_000]))
            .prop_map(|(hash, factor)| Algorithm::Hash { hash, factor }),
    ]
}

proptest! {
    /// Whatever happens: a queue never holds while an eligible slot is free, nobody has more in flight than his
    /// maxconn, every slot is given back once, and everybody gets exactly one answer.
    #[test]
    fn never_a_free_slot_beside_a_queue(
        events in events(), algorithm in algorithms(),
        limits in prop::array::uniform4((0u16..4, 0u32..4, 0u32..3, any::<bool>())),
    ) {
        let specs = limits.map(|(weight, maxconn, maxqueue, backup)| BackendSpec { maxqueue, backup, ..spec(weight, maxconn) });
        let mut balancer = balancer(algorithm, specs.to_vec());
        let mut idle: VecDeque<u16> = (0..64).collect();
        let mut flying: Vec<(u16, BackendId)> = Vec::new();
        let mut waiting: BTreeMap<u16, ()> = BTreeMap::new();
        for event in events {
            let mut woken = Vec::new();
            match event {
                Event::Arrive { key, sticky, avoid, may_move } => {
                    let Some(waiter) = idle.pop_front() else { continue };
                    match balancer.place(waiter, POOL, key, sticky.map(BackendId), avoid.map(BackendId), may_move) {
                        Placement::Go(id) => flying.push((waiter, id)),
                        Placement::WaitForBackend(..) | Placement::WaitForPool(_) => { waiting.insert(waiter, ()); }
                        Placement::Refused(_) => idle.push_back(waiter),
                    }
                }
                Event::Finish(at) if !flying.is_empty() => {
                    let (waiter, id) = flying.swap_remove(at % flying.len());
                    idle.push_back(waiter);
                    balancer.release(id, |waiter| woken.push(waiter));
                }
                Event::Leave(at) if !waiting.is_empty() => {
                    let waiter = *waiting.keys().nth(at % waiting.len()).unwrap();
                    waiting.remove(&waiter);
                    idle.push_back(waiter);
                    balancer.leave(waiter, |waiter| woken.push(waiter));
                }
                Event::Up(id) => balancer.set_up(BackendId(id), true, |waiter| woken.push(waiter)),
                Event::Down(id) => balancer.set_up(BackendId(id), false, |waiter| woken.push(waiter)),
                Event::Finish(_) | Event::Leave(_) => {}
            }
            for waiter in woken {
                prop_assert!(waiting.remove(&waiter).is_some(), "{waiter} woken twice or never waited");
                match balancer.answer(waiter).expect("woken without an answer") {
                    Answer::Granted(id) => flying.push((waiter, id)),
                    Answer::Refused => idle.push_back(waiter),
                }
            }
            balancer.check_invariants();
            let serving: u32 = (0..4).map(|id| balancer.status(BackendId(id)).serving).sum();
            prop_assert_eq!(serving as usize, flying.len());
        }
        while let Some((_, id)) = flying.pop() {
            balancer.release(id, |waiter| { waiting.remove(&waiter); });
            let granted: Vec<u16> = (0..64).filter(|waiter| balancer.answer(*waiter).map(|answer| match answer {
                Answer::Granted(id) => flying.push((0, id)),
                Answer::Refused => {}
            }).is_some()).collect();
            prop_assert!(granted.len() <= 1);
        }
        prop_assert!(waiting.is_empty(), "left waiting: {waiting:?}");
    }
}
