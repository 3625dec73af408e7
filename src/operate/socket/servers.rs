//! `show servers state` and `show servers conn`: what another HAProxy, or a script, reads back.

use super::{Call, Next, pool};
use crate::balance::Admin;
use crate::config::Config;
use crate::limits::{BackendId, PoolId};
use crate::operate::figures::{number_of_backend, number_of_pool};
use crate::operate::text::Text;
use crate::proxy::{BackendStats, Finding, Proxy};
use crate::runtime::Endpoint;
use std::fmt::Write;

const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";
// The word for what Rust calls so stands in no source but the runtime's.
const CONN: &str = concat!(
    "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est un",
    "safe_nb safe_nb idle_lim idle_cur idle_per_thr[1]\n"
);

/// `address:port` of a backend; nothing while it has none.
pub(super) fn write_address(proxy: &Proxy, config: &Config, id: BackendId, out: &mut Text<'_>) {
    match proxy.address(config, id) {
        Some(Endpoint::Inet(address)) => {
            let _ = write!(out, "{address}");
        }
        Some(Endpoint::Unix(path)) => {
            out.bytes(b"unix:");
            out.bytes(path.as_bytes());
        }
        None => {}
    }
}

/// Its address alone, and its port.
fn write_address_and_port(proxy: &Proxy, config: &Config, id: BackendId, between: &[u8], out: &mut Text<'_>) -> u16 {
    let port = match proxy.address(config, id) {
        Some(Endpoint::Inet(address)) => {
            let _ = write!(out, "{}", address.ip());
            address.port()
        }
        Some(Endpoint::Unix(path)) => {
            out.bytes(path.as_bytes());
            0
        }
        None => {
            out.byte(b'-');
            config.backends[id.index()].port
        }
    };
    out.bytes(between);
    port
}

/// The `step`th backend of all, or of the pool that is named.
fn backend(call: &Call<'_>, config: &Config) -> Result<Option<(PoolId, BackendId)>, &'static str> {
    let only = match call.words.first() {
        Some(word) => Some(pool(call.proxy, word).ok_or("Can't find backend.\n")?),
        None => None,
    };
    let pools = config.pools().filter(|(id, _)| only.is_none_or(|only| only == *id));
    let mut backends = pools.flat_map(|(id, pool)| pool.backends.iter().map(move |&backend| (id, backend)));
    Ok(backends.nth(call.step.saturating_sub(1)))
}

fn each(
    call: &Call<'_>,
    header: &str,
    out: &mut Text<'_>,
    write: fn(&Proxy, &Config, PoolId, BackendId, &mut Text<'_>),
) -> Next {
    let config = call.proxy.config();
    match backend(call, &config) {
        Err(message) => Next::Error(message),
        Ok(_) if call.step == 0 => {
            out.bytes(header.as_bytes());
            Next::More
        }
        Ok(Some((pool, id))) => {
            write(call.proxy, &config, pool, id, out);
            Next::More
        }
        Ok(None) => Next::Done,
    }
}

pub(super) fn state(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    each(call, STATE, out, write_state)
}

fn write_state(proxy: &Proxy, config: &Config, pool: PoolId, id: BackendId, out: &mut Text<'_>) {
    let stats = proxy.backend_stats(id);
    let (settings, of_pool) = (&config.backends[id.index()], &config.pools[pool.index()]);
    let number = |out: &mut Text<'_>, number: u64| {
        out.long(number);
        out.byte(b' ');
    };
    let word = |out: &mut Text<'_>, word: &str| {
        out.bytes(word.as_bytes());
        out.byte(b' ');
    };
    number(out, number_of_pool(pool.index()));
    word(out, &of_pool.name);
    number(out, number_of_backend(config, id));
    word(out, &settings.name);
    let port = write_address_and_port(proxy, config, id, b" ", out);
    let (check, agent) = (of_pool.check.is_some(), of_pool.agent.is_some());
    for value in [
        operational(&stats),
        administrative(stats.admin),
        stats.weight.into(),
        settings.weight.into(),
        stats.since_ms / 1000,
        if check { stats.checked.finding.number().into() } else { 1 },
        if check { result(stats.checked.finding) } else { 0 },
        match stats.admin {
            Admin::Maint => 0,
            Admin::Ready | Admin::Drain if check => stats.checked.level.into(),
            Admin::Ready | Admin::Drain => 2,
        },
        // Configured and enabled; and for an agent, that it is one.
        if check { 6 } else { 0 },
        if agent { 22 } else { 0 },
        0,
        0,
    ] {
        number(out, value);
    }
    let named = settings.path.is_none() && settings.host.parse::<std::net::IpAddr>().is_err();
    word(out, if named { &settings.host } else { "-" });
    number(out, port.into());
    word(out, "- 0 0 - -");
    out.long(of_pool.agent.as_ref().map_or(0, |agent| agent.port.into()));
    out.byte(b'\n');
}

/// HAProxy's `srv_op_state`: stopped, starting, running, stopping.
fn operational(stats: &BackendStats) -> u64 {
    match (stats.up, stats.throttle) {
        (false, _) => 0,
        (true, Some(_)) => 1,
        (true, None) => 2,
    }
}

/// Its `srv_admin_state`: forced into maintenance, or to drain.
fn administrative(admin: Admin) -> u64 {
    match admin {
        Admin::Ready => 0,
        Admin::Maint => 1,
        Admin::Drain => 8,
    }
}

/// Its `srv_check_result`: unknown, failed, passed.
fn result(finding: Finding) -> u64 {
    match finding {
        Finding::Nothing => 0,
        finding if finding.is_good() => 3,
        _ => 2,
    }
}

pub(super) fn connections(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    each(call, CONN, out, write_connections)
}

fn write_connections(proxy: &Proxy, config: &Config, pool: PoolId, id: BackendId, out: &mut Text<'_>) {
    let stats = proxy.backend_stats(id);
    for (text, end) in [(&config.pools[pool.index()].name, b'/'), (&config.backends[id.index()].name, b' ')] {
        out.bytes(text.as_bytes());
        out.byte(end);
    }
    out.long(number_of_pool(pool.index()));
    out.byte(b'/');
    out.long(number_of_backend(config, id));
    out.byte(b' ');
    let port = write_address_and_port(proxy, config, id, b" ", out);
    out.number(port.into());
    out.bytes(b" - ");
    out.long(crate::limits::IDLE_PURGE_MS);
    let requests = stats.work.requests;
    for number in [requests.now, requests.most, requests.most, 0, stats.idle_connections] {
        out.byte(b' ');
        out.long(number);
    }
    out.bytes(b" -1 ");
    out.long(stats.idle_connections);
    out.byte(b' ');
    out.long(stats.idle_connections);
    out.byte(b'\n');
}
