//! A seeded simulation of requests, releases, departures and failures over one balancer, its invariants checked after
//! every step.

mod failures;

use super::cases::*;
use super::*;
use crate::limits::BackendId;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// Places in the table of backends, of which a reload uses any.
const PLACES: u8 = 7;

/// Backends of the pool that the traffic keeps out or on trial, and how many it has.
fn ejected(balancer: &Balancer) -> (u32, u32) {
    let untrusted = |id: &&BackendId| !balancer.backend(**id).state.watch.is_trusted();
    let members = balancer.members(POOL);
    (members.iter().filter(untrusted).map(|_| 1).sum(), members.iter().map(|_| 1).sum())
}

/// Another file: these places have a backend now, in this order, and what it says of them and of the pool.
#[derive(Clone, Debug)]
struct Reload {
    members: Vec<u8>,
    weights: [u16; PLACES as usize],
    backups: [bool; PLACES as usize],
    algorithm: Algorithm,
}

impl Reload {
    fn make(&self, balancer: &mut Balancer, now_ms: u64, wake: &mut dyn FnMut(u16)) {
        let before = balancer.members(POOL).to_vec();
        let members: Vec<BackendId> = self.members.iter().copied().map(BackendId).collect();
        for &id in before.iter().filter(|id| !members.contains(id)) {
            balancer.remove(id);
        }
        for &id in &members {
            let there = &balancer.backend(id).spec;
            let (weight, backup) = (self.weights[id.index()], self.backups[id.index()]);
            let spec = BackendSpec { pool: POOL, weight, backup, up: true, ..there.clone() };
            match before.contains(&id) {
                true => balancer.revise(id, spec),
                // One that is not done yet is back.
                false => balancer.install(id, spec, 0, now_ms),
            }
        }
        let spec = PoolSpec { algorithm: self.algorithm, ..balancer.pools[POOL.index()].spec };
        balancer.arrange(POOL, spec, members.into());
        balancer.settle(POOL, wake);
    }
}

fn reloads() -> impl Strategy<Value = Reload> {
    let members = prop::sample::subsequence((0..PLACES).collect::<Vec<_>>(), 0..=usize::from(PLACES)).prop_shuffle();
    (members, prop::array::uniform7(0u16..4), prop::array::uniform7(any::<bool>()), algorithms())
        .prop_map(|(members, weights, backups, algorithm)| Reload { members, weights, backups, algorithm })
}

#[derive(Clone, Debug)]
enum Event {
    Arrive { key: Option<u32>, sticky: Option<u8>, avoid: Option<u8>, may_move: bool, client: u64, class: i8 },
    Finish(usize),
    Leave(usize),
    Unbind(usize),
    Change(u8, Change),
    Reload(Reload),
}

/// What can change about a backend.
#[derive(Clone, Copy, Debug)]
enum Change {
    Up(bool),
    AgentUp(bool),
    Admin(Authority, Admin),
    Weight(u16),
    Maxconn(u32),
    Saw(Seen),
    ProbedWell,
    /// So many milliseconds pass.
    Time(u64),
}

impl Change {
    fn make(self, balancer: &mut Balancer, id: BackendId, now_ms: &mut u64, wake: impl FnMut(u16)) {
        match self {
            Self::Up(up) => balancer.set_up(id, up, wake),
            Self::AgentUp(up) => balancer.set_agent_up(id, up, wake),
            Self::Admin(by, admin) => balancer.set_admin(id, by, admin, wake),
            Self::Weight(weight) => balancer.set_weight(id, weight, wake),
            Self::Maxconn(maxconn) => balancer.set_maxconn(id, maxconn, wake),
            Self::Saw(seen) => {
                balancer.saw(id, seen, *now_ms, wake);
            }
            Self::ProbedWell => balancer.probed_well(id, wake),
            Self::Time(ms) => {
                *now_ms += ms;
                balancer.begin_trials(*now_ms, wake);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let by = prop_oneof![Just(Authority::Operator), Just(Authority::Agent)];
    let admin = prop_oneof![3 => Just(Admin::Ready), 1 => Just(Admin::Drain), 1 => Just(Admin::Maint)];
    prop_oneof![
        4 => any::<bool>().prop_map(Change::Up),
        1 => prop::bool::weighted(0.7).prop_map(Change::AgentUp),
        2 => (by, admin).prop_map(|(by, admin)| Change::Admin(by, admin)),
        1 => (0u16..4).prop_map(Change::Weight),
        1 => (0u32..4).prop_map(Change::Maxconn),
        8 => prop_oneof![3 => Just(Seen::Broken), 1 => Just(Seen::Answered(200))].prop_map(Change::Saw),
        1 => Just(Change::ProbedWell),
        3 => (1u64..200).prop_map(Change::Time),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let backend = 0..PLACES;
    let event = prop_oneof![
        6 => (any::<Option<u32>>(), prop::option::of(backend.clone()), prop::option::of(backend.clone()), any::<bool>(), 0u64..5, -1i8..2)
            .prop_map(|(key, sticky, avoid, may_move, client, class)| {
                Event::Arrive { key, sticky, avoid, may_move, client, class }
            }),
        5 => any::<prop::sample::Index>().prop_map(|index| Event::Finish(index.index(1000))),
        2 => any::<prop::sample::Index>().prop_map(|index| Event::Leave(index.index(1000))),
        2 => any::<prop::sample::Index>().prop_map(|index| Event::Unbind(index.index(1000))),
        4 => (backend, changes()).prop_map(|(id, change)| Event::Change(id, change)),
        2 => reloads().prop_map(Event::Reload),
    ];
    prop::collection::vec(event, 1..300)
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    let hash = prop::sample::select(vec![Hash::Beelance, Hash::Haproxy]);
    let factor = prop::sample::select(vec![0, 101, 140, 10_000]);
    prop_oneof![
        1 => Just(Algorithm::RoundRobin),
        1 => Just(Algorithm::LeastConn),
        1 => Just(Algorithm::Random),
        1 => Just(Algorithm::First),
        3 => (hash, factor).prop_map(|(hash, factor)| Algorithm::Hash { hash, factor }),
    ]
}

proptest! {
    /// Whatever happens: a queue never holds while an eligible slot is free, nobody has more in flight than his
    /// maxconn, every slot is given back once, and everybody gets exactly one answer.
    #[test]
    fn never_a_free_slot_beside_a_queue(
        events in events(), algorithm in algorithms(), pool in (0u32..6, 0u32..8), eject_max in 0u32..101,
        limits in prop::array::uniform4((0u16..4, 0u32..4, 0u32..3, any::<bool>())),
    ) {
        let specs = limits.map(|(weight, maxconn, maxqueue, backup)| BackendSpec { maxqueue, backup, ..spec(weight, maxconn) });
        let passive = PassiveSpec { observe: Observe::Http, error_limit: 2, eject_max, eject_ms: 300 };
        let pool = PoolSpec { algorithm, maxconn: pool.0, maxqueue: pool.1, passive, slowstart_ms: 0 };
        let mut now_ms = 0;
        let mut balancer = Balancer::new(&[pool], specs.to_vec(), 64).with_room(1, usize::from(PLACES));
        let mut idle: VecDeque<u16> = (0..64).collect();
        let mut flying: Vec<(u16, BackendId)> = Vec::new();
        let mut waiting: BTreeMap<u16, ()> = BTreeMap::new();
        for event in events {
            let mut woken = Vec::new();
            match event {
                Event::Arrive { key, sticky, avoid, may_move, client, class } => {
                    let Some(waiter) = idle.pop_front() else { continue };
                    let (sticky, avoid) = (sticky.map(BackendId), avoid.map(BackendId));
                    let wish = Wish { waiter, pool: POOL, key, sticky, avoid, may_move, client, class };
                    let foretold = balancer.foretell(&wish);
                    let placement = balancer.place(wish);
                    balancer.check_foretold(&foretold, &wish, placement);
                    match placement {
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
                Event::Change(id, change) => {
                    let (before, _) = ejected(&balancer);
                    change.make(&mut balancer, BackendId(id), &mut now_ms, |waiter| woken.push(waiter));
                    let (now, all) = ejected(&balancer);
                    prop_assert!(now <= before || now * 100 <= all.max(1) * eject_max, "{now} of {all} ejected");
                }
                Event::Reload(reload) => {
                    reload.make(&mut balancer, now_ms, &mut |waiter| woken.push(waiter));
                }
                Event::Unbind(at) if !waiting.is_empty() => {
                    let waiter = *waiting.keys().nth(at % waiting.len()).unwrap();
                    balancer.unbind(waiter, |waiter| woken.push(waiter));
                }
                Event::Finish(_) | Event::Leave(_) | Event::Unbind(_) => {}
            }
            for waiter in woken {
                prop_assert!(waiting.remove(&waiter).is_some(), "{waiter} woken twice or never waited");
                match balancer.answer(waiter).expect("woken without an answer") {
                    Answer::Granted(id) => flying.push((waiter, id)),
                    Answer::Refused => idle.push_back(waiter),
                }
            }
            balancer.check_invariants();
            let serving: u32 = (0..PLACES).map(|id| balancer.status(BackendId(id)).serving).sum();
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
