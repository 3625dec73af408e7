//! The messages of the `log` macros: by simple_logger until beelance serves, then in its form through [`Lines`]; to a syslog
//! as well where one is asked for; and the last ones into memory, for who looks later.
//!
//! simple_logger writes to standard error at once, which blocks when that is a pipe that nobody reads. Before the loop
//! runs that only delays the start.

use super::header::{Header, Moment, Severity, write_time};
use super::lines::Lines;
use super::ring::Ring;
use super::text::Text;
use crate::http::date::Second;
use crate::limits::LOG_DATAGRAM;
use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::fmt::{self, Write};
use std::sync::OnceLock;

/// The last messages of this process.
static LAST: OnceLock<Ring> = OnceLock::new();

struct Messages {
    logger: SimpleLogger,
    lines: &'static Lines,
    syslog: Option<(&'static Lines, Header)>,
    serving: std::sync::atomic::AtomicBool,
}

/// The switch from the start to serving.
pub(super) struct Serving(Option<&'static Messages>);

/// Gives `take` the message at `place`, a line with its time, and says where the next one is; `None` when there is none.
/// Places count from 0; where the oldest ones are gone, the first that is left is at all places before it.
pub fn last(place: u64, take: &mut dyn FnMut(&[u8])) -> Option<u64> {
    LAST.get()?.line(place, take)
}

/// A text on one line, whatever is in it.
struct OneLine<'a, 'b>(&'a mut Text<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (at, part) in text.split(|c: char| c.is_control()).enumerate() {
            if at > 0 {
                self.0.byte(b' ');
            }
            self.0.bytes(part.as_bytes());
        }
        Ok(())
    }
}

/// In the form of standard error, on one line.
fn write_plain(record: &Record<'_>, out: &mut Text<'_>) {
    // It never fails: what does not fit is cut.
    let _ = write!(OneLine(out), "{:<5} [{}] {}", record.level(), record.target(), record.args());
}

/// Makes `log`'s macros write to standard error, which `lines` leads to as well, and to `syslog`.
pub(super) fn set_up(level: LevelFilter, lines: &'static Lines, syslog: Option<(&'static Lines, Header)>) -> Serving {
    // Which messages there are is decided before it, and can change.
    let logger = SimpleLogger::new().with_level(LevelFilter::Trace);
    let messages: &'static Messages = Box::leak(Box::new(Messages { logger, lines, syslog, serving: false.into() }));
    // It fails only when a logger is there already, as in a test.
    if log::set_logger(messages).is_err() {
        return Serving(None);
    }
    log::set_max_level(level);
    Serving(Some(messages))
}

impl Serving {
    /// From now on nothing may block.
    pub(super) fn begin(&self) {
        if let Some(messages) = self.0 {
            messages.serving.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if self.serving.load(std::sync::atomic::Ordering::Relaxed) {
            self.lines.push_message(|out| write_plain(record, out));
        } else {
            self.logger.log(record);
        }
        let moment = Moment::now();
        let mut line = Vec::with_capacity(LOG_DATAGRAM);
        let mut out = Text::new(&mut line, LOG_DATAGRAM);
        write_time(&mut out, moment);
        out.byte(b' ');
        write_plain(record, &mut out);
        LAST.get_or_init(Ring::new).push(&line);
        if let Some((lines, header)) = &self.syslog {
            lines.push_message(|out| {
                header.write(out, Severity::of(record.level()), moment, &mut Second::default());
                let _ = OneLine(out).write_fmt(*record.args());
            });
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Reactor;
    use std::io::Read;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let lines: &'static Lines = Box::leak(Box::new(Lines::new(writer)));
        let messages = Messages { logger: SimpleLogger::new(), lines, syslog: None, serving: true.into() };
        let record = |args| {
            messages.log(&Record::builder().level(log::Level::Warn).target("t").args(args).build());
        };
        record(format_args!("a {} b", "x\nERROR [beelance] all is lost\r\x1b[2J"));
        lines.flush(&Reactor::new(1, 1).unwrap());
        let mut bytes = [0; 999];
        let count = std::fs::File::from(reader).read(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..count]).unwrap();
        assert_eq!(text, "WARN  [t] a x ERROR [beelance] all is lost  [2J b\n");
    }
}
