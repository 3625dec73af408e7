//! Numbers out of keys: beelance's own hash, and HAProxy's (`sdbm` with `avalanche`).
//!
//! Both are the same on every machine, so that balancers side by side agree. Neither withstands an attacker, who may
//! choose his backend by his key anyway; what keeps him from crowding one is the bound on its load.

/// Which numbers keys become, and how those find a backend (`pool.N.hash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hash {
    /// By the backends' names: the order of the file does not matter.
    #[default]
    Beelance,
    /// As HAProxy's `hash-type consistent sdbm avalanche`: by the backends' places in their pool.
    Haproxy,
}

impl Hash {
    /// The number of a key, which may come in pieces.
    #[must_use]
    pub fn of(self, pieces: &[&[u8]]) -> u32 {
        let bytes = pieces.iter().copied().flatten();
        match self {
            Self::Beelance => {
                mix(bytes.fold(FNV_START, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(FNV_PRIME)))
            }
            Self::Haproxy => avalanche(bytes.fold(0, |hash: u32, &byte| {
                u32::from(byte).wrapping_add(hash << 6).wrapping_add(hash << 16).wrapping_sub(hash)
            })),
        }
    }

    /// The number of an address of 4 or 16 octets.
    #[must_use]
    pub fn of_address(self, octets: &[u8]) -> u32 {
        match self {
            Self::Beelance => self.of(&[octets]),
            Self::Haproxy => avalanche(
                octets
                    .chunks_exact(4)
                    .fold(0, |hash, word| hash ^ word.iter().fold(0, |word, &octet| word << 8 | u32::from(octet))),
            ),
        }
    }
}

const FNV_START: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// Every bit of `x` moves half of the bits of what comes out (the end of MurmurHash3).
pub(super) fn mix(mut x: u32) -> u32 {
    x = (x ^ x >> 16).wrapping_mul(0x85eb_ca6b);
    x = (x ^ x >> 13).wrapping_mul(0xc2b2_ae35);
    x ^ x >> 16
}

/// HAProxy's `full_hash`.
pub(super) fn avalanche(mut a: u32) -> u32 {
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = a ^ 0xc761_c23c ^ a >> 19;
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ a << 9;
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    (a ^ 0xb55a_4f09 ^ a >> 16).wrapping_mul(0xc000_0001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxy_keys() {
        for (key, hash) in [
            ("/", 0x7e3f_41d0),
            ("/index.html", 0xfb63_160c),
            ("/obj/0", 0xdab0_ec0d),
            ("alice", 0x2be6_66ad),
            ("bob", 0x2eb8_4968),
        ] {
            assert_eq!(Hash::Haproxy.of(&[key.as_bytes()]), hash, "{key}");
            let (front, back) = key.as_bytes().split_at(key.len() / 2);
            assert_eq!(Hash::Haproxy.of(&[front, back]), hash, "{key} in pieces");
        }
        assert_eq!(Hash::Haproxy.of_address(&[10, 0, 0, 1]), 0x2aa2_6e52);
        let v6 = [[0x20, 1, 0xd, 0xb8], [0; 4], [1, 2, 3, 4], [0, 0, 0, 9]].concat();
        assert_eq!(Hash::Haproxy.of_address(&v6), avalanche(0x2001_0db8 ^ 0x0102_0304 ^ 9));
    }

    #[test]
    fn nodes_of_haproxy() {
        let nodes = [0, 1, 2, 3].map(|node| avalanche(4096 + node));
        assert_eq!(nodes, [0x49c2_008b, 0xa497_2c87, 0xb541_7c4a, 0x2654_ba86]);
    }

    #[test]
    fn the_same_on_every_machine() {
        assert_eq!(Hash::Beelance.of(&[b""]), mix(0x811c_9dc5));
        assert_eq!(Hash::Beelance.of(&[b"foo", b"bar"]), mix(0xbf9c_f968), "FNV-1a of foobar");
        assert_eq!((mix(0), mix(1), mix(0xdead_beef)), (0, 0x514e_28b7, 0x0de5_c6a9));
        assert_eq!(Hash::Beelance.of_address(&[10, 0, 0, 1]), Hash::Beelance.of(&[&[10, 0, 0, 1]]));
    }
}
