//! A value that is replaced as a whole while others use it: each has the one he took until he is done with it.

#![allow(unsafe_code, reason = "a `RefCell` would count who looks, and be asked first, each time")]

use std::cell::UnsafeCell;
use std::mem;
use std::rc::Rc;

/// The value of now. To take it costs a count up and one down, and no check: this is read several times a request.
pub struct Current<T>(UnsafeCell<Rc<T>>);

impl<T> Current<T> {
    /// It begins with this value.
    #[must_use]
    pub fn new(value: Rc<T>) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value of now.
    #[must_use]
    #[inline(always)]
    pub fn get(&self) -> Rc<T> {
        // SAFETY: of one thread, which the cell sees to; and the reference ends before anything else can run: to copy an `Rc`
        // is to count, and calls nobody.
        Rc::clone(unsafe { &*self.0.get() })
    }

    /// Puts another in its place; who took the last one keeps that.
    #[must_use = "the last one is dropped by whoever has it"]
    pub fn replace(&self, value: Rc<T>) -> Rc<T> {
        // SAFETY: as above; nothing is dropped in here.
        mem::replace(unsafe { &mut *self.0.get() }, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_took_one_keeps_it_and_the_last_frees_it() {
        let current = Current::new(Rc::new(1));
        let first = current.get();
        let also = current.replace(Rc::new(2));
        assert_eq!((*first, *also, *current.get()), (1, 1, 2));
        drop(also);
        assert_eq!(Rc::strong_count(&first), 1);
        assert_eq!(Rc::strong_count(&current.get()), 2);
    }
}
