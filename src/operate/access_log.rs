//! The access log, in HAProxy's HTTP format (`option httplog`), each line prefixed as syslog would.
//!
//! Lines are formatted into one fixed buffer and written once a turn, and only when the descriptor takes them without
//! blocking; what does not fit any more is dropped and counted, and the count is told as soon as there is room.

use super::time::{Date, MONTHS};
use crate::fault::Phase;
use crate::limits::{LOG_BUFFER, LOG_LINE};
use crate::proxy::{Journal, Proxy, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

/// What a writable pipe takes at once without blocking (POSIX `PIPE_BUF` on Linux).
const PIPE_BUF: usize = 4096;
/// Writes in one turn at most.
const WRITES_PER_TURN: usize = 4;

/// The access log on a descriptor.
pub struct AccessLog {
    sink: OwnedFd,
    /// `HOST beelance[PID]: `
    tag: String,
    lines: RefCell<Vec<u8>>,
    dropped: Cell<u64>,
}

impl AccessLog {
    /// A log of the process `pid` on `host`, written to `sink`.
    #[must_use]
    pub fn new(host: &str, pid: u32, sink: OwnedFd) -> Self {
        Self {
            sink,
            tag: format!("{host} beelance[{pid}]: "),
            lines: RefCell::new(Vec::with_capacity(LOG_BUFFER)),
            dropped: Cell::new(0),
        }
    }

    /// Writes what can be written without blocking.
    pub fn flush(&self) {
        let mut lines = self.lines.borrow_mut();
        for _ in 0..WRITES_PER_TURN {
            if lines.is_empty() {
                return;
            }
            let mut ready = [PollFd::new(self.sink.as_fd(), PollFlags::POLLOUT)];
            if !matches!(poll(&mut ready, PollTimeout::ZERO), Ok(count) if count > 0) {
                return;
            }
            let count = lines.len().min(PIPE_BUF);
            match nix::unistd::write(&self.sink, &lines[..count]) {
                Ok(written) => {
                    lines.drain(..written);
                }
                // Nobody reads any more: the lines are lost whatever we do.
                Err(nix::errno::Errno::EPIPE) => lines.clear(),
                Err(_) => return,
            }
        }
    }

    fn push(&self, format: impl FnOnce(&mut Line<'_>) -> fmt::Result) {
        // The longest line: its fixed parts and a request line in which every byte is escaped.
        const ROOM: usize = 512 + 3 * LOG_LINE;
        if self.lines.borrow().len() + ROOM > LOG_BUFFER {
            self.flush();
        }
        let mut lines = self.lines.borrow_mut();
        if lines.len() + ROOM > LOG_BUFFER {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        let start = lines.len();
        let mut line = Line { bytes: &mut lines, end: start + ROOM };
        if format(&mut line).is_err() {
            lines.truncate(start);
        }
    }
}

impl Journal for AccessLog {
    fn write(&self, proxy: &Proxy, record: &Record, line: &[u8]) {
        let clock = proxy.reactor.clock();
        let now = Date::of(clock.wall_ms(proxy.reactor.now_ms()));
        let dropped = self.dropped.get();
        if dropped > 0 {
            self.push(|out| {
                self.dropped.set(0);
                write_prefix(out, &now, &self.tag)?;
                writeln!(out, "{dropped} lines of the access log were dropped: standard error takes them too slowly")
            });
        }
        self.push(|out| {
            write_prefix(out, &now, &self.tag)?;
            write_line(out, proxy, record, line)
        });
    }
}

/// A line on its way into the buffer, which never grows.
struct Line<'a> {
    bytes: &'a mut Vec<u8>,
    end: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.bytes.len() + text.len() > self.end {
            return Err(fmt::Error);
        }
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// `Mon dd hh:mm:ss HOST beelance[PID]: `, as RFC 3164 has it.
fn write_prefix(out: &mut Line<'_>, now: &Date, tag: &str) -> fmt::Result {
    let Date { month, day, hour, minute, second, .. } = *now;
    write!(out, "{} {day:2} {hour:02}:{minute:02}:{second:02} {tag}", MONTHS[month])
}

/// `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %{+Q}r`
fn write_line(out: &mut Line<'_>, proxy: &Proxy, record: &Record, line: &[u8]) -> fmt::Result {
    let config = proxy.config;
    let began = Date::of(proxy.reactor.clock().wall_ms(record.began_ms));
    let Date { year, month, day, hour, minute, second, milli } = began;
    let listener = &config.listeners[record.listener.index()].name;
    write!(out, "{}:{} ", record.client.ip(), record.client.port())?;
    write!(out, "[{day:02}/{}/{year}:{hour:02}:{minute:02}:{second:02}.{milli:03}] {listener} ", MONTHS[month])?;
    let pool = record.pool.map_or(listener, |id| &config.pools[id.index()].name);
    let backend = record.backend.map_or("<NOSRV>", |id| &config.backends[id.index()].name);
    write!(out, "{pool}/{backend} ")?;

    let between = |from: Option<u64>, to: Option<u64>| match (from, to) {
        (Some(from), Some(to)) => i64::try_from(to.saturating_sub(from)).unwrap_or(i64::MAX),
        _ => -1,
    };
    let (began_ms, now_ms) = (Some(record.began_ms), Some(proxy.reactor.now_ms()));
    for (from, to) in [
        (began_ms, record.headed_ms),
        (record.headed_ms, record.placed_ms),
        (record.placed_ms, record.connected_ms),
        (record.connected_ms, record.answered_ms),
    ] {
        write!(out, "{}/", between(from, to))?;
    }
    write!(out, "{} {} {} - - ", between(began_ms, now_ms), record.status, record.bytes)?;

    let (cause, phase) = record.fault.map_or(('-', '-'), |fault| (fault.letter(), record.phase.letter()));
    write!(out, "{cause}{phase}{}{} ", record.client_cookie, record.server_cookie)?;
    // HAProxy counts the exchange that is being logged; here its guards are gone already.
    let in_pool = record.pool.map_or(0, |id| proxy.pool_exchanges(id) + 1);
    let held = u32::from(record.phase > Phase::Queue);
    let at_backend = record.backend.map_or(0, |id| proxy.balancer.borrow().status(id).serving + held);
    let moved = if record.redispatched { "+" } else { "" };
    write!(out, "{}/{}/", proxy.connections(), proxy.listener_connections(record.listener))?;
    write!(out, "{in_pool}/{at_backend}/{moved}{} ", record.retries)?;
    write!(out, "{}/{} \"", record.backend_queue, record.pool_queue)?;
    if record.pool.is_none() || line.is_empty() {
        out.write_str("<BADREQ>")?;
    } else {
        write_escaped(out, line)?;
    }
    out.write_str("\"\n")
}

/// Bytes that could break the line leave as `#` and two digits, as HAProxy's do.
fn write_escaped(out: &mut Line<'_>, line: &[u8]) -> fmt::Result {
    for &byte in line {
        match byte {
            b'"' | b'#' | 0..=0x1f | 0x7f.. => write!(out, "#{byte:02X}")?,
            byte => out.write_char(char::from(byte))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: impl FnOnce(&mut Line<'_>) -> fmt::Result) -> String {
        let mut bytes = Vec::new();
        format(&mut Line { bytes: &mut bytes, end: 1000 }).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn prefix_and_escapes() {
        let date = Date::of(1_233_922_454_655);
        assert_eq!(
            written(|out| write_prefix(out, &date, "board beelance[7]: ")),
            "Feb  6 12:14:14 board beelance[7]: "
        );
        assert_eq!(written(|out| write_escaped(out, b"GET /\"#\x80 x")), "GET /#22#23#80 x");
    }

    #[test]
    fn a_full_buffer_drops_and_counts() {
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let log = AccessLog::new("board", 7, writer);
        // The pipe holds 64 kB, then nobody reads.
        for _ in 0..200 {
            log.push(|out| out.write_str(&"x".repeat(1000)));
        }
        assert!(log.lines.borrow().len() <= LOG_BUFFER);
        assert!((1..200 - 64).contains(&log.dropped.get()), "{} dropped", log.dropped.get());
    }
}
