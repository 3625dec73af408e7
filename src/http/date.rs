//! Dates in UTC, for the Date field and for the log: the board has no time zone files, and a clock that may start in 1970.
//!
//! Knows no clock: the time is an argument.

use crate::limits::CLOCK_SET_MS;
use std::fmt::{self, Write};

/// A moment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// 1970 and later.
    pub year: u32,
    /// 0 is January.
    pub month: usize,
    /// 1..=31
    pub day: u32,
    /// 0 is Sunday.
    pub weekday: usize,
    /// 0..=23
    pub hour: u32,
    /// 0..=59
    pub minute: u32,
    /// 0..=59
    pub second: u32,
    /// 0..=999
    pub milli: u32,
}

/// The months as syslog and HAProxy write them.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAY_MS: u64 = 86_400_000;

impl Date {
    /// The date `unix_ms` milliseconds after 1970. The board divides 64 bits in software: this does it once.
    #[must_use]
    pub fn of(unix_ms: u64) -> Self {
        const LAST: u32 = u32::MAX / 2;
        // It fits for five million years.
        let days = u32::try_from(unix_ms / DAY_MS).map_or(LAST, |days| days.min(LAST));
        let milli_of_day = u32::try_from(unix_ms % DAY_MS).unwrap_or(0);
        let second_of_day = milli_of_day / 1000;
        // Count in years that begin in March, so that the leap day comes last (H. Hinnant, "chrono-compatible low-level
        // date algorithms", civil_from_days).
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12;
        Self {
            year: year_of_era + era * 400 + u32::from(month < 2),
            month: month as usize,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            // 1970 began on a Thursday.
            weekday: ((days + 4) % 7) as usize,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            milli: milli_of_day % 1000,
        }
    }
}

/// A text that tells one second, written once in it.
#[derive(Debug)]
pub struct Second {
    /// When it begins, in milliseconds since 1970.
    since_ms: u64,
    text: heapless::String<MAX_LINE>,
}

impl Default for Second {
    fn default() -> Self {
        /// A second that no clock comes to.
        const NEVER_MS: u64 = u64::MAX - 999;
        Self { since_ms: NEVER_MS, text: heapless::String::new() }
    }
}

impl Second {
    /// The text of the second of `unix_ms`, which `write` writes when it is another than the last time, and the
    /// milliseconds into it.
    pub fn at(&mut self, unix_ms: u64, write: impl FnOnce(&mut dyn Write, &Date) -> fmt::Result) -> (&str, u32) {
        if unix_ms.wrapping_sub(self.since_ms) >= 1000 {
            let date = Date::of(unix_ms);
            self.since_ms = unix_ms - u64::from(date.milli);
            self.text.clear();
            // It fits until the year 9999.
            let _ = write(&mut self.text, &date);
        }
        (&self.text, u32::try_from(unix_ms - self.since_ms).unwrap_or(0))
    }
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` and its CRLF: an IMF-fixdate (RFC 9110 section 5.6.7).
const MAX_LINE: usize = 48;

/// The Date line of the present second.
#[derive(Debug, Default)]
pub struct DateLine(Second);

impl DateLine {
    /// The line at `unix_ms`; empty while the clock was never set (RFC 9110 section 6.6.1: who has no clock sends none).
    pub fn at(&mut self, unix_ms: u64) -> &str {
        let write = |out: &mut dyn Write, date: &Date| {
            let Date { year, month, day, weekday, hour, minute, second, .. } = *date;
            let (weekday, month) = (DAYS[weekday], MONTHS[month]);
            write!(out, "Date: {weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT\r\n")
        };
        if unix_ms < CLOCK_SET_MS { "" } else { self.0.at(unix_ms, write).0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_lines() {
        let mut line = DateLine::default();
        assert_eq!(line.at(0), "");
        assert_eq!(line.at(784_111_777_000), "", "the clock is not set");
        assert_eq!(line.at(1_795_527_877_999), "Date: Tue, 24 Nov 2026 13:44:37 GMT\r\n");
        assert_eq!(line.at(1_795_527_877_000), "Date: Tue, 24 Nov 2026 13:44:37 GMT\r\n");
        assert_eq!(line.at(1_795_527_876_999), "Date: Tue, 24 Nov 2026 13:44:36 GMT\r\n", "a clock set back");
        assert_eq!(line.at(1_795_527_878_000), "Date: Tue, 24 Nov 2026 13:44:38 GMT\r\n");
        assert_eq!(line.at(4_102_444_800_000), "Date: Fri, 01 Jan 2100 00:00:00 GMT\r\n");
    }

    #[test]
    fn dates() {
        let cases = [
            (0, (1970, "Jan", 1, 0, 0, 0)),
            (951_782_400, (2000, "Feb", 29, 0, 0, 0)),
            (1_233_922_454, (2009, "Feb", 6, 12, 14, 14)),
            (1_709_251_199, (2024, "Feb", 29, 23, 59, 59)),
            (1_735_689_599, (2024, "Dec", 31, 23, 59, 59)),
            (4_102_444_800, (2100, "Jan", 1, 0, 0, 0)),
        ];
        for (seconds, expected) in cases {
            let date = Date::of(seconds * 1000 + 7);
            let fields = (date.year, MONTHS[date.month], date.day, date.hour, date.minute, date.second);
            assert_eq!((fields, date.milli), (expected, 7));
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..200_000 {
            let date = Date::of(days * DAY_MS + 86_399_999);
            assert_eq!((date.year, date.month, date.day), (year, month, day));
            assert_eq!(date.weekday as u64, (days + 4) % 7);
            assert_eq!((date.hour, date.minute, date.second, date.milli), (23, 59, 59, 999));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            day = day % length + 1;
            month = (month + usize::from(day == 1)) % 12;
            year += u32::from(day == 1 && month == 0);
        }
        assert!(Date::of(u64::MAX).year > 5_000_000);
    }

    #[test]
    fn a_second_is_written_once() {
        let mut second = Second::default();
        let mut written = 0;
        let cases = [
            (0, 1, 0),
            (999, 1, 999),
            (1_000, 2, 0),
            (1_795_527_877_999, 3, 999),
            (1_795_527_877_000, 3, 0),
            (7, 4, 7),
        ];
        for (unix_ms, times, milli) in cases {
            let (text, into) = second.at(unix_ms, |out, date| {
                written += 1;
                write!(out, "{}", date.second)
            });
            assert_eq!((text, into), (format!("{}", unix_ms / 1000 % 60).as_str(), milli), "{unix_ms}");
            assert_eq!(written, times, "{unix_ms}");
        }
    }
}
