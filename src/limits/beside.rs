//! What there is beside the connections, and what the kernel may hold for one socket: what a budget is made for.

use super::{ADMIN_CLIENTS, LOOKUP_SOCKETS, LOOKUPS};

/// What a budget holds beside the connections, and what was asked of their sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Entries of the session map; none when no pool has one.
    pub sessions: usize,
    /// Probes and questions to agents that may be under way at once: each has a descriptor that no connection can take.
    pub probes: usize,
    /// Host names of backends: each is looked up again and again.
    pub names: usize,
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
    /// Syslogs that lines go to.
    pub logs: usize,
    /// Whether there is an admin listener.
    pub admin: bool,
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

impl Beside {
    /// Sockets beside the connections': of probes, agents, lookups, and of those who look at the admin listener.
    pub(super) fn sockets(&self) -> usize {
        self.probes + self.names.min(LOOKUPS) * LOOKUP_SOCKETS + if self.admin { ADMIN_CLIENTS } else { 0 }
    }
}

impl Sockets {
    /// What one socket may hold in all.
    pub(super) fn bytes(&self) -> u64 {
        let set = |size: Option<u32>| size.map(|bytes| 2 * u64::from(bytes));
        set(self.send).or(self.unsent.map(u64::from)).unwrap_or(0) + set(self.receive).unwrap_or(0)
    }
}
