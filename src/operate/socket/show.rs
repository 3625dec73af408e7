//! What is told of the process and of pools: `show info`, `show backend`, `show version`, `show log`, `show errors`.

use super::{Call, Next};
use crate::operate::own::{Own, Reading, VERSION};
use crate::operate::text::Text;

/// Lines of `show info`, by HAProxy's names.
#[rustfmt::skip]
static NUMBERS: &[(&str, Reading)] = &[
    ("Nbthread", |_| 1), ("Nbproc", |_| 1), ("Process_num", |_| 1), ("Pid", |_| std::process::id().into()),
    ("Uptime_sec", |it| it.uptime_ms / 1000), ("Memmax_MB", |it| it.memory_limit / (1024 * 1024)),
    ("Ulimit-n", |it| it.descriptors), ("Maxsock", |it| it.descriptors),
    ("Maxconn", |it| it.most_connections), ("Hard_maxconn", |it| it.planned_connections),
    ("CurrConns", |it| it.connections), ("CumConns", |it| it.all_connections), ("CumReq", |it| it.requests),
    ("Maxpipes", |it| it.pipes[0]), ("PipesUsed", |it| it.pipes[1]), ("PipesFree", |it| it.pipes[0].saturating_sub(it.pipes[1])),
    ("ConnRate", |it| it.rate[0]), ("ConnRateLimit", |_| 0), ("MaxConnRate", |it| it.rate[1]),
    ("SessRate", |it| it.rate[0]), ("SessRateLimit", |_| 0), ("MaxSessRate", |it| it.rate[1]),
    ("Tasks", |it| it.connections), ("Run_queue", |_| 0), ("Stopping", |it| it.stopping), ("Listeners", |it| it.listeners),
    ("DroppedLogs", |it| it.lost_lines),
    // There is no TLS and no compression; clients of HAProxy's read what is said of them.
    ("MaxSslConns", |_| 0), ("CurrSslConns", |_| 0), ("CumSslConns", |_| 0), ("SslRate", |_| 0), ("SslRateLimit", |_| 0),
    ("MaxSslRate", |_| 0), ("SslFrontendKeyRate", |_| 0), ("SslFrontendMaxKeyRate", |_| 0),
    ("SslFrontendSessionReuse_pct", |_| 0), ("SslBackendKeyRate", |_| 0), ("SslBackendMaxKeyRate", |_| 0),
    ("SslCacheLookups", |_| 0), ("SslCacheMisses", |_| 0), ("CompressBpsIn", |_| 0), ("CompressBpsOut", |_| 0),
    ("CompressBpsRateLim", |_| 0),
    // Ours.
    ("Memmax_bytes", |it| it.memory_limit), ("Slots", |it| it.slots), ("Queued", |it| it.queued),
    ("SmallBuffersUsed", |it| it.small_buffers[1]), ("SmallBuffers", |it| it.small_buffers[0]),
    ("LargeBuffersUsed", |it| it.large_buffers[1]), ("LargeBuffers", |it| it.large_buffers[0]),
    ("LoopLagMs", |it| it.lag_ms), ("LoopLagAverageUs", |it| it.average_lag_us), ("LoopLagMostMs", |it| it.most_lag_ms),
    ("AffinityHits", |it| it.loyalty.hits), ("AffinityMoved", |it| it.loyalty.moved), ("AffinityNew", |it| it.loyalty.new),
    ("MessagesSuppressed", |it| it.left_out), ("CpuMs", |it| it.cpu_ms), ("EnergyJ", |it| it.energy_mj[0] / 1000),
];

/// `show info`: HAProxy's names for what there is here, and ours for the rest. Tools look for its own name, too, and by its
/// version for what it can: Ansible's module drains nobody before 1.5.
pub(super) fn info(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    if let Err(words) = super::plain(call.words) {
        return Next::Error(words);
    }
    call.proxy.refresh_statistics();
    let own = Own::of(call.proxy, call.service.lines());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let head = ["Name: HAProxy\nVersion: ", VERSION, "\nRelease_date: -\ndescription: beelance\nnode: "];
    for part in head.into_iter().chain([&*host, "\nUptime: "]) {
        out.bytes(part.as_bytes());
    }
    let seconds = own.uptime_ms / 1000;
    for (number, unit) in [(seconds / 86_400, "d "), (seconds / 3600 % 24, "h")] {
        out.long(number);
        out.bytes(unit.as_bytes());
    }
    for (number, unit) in [(seconds / 60 % 60, "m"), (seconds % 60, "s\n")] {
        out.bytes(if number < 10 { b"0" } else { b"" });
        out.long(number);
        out.bytes(unit.as_bytes());
    }
    for (name, number) in NUMBERS {
        out.bytes(name.as_bytes());
        out.bytes(b": ");
        out.long(number(&own));
        out.byte(b'\n');
    }
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
    let place = if call.step == 0 { 0 } else { call.session.log_place };
    match crate::operate::last(place, &mut |line| out.bytes(line)) {
        Some(next) => {
            call.session.log_place = next;
            Next::More
        }
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
    let failures = call.proxy.backend_stats(id).work.failures;
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
