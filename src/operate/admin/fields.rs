//! The table of metrics: one row for what HAProxy's exporter calls `haproxy_{frontend,backend,server}_NAME`, with its value of
//! a listener, a pool or a backend where that has one.
//!
//! Names, types and labels are HAProxy's, so that dashboards and alerts made for it work; what it has and beelance has not is
//! left out, not zero.

use super::metrics::Value::{self, Millis, Nothing, Number};
use crate::config::{Backend, Config};
use crate::proxy::{BackendStats, ListenerStats, PoolStats};

/// A listener, where its metrics are written.
pub(super) struct OfListener<'a> {
    pub config: &'a Config,
    pub stats: ListenerStats,
}

/// A backend.
pub(super) struct OfBackend<'a> {
    pub backend: &'a Backend,
    pub stats: BackendStats,
}

/// One row.
pub(super) struct Field {
    pub name: &'static str,
    /// It only ever grows: its name ends in `_total`.
    pub counter: bool,
    pub help: &'static str,
    pub of_listener: Option<fn(&OfListener<'_>) -> Value>,
    pub of_pool: Option<fn(&PoolStats) -> Value>,
    pub of_backend: Option<fn(&OfBackend<'_>) -> Value>,
}

macro_rules! fields {
    ($($name:literal $help:literal $(, listener $listener:expr)? $(, pool $pool:expr)? $(, backend $backend:expr)?;)*) => {
        /// All rows.
        pub(super) static FIELDS: &[Field] = &[$(Field {
            name: $name,
            counter: is_total($name),
            help: $help,
            of_listener: fields!(@ $($listener)?),
            of_pool: fields!(@ $($pool)?),
            of_backend: fields!(@ $($backend)?),
        }),*];
    };
    (@) => { None };
    (@ $value:expr) => { Some($value) };
}

const fn is_total(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() > 6 && matches!(bytes.split_at(bytes.len() - 6).1, b"_total")
}

/// Milliseconds in seconds; -1 where it never was, as HAProxy says it.
fn ago(ms: Option<u64>) -> Value {
    ms.map_or(Value::Never, |ms| Number(ms / 1000))
}

fields! {
    "current_queue" "Requests that wait now", pool |it| Number(it.queue[0]), backend |it| Number(it.stats.queue[0]);
    "max_queue" "Requests that waited at most", pool |it| Number(it.queue[1]), backend |it| Number(it.stats.queue[1]);
    "current_sessions" "Connections of a listener, requests elsewhere, now",
        listener |it| Number(it.stats.connections.now), pool |it| Number(it.requests.now), backend |it| Number(it.stats.requests.now);
    "max_sessions" "The same at most",
        listener |it| Number(it.stats.connections.most), pool |it| Number(it.requests.most), backend |it| Number(it.stats.requests.most);
    "limit_sessions" "How many there may be; maxconn",
        listener |it| Number(it.config.limits.budget.connections as u64),
        backend |it| if it.stats.maxconn == 0 { Nothing } else { Number(it.stats.maxconn.into()) };
    "sessions_total" "Connections of a listener, requests elsewhere, in all",
        listener |it| Number(it.stats.connections.total), pool |it| Number(it.requests.total), backend |it| Number(it.stats.requests.total);
    "max_session_rate" "The most of them in a second",
        listener |it| Number(it.stats.connections.most_rate), pool |it| Number(it.requests.most_rate),
        backend |it| Number(it.stats.requests.most_rate);
    "bytes_in_total" "Bytes of requests",
        listener |it| Number(it.stats.traffic.received), pool |it| Number(it.traffic.received), backend |it| Number(it.stats.traffic.received);
    "bytes_out_total" "Bytes of responses",
        listener |it| Number(it.stats.traffic.sent), pool |it| Number(it.traffic.sent), backend |it| Number(it.stats.traffic.sent);
    "requests_denied_total" "Requests refused by a rule, a rate or a limit",
        listener |it| Number(it.stats.failures.denied), pool |it| Number(it.failures.denied);
    "request_errors_total" "Requests that could not be read, or did not come whole", listener |it| Number(it.stats.failures.malformed);
    "intercepted_requests_total" "Requests that a rule answered", listener |it| Number(it.stats.failures.answered);
    "http_requests_total" "Requests", listener |it| Number(it.stats.requests.total), pool |it| Number(it.requests.total);
    "http_requests_rate_max" "The most requests in a second", listener |it| Number(it.stats.requests.most_rate);
    "connections_total" "Connections", listener |it| Number(it.stats.connections.total);
    "connections_rate_max" "The most connections in a second", listener |it| Number(it.stats.connections.most_rate);
    "connection_errors_total" "Requests that found no connection",
        pool |it| Number(it.failures.connect), backend |it| Number(it.stats.failures.connect);
    "response_errors_total" "Responses that did not come or were malformed",
        pool |it| Number(it.failures.response), backend |it| Number(it.stats.failures.response);
    "retry_warnings_total" "Attempts after the first", pool |it| Number(it.failures.retries), backend |it| Number(it.stats.failures.retries);
    "redispatch_warnings_total" "Requests that went to another server",
        pool |it| Number(it.failures.redispatches), backend |it| Number(it.stats.failures.redispatches);
    "client_aborts_total" "Exchanges that the client broke off",
        pool |it| Number(it.failures.client_aborts), backend |it| Number(it.stats.failures.client_aborts);
    "server_aborts_total" "Exchanges that the server broke off",
        pool |it| Number(it.failures.server_aborts), backend |it| Number(it.stats.failures.server_aborts);
    "weight" "The weight now; of a pool, of all that take new users",
        pool |it| Number(it.weight.into()), backend |it| Number(it.stats.weight.into());
    "active_servers" "Servers that take new users", pool |it| Number(it.usable.0 as u64);
    "backup_servers" "Backup servers that are usable", pool |it| Number(it.usable.1 as u64);
    "check_failures_total" "Probes that failed while the server was up", backend |it| Number(it.stats.check_failures);
    "check_up_down_total" "How often it went down", pool |it| Number(it.downs), backend |it| Number(it.stats.downs);
    "check_last_change_seconds" "Since when its state is as it is", backend |it| Number(it.stats.since_ms / 1000);
    "downtime_seconds_total" "For how long it was down", backend |it| Number(it.stats.down_ms / 1000);
    "check_code" "The status of the last probe's response",
        backend |it| if it.stats.checked.status == 0 { Nothing } else { Number(it.stats.checked.status.into()) };
    "check_duration_seconds" "How long the last probe took",
        backend |it| if it.is_checked() { Millis(it.stats.checked.duration_ms) } else { Nothing };
    "queue_limit" "Requests bound to it that may wait",
        backend |it| if it.backend.maxqueue == 0 { Nothing } else { Number(it.backend.maxqueue.into()) };
    "current_throttle" "How far it is on its way up, percent",
        backend |it| it.stats.throttle.map_or(Nothing, |percent| Number(percent.into()));
    "loadbalanced_total" "Requests it was given", pool |it| Number(it.requests.total), backend |it| Number(it.stats.requests.total);
    "last_session_seconds" "Since its last response", pool |it| ago(it.idle_ms), backend |it| ago(it.stats.idle_ms);
    "queue_time_average_seconds" "In the queue, average of the last 1024",
        pool |it| Millis(it.averages_ms[0]), backend |it| Millis(it.stats.averages_ms[0]);
    "connect_time_average_seconds" "For a connection, average of the last 1024",
        pool |it| Millis(it.averages_ms[1]), backend |it| Millis(it.stats.averages_ms[1]);
    "response_time_average_seconds" "For the response's head, average of the last 1024",
        pool |it| Millis(it.averages_ms[2]), backend |it| Millis(it.stats.averages_ms[2]);
    "total_time_average_seconds" "For all of a request, average of the last 1024",
        pool |it| Millis(it.averages_ms[3]), backend |it| Millis(it.stats.averages_ms[3]);
    "idle_connections_current" "Connections to it that wait for a request", backend |it| Number(it.stats.idle_connections);
}
