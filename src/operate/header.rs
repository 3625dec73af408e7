//! What stands before the text of a line: nothing but when, where and who on standard error, the fields of syslog else.
//!
//! Owns both forms of syslog (RFC 3164, RFC 5424) and what they say while nobody knows the time: a board without a battery
//! starts in 1970, and a line that says so would be believed.

use super::text::Text;
use crate::config::LogForm;
use crate::http::date::{Date, MONTHS, Second};
use crate::limits::CLOCK_SET_MS;
use crate::runtime::clock;
use std::fmt::{self, Write};

/// How bad a line is, as RFC 5424 section 6.2.1 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is wrong.
    Error = 3,
    /// Something may be wrong, or changed for the worse.
    Warning = 4,
    /// All is well.
    Info = 6,
    /// For who looks for an error.
    Debug = 7,
}

impl Severity {
    /// That of a level of `log`.
    #[must_use]
    pub fn of(level: log::Level) -> Self {
        match level {
            log::Level::Error => Self::Error,
            log::Level::Warn => Self::Warning,
            log::Level::Info => Self::Info,
            log::Level::Debug | log::Level::Trace => Self::Debug,
        }
    }
}

/// Where lines with this header go, as far as their form depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Standard error, as a syslog would have written it into a file.
    Plain,
    /// This machine's syslog, which knows the host.
    Local(LogForm),
    /// Another machine's.
    Remote(LogForm),
}

/// When a line is written.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Milliseconds since 1970, as the wall clock has it.
    pub wall_ms: u64,
    /// Milliseconds since the machine started.
    pub up_ms: u64,
}

impl Moment {
    /// This one, for who has no loop.
    #[must_use]
    pub fn now() -> Self {
        let (wall_ms, up_ms) = clock::now();
        Self { wall_ms, up_ms }
    }

    /// Whether the wall clock was ever set.
    fn is_known(&self) -> bool {
        self.wall_ms >= CLOCK_SET_MS
    }
}

/// What stands before the text of all lines of one destination.
#[derive(Clone, Debug)]
pub struct Header {
    form: Form,
    /// The facility, times eight.
    facility: u8,
    /// From behind the time to the text.
    tag: String,
    /// The same where a line has no time and no host.
    bare: String,
}

impl Header {
    /// That of the process `pid` on `host`; `facility` is RFC 5424's number.
    #[must_use]
    pub fn new(form: Form, facility: u8, host: &str, pid: u32) -> Self {
        let tag = match form {
            Form::Plain | Form::Remote(LogForm::Rfc3164) => format!(" {host} beelance[{pid}]: "),
            Form::Local(LogForm::Rfc3164) => format!(" beelance[{pid}]: "),
            Form::Local(LogForm::Rfc5424) | Form::Remote(LogForm::Rfc5424) => format!(" {host} beelance {pid} - - "),
        };
        Self { form, facility: facility << 3, tag, bare: format!("beelance[{pid}]: ") }
    }

    /// Writes it. `second` keeps the time's text from one line to the next.
    pub fn write(&self, out: &mut Text<'_>, severity: Severity, moment: Moment, second: &mut Second) {
        match self.form {
            Form::Plain => {
                if moment.is_known() {
                    out.bytes(second.at(moment.wall_ms, write_stamp).0.as_bytes());
                } else {
                    write_uptime(out, moment.up_ms);
                }
            }
            Form::Local(LogForm::Rfc3164) | Form::Remote(LogForm::Rfc3164) => {
                self.write_priority(out, severity);
                if !moment.is_known() {
                    // Who receives a line without a time gives it his own (RFC 3164 section 4.3.3).
                    return out.bytes(self.bare.as_bytes());
                }
                out.bytes(second.at(moment.wall_ms, write_stamp).0.as_bytes());
            }
            Form::Local(LogForm::Rfc5424) | Form::Remote(LogForm::Rfc5424) => {
                self.write_priority(out, severity);
                out.bytes(b"1 ");
                if moment.is_known() {
                    let (text, milli) = second.at(moment.wall_ms, write_iso);
                    out.bytes(text.as_bytes());
                    out.three(milli);
                    out.byte(b'Z');
                } else {
                    // NILVALUE: the time is not known (RFC 5424 section 6.2.3).
                    out.byte(b'-');
                }
            }
        }
        out.bytes(self.tag.as_bytes());
    }

    fn write_priority(&self, out: &mut Text<'_>, severity: Severity) {
        out.byte(b'<');
        out.number(u32::from(self.facility) + severity as u32);
        out.byte(b'>');
    }
}

/// The time alone, as standard error has it.
pub(super) fn write_time(out: &mut Text<'_>, moment: Moment) {
    if moment.is_known() {
        out.bytes(Second::default().at(moment.wall_ms, write_stamp).0.as_bytes());
    } else {
        write_uptime(out, moment.up_ms);
    }
}

/// `Mon dd hh:mm:ss`
fn write_stamp(out: &mut dyn Write, date: &Date) -> fmt::Result {
    let Date { month, day, hour, minute, second, .. } = *date;
    write!(out, "{} {day:2} {hour:02}:{minute:02}:{second:02}", MONTHS[month])
}

/// `yyyy-mm-ddThh:mm:ss.`
fn write_iso(out: &mut dyn Write, date: &Date) -> fmt::Result {
    let Date { year, month, day, hour, minute, second, .. } = *date;
    write!(out, "{year}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.", month + 1)
}

/// `up 0d 00:01:02`: as many words as a date has, for readers that count them.
fn write_uptime(out: &mut Text<'_>, up_ms: u64) {
    let second = up_ms / 1000;
    let _ = write!(out, "up {}d {:02}:{:02}:{:02}", second / 86_400, second / 3600 % 24, second / 60 % 60, second % 60);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standards_have_it() {
        let known = Moment { wall_ms: 1_795_527_876_042, up_ms: 0 };
        let unknown = Moment { wall_ms: 62_000, up_ms: 90_061_000 };
        let cases = [
            (Form::Plain, known, "Nov 24 13:44:36 board beelance[7]: "),
            (Form::Plain, unknown, "up 1d 01:01:01 board beelance[7]: "),
            (Form::Remote(LogForm::Rfc3164), known, "<134>Nov 24 13:44:36 board beelance[7]: "),
            (Form::Local(LogForm::Rfc3164), known, "<134>Nov 24 13:44:36 beelance[7]: "),
            (Form::Remote(LogForm::Rfc3164), unknown, "<134>beelance[7]: "),
            (Form::Local(LogForm::Rfc3164), unknown, "<134>beelance[7]: "),
            (Form::Remote(LogForm::Rfc5424), known, "<134>1 2026-11-24T13:44:36.042Z board beelance 7 - - "),
            (Form::Local(LogForm::Rfc5424), unknown, "<134>1 - board beelance 7 - - "),
        ];
        for (form, moment, expected) in cases {
            let mut bytes = Vec::new();
            let mut second = Second::default();
            for _ in 0..2 {
                bytes.clear();
                let header = Header::new(form, 16, "board", 7);
                header.write(&mut Text::new(&mut bytes, 99), Severity::Info, moment, &mut second);
                assert_eq!(String::from_utf8_lossy(&bytes), expected);
            }
        }
        let mut bytes = Vec::new();
        let header = Header::new(Form::Local(LogForm::Rfc3164), 23, "board", 7);
        header.write(&mut Text::new(&mut bytes, 99), Severity::Error, known, &mut Second::default());
        assert!(bytes.starts_with(b"<187>"));
    }
}
