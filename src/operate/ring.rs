//! The last messages, kept in memory: a board has no disk to write them to, and nobody may have looked at standard error.

use crate::limits::LOG_RING;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines in a buffer that never grows: a new one takes the place of the oldest.
pub(super) struct Ring(Mutex<Kept>);

struct Kept {
    /// Whole lines, each with its end.
    bytes: VecDeque<u8>,
    /// Bytes that ever were, and are no more.
    gone: u64,
}

impl Ring {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Kept { bytes: VecDeque::with_capacity(LOG_RING), gone: 0 }))
    }

    /// Keeps `line`, which has no end; one that would fill all of it is cut.
    pub(super) fn push(&self, line: &[u8]) {
        let mut kept = self.kept();
        let line = &line[..line.len().min(LOG_RING / 4)];
        while kept.bytes.len() + line.len() + 1 > LOG_RING {
            let end = kept.bytes.iter().position(|&byte| byte == b'\n').map_or(kept.bytes.len(), |at| at + 1);
            kept.bytes.drain(..end);
            kept.gone += end as u64;
        }
        kept.bytes.extend(line);
        kept.bytes.push_back(b'\n');
    }

    /// Gives `take` the line at `place` with its end, or the oldest where that is no more, and says where the next one is;
    /// `None` when there is none. Places count from 0.
    pub(super) fn line(&self, place: u64, take: &mut dyn FnMut(&[u8])) -> Option<u64> {
        let mut kept = self.kept();
        let gone = kept.gone;
        let start = usize::try_from(place.saturating_sub(gone)).ok()?;
        let rest = kept.bytes.make_contiguous().get(start..)?;
        let length = rest.iter().position(|&byte| byte == b'\n')? + 1;
        take(&rest[..length]);
        Some(gone + (start + length) as u64)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic ends the process: nobody sees a poisoned lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring, mut place: u64) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(next) = ring.line(place, &mut |line| lines.push(String::from_utf8_lossy(line).into_owned())) {
            place = next;
        }
        lines
    }

    #[test]
    fn the_last_lines_are_kept_whole() {
        let ring = Ring::new();
        assert!(all(&ring, 0).is_empty());
        for number in 0..10_000 {
            ring.push(format!("line {number} {}", "x".repeat(number % 97)).as_bytes());
            assert!(ring.kept().bytes.len() <= LOG_RING);
        }
        let lines = all(&ring, 0);
        assert!(lines.len() > 100);
        for (line, number) in lines.iter().rev().zip((0..10_000).rev()) {
            assert_eq!(line, &format!("line {number} {}\n", "x".repeat(number % 97)));
        }
        // Who read so far goes on from there.
        let mut place = 0;
        for _ in 0..5 {
            place = ring.line(place, &mut |_| ()).unwrap();
        }
        assert_eq!(all(&ring, place), lines[5..]);
        ring.push(b"one more");
        assert_eq!(all(&ring, place).last().unwrap(), "one more\n");
        assert!(all(&ring, u64::MAX).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let ring = Ring::new();
        ring.push(&vec![b'x'; LOG_RING * 2]);
        ring.push(b"short");
        assert_eq!(all(&ring, 0).iter().map(String::len).collect::<Vec<_>>(), [LOG_RING / 4 + 1, 6]);
    }
}
