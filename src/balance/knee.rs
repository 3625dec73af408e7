//! How many requests a server should work on at once, found by its response times (`maxconn = auto:MIN..MAX`).
//!
//! Up to its knee a server answers as fast as when it is alone; beyond it every further request only makes all slower.
//! The limit follows the ratio of the fastest response time to the present one: at the knee that ratio begins to fall.
//! Steps are made once a window, over the requests that began within it. What is fastest is measured anew now and then,
//! at half the limit, since servers get slower and faster for other reasons than their load. Time is an argument.
//!
//! ```text
//!   Steady --every REMEASURE_MS--> Remeasure (half the limit) --a window--> Steady
//! ```

/// A window ends when it is so old, in milliseconds, and has enough samples.
const WINDOW_MS: u64 = 100;
/// Samples of a window at least.
const MIN_SAMPLES: u64 = 10;
/// Between two measurements of the fastest response time, in milliseconds.
const REMEASURE_MS: u64 = 10_000;
/// A step goes so far towards its aim: 1 in this many.
const SMOOTHING: f32 = 4.0;
/// What the limit is allowed above what the ratio says, so that it can grow: requests.
const HEADROOM: f32 = 1.0;
/// The least ratio that counts: one slow window at most halves the limit.
const MIN_RATIO: f32 = 0.5;

/// The search for one server's knee.
#[derive(Clone, Debug)]
pub(super) struct Knee {
    least: f32,
    most: f32,
    limit: f32,
    /// The response time without waiting inside the server, in milliseconds; 0 before the first window.
    fastest_ms: f32,
    remeasured_ms: u64,
    /// The limit to go back to when the measurement is over.
    measuring: Option<f32>,
    window_ms: u64,
    samples: u64,
    total_ms: u64,
    /// The limit was used up within the window.
    saturated: bool,
}

impl Knee {
    /// A search between `least` and `most` requests, both at least 1, that begins at the least.
    pub(super) fn new(least: u16, most: u16, now_ms: u64) -> Self {
        let (least, most) = (f32::from(least.max(1)), f32::from(most.max(least).max(1)));
        Self {
            least,
            most,
            limit: least,
            fastest_ms: 0.0,
            remeasured_ms: now_ms,
            measuring: None,
            window_ms: now_ms,
            samples: 0,
            total_ms: 0,
            saturated: false,
        }
    }

    /// Requests the server may work on at once now.
    pub(super) fn limit(&self) -> u32 {
        // Both bounds are 16 bits wide.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let limit = self.limit.round() as u32;
        limit
    }

    /// A request that began at `began_ms` was answered at `now_ms`, with so many in flight before. Whether the limit
    /// changed.
    pub(super) fn answered(&mut self, began_ms: u64, now_ms: u64, in_flight: u32) -> bool {
        // What began earlier tells of the limit before.
        if began_ms < self.window_ms {
            return false;
        }
        self.samples += 1;
        self.total_ms += now_ms.saturating_sub(began_ms);
        self.saturated |= in_flight >= self.limit();
        let enough = MIN_SAMPLES.max(u64::from(self.limit()));
        if self.samples < enough || now_ms.saturating_sub(self.window_ms) < WINDOW_MS {
            return false;
        }
        let before = self.limit();
        self.step(now_ms);
        (self.samples, self.total_ms, self.saturated, self.window_ms) = (0, 0, false, now_ms);
        self.limit() != before
    }

    fn step(&mut self, now_ms: u64) {
        // Averages of whole milliseconds: precise enough, and never 0.
        #[allow(clippy::cast_precision_loss)]
        let average_ms = (self.total_ms as f32 / self.samples as f32).max(0.5);
        if let Some(limit) = self.measuring.take() {
            self.fastest_ms = average_ms;
            self.limit = limit;
            return;
        }
        if self.fastest_ms == 0.0 || average_ms < self.fastest_ms {
            self.fastest_ms = average_ms;
        }
        let aim = self.limit * (self.fastest_ms / average_ms).clamp(MIN_RATIO, 1.0) + HEADROOM;
        // Whose limit is not used up has shown nothing that speaks for a higher one.
        if aim < self.limit || self.saturated {
            // Not `clamp`: it would panic with both bounds in its message, and bring in all that writes a float.
            self.limit = (self.limit + (aim - self.limit) / SMOOTHING).max(self.least).min(self.most);
        }
        if now_ms.saturating_sub(self.remeasured_ms) >= REMEASURE_MS {
            self.remeasured_ms = now_ms;
            self.measuring = Some(self.limit);
            self.limit = (self.limit / 2.0).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BinaryHeap;

    /// A server that answers in `alone_ms` up to `knee` requests at once, and in proportion more slowly beyond.
    struct Server {
        alone_ms: f64,
        knee: f64,
        /// When each request will be answered, and when it began: the soonest on top.
        flying: BinaryHeap<std::cmp::Reverse<(u64, u64)>>,
        now_ms: u64,
        seed: u64,
    }

    impl Server {
        fn new(alone_ms: f64, knee: f64) -> Self {
            Self { alone_ms, knee, flying: BinaryHeap::new(), now_ms: 0, seed: 42 }
        }

        /// Serves clients without end for so long; the limits there were meanwhile.
        fn run(&mut self, knee: &mut Knee, seconds: u64) -> Vec<u32> {
            let (end_ms, mut limits) = (self.now_ms + seconds * 1000, Vec::new());
            while self.now_ms < end_ms {
                while self.flying.len() < knee.limit() as usize {
                    let load = (self.flying.len() as f64 + 1.0) / self.knee;
                    // A fifth more or less.
                    self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let noise = 0.8 + 0.4 * ((self.seed >> 40) as f64 / f64::from(1 << 24));
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let takes_ms = (self.alone_ms * load.max(1.0) * noise).round() as u64;
                    self.flying.push(std::cmp::Reverse((self.now_ms + takes_ms.max(1), self.now_ms)));
                }
                let in_flight = u32::try_from(self.flying.len()).unwrap();
                let std::cmp::Reverse((done_ms, began_ms)) = self.flying.pop().unwrap();
                self.now_ms = self.now_ms.max(done_ms);
                knee.answered(began_ms, self.now_ms, in_flight);
                limits.push(knee.limit());
            }
            limits
        }
    }

    /// The limit that most of the time was not passed, and the one that mostly was.
    fn middle(mut limits: Vec<u32>) -> (u32, u32) {
        limits.sort_unstable();
        (limits[limits.len() / 10], limits[limits.len() * 9 / 10])
    }

    #[test]
    fn it_finds_the_knee_and_follows_it() {
        let (mut server, mut knee) = (Server::new(20.0, 12.0), Knee::new(1, 100, 0));
        server.run(&mut knee, 30);
        let found = middle(server.run(&mut knee, 5));
        assert!(found.0 >= 10 && found.1 <= 14, "{found:?} around 12");
        for (moved, least, most) in [(24.0, 22, 26), (6.0, 5, 8), (12.0, 10, 14)] {
            server.knee = moved;
            server.run(&mut knee, 30);
            let found = middle(server.run(&mut knee, 5));
            assert!(found.0 >= least && found.1 <= most, "{found:?} around {moved}");
        }
    }

    #[test]
    fn a_server_that_gets_slower_for_another_reason_keeps_its_limit() {
        let (mut server, mut knee) = (Server::new(10.0, 12.0), Knee::new(1, 100, 0));
        for alone_ms in [10.0, 40.0, 5.0, 200.0] {
            server.alone_ms = alone_ms;
            server.run(&mut knee, 40);
            let found = middle(server.run(&mut knee, 9));
            assert!(found.0 >= 9 && found.1 <= 15, "{found:?} around 12 at {alone_ms} ms");
        }
    }

    #[test]
    fn a_window_has_as_many_samples_as_the_limit() {
        let mut knee = Knee::new(20, 40, 0);
        let mut samples = || {
            knee.answered(0, 200, 20);
            knee.samples
        };
        assert_eq!([(); 20].map(|()| samples())[18..], [19, 0]);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let (mut server, mut knee) = (Server::new(10.0, 50.0), Knee::new(4, 8, 0));
        assert_eq!(knee.limit(), 4);
        let limits = server.run(&mut knee, 20);
        assert!(limits.iter().all(|limit| (4..=8).contains(limit)));
        assert_eq!(knee.limit(), 8);
        server.knee = 1.0;
        let limits = server.run(&mut knee, 30);
        // One above: the fastest it can see there is that of its least.
        assert!(middle(limits[limits.len() / 2..].to_vec()).1 <= 5);
    }

    #[test]
    fn a_limit_that_is_not_used_up_does_not_grow() {
        let mut knee = Knee::new(3, 100, 0);
        for at_ms in (0..60_000).step_by(20) {
            knee.answered(at_ms, at_ms + 10, 1);
            assert_eq!(knee.limit(), 3, "also while the fastest is measured anew");
        }
        // Nor one that once was.
        for at_ms in 60_000..60_010 {
            knee.answered(at_ms, at_ms + 1, 3);
        }
        let mut most = |from_ms: u64| {
            let limits = (from_ms..from_ms + 5_000).step_by(20).map(|at_ms| {
                knee.answered(at_ms, at_ms + 1, 1);
                knee.limit()
            });
            limits.max()
        };
        let soon_after = most(60_010);
        assert!(soon_after <= Some(4) && most(70_000) == soon_after, "{soon_after:?}");
    }

    #[test]
    fn the_fastest_window_counts_and_a_slow_one_at_most_halves() {
        let mut knee = Knee::new(1, 100, 0);
        let mut at_ms = 0;
        let mut window = |knee: &mut Knee, takes_ms| {
            let before_ms = knee.window_ms;
            while knee.window_ms == before_ms {
                at_ms += 20;
                knee.answered(at_ms, at_ms + takes_ms, 1);
            }
            at_ms += takes_ms;
            knee.fastest_ms
        };
        assert_eq!([40, 10, 30].map(|takes_ms| window(&mut knee, takes_ms)), [40.0, 10.0, 10.0]);
        knee.limit = 40.0;
        window(&mut knee, 1_000);
        // A quarter of the way to half of it and one more.
        assert_eq!(knee.limit, 35.25);
    }

    #[test]
    fn bounds_the_wrong_way_round_are_the_first() {
        let mut knee = Knee::new(8, 4, 0);
        for at_ms in 0..1_000 {
            knee.answered(at_ms, at_ms + 1, 8);
        }
        assert_eq!(knee.limit(), 8);
    }
}
