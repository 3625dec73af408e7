//! Short copies by words at any address, which the board's processor loads and stores as fast as even ones.
//!
//! For addresses that differ in their last bits musl's `memcpy` puts words together by shifts, and its `memmove` of what
//! overlaps goes byte by byte: two to four instructions a byte, and twenty for the way in and out. This takes less than one.

#![allow(unsafe_code, reason = "a loop over slices would become a call of `memcpy`")]

/// What one step copies: four words.
type Step = [u8; 16];
const STEP: usize = size_of::<Step>();

/// Copies `from` to the front of `to`; nothing when that is shorter.
#[inline(always)]
pub fn copy(from: &[u8], to: &mut [u8]) {
    let Some(to) = to.get_mut(..from.len()) else { return };
    if from.len() < STEP {
        // Of a length that is known this is no call.
        to.copy_from_slice(from);
    } else {
        // SAFETY: so many bytes can be read and written; a shared slice and one of our own do not overlap.
        unsafe { forward(from.as_ptr(), to.as_mut_ptr(), from.len()) }
    }
}

/// Appends `from` to `to`; what is written to a line is mostly a few bytes.
pub fn append(from: &[u8], to: &mut Vec<u8>) {
    to.reserve(from.len());
    let length = to.len();
    // SAFETY: so many bytes can be read, and written behind those there are, which are all initialised then; a shared slice and
    // a vector of our own do not overlap.
    unsafe {
        forward(from.as_ptr(), to.as_mut_ptr().add(length), from.len());
        to.set_len(length + from.len());
    }
}

/// Moves the `length` bytes from `from` on to `to`, which is before them, in `bytes`; nothing when they are not there.
pub(super) fn move_down(bytes: &mut [u8], from: usize, to: usize, length: usize) {
    if to <= from && from.checked_add(length).is_some_and(|end| end <= bytes.len()) {
        let start = bytes.as_mut_ptr();
        // SAFETY: both ranges are in `bytes`, and the second begins no later than the first.
        unsafe { forward(start.add(from), start.add(to), length) }
    }
}

/// # Safety
/// `length` bytes from `from` on can be read, from `to` on written; where they overlap, `to` is not behind `from`.
#[inline(never)]
unsafe fn forward(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: every place is below `length`. A step writes no byte that a later one reads, since it reads before it
    // writes, and writes not behind what it has read; the last step, which may overlap others, is read before all.
    unsafe {
        let Some(last) = length.checked_sub(STEP) else {
            for at in 0..length {
                to.add(at).write(from.add(at).read());
            }
            return;
        };
        let end = from.add(last).cast::<Step>().read();
        let mut at = 0;
        while at < last {
            to.add(at).cast::<Step>().write(from.add(at).cast::<Step>().read());
            at += STEP;
        }
        to.add(last).cast::<Step>().write(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_standard_library_does(from in 0usize..40, back in 0usize..40, length in 0usize..70, room in 0usize..70) {
            let bytes: Vec<u8> = (0..120).collect();
            let (mut moved, mut expected) = (bytes.clone(), bytes.clone());
            let to = from.saturating_sub(back);
            move_down(&mut moved, from, to, length);
            expected.copy_within(from..from + length, to);
            prop_assert_eq!(&moved, &expected);

            let mut copied = vec![0; room];
            copy(&bytes[from..from + length], &mut copied);
            let mut expected = vec![0; room];
            if length <= room {
                expected[..length].copy_from_slice(&bytes[from..from + length]);
            }
            prop_assert_eq!(copied, expected);

            // With room for it, and without.
            let mut appended = Vec::with_capacity(room);
            appended.extend_from_slice(&bytes[..back]);
            append(&bytes[from..from + length], &mut appended);
            prop_assert_eq!(appended, [&bytes[..back], &bytes[from..from + length]].concat());
        }
    }

    #[test]
    fn what_is_not_there_is_not_moved() {
        let mut bytes = [1, 2, 3];
        for (from, to, length) in [(0, 1, 1), (1, 0, 3), (1, 0, usize::MAX)] {
            move_down(&mut bytes, from, to, length);
        }
        assert_eq!(bytes, [1, 2, 3]);
    }
}
