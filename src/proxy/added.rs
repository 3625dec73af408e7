//! Lines that are added behind a head, written to where they are sent from: right behind it in its buffer if that is
//! possible, else here.

use crate::limits::MAX_ADDED;
use crate::runtime::copy;
use std::fmt::{Error, Result, Write};

/// What is added to a head and does not lie in its buffer.
pub(super) struct Added {
    bytes: [u8; MAX_ADDED],
    length: usize,
}

impl Added {
    pub(super) fn new() -> Self {
        Self { bytes: [0; MAX_ADDED], length: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Room for what is to be added behind what there is; [`Added::set_len`] takes it as added.
    pub(super) fn out(&mut self) -> Out<'_> {
        Out { room: &mut self.bytes, length: self.length }
    }

    /// Takes the first `length` bytes as added.
    pub(super) fn set_len(&mut self, length: usize) {
        self.length = length.min(MAX_ADDED);
    }

    /// Lets `write` add to it.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut Out<'_>) -> Result) -> Result {
        let mut out = self.out();
        let result = write(&mut out);
        let length = out.length;
        self.set_len(length);
        result
    }
}

/// Room for what is added, filled from the front. What does not fit is an error.
pub(super) struct Out<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl<'a> Out<'a> {
    /// The first [`MAX_ADDED`] bytes of `room`, if it has so many.
    pub(super) fn new(room: &'a mut [u8]) -> Option<Self> {
        room.get_mut(..MAX_ADDED).map(|room| Self { room, length: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Adds `bytes`.
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) -> Result {
        let end = self.length + bytes.len();
        copy(bytes, self.room.get_mut(self.length..end).ok_or(Error)?);
        self.length = end;
        Ok(())
    }

    /// Adds as many bytes of the next `N` as `fill` says it has written to their front.
    pub(super) fn fill<const N: usize>(&mut self, fill: impl FnOnce(&mut [u8; N]) -> usize) -> Result {
        let room = self.room.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut).ok_or(Error)?;
        self.length += fill(room).min(N);
        Ok(())
    }
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> Result {
        self.extend_from_slice(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_an_error_and_adds_nothing() {
        let mut added = Added::new();
        added.write(|out| out.write_str("ab")).unwrap();
        added.write(|out| write!(out, "{:x}", 255)).unwrap();
        assert_eq!(added.filled(), b"abff");
        assert_eq!(added.write(|out| out.extend_from_slice(&[0; MAX_ADDED - 3])), Err(Error));
        assert_eq!(added.write(|out| out.fill::<{ MAX_ADDED - 3 }>(|_| 1)), Err(Error));
        assert_eq!(added.filled(), b"abff");
        added.write(|out| out.fill::<{ MAX_ADDED - 4 }>(|room| (room[0] = b'c', 1).1)).unwrap();
        assert_eq!((added.filled(), added.len()), (&b"abffc"[..], 5));
        added.clear();
        assert!(added.is_empty() && Out::new(&mut [0; MAX_ADDED - 1]).is_none());
    }
}
