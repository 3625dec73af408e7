//! `power.*`: watts that somebody measured, or assumes, so that beelance can say what requests cost.
//!
//! Thousandths of a watt inside: there are no fractions in this program.

use super::keys::Id;
use super::settings::Settings;

/// What the board and a server draw, in thousandths of a watt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// `power.board`.
    pub board_mw: u64,
    /// `power.server`.
    pub server_mw: Option<u64>,
}

/// 0.001 to 100,000 watts: with more, joules of a year and of all servers would not fit their 64 bits.
pub(super) const RANGE_MW: std::ops::RangeInclusive<u64> = 1..=100_000_000;
/// Digits behind the point.
const DIGITS: usize = 3;

impl Power {
    pub(super) fn of(settings: &Settings<'_>) -> Self {
        let board_mw = settings.number(Id::PowerBoard, "").unwrap_or_default();
        Self { board_mw, server_mw: settings.number(Id::PowerServer, "") }
    }
}

/// Reads watts, with three digits behind the point at most.
pub(super) fn milliwatts(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > DIGITS {
        return None;
    }
    let scale = 10u64.pow(u32::try_from(DIGITS - part.len()).ok()?);
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part.parse::<u64>().ok()? * scale)
}

/// Watts, as a file says them.
pub(super) fn watts_text(milliwatts: u64) -> String {
    let text = format!("{}.{:03}", milliwatts / 1000, milliwatts % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, read};
    use super::*;

    #[test]
    fn watts_are_read_and_written() {
        for (text, expected) in
            [("0.7", 700), ("95", 95_000), ("0.69", 690), ("100000", 100_000_000), ("0.001", 1), ("12.050", 12_050)]
        {
            assert_eq!(milliwatts(text), Some(expected), "{text}");
            assert_eq!(milliwatts(&watts_text(expected)), Some(expected), "{text}");
        }
        for text in ["", ".7", "7.", "-1", "+1", "0.0001", "1e3", "1 W", "0,7", "99999999999999999999", "1.2.3"] {
            assert_eq!(milliwatts(text), None, "{text}");
        }
        assert_eq!([700, 95_000, 12_050].map(watts_text), ["0.7", "95", "12.05"]);
    }

    #[test]
    fn what_holds_without_a_line_and_what_is_refused() {
        const REST: &str = "listen.l = 127.0.0.1:1\nbackend.z = h:1\n";
        assert_eq!(read(REST).power, Power { board_mw: 700, server_mw: None });
        let config = read(&format!("{REST}power.board = 1.25\npower.server = 95\n"));
        assert_eq!(config.power, Power { board_mw: 1250, server_mw: Some(95_000) });
        for bad in ["0", "0.000", "100000.001", "none", "0.7 W"] {
            let text = errors(&format!("{REST}power.board = {bad}\n")).join("\n");
            assert!(text.contains("f:5: power.board: ") && text.contains("watts from 0.001 to 100000"), "{text}");
        }
    }
}
