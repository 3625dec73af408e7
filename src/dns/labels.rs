//! A name inside a message: labels, and pointers to where the rest of it stands already (RFC 1035, 4.1.4).
//!
//! A pointer leads only towards the start, each further than the one before it, and there are few of them: so no name is
//! without an end.

/// Bytes of a name, lengths of its labels included (RFC 1035, 2.3.4).
const MAX_BYTES: usize = 255;
/// Pointers in one name; servers use one or two.
const MAX_POINTERS: usize = 16;

/// The labels of a name. Ends early, with `malformed` set, where the name does.
#[derive(Clone, Debug)]
pub(super) struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    /// Where the next pointer must lead below.
    bound: usize,
    bytes: usize,
    pointers: usize,
    malformed: bool,
}

impl<'a> Labels<'a> {
    /// Those of the name that begins at `at`.
    pub(super) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at, bound: at, bytes: 0, pointers: 0, malformed: false }
    }

    /// The next label; `None` inside when the name is over.
    fn read(&mut self) -> Option<Option<&'a [u8]>> {
        loop {
            let first = *self.message.get(self.at)?;
            match first >> 6 {
                0 if first == 0 => return Some(None),
                0 => {
                    let start = self.at + 1;
                    self.at = start + usize::from(first);
                    self.bytes += usize::from(first) + 1;
                    let label = self.message.get(start..self.at)?;
                    return (self.bytes < MAX_BYTES).then_some(Some(label));
                }
                3 => {
                    let low = *self.message.get(self.at + 1)?;
                    let target = usize::from(first & 0x3f) << 8 | usize::from(low);
                    self.pointers += 1;
                    if target >= self.bound || self.pointers > MAX_POINTERS {
                        return None;
                    }
                    (self.at, self.bound) = (target, target);
                }
                _ => return None,
            }
        }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let label = self.read();
        self.malformed |= label.is_none();
        label.flatten()
    }
}

/// Whether two names are whole and the same, whatever the case of their letters.
pub(super) fn same(message: &[u8], one: usize, other: usize) -> bool {
    let (mut one, mut other) = (Labels::new(message, one), Labels::new(message, other));
    loop {
        match (one.next(), other.next()) {
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
            (None, None) => return !one.malformed && !other.malformed,
            _ => return false,
        }
    }
}

/// Where what follows a name begins.
pub(super) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let first = *message.get(at)?;
        at += match first >> 6 {
            0 if first == 0 => return Some(at + 1),
            0 => usize::from(first) + 1,
            3 => return Some(at + 2),
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_names_and_others() {
        // What, the bytes, where the name begins, its labels; without them it is malformed.
        let long = [[63; 64].as_slice(), &[63; 64], &[63; 64], &[63; 64], &[0]].concat();
        let chain: Vec<u8> = (0u8..20).flat_map(|at| if at == 0 { [0, 0] } else { [0xc0, 2 * (at - 1)] }).collect();
        type Case<'a> = (&'a str, &'a [u8], usize, Option<&'a [&'a str]>);
        let cases: [Case<'_>; 12] = [
            ("the root", b"\0", 0, Some(&[])),
            ("two labels", b"\x01a\x02bc\0", 0, Some(&["a", "bc"])),
            ("a pointer to the second", b"\x01a\x02bc\0\x01x\xc0\x02", 6, Some(&["x", "bc"])),
            ("a pointer to itself", b"\xc0\0", 0, None),
            ("two that lead to each other", b"\xc0\x02\xc0\0", 2, None),
            ("a pointer onwards", b"\xc0\x02\0", 0, None),
            ("a label without an end", b"\x05ab", 0, None),
            ("no end", b"\x01a", 0, None),
            ("half a pointer", b"\0\xc0", 1, None),
            ("a reserved kind of label", b"\x41a\0", 0, None),
            ("more than 255 bytes", &long, 0, None),
            ("seventeen pointers", &chain, 34, None),
        ];
        for (what, message, at, expected) in cases {
            let mut labels = Labels::new(message, at);
            let found: Vec<&[u8]> = labels.by_ref().collect();
            let found = (!labels.malformed).then(|| found.iter().map(|l| str::from_utf8(l).unwrap()).collect());
            assert_eq!(found, expected.map(<[&str]>::to_vec), "{what}");
        }
        let mut labels = Labels::new(&chain, 32);
        assert_eq!((labels.next(), labels.malformed), (None, false), "sixteen pointers to the root");
    }

    #[test]
    fn names_are_the_same_whatever_their_letters() {
        let message = b"\x03WeB\x02lo\0\x03web\xc0\x04\x03web\0\x03web\xc0\x20";
        assert!(same(message, 0, 8) && same(message, 8, 0));
        assert!(!same(message, 0, 14), "one is shorter");
        assert!(!same(message, 19, 19), "a malformed name is like none");
        assert_eq!([0, 8, 14].map(|at| skip(message, at)), [Some(8), Some(14), Some(19)]);
    }

    proptest! {
        #[test]
        fn every_name_ends(message in proptest::collection::vec(prop_oneof![0u8..8, 0xc0u8..=0xc1, any::<u8>()], 0..600), at in 0usize..620) {
            let bytes: usize = Labels::new(&message, at).map(|label| label.len() + 1).sum();
            prop_assert!(bytes <= MAX_BYTES);
            prop_assert!(skip(&message, at).is_none_or(|end| end > at));
            let _ = same(&message, at, 0);
        }
    }
}
