//! Which address of a name is in which of its slots (`backend.N.slots`).
//!
//! ```text
//!              the name has it                the name has it no longer
//!   Free ----------------------------> Held --------------------------> Leaving
//!     ^                                 ^                               |  |  |
//!     |                                 +------- the name has it again -+  |  |
//!     |                                 +--- no slot is free for another --+  |
//!     +---------------------------------------- its last request is over -----+
//! ```

use core::net::IpAddr;

/// One slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// It has no address.
    #[default]
    Free,
    /// It has this one.
    Held(IpAddr),
    /// It has this one no longer, and requests to it are not over.
    Leaving {
        /// The one it had.
        address: IpAddr,
        /// How many times the slots were filled since.
        rounds: u32,
    },
}

impl Slot {
    /// How soon it is for an address that joins; `None` when it is not to be had.
    fn turn(self) -> Option<u32> {
        match self {
            Self::Free => Some(u32::MAX),
            Self::Held(_) => None,
            Self::Leaving { rounds, .. } => Some(rounds),
        }
    }
}

/// What happens to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets an address that was in no slot.
    Join(IpAddr),
    /// It gets back the address that was about to leave.
    Back(IpAddr),
    /// Its address leaves.
    Leave,
}

/// Brings the addresses of a name into its slots. An address keeps its slot for as long as the name has it; new ones, the
/// least first, take the first free slots, and when none is free those that are being left, the longest first: a long
/// download must not keep a new server out. `change` is told each change, `busy` says whether requests to a slot's address
/// are under way. Each address is there once. The number of those for which there is no slot.
pub fn fill(
    slots: &mut [Slot],
    addresses: &[IpAddr],
    mut change: impl FnMut(usize, Change),
    busy: impl Fn(usize) -> bool,
) -> usize {
    for (at, slot) in slots.iter_mut().enumerate() {
        *slot = match *slot {
            Slot::Held(address) if !addresses.contains(&address) => {
                change(at, Change::Leave);
                Slot::Leaving { address, rounds: 0 }
            }
            Slot::Leaving { address, .. } if addresses.contains(&address) => {
                change(at, Change::Back(address));
                Slot::Held(address)
            }
            // One less than a free slot's turn.
            Slot::Leaving { address, rounds } => Slot::Leaving { address, rounds: (u32::MAX - 1).min(rounds + 1) },
            same => same,
        };
        if matches!(slot, Slot::Leaving { .. }) && !busy(at) {
            *slot = Slot::Free;
        }
    }
    let mut joining: Vec<IpAddr> = addresses.to_vec();
    joining.retain(|address| !slots.contains(&Slot::Held(*address)));
    // There are few: no sorting, whose code is large.
    while let Some(&address) = joining.iter().min() {
        let mut next: Option<(u32, usize)> = None;
        for (at, slot) in slots.iter().enumerate() {
            if let Some(turn) = slot.turn().filter(|turn| next.is_none_or(|(most, _)| *turn > most)) {
                next = Some((turn, at));
            }
        }
        let Some((_, at)) = next else { break };
        joining.retain(|other| *other != address);
        change(at, Change::Join(address));
        slots[at] = Slot::Held(address);
    }
    joining.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Fills, and gives what changed and how many are left over. Addresses and slots are single digits.
    fn round(slots: &mut [Slot], addresses: &str, busy: &str) -> (String, usize) {
        let addresses: Vec<IpAddr> = addresses.bytes().map(|digit| ip(digit - b'0')).collect();
        let mut changes = Vec::new();
        let last = |address: IpAddr| address.to_string().pop().unwrap();
        let note = |at, change| {
            changes.push(match change {
                Change::Join(address) => format!("{at}+{}", last(address)),
                Change::Back(address) => format!("{at}={}", last(address)),
                Change::Leave => format!("{at}-"),
            });
        };
        let left = fill(slots, &addresses, note, |at| busy.contains(&at.to_string()));
        (changes.join(" "), left)
    }

    #[test]
    fn addresses_keep_their_slots() {
        let mut slots = [Slot::Free; 3];
        // Addresses, busy slots, changes, left over.
        let rounds = [
            ("31", "", "0+1 1+3", 0),
            ("13", "", "", 0),
            ("132", "", "2+2", 0),
            ("4321", "", "", 1),
            ("432", "", "0- 0+4", 0),
            ("", "1", "0- 1- 2-", 0),
            ("3", "1", "1=3", 0),
            ("35", "1", "0+5", 0),
            ("5", "01", "1-", 0),
            ("56", "01", "2+6", 0),
            ("56", "01", "", 0),
            ("563", "01", "1=3", 0),
        ];
        for (number, (addresses, busy, changes, left)) in rounds.into_iter().enumerate() {
            assert_eq!(round(&mut slots, addresses, busy), (changes.to_owned(), left), "round {number}");
        }
    }

    #[test]
    fn a_new_address_waits_for_no_long_download() {
        let mut slots = [Slot::Free; 3];
        let rounds = [
            ("123", "", "0+1 1+2 2+3", 0),
            // Busy ones are taken only by who finds no free one,
            ("13", "1", "1-", 0),
            ("1", "12", "2-", 0),
            // the one that is being left longest first,
            ("14", "12", "1+4", 0),
            // which may be the higher one.
            ("1", "12", "1-", 0),
            ("15", "12", "2+5", 0),
            ("15", "12", "", 0),
            ("156", "12", "1+6", 0),
            ("156", "012", "", 0),
            // All at once, more than there are slots; who is idle is first.
            ("7894", "02", "0- 1- 2- 1+4 0+7 2+8", 1),
            // Who was there has its slot before others look for one.
            ("", "012", "0- 1- 2-", 0),
            ("1237", "012", "0=7 1+1 2+2", 1),
        ];
        for (number, (addresses, busy, changes, left)) in rounds.into_iter().enumerate() {
            assert_eq!(round(&mut slots, addresses, busy), (changes.to_owned(), left), "round {number}");
        }
    }

    #[test]
    fn who_is_leaving_for_ages_is_no_free_slot() {
        let leaving = Slot::Leaving { address: ip(1), rounds: u32::MAX - 1 };
        let mut slots = [leaving, Slot::Free];
        assert_eq!(round(&mut slots, "2", "0"), ("1+2".to_owned(), 0));
        assert_eq!(slots, [leaving, Slot::Held(ip(2))]);
    }

    proptest! {
        #[test]
        fn no_address_is_lost_or_in_two_slots(
            count in 1usize..6,
            rounds in proptest::collection::vec((proptest::collection::vec(0u8..8, 0..9), any::<u8>()), 1..20),
        ) {
            let mut slots = vec![Slot::Free; count];
            let mut told = vec![None; count];
            for (lasts, busy) in rounds {
                let mut addresses: Vec<IpAddr> = Vec::new();
                lasts.into_iter().map(ip).for_each(|ip| if !addresses.contains(&ip) { addresses.push(ip) });
                let before = slots.clone();
                let left = fill(&mut slots, &addresses, |at, change| told[at] = match change {
                    Change::Join(address) | Change::Back(address) => Some(address),
                    Change::Leave => None,
                }, |at| busy >> at & 1 == 1);
                let held: Vec<IpAddr> = slots.iter().filter_map(|slot| match slot {
                    Slot::Held(address) => Some(*address),
                    Slot::Free | Slot::Leaving { .. } => None,
                }).collect();
                prop_assert_eq!(held.len() + left, addresses.len());
                prop_assert!(held.iter().all(|address| addresses.contains(address)));
                prop_assert_eq!(left, addresses.len().saturating_sub(count), "whoever is served");
                for (at, (slot, before)) in slots.iter().zip(before).enumerate() {
                    prop_assert_eq!(told[at], match slot { Slot::Held(address) => Some(*address), _ => None });
                    let address = |slot: &Slot| match *slot {
                        Slot::Free => None,
                        Slot::Held(address) | Slot::Leaving { address, .. } => Some(address),
                    };
                    let here = address(slot);
                    prop_assert!(here.is_none() || slots.iter().filter(|other| address(other) == here).count() == 1);
                    if let Slot::Held(address) = before && addresses.contains(&address) {
                        prop_assert_eq!(*slot, before);
                    }
                }
            }
        }
    }
}
