//! What the users saw, in one step and in the whole run.

use std::time::Duration;

/// One page that a user asked for.
pub(crate) struct Seen {
    pub took: Duration,
    /// The number of the server and whether it had the session at hand; `None` when the page did not come.
    pub page: Option<(u32, bool)>,
}

/// The pages of a step.
#[derive(Default)]
pub(crate) struct Tally {
    milliseconds: Vec<u32>,
    hits: u64,
    misses: u64,
    errors: u64,
}

impl Tally {
    /// Adds a page.
    pub(crate) fn add(&mut self, seen: &Seen) {
        let took = u32::try_from(seen.took.as_millis()).unwrap_or(u32::MAX);
        match seen.page {
            // Who gets no page waits for ever.
            None => {
                self.errors += 1;
                self.milliseconds.push(u32::MAX);
            }
            Some((_, is_hit)) => {
                *if is_hit { &mut self.hits } else { &mut self.misses } += 1;
                self.milliseconds.push(took);
            }
        }
    }

    /// How long a page took of which so many percent were faster; nothing without pages.
    pub(crate) fn percentile(&mut self, percent: f64) -> Option<Duration> {
        self.milliseconds.sort_unstable();
        let rank = (self.milliseconds.len() as f64 * percent / 100.0).ceil() as usize;
        let found = self.milliseconds.get(rank.max(1) - 1)?;
        Some(Duration::from_millis(u64::from(*found)))
    }

    /// The step as JSON, without the braces.
    pub(crate) fn json(&mut self, percent: f64) -> String {
        let at = |found: Option<Duration>| found.map_or(0, |found| found.as_millis());
        let (median, goal) = (at(self.percentile(50.0)), at(self.percentile(percent)));
        let Self { hits, misses, errors, .. } = *self;
        let pages = hits + misses;
        format!(
            "\"pages\":{pages},\"hits\":{hits},\"misses\":{misses},\"errors\":{errors},\"median_ms\":{median},\"goal_ms\":{goal}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_errors() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentile(95.0), None);
        for took in (1..=100).rev() {
            tally.add(&Seen { took: Duration::from_millis(took), page: Some((0, took % 2 == 0)) });
        }
        assert_eq!(tally.percentile(95.0), Some(Duration::from_millis(95)));
        assert_eq!(tally.percentile(50.0), Some(Duration::from_millis(50)));
        assert_eq!(
            tally.json(95.0),
            "\"pages\":100,\"hits\":50,\"misses\":50,\"errors\":0,\"median_ms\":50,\"goal_ms\":95"
        );
        (0..10).for_each(|_| tally.add(&Seen { took: Duration::ZERO, page: None }));
        assert!(tally.percentile(95.0) > Some(Duration::from_secs(1_000_000)));
    }
}
