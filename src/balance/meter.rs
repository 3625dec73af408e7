//! Rates and averages, made of totals that only grow: whoever counts adds, and nothing else.
//!
//! A rate is that of the last second as HAProxy reckons it: what came in this second, and of the last one as large a part
//! as this one still lacks. An average is over the last 1,024 exchanges, about: what is new pushes out as much of what is
//! old. Rates are brought up to date once a second while there is traffic, averages with it when enough is new, and both when
//! they are read; nothing wakes up for them.

/// Milliseconds of a second.
const SECOND_MS: u64 = 1_000;
/// Exchanges in an average (HAProxy `TIME_STATS_SAMPLES`).
const WINDOW: u64 = 1_024;

/// The second that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    began_ms: u64,
}

/// What a [`Rate`] has to know when the time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The second before this one is the one that was counted last.
    adjacent: bool,
}

impl Second {
    /// When it is over.
    #[must_use]
    pub fn ends_ms(self) -> u64 {
        self.began_ms.saturating_add(SECOND_MS)
    }

    /// Goes on to the second of `now_ms`, if that is another one.
    pub fn turn(&mut self, now_ms: u64) -> Option<Turn> {
        let passed_ms = now_ms.saturating_sub(self.began_ms);
        if passed_ms < SECOND_MS {
            return None;
        }
        self.began_ms = now_ms - passed_ms % SECOND_MS;
        Some(Turn { adjacent: passed_ms < 2 * SECOND_MS })
    }

    /// Milliseconds that it lacks.
    fn left_ms(self, now_ms: u64) -> u64 {
        SECOND_MS.saturating_sub(now_ms.saturating_sub(self.began_ms))
    }
}

/// Events per second, of a total that is counted elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// The total when this second began.
    base: u64,
    last: u64,
    most: u64,
}

impl Rate {
    /// A second is over, in which the total became `total`.
    pub fn turn(&mut self, total: u64, turn: Turn) {
        let count = total.saturating_sub(self.base);
        self.most = self.most.max(count);
        self.last = if turn.adjacent { count } else { 0 };
        self.base = total;
    }

    /// Events in the last second.
    #[must_use]
    pub fn now(&self, total: u64, second: Second, now_ms: u64) -> u64 {
        total.saturating_sub(self.base) + self.last * second.left_ms(now_ms) / SECOND_MS
    }

    /// The most there were in a second.
    #[must_use]
    pub fn most(&self, total: u64) -> u64 {
        self.most.max(total.saturating_sub(self.base))
    }

    /// Forgets the most there were.
    pub fn forget_most(&mut self) {
        self.most = 0;
    }

    /// The total begins anew at nothing.
    pub fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

/// Averages of `N` quantities over the last exchanges, of their sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means<const N: usize> {
    seen: [u64; N],
    seen_count: u64,
    sums: [u64; N],
    count: u64,
}

impl<const N: usize> Default for Means<N> {
    fn default() -> Self {
        Self { seen: [0; N], seen_count: 0, sums: [0; N], count: 0 }
    }
}

impl<const N: usize> Means<N> {
    /// Whether it is worth while to [`Means::take`] in what was added by now: then an exchange costs next to nothing.
    #[must_use]
    pub fn is_due(&self, count: u64) -> bool {
        count.saturating_sub(self.seen_count) >= WINDOW / 4
    }

    /// Takes in what was added to `sums` by now, of `count` exchanges.
    pub fn take(&mut self, sums: [u64; N], count: u64) {
        let new = count.saturating_sub(self.seen_count);
        if new == 0 {
            return;
        }
        let kept = self.count.min(WINDOW.saturating_sub(new));
        let counted = new.min(WINDOW);
        for ((sum, seen), now) in self.sums.iter_mut().zip(&mut self.seen).zip(sums) {
            let added = now.saturating_sub(*seen);
            let added = if new > WINDOW { added / new * WINDOW + added % new * WINDOW / new } else { added };
            *sum = share(*sum, kept, self.count) + added;
            *seen = now;
        }
        (self.count, self.seen_count) = (kept + counted, count);
    }

    /// The sums over the exchanges it holds, and how many those are: what averages of several are made of.
    #[must_use]
    pub fn sums(&self) -> ([u64; N], u64) {
        (self.sums, self.count)
    }
}

/// `part` of the `all` equal parts of `sum`.
fn share(sum: u64, part: u64, all: u64) -> u64 {
    match all {
        // Mostly: the board divides in software.
        _ if part == all => sum,
        WINDOW => sum / WINDOW * part + sum % WINDOW * part / WINDOW,
        // Below 1,024 times a remainder below 1,024: nothing overflows.
        all => sum / all * part + sum % all * part / all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_second() {
        let (mut second, mut rate) = (Second::default(), Rate::default());
        assert_eq!(second.turn(999), None);
        assert_eq!((rate.now(10, second, 400), rate.most(10)), (10, 10));
        let turn = second.turn(1_200).unwrap();
        rate.turn(40, turn);
        // 40 in the second before, of which four fifths still count, and 3 since.
        assert_eq!((second.ends_ms(), rate.now(43, second, 1_200), rate.most(43)), (2_000, 35, 40));
        assert_eq!(rate.now(43, second, 1_999), 3);
        // Nothing came in the second between: what was before is no longer of the last second, but the most there was.
        rate.turn(43, second.turn(3_500).unwrap());
        assert_eq!((rate.now(43, second, 3_500), rate.most(43)), (0, 40));
        rate.forget_most();
        assert_eq!(rate.most(45), 2);
        rate.begin_anew();
        assert_eq!((rate.now(1, second, 3_500), rate.most(1)), (1, 1));
    }

    #[test]
    fn time_that_stands_still_turns_nothing() {
        let mut second = Second { began_ms: 5_000 };
        assert_eq!((second.turn(4_000), second.ends_ms()), (None, 6_000));
    }

    fn average(means: &Means<2>) -> [u64; 2] {
        let (sums, count) = means.sums();
        sums.map(|sum| sum.checked_div(count).unwrap_or(0))
    }

    #[test]
    fn an_average_is_over_the_last_exchanges() {
        let mut means = Means::<2>::default();
        assert_eq!(average(&means), [0, 0]);
        means.take([30, 3], 3);
        assert_eq!(average(&means), [10, 1]);
        means.take([30, 3], 3);
        assert_eq!(average(&means), [10, 1], "nothing new");
        // As many again of twice as long, one by one.
        for more in 1..=3u64 {
            means.take([30 + 20 * more, 3], 3 + more);
        }
        assert_eq!(average(&means), [15, 0]);
        // More than it holds at once: only they count.
        means.take([90 + 5 * 10_000, 3 + 10_000], 6 + 10_000);
        assert_eq!((average(&means), means.sums().1), ([5, 1], 1_024));
        // Half as many as it holds: half is old.
        means.take([90 + 5 * 10_000 + 512 * 15, 3 + 10_000], 6 + 10_512);
        assert_eq!(average(&means), [10, 0]);
    }

    #[test]
    fn nothing_overflows() {
        let mut means = Means::<1>::default();
        means.take([u64::MAX], u64::MAX);
        assert_eq!(means.sums(), ([1_024], 1_024));
        let mut means = Means::<1>::default();
        means.take([u64::MAX / 2], 1);
        means.take([u64::MAX / 2], 1_024);
        let (sums, count) = means.sums();
        assert_eq!(sums[0] / count, u64::MAX / 2 / 1_024);
    }
}
