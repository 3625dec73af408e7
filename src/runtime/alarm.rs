//! The kernel's timer that ends the loop's sleep.
//!
//! A sleep with a time limit of its own costs the kernel a timer set and taken back, each time. This one is set when something
//! is due sooner than it rings, which under traffic is every fiftieth millisecond, and all sleeps in between are without a
//! limit. One that rings too soon, as what it was set for has moved, costs a turn.

use super::seat::NEVER;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::cell::Cell;

/// One timer.
pub(super) struct Alarm {
    pub(super) timer: TimerFd,
    /// When it rings, or rang last.
    at_ms: Cell<u64>,
}

impl Alarm {
    /// A timer that is not set.
    pub(super) fn new() -> nix::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self { timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?, at_ms: Cell::new(0) })
    }

    /// Sees to it that it rings at `due_ms`, or sooner; how many milliseconds a sleep from `now_ms` on may take by itself,
    /// -1: any.
    pub(super) fn ring(&self, due_ms: u64, now_ms: u64) -> i32 {
        let at_ms = self.at_ms.get();
        if due_ms == NEVER || (now_ms < at_ms && at_ms <= due_ms) {
            return -1;
        }
        self.set(due_ms, now_ms)
    }

    #[inline(never)]
    fn set(&self, due_ms: u64, now_ms: u64) -> i32 {
        if due_ms <= now_ms {
            return 0;
        }
        let wait_ms = i64::try_from(due_ms - now_ms).unwrap_or(i64::MAX / 1_000);
        let when = Expiration::OneShot(TimeSpec::milliseconds(wait_ms));
        match self.timer.set(when, TimerSetTimeFlags::empty()) {
            Ok(()) => {
                self.at_ms.set(due_ms);
                -1
            }
            // It cannot be; if it were, the sleep ends by itself.
            Err(_) => i32::try_from(wait_ms).unwrap_or(i32::MAX),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    /// Milliseconds until it rings.
    fn left_ms(alarm: &Alarm) -> Option<i64> {
        alarm.timer.get().unwrap().map(|when| match when {
            Expiration::OneShot(left) => left.num_milliseconds(),
            Expiration::IntervalDelayed(..) | Expiration::Interval(_) => unreachable!("it is set once"),
        })
    }

    #[test]
    fn it_is_set_only_for_what_comes_sooner() {
        let alarm = Alarm::new().unwrap();
        assert_eq!((alarm.ring(NEVER, 5), left_ms(&alarm)), (-1, None));
        assert_eq!((alarm.ring(5, 5), left_ms(&alarm)), (0, None), "due already");
        assert_eq!(alarm.ring(1_000_005, 5), -1);
        assert!(left_ms(&alarm).unwrap() > 900_000);
        assert_eq!(alarm.ring(500_005, 5), -1);
        let left = left_ms(&alarm).unwrap();
        assert!((400_000..=500_000).contains(&left), "{left}");
        assert_eq!((alarm.ring(900_005, 5), alarm.ring(NEVER, 5)), (-1, -1));
        assert!(left_ms(&alarm).unwrap() <= left, "it rings soon enough for what is later");
        assert_eq!(alarm.ring(900_005, 500_005), -1);
        let left = left_ms(&alarm).unwrap();
        assert!((300_000..=400_000).contains(&left), "it rang: {left}");
    }
}
