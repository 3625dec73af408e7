//! SipHash-1-3: a hash whose collisions nobody finds who does not know the key.

/// The hash of `parts`, one behind the other, under `key`.
#[must_use]
pub(super) fn siphash(key: [u64; 2], parts: &[&[u8]]) -> u64 {
    let mut state = State([
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ]);
    let (mut word, mut length) = (0, 0u64);
    for &byte in parts.iter().copied().flatten() {
        word |= u64::from(byte) << (8 * (length % 8));
        length += 1;
        if length.is_multiple_of(8) {
            state.take(word);
            word = 0;
        }
    }
    state.take(word | length << 56);
    state.0[2] ^= 0xff;
    (0..3).for_each(|_| state.round());
    state.0[0] ^ state.0[1] ^ state.0[2] ^ state.0[3]
}

struct State([u64; 4]);

impl State {
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hasher};

    proptest! {
        /// The standard library's hasher is SipHash-1-3 with the key 0.
        #[test]
        fn like_the_standard_library(bytes: Vec<u8>, cut: prop::sample::Index) {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            let (front, back) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(siphash([0, 0], &[front, back]), hasher.finish());
        }

        #[test]
        fn another_key_another_hash(bytes: Vec<u8>, one: [u64; 2], two: [u64; 2]) {
            prop_assume!(one != two);
            prop_assert_ne!(siphash(one, &[&bytes]), siphash(two, &[&bytes]));
        }
    }
}
