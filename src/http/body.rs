//! Body framing (RFC 9112 section 6): how long a body is, and what of the bytes at hand is payload.

use super::chunk::ChunkDecoder;

/// How a message's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// Everything until the connection closes; only in responses.
    UntilClose,
}

/// Why a message cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// What [`BodyDecoder::decode`] made of the bytes it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// So many bytes were used up.
    pub consumed: usize,
    /// So many bytes of payload stand at their front.
    pub payload: usize,
}

/// A body on its way in.
#[derive(Clone, Copy, Debug)]
pub enum BodyDecoder {
    /// Bytes still to come; none is also the empty body.
    Length(u64),
    /// Chunks.
    Chunked(ChunkDecoder),
    /// Until the connection closes.
    UntilClose,
}

impl BodyDecoder {
    /// At the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkDecoder::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Whether the end of the connection is the end of the body.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// How many of the next bytes are payload and nothing else, as far as is known.
    #[must_use]
    pub fn run(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(_) => 0,
            Self::UntilClose => u64::MAX,
        }
    }

    /// Takes note of `count` bytes of payload, at most [`BodyDecoder::run`], that passed by.
    pub fn pass(&mut self, count: u64) {
        match self {
            Self::Length(left) => *left -= count.min(*left),
            Self::Chunked(_) | Self::UntilClose => {}
        }
    }

    /// Finds the payload in `bytes` and moves it to their front.
    ///
    /// # Errors
    /// [`Malformed`] when the framing is broken.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Malformed> {
        match self {
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                Ok(Decoded { consumed: count, payload: count })
            }
            Self::Chunked(decoder) => decoder.decode(bytes),
            Self::UntilClose => Ok(Decoded { consumed: bytes.len(), payload: bytes.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_32_bits_counts_right() {
        let mut body = BodyDecoder::new(Framing::Length(5_000_000_000));
        let mut bytes = [0; 100];
        assert_eq!(body.decode(&mut bytes), Ok(Decoded { consumed: 100, payload: 100 }));
        let BodyDecoder::Length(left) = body else { unreachable!() };
        assert_eq!(left, 4_999_999_900);
    }

    #[test]
    fn bytes_that_pass_by_count_like_decoded_ones() {
        let mut body = BodyDecoder::new(Framing::Length(5_000_000_000));
        assert_eq!(body.decode(&mut [0; 100]), Ok(Decoded { consumed: 100, payload: 100 }));
        body.pass(4_000_000_000);
        assert_eq!((body.run(), body.is_done()), (999_999_900, false));
        body.pass(999_999_900);
        assert!(body.is_done());
        let mut body = BodyDecoder::new(Framing::UntilClose);
        body.pass(u64::MAX);
        assert_eq!((body.run(), body.is_done()), (u64::MAX, false));
        // Its framing must be read.
        assert_eq!(BodyDecoder::new(Framing::Chunked).run(), 0);
    }

    #[test]
    fn what_follows_a_body_is_left_alone() {
        let mut body = BodyDecoder::new(Framing::Length(3));
        assert_eq!(body.decode(&mut b"abcGET".to_vec()), Ok(Decoded { consumed: 3, payload: 3 }));
        assert!(body.is_done());
        assert!(BodyDecoder::new(Framing::None).is_done());
        assert!(BodyDecoder::new(Framing::UntilClose).ends_with_connection());
    }
}
