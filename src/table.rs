//! Tables that are as long as their highest entry in use: what was never used is not written to, so that it takes no page.
//!
//! The memory is allocated whole at the start, and there is never more. Indices are handed out from below, and again before a
//! new one, so a table is touched as far as there ever were connections at once, and no further.

use std::ops::{Index, IndexMut};

/// Entries of which the first ones are made; one that is not made is empty.
pub struct Table<T>(Vec<T>);

impl<T: Default> Table<T> {
    /// Room for `capacity` entries, all empty.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// An entry, if it is made.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, index: u16) -> Option<&T> {
        self.0.get(usize::from(index))
    }

    /// An entry, if it is made.
    #[inline(always)]
    pub fn get_mut(&mut self, index: u16) -> Option<&mut T> {
        self.0.get_mut(usize::from(index))
    }

    /// An entry, made if it is not.
    #[inline(always)]
    pub fn at(&mut self, index: u16) -> &mut T {
        let at = usize::from(index);
        if at >= self.0.len() {
            return self.reach(at);
        }
        &mut self.0[at]
    }

    /// The entries that are made.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    #[cold]
    #[inline(never)]
    fn reach(&mut self, at: usize) -> &mut T {
        assert!(at < self.0.capacity(), "an entry beyond its table");
        self.0.resize_with(at + 1, T::default);
        &mut self.0[at]
    }
}

impl<T> Index<u16> for Table<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u16) -> &T {
        &self.0[usize::from(index)]
    }
}

impl<T> IndexMut<u16> for Table<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u16) -> &mut T {
        &mut self.0[usize::from(index)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_as_far_as_it_is_used_where_it_was_allocated() {
        let mut table = Table::<u64>::new(100);
        let there = table.0.as_ptr();
        assert_eq!(table.get(3), None);
        assert_eq!(table.get_mut(3), None);
        *table.at(3) = 7;
        assert_eq!((table.0.len(), table[3], table[2], table.get(4)), (4, 7, 0, None));
        *table.at(1) = 1;
        assert_eq!((table.0.len(), *table.at(3)), (4, 7));
        table.at(99);
        assert_eq!(table.0.as_ptr(), there, "nothing grows");
    }
}
