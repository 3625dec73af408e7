//! Which address of a name is in which of its slots (`backend.N.slots`).
//!
//! ```text
//!              the name has it                the name has it no longer
//!   Free ----------------------------> Held --------------------------> Leaving
//!     ^                                 ^                                |   |
//!     |                                 +------- the name has it again --+   |
//!     +---------------------------------------- its last request is over ----+
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
    Leaving(IpAddr),
}

impl Slot {
    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Free => None,
            Self::Held(address) | Self::Leaving(address) => Some(address),
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
/// least first, take the first free slots. `change` is told each change, `busy` says whether requests to a slot's address
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
                Slot::Leaving(address)
            }
            Slot::Leaving(address) if addresses.contains(&address) => {
                change(at, Change::Back(address));
                Slot::Held(address)
            }
            same => same,
        };
        if matches!(slot, Slot::Leaving(_)) && !busy(at) {
            *slot = Slot::Free;
        }
    }
    let mut joining: Vec<IpAddr> = addresses.to_vec();
    joining.retain(|address| slots.iter().all(|slot| slot.address() != Some(*address)));
    for (at, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| **slot == Slot::Free) {
        // There are few: no sorting, whose code is large.
        let Some(&address) = joining.iter().min() else { break };
        joining.retain(|other| *other != address);
        change(at, Change::Join(address));
        *slot = Slot::Held(address);
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
            ("432", "0", "0-", 1),
            ("432", "0", "", 1),
            ("432", "", "0+4", 0),
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
                    Slot::Free | Slot::Leaving(_) => None,
                }).collect();
                prop_assert_eq!(held.len() + left, addresses.len());
                prop_assert!(held.iter().all(|address| addresses.contains(address)));
                prop_assert!(left == 0 || slots.iter().all(|slot| *slot != Slot::Free));
                for (at, (slot, before)) in slots.iter().zip(before).enumerate() {
                    prop_assert_eq!(told[at], match slot { Slot::Held(address) => Some(*address), _ => None });
                    prop_assert!(held.iter().filter(|held| Some(**held) == slot.address()).count() <= 1);
                    if let Slot::Held(address) = before && addresses.contains(&address) {
                        prop_assert_eq!(*slot, before);
                    }
                }
            }
        }
    }
}
