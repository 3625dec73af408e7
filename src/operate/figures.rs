//! Every figure there is of a listener, a pool or a backend, each under one name.
//!
//! The metrics, the CSV and the JSON are tables of these names: they say what a figure is called there, and compute
//! nothing. HAProxy counts the connections of a listener where it counts the requests of a backend, so [`Figure::Now`] and
//! its four neighbours are connections of the one and requests of the others.

mod read;

use crate::config::Config;
use crate::limits::{BackendId, ListenerId, MAX_LISTENERS, PoolId};
use crate::operate::text::Text;
use crate::proxy::{Finding, Proxy};
use Figure as F;
use std::ops::Range;

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
    // Connections to servers: attempts, and requests that had one which served before.
    Connects, Reuses,
    // Connections of clients that a limit closed: at once, and behind a PROXY header.
    DeniedConnections, DeniedSessions,
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

/// Figures that are read together: who wants one of many objects, as a row of metrics does, reads no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Names,
    Work,
    Traffic,
    Times,
    State,
}

impl Part {
    const ALL: [Self; 5] = [Self::Names, Self::Work, Self::Traffic, Self::Times, Self::State];
    /// The last figure of each.
    const LAST: [Figure; 5] = [F::Server, F::Limit, F::DeniedSessions, F::Unused, F::ServersNolb];

    fn of(figure: Figure) -> Self {
        let at = Self::LAST.iter().position(|&last| figure as u8 <= last as u8);
        at.map_or(Self::State, |at| Self::ALL[at])
    }

    /// The places of its figures.
    fn range(self) -> Range<usize> {
        let at = self as usize;
        let first = at.checked_sub(1).map_or(0, |before| Self::LAST[before] as usize + 1);
        first..Self::LAST[at] as usize + 1
    }
}

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
    /// Of nothing yet.
    pub(super) const NONE: Self = Self { values: [NOTHING; COUNT], traits: 0 };

    /// All of `object` at this moment; [`Proxy::refresh_statistics`] was called before.
    pub(super) fn of(proxy: &Proxy, config: &Config, object: Object) -> Self {
        let mut figures = Self::NONE;
        for part in Part::ALL {
            figures.read_part(proxy, config, object, part);
        }
        figures
    }

    /// Makes `figure`, and those that a row may tell with it, that of `object`; what others are is not known then.
    pub(super) fn read(&mut self, proxy: &Proxy, config: &Config, object: Object, figure: Figure) {
        let part = Part::of(figure);
        self.values[part.range()].fill(NOTHING);
        self.traits = 0;
        self.read_part(proxy, config, object, part);
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
