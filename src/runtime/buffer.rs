//! Buffers of two sizes, held only while they hold bytes.
//!
//! Each buffer is allocated when it is first needed and then kept for good: what is resident is the most that was ever
//! in use, and a request in steady state allocates nothing. The counts come from the budget and are never passed.

use crate::limits::{LARGE_BUFFER, SMALL_BUFFER};
use std::cell::{Cell, RefCell};

/// All buffers of the process.
pub struct Buffers {
    small: Shelf,
    large: Shelf,
}

/// What a large buffer is for. Slow clients can hold theirs for long, so they must not get the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A body, which could do with a small one.
    Body,
    /// A request's head that outgrew a small one.
    RequestHead,
    /// A response's head that outgrew a small one.
    ResponseHead,
}

struct Shelf {
    size: usize,
    count: usize,
    /// Buffers that exist and are free, the last used on top.
    free: RefCell<Vec<Box<[u8]>>>,
    /// Buffers that may still be made.
    unmade: Cell<usize>,
    in_use: Cell<usize>,
}

impl Shelf {
    fn new(size: usize, count: usize) -> Self {
        let free = RefCell::new(Vec::with_capacity(count));
        Self { size, count, free, unmade: Cell::new(count), in_use: Cell::new(0) }
    }

    fn left(&self) -> usize {
        self.count - self.in_use.get()
    }

    fn take(&self) -> Option<Box<[u8]>> {
        let bytes = self.free.borrow_mut().pop().or_else(|| {
            let unmade = self.unmade.get().checked_sub(1)?;
            self.unmade.set(unmade);
            Some(vec![0; self.size].into_boxed_slice())
        })?;
        self.in_use.set(self.in_use.get() + 1);
        Some(bytes)
    }

    fn put(&self, bytes: Box<[u8]>) {
        self.in_use.set(self.in_use.get() - 1);
        self.free.borrow_mut().push(bytes);
    }
}

impl Buffers {
    /// So many buffers of each size, none of them made yet.
    #[must_use]
    pub fn new(small: usize, large: usize) -> Self {
        Self { small: Shelf::new(SMALL_BUFFER, small), large: Shelf::new(LARGE_BUFFER, large) }
    }

    /// A buffer of [`SMALL_BUFFER`] bytes; `None` when all are in use.
    pub fn small(&'static self) -> Option<Buffer> {
        self.small.take().map(|bytes| Buffer { bytes, start: 0, end: 0, home: &self.small })
    }

    /// A buffer of [`LARGE_BUFFER`] bytes, if that leaves enough of them for needs that go before this one.
    pub fn large(&'static self, need: Need) -> Option<Buffer> {
        let (left, all) = (self.large.left(), self.large.count);
        let reserved = match need {
            Need::Body => all / 2,
            Need::RequestHead => all / 4,
            Need::ResponseHead => 0,
        };
        if left <= reserved {
            return None;
        }
        self.large.take().map(|bytes| Buffer { bytes, start: 0, end: 0, home: &self.large })
    }

    /// Buffers in use, small and large.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        (self.small.in_use.get(), self.large.in_use.get())
    }
}

/// A buffer in use: bytes `start..end` are filled. Goes back to its shelf when dropped.
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    home: &'static Shelf,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.bytes));
    }
}

impl Buffer {
    /// The filled bytes.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The filled bytes, to be rewritten in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// The room behind the filled bytes.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Takes `count` bytes written into [`Buffer::space`] as filled.
    pub fn fill(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Drops `count` filled bytes from the front.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Drops all bytes.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Moves the filled bytes to the front, so that all room is behind them.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }

    /// Filled bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Moves the filled bytes into `other`, as many as fit.
    pub fn move_to(&mut self, other: &mut Self) {
        let count = self.len().min(other.space().len());
        other.space()[..count].copy_from_slice(&self.filled()[..count]);
        other.fill(count);
        self.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_a_ceiling_and_a_dropped_buffer_comes_back_empty() {
        let buffers: &'static Buffers = Box::leak(Box::new(Buffers::new(2, 0)));
        let mut one = buffers.small().unwrap();
        let two = buffers.small().unwrap();
        assert!(buffers.small().is_none() && buffers.large(Need::ResponseHead).is_none());
        one.space()[..3].copy_from_slice(b"abc");
        one.fill(3);
        assert_eq!(one.filled(), b"abc");
        drop(one);
        assert!(buffers.small().unwrap().is_empty());
        drop(two);
        assert_eq!(buffers.in_use(), (0, 0));
    }

    #[test]
    fn the_last_large_buffers_are_kept_for_heads() {
        let buffers: &'static Buffers = Box::leak(Box::new(Buffers::new(0, 16)));
        let mut held = Vec::new();
        for (need, most) in [(Need::Body, 8), (Need::RequestHead, 12), (Need::ResponseHead, 16)] {
            held.extend(std::iter::from_fn(|| buffers.large(need)));
            assert_eq!(held.len(), most, "{need:?}");
        }
    }

    #[test]
    fn consuming_compacting_and_moving() {
        let buffers: &'static Buffers = Box::leak(Box::new(Buffers::new(1, 1)));
        let mut buffer = buffers.small().unwrap();
        buffer.space()[..6].copy_from_slice(b"abcdef");
        buffer.fill(6);
        buffer.consume(2);
        buffer.compact();
        assert_eq!(buffer.filled(), b"cdef");
        assert_eq!(buffer.space().len(), SMALL_BUFFER - 4);
        let mut large = buffers.large(Need::Body).unwrap();
        buffer.move_to(&mut large);
        assert!(buffer.is_empty());
        assert_eq!(large.filled(), b"cdef");
    }
}
