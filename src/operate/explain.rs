//! `explain`: what would become of a request now, or of a connection, step by step, in words; for the runtime socket and the
//! admin listener.
//!
//! Owns how it is asked and told. The decision is [`Proxy::explain`]'s and [`Proxy::explain_connection`]'s: taken in one go, it
//! is told a line at a time.

mod client;

use super::text::Text;
use crate::balance::{Affinity, Algorithm, Hash, Placement, Refused};
use crate::config::{Config, Mode};
use crate::limits::{BackendId, CLI_LINE, ListenerId};
use crate::proxy::{End, Entrance, Explained, Proxy};
use std::net::IpAddr;

/// Bytes of the head of a request that is asked about: no line that asks is longer, and a request line and the names of its
/// fields come to it.
const HEAD: usize = CLI_LINE + 256;

/// How to ask.
pub(super) const USAGE: &str = "Usage: explain {METHOD HOST PATH [cookie NAME=VALUE] [header NAME=VALUE] | connection} [src ADDRESS] [listen NAME]...\n";

/// What stands in place of a method where a connection is asked about.
pub(super) const CONNECTION: &str = "connection";

/// A request that is asked about, or a connection.
pub(super) struct Question {
    /// Nothing in it: a connection.
    head: heapless::Vec<u8, HEAD>,
    source: Option<IpAddr>,
    listener: ListenerId,
}

impl Question {
    /// About a request with this method, host and target, at the first listener that carries requests.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(config: &Config, [method, host, path]: [&[u8]; 3]) -> Result<Self, &'static str> {
        let listener = config.listeners().find(|(_, listener)| listener.mode == Mode::Http);
        let (listener, _) = listener.ok_or("No listener carries requests.\n")?;
        let mut question = Self { head: heapless::Vec::new(), source: None, listener };
        if [method, host, path].iter().any(|part| part.is_empty() || part.iter().any(|&byte| byte <= b' ')) {
            return Err(USAGE);
        }
        question.append(&[method, b" ", path, b" HTTP/1.1\r\nHost: ", host, b"\r\n"])?;
        Ok(question)
    }

    /// About a connection, at the first listener that carries no requests, or else the first.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn about_connection(config: &Config) -> Result<Self, &'static str> {
        let mut raw = config.listeners().filter(|(_, listener)| listener.mode == Mode::Tcp);
        let (listener, _) = raw.next().or_else(|| config.listeners().next()).ok_or("There is no listener.\n")?;
        Ok(Self { head: heapless::Vec::new(), source: None, listener })
    }

    /// One more thing about it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(&mut self, config: &Config, what: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let text = std::str::from_utf8(value).unwrap_or_default();
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err("A value is one line.\n");
        }
        let is_connection = self.head.is_empty();
        match what {
            b"cookie" | b"header" | b"host" | b"path" if is_connection => {
                Err("A connection has no host, path, cookie or header: it is asked about by src and listen alone.\n")
            }
            b"cookie" => self.append(&[b"Cookie: ", value, b"\r\n"]),
            b"header" => match value.iter().position(|&byte| byte == b'=') {
                Some(at) => self.append(&[&value[..at], b": ", &value[at + 1..], b"\r\n"]),
                None => Err("A header is NAME=VALUE.\n"),
            },
            b"src" => {
                self.source = Some(text.parse().map_err(|_| "src takes an IPv4 or IPv6 address.\n")?);
                Ok(())
            }
            b"listen" => {
                let found = config.listeners().find(|(_, listener)| listener.name == text);
                let (id, listener) = found.ok_or("No such listener.\n")?;
                self.listener = id;
                if is_connection || listener.mode == Mode::Http {
                    Ok(())
                } else {
                    Err("This listener carries no requests.\n")
                }
            }
            _ => Err(USAGE),
        }
    }

    fn append(&mut self, parts: &[&[u8]]) -> Result<(), &'static str> {
        let mut parts = parts.iter();
        parts.try_for_each(|part| self.head.extend_from_slice(part)).map_err(|_| "The request is too long.\n")
    }

    /// The answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn answer(mut self, proxy: &'static Proxy) -> Result<Box<Explained>, &'static str> {
        if self.head.is_empty() {
            return Ok(proxy.explain_connection(self.listener, self.source));
        }
        self.append(&[b"\r\n"])?;
        Ok(proxy.explain(self.listener, &self.head, self.source))
    }
}

/// A piece of a sentence.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// Words.
    Is(&'a str),
    /// A number.
    No(u64),
}

use Part::{Is, No};

/// Where the lines go, and how: as text, or as JSON. All that is told is plain: nothing in it has to be escaped.
struct Line<'o, 't> {
    out: &'o mut Text<'t>,
    json: bool,
    /// Another one stands before it.
    follows: bool,
}

impl Line<'_, '_> {
    fn say(&mut self, step: &str, parts: &[Part<'_>]) {
        let marks: [&[u8]; 3] =
            if self.json { [b"{\"step\":\"", b"\",\"says\":\"", b"\"}"] } else { [b"", b": ", b"\n"] };
        self.out.bytes(if self.json && self.follows { b"," } else { b"" });
        self.out.bytes(marks[0]);
        self.out.bytes(step.as_bytes());
        self.out.bytes(marks[1]);
        for part in parts {
            match part {
                Is(text) => self.out.bytes(text.as_bytes()),
                No(number) => self.out.long(*number),
            }
        }
        self.out.bytes(marks[2]);
    }
}

/// Writes line `at`, from 0 on; false when there is none any more.
pub(super) fn line(it: &Explained, at: usize, json: bool, out: &mut Text<'_>) -> bool {
    let line = &mut Line { out, json, follows: at > 0 };
    let pool = usize::from(!it.ends_before_pool());
    // In their order, and how many lines each takes.
    let steps: [(usize, Tell); 10] = [
        (1, listener),
        (usize::from(it.client.is_some()), client::client),
        (it.tried.len(), route),
        (usize::from(client::has_rate(it)), client::rate),
        (1, way),
        (pool, affinity),
        (pool, algorithm),
        (it.candidates.len(), candidate),
        (pool, choice),
        (usize::from(matches!(result(it).0, "server" | "wait")), retries),
    ];
    let mut at = at;
    for (count, tell) in steps {
        if at < count {
            tell(it, at, line);
            return true;
        }
        at -= count;
    }
    false
}

/// Writes a line of a step, counted from 0.
type Tell = fn(&Explained, usize, &mut Line<'_, '_>);

/// The end in three values that programs read: what, and a status or a server.
pub(super) fn result(it: &Explained) -> (&'static str, u16, Option<BackendId>) {
    match it.end {
        End::Closed(_) => ("closed", 0, None),
        End::Accepted => ("accepted", 0, None),
        End::Refused(refusal) => ("reply", refusal.status, None),
        End::TooFast | End::Barred => ("reply", 429, None),
        End::Maintenance => ("reply", 503, None),
        End::Monitor(status) | End::Rule(status) | End::Tarpit(status, _) | End::Here(status) => {
            ("reply", status, None)
        }
        End::Redirected(id) => {
            let redirect = it.config.backends[id.index()].redirect.as_ref();
            ("reply", redirect.map_or(302, |redirect| redirect.code), Some(id))
        }
        End::Placed(Placement::Go(id)) => ("server", 0, Some(id)),
        End::Placed(Placement::WaitForBackend(id, _)) => ("wait", 0, Some(id)),
        End::Placed(Placement::WaitForPool(_)) => ("wait", 0, None),
        End::Placed(Placement::Refused(_)) if is_raw(it) => ("closed", 0, None),
        End::Placed(Placement::Refused(_)) => ("reply", 503, None),
    }
}

/// Whether what comes in there is placed without being read.
fn is_raw(it: &Explained) -> bool {
    it.config.listeners[it.listener.index()].mode == Mode::Tcp
}

/// The server `id`'s name.
fn named(it: &Explained, id: BackendId) -> Part<'_> {
    Is(&it.config.backends[id.index()].name)
}

fn listener(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let [now, most] = it.connections.map(|count| count as u64);
    let full = match it.entrance {
        Entrance::Open => "",
        Entrance::Replaces => "; another takes the place of one without a request",
        Entrance::Reserve => "; what is left is kept for known clients (limits.reserve)",
        Entrance::Waits => "; another waits until one ends",
    };
    let name = &it.config.listeners[it.listener.index()].name;
    line.say("listener", &[Is(name), Is("; "), No(now), Is(" of "), No(most), Is(" connections"), Is(full)]);
}

fn route(it: &Explained, at: usize, line: &mut Line<'_, '_>) {
    let Some((id, why)) = it.tried.get(at) else { return };
    let name = Is(&it.config.routes[id.index()].route.name);
    match why {
        Some("listen") => line.say("route", &[name, Is(" is for other listeners")]),
        Some(why) => line.say("route", &[name, Is(" is not for it: "), Is(why)]),
        None => line.say("route", &[name, Is(" is for it")]),
    }
}

/// Where it goes, or the answer it gets instead.
fn way(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let reply = |line: &mut Line<'_, '_>, why: &[Part<'_>]| {
        let (_, status, _) = result(it);
        let mut parts = heapless::Vec::<Part<'_>, 8>::new();
        let _ = parts.extend_from_slice(&[No(status.into()), Is(", ")]);
        let _ = parts.extend_from_slice(why);
        line.say("reply", &parts);
    };
    match it.end {
        End::Closed(key) => {
            let named = it.config.listeners[it.listener.index()].accept_proxy;
            let when = if named { ", when its PROXY header was read" } else { ", right after it is accepted" };
            line.say("closed", &[Is("by "), Is(key), Is(when)]);
        }
        End::Accepted => line.say("requests", &[Is("each is placed by itself: explain METHOD HOST PATH")]),
        End::Refused(refusal) => reply(line, &[Is("refused: "), Is(refusal.reason)]),
        End::TooFast => reply(line, &[Is("its client asks more often than it may")]),
        End::Barred => reply(line, &[Is("its client did too much wrong (limits.errors)")]),
        End::Monitor(_) => reply(line, &[Is("the listener's monitor-uri")]),
        End::Maintenance => reply(line, &[Is("the route is closed for maintenance")]),
        End::Rule(_) => reply(line, &[Is("the route's own")]),
        End::Tarpit(_, hold_ms) => reply(line, &[Is("held for "), No(hold_ms), Is(" ms before (tarpit)")]),
        End::Here(_) => reply(line, &[Is("Max-Forwards is 0")]),
        End::Placed(_) | End::Redirected(_) => {
            let pool = |id: crate::limits::PoolId| Is(&it.config.pools[id.index()].name);
            let by = match it.route {
                Some(_) => " by its route",
                None if is_raw(it) => " by its listener",
                None => " by its listener: no route is for it",
            };
            if it.pool == it.first {
                line.say("pool", &[pool(it.pool), Is(by)]);
            } else {
                let spill = Is(" has no room and overflows to ");
                line.say("pool", &[pool(it.first), Is(by), Is(";"), spill, pool(it.pool)]);
            }
        }
    }
}

fn affinity(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let pool = &it.config.pools[it.pool.index()];
    let home = it.affinity.backend();
    let says = match it.affinity {
        Affinity::Unused => "",
        Affinity::None => ", which it has not",
        Affinity::Invalid => ", which names no server of the pool",
        Affinity::Down => ", which names a server that is down",
        Affinity::Expired => ", which was not used for maxidle",
        Affinity::Old => ", which was in use for maxlife",
        Affinity::Valid(_) => ", which leads to ",
    };
    let name = pool.cookie.as_ref().map_or("", |cookie| &cookie.name);
    let server = home.map_or(Is(""), |id| named(it, id));
    let stick = match it.session {
        _ if pool.stick.is_none() || home.is_some() => [Is(""), Is(""), Is("")],
        None => [Is("; the session map needs a key, which it has not"), Is(""), Is("")],
        Some(None) => [Is("; the session map does not know it"), Is(""), Is("")],
        Some(Some(id)) => {
            let down = if it.bound == Some(id) { "" } else { ", which is down" };
            [Is("; the session map leads to "), named(it, id), Is(down)]
        }
    };
    match (&pool.cookie, &pool.stick) {
        (None, None) => line.say("affinity", &[Is("none: the pool keeps no users")]),
        (Some(_), _) => {
            line.say("affinity", &[Is("cookie "), Is(name), Is(says), server, stick[0], stick[1], stick[2]])
        }
        (None, Some(_)) => {
            let by = if is_raw(it) { "by its address" } else { "no cookie" };
            line.say("affinity", &[Is(by), stick[0], stick[1], stick[2]]);
        }
    }
}

fn algorithm(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let pool = &it.config.pools[it.pool.index()];
    let (name, how) = match (pool.balance, it.key) {
        (Algorithm::RoundRobin, _) => ("roundrobin", ": the nearest turn, which is the highest score"),
        (Algorithm::LeastConn, _) => ("leastconn", ": the least load for its weight, which is the lowest score"),
        (Algorithm::Random, _) => ("random", ": two drawn by weight, the less loaded of them"),
        (Algorithm::First, _) => ("first", ": the first that has a slot free"),
        (Algorithm::Hash { .. }, None) => ("hash", ", but it has no key: the nearest turn"),
        (Algorithm::Hash { hash: Hash::Beelance, .. }, Some(_)) => ("hash", ": the first in the order of its key"),
        (Algorithm::Hash { hash: Hash::Haproxy, .. }, Some(_)) => ("hash", ": the nearest on HAProxy's ring"),
    };
    let unused = if it.bound.is_some() { "; not asked for who is bound" } else { "" };
    line.say("balance", &[Is(name), Is(how), Is(unused)]);
}

fn candidate(it: &Explained, at: usize, line: &mut Line<'_, '_>) {
    let Some(of) = it.candidates.get(at) else { return };
    let numbers = [of.serving, of.maxconn, of.queued].map(u64::from);
    let mut parts = heapless::Vec::<Part<'_>, 16>::new();
    let all = [
        named(it, of.id),
        Is(" "),
        Is(of.standing.words()),
        Is("; weight "),
        No(of.weight.into()),
        Is(", "),
        No(numbers[0]),
        Is(if of.maxconn > 0 { " of " } else { "" }),
    ];
    let _ = parts.extend_from_slice(&all);
    if of.maxconn > 0 {
        let _ = parts.push(No(numbers[1]));
    }
    let _ = parts.extend_from_slice(&[Is(" in flight, "), No(numbers[2]), Is(" waiting")]);
    if let Some(score) = of.score {
        let sign = if score < 0 { ", score -" } else { ", score " };
        let _ = parts.extend_from_slice(&[Is(sign), No(score.unsigned_abs().into())]);
    }
    line.say("server", &parts);
}

fn choice(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let pool = &it.config.pools[it.pool.index()];
    let queue_ms = it.config.timeouts.queue_ms;
    let behind = [Is(" behind "), No(it.ahead.into()), Is(" others, for "), No(queue_ms), Is(" ms at most")];
    let wait = |line: &mut Line<'_, '_>, what: [Part<'_>; 2], late_ms: Option<u64>| {
        let mut parts = heapless::Vec::<Part<'_>, 12>::new();
        let _ = parts.extend_from_slice(&what);
        let _ = parts.extend_from_slice(&behind);
        if let Some(late_ms) = late_ms {
            let _ = parts.extend_from_slice(&[Is("; after "), No(late_ms), Is(" ms for any other as well")]);
        }
        line.say("choice", &parts);
    };
    match it.end {
        End::Placed(Placement::Go(id)) => {
            let why = match it.bound {
                Some(home) if home == id => ", to which it is bound",
                Some(_) => ", as the queue of the one it is bound to is full",
                None => "",
            };
            line.say("choice", &[named(it, id), Is(why)]);
        }
        End::Redirected(id) => line.say("choice", &[named(it, id), Is(", which redirects it")]),
        End::Placed(Placement::WaitForBackend(id, _)) => {
            wait(line, [Is("it waits for "), named(it, id)], pool.stick_wait_ms);
        }
        End::Placed(Placement::WaitForPool(_)) => {
            let full = "none: all who could take it are full; it waits for any,";
            wait(line, [Is(full), Is("")], None);
        }
        End::Placed(Placement::Refused(why)) => {
            let why = match (why, is_raw(it)) {
                (Refused::NoBackend, true) => "none: nobody takes connections",
                (Refused::NoBackend, false) => "none: nobody takes requests",
                (Refused::QueueFull, _) => "none: the queue is full",
            };
            line.say("choice", &[Is(why), Is(if is_raw(it) { "; it is closed" } else { "; 503" })]);
        }
        _ => {}
    }
}

fn retries(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let pool = &it.config.pools[it.pool.index()];
    let how = match (pool.retries, pool.redispatch, it.bound.is_some()) {
        (0, _, _) => "",
        (_, false, _) => ", on the same server",
        (_, true, true) => ", on the same server, the last one elsewhere",
        (_, true, false) => ", each elsewhere",
    };
    line.say("retries", &[No(pool.retries.into()), Is(" when it cannot connect"), Is(how)]);
}
