//! What servers and listeners that left had counted: their pool, and the process, go on from it.
//!
//! A server that leaves gives its pool what it has, and so does one that was still at work then, when it is done. If it comes
//! back it begins anew.

use super::counters::{Failures, Links, Loyalty, Traffic};
use super::served::Served;
use crate::limits::PoolId;
use crate::table::Table;

/// What servers did, together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) traffic: Traffic,
    pub(super) failures: Failures,
    pub(super) loyalty: Loyalty,
    pub(super) links: Links,
    /// Milliseconds, as in [`Served`].
    pub(super) times_ms: [u64; 4],
    pub(super) most_ms: [u32; 4],
    /// When one of them last answered.
    pub(super) last_ms: Option<u64>,
}

impl Sum {
    pub(super) fn add(&mut self, served: &Served) {
        self.traffic.plus(&served.traffic);
        self.failures.plus(&served.failures);
        self.loyalty.plus(&served.loyalty);
        self.links.plus(&served.links);
        self.times_ms.iter_mut().zip(served.times_ms).for_each(|(sum, ms)| *sum += ms);
        self.most_ms.iter_mut().zip(served.most_ms).for_each(|(most, ms)| *most = ms.max(*most));
        self.last_ms = self.last_ms.max(served.last_ms);
    }
}

/// All that left.
pub(super) struct Departed {
    /// Servers, by pool. Few pools ever lose one.
    servers: Table<Sum>,
    /// Connections of listeners.
    pub(super) connections: u64,
    /// Their requests.
    pub(super) requests: u64,
    /// Milliseconds that servers were not down.
    pub(super) up_ms: u64,
    /// Requests that an operator cleared away, for who must not notice that.
    pub(super) cleared: u64,
}

impl Departed {
    /// Of so many pools, nothing yet.
    pub(super) fn new(pools: usize) -> Self {
        Self { servers: Table::new(pools), connections: 0, requests: 0, up_ms: 0, cleared: 0 }
    }

    /// The servers that left a pool.
    pub(super) fn of(&self, pool: PoolId) -> Sum {
        self.servers.get(pool.0.into()).copied().unwrap_or_default()
    }

    /// A server that has this leaves a pool.
    pub(super) fn take(&mut self, pool: PoolId, served: &Served) {
        self.servers.at(pool.0.into()).add(served);
    }

    /// Another pool is in this place.
    pub(super) fn forget(&mut self, pool: PoolId) {
        if let Some(sum) = self.servers.get_mut(pool.0.into()) {
            *sum = Sum::default();
        }
    }

    /// Forgets the highest values; `all`: every count, of which `requests` were.
    pub(super) fn clear(&mut self, all: bool, requests: u64) {
        for sum in self.servers.iter_mut() {
            *sum = if all { Sum::default() } else { Sum { most_ms: [0; 4], ..*sum } };
        }
        if all {
            (self.connections, self.requests) = (0, 0);
            self.cleared += requests;
        }
    }
}
