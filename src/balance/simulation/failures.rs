//! A seeded simulation of servers that fail, with a virtual clock: retries and their budget, passive checks, probes,
//! drains and weights, over the real decisions. The rules between them are those of `proxy::retry`.

use super::*;
use crate::limits::{RETRY_FLOOR, RETRY_SLOT_MS, RETRY_SLOTS};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const SERVERS: usize = 4;
const SERVER: std::ops::Range<u8> = 0..4;
/// Requests there can be at once.
const SEATS: u16 = 600;
const RETRIES: u32 = 3;
/// A connection that is not decided, and the rest before the same server is tried again, take so long.
const CONNECT_MS: u64 = 1000;

/// What a server does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Answers 200 after so many milliseconds.
    Works(u64),
    /// Refuses connections.
    Refuses,
    /// Answers 503 at once.
    Fails,
    /// Accepts no connection and refuses none.
    Stalls,
}

/// Which retries the budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// As it is: those that reached a server in advance, the others if they fail.
    Ours,
    /// All of them in advance.
    Prepaid,
    /// As ours, but the first after a failed connection costs nothing.
    FirstFree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// A request's connection is decided.
    Connected(u16),
    /// The response is there.
    Answered(u16),
    /// It rested, and tries the same again.
    Again(u16),
    Probe(u8),
    /// The trial of a server is due.
    Trial,
    /// Something else happens to a server.
    Disturb,
}

#[derive(Clone, Copy, Debug, Default)]
struct Request {
    retries: u32,
    owes: bool,
    sticky: Option<BackendId>,
    at: Option<BackendId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    /// Connections that were tried.
    attempts: u64,
    /// Requests that a server got to see.
    delivered: u64,
    served: u64,
    failed: u64,
}

struct World {
    balancer: Balancer,
    budget: Budget,
    policy: Policy,
    servers: [Server; SERVERS],
    health: [Health; SERVERS],
    requests: Vec<Request>,
    idle: Vec<u16>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    now_ms: u64,
    number: u64,
    seed: u64,
    counts: Counts,
    disturbs: bool,
}

impl World {
    fn new(seed: u64, policy: Policy, spec: &PoolSpec, maxconn: u32) -> Self {
        let specs = SERVER.map(|id| BackendSpec { cookie: id.to_string().into(), ..super::spec(10, maxconn) });
        let mut world = Self {
            balancer: Balancer::new(&[*spec], specs.collect(), usize::from(SEATS)),
            budget: Budget::new(10),
            policy,
            servers: [Server::Works(5); SERVERS],
            health: [Health::new(2, 3); SERVERS],
            requests: vec![Request::default(); usize::from(SEATS)],
            idle: (0..SEATS).collect(),
            events: BinaryHeap::new(),
            now_ms: 0,
            number: 0,
            seed: seed | 1,
            counts: Counts::default(),
            disturbs: false,
        };
        world.after(0, Event::Arrive);
        world
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((self.now_ms + ms, self.number, event)));
    }

    /// Lets `requests` arrive, `gap_ms` apart on average, and all of them end.
    fn run(&mut self, requests: u64, gap_ms: u64) -> Counts {
        while self.counts.served + self.counts.failed < requests {
            let Reverse((now_ms, _, event)) = self.events.pop().expect("requests left, and nothing happens any more");
            self.now_ms = now_ms;
            let mut woken = Vec::new();
            self.balancer.begin_trials(now_ms, |waiter| woken.push(waiter));
            self.answer(woken);
            match event {
                Event::Arrive if self.counts.requests < requests => {
                    let gap_ms = self.random(2 * gap_ms + 1);
                    self.after(gap_ms, Event::Arrive);
                    self.arrive();
                }
                Event::Arrive | Event::Trial => {}
                Event::Connected(waiter) => self.connected(waiter),
                Event::Answered(waiter) => self.answered(waiter),
                Event::Again(waiter) => self.connect(waiter),
                Event::Probe(id) => self.probe(id),
                Event::Disturb => self.disturb(),
            }
            self.balancer.check_invariants();
        }
        self.counts
    }

    fn arrive(&mut self) {
        let Some(waiter) = self.idle.pop() else { panic!("more requests than the table holds: {:?}", self.counts) };
        self.counts.requests += 1;
        self.budget.count(self.now_ms);
        let sticky = BackendId(u8::try_from(self.random(SERVERS as u64)).unwrap());
        let bound = self.disturbs && self.random(2) == 0;
        self.requests[usize::from(waiter)] = Request { sticky: bound.then_some(sticky), ..Request::default() };
        self.place(waiter, bound.then_some(sticky), None);
    }

    fn place(&mut self, waiter: u16, sticky: Option<BackendId>, avoid: Option<BackendId>) {
        let placed = self.balancer.place(Wish { waiter, sticky, avoid, client: u64::from(waiter % 7), ..FREE });
        let kept = |id| sticky.is_none_or(|bound| bound == id || !self.balancer.is_up(bound));
        match placed {
            Placement::Go(id) | Placement::WaitForBackend(id, _) => {
                assert!(kept(id), "affinity is kept while it is up")
            }
            Placement::WaitForPool(_) | Placement::Refused(_) => {}
        }
        match placed {
            Placement::Go(id) => self.granted(waiter, id),
            Placement::WaitForBackend(..) | Placement::WaitForPool(_) => {}
            Placement::Refused(_) => self.end(waiter, false),
        }
    }

    fn granted(&mut self, waiter: u16, id: BackendId) {
        self.requests[usize::from(waiter)].at = Some(id);
        self.connect(waiter);
    }

    fn answer(&mut self, woken: Vec<u16>) {
        for waiter in woken {
            match self.balancer.answer(waiter).expect("woken without an answer") {
                Answer::Granted(id) => self.granted(waiter, id),
                Answer::Refused => self.end(waiter, false),
            }
        }
    }

    fn at(&self, waiter: u16) -> BackendId {
        self.requests[usize::from(waiter)].at.expect("it holds a slot")
    }

    fn connect(&mut self, waiter: u16) {
        self.counts.attempts += 1;
        let stalls = self.servers[self.at(waiter).index()] == Server::Stalls;
        self.after(if stalls { CONNECT_MS } else { 1 }, Event::Connected(waiter));
    }

    fn connected(&mut self, waiter: u16) {
        let id = self.at(waiter);
        let answer_ms = match self.servers[id.index()] {
            Server::Works(ms) => ms,
            Server::Fails => 1,
            Server::Refuses | Server::Stalls => {
                self.saw(id, Seen::NotConnected);
                return self.failed(waiter, Failed::Connection);
            }
        };
        self.counts.delivered += 1;
        self.after(answer_ms, Event::Answered(waiter));
    }

    fn answered(&mut self, waiter: u16) {
        let id = self.at(waiter);
        let (seen, failed) = match self.servers[id.index()] {
            Server::Works(_) => (Seen::Answered(200), None),
            Server::Fails => (Seen::Answered(503), Some(Failed::Status(503))),
            Server::Refuses | Server::Stalls => (Seen::Broken, Some(Failed::Empty)),
        };
        self.saw(id, seen);
        match failed {
            Some(failed) => self.failed(waiter, failed),
            None => self.end(waiter, true),
        }
    }

    fn saw(&mut self, id: BackendId, seen: Seen) {
        let mut woken = Vec::new();
        let changed = self.balancer.saw(id, seen, self.now_ms, |waiter| woken.push(waiter));
        self.answer(woken);
        if let Some(due_ms) = self.balancer.next_trial_ms().filter(|_| changed) {
            self.after(due_ms.saturating_sub(self.now_ms), Event::Trial);
        }
    }

    fn failed(&mut self, waiter: u16, failed: Failed) {
        let request = &mut self.requests[usize::from(waiter)];
        if std::mem::take(&mut request.owes) {
            self.budget.pay(self.now_ms);
        }
        let free = self.policy == Policy::FirstFree && request.retries == 0 && failed == Failed::Connection;
        if request.retries >= RETRIES || !(free || self.budget.allows(self.now_ms)) {
            return self.end(waiter, false);
        }
        request.retries += 1;
        match (failed, self.policy) {
            _ if free => {}
            (Failed::Connection, Policy::Ours | Policy::FirstFree) => request.owes = true,
            _ => self.budget.pay(self.now_ms),
        }
        let (bound, last) = (request.sticky == request.at, request.retries == RETRIES);
        let id = self.at(waiter);
        if bound && !last {
            return self.after(CONNECT_MS, Event::Again(waiter));
        }
        self.requests[usize::from(waiter)].at = None;
        self.release(id);
        self.place(waiter, None, Some(id));
    }

    fn release(&mut self, id: BackendId) {
        let mut woken = Vec::new();
        self.balancer.release(id, |waiter| woken.push(waiter));
        self.answer(woken);
    }

    fn end(&mut self, waiter: u16, served: bool) {
        let held = self.requests[usize::from(waiter)].at.take();
        match served {
            true => self.counts.served += 1,
            false => self.counts.failed += 1,
        }
        self.idle.push(waiter);
        if let Some(id) = held {
            self.release(id);
        }
    }

    fn probe(&mut self, id: u8) {
        let (at, id) = (usize::from(id), BackendId(id));
        let well = matches!(self.servers[at], Server::Works(ms) if ms < 2000) && self.random(20) > 0;
        let mut woken = Vec::new();
        if self.health[at].probed(well) {
            self.balancer.set_up(id, self.health[at].is_up(), |waiter| woken.push(waiter));
        }
        if well {
            self.balancer.probed_well(id, |waiter| woken.push(waiter));
        }
        self.answer(woken);
        self.after(2000, Event::Probe(id.0));
    }

    /// Crashes, slowness, recovery, drains, weights and limits.
    fn disturb(&mut self) {
        let id = BackendId(u8::try_from(self.random(SERVERS as u64)).unwrap());
        let (slow_ms, weight) = (self.random(3000), u16::try_from(self.random(20)).unwrap());
        let admin = [Admin::Ready, Admin::Ready, Admin::Drain, Admin::Maint][usize::from(weight % 4)];
        let mut woken = Vec::new();
        match self.random(9) {
            0..=2 => self.servers[id.index()] = Server::Works(5),
            3 => self.servers[id.index()] = Server::Works(slow_ms),
            4 => self.servers[id.index()] = Server::Refuses,
            5 => self.servers[id.index()] = Server::Fails,
            6 => self.servers[id.index()] = Server::Stalls,
            7 => self.balancer.set_weight(id, weight, |waiter| woken.push(waiter)),
            _ => self.balancer.set_admin(id, Authority::Operator, admin, |waiter| woken.push(waiter)),
        }
        self.answer(woken);
        let gap_ms = 200 + self.random(2000);
        self.after(gap_ms, Event::Disturb);
    }
}

/// Retries that may be paid for, at most, beside those that are under way when the budget is used up.
fn allowed(counts: &Counts, took_ms: u64) -> u64 {
    let windows = took_ms / (RETRY_SLOT_MS * RETRY_SLOTS as u64) + 2;
    counts.requests / 10 + RETRY_FLOOR * windows
}

#[test]
fn an_outage_is_not_made_worse_by_retries() {
    for (policy, server) in [
        (Policy::Ours, Server::Refuses),
        (Policy::Ours, Server::Fails),
        (Policy::Prepaid, Server::Refuses),
        (Policy::FirstFree, Server::Refuses),
    ] {
        let mut world = World::new(7, policy, &PoolSpec::default(), 0);
        world.servers = [server; SERVERS];
        let counts = world.run(3_000, 1);
        let most = counts.requests + allowed(&counts, world.now_ms);
        assert_eq!(counts.served, 0);
        match policy {
            Policy::FirstFree => assert!(counts.attempts >= 2 * counts.requests, "{counts:?}"),
            Policy::Ours | Policy::Prepaid => assert!(counts.attempts <= most, "{counts:?}, {most} allowed"),
        }
        assert!(counts.attempts > counts.requests + counts.requests / 20, "the budget is used: {counts:?}");
    }
}

#[test]
fn what_one_server_refuses_the_others_serve_before_it_is_known_to_be_down() {
    // No probe yet: one of four is dead.
    for (policy, share) in [(Policy::Ours, 0), (Policy::FirstFree, 0), (Policy::Prepaid, 10)] {
        let mut world = World::new(7, policy, &PoolSpec::default(), 0);
        world.servers[2] = Server::Refuses;
        let counts = world.run(3_000, 1);
        let percent = counts.failed * 100 / counts.requests;
        assert!(if share == 0 { counts.failed == 0 } else { percent > share }, "{policy:?}: {counts:?}");
    }
}

#[test]
fn a_server_that_fails_is_ejected_and_comes_back() {
    let passive = PassiveSpec { observe: Observe::Http, error_limit: 10, eject_max: 50, eject_ms: 1_000 };
    let spec = PoolSpec { passive, ..PoolSpec::default() };
    let mut world = World::new(7, Policy::Ours, &spec, 0);
    world.servers[1] = Server::Fails;
    let ill = world.run(3_000, 1);
    // Ten errors, and then one in a second; each is retried elsewhere, within the budget.
    assert_eq!(ill.failed, 0, "{ill:?}");
    assert!(ill.delivered - ill.requests <= 10 + world.now_ms / 1_000 + 1, "{ill:?}");
    world.servers[1] = Server::Works(5);
    let before = world.balancer.status(BackendId(1)).total;
    world.after(0, Event::Arrive);
    let well = world.run(6_000, 1);
    let share = world.balancer.status(BackendId(1)).total - before;
    assert!(share > 300 && well.failed == 0, "{share} of 3000 requests since it is well");
}

#[test]
fn whatever_fails_and_changes() {
    let passive = PassiveSpec { observe: Observe::Http, error_limit: 10, eject_max: 50, eject_ms: 3_000 };
    for seed in 1..=100 {
        let maxconn = if seed % 2 == 0 { 20 } else { 0 };
        let mut world =
            World::new(seed * 0x9e37_79b9, Policy::Ours, &PoolSpec { passive, ..PoolSpec::default() }, maxconn);
        world.disturbs = true;
        world.after(100, Event::Disturb);
        SERVER.for_each(|id| world.after(u64::from(id) * 500, Event::Probe(id)));
        let counts = world.run(300, 20);
        let paid = allowed(&counts, world.now_ms);
        assert!(counts.delivered <= counts.requests + paid, "seed {seed}: {counts:?}, {paid} retries allowed");
        assert_eq!(counts.served + counts.failed, counts.requests, "seed {seed}");
        let serving: u32 = SERVER.map(|id| world.balancer.status(BackendId(id)).serving).sum();
        assert_eq!(
            (serving, world.balancer.queued(POOL), world.idle.len()),
            (0, 0, usize::from(SEATS)),
            "seed {seed}: a leak"
        );
    }
}

#[test]
fn who_is_bound_to_a_backend_on_trial_is_served_when_it_is_the_last() {
    let passive = PassiveSpec { observe: Observe::Http, error_limit: 1, eject_max: 50, eject_ms: 10 };
    let pool = PoolSpec { passive, ..PoolSpec::default() };
    let mut balancer = Balancer::new(&[pool], vec![super::spec(1, 0), super::spec(1, 0), super::spec(0, 0)], 64);
    let one = BackendId(0);
    assert!(balancer.saw(one, Seen::Broken, 0, |_| ()));
    balancer.begin_trials(10, |_| ());
    assert_eq!(balancer.place(wish(1, Some(one))), Placement::Go(one), "the trial");
    assert_eq!(balancer.place(wish(2, Some(one))), Placement::WaitForBackend(one, 0));
    let mut woken = Vec::new();
    balancer.set_up(BackendId(1), false, |waiter| woken.push(waiter));
    assert_eq!((&woken[..], balancer.answer(2)), (&[2][..], Some(Answer::Granted(one))));
    balancer.check_invariants();
}
