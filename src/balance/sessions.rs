//! The session map (`pool.N.stick`): which backend a user was given, by the hash of what tells users apart.
//!
//! One table for all pools, of fixed size: sets of eight, of which the hash of a key chooses one. The hash is keyed, so
//! that nobody can fill the set of another user, and long enough to stand for the key. A full set gives up what was used
//! least recently. Entries of a backend that is down stay: who comes back after it finds it again.

use super::hash::Hash;
use super::siphash::siphash;
use crate::limits::{BackendId, PoolId, SESSION_BYTES, SESSIONS};
use core::net::IpAddr;

/// Entries of a set.
const WAYS: usize = 8;
/// Milliseconds of the steps in which the age of an entry is counted: in 32 bits they last for thirteen years.
const TICK_MS: u64 = 100;

/// What tells one user of a pool from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKey {
    pool: PoolId,
    hash: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    used: u32,
    pool: PoolId,
    backend: Option<BackendId>,
}

impl Entry {
    const FREE: Self = Self { hash: 0, used: 0, pool: PoolId(0), backend: None };

    fn is_of(&self, key: SessionKey) -> bool {
        self.backend.is_some() && self.pool == key.pool && self.hash == key.hash
    }
}

const _: () = assert!(size_of::<Entry>() as u64 == SESSION_BYTES && SESSIONS.is_multiple_of(WAYS));

/// The session map of all pools.
pub struct Sessions {
    sets: Box<[[Entry; WAYS]]>,
    secret: [u64; 2],
    pools: Box<[OfPool]>,
}

/// What it knows of a pool.
#[derive(Clone, Copy)]
struct OfPool {
    /// What its users are hashed with, so that one of two pools lies in two places: by its name, which outlives its place.
    salt: u32,
    /// How long an unused entry is good, in ticks.
    expires: u32,
}

/// An entry, as another map can take it over whose keys are hashed with the same secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Of the key.
    pub hash: u64,
    /// For how long it was not used, in tenths of a second.
    pub age: u32,
    /// The user's backend.
    pub backend: BackendId,
}

impl Sessions {
    /// A map of `capacity` entries for so many pools, none of which has any yet.
    #[must_use]
    pub fn new(capacity: usize, secret: [u64; 2], pools: usize) -> Self {
        Self {
            sets: vec![[Entry::FREE; WAYS]; capacity / WAYS].into_boxed_slice(),
            secret,
            pools: vec![OfPool { salt: 0, expires: 0 }; pools].into_boxed_slice(),
        }
    }

    /// The key of a user of `pool` who is told apart by `text`; none when there is no text.
    #[must_use]
    pub fn key(&self, pool: PoolId, text: &[u8]) -> Option<SessionKey> {
        (!text.is_empty()).then(|| SessionKey { pool, hash: siphash(self.secret, &[&self.salt(pool), text]) })
    }

    /// The same of one who is told apart by his address. Who has one IPv6 address has the 2^64 beside it.
    #[must_use]
    pub fn source(&self, pool: PoolId, address: IpAddr) -> SessionKey {
        let hash = match address.to_canonical() {
            IpAddr::V4(address) => siphash(self.secret, &[&self.salt(pool), &address.octets()]),
            IpAddr::V6(address) => siphash(self.secret, &[&self.salt(pool), &address.octets()[..8]]),
        };
        SessionKey { pool, hash }
    }

    /// The backend this user was given, if he comes in time; his time begins anew.
    pub fn find(&mut self, key: SessionKey, now_ms: u64) -> Option<BackendId> {
        let now = ticks(now_ms);
        let (at, way) = self.place_of(key, now)?;
        let entry = &mut self.sets[at][way];
        entry.used = now;
        entry.backend
    }

    /// The same for somebody who only asks: his time does not begin anew.
    #[must_use]
    pub fn peek(&self, key: SessionKey, now_ms: u64) -> Option<BackendId> {
        let (at, way) = self.place_of(key, ticks(now_ms))?;
        self.sets[at][way].backend
    }

    /// Where the entry of a key is, unless it is over.
    #[inline(always)]
    fn place_of(&self, key: SessionKey, now: u32) -> Option<(usize, usize)> {
        let at = self.set_of(key)?;
        let way = self.sets[at].iter().position(|entry| entry.is_of(key) && !self.is_over(entry, now))?;
        Some((at, way))
    }

    /// Remembers the backend this user was given.
    pub fn store(&mut self, key: SessionKey, backend: BackendId, now_ms: u64) {
        self.write(key, backend, 0, ticks(now_ms));
    }

    fn write(&mut self, key: SessionKey, backend: BackendId, age: u32, now: u32) {
        let Some(at) = self.set_of(key) else { return };
        let set = &self.sets[at];
        // His own entry, else a free one, else the one used least recently.
        let rank = |entry: &Entry| match entry {
            entry if entry.is_of(key) => (0, 0),
            entry if self.is_over(entry, now) => (1, 0),
            entry => (2, u32::MAX - now.wrapping_sub(entry.used)),
        };
        if let Some(way) = (0..WAYS).min_by_key(|&way| rank(&set[way])) {
            self.sets[at][way] =
                Entry { hash: key.hash, used: now.wrapping_sub(age), pool: key.pool, backend: Some(backend) };
        }
    }

    /// Forgets one user.
    pub fn forget_user(&mut self, key: SessionKey) {
        let Some(at) = self.set_of(key) else { return };
        self.sets[at].iter_mut().filter(|entry| entry.is_of(key)).for_each(|entry| *entry = Entry::FREE);
    }

    /// From now on an unused entry of `pool`, which has this name, is good for so long.
    pub fn set_pool(&mut self, pool: PoolId, name: &str, expire_ms: u64) {
        self.pools[pool.index()] = OfPool { salt: Hash::Beelance.of(&[name.as_bytes()]), expires: expiry(expire_ms) };
    }

    /// What keys are hashed with.
    #[must_use]
    pub fn secret(&self) -> [u64; 2] {
        self.secret
    }

    /// Keys are hashed with this from now on; only while there are none.
    pub fn set_secret(&mut self, secret: [u64; 2]) {
        self.secret = secret;
    }

    /// All entries that are good.
    pub fn saved(&self, now_ms: u64) -> impl Iterator<Item = Saved> {
        let now = ticks(now_ms);
        let good = self.sets.iter().flatten().filter(move |entry| !self.is_over(entry, now));
        good.filter_map(move |&Entry { hash, used, backend, .. }| {
            Some(Saved { hash, age: now.wrapping_sub(used), backend: backend? })
        })
    }

    /// Takes over an entry of another map; `pool` is its backend's.
    pub fn restore(&mut self, pool: PoolId, saved: Saved, now_ms: u64) {
        self.write(SessionKey { pool, hash: saved.hash }, saved.backend, saved.age, ticks(now_ms));
    }

    /// Forgets who was given `backend`: another server has its place.
    pub fn forget(&mut self, backend: BackendId) {
        let entries = self.sets.iter_mut().flatten();
        entries.filter(|entry| entry.backend == Some(backend)).for_each(|entry| *entry = Entry::FREE);
    }

    /// Forgets the users of `pool`: another one has its place.
    pub fn forget_pool(&mut self, pool: PoolId) {
        let entries = self.sets.iter_mut().flatten();
        entries.filter(|entry| entry.pool == pool).for_each(|entry| *entry = Entry::FREE);
    }

    /// Users of a pool that it knows.
    #[must_use]
    pub fn known(&self, pool: PoolId, now_ms: u64) -> usize {
        let now = ticks(now_ms);
        self.sets.iter().flatten().filter(|entry| entry.pool == pool && !self.is_over(entry, now)).count()
    }

    fn salt(&self, pool: PoolId) -> [u8; 4] {
        self.pools[pool.index()].salt.to_ne_bytes()
    }

    /// The set of a key; none in a map without room.
    fn set_of(&self, key: SessionKey) -> Option<usize> {
        let sets = self.sets.len() as u64;
        // The upper half of the product of the hash's lower half: even, whatever the number of sets.
        let at = ((key.hash & u64::from(u32::MAX)) * sets) >> 32;
        usize::try_from(at).ok().filter(|_| sets > 0)
    }

    fn is_over(&self, entry: &Entry, now: u32) -> bool {
        let expires = self.pools.get(entry.pool.index()).map_or(0, |pool| pool.expires);
        entry.backend.is_none() || now.wrapping_sub(entry.used) > expires
    }
}

/// A part of a tick counts as one.
fn expiry(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(TICK_MS)).unwrap_or(u32::MAX)
}

/// They begin anew when 32 bits are full: ages are differences.
fn ticks(ms: u64) -> u32 {
    u32::try_from((ms / TICK_MS) & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POOL: PoolId = PoolId(0);
    const SECRET: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    fn map(capacity: usize, expire_ms: u64) -> Sessions {
        let mut map = Sessions::new(capacity, SECRET, 2);
        map.set_pool(POOL, "one", expire_ms);
        map.set_pool(PoolId(1), "two", 2 * expire_ms);
        map
    }

    fn source(map: &Sessions, address: &str) -> SessionKey {
        map.source(POOL, address.parse().unwrap())
    }

    #[test]
    fn one_user_of_two_pools_lies_in_two_places() {
        // In one place he and seven others would push each other out.
        let map = map(8, 1000);
        let [one, two] = [PoolId(0), PoolId(1)];
        let differ = |one: SessionKey, two: SessionKey| assert_ne!(one.hash, two.hash);
        differ(map.key(one, b"anna").unwrap(), map.key(two, b"anna").unwrap());
        for address in ["192.0.2.1", "2001:db8::1"] {
            let address = address.parse().unwrap();
            differ(map.source(one, address), map.source(two, address));
        }
    }

    #[test]
    fn who_is_the_same_user() {
        let map = map(8, 1000);
        let same = |one, two| source(&map, one) == source(&map, two);
        assert!(same("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert_eq!(map.key(POOL, b""), None);
        assert_ne!(map.key(POOL, b"a"), map.key(POOL, b"b"));
        assert_ne!(map.key(POOL, b"a"), map.key(PoolId(1), b"a"));
    }

    #[test]
    fn an_entry_lives_as_long_as_it_is_used_and_no_longer() {
        let mut map = map(8, 1000);
        let (key, longer) = (map.key(POOL, b"a").unwrap(), map.key(PoolId(1), b"a").unwrap());
        map.store(key, BackendId(1), 0);
        map.store(longer, BackendId(2), 0);
        for now_ms in [1000, 2000, 3000] {
            assert_eq!(map.find(key, now_ms), Some(BackendId(1)), "{now_ms}");
        }
        assert_eq!(map.find(longer, 2000), Some(BackendId(2)));
        assert_eq!(map.find(key, 4200), None);
        assert_eq!(map.find(longer, 4200), None);
    }

    #[test]
    fn a_part_of_a_tick_counts_as_one() {
        let mut map = map(8, TICK_MS + 1);
        let key = map.key(POOL, b"a").unwrap();
        map.store(key, BackendId(1), 0);
        assert_eq!(map.find(key, 2 * TICK_MS), Some(BackendId(1)));
        assert_eq!(map.find(key, 5 * TICK_MS), None);
    }

    #[test]
    fn a_full_set_forgets_who_came_least_recently() {
        let mut map = map(WAYS, 100_000);
        let users: Vec<SessionKey> = (0..9).map(|user| map.key(POOL, &[user]).unwrap()).collect();
        for (user, now_ms) in users.iter().zip((0..8).map(|at| at * 1000)) {
            map.store(*user, BackendId(1), now_ms);
        }
        map.find(users[0], 9_000);
        map.store(users[8], BackendId(1), 10_000);
        let known: Vec<bool> = users.iter().map(|&user| map.find(user, 11_000).is_some()).collect();
        assert_eq!(known, [true, false, true, true, true, true, true, true, true]);
    }

    #[test]
    fn one_that_is_over_goes_before_one_that_was_used_earlier() {
        let mut map = map(WAYS, 1000);
        let longer = map.key(PoolId(1), b"a").unwrap();
        map.store(longer, BackendId(2), 0);
        for (user, now_ms) in [(1, 200), (2, 200), (3, 200), (4, 200), (5, 200), (6, 200), (7, 200), (8, 1500)] {
            map.store(map.key(POOL, &[user]).unwrap(), BackendId(1), now_ms);
        }
        assert_eq!(map.find(longer, 1500), Some(BackendId(2)));
    }

    #[test]
    fn another_pool_does_not_inherit() {
        let mut map = map(8, 1000);
        let (one, two) = (map.key(POOL, b"a").unwrap(), map.key(PoolId(1), b"a").unwrap());
        map.store(one, BackendId(1), 0);
        assert_eq!(map.find(two, 0), None);
        let forged = SessionKey { pool: PoolId(1), ..one };
        assert_eq!(map.find(forged, 0), None);
    }

    #[test]
    fn another_map_goes_on_with_its_entries() {
        let mut map = map(64, 10_000);
        let [anna, bert] = [b"anna", b"bert"].map(|user| map.key(PoolId(1), user).unwrap());
        map.store(anna, BackendId(1), 70_000);
        map.store(bert, BackendId(2), 82_000);
        // Of which one is over.
        map.store(map.key(POOL, b"anna").unwrap(), BackendId(3), 70_000);
        let saved: Vec<Saved> = map.saved(85_000).collect();
        // Its clock is another, and so is the place of the pool.
        let mut next = Sessions::new(64, [0, 0], 3);
        next.set_secret(map.secret());
        next.set_pool(PoolId(2), "two", 20_000);
        for entry in &saved {
            next.restore(PoolId(2), *entry, 100);
        }
        assert_eq!(next.saved(100).collect::<Vec<_>>(), saved);
        let key = |user: &[u8]| next.key(PoolId(2), user).unwrap();
        let [anna, bert] = [key(b"anna"), key(b"bert")];
        assert_eq!(next.find(bert, 200), Some(BackendId(2)));
        assert_eq!(next.known(PoolId(2), 5_000), 2);
        // Her time goes on where it was: 15 of 20 s had passed.
        assert_eq!(next.known(PoolId(2), 5_300), 1);
        assert_eq!(next.find(anna, 5_300), None);
    }

    #[test]
    fn a_map_without_room_remembers_nothing() {
        let mut map = map(0, 1000);
        let key = map.key(POOL, b"a").unwrap();
        map.store(key, BackendId(1), 0);
        assert_eq!(map.find(key, 0), None);
    }

    #[test]
    fn users_spread_over_the_sets_and_the_key_decides_how() {
        let addresses = || (0..u32::try_from(SESSIONS / 2).unwrap()).map(|n| IpAddr::from(n.to_be_bytes()));
        let mut map = map(SESSIONS, 1000);
        for address in addresses() {
            map.store(map.source(POOL, address), BackendId(3), 0);
        }
        let kept = addresses().filter(|&address| map.find(map.source(POOL, address), 0).is_some()).count();
        assert!(kept * 100 >= SESSIONS / 2 * 98, "{kept} of {} in a table twice as large", SESSIONS / 2);
        // Who share a set under one key do not under another.
        let other = Sessions::new(SESSIONS, [1, 2], 1);
        let set = |map: &Sessions, address| map.set_of(map.source(POOL, address)).unwrap();
        let crowd: Vec<IpAddr> = addresses().filter(|&address| set(&map, address) < 8).collect();
        let still = crowd.iter().filter(|&&address| set(&other, address) < 8).count();
        assert!(crowd.len() > 16 && still * 8 < crowd.len(), "{still} of {}", crowd.len());
    }

    proptest! {
        /// A map of one set is a list of the eight that were used last and are not over.
        #[test]
        fn like_a_list(steps in prop::collection::vec((0u8..14, 0u8..4, any::<bool>(), 1u64..4), 1..200)) {
            let mut map = map(WAYS, 4000);
            let mut model: Vec<(u8, u8, u64)> = Vec::new();
            let mut tick = 0;
            for (user, backend, stores, pause) in steps {
                tick += pause;
                let key = map.key(POOL, &[user]).unwrap();
                model.retain(|&(_, _, used)| tick - used <= 40);
                let known = model.iter().position(|&(id, ..)| id == user).map(|at| model.remove(at));
                if stores {
                    map.store(key, BackendId(backend), tick * TICK_MS);
                    if model.len() == WAYS {
                        model.remove(0);
                    }
                    model.push((user, backend, tick));
                } else {
                    prop_assert_eq!(map.find(key, tick * TICK_MS), known.map(|(_, backend, _)| BackendId(backend)));
                    model.extend(known.map(|(user, backend, _)| (user, backend, tick)));
                }
            }
        }

        /// In a map of many sets nobody is ever told another's backend, or one of before.
        #[test]
        fn never_anothers(steps in prop::collection::vec((any::<u8>(), 0u8..2, any::<u8>(), 0u64..500), 1..300)) {
            let mut map = map(64, 1000);
            let mut last = std::collections::BTreeMap::new();
            let mut now_ms = 0;
            for (user, pool, backend, pause) in steps {
                now_ms += pause;
                let key = map.key(PoolId(pool), &[user]).unwrap();
                if let Some(found) = map.find(key, now_ms) {
                    let (stored, used_ms) = last[&(user, pool)];
                    prop_assert_eq!(found, stored);
                    prop_assert!(now_ms - used_ms <= 1000 * (u64::from(pool) + 1) + 2 * TICK_MS);
                }
                map.store(key, BackendId(backend), now_ms);
                prop_assert_eq!(map.find(key, now_ms), Some(BackendId(backend)));
                last.insert((user, pool), (BackendId(backend), now_ms));
            }
        }
    }
}
