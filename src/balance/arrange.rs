//! Another set of backends and pools, while requests are under way: what a reload, and an operator, bring and take away.
//!
//! The tables have places to spare. A backend that is taken away gets nothing new; who waits for it waits for any of its pool,
//! and what is under way at it ends in its own time. Until then it keeps its place. Changes are made one by one, and take effect
//! together, pool by pool, in [`Balancer::settle`].
//!
//! ```text
//!   free --install--> there --remove--> leaving --its last request is over--> free
//!                       ^                  |
//!                       +-----install------+
//! ```

use super::Algorithm;
use super::balancer::{Backend, Balancer, Pool};
use super::hash::Hash;
use super::pace::Pace;
use super::passive::Observe;
use super::queue::{List, Place};
use super::ring::Ring;
use super::spec::{BackendSpec, PoolSpec};
use super::state::{Admin, State};
use super::tier::Tier;
use crate::limits::{BackendId, CLASSES, PoolId};

impl Backend {
    /// One that begins like this.
    pub(super) fn new(spec: BackendSpec) -> Self {
        Self {
            pace: Pace::new(spec.weight, spec.maxconn, spec.auto),
            state: State::new(spec.up),
            takes_users: spec.up && spec.weight > 0,
            spec,
            serving: 0,
            most_serving: 0,
            waiting: List::EMPTY,
            turn: 0,
            total: 0,
            redirects: 0,
            window: None,
        }
    }

    /// A place for one.
    fn vacant() -> Self {
        let (pool, cookie) = (PoolId(0), Box::default());
        let spec = BackendSpec {
            pool,
            weight: 0,
            maxconn: 0,
            auto: None,
            maxqueue: 0,
            backup: false,
            cookie,
            seed: 0,
            up: false,
        };
        let state = State { gone: true, ..State::new(false) };
        Self { state, ..Self::new(spec) }
    }
}

impl Pool {
    /// One of these members, in the order of the file.
    pub(super) fn new(spec: PoolSpec, members: Box<[BackendId]>) -> Self {
        Self {
            spec,
            members,
            waiting: List::EMPTY,
            late: List::NOBODY_LATE,
            serving: 0,
            queued: 0,
            rounds: [0; CLASSES],
            tier: Tier::Nobody,
            last: 0,
            ring: Ring::default(),
        }
    }
}

impl Balancer {
    /// With places for so many in all.
    #[must_use]
    pub fn with_room(self, pools: usize, backends: usize) -> Self {
        let (mut all_pools, mut all_backends) = (Vec::from(self.pools), Vec::from(self.backends));
        let (pools, backends) = (pools.max(all_pools.len()), backends.max(all_backends.len()));
        all_pools.resize_with(pools, || Pool::new(PoolSpec::default(), Box::default()));
        all_backends.resize_with(backends, Backend::vacant);
        Self { pools: all_pools.into_boxed_slice(), backends: all_backends.into_boxed_slice(), ..self }
    }

    /// Whether a request is at a backend, or waits for it, or a redirect to it still counts.
    #[must_use]
    pub fn is_busy(&self, id: BackendId) -> bool {
        self.backend(id).load() > 0
    }

    /// Whether a request is in a pool, at a backend that was its or waiting.
    #[must_use]
    pub fn is_pool_busy(&self, id: PoolId) -> bool {
        let pool = &self.pools[id.index()];
        pool.serving > 0 || pool.queued > 0
    }

    /// Puts a backend in a place that is free, or back in its own that it is about to leave. It begins slowly if its pool
    /// says so.
    pub fn install(&mut self, id: BackendId, spec: BackendSpec, slowstart_ms: u64, now_ms: u64) {
        // It may still be a member of a pool that left with it.
        self.remove(id);
        let before = &mut self.backends[id.index()];
        let (serving, waiting, redirects) = (before.serving, before.waiting, before.redirects);
        let window = before.window.take();
        // What is under way there ends there.
        let mut backend = Backend { serving, waiting, redirects, window, ..Backend::new(spec) };
        backend.pace.start_slowly(now_ms, slowstart_ms);
        *before = backend;
    }

    /// Gives a backend that stays what its file says now. What was changed at run time stays where the file did not change.
    pub fn revise(&mut self, id: BackendId, spec: BackendSpec) {
        let Backend { pace, spec: before, .. } = &mut self.backends[id.index()];
        if spec.weight != before.weight {
            pace.set_weight(spec.weight);
        }
        if (spec.maxconn, spec.auto) != (before.maxconn, before.auto) {
            pace.set_limit(spec.maxconn, spec.auto);
        }
        *before = BackendSpec { up: before.up, ..spec };
    }

    /// Says whether a backend has an address.
    pub fn place_quietly(&mut self, id: BackendId, placed: bool) {
        self.backends[id.index()].state.placed = placed;
    }

    /// Says what the operator wants of a backend that was just installed.
    pub fn order_quietly(&mut self, id: BackendId, admin: Admin) {
        self.backends[id.index()].state.operator = admin;
    }

    /// Takes a backend out of its pool.
    pub fn remove(&mut self, id: BackendId) {
        self.backends[id.index()].state.gone = true;
        let pool = self.backend(id).spec.pool;
        self.pools[pool.index()].members = self.members(pool).iter().copied().filter(|&member| member != id).collect();
    }

    /// Gives a pool these rules, and these members in the order of the file.
    pub fn arrange(&mut self, id: PoolId, spec: PoolSpec, members: Box<[BackendId]>) {
        let ring = self.ring(spec.algorithm, &members);
        if spec.passive.observe == Observe::None {
            // Nobody would begin the trials of those who are out.
            members.iter().for_each(|member| self.backends[member.index()].state.watch.trust());
        }
        let pool = &mut self.pools[id.index()];
        let last = pool.last.min(members.len().saturating_sub(1));
        (pool.spec, pool.members, pool.ring, pool.last) = (spec, members, ring, last);
    }

    /// Makes all that changed in a pool take effect: who waits is served, or placed anew, or refused.
    pub fn settle(&mut self, pool: PoolId, wake: &mut dyn FnMut(u16)) {
        let mut wake = wake;
        let all = || (0..self.backends.len()).filter_map(BackendId::new);
        let those: Vec<BackendId> = all().filter(|&id| self.backend(id).spec.pool == pool).collect();
        those.iter().for_each(|&id| self.derive(id));
        self.find_tier(pool.index());
        if self.pools[pool.index()].tier == Tier::Nobody {
            self.pardon(pool);
        }
        for &id in &those {
            self.leave_unserved(id);
        }
        for id in those {
            self.serve_more(id, &mut wake);
        }
        self.serve_pool(pool, &mut wake);
    }

    /// Who is bound to a backend that takes no requests waits for any, bound no longer.
    pub(super) fn leave_unserved(&mut self, id: BackendId) {
        let pool = self.backend(id).spec.pool;
        while !self.is_up(id)
            && let Some(waiter) = self.backend(id).waiting.head()
        {
            self.end_late(waiter);
            let (turn, client) = (self.waiters.turn(waiter), self.waiters.client(waiter));
            self.waiters.remove(&mut self.backends[id.index()].waiting, waiter);
            self.waiters.insert(&mut self.pools[pool.index()].waiting, waiter, turn, client, Place::Pool(pool));
        }
    }

    /// The ring of these members, where keys are placed as HAProxy does.
    pub(super) fn ring(&self, algorithm: Algorithm, members: &[BackendId]) -> Ring {
        match algorithm {
            Algorithm::Hash { hash: Hash::Haproxy, .. } => {
                Ring::new(members.iter().map(|&id| self.backend(id).spec.weight))
            }
            Algorithm::Hash { hash: Hash::Beelance, .. }
            | Algorithm::RoundRobin
            | Algorithm::LeastConn
            | Algorithm::Random
            | Algorithm::First => Ring::default(),
        }
    }
}
