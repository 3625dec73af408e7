//! The retry budget of a pool: retries that do not help stay below a share of its requests, so that an outage is not
//! made worse by them.
//!
//! What counts is the last ten seconds. A retry that reaches a server is paid for in advance: a server that answers 503 or
//! nothing at all has worked on the request, and would work on it again. A retry after a connection that failed is paid for
//! only if it fails too: the request was never sent. So when one server of several dies, everybody it refuses goes
//! elsewhere and nothing is paid; when all of them die, the budget is used up and most requests fail at once. Were
//! connections paid for in advance, a third of the requests to a pool of three would need a retry while one that died
//! is not known to be down, and most of them would fail beside two idle servers (`simulation::failures`).

use crate::limits::{RETRY_FLOOR, RETRY_SLOT_MS, RETRY_SLOTS};

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u32,
    paid: u32,
}

/// What one pool may retry.
#[derive(Clone, Debug)]
pub struct Budget {
    percent: u32,
    slots: [Slot; RETRY_SLOTS],
    /// The slot of now.
    at: usize,
    /// When the next one begins.
    next_ms: u64,
}

impl Budget {
    /// Retries for `percent` of the requests, and [`RETRY_FLOOR`] more, in any [`RETRY_SLOTS`] slots of time.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        Self { percent, slots: [Slot::default(); RETRY_SLOTS], at: 0, next_ms: RETRY_SLOT_MS }
    }

    /// From now on it is for `percent` of the requests.
    pub fn allow(&mut self, percent: u32) {
        self.percent = percent;
    }

    /// A request came.
    pub fn count(&mut self, now_ms: u64) {
        self.turn(now_ms);
        let slot = &mut self.slots[self.at];
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Whether there may be a retry now.
    pub fn allows(&mut self, now_ms: u64) -> bool {
        self.turn(now_ms);
        let sum = |of: fn(&Slot) -> u32| self.slots.iter().map(|slot| u64::from(of(slot))).sum::<u64>();
        let allowed = sum(|slot| slot.requests).saturating_mul(u64::from(self.percent)) / 100 + RETRY_FLOOR;
        sum(|slot| slot.paid) < allowed
    }

    /// Pays for a retry.
    pub fn pay(&mut self, now_ms: u64) {
        self.turn(now_ms);
        let slot = &mut self.slots[self.at];
        slot.paid = slot.paid.saturating_add(1);
    }

    /// Forgets what is too long ago.
    fn turn(&mut self, now_ms: u64) {
        if now_ms < self.next_ms {
            return;
        }
        // Once round, all is forgotten, however long nobody asked.
        for _ in 0..RETRY_SLOTS {
            self.at = (self.at + 1) % RETRY_SLOTS;
            self.slots[self.at] = Slot::default();
            self.next_ms += RETRY_SLOT_MS;
            if now_ms < self.next_ms {
                return;
            }
        }
        self.next_ms = now_ms.saturating_add(RETRY_SLOT_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_MS: u64 = RETRY_SLOT_MS * RETRY_SLOTS as u64;

    /// Retries that are paid for until the budget allows no more.
    fn drain(budget: &mut Budget, now_ms: u64) -> u64 {
        (0..1000)
            .find(|_| {
                let allowed = budget.allows(now_ms);
                budget.pay(now_ms);
                !allowed
            })
            .unwrap()
    }

    #[test]
    fn a_share_of_the_requests_and_a_floor() {
        for (percent, requests, retries) in [(10, 0, 0), (10, 200, 20), (0, 500, 0), (50, 500, 250), (1000, 5, 50)] {
            let mut budget = Budget::new(percent);
            (0..requests).for_each(|_| budget.count(5));
            assert_eq!(drain(&mut budget, 5), retries + RETRY_FLOOR, "{percent} percent of {requests}");
        }
    }

    #[test]
    fn what_comes_first_in_a_new_window_belongs_to_it() {
        let mut budget = Budget::new(10);
        (0..100).for_each(|_| budget.count(WINDOW_MS * 3));
        assert_eq!(
            drain(&mut budget, WINDOW_MS * 3),
            10 + RETRY_FLOOR,
            "a request that is counted before anybody asks"
        );
        let mut budget = Budget::new(0);
        (0..RETRY_FLOOR).for_each(|_| budget.pay(WINDOW_MS * 3));
        assert!(!budget.allows(WINDOW_MS * 3), "a retry that is paid for before anybody asks");
    }

    #[test]
    fn what_is_long_ago_neither_allows_nor_forbids() {
        let mut budget = Budget::new(10);
        (0..1000).for_each(|_| budget.count(0));
        assert_eq!(drain(&mut budget, WINDOW_MS), RETRY_FLOOR, "requests of yesterday are no credit");
        assert!(!budget.allows(2 * WINDOW_MS - 1));
        assert!(budget.allows(2 * WINDOW_MS), "nor are retries of yesterday a debt");
        // A clock that leaps, for a loop that slept, does not confuse it.
        assert_eq!(drain(&mut budget, u64::MAX / 2), RETRY_FLOOR);
        assert!(!budget.allows(u64::MAX / 2 + RETRY_SLOT_MS));
    }

    #[test]
    fn any_ten_seconds_are_within_the_budget() {
        let mut budget = Budget::new(10);
        let mut paid: Vec<u64> = Vec::new();
        for now_ms in (0..100_000).step_by(7) {
            budget.count(now_ms);
            if budget.allows(now_ms) {
                budget.pay(now_ms);
                paid.push(now_ms);
            }
            // One slot less than all is what the window always covers.
            let since_ms = now_ms.saturating_sub(WINDOW_MS - RETRY_SLOT_MS);
            let recent = paid.iter().rev().take_while(|&&at_ms| at_ms >= since_ms).count();
            assert!(recent as u64 <= WINDOW_MS / 7 / 10 + 1 + RETRY_FLOOR, "{recent} at {now_ms}");
        }
        assert!(paid.len() as u64 >= 100_000 / 7 / 10, "the budget is used: {}", paid.len());
    }
}
