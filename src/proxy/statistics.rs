//! What is counted of listeners, backends and pools, by object, for as long as the process lives.
//!
//! The way of a request adds to one entry: that of the backend that answered it. What listeners and pools show is made of
//! those when it is read. To which listener an entry's growth belongs is noted in it, so it is settled whenever a backend
//! answers a request of another listener than before. What has no backend, and everything that goes wrong, is counted
//! where it happens, off the way of a request that goes well.
//!
//! ```text
//!   ended --> Served --settle--> Counters of the listener
//!                |---- read -----> snapshot: backend; pool = sum of its backends + its own Counters + Departed
//!                \---- leaves ---> Departed of the pool
//! ```
//!
//! A total told to the outside never falls but by `clear counters all`, as long as what it is told of is there: neither do
//! those of a pool and of the process when a server or a listener leaves. What leaves and comes back begins anew.
//!
//! All tables are made at the start and are part of the budget's objects. Totals are 64 bits wide.

use super::Proxy;
use super::condition::{Checked, Condition};
use super::counters::{Failures, Traffic};
use super::departed::Departed;
use super::heard::{Heard, Words};
use super::record::Record;
use super::served::{Served, low};
use crate::balance::{PerSecond, Second};
use crate::fault::Fault;
use crate::limits::{BackendId, ListenerId, PoolId};

/// Everything of a listener or a pool that no backend has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) traffic: Traffic,
    pub(super) failures: Failures,
    /// Requests: of a listener.
    pub(super) requests: u64,
    /// Connections of a listener that were closed at once, and those that were when their PROXY header was read.
    pub(super) refused: [u64; 2],
    /// Connections of a listener, requests of a pool.
    pub(super) arrivals: PerSecond,
    /// Requests of a listener.
    pub(super) asked: PerSecond,
    /// Since when a pool has a backend, or has none.
    pub(super) health: Condition,
}

/// All of it.
pub(super) struct Statistics {
    pub(super) second: Second,
    pub(super) listeners: Box<[Counters]>,
    pub(super) backends: Box<[Served]>,
    pub(super) pools: Box<[Counters]>,
    pub(super) departed: Departed,
}

impl Statistics {
    pub(super) fn new(listeners: usize, backends: usize, pools: usize) -> Self {
        Self {
            second: Second::default(),
            listeners: vec![Counters::default(); listeners].into_boxed_slice(),
            backends: vec![Served::new(); backends].into_boxed_slice(),
            pools: vec![Counters::default(); pools].into_boxed_slice(),
            departed: Departed::new(pools),
        }
    }

    /// Gives the listener of a backend's last answers what it has not of them.
    fn settle(&mut self, backend: usize) {
        let served = &mut self.backends[backend];
        let grown = served.traffic.since(&served.settled);
        served.settled = served.traffic;
        self.listeners[served.listener.index()].traffic.plus(&grown);
    }

    /// A backend's place begins anew; its pool keeps what it has.
    fn renew(&mut self, id: BackendId, pool: PoolId, now_ms: u64) {
        self.settle(id.index());
        let served = &mut self.backends[id.index()];
        if served.is_used() {
            self.departed.take(pool, served);
        }
        *served = Served { listener: served.listener, ..Served::new() };
        served.health.begin(true, now_ms);
    }

    /// A backend leaves.
    pub(super) fn let_go(&mut self, id: BackendId, now_ms: u64) {
        self.departed.up_ms += self.backends[id.index()].health.up_ms(now_ms);
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.departed.requests + self.listeners.iter().map(|entry| entry.requests).sum::<u64>()
    }

    #[cold]
    #[inline(never)]
    fn change_listener(&mut self, backend: usize, listener: ListenerId) {
        self.settle(backend);
        self.backends[backend].listener = listener;
    }
}

impl Proxy {
    /// Something came: when it is the first of another second, rates and averages go on.
    #[inline(always)]
    pub(super) fn count_second(&self) {
        if self.reactor.now_ms() >= self.second_ends_ms.get() {
            self.turn_second();
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn turn_second(&self) {
        let Statistics { second, listeners, backends, pools, .. } = &mut *self.statistics.borrow_mut();
        let now_ms = self.reactor.now_ms();
        let Some(turn) = second.turn(now_ms) else { return };
        self.second_ends_ms.set(second.ends_ms());
        for (entry, count) in listeners.iter_mut().zip(&self.listener_connections) {
            entry.arrivals.turn(count.total(), turn);
            entry.asked.turn(entry.requests, turn);
        }
        for (entry, count) in pools.iter_mut().zip(&self.pool_exchanges) {
            entry.arrivals.turn(count.total(), turn);
        }
        let balancer = self.balancer.borrow();
        for (entry, id) in backends.iter_mut().zip((0..).map_while(BackendId::new)) {
            entry.arrivals.turn(balancer.total(id), turn);
            if entry.means.is_due(entry.traffic.exchanges()) {
                entry.take_means();
            }
            entry.take_curve(now_ms);
        }
    }

    /// An exchange is over; `received` bytes came of its request. A function of its own: inlined, it keeps that of the
    /// exchange from being inlined.
    #[inline(never)]
    pub(super) fn ended(&self, record: &Record, received: u64) {
        let statistics = &mut *self.statistics.borrow_mut();
        let (Some(id), Some(answered_ms), Some(connected_ms), Some(headed_ms)) =
            (record.backend, record.answered_ms, record.connected_ms, record.headed_ms)
        else {
            return statistics.ended_without_backend(record, received);
        };
        let now_ms = self.reactor.now_ms();
        if statistics.backends[id.index()].listener != record.listener {
            statistics.change_listener(id.index(), record.listener);
        }
        let served = &mut statistics.backends[id.index()];
        served.traffic.add(record.status, received, record.bytes);
        // Mostly there is a slot, and a connection.
        if low(connected_ms) != low(headed_ms) {
            let placed_ms = record.placed_ms.unwrap_or(headed_ms);
            served.add_time(0, headed_ms, placed_ms);
            served.add_time(1, placed_ms, connected_ms);
        }
        served.add_time(2, connected_ms, answered_ms);
        served.add_time(3, headed_ms, now_ms);
        served.last_ms = Some(now_ms);
        if record.fresh {
            served.links.fresh += 1;
        }
    }

    /// A connection without requests is over.
    #[inline(never)]
    pub(super) fn relayed(&self, record: &Record, received: u64) {
        if let Some(fault) = record.fault {
            self.failed(record, fault);
        }
        // Its answer is that it stands.
        self.ended(&Record { answered_ms: record.connected_ms, ..*record }, received);
    }

    /// An exchange went wrong.
    #[cold]
    pub(super) fn failed(&self, record: &Record, fault: Fault) {
        let mut statistics = self.statistics.borrow_mut();
        statistics.listeners[record.listener.index()].failures.note(fault, record.phase);
        let Some(pool) = record.pool else { return };
        // Who never left a queue that is nobody's is nobody's.
        match record.backend {
            Some(id) => statistics.backends[id.index()].failures.note(fault, record.phase),
            None => statistics.pools[pool.index()].failures.note(fault, record.phase),
        }
    }

    /// Counts what happened to a request in `pool`, at a backend if it was there.
    #[cold]
    pub(super) fn happened(&self, pool: PoolId, id: Option<BackendId>, note: impl FnOnce(&mut Failures)) {
        let mut statistics = self.statistics.borrow_mut();
        note(match id {
            Some(id) => &mut statistics.backends[id.index()].failures,
            None => &mut statistics.pools[pool.index()].failures,
        });
    }

    /// Something about a backend's state changed; `healthy` unless probes, agent or traffic find something wrong.
    pub(super) fn turned(&self, id: BackendId, healthy: bool) {
        let now_ms = self.reactor.now_ms();
        self.statistics.borrow_mut().backends[id.index()].health.turned(healthy, now_ms);
    }

    /// A pool has a backend that takes new users, or none; whether that is new.
    pub(super) fn pool_turned(&self, id: PoolId, usable: bool) -> bool {
        let health = &mut self.statistics.borrow_mut().pools[id.index()].health;
        let turns = health.is_down() == usable;
        if turns {
            health.turned(usable, self.reactor.now_ms());
        }
        turns
    }

    /// A pool begins with a backend that takes new users, or with none.
    pub(super) fn pool_began(&self, id: PoolId, usable: bool) {
        self.statistics.borrow_mut().pools[id.index()].health.begin(usable, self.reactor.now_ms());
    }

    /// The traffic ejected a backend.
    pub(super) fn ejected(&self, id: BackendId) {
        self.statistics.borrow_mut().backends[id.index()].health.ejections += 1;
    }

    /// A backend was probed; `words` are what there is to say of that beside.
    pub fn checked(&self, id: BackendId, checked: Checked, words: &str) {
        self.hear(id).probe = Words::of(words);
        let was_up = self.balancer.borrow().is_healthy(id);
        let health = &mut self.statistics.borrow_mut().backends[id.index()].health;
        health.failures += u64::from(was_up && !checked.finding.is_good());
        health.checked = checked;
    }

    /// A request of a pool that keeps users, bound to `home` or to none, went to `id`.
    pub(super) fn led(&self, id: BackendId, home: Option<BackendId>) {
        let loyalty = &mut self.statistics.borrow_mut().backends[id.index()].loyalty;
        match home {
            Some(home) if home == id => loyalty.hits += 1,
            Some(_) => loyalty.moved += 1,
            None => loyalty.new += 1,
        }
    }

    /// A connection was closed because of who it is from; `named` when a PROXY header said that.
    pub(super) fn refused(&self, listener: ListenerId, named: bool) {
        self.statistics.borrow_mut().listeners[listener.index()].refused[usize::from(named)] += 1;
    }

    /// A connection to a backend is about to be made.
    #[cold]
    pub(super) fn connects(&self, id: BackendId) {
        self.statistics.borrow_mut().backends[id.index()].links.attempts += 1;
    }

    /// A request came on a listener.
    #[inline(always)]
    pub(super) fn asked(&self, listener: ListenerId) {
        self.statistics.borrow_mut().listeners[listener.index()].requests += 1;
    }

    /// Forgets the highest values so far; `all`: every count.
    pub fn clear_statistics(&self, all: bool) {
        self.turn_second();
        self.settle_statistics();
        self.listener_connections.iter().chain(&self.pool_exchanges).for_each(|count| count.clear(all));
        self.balancer.borrow_mut().clear_counts(all);
        let mut statistics = self.statistics.borrow_mut();
        let requests = statistics.requests();
        let Statistics { listeners, backends, pools, departed, .. } = &mut *statistics;
        departed.clear(all, requests);
        for entry in listeners.iter_mut().chain(pools) {
            entry.arrivals.forget_most();
            entry.asked.forget_most();
            if all {
                *entry = Counters { health: entry.health.cleared(), ..Counters::default() };
            }
        }
        for served in backends {
            served.arrivals.forget_most();
            served.most_ms = [0; 4];
            if all {
                *served = Served { listener: served.listener, health: served.health.cleared(), ..Served::new() };
            }
        }
    }

    /// Another backend has this place from now on, or the same one anew.
    pub(super) fn forget_backend(&self, id: BackendId) {
        let pool = self.balancer.borrow().pool(id);
        self.statistics.borrow_mut().renew(id, pool, self.reactor.now_ms());
        if self.heard.get().is_some() {
            *self.hear(id) = Heard::default();
        }
    }

    /// Another pool has this place from now on. The backends of the one before left it.
    pub(super) fn forget_pool(&self, id: PoolId) {
        self.settle_statistics();
        self.pool_exchanges[id.index()].clear(true);
        let mut statistics = self.statistics.borrow_mut();
        statistics.departed.forget(id);
        statistics.pools[id.index()] = Counters::default();
    }

    /// Another listener has this place from now on.
    pub(super) fn forget_listener(&self, id: ListenerId) {
        self.settle_statistics();
        let mut statistics = self.statistics.borrow_mut();
        statistics.departed.connections += self.listener_connections[id.index()].total();
        statistics.departed.requests += statistics.listeners[id.index()].requests;
        statistics.listeners[id.index()] = Counters::default();
        self.listener_connections[id.index()].clear(true);
        self.ceilings.forget(id);
    }

    /// Brings the listeners' entries, averages, and what pools have of backends that left up to date.
    pub(super) fn settle_statistics(&self) {
        let (mut statistics, balancer) = (self.statistics.borrow_mut(), self.balancer.borrow());
        let now_ms = self.reactor.now_ms();
        for id in (0..statistics.backends.len()).map_while(BackendId::new) {
            if let Some(pool) = balancer.departed_from(id) {
                // What was under way there ends there.
                if statistics.backends[id.index()].is_used() {
                    statistics.renew(id, pool, now_ms);
                }
                continue;
            }
            statistics.settle(id.index());
            let served = &mut statistics.backends[id.index()];
            served.take_means();
            served.take_curve(now_ms);
        }
    }
}

impl Statistics {
    #[cold]
    #[inline(never)]
    fn ended_without_backend(&mut self, record: &Record, received: u64) {
        let own = record.pool.map(|id| &mut self.pools[id.index()]);
        for entry in [Some(&mut self.listeners[record.listener.index()]), own].into_iter().flatten() {
            entry.traffic.received += received;
            entry.traffic.sent += record.bytes;
            // Who said nothing was not answered.
            if record.status != 0 {
                entry.traffic.add_other(record.status);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::footprint::proxy;
    use super::*;
    use crate::limits::ListenerId;

    #[test]
    fn what_a_backend_answered_is_its_listeners() {
        let text =
            "listen.a = 127.0.0.1:0\nlisten.b = 127.0.0.1:0\nbackend.s1 = 127.0.0.1:1\nbackend.s2 = 127.0.0.1:2\n";
        let proxy = proxy(&format!("{text}limits.connections = 10\n"));
        let mut expected = [0; 2];
        // In any order: seven is no divisor of what decides.
        for number in 0..50u64 {
            let at = usize::from(number % 7 < 3);
            let mut record = Record::new(None, ListenerId::new(at).unwrap(), 0);
            record.pool = PoolId::new(0);
            record.backend = BackendId::new(usize::from(number % 5 < 2)).filter(|_| number % 11 > 0);
            (record.status, record.bytes) = (200, number);
            (record.headed_ms, record.placed_ms) = (Some(0), Some(0));
            (record.connected_ms, record.answered_ms) = (Some(0), Some(0));
            proxy.ended(&record, 0);
            expected[at] += number;
        }
        proxy.refresh_statistics();
        let sent = [0, 1].map(|at| proxy.listener_stats(ListenerId(at)).traffic.sent);
        assert_eq!(sent, expected);
        let pool = proxy.pool_stats(PoolId(0)).work;
        let backends = [0, 1].map(|at| proxy.backend_stats(BackendId(at)).work.traffic);
        assert_eq!(pool.traffic.sent, expected.iter().sum::<u64>());
        assert_eq!(pool.traffic.statuses[2], 50);
        assert_eq!(backends.map(|traffic| traffic.statuses[2]).iter().sum::<u64>(), 45, "five had none");
        proxy.clear_statistics(false);
        assert_eq!(proxy.pool_stats(PoolId(0)).work.traffic, pool.traffic);
        proxy.clear_statistics(true);
        assert_eq!(proxy.pool_stats(PoolId(0)).work.traffic, Traffic::default());
        assert_eq!(proxy.listener_stats(ListenerId(1)).traffic, Traffic::default());
    }
}
