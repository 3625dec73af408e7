//! What is told of the process and of pools: `show info`, `show backend`, `show version`, `show errors`.

use super::{Call, Next};
use crate::operate::text::Text;
use crate::proxy::Loyalty;

fn pair(out: &mut Text<'_>, name: &str, value: u64) {
    out.bytes(name.as_bytes());
    out.bytes(b": ");
    out.long(value);
    out.byte(b'\n');
}

/// `show info`: HAProxy's names for what there is here, and ours for the rest. Tools look for its own name, too.
pub(super) fn info(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let proxy = call.proxy;
    proxy.refresh_statistics();
    let config = proxy.config();
    let budget = &config.limits.budget;
    let (usage, lags) = (proxy.usage(), proxy.reactor.lags());
    let seconds = proxy.reactor.now_ms() / 1000;
    let mut connections = 0;
    let (mut rate, mut most_rate) = (0, 0);
    for (id, _) in config.listeners() {
        let stats = proxy.listener_stats(id);
        connections += stats.connections.total;
        rate += stats.connections.rate;
        most_rate = stats.connections.most_rate.max(most_rate);
    }
    out.bytes(
        concat!("Name: HAProxy\nVersion: ", env!("CARGO_PKG_VERSION"), "\nRelease_date: -\ndescription: beelance\n")
            .as_bytes(),
    );
    pair(out, "Nbthread", 1);
    pair(out, "Nbproc", 1);
    pair(out, "Process_num", 1);
    pair(out, "Pid", std::process::id().into());
    out.bytes(b"Uptime: ");
    for (number, unit) in [(seconds / 86_400, "d "), (seconds / 3600 % 24, "h")] {
        out.long(number);
        out.bytes(unit.as_bytes());
    }
    for (number, unit) in [(seconds / 60 % 60, "m"), (seconds % 60, "s\n")] {
        out.bytes(if number < 10 { b"0" } else { b"" });
        out.long(number);
        out.bytes(unit.as_bytes());
    }
    pair(out, "Uptime_sec", seconds);
    pair(out, "Memmax_MB", budget.memory / (1024 * 1024));
    pair(out, "Ulimit-n", budget.descriptors());
    pair(out, "Maxsock", budget.descriptors());
    pair(out, "Maxconn", budget.connections as u64);
    pair(out, "Hard_maxconn", budget.connections as u64);
    pair(out, "CurrConns", usage.connections as u64);
    pair(out, "CumConns", connections);
    pair(out, "CumReq", proxy.requests());
    pair(out, "Maxpipes", budget.pipes as u64);
    pair(out, "PipesUsed", usage.pipes as u64);
    pair(out, "PipesFree", budget.pipes.saturating_sub(usage.pipes) as u64);
    pair(out, "ConnRate", rate);
    pair(out, "ConnRateLimit", 0);
    pair(out, "MaxConnRate", most_rate);
    pair(out, "SessRate", rate);
    pair(out, "SessRateLimit", 0);
    pair(out, "MaxSessRate", most_rate);
    pair(out, "Tasks", usage.connections as u64);
    pair(out, "Run_queue", 0);
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    out.bytes(b"node: ");
    out.bytes(host.as_bytes());
    out.byte(b'\n');
    pair(out, "Stopping", proxy.is_stopping().into());
    pair(out, "Listeners", config.listeners().count() as u64);
    pair(out, "Memmax_bytes", budget.memory);
    pair(out, "Slots", usage.slots.into());
    pair(out, "Queued", usage.queued.into());
    pair(out, "SmallBuffersUsed", usage.small_buffers as u64);
    pair(out, "SmallBuffers", budget.small_buffers as u64);
    pair(out, "LargeBuffersUsed", usage.large_buffers as u64);
    pair(out, "LargeBuffers", budget.large_buffers as u64);
    pair(out, "LoopLagMs", lags.recent_ms);
    pair(out, "LoopLagAverageUs", lags.average_us);
    pair(out, "LoopLagMostMs", lags.most_ms);
    let (mut hits, mut moved, mut newcomers) = (0, 0, 0);
    for (id, _) in config.pools() {
        let Loyalty { hits: stayed, moved: left, new } = proxy.pool_stats(id).loyalty;
        (hits, moved, newcomers) = (hits + stayed, moved + left, newcomers + new);
    }
    pair(out, "AffinityHits", hits);
    pair(out, "AffinityMoved", moved);
    pair(out, "AffinityNew", newcomers);
    Next::Done
}

pub(super) fn backend(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    if call.step == 0 {
        out.bytes(b"# name\n");
        return Next::More;
    }
    let config = call.proxy.config();
    let Some((_, pool)) = config.pools().nth(call.step - 1) else { return Next::Done };
    out.bytes(pool.name.as_bytes());
    out.byte(b'\n');
    Next::More
}

pub(super) fn log(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let mut place = 0;
    for _ in 0..call.step {
        let Some(next) = crate::operate::last(place, &mut |_| ()) else { return Next::Done };
        place = next;
    }
    match crate::operate::last(place, &mut |line| out.bytes(line)) {
        Some(_) => Next::More,
        None => Next::Done,
    }
}

pub(super) fn version(_: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    out.bytes(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    Next::Done
}

pub(super) fn level(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    out.bytes(call.session.level.name().as_bytes());
    out.byte(b'\n');
    Next::Done
}

/// `show errors`: HAProxy shows the last bad messages; here it is how many of what, of each backend.
pub(super) fn errors(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    if call.step == 0 {
        out.bytes(
            b"# server connect response retries unpaid_retries redispatches client_aborts server_aborts waited\n",
        );
        return Next::More;
    }
    let config = call.proxy.config();
    let Some((id, _)) = config.backends().nth(call.step - 1) else { return Next::Done };
    let failures = call.proxy.backend_stats(id).failures;
    out.bytes(call.proxy.name(id).as_bytes());
    for number in [
        failures.connect,
        failures.response,
        failures.retries,
        failures.unpaid,
        failures.redispatches,
        failures.client_aborts,
        failures.server_aborts,
        failures.waited,
    ] {
        out.byte(b' ');
        out.long(number);
    }
    out.byte(b'\n');
    Next::More
}
