//! What a backend's agent reports: one line of words, exactly as HAProxy's `agent-check` reads it.
//!
//! Words are separated by blanks, tabs and commas, in any case; of several of a kind the last counts. One that starts with `#`
//! begins a description. `up` and `down` (`fail`, `stopped`, and `failed`, which HAProxy takes for an error) are the agent's view of
//! its service; `ready`, `drain` and `maint` are orders; `75%` and `weight:N` set the weight, `maxconn:N` the limit.

use super::state::Admin;

/// A weight as reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// So many percent of the configured one.
    Percent(u32),
    /// This one.
    Absolute(u16),
}

/// A line, understood. What it does not mention stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report<'a> {
    /// Whether the service is up.
    pub up: Option<bool>,
    /// The state the agent wants.
    pub admin: Option<Admin>,
    /// The weight it wants.
    pub weight: Option<Weight>,
    /// The requests at once it wants; 0 = unlimited.
    pub maxconn: Option<u32>,
    /// The word that says whether it is up.
    pub word: &'a str,
    /// What stands behind `#`.
    pub description: &'a str,
    /// The first word that means nothing.
    pub unknown: Option<&'a str>,
}

/// Weights end here.
const MAX_WEIGHT: u32 = 256;

impl Weight {
    /// The weight this makes of a configured one; HAProxy bounds the result, not the percentage.
    #[must_use]
    pub fn of(self, configured: u16) -> u16 {
        match self {
            Self::Absolute(weight) => weight,
            Self::Percent(percent) => {
                let weight = u64::from(configured) * u64::from(percent) / 100;
                u16::try_from(weight.min(u64::from(MAX_WEIGHT))).unwrap_or(u16::MAX)
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => number(percent).map(Self::Percent),
            None => number(text).filter(|&weight| weight <= MAX_WEIGHT)?.try_into().ok().map(Self::Absolute),
        }
    }
}

impl<'a> Report<'a> {
    /// Understands a line.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        const BETWEEN: [char; 3] = [' ', '\t', ','];
        let (mut report, mut rest) = (Self::default(), line.trim_start_matches(BETWEEN));
        while !rest.is_empty() {
            if let Some(description) = rest.strip_prefix('#') {
                report.description = description.trim();
                break;
            }
            let (word, behind) = rest.split_at(rest.find(BETWEEN).unwrap_or(rest.len()));
            if !report.take(word) {
                report.unknown = report.unknown.or(Some(word));
            }
            rest = behind.trim_start_matches(BETWEEN);
        }
        report
    }

    /// Takes one word; whether it means something.
    fn take(&mut self, word: &'a str) -> bool {
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        let after = |prefix: &str| word.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix));
        if is("up") || is("down") || is("fail") || is("failed") || is("stopped") {
            self.up = Some(is("up"));
            self.word = word;
        } else if is("ready") {
            self.admin = Some(Admin::Ready);
        } else if is("drain") {
            self.admin = Some(Admin::Drain);
        } else if is("maint") {
            self.admin = Some(Admin::Maint);
        } else if let Some(prefix) = after("maxconn:") {
            let maxconn = number(&word[prefix.len()..]);
            self.maxconn = maxconn.or(self.maxconn);
            return maxconn.is_some();
        } else {
            let prefix = after("weight:").map(str::len);
            // A bare number is a weight only as a percentage.
            let weight = (prefix.is_some() || word.ends_with('%')).then(|| &word[prefix.unwrap_or(0)..]);
            let weight = weight.and_then(Weight::parse);
            self.weight = weight.or(self.weight);
            return weight.is_some();
        }
        true
    }
}

/// Digits alone.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_as_agents_send_them() {
        let none = Report::default();
        let percent = |percent| Some(Weight::Percent(percent));
        let cases = [
            ("", none),
            (" \t,, ", none),
            ("75%", Report { weight: percent(75), ..none }),
            ("weight:75%", Report { weight: percent(75), ..none }),
            ("weight:30", Report { weight: Some(Weight::Absolute(30)), ..none }),
            ("75% 50%", Report { weight: percent(50), ..none }),
            ("maxconn:30", Report { maxconn: Some(30), ..none }),
            ("up\u{b}down", Report { unknown: Some("up\u{b}down"), ..none }),
            ("UP,Drain", Report { up: Some(true), admin: Some(Admin::Drain), word: "UP", ..none }),
            ("ready\t50%", Report { admin: Some(Admin::Ready), weight: percent(50), ..none }),
            ("maint", Report { admin: Some(Admin::Maint), ..none }),
            ("down #disk full", Report { up: Some(false), word: "down", description: "disk full", ..none }),
            ("down,#", Report { up: Some(false), word: "down", ..none }),
            ("up down#disk", Report { up: Some(true), word: "up", unknown: Some("down#disk"), ..none }),
            ("fail # 75% maint", Report { up: Some(false), word: "fail", description: "75% maint", ..none }),
            ("failed", Report { up: Some(false), word: "failed", ..none }),
            ("stopped", Report { up: Some(false), word: "stopped", ..none }),
            ("up maxconn:0 weight:256", {
                let weight = Some(Weight::Absolute(256));
                Report { up: Some(true), maxconn: Some(0), weight, word: "up", ..none }
            }),
            ("hello up you", Report { up: Some(true), word: "up", unknown: Some("hello"), ..none }),
            ("75", Report { unknown: Some("75"), ..none }),
            ("weight:257", Report { unknown: Some("weight:257"), ..none }),
            ("weight:", Report { unknown: Some("weight:"), ..none }),
            ("-5%", Report { unknown: Some("-5%"), ..none }),
            ("%", Report { unknown: Some("%"), ..none }),
            ("maxconn:+3", Report { unknown: Some("maxconn:+3"), ..none }),
            ("maxconn:5 maxconn:x", Report { maxconn: Some(5), unknown: Some("maxconn:x"), ..none }),
            ("75% x%", Report { weight: percent(75), unknown: Some("x%"), ..none }),
            ("weight:99999999999%", Report { unknown: Some("weight:99999999999%"), ..none }),
        ];
        for (line, expected) in cases {
            assert_eq!(Report::parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_percentage_is_of_the_configured_weight() {
        for (configured, percent, weight) in [(100, 75, 75), (1, 99, 0), (10, 250, 25), (256, 200, 256), (0, 100, 0)] {
            assert_eq!(Weight::Percent(percent).of(configured), weight, "{percent}% of {configured}");
        }
        assert_eq!((Weight::Absolute(7).of(100), Weight::Percent(u32::MAX).of(256)), (7, 256));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,40}", more in "(weight:|maxconn:|é|[0-9%#, ]){0,8}") {
            let text = line + &more;
            let report = Report::parse(&text);
            prop_assert!(report.weight.is_none_or(|weight| weight.of(256) <= 256));
        }
    }
}
