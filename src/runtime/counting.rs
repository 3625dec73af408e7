//! For tests: an allocator that counts, thread by thread, what is allocated and what of it is still there.

#![allow(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What this thread did with the heap so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    /// Allocations, those that made another one longer among them.
    pub allocations: u64,
    /// Bytes that are allocated now.
    pub bytes: u64,
}

thread_local! {
    static HEAP: Cell<Heap> = const { Cell::new(Heap { allocations: 0, bytes: 0 }) };
}

impl Heap {
    /// As of now.
    pub(crate) fn now() -> Self {
        HEAP.with(Cell::get)
    }

    fn change(allocated: usize, freed: usize) {
        // Threads that end free what they had when the count is gone already.
        let _ = HEAP.try_with(|heap| {
            let Self { allocations, bytes } = heap.get();
            let bytes = bytes.wrapping_add(allocated as u64).wrapping_sub(freed as u64);
            heap.set(Self { allocations: allocations + u64::from(allocated > 0), bytes });
        });
    }
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Heap::change(layout.size(), 0);
        // SAFETY: what the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Heap::change(layout.size(), 0);
        // SAFETY: what the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Heap::change(size, layout.size());
        // SAFETY: what the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Heap::change(0, layout.size());
        // SAFETY: what the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
