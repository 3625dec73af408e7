//! What a backend is given at the moment: its weight and its maxconn, as configured, as changed since, or on the way up.
//!
//! After it came up again a backend with slowstart begins with a little of both and has all of them when the time is over
//! (HAProxy `slowstart`: linear, never at the start of the process). With `maxconn = auto:..` the limit is the knee's.

use super::knee::Knee;

/// The scale of [`Pace::weight`]: a weight of 1 on its way up is a part of this (HAProxy `BE_WEIGHT_SCALE`).
const WEIGHT_SCALE: u32 = 16;
/// All of it.
const FULL: u32 = 256;
/// Steps in which a slow start is made.
const STEPS: u64 = 20;
/// The shortest of them, in milliseconds.
const LEAST_STEP_MS: u64 = 100;

/// The pace of one backend.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    weight: u16,
    maxconn: u32,
    knee: Option<Box<Knee>>,
    /// What of these two the backend's agent set.
    agents: Heeded,
    /// The part it has, out of [`FULL`].
    share: u32,
    /// Since when, and for how long, it is on its way up.
    start: Option<(u64, u64)>,
    /// What all this comes to, worked out when it changes: every request asks.
    now: Now,
}

/// Which of the two that can be changed are as the backend's agent wants them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heeded {
    /// The weight.
    pub weight: bool,
    /// The limit.
    pub maxconn: bool,
}

/// A pace at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Now {
    /// 16 for each unit.
    weight: u32,
    /// Requests at once; [`u32::MAX`] = unlimited.
    most: u32,
}

impl Pace {
    /// All of `weight` and `maxconn` (0 = unlimited), or of a limit searched between two.
    pub(super) fn new(weight: u16, maxconn: u32, auto: Option<(u16, u16)>) -> Self {
        let knee = auto.map(|(least, most)| Box::new(Knee::new(least, most, 0)));
        let mut pace = Self {
            weight,
            maxconn,
            knee,
            agents: Heeded::default(),
            share: FULL,
            start: None,
            now: Now { weight: 0, most: 0 },
        };
        pace.settle();
        pace
    }

    /// Its weight, 16 for each unit; 0 only when it takes no new users.
    pub(super) fn weight(&self) -> u64 {
        u64::from(self.now.weight)
    }

    /// Its weight when it is not on its way up.
    pub(super) fn weight_set(&self) -> u16 {
        self.weight
    }

    /// How far it is on its way up, in percent, while it is.
    pub(super) fn throttle(&self) -> Option<u32> {
        self.start.map(|_| self.share * 100 / FULL)
    }

    /// Whether it takes new users.
    pub(super) fn takes_users(&self) -> bool {
        self.weight > 0
    }

    /// Whether it works on one more request than `serving`.
    pub(super) fn allows(&self, serving: u32) -> bool {
        serving < self.now.most
    }

    /// Requests it works on at once; 0 = unlimited.
    pub(super) fn maxconn(&self) -> u32 {
        if self.now.most == u32::MAX { 0 } else { self.now.most }
    }

    /// The same when it is not on its way up; nothing where the limit is searched.
    pub(super) fn maxconn_set(&self) -> Option<u32> {
        self.knee.is_none().then_some(self.maxconn)
    }

    /// What the backend's agent set, and nobody changed since.
    pub(super) fn heeded(&self) -> Heeded {
        self.agents
    }

    fn settle(&mut self) {
        let weight = u32::from(self.weight) * WEIGHT_SCALE;
        let weight = if self.share == FULL || weight == 0 { weight } else { (weight * self.share / FULL).max(1) };
        let most = self.knee.as_ref().map_or(self.maxconn, |knee| knee.limit());
        // No more than `most`, which is 32 bits wide.
        let part = (u64::from(most) * u64::from(self.share)).div_ceil(u64::from(FULL));
        let most = if most == 0 { u32::MAX } else { u32::try_from(part).unwrap_or(most) };
        self.now = Now { weight, most };
    }

    /// Changes the weight, 0..=256.
    pub(super) fn set_weight(&mut self, weight: u16) {
        self.weight = weight;
        self.agents.weight = false;
        self.settle();
    }

    /// Fixes the limit; 0 = unlimited.
    pub(super) fn set_maxconn(&mut self, maxconn: u32) {
        (self.maxconn, self.knee) = (maxconn, None);
        self.agents.maxconn = false;
        self.settle();
    }

    /// What the file says of the limit changed.
    pub(super) fn set_limit(&mut self, maxconn: u32, auto: Option<(u16, u16)>) {
        self.maxconn = maxconn;
        self.knee = auto.map(|(least, most)| Box::new(Knee::new(least, most, 0)));
        self.agents.maxconn = false;
        self.settle();
    }

    /// What the backend's agent wants of the two.
    pub(super) fn heed(&mut self, weight: Option<u16>, maxconn: Option<u32>) {
        let Heeded { weight: had_weight, maxconn: had_maxconn } = self.agents;
        weight.into_iter().for_each(|weight| self.set_weight(weight));
        maxconn.into_iter().for_each(|maxconn| self.set_maxconn(maxconn));
        self.agents = Heeded { weight: weight.is_some() || had_weight, maxconn: maxconn.is_some() || had_maxconn };
    }

    /// A request that began at `began_ms` was answered, with so many in flight. Whether the limit changed.
    pub(super) fn answered(&mut self, began_ms: u64, now_ms: u64, in_flight: u32) -> bool {
        let changed = self.knee.as_mut().is_some_and(|knee| knee.answered(began_ms, now_ms, in_flight));
        if changed {
            self.settle();
        }
        changed
    }

    /// Begins a slow start of `slowstart_ms`, if that is any.
    pub(super) fn start_slowly(&mut self, now_ms: u64, slowstart_ms: u64) {
        if slowstart_ms > 0 {
            self.start = Some((now_ms, slowstart_ms));
            self.share = 1;
            self.settle();
        }
    }

    /// Goes on with a slow start; when to look again, if it is not over.
    pub(super) fn advance(&mut self, now_ms: u64) -> Option<u64> {
        let (since_ms, slowstart_ms) = self.start?;
        let passed_ms = now_ms.saturating_sub(since_ms);
        if passed_ms >= slowstart_ms {
            (self.start, self.share) = (None, FULL);
            self.settle();
            return None;
        }
        let share = passed_ms.saturating_mul(u64::from(FULL)) / slowstart_ms;
        // Below all of it, as time is left.
        self.share = u32::try_from(share).unwrap_or(FULL).max(1);
        self.settle();
        Some(now_ms + (slowstart_ms / STEPS).max(LEAST_STEP_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_is_linear_in_both() {
        let mut pace = Pace::new(10, 40, None);
        assert_eq!((pace.weight(), pace.maxconn()), (160, 40));
        pace.start_slowly(1_000, 20_000);
        // Milliseconds since, weight, maxconn.
        let cases = [(0, 1, 1), (1_000, 7, 2), (5_000, 40, 10), (10_000, 80, 20), (19_999, 159, 40), (20_000, 160, 40)];
        for (at_ms, weight, maxconn) in cases {
            let next = pace.advance(1_000 + at_ms);
            assert_eq!((pace.weight(), pace.maxconn()), (weight, maxconn), "after {at_ms}");
            assert_eq!(next, (at_ms < 20_000).then_some(2_000 + at_ms));
        }
        assert_eq!(pace.advance(90_000), None);
        pace.start_slowly(0, 1_000);
        assert_eq!(pace.advance(0), Some(100), "not in smaller steps");
    }

    #[test]
    fn nothing_and_unlimited_stay_so() {
        let mut pace = Pace::new(0, 0, None);
        pace.start_slowly(0, 1_000);
        assert_eq!((pace.weight(), pace.maxconn(), pace.takes_users()), (0, 0, false));
        pace.set_weight(1);
        assert_eq!(pace.weight(), 1, "a part of one is not none");
        pace.set_maxconn(1);
        assert!(pace.allows(0) && !pace.allows(1));
    }
}
