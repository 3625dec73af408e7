//! `show report`, which `beelance report` prints: what the counters say about how many servers would do, which `maxconn` fits
//! each, and what requests cost.
//!
//! Each figure stands with what it rests on. Where too little was seen there is none, and the reason instead. Knows no more
//! than [`crate::balance::Curve`] and the statistics do; asks nobody.

use super::{Call, Next, server};
use crate::balance::{Point, Reading};
use crate::config::{Config, Pool};
use crate::limits::{BackendId, PoolId};
use crate::operate::energy::{Energy, per_million};
use crate::operate::text::Text;
use crate::proxy::Proxy;
use crate::runtime::cpu_ms;

/// Less than that a clock of milliseconds does not tell apart, in microseconds.
const LEAST_US: u64 = 1_000;
/// What the figures rest on; a piece each.
const BASIS: [&str; 2] = [
    "
What this rests on
  alone    the response time, to the response's first byte, at the lightest load that was seen often enough: 100 responses
  at most  the most responses per second at any number at once; sure where servers were seen waiting inside: half as slow again
  maxconn  the one times the other: how many a server works on at full speed; more only wait in it. Where a limit keeps it
           from ever getting slower, there is a lower bound: raise the limit for a busy hour, and ask again
",
    "  servers  the requests of the busiest second, by what a server does at most: none is spare, and none is for growth
  energy   the watts given times the time that passed; nothing is measured. This and what a request takes are since the
           start, the rest since the last `clear counters all`; `beelance report POOL/SERVER` shows a server's times by its load
",
];

/// Writes `words`; each `#` is the next figure, each `~` the next one, of thousandths, with a digit behind the point.
fn say(out: &mut Text<'_>, words: &str, figures: &[u64]) {
    let mut figures = figures.iter().copied();
    for &byte in words.as_bytes() {
        match byte {
            b'#' => out.long(figures.next().unwrap_or(0)),
            b'~' => {
                let tenths = figures.next().unwrap_or(0).saturating_add(50) / 100;
                out.long(tenths / 10);
                out.byte(b'.');
                out.long(tenths % 10);
            }
            byte => out.byte(byte),
        }
    }
}

/// Thousandths of a percent.
fn percent_milli(part: u64, all: u64) -> u64 {
    part.saturating_mul(100_000).checked_div(all).unwrap_or(0)
}

fn each(total: u64, count: u64) -> u64 {
    total.checked_div(count).unwrap_or(0)
}

pub(super) fn report(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let proxy = call.proxy;
    if let word @ Some(_) = call.words.first() {
        return match server(proxy, word) {
            Ok(id) => table(proxy, id, out),
            Err(message) => Next::Error(message),
        };
    }
    if call.step == 0 {
        proxy.refresh_statistics();
        process(proxy, out);
        return Next::More;
    }
    let (config, mut step) = (proxy.config(), call.step - 1);
    // A piece for each pool before its servers, for each server, and for each pool behind them.
    for (id, pool) in config.pools() {
        match pool.backends.get(step.wrapping_sub(1)) {
            _ if step == 0 => traffic(proxy, pool, id, out),
            Some(&member) => backend(proxy, &config, member, out),
            None if step == pool.backends.len() + 1 => enough(proxy, pool, id, out),
            None => {
                step -= pool.backends.len() + 2;
                continue;
            }
        }
        return Next::More;
    }
    match BASIS.get(step) {
        Some(text) => {
            out.bytes(text.as_bytes());
            Next::More
        }
        None => Next::Done,
    }
}

fn process(proxy: &Proxy, out: &mut Text<'_>) {
    let (config, energy) = (proxy.config(), Energy::of(proxy));
    let (up_ms, cpu_ms, requests) = (proxy.reactor.now_ms(), cpu_ms(), proxy.requests_ever());
    let busy = percent_milli(cpu_ms, up_ms);
    let cost_us = each(cpu_ms.saturating_mul(1000), requests);
    say(
        out,
        "beelance: # requests in # s; ~ % of a processor, # us for each\n",
        &[requests, up_ms / 1000, busy, cost_us],
    );
    let mut draws = |what: &str, mw: u64, mj: u64| {
        say(out, what, &[mw, mj / 1000]);
        if let Some(joules) = per_million(mj, requests) {
            say(out, ", # J for a million requests", &[joules]);
        }
        out.byte(b'\n');
    };
    draws("energy: power.board = ~ W: # J", config.power.board_mw, energy.board_mj);
    match (config.power.server_mw, energy.servers_mj) {
        (Some(mw), Some(mj)) => draws("energy: power.server = ~ W each: # J", mw, mj),
        _ => out.bytes(b"energy: the servers' is not known: set power.server\n"),
    }
}

/// Where users went, and who waited.
fn traffic(proxy: &Proxy, pool: &Pool, id: PoolId, out: &mut Text<'_>) {
    let work = proxy.pool_stats(id).work;
    for text in ["\npool ", &pool.name, "\n  users    "] {
        out.bytes(text.as_bytes());
    }
    let (hits, moved, new) = (work.loyalty.hits, work.loyalty.moved, work.loyalty.new);
    let all = hits + moved + new;
    if !pool.keeps_users() {
        out.bytes(b"are not kept: each server meets all of them; see pool.N.cookie");
    } else if all == 0 {
        out.bytes(b"did not come yet");
    } else {
        let shares = [hits, moved, new].map(|part| percent_milli(part, all));
        say(out, "~ % of the requests went to their user's server, ~ % elsewhere, ~ % were of new users", &shares);
    }
    let waited = work.failures.waited;
    match each(work.times_ms[0], waited) {
        _ if waited == 0 => out.bytes(b"\n  queue    nobody waited\n"),
        ms => say(
            out,
            "\n  queue    ~ % of the requests waited, # ms on average\n",
            &[percent_milli(waited, work.requests.total), ms],
        ),
    }
}

/// What a server showed, unless it is too fast for the clock.
fn known(proxy: &Proxy, id: BackendId) -> Reading {
    match proxy.backend_curve(id).reading() {
        Reading::Full(point) | Reading::NeverFull(point) if point.alone_us < LEAST_US => Reading::TooLittle,
        reading => reading,
    }
}

fn backend(proxy: &Proxy, config: &Config, id: BackendId, out: &mut Text<'_>) {
    for text in ["  server   ", &config.backends[id.index()].name, ": "] {
        out.bytes(text.as_bytes());
    }
    let seen = |out: &mut Text<'_>, point: Point, end: &str| {
        say(
            out,
            "alone ~ ms; at most ~/s, with ~ at once (# responses); maxconn = #",
            &[point.alone_us, point.most_milli, point.at_once_milli, point.responses.into(), point.maxconn()],
        );
        out.bytes(end.as_bytes());
    };
    match known(proxy, id) {
        Reading::Full(point) => seen(out, point, ""),
        Reading::NeverFull(point) => seen(out, point, " or more: it never got slower"),
        Reading::NeverAlone(point) => say(
            out,
            "at most ~/s or more, with ~ at once (# responses); no maxconn: what it takes alone is not known, it was always busy",
            &[point.most_milli, point.at_once_milli, point.responses.into()],
        ),
        Reading::TooLittle => {
            out.bytes(b"no figure: fewer than 100 responses at any load, or within a millisecond each")
        }
    }
    match proxy.backend_stats(id).maxconn {
        0 => out.bytes(b"; has no limit\n"),
        limit => say(out, "; has #\n", &[limit.into()]),
    }
}

/// How many servers would have done.
fn enough(proxy: &Proxy, pool: &Pool, id: PoolId, out: &mut Text<'_>) {
    let (mut rate_milli, mut count, mut is_bound) = (0, 0, false);
    for reading in pool.backends.iter().map(|&id| known(proxy, id)) {
        let (Reading::Full(point) | Reading::NeverFull(point) | Reading::NeverAlone(point)) = reading else { continue };
        rate_milli += point.most_milli;
        count += 1;
        is_bound |= !matches!(reading, Reading::Full(_));
    }
    let (busiest, there) = (proxy.pool_stats(id).work.requests.most_rate, pool.backends.len() as u64);
    let rate_milli = each(rate_milli, count);
    if rate_milli == 0 || busiest == 0 {
        return out.bytes(b"  servers  no figure: of no server it is known what it does at most\n");
    }
    let needed = (busiest.saturating_mul(1000)).div_ceil(rate_milli);
    say(out, "  servers  # requests in the busiest second, ~/s for each of # known: ", &[busiest, rate_milli, count]);
    out.bytes(if is_bound { b"at most " } else { b"" });
    say(out, "# would do, # where one may fail; there are #\n", &[needed, needed.saturating_add(1), there]);
}

/// Response times by load: what a server's line rests on.
fn table(proxy: &Proxy, id: BackendId, out: &mut Text<'_>) -> Next {
    proxy.refresh_statistics();
    out.bytes(b"# at_once seconds responses per_second milliseconds\n");
    for (_, class) in proxy.backend_curve(id).classes() {
        let figures = [
            class.at_once_milli(),
            u64::from(class.elapsed_ms) / 1000,
            class.responses.into(),
            class.milli_per_s(),
            class.each_us(),
        ];
        say(out, "~ # # ~ ~\n", &figures);
    }
    Next::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_take_their_places() {
        let said = |words: &str, figures: &[u64]| {
            let mut bytes = Vec::new();
            say(&mut Text::new(&mut bytes, 200), words, figures);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(said("# of ~ W, ~\n", &[12, 700, 1_949]), "12 of 0.7 W, 1.9\n");
        assert_eq!(said("~ ~ ~", &[49, 50, 9_950]), "0.0 0.1 10.0");
        assert_eq!(said("~", &[u64::MAX]), format!("{}.6", u64::MAX / 1000));
        assert_eq!((percent_milli(1, 3), percent_milli(1, 0)), (33_333, 0));
    }
}
