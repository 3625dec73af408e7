//! The life of a connection: accept, read a head, route, place, wait for a slot, connect, exchange, log, again.
//!
//! Joins `http`, `balance` and `runtime`; owns the one [`Proxy`] that all tasks share. Start reading in `connection`.

mod accept;
mod added;
mod affinity;
mod answer;
mod ask;
mod adopt;
mod broken;
mod ceilings;
mod condition;
mod connection;
mod counters;
mod departed;
mod doors;
mod exchange;
mod explain;
mod flow;
mod head;
mod heard;
#[cfg(test)]
mod footprint;
mod idle;
mod judge;
mod left_out;
#[cfg(test)]
mod never_falls;
mod obtain;
mod orders;
mod place;
mod rates;
mod record;
mod relay;
mod repeats;
mod reply;
mod retry;
mod roll;
mod rules;
mod served;
mod shed;
mod slot;
mod snapshot;
mod state;
mod statistics;
mod tunnel;
mod usage;
mod warm;
mod workers;

pub use accept::Entrance;
pub use adopt::{Changes, backend_spec, pool_spec};
pub use condition::{Checked, Finding};
pub use counters::{Failures, Loyalty, Traffic};
pub use explain::{End, Explained};
pub use heard::{Answer, Heard, Words};
pub use idle::purge_idle;
pub use place::Arrival;
pub use rates::{Allowance, Regard, Used};
pub use record::{Journal, Record, UNNAMED};
pub use repeats::About;
pub use roll::Present;
pub use snapshot::{BackendStats, ListenerStats, Many, PoolStats, Work};
pub use state::begin_trials;
pub use usage::Usage;
pub use warm::warm_up;

use crate::balance::{Balancer, Budget, Outcomes, PoolSpec, Sessions};
use crate::config::{Config, Room, Timeouts};
use crate::http::date::DateLine;
use crate::http::request_id;
use crate::limits::{Budget as Bytes, ListenerId, PoolId, SPARE_SEATS};
use crate::runtime::{Buffers, Current, Loop, Reactor};
use crate::table::Table;
use ceilings::Ceilings;
use counters::Headcount;
use doors::Doors;
use idle::Idle;
use orders::Resting;
use place::Expecting;
use rates::Limiter;
use repeats::Repeats;
use shed::Sheddable;
use state::Told;
use statistics::Statistics;
use std::cell::{Cell, OnceCell, RefCell};
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
    /// The places of all tables.
    pub room: Room,
    ceilings: Ceilings,
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
    /// Which lines may be told.
    repeats: Repeats,
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
    journal: Cell<Option<&'static dyn Journal>>,
    doors: Doors,
    /// What failed.
    outcomes: RefCell<Outcomes>,
    /// Connections that carried no requests.
    relayed: Cell<u64>,
    connections: Cell<usize>,
    listener_connections: Box<[Headcount]>,
    pool_exchanges: Box<[Headcount]>,
    statistics: RefCell<Statistics>,
    /// What was heard of backends beside the traffic.
    heard: OnceCell<RefCell<Table<Heard>>>,
    /// What operators let rest of each backend.
    resting: Box<[Cell<Resting>]>,
    /// When rates go on.
    second_ends_ms: Cell<u64>,
    /// Seats of tasks that want to know when a connection ended or may be shed: listeners that rest, the drain.
    watchers: RefCell<heapless::Vec<u16, SPARE_SEATS>>,
}

impl Proxy {
    /// A proxy with nothing in it. `addresses` are the backends', in their order.
    #[must_use]
    pub fn new(config: Rc<Config>, event_loop: &'static Loop, addresses: &[Option<SocketAddr>]) -> Self {
        let budget = config.limits.budget;
        let room = Room::for_config(&config);
        let empty = || (0..room.backends).map(|_| None);
        let addresses: Vec<Option<SocketAddr>> = addresses.iter().copied().chain(empty()).take(room.backends).collect();
        let backends = config.backends.iter().zip(&addresses);
        let specs = backends.map(|(backend, &address)| backend_spec(&config, backend, address)).collect();
        let pools: Vec<PoolSpec> = config.pools.iter().map(pool_spec).collect();
        let seats = budget.connections + SPARE_SEATS;
        // The standard library keys its hashers from the system's entropy.
        let seed = RandomState::new().hash_one(0);
        let secret = [0, 1].map(|half| RandomState::new().hash_one(half));
        let mut sessions = Sessions::new(budget.beside.sessions, secret, room.pools);
        for (id, pool) in config.pools() {
            sessions.set_pool(id, &pool.name, pool.stick.as_ref().map_or(0, |stick| stick.expire_ms));
        }
        let (small, large) = (budget.small_buffers, budget.large_buffers);
        let buffers = Buffers::new(small, large, budget.pipes, event_loop.reactor);
        let mut balancer = Balancer::new(&pools, specs, seats).seeded(seed).with_room(room.pools, room.backends);
        for (id, backend) in config.backends() {
            if addresses[id.index()].is_none() && backend.path.is_none() {
                let wake: &mut dyn FnMut(u16) = &mut |_| ();
                balancer.set_placed(id, false, wake);
            }
            if backend.redirect.is_some() {
                balancer.begin_redirects(id);
            }
        }
        let mut idle = Idle::new(event_loop.reactor, room.backends, budget.connections);
        config.backends().for_each(|(id, backend)| idle.set_private(id, backend.send_proxy.is_some()));
        let mut statistics = Statistics::new(room.listeners, room.backends, room.pools);
        for (id, _) in config.pools() {
            statistics.pools[id.index()].health.begin(balancer.usable(id) != (0, 0), 0);
        }
        Self {
            timeouts: Cell::new(config.timeouts),
            budget,
            room,
            header_size: config.limits.header_size,
            ceilings: Ceilings::new(budget.connections, config.clients.reserve, room.listeners),
            reactor: event_loop.reactor,
            told: Told::all(&balancer, room.backends),
            repeats: Repeats::default(),
            balancer: RefCell::new(balancer),
            event_loop,
            buffers: Box::leak(Box::new(buffers)),
            idle: RefCell::new(idle),
            sheddable: RefCell::new(Sheddable::new(budget.connections + SPARE_SEATS)),
            posts: (0..seats).map(|_| Cell::default()).collect(),
            shelf: RefCell::new(Vec::with_capacity(budget.connections)),
            addresses: addresses.into_iter().map(Cell::new).collect(),
            expecting: Expecting::default(),
            budgets: (0..room.pools)
                .map(|at| RefCell::new(Budget::new(config.pools.get(at).map_or(0, |pool| pool.retry_budget))))
                .collect(),
            trials: Cell::new(0),
            sessions: RefCell::new(sessions),
            limiter: Limiter::new(&config, secret),
            date: RefCell::new(DateLine::default()),
            ids: request_id::Source::new([0, 1].map(|half| RandomState::new().hash_one(half))),
            maintenance: (0..room.routes)
                .map(|at| Cell::new(config.routes.get(at).is_some_and(|routed| routed.maintenance.on)))
                .collect(),
            tarpitted: Cell::new(0),
            warmer: Cell::new(None),
            journal: Cell::new(None),
            doors: Doors::new(room.listeners),
            outcomes: RefCell::default(),
            relayed: Cell::new(0),
            connections: Cell::new(0),
            listener_connections: (0..room.listeners).map(|_| Headcount::default()).collect(),
            pool_exchanges: (0..room.pools).map(|_| Headcount::default()).collect(),
            statistics: RefCell::new(statistics),
            heard: OnceCell::new(),
            resting: Resting::nothing(room.backends),
            second_ends_ms: Cell::new(0),
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

    /// Who writes the access log from now on.
    pub fn set_journal(&self, journal: Option<&'static dyn Journal>) {
        self.journal.set(journal);
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
        self.doors.are_closed() && self.connections() == 0
    }

    /// Client connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Client connections of one listener.
    #[must_use]
    pub fn listener_connections(&self, id: ListenerId) -> usize {
        self.listener_connections[id.index()].now()
    }

    /// Exchanges under way in one pool, queued ones among them.
    #[must_use]
    pub fn pool_exchanges(&self, id: PoolId) -> usize {
        self.pool_exchanges[id.index()].now()
    }

    /// Requests read so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.statistics.borrow().requests()
    }

    /// The same since the start: those too that an operator cleared away.
    #[must_use]
    pub fn requests_ever(&self) -> u64 {
        let statistics = self.statistics.borrow();
        statistics.requests() + statistics.departed.cleared
    }

    /// Connections of clients so far.
    #[must_use]
    pub fn all_connections(&self) -> u64 {
        let there: u64 = self.listener_connections.iter().map(Headcount::total).sum();
        self.statistics.borrow().departed.connections + there
    }

    /// Lets `seat` be woken whenever a connection ends, or a listener closes, until `Proxy::look_away`.
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
        self.connections() < self.maxconn()
    }

    /// Connections there may be of clients who are not known: all but those that are kept.
    fn ordinary(&self) -> usize {
        self.ceilings.ordinary()
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
