//! How a name stands with its nameservers: whether they answer, and when it is asked for again.

/// The shortest rest between two questions, unless less is asked for, in milliseconds.
const LEAST_MS: u64 = 1_000;
/// The longest after failures.
const MOST_AFTER_FAILURE_MS: u64 = 30_000;

/// The standing of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Lookups that failed since the last that did not.
    failures: u32,
}

impl Standing {
    /// A lookup gave addresses for `ttl_s` seconds: the milliseconds until the next one. It rests for that time, at least
    /// one second, at most `hold_ms`.
    pub fn answered(&mut self, ttl_s: u32, hold_ms: u64) -> u64 {
        self.failures = 0;
        (u64::from(ttl_s) * 1_000).max(LEAST_MS).min(hold_ms)
    }

    /// A lookup failed: the milliseconds until the next one. They double from one second to half a minute, and are no more
    /// than `hold_ms`.
    pub fn failed(&mut self, hold_ms: u64) -> u64 {
        let rest_ms = LEAST_MS << self.failures.min(5);
        self.failures = self.failures.saturating_add(1);
        rest_ms.min(MOST_AFTER_FAILURE_MS).min(hold_ms)
    }

    /// Whether the last lookup failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_follows_the_time_to_live_within_bounds() {
        // Seconds, hold, rest.
        let cases = [
            (0, 10_000, 1_000),
            (1, 10_000, 1_000),
            (7, 10_000, 7_000),
            (600, 10_000, 10_000),
            (600, 3_600_000, 600_000),
            (u32::MAX, 86_400_000, 86_400_000),
            (5, 200, 200),
        ];
        for (ttl_s, hold_ms, rest_ms) in cases {
            assert_eq!(Standing::default().answered(ttl_s, hold_ms), rest_ms, "{ttl_s} {hold_ms}");
        }
    }

    #[test]
    fn failures_are_followed_by_longer_rests() {
        let mut standing = Standing::default();
        let rests: Vec<u64> = (0..7).map(|_| standing.failed(86_400_000)).collect();
        assert_eq!(rests, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert!(standing.is_failing());
        assert_eq!((standing.failed(10_000), standing.failed(300)), (10_000, 300));
        standing.answered(1, 10_000);
        assert_eq!((standing.is_failing(), standing.failed(10_000)), (false, 1_000));
    }
}
