//! How often each client asks and errs (`limits.rate`, `limits.errors`, `route.N.rate`), and which clients are known.
//!
//! One table of fixed size, like the session map: sets of eight, of which the keyed hash of a client chooses one. What
//! is counted is a bucket that drains at the allowed rate and holds as much as one period allows. So a client that does no
//! more than that in any period is never refused, wherever the period begins, which two windows of time (HAProxy's
//! `freq_ctr`) cannot promise; and an empty bucket knows nothing, so that giving it up loses nothing. A full set gives up who
//! used the least share of its allowance: any number of addresses that come once push out each other, not a client that
//! is counted for a reason. Refuses to know what follows from a rate that is passed.

use super::siphash::siphash;
use crate::limits::{KNOWN_MS, RATE_BYTES, RATES, RouteId};

/// Entries of a set.
const WAYS: usize = 8;
/// Entries of a set that being known protects: the others are for who is active.
const KNOWN_WAYS: usize = WAYS / 2;
/// What a bucket holds, and what drains from it in one period.
const FULL: u64 = 1_000_000_000;

/// So many in a period (`100/s`, `300/m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 1..=[`Rate::MOST`].
    pub count: u16,
    /// Of a minute, not of a second.
    pub per_minute: bool,
}

impl Rate {
    /// The largest count.
    pub const MOST: u16 = 50_000;

    /// What one event puts into a bucket.
    fn share(self) -> u64 {
        FULL / u64::from(self.count.max(1))
    }
}

/// A bucket, by the time when it will be empty: that of a clock that does [`FULL`] steps a period, shifted by one bit,
/// which says whether the period is a minute. No bit is set in one that was never used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket(u64);

impl Bucket {
    fn new(per_minute: bool, empty: u64) -> Self {
        Self(empty << 1 | u64::from(per_minute))
    }

    fn per_minute(self) -> bool {
        self.0 & 1 == 1
    }

    /// What is in it.
    fn level(self, now_ms: u64) -> u64 {
        (self.0 >> 1).saturating_sub(clock(self.per_minute(), now_ms))
    }

    /// The same with one event more; at most what drains to all it may hold in one period. One that counted in other periods begins anew.
    fn add(self, rate: Rate, now_ms: u64) -> Self {
        let level = if self.per_minute() == rate.per_minute { self.level(now_ms) } else { 0 };
        let level = (level + rate.share()).min(Act::Error.most(rate) + FULL);
        Self::new(rate.per_minute, clock(rate.per_minute, now_ms) + level)
    }

    /// Milliseconds until no more than `most` is in it.
    fn wait_ms(self, most: u64, now_ms: u64) -> u64 {
        let at = (self.0 >> 1).saturating_sub(most);
        let at_ms = (at * period_s(self.per_minute())).div_ceil(FULL / 1_000);
        at_ms.saturating_sub(now_ms)
    }
}

fn period_s(per_minute: bool) -> u64 {
    if per_minute { 60 } else { 1 }
}

fn clock(per_minute: bool, now_ms: u64) -> u64 {
    now_ms * (FULL / 1_000) / period_s(per_minute)
}

/// Who is counted: a client, or a client on one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted(u64);

/// What is counted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A request that was admitted.
    Request,
    /// An error it caused.
    Error,
}

/// An entry. All zeroes is a free one, so the system gives the pages of the table when they are first used.
type Entry = [u64; 4];

/// What the parts of an entry are.
const WHO: usize = 0;
const REQUESTS: usize = 1;
const ERRORS: usize = 2;
/// Until when it is known, in milliseconds.
const KNOWN: usize = 3;

impl Act {
    fn part(self) -> usize {
        match self {
            Self::Request => REQUESTS,
            Self::Error => ERRORS,
        }
    }

    /// What may be in the bucket when another one comes: of requests what leaves room for it, of errors all there may be.
    fn most(self, rate: Rate) -> u64 {
        let events = match self {
            Self::Request => rate.count.saturating_sub(1),
            Self::Error => rate.count,
        };
        u64::from(events) * rate.share()
    }
}

const _: () = assert!(size_of::<Entry>() as u64 == RATE_BYTES && RATES.is_multiple_of(WAYS));

/// The table of all clients and routes.
pub struct Rates {
    sets: Box<[[Entry; WAYS]]>,
    secret: [u64; 2],
}

impl Rates {
    /// A table of `capacity` entries.
    #[must_use]
    pub fn new(capacity: usize, secret: [u64; 2]) -> Self {
        Self { sets: vec![[[0; 4]; WAYS]; capacity / WAYS].into_boxed_slice(), secret }
    }

    /// The key of a client, by the number that stands for its address; on a route when that is given.
    #[must_use]
    #[inline(never)]
    pub fn who(&self, client: u64, route: Option<RouteId>) -> Counted {
        let route = route.map_or([0, 0], |RouteId(route)| [1, route]);
        Counted(siphash(self.secret, &[&client.to_le_bytes(), &route]) | 1)
    }

    /// Milliseconds until `who` may do this, if it does not do it meanwhile: 0 when it may now. An error is never up to
    /// permission; a client may go on while it caused no more than `rate` of them.
    #[must_use]
    #[inline(never)]
    pub fn wait_ms(&self, who: Counted, act: Act, rate: Rate, now_ms: u64) -> u64 {
        let bucket = self.find(who).map_or(Bucket::default(), |entry| Bucket(entry[act.part()]));
        if bucket.per_minute() == rate.per_minute { bucket.wait_ms(act.most(rate), now_ms) } else { 0 }
    }

    /// How many of these are in the bucket of `who`, a part of one counting as one: what drained is no longer there.
    #[must_use]
    #[inline(never)]
    pub fn used(&self, who: Counted, act: Act, rate: Rate, now_ms: u64) -> u32 {
        let bucket = self.find(who).map_or(Bucket::default(), |entry| Bucket(entry[act.part()]));
        let level = if bucket.per_minute() == rate.per_minute { bucket.level(now_ms) } else { 0 };
        u32::try_from(level.div_ceil(rate.share())).unwrap_or(u32::MAX)
    }

    /// `who` does this, which is bounded by `rate`.
    #[inline(never)]
    pub fn count(&mut self, who: Counted, act: Act, rate: Rate, now_ms: u64) {
        if let Some(entry) = self.enter(who, now_ms) {
            let part = &mut entry[act.part()];
            *part = Bucket(*part).add(rate, now_ms).0;
        }
    }

    /// `who` was served as a user that an affinity cookie brought back.
    pub fn know(&mut self, who: Counted, now_ms: u64) {
        if let Some(entry) = self.enter(who, now_ms) {
            entry[KNOWN] = now_ms.saturating_add(KNOWN_MS);
        }
    }

    /// Whether it was, not long ago.
    #[must_use]
    pub fn knows(&self, who: Counted, now_ms: u64) -> bool {
        self.find(who).is_some_and(|entry| entry[KNOWN] > now_ms)
    }

    fn find(&self, who: Counted) -> Option<&Entry> {
        self.sets.get(self.set_of(who))?.iter().find(|entry| entry[WHO] == who.0)
    }

    /// The entry of `who`, who gets one if it has none.
    #[inline(never)]
    fn enter(&mut self, who: Counted, now_ms: u64) -> Option<&mut Entry> {
        let at = self.set_of(who);
        let set = self.sets.get_mut(at)?;
        let way = set.iter().position(|entry| entry[WHO] == who.0).or_else(|| least(set, now_ms))?;
        let entry = set.get_mut(way)?;
        if entry[WHO] != who.0 {
            *entry = [who.0, 0, 0, 0];
        }
        Some(entry)
    }

    fn set_of(&self, who: Counted) -> usize {
        // The upper half of the product of the hash's upper half: even, whatever the number of sets.
        usize::try_from(((who.0 >> 32) * self.sets.len() as u64) >> 32).unwrap_or(0)
    }
}

/// The entry that a set gives up: a free one, else the one with the least in its buckets, of these the one known least
/// recently. Up to half of a set is spared for being known.
#[inline(never)]
fn least(set: &[Entry], now_ms: u64) -> Option<usize> {
    // A slice and two clocks: unrolled eight times, with its divisions, it would be ten times as long.
    let clocks = [false, true].map(|per_minute| clock(per_minute, now_ms));
    let level = |bucket: u64| (bucket >> 1).saturating_sub(clocks[usize::from(Bucket(bucket).per_minute())]);
    let is_known = |entry: &Entry| entry[KNOWN] > now_ms;
    let spares = set.iter().filter(|entry| is_known(entry)).count() <= KNOWN_WAYS;
    let mut found: Option<(usize, (u8, u64, u64))> = None;
    for (way, entry) in set.iter().enumerate() {
        if entry[WHO] == 0 {
            return Some(way);
        }
        let spared = u8::from(spares && is_known(entry));
        let rank = (spared, level(entry[REQUESTS]).max(level(entry[ERRORS])), entry[KNOWN]);
        if found.is_none_or(|(_, least)| rank < least) {
            found = Some((way, rank));
        }
    }
    found.map(|(way, _)| way)
}

#[cfg(test)]
mod tests;
