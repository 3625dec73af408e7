//! A seeded simulation of one hot server, and of servers that are all full: what `stick.wait` costs in affinity and what
//! it saves in waiting.

use super::*;
use crate::limits::{BackendId, PoolId};
use std::collections::BTreeMap;

const POOL: PoolId = PoolId(0);
const SERVERS: u8 = 4;
/// Requests a server works on at once, each for [`SERVICE_US`]: 200 a second.
const SLOTS: u32 = 4;
const SERVICE_US: std::ops::Range<u64> = 10_000..30_000;
/// Requests a second for each server: one has too many, or all have.
const ONE_HOT: [u64; 4] = [214, 100, 100, 100];
const ALL_FULL: [u64; 4] = [210; 4];
const WAIT_US: u64 = 100_000;
const LENGTH_US: u64 = 20_000_000;
const WAITERS: usize = 1024;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Clone, Copy)]
enum Event {
    Arrival(BackendId),
    /// The wait of a request is over.
    Enough(u16, usize),
    End(u16, BackendId),
}

#[derive(Clone, Copy)]
struct Request {
    home: BackendId,
    came_us: u64,
    /// Its number, since waiters are used again.
    number: usize,
}

struct Simulation {
    balancer: Balancer,
    rates: [u64; 4],
    random: Random,
    now_us: u64,
    events: BTreeMap<(u64, usize), Event>,
    made: usize,
    idle: Vec<u16>,
    requests: Vec<Option<Request>>,
    waits_us: Vec<u64>,
    kept: usize,
}

impl Simulation {
    fn new(seed: u64, rates: [u64; 4]) -> Self {
        let spec = |index: u8| BackendSpec {
            seed: 0,
            pool: POOL,
            weight: 1,
            maxconn: SLOTS,
            auto: None,
            maxqueue: 0,
            backup: false,
            cookie: format!("b{index}").into(),
            up: true,
        };
        Self {
            balancer: Balancer::new(&[PoolSpec::default()], (0..SERVERS).map(spec).collect(), WAITERS),
            rates,
            random: Random(seed),
            now_us: 0,
            events: BTreeMap::new(),
            made: 0,
            idle: (0..1024).collect(),
            requests: vec![None; WAITERS],
            waits_us: Vec::new(),
            kept: 0,
        }
    }

    fn plan(&mut self, after_us: u64, event: Event) {
        self.made += 1;
        self.events.insert((self.now_us + after_us, self.made), event);
    }

    fn begin(&mut self, waiter: u16, id: BackendId) {
        let request = self.requests[usize::from(waiter)].unwrap();
        self.waits_us.push(self.now_us - request.came_us);
        self.kept += usize::from(request.home == id);
        let service_us = SERVICE_US.start + self.random.below(SERVICE_US.end - SERVICE_US.start);
        self.plan(service_us, Event::End(waiter, id));
    }

    fn arrive(&mut self, home: BackendId, wait_us: Option<u64>) {
        let gap_us = self.random.below(2_000_000 / self.rates[home.index()]);
        self.plan(gap_us, Event::Arrival(home));
        let waiter = self.idle.pop().expect("fewer wait at once");
        self.requests[usize::from(waiter)] = Some(Request { home, came_us: self.now_us, number: self.made });
        let wish = Wish {
            key: None,
            waiter,
            pool: POOL,
            sticky: Some(home),
            avoid: None,
            may_move: true,
            client: self.random.below(50),
            class: 0,
        };
        match self.balancer.place(wish) {
            Placement::Go(id) => self.begin(waiter, id),
            Placement::WaitForBackend(..) => {
                let number = self.made;
                wait_us.into_iter().for_each(|wait_us| self.plan(wait_us, Event::Enough(waiter, number)));
            }
            other => panic!("{other:?}"),
        }
    }

    /// Twenty seconds; the waits, sorted, and the share that was served at home, in percent.
    fn run(mut self, wait_us: Option<u64>) -> (Vec<u64>, usize) {
        (0..SERVERS).for_each(|id| self.plan(0, Event::Arrival(BackendId(id))));
        while let Some(((at_us, _), event)) = self.events.pop_first() {
            self.now_us = at_us;
            let mut woken = Vec::new();
            match event {
                Event::Arrival(_) if at_us > LENGTH_US => {}
                Event::Arrival(home) => self.arrive(home, wait_us),
                Event::End(waiter, id) => {
                    self.requests[usize::from(waiter)] = None;
                    self.idle.push(waiter);
                    self.balancer.release(id, |waiter| woken.push(waiter));
                }
                Event::Enough(waiter, number) => {
                    let same = self.requests[usize::from(waiter)].is_some_and(|request| request.number == number);
                    if same {
                        self.balancer.unbind(waiter, |waiter| woken.push(waiter));
                    }
                }
            }
            for waiter in woken {
                match self.balancer.answer(waiter) {
                    Some(Answer::Granted(id)) => self.begin(waiter, id),
                    other => panic!("{other:?}"),
                }
            }
            // After every event `simulation` does that.
            if self.made.is_multiple_of(32) {
                self.balancer.check_invariants();
            }
        }
        assert_eq!(self.idle.len(), WAITERS, "everybody was served");
        self.waits_us.sort_unstable();
        let share = self.kept * 100 / self.waits_us.len();
        (self.waits_us, share)
    }
}

#[test]
fn a_hot_server_delays_its_users_by_the_wait_and_keeps_nearly_all() {
    for seed in 1..=3 {
        let percentile = |waits_us: &[u64], part: usize| waits_us[waits_us.len() * part / 1000];
        let (bounded, kept) = Simulation::new(seed, ONE_HOT).run(Some(WAIT_US));
        let (unbounded, all) = Simulation::new(seed, ONE_HOT).run(None);
        let p99 = [&bounded, &unbounded].map(|waits_us| percentile(waits_us, 990));
        eprintln!("seed {seed}: kept {kept} and {all} percent, p99 {p99:?} us");
        assert!(p99[0] <= WAIT_US + SERVICE_US.end && kept >= 95, "seed {seed}: {p99:?} us, kept {kept} percent");
        assert!(*bounded.last().unwrap() <= WAIT_US + 2 * SERVICE_US.end, "seed {seed}: {:?} us", bounded.last());
        assert!(p99[1] > 4 * p99[0] && all == 100, "seed {seed}: nothing to gain: {p99:?} us");
    }
}

#[test]
fn where_all_are_full_nearly_all_stay_at_home() {
    for seed in 1..=3 {
        let (waits_us, kept) = Simulation::new(seed, ALL_FULL).run(Some(WAIT_US));
        let late = waits_us.iter().filter(|&&wait_us| wait_us > WAIT_US).count() * 100 / waits_us.len();
        eprintln!("seed {seed}: kept {kept} percent, {late} percent waited longer than the wait");
        assert!(late > 60, "seed {seed}: the servers were not full: {late} percent");
        assert!(kept >= 95, "seed {seed}: kept {kept} percent");
    }
}
