//! What there is to tell of the process as a whole, for the metrics, the JSON and `show info`.

use super::energy::{Energy, per_million};
use super::figures::NOTHING;
use super::lines::Lines;
use super::machine;
use crate::limits::{CLOCK_SET_MS, SESSIONS};
use crate::proxy::{Loyalty, Proxy};
use crate::runtime::cpu_ms;

/// The version as tools for HAProxy read it: first how much of HAProxy there is to expect.
pub(super) const VERSION: &str = concat!("2.6.0-beelance-", env!("CARGO_PKG_VERSION"));

/// All of it at this moment.
pub(super) struct Own {
    pub uptime_ms: u64,
    /// When it started; nothing while the clock is not set.
    pub started_s: u64,
    pub memory_limit: u64,
    /// Bytes in use; nothing where /proc is not there.
    pub memory: u64,
    pub descriptors: u64,
    pub connections: u64,
    pub most_connections: u64,
    /// As many as the tables have places for.
    pub planned_connections: u64,
    pub all_connections: u64,
    /// Connections a second: in the last one, and the most of any listener.
    pub rate: [u64; 2],
    pub requests: u64,
    /// Of all pools.
    pub loyalty: Loyalty,
    pub slots: u64,
    pub queued: u64,
    pub stopping: u64,
    pub listeners: u64,
    /// Buffers and pipes: there are, in use.
    pub small_buffers: [u64; 2],
    pub large_buffers: [u64; 2],
    pub pipes: [u64; 2],
    /// Users that the session map can know; nothing where there is none.
    pub sessions: u64,
    /// How long others waited for the loop: the most of the last ten seconds, the average in microseconds, the most ever.
    pub lag_ms: u64,
    pub average_lag_us: u64,
    pub most_lag_ms: u64,
    /// Lines of the log that were lost.
    pub lost_lines: u64,
    /// Those that were left out, as many alike had been told.
    pub left_out: u64,
    /// Processor time.
    pub cpu_ms: u64,
    /// Millijoules of the board, and of the servers: nothing where no watts are given.
    pub energy_mj: [u64; 2],
    /// Joules of a million requests, of the same.
    pub million_j: [u64; 2],
}

/// How one of its figures is got.
pub(super) type Reading = fn(&Own) -> u64;

impl Own {
    /// Of `proxy`, and of `lines`, all that lead anywhere; [`Proxy::refresh_statistics`] was called before.
    pub(super) fn of(proxy: &Proxy, lines: &[Lines]) -> Self {
        let config = proxy.config();
        let budget = &config.limits.budget;
        let (usage, lags) = (proxy.usage(), proxy.reactor.lags());
        let began_ms = proxy.reactor.clock().wall_ms(0);
        let mut rate = [0; 2];
        for (id, _) in config.listeners() {
            let it = proxy.listener_stats(id).connections;
            rate = [rate[0] + it.rate, rate[1].max(it.most_rate)];
        }
        let mut loyalty = Loyalty::default();
        for (id, _) in config.pools() {
            loyalty.plus(&proxy.pool_stats(id).work.loyalty);
        }
        let energy = Energy::of(proxy);
        let energy_mj = [energy.board_mj, energy.servers_mj.unwrap_or(NOTHING)];
        let each = |mj: u64| if mj == NOTHING { mj } else { per_million(mj, proxy.requests_ever()).unwrap_or(NOTHING) };
        let pair = |there: usize, used: usize| [there as u64, used as u64];
        Self {
            uptime_ms: proxy.reactor.now_ms(),
            started_s: if began_ms >= CLOCK_SET_MS { began_ms / 1000 } else { NOTHING },
            memory_limit: budget.memory,
            memory: machine::resident("self").unwrap_or(NOTHING),
            descriptors: budget.descriptors(),
            connections: usage.connections as u64,
            most_connections: proxy.maxconn() as u64,
            planned_connections: budget.connections as u64,
            all_connections: proxy.all_connections(),
            rate,
            requests: proxy.requests(),
            loyalty,
            slots: usage.slots.into(),
            queued: usage.queued.into(),
            stopping: proxy.is_stopping().into(),
            listeners: config.order.listeners.len() as u64,
            small_buffers: pair(budget.small_buffers, usage.small_buffers),
            large_buffers: pair(budget.large_buffers, usage.large_buffers),
            pipes: pair(budget.pipes, usage.pipes),
            sessions: if budget.beside.sessions > 0 { SESSIONS as u64 } else { NOTHING },
            lag_ms: lags.recent_ms,
            average_lag_us: lags.average_us,
            most_lag_ms: lags.most_ms,
            lost_lines: lines.iter().map(Lines::lost).sum(),
            left_out: proxy.left_out(),
            cpu_ms: cpu_ms(),
            energy_mj,
            million_j: energy_mj.map(each),
        }
    }
}
