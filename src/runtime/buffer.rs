//! Buffers of two sizes, held only while they hold bytes.
//!
//! All of a size lie in one block of zeroed pages, made at the start; who is given back last is taken first. So what is
//! resident is the most that was ever in use, to the byte and whatever the allocator, and a request allocates nothing.
//! The counts come from the budget and are never passed.
//! Who finds no large one may stand in line for it: the first in line is woken whenever one comes back.

use super::reactor::Reactor;
use super::splice::{Pipe, Pipes};
use super::words::{copy, move_down};
use crate::limits::{FRONT_ROOM, LARGE_BUFFER, SMALL_BUFFER};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::slice::ChunksExactMut;

/// Bytes that [`Buffer::join`] moves at most: more takes longer than sending two runs.
pub const MAX_MOVED: usize = 512;

/// All buffers of the process.
pub struct Buffers {
    small: Shelf,
    large: Shelf,
    pipes: Pipes,
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
    count: usize,
    stock: RefCell<Stock>,
    reactor: &'static Reactor,
}

struct Stock {
    /// Those that came back, the last used on top.
    free: Vec<&'static mut [u8]>,
    /// Those that were never used, one behind the other.
    unused: ChunksExactMut<'static, u8>,
    /// How many those are: they would divide to count themselves.
    never_used: usize,
    /// Seats of tasks that wait for one.
    line: VecDeque<u16>,
}

impl Stock {
    #[cold]
    fn first_use(&mut self) -> Option<&'static mut [u8]> {
        self.never_used = self.never_used.saturating_sub(1);
        self.unused.next()
    }
}

impl Shelf {
    fn new(size: usize, count: usize, reactor: &'static Reactor) -> Self {
        // The system gives pages of zeroes when they are first touched. It lives as long as the process.
        let block: &'static mut [u8] = Box::leak(vec![0; size * count].into_boxed_slice());
        let (free, unused) = (Vec::with_capacity(count), block.chunks_exact_mut(size));
        let stock = Stock { free, unused, never_used: count, line: VecDeque::new() };
        Self { count, stock: RefCell::new(stock), reactor }
    }

    fn left(&self) -> usize {
        let stock = self.stock.borrow();
        stock.free.len() + stock.never_used
    }

    fn in_use(&self) -> usize {
        self.count - self.left()
    }

    fn take(&self) -> Option<&'static mut [u8]> {
        let mut stock = self.stock.borrow_mut();
        stock.free.pop().or_else(|| stock.first_use())
    }

    fn put(&self, bytes: &'static mut [u8]) {
        let mut stock = self.stock.borrow_mut();
        stock.free.push(bytes);
        self.wake_first(&stock);
    }

    fn wake_first(&self, stock: &Stock) {
        if let Some(&first) = stock.line.front() {
            self.reactor.wake(first);
        }
    }
}

/// A place in the line for large buffers. The next is woken when it is given up, with a buffer or without.
pub struct LinePlace {
    shelf: &'static Shelf,
    seat: u16,
}

impl LinePlace {
    /// Whether nobody stands before it.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.shelf.stock.borrow().line.front() == Some(&self.seat)
    }
}

impl Drop for LinePlace {
    fn drop(&mut self) {
        let mut stock = self.shelf.stock.borrow_mut();
        stock.line.retain(|&seat| seat != self.seat);
        self.shelf.wake_first(&stock);
    }
}

impl Buffers {
    /// So many buffers of each size, and pipes, none of them touched yet.
    #[must_use]
    pub fn new(small: usize, large: usize, pipes: usize, reactor: &'static Reactor) -> Self {
        Self {
            small: Shelf::new(SMALL_BUFFER, small, reactor),
            large: Shelf::new(LARGE_BUFFER, large, reactor),
            pipes: Pipes::new(pipes),
        }
    }

    /// Puts the task in `seat` at the end of the line for large buffers.
    pub fn line_up(&'static self, seat: u16) -> LinePlace {
        self.large.stock.borrow_mut().line.push_back(seat);
        LinePlace { shelf: &self.large, seat }
    }

    /// Whether somebody stands in line for a large buffer.
    #[must_use]
    pub fn has_line(&self) -> bool {
        !self.large.stock.borrow().line.is_empty()
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

    /// The bytes of `buffer` in a small one, if they fit: what comes behind a body is no reason to keep a large one.
    pub fn fitting(&'static self, mut buffer: Buffer) -> Buffer {
        let fits = buffer.capacity() > SMALL_BUFFER && buffer.len() <= SMALL_BUFFER;
        let Some(mut small) = fits.then(|| self.small()).flatten() else { return buffer };
        buffer.move_to(&mut small);
        small
    }

    /// A pipe, if one is free.
    pub fn pipe(&'static self) -> Option<Pipe> {
        self.pipes.take()
    }

    /// Pipes in use.
    #[must_use]
    pub fn pipes_in_use(&self) -> usize {
        self.pipes.in_use()
    }

    /// Buffers in use, small and large.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        (self.small.in_use(), self.large.in_use())
    }
}

/// A buffer in use: bytes `start..end` are filled. Goes back to its shelf when dropped.
pub struct Buffer {
    bytes: &'static mut [u8],
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

    /// Moves what is behind the first `at` filled bytes by `gap`, if there is room for that; whether there was.
    pub fn open(&mut self, at: usize, gap: usize) -> bool {
        let from = (self.start + at).min(self.end);
        if self.bytes.len() - self.end < gap {
            return false;
        }
        self.bytes.copy_within(from..self.end, from + gap);
        self.end += gap;
        true
    }

    /// All room behind the first `count` filled bytes; what was filled there is lost when it is written to.
    pub fn behind(&mut self, count: usize) -> &mut [u8] {
        let from = (self.start + count).min(self.end);
        &mut self.bytes[from..]
    }

    /// Takes the first `count` bytes as filled.
    pub fn set_len(&mut self, count: usize) {
        self.end = (self.start + count).min(self.bytes.len());
    }

    /// Leaves room for [`Buffer::join`] in front of what will be filled. It must be empty.
    pub fn leave_room(&mut self) {
        debug_assert!(self.is_empty());
        (self.start, self.end) = (FRONT_ROOM, FRONT_ROOM);
    }

    /// Makes one run of the first `head` filled bytes, of `middle`, and of the filled bytes from `tail` on. Those stay where
    /// they are, however many: the head moves, if that is not long, and if there is room where it goes. Whether it was made.
    pub fn join(&mut self, head: usize, middle: &[u8], tail: usize) -> bool {
        let tail = self.start + tail;
        let Some(start) = tail.checked_sub(head + middle.len()) else { return false };
        if tail > self.end || self.start + head > tail || (start != self.start && head > MAX_MOVED) {
            return false;
        }
        if start < self.start {
            move_down(self.bytes, self.start, start, head);
        } else if start > self.start {
            self.bytes.copy_within(self.start..self.start + head, start);
        }
        copy(middle, &mut self.bytes[start + head..tail]);
        self.start = start;
        true
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

    fn shelves(small: usize, large: usize) -> &'static Buffers {
        let reactor = Box::leak(Box::new(Reactor::new(1, 4).unwrap()));
        Box::leak(Box::new(Buffers::new(small, large, 0, reactor)))
    }

    #[test]
    fn a_line_is_first_come_first_served_and_a_place_can_be_given_up() {
        let buffers = shelves(0, 1);
        let held = buffers.large(Need::ResponseHead).unwrap();
        let places = [2, 0, 3].map(|seat| buffers.line_up(seat));
        let firsts = |places: &[LinePlace]| places.iter().map(LinePlace::is_first).collect::<Vec<_>>();
        assert_eq!(firsts(&places), [true, false, false]);
        let [first, second, third] = places;
        drop(second);
        assert!(!third.is_first());
        drop((held, first));
        assert!(third.is_first() && buffers.has_line());
        drop(third);
        assert!(!buffers.has_line());
    }

    #[test]
    fn the_count_is_a_ceiling_and_a_dropped_buffer_comes_back_empty() {
        let buffers = shelves(2, 0);
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
        let buffers = shelves(0, 16);
        let mut held = Vec::new();
        for (need, most) in [(Need::Body, 8), (Need::RequestHead, 12), (Need::ResponseHead, 16)] {
            held.extend(std::iter::from_fn(|| buffers.large(need)));
            assert_eq!(held.len(), most, "{need:?}");
        }
    }

    #[test]
    fn joined_by_moving_the_head() {
        let buffers = shelves(1, 0);
        let filled_with = |bytes: &[u8]| {
            let mut buffer = buffers.small().unwrap();
            buffer.leave_room();
            buffer.space()[..bytes.len()].copy_from_slice(bytes);
            buffer.fill(bytes.len());
            buffer
        };
        for (head, middle, tail, expected) in [
            (4, "MIDDLE", 7, Some("headMIDDLEtail")),
            (4, "GAP", 7, Some("headGAPtail")),
            (4, "M", 7, Some("headMtail")),
            (4, "", 7, Some("headtail")),
            (0, "M", 11, Some("M")),
            (4, "M", 12, None),
            (7, "M", 6, None),
        ] {
            let mut buffer = filled_with(b"headgaptail");
            let joined = buffer.join(head, middle.as_bytes(), tail);
            assert_eq!(joined.then_some(buffer.filled()), expected.map(str::as_bytes), "{head} {middle} {tail}");
        }
        let mut buffer = filled_with(&[b'x'; MAX_MOVED + 1]);
        assert!(!buffer.join(MAX_MOVED + 1, b"M", MAX_MOVED + 1), "it is long to move");
        let room = vec![b'm'; FRONT_ROOM];
        assert!(buffer.join(MAX_MOVED, &room, MAX_MOVED) && buffer.len() == MAX_MOVED + 1 + FRONT_ROOM);
        assert!(!buffer.join(1, b"M", 1), "all room is used");
    }

    #[test]
    fn consuming_compacting_and_moving() {
        let buffers = shelves(1, 1);
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
