//! The access log, in HAProxy's HTTP format (`option httplog`), or its TCP format (`option tcplog`) for connections of a
//! listener without HTTP, each line behind the header of where it goes.
//!
//! Owns the form of a line; [`Lines`] takes it to standard error or a syslog.

use super::header::{self, Header, Severity};
use super::lines::Lines;
use super::text::Text;
use crate::config::Config;
use crate::fault::{Fault, Phase};
use crate::http::date::{Date, MONTHS, Second};
use crate::proxy::{Journal, Proxy, Record, UNNAMED};
use std::cell::RefCell;
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// The access log of one process.
pub struct AccessLog {
    lines: &'static Lines,
    header: Header,
    /// The time in it.
    stamp: RefCell<Second>,
    /// ` [dd/Mon/yyyy:hh:mm:ss.`
    began: RefCell<Second>,
}

impl AccessLog {
    /// A log that goes where `lines` lead.
    #[must_use]
    pub fn new(header: Header, lines: &'static Lines) -> Self {
        Self { lines, header, stamp: RefCell::default(), began: RefCell::default() }
    }

    /// `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %{+Q}r`, behind the
    /// prefix; `%hr` only where the listener has ids.
    fn write_line(&self, config: &Config, moment: &Moment, record: &Record, line: &[u8]) {
        let (line, id) = line.split_at(line.len().saturating_sub(record.id.into()));
        let is_bad = is_bad(record) || line.is_empty();
        self.lines.push(|out| {
            self.write_start(out, config, moment, record);
            write_times(out, moment, record, is_bad);
            write_end(out, record);
            write_counts(out, moment, record);
            out.byte(b' ');
            if config.listeners[record.listener.index()].request_id.is_some() {
                // As HAProxy writes what it captured of the request: here, and empty where there was nothing.
                for part in [b"{", id, b"} "] {
                    out.bytes(part);
                }
            }
            out.byte(b'"');
            if is_bad {
                out.bytes(b"<BADREQ>");
            } else {
                out.escaped(line);
            }
            out.byte(b'"');
        });
    }

    /// `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`, behind the prefix.
    fn write_line_of_connection(&self, config: &Config, moment: &Moment, record: &Record) {
        self.lines.push(|out| {
            self.write_start(out, config, moment, record);
            write_time(out, record.headed_ms, record.placed_ms, b'/');
            write_time(out, record.placed_ms, record.connected_ms, b'/');
            write_time(out, Some(record.began_ms), Some(moment.now_ms), b' ');
            out.long(record.bytes);
            let [cause, phase] = state(record);
            out.bytes(&[b' ', cause, phase, b' ']);
            write_counts(out, moment, record);
        });
    }

    /// The prefix, and what both lines begin with.
    fn write_start(&self, out: &mut Text<'_>, config: &Config, moment: &Moment, record: &Record) {
        let now = header::Moment { wall_ms: moment.now_wall_ms, up_ms: moment.up_ms };
        self.header.write(out, Severity::Info, now, &mut self.stamp.borrow_mut());
        write_address(out, record.client);
        let mut began = self.began.borrow_mut();
        let (began, milli) = began.at(moment.began_wall_ms, write_began);
        out.bytes(began.as_bytes());
        out.three(milli);
        write_places(out, config, record);
    }
}

/// Whether the request could not be read: it has no pool, and not because a rule or a rate ended it before.
fn is_bad(record: &Record) -> bool {
    let is_ruled = match record.fault {
        Some(Fault::Answered(_) | Fault::Denied(_) | Fault::TooFast(_) | Fault::Barred(_)) => true,
        Some(_) | None => record.phase == Phase::Tarpit,
    };
    record.pool.is_none() && !is_ruled
}

impl Journal for AccessLog {
    fn write(&self, proxy: &Proxy, record: &Record, line: &[u8]) {
        self.write_line(&proxy.config(), &Moment::of(proxy, record), record, line);
    }

    fn write_connection(&self, proxy: &Proxy, record: &Record) {
        self.write_line_of_connection(&proxy.config(), &Moment::of(proxy, record), record);
    }
}

/// What the line tells beside the record: how things are when it is written. As in HAProxy the connection is still counted,
/// and its request at pool and backend not any more.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now_ms: u64,
    now_wall_ms: u64,
    up_ms: u64,
    began_wall_ms: u64,
    connections: usize,
    listener_connections: usize,
    pool_exchanges: usize,
    serving: u32,
}

impl Moment {
    fn of(proxy: &Proxy, record: &Record) -> Self {
        let (now_ms, clock) = (proxy.reactor.now_ms(), proxy.reactor.clock());
        Self {
            now_ms,
            now_wall_ms: clock.wall_ms(now_ms),
            up_ms: clock.up_ms(now_ms),
            began_wall_ms: clock.wall_ms(record.began_ms),
            connections: proxy.connections(),
            listener_connections: proxy.listener_connections(record.listener),
            pool_exchanges: record.pool.map_or(0, |id| proxy.pool_exchanges(id)),
            serving: record.backend.map_or(0, |id| proxy.balancer.borrow().status(id).serving),
        }
    }
}

fn write_began(out: &mut dyn Write, date: &Date) -> fmt::Result {
    let Date { year, month, day, hour, minute, second, .. } = *date;
    write!(out, " [{day:02}/{}/{year}:{hour:02}:{minute:02}:{second:02}.", MONTHS[month])
}

/// `%ci:%cp`
fn write_address(out: &mut Text<'_>, address: Option<SocketAddr>) {
    let Some(address) = address else { return out.bytes(UNNAMED.as_bytes()) };
    match address.ip() {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.byte(b'.');
                }
                out.number(octet.into());
            }
        }
        IpAddr::V6(ip) => {
            let _ = write!(out, "{ip}");
        }
    }
    out.byte(b':');
    out.number(address.port().into());
}

/// `] %ft %b/%s `
fn write_places(out: &mut Text<'_>, config: &Config, record: &Record) {
    let listener = &config.listeners[record.listener.index()].name;
    let pool = record.pool.map_or(listener, |id| &config.pools[id.index()].name);
    let backend = record.backend.map_or("<NOSRV>", |id| &config.backends[id.index()].name);
    for part in ["] ", listener, " ", pool, "/", backend, " "] {
        out.bytes(part.as_bytes());
    }
}

/// `%TR/%Tw/%Tc/%Tr/%Ta `; to HAProxy a head that is bad never came.
fn write_times(out: &mut Text<'_>, moment: &Moment, record: &Record, is_bad: bool) {
    let Record { headed_ms, placed_ms, connected_ms, answered_ms, .. } = *record;
    let began_ms = Some(record.began_ms);
    for (from, to, end) in [
        (began_ms, headed_ms.filter(|_| !is_bad), b'/'),
        (headed_ms, placed_ms, b'/'),
        (placed_ms, connected_ms, b'/'),
        (connected_ms, answered_ms, b'/'),
        (began_ms, Some(moment.now_ms), b' '),
    ] {
        write_time(out, from, to, end);
    }
}

fn write_time(out: &mut Text<'_>, from: Option<u64>, to: Option<u64>, end: u8) {
    match (from, to) {
        (Some(from), Some(to)) => out.long(to.saturating_sub(from)),
        _ => out.bytes(b"-1"),
    }
    out.byte(end);
}

/// `%ST %B %CC %CS %tsc `
fn write_end(out: &mut Text<'_>, record: &Record) {
    out.number(record.status.into());
    out.byte(b' ');
    out.long(record.bytes);
    let [cause, phase] = state(record);
    let [client, server] = [record.client_cookie, record.server_cookie].map(byte);
    out.bytes(&[b' ', b'-', b' ', b'-', b' ', cause, phase, client, server, b' ']);
}

/// `%ts`
fn state(record: &Record) -> [u8; 2] {
    let (cause, phase) = record.fault.map_or(('-', '-'), |fault| (fault.letter(), record.phase.letter()));
    [byte(cause), byte(phase)]
}

fn byte(letter: char) -> u8 {
    u8::try_from(letter).unwrap_or(b'?')
}

/// `%ac/%fc/%bc/%sc/%rc %sq/%bq`
fn write_counts(out: &mut Text<'_>, moment: &Moment, record: &Record) {
    for count in [moment.connections, moment.listener_connections, moment.pool_exchanges] {
        out.long(count as u64);
        out.byte(b'/');
    }
    out.number(moment.serving);
    out.bytes(if record.redispatched { b"/+" } else { b"/" });
    out.number(record.retries);
    out.byte(b' ');
    out.number(record.backend_queue);
    out.byte(b'/');
    out.number(record.pool_queue);
}

#[cfg(test)]
mod tests {
    use super::super::header::Form;
    use super::*;
    use crate::config::{self, Mode};
    use crate::fault::Fault;
    use crate::limits::{BackendId, ListenerId, Machine, PoolId};
    use proptest::option;
    use proptest::prelude::*;

    const CONFIG: &[u8] =
        b"listen.web = 127.0.0.1:0\nlisten.w = 127.0.0.1:0\nlisten.w.mode = tcp\nlisten.w.pool = tcp\npool.tcp.balance = first\n\
        listen.named = 127.0.0.1:0\nlisten.named.request-id = X-Id\nbackend.s1 = 127.0.0.1:1\n\
        backend.second-one = 127.0.0.1:2\nbackend.third = 127.0.0.1:3\nbackend.third.pool = api\n";

    /// The line as `format!` has it, the plain way.
    fn expected(tag: &str, config: &Config, moment: &Moment, record: &Record, line: &[u8], id: &str) -> String {
        let (now, began) = (Date::of(moment.now_wall_ms), Date::of(moment.began_wall_ms));
        let listener = &config.listeners[record.listener.index()].name;
        let between = |from: Option<u64>, to: Option<u64>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_sub(from).to_string(),
            _ => "-1".into(),
        };
        let escaped = line.iter().map(|&byte| match byte {
            b'"' | b'#' | 0..=0x1f | 0x7f.. => format!("#{byte:02X}"),
            byte => char::from(byte).to_string(),
        });
        let (cause, phase) = record.fault.map_or(('-', '-'), |fault| (fault.letter(), record.phase.letter()));
        let client = record.client.map_or("unix:1".into(), |client| format!("{}:{}", client.ip(), client.port()));
        let all = between(Some(record.began_ms), Some(moment.now_ms));
        let (waited, connected) =
            (between(record.headed_ms, record.placed_ms), between(record.placed_ms, record.connected_ms));
        let is_http = config.listeners[record.listener.index()].mode == Mode::Http;
        let (middle, request) = if is_http {
            let decided = matches!(
                record.fault,
                Some(Fault::Answered(_) | Fault::Denied(_) | Fault::TooFast(_) | Fault::Barred(_))
            );
            let bad = line.is_empty() || record.pool.is_none() && !decided;
            let line: String = if bad { "<BADREQ>".into() } else { escaped.collect() };
            let middle = format!(
                "{}/{waited}/{connected}/{}/{all} {} {} - - {cause}{phase}{}{}",
                between(Some(record.began_ms), record.headed_ms.filter(|_| !bad)),
                between(record.connected_ms, record.answered_ms),
                record.status,
                record.bytes,
                record.client_cookie,
                record.server_cookie
            );
            let id = if listener == "named" { format!("{{{id}}} ") } else { String::new() };
            (middle, format!(" {id}\"{line}\""))
        } else {
            (format!("{waited}/{connected}/{all} {} {cause}{phase}", record.bytes), String::new())
        };
        let stamp = if moment.now_wall_ms >= crate::limits::CLOCK_SET_MS {
            format!("{} {:2} {:02}:{:02}:{:02}", MONTHS[now.month], now.day, now.hour, now.minute, now.second)
        } else {
            let up = moment.up_ms / 1000;
            format!("up {}d {:02}:{:02}:{:02}", up / 86_400, up / 3600 % 24, up / 60 % 60, up % 60)
        };
        format!(
            "{stamp} {tag}{} [{:02}/{}/{}:{:02}:{:02}:{:02}.{:03}] {listener} {}/{} \
             {middle} {}/{}/{}/{}/{}{} {}/{}{request}\n",
            client,
            began.day,
            MONTHS[began.month],
            began.year,
            began.hour,
            began.minute,
            began.second,
            began.milli,
            record.pool.map_or(listener, |id| &config.pools[id.index()].name),
            record.backend.map_or("<NOSRV>", |id| &config.backends[id.index()].name),
            moment.connections,
            moment.listener_connections,
            moment.pool_exchanges,
            moment.serving,
            if record.redispatched { "+" } else { "" },
            record.retries,
            record.backend_queue,
            record.pool_queue,
        )
    }

    /// Numbers of every length.
    fn number(bits: u32) -> impl Strategy<Value = u64> {
        (any::<u64>(), 64 - bits..64).prop_map(|(number, shift)| number >> shift)
    }

    fn small() -> impl Strategy<Value = u32> {
        number(32).prop_map(|number| u32::try_from(number).unwrap())
    }

    /// A date until the year 9999; often of one second.
    fn wall_ms() -> impl Strategy<Value = u64> {
        prop_oneof![0..253_402_300_800_000u64, 1_795_527_876_900..1_795_527_878_100u64, 0..1_100u64]
    }

    fn records() -> impl Strategy<Value = Record> {
        let client = option::of(prop_oneof![
            any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
            any::<([u16; 8], u16)>().prop_map(SocketAddr::from)
        ]);
        let times = (number(48), [(); 4].map(|()| option::of(number(48))));
        let faults = [
            None,
            Some((Fault::ClientGone, Phase::Data)),
            Some((Fault::BackendSilent, Phase::Headers)),
            Some((Fault::QueueTimeout, Phase::Queue)),
            Some((Fault::Answered(302), Phase::Request)),
            Some((Fault::Denied(500), Phase::Tarpit)),
            Some((Fault::TooFast(3), Phase::Request)),
            Some((Fault::ConnectFailed, Phase::Connect)),
        ];
        let end = (any::<u16>(), number(64), proptest::sample::select(faults.to_vec()), "[NVDIE-]", "[NIUPDR-]");
        let counts = (small(), any::<bool>(), small(), small());
        let places = (0..3usize, option::of(0..2usize), option::of(0..3usize));
        (client, places, times, end, counts).prop_map(|(client, places, times, end, counts)| {
            let letter = |text: &str| text.chars().next().unwrap();
            let mut record = Record::new(client, ListenerId::new(places.0).unwrap(), times.0);
            record.pool = places.1.and_then(PoolId::new);
            record.backend = places.2.and_then(BackendId::new);
            [record.headed_ms, record.placed_ms, record.connected_ms, record.answered_ms] = times.1;
            (record.status, record.bytes) = (end.0, end.1);
            (record.fault, record.phase) = end.2.map_or((None, Phase::Data), |(fault, phase)| (Some(fault), phase));
            (record.client_cookie, record.server_cookie) = (letter(&end.3), letter(&end.4));
            (record.retries, record.redispatched, record.backend_queue, record.pool_queue) = counts;
            record
        })
    }

    fn moments() -> impl Strategy<Value = Moment> {
        let count = || small().prop_map(|count| usize::try_from(count).unwrap());
        let counts = (count(), count(), count(), small());
        (number(48), wall_ms(), wall_ms(), counts).prop_map(|(now_ms, now_wall_ms, began_wall_ms, counts)| Moment {
            now_ms,
            now_wall_ms,
            up_ms: now_ms,
            began_wall_ms,
            connections: counts.0,
            listener_connections: counts.1,
            pool_exchanges: counts.2,
            serving: counts.3,
        })
    }

    /// Request lines: mostly letters, some bytes that need an escape, or any bytes.
    fn request_lines() -> impl Strategy<Value = Vec<u8>> {
        let line = "GET /[a-z\"#]{0,40}( |\\PC)[ -~]{0,20}".prop_map(String::into_bytes);
        prop_oneof![line, proptest::collection::vec(any::<u8>(), 0..crate::limits::LOG_LINE)]
    }

    proptest! {
        /// One log writes them all: what it keeps from one line to the next must not show.
        #[test]
        fn lines_are_what_format_writes(all in proptest::collection::vec((moments(), records(), request_lines(), "[a-z0-9-]{0,64}"), 1..8)) {
            let config = config::parse("f", CONFIG, &Machine::default()).unwrap();
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let lines: &'static Lines = Box::leak(Box::new(Lines::new(writer)));
            let log = AccessLog::new(Header::new(Form::Plain, 16, "board", 7), lines);
            let reactor = crate::runtime::Reactor::new(1, 1).unwrap();
            for (moment, mut record, line, id) in all {
                record.id = u8::try_from(id.len()).unwrap();
                match config.listeners[record.listener.index()].mode {
                    Mode::Http => log.write_line(&config, &moment, &record, &[&line, id.as_bytes()].concat()),
                    Mode::Tcp => log.write_line_of_connection(&config, &moment, &record),
                }
                lines.flush(&reactor);
                let mut written = vec![0; 65536];
                let length = nix::unistd::read(&reader, &mut written).unwrap();
                let expected = expected("board beelance[7]: ", &config, &moment, &record, &line, &id);
                prop_assert_eq!(String::from_utf8_lossy(&written[..length]), expected);
            }
        }
    }
}
