//! Passive checks: what the traffic itself says about a backend (HAProxy's `observe`, with a cap and a way back).
//!
//! ```text
//!             error-limit errors in a row              eject-time is over
//!   Trusted ------------------------------> Ejected ----------------------> Trial
//!      ^                                       ^                              |
//!      |                                       +--- the request fails --------+
//!      +------------- the request, or a probe, goes well ---------------------+
//! ```
//!
//! On trial it works on one request at a time. Who may be ejected is the balancer's to say: never the last, never more
//! than a share of the pool.

/// What is observed (`pool.N.observe`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Observe {
    /// Nothing.
    #[default]
    None,
    /// Whether connections succeed.
    Connect,
    /// The same, and what is answered.
    Http,
}

/// The passive checks of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassiveSpec {
    /// What is observed.
    pub observe: Observe,
    /// Errors in a row that eject a backend.
    pub error_limit: u32,
    /// The most of the pool's backends that may be ejected at once, in percent.
    pub eject_max: u32,
    /// Milliseconds for which one is ejected.
    pub eject_ms: u64,
}

/// Something that happened with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A connection was accepted.
    Connected,
    /// One was not.
    NotConnected,
    /// A response with this status.
    Answered(u16),
    /// No response, or none that can be understood.
    Broken,
}

/// What it says about the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    Nothing,
}

impl Seen {
    /// As HAProxy has it: 100 to 499, 501 and 505 are what a healthy server may answer.
    fn verdict(self, observe: Observe) -> Verdict {
        match (observe, self) {
            (Observe::None, _) => Verdict::Nothing,
            (Observe::Connect | Observe::Http, Self::NotConnected) => Verdict::Bad,
            (Observe::Connect, Self::Connected) => Verdict::Good,
            (Observe::Connect, Self::Answered(_) | Self::Broken) => Verdict::Nothing,
            (Observe::Http, Self::Connected) => Verdict::Nothing,
            (Observe::Http, Self::Answered(100..=499 | 501 | 505)) => Verdict::Good,
            (Observe::Http, Self::Answered(_) | Self::Broken) => Verdict::Bad,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Trusted,
    Ejected {
        until_ms: u64,
    },
    /// `taken` while the request that decides is on its way.
    Trial {
        taken: bool,
    },
}

/// What the traffic says about one backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// In a row.
    errors: u32,
    stage: Stage,
}

impl Watch {
    pub(super) fn is_trusted(&self) -> bool {
        self.stage == Stage::Trusted
    }

    /// Whether it gets nothing.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.stage, Stage::Ejected { .. })
    }

    /// Whether it may be given a request, as far as its trial goes.
    pub(super) fn has_room(&self) -> bool {
        !matches!(self.stage, Stage::Trial { taken: true })
    }

    /// It was given a request.
    pub(super) fn taken(&mut self) {
        if let Stage::Trial { taken } = &mut self.stage {
            *taken = true;
        }
    }

    /// A request is over. If that was the one to decide and it said nothing, the next decides.
    pub(super) fn released(&mut self) {
        if let Stage::Trial { taken } = &mut self.stage {
            *taken = false;
        }
    }

    /// Takes note of what happened; whether the stage changed. `may_eject` says whether the pool can do without it.
    pub(super) fn note(
        &mut self,
        seen: Seen,
        spec: &PassiveSpec,
        now_ms: u64,
        may_eject: impl FnOnce() -> bool,
    ) -> bool {
        let ejected = Stage::Ejected { until_ms: now_ms.saturating_add(spec.eject_ms) };
        match (seen.verdict(spec.observe), self.stage) {
            (Verdict::Nothing, _) | (_, Stage::Ejected { .. }) => false,
            (Verdict::Good, Stage::Trusted) => {
                self.errors = 0;
                false
            }
            (Verdict::Bad, Stage::Trusted) => {
                self.errors = self.errors.saturating_add(1);
                if self.errors < spec.error_limit || !may_eject() {
                    return false;
                }
                *self = Self { errors: 0, stage: ejected };
                true
            }
            (Verdict::Good, Stage::Trial { .. }) => {
                self.trust();
                true
            }
            (Verdict::Bad, Stage::Trial { .. }) => {
                self.stage = ejected;
                true
            }
        }
    }

    /// Begins the trial when it is time; whether it was.
    pub(super) fn begin_trial(&mut self, now_ms: u64) -> bool {
        let due = self.due_ms().is_some_and(|until_ms| until_ms <= now_ms);
        if due {
            self.stage = Stage::Trial { taken: false };
        }
        due
    }

    /// When the trial begins.
    pub(super) fn due_ms(&self) -> Option<u64> {
        match self.stage {
            Stage::Ejected { until_ms } => Some(until_ms),
            Stage::Trusted | Stage::Trial { .. } => None,
        }
    }

    /// A probe went well: that ends a trial; whether there was one.
    pub(super) fn probed_well(&mut self) -> bool {
        let decides = matches!(self.stage, Stage::Trial { .. });
        if decides {
            self.trust();
        }
        decides
    }

    /// All is forgiven.
    pub(super) fn trust(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_an_error() {
        // What happened, its verdict for `connect` and for `http`: good, bad, nothing.
        let mut cases = vec![(Seen::Connected, "g-"), (Seen::NotConnected, "bb"), (Seen::Broken, "-b")];
        for status in [100, 200, 204, 301, 404, 429, 499, 501, 505] {
            cases.push((Seen::Answered(status), "-g"));
        }
        for status in [500, 502, 503, 504, 506, 599] {
            cases.push((Seen::Answered(status), "-b"));
        }
        for (seen, verdicts) in cases {
            let letter = |observe| match seen.verdict(observe) {
                Verdict::Good => 'g',
                Verdict::Bad => 'b',
                Verdict::Nothing => '-',
            };
            assert_eq!(String::from_iter([letter(Observe::Connect), letter(Observe::Http)]), verdicts, "{seen:?}");
            assert_eq!(seen.verdict(Observe::None), Verdict::Nothing);
        }
    }

    #[test]
    fn errors_in_a_row_eject_and_the_trial_decides() {
        let spec = PassiveSpec { observe: Observe::Http, error_limit: 3, eject_max: 50, eject_ms: 1000 };
        let (good, bad) = (Seen::Answered(200), Seen::Answered(503));
        let mut watch = Watch::default();
        for seen in [bad, bad, good, bad, bad] {
            assert!(!watch.note(seen, &spec, 0, || true));
        }
        // The pool cannot do without it: it stays, and the next error asks again.
        assert!(!watch.note(bad, &spec, 0, || false) && watch.is_trusted());
        assert!(watch.note(bad, &spec, 500, || true) && watch.is_out());
        // What was under way when it was ejected decides nothing.
        assert!(!watch.note(good, &spec, 600, || true) && !watch.probed_well());
        assert!(!watch.begin_trial(1499));
        assert!(watch.begin_trial(1500) && !watch.is_out() && !watch.is_trusted() && watch.has_room());
        // One request at a time; one that says nothing leaves it to the next.
        watch.taken();
        assert!(!watch.has_room());
        watch.released();
        watch.taken();
        assert!(watch.note(bad, &spec, 1600, || false) && watch.is_out(), "it was out already");
        watch.released();
        assert!(watch.is_out());
        assert!(watch.begin_trial(2600));
        assert!(watch.note(good, &spec, 2600, || true) && watch.is_trusted());
        for _ in 0..2 {
            assert!(!watch.note(bad, &spec, 3000, || true));
        }
        assert!(watch.note(bad, &spec, 3000, || true) && watch.begin_trial(4000));
        assert!(watch.probed_well() && watch.is_trusted());
    }
}
