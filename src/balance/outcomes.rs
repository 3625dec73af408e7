//! Whether a change made things worse: the share of requests that fail, before it and since (`reload.rollback`).
//!
//! Only failures are noted, so that requests that go well cost nothing and an idle process does nothing: each failure may set a
//! mark, the first of which within a window says how many requests there were by then. Time is an argument.

/// Marks that are kept.
const MARKS: usize = 16;
/// Steps of a window in which a mark is set at most.
const STEPS: u64 = 10;
/// Fewer failures are chance.
const LEAST: u64 = 5;
/// A share up to this, in percent, is no reason.
const TOLERATED_PERCENT: u64 = 5;
/// The share may be so many times what it was.
const FACTOR: u64 = 2;

/// So many requests, and of those so many that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// All of them.
    pub requests: u64,
    /// Those that beelance answered with a 5xx of its own, or that found no server.
    pub failed: u64,
}

impl Share {
    /// What came since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    /// Whether more fail than is tolerated, and more than twice as many as in `before`.
    #[must_use]
    pub fn is_worse_than(self, before: Self) -> bool {
        let product = u64::saturating_mul;
        let matters = product(self.failed, 100) > product(self.requests, TOLERATED_PERCENT);
        let grew = before.failed == 0
            || product(self.failed, before.requests) > product(product(before.failed, FACTOR), self.requests);
        self.failed >= LEAST && matters && grew
    }

    /// The share in percent.
    #[must_use]
    pub fn percent(self) -> u64 {
        self.failed.saturating_mul(100) / self.requests.max(1)
    }
}

/// How requests end.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    failed: u64,
    /// When, and what there was before that failure.
    marks: heapless::Deque<(u64, Share), MARKS>,
}

impl Outcomes {
    /// One of `requests` so far failed. Shares are asked for of the last `window_ms`.
    pub fn fail(&mut self, requests: u64, now_ms: u64, window_ms: u64) {
        let last = self.marks.back().map(|mark| mark.0);
        if last.is_none_or(|last_ms| now_ms >= last_ms + (window_ms / STEPS).max(1)) {
            if self.marks.is_full() {
                self.marks.pop_front();
            }
            // There is room now.
            let _ = self.marks.push_back((now_ms, Share { requests: requests.saturating_sub(1), failed: self.failed }));
        }
        self.failed += 1;
    }

    /// All so far.
    #[must_use]
    pub fn total(&self, requests: u64) -> Share {
        Share { requests, failed: self.failed }
    }

    /// Those of the last `window_ms`, from the first failure in it on: nothing failed before that.
    #[must_use]
    pub fn recent(&self, requests: u64, now_ms: u64, window_ms: u64) -> Share {
        let mut within = self.marks.iter().filter(|mark| mark.0 + window_ms >= now_ms);
        let total = self.total(requests);
        within.next().map_or(Share::default(), |(_, before)| total.since(*before))
    }
}

/// A change on trial.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    until_ms: u64,
    /// The share before it.
    before: Share,
    /// What there was when it was made.
    start: Share,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Time will show.
    Open,
    /// It stays.
    Good,
    /// More fail since: so many.
    Bad(Share),
}

impl Trial {
    /// Of a change that is made now, for `window_ms`.
    #[must_use]
    pub fn begin(outcomes: &Outcomes, requests: u64, now_ms: u64, window_ms: u64) -> Self {
        let before = outcomes.recent(requests, now_ms, window_ms);
        Self { until_ms: now_ms.saturating_add(window_ms), before, start: outcomes.total(requests) }
    }

    /// How it looks now.
    #[must_use]
    pub fn judge(&self, outcomes: &Outcomes, requests: u64, now_ms: u64) -> Verdict {
        let since = outcomes.total(requests).since(self.start);
        match since.is_worse_than(self.before) {
            true => Verdict::Bad(since),
            false if now_ms >= self.until_ms => Verdict::Good,
            false => Verdict::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worse() {
        let share = |(failed, requests)| Share { requests, failed };
        // Failed of requests before, since, whether that is worse.
        let cases = [
            ((0, 0), (0, 0), false),
            ((0, 0), (5, 5), true),
            ((0, 100), (4, 4), false),
            ((0, 100), (5, 100), false),
            ((0, 100), (6, 100), true),
            ((3, 100), (6, 100), false),
            ((3, 100), (7, 100), true),
            ((50, 100), (100, 100), false),
            ((49, 100), (99, 100), true),
            ((100, 100), (100, 100), false),
            ((1, u64::MAX), (u64::MAX, u64::MAX), false),
        ];
        for (before, since, worse) in cases {
            assert_eq!(share(since).is_worse_than(share(before)), worse, "{before:?} {since:?}");
        }
    }

    #[test]
    fn a_trial_is_about_its_time_alone() {
        const WINDOW_MS: u64 = 10_000;
        let mut outcomes = Outcomes::default();
        let mut requests = 0;
        let mut pass = |outcomes: &mut Outcomes, count: u64, failed: u64, now_ms: u64| {
            for number in 0..count {
                requests += 1;
                if number < failed {
                    outcomes.fail(requests, now_ms, WINDOW_MS);
                }
            }
            requests
        };
        // Long ago everything failed, then nothing.
        pass(&mut outcomes, 100, 100, 1_000);
        let so_far = pass(&mut outcomes, 1_000, 0, 20_000);
        let trial = Trial::begin(&outcomes, so_far, 20_000, WINDOW_MS);
        assert_eq!(trial.before, Share::default());
        let so_far = pass(&mut outcomes, 100, 5, 21_000);
        assert_eq!(trial.judge(&outcomes, so_far, 21_000), Verdict::Open);
        assert_eq!(trial.judge(&outcomes, so_far, 30_000), Verdict::Good);
        let so_far = pass(&mut outcomes, 10, 10, 22_000);
        assert_eq!(trial.judge(&outcomes, so_far, 22_000), Verdict::Bad(Share { requests: 110, failed: 15 }));
        // What fails now failed before: the next change is not to blame.
        let trial = Trial::begin(&outcomes, so_far, 22_500, WINDOW_MS);
        let so_far = pass(&mut outcomes, 100, 15, 23_000);
        assert_eq!(trial.judge(&outcomes, so_far, 23_000), Verdict::Open);
        let so_far = pass(&mut outcomes, 100, 100, 24_000);
        assert!(matches!(trial.judge(&outcomes, so_far, 24_000), Verdict::Bad(_)));
    }

    #[test]
    fn marks_are_bounded_and_reach_over_the_window() {
        let mut outcomes = Outcomes::default();
        for at in 0..10_000 {
            outcomes.fail(2 * at, at * 10, 1_000);
        }
        let recent = outcomes.recent(20_000, 100_000, 1_000);
        assert!((90..=110).contains(&recent.failed), "{recent:?}");
        assert!((49..=50).contains(&recent.percent()), "{recent:?}");
    }
}
