//! `show stat`: one line for each listener, backend and pool, in HAProxy's columns.

use super::{Call, Next, number_of_backend, number_of_listener, number_of_pool};
use crate::balance::{Admin, Algorithm, Observe};
use crate::config::{Config, Mode};
use crate::limits::{BackendId, ListenerId, PoolId};
use crate::operate::text::Text;
use crate::proxy::{Failures, Finding, Many, Proxy, Traffic};

/// HAProxy 2.6's, up to what its protocols add.
const HEADER: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,\
    status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,\
    rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,\
    req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,\
    qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,\
    check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,\
    dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,\
    eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,\
    agg_server_status,agg_server_check_status,agg_check_status,-,\n";
/// Columns, the last one's comma among them.
const COLUMNS: usize = 104;

/// Bits of `type` in `show stat PROXY TYPE SERVER`.
const FRONTEND: i64 = 1;
const BACKEND: i64 = 2;
const SERVER: i64 = 4;

/// Which lines are wanted.
struct Filter {
    number: i64,
    kinds: i64,
    server: i64,
}

/// One line: columns are written in order, those between are left empty.
pub(super) struct Row<'a, 'b> {
    out: &'a mut Text<'b>,
    at: usize,
}

/// The places of the columns that are written.
#[rustfmt::skip]
mod column {
    pub(super) const PXNAME: usize = 0; pub(super) const QCUR: usize = 2; pub(super) const SCUR: usize = 4;
    pub(super) const SLIM: usize = 6; pub(super) const STOT: usize = 7; pub(super) const DREQ: usize = 10;
    pub(super) const DRESP: usize = 11; pub(super) const ECON: usize = 13;
    pub(super) const STATUS: usize = 17; pub(super) const WEIGHT: usize = 18; pub(super) const CHKFAIL: usize = 21;
    pub(super) const CHKDOWN: usize = 22; pub(super) const LASTCHG: usize = 23; pub(super) const DOWNTIME: usize = 24;
    pub(super) const QLIMIT: usize = 25; pub(super) const PID: usize = 26; pub(super) const THROTTLE: usize = 29;
    pub(super) const LBTOT: usize = 30; pub(super) const TYPE: usize = 32;
    pub(super) const RATE_MAX: usize = 35; pub(super) const CHECK: usize = 36;
    pub(super) const HRSP: usize = 39; pub(super) const HANAFAIL: usize = 45; pub(super) const REQ_RATE: usize = 46;
    pub(super) const REQ_TOT: usize = 48; pub(super) const CLI_ABRT: usize = 49; pub(super) const COMP: usize = 51;
    pub(super) const LASTSESS: usize = 55; pub(super) const TIMES: usize = 58; pub(super) const CHECK_DESC: usize = 65;
    pub(super) const CHECK_RISE: usize = 67; pub(super) const ADDR: usize = 73; pub(super) const COOKIE: usize = 74;
    pub(super) const MODE: usize = 75; pub(super) const ALGO: usize = 76; pub(super) const CONN_RATE: usize = 77;
    pub(super) const INTERCEPTED: usize = 80; pub(super) const ICUR: usize = 88; pub(super) const IDLE: usize = 95;
    pub(super) const UWEIGHT: usize = 99;
}

impl<'a, 'b> Row<'a, 'b> {
    fn new(out: &'a mut Text<'b>) -> Self {
        Self { out, at: 0 }
    }

    fn go(&mut self, column: usize) {
        debug_assert!(column >= self.at, "column {column} after {}", self.at);
        while self.at < column {
            self.out.byte(b',');
            self.at += 1;
        }
    }

    fn text(&mut self, column: usize, text: &str) {
        self.go(column);
        self.out.bytes(text.as_bytes());
    }

    fn number(&mut self, column: usize, number: u64) {
        self.go(column);
        self.out.long(number);
    }

    /// Numbers side by side.
    fn numbers(&mut self, column: usize, numbers: &[u64]) {
        for (offset, number) in numbers.iter().enumerate() {
            self.number(column + offset, *number);
        }
    }

    fn end(mut self) {
        self.text(COLUMNS - 1, "-");
        self.out.bytes(b",\n");
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
    let all = Filter { number: -1, kinds: -1, server: -1 };
    matches!(line(proxy, &proxy.config(), step - 1, &all, out), Next::More)
}

/// The `index`th line of all, if it is wanted.
fn line(proxy: &Proxy, config: &Config, index: usize, filter: &Filter, out: &mut Text<'_>) -> Next {
    let wanted = |number: u64, kind| {
        filter.kinds & kind != 0 && (filter.number <= 0 || u64::try_from(filter.number) == Ok(number))
    };
    if let Some((id, _)) = config.listeners().nth(index) {
        if wanted(number_of_listener(id.index()), FRONTEND) {
            listener(proxy, config, id, out);
        }
        return Next::More;
    }
    let mut index = index - config.listeners().count();
    for (pool_id, pool) in config.pools() {
        let at = pool_id.index();
        if let Some(&id) = pool.backends.get(index) {
            let sid = i64::try_from(index + 1).unwrap_or(0);
            if wanted(number_of_pool(at), SERVER) && (filter.server <= 0 || filter.server == sid) {
                backend(proxy, config, id, out);
            }
            return Next::More;
        }
        if index == pool.backends.len() {
            if wanted(number_of_pool(at), BACKEND) {
                whole_pool(proxy, config, pool_id, out);
            }
            return Next::More;
        }
        index -= pool.backends.len() + 1;
    }
    Next::Done
}

fn filter(call: &Call<'_>) -> Result<Filter, &'static str> {
    let [proxy, kinds, server, ..] = call.words else { return Ok(Filter { number: -1, kinds: -1, server: -1 }) };
    let number = match proxy.parse() {
        Ok(number) => number,
        Err(_) => {
            let config = call.proxy.config();
            let of_pool = super::pool(call.proxy, proxy).map(|id| number_of_pool(id.index()));
            let listener = config.listeners().find(|(_, listener)| listener.name == *proxy);
            let of_listener = listener.map(|(id, _)| number_of_listener(id.index()));
            let number = of_pool.or(of_listener).ok_or("No such proxy.\n")?;
            i64::try_from(number).unwrap_or(-1)
        }
    };
    let of = |word: &str| word.parse().unwrap_or(0);
    Ok(Filter { number, kinds: of(kinds), server: of(server) })
}

fn listener(proxy: &Proxy, config: &Config, id: ListenerId, out: &mut Text<'_>) {
    let stats = proxy.listener_stats(id);
    let settings = &config.listeners[id.index()];
    let mut row = Row::new(out);
    row.text(column::PXNAME, &settings.name);
    row.text(1, "FRONTEND");
    let Many { now, most, total, rate, most_rate } = stats.connections;
    row.numbers(column::SCUR, &[now, most, config.limits.budget.connections as u64, total]);
    row.numbers(8, &[stats.traffic.received, stats.traffic.sent]);
    row.numbers(column::DREQ, &[stats.failures.denied, 0, stats.failures.malformed]);
    row.text(column::STATUS, if proxy.is_stopping() { "STOP" } else { "OPEN" });
    row.numbers(column::PID, &[1, number_of_listener(id.index()), 0]);
    row.numbers(column::TYPE, &[0, rate, 0, most_rate]);
    if settings.mode == Mode::Http {
        statuses(&mut row, &stats.traffic);
        row.numbers(column::REQ_RATE, &[stats.requests.rate, stats.requests.most_rate, stats.requests.total]);
        row.numbers(column::COMP, &[0; 4]);
    }
    row.text(column::MODE, mode(settings.mode));
    row.numbers(column::CONN_RATE, &[rate, most_rate, total]);
    row.number(column::INTERCEPTED, stats.failures.answered);
    row.end();
}

fn backend(proxy: &Proxy, config: &Config, id: BackendId, out: &mut Text<'_>) {
    let stats = proxy.backend_stats(id);
    let settings = &config.backends[id.index()];
    let pool = &config.pools[settings.pool.index()];
    let mut row = Row::new(out);
    row.text(column::PXNAME, &pool.name);
    row.text(1, &settings.name);
    row.numbers(column::QCUR, &stats.queue);
    row.numbers(column::SCUR, &[stats.requests.now, stats.requests.most]);
    if stats.maxconn > 0 {
        row.number(column::SLIM, stats.maxconn.into());
    }
    row.number(column::STOT, stats.requests.total);
    row.numbers(8, &[stats.traffic.received, stats.traffic.sent]);
    row.number(column::DRESP, 0);
    failures(&mut row, &stats.failures);
    let checked = pool.check.as_ref().filter(|_| stats.admin != Admin::Maint);
    let levels = pool.check.as_ref().map(|check| (check.rise, check.fall));
    row.go(column::STATUS);
    let down = levels.is_some() && !stats.healthy;
    match (stats.admin, levels) {
        (Admin::Maint, _) => row.out.bytes(b"MAINT"),
        (_, _) if down => row.out.bytes(b"DOWN"),
        (Admin::Drain, _) => row.out.bytes(b"DRAIN"),
        (Admin::Ready, None) => row.out.bytes(if stats.healthy { b"no check" } else { b"DOWN" }),
        (Admin::Ready, Some(_)) => row.out.bytes(b"UP"),
    }
    if let Some((rise, fall)) = levels.filter(|_| checked.is_some() && stats.admin == Admin::Ready) {
        let level = stats.checked.level;
        let (part, of) = if down { (level, rise) } else { ((level + 1).saturating_sub(rise), fall) };
        if part > 0 && part < of && stats.checked.finding != Finding::Nothing {
            row.out.byte(b' ');
            row.out.number(part);
            row.out.byte(b'/');
            row.out.number(of);
        }
    }
    let weight = if stats.admin == Admin::Ready { stats.weight } else { 0 };
    row.numbers(column::WEIGHT, &[weight.into(), u64::from(!settings.backup), u64::from(settings.backup)]);
    if levels.is_some() {
        row.numbers(column::CHKFAIL, &[stats.check_failures, stats.downs]);
    }
    row.numbers(column::LASTCHG, &[stats.since_ms / 1000]);
    if levels.is_some() {
        row.number(column::DOWNTIME, stats.down_ms / 1000);
    }
    if settings.maxqueue > 0 {
        row.number(column::QLIMIT, settings.maxqueue.into());
    }
    row.numbers(column::PID, &[1, number_of_pool(settings.pool.index()), number_of_backend(config, id)]);
    if let Some(throttle) = stats.throttle {
        row.number(column::THROTTLE, throttle.into());
    }
    row.number(column::LBTOT, stats.requests.total.saturating_sub(stats.loyalty.hits));
    row.numbers(column::TYPE, &[2, stats.requests.rate]);
    row.number(column::RATE_MAX, stats.requests.most_rate);
    if checked.is_some() {
        row.text(column::CHECK, stats.checked.finding.code());
        row.go(column::CHECK + 1);
        if stats.checked.status > 0 {
            row.out.number(stats.checked.status.into());
        }
        row.number(column::CHECK + 2, stats.checked.duration_ms);
    }
    if pool.mode == Mode::Http {
        statuses(&mut row, &stats.traffic);
        if pool.passive.observe != Observe::None {
            row.number(column::HANAFAIL, stats.ejections);
        }
        row.number(column::REQ_TOT, stats.traffic.exchanges());
    }
    row.numbers(column::CLI_ABRT, &[stats.failures.client_aborts, stats.failures.server_aborts]);
    last_session(&mut row, stats.idle_ms);
    row.numbers(column::TIMES, &stats.averages_ms);
    if let Some((rise, fall)) = levels.filter(|_| checked.is_some()) {
        row.text(column::CHECK_DESC, stats.checked.finding.words());
        row.numbers(column::CHECK_RISE, &[rise.into(), fall.into(), stats.checked.level.into()]);
    }
    row.go(column::ADDR);
    super::servers::write_address(proxy, config, id, row.out);
    if pool.cookie.is_some() {
        row.text(column::COOKIE, &settings.cookie);
    }
    row.text(column::MODE, mode(pool.mode));
    row.number(column::ICUR, stats.idle_connections);
    row.numbers(column::IDLE, &[stats.idle_connections, 0, stats.requests.now, 0, stats.weight.into()]);
    row.end();
}

fn whole_pool(proxy: &Proxy, config: &Config, id: PoolId, out: &mut Text<'_>) {
    let stats = proxy.pool_stats(id);
    let settings = &config.pools[id.index()];
    let mut row = Row::new(out);
    row.text(column::PXNAME, &settings.name);
    row.text(1, "BACKEND");
    row.numbers(column::QCUR, &stats.queue);
    let limit =
        if settings.maxconn > 0 { u64::from(settings.maxconn) } else { config.limits.budget.connections as u64 };
    row.numbers(column::SCUR, &[stats.requests.now, stats.requests.most, limit, stats.requests.total]);
    row.numbers(8, &[stats.traffic.received, stats.traffic.sent]);
    row.numbers(column::DREQ, &[stats.failures.denied, 0]);
    failures(&mut row, &stats.failures);
    let (active, backup) = stats.usable;
    row.text(column::STATUS, if active + backup > 0 { "UP" } else { "DOWN" });
    row.numbers(column::WEIGHT, &[stats.weight.into(), active as u64, backup as u64]);
    row.number(column::CHKDOWN, stats.downs);
    row.numbers(column::LASTCHG, &[stats.since_ms / 1000, stats.down_ms / 1000]);
    row.numbers(column::PID, &[1, number_of_pool(id.index()), 0]);
    row.number(column::LBTOT, stats.traffic.exchanges().saturating_sub(stats.loyalty.hits));
    row.numbers(column::TYPE, &[1, stats.requests.rate]);
    row.number(column::RATE_MAX, stats.requests.most_rate);
    if settings.mode == Mode::Http {
        statuses(&mut row, &stats.traffic);
        row.number(column::REQ_TOT, stats.traffic.exchanges());
    }
    row.numbers(column::CLI_ABRT, &[stats.failures.client_aborts, stats.failures.server_aborts]);
    row.numbers(column::COMP, &[0; 4]);
    last_session(&mut row, stats.idle_ms);
    row.numbers(column::TIMES, &stats.averages_ms);
    if let Some(cookie) = &settings.cookie {
        row.text(column::COOKIE, &cookie.name);
    }
    row.text(column::MODE, mode(settings.mode));
    row.text(column::ALGO, algorithm(settings.balance));
    row.number(column::UWEIGHT, stats.weight.into());
    row.end();
}

fn failures(row: &mut Row<'_, '_>, failures: &Failures) {
    row.numbers(column::ECON, &[failures.connect, failures.response, failures.retries, failures.redispatches]);
}

fn statuses(row: &mut Row<'_, '_>, traffic: &Traffic) {
    row.numbers(column::HRSP, &traffic.statuses[1..]);
    row.number(column::HRSP + 5, traffic.statuses[0]);
}

fn last_session(row: &mut Row<'_, '_>, idle_ms: Option<u64>) {
    match idle_ms {
        Some(idle_ms) => row.number(column::LASTSESS, idle_ms / 1000),
        None => row.text(column::LASTSESS, "-1"),
    }
}

fn mode(mode: Mode) -> &'static str {
    if mode == Mode::Http { "http" } else { "tcp" }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_where_they_should_be() {
        let names: Vec<&str> = HEADER.trim_start_matches("# ").trim_end_matches(",\n").split(',').collect();
        assert_eq!(names.len(), COLUMNS);
        for (place, name) in [
            (column::PXNAME, "pxname"),
            (column::QCUR, "qcur"),
            (column::SCUR, "scur"),
            (column::SLIM, "slim"),
            (column::STOT, "stot"),
            (column::DREQ, "dreq"),
            (column::ECON, "econ"),
            (column::STATUS, "status"),
            (column::CHKFAIL, "chkfail"),
            (column::LASTCHG, "lastchg"),
            (column::QLIMIT, "qlimit"),
            (column::PID, "pid"),
            (column::THROTTLE, "throttle"),
            (column::LBTOT, "lbtot"),
            (column::TYPE, "type"),
            (column::RATE_MAX, "rate_max"),
            (column::CHECK, "check_status"),
            (column::HRSP, "hrsp_1xx"),
            (column::HANAFAIL, "hanafail"),
            (column::REQ_TOT, "req_tot"),
            (column::CLI_ABRT, "cli_abrt"),
            (column::COMP, "comp_in"),
            (column::LASTSESS, "lastsess"),
            (column::TIMES, "qtime"),
            (column::CHECK_DESC, "check_desc"),
            (column::CHECK_RISE, "check_rise"),
            (column::ADDR, "addr"),
            (column::COOKIE, "cookie"),
            (column::MODE, "mode"),
            (column::ALGO, "algo"),
            (column::CONN_RATE, "conn_rate"),
            (column::INTERCEPTED, "intercepted"),
            (column::ICUR, "srv_icur"),
            (column::IDLE, "idle_conn_cur"),
            (column::UWEIGHT, "uweight"),
            (COLUMNS - 1, "-"),
        ] {
            assert_eq!(names[place], name);
        }
    }
}
