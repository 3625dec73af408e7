//! Decisions without sockets and without a clock: which backend, which slot, who waits, who is healthy.
//!
//! [`Balancer`] is the one table of backends, pools and waiting requests. Time is an argument where it matters, who is
//! to be woken is told through a callback; so the whole of it runs in a seeded simulation.

mod affinity;
mod agent;
mod balancer;
mod budget;
mod change;
mod clients;
mod health;
mod passive;
mod queue;
mod retry;
#[cfg(test)]
mod simulation;
mod state;

pub use affinity::Affinity;
pub use agent::{Report, Weight};
pub use balancer::{Answer, BackendSpec, BackendStatus, Balancer, Placement, PoolSpec, Refused, Wish};
pub use budget::Budget;
pub use health::{Health, Interval};
pub use passive::{Observe, PassiveSpec, Seen};
pub use retry::{Failed, RetryOn};
pub use state::{Admin, Authority};

/// How a pool places a request that has no affinity (`pool.N.balance`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// The fewest requests in flight and queued for the weight; an idle backend before any busy one.
    LeastConn,
}
