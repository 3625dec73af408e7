//! The budget: what `limits.memory` has to hold when every table is full and every buffer in use, line by line.
//!
//! Owns the arithmetic that turns bytes into a count of connections. Refuses to read anything: what the machine has is an
//! argument, so that the formula is the same in `check`, in `run` and in a test.

use super::beside::{Beside, Sockets};
use super::{
    ADMIN_CLIENT_BYTES, ADMIN_CLIENTS, CONNECTION_BYTES, CONNECTIONS_PER_LARGE_BUFFER, CONNECTIONS_PER_PIPE,
    FIXED_BYTES, LARGE_BUFFER, LOG_BUFFER, LOG_RING, LOOKUP_BYTES, LOOKUPS, MAX_CONNECTIONS, MAX_PIPES, MAX_UNSENT,
    MIN_LARGE_BUFFERS, MIN_PIPES, MIN_UNSENT, NAME_BYTES, NODE_BYTES, OBJECT_BYTES, PIPE_BYTES, PROBE_BYTES,
    PROGRAM_BYTES, RATE_BYTES, RELOAD_BYTES, RELOAD_DESCRIPTORS, SESSION_BYTES, SMALL_BUFFER, SOCKET_BYTES,
    SOCKETS_PER_CONNECTION, SPARE_DESCRIPTORS, SPARE_SEATS, WAITER_BYTES, WORKER_BYTES,
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
            match of(middle, least).check_with(RELOAD_BYTES, RELOAD_DESCRIPTORS, machine) {
                Ok(()) => fits = middle,
                Err(_) => too_many = middle,
            }
        }
        Ok(of(fits, least))
    }

    /// The same connections and buffers with other things beside them.
    ///
    /// # Errors
    /// [`Excess`] when that does not fit.
    pub fn with(&self, beside: Beside, tcp_memory: Option<u64>, machine: &Machine) -> Result<Self, Excess> {
        let budget = Self { beside, tcp_memory, ..*self };
        budget.check(machine).map(|()| budget)
    }

    fn check(&self, machine: &Machine) -> Result<(), Excess> {
        self.check_with(0, 0, machine)
    }

    /// The same with so much left.
    fn check_with(&self, bytes: u64, descriptors: u64, machine: &Machine) -> Result<(), Excess> {
        let needed = self.total() + bytes;
        if needed > self.memory {
            return Err(Excess::Memory { needed, memory: self.memory });
        }
        let needed = self.descriptors() + descriptors;
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
        (self.sockets()
            + 2 * self.pipes
            + self.beside.sockets()
            + self.beside.listeners
            + usize::from(self.beside.admin)) as u64
            + SPARE_DESCRIPTORS
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
    fn process(&self) -> [Line; 19] {
        let Self { connections, small_buffers, large_buffers, beside, .. } = *self;
        let waiters = ((connections + SPARE_SEATS) * 2).next_power_of_two();
        let crowd = if beside.crowd { (connections * 2).next_power_of_two() } else { 0 };
        [
            Line::new("program: code and constants", 1, PROGRAM_BYTES),
            Line::new("fixed: stacks, executor, control plane", 1, FIXED_BYTES),
            Line::new("the last messages", 1, LOG_RING as u64),
            Line::new("lines on their way to a syslog", beside.logs, LOG_BUFFER as u64),
            Line::new("listeners, backends, pools, routes", beside.objects, OBJECT_BYTES),
            Line::new("texts of rules and replies", beside.texts, 1),
            Line::new("nodes on rings", beside.nodes, NODE_BYTES),
            Line::new("probes", beside.probes, PROBE_BYTES),
            Line::new("names", beside.names, NAME_BYTES),
            Line::new("lookups of names", beside.names.min(LOOKUPS), LOOKUP_BYTES),
            Line::new(
                "clients of the admin listener",
                if beside.admin { ADMIN_CLIENTS } else { 0 },
                ADMIN_CLIENT_BYTES,
            ),
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
        let sockets = self.sockets() + self.beside.sockets();
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
