//! HAProxy's ring: every backend has 16 nodes for each unit of its weight, a key belongs to the nearest one.
//!
//! The same backends in the same order give the same placement as `hash-type consistent` there, bit for bit. Nodes stay
//! where they are while their backend takes no requests, and are passed over.

use super::hash::avalanche;
use crate::limits::NODES_PER_WEIGHT;
use crate::sort;

/// Keys of one backend are so far apart that the greatest weight has room (HAProxy's `SRV_EWGHT_RANGE`).
const NODES_PER_BACKEND: u32 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    key: u32,
    /// The place in the pool.
    member: u8,
    /// Its number among those of its backend.
    ordinal: u16,
}

/// The nodes of one pool, in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Ring(Box<[Node]>);

impl Ring {
    /// The ring of backends with these weights, in the order of the file.
    pub(super) fn new(weights: impl Iterator<Item = u16>) -> Self {
        let of_one = |(member, weight): (u8, u16)| {
            let first = (u32::from(member) + 1) * NODES_PER_BACKEND;
            let node = move |ordinal: u16| Node { key: avalanche(first + u32::from(ordinal)), member, ordinal };
            (0..weight * NODES_PER_WEIGHT).map(node)
        };
        let mut nodes: Vec<Node> = (0..=u8::MAX).zip(weights).flat_map(of_one).collect();
        sort::many(&mut nodes, Ord::cmp);
        Self(nodes.into_boxed_slice())
    }

    /// The member that has `key`: of the nodes that are `present` (a member's, with such a number) the nearest in either
    /// direction, of two equally near the one before; and from there on the next of a member that is `eligible`. Both cost
    /// a round at most.
    pub(super) fn find(
        &self,
        key: u32,
        present: impl Fn(usize, u16) -> bool,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let start = self.0.partition_point(|node| node.key < key);
        let (before, behind) = self.0.split_at(start);
        let is_present = |node: &&Node| present(usize::from(node.member), node.ordinal);
        let mut onwards = behind.iter().chain(before).filter(is_present).peekable();
        let previous = before.iter().rev().chain(behind.iter().rev()).find(is_present)?;
        let next = onwards.peek()?;
        let nearest = (key.wrapping_sub(previous.key) <= next.key.wrapping_sub(key)).then_some(previous);
        let member = |node: &Node| usize::from(node.member);
        nearest.into_iter().chain(onwards).map(member).find(|&member| eligible(member))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::Hash;
    use super::*;

    fn ring(count: usize, weight: u16) -> Ring {
        Ring::new(std::iter::repeat_n(weight, count))
    }

    fn find(ring: &Ring, key: &str) -> usize {
        ring.find(Hash::Haproxy.of(&[key.as_bytes()]), |_, _| true, |_| true).unwrap() + 1
    }

    #[test]
    fn haproxy_placement() {
        let (light, heavy) = (ring(4, 1), ring(4, 10));
        for (key, in_light, in_heavy) in
            [("/", 2, 2), ("/index.html", 4, 4), ("/obj/0", 1, 4), ("alice", 4, 4), ("bob", 1, 3)]
        {
            assert_eq!((find(&light, key), find(&heavy, key)), (in_light, in_heavy), "{key}");
        }
        let source = Hash::Haproxy.of_address(&[10, 0, 0, 1]);
        assert_eq!(light.find(source, |_, _| true, |_| true), Some(3));
    }

    /// The shares that HAProxy's algorithm gave elsewhere for 200,000 keys, in tenths of a percent.
    #[test]
    fn haproxy_shares() {
        let cases: [(u16, [u32; 4]); 4] = [
            (1, [288, 185, 245, 282]),
            (10, [273, 246, 249, 232]),
            (64, [245, 257, 246, 252]),
            (256, [245, 252, 249, 253]),
        ];
        for (weight, wanted) in cases {
            let ring = ring(4, weight);
            let mut shares = [0u32; 4];
            for number in 0..50_000 {
                shares[find(&ring, &format!("/obj/{number}")) - 1] += 1;
            }
            for (share, wanted) in shares.map(|count| (count + 25) / 50).into_iter().zip(wanted) {
                // Rounded figures, and a quarter of the keys.
                assert!(share.abs_diff(wanted) <= 4, "weight {weight}: {shares:?}, not {wanted}");
            }
        }
    }

    #[test]
    fn removing_one_moves_its_keys_alone() {
        let ring = ring(4, 1);
        let mut moved = 0;
        for number in 0..20_000 {
            let key = Hash::Haproxy.of(&[format!("/obj/{number}").as_bytes()]);
            let before = ring.find(key, |_, _| true, |_| true).unwrap();
            let after = ring.find(key, |member, _| member != 2, |_| true).unwrap();
            assert!(before == after || before == 2);
            moved += u32::from(before == 2);
        }
        assert!((4_700..5_100).contains(&moved), "{moved} of 20000: 24.5 % were its own");
    }

    #[test]
    fn the_nearest_the_one_before_on_a_tie_and_round_the_end() {
        let node = |key, member| Node { key, member, ordinal: 0 };
        let ring = Ring(Box::new([node(10, 0), node(20, 1), node(u32::MAX - 9, 2)]));
        for (key, member) in
            [(10, 0), (14, 0), (15, 0), (16, 1), (20, 1), (21, 1), (u32::MAX - 9, 2), (u32::MAX, 2), (0, 2), (1, 0)]
        {
            assert_eq!(ring.find(key, |_, _| true, |_| true), Some(member), "{key}");
        }
        // From the key's own node on clockwise, not to the second nearest.
        assert_eq!(ring.find(14, |_, _| true, |member| member != 0), Some(1));
        assert_eq!(ring.find(21, |_, _| true, |member| member != 1), Some(2));
        assert_eq!(ring.find(21, |_, _| true, |member| member == 0), Some(0));
        // Who is not present is not passed over: his neighbours are nearest.
        assert_eq!(ring.find(21, |member, _| member != 1, |_| true), Some(0));
        assert_eq!(ring.find(21, |_, _| false, |_| true), None);
        assert_eq!(ring.find(21, |_, _| true, |_| false), None);
        assert_eq!(Ring::default().find(21, |_, _| true, |_| true), None);
    }
}
