//! Decisions without sockets and without a clock: which backend, which slot, who waits, who is healthy.
//!
//! [`Balancer`] is the one table of backends, pools and waiting requests. Time is an argument where it matters, who is
//! to be woken is told through a callback; so the whole of it runs in a seeded simulation.

mod affinity;
mod agent;
mod arrange;
mod balancer;
mod budget;
#[cfg(test)]
mod bounded_wait;
#[cfg(test)]
mod cases;
mod change;
mod choose;
mod clients;
mod cookie;
mod crowd;
mod curve;
pub mod dynamic;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod foretold;
mod hash;
mod health;
#[cfg(test)]
mod invariants;
mod knee;
mod late;
mod meter;
mod outcomes;
mod pace;
mod passive;
mod preview;
mod queue;
mod random;
mod rates;
mod redirects;
mod rendezvous;
mod retry;
mod ring;
mod serve;
mod sessions;
#[cfg(test)]
mod simulation;
mod siphash;
mod spec;
mod stamp;
mod state;
mod tier;
mod wish;
#[cfg(test)]
mod world;

pub use affinity::Affinity;
pub use agent::{Report, Weight};
pub use balancer::{BackendStatus, Balancer};
pub use budget::Budget;
pub use cookie::{Answering, CookieMode, CookieRules, Deed, own_value};
pub use crowd::Crowd;
pub use curve::{Class, Curve, Point, Reading};
pub use hash::Hash;
pub use health::{Health, Interval};
pub use meter::{Means, Rate as PerSecond, Second};
pub use outcomes::{Outcomes, Share, Trial, Verdict};
pub use pace::Heeded;
pub use passive::{Observe, PassiveSpec, Seen};
pub use preview::{Candidate, Standing};
pub use rates::{Act, Counted, Rate, Rates};
pub use retry::{Failed, RetryOn};
pub use sessions::{Saved, SessionKey, Sessions};
pub use spec::{BackendSpec, PoolSpec};
pub use stamp::{Dates, Lifetime, MAX_DATES, Stale};
pub use state::{Admin, Authority, Said};
pub use wish::{Answer, Placement, Refused, Room, Wish};

/// How a pool places a request that has no affinity (`pool.N.balance`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// The fewest requests in flight and queued for the weight; an idle backend before any busy one.
    LeastConn,
    /// Two drawn by weight, the less loaded of them.
    Random,
    /// The first in the file that has a slot free.
    First,
    /// By a key of the request; in turn for those without one.
    Hash {
        /// Where keys lie.
        hash: Hash,
        /// Percent of the average load for its weight that keys may bring a backend; 0 = as much as comes.
        factor: u32,
    },
}
