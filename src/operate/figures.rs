//! Every figure there is of a listener, a pool or a backend, each under one name.
//!
//! The metrics, the CSV and the JSON are tables of these names: they say what a figure is called there, and compute
//! nothing. HAProxy counts the connections of a listener where it counts the requests of a backend, so [`Figure::Now`] and
//! its four neighbours are connections of the one and requests of the others.

use crate::balance::{Admin, Observe};
use crate::config::{Config, Mode};
use crate::limits::{BackendId, ListenerId, MAX_LISTENERS, PoolId};
use crate::operate::text::Text;
use crate::proxy::{Failures, Finding, Loyalty, Many, Proxy, Traffic};
use Figure as F;

/// What has figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Listener(ListenerId),
    Pool(PoolId),
    Backend(BackendId),
}

/// Bits of which objects a row of a table is about: kinds, and behind them what else must hold.
pub(super) mod of {
    pub(in crate::operate) const LISTENER: u8 = 1;
    pub(in crate::operate) const POOL: u8 = 2;
    pub(in crate::operate) const BACKEND: u8 = 4;
    pub(in crate::operate) const ALL: u8 = LISTENER | POOL | BACKEND;
    /// It carries HTTP.
    pub(in crate::operate) const HTTP: u8 = 8;
    /// It is a pool, or its pool is probed.
    pub(in crate::operate) const PROBED: u8 = 16;
    /// It is probed at the moment.
    pub(in crate::operate) const CHECKED: u8 = 32;
    /// Its pool looks at the traffic.
    pub(in crate::operate) const OBSERVED: u8 = 64;
    /// It has an agent, which is asked at the moment.
    pub(in crate::operate) const AGENT: u8 = 128;
}

/// The names. Those that some table tells in a row stand in a row here.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(dead_code, reason = "some are only told as the ones behind another")]
pub(super) enum Figure {
    // Always the same.
    Zero, One,
    // HAProxy's numbers of it: the kind, the proxy, the server in it.
    Type, Proxy, Server,
    // Requests that wait: now, and at most.
    Queue, MostQueue, QueueLimit,
    // Connections of a listener, requests of the others; how many there may be.
    Now, Most, Total, Rate, MostRate, Limit,
    // Requests: of a listener that were read, of the others that were answered.
    Requests, RequestRate, MostRequestRate,
    // What had to be placed, as no user's server was known.
    Balanced,
    Received, Sent,
    // Responses by the first digit of their status.
    Status1, Status2, Status3, Status4, Status5, OtherStatus,
    // See `Failures`.
    Denied, Limited, Malformed, Answered, Unconnected, Unanswered, Retries, Unpaid, Redispatches, ClientAborts,
    ServerAborts, Waited,
    // See `Loyalty`.
    Hits, Moved, New,
    // Milliseconds: averages of the last 1,024, of all together, and the most of one.
    QueueAverage, ConnectAverage, ResponseAverage, TotalAverage,
    QueueTime, ConnectTime, ResponseTime, TotalTime,
    MostQueueTime, MostConnectTime, MostResponseTime, MostTotalTime,
    // Milliseconds since the last response.
    Unused,
    // The weight that counts now, and the one that is set.
    Weight, SetWeight, Throttle,
    // Usable servers, or whether it is one.
    Active, Backups,
    // Of probes: failures, how it stands, and of the last one its place in `FINDINGS`, status and duration.
    CheckFailures, Rise, Fall, Level, Found, CheckStatus, CheckMs,
    // Of the agent's last answer; whether it says that its service is up.
    AgentStatus, AgentMs, AgentLevel,
    // How often it went down; by traffic alone; milliseconds since it is as it is, and that it was down.
    Downs, Ejections, SinceMs, DownMs,
    IdleConnections, Sessions,
    // A place in `STATES`; of a pool, how many of its servers are in each of them.
    State,
    ServersDown, ServersUp, ServersMaint, ServersDrain, ServersNolb,
}

const COUNT: usize = Figure::ServersNolb as usize + 1;

/// There is none.
pub(super) const NOTHING: u64 = u64::MAX;
/// It never was: -1.
pub(super) const NEVER: u64 = u64::MAX - 1;

/// States, HAProxy's names for them.
pub(super) const STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

/// What probes find, in HAProxy's order; of its findings those there can be here.
const FINDINGS: [Finding; 8] = [
    Finding::SocketError,
    Finding::Connected,
    Finding::ConnectTimeout,
    Finding::NotConnected,
    Finding::Silent,
    Finding::Malformed,
    Finding::Good,
    Finding::Wrong,
];
/// The same by HAProxy's codes.
pub(super) const CODES: [&str; 8] = {
    let mut codes = [""; FINDINGS.len()];
    let mut at = 0;
    while at < codes.len() {
        codes[at] = FINDINGS[at].code();
        at += 1;
    }
    codes
};

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// As it is.
    Number,
    /// Milliseconds, in whole seconds.
    Seconds,
    /// Milliseconds, in seconds with three decimals.
    Millis,
}

/// All figures of one object.
pub(super) struct Figures {
    values: [u64; COUNT],
    /// Which bits of [`of`] hold.
    traits: u8,
}

impl Object {
    /// The `at`th of one kind, in the order of the file.
    pub(super) fn nth(config: &Config, kind: u8, at: usize) -> Option<Self> {
        let order = &config.order;
        match kind {
            of::LISTENER => order.listeners.get(at).map(|&id| Self::Listener(id)),
            of::POOL => order.pools.get(at).map(|&id| Self::Pool(id)),
            _ => order.backends.get(at).map(|&id| Self::Backend(id)),
        }
    }

    /// What HAProxy calls `proxy` (`pxname`) and `server` (`svname`).
    pub(super) fn names(self, config: &Config) -> [&str; 2] {
        match self {
            Self::Listener(id) => [&config.listeners[id.index()].name, "FRONTEND"],
            Self::Pool(id) => [&config.pools[id.index()].name, "BACKEND"],
            Self::Backend(id) => {
                let backend = &config.backends[id.index()];
                [&config.pools[backend.pool.index()].name, &backend.name]
            }
        }
    }
}

impl Figures {
    /// Of `object` at this moment; [`Proxy::refresh_statistics`] was called before.
    pub(super) fn of(proxy: &Proxy, config: &Config, object: Object) -> Self {
        let mut figures = Self { values: [NOTHING; COUNT], traits: 0 };
        figures.set(F::Zero, &[0, 1]);
        match object {
            Object::Listener(id) => figures.fill_listener(proxy, config, id),
            Object::Pool(id) => figures.fill_pool(proxy, config, id),
            Object::Backend(id) => figures.fill_backend(proxy, config, id),
        }
        figures
    }

    /// The value; [`NOTHING`] or [`NEVER`] if there is none.
    pub(super) fn get(&self, figure: Figure) -> u64 {
        self.values[figure as usize]
    }

    /// The value `offset` places behind.
    pub(super) fn behind(&self, figure: Figure, offset: usize) -> u64 {
        self.values.get(figure as usize + offset).copied().unwrap_or(NOTHING)
    }

    /// The one of `words` whose place the value is.
    pub(super) fn word<'w>(&self, figure: Figure, words: &[&'w str]) -> &'w str {
        let place = usize::try_from(self.get(figure)).ok();
        place.and_then(|place| words.get(place).copied()).unwrap_or("")
    }

    /// What the last probe found.
    pub(super) fn finding(&self) -> Finding {
        let place = usize::try_from(self.get(Figure::Found)).ok();
        place.and_then(|place| FINDINGS.get(place).copied()).unwrap_or_default()
    }

    /// Whether a row that is about `which` (see [`of`]) is about this object.
    pub(super) fn are(&self, which: u8) -> bool {
        let further = which & !of::ALL;
        which & of::ALL & self.traits != 0 && further & !self.traits == 0
    }

    /// What HAProxy calls the mode.
    pub(super) fn mode(&self) -> &'static str {
        if self.traits & of::HTTP == 0 { "tcp" } else { "http" }
    }

    /// Sets `first` and those that follow it.
    fn set(&mut self, first: Figure, values: &[u64]) {
        self.values[first as usize..][..values.len()].copy_from_slice(values);
    }

    fn fill_listener(&mut self, proxy: &Proxy, config: &Config, id: ListenerId) {
        let (it, settings) = (proxy.listener_stats(id), &config.listeners[id.index()]);
        self.traits = of::LISTENER | mode(settings.mode);
        self.set(F::Type, &[0, number_of_listener(id.index()), 0]);
        self.set_many(&it.connections, proxy.listener_maxconn(id) as u64);
        self.set(F::Requests, &[it.requests.total, it.requests.rate, it.requests.most_rate]);
        self.set_common(&it.traffic, &it.failures);
        self.set(F::State, &[u64::from(!proxy.is_stopping())]);
    }

    fn fill_pool(&mut self, proxy: &Proxy, config: &Config, id: PoolId) {
        let (it, settings) = (proxy.pool_stats(id), &config.pools[id.index()]);
        let (active, backups) = it.usable;
        let limit = match settings.maxconn {
            0 => config.limits.budget.connections as u64,
            maxconn => maxconn.into(),
        };
        self.traits = of::POOL | of::PROBED | mode(settings.mode);
        self.set(F::Type, &[1, number_of_pool(id.index()), 0]);
        self.set(F::Queue, &it.queue);
        self.set_many(&it.requests, limit);
        self.set(F::Requests, &[it.traffic.exchanges()]);
        self.set(F::Balanced, &[it.traffic.exchanges().saturating_sub(it.loyalty.hits)]);
        self.set_common(&it.traffic, &it.failures);
        if settings.keeps_users() {
            self.set_loyalty(&it.loyalty);
        }
        self.set_times([it.averages_ms, it.times_ms, it.most_ms.map(u64::from)], it.idle_ms);
        self.set(F::Weight, &[it.weight.into(), it.weight.into()]);
        self.set(F::Active, &[active as u64, backups as u64]);
        self.set(F::Downs, &[it.downs]);
        self.set(F::SinceMs, &[it.since_ms, it.down_ms]);
        if settings.stick.is_some() {
            self.set(F::Sessions, &[it.sessions]);
        }
        self.set(F::State, &[u64::from(it.usable != (0, 0))]);
        let balancer = proxy.balancer.borrow();
        let mut states = [0; STATES.len()];
        for &member in &settings.backends {
            states[state(balancer.admin(member), balancer.is_healthy(member))] += 1;
        }
        self.set(F::ServersDown, &states);
    }

    fn fill_backend(&mut self, proxy: &Proxy, config: &Config, id: BackendId) {
        let (it, settings) = (proxy.backend_stats(id), &config.backends[id.index()]);
        let pool = &config.pools[settings.pool.index()];
        let unless_zero = |number: u64| if number == 0 { NOTHING } else { number };
        self.traits = of::BACKEND | mode(pool.mode);
        if pool.passive.observe != Observe::None {
            self.traits |= of::OBSERVED;
        }
        self.set(F::Type, &[2, number_of_pool(settings.pool.index()), number_of_backend(config, id)]);
        self.set(F::Queue, &it.queue);
        self.set(F::QueueLimit, &[unless_zero(settings.maxqueue.into())]);
        self.set_many(&it.requests, unless_zero(it.maxconn.into()));
        self.set(F::Requests, &[it.traffic.exchanges()]);
        self.set(F::Balanced, &[it.requests.total.saturating_sub(it.loyalty.hits)]);
        self.set_common(&it.traffic, &it.failures);
        self.set_loyalty(&it.loyalty);
        self.set_times([it.averages_ms, it.times_ms, it.most_ms.map(u64::from)], it.idle_ms);
        // Whether or not it takes anybody.
        self.set(F::Weight, &[it.weight.into(), it.weight.into(), it.throttle.map_or(NOTHING, u64::from)]);
        self.set(F::Active, &[u64::from(!settings.backup), u64::from(settings.backup)]);
        self.set(F::CheckFailures, &[it.check_failures]);
        self.set(F::Downs, &[it.downs, it.ejections, it.since_ms, it.down_ms, it.idle_connections]);
        self.set(F::State, &[state(it.admin, it.healthy) as u64]);
        if let Some(check) = &pool.check {
            self.traits |= of::PROBED | if it.admin == Admin::Maint { 0 } else { of::CHECKED };
            // Before the first probe it is up, and goes down with the first failure; or it is down, where that is known.
            let begun = if it.healthy { check.rise } else { 0 };
            let level = if it.checked.finding == Finding::Nothing { begun } else { it.checked.level };
            self.set(F::Rise, &[check.rise.into(), check.fall.into(), level.into()]);
        }
        let checked = &it.checked;
        if let Some(place) = FINDINGS.iter().position(|&known| known == checked.finding) {
            let status = if checked.status == 0 { NOTHING } else { checked.status.into() };
            self.set(F::Found, &[place as u64, status, checked.duration_ms]);
        }
        if pool.agent.is_some() && settings.path.is_none() && !proxy.agent_rests(id) {
            self.traits |= of::AGENT;
            self.set(F::AgentLevel, &[proxy.said(id).agent_up.into()]);
            if let Some(heard) = proxy.heard(id) {
                // HAProxy's code of an answer that it understood.
                let says = matches!(heard.agent.finding, Finding::Good | Finding::Wrong);
                let took_ms = if heard.agent.finding == Finding::Nothing { NOTHING } else { heard.agent.duration_ms };
                self.set(F::AgentStatus, &[if says { 0 } else { NOTHING }, took_ms]);
            }
        }
    }

    fn set_many(&mut self, it: &Many, limit: u64) {
        self.set(F::Now, &[it.now, it.most, it.total, it.rate, it.most_rate, limit]);
    }

    fn set_common(&mut self, traffic: &Traffic, it: &Failures) {
        self.set(F::Received, &[traffic.received, traffic.sent]);
        self.set(F::Status1, &traffic.statuses[1..]);
        self.set(F::OtherStatus, &traffic.statuses[..1]);
        self.set(F::Denied, &[it.denied, it.limited, it.malformed, it.answered, it.connect, it.response]);
        self.set(F::Retries, &[it.retries, it.unpaid, it.redispatches]);
        self.set(F::ClientAborts, &[it.client_aborts, it.server_aborts, it.waited]);
    }

    fn set_loyalty(&mut self, it: &Loyalty) {
        self.set(F::Hits, &[it.hits, it.moved, it.new]);
    }

    fn set_times(&mut self, times_ms: [[u64; 4]; 3], idle_ms: Option<u64>) {
        self.set(F::QueueAverage, times_ms.as_flattened());
        self.set(F::Unused, &[idle_ms.unwrap_or(NEVER)]);
    }
}

/// Writes a value.
pub(super) fn write(out: &mut Text<'_>, value: u64, unit: Unit) {
    match (value, unit) {
        (NEVER, _) => out.bytes(b"-1"),
        (number, Unit::Number) => out.long(number),
        (ms, Unit::Seconds) => out.long(ms / 1000),
        (ms, Unit::Millis) => {
            out.long(ms / 1000);
            out.byte(b'.');
            out.three(u32::try_from(ms % 1000).unwrap_or(0));
        }
    }
}

fn mode(mode: Mode) -> u8 {
    if mode == Mode::Http { of::HTTP } else { 0 }
}

/// A place in [`STATES`].
fn state(admin: Admin, healthy: bool) -> usize {
    match admin {
        Admin::Maint => 2,
        Admin::Drain => 3,
        Admin::Ready => usize::from(healthy),
    }
}

/// The place of a backend in its pool, from 1 on: HAProxy's `sid`.
pub(super) fn number_of_backend(config: &Config, id: BackendId) -> u64 {
    let members = &config.pools[config.backends[id.index()].pool.index()].backends;
    members.iter().position(|&member| member == id).map_or(0, |at| at as u64 + 1)
}

/// The number of a listener, or of a pool behind them: HAProxy's `iid`.
pub(super) fn number_of_listener(index: usize) -> u64 {
    index as u64 + 2
}

pub(super) fn number_of_pool(index: usize) -> u64 {
    (index + MAX_LISTENERS) as u64 + 2
}
