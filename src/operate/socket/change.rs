//! What can be changed: servers, counters, and the client's own session.

use super::{Call, Level, Next, Severity, server};
use crate::balance::{Admin, Authority, Weight};
use crate::limits::BackendId;
use crate::operate::text::Text;
use crate::proxy::{Arrival, Proxy};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Who changes addresses here, in HAProxy's words.
const WHO: &str = "stats socket command";
const USAGE: &str = "usage: set server <backend>/<server> addr | agent | health | state | weight\n";

/// Does something to the server that the first word names.
fn with_server(call: &Call<'_>, change: impl FnOnce(&'static Proxy, BackendId) -> Next) -> Next {
    match server(call.proxy, call.words.first()) {
        Ok(id) => change(call.proxy, id),
        Err(message) => Next::Error(message),
    }
}

pub(super) fn set_server(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    with_server(call, |proxy, id| match call.words.get(1..) {
        Some(["state", rest @ ..]) => match rest.first() {
            Some(&"ready") => admin(proxy, id, Admin::Ready),
            Some(&"drain") => admin(proxy, id, Admin::Drain),
            Some(&"maint") => admin(proxy, id, Admin::Maint),
            _ => Next::Error("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"),
        },
        Some(["weight", rest @ ..]) => weight(proxy, id, rest.first().copied()),
        Some(["health", rest @ ..]) => match rest.first() {
            Some(&"up") => health(proxy, id, true),
            Some(&"down") => health(proxy, id, false),
            Some(&"stopping") => admin(proxy, id, Admin::Drain),
            _ => Next::Error("'set server <srv> health' expects 'up', 'stopping', or 'down'.\n"),
        },
        Some(["agent", rest @ ..]) => agent(proxy, id, rest.first().copied()),
        Some(["addr", rest @ ..]) => address(call, id, rest, out),
        _ => Next::Error(USAGE),
    })
}

fn admin(proxy: &Proxy, id: BackendId, admin: Admin) -> Next {
    proxy.set_admin(id, Authority::Operator, admin);
    Next::Done
}

fn health(proxy: &Proxy, id: BackendId, up: bool) -> Next {
    proxy.tell_freely(id);
    proxy.set_up(id, up, "changed from CLI");
    Next::Done
}

fn agent(proxy: &Proxy, id: BackendId, word: Option<&str>) -> Next {
    let config = proxy.config();
    if config.pools[config.backends[id.index()].pool.index()].agent.is_none() || proxy.agent_rests(id) {
        return Next::Error("agent checks are not enabled on this server.\n");
    }
    match word {
        Some(word @ ("up" | "down")) => {
            proxy.tell_freely(id);
            proxy.set_agent_up(id, word == "up", "changed from CLI");
            Next::Done
        }
        _ => Next::Error("'set server <srv> agent' expects 'up' or 'down'.\n"),
    }
}

/// Reads a number as C does: what precedes anything else.
pub(super) fn number(word: &str) -> Option<(i64, &str)> {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let end = word.len() - digits.len() + digits.bytes().take_while(u8::is_ascii_digit).count();
    let number = word[..end].parse().ok()?;
    Some((number, &word[end..]))
}

fn weight(proxy: &Proxy, id: BackendId, word: Option<&str>) -> Next {
    let Some(word) = word else { return Next::Error("Require <weight> or <weight%>.\n") };
    let configured = proxy.config().backends[id.index()].weight;
    let weight = match number(word) {
        None => return Next::Error("Empty weight string empty or preceded by garbage"),
        Some((percent, "%")) => match u32::try_from(percent) {
            Ok(percent) => Weight::Percent(percent).of(configured),
            Err(_) => return Next::Error("Relative weight must be positive.\n"),
        },
        Some((weight, _)) if !(0..=256).contains(&weight) => {
            return Next::Error("Absolute weight can only be between 0 and 256 inclusive.\n");
        }
        Some((weight, "")) => u16::try_from(weight).unwrap_or(0),
        Some(_) => return Next::Error("Trailing garbage in weight string"),
    };
    proxy.set_weight(id, weight);
    Next::Done
}

pub(super) fn set_weight(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    with_server(call, |proxy, id| weight(proxy, id, call.words.get(1).copied()))
}

pub(super) fn get_weight(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    with_server(call, |proxy, id| {
        let stats = proxy.backend_stats(id);
        // One that drains has none, for HAProxy.
        let weight = if stats.admin == Admin::Drain { 0 } else { stats.weight };
        out.number(weight.into());
        out.bytes(b" (initial ");
        out.number(proxy.config().backends[id.index()].weight.into());
        out.bytes(b")\n");
        Next::Done
    })
}

pub(super) fn set_maxconn(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    with_server(call, |proxy, id| {
        let Some(word) = call.words.get(1) else { return Next::Error("Require <maxconn>.\n") };
        match number(word) {
            None => Next::Error("maxconn string empty or preceded by garbage"),
            Some((maxconn, "")) => match u32::try_from(maxconn) {
                Ok(maxconn) => {
                    proxy.set_maxconn(id, maxconn);
                    Next::Done
                }
                Err(_) => Next::Error("maxconn is a whole number from 0 to 4294967295.\n"),
            },
            Some(_) => Next::Error("Trailing garbage in maxconn string"),
        }
    })
}

/// `addr ADDRESS [port PORT]`. The words are HAProxy's, whatever became of it.
fn address(call: &Call<'_>, id: BackendId, words: &[&str], out: &mut Text<'_>) -> Next {
    let proxy = call.proxy;
    let Some(word) = words.first() else {
        return Next::Error("set server <b>/<s> addr requires an address and optionally a port.\n");
    };
    let Ok(ip) = word.parse::<IpAddr>() else {
        // Nothing has changed: an error, where HAProxy's severity is a warning's.
        call.fail(&["Invalid addr '", word, "' by '", WHO, "'"], out);
        return Next::Done;
    };
    let config = proxy.config();
    let settings = &config.backends[id.index()];
    if settings.path.is_some() {
        return Next::Error(
            "Update for the current server address type is only supported through configuration file.\n",
        );
    }
    let before = proxy.ip(id);
    let port_before = proxy.port(id).unwrap_or(settings.port);
    let port = match words.get(1..) {
        Some(["port", rest @ ..]) => match rest.first().and_then(|word| word.parse().ok()).filter(|&port| port > 0) {
            Some(port) => Some(port),
            None => return Next::Error("a port is a whole number from 1 to 65535.\n"),
        },
        _ => None,
    };
    match before {
        Some(before) if before == ip => out.bytes(b"no need to change the addr"),
        Some(before) => {
            let _ = write!(out, "IP changed from '{before}' to '{ip}'");
        }
        None => {
            let _ = write!(out, "IP changed from '(none)' to '{ip}'");
        }
    }
    match port {
        Some(port) if port != port_before => {
            let _ = write!(out, ", port changed from '{port_before}' to '{port}'");
        }
        Some(_) => out.bytes(b", no need to change the port"),
        None => {}
    }
    let _ = writeln!(out, " by '{WHO}'");
    let address = SocketAddr::new(ip, port.unwrap_or(port_before));
    proxy.tell_freely(id);
    proxy.set_address(id, Some(address), Arrival::Change, WHO);
    Next::Done
}

pub(super) fn enable_server(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    with_server(call, |proxy, id| admin(proxy, id, Admin::Ready))
}

pub(super) fn disable_server(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    with_server(call, |proxy, id| admin(proxy, id, Admin::Maint))
}

/// Lets probes, or questions to agents, rest or go on.
fn watch(call: &Call<'_>, agent: bool, on: bool) -> Next {
    with_server(call, |proxy, id| {
        let config = proxy.config();
        let pool = &config.pools[config.backends[id.index()].pool.index()];
        let exists = if agent { pool.agent.is_some() } else { pool.check.is_some() };
        if !exists && on {
            return Next::Error(match agent {
                true => "Agent was not configured on this server, cannot enable.\n",
                false => "Health check was not configured on this server, cannot enable.\n",
            });
        }
        match agent {
            true => proxy.let_agent_rest(id, !on),
            false => proxy.let_probes_rest(id, !on),
        }
        Next::Done
    })
}

pub(super) fn enable_agent(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    watch(call, true, true)
}

pub(super) fn disable_agent(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    watch(call, true, false)
}

pub(super) fn enable_health(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    watch(call, false, true)
}

pub(super) fn disable_health(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    watch(call, false, false)
}

pub(super) fn clear_counters(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    let all = call.words.first() == Some(&"all");
    if all && call.session.level < Level::Admin {
        return Next::Error("Permission denied\n");
    }
    call.proxy.clear_statistics(all);
    Next::Done
}

pub(super) fn operator(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    call.session.level = Level::Operator;
    Next::Done
}

pub(super) fn user(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    call.session.level = Level::User;
    Next::Done
}

pub(super) fn prompt(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    call.session.prompt = !call.session.prompt;
    Next::Done
}

pub(super) fn set_severity(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    call.session.severity = match call.words.first() {
        Some(&"none") => Severity::None,
        Some(&"number") => Severity::Number,
        Some(&"string") => Severity::Word,
        _ => return Next::Error("one of 'none', 'number', 'string' is a required argument\n"),
    };
    Next::Done
}

pub(super) fn set_timeout(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    let [what, delay, ..] = call.words else { return Next::Error("Unknown timeout name, use 'cli'.\n") };
    if *what != "cli" {
        return Next::Error("'set timeout' only supports 'cli'.\n");
    }
    // Seconds where no unit is given, a day at most.
    let factor_ms = match number(delay) {
        Some((seconds @ 1..=86_400, "" | "s")) => seconds * 1000,
        Some((minutes @ 1..=1_440, "m")) => minutes * 60_000,
        Some((hours @ 1..=24, "h")) => hours * 3_600_000,
        Some((ms @ 1..=86_400_000, "ms")) => ms,
        _ => return Next::Error("Invalid timeout value.\n"),
    };
    call.session.idle_ms = u64::try_from(factor_ms).unwrap_or(0);
    Next::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_c() {
        for (word, expected) in [
            ("12", Some((12, ""))),
            ("-1", Some((-1, ""))),
            ("50%", Some((50, "%"))),
            ("5x%", Some((5, "x%"))),
            ("+7", Some((7, ""))),
            ("abc", None),
            ("", None),
            ("-", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(word), expected, "{word}");
        }
    }
}
