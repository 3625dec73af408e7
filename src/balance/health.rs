//! Whether a backend is up, from the results of its probes (HAProxy's `rise`, `fall` and the three intervals).
//!
//! ```text
//!              success                 success (the rise-th)
//!   0 (down) ----------> 1 .. rise-1 -----------------------> rise+fall-1 (up)
//!      ^                     |                                     |
//!      |       failure       |        failure (the fall-th)        | failure
//!      +---------------------+ <------------------------ rise .. rise+fall-2 (up)
//! ```

/// Which of the three intervals comes before the next probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// `inter`: fully up.
    Normal,
    /// `fastinter`: on its way up or down, or never probed.
    Fast,
    /// `downinter`: fully down.
    Down,
}

/// The health of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// 0..=rise+fall-1; up from `rise` on.
    level: u32,
    rise: u32,
    fall: u32,
    probed: bool,
}

impl Health {
    /// Up, but one failure from down, as HAProxy starts; `rise` and `fall` are at least 1.
    #[must_use]
    pub fn new(rise: u32, fall: u32) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        Self { level: rise, rise, fall, probed: false }
    }

    /// Fully down: a backend whose name did not resolve.
    #[must_use]
    pub fn down(rise: u32, fall: u32) -> Self {
        Self { level: 0, probed: true, ..Self::new(rise, fall) }
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.level >= self.rise
    }

    /// Takes the result of a probe. Returns whether the backend went up or down by it.
    pub fn probed(&mut self, healthy: bool) -> bool {
        let was_up = self.is_up();
        self.probed = true;
        self.level = match (healthy, was_up) {
            (true, true) => self.top(),
            (true, false) if self.level + 1 >= self.rise => self.top(),
            (true, false) => self.level + 1,
            (false, true) if self.level > self.rise => self.level - 1,
            (false, _) => 0,
        };
        self.is_up() != was_up
    }

    /// What of `rise + fall - 1` it has; up from `rise` on.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.level
    }

    /// How long to wait for the next probe.
    #[must_use]
    pub fn interval(&self) -> Interval {
        match self.level {
            _ if !self.probed => Interval::Fast,
            0 => Interval::Down,
            level if level == self.top() => Interval::Normal,
            _ => Interval::Fast,
        }
    }

    fn top(&self) -> u32 {
        self.rise + self.fall - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rise_and_fall() {
        // (rise, fall, results, up after each, interval at the end)
        let cases: [(u32, u32, &str, &str, Interval); 10] = [
            (2, 3, "", "", Interval::Fast),
            (2, 3, "+", "U", Interval::Normal),
            (2, 3, "-", "D", Interval::Down),
            (2, 3, "+--", "UUU", Interval::Fast),
            (2, 3, "+---", "UUUD", Interval::Down),
            (2, 3, "+--+--", "UUUUUU", Interval::Fast),
            (2, 3, "-+-++", "DDDDU", Interval::Normal),
            (1, 1, "+-+", "UDU", Interval::Normal),
            (0, 0, "+-+", "UDU", Interval::Normal),
            (2, 1, "", "", Interval::Fast),
        ];
        for (rise, fall, results, expected, interval) in cases {
            let mut health = Health::new(rise, fall);
            assert!(health.is_up());
            for (result, up) in results.chars().zip(expected.chars()) {
                let before = health.is_up();
                let changed = health.probed(result == '+');
                assert_eq!(health.is_up(), up == 'U', "{results}");
                assert_eq!(changed, before != health.is_up(), "{results}");
            }
            assert_eq!(health.interval(), interval, "{results}");
        }
        let mut down = Health::down(2, 3);
        assert_eq!((down.is_up(), down.interval()), (false, Interval::Down));
        assert_eq!([true, true].map(|healthy| down.probed(healthy)), [false, true], "it rises like any other");
    }
}
