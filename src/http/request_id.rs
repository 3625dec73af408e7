//! One name for a request in all layers: the field that carries it (HAProxy's `unique-id-header`), made or kept.
//!
//! An id is 32 hexadecimal digits: sixteen drawn when the process starts, and a count that begins at random. It is unique,
//! also over restarts and among several balancers; it is no secret. Who may name a request is the caller's to know.

use super::fields::{Cuts, Field, TooManyCuts, line};
use crate::limits::MAX_REQUEST_ID;
use std::cell::Cell;

/// An id.
pub type RequestId = heapless::Vec<u8, MAX_REQUEST_ID>;

/// Where ids come from. No system call, no allocation.
#[derive(Debug)]
pub struct Source {
    process: u64,
    next: Cell<u64>,
}

impl Source {
    /// One with this randomness.
    #[must_use]
    pub fn new([process, first]: [u64; 2]) -> Self {
        Self { process, next: Cell::new(first) }
    }

    /// The next id.
    #[must_use]
    pub fn make(&self) -> RequestId {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut text = [0; 32];
        let (first, last) = text.split_at_mut(16);
        for (half, word) in [(first, self.process), (last, number)] {
            let mut rest = word;
            for digit in half.iter_mut().rev() {
                *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
                rest >>= 4;
            }
        }
        // 32 fit.
        RequestId::from_slice(&text).unwrap_or_default()
    }
}

/// Cuts all fields called `name` from a head, and says the id in them, where there is one that may be passed on: said once,
/// and of nothing but letters, digits and `-._~+/=:@`.
///
/// # Errors
/// [`TooManyCuts`].
pub fn take<'h>(
    head: &[u8],
    fields: &[Field<'h>],
    name: &str,
    cuts: &mut Cuts,
) -> Result<Option<&'h [u8]>, TooManyCuts> {
    let mut found = None;
    let mut count = 0;
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| is_called(field.name, name)) {
        cuts.add(line(head, fields, index))?;
        count += 1;
        found = Some(field.value);
    }
    Ok(found.filter(|id| count == 1 && is_sane(id)))
}

/// Whether a field is the one called `known`, also to readers that fold names into variables (CGI).
fn is_called(name: &[u8], known: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().map(|&byte| fold(byte)).eq(known.bytes().map(fold))
}

fn is_sane(id: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.iter().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids() {
        let source = Source::new([0x0123_4567_89ab_cdef, u64::MAX]);
        assert_eq!(source.make(), b"0123456789abcdefffffffffffffffff");
        assert_eq!(source.make(), b"0123456789abcdef0000000000000000");
        assert!(is_sane(&source.make()));
    }

    #[test]
    fn what_is_kept_and_what_is_cut() {
        let long = |length| format!("X-Request-ID: {}\r\n", "a".repeat(length));
        for (lines, kept, left) in [
            ("X-Request-ID: 7f9c-AB.c~+/=:@\r\n", Some("7f9c-AB.c~+/=:@"), ""),
            ("x-request-id:1\r\nA: b\r\n", Some("1"), "A: b\r\n"),
            ("A: b\r\nX_Request-Id: 1\r\n", Some("1"), "A: b\r\n"),
            ("X-Request-IDs: 1\r\n", None, "X-Request-IDs: 1\r\n"),
            ("X-Request-ID: 1\r\nX-Request-ID: 1\r\n", None, ""),
            ("X-Request-ID: 1\r\nA: b\r\nX_REQUEST_ID: 2\r\n", None, "A: b\r\n"),
            ("X-Request-ID: 1, 2\r\n", None, ""),
            ("X-Request-ID: 1}{2\r\n", None, ""),
            ("X-Request-ID: \r\n", None, ""),
            (&long(64), Some(&"a".repeat(64)), ""),
            (&long(65), None, ""),
        ] {
            let mut head = format!("{lines}\r\n").into_bytes();
            let bytes = head.clone();
            let mut table = [httparse::EMPTY_HEADER; 4];
            let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&bytes, &mut table) else {
                panic!("{lines}")
            };
            let fields: Vec<Field<'_>> =
                fields.iter().map(|field| Field { name: field.name.as_bytes(), value: field.value }).collect();
            let mut cuts = Cuts::default();
            let id = take(&bytes, &fields, "X-Request-ID", &mut cuts).unwrap();
            assert_eq!(id.map(|id| std::str::from_utf8(id).unwrap()), kept, "{lines}");
            let length = head.len() - 2;
            let rest = cuts.apply(&mut head, length);
            assert_eq!(std::str::from_utf8(&head[..rest]).unwrap(), left, "{lines}");
        }
    }
}
