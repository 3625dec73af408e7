//! A whole pool of servers and its clients in virtual time, over the real balancer: everything that can happen, in an
//! order that a seed decides, the invariants checked after every event.
//!
//! Servers slow down beyond a knee, fail, crash and come back, flap, get other weights and limits, and have agents that say
//! so; clients come in waves, keep to their server, wait for it, try again elsewhere, give up. A failure prints its seed; `BEELANCE_SEED=N` runs that one alone, `BEELANCE_SEEDS=N` so many
//! (`scripts/simulate`).

mod requests;
mod rules;

use super::*;
use crate::limits::{BackendId, PoolId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

const POOL: PoolId = PoolId(0);
const EVENTS: usize = 10_000;
const SEATS: u16 = 150;
/// Worlds in a run of the tests; an emulator of a 32-bit processor takes ten times as long.
const SEEDS: u64 = if cfg!(target_pointer_width = "32") { 10 } else { 100 };
/// How long a request waits before it gives up, in milliseconds.
const PATIENCE_MS: u64 = 2_000;

/// SplitMix64: all the chance there is.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A client comes with a request, and the next one is planned.
    Arrive,
    /// The `ticket`th placement of a seat is answered by its server.
    Done(u16, u64),
    /// It gives up waiting.
    GiveUp(u16, u64),
    Down(u8),
    Up(u8),
    Change(u8),
    /// A server's agent reports.
    Agent(u8),
    /// It waited long enough for the backend it is bound to.
    Enough(u16, u64),
    /// A trial is due.
    Trial,
    /// Those on their way up get more.
    Advance,
}

struct Server {
    alone_ms: u64,
    knee: u64,
    /// How many of a hundred requests it fails.
    fails: u64,
    /// As configured: agents speak of parts of it.
    weight: u16,
}

/// What agents say when something is the matter.
const REPORTS: [&str; 8] = ["down", "drain", "maint", "75%", "weight:3", "weight:0", "maxconn:4", "maxconn:0"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Waiting,
    Flying(BackendId),
}

struct World {
    balancer: Balancer,
    chance: Chance,
    now_ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
    servers: Vec<Server>,
    seats: Vec<(State, u64)>,
    /// The backend that each waiting request is bound to.
    waiting: BTreeMap<u16, Option<BackendId>>,
    /// Those who waited long enough for it.
    late: BTreeSet<u16>,
    /// Of each seat's request, how often it was tried again.
    retries: Vec<u32>,
    budget: Budget,
    /// Requests in flight, of each server.
    flying: Vec<u32>,
    /// Requests given to each server so far.
    given: Vec<u64>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    served: u64,
    failed: u64,
    refused: u64,
    gave_up: u64,
    retries: u64,
    ejections: u64,
    unbound: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let count = 1 + chance.below(8);
        let spec = |index: u64, chance: &mut Chance| {
            let least = 1 + u16::try_from(chance.below(5)).unwrap();
            BackendSpec {
                seed: Hash::Beelance.of(&[&index.to_le_bytes()]),
                pool: POOL,
                weight: u16::try_from([1, 1, 2, 10, 0][usize::try_from(chance.below(5)).unwrap()]).unwrap(),
                maxconn: u32::try_from(chance.below(12)).unwrap(),
                auto: chance.one_in(4).then_some((least, least + 20)),
                maxqueue: u32::try_from(chance.below(20)).unwrap(),
                backup: chance.one_in(6),
                cookie: format!("s{index}").into(),
                up: true,
            }
        };
        let specs: Vec<BackendSpec> = (0..count).map(|index| spec(index, &mut chance)).collect();
        let some = |chance: &mut Chance, bound| if chance.one_in(2) { 0 } else { chance.below(bound) };
        let pool = PoolSpec {
            algorithm: match chance.below(6) {
                0 => Algorithm::RoundRobin,
                1 => Algorithm::LeastConn,
                2 => Algorithm::Random,
                3 => Algorithm::First,
                4 => Algorithm::Hash { hash: Hash::Beelance, factor: [0, 140][usize::from(chance.one_in(2))] },
                _ => Algorithm::Hash { hash: Hash::Haproxy, factor: [0, 140][usize::from(chance.one_in(2))] },
            },
            maxconn: u32::try_from(some(&mut chance, 30)).unwrap(),
            maxqueue: u32::try_from(some(&mut chance, 60)).unwrap(),
            slowstart_ms: some(&mut chance, 5_000),
            passive: PassiveSpec {
                observe: [Observe::None, Observe::Connect, Observe::Http, Observe::Http]
                    [usize::try_from(chance.below(4)).unwrap()],
                error_limit: 1 + u32::try_from(chance.below(4)).unwrap(),
                eject_max: u32::try_from(30 + chance.below(71)).unwrap(),
                eject_ms: chance.below(2_000),
            },
        };
        let server = |spec: &BackendSpec| Server {
            alone_ms: 1 + chance.below(50),
            knee: 1 + chance.below(20),
            fails: 0,
            weight: spec.weight,
        };
        let servers = specs.iter().map(server).collect();
        let mut world = Self {
            balancer: Balancer::new(&[pool], specs, usize::from(SEATS)).seeded(seed),
            chance,
            now_ms: 0,
            events: BinaryHeap::new(),
            planned: 0,
            servers,
            seats: vec![(State::Idle, 0); usize::from(SEATS)],
            waiting: BTreeMap::new(),
            late: BTreeSet::new(),
            retries: vec![0; usize::from(SEATS)],
            budget: Budget::new(10),
            flying: vec![0; usize::try_from(count).unwrap()],
            given: vec![0; usize::try_from(count).unwrap()],
            counts: Counts::default(),
        };
        world.plan(0, Event::Arrive);
        for index in 0..u8::try_from(count).unwrap() {
            let at_ms = world.chance.below(3_000);
            world.plan(at_ms, Event::Down(index));
            let at_ms = world.chance.below(3_000);
            world.plan(at_ms, Event::Change(index));
            let at_ms = world.chance.below(6_000);
            world.plan(at_ms, Event::Agent(index));
        }
        world
    }

    fn plan(&mut self, after_ms: u64, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((self.now_ms + after_ms, self.planned, event)));
    }

    fn run(&mut self) {
        for _ in 0..EVENTS {
            let Some(Reverse((at_ms, _, event))) = self.events.pop() else { break };
            self.now_ms = at_ms;
            self.happen(event, true);
            self.check();
        }
        // No more clients come, and nothing else happens: all end, and nothing is left.
        while let Some(Reverse((at_ms, _, event))) = self.events.pop() {
            self.now_ms = at_ms;
            if matches!(event, Event::Done(..) | Event::GiveUp(..)) {
                self.happen(event, false);
                self.check();
            }
        }
        assert!(self.seats.iter().all(|(state, _)| *state == State::Idle), "somebody was never answered");
        let Counts { requests, served, failed, refused, gave_up, .. } = self.counts;
        assert!(requests > 0 && requests == served + failed + refused + gave_up, "{:?}", self.counts);
    }

    fn happen(&mut self, event: Event, goes_on: bool) {
        let mut woken = Vec::new();
        match event {
            Event::Arrive if goes_on => {
                self.arrive();
                // Waves: now a request a millisecond, now next to none.
                let quiet = (self.now_ms / 2_000).is_multiple_of(3);
                let after_ms = if quiet { self.chance.below(200) } else { self.chance.below(3) };
                self.plan(after_ms, Event::Arrive);
            }
            Event::Done(seat, ticket) if self.seats[usize::from(seat)].1 == ticket => self.done(seat, &mut woken),
            Event::GiveUp(seat, ticket) if self.seats[usize::from(seat)] == (State::Waiting, ticket) => {
                self.seats[usize::from(seat)].0 = State::Idle;
                self.waiting.remove(&seat);
                self.late.remove(&seat);
                self.counts.gave_up += 1;
                self.balancer.leave(seat, |waiter| woken.push(waiter));
            }
            Event::Enough(seat, ticket) if self.seats[usize::from(seat)] == (State::Waiting, ticket) => {
                self.balancer.unbind(seat, |waiter| woken.push(waiter));
                self.late.insert(seat);
            }
            Event::Agent(index) => {
                let report = usize::try_from(self.chance.below(8 * REPORTS.len() as u64)).unwrap();
                let line = REPORTS.get(report).unwrap_or(&"up ready 100%");
                self.agent(BackendId(index), Report::parse(line), &mut woken);
                let after_ms = self.chance.below(1_500);
                self.plan(after_ms, Event::Agent(index));
            }
            Event::Trial => self.balancer.begin_trials(self.now_ms, |waiter| woken.push(waiter)),
            Event::Down(index) => {
                self.balancer.set_up(BackendId(index), false, |waiter| woken.push(waiter));
                // Sometimes for a moment only: a probe that flaps.
                let after_ms = if self.chance.one_in(3) { self.chance.below(20) } else { self.chance.below(3_000) };
                self.plan(after_ms, Event::Up(index));
            }
            Event::Up(index) => {
                if self.balancer.start_slowly(BackendId(index), self.now_ms) {
                    self.plan(0, Event::Advance);
                }
                self.balancer.set_up(BackendId(index), true, |waiter| woken.push(waiter));
                let after_ms = self.chance.below(6_000);
                self.plan(after_ms, Event::Down(index));
            }
            Event::Change(index) => {
                let id = BackendId(index);
                match self.chance.below(6) {
                    0 => {
                        let weight = u16::try_from(self.chance.below(4)).unwrap();
                        self.balancer.set_weight(id, weight, |waiter| woken.push(waiter));
                    }
                    1 => {
                        let maxconn = u32::try_from(self.chance.below(12)).unwrap();
                        self.balancer.set_maxconn(id, maxconn, |waiter| woken.push(waiter));
                    }
                    2 => self.servers[id.index()].alone_ms = 1 + self.chance.below(300),
                    3 => self.servers[id.index()].knee = 1 + self.chance.below(20),
                    4 => self.servers[id.index()].fails = 0,
                    _ => self.servers[id.index()].fails = [5, 100][usize::from(self.chance.one_in(2))],
                }
                let after_ms = self.chance.below(4_000);
                self.plan(after_ms, Event::Change(index));
            }
            Event::Advance => {
                let next_ms = self.balancer.advance(self.now_ms, |waiter| woken.push(waiter));
                if let Some(next_ms) = next_ms {
                    self.plan(next_ms - self.now_ms, Event::Advance);
                }
            }
            // Of a placement that is over.
            Event::Arrive | Event::Done(..) | Event::GiveUp(..) | Event::Enough(..) => {}
        }
        // Who was bound to a backend that is down is bound no longer.
        for bound in self.waiting.values_mut() {
            *bound = bound.filter(|&id| self.balancer.is_up(id));
        }
        for waiter in woken {
            self.wake(waiter);
        }
    }
}

/// Tells the seed of a run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed is {0}: BEELANCE_SEED={0} cargo test --lib a_world", self.0);
        }
    }
}

#[test]
fn a_world_of_a_million_events() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("BEELANCE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BEELANCE_SEEDS").unwrap_or(SEEDS),
    };
    let (mut all, count) = (Counts::default(), seeds.end - seeds.start);
    for seed in seeds {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        world.run();
        all.add(&world.counts);
        if seed % 1_000 == 999 {
            println!("{} seeds", seed + 1);
        }
    }
    println!("{count} seeds: {all:?}");
    let least = [all.served, all.refused, all.gave_up, all.retries, all.ejections, all.unbound].into_iter().min();
    assert!(count < 100 || least > Some(100), "a world in which little happens: {all:?}");
}
