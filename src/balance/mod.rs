//! Decisions without sockets.

/// How a pool places a request that has no affinity (`pool.N.balance`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// The fewest requests in flight and queued for the weight; an idle backend before any busy one.
    LeastConn,
}
