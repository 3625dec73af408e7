//! Sorting by little code: the standard library's sorts take 2 to 8 kB for each kind of thing, and are faster than what is
//! sorted here needs: the settings of a file, the nodes of a ring, a few cuts.

use std::cmp::Ordering;

/// Sorts what is few, or nearly in order: of equals the first stays first. Moves, for each, all behind its place.
pub fn few<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    for at in 1..items.len() {
        let (before, rest) = items.split_at(at);
        let Some(item) = rest.first() else { return };
        let place = before.partition_point(|other| compare(other, item) != Ordering::Greater);
        if let Some(moved) = items.get_mut(place..=at) {
            moved.rotate_right(1);
        }
    }
}

/// Sorts any number: of equals any may be first (a heap sort).
pub fn many<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let sink = |heap: &mut [T], mut at: usize| {
        loop {
            let mut child = 2 * at + 1;
            if child >= heap.len() {
                return;
            }
            if child + 1 < heap.len() && compare(&heap[child], &heap[child + 1]) == Ordering::Less {
                child += 1;
            }
            if compare(&heap[at], &heap[child]) != Ordering::Less {
                return;
            }
            heap.swap(at, child);
            at = child;
        }
    };
    for at in (0..items.len() / 2).rev() {
        sink(items, at);
    }
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sink(&mut items[..end], 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_standard_library_does(items: Vec<(u8, u8)>) {
            let by_first = |a: &(u8, u8), b: &(u8, u8)| a.0.cmp(&b.0);
            let (mut ours, mut expected) = (items.clone(), items.clone());
            few(&mut ours, by_first);
            expected.sort_by(by_first);
            prop_assert_eq!(ours, expected);

            let (mut ours, mut expected) = (items.clone(), items);
            many(&mut ours, Ord::cmp);
            expected.sort_unstable();
            prop_assert_eq!(ours, expected);
        }
    }
}
