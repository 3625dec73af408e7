//! The table of backends and pools: who gets the next request, and who waits for a slot.
//!
//! A slot is one unit of a backend's `maxconn`. Requests bound to a backend wait in its list, free ones in their pool's;
//! a slot that frees goes to the older of the two heads. Two invariants hold after every call: no backend has more
//! requests in flight than its `maxconn`, and nobody waits while a backend that could take him has a free slot. A
//! backend that just failed a request could take it only if no other could.

use super::Algorithm;
use super::choose::Choice;
use super::hash::Hash;
use super::queue::{List, Place, Waiters};
use super::random::Random;
use super::ring::Ring;
use crate::limits::{BackendId, PoolId};

/// What a backend is made from.
#[derive(Clone, Debug)]
pub struct BackendSpec {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// 0..=256; 0 takes only requests bound to it.
    pub weight: u16,
    /// Requests it works on at once; 0 = unlimited.
    pub maxconn: u32,
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

pub(super) struct Backend {
    pub(super) spec: BackendSpec,
    /// Requests in flight.
    serving: u32,
    waiting: List,
    /// Smooth round robin: how far its turn has come.
    pub(super) turn: i64,
    total: u64,
}

pub(super) struct Pool {
    pub(super) algorithm: Algorithm,
    pub(super) members: Box<[BackendId]>,
    waiting: List,
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
    /// The first backup that is up and has a weight.
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
    waiters: Waiters,
    /// What each waiter's request is hashed by.
    keys: Box<[Option<u32>]>,
    arrivals: u64,
    pub(super) random: Random,
}

impl Balancer {
    /// A balancer over `pools`, each with its algorithm, and `backends`; `waiters` requests can wait at once. `seed` is
    /// what `random` begins with.
    #[must_use]
    pub fn new(pools: &[Algorithm], backends: Vec<BackendSpec>, waiters: usize, seed: u64) -> Self {
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
        let pool = |(index, &algorithm): (usize, &Algorithm)| {
            let members: Box<[BackendId]> = members(index);
            let ring = ring(algorithm, &members);
            Pool { algorithm, members, waiting: List::EMPTY, tier: Tier::Nobody, last: 0, ring }
        };
        let mut balancer = Self {
            pools: pools.iter().enumerate().map(pool).collect(),
            backends: backends
                .into_iter()
                .map(|spec| Backend { spec, serving: 0, waiting: List::EMPTY, turn: 0, total: 0 })
                .collect(),
            waiters: Waiters::new(waiters),
            keys: vec![None; waiters].into_boxed_slice(),
            arrivals: 0,
            random: Random::new(seed),
        };
        for pool in 0..balancer.pools.len() {
            balancer.find_tier(pool);
        }
        balancer
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
        }
    }

    /// Requests of a pool that wait for any of its backends.
    #[must_use]
    pub fn queued(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].waiting.len()
    }

    /// Backends of a pool that are up: active ones and backups.
    #[must_use]
    pub fn usable(&self, pool: PoolId) -> (usize, usize) {
        let up = self.members(pool).iter().map(|&id| &self.backend(id).spec).filter(|spec| spec.up);
        up.fold((0, 0), |(active, backup), spec| if spec.backup { (active, backup + 1) } else { (active + 1, backup) })
    }

    /// Finds a slot for a request, or a place to wait. `key` is what it is hashed by where its pool does that, `sticky`
    /// the backend it is bound to, `avoid` one that just failed it. `may_move` lets a request whose backend has its queue
    /// full go elsewhere.
    pub fn place(
        &mut self,
        waiter: u16,
        pool: PoolId,
        key: Option<u32>,
        sticky: Option<BackendId>,
        avoid: Option<BackendId>,
        may_move: bool,
    ) -> Placement {
        self.waiters.avoid(waiter, avoid);
        self.keys[usize::from(waiter)] = key;
        if let Some(id) = sticky.filter(|&id| self.is_up(id)) {
            let backend = self.backend(id);
            if backend.has_slot() {
                self.take_slot(id);
                return Placement::Go(id);
            }
            let ahead = backend.waiting.len();
            if backend.spec.maxqueue == 0 || ahead < backend.spec.maxqueue {
                let key = self.arrive();
                let backend = &mut self.backends[id.index()];
                self.waiters.insert(&mut backend.waiting, waiter, key, Place::Backend(id));
                return Placement::WaitForBackend(id, ahead);
            }
            if !may_move {
                return Placement::Refused(Refused::QueueFull);
            }
        }
        match self.choose(pool, key, avoid) {
            Choice::Chosen(id) => {
                self.take_slot(id);
                Placement::Go(id)
            }
            Choice::AllBusy => {
                let key = self.arrive();
                let list = &mut self.pools[pool.index()].waiting;
                let ahead = list.len();
                self.waiters.insert(list, waiter, key, Place::Pool(pool));
                Placement::WaitForPool(ahead)
            }
            Choice::Nobody => Placement::Refused(Refused::NoBackend),
        }
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
            Place::Backend(id) => self.waiters.remove(&mut self.backends[id.index()].waiting, waiter),
            Place::Pool(pool) => self.waiters.remove(&mut self.pools[pool.index()].waiting, waiter),
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
        self.serve_next(id, &mut wake);
    }

    /// A backend went up or down. Down: who is bound to it is placed anew, as if he came now but before all who came
    /// later. Up: who waits in the pool gets its slots.
    pub fn set_up(&mut self, id: BackendId, up: bool, mut wake: impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        self.backends[id.index()].spec.up = up;
        self.find_tier(pool.index());
        if !up {
            while let Some(waiter) = self.backend(id).waiting.head() {
                let key = self.waiters.key(waiter);
                self.waiters.remove(&mut self.backends[id.index()].waiting, waiter);
                self.waiters.insert(&mut self.pools[pool.index()].waiting, waiter, key, Place::Pool(pool));
            }
        }
        self.serve_pool(pool, &mut wake);
    }

    /// Serves who waits in the pool's list and can be served, and refuses all when nobody is left to serve them.
    fn serve_pool(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        let mut next = self.pools[pool.index()].waiting.head();
        while let Some(waiter) = next {
            next = self.waiters.next(waiter);
            let place = match self.choose(pool, self.keys[usize::from(waiter)], self.waiters.avoids(waiter)) {
                Choice::Chosen(id) => {
                    self.take_slot(id);
                    Place::Granted(id)
                }
                Choice::AllBusy if self.any_free(pool) => continue,
                Choice::AllBusy => break,
                Choice::Nobody => Place::Refused,
            };
            self.waiters.remove(&mut self.pools[pool.index()].waiting, waiter);
            self.waiters.settle(waiter, place);
            wake(waiter);
        }
    }

    /// Gives the free slots of one backend to who waits for them: the older of its own list's head and its pool's.
    fn serve_next(&mut self, id: BackendId, wake: &mut impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        while self.backend(id).spec.up && self.backend(id).has_slot() {
            let own = self.backend(id).waiting.head();
            let free = self.oldest_free(id);
            let from_pool = match (own, free) {
                (Some(own), Some(free)) => self.waiters.key(free) < self.waiters.key(own),
                (own, _) => own.is_none(),
            };
            let (list, waiter) = match from_pool {
                true => (&mut self.pools[pool.index()].waiting, free),
                false => (&mut self.backends[id.index()].waiting, own),
            };
            let Some(waiter) = waiter else { break };
            self.waiters.remove(list, waiter);
            self.waiters.settle(waiter, Place::Granted(id));
            self.take_slot(id);
            wake(waiter);
        }
    }

    /// The oldest in the pool's list whom this backend could serve.
    fn oldest_free(&self, id: BackendId) -> Option<u16> {
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
        self.members(pool).iter().any(|&id| self.takes_free(id) && self.backend(id).has_slot())
    }

    /// Whether a backend takes requests that are bound to none.
    pub(super) fn takes_free(&self, id: BackendId) -> bool {
        let backend = self.backend(id);
        self.pools[backend.spec.pool.index()].tier.takes(id, backend)
    }

    fn find_tier(&mut self, pool: usize) {
        let usable = |backup: bool| {
            let wanted = move |spec: &BackendSpec| spec.up && spec.weight > 0 && spec.backup == backup;
            self.pools[pool].members.iter().copied().find(|&id| wanted(&self.backend(id).spec))
        };
        self.pools[pool].tier = match (usable(false), usable(true)) {
            (Some(_), _) => Tier::Active,
            (None, Some(backup)) => Tier::Backup(backup),
            (None, None) => Tier::Nobody,
        };
    }

    fn take_slot(&mut self, id: BackendId) {
        let backend = &mut self.backends[id.index()];
        backend.serving += 1;
        backend.total += 1;
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
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
            assert!(spec.maxconn == 0 || backend.serving <= spec.maxconn, "{id:?} serves {}", backend.serving);
            assert!(spec.maxqueue == 0 || backend.waiting.len() <= spec.maxqueue, "{id:?} queues too many");
            let held = |list: &List, place: Place| {
                let keys: Vec<u64> = self
                    .waiters
                    .iter(list)
                    .map(|waiter| {
                        assert_eq!(self.waiters.place(waiter), place);
                        self.waiters.key(waiter)
                    })
                    .collect();
                assert!(keys.is_sorted(), "not in order of arrival: {keys:?}");
                assert_eq!(keys.len(), list.len() as usize);
            };
            held(&backend.waiting, Place::Backend(id));
            let pool = &self.pools[spec.pool.index()];
            held(&pool.waiting, Place::Pool(spec.pool));
            let waits = backend.waiting.len() > 0 || self.oldest_free(id).is_some();
            assert!(!(waits && spec.up && backend.has_slot()), "{id:?} has a slot free and somebody waits for it");
            assert!(spec.up || backend.waiting.len() == 0, "{id:?} is down and somebody waits for it");
            assert!(pool.waiting.len() == 0 || pool.tier != Tier::Nobody, "somebody waits and nobody is up");
        }
    }
}

impl Tier {
    /// Whether a backend of the pool is among them.
    pub(super) fn takes(self, id: BackendId, backend: &Backend) -> bool {
        let spec = &backend.spec;
        match self {
            Self::Active => spec.up && spec.weight > 0 && !spec.backup,
            Self::Backup(backup) => id == backup,
            Self::Nobody => false,
        }
    }
}

impl Backend {
    pub(super) fn has_slot(&self) -> bool {
        self.spec.maxconn == 0 || self.serving < self.spec.maxconn
    }

    /// Requests in flight and queued.
    pub(super) fn load(&self) -> u64 {
        u64::from(self.serving) + u64::from(self.waiting.len())
    }
}
