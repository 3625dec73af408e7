//! Dates in UTC, for the Date field and for the log: the board has no time zone files, and a clock that may start in 1970.
//!
//! Knows no clock: the time is an argument.

use crate::limits::CLOCK_SET_MS;
use std::fmt::Write;

/// A moment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// 1970 and later.
    pub year: u64,
    /// 0 is January.
    pub month: usize,
    /// 1..=31
    pub day: u64,
    /// 0 is Sunday.
    pub weekday: usize,
    /// 0..=23
    pub hour: u64,
    /// 0..=59
    pub minute: u64,
    /// 0..=59
    pub second: u64,
    /// 0..=999
    pub milli: u64,
}

/// The months as syslog and HAProxy write them.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Date {
    /// The date `unix_ms` milliseconds after 1970.
    #[must_use]
    pub fn of(unix_ms: u64) -> Self {
        let (seconds, milli) = (unix_ms / 1000, unix_ms % 1000);
        let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
        // Count in years that begin in March, so that the leap day comes last (H. Hinnant, "chrono-compatible low-level
        // date algorithms", civil_from_days).
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12;
        Self {
            year: year_of_era + era * 400 + u64::from(month < 2),
            month: usize::try_from(month).unwrap_or(0),
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            // 1970 began on a Thursday.
            weekday: usize::try_from((days + 4) % 7).unwrap_or(0),
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            milli,
        }
    }
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` and its CRLF: an IMF-fixdate (RFC 9110 section 5.6.7).
const MAX_LINE: usize = 48;

/// The Date line of the present second, written once a second.
#[derive(Debug, Default)]
pub struct DateLine {
    /// When its second begins, in milliseconds since 1970: the board divides 64 bits in software, so not each time.
    since_ms: u64,
    text: heapless::String<MAX_LINE>,
}

impl DateLine {
    /// The line at `unix_ms`; empty while the clock was never set (RFC 9110 section 6.6.1: who has no clock sends none).
    pub fn at(&mut self, unix_ms: u64) -> &str {
        if unix_ms.wrapping_sub(self.since_ms) >= 1000 {
            self.since_ms = unix_ms - unix_ms % 1000;
            self.text.clear();
            if unix_ms >= CLOCK_SET_MS {
                let Date { year, month, day, weekday, hour, minute, second, .. } = Date::of(unix_ms);
                let (weekday, month) = (DAYS[weekday], MONTHS[month]);
                // It fits until the year 9999.
                let _ = write!(
                    self.text,
                    "Date: {weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT\r\n"
                );
            }
        }
        &self.text
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
}
