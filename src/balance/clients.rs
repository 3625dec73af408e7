//! The clients that have requests waiting, and which round each one's next request belongs to.
//!
//! Round robin over clients, as rounds: a client's first waiting request belongs to the round that is being served, each
//! further one to the round behind his last. Serving round by round then takes turns between clients, however many each
//! has waiting. Owns one fixed table, addressed openly; a client is in it only while he waits.

use std::hash::{BuildHasher, RandomState};

/// In whose line, and of which class: clients of different lines do not take turns with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub pool: u8,
    pub class: i8,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    client: u64,
    line: Line,
    /// Requests that wait; 0 when the slot is free.
    waiting: u16,
    /// The round of the last of them.
    round: u64,
}

const FREE: Slot = Slot { client: 0, line: Line { pool: 0, class: 0 }, waiting: 0, round: 0 };

/// A slot in memory. All zeroes is a free one, so the system gives the pages of the table when they are first used.
type Packed = [u64; 3];

impl Slot {
    /// The round of one request more, while `now` is the round being served.
    fn next_round(self, now: u64) -> u64 {
        if self.waiting == 0 { now } else { now.max(self.round + 1) }
    }

    fn pack(self) -> Packed {
        let [class] = self.line.class.to_ne_bytes();
        let [low, high] = self.waiting.to_ne_bytes();
        [self.client, u64::from_ne_bytes([self.line.pool, class, low, high, 0, 0, 0, 0]), self.round]
    }

    fn unpack([client, rest, round]: Packed) -> Self {
        let [pool, class, low, high, ..] = rest.to_ne_bytes();
        let line = Line { pool, class: i8::from_ne_bytes([class]) };
        Self { client, line, waiting: u16::from_ne_bytes([low, high]), round }
    }
}

/// All clients that wait.
pub(super) struct Clients {
    /// A power of two, at most half full.
    slots: Box<[Packed]>,
    /// Clients there are.
    count: usize,
    /// Keyed at random: who chooses his address does not choose his slot.
    hasher: RandomState,
}

impl Clients {
    /// For so many waiting requests at once.
    pub(super) fn new(requests: usize) -> Self {
        let slots = vec![[0; 3]; (requests * 2).next_power_of_two()].into_boxed_slice();
        Self { slots, count: 0, hasher: RandomState::new() }
    }

    /// One more request of `client` waits, while `now` is the round being served; the round it belongs to.
    pub(super) fn join(&mut self, line: Line, client: u64, now: u64) -> u64 {
        let at = self.find(line, client);
        let slot = self.slot(at);
        self.count += usize::from(slot.waiting == 0);
        let round = slot.next_round(now);
        self.slots[at] = Slot { client, line, waiting: slot.waiting + 1, round }.pack();
        round
    }

    /// The round that another request of `client` would belong to.
    pub(super) fn round(&self, line: Line, client: u64, now: u64) -> u64 {
        self.slot(self.find(line, client)).next_round(now)
    }

    /// One request fewer waits.
    pub(super) fn leave(&mut self, line: Line, client: u64) {
        let at = self.find(line, client);
        let mut slot = self.slot(at);
        debug_assert!(slot.waiting > 0, "a request that never waited");
        slot.waiting = slot.waiting.saturating_sub(1);
        self.slots[at] = slot.pack();
        if slot.waiting == 0 {
            self.count = self.count.saturating_sub(1);
            self.close_gap(at);
        }
    }

    /// Requests of `client` that wait.
    pub(super) fn waiting(&self, line: Line, client: u64) -> u16 {
        self.slot(self.find(line, client)).waiting
    }

    /// Clients there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The slot of this client, or the free one where he belongs.
    fn find(&self, line: Line, client: u64) -> usize {
        let mut at = self.home(line, client);
        // Half of the slots are free, so it ends.
        loop {
            let slot = self.slot(at);
            if slot.waiting == 0 || (slot.client, slot.line) == (client, line) {
                return at;
            }
            at = self.behind(at);
        }
    }

    fn slot(&self, at: usize) -> Slot {
        Slot::unpack(self.slots[at])
    }

    /// Where it is looked for first. Not inlined: the hash is long, and wanted in several places.
    #[inline(never)]
    fn home(&self, line: Line, client: u64) -> usize {
        let mask = self.slots.len() - 1;
        usize::try_from(self.hasher.hash_one((line, client)) & mask as u64).unwrap_or(0)
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    /// Moves who was pushed behind `gap` back into it, so that nobody is cut off from where he is looked for.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.slots.len() - 1;
        let mut at = self.behind(gap);
        loop {
            let slot = self.slot(at);
            if slot.waiting == 0 {
                break;
            }
            let home = self.home(slot.line, slot.client);
            // Whether the gap lies between where he belongs and where he is.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = self.behind(at);
        }
        self.slots[gap] = FREE.pack();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const LINE: Line = Line { pool: 0, class: 0 };

    #[test]
    fn each_further_request_is_a_round_later() {
        let mut clients = Clients::new(8);
        assert_eq!([7, 7, 7].map(|client| clients.join(LINE, client, 5)), [5, 6, 7]);
        assert_eq!(clients.join(LINE, 8, 5), 5);
        assert_eq!(clients.join(Line { class: -1, ..LINE }, 7, 9), 9, "another line");
        [7, 7, 7].iter().for_each(|&client| clients.leave(LINE, client));
        assert_eq!(clients.join(LINE, 7, 6), 6, "his earlier requests are forgotten");
        clients.leave(LINE, 8);
        assert_eq!(clients.join(LINE, 8, 20), 20);
        assert_eq!((clients.join(LINE, 7, 40), clients.join(LINE, 7, 40)), (40, 41), "the present is the least");
    }

    #[test]
    fn a_client_has_rounds_of_his_own_in_each_line_wherever_they_are_kept() {
        // With so few slots lines meet in the table, under some of the keys.
        for _ in 0..64 {
            let mut clients = Clients::new(2);
            assert_eq!((clients.join(LINE, 7, 0), clients.join(Line { pool: 1, ..LINE }, 7, 0)), (0, 0));
        }
    }

    proptest! {
        /// The table is what a map is.
        #[test]
        fn like_a_map(steps in prop::collection::vec((0u64..12, any::<bool>()), 1..200)) {
            let mut clients = Clients::new(16);
            let mut model = HashMap::<u64, (u16, u64)>::new();
            let mut waiting = 0;
            for (now, (client, joins)) in steps.into_iter().enumerate() {
                let known = model.get(&client).copied();
                match (joins && waiting < 16, known) {
                    (true, known) => {
                        let round = known.map_or(now as u64, |(_, round)| (round + 1).max(now as u64));
                        prop_assert_eq!(clients.join(LINE, client, now as u64), round);
                        model.insert(client, (known.map_or(0, |(count, _)| count) + 1, round));
                        waiting += 1;
                    }
                    (false, Some((count, round))) => {
                        clients.leave(LINE, client);
                        waiting -= 1;
                        if count == 1 { model.remove(&client); } else { model.insert(client, (count - 1, round)); }
                    }
                    (false, None) => {}
                }
                prop_assert_eq!(clients.len(), model.len());
                prop_assert_eq!(clients.slots.iter().filter(|slot| Slot::unpack(**slot).waiting > 0).count(), model.len());
            }
        }
    }
}
