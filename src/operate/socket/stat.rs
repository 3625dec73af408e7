//! `show stat`: one line for each listener, backend and pool, in HAProxy's columns.

use super::{Call, Next};
use crate::balance::{Admin, Algorithm};
use crate::config::Config;
use crate::limits::BackendId;
use crate::operate::figures::of::{AGENT, ALL, BACKEND, CHECKED, HTTP, LISTENER, OBSERVED, POOL, PROBED};
use crate::operate::figures::{self, Figure, Figures, NOTHING, Object, Unit, number_of_listener, number_of_pool};
use crate::operate::text::Text;
use crate::proxy::{Heard, Proxy};

/// What stands in a column.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Empty,
    Number(Figure),
    /// Milliseconds, told in seconds.
    Seconds(Figure),
    Word(Word),
}

/// What is no number.
#[derive(Clone, Copy, Debug)]
enum Word {
    Proxy,
    Server,
    Status,
    Check,
    CheckWords,
    LastCheck,
    Agent,
    AgentWords,
    LastAgent,
    Address,
    Cookie,
    Mode,
    Algorithm,
    Dash,
}

use Cell::{Empty, Number, Seconds};

macro_rules! columns {
    ($($name:literal $($which:ident)|* => $cell:expr;)*) => {
        /// HAProxy 2.6's, up to what its protocols add.
        const HEADER: &str = concat!("# ", $($name, ","),*, "\n");
        /// What stands in each of them, and in the lines of which objects.
        static COLUMNS: &[(Cell, u8)] = &[$(($cell, $($which)|*)),*];
    };
}

const SKIPPED: u8 = 0;

columns! {
    "pxname" ALL => Cell::Word(Word::Proxy);
    "svname" ALL => Cell::Word(Word::Server);
    "qcur" POOL | BACKEND => Number(Figure::Queue);
    "qmax" POOL | BACKEND => Number(Figure::MostQueue);
    "scur" ALL => Number(Figure::Now);
    "smax" ALL => Number(Figure::Most);
    "slim" ALL => Number(Figure::Limit);
    "stot" ALL => Number(Figure::Total);
    "bin" ALL => Number(Figure::Received);
    "bout" ALL => Number(Figure::Sent);
    "dreq" LISTENER | POOL => Number(Figure::Denied);
    "dresp" ALL => Number(Figure::Zero);
    "ereq" LISTENER => Number(Figure::Malformed);
    "econ" POOL | BACKEND => Number(Figure::Unconnected);
    "eresp" POOL | BACKEND => Number(Figure::Unanswered);
    "wretr" POOL | BACKEND => Number(Figure::Retries);
    "wredis" POOL | BACKEND => Number(Figure::Redispatches);
    "status" ALL => Cell::Word(Word::Status);
    "weight" POOL | BACKEND => Number(Figure::Weight);
    "act" POOL | BACKEND => Number(Figure::Active);
    "bck" POOL | BACKEND => Number(Figure::Backups);
    "chkfail" BACKEND | PROBED => Number(Figure::CheckFailures);
    "chkdown" POOL | BACKEND | PROBED => Number(Figure::Downs);
    "lastchg" POOL | BACKEND => Seconds(Figure::SinceMs);
    "downtime" POOL | BACKEND | PROBED => Seconds(Figure::DownMs);
    "qlimit" BACKEND => Number(Figure::QueueLimit);
    "pid" ALL => Number(Figure::One);
    "iid" ALL => Number(Figure::Proxy);
    "sid" ALL => Number(Figure::Server);
    "throttle" BACKEND => Number(Figure::Throttle);
    "lbtot" POOL | BACKEND => Number(Figure::Balanced);
    "tracked" SKIPPED => Empty;
    "type" ALL => Number(Figure::Type);
    "rate" ALL => Number(Figure::Rate);
    "rate_lim" LISTENER => Number(Figure::Zero);
    "rate_max" ALL => Number(Figure::MostRate);
    "check_status" BACKEND | CHECKED => Cell::Word(Word::Check);
    "check_code" BACKEND | CHECKED => Number(Figure::CheckStatus);
    "check_duration" BACKEND | CHECKED => Number(Figure::CheckMs);
    "hrsp_1xx" ALL | HTTP => Number(Figure::Status1);
    "hrsp_2xx" ALL | HTTP => Number(Figure::Status2);
    "hrsp_3xx" ALL | HTTP => Number(Figure::Status3);
    "hrsp_4xx" ALL | HTTP => Number(Figure::Status4);
    "hrsp_5xx" ALL | HTTP => Number(Figure::Status5);
    "hrsp_other" ALL | HTTP => Number(Figure::OtherStatus);
    "hanafail" BACKEND | HTTP | OBSERVED => Number(Figure::Ejections);
    "req_rate" LISTENER | HTTP => Number(Figure::RequestRate);
    "req_rate_max" LISTENER | HTTP => Number(Figure::MostRequestRate);
    "req_tot" ALL | HTTP => Number(Figure::Requests);
    "cli_abrt" POOL | BACKEND => Number(Figure::ClientAborts);
    "srv_abrt" POOL | BACKEND => Number(Figure::ServerAborts);
    "comp_in" LISTENER | POOL | HTTP => Number(Figure::Zero);
    "comp_out" LISTENER | POOL | HTTP => Number(Figure::Zero);
    "comp_byp" LISTENER | POOL | HTTP => Number(Figure::Zero);
    "comp_rsp" LISTENER | POOL | HTTP => Number(Figure::Zero);
    "lastsess" POOL | BACKEND => Seconds(Figure::Unused);
    "last_chk" BACKEND | CHECKED => Cell::Word(Word::LastCheck);
    "last_agt" BACKEND | AGENT => Cell::Word(Word::LastAgent);
    "qtime" POOL | BACKEND => Number(Figure::QueueAverage);
    "ctime" POOL | BACKEND => Number(Figure::ConnectAverage);
    "rtime" POOL | BACKEND => Number(Figure::ResponseAverage);
    "ttime" POOL | BACKEND => Number(Figure::TotalAverage);
    "agent_status" BACKEND | AGENT => Cell::Word(Word::Agent);
    "agent_code" BACKEND | AGENT => Number(Figure::AgentStatus);
    "agent_duration" BACKEND | AGENT => Number(Figure::AgentMs);
    "check_desc" BACKEND | CHECKED => Cell::Word(Word::CheckWords);
    "agent_desc" BACKEND | AGENT => Cell::Word(Word::AgentWords);
    "check_rise" BACKEND | CHECKED => Number(Figure::Rise);
    "check_fall" BACKEND | CHECKED => Number(Figure::Fall);
    "check_health" BACKEND | CHECKED => Number(Figure::Level);
    "agent_rise" BACKEND | AGENT => Number(Figure::One);
    "agent_fall" BACKEND | AGENT => Number(Figure::One);
    "agent_health" BACKEND | AGENT => Number(Figure::AgentLevel);
    "addr" BACKEND => Cell::Word(Word::Address);
    "cookie" POOL | BACKEND => Cell::Word(Word::Cookie);
    "mode" ALL => Cell::Word(Word::Mode);
    "algo" POOL => Cell::Word(Word::Algorithm);
    "conn_rate" LISTENER => Number(Figure::Rate);
    "conn_rate_max" LISTENER => Number(Figure::MostRate);
    "conn_tot" LISTENER => Number(Figure::Total);
    "intercepted" LISTENER => Number(Figure::Answered);
    "dcon" LISTENER => Number(Figure::DeniedConnections);
    "dses" LISTENER => Number(Figure::DeniedSessions);
    "wrew" ALL => Number(Figure::Zero);
    "connect" POOL | BACKEND => Number(Figure::Connects);
    "reuse" POOL | BACKEND => Number(Figure::Reuses);
    "cache_lookups" LISTENER | POOL | HTTP => Number(Figure::Zero);
    "cache_hits" LISTENER | POOL | HTTP => Number(Figure::Zero);
    "srv_icur" BACKEND => Number(Figure::IdleConnections);
    "src_ilim" SKIPPED => Empty;
    "qtime_max" POOL | BACKEND => Number(Figure::MostQueueTime);
    "ctime_max" POOL | BACKEND => Number(Figure::MostConnectTime);
    "rtime_max" POOL | BACKEND => Number(Figure::MostResponseTime);
    "ttime_max" POOL | BACKEND => Number(Figure::MostTotalTime);
    "eint" ALL => Number(Figure::Zero);
    "idle_conn_cur" BACKEND => Number(Figure::IdleConnections);
    "safe_conn_cur" BACKEND => Number(Figure::Zero);
    "used_conn_cur" BACKEND => Number(Figure::Now);
    "need_conn_est" BACKEND => Number(Figure::Zero);
    "uweight" POOL | BACKEND => Number(Figure::SetWeight);
    "agg_server_status" POOL => Number(Figure::Zero);
    "agg_server_check_status" POOL => Number(Figure::Zero);
    "agg_check_status" POOL => Number(Figure::Zero);
    "-" ALL => Cell::Word(Word::Dash);
}

/// Which lines are wanted: the proxy's number, bits of `type` in `show stat PROXY TYPE SERVER`, the server's number; and
/// which servers are not.
struct Filter {
    number: i64,
    kinds: i64,
    server: i64,
    /// Those in maintenance; those that are down, too.
    hides: [bool; 2],
}

impl Filter {
    const ALL: Self = Self { number: -1, kinds: -1, server: -1, hides: [false; 2] };

    fn is_hidden(&self, proxy: &Proxy, object: Object) -> bool {
        let ([maint, down], Object::Backend(id)) = (self.hides, object) else { return false };
        let balancer = proxy.balancer.borrow();
        (maint && balancer.admin(id) == Admin::Maint) || (down && !balancer.is_healthy(id))
    }
}

pub(super) fn stat(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let filter = match filter(call) {
        Ok(filter) => filter,
        Err(message) => return Next::Error(message),
    };
    if call.step == 0 {
        call.proxy.refresh_statistics();
        out.bytes(HEADER.as_bytes());
        return Next::More;
    }
    line(call.proxy, &call.proxy.config(), call.step - 1, &filter, out)
}

/// The `step`th piece of all of it, for who asks by other ways: the header first; whether there is another.
pub(in crate::operate) fn csv(proxy: &Proxy, step: usize, out: &mut Text<'_>) -> bool {
    if step == 0 {
        proxy.refresh_statistics();
        out.bytes(HEADER.as_bytes());
        return true;
    }
    matches!(line(proxy, &proxy.config(), step - 1, &Filter::ALL, out), Next::More)
}

/// The `index`th line of all, if it is wanted.
fn line(proxy: &Proxy, config: &Config, index: usize, filter: &Filter, out: &mut Text<'_>) -> Next {
    let Some((object, kind)) = nth(config, index) else { return Next::Done };
    let figures = Figures::of(proxy, config, object);
    let is = |wanted: i64, figure| wanted <= 0 || u64::try_from(wanted) == Ok(figures.get(figure));
    if filter.kinds & kind == 0
        || !is(filter.number, Figure::Proxy)
        || (kind == 4 && !is(filter.server, Figure::Server))
        || filter.is_hidden(proxy, object)
    {
        return Next::More;
    }
    for &(cell, which) in COLUMNS {
        if figures.are(which) {
            match cell {
                Cell::Empty => {}
                Cell::Number(figure) => number(out, figures.get(figure), Unit::Number),
                Cell::Seconds(figure) => number(out, figures.get(figure), Unit::Seconds),
                Cell::Word(word) => write_word(proxy, config, object, &figures, word, out),
            }
        }
        out.byte(b',');
    }
    out.byte(b'\n');
    Next::More
}

/// What the `index`th line is about, and its bit of `type`: listeners, and each pool behind its backends.
fn nth(config: &Config, index: usize) -> Option<(Object, i64)> {
    let order = &config.order;
    if let Some(&id) = order.listeners.get(index) {
        return Some((Object::Listener(id), 1));
    }
    let mut index = index - order.listeners.len();
    for (id, pool) in config.pools() {
        if let Some(&member) = pool.backends.get(index) {
            return Some((Object::Backend(member), 4));
        }
        if index == pool.backends.len() {
            return Some((Object::Pool(id), 2));
        }
        index -= pool.backends.len() + 1;
    }
    None
}

fn number(out: &mut Text<'_>, number: u64, unit: Unit) {
    if number != NOTHING {
        figures::write(out, number, unit);
    }
}

/// `[domain proxy] [PROXY TYPE SERVER] [OPTIONS]`.
fn filter(call: &Call<'_>) -> Result<Filter, &'static str> {
    let words = match call.words {
        ["domain", "proxy", rest @ ..] => rest,
        ["domain", ..] => return Err("Invalid statistics domain.\n"),
        words => words,
    };
    let (which, options) = words.split_at(if words.len() < 3 { 0 } else { 3 });
    super::plain(options)?;
    let up = options.contains(&"up");
    let hides = [up || options.contains(&"no-maint"), up];
    let [proxy, kinds, server] = which else { return Ok(Filter { hides, ..Filter::ALL }) };
    let config = call.proxy.config();
    let of_pool = super::pool(call.proxy, proxy).map(|id| number_of_pool(id.index()));
    let of_listener = || {
        let found = config.listeners().find(|(_, listener)| listener.name == *proxy);
        found.map(|(id, _)| number_of_listener(id.index()))
    };
    let number = match of_pool.or_else(of_listener) {
        Some(number) => i64::try_from(number).ok(),
        None => proxy.parse().ok().filter(|&number| number != 0),
    };
    let of = |word: &str| word.parse().unwrap_or(0);
    Ok(Filter { number: number.ok_or("No such proxy.\n")?, kinds: of(kinds), server: of(server), hides })
}

fn write_word(proxy: &Proxy, config: &Config, object: Object, figures: &Figures, word: Word, out: &mut Text<'_>) {
    let [of_proxy, of_server] = object.names(config);
    let found = figures.finding();
    let text = match (word, object) {
        (Word::Proxy, _) => of_proxy,
        (Word::Server, _) => of_server,
        (Word::Status, Object::Listener(_)) => figures.word(Figure::State, &["STOP", "OPEN"]),
        (Word::Status, Object::Pool(_)) => figures.word(Figure::State, &["DOWN", "UP"]),
        (Word::Status, Object::Backend(id)) => return write_status(proxy, id, figures, out),
        (Word::Check, _) => found.code(),
        (Word::CheckWords, _) => found.words(),
        (Word::Agent | Word::AgentWords | Word::LastAgent | Word::LastCheck, Object::Backend(id)) => {
            return write_heard(proxy, id, word, out);
        }
        (Word::Address, Object::Backend(id)) => return super::servers::write_address(proxy, config, id, out),
        (Word::Cookie, Object::Backend(id)) => {
            let backend = &config.backends[id.index()];
            if config.pools[backend.pool.index()].cookie.is_some() { &backend.cookie } else { "" }
        }
        (Word::Cookie, Object::Pool(id)) => match &config.pools[id.index()].cookie {
            Some(cookie) => &cookie.name,
            None => "",
        },
        (Word::Mode, _) => figures.mode(),
        (Word::Algorithm, Object::Pool(id)) => algorithm(config.pools[id.index()].balance),
        (Word::Dash, _) => "-",
        (Word::LastCheck | Word::Agent | Word::AgentWords | Word::LastAgent, _) => "",
        (Word::Address | Word::Cookie | Word::Algorithm, _) => "",
    };
    out.bytes(text.as_bytes());
}

/// What was heard of a server; a peer chose some of the words.
fn write_heard(proxy: &Proxy, id: BackendId, word: Word, out: &mut Text<'_>) {
    let nothing = Heard::default();
    let heard = proxy.heard(id);
    let heard = heard.as_deref().unwrap_or(&nothing);
    let text = match word {
        Word::Agent => heard.agent.finding.code(),
        Word::AgentWords => heard.agent.finding.words(),
        Word::LastAgent => heard.agent.words.as_str(),
        _ => heard.probe.as_str(),
    };
    write_quoted(text, out);
}

/// A field of a CSV file, in quotes where it needs them (RFC 4180, section 2).
fn write_quoted(text: &str, out: &mut Text<'_>) {
    if !text.contains(['"', ',']) {
        return out.bytes(text.as_bytes());
    }
    out.byte(b'"');
    for (at, part) in text.split('"').enumerate() {
        out.bytes(if at == 0 { b"" } else { b"\"\"" });
        out.bytes(part.as_bytes());
    }
    out.byte(b'"');
}

/// The state of a server; on the way to another one, how far it is: `UP 1/3`.
fn write_status(proxy: &Proxy, id: BackendId, figures: &Figures, out: &mut Text<'_>) {
    let balancer = proxy.balancer.borrow();
    let (admin, is_probed, is_up) = (balancer.admin(id), figures.are(BACKEND | PROBED), balancer.is_healthy(id));
    let has_agent = figures.are(BACKEND | AGENT);
    let (state, counts): (&[u8], bool) = match admin {
        Admin::Maint => (b"MAINT", false),
        _ if !is_up && has_agent && figures.get(Figure::AgentLevel) == 0 => (b"DOWN (agent)", false),
        Admin::Drain | Admin::Ready if is_probed && !is_up => (b"DOWN", true),
        Admin::Drain if has_agent => (b"DRAIN (agent)", false),
        Admin::Drain => (b"DRAIN", is_probed),
        Admin::Ready if !is_up => (b"DOWN", false),
        Admin::Ready if is_probed => (b"UP", true),
        Admin::Ready => (b"no check", false),
    };
    out.bytes(state);
    if counts && figures.get(Figure::Found) != NOTHING {
        let [level, rise, fall] = [Figure::Level, Figure::Rise, Figure::Fall].map(|figure| figures.get(figure));
        let (part, of) = if is_up { ((level + 1).saturating_sub(rise), fall) } else { (level, rise) };
        if part > 0 && part < of {
            out.byte(b' ');
            out.long(part);
            out.byte(b'/');
            out.long(of);
        }
    }
}

fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoundRobin => "roundrobin",
        Algorithm::LeastConn => "leastconn",
        Algorithm::Random => "random",
        Algorithm::First => "first",
        Algorithm::Hash { .. } => "hash",
    }
}
