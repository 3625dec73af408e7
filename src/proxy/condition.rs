//! How a backend fared so far: its last probe, since when it is as it is, for how long it was down.

/// What a probe, or a question to an agent, found out (HAProxy's `check_status` and `agent_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finding {
    /// There was none yet.
    #[default]
    Nothing,
    /// The probe could not be made.
    SocketError,
    /// A connection, and no more was asked.
    Connected,
    /// No connection in time.
    ConnectTimeout,
    /// No connection.
    NotConnected,
    /// The response is as it should be.
    Good,
    /// No response in time.
    Silent,
    /// A response that breaks a rule.
    Malformed,
    /// Another status than expected; an agent that says that it is down.
    Wrong,
    /// An agent that does not say whether it is up.
    Unchanged,
}

impl Finding {
    /// What HAProxy writes for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Nothing => "INI",
            Self::SocketError => "SOCKERR",
            Self::Connected => "L4OK",
            Self::ConnectTimeout => "L4TOUT",
            Self::NotConnected => "L4CON",
            Self::Good => "L7OK",
            Self::Silent => "L7TOUT",
            Self::Malformed => "L7RSP",
            Self::Wrong => "L7STS",
            Self::Unchanged => "CHECKED",
        }
    }

    /// HAProxy's number for it, as in `show servers state`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Nothing => 1,
            Self::SocketError => 5,
            Self::Connected => 6,
            Self::ConnectTimeout => 7,
            Self::NotConnected => 8,
            Self::Good => 15,
            Self::Silent => 12,
            Self::Malformed => 13,
            Self::Wrong => 17,
            Self::Unchanged => 3,
        }
    }

    /// HAProxy's words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "Initializing",
            Self::SocketError => "Socket error",
            Self::Connected => "Layer4 check passed",
            Self::ConnectTimeout => "Layer4 timeout",
            Self::NotConnected => "Layer4 connection problem",
            Self::Good => "Layer7 check passed",
            Self::Silent => "Layer7 timeout",
            Self::Malformed => "Layer7 invalid response",
            Self::Wrong => "Layer7 wrong status",
            Self::Unchanged => "No status change",
        }
    }

    /// Whether it is good.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Connected | Self::Good)
    }
}

/// The last probe of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What it found out.
    pub finding: Finding,
    /// The status of the response; 0: there was none.
    pub status: u16,
    /// How long it took.
    pub duration_ms: u64,
    /// Successes or failures that count, as HAProxy counts them: 0..=rise+fall-1, up from `rise` on.
    pub level: u32,
}

/// How one backend fared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Condition {
    pub(super) checked: Checked,
    /// Probes that failed while it was up.
    pub(super) failures: u64,
    /// How often it went down.
    pub(super) downs: u64,
    /// Since when it is there.
    began_ms: u64,
    /// Since when it is as it is.
    pub(super) since_ms: u64,
    /// Since when it is down.
    down_since_ms: Option<u64>,
    down_ms: u64,
    /// How often the traffic ejected it.
    pub(super) ejections: u64,
}

impl Condition {
    /// It begins like this, which is no change.
    pub(super) fn begin(&mut self, healthy: bool, now_ms: u64) {
        let down_since_ms = (!healthy).then_some(now_ms);
        *self = Self { began_ms: now_ms, since_ms: now_ms, down_since_ms, ..Self::default() };
    }

    /// Something about its state changed.
    pub(super) fn turned(&mut self, healthy: bool, now_ms: u64) {
        self.since_ms = now_ms;
        match (healthy, self.down_since_ms) {
            (false, None) => {
                self.downs += 1;
                self.down_since_ms = Some(now_ms);
            }
            (true, Some(since_ms)) => {
                self.down_ms += now_ms.saturating_sub(since_ms);
                self.down_since_ms = None;
            }
            (true, None) | (false, Some(_)) => {}
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_since_ms.is_some()
    }

    /// Milliseconds that it was down, in all.
    pub(super) fn down_ms(&self, now_ms: u64) -> u64 {
        self.down_ms + self.down_since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms))
    }

    /// Milliseconds that it was there and not down.
    pub(super) fn up_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.began_ms).saturating_sub(self.down_ms(now_ms))
    }

    /// The same without counts.
    pub(super) fn cleared(&self) -> Self {
        Self { failures: 0, downs: 0, ejections: 0, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_down_is_the_sum_of_times() {
        let mut condition = Condition::default();
        for (healthy, now_ms) in [(false, 1_000), (false, 1_500), (true, 3_000), (true, 4_000), (false, 10_000)] {
            condition.turned(healthy, now_ms);
        }
        assert_eq!((condition.down_ms(10_000), condition.down_ms(12_000)), (2_000, 4_000));
        assert_eq!((condition.up_ms(10_000), condition.up_ms(12_000)), (8_000, 8_000));
        assert_eq!((condition.downs, condition.since_ms), (2, 10_000));
        let cleared = condition.cleared();
        assert_eq!((cleared.downs, cleared.down_ms(12_000)), (0, 4_000));
        condition.begin(false, 13_000);
        condition.turned(true, 14_000);
        assert_eq!((condition.down_ms(20_000), condition.up_ms(20_000), condition.downs), (1_000, 6_000, 0));
    }
}
