//! `/api/v1/status`: everything the dashboard shows, as JSON.
//!
//! Numbers and names only: nothing in it has to be escaped. Times are in milliseconds.

use super::Level;
use super::answer::{Asked, stream};
use super::out::{Gone, Out};
use super::serve::Desk;
use crate::balance::Admin;
use crate::operate::text::Text;
use crate::proxy::{BackendStats, Failures, Loyalty, Many, PoolStats, Traffic};
use std::fs;

/// Resident memory of this process, in bytes; nothing where /proc is not there.
pub(super) fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// `"name":number,`
fn numbers(out: &mut Text<'_>, all: &[(&str, u64)]) {
    for (name, number) in all {
        for part in ["\"", name, "\":"] {
            out.bytes(part.as_bytes());
        }
        out.long(*number);
        out.byte(b',');
    }
}

/// `"name":"text",`
fn text(out: &mut Text<'_>, name: &str, value: &str) {
    for part in ["\"", name, "\":\"", value, "\","] {
        out.bytes(part.as_bytes());
    }
}

fn many(out: &mut Text<'_>, it: &Many) {
    numbers(out, &[("now", it.now), ("most", it.most), ("total", it.total), ("rate", it.rate)]);
}

fn traffic(out: &mut Text<'_>, it: &Traffic) {
    numbers(out, &[("received", it.received), ("sent", it.sent)]);
    numbers(out, &[("s1", it.statuses[1]), ("s2", it.statuses[2]), ("s3", it.statuses[3])]);
    numbers(out, &[("s4", it.statuses[4]), ("s5", it.statuses[5])]);
}

fn failures(out: &mut Text<'_>, it: &Failures) {
    numbers(out, &[("denied", it.denied), ("limited", it.limited), ("malformed", it.malformed)]);
    numbers(out, &[("connect", it.connect), ("response", it.response), ("retries", it.retries)]);
    numbers(out, &[("redispatches", it.redispatches), ("waited", it.waited)]);
    numbers(out, &[("clientAborts", it.client_aborts), ("serverAborts", it.server_aborts)]);
}

fn loyalty(out: &mut Text<'_>, it: &Loyalty) {
    numbers(out, &[("hits", it.hits), ("moved", it.moved), ("newcomers", it.new)]);
}

fn averages(out: &mut Text<'_>, [queue, connect, response, total]: [u64; 4]) {
    numbers(out, &[("queueMs", queue), ("connectMs", connect), ("responseMs", response), ("totalMs", total)]);
}

/// What a server is, in one word.
fn state(it: &BackendStats) -> &'static str {
    match it.admin {
        Admin::Maint => "maint",
        Admin::Drain => "drain",
        Admin::Ready if it.healthy => "up",
        Admin::Ready => "down",
    }
}

fn server(out: &mut Text<'_>, name: &str, is_backup: bool, it: &BackendStats) {
    out.byte(b'{');
    text(out, "name", name);
    text(out, "state", state(it));
    text(out, "check", it.checked.finding.code());
    many(out, &it.requests);
    traffic(out, &it.traffic);
    failures(out, &it.failures);
    loyalty(out, &it.loyalty);
    averages(out, it.averages_ms);
    numbers(out, &[("maxconn", it.maxconn.into()), ("weight", it.weight.into()), ("sinceMs", it.since_ms)]);
    numbers(out, &[("downs", it.downs), ("ejections", it.ejections), ("idle", it.idle_connections)]);
    numbers(out, &[("checkStatus", it.checked.status.into()), ("checkMs", it.checked.duration_ms)]);
    if let Some(percent) = it.throttle {
        numbers(out, &[("throttle", percent.into())]);
    }
    numbers(out, &[("backup", is_backup.into()), ("queue", it.queue[0])]);
    out.bytes(b"\"mostQueue\":");
    out.long(it.queue[1]);
    out.byte(b'}');
}

fn pool(out: &mut Text<'_>, name: &str, keeps_users: bool, it: &PoolStats) {
    out.byte(b'{');
    text(out, "name", name);
    many(out, &it.requests);
    traffic(out, &it.traffic);
    failures(out, &it.failures);
    loyalty(out, &it.loyalty);
    averages(out, it.averages_ms);
    numbers(out, &[("queue", it.queue[0]), ("mostQueue", it.queue[1]), ("sessions", it.sessions)]);
    numbers(
        out,
        &[("active", it.usable.0 as u64), ("backups", it.usable.1 as u64), ("keepsUsers", keeps_users.into())],
    );
    out.bytes(b"\"servers\":[");
}

/// Writes all of it.
pub(super) async fn serve(desk: &Desk, out: &mut Out<'_>, asked: &Asked<'_>) -> Result<(), Gone> {
    stream(out, asked, 200, "application/json").await?;
    let (proxy, config) = (desk.proxy, desk.proxy.config());
    proxy.refresh_statistics();
    let (lags, usage, budget) = (proxy.reactor.lags(), proxy.usage(), config.limits.budget);
    let resident = resident();
    let level = match asked.level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    };
    out.write(|out| {
        out.byte(b'{');
        text(out, "version", env!("CARGO_PKG_VERSION"));
        text(out, "host", &desk.json_host);
        text(out, "level", level);
        numbers(out, &[("uptimeMs", proxy.reactor.now_ms()), ("stopping", proxy.is_stopping().into())]);
        numbers(out, &[("connections", proxy.connections() as u64), ("maxConnections", budget.connections as u64)]);
        numbers(out, &[("requests", proxy.requests()), ("memoryLimit", budget.memory)]);
        if let Some(bytes) = resident {
            numbers(out, &[("memory", bytes)]);
        }
        numbers(out, &[("lagMs", lags.recent_ms), ("lagUs", lags.average_us), ("lagEverMs", lags.most_ms)]);
        numbers(out, &[("smallBuffers", budget.small_buffers as u64), ("smallInUse", usage.small_buffers as u64)]);
        numbers(out, &[("largeBuffers", budget.large_buffers as u64), ("largeInUse", usage.large_buffers as u64)]);
        out.bytes(b"\"listeners\":[");
    })
    .await?;
    for (at, id) in config.order.listeners.iter().copied().enumerate() {
        let (it, listener) = (proxy.listener_stats(id), &config.listeners[id.index()]);
        out.write(|out| {
            out.bytes(if at == 0 { b"{" } else { b",{" });
            text(out, "name", &listener.name);
            many(out, &it.connections);
            traffic(out, &it.traffic);
            failures(out, &it.failures);
            numbers(out, &[("requestRate", it.requests.rate), ("requests", it.requests.total)]);
            out.bytes(b"\"mode\":\"http\"}");
        })
        .await?;
    }
    out.write(|out| out.bytes(b"],\"pools\":[")).await?;
    for (at, id) in config.order.pools.iter().copied().enumerate() {
        let (it, of) = (proxy.pool_stats(id), &config.pools[id.index()]);
        out.write(|out| {
            out.bytes(if at == 0 { b"" } else { b"," });
            pool(out, &of.name, of.keeps_users(), &it);
        })
        .await?;
        for (at, &id) in of.backends.iter().enumerate() {
            let (it, backend) = (proxy.backend_stats(id), &config.backends[id.index()]);
            out.write(|out| {
                out.bytes(if at == 0 { b"" } else { b"," });
                server(out, &backend.name, backend.backup, &it);
            })
            .await?;
        }
        out.write(|out| out.bytes(b"]}")).await?;
    }
    out.write(|out| out.bytes(b"]}\n")).await?;
    out.end().await
}
