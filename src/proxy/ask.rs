//! From a complete head to a decision: parse, route, find the affinity, rewrite in place.

use super::added::Out;
use super::affinity::{Bond, Client, growth};
use super::broken::Broken;
use super::connection::Connection;
use super::exchange::Exchange;
use super::rules::{Rule, Way, way};
use crate::balance::Algorithm;
use crate::config::{Config, Pool};
use crate::fault::Fault;
use crate::http::body::Framing;
use crate::http::fields;
use crate::http::fields::{Cuts, Fields, Known, TooManyCuts};
use crate::http::key::Key;
use crate::http::request::{self, Method, Refusal, RequestHead, Version};
use crate::http::request_id::{self, RequestId};
use crate::limits::{LOG_LINE, MAX_HOST, MAX_REQUEST_ID, PoolId, RouteId};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a request asks for, free of its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// The pool that serves it.
    pub pool: PoolId,
    /// What binds it to a backend.
    pub bond: Bond,
    /// What it is hashed by, where its pool does that and it has it.
    pub key: Option<u32>,
    /// Its priority class.
    pub class: i8,
    /// The route it takes.
    pub route: Option<RouteId>,
    /// What its method means.
    pub method: Method,
    /// The client's version.
    pub version: Version,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// What keeps it from its pool.
    pub rule: Rule,
    /// Bytes that its response's head may get longer in place.
    pub growth: usize,
}

/// Understands the head in the first `length` bytes of the request's buffer, and makes the request's first batch. What
/// is asked is left in `asked`.
///
/// # Errors
/// [`Fault::Refused`].
pub(super) fn understand<'a>(
    connection: &Connection,
    config: &Config,
    exchange: &mut Exchange,
    length: usize,
    asked: &'a mut Option<Ask>,
) -> Result<&'a Ask, Fault> {
    let (proxy, listener, client) = (connection.proxy, connection.listener, connection.peer.map(|peer| peer.ip()));
    let flow = &mut exchange.request;
    let Some(buffer) = &mut flow.buffer else { return Err(Fault::Exhausted) };
    let head = &buffer.filled()[..length];
    let mut table = Fields::new();
    let mut cuts = Cuts::default();
    let parsed = request::parse(head, config.limits.headers, &mut table, &mut cuts);
    // Used where it lies: it is long to copy.
    let parsed = parsed.as_ref().map_err(|&refusal| refusal)?;
    let length = parsed.length;
    let head = &head[..length];
    let Way { pool: first, class, mut rule, edits, route } = way(proxy, config, parsed, listener, client);

    let who = Client { proxy, peer: &connection.peer, is_guess: false };
    // Taken where it is: `map_err` would copy it.
    let (pool_id, bond) = match settle(&who, config, first, head, parsed, &mut cuts) {
        Ok(settled) => settled,
        Err(many) => return Err(Refusal::from(many).into()),
    };
    let pool = &config.pools[pool_id.index()];
    let (mut says_proto, mut says_host) = (false, false);
    if let Some(edits) = edits {
        edits.cut(head, parsed.fields, &mut cuts).map_err(Refusal::from)?;
        (says_proto, says_host) = (edits.sets_proto, edits.sets_host);
    }
    if pool.forwardfor && parsed.forwarded {
        let trusted = connection.is_trusted();
        for (index, field) in parsed.fields.iter().enumerate() {
            let known = Known::of(field.name);
            if matches!(known, Some(Known::Forwarded | Known::ForwardedProto)) {
                if !trusted {
                    cuts.add(fields::line(head, parsed.fields, index)).map_err(Refusal::from)?;
                }
                says_proto |= trusted && known == Some(Known::ForwardedProto);
            }
        }
    }
    let id = match &config.listeners[listener.index()].request_id {
        Some(name) => {
            let id = identify(connection, head, parsed, name, &mut cuts).map_err(Refusal::from)?;
            if proxy.journal.get().is_some() {
                exchange.record.id = note_id(&mut exchange.line, &id);
            }
            Some((name, id))
        }
        None => None,
    };
    let limit = config.limits.body.unwrap_or(u64::MAX);
    if matches!(parsed.framing, Framing::Length(length) if length > limit) {
        return Err(TOO_LONG);
    }

    let mut host = heapless::String::new();
    if !says_host {
        find_new_host(parsed, || connection.here(), &mut host);
    }
    if parsed.max_forwards == Some(0) && rule == Rule::None {
        rule = goes_no_further(parsed);
    }
    let ask = Ask {
        pool: pool_id,
        bond,
        key: key(pool, parsed, client),
        class,
        route,
        method: parsed.kind,
        version: parsed.version,
        keep_alive: parsed.keep_alive,
        rule,
        growth: growth(pool),
    };
    exchange.offer.clear();
    // The parser bounds it.
    let _ = exchange.offer.extend_from_slice(parsed.upgrade.unwrap_or_default());
    let switches = parsed.upgrade.is_some();
    let (framing, rewrites_length, max_forwards) = (parsed.framing, parsed.rewrites_length, parsed.max_forwards);
    let rewrite = parsed.rewrite();
    drop(table);
    let rewritten = rewrite.apply(&mut buffer.filled_mut()[..length], &mut cuts);
    flow.allow(limit);
    let started = flow.start(length, rewritten, framing, framing == Framing::Chunked, |out| {
        if !host.is_empty() {
            write!(out, "Host: {host}\r\n")?;
        }
        if let Some(edits) = edits {
            out.extend_from_slice(edits.lines())?;
        }
        if pool.forwardfor {
            match client {
                Some(client) => write_forwarded(out, client, says_proto)?,
                None if says_proto => {}
                None => out.write_str("X-Forwarded-Proto: http\r\n")?,
            }
        }
        if let Some((name, id)) = &id {
            for part in [name.as_bytes(), b": ", id, b"\r\n"] {
                out.extend_from_slice(part).map_err(|_| std::fmt::Error)?;
            }
        }
        if let Some(left) = max_forwards {
            write!(out, "Max-Forwards: {}\r\n", left.saturating_sub(1))?;
        }
        if switches {
            out.write_str("Connection: upgrade\r\n")?;
        }
        match framing {
            Framing::Chunked => out.write_str("Transfer-Encoding: chunked\r\n"),
            Framing::Length(length) if rewrites_length => write!(out, "Content-Length: {length}\r\n"),
            Framing::None if rewrites_length => out.write_str("Content-Length: 0\r\n"),
            Framing::Length(_) | Framing::None | Framing::UntilClose => Ok(()),
        }
    });
    started.map_err(refused)?;
    Ok(asked.insert(ask))
}

/// The pool that a request for `first` is placed in, and what binds it there: who is bound to no backend goes where the pool's
/// overflow leads.
///
/// # Errors
/// [`TooManyCuts`].
#[inline(always)]
pub(super) fn settle(
    who: &Client<'_>,
    config: &Config,
    first: PoolId,
    head: &[u8],
    parsed: &RequestHead<'_, '_>,
    cuts: &mut Cuts,
) -> Result<(PoolId, Bond), TooManyCuts> {
    let pool = &config.pools[first.index()];
    let bond = Bond::of(who, (first, pool), head, parsed, cuts)?;
    if pool.overflow.is_some() && bond.backend().is_none() {
        let other = who.proxy.spread(config, first);
        if other != first {
            return Ok((other, Bond::of(who, (other, &config.pools[other.index()]), head, parsed, cuts)?));
        }
    }
    Ok((first, bond))
}

/// What becomes of a request that may pass no further proxy (RFC 9110 section 7.6.2).
pub(super) fn goes_no_further(parsed: &RequestHead<'_, '_>) -> Rule {
    Rule::Here(if parsed.method == b"TRACE" { 405 } else { 200 })
}

/// What the request is called: what a trusted client calls it in the field `name`, else something new.
#[inline(never)]
fn identify(
    connection: &Connection,
    head: &[u8],
    parsed: &RequestHead<'_, '_>,
    name: &str,
    cuts: &mut Cuts,
) -> Result<RequestId, TooManyCuts> {
    let said = request_id::take(head, parsed.fields, name, cuts)?;
    let kept = said.filter(|_| connection.is_trusted()).and_then(|id| RequestId::from_slice(id).ok());
    Ok(kept.unwrap_or_else(|| connection.proxy.ids.make()))
}

/// Writes the id behind the request line, which is cut where that leaves no room; how long it is.
fn note_id(line: &mut heapless::Vec<u8, LOG_LINE>, id: &[u8]) -> u8 {
    line.truncate(LOG_LINE - MAX_REQUEST_ID);
    let _ = line.extend_from_slice(id);
    u8::try_from(id.len()).unwrap_or(0)
}

/// The Host to write anew: the authority of an absolute target, or for a client of HTTP/1.0 that named none, the
/// address it came to (RFC 9110 section 7.2, RFC 9112 section 3.3). `host` stays empty when Host stays as it is.
fn find_new_host(
    head: &RequestHead<'_, '_>,
    here: impl FnOnce() -> Option<SocketAddr>,
    host: &mut heapless::String<MAX_HOST>,
) {
    // Both fit: the parser bounds an authority, an address is shorter.
    let _ = match head.host {
        Some(authority) if head.rewrites_host => host.push_str(std::str::from_utf8(authority).unwrap_or_default()),
        Some(_) => Ok(()),
        None => match here() {
            Some(address) => write!(host, "{address}").map_err(|_| Default::default()),
            None => host.push_str("localhost"),
        },
    };
}

/// The whole request's fault when its body's first bytes are no body.
pub(super) fn refused(broken: Broken) -> Fault {
    match broken {
        Broken::Malformed(reason) => Fault::Refused(Refusal { status: 400, reason }),
        Broken::TooLong => TOO_LONG,
        Broken::Source => Fault::ClientGone,
        Broken::Sink => Fault::BackendGone,
        Broken::NoBuffer => Fault::Exhausted,
    }
}

const TOO_LONG: Fault = Fault::Refused(Refusal { status: 413, reason: "the body is longer than limits.body" });

/// The number of what the pool hashes requests by.
pub(super) fn key(pool: &Pool, head: &RequestHead<'_, '_>, source: Option<IpAddr>) -> Option<u32> {
    let Algorithm::Hash { hash, .. } = pool.balance else { return None };
    match pool.key.as_ref()? {
        Key::Source => key_of_source(pool, source),
        key @ (Key::Uri { .. } | Key::Header(_) | Key::Cookie(_) | Key::UrlParam(_)) => {
            key.of(head).map(|pieces| hash.of(&pieces))
        }
    }
}

/// The number of the client's address, where the pool hashes by it and there is one.
pub(super) fn key_of_source(pool: &Pool, source: Option<IpAddr>) -> Option<u32> {
    let (Algorithm::Hash { hash, .. }, Some(Key::Source)) = (pool.balance, &pool.key) else { return None };
    Some(match source? {
        IpAddr::V4(address) => hash.of_address(&address.octets()),
        IpAddr::V6(address) => hash.of_address(&address.octets()),
    })
}

/// X-Forwarded-For, a line of its own behind any that are there, with X-Forwarded-Proto before it where nobody said that.
fn write_forwarded(out: &mut Out<'_>, client: IpAddr, says_proto: bool) -> std::fmt::Result {
    const BOTH: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: ";
    let from = if says_proto { "X-Forwarded-Proto: http\r\n".len() } else { 0 };
    out.write_str(&BOTH[from..])?;
    match client {
        // A tenth of the instructions that the standard formatting takes.
        IpAddr::V4(address) => out.fill(|room| write_address(room, address)),
        IpAddr::V6(address) => write!(out, "{address}\r\n"),
    }
}

/// The digits of each octet with a dot behind them, and how long that is.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut texts = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = if octet < 10 {
            1
        } else if octet < 100 {
            2
        } else {
            3
        };
        let (mut at, mut left) = (digits, octet);
        while at > 0 {
            at -= 1;
            texts[octet].0[at] = b"0123456789"[left % 10];
            left /= 10;
        }
        texts[octet].1 = b"\0\x02\x03\x04"[digits];
        octet += 1;
    }
    texts
};

/// Writes an address and CRLF; how long that is.
fn write_address(room: &mut [u8; 20], address: Ipv4Addr) -> usize {
    let mut length = 0;
    for octet in address.octets() {
        let (text, count) = &OCTETS[usize::from(octet)];
        room[length..length + 4].copy_from_slice(text);
        length += usize::from(*count);
    }
    // Over the last dot.
    room[length - 1..=length].copy_from_slice(b"\r\n");
    length + 1
}

#[cfg(test)]
mod tests {
    use super::super::added::Added;
    use super::*;

    #[test]
    fn forwarded_addresses() {
        for address in ["0.0.0.0", "1.22.103.255", "10.100.9.200", "2001:db8::1"] {
            let mut added = Added::new();
            added.write(|out| write_forwarded(out, address.parse().unwrap(), true)).unwrap();
            let one = format!("X-Forwarded-For: {address}\r\n");
            assert_eq!(added.filled(), one.as_bytes());
            added.clear();
            added.write(|out| write_forwarded(out, address.parse().unwrap(), false)).unwrap();
            assert_eq!(added.filled(), format!("X-Forwarded-Proto: http\r\n{one}").as_bytes());
        }
    }
}
