//! Standard output as the place of the table: redrawn in place on a terminal, said now and then anywhere else.
//!
//! On a terminal the cursor waits above the table, so that a log line pushes it down instead of running through it.
//! Nothing is written while nobody takes it: the loop never waits for a reader.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Empty lines above the table, which log lines write over until it is redrawn.
const ROOM_FOR_LOG: usize = 3;
/// Calls of [`Screen::show`] between two tables without a terminal.
const EVERY: u32 = 5;

/// Where the table goes.
pub(super) struct Screen {
    is_terminal: bool,
    shown: String,
    /// Calls since the last table without a terminal.
    calls: u32,
}

impl Screen {
    /// Nothing shown yet.
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), shown: String::new(), calls: EVERY }
    }

    /// Shows the table as it is now; to be called once a second.
    ///
    /// # Errors
    /// When there is nobody any more to show it to.
    pub(super) fn show(&mut self, table: &str) -> io::Result<()> {
        let writable = writable()?;
        if self.is_terminal {
            return if writable { write(&frame(table)) } else { Ok(()) };
        }
        self.calls += 1;
        if self.calls <= EVERY || self.shown == table || !writable {
            return Ok(());
        }
        self.calls = 1;
        table.clone_into(&mut self.shown);
        write(table)
    }

    /// Leaves the cursor below the table and visible.
    pub(super) fn leave(table: &str) {
        if io::stdout().is_terminal() {
            let _ = write(&format!("{}\x1b[{}B\x1b[?25h", frame(table), lines(table)));
        }
    }
}

/// The bytes that draw the table at the cursor and put the cursor back, hidden. A line too long for the terminal is cut:
/// wrapped, it would be two, and the cursor would come back to the wrong one.
fn frame(table: &str) -> String {
    let above = "\x1b[K\n".repeat(ROOM_FOR_LOG);
    let table_lines = table.replace('\n', "\x1b[K\n");
    format!("\x1b[?25l\x1b[?7l\r{above}{table_lines}\x1b[J\x1b[{}A\x1b[?7h", lines(table))
}

fn lines(table: &str) -> usize {
    ROOM_FOR_LOG + table.lines().count()
}

/// Whether standard output takes a few bytes without blocking.
fn writable() -> io::Result<bool> {
    let stdout = io::stdout();
    let mut ready = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ready, PollTimeout::ZERO)?;
    let [ready] = ready;
    let events = ready.revents().unwrap_or(PollFlags::empty());
    if events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(events.contains(PollFlags::POLLOUT))
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
