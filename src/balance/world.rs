//! A whole pool of servers and its clients in virtual time, over the real balancer: everything that can happen, in an
//! order that a seed decides, the invariants checked after every event.
//!
//! Servers slow down beyond a knee, crash and come back, flap, get other weights and limits; clients come in waves, keep
//! to their server, give up. A failure prints its seed; `BEELANCE_SEED=N` runs that one alone, `BEELANCE_SEEDS=N` so many
//! (`scripts/simulate`).

use super::*;
use crate::limits::{BackendId, PoolId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

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
    /// Those on their way up get more.
    Advance,
}

struct Server {
    alone_ms: u64,
    knee: u64,
}

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
    /// When each waiting request came.
    since: BTreeMap<u16, u64>,
    /// Requests in flight, of each server.
    flying: Vec<u32>,
    granted: u64,
    refused: u64,
    gave_up: u64,
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
            ..PoolSpec::default()
        };
        let server = |chance: &mut Chance| Server { alone_ms: 1 + chance.below(50), knee: 1 + chance.below(20) };
        let servers = (0..count).map(|_| server(&mut chance)).collect();
        let mut world = Self {
            balancer: Balancer::new(&[pool], specs, usize::from(SEATS)).seeded(seed),
            chance,
            now_ms: 0,
            events: BinaryHeap::new(),
            planned: 0,
            servers,
            seats: vec![(State::Idle, 0); usize::from(SEATS)],
            since: BTreeMap::new(),
            flying: vec![0; usize::try_from(count).unwrap()],
            granted: 0,
            refused: 0,
            gave_up: 0,
        };
        world.plan(0, Event::Arrive);
        for index in 0..u8::try_from(count).unwrap() {
            let at_ms = world.chance.below(3_000);
            world.plan(at_ms, Event::Down(index));
            let at_ms = world.chance.below(3_000);
            world.plan(at_ms, Event::Change(index));
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
        assert!(self.granted > 0 || self.refused > 0);
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
            Event::Done(seat, ticket) if self.seats[usize::from(seat)].1 == ticket => {
                let State::Flying(id) = self.seats[usize::from(seat)].0 else { panic!("{seat} was not in flight") };
                let took_ms = self.servers[id.index()].alone_ms;
                self.seats[usize::from(seat)].0 = State::Idle;
                self.flying[id.index()] -= 1;
                let began_ms = self.now_ms.saturating_sub(took_ms);
                self.balancer.answered(id, began_ms, self.now_ms, |waiter| woken.push(waiter));
                self.balancer.release(id, |waiter| woken.push(waiter));
            }
            Event::GiveUp(seat, ticket) if self.seats[usize::from(seat)] == (State::Waiting, ticket) => {
                self.seats[usize::from(seat)].0 = State::Idle;
                self.since.remove(&seat);
                self.gave_up += 1;
                self.balancer.leave(seat, |waiter| woken.push(waiter));
            }
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
                match self.chance.below(4) {
                    0 => {
                        let weight = u16::try_from(self.chance.below(4)).unwrap();
                        self.balancer.set_weight(id, weight, |waiter| woken.push(waiter));
                    }
                    1 => {
                        let maxconn = u32::try_from(self.chance.below(12)).unwrap();
                        self.balancer.set_maxconn(id, maxconn, |waiter| woken.push(waiter));
                    }
                    2 => self.servers[id.index()].alone_ms = 1 + self.chance.below(300),
                    _ => self.servers[id.index()].knee = 1 + self.chance.below(20),
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
            Event::Arrive | Event::Done(..) | Event::GiveUp(..) => {}
        }
        for waiter in woken {
            self.wake(waiter);
        }
    }

    fn arrive(&mut self) {
        let Some(seat) = self.seats.iter().position(|(state, _)| *state == State::Idle) else { return };
        let waiter = u16::try_from(seat).unwrap();
        // One client in two is the same, greedy one; who keeps to a server keeps to one of his own.
        let client = if self.chance.one_in(2) { 0 } else { 1 + self.chance.below(20) };
        let servers = u64::try_from(self.servers.len()).unwrap();
        let home = BackendId(u8::try_from(client % servers).unwrap());
        let wish = Wish {
            key: (!self.chance.one_in(4)).then(|| u32::try_from(self.chance.below(1 << 32)).unwrap()),
            waiter,
            pool: POOL,
            sticky: self.chance.one_in(2).then_some(home),
            avoid: self.chance.one_in(20).then_some(home),
            may_move: !self.chance.one_in(4),
            client,
            class: [0, 0, 0, -3, 7][usize::try_from(self.chance.below(5)).unwrap()],
        };
        let placement = self.balancer.place(wish);
        let bound = wish.sticky.filter(|&id| self.balancer.is_up(id));
        self.seats[seat].1 += 1;
        let ticket = self.seats[seat].1;
        match placement {
            Placement::Go(id) => {
                let kept = bound.is_none_or(|home| id == home || self.balancer.status(home).queued > 0);
                assert!(kept, "{bound:?} is up with nobody waiting, and its user went to {id:?}");
                self.fly(waiter, id);
            }
            Placement::WaitForBackend(id, _) => {
                assert_eq!(Some(id), bound);
                self.wait(waiter, ticket);
            }
            Placement::WaitForPool(_) => self.wait(waiter, ticket),
            Placement::Refused(_) => self.refused += 1,
        }
    }

    fn wait(&mut self, waiter: u16, ticket: u64) {
        self.seats[usize::from(waiter)].0 = State::Waiting;
        self.since.insert(waiter, self.now_ms);
        let after_ms = self.chance.below(PATIENCE_MS);
        self.plan(after_ms, Event::GiveUp(waiter, ticket));
    }

    fn fly(&mut self, waiter: u16, id: BackendId) {
        self.granted += 1;
        self.flying[id.index()] += 1;
        let (state, ticket) = &mut self.seats[usize::from(waiter)];
        *state = State::Flying(id);
        *ticket += 1;
        let ticket = *ticket;
        let server = &self.servers[id.index()];
        let load = u64::from(self.balancer.status(id).serving);
        let takes_ms = server.alone_ms * load.max(server.knee) / server.knee;
        self.plan(takes_ms, Event::Done(waiter, ticket));
    }

    fn wake(&mut self, waiter: u16) {
        assert_eq!(self.seats[usize::from(waiter)].0, State::Waiting, "{waiter} was woken and did not wait");
        self.since.remove(&waiter);
        match self.balancer.answer(waiter).expect("woken without an answer") {
            Answer::Granted(id) => self.fly(waiter, id),
            Answer::Refused => {
                self.seats[usize::from(waiter)].0 = State::Idle;
                self.refused += 1;
            }
        }
    }

    fn check(&self) {
        self.balancer.check_invariants();
        for (index, &flying) in self.flying.iter().enumerate() {
            let id = BackendId::new(index).unwrap();
            assert_eq!(self.balancer.status(id).serving, flying, "{id:?}");
        }
        let bound: u32 =
            (0..self.flying.len()).map(|index| self.balancer.status(BackendId::new(index).unwrap()).queued).sum();
        assert_eq!((bound + self.balancer.queued(POOL)) as usize, self.since.len());
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
    let (mut granted, mut refused, mut gave_up, count) = (0, 0, 0, seeds.end - seeds.start);
    for seed in seeds {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        world.run();
        (granted, refused, gave_up) = (granted + world.granted, refused + world.refused, gave_up + world.gave_up);
        if seed % 1_000 == 999 {
            println!("{} seeds", seed + 1);
        }
    }
    println!("{count} seeds: {granted} requests served, {refused} refused, {gave_up} gave up");
    assert!(count < 100 || (granted > 1_000 && refused > 1_000 && gave_up > 1_000), "a world in which little happens");
}
