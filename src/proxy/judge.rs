//! Whether things go well, seen from here: what a reload is judged by.

use super::Proxy;
use crate::balance::{Trial, Verdict};
use crate::fault::Fault;
use crate::limits::PoolId;

/// The least window in which marks of failures are set.
const LEAST_WINDOW_MS: u64 = 10_000;

/// Whether a 5xx says that beelance found no way, not that a rule or the server says so.
fn is_ours(fault: Fault) -> bool {
    !matches!(fault, Fault::Answered(_) | Fault::Denied(_) | Fault::Redirected | Fault::Retried(_))
}

impl Proxy {
    /// A request failed.
    #[cold]
    pub(super) fn note_failure(&self) {
        let window_ms = self.config().rollback_ms.unwrap_or(LEAST_WINDOW_MS);
        self.outcomes.borrow_mut().fail(self.tried(), self.reactor.now_ms(), window_ms);
    }

    /// A request ended like this, and was answered so.
    pub(super) fn note_answer(&self, status: u16, fault: Fault) {
        if status >= 500 && is_ours(fault) {
            self.note_failure();
        }
    }

    /// A connection without requests is over.
    pub(super) fn judge_relayed(&self, fault: Option<Fault>) {
        self.relayed.set(self.relayed.get() + 1);
        let found_none = matches!(
            fault,
            Some(
                Fault::ConnectFailed
                    | Fault::ConnectTimeout
                    | Fault::NoBackend
                    | Fault::QueueFull
                    | Fault::QueueTimeout
                    | Fault::Exhausted
            )
        );
        if found_none {
            self.note_failure();
        }
    }

    /// Requests and connections without any so far: those too that an operator cleared away.
    pub(super) fn tried(&self) -> u64 {
        self.requests_ever() + self.relayed.get()
    }

    /// Begins a trial of a change that is about to be made.
    #[must_use]
    pub fn begin_trial_of_all(&self, window_ms: u64) -> Trial {
        Trial::begin(&self.outcomes.borrow(), self.tried(), self.reactor.now_ms(), window_ms)
    }

    /// How a trial stands.
    #[must_use]
    pub fn verdict(&self, trial: &Trial) -> Verdict {
        trial.judge(&self.outcomes.borrow(), self.tried(), self.reactor.now_ms())
    }

    /// Whether a pool has a server that takes new users.
    #[must_use]
    pub fn serves(&self, pool: PoolId) -> bool {
        self.balancer.borrow().usable(pool) != (0, 0)
    }
}
