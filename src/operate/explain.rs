//! `explain`: what would become of a request now, step by step, in words; for the runtime socket and the admin listener.
//!
//! Owns how it is asked and told. The decision is [`Proxy::explain`]'s: taken in one go, it is told a line at a time.

use super::text::Text;
use crate::balance::{Affinity, Algorithm, Candidate, Hash, Placement, Refused};
use crate::config::{Config, Mode};
use crate::limits::{BackendId, CLI_LINE, ListenerId};
use crate::proxy::{End, Explained, Proxy};
use std::net::IpAddr;

/// Bytes of the head of a request that is asked about: no line that asks is longer, and a request line and the names of its
/// fields come to it.
const HEAD: usize = CLI_LINE + 256;

/// How to ask.
pub(super) const USAGE: &str =
    "Usage: explain METHOD HOST PATH [cookie NAME=VALUE] [header NAME=VALUE] [src ADDRESS] [listen NAME]...\n";

/// A request that is asked about.
pub(super) struct Question {
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

    /// One more thing about it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(&mut self, config: &Config, what: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let text = std::str::from_utf8(value).unwrap_or_default();
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err("A value is one line.\n");
        }
        match what {
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
                if listener.mode == Mode::Http { Ok(()) } else { Err("This listener carries no requests.\n") }
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
    let (routes, servers) = (it.tried.len(), it.candidates.len());
    match (at, at.checked_sub(1 + routes)) {
        (0, _) => listener(it, line),
        (at, None) => route(it, at - 1, line),
        (_, Some(0)) => way(it, line),
        (_, Some(_)) if it.ends_before_pool() => return false,
        (_, Some(1)) => affinity(it, line),
        (_, Some(2)) => algorithm(it, line),
        (_, Some(at)) => match (at - 3, it.candidates.get(at - 3)) {
            (_, Some(of)) => candidate(it, of, line),
            (at, None) if at == servers => choice(it, line),
            (at, None) if at == servers + 1 && matches!(result(it).0, "server" | "wait") => retries(it, line),
            (_, None) => return false,
        },
    }
    true
}

/// The end in three values that programs read: what, and a status or a server.
pub(super) fn result(it: &Explained) -> (&'static str, u16, Option<BackendId>) {
    match it.end {
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
        End::Placed(Placement::Refused(_)) => ("reply", 503, None),
    }
}

/// The server `id`'s name.
fn named(it: &Explained, id: BackendId) -> Part<'_> {
    Is(&it.config.backends[id.index()].name)
}

fn listener(it: &Explained, line: &mut Line<'_, '_>) {
    let [now, most] = it.connections.map(|count| count as u64);
    let full = if now >= most { "; a new one takes the place of one without a request, or waits" } else { "" };
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
fn way(it: &Explained, line: &mut Line<'_, '_>) {
    let reply = |line: &mut Line<'_, '_>, why: &[Part<'_>]| {
        let (_, status, _) = result(it);
        let mut parts = heapless::Vec::<Part<'_>, 8>::new();
        let _ = parts.extend_from_slice(&[No(status.into()), Is(", ")]);
        let _ = parts.extend_from_slice(why);
        line.say("reply", &parts);
    };
    match it.end {
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
            let by = if it.route.is_some() { " by its route" } else { " by its listener: no route is for it" };
            if it.pool == it.first {
                line.say("pool", &[pool(it.pool), Is(by)]);
            } else {
                let spill = Is(" has no room and overflows to ");
                line.say("pool", &[pool(it.first), Is(by), Is(";"), spill, pool(it.pool)]);
            }
        }
    }
}

fn affinity(it: &Explained, line: &mut Line<'_, '_>) {
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
        (None, Some(_)) => line.say("affinity", &[Is("no cookie"), stick[0], stick[1], stick[2]]),
    }
}

fn algorithm(it: &Explained, line: &mut Line<'_, '_>) {
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

fn candidate(it: &Explained, of: &Candidate, line: &mut Line<'_, '_>) {
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

fn choice(it: &Explained, line: &mut Line<'_, '_>) {
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
        End::Placed(Placement::Refused(Refused::NoBackend)) => {
            line.say("choice", &[Is("none: nobody takes requests; 503")]);
        }
        End::Placed(Placement::Refused(Refused::QueueFull)) => {
            line.say("choice", &[Is("none: the queue is full; 503")]);
        }
        _ => {}
    }
}

fn retries(it: &Explained, line: &mut Line<'_, '_>) {
    let pool = &it.config.pools[it.pool.index()];
    let how = match (pool.retries, pool.redispatch, it.bound.is_some()) {
        (0, _, _) => "",
        (_, false, _) => ", on the same server",
        (_, true, true) => ", on the same server, the last one elsewhere",
        (_, true, false) => ", each elsewhere",
    };
    line.say("retries", &[No(pool.retries.into()), Is(" when it cannot connect"), Is(how)]);
}
