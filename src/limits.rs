//! Every compile-time capacity, the newtypes that index the fixed tables, and the byte budget.
//!
//! Owns the numbers and the arithmetic that turns `limits.memory` into a count of connections. Refuses to read
//! anything: what the machine has is an argument, so that the formula is the same in `check`, in `run` and in a test.

use std::fmt;

/// Backends of all pools together.
pub const MAX_BACKENDS: usize = 256;
/// Pools.
pub const MAX_POOLS: usize = 64;
/// Routes.
pub const MAX_ROUTES: usize = 64;
/// Listeners.
pub const MAX_LISTENERS: usize = 16;
/// Bytes of an object's name.
pub const MAX_NAME: usize = 32;
/// Header fields one head may carry; `limits.headers` can ask for fewer.
pub const MAX_HEADERS: usize = 128;
/// Nodes that a backend has on HAProxy's ring for each unit of its weight.
pub const NODES_PER_WEIGHT: u16 = 16;
/// The weights of all backends on HAProxy's rings together: half a megabyte of nodes.
pub const MAX_RING_WEIGHT: u32 = 4_096;
/// Connections; `limits.connections` and the budget ask for fewer.
pub const MAX_CONNECTIONS: usize = 16_000;

/// A buffer for heads and queued requests, in bytes.
pub const SMALL_BUFFER: usize = 2 * 1024;
/// A buffer while a body streams or a head outgrows the small one, in bytes: 16 kB and the head in front of them.
pub const LARGE_BUFFER: usize = 18 * 1024;
/// Bytes of a head at most; `limits.header-size` asks for fewer in a request's.
pub const MAX_HEADER_SIZE: usize = 16 * 1024;
/// One large buffer is counted for so many connections; when none is left, bodies stream through small ones.
pub const CONNECTIONS_PER_LARGE_BUFFER: usize = 8;
/// Large buffers there are at least, however few the connections.
pub const MIN_LARGE_BUFFERS: usize = 16;

/// Bytes of a message that are still to come, and come steadily, from which on they pass through a pipe.
pub const SPLICE_FROM: u64 = 16 * 1024;
/// Bytes of a pipe: what Linux gives one, unasked.
pub const PIPE_BYTES: usize = 64 * 1024;
/// One pipe is counted for so many connections; when none is free, bodies go by copying.
pub const CONNECTIONS_PER_PIPE: usize = 64;
/// Pipes there are at least, however few the connections.
pub const MIN_PIPES: usize = 2;
/// Pipes there are at most.
pub const MAX_PIPES: usize = 16;

/// Bytes of a token in the configuration: a cookie's name or value, a method.
pub const MAX_TOKEN: usize = 64;
/// Bytes of the attributes of an affinity cookie.
pub const MAX_COOKIE_ATTRIBUTES: usize = 256;
/// Bytes of a Host value: a DNS name, a colon and a port, with room.
pub const MAX_HOST: usize = 280;
/// Bytes added to a head at most: Host and the X-Forwarded fields, or the affinity cookie, and framing.
pub const MAX_ADDED: usize = 640;

/// Times a backend may set its session cookie in one response, where a pool writes its name before the value.
pub const MAX_PREFIXES: usize = 4;
/// Bytes these names may add to a response's head.
pub const PREFIX_BYTES: usize = MAX_PREFIXES * (MAX_TOKEN + 1);
/// Users the session map knows at once, where a pool has one.
pub const SESSIONS: usize = 16 * 1024;
/// Bytes of each of them.
pub const SESSION_BYTES: u64 = 16;

/// Bytes of access-log lines that wait for one write.
pub const LOG_BUFFER: usize = 20 * 1024;
/// Bytes of one access-log line; a longer request line is cut, as HAProxy's `len 1024` does.
pub const LOG_LINE: usize = 1024;

/// The lowest priority class, which is served first (`route.N.priority`).
pub const MIN_CLASS: i8 = -10;
/// The highest, which is served last.
pub const MAX_CLASS: i8 = 10;
/// Classes there are.
pub const CLASSES: usize = 21;

/// Events taken from the kernel in one turn of the loop.
pub const EVENTS_PER_TURN: usize = 64;
/// Connections accepted on one listener before other work gets its turn.
pub const ACCEPTS_PER_TURN: usize = 16;
/// Steps of one exchange (a receive and a send each) before other work gets its turn.
pub const STEPS_PER_TURN: usize = 16;
/// Connections that run between two looks at the network, each woken by an event or by another one.
pub const RUNS_PER_TURN: usize = 256;
/// Bytes read and thrown away after an early reply, so that the client sees the reply before a reset.
pub const LINGER_BYTES: u64 = 256 * 1024;
/// Milliseconds the same may take.
pub const LINGER_MS: u64 = 2_000;
/// Milliseconds between a failed connection attempt and the next one to the same backend, at most (HAProxy's
/// turn-around: the lesser of one second and `timeout.connect`).
pub const TURN_AROUND_MS: u64 = 1_000;
/// Retries that do not help and are allowed in a window of the retry budget however few the requests: so that a quiet pool
/// can retry at all.
pub const RETRY_FLOOR: u64 = 10;
/// Slots of the retry budget's window.
pub const RETRY_SLOTS: usize = 10;
/// Milliseconds of one.
pub const RETRY_SLOT_MS: u64 = 1_000;
/// Milliseconds between two purges of idle backend connections (HAProxy `pool-purge-delay`).
pub const IDLE_PURGE_MS: u64 = 5_000;
/// Milliseconds since 1970 before which the wall clock was never set: the first of January 2026. Boards without a battery
/// begin in 1970.
pub const CLOCK_SET_MS: u64 = 1_767_225_600_000;
/// Milliseconds a listener rests after the system ran out of descriptors or memory.
pub const ACCEPT_REST_MS: u64 = 100;

/// Milliseconds a client without a complete head is spared when connections have run out.
pub const HEAD_GRACE_MS: u64 = 50;
/// Milliseconds the same is true of one that was served and may be about to ask again.
pub const IDLE_GRACE_MS: u64 = 2_000;

/// Resident bytes beside everything counted below: code, stack, the executor and the control plane.
const FIXED_BYTES: u64 = 2 * 1024 * 1024;
/// A client connection's task, its exchange, and its entries in the runtime's and the queue's tables.
pub const CONNECTION_BYTES: u64 = 5 * 1024;
/// What Linux keeps for one idle TCP socket (measured on 32-bit ARM: 2.5 to 3.1 kB).
const SOCKET_BYTES: u64 = 3 * 1024;
/// What Linux buffers for one socket that is in use; the kernel's own bound is `tcp_mem`.
const SOCKET_BUFFER_BYTES: u64 = 8 * 1024;
/// Descriptors beside the connections' and the probes': listeners, epoll, logs.
const SPARE_DESCRIPTORS: u64 = 64 + MAX_LISTENERS as u64;

/// Entries of the reactor's table beside the connections': one for each listener.
pub const SPARE_SOURCES: usize = MAX_LISTENERS;

/// A client connection and the backend connection it may use.
pub const SOCKETS_PER_CONNECTION: usize = 2;

const _: () = assert!(MAX_BACKENDS <= 1 << u8::BITS, "BackendId is one byte");
const _: () = assert!(MAX_POOLS <= 1 << u8::BITS, "PoolId is one byte");
const _: () = assert!(MAX_CLASS.abs_diff(MIN_CLASS) as usize + 1 == CLASSES, "one round for each class");
const _: () = assert!(MAX_LISTENERS <= 1 << u8::BITS, "ListenerId is one byte");
const _: () = assert!(
    MAX_CONNECTIONS * SOCKETS_PER_CONNECTION + SPARE_SOURCES < u16::MAX as usize,
    "table indices are two bytes"
);
const _: () = assert!(MAX_HEADER_SIZE <= LARGE_BUFFER, "a whole head is in one buffer");
const _: () = assert!(LARGE_BUFFER <= u16::MAX as usize, "offsets into a buffer are two bytes");
const _: () = assert!(
    2 * MAX_TOKEN + MAX_COOKIE_ATTRIBUTES + 212 <= MAX_ADDED,
    "Set-Cookie, its dates, Cache-Control and framing"
);
const _: () = assert!(PREFIX_BYTES * 4 <= SMALL_BUFFER, "a head still fits beside what is kept free for it");
const _: () = assert!(MAX_HOST + 200 <= MAX_ADDED, "Host, X-Forwarded-For, X-Forwarded-Proto and framing");
const _: () = assert!(LOG_LINE * 4 <= LOG_BUFFER, "a line always fits once older ones are written");

/// One backend: its place in [`crate::config::Config::backends`] and in every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u8);

/// One pool: its place in [`crate::config::Config::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u8);

/// One listener: its place in [`crate::config::Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u8);

macro_rules! index {
    ($($id:ident),*) => {$(
        impl $id {
            /// The id of the `index`th object, when there can be so many.
            #[must_use]
            pub fn new(index: usize) -> Option<Self> {
                u8::try_from(index).ok().map(Self)
            }

            /// The place in a table.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    )*};
}
index!(BackendId, PoolId, ListenerId);

/// What the machine lets beelance have, in bytes and descriptors; `None` where nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// `MemTotal` of /proc/meminfo.
    pub memory_total: Option<u64>,
    /// The cgroup's memory limit.
    pub cgroup: Option<u64>,
    /// `RLIMIT_AS`, soft.
    pub address_space: Option<u64>,
    /// The third number of `net.ipv4.tcp_mem`, in bytes.
    pub tcp_memory: Option<u64>,
    /// `RLIMIT_NOFILE`, hard: the soft one is raised to it.
    pub descriptors: Option<u64>,
}

impl Machine {
    /// The default of `limits.memory`: half of the least bound there is, at most 48 MB.
    #[must_use]
    pub fn default_memory(&self) -> u64 {
        const CEILING: u64 = 48 * 1024 * 1024;
        let least = [self.memory_total, self.cgroup, self.address_space].into_iter().flatten().min();
        least.map_or(CEILING, |bytes| (bytes / 2).min(CEILING))
    }
}

/// Where the bytes of `limits.memory` go. [`fmt::Display`] prints it line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// `limits.memory`, given or computed, in bytes.
    pub memory: u64,
    /// Client connections served at once.
    pub connections: usize,
    /// Buffers of [`SMALL_BUFFER`] bytes: one for each direction of each connection, so that one is always free.
    pub small_buffers: usize,
    /// Buffers of [`LARGE_BUFFER`] bytes.
    pub large_buffers: usize,
    /// The kernel's socket buffers, in bytes.
    pub socket_buffers: u64,
    /// What there is beside the connections.
    pub beside: Beside,
}

/// What a budget holds beside the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Entries of the session map; none when no pool has one.
    pub sessions: usize,
    /// Probes and questions to agents that may be under way at once: each has a descriptor that no connection can take.
    pub probes: usize,
    /// Whether there are pipes to splice through.
    pub splice: bool,
}

/// Why a budget cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// So many connections need `needed` bytes; `memory` are allowed.
    Memory {
        /// Bytes the configuration needs.
        needed: u64,
        /// Bytes it may have.
        memory: u64,
    },
    /// So many connections need `needed` descriptors; the system allows `allowed`.
    Descriptors {
        /// Descriptors the configuration needs.
        needed: u64,
        /// Descriptors the hard limit allows.
        allowed: u64,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { needed, memory } => write!(
                f,
                "needs {needed} bytes, {} more than limits.memory allows ({memory}): lower limits.connections or raise limits.memory",
                needed.saturating_sub(*memory)
            ),
            Self::Descriptors { needed, allowed } => write!(
                f,
                "needs {needed} file descriptors, the hard limit is {allowed}: lower limits.connections or raise it (ulimit -Hn {needed})"
            ),
        }
    }
}

impl Budget {
    /// Plans for `connections` when they are given, else for as many as `memory` and the descriptors allow, beside what else
    /// there is.
    ///
    /// # Errors
    /// [`Excess`] when the connections asked for (or even one) do not fit.
    pub fn plan(memory: u64, connections: Option<usize>, beside: Beside, machine: &Machine) -> Result<Self, Excess> {
        let of = |connections| Self { beside, ..Self::of(memory, connections, machine) };
        if let Some(wanted) = connections {
            let budget = of(wanted);
            return budget.check(machine).map(|()| budget);
        }
        // The need grows with the connections: halve the interval.
        let (mut fits, mut too_many) = (1, MAX_CONNECTIONS + 1);
        of(fits).check(machine)?;
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            match of(middle).check(machine) {
                Ok(()) => fits = middle,
                Err(_) => too_many = middle,
            }
        }
        Ok(of(fits))
    }

    fn of(memory: u64, connections: usize, machine: &Machine) -> Self {
        let sockets = (connections * SOCKETS_PER_CONNECTION) as u64;
        let buffered = sockets * SOCKET_BUFFER_BYTES;
        Self {
            memory,
            connections,
            small_buffers: connections * 2,
            large_buffers: (connections / CONNECTIONS_PER_LARGE_BUFFER).max(MIN_LARGE_BUFFERS),
            socket_buffers: machine.tcp_memory.map_or(buffered, |bound| bound.min(buffered)),
            beside: Beside::default(),
        }
    }

    fn check(&self, machine: &Machine) -> Result<(), Excess> {
        let needed = self.total();
        if needed > self.memory {
            return Err(Excess::Memory { needed, memory: self.memory });
        }
        let needed = self.descriptors();
        match machine.descriptors {
            Some(allowed) if needed > allowed => Err(Excess::Descriptors { needed, allowed }),
            _ => Ok(()),
        }
    }

    /// TCP sockets there may be at once, clients' and backends'.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.connections * SOCKETS_PER_CONNECTION
    }

    /// Pipes of [`PIPE_BYTES`] bytes in the kernel.
    #[must_use]
    pub fn pipes(&self) -> usize {
        match self.beside.splice {
            true => (self.connections / CONNECTIONS_PER_PIPE).clamp(MIN_PIPES, MAX_PIPES),
            false => 0,
        }
    }

    /// File descriptors that may be open at once.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        (self.sockets() + self.beside.probes + 2 * self.pipes()) as u64 + SPARE_DESCRIPTORS
    }

    /// All lines together, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lines().iter().map(|(_, _, bytes)| bytes).sum()
    }

    fn lines(&self) -> [(&'static str, u64, u64); 8] {
        let (connections, sockets, sessions) =
            (self.connections as u64, self.sockets() as u64, self.beside.sessions as u64);
        let (small, large) = (self.small_buffers as u64, self.large_buffers as u64);
        let pipes = self.pipes() as u64;
        [
            ("fixed: code, stack, executor, control plane", 1, FIXED_BYTES),
            ("connections: task and table entries", connections, connections * CONNECTION_BYTES),
            ("small buffers", small, small * SMALL_BUFFER as u64),
            ("large buffers", large, large * LARGE_BUFFER as u64),
            ("session map", sessions, sessions * SESSION_BYTES),
            ("kernel: sockets", sockets, sockets * SOCKET_BYTES),
            ("kernel: socket buffers", sockets, self.socket_buffers),
            ("kernel: pipes", pipes, pipes * PIPE_BYTES as u64),
        ]
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count, bytes) in self.lines().into_iter().filter(|(_, count, _)| *count > 0) {
            writeln!(f, "# {what:<44} {count:>6} {bytes:>10} bytes")?;
        }
        writeln!(f, "# {:<44} {:>6} {:>10} bytes", "together", "", self.total())?;
        writeln!(f, "# {:<44} {:>6} {:>10} bytes", "limits.memory", "", self.memory)?;
        write!(f, "# {:<44} {:>6}", "file descriptors", self.descriptors())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: Machine = Machine {
        memory_total: Some(58_404 * 1024),
        cgroup: None,
        address_space: None,
        tcp_memory: Some(1254 * 4096),
        descriptors: Some(4096),
    };

    #[test]
    fn the_default_is_half_of_the_least_bound() {
        assert_eq!(BOARD.default_memory(), 58_404 * 1024 / 2);
        assert_eq!(Machine { cgroup: Some(32 << 20), ..BOARD }.default_memory(), 16 << 20);
        assert_eq!(Machine { memory_total: Some(24 << 30), ..Machine::default() }.default_memory(), 48 << 20);
        assert_eq!(Machine::default().default_memory(), 48 << 20);
    }

    #[test]
    fn a_computed_budget_fits_and_is_the_largest_that_does() {
        for (megabytes, sessions) in [(4, 0), (8, SESSIONS), (16, 0), (28, SESSIONS), (48, SESSIONS)] {
            let memory = megabytes << 20;
            let beside = Beside { sessions, probes: 0, splice: true };
            let budget = Budget::plan(memory, None, beside, &BOARD).unwrap();
            assert!(budget.total() <= memory, "{budget}");
            let more = Budget::plan(memory, Some(budget.connections + 1), beside, &BOARD);
            assert!(more.is_err() || budget.connections == MAX_CONNECTIONS, "{budget}");
        }
    }

    #[test]
    fn a_board_of_64_megabytes_carries_a_thousand_connections() {
        let beside = Beside { sessions: SESSIONS, probes: 256, splice: true };
        assert!(Budget::plan(BOARD.default_memory(), None, beside, &BOARD).unwrap().connections >= 1000);
    }

    #[test]
    fn pipes_are_counted_with_their_descriptors() {
        let plan = |connections, splice| {
            Budget::plan(64 << 20, Some(connections), Beside { splice, ..Beside::default() }, &BOARD).unwrap()
        };
        for (connections, pipes) in [(1, MIN_PIPES), (640, 10), (1500, MAX_PIPES)] {
            let (with, without) = (plan(connections, true), plan(connections, false));
            assert_eq!((with.pipes(), without.pipes()), (pipes, 0));
            assert_eq!(with.total() - without.total(), (pipes * PIPE_BYTES) as u64);
            assert_eq!(with.descriptors() - without.descriptors(), 2 * pipes as u64);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_excess() {
        let refused = Budget::plan(8 << 20, Some(4000), Beside::default(), &BOARD).unwrap_err();
        let Excess::Memory { needed, memory } = refused else { panic!("{refused}") };
        assert!(needed > memory);
        assert!(refused.to_string().contains(&format!("{} more", needed - memory)));
        let few = Machine { descriptors: Some(100), ..BOARD };
        assert!(matches!(Budget::plan(16 << 20, Some(200), Beside::default(), &few), Err(Excess::Descriptors { .. })));
    }

    #[test]
    fn probes_have_descriptors_of_their_own() {
        let few = Machine { descriptors: Some(400), ..BOARD };
        let connections = |probes| {
            Budget::plan(16 << 20, None, Beside { probes, ..Beside::default() }, &few).map(|budget| budget.connections)
        };
        let without = connections(0).unwrap();
        assert_eq!(connections(64), Ok(without - 64 / SOCKETS_PER_CONNECTION));
        assert!(connections(400).is_err());
    }
}
