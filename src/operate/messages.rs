//! The messages of the `log` macros: by simple_logger until beelance serves, then in its form through [`Lines`].
//!
//! simple_logger writes to standard error at once, which blocks when that is a pipe that nobody reads. Before the loop
//! runs that only delays the start.

use super::lines::Lines;
use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

struct Messages {
    logger: SimpleLogger,
    lines: &'static Lines,
    serving: std::sync::atomic::AtomicBool,
}

/// The switch from the start to serving.
pub(super) struct Serving(Option<&'static Messages>);

/// Makes `log`'s macros write to standard error, which `lines` leads to as well.
pub(super) fn set_up(level: LevelFilter, lines: &'static Lines) -> Serving {
    // Which messages there are is decided before it, and can change.
    let logger = SimpleLogger::new().with_level(LevelFilter::Trace);
    let messages: &'static Messages = Box::leak(Box::new(Messages { logger, lines, serving: false.into() }));
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
        if !self.serving.load(std::sync::atomic::Ordering::Relaxed) {
            self.logger.log(record);
        } else if self.enabled(record.metadata()) {
            self.lines.push_urgent(format_args!("{:<5} [{}] {}", record.level(), record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}
