//! The dates in an affinity cookie, as HAProxy writes them: `VALUE|LAST|FIRST`.
//!
//! A date is the seconds since 1970 in steps of four, rounded up, as five digits of base 64 with the highest first. `LAST`
//! is when the user was last given the cookie, `FIRST` when he first was. While the wall clock is not set no date is
//! looked at and none is written: a cookie without dates counts as fresh, and gets some once the clock is right.

use crate::limits::CLOCK_SET_MS;
use std::fmt::{self, Write};

/// What stands before a date.
const BAR: u8 = b'|';
/// Digits of a date.
const LENGTH: usize = 5;
/// Seconds of one step.
const STEP_S: u64 = 4;
/// A date so far in the future, in seconds, is no date of ours.
const AHEAD_S: u64 = 24 * 60 * 60;
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes that the dates add to a value.
pub const MAX_DATES: usize = 2 * (1 + LENGTH);

/// The dates of one cookie, in steps since 1970; 0 where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    last: u32,
    first: u32,
}

/// How long a cookie is good (`pool.N.cookie.maxidle`, `.maxlife`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Milliseconds since it was last given.
    pub idle_ms: Option<u64>,
    /// Milliseconds since it was first given.
    pub life_ms: Option<u64>,
}

/// Why a cookie is good no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Not used for `maxidle`.
    Idle,
    /// In use for `maxlife`.
    Old,
}

impl Dates {
    /// Those of a cookie without any.
    pub const NONE: Self = Self { last: 0, first: 0 };

    /// Takes the dates off a cookie's value.
    #[must_use]
    pub fn split(value: &[u8]) -> (&[u8], Self) {
        let bar = |bytes: &[u8]| bytes.iter().position(|&byte| byte == BAR);
        let Some(end) = bar(value) else { return (value, Self::NONE) };
        let rest = &value[end + 1..];
        let first = bar(rest).map_or(0, |at| read(&rest[at + 1..]));
        (&value[..end], Self { last: read(rest), first })
    }

    /// Whether a cookie with these dates is good no longer. `wall_ms` is the wall clock.
    #[must_use]
    pub fn stale(self, lifetime: &Lifetime, wall_ms: u64) -> Option<Stale> {
        if wall_ms < CLOCK_SET_MS {
            return None;
        }
        let now_s = wall_ms / 1000;
        let beyond = |step: u32, span_ms: Option<u64>| {
            let date_s = u64::from(step) * STEP_S;
            let passed = |span_ms: u64| now_s.saturating_sub(date_s) > span_ms.div_ceil(1000);
            step != 0 && span_ms.is_some_and(|span_ms| passed(span_ms) || date_s.saturating_sub(now_s) > AHEAD_S)
        };
        if beyond(self.first, lifetime.life_ms) {
            return Some(Stale::Old);
        }
        beyond(self.last, lifetime.idle_ms).then_some(Stale::Idle)
    }

    /// Whether the cookie must be given anew although it leads where it should: its dates are not of now, some are missing,
    /// or it has some and should not.
    #[must_use]
    pub fn are_due(self, lifetime: &Lifetime, wall_ms: u64) -> bool {
        if wall_ms < CLOCK_SET_MS {
            return false;
        }
        let passed = self.last == 0 || u64::from(self.last) * STEP_S < wall_ms / 1000;
        let last = (lifetime.idle_ms.is_some() || self.last != 0) && passed;
        last || lifetime.life_ms.is_some() != (self.first != 0)
    }

    /// Writes the dates of a cookie that is given at `wall_ms`; `self` are those it had.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(self, lifetime: &Lifetime, wall_ms: u64, out: &mut impl Write) -> fmt::Result {
        if wall_ms < CLOCK_SET_MS || (lifetime.idle_ms.is_none() && lifetime.life_ms.is_none()) {
            return Ok(());
        }
        let now = u32::try_from((wall_ms / 1000).div_ceil(STEP_S)).unwrap_or(u32::MAX);
        write_date(now, out)?;
        match lifetime.life_ms {
            Some(_) => write_date(if self.first == 0 { now } else { self.first }, out),
            None => Ok(()),
        }
    }
}

/// The date at the start of `text`; 0 when there is none.
fn read(text: &[u8]) -> u32 {
    let digit = |&byte: &u8| DIGITS.iter().position(|&digit| digit == byte).and_then(|at| u32::try_from(at).ok());
    let number = |digits: &[u8]| digits.iter().try_fold(0, |number, byte| Some(number << 6 | digit(byte)?));
    text.get(..LENGTH).and_then(number).unwrap_or(0)
}

fn write_date(step: u32, out: &mut impl Write) -> fmt::Result {
    out.write_char(char::from(BAR))?;
    (0..LENGTH).rev().try_for_each(|place| out.write_char(char::from(DIGITS[(step >> (6 * place)) as usize & 63])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 442_000_000 * STEP_S * 1000;
    const NOW: u32 = 442_000_000;
    const MINUTE: u32 = 15;

    fn lifetime(idle_s: u64, life_s: u64) -> Lifetime {
        let span = |s: u64| (s > 0).then_some(s * 1000);
        Lifetime { idle_ms: span(idle_s), life_ms: span(life_s) }
    }

    #[test]
    fn values_and_dates() {
        let date = 0x1f_0f_3a_u32;
        let mut text = String::new();
        write_date(date, &mut text).unwrap();
        assert_eq!((text.as_str(), read(&text.as_bytes()[1..])), ("|AHw86", date));
        let cases: [(&str, &str, u32, u32); 9] = [
            ("s1", "s1", 0, 0),
            ("s1|", "s1", 0, 0),
            ("s1|AAAAB", "s1", 1, 0),
            ("s1|AAAA", "s1", 0, 0),
            ("s1|AAA|AAAAC", "s1", 0, 2),
            ("s1|AAABA|////+xx", "s1", 64, (1 << 30) - 2),
            ("s1|AA%AB|AAAAB", "s1", 0, 1),
            ("|AAAAB", "", 1, 0),
            ("s1|AAAAB|", "s1", 1, 0),
        ];
        for (value, name, last, first) in cases {
            assert_eq!(Dates::split(value.as_bytes()), (name.as_bytes(), Dates { last, first }), "{value}");
        }
    }

    #[test]
    fn what_is_too_old_or_not_yet_is_stale() {
        let day = 24 * 60 * MINUTE;
        let cases = [
            (lifetime(60, 0), NOW - MINUTE, 0, None),
            (lifetime(60, 0), NOW - MINUTE - 1, 0, Some(Stale::Idle)),
            (lifetime(0, 0), NOW - day, NOW - day, None),
            (lifetime(60, 60), NOW - MINUTE - 1, NOW - MINUTE - 1, Some(Stale::Old)),
            (lifetime(60, 600), NOW, NOW - 10 * MINUTE, None),
            (lifetime(60, 600), NOW, NOW - 10 * MINUTE - 1, Some(Stale::Old)),
            (lifetime(60, 0), NOW + day, 0, None),
            (lifetime(60, 0), NOW + day + 1, 0, Some(Stale::Idle)),
            (lifetime(60, 60), NOW, NOW + day + 1, Some(Stale::Old)),
            (lifetime(60, 60), 0, 0, None),
            (lifetime(0, 60), 1, 0, None),
        ];
        for (lifetime, last, first, stale) in cases {
            let dates = Dates { last, first };
            assert_eq!(dates.stale(&lifetime, NOW_MS), stale, "{lifetime:?} {last} {first}");
            assert_eq!(dates.stale(&lifetime, CLOCK_SET_MS - 1), None, "the clock is not set");
        }
    }

    #[test]
    fn what_is_due() {
        let cases = [
            (lifetime(0, 0), 0, 0, false),
            (lifetime(0, 0), NOW - 1, 0, true),
            (lifetime(0, 0), NOW, 0, false),
            (lifetime(0, 0), NOW, NOW, true),
            (lifetime(60, 0), 0, 0, true),
            (lifetime(60, 0), NOW, 0, false),
            (lifetime(60, 0), NOW - 1, 0, true),
            (lifetime(0, 60), NOW, 0, true),
            (lifetime(0, 60), NOW, NOW - 1, false),
        ];
        for (lifetime, last, first, due) in cases {
            let dates = Dates { last, first };
            assert_eq!(dates.are_due(&lifetime, NOW_MS), due, "{lifetime:?} {last} {first}");
            assert!(!dates.are_due(&lifetime, CLOCK_SET_MS - 1), "the clock is not set");
        }
    }

    #[test]
    fn parts_of_a_second_count_as_one() {
        let idle = Lifetime { idle_ms: Some(3_001), life_ms: None };
        let dates = Dates { last: NOW - 1, first: 0 };
        assert_eq!([dates.stale(&idle, NOW_MS), dates.stale(&idle, NOW_MS + 1_000)], [None, Some(Stale::Idle)]);
    }

    #[test]
    fn dates_are_written_from_the_moment_that_the_clock_is_set() {
        for (wall_ms, length) in [(0, 0), (CLOCK_SET_MS - 1, 0), (CLOCK_SET_MS, MAX_DATES)] {
            let mut text = String::new();
            Dates::NONE.write(&lifetime(60, 60), wall_ms, &mut text).unwrap();
            assert_eq!(text.len(), length, "{wall_ms}");
        }
    }

    #[test]
    fn dates_are_looked_at_from_the_moment_that_the_clock_is_set() {
        let stale = |wall_ms| Dates { last: 1, first: 0 }.stale(&lifetime(60, 0), wall_ms);
        assert_eq!([CLOCK_SET_MS - 1, CLOCK_SET_MS].map(stale), [None, Some(Stale::Idle)]);
    }

    proptest! {
        /// What is written is read again: the last date is of now, the first one stays.
        #[test]
        fn written_dates(wall_ms in CLOCK_SET_MS..(1 << 32) * 1000, first in 0u32..1 << 30, idle: bool, life: bool) {
            let lifetime = lifetime(u64::from(idle), u64::from(life));
            let mut value = "s1".to_owned();
            Dates { last: 7, first }.write(&lifetime, wall_ms, &mut value).unwrap();
            let (name, dates) = Dates::split(value.as_bytes());
            let now = u32::try_from((wall_ms / 1000).div_ceil(4)).unwrap();
            prop_assert_eq!(name, b"s1");
            prop_assert_eq!(dates.last, if idle || life { now } else { 0 });
            prop_assert_eq!(dates.first, if !life { 0 } else if first == 0 { now } else { first });
            prop_assert!(!dates.are_due(&lifetime, wall_ms));
            prop_assert!(value.len() <= 2 + MAX_DATES);
        }

        #[test]
        fn no_bytes_make_it_panic(value: Vec<u8>, wall_ms: u64, idle_ms: Option<u64>, life_ms: Option<u64>) {
            let (_, dates) = Dates::split(&value);
            let lifetime = Lifetime { idle_ms, life_ms };
            let _ = dates.stale(&lifetime, wall_ms);
            let _ = dates.are_due(&lifetime, wall_ms);
            prop_assert!(dates.write(&lifetime, wall_ms, &mut String::new()).is_ok());
        }
    }
}
