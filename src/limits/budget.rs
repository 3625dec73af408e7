//! The budget: what `limits.memory` has to hold when every table is full and every buffer in use, line by line.
//!
//! Owns the arithmetic that turns bytes into a count of connections. Refuses to read anything: what the machine has is an
//! argument, so that the formula is the same in `check`, in `run` and in a test.

use super::{
    CONNECTION_BYTES, CONNECTIONS_PER_LARGE_BUFFER, CONNECTIONS_PER_PIPE, FIXED_BYTES, LARGE_BUFFER, MAX_CONNECTIONS,
    MAX_PIPES, MAX_UNSENT, MIN_LARGE_BUFFERS, MIN_PIPES, MIN_UNSENT, NODE_BYTES, OBJECT_BYTES, PIPE_BYTES, PROBE_BYTES,
    PROGRAM_BYTES, RATE_BYTES, SESSION_BYTES, SMALL_BUFFER, SOCKET_BYTES, SOCKETS_PER_CONNECTION, SPARE_DESCRIPTORS,
    SPARE_SEATS, WAITER_BYTES, WORKER_BYTES,
};
use std::fmt;

/// What the machine lets beelance have, in bytes and descriptors; `None` where nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// `MemTotal` of /proc/meminfo.
    pub memory_total: Option<u64>,
    /// The cgroup's memory limit.
    pub cgroup: Option<u64>,
    /// The lesser of `RLIMIT_AS` and `RLIMIT_DATA`, soft.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// `limits.memory`, given or computed, in bytes.
    pub memory: u64,
    /// Client connections served at once.
    pub connections: usize,
    /// Buffers of [`SMALL_BUFFER`] bytes: one for each direction of each connection, so that one is always free.
    pub small_buffers: usize,
    /// Buffers of [`LARGE_BUFFER`] bytes.
    pub large_buffers: usize,
    /// Pipes of [`PIPE_BYTES`] bytes.
    pub pipes: usize,
    /// Bytes that may wait unsent in a client's socket.
    pub unsent: u32,
    /// What there is beside the connections.
    pub beside: Beside,
    /// What all TCP sockets of the system may hold together.
    pub tcp_memory: Option<u64>,
}

/// What a budget holds beside the connections, and what was asked of their sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Entries of the session map; none when no pool has one.
    pub sessions: usize,
    /// Probes and questions to agents that may be under way at once: each has a descriptor that no connection can take.
    pub probes: usize,
    /// Listeners.
    pub listeners: usize,
    /// Listeners, backends, pools and routes.
    pub objects: usize,
    /// Bytes of what rules answer and add, and of the bodies of replies.
    pub texts: usize,
    /// Whether there are pipes to splice through.
    pub splice: bool,
    /// Nodes on HAProxy's rings.
    pub nodes: usize,
    /// Entries of the table of rates; none when no rate is bounded.
    pub rates: usize,
    /// Whether the connections of each client are counted.
    pub crowd: bool,
    /// What is said of the kernel's buffers.
    pub sockets: Sockets,
}

/// How much the kernel may hold for one socket, as far as that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Bytes to send (`SO_SNDBUF`); Linux allows twice as much, for its own part of them.
    pub send: Option<u32>,
    /// Bytes received and not read (`SO_RCVBUF`), as above.
    pub receive: Option<u32>,
    /// Bytes that are not on the way yet (`TCP_NOTSENT_LOWAT`).
    pub unsent: Option<u32>,
}

impl Sockets {
    /// What one socket may hold in all.
    fn bytes(&self) -> u64 {
        let set = |size: Option<u32>| size.map(|bytes| 2 * u64::from(bytes));
        set(self.send).or(self.unsent.map(u64::from)).unwrap_or(0) + set(self.receive).unwrap_or(0)
    }
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

/// One line of the budget.
#[derive(Clone, Copy, Debug)]
struct Line {
    what: &'static str,
    count: u64,
    size: u64,
}

impl Line {
    fn new(what: &'static str, count: usize, size: u64) -> Self {
        Self { what, count: count as u64, size }
    }

    fn bytes(&self) -> u64 {
        self.count * self.size
    }
}

impl Budget {
    /// Plans for `connections` when they are given, else for as many as `memory` and the descriptors allow, beside what else
    /// there is.
    ///
    /// # Errors
    /// [`Excess`] when the connections asked for (or even one) do not fit.
    pub fn plan(memory: u64, connections: Option<usize>, beside: Beside, machine: &Machine) -> Result<Self, Excess> {
        let of = |connections: usize, unsent| {
            let large_buffers = (connections / CONNECTIONS_PER_LARGE_BUFFER).max(MIN_LARGE_BUFFERS);
            let (small_buffers, tcp_memory) = (connections * 2, machine.tcp_memory);
            let pipes = match beside.splice {
                true => (connections / CONNECTIONS_PER_PIPE).clamp(MIN_PIPES, MAX_PIPES),
                false => 0,
            };
            // It is in `unsent` from here on.
            let beside = Beside { sockets: Sockets { unsent: None, ..beside.sockets }, ..beside };
            Self { memory, connections, small_buffers, large_buffers, pipes, unsent, beside, tcp_memory }
        };
        let least = beside.sockets.unsent.unwrap_or(MIN_UNSENT);
        if let Some(wanted) = connections {
            // As much as there is room for, but no more than all sockets can have at once.
            let halves = std::iter::successors(Some(MAX_UNSENT), |unsent| Some(unsent / 2));
            let mut richer = halves.take_while(|&unsent| unsent > least).map(|unsent| of(wanted, unsent));
            let fits = |budget: &Self| budget.check(machine).is_ok() && !budget.exceeds_tcp_memory();
            if let Some(budget) = richer.find(fits).filter(|_| beside.sockets.unsent.is_none()) {
                return Ok(budget);
            }
            let budget = of(wanted, least);
            return budget.check(machine).map(|()| budget);
        }
        // The need grows with the connections: halve the interval.
        let (mut fits, mut too_many) = (1, MAX_CONNECTIONS + 1);
        of(fits, least).check(machine)?;
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            match of(middle, least).check(machine) {
                Ok(()) => fits = middle,
                Err(_) => too_many = middle,
            }
        }
        Ok(of(fits, least))
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

    /// File descriptors that may be open at once.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        (self.sockets() + 2 * self.pipes + self.beside.probes + self.beside.listeners) as u64 + SPARE_DESCRIPTORS
    }

    /// How a client's socket is set.
    #[must_use]
    pub fn client_socket(&self) -> Sockets {
        Sockets { unsent: Some(self.unsent), ..self.beside.sockets }
    }

    /// How a backend's socket is set.
    #[must_use]
    pub fn backend_socket(&self) -> Sockets {
        Sockets { unsent: Some(self.unsent.min(MIN_UNSENT)), ..self.beside.sockets }
    }

    /// All lines together, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.process().iter().chain(&self.kernel()).map(Line::bytes).sum()
    }

    /// The process's own memory.
    fn process(&self) -> [Line; 14] {
        let Self { connections, small_buffers, large_buffers, beside, .. } = *self;
        let waiters = ((connections + SPARE_SEATS) * 2).next_power_of_two();
        let crowd = if beside.crowd { (connections * 2).next_power_of_two() } else { 0 };
        [
            Line::new("program: code and constants", 1, PROGRAM_BYTES),
            Line::new("fixed: stacks, executor, control plane", 1, FIXED_BYTES),
            Line::new("listeners, backends, pools, routes", beside.objects, OBJECT_BYTES),
            Line::new("texts of rules and replies", beside.texts, 1),
            Line::new("nodes on rings", beside.nodes, NODE_BYTES),
            Line::new("probes", beside.probes, PROBE_BYTES),
            Line::new("session map", beside.sessions, SESSION_BYTES),
            Line::new("rates of clients", beside.rates, RATE_BYTES),
            Line::new("table of clients that are connected", crowd, WAITER_BYTES),
            Line::new("connections and their entries in tables", connections, CONNECTION_BYTES),
            Line::new("table of clients that wait", waiters, WAITER_BYTES),
            Line::new("workers: all connections are busy", connections, WORKER_BYTES),
            Line::new("small buffers", small_buffers, SMALL_BUFFER as u64),
            Line::new("large buffers", large_buffers, LARGE_BUFFER as u64),
        ]
    }

    /// What the kernel holds for it.
    fn kernel(&self) -> [Line; 4] {
        let sockets = self.sockets() + self.beside.probes;
        let [clients, backends] = match self.tcp_memory.filter(|_| self.exceeds_tcp_memory()) {
            Some(bound) => [Line::new("kernel: buffers of all sockets (tcp_mem)", 1, bound), Line::new("", 0, 0)],
            None => self.socket_buffers(),
        };
        [
            Line::new("kernel: sockets", sockets, SOCKET_BYTES),
            clients,
            backends,
            Line::new("kernel: pipes", self.pipes, PIPE_BYTES as u64),
        ]
    }

    fn socket_buffers(&self) -> [Line; 2] {
        [
            Line::new("kernel: buffers of clients' sockets", self.connections, self.client_socket().bytes()),
            Line::new("kernel: buffers of backends' sockets", self.connections, self.backend_socket().bytes()),
        ]
    }

    /// Whether the sockets' buffers together are more than the system lets all sockets have.
    fn exceeds_tcp_memory(&self) -> bool {
        let together = self.socket_buffers().iter().map(Line::bytes).sum();
        self.tcp_memory.is_some_and(|bound| bound < together)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, lines: &[Line]| {
            let mut lines = lines.iter().filter(|line| line.bytes() > 0);
            lines.try_for_each(|line| {
                let Line { what, count, size } = *line;
                writeln!(f, "# {what:<41} {count:>6} x {size:>8} = {:>10} bytes", line.bytes())
            })
        };
        let sum = |f: &mut fmt::Formatter<'_>, what, bytes| writeln!(f, "# {what:<60} {bytes:>10} bytes");
        write(f, &self.process())?;
        sum(f, "the process", self.process().iter().map(Line::bytes).sum())?;
        write(f, &self.kernel())?;
        sum(f, "together", self.total())?;
        sum(f, "limits.memory", self.memory)?;
        let Sockets { send, receive, .. } = self.beside.sockets;
        if !self.exceeds_tcp_memory() && (send.is_none() || receive.is_none()) {
            writeln!(f, "# what is on its way comes to that: limits.sndbuf and limits.rcvbuf bound it")?;
        }
        write!(f, "# {:<41} {:>6}", "file descriptors", self.descriptors())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{RATES, SESSIONS};

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
            let beside = Beside { sessions, ..Beside::default() };
            let budget = Budget::plan(memory, None, beside, &BOARD).unwrap();
            assert!(budget.total() <= memory, "{budget}");
            let more = Budget::plan(memory, Some(budget.connections + 1), beside, &BOARD);
            assert!(more.is_err() || budget.connections == MAX_CONNECTIONS, "{budget}");
        }
    }

    #[test]
    fn a_board_of_64_megabytes_carries_a_thousand_connections() {
        let beside = Beside { sessions: SESSIONS, probes: 256, ..Beside::default() };
        assert!(Budget::plan(BOARD.default_memory(), None, beside, &BOARD).unwrap().connections >= 1000);
    }

    #[test]
    fn the_lines_add_up() {
        let beside = Beside {
            sessions: SESSIONS,
            probes: 3,
            objects: 5,
            nodes: 160,
            rates: RATES,
            crowd: true,
            ..Beside::default()
        };
        let text = Budget::plan(40 << 20, Some(500), beside, &Machine::default()).unwrap().to_string();
        let number = |word: &str| word.parse::<u64>().unwrap();
        let (mut part, mut all, mut process) = (0, 0, 0);
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [.., count, "x", size, "=", bytes, "bytes"] => {
                    assert_eq!(number(count) * number(size), number(bytes), "{line}");
                    part += number(bytes);
                }
                ["#", "the", "process", bytes, "bytes"] => {
                    process = number(bytes);
                    assert_eq!(part, process);
                }
                ["#", "together", bytes, "bytes"] => all = number(bytes),
                _ => {}
            }
        }
        assert!(process > 0 && part > process && part == all, "{text}");
    }

    #[test]
    fn sockets_hold_what_is_said_of_them_or_all_that_the_system_has() {
        let total = |sockets, tcp_memory| {
            let beside = Beside { sockets, ..Beside::default() };
            let budget =
                Budget::plan(1 << 30, Some(100), beside, &Machine { tcp_memory, ..Machine::default() }).unwrap();
            budget.total()
        };
        let unsent = |bytes| Sockets { unsent: Some(bytes), ..Sockets::default() };
        let base = total(unsent(0), None);
        assert_eq!(total(unsent(20_000), None) - base, 100 * (20_000 + u64::from(MIN_UNSENT)));
        let bounded = Sockets { send: Some(8192), receive: Some(4096), unsent: Some(20_000) };
        assert_eq!(total(bounded, None) - base, 200 * 2 * (8192 + 4096));
        assert_eq!(total(bounded, Some(1 << 20)) - base, 1 << 20);
    }

    #[test]
    fn clients_may_leave_more_unsent_where_there_is_room() {
        let unsent = |megabytes: u64, tcp_memory| {
            let machine = Machine { tcp_memory, ..Machine::default() };
            Budget::plan(megabytes << 20, Some(1000), Beside::default(), &machine).unwrap().unsent
        };
        assert_eq!([unsent(60, None), unsent(80, None), unsent(1000, None)], [16 << 10, 32 << 10, 128 << 10]);
        // Less than all of them could have: nobody gets more than another.
        assert_eq!(unsent(1000, Some(5 << 20)), 16 << 10);
    }

    #[test]
    fn pipes_are_counted_with_their_descriptors() {
        let plan = |connections, splice| {
            let sockets = Sockets { unsent: Some(MIN_UNSENT), ..Sockets::default() };
            Budget::plan(64 << 20, Some(connections), Beside { splice, sockets, ..Beside::default() }, &BOARD).unwrap()
        };
        for (connections, pipes) in [(1, MIN_PIPES), (640, 10), (1500, MAX_PIPES)] {
            let (with, without) = (plan(connections, true), plan(connections, false));
            assert_eq!((with.pipes, without.pipes), (pipes, 0));
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
