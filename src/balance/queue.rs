//! Requests that wait for a slot, in lists ordered by whose turn it is: class, then round, then arrival.
//!
//! A waiter is named by a small index (its task's seat); it waits in one list at most, and may be in one of late ones besides.
//! Lists are threaded through one fixed table, so waiting allocates nothing and leaving from the middle costs nothing.

use crate::limits::BackendId;
use crate::table::Table;

/// No waiter: the end of a list.
const NONE: u16 = u16::MAX;

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not waiting.
    Nowhere,
    /// In the list of requests bound to this backend.
    Backend(BackendId),
    /// In its pool's list, for any backend.
    Pool(crate::limits::PoolId),
    /// Holds a slot of this backend, and was not told yet.
    Granted(BackendId),
    /// Will get none, and was not told yet.
    Refused,
}

/// When a waiting request's turn comes: the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// Its priority class, the lower the sooner.
    pub class: i8,
    /// Its place in its client's row of requests: clients take turns.
    pub round: u64,
    /// Its arrival.
    pub arrival: u64,
}

/// Its neighbours in a list.
#[derive(Clone, Copy)]
struct Link {
    previous: u16,
    next: u16,
}

struct Entry {
    /// Its turn, in pieces: so they leave no gaps.
    class: i8,
    round: u64,
    arrival: u64,
    client: u64,
    /// The backend that failed it and should not get it again.
    avoids: Option<BackendId>,
    /// The backend it is bound to, once it is late; none again unless it was granted another one.
    home: Option<BackendId>,
    place: Place,
    /// In the list it waits in.
    link: Link,
    /// Among the late ones.
    late: Link,
}

impl Default for Entry {
    fn default() -> Self {
        let Turn { class, round, arrival } = Turn::default();
        let (place, link, late) = (Place::Nowhere, Link::NONE, Link::NONE);
        Self { class, round, arrival, client: 0, avoids: None, home: None, place, link, late }
    }
}

/// An idle connection has one: see `limits::CONNECTION_BYTES`.
const _: () = assert!(size_of::<Entry>() <= 40);

/// All waiters there can be.
pub(super) struct Waiters(Table<Entry>);

/// Which of a waiter's links a list is threaded through.
#[derive(Clone, Copy, Debug)]
enum Thread {
    Waiting,
    Late,
}

/// One list, in the order of turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    thread: Thread,
    head: u16,
    tail: u16,
    length: u32,
    most: u32,
}

impl Link {
    const NONE: Self = Self { previous: NONE, next: NONE };
}

impl List {
    /// Nobody waits in it.
    pub(super) const EMPTY: Self = Self { thread: Thread::Waiting, head: NONE, tail: NONE, length: 0, most: 0 };
    /// Nobody is late.
    pub(super) const NOBODY_LATE: Self = Self { thread: Thread::Late, ..Self::EMPTY };

    pub(super) fn len(&self) -> u32 {
        self.length
    }

    /// How many there were at most.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    pub(super) fn forget_most(&mut self) {
        self.most = self.length;
    }

    pub(super) fn head(&self) -> Option<u16> {
        (self.head != NONE).then_some(self.head)
    }
}

impl Waiters {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Table::new(capacity))
    }

    pub(super) fn place(&self, waiter: u16) -> Place {
        self.0.get(waiter).map_or(Place::Nowhere, |entry| entry.place)
    }

    pub(super) fn settle(&mut self, waiter: u16, place: Place) {
        self.0[waiter].place = place;
    }

    /// When its turn comes.
    pub(super) fn turn(&self, waiter: u16) -> Turn {
        let &Entry { class, round, arrival, .. } = &self.0[waiter];
        Turn { class, round, arrival }
    }

    /// Whose request it is.
    pub(super) fn client(&self, waiter: u16) -> u64 {
        self.0[waiter].client
    }

    /// The backend that failed it.
    pub(super) fn avoids(&self, waiter: u16) -> Option<BackendId> {
        self.0[waiter].avoids
    }

    /// Notes the backend that failed it.
    pub(super) fn avoid(&mut self, waiter: u16, backend: Option<BackendId>) {
        self.0.at(waiter).avoids = backend;
    }

    /// The backend it is bound to, if it is late, or was when it was granted another one.
    pub(super) fn home(&self, waiter: u16) -> Option<BackendId> {
        self.0[waiter].home
    }

    /// Notes that it was granted another backend than the one it is bound to, if it was.
    pub(super) fn left(&mut self, waiter: u16, home: Option<BackendId>) {
        self.0[waiter].home = home;
    }

    /// The next one in `list`.
    pub(super) fn next(&self, list: &List, waiter: u16) -> Option<u16> {
        Some(self.link(list, waiter).next).filter(|&next| next != NONE)
    }

    /// Puts `waiter`, a request of `client`, where its turn is; where clients do not differ that is the end, at once.
    pub(super) fn insert(&mut self, list: &mut List, waiter: u16, turn: Turn, client: u64, place: Place) {
        let Turn { class, round, arrival } = turn;
        let entry = self.0.at(waiter);
        *entry = Entry { class, round, arrival, client, place, home: None, ..*entry };
        self.tie(list, waiter);
    }

    /// Takes `waiter` out of `list`, which it is in.
    pub(super) fn remove(&mut self, list: &mut List, waiter: u16) {
        self.untie(list, waiter);
        self.settle(waiter, Place::Nowhere);
    }

    /// Puts `waiter`, who waits for `home`, among the late ones of `list` too.
    pub(super) fn insert_late(&mut self, list: &mut List, waiter: u16, home: BackendId) {
        self.left(waiter, Some(home));
        self.tie(list, waiter);
    }

    /// Takes `waiter` out of the late ones of `list`.
    pub(super) fn remove_late(&mut self, list: &mut List, waiter: u16) {
        self.untie(list, waiter);
        self.left(waiter, None);
    }

    fn tie(&mut self, list: &mut List, waiter: u16) {
        let turn = self.turn(waiter);
        let mut after = list.tail;
        while after != NONE && self.turn(after) > turn {
            after = self.link(list, after).previous;
        }
        let next = if after == NONE { list.head } else { self.link(list, after).next };
        *self.link_mut(list, waiter) = Link { previous: after, next };
        match after {
            NONE => list.head = waiter,
            after => self.link_mut(list, after).next = waiter,
        }
        match next {
            NONE => list.tail = waiter,
            next => self.link_mut(list, next).previous = waiter,
        }
        list.length += 1;
        list.most = list.most.max(list.length);
    }

    fn untie(&mut self, list: &mut List, waiter: u16) {
        let Link { previous, next } = std::mem::replace(self.link_mut(list, waiter), Link::NONE);
        match previous {
            NONE => list.head = next,
            previous => self.link_mut(list, previous).next = next,
        }
        match next {
            NONE => list.tail = previous,
            next => self.link_mut(list, next).previous = previous,
        }
        list.length -= 1;
    }

    fn link(&self, list: &List, waiter: u16) -> Link {
        let entry = &self.0[waiter];
        match list.thread {
            Thread::Waiting => entry.link,
            Thread::Late => entry.late,
        }
    }

    fn link_mut(&mut self, list: &List, waiter: u16) -> &mut Link {
        let entry = &mut self.0[waiter];
        match list.thread {
            Thread::Waiting => &mut entry.link,
            Thread::Late => &mut entry.late,
        }
    }

    /// The waiters of `list`, in their order.
    #[cfg(test)]
    pub(super) fn iter<'a>(&'a self, list: &'a List) -> impl Iterator<Item = u16> + 'a {
        std::iter::successors(list.head(), move |&waiter| self.next(list, waiter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PoolId;
    use proptest::prelude::*;

    proptest! {
        /// A list is what a sorted vector is.
        #[test]
        fn like_a_sorted_vector(steps in prop::collection::vec((0u16..12, 0u64..100, any::<bool>()), 1..100)) {
            let (mut waiters, mut list, mut model) = (Waiters::new(12), List::EMPTY, Vec::<(u64, u16)>::new());
            for (waiter, key, insert) in steps {
                let known = model.iter().position(|&(_, id)| id == waiter);
                match (insert, known) {
                    (true, None) => {
                        let key = key * 100 + model.len() as u64;
                        let turn = Turn { arrival: key, ..Turn::default() };
                        waiters.insert(&mut list, waiter, turn, 0, Place::Pool(PoolId(0)));
                        model.push((key, waiter));
                        model.sort_by_key(|&(key, _)| key);
                    }
                    (false, Some(at)) => {
                        waiters.remove(&mut list, waiter);
                        model.remove(at);
                    }
                    _ => {}
                }
                let ids: Vec<u16> = model.iter().map(|&(_, id)| id).collect();
                prop_assert_eq!(waiters.iter(&list).collect::<Vec<_>>(), ids);
                prop_assert_eq!(list.len() as usize, model.len());
                prop_assert_eq!(list.head(), model.first().map(|&(_, id)| id));
            }
        }
    }
}
