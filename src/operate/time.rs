//! Dates for the log, in UTC: the board has no time zone files, and a clock that may start in 1970.

/// A moment, as the log writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub year: u64,
    /// 0 is January.
    pub month: usize,
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
    pub milli: u64,
}

/// The months as syslog and HAProxy write them.
pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Date {
    /// The date `unix_ms` milliseconds after 1970.
    pub(super) fn of(unix_ms: u64) -> Self {
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
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            milli,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
