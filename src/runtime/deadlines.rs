//! One coarse table of deadlines: arming and disarming are a store, never a system call.
//!
//! A wheel of 1024 slots of 32 ms. An entry sits in the slot of some earlier deadline until that slot comes round and is
//! then put where it belongs, so a deadline that only moves later (every keep-alive connection's) costs one store.
//! A deadline never fires early and at most one slot late. Knows no clock: time is an argument.

use crate::table::Table;

/// Milliseconds of one slot: how late a deadline may fire.
pub const SLOT_MS: u64 = 32;
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;
const NONE: u16 = u16::MAX;
const NEVER: u64 = u64::MAX;
/// [`Entry::from_ms`] of one that is in no slot.
const OUT: u64 = u64::MAX;

struct Entry {
    /// When it fires, in milliseconds; [`NEVER`] while disarmed.
    at_ms: u64,
    /// The deadlines from this one on are not missed in the slot where it sits, which comes round with the next tick.
    from_ms: u64,
    previous: u16,
    next: u16,
}

impl Default for Entry {
    fn default() -> Self {
        Self { at_ms: NEVER, from_ms: OUT, previous: NONE, next: NONE }
    }
}

/// Deadlines of `capacity` entries, each named by its index.
pub struct Deadlines {
    entries: Table<Entry>,
    heads: Box<[u16]>,
    /// A bit for each slot that holds an entry.
    used: [u64; WORDS],
    /// The last tick that was served.
    served: u64,
    /// When the first slot behind it that holds an entry comes; [`NEVER`] while none does.
    due_ms: u64,
}

impl Deadlines {
    /// A table in which nothing is armed.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        debug_assert!(capacity < usize::from(NONE));
        Self {
            entries: Table::new(capacity),
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            used: [0; WORDS],
            served: 0,
            due_ms: NEVER,
        }
    }

    /// Sets the deadline of `id` to `at_ms`, in place of any earlier one.
    pub fn arm(&mut self, id: u16, at_ms: u64) {
        let entry = self.entries.at(id);
        entry.at_ms = at_ms;
        if at_ms < entry.from_ms {
            self.put(id, at_ms);
        }
    }

    /// Forgets the deadline of `id`.
    pub fn disarm(&mut self, id: u16) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.at_ms = NEVER;
        }
    }

    /// Forgets `id` altogether, so that it causes no turn of the loop.
    pub fn remove(&mut self, id: u16) {
        self.disarm(id);
        self.unlink(id);
    }

    /// Whether the deadline of `id` has passed at `now_ms`.
    #[must_use]
    pub fn passed(&self, id: u16, now_ms: u64) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.at_ms <= now_ms)
    }

    /// Calls `fire` for every deadline that has passed at `now_ms`. It stays passed until it is armed or disarmed.
    pub fn advance(&mut self, now_ms: u64, mut fire: impl FnMut(u16)) {
        let now_tick = now_ms / SLOT_MS;
        // Of most turns: nothing is due.
        if now_ms < self.due_ms {
            self.served = now_tick;
            return;
        }
        // After a long sleep every slot is served once, whatever its tick.
        if now_tick > self.served + SLOTS as u64 {
            self.served = now_tick - SLOTS as u64;
            self.find_next();
        }
        while self.due_ms <= now_ms {
            let tick = self.due_ms / SLOT_MS;
            self.served = tick;
            let mut id = std::mem::replace(&mut self.heads[slot(tick)], NONE);
            self.used[slot(tick) / 64] &= !(1 << (slot(tick) % 64));
            self.find_next();
            while id != NONE {
                let entry = &mut self.entries[id];
                let (next, at_ms) = (entry.next, entry.at_ms);
                (entry.from_ms, entry.previous, entry.next) = (OUT, NONE, NONE);
                if at_ms <= now_ms {
                    fire(id);
                } else if at_ms != NEVER {
                    self.link(id, at_ms);
                }
                id = next;
            }
        }
        self.served = self.served.max(now_tick);
    }

    /// When the next slot worth a turn of the loop comes, in milliseconds; `NEVER` when nothing is armed.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    fn find_next(&mut self) {
        self.due_ms = self.next_used().map_or(NEVER, |tick| tick * SLOT_MS);
    }

    /// The first tick behind the last that was served whose slot holds an entry, within one round.
    fn next_used(&self) -> Option<u64> {
        let tick = self.served + 1;
        let first = slot(tick);
        let (mut word, mut bits) = (first / 64, self.used[first / 64] & (u64::MAX << (first % 64)));
        for _ in 0..=WORDS {
            if bits != 0 {
                let found = word * 64 + bits.trailing_zeros() as usize;
                return Some(tick + ((found + SLOTS - first) % SLOTS) as u64);
            }
            word = (word + 1) % WORDS;
            bits = self.used[word];
        }
        None
    }

    /// Puts an entry into a slot where its deadline is not missed.
    #[inline(never)]
    fn put(&mut self, id: u16, at_ms: u64) {
        self.unlink(id);
        self.link(id, at_ms);
    }

    fn link(&mut self, id: u16, at_ms: u64) {
        let tick = (at_ms / SLOT_MS).saturating_add(1).clamp(self.served + 1, self.served + SLOTS as u64 - 1);
        let head = std::mem::replace(&mut self.heads[slot(tick)], id);
        if head != NONE {
            self.entries[head].previous = id;
        }
        let entry = &mut self.entries[id];
        (entry.from_ms, entry.previous, entry.next) = ((tick - 1) * SLOT_MS, NONE, head);
        self.used[slot(tick) / 64] |= 1 << (slot(tick) % 64);
        self.due_ms = self.due_ms.min(tick * SLOT_MS);
    }

    fn unlink(&mut self, id: u16) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.from_ms == OUT {
            return;
        }
        let (tick, previous, next) = (entry.from_ms / SLOT_MS + 1, entry.previous, entry.next);
        (entry.from_ms, entry.previous, entry.next) = (OUT, NONE, NONE);
        if next != NONE {
            self.entries[next].previous = previous;
        }
        if previous == NONE {
            self.heads[slot(tick)] = next;
            if next == NONE {
                self.used[slot(tick) / 64] &= !(1 << (slot(tick) % 64));
                if tick * SLOT_MS == self.due_ms {
                    self.find_next();
                }
            }
        } else {
            self.entries[previous].next = next;
        }
    }
}

fn slot(tick: u64) -> usize {
    // The remainder is below SLOTS.
    #[allow(clippy::cast_possible_truncation)]
    let slot = (tick % SLOTS as u64) as usize;
    slot
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wait_ms(table: &Deadlines, now_ms: u64) -> Option<u64> {
        (table.due_ms() != NEVER).then(|| table.due_ms().saturating_sub(now_ms))
    }

    fn fired(table: &mut Deadlines, now_ms: u64) -> Vec<u16> {
        let mut ids = Vec::new();
        table.advance(now_ms, |id| ids.push(id));
        ids.sort_unstable();
        ids
    }

    #[test]
    fn fires_once_its_time_has_passed() {
        let mut table = Deadlines::new(4);
        table.arm(1, 100);
        assert_eq!(fired(&mut table, 99), []);
        assert_eq!(fired(&mut table, 100 + SLOT_MS), [1]);
        assert!(table.passed(1, 100 + SLOT_MS));
        assert_eq!(fired(&mut table, 1000), []);
        assert_eq!(wait_ms(&table, 1000), None);
    }

    #[test]
    fn moving_later_and_sooner() {
        let mut table = Deadlines::new(4);
        table.arm(0, 1_000);
        table.arm(0, 5_000);
        assert_eq!(fired(&mut table, 2_000), []);
        table.arm(0, 2_500);
        assert_eq!(fired(&mut table, 2_600), [0]);
        table.arm(0, 3_000);
        table.disarm(0);
        assert_eq!(fired(&mut table, 9_000), []);
        assert_eq!(wait_ms(&table, 9_000), None);
    }

    #[test]
    fn beyond_one_round_of_the_wheel_and_after_a_long_sleep() {
        let mut table = Deadlines::new(2);
        table.arm(0, 3_600_000);
        let mut now_ms = 0;
        while let Some(wait_ms) = wait_ms(&table, now_ms) {
            now_ms += wait_ms;
            if !fired(&mut table, now_ms).is_empty() {
                break;
            }
        }
        assert!((3_600_000..=3_600_000 + SLOT_MS).contains(&now_ms), "{now_ms}");
        table.arm(1, now_ms + 10);
        assert_eq!(fired(&mut table, now_ms + 100_000_000), [1]);
    }

    proptest! {
        /// Whatever is armed, moved and disarmed: nothing fires early, and nothing later than a slot after the loop woke.
        #[test]
        fn never_early_never_late(steps in prop::collection::vec((0u16..8, 0u64..90_000, 0u64..4_000, any::<bool>()), 1..200)) {
            let mut table = Deadlines::new(8);
            let mut wanted = [NEVER; 8];
            let mut now_ms = 0;
            for (id, after_ms, pass_ms, disarm) in steps {
                if disarm {
                    table.disarm(id);
                    wanted[usize::from(id)] = NEVER;
                } else {
                    table.arm(id, now_ms + after_ms);
                    wanted[usize::from(id)] = now_ms + after_ms;
                }
                let until = now_ms + pass_ms;
                while now_ms < until {
                    now_ms += wait_ms(&table, now_ms).unwrap_or(NEVER).clamp(1, until - now_ms);
                    for id in fired(&mut table, now_ms) {
                        let at = std::mem::replace(&mut wanted[usize::from(id)], NEVER);
                        prop_assert!(at <= now_ms, "early: {at} at {now_ms}");
                        table.disarm(id);
                    }
                    for at in wanted {
                        prop_assert!(at == NEVER || at + SLOT_MS >= now_ms, "late: {at} at {now_ms}");
                    }
                }
            }
        }
    }
}
