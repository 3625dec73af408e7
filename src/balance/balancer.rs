//! The table of backends and pools: who gets the next request, and who waits for a slot.
//!
//! A slot is one unit of a backend's `maxconn`, within the pool's. Requests bound to a backend wait in its list, free ones
//! in their pool's; a slot that frees goes to the head whose turn is first: the lower class, then clients in rounds, then
//! who came first. Who is late may have one of another backend where nobody is bound to it (`late`). Two invariants hold after every call: no backend and no pool has more requests in flight than its
//! `maxconn`, and nobody waits while a backend that could take him has a free slot. A backend that just failed a request
//! could take it only if no other could.

use super::choose::Choice;
use super::clients::{Clients, Line};
use super::pace::Pace;
use super::queue::{List, Place, Turn, Waiters};
use super::random::Random;
use super::redirects::Window;
use super::ring::Ring;
use super::spec::{BackendSpec, PoolSpec};
use super::state::{Admin, State};
use super::tier::Tier;
use super::wish::{Answer, Placement, Refused, Wish};
use crate::limits::{BackendId, CLASSES, MAX_CLASS, MIN_CLASS, PoolId};
use crate::table::Table;

pub(super) struct Backend {
    pub(super) spec: BackendSpec,
    pub(super) pace: Pace,
    pub(super) state: State,
    /// Whether requests that are bound to none may go to it, by its state and weight.
    pub(super) takes_users: bool,
    /// Requests in flight.
    pub(super) serving: u32,
    /// The most there were.
    pub(super) most_serving: u32,
    pub(super) waiting: List,
    /// Smooth round robin: how far its turn has come.
    pub(super) turn: i32,
    pub(super) total: u64,
    /// Redirects that count as if they were in flight.
    pub(super) redirects: u32,
    /// When they were, where it redirects.
    pub(super) window: Option<Box<Window>>,
}

pub(super) struct Pool {
    pub(super) spec: PoolSpec,
    pub(super) members: Box<[BackendId]>,
    pub(super) waiting: List,
    /// Those who wait for their backend and take any other besides.
    pub(super) late: List,
    /// Requests in flight.
    pub(super) serving: u32,
    /// Requests that wait, in all lists.
    pub(super) queued: u32,
    /// The round that is being served, of each class.
    pub(super) rounds: [u64; CLASSES],
    pub(super) tier: Tier,
    /// The place in `members` of the last choice, where the search for equals goes on.
    pub(super) last: usize,
    /// Empty unless keys are placed as HAProxy does.
    pub(super) ring: Ring,
}

/// What a backend does at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendStatus {
    /// Takes requests.
    pub up: bool,
    /// Requests in flight.
    pub serving: u32,
    /// The most there were.
    pub most_serving: u32,
    /// Requests bound to it that wait.
    pub queued: u32,
    /// The most there were.
    pub most_queued: u32,
    /// Requests it was given so far.
    pub total: u64,
    /// Requests it works on at once at most, at the moment; 0 = unlimited.
    pub maxconn: u32,
    /// Its weight, as configured or as changed since.
    pub weight: u16,
    /// How far it is on its way up, in percent; nothing when it is not on its way.
    pub throttle: Option<u32>,
    /// Whether requests that are bound to none may go to it.
    pub takes_users: bool,
}

/// Backends, pools and everybody who waits.
pub struct Balancer {
    pub(super) backends: Box<[Backend]>,
    pub(super) pools: Box<[Pool]>,
    pub(super) waiters: Waiters,
    /// What each waiter's request is hashed by.
    pub(super) keys: Table<Option<u32>>,
    pub(super) clients: Clients,
    pub(super) arrivals: u64,
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
        let pool = |(index, &spec): (usize, &PoolSpec)| Pool::new(spec, members(index));
        let mut balancer = Self {
            pools: pools.iter().enumerate().map(pool).collect(),
            backends: backends.into_iter().map(Backend::new).collect(),
            waiters: Waiters::new(waiters),
            keys: Table::new(waiters),
            clients: Clients::new(waiters),
            arrivals: 0,
            random: Random::new(0),
        };
        for pool in 0..balancer.pools.len() {
            let of_pool = &balancer.pools[pool];
            balancer.pools[pool].ring = balancer.ring(of_pool.spec.algorithm, &of_pool.members);
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

    /// The pool of a backend, or the last one that it was in.
    #[must_use]
    pub fn pool(&self, id: BackendId) -> PoolId {
        self.backend(id).spec.pool
    }

    /// The pool that a backend left, which serves nobody or ends what is under way.
    #[must_use]
    pub fn departed_from(&self, id: BackendId) -> Option<PoolId> {
        let backend = self.backend(id);
        backend.state.gone.then_some(backend.spec.pool)
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

    /// Requests a backend was given so far.
    #[must_use]
    pub fn total(&self, id: BackendId) -> u64 {
        self.backend(id).total
    }

    /// What a backend does at the moment.
    #[must_use]
    pub fn status(&self, id: BackendId) -> BackendStatus {
        let backend = self.backend(id);
        BackendStatus {
            up: backend.spec.up,
            serving: backend.serving,
            most_serving: backend.most_serving,
            queued: backend.waiting.len(),
            most_queued: backend.waiting.most(),
            total: backend.total,
            maxconn: backend.pace.maxconn(),
            weight: backend.pace.weight_set(),
            throttle: backend.pace.throttle(),
            takes_users: backend.takes_users,
        }
    }

    /// Requests of a pool that wait for any of its backends.
    #[must_use]
    pub fn queued(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].waiting.len()
    }

    /// The pool in which a request waits.
    #[must_use]
    pub fn waits_in(&self, waiter: u16) -> Option<PoolId> {
        match self.waiters.place(waiter) {
            Place::Backend(id) => Some(self.backend(id).spec.pool),
            Place::Pool(pool) => Some(pool),
            Place::Nowhere | Place::Granted(_) | Place::Refused => None,
        }
    }

    /// The most there were of them.
    #[must_use]
    pub fn most_queued(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].waiting.most()
    }

    /// Forgets the most there were; `all`: the totals too.
    pub fn clear_counts(&mut self, all: bool) {
        self.pools.iter_mut().for_each(|pool| pool.waiting.forget_most());
        for backend in &mut self.backends {
            backend.waiting.forget_most();
            backend.most_serving = backend.serving;
            if all {
                backend.total = 0;
            }
        }
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
        self.waiters.avoid(wish.waiter, wish.avoid);
        *self.keys.at(wish.waiter) = wish.key;
        let placement = self.decide(&wish);
        match placement {
            Placement::Go(id) => self.take_slot(id),
            Placement::WaitForBackend(id, _) => self.wait(wish, Place::Backend(id)),
            Placement::WaitForPool(_) => self.wait(wish, Place::Pool(wish.pool)),
            Placement::Refused(_) => {}
        }
        placement
    }

    /// What becomes of a request. Nothing changes but whose turn it is, and what is drawn: [`Balancer::preview`] puts those back.
    #[inline(always)]
    pub(super) fn decide(&mut self, wish: &Wish) -> Placement {
        if let Some(id) = wish.sticky.filter(|&id| self.is_up(id)) {
            if self.has_slot(id) {
                return Placement::Go(id);
            }
            let (ahead, most) = (self.backend(id).waiting.len(), self.backend(id).spec.maxqueue);
            if most == 0 || ahead < most {
                return self.queue(wish.pool, Placement::WaitForBackend(id, ahead));
            }
            if !wish.may_move {
                return Placement::Refused(Refused::QueueFull);
            }
        }
        match self.choose(wish.pool, wish.key, wish.avoid) {
            Choice::Chosen(id) => Placement::Go(id),
            Choice::AllBusy => {
                self.queue(wish.pool, Placement::WaitForPool(self.pools[wish.pool.index()].waiting.len()))
            }
            Choice::Nobody => Placement::Refused(Refused::NoBackend),
        }
    }

    /// A place to wait, if the pool's queue has room.
    fn queue(&self, pool: PoolId, place: Placement) -> Placement {
        let Pool { spec, queued, .. } = &self.pools[pool.index()];
        if spec.maxqueue > 0 && *queued >= spec.maxqueue { Placement::Refused(Refused::QueueFull) } else { place }
    }

    /// Puts a request in a list.
    fn wait(&mut self, wish: Wish, place: Place) {
        let class = wish.class.clamp(MIN_CLASS, MAX_CLASS);
        let pool = &mut self.pools[wish.pool.index()];
        pool.queued += 1;
        let round = self.clients.join(Line { pool: wish.pool.0, class }, wish.client, pool.rounds[of_class(class)]);
        self.arrivals += 1;
        let turn = Turn { class, round, arrival: self.arrivals };
        let list = match place {
            Place::Backend(id) => &mut self.backends[id.index()].waiting,
            Place::Pool(_) | Place::Nowhere | Place::Granted(_) | Place::Refused => &mut pool.waiting,
        };
        self.waiters.insert(list, wish.waiter, turn, wish.client, place);
    }

    /// Takes a request out of the list it waits in.
    pub(super) fn stop_waiting(&mut self, waiter: u16, pool: PoolId) {
        let list = match self.waiters.place(waiter) {
            Place::Backend(id) => {
                self.end_late(waiter);
                &mut self.backends[id.index()].waiting
            }
            Place::Pool(pool) => &mut self.pools[pool.index()].waiting,
            Place::Nowhere | Place::Granted(_) | Place::Refused => return,
        };
        self.waiters.remove(list, waiter);
        let class = self.waiters.turn(waiter).class;
        self.clients.leave(Line { pool: pool.0, class }, self.waiters.client(waiter));
        self.pools[pool.index()].queued -= 1;
    }

    /// Gives a slot of `id` to a request that waits.
    pub(super) fn grant(&mut self, waiter: u16, id: BackendId, wake: &mut impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        let left = self.waiters.home(waiter).filter(|&home| home != id);
        debug_assert!(left.is_none() || self.backend(id).waiting.head().is_none(), "{id:?} has users of its own");
        self.stop_waiting(waiter, pool);
        let turn = self.waiters.turn(waiter);
        let round = &mut self.pools[pool.index()].rounds[of_class(turn.class)];
        *round = turn.round.max(*round);
        self.take_slot(id);
        self.waiters.settle(waiter, Place::Granted(id));
        self.waiters.left(waiter, left);
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

    fn take_slot(&mut self, id: BackendId) {
        // A limit that was lowered meanwhile cuts nobody off, but nobody new comes in above it.
        debug_assert!(self.has_slot(id), "{id:?} works on {} already", self.backend(id).serving);
        let backend = &mut self.backends[id.index()];
        backend.serving += 1;
        if backend.serving > backend.most_serving {
            backend.most_serving = backend.serving;
        }
        backend.total += 1;
        backend.state.watch.taken();
        self.pools[backend.spec.pool.index()].serving += 1;
    }

    /// Whether a backend, and its pool, can take one more request.
    pub(super) fn has_slot(&self, id: BackendId) -> bool {
        let backend = self.backend(id);
        backend.has_slot() && self.pools[backend.spec.pool.index()].has_room()
    }

    pub(super) fn backend(&self, id: BackendId) -> &Backend {
        &self.backends[id.index()]
    }
}

impl Pool {
    pub(super) fn has_room(&self) -> bool {
        self.spec.maxconn == 0 || self.serving < self.spec.maxconn
    }
}

/// The place of a class in [`Pool::rounds`].
pub(super) fn of_class(class: i8) -> usize {
    usize::from(class.abs_diff(MIN_CLASS)).min(CLASSES - 1)
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
        self.pace.allows(self.serving + self.redirects) && self.state.watch.has_room()
    }

    /// Requests in flight, redirects of late among them, and queued.
    pub(super) fn load(&self) -> u64 {
        u64::from(self.serving) + u64::from(self.redirects) + u64::from(self.waiting.len())
    }
}
