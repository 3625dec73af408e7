//! `show sess` and `shutdown session`: the connections of clients, a line each, in HAProxy's form as far as it is known.

use super::{Call, Next};
use crate::operate::named;
use crate::operate::text::Text;
use crate::proxy::{Present, UNNAMED};
use std::fmt::Write;

/// Places of the table that are looked at in one step.
const AT_ONCE: usize = 64;

/// `0x1a2b` or `1a2b`.
fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

/// A line for each, or for the one that is named.
pub(super) fn show(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let proxy = call.proxy;
    if let Some(word) = call.words.first().filter(|&&word| word != "all") {
        let place = number(word).and_then(|id| Some((id, usize::try_from(id & 0xffff).ok()?)));
        let Some(present) = place.and_then(|(id, place)| proxy.present(place).filter(|it| it.id == id)) else {
            return Next::Error("Session not found.\n");
        };
        line(call, &present, out);
        return Next::Done;
    }
    // The table is long, and mostly empty.
    let first = call.step;
    let places = proxy.reactor.places();
    if first >= places {
        return Next::Done;
    }
    match (first..places.min(first + AT_ONCE)).find_map(|place| Some((place, proxy.present(place)?))) {
        Some((place, present)) => {
            line(call, &present, out);
            Next::Skip(place + 1)
        }
        None => Next::Skip(first + AT_ONCE),
    }
}

fn line(call: &Call<'_>, present: &Present, out: &mut Text<'_>) {
    let config = call.proxy.config();
    let listener = present.listener.map(|id| config.listeners[id.index()].name.as_str());
    let pool = present.pool.map(|id| config.pools[id.index()].name.as_str());
    let backend = present.backend.map(|id| config.backends[id.index()].name.as_str());
    out.bytes(b"0x");
    let nibbles = (0..16).rev().map(|at| present.id >> (4 * at));
    for nibble in nibbles.skip_while(|&nibble| nibble == 0) {
        out.byte(b"0123456789abcdef"[usize::try_from(nibble & 15).unwrap_or(0)]);
    }
    out.bytes(b": proto=");
    let proto: &[u8] = match present.client {
        Some(address) if address.is_ipv4() => b"tcpv4",
        Some(_) => b"tcpv6",
        None => b"unix_stream",
    };
    out.bytes(proto);
    out.bytes(b" src=");
    match present.client {
        Some(address) => {
            let _ = write!(out, "{address}");
        }
        None => out.bytes(UNNAMED.as_bytes()),
    }
    for (key, value) in [
        (" fe=", listener.unwrap_or("<NONE>")),
        (" be=", pool.unwrap_or("<NONE>")),
        (" srv=", backend.unwrap_or("<none>")),
    ] {
        out.bytes(key.as_bytes());
        out.bytes(value.as_bytes());
    }
    out.bytes(b" ts=00 epoch=0 age=");
    out.long(present.age_ms / 1000);
    out.bytes(b"s\n");
}

pub(super) fn end(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    let Some(word) = call.words.first() else { return Next::Error("Session pointer expected (use 'show sess').\n") };
    match number(word).is_some_and(|id| call.proxy.end_session(id)) {
        true => Next::Done,
        false => Next::Error("No such session (use 'show sess').\n"),
    }
}

pub(super) fn end_of_server(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    match named::server(&call.proxy.config(), call.words.first()) {
        Ok(id) => {
            call.proxy.end_sessions(id);
        }
        Err(unknown) => call.fail(&[unknown.words()], out),
    }
    Next::Done
}
