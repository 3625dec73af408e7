//! Numbers nobody needs to be unable to guess: a seeded generator (xorshift with a multiplied output).

/// The generator.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// One that begins with `seed`.
    pub(super) fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.max(1))
    }

    /// A number from 0 to `below`, exclusive, which has 32 bits; 0 when that is 0.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        ((x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) * below) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_seeded() {
        let counts = |seed| {
            let (mut random, mut counts) = (Random::new(seed), [0; 7]);
            for _ in 0..70_000 {
                counts[usize::try_from(random.below(7)).unwrap()] += 1;
            }
            counts
        };
        for seed in [0, 1, 2, u64::MAX] {
            assert!(counts(seed).iter().all(|count| (9_600..10_400).contains(count)), "{:?}", counts(seed));
            assert_eq!(counts(seed), counts(seed));
        }
        assert_ne!(counts(2), counts(3));
        assert_eq!(Random::new(1).below(0), 0);
        // The upper halves of what xorshift64* gives for the seed 1.
        let mut random = Random::new(1);
        assert_eq!([(); 3].map(|()| random.below(1 << 32)), [0x47e4_ce4b, 0xabcf_a6a8, 0xb9d1_0d8f]);
    }
}
