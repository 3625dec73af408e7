//! The table of backends and pools: who gets the next request, and who waits for a slot.
//!
//! A slot is one unit of a backend's `maxconn`, within the pool's. Requests bound to a backend wait in its list, free ones
//! in their pool's; a slot that frees goes to the head whose turn is first: the lower class, then clients in rounds, then
//! who came first. Two invariants hold after every call: no backend and no pool has more requests in flight than its
//! `maxconn`, and nobody waits while a backend that could take him has a free slot. A backend that just failed a request
//! could take it only if no other could.

use super::Algorithm;
use super::choose::Choice;
use super::clients::{Clients, Line};
use super::hash::Hash;
use super::pace::Pace;
use super::passive::PassiveSpec;
use super::queue::{List, Place, Turn, Waiters};
use super::random::Random;
use super::ring::Ring;
use super::state::{Admin, State};
use crate::limits::{BackendId, CLASSES, MAX_CLASS, MIN_CLASS, PoolId};

/// What a backend is made from.
#[derive(Clone, Debug)]
pub struct BackendSpec {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// 0..=256; 0 takes only requests bound to it.
    pub weight: u16,
    /// Requests it works on at once; 0 = unlimited.
    pub maxconn: u32,
    /// Between which two numbers that is searched instead.
    pub auto: Option<(u16, u16)>,
    /// Requests bound to it that may wait; 0 = unlimited.
    pub maxqueue: u32,
    /// Used only while no other backend of the pool is usable.
    pub backup: bool,
    /// The value of the affinity cookie.
    pub cookie: Box<str>,
    /// Its name's number ([`Hash::Beelance`]), by which keys find it.
    pub seed: u32,
    /// Whether it starts up.
    pub up: bool,
}

/// What a pool is made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolSpec {
    /// How a request without affinity is placed.
    pub algorithm: Algorithm,
    /// Requests its backends work on at once, together; 0 = unlimited.
    pub maxconn: u32,
    /// Requests that may wait, bound ones and free ones together; 0 = unlimited.
    pub maxqueue: u32,
    /// What the traffic says about its backends.
    pub passive: PassiveSpec,
    /// How long a backend that came up again takes to get all of its weight and maxconn, in milliseconds.
    pub slowstart_ms: u64,
}

/// A request that wants a slot.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The seat of its task, which is woken when it has an answer.
    pub waiter: u16,
    /// The pool it was routed to.
    pub pool: PoolId,
    /// What it is hashed by, where its pool does that and it has it.
    pub key: Option<u32>,
    /// The backend it is bound to.
    pub sticky: Option<BackendId>,
    /// One that just failed it.
    pub avoid: Option<BackendId>,
    /// Whether it may go elsewhere when the queue of its backend is full.
    pub may_move: bool,
    /// Whose it is: clients with requests waiting take turns.
    pub client: u64,
    /// Its priority class, [`MIN_CLASS`]..=[`MAX_CLASS`]; the lower the sooner.
    pub class: i8,
}

pub(super) struct Backend {
    pub(super) spec: BackendSpec,
    pub(super) pace: Pace,
    pub(super) state: State,
    /// Whether requests that are bound to none may go to it, by its state and weight.
    pub(super) takes_users: bool,
    /// Requests in flight.
    serving: u32,
    pub(super) waiting: List,
    /// Smooth round robin: how far its turn has come.
    pub(super) turn: i64,
    total: u64,
}

pub(super) struct Pool {
    pub(super) spec: PoolSpec,
    pub(super) members: Box<[BackendId]>,
    pub(super) waiting: List,
    /// Requests in flight.
    serving: u32,
    /// Requests that wait, in all lists.
    queued: u32,
    /// The round that is being served, of each class.
    rounds: [u64; CLASSES],
    pub(super) tier: Tier,
    /// The place in `members` of the last choice, where the search for equals goes on.
    pub(super) last: usize,
    /// Empty unless keys are placed as HAProxy does.
    pub(super) ring: Ring,
}

/// Who takes requests that are bound to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// The backends that are up, have a weight and are no backup.
    Active,
    /// The first backup that is up and has a weight; and those of the others that are on trial.
    Backup(BackendId),
    Nobody,
}

/// What a backend does at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendStatus {
    /// Takes requests.
    pub up: bool,
    /// Requests in flight.
    pub serving: u32,
    /// Requests bound to it that wait.
    pub queued: u32,
    /// Requests it was given so far.
    pub total: u64,
    /// Requests it works on at once at most, at the moment; 0 = unlimited.
    pub maxconn: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It holds a slot of this backend.
    Go(BackendId),
    /// It waits for a slot of this backend, behind so many others.
    WaitForBackend(BackendId, u32),
    /// It waits for a slot of any backend of its pool, behind so many others.
    WaitForPool(u32),
    /// It gets none.
    Refused(Refused),
}

/// Why a request gets no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No backend of the pool is up.
    NoBackend,
    /// The one it is bound to has its queue full, and it may not go elsewhere.
    QueueFull,
}

/// The end of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds a slot of this backend now.
    Granted(BackendId),
    /// No backend is left.
    Refused,
}

/// Backends, pools and everybody who waits.
pub struct Balancer {
    pub(super) backends: Box<[Backend]>,
    pub(super) pools: Box<[Pool]>,
    pub(super) waiters: Waiters,
    /// What each waiter's request is hashed by.
    keys: Box<[Option<u32>]>,
    clients: Clients,
    arrivals: u64,
    pub(super) random: Random,
}

impl Balancer {
    /// A balancer over `pools` and `backends`; `waiters` requests can wait at once.
    #[must_use]
    pub fn new(pools: &[PoolSpec], backends: Vec<BackendSpec>, waiters: usize) -> Self {
        let members = |pool: usize| {
            let of_pool = |(index, spec): (usize, &BackendSpec)| {
                (spec.pool.index() == pool).then(|| BackendId::new(index)).flatten()
            };
            backends.iter().enumerate().filter_map(of_pool).collect()
        };
        let ring = |algorithm, members: &[BackendId]| match algorithm {
            Algorithm::Hash { hash: Hash::Haproxy, .. } => {
                Ring::new(members.iter().map(|id| backends[id.index()].weight))
            }
            Algorithm::Hash { hash: Hash::Beelance, .. }
            | Algorithm::RoundRobin
            | Algorithm::LeastConn
            | Algorithm::Random
            | Algorithm::First => Ring::default(),
        };
        let pool = |(index, &spec): (usize, &PoolSpec)| {
            let members: Box<[BackendId]> = members(index);
            let ring = ring(spec.algorithm, &members);
            Pool {
                spec,
                members,
                waiting: List::EMPTY,
                serving: 0,
                queued: 0,
                rounds: [0; CLASSES],
                tier: Tier::Nobody,
                last: 0,
                ring,
            }
        };
        let mut balancer = Self {
            pools: pools.iter().enumerate().map(pool).collect(),
            backends: backends
                .into_iter()
                .map(|spec| Backend {
                    pace: Pace::new(spec.weight, spec.maxconn, spec.auto),
                    state: State::new(spec.up),
                    takes_users: spec.up && spec.weight > 0,
                    spec,
                    serving: 0,
                    waiting: List::EMPTY,
                    turn: 0,
                    total: 0,
                })
                .collect(),
            waiters: Waiters::new(waiters),
            keys: vec![None; waiters].into_boxed_slice(),
            clients: Clients::new(waiters),
            arrivals: 0,
            random: Random::new(0),
        };
        for pool in 0..balancer.pools.len() {
            balancer.find_tier(pool);
        }
        balancer
    }

    /// What `random` draws from, from now on.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { random: Random::new(seed), ..self }
    }

    /// The backends of a pool, in the order of the file.
    #[must_use]
    pub fn members(&self, pool: PoolId) -> &[BackendId] {
        &self.pools[pool.index()].members
    }

    /// The cookie value that leads to a backend.
    #[must_use]
    pub fn cookie(&self, id: BackendId) -> &str {
        &self.backend(id).spec.cookie
    }

    /// Whether a backend takes requests.
    #[must_use]
    pub fn is_up(&self, id: BackendId) -> bool {
        self.backend(id).spec.up
    }

    /// What a backend does at the moment.
    #[must_use]
    pub fn status(&self, id: BackendId) -> BackendStatus {
        let backend = self.backend(id);
        BackendStatus {
            up: backend.spec.up,
            serving: backend.serving,
            queued: backend.waiting.len(),
            total: backend.total,
            maxconn: backend.pace.maxconn(),
        }
    }

    /// Requests of a pool that wait for any of its backends.
    #[must_use]
    pub fn queued(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].waiting.len()
    }

    /// Backends of a pool that take new users: active ones and backups.
    #[must_use]
    pub fn usable(&self, pool: PoolId) -> (usize, usize) {
        let members = self.members(pool).iter().map(|&id| self.backend(id));
        let up = members.filter(|backend| backend.takes_users).map(|backend| &backend.spec);
        up.fold((0, 0), |(active, backup), spec| if spec.backup { (active, backup + 1) } else { (active + 1, backup) })
    }

    /// Finds a slot for a request, or a place to wait.
    pub fn place(&mut self, wish: Wish) -> Placement {
        let Wish { waiter, pool, key, avoid, .. } = wish;
        self.waiters.avoid(waiter, avoid);
        self.keys[usize::from(waiter)] = key;
        if let Some(id) = wish.sticky.filter(|&id| self.is_up(id)) {
            if self.has_slot(id) {
                self.take_slot(id);
                return Placement::Go(id);
            }
            let (ahead, most) = (self.backend(id).waiting.len(), self.backend(id).spec.maxqueue);
            if most == 0 || ahead < most {
                return match self.wait(wish, Place::Backend(id)) {
                    true => Placement::WaitForBackend(id, ahead),
                    false => Placement::Refused(Refused::QueueFull),
                };
            }
            if !wish.may_move {
                return Placement::Refused(Refused::QueueFull);
            }
        }
        match self.choose(pool, key, avoid) {
            Choice::Chosen(id) => {
                self.take_slot(id);
                Placement::Go(id)
            }
            Choice::AllBusy => {
                let ahead = self.pools[pool.index()].waiting.len();
                match self.wait(wish, Place::Pool(pool)) {
                    true => Placement::WaitForPool(ahead),
                    false => Placement::Refused(Refused::QueueFull),
                }
            }
            Choice::Nobody => Placement::Refused(Refused::NoBackend),
        }
    }

    /// Puts a request in a list, if the pool's queue has room.
    fn wait(&mut self, wish: Wish, place: Place) -> bool {
        let class = wish.class.clamp(MIN_CLASS, MAX_CLASS);
        let pool = &mut self.pools[wish.pool.index()];
        if pool.spec.maxqueue > 0 && pool.queued >= pool.spec.maxqueue {
            return false;
        }
        pool.queued += 1;
        let round = self.clients.join(Line { pool: wish.pool.0, class }, wish.client, pool.rounds[of_class(class)]);
        self.arrivals += 1;
        let turn = Turn { class, round, arrival: self.arrivals };
        let list = match place {
            Place::Backend(id) => &mut self.backends[id.index()].waiting,
            Place::Pool(_) | Place::Nowhere | Place::Granted(_) | Place::Refused => &mut pool.waiting,
        };
        self.waiters.insert(list, wish.waiter, turn, wish.client, place);
        true
    }

    /// Takes a request out of the list it waits in.
    fn stop_waiting(&mut self, waiter: u16, pool: PoolId) {
        let list = match self.waiters.place(waiter) {
            Place::Backend(id) => &mut self.backends[id.index()].waiting,
            Place::Pool(pool) => &mut self.pools[pool.index()].waiting,
            Place::Nowhere | Place::Granted(_) | Place::Refused => return,
        };
        self.waiters.remove(list, waiter);
        let class = self.waiters.turn(waiter).class;
        self.clients.leave(Line { pool: pool.0, class }, self.waiters.client(waiter));
        self.pools[pool.index()].queued -= 1;
    }

    /// Gives a slot of `id` to a request that waits.
    fn grant(&mut self, waiter: u16, id: BackendId, wake: &mut impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        self.stop_waiting(waiter, pool);
        let turn = self.waiters.turn(waiter);
        let round = &mut self.pools[pool.index()].rounds[of_class(turn.class)];
        *round = turn.round.max(*round);
        self.take_slot(id);
        self.waiters.settle(waiter, Place::Granted(id));
        wake(waiter);
    }

    /// The end of waiting, once it has come. It is told once.
    pub fn answer(&mut self, waiter: u16) -> Option<Answer> {
        let answer = match self.waiters.place(waiter) {
            Place::Granted(id) => Answer::Granted(id),
            Place::Refused => Answer::Refused,
            Place::Nowhere | Place::Backend(_) | Place::Pool(_) => return None,
        };
        self.waiters.settle(waiter, Place::Nowhere);
        Some(answer)
    }

    /// Waits no longer: a timeout, or the client left. A slot granted meanwhile goes to the next. `wake` is called for
    /// everybody who has an answer now.
    pub fn leave(&mut self, waiter: u16, wake: impl FnMut(u16)) {
        match self.waiters.place(waiter) {
            Place::Nowhere => {}
            Place::Backend(id) => self.stop_waiting(waiter, self.backend(id).spec.pool),
            Place::Pool(pool) => self.stop_waiting(waiter, pool),
            Place::Granted(id) => {
                self.waiters.settle(waiter, Place::Nowhere);
                self.release(id, wake);
            }
            Place::Refused => self.waiters.settle(waiter, Place::Nowhere),
        }
    }

    /// Gives a slot back; the next who waits for it gets it.
    pub fn release(&mut self, id: BackendId, mut wake: impl FnMut(u16)) {
        let backend = &mut self.backends[id.index()];
        debug_assert!(backend.serving > 0, "a slot given back twice");
        backend.serving = backend.serving.saturating_sub(1);
        backend.state.watch.released();
        let of_pool = &mut self.pools[backend.spec.pool.index()];
        of_pool.serving = of_pool.serving.saturating_sub(1);
        self.serve_more(id, &mut wake);
    }

    /// Gives the free slots of a backend, or the room of its pool, to who waits.
    pub(super) fn serve_more(&mut self, id: BackendId, wake: &mut impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        let of_pool = &self.pools[pool.index()];
        if of_pool.spec.maxconn == 0 {
            self.serve_next(id, wake);
        } else if of_pool.queued > 0 {
            self.share_room(pool, wake);
        }
    }

    /// Who waited long enough for the backend he is bound to, which is full, takes any other from now on, in his turn: the
    /// least loaded one that has a slot, else the first slot that becomes free. The backend he was bound to, if he was.
    pub fn unbind(&mut self, waiter: u16, mut wake: impl FnMut(u16)) -> Option<BackendId> {
        let Place::Backend(home) = self.waiters.place(waiter) else { return None };
        let backend = self.backend(home);
        let pool = backend.spec.pool;
        // Where the pool is full instead he gains nothing, and who is served by no other must not wait for one.
        if backend.has_slot() || self.pools[pool.index()].tier == Tier::Nobody {
            return None;
        }
        let (turn, client) = (self.waiters.turn(waiter), self.waiters.client(waiter));
        self.waiters.remove(&mut self.backends[home.index()].waiting, waiter);
        self.waiters.insert(&mut self.pools[pool.index()].waiting, waiter, turn, client, Place::Pool(pool));
        let avoid = self.waiters.avoids(waiter).filter(|&id| !self.is_only(id));
        if self.pools[pool.index()].has_room()
            && let Some(id) = self.least_conn(pool, avoid)
        {
            self.grant(waiter, id, &mut wake);
        }
        Some(home)
    }

    /// A backend that is down is about to come up, and begins slowly if its pool says so; whether it does.
    pub fn start_slowly(&mut self, id: BackendId, now_ms: u64) -> bool {
        let slowstart_ms = self.pools[self.backend(id).spec.pool.index()].spec.slowstart_ms;
        let backend = &mut self.backends[id.index()];
        let starts = !backend.spec.up && slowstart_ms > 0;
        if starts {
            backend.pace.start_slowly(now_ms, slowstart_ms);
        }
        starts
    }

    /// Gives those on their way up what they may have by now; when to look again, while there are any.
    pub fn advance(&mut self, now_ms: u64, mut wake: impl FnMut(u16)) -> Option<u64> {
        let mut next_ms = None;
        for index in 0..self.backends.len() {
            let before = self.backends[index].pace.maxconn();
            let look_ms = self.backends[index].pace.advance(now_ms);
            next_ms = [next_ms, look_ms].into_iter().flatten().min();
            if let Some(id) = BackendId::new(index).filter(|_| self.backends[index].pace.maxconn() != before) {
                self.serve_next(id, &mut wake);
            }
        }
        next_ms
    }

    /// A backend answered a request, sent at `began_ms`, as it should: where its limit is searched, it may change.
    pub fn answered(&mut self, id: BackendId, began_ms: u64, now_ms: u64, mut wake: impl FnMut(u16)) {
        let backend = &mut self.backends[id.index()];
        if backend.pace.answered(began_ms, now_ms, backend.serving) {
            self.serve_next(id, &mut wake);
        }
    }

    /// Serves who waits in the pool's list and can be served, and refuses all when nobody is left to serve them.
    pub(super) fn serve_pool(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        let mut next = self.pools[pool.index()].waiting.head();
        while let Some(waiter) = next {
            next = self.waiters.next(waiter);
            match self.choose(pool, self.keys[usize::from(waiter)], self.waiters.avoids(waiter)) {
                Choice::Chosen(id) => self.grant(waiter, id, wake),
                Choice::AllBusy if self.any_free(pool) => {}
                Choice::AllBusy => break,
                Choice::Nobody => {
                    self.stop_waiting(waiter, pool);
                    self.waiters.settle(waiter, Place::Refused);
                    wake(waiter);
                }
            }
        }
    }

    /// Gives the free slots of one backend to who waits for them.
    fn serve_next(&mut self, id: BackendId, wake: &mut impl FnMut(u16)) {
        while self.backend(id).spec.up && self.has_slot(id) {
            let Some(waiter) = self.first_for(id) else { break };
            self.grant(waiter, id, wake);
        }
    }

    /// Gives the free room of a pool to who waits for any of its backends that has a slot.
    fn share_room(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        while self.pools[pool.index()].has_room() {
            let free = self.members(pool).iter().filter(|&&id| self.backend(id).spec.up && self.has_slot(id));
            let heads = free.filter_map(|&id| self.first_for(id).map(|waiter| (self.waiters.turn(waiter), waiter, id)));
            let Some((_, waiter, id)) = heads.min_by_key(|&(turn, ..)| turn) else { break };
            // Who is bound to none goes where the algorithm says; that finds at least this one.
            let id = match self.waiters.place(waiter) {
                Place::Pool(_) => {
                    match self.choose(pool, self.keys[usize::from(waiter)], self.waiters.avoids(waiter)) {
                        Choice::Chosen(better) => better,
                        Choice::AllBusy | Choice::Nobody => id,
                    }
                }
                Place::Backend(_) | Place::Nowhere | Place::Granted(_) | Place::Refused => id,
            };
            self.grant(waiter, id, wake);
        }
    }

    /// Whose turn it is at a backend: the first of its own list's head and its pool's.
    fn first_for(&self, id: BackendId) -> Option<u16> {
        let (own, free) = (self.backend(id).waiting.head(), self.first_free(id));
        match (own, free) {
            (Some(own), Some(free)) if self.waiters.turn(free) < self.waiters.turn(own) => Some(free),
            (own, free) => own.or(free),
        }
    }

    /// The first in the pool's list whom this backend could serve.
    fn first_free(&self, id: BackendId) -> Option<u16> {
        if !self.takes_free(id) {
            return None;
        }
        let pool = self.backend(id).spec.pool;
        let mut at = self.pools[pool.index()].waiting.head();
        while let Some(waiter) = at {
            if self.waiters.avoids(waiter) != Some(id) || self.is_only(id) {
                return at;
            }
            at = self.waiters.next(waiter);
        }
        None
    }

    /// Whether no other backend of its pool takes requests that are bound to none.
    pub(super) fn is_only(&self, id: BackendId) -> bool {
        let pool = self.backend(id).spec.pool;
        !self.members(pool).iter().any(|&other| other != id && self.takes_free(other))
    }

    /// Whether any backend has a slot for a request that is bound to none.
    fn any_free(&self, pool: PoolId) -> bool {
        self.members(pool).iter().any(|&id| self.takes_free(id) && self.has_slot(id))
    }

    /// Whether a backend takes requests that are bound to none.
    pub(super) fn takes_free(&self, id: BackendId) -> bool {
        let backend = self.backend(id);
        self.pools[backend.spec.pool.index()].tier.takes(id, backend)
    }

    pub(super) fn find_tier(&mut self, pool: usize) {
        let usable = |backup: bool| {
            let members = self.pools[pool].members.iter().copied();
            members.filter(|&id| self.backend(id).spec.backup == backup).find(|&id| self.backend(id).is_trusted())
        };
        self.pools[pool].tier = match (usable(false), usable(true)) {
            (Some(_), _) => Tier::Active,
            (None, Some(backup)) => Tier::Backup(backup),
            (None, None) => Tier::Nobody,
        };
    }

    fn take_slot(&mut self, id: BackendId) {
        // A limit that was lowered meanwhile cuts nobody off, but nobody new comes in above it.
        debug_assert!(self.has_slot(id), "{id:?} works on {} already", self.backend(id).serving);
        let backend = &mut self.backends[id.index()];
        backend.serving += 1;
        backend.total += 1;
        backend.state.watch.taken();
        self.pools[backend.spec.pool.index()].serving += 1;
    }

    /// Whether a backend, and its pool, can take one more request.
    fn has_slot(&self, id: BackendId) -> bool {
        let backend = self.backend(id);
        backend.has_slot() && self.pools[backend.spec.pool.index()].has_room()
    }

    pub(super) fn backend(&self, id: BackendId) -> &Backend {
        &self.backends[id.index()]
    }

    /// Checks the two invariants and that everybody who waits is in the list he thinks.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        for (index, backend) in self.backends.iter().enumerate() {
            let id = BackendId::new(index).unwrap();
            let spec = &backend.spec;
            assert!(spec.maxqueue == 0 || backend.waiting.len() <= spec.maxqueue, "{id:?} queues too many");
            let held = |list: &List, place: Place| {
                let turns = self.waiters.iter(list).map(|waiter| {
                    assert_eq!(self.waiters.place(waiter), place);
                    self.waiters.turn(waiter)
                });
                let turns: Vec<Turn> = turns.collect();
                assert!(turns.is_sorted(), "not in order of turns: {turns:?}");
                assert_eq!(turns.len(), list.len() as usize);
            };
            held(&backend.waiting, Place::Backend(id));
            let pool = &self.pools[spec.pool.index()];
            held(&pool.waiting, Place::Pool(spec.pool));
            let waits = backend.waiting.len() > 0 || self.first_free(id).is_some();
            assert!(!(waits && spec.up && self.has_slot(id)), "{id:?} has a slot free and somebody waits for it");
            assert!(spec.up || backend.waiting.len() == 0, "{id:?} is down and somebody waits for it");
            assert!(pool.waiting.len() == 0 || pool.tier != Tier::Nobody, "somebody waits and nobody is up");
            assert_eq!((spec.up, backend.takes_users), backend.as_said(), "{id:?} is not what is said");
            let mut members = pool.members.iter().map(|&id| self.backend(id));
            let alone = backend.is_only_suspected() && !members.any(Backend::is_trusted);
            assert!(!alone, "{id:?} is ejected and nobody else is left");
        }
        for pool in &self.pools {
            let members = || pool.members.iter().map(|&id| self.backend(id));
            assert_eq!(pool.serving, members().map(|backend| backend.serving).sum::<u32>());
            assert_eq!(pool.queued, pool.waiting.len() + members().map(|backend| backend.waiting.len()).sum::<u32>());
            assert!(pool.spec.maxconn == 0 || pool.serving <= pool.spec.maxconn, "a pool serves {}", pool.serving);
            assert!(pool.spec.maxqueue == 0 || pool.queued <= pool.spec.maxqueue, "a pool queues {}", pool.queued);
        }
        let queued: u32 = self.pools.iter().map(|pool| pool.queued).sum();
        assert!(self.clients.len() <= queued as usize && (queued == 0) == (self.clients.len() == 0));
    }
}

impl Pool {
    pub(super) fn has_room(&self) -> bool {
        self.spec.maxconn == 0 || self.serving < self.spec.maxconn
    }
}

/// The place of a class in [`Pool::rounds`].
fn of_class(class: i8) -> usize {
    usize::from(class.abs_diff(MIN_CLASS)).min(CLASSES - 1)
}

impl Tier {
    /// Whether a backend of the pool is among them.
    pub(super) fn takes(self, id: BackendId, backend: &Backend) -> bool {
        let users = backend.takes_users && !backend.spec.backup;
        match self {
            Self::Active => users,
            Self::Backup(backup) => id == backup || users,
            Self::Nobody => false,
        }
    }
}

impl Backend {
    /// Whether it takes requests, and those that are bound to none, by all that is said about it.
    pub(super) fn as_said(&self) -> (bool, bool) {
        let up = self.state.takes();
        (up, up && self.state.admin() == Admin::Ready && self.pace.takes_users())
    }

    /// Whether only what the traffic says keeps it from taking new users.
    pub(super) fn is_only_suspected(&self) -> bool {
        self.state.is_only_suspected() && self.pace.takes_users()
    }

    /// Whether it takes new users, and is not on trial.
    pub(super) fn is_trusted(&self) -> bool {
        self.takes_users && self.state.watch.is_trusted()
    }

    pub(super) fn has_slot(&self) -> bool {
        self.pace.allows(self.serving) && self.state.watch.has_room()
    }

    /// Requests in flight and queued.
    pub(super) fn load(&self) -> u64 {
        u64::from(self.serving) + u64::from(self.waiting.len())
    }
}
