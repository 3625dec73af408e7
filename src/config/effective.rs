//! The effective configuration: every key of every object with its value, defaults included, as a file that gives
//! the same [`Config`] again.
//!
//! Walks the key table, so the order and the names are its. Left out is what has no effect: conditions a route does
//! not have, `cookie.*` of a pool without a cookie, `check.*` of a pool without probes; so it earns no warning of its own. Refuses to know what was
//! written.

use super::balance;
use super::keys::{Id, KEYS, Kind};
use super::names::nameserver_text;
use super::power::watts_text;
use super::value::{count_text, duration_text, rate_text, size_text};
use super::{
    Account, Address, Backend, Check, CheckKind, Config, Cookie, Custom, Deed, Expect, Listener, Mode, Pool, Reuse,
    Routed, Slots, stick,
};
use crate::balance::{CookieMode, Observe};
use crate::dns::Family;
use crate::http::proxy_protocol::ProxyVersion;
use crate::http::redirect::Redirect;
use std::fmt::Display;

/// What precedes it where some of it is for nobody else's eyes.
const SECRETS: &str =
    "# This holds secrets: take admin.token.* and cookie.dynamic-key out before you show it to anybody.\n";

/// The effective configuration, one `key = value` a line.
#[must_use]
pub fn effective(config: &Config) -> String {
    let has_secrets = config.admin.as_ref().is_some_and(|admin| admin.operator.is_some() || admin.admin.is_some())
        || config.pools().any(|(_, pool)| pool.cookie.as_ref().is_some_and(|cookie| cookie.dynamic_key.is_some()));
    let mut out = if has_secrets { SECRETS.to_owned() } else { String::new() };
    let pool = |id: crate::limits::PoolId| config.pools.get(id.index()).map(|pool| pool.name.clone());
    section(&mut out, Kind::Process, "", &|id| process(id, config));
    // Pools before what refers to them: their places follow from where the file names them first.
    for (_, object) in config.pools() {
        section(&mut out, Kind::Pool, &object.name, &|id| match id {
            Id::Overflow => Some(object.overflow.and_then(pool).unwrap_or_else(none)),
            _ => of_pool(id, object),
        });
    }
    for (_, object) in config.listeners() {
        section(&mut out, Kind::Listen, &object.name, &|id| match (id, &object.monitor) {
            (Id::MonitorUri, monitor) => Some(monitor.as_ref().map_or_else(none, |it| it.uri.clone())),
            (Id::MonitorFail, monitor) => Some(monitor.as_ref()?.conditions(pool)).filter(|text| !text.is_empty()),
            _ => of_listener(id, object, pool(object.pool)),
        });
    }
    let mut last: Option<&Slots> = None;
    for (_, object) in config.backends() {
        if let Some(slots) = object.slots.as_ref().filter(|slots| last.is_none_or(|last| last.of != slots.of)) {
            section(&mut out, Kind::Backend, &slots.of, &|id| of_slots(id, object, slots));
        }
        last = object.slots.as_ref();
        section(&mut out, Kind::Backend, &object.name, &|id| of_backend(id, object, pool(object.pool)));
    }
    for (_, routed @ Routed { route: object, .. }) in config.routes() {
        section(&mut out, Kind::Route, &object.name, &|key| of_route(key, routed, config, pool(routed.pool)));
        for header in &object.headers {
            let key = Id::RouteHeader.key().of(&object.name).replace("NAME", &header.name);
            line(&mut out, &key, &header.values.join(","));
        }
        for (name, value) in routed.edits.iter().flat_map(|edits| edits.sets()) {
            line(&mut out, &Id::RouteSetHeader.key().of(&object.name).replace("NAME", name), value);
        }
        for name in routed.edits.iter().flat_map(|edits| edits.deletes()) {
            line(&mut out, &Id::RouteDelHeader.key().of(&object.name).replace("NAME", name), "yes");
        }
    }
    for reply in &config.replies {
        section(&mut out, Kind::Reply, &reply.status.to_string(), &|id| of_reply(id, reply));
    }
    out
}

/// All keys of one object that have a value.
fn section(out: &mut String, kind: Kind, name: &str, value: &dyn Fn(Id) -> Option<String>) {
    if !out.is_empty() {
        out.push('\n');
    }
    for key in KEYS.iter().filter(|key| key.kind == kind) {
        if let Some(value) = value(key.id) {
            line(out, &key.of(name), &value);
        }
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    out.push_str(&format!("{key:<32} = {value}\n"));
}

/// A key of the whole process.
pub(super) fn process(id: Id, config: &Config) -> Option<String> {
    let (timeouts, limits) = (&config.timeouts, &config.limits);
    Some(match id {
        Id::TimeoutClient => duration_text(timeouts.client_ms),
        Id::TimeoutHttpRequest => duration_text(timeouts.http_request_ms),
        Id::TimeoutHttpKeepAlive => duration_text(timeouts.http_keep_alive_ms),
        Id::TimeoutConnect => duration_text(timeouts.connect_ms),
        Id::TimeoutQueue => duration_text(timeouts.queue_ms),
        Id::TimeoutServer => duration_text(timeouts.server_ms),
        Id::TimeoutTunnel => duration_text(timeouts.tunnel_ms),
        Id::Connections => limits.budget.connections.to_string(),
        Id::Memory => size_text(limits.budget.memory),
        Id::Sndbuf => limits.budget.beside.sockets.send.map_or_else(none, |bytes| size_text(bytes.into())),
        Id::Rcvbuf => limits.budget.beside.sockets.receive.map_or_else(none, |bytes| size_text(bytes.into())),
        Id::NotsentLowat => size_text(limits.budget.unsent.into()),
        Id::HeaderSize => size_text(limits.header_size as u64),
        Id::Headers => limits.headers.to_string(),
        Id::Body => limits.body.map_or_else(none, size_text),
        Id::LimitRate => config.clients.rate.map_or_else(none, rate_text),
        Id::PerClient => config.clients.connections.map_or_else(none, |count| count_text(count.into())),
        Id::LimitErrors => config.clients.errors.map_or_else(none, rate_text),
        Id::Exempt => list(&config.clients.exempt).unwrap_or_else(none),
        Id::Reserve if config.clients.reserve == 0 => none(),
        Id::Reserve => count_text(config.clients.reserve as u64),
        Id::ResolverNameservers => match &config.names.nameservers {
            Some(addresses) => addresses.iter().map(nameserver_text).collect::<Vec<_>>().join(","),
            None => none(),
        },
        Id::ResolverHold => duration_text(config.names.hold_ms),
        Id::ResolverPrefer => match config.names.prefer {
            Family::V4 => "ipv4".to_owned(),
            Family::V6 => "ipv6".to_owned(),
        },
        Id::AdminListen => config.admin.as_ref().map_or_else(none, |admin| admin.address.to_string()),
        Id::AdminPerm | Id::AdminHost | Id::AdminTokenOperator | Id::AdminTokenAdmin => {
            return config.admin.as_ref()?.effective(id);
        }
        Id::LogLevel => config.log_level.as_str().to_ascii_lowercase(),
        Id::LogAccess | Id::LogMessages | Id::LogFormat | Id::LogFacility => return config.logs.effective(id),
        Id::User => account(config.identity.user.as_ref()),
        Id::Group => account(config.identity.group.as_ref()),
        Id::Chroot => config.identity.chroot.clone().unwrap_or_else(none),
        Id::Watchdog => config.watchdog.clone().unwrap_or_else(none),
        Id::DrainTimeout => duration_text(config.drain_timeout_ms),
        Id::ReloadRollback => config.rollback_ms.map_or_else(none, duration_text),
        Id::Splice => yes(limits.budget.beside.splice),
        Id::PowerBoard => watts_text(config.power.board_mw),
        Id::PowerServer => config.power.server_mw.map_or_else(none, watts_text),
        Id::AdminSocket => config.socket.as_ref().map_or_else(none, |socket| socket.path.clone()),
        Id::AdminSocketMode => config.socket.as_ref().map(|socket| format!("{:03o}", socket.mode))?,
        Id::AdminSocketLevel => config.socket.as_ref().map(|socket| super::SOCKET_LEVELS[socket.level].to_owned())?,
        _ => return None,
    })
}

fn of_pool(id: Id, pool: &Pool) -> Option<String> {
    let cookie = pool.cookie.as_ref();
    Some(match id {
        Id::Balance | Id::BalanceUriDepth | Id::BalanceUriWhole | Id::Hash | Id::HashFactor => {
            return balance::effective(id, pool);
        }
        Id::PoolMaxconn => pool.maxconn.to_string(),
        Id::PoolMaxqueue => pool.maxqueue.to_string(),
        Id::Slowstart if pool.slowstart_ms == 0 => none(),
        Id::Slowstart => duration_text(pool.slowstart_ms),
        Id::Cookie => cookie.map_or_else(none, |cookie| cookie.name.clone()),
        Id::Stick => pool.stick.as_ref().map_or_else(none, |stick| stick::text(&stick.key)),
        Id::StickExpire => duration_text(pool.stick.as_ref()?.expire_ms),
        Id::StickWait if cookie.is_none() && pool.stick.is_none() => return None,
        Id::StickWait => pool.stick_wait_ms.map_or_else(none, duration_text),
        Id::Reuse | Id::Forwardfor if pool.mode == Mode::Tcp => return None,
        Id::Reuse => match pool.reuse {
            Reuse::Never => "never".to_owned(),
            Reuse::Safe => "safe".to_owned(),
            Reuse::Always => "always".to_owned(),
        },
        Id::Retries => pool.retries.to_string(),
        Id::Redispatch => yes(pool.redispatch),
        Id::RetryOn => pool.retry_on.words().collect::<Vec<_>>().join(","),
        Id::RetryBudget => pool.retry_budget.to_string(),
        Id::Observe => match pool.passive.observe {
            Observe::None => none(),
            Observe::Connect => "connect".to_owned(),
            Observe::Http => "http".to_owned(),
        },
        Id::ErrorLimit | Id::EjectMax | Id::EjectTime if pool.passive.observe == Observe::None => return None,
        Id::ErrorLimit => pool.passive.error_limit.to_string(),
        Id::EjectMax => pool.passive.eject_max.to_string(),
        Id::EjectTime => duration_text(pool.passive.eject_ms),
        Id::Forwardfor => yes(pool.forwardfor),
        Id::Check if pool.check.is_none() => none(),
        Id::CheckAgentPort => pool.agent.map_or_else(none, |agent| agent.port.to_string()),
        Id::CheckInter if pool.check.is_none() => duration_text(pool.agent?.inter_ms),
        Id::CheckTimeout if pool.check.is_none() => duration_text(pool.agent?.timeout_ms),
        _ => return cookie.and_then(|cookie| of_cookie(id, cookie)).or_else(|| of_check(id, pool.check.as_ref()?)),
    })
}

fn of_cookie(id: Id, cookie: &Cookie) -> Option<String> {
    let rules = &cookie.rules;
    let insert = match rules.mode {
        CookieMode::Insert => true,
        CookieMode::Prefix => false,
    };
    Some(match id {
        Id::CookieMode => if insert { "insert" } else { "prefix" }.to_owned(),
        Id::CookieDynamicKey => cookie.dynamic_key.clone().unwrap_or_else(none),
        _ if !insert => return None,
        Id::CookieHttponly => yes(attributes(cookie).0),
        Id::CookieSecure => yes(attributes(cookie).1),
        Id::CookieAttr => attributes(cookie).2.map_or_else(none, str::to_owned),
        Id::CookiePreserve => yes(rules.preserve),
        Id::CookiePostonly => yes(rules.postonly),
        Id::CookieMaxidle => rules.lifetime.idle_ms.map_or_else(none, duration_text),
        Id::CookieMaxlife => rules.lifetime.life_ms.map_or_else(none, duration_text),
        _ => return None,
    })
}

/// `; path=/` taken apart again: HttpOnly, Secure, the rest.
fn attributes(cookie: &Cookie) -> (bool, bool, Option<&str>) {
    let rest = cookie.attributes.strip_prefix("; path=/").unwrap_or(&cookie.attributes);
    let flag = |rest: &'_ str, flag: &str| match rest.strip_prefix(flag) {
        Some(after) if after.is_empty() || after.starts_with(';') => Some(rest.len() - after.len()),
        Some(_) | None => None,
    };
    let httponly = flag(rest, "; HttpOnly");
    let rest = &rest[httponly.unwrap_or(0)..];
    let secure = flag(rest, "; Secure");
    let rest = &rest[secure.unwrap_or(0)..];
    (httponly.is_some(), secure.is_some(), rest.strip_prefix("; "))
}

fn of_check(id: Id, check: &Check) -> Option<String> {
    match id {
        Id::CheckInter => return Some(duration_text(check.inter_ms)),
        Id::CheckFastinter => return Some(duration_text(check.fastinter_ms)),
        Id::CheckDowninter => return Some(duration_text(check.downinter_ms)),
        Id::CheckTimeout => return Some(duration_text(check.timeout_ms)),
        Id::CheckRise => return Some(check.rise.to_string()),
        Id::CheckFall => return Some(check.fall.to_string()),
        _ => {}
    }
    match (id, &check.kind) {
        (Id::Check, CheckKind::Tcp) => Some("tcp".to_owned()),
        (Id::Check, CheckKind::Http { .. }) => Some("http".to_owned()),
        (Id::CheckMethod, CheckKind::Http { method, .. }) => Some(method.clone()),
        (Id::CheckUri, CheckKind::Http { uri, .. }) => Some(uri.clone()),
        (Id::CheckHost, CheckKind::Http { host, .. }) => Some(host.clone().unwrap_or_else(none)),
        (Id::CheckExpect, CheckKind::Http { expect, .. }) => Some(match expect {
            Expect::Text(text) => format!("string:{text}"),
            Expect::Status(ranges) => {
                let range = |&(first, last): &(u16, u16)| {
                    if first == last { first.to_string() } else { format!("{first}-{last}") }
                };
                ranges.iter().map(range).collect::<Vec<_>>().join(",")
            }
        }),
        _ => None,
    }
}

fn of_listener(id: Id, listener: &Listener, pool: Option<String>) -> Option<String> {
    match id {
        Id::Listen => Some(listener.address.to_string()),
        Id::ListenMode => Some(if listener.mode == Mode::Tcp { "tcp" } else { "http" }.to_owned()),
        Id::ListenPerm if !matches!(&listener.address, Address::Unix(path) if !path.starts_with('@')) => None,
        Id::ListenPerm => Some(format!("{:03o}", listener.perm)),
        Id::ListenPool => pool,
        Id::AcceptProxy => Some(yes(listener.accept_proxy)),
        Id::RequestId => Some(listener.request_id.clone().unwrap_or_else(none)),
        Id::ListenTrust => Some(list(&listener.trust).unwrap_or_else(none)),
        _ => None,
    }
}

/// What declares the slots; their attributes are printed with each.
fn of_slots(id: Id, backend: &Backend, slots: &Slots) -> Option<String> {
    match id {
        Id::Backend => Some(format!("{}:{}", backend.host, backend.port)),
        Id::Slots => Some(slots.count.to_string()),
        _ => None,
    }
}

fn of_backend(id: Id, backend: &Backend, pool: Option<String>) -> Option<String> {
    if let (Id::Backend, Some(path)) = (id, &backend.path) {
        return Some(format!("unix:{path}"));
    }
    Some(match id {
        Id::Backend | Id::Slots if backend.slots.is_some() => return None,
        Id::Slots => none(),
        Id::Backend if backend.host.contains(':') => format!("[{}]:{}", backend.host, backend.port),
        Id::Backend => format!("{}:{}", backend.host, backend.port),
        Id::BackendPool => return pool,
        Id::Weight => backend.weight.to_string(),
        Id::Maxconn => match backend.auto {
            Some((least, most)) => format!("auto:{least}..{most}"),
            None => backend.maxconn.to_string(),
        },
        Id::Maxqueue => backend.maxqueue.to_string(),
        Id::Backup => yes(backend.backup),
        Id::BackendCookie if backend.dynamic_cookie => return None,
        Id::BackendCookie => backend.cookie.clone(),
        Id::SendProxy => match backend.send_proxy {
            None => yes(false),
            Some(ProxyVersion::V1) => "v1".to_owned(),
            Some(ProxyVersion::V2) => "v2".to_owned(),
        },
        Id::BackendRedirect => backend.redirect.as_ref().map_or_else(none, |redirect| redirect.to.to_string()),
        _ => return None,
    })
}

fn of_route(id: Id, routed: &Routed, config: &Config, pool: Option<String>) -> Option<String> {
    let route = &routed.route;
    match id {
        Id::RoutePriority => Some(routed.priority.to_string()),
        Id::RouteRate => Some(routed.rate.map_or_else(none, rate_text)),
        Id::RouteHost => list(&route.hosts),
        Id::RoutePath => list(&route.paths),
        Id::RouteMethod => list(&route.methods),
        Id::RouteSrc => list(&route.sources),
        Id::RouteListen => {
            let names = routed.listeners.iter().filter_map(|id| config.listeners.get(id.index()));
            list(&names.map(|listener| listener.name.clone()).collect::<Vec<_>>())
        }
        Id::RoutePool => pool.filter(|_| routed.deed == Deed::Pool),
        Id::RouteMaintenance => Some(yes(routed.maintenance.on)),
        Id::RouteMaintenanceAllow => list(&routed.maintenance.allow),
        Id::RouteMaintenanceRetryAfter => Some(duration_text(routed.maintenance.retry_after_ms)),
        _ => match (id, &routed.deed) {
            (Id::RouteDeny, Deed::Deny(status) | Deed::Tarpit { status, .. }) => Some(status.to_string()),
            (Id::RouteTarpit, Deed::Tarpit { hold_ms, .. }) => Some(duration_text(*hold_ms)),
            (Id::RouteReturn, Deed::Return { status, text }) => Some(format!("{status} {text}").trim_end().to_owned()),
            (Id::RouteRedirect, Deed::Redirect(redirect)) => Some(redirect.to_string()),
            (Id::RouteRedirectQuery, Deed::Redirect(Redirect { keeps_query, .. })) => {
                Some(if *keeps_query { "keep" } else { "drop" }.to_owned())
            }
            _ => None,
        },
    }
}

fn of_reply(id: Id, reply: &Custom) -> Option<String> {
    match id {
        Id::ReplyFile => Some(reply.file.clone()),
        Id::ReplyType => Some(reply.media_type.clone()),
        _ => None,
    }
}

pub(super) fn list<T: Display>(items: &[T]) -> Option<String> {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    (!items.is_empty()).then(|| items.join(","))
}

fn account(account: Option<&Account>) -> String {
    account.map_or_else(none, |account| account.name.clone())
}

pub(super) fn none() -> String {
    "none".to_owned()
}

fn yes(value: bool) -> String {
    if value { "yes".to_owned() } else { "no".to_owned() }
}
