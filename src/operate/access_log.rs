//! The access log, in HAProxy's HTTP format (`option httplog`), each line prefixed as syslog would.
//!
//! Owns the form of a line; [`Lines`] takes it to standard error.

use super::lines::{Line, Lines};
use crate::fault::Phase;
use crate::http::date::{Date, MONTHS};
use crate::proxy::{Journal, Proxy, Record};
use std::fmt::{self, Write};

/// The access log of one process.
pub struct AccessLog {
    lines: &'static Lines,
    /// `HOST beelance[PID]: `
    tag: String,
}

impl AccessLog {
    /// A log of the process `pid` on `host`.
    #[must_use]
    pub fn new(host: &str, pid: u32, lines: &'static Lines) -> Self {
        Self { lines, tag: format!("{host} beelance[{pid}]: ") }
    }
}

impl Journal for AccessLog {
    fn write(&self, proxy: &Proxy, record: &Record, line: &[u8]) {
        let clock = proxy.reactor.clock();
        let now = Date::of(clock.wall_ms(proxy.reactor.now_ms()));
        self.lines.push(|out| {
            write_prefix(out, &now, &self.tag)?;
            write_line(out, proxy, record, line)
        });
    }
}

/// `Mon dd hh:mm:ss HOST beelance[PID]: `, as RFC 3164 has it.
fn write_prefix(out: &mut impl Write, now: &Date, tag: &str) -> fmt::Result {
    let Date { month, day, hour, minute, second, .. } = *now;
    write!(out, "{} {day:2} {hour:02}:{minute:02}:{second:02} {tag}", MONTHS[month])
}

/// `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %{+Q}r`
fn write_line(out: &mut Line<'_>, proxy: &Proxy, record: &Record, line: &[u8]) -> fmt::Result {
    let config = proxy.config;
    let began = Date::of(proxy.reactor.clock().wall_ms(record.began_ms));
    let Date { year, month, day, hour, minute, second, milli, .. } = began;
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
    out.write_str("\"")
}

/// Bytes that could break the line leave as `#` and two digits, as HAProxy's do.
fn write_escaped(out: &mut impl Write, line: &[u8]) -> fmt::Result {
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

    fn written(format: impl FnOnce(&mut String) -> fmt::Result) -> String {
        let mut text = String::new();
        format(&mut text).unwrap();
        text
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
}
