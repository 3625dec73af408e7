//! The one table of keys: unit, range, default and meaning of each.
//!
//! Errors, suggestions, `docs/config.md` and the effective configuration all come from it. A key enters it when what
//! it does works. Refuses to know how an object is made of its keys: that is `resolve`'s.

use super::logs::FACILITIES;
use super::value::Unit;
use crate::limits::{MAX_BACKENDS, MAX_CONNECTIONS, MAX_HEADER_SIZE, MAX_HEADERS};
pub(super) use foreign::said_here;
pub(super) use written::find;

mod foreign;
mod written;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its place in [`KEYS`].
    pub id: Id,
    /// What it is a setting of.
    pub kind: Kind,
    /// What follows the object's name; the whole key for [`Kind::Process`]; empty for what declares an object.
    pub attribute: &'static str,
    /// What its value is, with the range.
    pub unit: Unit,
    /// What holds when nothing is written.
    pub default: Builtin,
    /// What it means: for the documentation, which the binary does not carry.
    #[cfg(test)]
    pub help: &'static str,
}

/// What a key is a setting of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A listener.
    Listen,
    /// A backend.
    Backend,
    /// A pool.
    Pool,
    /// A route.
    Route,
    /// A reply of beelance's own.
    Reply,
    /// All of beelance.
    Process,
}

/// What holds when neither the object nor `*` has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// The key declares its object: there is always a line.
    Declared,
    /// As if this were written; `none` is refused.
    Text(&'static str),
    /// These words say what follows; `none` is refused.
    Follows(&'static str),
    /// These words say what it means to be unset; `none` brings it back.
    Unset(&'static str),
}

/// Every key, in the order of [`KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "KEYS says what each means")]
#[rustfmt::skip]
pub enum Id {
    Listen, ListenMode, ListenPool, AcceptProxy, ListenTrust, ListenPerm, RequestId, MonitorUri, MonitorFail,
    Backend, BackendPool, Weight, Maxconn, Maxqueue, Backup, BackendCookie, SendProxy, Slots, BackendRedirect,
    Balance, BalanceUriDepth, BalanceUriWhole, Hash, HashFactor, PoolMaxconn, PoolMaxqueue, Overflow, Slowstart,
    Cookie, CookieMode, CookieHttponly, CookieSecure, CookieAttr,
    CookiePreserve, CookiePostonly, CookieMaxidle, CookieMaxlife, CookieDynamicKey, Stick, StickExpire, StickWait,
    Reuse, Retries, Redispatch, RetryOn, RetryBudget, Observe, ErrorLimit, EjectMax, EjectTime, Forwardfor,
    Check, CheckMethod, CheckUri, CheckHost, CheckExpect,
    CheckInter, CheckFastinter, CheckDowninter, CheckTimeout, CheckRise, CheckFall, CheckAgentPort,
    RouteHost, RoutePath, RouteMethod, RouteHeader, RouteSrc, RouteListen, RoutePool, RouteDeny, RouteTarpit,
    RouteReturn, RouteRedirect, RouteRedirectQuery, RouteSetHeader, RouteDelHeader,
    RouteMaintenance, RouteMaintenanceAllow, RouteMaintenanceRetryAfter, RoutePriority, RouteRate,
    ReplyFile, ReplyType,
    TimeoutClient, TimeoutHttpRequest, TimeoutHttpKeepAlive, TimeoutConnect, TimeoutQueue, TimeoutServer, TimeoutTunnel,
    Connections, Memory, Sndbuf, Rcvbuf, NotsentLowat, HeaderSize, Headers, Body,
    LimitRate, PerClient, LimitErrors, Exempt, Reserve,
    ResolverNameservers, ResolverHold, ResolverPrefer,
    AdminListen, AdminPerm, AdminHost, AdminTokenOperator, AdminTokenAdmin,
    LogLevel, LogAccess, LogMessages, LogFormat, LogFacility, User, Group, Chroot, Watchdog, DrainTimeout, ReloadRollback, Splice,
    PowerBoard, PowerServer,
    AdminSocket, AdminSocketMode, AdminSocketLevel,
}

const NO_YES: Unit = Unit::Choice(&["no", "yes"]);
const MANY: Unit = Unit::Number(0, 1_000_000);
const COUNT: Unit = Unit::Number(1, 255);
/// What precedes the field's name in `route.N.header.NAME` and the like.
const HEADERS: [(&str, Id); 3] =
    [("header.", Id::RouteHeader), ("set-header.", Id::RouteSetHeader), ("del-header.", Id::RouteDelHeader)];

const fn key(id: Id, kind: Kind, attribute: &'static str, unit: Unit, default: Builtin, _help: &'static str) -> Key {
    Key {
        id,
        kind,
        attribute,
        unit,
        default,
        #[cfg(test)]
        help: _help,
    }
}

/// The table, in the order of [`Id`].
#[rustfmt::skip]
pub static KEYS: [Key; 129] = {
    use Builtin::{Declared, Follows, Text, Unset};
    use Kind::{Backend, Listen, Pool, Process, Reply, Route};
    use Unit::{Choice, Duration, Number, Size};
    [
    key(Id::Listen, Listen, "", Unit::Listen, Declared,
        "Accept connections here; `[::]:80` takes IPv4 too unless a listener holds `0.0.0.0:80`; port 0 lets the system choose; `unix:@NAME` is in Linux' abstract namespace."),
    key(Id::ListenMode, Listen, "mode", Choice(&["http", "tcp"]), Text("http"),
        "What connections carry: HTTP, or whatever it is: with `tcp` each connection gets a backend at once, no route applies, and its bytes pass unchanged."),
    key(Id::ListenPool, Listen, "pool", Unit::Pool, Text("default"),
        "The pool for what no route takes; while it has no backend the answer is 503."),
    key(Id::AcceptProxy, Listen, "accept-proxy", NO_YES, Text("no"),
        "Every connection begins with a PROXY header, version 1 or 2, which names the client; one without is closed."),
    key(Id::ListenTrust, Listen, "trust", Unit::Trust, Unset("none"),
        "Clients in these blocks of addresses, proxies of yours, keep the X-Forwarded fields and the id they send; everybody else's are removed. `peer:` is about who connects, and `unix` about who may connect to the UNIX socket, whatever client a PROXY header names."),
    key(Id::ListenPerm, Listen, "perm", Unit::Mode, Text("600"),
        "The permissions of a UNIX socket's file: who may write to it may connect."),
    key(Id::RequestId, Listen, "request-id", Unit::FieldName, Unset("none"),
        "Name every request: the backend finds an id in the field of this name, and the access log has it in braces (HAProxy's `unique-id-header`). A trusted client's is kept, if it has at most 64 letters, digits and -._~+/=:@."),
    key(Id::MonitorUri, Listen, "monitor-uri", Unit::Target, Unset("none"),
        "Answer requests for exactly this path and query here, with 200 and without a line in the log: whoever is in front learns that beelance serves. With 503 while it stops, or `.monitor-fail` holds (HAProxy's `monitor-uri`)."),
    key(Id::MonitorFail, Listen, "monitor-fail", Unit::Fewer, Unset("none"),
        "Answer `.monitor-uri` with 503 while one of these pools has fewer usable servers than so many (HAProxy's `monitor fail if { nbsrv(POOL) lt N }`)."),

    key(Id::Backend, Backend, "", Unit::Server, Declared,
        "A server; the address of a host name is looked up, and looked up again while beelance runs: where it changes, requests go to the new one; `unix:@NAME` is in Linux' abstract namespace."),
    key(Id::BackendPool, Backend, "pool", Unit::Pool, Text("default"),
        "The pool it belongs to."),
    key(Id::Weight, Backend, "weight", Number(0, 256), Text("1"),
        "Its share of the pool's requests; 0 takes no new users."),
    key(Id::Maxconn, Backend, "maxconn", Unit::Maxconn, Text("0"),
        "Requests it works on at once, the rest wait; 0 is unlimited; `auto:4..100` finds by its response times how many it does without slowing down."),
    key(Id::Maxqueue, Backend, "maxqueue", MANY, Text("0"),
        "Requests bound to it by affinity that may wait, the rest go elsewhere; 0 is unlimited."),
    key(Id::Backup, Backend, "backup", NO_YES, Text("no"),
        "Used only while no other backend of the pool is up."),
    key(Id::BackendCookie, Backend, "cookie", Unit::CookieValue, Follows("the backend's name"),
        "The value of the affinity cookie that leads here; of several with the same the first that is up takes it."),
    key(Id::SendProxy, Backend, "send-proxy", Choice(&["no", "v1", "v2"]), Text("no"),
        "Begin every connection with a PROXY header that names the client; a connection then serves that client only."),
    key(Id::Slots, Backend, "slots", Number(1, MAX_BACKENDS as u64), Unset("none"),
        "So many backends, N1, N2 and so on, which the addresses of the host name fill; their attributes default to those of N."),

    key(Id::BackendRedirect, Backend, "redirect", Unit::Prefix, Unset("none"),
        "Answer GET and HEAD with 302 to this prefix and the request's path and query; other methods go to the server. A redirect counts in the server's load, and towards its maxconn, for ten seconds."),

    key(Id::Balance, Pool, "balance", Unit::Balance, Text("roundrobin"),
        "How a request without affinity is placed: in turn by weight; where the fewest requests are for the weight, of all or of two drawn; at the first with a free slot; or by a key: the client's address, the path, a header field, a cookie, a parameter of the query."),
    key(Id::BalanceUriDepth, Pool, "balance.uri.depth", COUNT, Unset("the whole path"),
        "With `uri`: only so many segments of the path are the key."),
    key(Id::BalanceUriWhole, Pool, "balance.uri.whole", NO_YES, Text("no"),
        "With `uri`: the query belongs to the key."),
    key(Id::Hash, Pool, "hash", Choice(&["beelance", "haproxy"]), Text("beelance"),
        "Where keys lie: by the backends' names, or exactly where HAProxy's `hash-type consistent` has them, by the backends' places in the pool."),
    key(Id::HashFactor, Pool, "hash-balance-factor", Unit::Factor, Follows("140; 0 with `hash = haproxy`"),
        "No backend gets a request by its key while it has more than so many percent of the average load for its weight, in flight and queued; the next in the key's order gets it. 0 is no such bound."),
    key(Id::PoolMaxconn, Pool, "maxconn", MANY, Text("0"),
        "Requests its backends work on at once, together, the rest wait: for what they share, such as a database; 0 is unlimited."),
    key(Id::PoolMaxqueue, Pool, "maxqueue", MANY, Text("0"),
        "Requests that may wait in the pool, bound to a backend or not; beyond it 503. 0 is unlimited."),
    key(Id::Overflow, Pool, "overflow", Unit::Pool, Unset("none"),
        "The pool that takes a request when no backend of this one is usable, or all are full and `.maxqueue` requests wait already (none have to, when that is 0). Users bound to a backend here stay."),
    key(Id::Slowstart, Pool, "slowstart", Duration, Unset("none"),
        "A backend that came up again gets its weight and maxconn little by little over this time."),
    key(Id::Cookie, Pool, "cookie", Unit::Token, Unset("none"),
        "The affinity cookie's name; `none` is no affinity."),
    key(Id::CookieMode, Pool, "cookie.mode", Choice(&["insert", "prefix"]), Text("insert"),
        "`insert`: set it when the client has none that is valid, and hide it from the backends. `prefix`: the cookie is the application's own; the backend's value and a `~` go before its value, and are taken off on the way back."),
    key(Id::CookieHttponly, Pool, "cookie.httponly", NO_YES, Text("no"),
        "Add HttpOnly to the affinity cookie."),
    key(Id::CookieSecure, Pool, "cookie.secure", NO_YES, Text("no"),
        "Add Secure to the affinity cookie."),
    key(Id::CookieAttr, Pool, "cookie.attr", Unit::CookieAttributes, Unset("none"),
        "More attributes of the affinity cookie."),
    key(Id::CookiePreserve, Pool, "cookie.preserve", NO_YES, Text("no"),
        "A backend may set or clear the affinity cookie itself, a logout for instance; else what it says is removed."),
    key(Id::CookiePostonly, Pool, "cookie.postonly", NO_YES, Text("no"),
        "Set the affinity cookie on the response to a POST only."),
    key(Id::CookieMaxidle, Pool, "cookie.maxidle", Duration, Unset("none"),
        "A user who did not come for so long is placed anew; the cookie carries the date, as HAProxy's does."),
    key(Id::CookieMaxlife, Pool, "cookie.maxlife", Duration, Unset("none"),
        "A user who got the cookie so long ago is placed anew."),
    key(Id::CookieDynamicKey, Pool, "cookie.dynamic-key", Unit::Secret, Unset("none"),
        "A secret that makes the cookie's value of a backend without `.cookie` from its address and port, as HAProxy does: the same on every balancer with this secret."),
    key(Id::Stick, Pool, "stick", Unit::StickKey, Unset("none"),
        "Remember which backend a user was given, and tell users apart by this; an affinity cookie goes before it."),
    key(Id::StickExpire, Pool, "stick.expire", Duration, Text("30m"),
        "How long a user who does not come is remembered."),
    key(Id::StickWait, Pool, "stick.wait", Duration, Unset("none"),
        "How long a request waits for its user's own backend while that is full, before another one takes it, this once; `none` is `timeout.queue`."),
    key(Id::Reuse, Pool, "reuse", Choice(&["never", "safe", "always"]), Text("safe"),
        "Which requests may share backend connections: none, those that may be replayed, or all."),
    key(Id::Retries, Pool, "retries", Number(0, 10), Text("3"),
        "Attempts after the first failed one."),
    key(Id::Redispatch, Pool, "redispatch", NO_YES, Text("yes"),
        "Whether the last attempt may go to another backend."),
    key(Id::RetryOn, Pool, "retry-on", Unit::RetryOn, Text("conn-failure"),
        "What is tried again. All but `conn-failure` only for requests that may be replayed: idempotent, and wholly in the buffer. The last response is passed on when there are no more retries."),
    key(Id::RetryBudget, Pool, "retry-budget", Number(0, 1000), Text("10"),
        "The most retries that do not help, in percent of the requests of the last ten seconds (and ten more); 1000 is no limit."),
    key(Id::Observe, Pool, "observe", Choice(&["none", "connect", "http"]), Text("none"),
        "Let the traffic eject backends: for connections that fail, or also for responses that do, other than 100-499, 501 and 505. Works with and without probes."),
    key(Id::ErrorLimit, Pool, "error-limit", Number(1, 1_000_000), Text("10"),
        "Errors in a row that eject a backend."),
    key(Id::EjectMax, Pool, "eject-max", Number(0, 100), Text("50"),
        "The most of the pool's backends that are ejected at once, in percent; the last one never is."),
    key(Id::EjectTime, Pool, "eject-time", Duration, Text("10s"),
        "How long an ejected backend gets nothing; then one request, or a probe, decides."),
    key(Id::Forwardfor, Pool, "forwardfor", NO_YES, Text("yes"),
        "Add X-Forwarded-For (a new line after those of a trusted client) and X-Forwarded-Proto (unless it sent one); `no` leaves all of these as they come."),

    key(Id::Check, Pool, "check", Choice(&["none", "tcp", "http"]),
        Follows("`http` when `.method`, `.uri`, `.host` or `.expect` is set, `tcp` when another check key is, else `none`"),
        "Probe the backends: by a connection, by a request, or not at all."),
    key(Id::CheckMethod, Pool, "check.method", Unit::Token, Text("GET"),
        "The method of an HTTP probe."),
    key(Id::CheckUri, Pool, "check.uri", Unit::Target, Text("/"),
        "The target of an HTTP probe."),
    key(Id::CheckHost, Pool, "check.host", Unit::HostValue, Unset("none"),
        "The Host header of an HTTP probe; without one the probe is HTTP/1.0."),
    key(Id::CheckExpect, Pool, "check.expect", Unit::Expect, Text("200-399"),
        "What an HTTP probe takes for health: a status, or a body that contains TEXT."),
    key(Id::CheckInter, Pool, "check.inter", Duration, Text("2s"),
        "Between two probes of a backend that is fully up."),
    key(Id::CheckFastinter, Pool, "check.fastinter", Duration, Unset("as `.inter`"),
        "The same while it is on its way up or down, or was never probed."),
    key(Id::CheckDowninter, Pool, "check.downinter", Duration, Unset("as `.inter`"),
        "The same while it is fully down."),
    key(Id::CheckTimeout, Pool, "check.timeout", Duration, Unset("as `.inter`"),
        "What one probe may take."),
    key(Id::CheckRise, Pool, "check.rise", COUNT, Text("2"),
        "Successful probes that bring a backend up."),
    key(Id::CheckFall, Pool, "check.fall", COUNT, Text("3"),
        "Failed probes that take a backend down."),
    key(Id::CheckAgentPort, Pool, "check.agent-port", Number(1, 65_535), Unset("none"),
        "Ask an agent on this port of each backend every `.inter` for its state, weight and maxconn (HAProxy's `agent-check`)."),

    key(Id::RouteHost, Route, "host", Unit::Hosts, Unset("none"),
        "Only for these hosts; case and port do not matter, `*.example.com` is every name below it."),
    key(Id::RoutePath, Route, "path", Unit::Paths, Unset("none"),
        "Only for these paths: raw bytes without the query; `/x/*` does not take `/x`."),
    key(Id::RouteMethod, Route, "method", Unit::Methods, Unset("none"),
        "Only for these methods."),
    key(Id::RouteHeader, Route, "header.NAME", Unit::HeaderValues, Unset("none"),
        "Only when the header field NAME has exactly one of these values."),
    key(Id::RouteSrc, Route, "src", Unit::Sources, Unset("none"),
        "Only for clients in these blocks of addresses."),
    key(Id::RouteListen, Route, "listen", Unit::Listeners, Unset("none"),
        "Only on these listeners: where one process has several layers, a route is of one of them."),
    key(Id::RoutePool, Route, "pool", Unit::Pool, Unset("none"),
        "The pool that takes the request; every route needs this, `.deny`, `.tarpit`, `.return` or `.redirect`. Routes are tried in the order of their first line, the first match wins."),
    key(Id::RouteDeny, Route, "deny", Unit::Deny, Unset("none"),
        "Refuse the request with this status."),
    key(Id::RouteTarpit, Route, "tarpit", Duration, Unset("none"),
        "Hold the connection so long, then refuse the request: with 500, or the status of `.deny`. At most an eighth of the connections are held, the rest is refused at once."),
    key(Id::RouteReturn, Route, "return", Unit::Return, Unset("none"),
        "Answer with this status and text, as text/plain."),
    key(Id::RouteRedirect, Route, "redirect", Unit::Redirect, Unset("none"),
        "Send the client elsewhere: to the request's path behind a prefix, to one location, or to the same address by another scheme; 302 when no code is given."),
    key(Id::RouteRedirectQuery, Route, "redirect.query", Choice(&["keep", "drop"]), Follows("`keep`; `drop` with `location`"),
        "Whether the query of the request goes along."),
    key(Id::RouteSetHeader, Route, "set-header.NAME", Unit::FieldValue, Unset("none"),
        "Replace all lines of the header field NAME by one with this value, on the way to the backend."),
    key(Id::RouteDelHeader, Route, "del-header.NAME", NO_YES, Text("no"),
        "Remove the header field NAME on the way to the backend."),
    key(Id::RouteMaintenance, Route, "maintenance", NO_YES, Text("no"),
        "Answer 503 to whatever this route takes."),
    key(Id::RouteMaintenanceAllow, Route, "maintenance.allow", Unit::Sources, Unset("none"),
        "Clients in these blocks of addresses are served nevertheless."),
    key(Id::RouteMaintenanceRetryAfter, Route, "maintenance.retry-after", Duration, Text("5m"),
        "When the others are told to ask again, in whole seconds."),
    key(Id::RoutePriority, Route, "priority", Unit::Integer(-10, 10), Text("0"),
        "The class of requests that wait: a lower one is served first. Within a class clients take turns."),
    key(Id::RouteRate, Route, "rate", Unit::Rate, Unset("none"),
        "What one client may ask here, at once and then in each period; beyond it 429. It counts for `limits.rate` too."),

    key(Id::ReplyFile, Reply, "file", Unit::File, Unset("beelance's own sentence"),
        "The body of beelance's own replies with status N, read at the start; at most 16 kB."),
    key(Id::ReplyType, Reply, "type", Unit::MediaType, Text("text/html"),
        "Its Content-Type."),

    key(Id::TimeoutClient, Process, "timeout.client", Duration, Text("30s"),
        "A client neither sends nor takes a byte."),
    key(Id::TimeoutHttpRequest, Process, "timeout.http-request", Duration, Text("10s"),
        "A whole request head, from its first byte."),
    key(Id::TimeoutHttpKeepAlive, Process, "timeout.http-keep-alive", Duration, Text("15s"),
        "The first byte of the next request."),
    key(Id::TimeoutConnect, Process, "timeout.connect", Duration, Text("5s"),
        "One connection attempt to a backend."),
    key(Id::TimeoutQueue, Process, "timeout.queue", Duration, Text("30s"),
        "Waiting for a backend to have room; then 503."),
    key(Id::TimeoutServer, Process, "timeout.server", Duration, Text("30s"),
        "A backend neither sends nor takes a byte; before its response that is 504."),
    key(Id::TimeoutTunnel, Process, "timeout.tunnel", Duration, Text("1h"),
        "Behind an upgrade, such as to WebSocket, and in `mode = tcp`: nobody sends or takes a byte."),

    key(Id::Connections, Process, "limits.connections", Number(1, MAX_CONNECTIONS as u64),
        Unset("as many as `limits.memory` and the descriptors allow; at most 1000 when that is not given either"),
        "Client connections at once; beyond it those without a complete request make room, then more wait in the kernel."),
    key(Id::Memory, Process, "limits.memory", Size(1 << 20, 1 << 30),
        Unset("half of the least of MemTotal, cgroup limit and rlimit, at most 48m"),
        "All memory beelance and its sockets may take; `beelance check` says for what."),
    key(Id::Sndbuf, Process, "limits.sndbuf", Size(2 << 10, 1 << 20), Unset("none: Linux sizes them as it sees fit"),
        "The kernel's buffer for what one socket sends (SO_SNDBUF; it takes twice as much). It bounds what a peer can make the kernel hold, and costs speed where a connection could have more on its way."),
    key(Id::Rcvbuf, Process, "limits.rcvbuf", Size(2 << 10, 1 << 20), Unset("none: Linux sizes them as it sees fit"),
        "The same for what one socket received and beelance did not take yet (SO_RCVBUF)."),
    key(Id::NotsentLowat, Process, "limits.notsent-lowat", Size(4 << 10, 1 << 20),
        Follows("16k; up to 128k where `limits.connections` leaves room for it"),
        "What may wait in the kernel for a client that does not read, beside what is on its way (TCP_NOTSENT_LOWAT). A backend's socket has the lesser of this and 16k."),
    key(Id::HeaderSize, Process, "limits.header-size", Size(1 << 10, MAX_HEADER_SIZE as u64), Text("8k"),
        "A head, request line and header fields together; beyond it 431."),
    key(Id::Headers, Process, "limits.headers", Number(1, MAX_HEADERS as u64), Text("64"),
        "Header fields of a head; beyond it 431."),
    key(Id::Body, Process, "limits.body", Size(0, 1 << 40), Unset("none"),
        "A request body; beyond it 413."),
    key(Id::LimitRate, Process, "limits.rate", Unit::Rate, Unset("none"),
        "What one client (an IPv4 address, an IPv6 /64) may ask, at once and then in each period; beyond it 429 with Retry-After. What is refused does not count."),
    key(Id::PerClient, Process, "limits.per-client", Number(1, MAX_CONNECTIONS as u64), Unset("none"),
        "Connections of one client at once; one more is closed right after it is accepted."),
    key(Id::LimitErrors, Process, "limits.errors", Unit::Rate, Unset("ten times `limits.rate`; without that none"),
        "What one client may do wrong: requests that are answered 4xx, those beyond a rate among them. While it does more, its requests are answered 429 and its new connections closed, which counts as well."),
    key(Id::Exempt, Process, "limits.exempt", Unit::Sources, Unset("none"),
        "Clients in these blocks of addresses have none of these limits; nor have those that a listener trusts, behind which are many."),
    key(Id::Reserve, Process, "limits.reserve", Number(1, MAX_CONNECTIONS as u64), Unset("none"),
        "Of `limits.connections`, so many are kept for clients that an affinity cookie brought back to their backend in the last half hour, while there was room; others are closed when nobody makes room for them."),

    key(Id::ResolverNameservers, Process, "resolver.nameservers", Unit::Nameservers, Unset("those of /etc/resolv.conf"),
        "Who is asked for the addresses of host names, in this order: the next one as well when an answer takes more than 200 ms."),
    key(Id::ResolverHold, Process, "resolver.hold", Duration, Text("10s"),
        "A name is asked for again when its answer's time to live is over, but after a second at the earliest and after this time at the latest."),
    key(Id::ResolverPrefer, Process, "resolver.prefer", Choice(&["ipv6", "ipv4"]), Text("ipv6"),
        "Which addresses of a name that has both are used; the other ones where there is no way to these."),

    key(Id::AdminListen, Process, "admin.listen", Unit::Listen, Unset("none"),
        "Serve the dashboard, metrics, statistics and states of health here; see [monitoring.md](monitoring.md). On a network of your own: there is no encryption."),
    key(Id::AdminPerm, Process, "admin.listen.perm", Unit::Mode, Text("600"),
        "The permissions of its file, where that is a UNIX socket: who may write to it may connect."),
    key(Id::AdminHost, Process, "admin.host", Unit::Hosts, Unset("none"),
        "Names this machine is asked by, beside addresses, `localhost` and its own name: what is asked by another name is refused, since a page of a stranger could have given that name to this address."),
    key(Id::AdminTokenOperator, Process, "admin.token.operator", Unit::Secret, Unset("none: nobody can change anything here"),
        "Who sends this (`Authorization: Bearer TOKEN`) may change states and weights of servers."),
    key(Id::AdminTokenAdmin, Process, "admin.token.admin", Unit::Secret, Unset("none"),
        "Who sends this may change all that can be changed here."),

    key(Id::LogLevel, Process, "log.level", Choice(&["off", "error", "warn", "info", "debug", "trace"]), Text("info"),
        "The least severe messages on standard error."),
    key(Id::LogAccess, Process, "log.access", Unit::Log(&["off", "stderr"]), Text("off"),
        "Where a line for every request, or connection in `mode = tcp`, goes: standard error, or a syslog, as datagrams that are never waited for."),
    key(Id::LogMessages, Process, "log.messages", Unit::Log(&["stderr"]), Text("stderr"),
        "Where the messages of `log.level` go, such as a server's going down: to standard error, and to a syslog as well."),
    key(Id::LogFormat, Process, "log.format", Choice(&["rfc3164", "rfc5424"]), Text("rfc3164"),
        "The form of what goes to a syslog (HAProxy's `log ADDRESS format`)."),
    key(Id::LogFacility, Process, "log.facility", Choice(&FACILITIES), Text("local0"),
        "The facility of what goes to a syslog. Lines of requests have the level info, messages their own."),
    key(Id::User, Process, "user", Unit::Account, Unset("none: the one that started it"),
        "Become this user once all listeners listen, and give up all capabilities for good. Needs root."),
    key(Id::Group, Process, "group", Unit::Account, Unset("the group of `user`"),
        "Become of this group, and of no other."),
    key(Id::Chroot, Process, "chroot", Unit::Absolute("directory"), Unset("none"),
        "Make this directory the root of all paths once all listeners listen; an empty one that nobody may write to is best. Needs root."),
    key(Id::Watchdog, Process, "watchdog", Unit::Absolute("device"), Unset("none"),
        "A device that resets the board when the loop hangs, such as /dev/watchdog: it is fed for as long as the loop turns."),
    key(Id::DrainTimeout, Process, "drain-timeout", Duration, Text("30s"),
        "What requests in flight may take after the first signal to stop."),
    key(Id::ReloadRollback, Process, "reload.rollback", Duration, Unset("no reload is taken back"),
        "For how long after a reload the previous configuration comes back by itself: when the share of failed requests more than doubles and passes 5 %, or no server is left up in a pool that had one."),
    key(Id::Splice, Process, "splice", NO_YES, Text("yes"),
        "Large bodies, and tunnels through which much flows, pass from socket to socket inside the kernel."),
    key(Id::PowerBoard, Process, "power.board", Unit::Watts, Text("0.7"),
        "What the machine that beelance runs on draws: for the energy in metrics and in `beelance report`. Measure it; 0.7 is a BreadBee's (138 mA at 5 V, its README says)."),
    key(Id::PowerServer, Process, "power.server", Unit::Watts, Unset("none: the servers' energy is not told"),
        "What a server draws while it is up."),

    key(Id::AdminSocket, Process, "admin.socket", Unit::File, Unset("none"),
        "The path of the runtime socket, a UNIX socket that takes HAProxy's commands: `beelance ctl`, socat and HAProxy's tools use it."),
    key(Id::AdminSocketMode, Process, "admin.socket.mode", Unit::Mode, Text("600"),
        "The permissions of its file: who may connect."),
    key(Id::AdminSocketLevel, Process, "admin.socket.level", Choice(&["user", "operator", "admin"]), Text("admin"),
        "What its clients may do: look; also clear the highest counters and see users; change everything (HAProxy `level`)."),
    ]
};

impl Id {
    /// Its entry.
    #[must_use]
    pub fn key(self) -> &'static Key {
        &KEYS[self as usize]
    }
}

impl Kind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Listen, Self::Backend, Self::Pool, Self::Route, Self::Reply, Self::Process];

    /// The first word of its keys; empty for [`Kind::Process`].
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Backend => "backend",
            Self::Pool => "pool",
            Self::Route => "route",
            Self::Reply => "reply",
            Self::Process => "",
        }
    }
}

impl Key {
    /// The key as `name`'s file line has it: `pool.web.check.uri`.
    #[must_use]
    pub fn of(&self, name: &str) -> String {
        match (self.kind, self.attribute) {
            (Kind::Process, whole) => whole.to_owned(),
            (kind, "") => format!("{}.{name}", kind.word()),
            (kind, attribute) => format!("{}.{name}.{attribute}", kind.word()),
        }
    }
}

#[cfg(test)]
mod tests;
