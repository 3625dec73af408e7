//! How long the loop makes others wait, without a reading of the clock for it.
//!
//! Two things tell. A turn that did not sleep took all of the time since the last reading: that is exact. Where the loop
//! slept nobody knows how long, so while there is traffic it samples: a deadline of its own, twenty times a second, and
//! how late that comes is what anything else that came at that moment waited. It sleeps no longer than until then, so a
//! late sample was at work and not asleep. With the last event the samples end; one more is all that an idle loop wakes
//! for. Knows no clock: time is an argument. Fixed size.

use super::seat::NEVER;
use std::fmt;

/// Seconds that are remembered.
const SECONDS: usize = 10;
/// Milliseconds from one sample to the next.
const SAMPLE_MS: u64 = 50;

/// What was seen in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    samples: u64,
    sum_ms: u64,
    most_ms: u64,
}

/// The lag of the last ten seconds, and the most there ever was.
#[derive(Debug)]
pub struct Lag {
    seconds: [Second; SECONDS],
    /// The last reading of the clock.
    last_ms: u64,
    /// When the next sample is due; [`NEVER`] while there is no traffic.
    due_ms: u64,
    most_ms: u64,
}

impl Default for Lag {
    fn default() -> Self {
        Self { seconds: [Second::default(); SECONDS], last_ms: 0, due_ms: NEVER, most_ms: 0 }
    }
}

/// What an operator is told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lags {
    /// The most of the last ten seconds, in milliseconds.
    pub recent_ms: u64,
    /// The average of the samples of the last ten seconds, in microseconds.
    pub average_us: u64,
    /// The most there ever was, in milliseconds.
    pub most_ms: u64,
}

impl Lag {
    /// When the loop has to look at the clock again; [`NEVER`] while it has not to.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// The clock was read at `now_ms`. Before that the loop `slept` if there was nothing to do, and not beyond
    /// [`Lag::due_ms`]; behind it there are `events`.
    #[inline]
    pub fn turned(&mut self, now_ms: u64, slept: bool, events: bool) {
        // Of most turns: there is nothing to note, neither a time nor that the traffic begins.
        let no_time = slept || now_ms == self.last_ms;
        if no_time && now_ms < self.due_ms && (!events || self.due_ms != NEVER) {
            self.last_ms = now_ms;
            return;
        }
        self.note_turn(now_ms, slept, events);
    }

    #[inline(never)]
    fn note_turn(&mut self, now_ms: u64, slept: bool, events: bool) {
        if !slept {
            self.note(now_ms, now_ms.saturating_sub(self.last_ms), false);
        }
        if self.due_ms <= now_ms {
            self.note(now_ms, now_ms - self.due_ms, true);
            self.due_ms = NEVER;
        }
        if events && self.due_ms == NEVER {
            self.due_ms = now_ms + SAMPLE_MS;
        }
        self.last_ms = now_ms;
    }

    fn note(&mut self, now_ms: u64, lag_ms: u64, sample: bool) {
        let number = now_ms / 1000;
        let second = &mut self.seconds[place(number)];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        if sample {
            second.samples += 1;
            second.sum_ms += lag_ms;
        }
        second.most_ms = second.most_ms.max(lag_ms);
        self.most_ms = self.most_ms.max(lag_ms);
    }

    /// As of `now_ms`.
    #[must_use]
    pub fn at(&self, now_ms: u64) -> Lags {
        let oldest = (now_ms / 1000).saturating_sub(SECONDS as u64 - 1);
        let recent = || self.seconds.iter().filter(|second| second.number >= oldest);
        let (samples, sum_ms) = recent().fold((0, 0), |(samples, sum), it| (samples + it.samples, sum + it.sum_ms));
        Lags {
            recent_ms: recent().map(|second| second.most_ms).max().unwrap_or(0),
            average_us: (sum_ms * 1000).checked_div(samples).unwrap_or(0),
            most_ms: self.most_ms,
        }
    }
}

impl fmt::Display for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recent_ms, average_us, most_ms } = self;
        let (whole, tenth) = (average_us / 1000, average_us / 100 % 10);
        write!(
            f,
            "{recent_ms} ms at most and {whole}.{tenth} ms on average in the last ten seconds, {most_ms} ms at most ever"
        )
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_no_lag_and_work_is() {
        let mut lag = Lag::default();
        // A long sleep, which an event ends.
        lag.turned(5_000, true, true);
        assert_eq!((lag.at(5_000), lag.due_ms()), (Lags::default(), 5_050));
        // A turn of 40 ms without sleep.
        lag.turned(5_040, false, true);
        assert_eq!(lag.at(5_040), Lags { recent_ms: 40, average_us: 0, most_ms: 40 });
        // The sample is due at 5050: it comes in time, and there is another one as there are events.
        lag.turned(5_050, true, true);
        assert_eq!((lag.at(5_050).average_us, lag.due_ms()), (0, 5_100));
        // The loop slept in the end, but was at work when the next was due.
        lag.turned(5_107, true, false);
        assert_eq!(lag.at(5_107), Lags { recent_ms: 40, average_us: 3_500, most_ms: 40 });
        // Nothing comes any more: nothing is due.
        assert_eq!(lag.due_ms(), NEVER);
        lag.turned(7_000, true, false);
        assert_eq!((lag.at(7_000).most_ms, lag.due_ms()), (40, NEVER));
        let told = "40 ms at most and 3.5 ms on average in the last ten seconds, 40 ms at most ever";
        assert_eq!(lag.at(7_000).to_string(), told);
    }

    #[test]
    fn ten_seconds_are_remembered() {
        let mut lag = Lag::default();
        lag.turned(1_500, true, false);
        lag.turned(1_600, false, false);
        lag.turned(10_999, true, false);
        assert_eq!(lag.at(10_999).recent_ms, 100);
        // The second is over, whether its place was used again or not.
        assert_eq!(lag.at(11_000), Lags { recent_ms: 0, average_us: 0, most_ms: 100 });
        lag.turned(11_001, false, false);
        assert_eq!(lag.at(11_001).recent_ms, 2);
    }
}
