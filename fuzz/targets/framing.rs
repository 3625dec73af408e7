//! Body framing: any cutting of the input gives the same payload, the same end and the same error, they are those of
//! a simple reading, and what is encoded again is the same payload.

use super::pieces;
use beelance::http::body::{BodyDecoder, Framing, Malformed};

/// A chunked body, and what follows it.
pub fn check(bytes: &[u8]) {
    let by_byte = decode(Framing::Chunked, bytes, std::iter::repeat(1));
    let cuts: [&mut dyn Iterator<Item = usize>; 4] =
        [&mut std::iter::repeat(usize::MAX), &mut std::iter::repeat(2), &mut std::iter::repeat(7), &mut pieces(bytes)];
    for cut in cuts {
        match (&by_byte, decode(Framing::Chunked, bytes, cut)) {
            (Ok(expected), Ok(decoded)) => assert_eq!(
                (&decoded.payload, decoded.consumed, decoded.done),
                (&expected.payload, expected.consumed, expected.done)
            ),
            (expected, decoded) => assert_eq!(decoded.err(), expected.as_ref().err().copied()),
        }
    }
    match (read(bytes), &by_byte) {
        (Reading::NearALimit, _) => {}
        (Reading::Done(payload, end), Ok(decoded)) => {
            assert!(decoded.done && decoded.consumed == end, "the body ends at {end}, not {}", decoded.consumed);
            assert_eq!(decoded.payload, payload);
        }
        (Reading::Incomplete(payload), Ok(decoded)) => {
            assert!(!decoded.done && decoded.consumed == bytes.len());
            assert_eq!(decoded.payload, payload);
        }
        // The byte that can become nothing is refused before its line is whole.
        (Reading::Incomplete(_) | Reading::Malformed, Err(_)) => {}
        (reading, decoded) => panic!("{reading:?}, but {:?}", decoded.as_ref().map(|decoded| decoded.done)),
    }
    if let Ok(decoded) = by_byte {
        encode_again(&decoded.payload, bytes);
    }
    let length = (bytes.len() / 2) as u64;
    let decoded = decode(Framing::Length(length), bytes, pieces(bytes)).expect("any bytes");
    assert!(decoded.done && decoded.payload == bytes[..bytes.len() / 2] && decoded.consumed == bytes.len() / 2);
    let decoded = decode(Framing::UntilClose, bytes, pieces(bytes)).expect("any bytes");
    assert!(!decoded.done && decoded.payload == bytes);
}

struct Decoded {
    payload: Vec<u8>,
    consumed: usize,
    done: bool,
}

fn decode(framing: Framing, bytes: &[u8], mut lengths: impl Iterator<Item = usize>) -> Result<Decoded, Malformed> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut payload, mut consumed) = (Vec::new(), 0);
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(1).min(rest.len());
        let (piece, behind) = rest.split_at_mut(length);
        rest = behind;
        let was_done = decoder.is_done();
        let decoded = decoder.decode(piece)?;
        assert!(decoded.payload <= decoded.consumed && decoded.consumed <= length);
        assert!(decoded.consumed == length || decoder.is_done(), "stopped before the end");
        assert!(!was_done || decoded.consumed == 0, "went on behind the end");
        payload.extend_from_slice(&piece[..decoded.payload]);
        consumed += decoded.consumed;
    }
    Ok(Decoded { payload, consumed, done: decoder.is_done() })
}

fn encode_again(payload: &[u8], seed: &[u8]) {
    let (mut rest, mut lengths, mut encoded) = (payload, pieces(seed), Vec::new());
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(lengths.next().unwrap_or(1).min(rest.len()));
        rest = behind;
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    let decoded = decode(Framing::Chunked, &encoded, pieces(seed)).expect("what was encoded");
    assert!(decoded.done && decoded.payload == payload && decoded.consumed == encoded.len());
}

#[derive(Debug)]
enum Reading {
    Done(Vec<u8>, usize),
    Incomplete(Vec<u8>),
    Malformed,
    /// So long that the decoder's own bounds may have a say.
    NearALimit,
}

/// A chunked body, line by line (RFC 9112 section 7.1).
fn read(bytes: &[u8]) -> Reading {
    let (mut at, mut payload) = (0, Vec::new());
    loop {
        let Some(line) = line(&bytes[at..]) else { return unfinished(&bytes[at..], payload) };
        if line.len() > 1000 {
            return Reading::NearALimit;
        }
        let Some(size) = size(line) else { return Reading::Malformed };
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        let rest = &bytes[at..];
        if (rest.len() as u64) < size {
            payload.extend_from_slice(rest);
            return Reading::Incomplete(payload);
        }
        let size = size as usize;
        payload.extend_from_slice(&rest[..size]);
        at += size;
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Reading::Incomplete(payload),
            _ => return Reading::Malformed,
        }
    }
    let trailers = at;
    loop {
        if at - trailers > 8000 {
            return Reading::NearALimit;
        }
        let Some(line) = line(&bytes[at..]) else { return unfinished(&bytes[at..], payload) };
        at += line.len() + 2;
        if line.is_empty() {
            return Reading::Done(payload, at);
        }
        let name = line.iter().position(|&byte| byte == b':').unwrap_or(0);
        if name == 0
            || !line[..name].iter().all(|&byte| is_token(byte))
            || !line[name..].iter().all(|&byte| is_text(byte))
        {
            return Reading::Malformed;
        }
    }
}

/// A line that has not ended: a bare CR or LF in it will never be right, the rest is the decoder's to say.
fn unfinished(rest: &[u8], payload: Vec<u8>) -> Reading {
    let bare = rest.iter().rev().skip(1).any(|&byte| byte == b'\r') || rest.contains(&b'\n');
    match rest.len() {
        _ if bare => Reading::Malformed,
        1000.. => Reading::NearALimit,
        _ => Reading::Incomplete(payload),
    }
}

/// Up to the first CRLF, when there is one.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.windows(2).position(|pair| pair == b"\r\n").map(|end| &bytes[..end])
}

/// 1 to 16 digits, and behind blanks and a semicolon anything printable.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, behind) = line.split_at(digits);
    let extension = behind.trim_ascii_start();
    let fine = behind.is_empty() || extension.first() == Some(&b';');
    let fine = fine && digits <= 16 && behind.iter().all(|&byte| is_text(byte));
    u64::from_str_radix(std::str::from_utf8(number).ok().filter(|_| fine)?, 16).ok()
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
