//! The chunked coding (RFC 9112 section 7.1), decoded in place.
//!
//! What comes out is payload only: sizes, extensions and trailers are checked, bounded and dropped, so nothing of one
//! side's framing ever reaches the other.

use super::body::{Decoded, Malformed};
use super::fields::is_token;

/// Digits a chunk size may have, leading zeros included: 64 bits.
const MAX_DIGITS: u8 = 16;
/// Bytes the extensions of one chunk may have.
const MAX_EXTENSION: u16 = 1024;
/// Bytes all trailer fields may have together.
const MAX_TRAILERS: u16 = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size {
        digits: u8,
    },
    /// Blanks behind the size: only an extension may follow.
    Blank,
    /// In an extension.
    Extension,
    /// The LF behind a size.
    SizeLf,
    /// In the data; `left` bytes are still to come.
    Data,
    /// The CR, then the LF behind the data.
    DataCr,
    DataLf,
    /// At the start of a trailer line; in its name; in its value; the LF behind it; the LF of the last, empty line.
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// The state between two receives.
#[derive(Clone, Copy, Debug)]
pub struct ChunkDecoder {
    state: State,
    /// The size being read, then the bytes of data still to come.
    left: u64,
    /// Bytes of this chunk's extensions, or of all trailers.
    dropped: u16,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self { state: State::Size { digits: 0 }, left: 0, dropped: 0 }
    }
}

impl ChunkDecoder {
    /// Whether the last chunk and the trailers have been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes from `bytes`, moving the payload to their front.
    ///
    /// # Errors
    /// [`Malformed`] at the first byte no chunked body has there.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Malformed> {
        let (mut at, mut payload) = (0, 0);
        while at < bytes.len() && !self.is_done() {
            if self.state == State::Data {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let count = left.min(bytes.len() - at);
                if payload != at {
                    bytes.copy_within(at..at + count, payload);
                }
                payload += count;
                at += count;
                self.left -= count as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.step(bytes[at])?;
            at += 1;
        }
        Ok(Decoded { consumed: at, payload })
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == MAX_DIGITS {
                    return Err(Malformed("chunk size has too many digits"));
                }
                // Sixteen digits are 64 bits: nothing is shifted out.
                self.left = self.left << 4 | u64::from((byte as char).to_digit(16).unwrap_or(0));
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 1.. } | State::Extension, b'\r') => State::SizeLf,
            (State::Size { digits: 1.. } | State::Blank, b' ' | b'\t') => {
                self.drop_byte(MAX_EXTENSION, State::Blank)?
            }
            (State::Size { digits: 1.. } | State::Blank, b';') => self.drop_byte(MAX_EXTENSION, State::Extension)?,
            (State::Size { .. } | State::Blank, _) => return Err(Malformed("bad chunk size")),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.drop_byte(MAX_EXTENSION, State::Extension)?,
            (State::Extension, _) => return Err(Malformed("bad chunk extension")),
            (State::SizeLf, b'\n') if self.left == 0 => {
                self.dropped = 0;
                State::TrailerStart
            }
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                (self.left, self.dropped) = (0, 0);
                State::Size { digits: 0 }
            }
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerName, b':') => self.drop_byte(MAX_TRAILERS, State::Trailer)?,
            (State::TrailerStart | State::TrailerName, _) if is_token(&[byte]) => {
                self.drop_byte(MAX_TRAILERS, State::TrailerName)?
            }
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.drop_byte(MAX_TRAILERS, State::Trailer)?,
            (State::TrailerStart | State::TrailerName | State::Trailer, _) => return Err(Malformed("bad trailer")),
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            (State::SizeLf | State::DataCr | State::DataLf | State::TrailerLf | State::LastLf, _) => {
                return Err(Malformed("chunk without its line end"));
            }
            (State::Data | State::Done, _) => self.state,
        };
        Ok(())
    }

    fn drop_byte(&mut self, most: u16, next: State) -> Result<State, Malformed> {
        self.dropped += 1;
        if self.dropped > most { Err(Malformed("chunk extension or trailers too long")) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut decoder, mut out, mut consumed) = (ChunkDecoder::default(), Vec::new(), 0);
        for piece in bytes.chunks(step) {
            let mut piece = piece.to_vec();
            let decoded = decoder.decode(&mut piece)?;
            out.extend_from_slice(&piece[..decoded.payload]);
            consumed += decoded.consumed;
        }
        Ok((out, consumed, decoder.is_done()))
    }

    #[test]
    fn good() {
        let cases: [(&str, &str, usize, bool); 6] = [
            ("0\r\n\r\n", "", 5, true),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", 15, true),
            ("5;a=b\r\nhello\r\n3 ;\r\nabc\r\n000\r\nX: y\r\n\r\n", "helloabc", 37, true),
            ("A\r\n0123456789\r\n0\r\n\r\nGET", "0123456789", 20, true),
            ("a\r\n01234", "01234", 8, false),
            ("", "", 0, false),
        ];
        for (bytes, payload, consumed, done) in cases {
            for step in [1, 2, 3, 100] {
                let expected = (payload.as_bytes().to_vec(), consumed, done);
                assert_eq!(decode_all(bytes.as_bytes(), step), Ok(expected), "{bytes:?} by {step}");
            }
        }
    }

    #[test]
    fn bad() {
        let cases = [
            "\r\n",
            "g\r\n",
            "+5\r\nhello",
            "-1\r\n",
            "0x5\r\nhello",
            " 5\r\nhello",
            "5\nhello",
            "5\rhello",
            "5\r\nhello\n",
            "5\r\nhelloX",
            "11111111111111111\r\n",
            "5 x\r\nhello",
            "5 \r\nhello",
            "5\t\r\nhello",
            "5;\n",
            "0\r\n x\r\n\r\n",
            "0\r\nx\n\r\n",
            "0\r\n\n",
            "0\r\n:x\r\n\r\n",
            "0\r\nx\r\n\r\n",
            "0\r\nx : y\r\n\r\n",
            "0\r\n\u{e9}: y\r\n\r\n",
            "5;\0\r\n",
            "0\r\nX: \0\r\n\r\n",
        ];
        for bytes in cases {
            for step in [1, 100] {
                assert!(decode_all(bytes.as_bytes(), step).is_err(), "{bytes:?} by {step}");
            }
        }
        let long = format!("1;{}\r\n", "x".repeat(2000));
        assert!(decode_all(long.as_bytes(), 100).is_err());
        let long = format!("0\r\n{}\r\n", "X: y\r\n".repeat(3000));
        assert!(decode_all(long.as_bytes(), 100).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8), step in 1usize..60) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let length = bytes.len();
            prop_assert_eq!(decode_all(&bytes, step), Ok((chunks.concat(), length, true)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..60) {
            let _ = decode_all(&bytes, step);
        }
    }
}
