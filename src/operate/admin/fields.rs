//! The table of metrics: one row for what HAProxy's exporter calls `haproxy_{frontend,backend,server}_NAME`, and behind them
//! those that only beelance has, `beelance_NAME`.
//!
//! Names, types and labels are HAProxy's, so that dashboards and alerts made for it work; what it has and beelance has not is
//! left out, not zero.

use crate::operate::figures::Figure as F;
use crate::operate::figures::Unit::{self, Millis, Number, Seconds};
use crate::operate::figures::of::{ALL, BACKEND, LISTENER, POOL};
use crate::operate::figures::{CODES, STATES};

/// One family: a line for each object of a kind, or one for each value of a label.
pub(super) struct Family {
    pub name: &'static str,
    pub help: &'static str,
    /// Of which kinds.
    pub which: u8,
    pub figure: F,
    pub unit: Unit,
    pub label: Label,
    /// HAProxy has it as well.
    pub is_haproxys: bool,
}

/// How the first label is written, up to its value.
macro_rules! first_label {
    ($name:literal) => {
        concat!("{", $name, "=\"")
    };
}
/// How a further one is, from the end of the value before it on.
macro_rules! next_label {
    ($name:literal) => {
        concat!("\",", $name, "=\"")
    };
}
pub(super) use {first_label, next_label};

/// A further label.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    None,
    /// How it is written, and its values: the figure is that of the first of them, the figures of the others follow it.
    Each(&'static str, &'static [&'static str]),
    /// Its values: the figure is the place of the one that holds, which is 1, and the others are 0.
    State(&'static [&'static str]),
}

use Label::{Each, State};

const fn row(name: &'static str, which: u8, figure: F, unit: Unit, help: &'static str) -> Family {
    Family { name, help, which, figure, unit, label: Label::None, is_haproxys: true }
}

const fn with(label: Label, name: &'static str, which: u8, figure: F, help: &'static str) -> Family {
    Family { label, ..row(name, which, figure, Number, help) }
}

const fn own(family: Family) -> Family {
    Family { is_haproxys: false, ..family }
}

const DOWN_OR_UP: [&str; 2] = [STATES[0], STATES[1]];

/// All of them, in the order in which they are told.
#[rustfmt::skip]
pub(super) static FAMILIES: &[Family] = &[
    row("current_queue", POOL | BACKEND, F::Queue, Number, "Requests that wait now"),
    row("max_queue", POOL | BACKEND, F::MostQueue, Number, "Requests that waited at most"),
    row("current_sessions", ALL, F::Now, Number, "Connections of a listener, requests elsewhere, now"),
    row("max_sessions", ALL, F::Most, Number, "The same at most"),
    row("limit_sessions", LISTENER | BACKEND, F::Limit, Number, "How many there may be; maxconn"),
    row("sessions_total", ALL, F::Total, Number, "Connections of a listener, requests elsewhere, in all"),
    row("max_session_rate", ALL, F::MostRate, Number, "The most of them in a second"),
    row("bytes_in_total", ALL, F::Received, Number, "Bytes of requests"),
    row("bytes_out_total", ALL, F::Sent, Number, "Bytes of responses"),
    row("requests_denied_total", LISTENER | POOL, F::Denied, Number, "Requests refused by a rule, a rate or a limit"),
    row("denied_connections_total", LISTENER, F::DeniedConnections, Number, "Connections closed because their client had too many, or did too much wrong"),
    row("denied_sessions_total", LISTENER, F::DeniedSessions, Number, "The same of clients that a PROXY header named"),
    row("request_errors_total", LISTENER, F::Malformed, Number, "Requests that could not be read, or did not come whole"),
    row("intercepted_requests_total", LISTENER, F::Answered, Number, "Requests that a rule answered"),
    row("http_requests_total", LISTENER | POOL, F::Requests, Number, "Requests"),
    row("http_requests_rate_max", LISTENER, F::MostRequestRate, Number, "The most requests in a second"),
    row("connections_total", LISTENER, F::Total, Number, "Connections"),
    row("connections_rate_max", LISTENER, F::MostRate, Number, "The most connections in a second"),
    row("connection_attempts_total", POOL | BACKEND, F::Connects, Number, "Attempts to connect to a server"),
    row("connection_reuses_total", POOL | BACKEND, F::Reuses, Number, "Requests on a connection that had served before"),
    row("connection_errors_total", POOL | BACKEND, F::Unconnected, Number, "Requests that found no connection"),
    row("response_errors_total", POOL | BACKEND, F::Unanswered, Number, "Responses that did not come or were malformed"),
    row("retry_warnings_total", POOL | BACKEND, F::Retries, Number, "Attempts after the first"),
    row("redispatch_warnings_total", POOL | BACKEND, F::Redispatches, Number, "Requests that went to another server"),
    row("client_aborts_total", POOL | BACKEND, F::ClientAborts, Number, "Exchanges that the client broke off"),
    row("server_aborts_total", POOL | BACKEND, F::ServerAborts, Number, "Exchanges that the server broke off"),
    row("weight", POOL | BACKEND, F::Weight, Number, "The weight now; of a pool, of all that take new users"),
    row("active_servers", POOL, F::Active, Number, "Servers that take new users"),
    row("backup_servers", POOL, F::Backups, Number, "Backup servers that are usable"),
    row("check_failures_total", BACKEND, F::CheckFailures, Number, "Probes that failed while the server was up"),
    row("check_up_down_total", POOL | BACKEND, F::Downs, Number, "How often it went down"),
    row("check_last_change_seconds", BACKEND, F::SinceMs, Seconds, "Since when its state is as it is"),
    row("downtime_seconds_total", BACKEND, F::DownMs, Seconds, "For how long it was down"),
    row("check_code", BACKEND, F::CheckStatus, Number, "The status of the last probe's response"),
    row("check_duration_seconds", BACKEND, F::CheckMs, Millis, "How long the last probe took"),
    row("queue_limit", BACKEND, F::QueueLimit, Number, "Requests bound to it that may wait"),
    row("current_throttle", BACKEND, F::Throttle, Number, "How far it is on its way up, percent"),
    row("loadbalanced_total", POOL | BACKEND, F::Balanced, Number, "Requests it was given that belonged to no server yet"),
    row("last_session_seconds", POOL | BACKEND, F::Unused, Seconds, "Since its last response"),
    row("queue_time_average_seconds", POOL | BACKEND, F::QueueAverage, Millis, "In the queue, average of the last 1024"),
    row("connect_time_average_seconds", POOL | BACKEND, F::ConnectAverage, Millis, "For a connection, average of the last 1024"),
    row("response_time_average_seconds", POOL | BACKEND, F::ResponseAverage, Millis, "For the response's head, average of the last 1024"),
    row("total_time_average_seconds", POOL | BACKEND, F::TotalAverage, Millis, "For all of a request, average of the last 1024"),
    row("max_queue_time_seconds", POOL | BACKEND, F::MostQueueTime, Millis, "In the queue, the most"),
    row("max_connect_time_seconds", POOL | BACKEND, F::MostConnectTime, Millis, "For a connection, the most"),
    row("max_response_time_seconds", POOL | BACKEND, F::MostResponseTime, Millis, "For the response's head, the most"),
    row("max_total_time_seconds", POOL | BACKEND, F::MostTotalTime, Millis, "For all of a request, the most"),
    row("idle_connections_current", BACKEND, F::IdleConnections, Number, "Connections to it that wait for a request"),
    with(Each(next_label!("code"), &["1xx", "2xx", "3xx", "4xx", "5xx", "other"]), "http_responses_total", ALL, F::Status1,
        "Responses by the first digit of their status"),
    with(State(&DOWN_OR_UP), "status", LISTENER, F::State, "Whether it accepts connections"),
    with(State(&DOWN_OR_UP), "status", POOL, F::State, "Whether it has a server"),
    with(State(&STATES), "status", BACKEND, F::State, "Its state"),
    with(Each(next_label!("state"), &STATES), "agg_server_status", POOL, F::ServersDown, "Servers in each state"),
    with(State(&CODES), "check_status", BACKEND, F::Found, "What the last probe found"),

    own(row("session_map_entries", POOL, F::Sessions, Number, "Users the session map knows")),
    own(with(Each(next_label!("result"), &["hit", "moved", "new"]), "affinity_requests_total", POOL, F::Hits,
        "Requests of pools that keep users: of those who went to their server, elsewhere, and of new ones")),
    own(row("queue_waits_total", POOL, F::Waited, Number, "Requests that waited for a slot")),
    own(row("retries_refused_total", POOL, F::Unpaid, Number, "Retries that the budget refused")),
    own(row("requests_limited_total", LISTENER, F::Limited, Number, "Requests that came too fast")),
    own(Family { unit: Millis, ..with(Each(next_label!("phase"), &["queue", "connect", "response", "total"]), "server_seconds_total", BACKEND,
        F::QueueTime, "Seconds that all requests spent in each phase; their growth by that of the requests is the average of any period") }),
    own(row("server_ejections_total", BACKEND, F::Ejections, Number, "How often the traffic ejected it")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_by_a_label_stands_in_a_row() {
        let row = |from: F, to: F| to as usize - from as usize + 1;
        for family in FAMILIES {
            let (values, figures) = match (family.label, family.figure) {
                (Each(_, values), F::Status1) => (values, row(F::Status1, F::OtherStatus)),
                (Each(_, values), F::Hits) => (values, row(F::Hits, F::New)),
                (Each(_, values), F::QueueTime) => (values, row(F::QueueTime, F::TotalTime)),
                (Each(_, values), F::ServersDown) => (values, row(F::ServersDown, F::ServersNolb)),
                (Each(..), figure) => panic!("{}: {figure:?}", family.name),
                (Label::None | State(_), _) => continue,
            };
            assert_eq!(values.len(), figures, "{}", family.name);
        }
    }

    #[test]
    fn no_family_is_told_twice() {
        for (at, family) in FAMILIES.iter().enumerate() {
            let again =
                FAMILIES[at + 1..].iter().find(|other| other.name == family.name && other.which & family.which != 0);
            assert!(again.is_none(), "{}", family.name);
        }
    }
}
