//! Tables that begin as zeroes, and indices that are free: of neither is anything written before it is used, so that what is never
//! used takes no page.

#![allow(unsafe_code, reason = "the system's zeroes are taken as values")]

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::ops::Range;
use std::ptr::slice_from_raw_parts_mut;

/// A type of which nothing but zero bytes is a value.
///
/// # Safety
/// It has to be.
pub(super) unsafe trait Zeroed: Sized {}

/// So many of them, each of zero bytes, as the system gives them.
pub(super) fn zeroed<T: Zeroed>(count: usize) -> Box<[T]> {
    let Ok(layout) = Layout::array::<T>(count) else { return Box::default() };
    if layout.size() == 0 {
        return Box::default();
    }
    // SAFETY: it is not empty.
    let first = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if first.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: it was allocated as a box allocates so many of them, and each of them is one of zero bytes.
    unsafe { Box::from_raw(slice_from_raw_parts_mut(first, count)) }
}

/// The free indices of a table: who came back last goes first, and then, from below, those that were never used.
pub(super) struct Free {
    back: Vec<u16>,
    unused: Range<u16>,
}

impl Free {
    /// All of `count`, of which there are less than [`u16::MAX`].
    pub(super) fn all(count: usize) -> Self {
        Self { back: Vec::with_capacity(count), unused: 0..u16::try_from(count).unwrap_or(u16::MAX) }
    }

    pub(super) fn take(&mut self) -> Option<u16> {
        self.back.pop().or_else(|| self.unused.next())
    }

    pub(super) fn put(&mut self, index: u16) {
        self.back.push(index);
    }

    pub(super) fn len(&self) -> usize {
        self.back.len() + self.unused.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: it is a number.
    unsafe impl Zeroed for u64 {}

    #[test]
    fn zeroes_are_values() {
        assert_eq!(*zeroed::<u64>(1000), [0; 1000]);
        assert!(zeroed::<u64>(0).is_empty());
    }

    #[test]
    fn who_came_back_last_goes_first() {
        let mut free = Free::all(3);
        assert_eq!((free.len(), free.take(), free.take()), (3, Some(0), Some(1)));
        free.put(0);
        assert_eq!((free.len(), free.take(), free.take(), free.take()), (2, Some(0), Some(2), None));
        free.put(2);
        free.put(1);
        assert_eq!((free.len(), free.take()), (2, Some(1)));
    }
}
