//! Heads as nearly everybody writes them, taken apart in one pass.
//!
//! Judges nothing: what it does not take, for whatever reason, httparse judges from its first byte on, and what it takes it
//! takes apart as httparse does, which a property test and the fuzzers compare. It takes lines that end in CRLF, names
//! with the colon right behind them, and values of visible ASCII characters and blanks that begin with one and end with
//! one. On a processor without vector instructions that takes a third of httparse's instructions.

use super::fields::{Field, Fields};

/// The first line of a request, and where the head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'b> {
    /// The method, a token.
    pub method: &'b [u8],
    /// The target.
    pub target: &'b [u8],
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// Bytes of the head, its empty line included.
    pub length: usize,
}

/// The first line of a response, and where the head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// The status, three digits.
    pub status: u16,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// Bytes of the head, its empty line included.
    pub length: usize,
}

/// Takes a request's head apart, with `most` fields at most.
pub fn request<'b>(bytes: &'b [u8], most: usize, fields: &mut Fields<'b>) -> Option<RequestLine<'b>> {
    let (method, rest) = token(bytes, b' ')?;
    let (target, rest) = rest.split_at_checked(rest.iter().position(|byte| !byte.is_ascii_graphic())?)?;
    // Words are compared as a whole: patterns are, byte by byte.
    let (_, rest) = rest.split_first_chunk().filter(|(protocol, _)| *protocol == b" HTTP/1.")?;
    let (&[minor @ (b'0' | b'1'), b'\r', b'\n'], rest) = rest.split_first_chunk()? else { return None };
    if target.is_empty() {
        return None;
    }
    let length = bytes.len() - read_fields(rest, most, fields)?.len();
    Some(RequestLine { method, target, minor: minor - b'0', length })
}

/// Takes a response's head apart, with as many fields as `fields` has room for.
pub fn response<'b>(bytes: &'b [u8], fields: &mut Fields<'b>) -> Option<StatusLine> {
    let (start, rest): (&[u8; 13], _) = bytes.split_first_chunk()?;
    let [h, t, u, p, slash, one, dot, minor @ (b'0' | b'1'), b' ', digits @ .., b' '] = start else { return None };
    if [*h, *t, *u, *p] != *b"HTTP" || [*slash, *one, *dot] != *b"/1." || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = digits.iter().fold(0, |status, &digit| status * 10 + u16::from(digit - b'0'));
    let (_reason, rest) = line(rest)?;
    let length = bytes.len() - read_fields(rest, fields.capacity(), fields)?.len();
    Some(StatusLine { status, minor: minor - b'0', length })
}

/// Reads field lines up to the empty line; what is left behind that.
fn read_fields<'b>(bytes: &'b [u8], most: usize, fields: &mut Fields<'b>) -> Option<&'b [u8]> {
    let mut rest = bytes;
    loop {
        if let Some(behind) = end_of_line(rest) {
            return Some(behind);
        }
        let (name, behind) = token(rest, b':')?;
        let (value, behind) = line(behind.strip_prefix(b" ").unwrap_or(behind))?;
        // A blank is the lowest of what stands in it.
        if *value.first()? == b' ' || *value.last()? == b' ' || fields.len() >= most {
            return None;
        }
        fields.push(Field { name, value }).ok()?;
        rest = behind;
    }
}

/// A token at the front with `end` behind it, and what is behind that: first letters and hyphens four at a time, which is
/// all of most names.
#[inline]
fn token(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let (token, behind) = bytes.split_at_checked(while_words(bytes, odd_letters))?;
    match behind.split_first() {
        Some((&byte, behind)) if byte == end && !token.is_empty() => Some((token, behind)),
        _ => odd_token(bytes, token.len(), end),
    }
}

/// The same for any token, whose first bytes were looked at.
#[inline(never)]
fn odd_token(bytes: &[u8], seen: usize, end: u8) -> Option<(&[u8], &[u8])> {
    let more = bytes.get(seen..)?.iter().position(|&byte| !TOKEN[usize::from(byte)])?;
    let (token, behind) = bytes.split_at_checked(seen + more)?;
    behind.strip_prefix(&[end]).filter(|_| !token.is_empty()).map(|behind| (token, behind))
}

/// Visible ASCII characters and blanks at the front with CRLF behind them, and what is behind that: four at a time.
#[inline]
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, behind) = bytes.split_at_checked(while_words(bytes, odd_text))?;
    match end_of_line(behind) {
        Some(behind) => Some((text, behind)),
        None => odd_line(bytes, text.len()),
    }
}

/// What is behind the CRLF at the front.
#[inline]
fn end_of_line(bytes: &[u8]) -> Option<&[u8]> {
    // Two bytes at once, as a pattern is not.
    bytes.split_first_chunk().filter(|(end, _)| *end == b"\r\n").map(|(_, behind)| behind)
}

/// The same for a line whose last bytes are no word, and whose first were looked at.
#[inline(never)]
fn odd_line(bytes: &[u8], seen: usize) -> Option<(&[u8], &[u8])> {
    let more = bytes.get(seen..)?.iter().position(|byte| !matches!(byte, b' '..=b'~'))?;
    let (text, behind) = bytes.split_at_checked(seen + more)?;
    end_of_line(behind).map(|behind| (text, behind))
}

/// Bytes at the front before the first that `odd` marks, or before the last few. Of a word's bytes, the first in the lowest
/// bits, it sets the highest bit of those that are odd; above the first of them it may be wrong.
fn while_words(bytes: &[u8], odd: impl Fn(u32) -> u32) -> usize {
    let (words, _) = bytes.as_chunks();
    let mut count = 0;
    for &word in words {
        let odd = odd(u32::from_le_bytes(word));
        if odd != 0 {
            return count + odd.trailing_zeros() as usize / 8;
        }
        count += 4;
    }
    count
}

const ONES: u32 = 0x0101_0101;
const HIGH: u32 = ONES * 0x80;

/// Marks all but visible ASCII characters and blanks: what borrows when a blank is taken off it, and what reaches the
/// highest bit when one is added.
fn odd_text(word: u32) -> u32 {
    (word.wrapping_sub(ONES * 0x20) | word | word.wrapping_add(ONES)) & HIGH
}

/// Marks all but letters and hyphens. The highest bit of a sum says that the byte is at least some character.
fn odd_letters(word: u32) -> u32 {
    let small = word | (ONES * 0x20);
    let from = |character: u8| small.wrapping_add(ONES * u32::from(0x80 - character));
    let letter = from(b'a') & !from(b'z' + 1);
    // Nothing but a hyphen differs from it by less than one.
    let hyphen = !(word ^ (ONES * u32::from(b'-'))).wrapping_add(ONES * 0x7f);
    (!(letter | hyphen) | word) & HIGH
}

/// What tokens are made of (RFC 9110 section 5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "it is below 256")]
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::{is_token, offset};
    use proptest::prelude::*;

    /// The lines of a head, some as they are written, some with odd bytes in them.
    fn heads(first: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            3 => "[A-Za-z-]{1,12}: ?[ -~]{1,20}\r\n",
            1 => "[!-~]{0,3}[: \t]{0,3}[\t -~é]{0,9}(\r\n|\n|\r|)",
        ];
        let odd = (any::<prop::sample::Index>(), any::<u8>());
        (first, prop::collection::vec(field, 0..8), prop::option::of(odd), any::<bool>()).prop_map(
            |(first, fields, odd, ends)| {
                let mut head =
                    [first.as_str(), fields.concat().as_str(), if ends { "\r\n" } else { "" }].concat().into_bytes();
                if let Some((index, byte)) = odd.filter(|_| !head.is_empty()) {
                    let at = index.index(head.len());
                    head[at] = byte;
                }
                head
            },
        )
    }

    /// Where the fields lie.
    fn places(head: &[u8], fields: &[Field<'_>]) -> Vec<[usize; 4]> {
        let place = |field: &Field<'_>| {
            [offset(head, field.name), field.name.len(), offset(head, field.value), field.value.len()]
        };
        fields.iter().map(place).collect()
    }

    fn of_httparse(head: &[u8], fields: &[httparse::Header<'_>]) -> Vec<[usize; 4]> {
        let fields: Vec<_> =
            fields.iter().map(|field| Field { name: field.name.as_bytes(), value: field.value }).collect();
        places(head, &fields)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_request_is_taken_apart_as_httparse_does(head in heads("[A-Z!]{0,6} {0,2}[!-~é]{0,9} HTTP/1[.][0-2]\r\n"), most in 0usize..9) {
            let mut fields = Fields::new();
            if let Some(line) = request(&head, most, &mut fields) {
                let mut table = [httparse::EMPTY_HEADER; 8];
                let mut parsed = httparse::Request::new(&mut table[..most.min(8)]);
                prop_assert_eq!(parsed.parse(&head), Ok(httparse::Status::Complete(line.length)));
                prop_assert_eq!(parsed.method.map(str::as_bytes), Some(line.method));
                prop_assert_eq!(parsed.path.map(str::as_bytes), Some(line.target));
                prop_assert_eq!(parsed.version, Some(line.minor));
                prop_assert_eq!(places(&head, &fields), of_httparse(&head, parsed.headers));
                prop_assert!(!head[..line.length].windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'));
            }
        }

        #[test]
        fn a_response_is_taken_apart_as_httparse_does(head in heads("HTTP/1[.][0-2] [0-9]{3} ?[ -~é]{0,9}\r\n")) {
            let mut fields = Fields::new();
            if let Some(line) = response(&head, &mut fields) {
                let mut table = [httparse::EMPTY_HEADER; 8];
                let mut parsed = httparse::Response::new(&mut table);
                prop_assert_eq!(parsed.parse(&head), Ok(httparse::Status::Complete(line.length)));
                prop_assert_eq!(parsed.code, Some(line.status));
                prop_assert_eq!(parsed.version, Some(line.minor));
                prop_assert_eq!(places(&head, &fields), of_httparse(&head, parsed.headers));
                prop_assert!(!head[..line.length].windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'));
            }
        }

        #[test]
        fn four_at_a_time(bytes: [u8; 4], common in "[A-Za-z -]{4}", places: [bool; 4]) {
            let common = common.as_bytes();
            let word: Vec<u8> = (0..4).map(|at| if places[at] { bytes[at] } else { common[at] }).collect();
            let first = |odd: u32| (odd != 0).then(|| odd.trailing_zeros() as usize / 8);
            let packed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            prop_assert_eq!(first(odd_text(packed)), word.iter().position(|byte| !matches!(byte, b' '..=b'~')));
            let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
            prop_assert_eq!(first(odd_letters(packed)), word.iter().position(|byte| !letter(byte)));
        }
    }

    #[test]
    fn what_is_taken_and_what_is_left_to_httparse() {
        let taken = |head: &str| request(head.as_bytes(), 2, &mut Fields::new()).is_some();
        assert!(taken("GET / HTTP/1.1\r\n\r\nmore"));
        assert!(taken("GET /a?b HTTP/1.0\r\nHost: a\r\nX:b c\r\n\r\n"));
        for head in [
            " / HTTP/1.1\r\n\r\n",
            "GET  HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "GET / HTTP/1.1\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\ta\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a \r\n\r\n",
            "GET / HTTP/1.1\r\nHost:  a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\nc: d\r\ne: f\r\n\r\n",
        ] {
            assert!(!taken(head), "{head:?}");
        }
        let taken = |head: &str| response(head.as_bytes(), &mut Fields::new()).is_some();
        assert!(taken("HTTP/1.1 200 OK\r\nA: b\r\n\r\n") && taken("HTTP/1.0 404 \r\n\r\n"));
        assert!(!taken("HTTP/1.1 200\r\n\r\n") && !taken("HTTP/1.1 2x0 OK\r\n\r\n") && !taken("HTTP/1.1 200 OK\n\r\n"));
        for byte in 0..=u8::MAX {
            assert_eq!(TOKEN[usize::from(byte)], is_token(&[byte]));
        }
    }
}
