//! Statistics as they are read: of one listener, backend or pool, at this moment. What tells them to the outside
//! (`operate`) writes these and computes nothing. What reads one is inlined where it is read, and costs what is used of it:
//! a scrape reads a few figures of each object a hundred times over.

use super::Proxy;
use super::condition::Checked;
use super::counters::{Failures, Headcount, Links, Loyalty, Traffic};
use crate::balance::{Admin, Curve, Means, PerSecond};
use crate::limits::{BackendId, ListenerId, PoolId};

/// How many there are of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Many {
    /// At the moment.
    pub now: u64,
    /// At most so far.
    pub most: u64,
    /// In all.
    pub total: u64,
    /// In the last second.
    pub rate: u64,
    /// In a second at most.
    pub most_rate: u64,
}

/// A listener (`FRONTEND`).
#[derive(Clone, Copy, Debug)]
pub struct ListenerStats {
    /// Connections.
    pub connections: Many,
    /// Requests; how many are under way is not known by listener.
    pub requests: Many,
    /// Connections that were closed because of who they were from: at once, and behind their PROXY header.
    pub refused: [u64; 2],
    /// Bytes and statuses.
    pub traffic: Traffic,
    /// What went wrong.
    pub failures: Failures,
}

/// What a backend does, or those of a pool together.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Requests that a backend works on, or connections without requests; of a pool, those that wait among them.
    pub requests: Many,
    /// Requests that wait for the backend, or for any of the pool's: now, and at most.
    pub queue: [u64; 2],
    /// Bytes and statuses.
    pub traffic: Traffic,
    /// What went wrong.
    pub failures: Failures,
    /// Where users were led.
    pub loyalty: Loyalty,
    /// Attempts to connect, and exchanges on a connection that had served before.
    pub links: [u64; 2],
    /// Averages over the last 1,024 of each backend: milliseconds in the queue, for a connection, for the response's head, in all.
    pub averages_ms: [u64; 4],
    /// Milliseconds of all requests so far, in the same order.
    pub times_ms: [u64; 4],
    /// The most milliseconds of a request, in the same order.
    pub most_ms: [u32; 4],
    /// Milliseconds since the last answer, if there was one.
    pub idle_ms: Option<u64>,
}

/// A backend (a server).
#[derive(Clone, Copy, Debug)]
pub struct BackendStats {
    /// What it does.
    pub work: Work,
    /// It works on so many requests at once at most, at the moment; 0 = unlimited.
    pub maxconn: u32,
    /// Whether it takes requests.
    pub up: bool,
    /// Whether probes, agent and traffic find nothing wrong.
    pub healthy: bool,
    /// What is wanted of it.
    pub admin: Admin,
    /// Its weight, as configured or as changed since.
    pub weight: u16,
    /// How far it is on its way up, percent; nothing when it is not.
    pub throttle: Option<u32>,
    /// The last probe.
    pub checked: Checked,
    /// Probes that failed while it was up.
    pub check_failures: u64,
    /// How often it went down.
    pub downs: u64,
    /// How often the traffic ejected it.
    pub ejections: u64,
    /// Milliseconds since its state changed.
    pub since_ms: u64,
    /// Milliseconds that it was down, in all.
    pub down_ms: u64,
    /// Connections to it that wait for a request.
    pub idle_connections: u64,
}

/// A pool (`BACKEND`).
#[derive(Clone, Copy, Debug)]
pub struct PoolStats {
    /// What its backends do; what never came to one of them is in it.
    pub work: Work,
    /// Backends that take new users, active ones and backups.
    pub usable: (usize, usize),
    /// The weights of those that do.
    pub weight: u32,
    /// How often it was left without a backend.
    pub downs: u64,
    /// Milliseconds since it has one, or has none.
    pub since_ms: u64,
    /// Milliseconds without one, in all.
    pub down_ms: u64,
    /// Users that the session map knows.
    pub sessions: u64,
}

fn averages<const N: usize>((sums, count): ([u64; N], u64)) -> [u64; N] {
    sums.map(|sum| sum.checked_div(count).unwrap_or(0))
}

/// Attempts, and exchanges without a fresh connection.
fn links(links: &Links, traffic: &Traffic) -> [u64; 2] {
    [links.attempts, traffic.exchanges().saturating_sub(links.fresh)]
}

impl Proxy {
    /// Brings everything up to date; before the others are asked.
    pub fn refresh_statistics(&self) {
        self.turn_second();
        self.settle_statistics();
    }

    /// Of a listener.
    #[must_use]
    pub fn listener_stats(&self, id: ListenerId) -> ListenerStats {
        self.listener_figures(id)
    }

    /// The same, inlined.
    #[must_use]
    #[inline(always)]
    pub fn listener_figures(&self, id: ListenerId) -> ListenerStats {
        let statistics = self.statistics.borrow();
        let entry = &statistics.listeners[id.index()];
        ListenerStats {
            connections: self.many(&self.listener_connections[id.index()], &entry.arrivals),
            requests: self.rated(0, 0, entry.requests, &entry.asked),
            refused: entry.refused,
            traffic: entry.traffic,
            failures: entry.failures,
        }
    }

    /// Of a backend.
    #[must_use]
    pub fn backend_stats(&self, id: BackendId) -> BackendStats {
        self.backend_figures(id)
    }

    /// The same, inlined.
    #[must_use]
    #[inline(always)]
    pub fn backend_figures(&self, id: BackendId) -> BackendStats {
        let (statistics, balancer) = (self.statistics.borrow(), self.balancer.borrow());
        let (entry, status) = (&statistics.backends[id.index()], balancer.status(id));
        let now_ms = self.reactor.now_ms();
        let health = &entry.health;
        BackendStats {
            work: Work {
                requests: self.rated(status.serving.into(), status.most_serving.into(), status.total, &entry.arrivals),
                queue: [status.queued.into(), status.most_queued.into()],
                traffic: entry.traffic,
                failures: entry.failures,
                loyalty: entry.loyalty,
                links: links(&entry.links, &entry.traffic),
                averages_ms: averages(entry.means.sums()),
                times_ms: entry.times_ms,
                most_ms: entry.most_ms,
                idle_ms: entry.last_ms.map(|last_ms| now_ms.saturating_sub(last_ms)),
            },
            maxconn: status.maxconn,
            up: status.up,
            healthy: balancer.is_healthy(id),
            admin: balancer.admin(id),
            weight: status.weight,
            throttle: status.throttle,
            checked: health.checked,
            check_failures: health.failures,
            downs: health.downs,
            ejections: health.ejections,
            since_ms: now_ms.saturating_sub(health.since_ms),
            down_ms: health.down_ms(now_ms),
            idle_connections: self.idle.borrow().count(id).into(),
        }
    }

    /// Of a pool.
    #[must_use]
    pub fn pool_stats(&self, id: PoolId) -> PoolStats {
        self.pool_figures(id)
    }

    /// The same, inlined.
    #[must_use]
    #[inline(always)]
    pub fn pool_figures(&self, id: PoolId) -> PoolStats {
        let now_ms = self.reactor.now_ms();
        let (statistics, balancer) = (self.statistics.borrow(), self.balancer.borrow());
        let own = &statistics.pools[id.index()];
        let sessions = match self.config().pools[id.index()].stick {
            Some(_) => self.sessions.borrow().known(id, now_ms) as u64,
            None => 0,
        };
        let mut sum = statistics.departed.of(id);
        let (mut together, mut weight) = (([0; 4], 0), 0);
        for &member in balancer.members(id) {
            let entry = &statistics.backends[member.index()];
            sum.add(entry);
            let (sums, count) = Means::sums(&entry.means);
            together.0.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
            together.1 += count;
            let status = balancer.status(member);
            if status.takes_users {
                weight += u32::from(status.weight);
            }
        }
        // Who came to no backend used no connection.
        let links = links(&sum.links, &sum.traffic);
        sum.traffic.plus(&own.traffic);
        sum.failures.plus(&own.failures);
        PoolStats {
            work: Work {
                requests: self.many(&self.pool_exchanges[id.index()], &own.arrivals),
                queue: [balancer.queued(id).into(), balancer.most_queued(id).into()],
                traffic: sum.traffic,
                failures: sum.failures,
                loyalty: sum.loyalty,
                links,
                averages_ms: averages(together),
                times_ms: sum.times_ms,
                most_ms: sum.most_ms,
                idle_ms: sum.last_ms.map(|last_ms| now_ms.saturating_sub(last_ms)),
            },
            usable: balancer.usable(id),
            weight,
            downs: own.health.downs,
            since_ms: now_ms.saturating_sub(own.health.since_ms),
            down_ms: own.health.down_ms(now_ms),
            sessions,
        }
    }

    /// Milliseconds that servers were there and not down, all together: those that left, too.
    #[must_use]
    pub fn servers_up_ms(&self) -> u64 {
        let (statistics, now_ms) = (self.statistics.borrow(), self.reactor.now_ms());
        let up_ms = |id: &BackendId| statistics.backends[id.index()].health.up_ms(now_ms);
        statistics.departed.up_ms + self.config().order.backends.iter().map(up_ms).sum::<u64>()
    }

    /// How fast a backend is by how many requests it works on at once.
    #[must_use]
    pub fn backend_curve(&self, id: BackendId) -> Curve {
        self.statistics.borrow().backends[id.index()].curve
    }

    fn many(&self, count: &Headcount, rate: &PerSecond) -> Many {
        self.rated(count.now() as u64, count.most() as u64, count.total(), rate)
    }

    fn rated(&self, now: u64, most: u64, total: u64, rate: &PerSecond) -> Many {
        let second = self.statistics.borrow().second;
        let in_second = rate.now(total, second, self.reactor.now_ms());
        Many { now, most, total, rate: in_second, most_rate: rate.most(total) }
    }
}
