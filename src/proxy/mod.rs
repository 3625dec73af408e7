//! The life of a connection: accept, read a head, route, place, wait for a slot, connect, exchange, log, again.
//!
//! Joins `http`, `balance` and `runtime`; owns the one [`Proxy`] that all tasks share. Start reading in `connection`.

mod accept;
mod added;
mod affinity;
mod answer;
mod ask;
mod broken;
mod connection;
mod exchange;
mod flow;
mod head;
#[cfg(test)]
mod footprint;
mod idle;
mod obtain;
mod place;
mod rates;
mod record;
mod relay;
mod reply;
mod retry;
mod rules;
mod shed;
mod slot;
mod state;
mod tunnel;
mod usage;
mod warm;
mod workers;

pub use accept::accept;
pub use idle::purge_idle;
pub use place::Arrival;
pub use record::{Journal, Record, UNNAMED};
pub use state::begin_trials;
pub use usage::Usage;
pub use warm::warm_up;

use crate::balance::{BackendSpec, Balancer, Budget, Hash, PoolSpec, Sessions, dynamic};
use crate::config::{Backend, Config, Timeouts};
use crate::http::date::DateLine;
use crate::http::request_id;
use crate::limits::{BackendId, Budget as Bytes, ListenerId, PoolId, SPARE_SEATS};
use crate::runtime::{Buffers, Current, Loop, Reactor};
use idle::Idle;
use place::Expecting;
use rates::Limiter;
use shed::Sheddable;
use state::Told;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::rc::Rc;
use workers::{Post, Worker};

/// What all tasks share. Lives as long as the process.
pub struct Proxy {
    /// The configuration of now.
    config: Current<Config>,
    /// Its timeouts: who waits looks at them again and again.
    timeouts: Cell<Timeouts>,
    /// What the tables were made for, and `limits.header-size`: they stay as they were at the start.
    pub budget: Bytes,
    header_size: usize,
    /// Connections that are kept for clients who are known.
    reserve: Cell<usize>,
    /// Sockets, seats and the clock.
    pub reactor: &'static Reactor,
    /// Backends, pools and who waits.
    pub balancer: RefCell<Balancer>,
    event_loop: &'static Loop,
    buffers: &'static Buffers,
    idle: RefCell<Idle>,
    /// Connections without a complete request, in the order in which they make room.
    sheddable: RefCell<Sheddable>,
    /// Who sits in each seat of a connection.
    posts: Box<[Cell<Post>]>,
    /// Workers without a connection: made when first needed, then kept.
    shelf: RefCell<Vec<Worker>>,
    /// Where each backend is; `None` while its name is not resolved, or its slot is free, and where it is a UNIX socket.
    addresses: Box<[Cell<Option<SocketAddr>>]>,
    expecting: Expecting,
    /// What each pool may retry.
    budgets: Box<[RefCell<Budget>]>,
    /// What was last told of each backend.
    told: Box<[Cell<Told>]>,
    /// The seat of the task that begins the trials of ejected backends.
    trials: Cell<u16>,
    /// Which backends users were given, where a pool remembers that.
    sessions: RefCell<Sessions>,
    /// What single clients did, where that is bounded.
    limiter: Option<Limiter>,
    date: RefCell<DateLine>,
    /// Where the requests' ids come from.
    ids: request_id::Source,
    /// Whether each route is closed for maintenance.
    maintenance: Box<[Cell<bool>]>,
    /// Connections that are held in the tarpit.
    tarpitted: Cell<usize>,
    /// The seat of [`warm_up`].
    warmer: Cell<Option<u16>>,
    journal: Option<&'static dyn Journal>,
    /// Listeners that are open.
    listening: Cell<usize>,
    connections: Cell<usize>,
    listener_connections: Box<[Cell<usize>]>,
    pool_exchanges: Box<[Cell<usize>]>,
    requests: Cell<u64>,
    stopping: Cell<bool>,
    /// Seats of tasks that want to know when a connection ended or may be shed: listeners that rest, the drain.
    watchers: RefCell<heapless::Vec<u16, SPARE_SEATS>>,
}

impl Proxy {
    /// A proxy with nothing in it. `addresses` are the backends', in their order.
    #[must_use]
    pub fn new(
        config: Rc<Config>,
        event_loop: &'static Loop,
        addresses: &[Option<SocketAddr>],
        journal: Option<&'static dyn Journal>,
    ) -> Self {
        let budget = &config.limits.budget.clone();
        let cookie_value = |(backend, &address): (&Backend, &Option<SocketAddr>)| -> Box<str> {
            let pool = &config.pools[backend.pool.index()];
            let secret = pool.cookie.as_ref().and_then(|cookie| cookie.dynamic_key.as_ref());
            match secret.filter(|_| backend.dynamic_cookie) {
                // While it has no address nobody is led to it.
                Some(secret) => address
                    .map_or_else(Box::default, |address| dynamic::value(secret.as_bytes(), address).as_str().into()),
                None => backend.cookie.as_str().into(),
            }
        };
        let specs = config.backends.iter().zip(addresses);
        let specs = specs.map(|(backend, address)| BackendSpec {
            pool: backend.pool,
            weight: backend.weight,
            maxconn: backend.maxconn,
            auto: backend.auto,
            maxqueue: backend.maxqueue,
            backup: backend.backup,
            cookie: cookie_value((backend, address)),
            seed: Hash::Beelance.of(&[backend.name.as_bytes()]),
            up: true,
        });
        let pools = config.pools.iter().map(|pool| PoolSpec {
            algorithm: pool.balance,
            maxconn: pool.maxconn,
            maxqueue: pool.maxqueue,
            passive: pool.passive,
            slowstart_ms: pool.slowstart_ms,
        });
        let pools: Vec<PoolSpec> = pools.collect();
        let seats = budget.connections + SPARE_SEATS;
        // The standard library keys its hashers from the system's entropy.
        let seed = RandomState::new().hash_one(0);
        let secret = [0, 1].map(|half| RandomState::new().hash_one(half));
        let expires_ms = config.pools.iter().map(|pool| pool.stick.as_ref().map_or(0, |stick| stick.expire_ms));
        let (small, large) = (budget.small_buffers, budget.large_buffers);
        let buffers = Buffers::new(small, large, budget.pipes, event_loop.reactor);
        let mut balancer = Balancer::new(&pools, specs.collect(), seats).seeded(seed);
        let nowhere =
            |(_, (backend, address)): &(_, (&Backend, &Option<_>))| address.is_none() && backend.path.is_none();
        let placed = config.backends.iter().zip(addresses);
        for (id, _) in (0..).map_while(BackendId::new).zip(placed).filter(nowhere) {
            let wake: &mut dyn FnMut(u16) = &mut |_| ();
            balancer.set_placed(id, false, wake);
        }
        let redirecting = config.backends.iter().enumerate().filter(|(_, backend)| backend.redirect.is_some());
        redirecting.filter_map(|(index, _)| BackendId::new(index)).for_each(|id| balancer.begin_redirects(id));
        let mut idle = Idle::new(event_loop.reactor, config.backends.len(), budget.connections);
        for (index, backend) in config.backends.iter().enumerate() {
            BackendId::new(index).into_iter().for_each(|id| idle.set_private(id, backend.send_proxy.is_some()));
        }
        Self {
            timeouts: Cell::new(config.timeouts),
            budget: *budget,
            header_size: config.limits.header_size,
            reserve: Cell::new(config.clients.reserve),
            reactor: event_loop.reactor,
            told: Told::all(&balancer, config.backends.len()),
            balancer: RefCell::new(balancer),
            event_loop,
            buffers: Box::leak(Box::new(buffers)),
            idle: RefCell::new(idle),
            sheddable: RefCell::new(Sheddable::new(budget.connections + SPARE_SEATS)),
            posts: (0..seats).map(|_| Cell::default()).collect(),
            shelf: RefCell::new(Vec::with_capacity(budget.connections)),
            addresses: addresses.iter().map(|&address| Cell::new(address)).collect(),
            expecting: Expecting::default(),
            budgets: config.pools.iter().map(|pool| RefCell::new(Budget::new(pool.retry_budget))).collect(),
            trials: Cell::new(0),
            sessions: RefCell::new(Sessions::new(budget.beside.sessions, secret, expires_ms)),
            limiter: Limiter::new(&config, secret),
            date: RefCell::new(DateLine::default()),
            ids: request_id::Source::new([0, 1].map(|half| RandomState::new().hash_one(half))),
            maintenance: config.routes.iter().map(|routed| Cell::new(routed.maintenance.on)).collect(),
            tarpitted: Cell::new(0),
            warmer: Cell::new(None),
            journal,
            listening: Cell::new(0),
            connections: Cell::new(0),
            listener_connections: config.listeners.iter().map(|_| Cell::new(0)).collect(),
            pool_exchanges: config.pools.iter().map(|_| Cell::new(0)).collect(),
            requests: Cell::new(0),
            stopping: Cell::new(false),
            watchers: RefCell::new(heapless::Vec::new()),
            config: Current::new(config),
        }
    }

    /// The configuration of now. Who keeps it across an `await` keeps it alive, so only what ends soon does.
    #[must_use]
    #[inline(always)]
    pub fn config(&self) -> Rc<Config> {
        self.config.get()
    }

    /// The timeouts of now.
    fn timeouts(&self) -> Timeouts {
        self.timeouts.get()
    }

    /// The loop its tasks run on.
    #[must_use]
    pub fn event_loop(&self) -> &'static Loop {
        self.event_loop
    }

    /// Whether every listener is closed, and every client's connection.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.listening.get() == 0 && self.connections() == 0
    }

    /// Client connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Client connections of one listener.
    #[must_use]
    pub fn listener_connections(&self, id: ListenerId) -> usize {
        self.listener_connections[id.index()].get()
    }

    /// Exchanges under way in one pool, queued ones among them.
    #[must_use]
    pub fn pool_exchanges(&self, id: PoolId) -> usize {
        self.pool_exchanges[id.index()].get()
    }

    /// Requests read so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Stops accepting; connections close when their exchange is over, idle ones at once.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.reactor.wake_all();
    }

    /// Whether [`Proxy::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Lets `seat` be woken whenever a connection ends, or a listener closes, until [`Proxy::look_away`].
    pub fn watch_connections(&self, seat: u16) {
        // There are fewer such tasks than places.
        let _ = self.watchers.borrow_mut().push(seat);
    }

    fn look_away(&self, seat: u16) {
        self.watchers.borrow_mut().retain(|&watcher| watcher != seat);
    }

    /// The wall clock, in milliseconds since 1970.
    fn wall_ms(&self) -> u64 {
        self.reactor.clock().wall_ms(self.reactor.now_ms())
    }

    /// Gives `take` the Date line of now; an empty one while the clock is not set.
    fn with_date<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        take(self.date.borrow_mut().at(self.wall_ms()))
    }

    /// Whether there are as many client connections as anybody may have.
    fn is_full(&self) -> bool {
        self.connections() >= self.ordinary()
    }

    /// Whether there may be another client connection, if only of somebody who is known.
    fn has_place(&self) -> bool {
        self.connections() < self.budget.connections
    }

    /// Connections there may be of clients who are not known: all but those that are kept.
    fn ordinary(&self) -> usize {
        self.budget.connections - self.reserve.get()
    }

    fn wake_watchers(&self) {
        self.watchers.borrow().iter().for_each(|&seat| self.reactor.wake(seat));
    }
}

/// Counts one thing up for as long as it lives.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
