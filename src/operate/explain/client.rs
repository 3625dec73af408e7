//! What is told of the limits of a client: what it has used, and what comes of another connection or request.

use super::{Is, Line, No, Part};
use crate::proxy::{Allowance, Explained, Regard, Used};

/// Pieces of such a line at most.
type Parts<'a> = heapless::Vec<Part<'a>, 20>;

/// So many of so many in a second or a minute, behind what parts it from what stands before it.
fn add_used<'a>(used: Option<Used>, between: &'a str, what: [&'a str; 2], parts: &mut Parts<'a>) {
    let Some(Used { count, rate }) = used else { return };
    let period = if rate.per_minute { "/m" } else { "/s" };
    let of = [No(count.into()), Is(" of "), No(rate.count.into()), Is(period), Is(what[0]), Is(what[1]), Is(")")];
    let _ = parts.push(Is(between));
    let _ = parts.extend_from_slice(&of);
}

/// Its connections.
pub(super) fn client(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let Some(Allowance { regard, connections, errors, closed, .. }) = &it.client else { return };
    let regard = match regard {
        Regard::Unnamed => return line.say("client", &[Is("not named (src ADDRESS): its limits are not looked at")]),
        Regard::Trusted => return line.say("client", &[Is("has no limits: its listener trusts it (trust)")]),
        Regard::Exempt => return line.say("client", &[Is("has no limits (limits.exempt)")]),
        Regard::Unknown => "unknown: nothing is counted of it now",
        Regard::Counted => "counted",
        Regard::Known => "known as a user (limits.reserve)",
    };
    let mut parts = Parts::new();
    let _ = parts.push(Is(regard));
    if let Some([now, most]) = connections {
        let of = [No((*now).into()), Is(" of "), No((*most).into()), Is(" connections (limits.per-client)")];
        let _ = parts.push(Is("; "));
        let _ = parts.extend_from_slice(&of);
    }
    add_used(*errors, if connections.is_some() { ", " } else { "; " }, [" errors (limits.errors", ""], &mut parts);
    let _ = match closed {
        Some(key) => parts.extend_from_slice(&[Is("; another connection is closed by "), Is(key)]),
        None => parts.extend_from_slice(&[Is("; another connection is let in")]),
    };
    line.say("client", &parts);
}

/// Whether a rate bounds its requests.
pub(super) fn has_rate(it: &Explained) -> bool {
    it.client.is_some_and(|client| client.requests.iter().any(Option::is_some))
}

/// Its requests.
pub(super) fn rate(it: &Explained, _: usize, line: &mut Line<'_, '_>) {
    let Some(Allowance { requests: [all, routed], wait_ms, .. }) = it.client else { return };
    let route = it.route.map_or("", |id| &it.config.routes[id.index()].route.name);
    let mut parts = Parts::new();
    add_used(all, "", [" requests (limits.rate", ""], &mut parts);
    add_used(routed, if all.is_some() { ", " } else { "" }, [" requests (rate of the route ", route], &mut parts);
    let _ = match wait_ms {
        0 => parts.extend_from_slice(&[Is("; another one is admitted")]),
        wait_ms => parts.extend_from_slice(&[Is("; the next is admitted in "), No(wait_ms), Is(" ms")]),
    };
    line.say("rate", &parts);
}
