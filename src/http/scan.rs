//! Where a head ends, found once however the bytes trickle in.
//!
//! httparse starts from the first byte each time and takes a bare LF for a line's end; so the end is looked for here,
//! each byte once, a bare LF is refused (RFC 9112 section 2.2 lets a recipient accept it; two readers may differ), and
//! the head is parsed once, when it is whole.

/// How far a head has been looked through.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    /// Bytes that need no second look.
    seen: usize,
    tried: bool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// No end yet.
    Incomplete,
    /// The head is so long, its empty line included.
    Complete(usize),
    /// A line ends in LF without CR.
    BareLf,
    /// A line begins with a CR that does not end it.
    BareCr,
}

impl HeadScan {
    /// Whether nothing was looked at yet. Most heads come in one piece, and then the parser finds the end by itself; it is
    /// tried once, without a look before.
    pub fn is_untried(&mut self) -> bool {
        !std::mem::replace(&mut self.tried, true)
    }

    /// Looks at what came since the last call. `bytes` starts where it started then.
    pub fn scan(&mut self, bytes: &[u8]) -> Scanned {
        while let Some(lf) = find_lf(bytes, self.seen) {
            if lf == 0 || bytes[lf - 1] != b'\r' {
                return Scanned::BareLf;
            }
            match (bytes.get(lf + 1), bytes.get(lf + 2)) {
                (Some(b'\r'), Some(b'\n')) => return Scanned::Complete(lf + 3),
                (Some(b'\r'), Some(_)) => return Scanned::BareCr,
                (None, _) | (Some(b'\r'), None) => {
                    self.seen = lf;
                    return Scanned::Incomplete;
                }
                _ => self.seen = lf + 1,
            }
        }
        self.seen = bytes.len();
        Scanned::Incomplete
    }
}

/// The first LF from `from` on, a machine word at a time.
fn find_lf(bytes: &[u8], from: usize) -> Option<usize> {
    const WORD: usize = size_of::<usize>();
    const ONES: usize = usize::MAX / 255;
    let mut at = from;
    while let Some(chunk) = bytes.get(at..at + WORD).and_then(|chunk| <[u8; WORD]>::try_from(chunk).ok()) {
        // A byte of `word` is zero where the chunk has an LF; the lowest bit set in `zeroes` is right, higher may lie.
        let word = usize::from_le_bytes(chunk) ^ (ONES * b'\n' as usize);
        let zeroes = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeroes != 0 {
            return Some(at + zeroes.trailing_zeros() as usize / 8);
        }
        at += WORD;
    }
    bytes.get(at..)?.iter().position(|&byte| byte == b'\n').map(|offset| at + offset)
}

/// Bytes of empty lines at the start, which a server ignores before a request line (RFC 9112 section 2.2).
#[must_use]
pub fn leading_empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cases() {
        let cases: [(&[u8], Scanned); 9] = [
            (b"", Scanned::Incomplete),
            (b"GET / HTTP/1.1\r\n", Scanned::Incomplete),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r", Scanned::Incomplete),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Scanned::Complete(27)),
            (b"GET / HTTP/1.1\r\n\r\nbody\r\n\r\n", Scanned::Complete(18)),
            (b"GET / HTTP/1.1\nHost: a\r\n\r\n", Scanned::BareLf),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\n", Scanned::BareLf),
            (b"\n", Scanned::BareLf),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", Scanned::BareCr),
        ];
        for (bytes, expected) in cases {
            assert_eq!(HeadScan::default().scan(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(leading_empty_lines(b"\r\n\r\nGET"), 4);
        assert_eq!(leading_empty_lines(b"\r"), 0);
    }

    proptest! {
        /// However the bytes are cut into receives, the answer is that of one look.
        #[test]
        fn the_cuts_do_not_matter(bytes in "[a\r\n]{0,40}", step in 1usize..7) {
            let bytes = bytes.as_bytes();
            let whole = HeadScan::default().scan(bytes);
            let mut scan = HeadScan::default();
            let mut end = 0;
            let trickled = loop {
                end = (end + step).min(bytes.len());
                let scanned = scan.scan(&bytes[..end]);
                if scanned != Scanned::Incomplete || end == bytes.len() {
                    break scanned;
                }
            };
            prop_assert_eq!(trickled, whole);
        }

        #[test]
        fn finds_the_first_lf(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40), from in 0usize..45) {
            let slow = bytes.iter().enumerate().skip(from).find(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
            prop_assert_eq!(find_lf(&bytes, from), slow);
        }
    }
}
