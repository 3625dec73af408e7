//! What is counted of one backend.
//!
//! The way of a request adds to this entry and to no other: what its pool and its listener show is made of it
//! ([`super::statistics`]).

use super::condition::Condition;
use super::counters::{Failures, Links, Loyalty, Traffic};
use crate::balance::{Curve, Means, PerSecond};
use crate::limits::ListenerId;

/// Everything of a backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) traffic: Traffic,
    /// Milliseconds: in queues, for connections, for the responses' heads, in all.
    pub(super) times_ms: [u64; 4],
    /// The most of each.
    pub(super) most_ms: [u32; 4],
    /// The listener of the last answer.
    pub(super) listener: ListenerId,
    /// What the listeners have of `traffic`.
    pub(super) settled: Traffic,
    pub(super) means: Means<4>,
    /// How fast it is by what it works on at once.
    pub(super) curve: Curve,
    pub(super) failures: Failures,
    pub(super) loyalty: Loyalty,
    pub(super) links: Links,
    pub(super) arrivals: PerSecond,
    /// When it last answered.
    pub(super) last_ms: Option<u64>,
    pub(super) health: Condition,
}

impl Served {
    pub(super) fn new() -> Self {
        Self {
            traffic: Traffic::default(),
            times_ms: [0; 4],
            most_ms: [0; 4],
            listener: ListenerId(0),
            settled: Traffic::default(),
            means: Means::default(),
            curve: Curve::default(),
            failures: Failures::default(),
            loyalty: Loyalty::default(),
            links: Links::default(),
            arrivals: PerSecond::default(),
            last_ms: None,
            health: Condition::default(),
        }
    }

    /// Whether anything was added to its sums.
    pub(super) fn is_used(&self) -> bool {
        self.traffic != Traffic::default()
            || self.failures != Failures::default()
            || self.loyalty != Loyalty::default()
            || self.links != Links::default()
    }

    pub(super) fn take_means(&mut self) {
        self.means.take(self.times_ms, self.traffic.exchanges());
    }

    pub(super) fn take_curve(&mut self, now_ms: u64) {
        self.curve.take(now_ms, self.traffic.exchanges(), self.times_ms[2]);
    }

    /// Adds `from..to`, milliseconds.
    #[inline(always)]
    pub(super) fn add_time(&mut self, which: usize, from: u64, to: u64) {
        let ms = low(to).wrapping_sub(low(from));
        // Mostly it is none.
        if ms > 0 {
            self.times_ms[which] += u64::from(ms);
            self.most_ms[which] = self.most_ms[which].max(ms);
        }
    }
}

/// The lower half: what two times differ by is found in it, and costs half as much.
#[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
pub(super) fn low(ms: u64) -> u32 {
    ms as u32
}
