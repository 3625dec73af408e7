//! Who makes room when connections, or large buffers, have run out: clients that hold a place and have no request in it.
//!
//! A connection is in the table from when it could send a request until that request's head is complete, and again while
//! it lingers behind a last reply; one without requests (`mode = tcp`) until its first byte passes. The oldest of its kind
//! is shed first, never one that came a moment ago, never one that is at work. The table decides, knows neither sockets nor
//! the clock, and only marks who is shed; the connection's task sees the mark and ends. A large buffer with an incomplete
//! head lies in the table while its task waits, so that it can be taken away at once.
//!
//! ```text
//!   accepted ------> Fresh --+--head outgrows a small buffer--> LargeHead --+--head complete--> (at work)
//!   request over --> Idle ---+----------------------------------------------+   (at work) --last reply--> Leaving
//! ```
//! A user whom an affinity cookie brought back to his backend is Known instead of Idle. So is a first head, instead of
//! Fresh, of a client that is remembered for that (`limits.reserve`).

use super::Proxy;
use crate::limits::{HEAD_GRACE_MS, IDLE_GRACE_MS, LARGE_BUFFER};
use crate::runtime::{Buffer, NEVER, Need};
use crate::table::Table;

const NONE: u16 = u16::MAX;

/// Why a connection has no complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has a reply that ends the connection, and lingers to read it; or will have one, and is held in the tarpit.
    Leaving,
    /// It has not completed a head yet; without HTTP: nothing passed yet.
    Fresh,
    /// A head that outgrew a small buffer is on its way; it holds a large one.
    LargeHead,
    /// It was served, and may ask again.
    Idle,
    /// The same of a user whom an affinity cookie brought back, or a first head of a client who is known for that.
    Known,
}

/// In the order in which they make room. A client that was served goes late: it is known to be one; a user goes last.
const KINDS: [Kind; 5] = [Kind::Leaving, Kind::LargeHead, Kind::Fresh, Kind::Idle, Kind::Known];

impl Kind {
    /// How long it is spared. A head comes right behind the handshake, so who has sent none soon is in no hurry; a client
    /// between two requests may be about to send the next.
    fn grace_ms(self) -> u64 {
        match self {
            Self::Leaving | Self::Fresh | Self::LargeHead => HEAD_GRACE_MS,
            Self::Idle | Self::Known => IDLE_GRACE_MS,
        }
    }
}

/// What becomes of a connection's wish for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// This one was marked: it is to be woken.
    Shed(u16),
    /// One was marked earlier and has not ended yet.
    Coming,
    /// Nobody may be shed before this time.
    NotBefore(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Out,
    In(Kind),
    /// Marked.
    Shed(Kind),
}

struct Entry {
    since_ms: u64,
    older: u16,
    younger: u16,
    place: Place,
    /// The beginning of a large head.
    parked: Option<Buffer>,
}

impl Default for Entry {
    fn default() -> Self {
        Self { since_ms: 0, older: NONE, younger: NONE, place: Place::Out, parked: None }
    }
}

#[derive(Clone, Copy)]
struct List {
    oldest: u16,
    youngest: u16,
    /// Marked, and still there.
    shed: u16,
}

/// All connections that may be shed, named by their seats.
pub(super) struct Sheddable {
    entries: Table<Entry>,
    lists: [List; KINDS.len()],
}

impl Sheddable {
    /// For so many seats.
    pub(super) fn new(seats: usize) -> Self {
        Self { entries: Table::new(seats), lists: [List { oldest: NONE, youngest: NONE, shed: 0 }; KINDS.len()] }
    }

    /// Puts `who` in, or among another kind, as the youngest. One that is marked stays marked.
    pub(super) fn enter(&mut self, who: u16, kind: Kind, now_ms: u64) {
        match self.entries.at(who).place {
            Place::Out => {}
            Place::In(kind) => self.unlink(who, kind),
            Place::Shed(_) => return,
        }
        let list = &mut self.lists[kind as usize];
        let older = std::mem::replace(&mut list.youngest, who);
        match older {
            NONE => list.oldest = who,
            older => self.entries[older].younger = who,
        }
        let entry = &mut self.entries[who];
        (entry.since_ms, entry.older, entry.younger, entry.place) = (now_ms, older, NONE, Place::In(kind));
        // Mostly there is none, and to look costs less than to drop what is not there.
        if entry.parked.is_some() {
            entry.parked = None;
        }
    }

    /// Takes `who` out, be it marked or not, if it is in.
    pub(super) fn leave(&mut self, who: u16) {
        let Some(entry) = self.entries.get_mut(who) else { return };
        match std::mem::replace(&mut entry.place, Place::Out) {
            Place::Out => {}
            Place::In(kind) => self.unlink(who, kind),
            Place::Shed(kind) => self.lists[kind as usize].shed -= 1,
        }
    }

    /// Whether `who` is known to hold a large buffer.
    fn has_large(&self, who: u16) -> bool {
        self.entries.get(who).is_some_and(|entry| entry.place == Place::In(Kind::LargeHead))
    }

    /// Since when `who` waits for a request, or for the one that it has waited.
    pub(super) fn since_ms(&self, who: u16) -> u64 {
        self.entries.get(who).map_or(0, |entry| entry.since_ms)
    }

    /// Whether `who` is marked.
    pub(super) fn is_shed(&self, who: u16) -> bool {
        self.entries.get(who).is_some_and(|entry| matches!(entry.place, Place::Shed(_)))
    }

    /// Makes room for a connection.
    pub(super) fn for_connection(&mut self, now_ms: u64) -> Room {
        self.ripe(now_ms).map_or_else(|room| room, |kind| self.shed_oldest(kind))
    }

    /// The kind whose oldest makes room for a connection now.
    ///
    /// # Errors
    /// What becomes of the wish when nobody does.
    pub(super) fn ripe(&self, now_ms: u64) -> Result<Kind, Room> {
        if self.lists.iter().any(|list| list.shed > 0) {
            return Err(Room::Coming);
        }
        let ripe = |&kind: &Kind| self.ripe_ms(kind) <= now_ms;
        KINDS.into_iter().find(ripe).ok_or_else(|| Room::NotBefore(self.next_ms()))
    }

    /// Takes the large buffer of the oldest incomplete head, with no grace: the other would get none. Who it was is to be
    /// woken.
    fn take_parked(&mut self) -> Option<(u16, Buffer)> {
        let who = self.lists[Kind::LargeHead as usize].oldest;
        let mut buffer = self.entries.get_mut(who)?.parked.take()?;
        self.shed_oldest(Kind::LargeHead);
        buffer.clear();
        Some((who, buffer))
    }

    /// When somebody may be shed for a connection; [`NEVER`] while the table is empty.
    pub(super) fn next_ms(&self) -> u64 {
        KINDS.into_iter().map(|kind| self.ripe_ms(kind)).min().unwrap_or(NEVER)
    }

    /// When the oldest of a kind may be shed.
    fn ripe_ms(&self, kind: Kind) -> u64 {
        match self.lists[kind as usize].oldest {
            NONE => NEVER,
            oldest => self.entries[oldest].since_ms + kind.grace_ms(),
        }
    }

    fn shed_oldest(&mut self, kind: Kind) -> Room {
        let who = self.lists[kind as usize].oldest;
        if who == NONE {
            return Room::NotBefore(NEVER);
        }
        self.unlink(who, kind);
        self.entries[who].place = Place::Shed(kind);
        self.lists[kind as usize].shed += 1;
        Room::Shed(who)
    }

    fn unlink(&mut self, who: u16, kind: Kind) {
        let Entry { older, younger, .. } = &self.entries[who];
        let (older, younger) = (*older, *younger);
        let list = &mut self.lists[kind as usize];
        match older {
            NONE => list.oldest = younger,
            older => self.entries[older].younger = younger,
        }
        match younger {
            NONE => list.youngest = older,
            younger => self.entries[younger].older = older,
        }
    }
}

/// A connection's place in the table: given up when dropped.
pub(super) struct Awaiting {
    proxy: &'static Proxy,
    who: u16,
}

impl Awaiting {
    /// The place of the connection in seat `who`, not in the table yet.
    pub(super) fn new(proxy: &'static Proxy, who: u16) -> Self {
        Self { proxy, who }
    }

    /// From now on the connection has no complete request.
    pub(super) fn begin(&self, kind: Kind) {
        let proxy = self.proxy;
        let mut sheddable = proxy.sheddable.borrow_mut();
        if !proxy.is_full() {
            return sheddable.enter(self.who, kind, proxy.reactor.now_ms());
        }
        let before_ms = sheddable.next_ms();
        sheddable.enter(self.who, kind, proxy.reactor.now_ms());
        let sooner = sheddable.next_ms() < before_ms;
        drop(sheddable);
        if sooner {
            // The listeners rest until then, or without a time to look again.
            proxy.wake_watchers();
        }
    }

    /// A large buffer for a head that outgrew its small one: a free one, or that of the oldest incomplete head, so that
    /// slow heads do not keep it from others.
    pub(super) fn large_buffer(&self) -> Option<Buffer> {
        let proxy = self.proxy;
        let buffer = proxy.buffers.large(Need::RequestHead).or_else(|| {
            let (who, buffer) = proxy.sheddable.borrow_mut().take_parked()?;
            proxy.reactor.wake(who);
            Some(buffer)
        })?;
        self.begin(Kind::LargeHead);
        Some(buffer)
    }

    /// Leaves a large buffer in the table while the task waits.
    pub(super) fn park(&self, buffer: &mut Option<Buffer>) {
        if buffer.as_ref().is_some_and(|buffer| buffer.capacity() >= LARGE_BUFFER) {
            if !self.proxy.sheddable.borrow().has_large(self.who) {
                // It came behind a body, in that one's buffer.
                self.begin(Kind::LargeHead);
            }
            self.proxy.sheddable.borrow_mut().entries[self.who].parked = buffer.take();
        }
    }

    /// Takes it back, if it was not taken away.
    pub(super) fn unpark(&self, buffer: &mut Option<Buffer>) {
        if buffer.is_none() {
            *buffer = self.proxy.sheddable.borrow_mut().entries.get_mut(self.who).and_then(|entry| entry.parked.take());
        }
    }

    /// The head is complete, or will not be.
    pub(super) fn end(&self) {
        self.proxy.sheddable.borrow_mut().leave(self.who);
    }

    /// Whether the connection is to make room.
    pub(super) fn is_shed(&self) -> bool {
        self.proxy.sheddable.borrow().is_shed(self.who)
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Buffers, Reactor};
    use proptest::prelude::*;

    #[test]
    fn a_fresh_one_before_an_idle_one_and_neither_in_its_grace() {
        let mut table = Sheddable::new(8);
        assert_eq!(table.for_connection(0), Room::NotBefore(NEVER));
        table.enter(1, Kind::Idle, 0);
        table.enter(2, Kind::Fresh, 2_000);
        table.enter(3, Kind::Fresh, 2_001);
        assert_eq!(table.for_connection(IDLE_GRACE_MS - 1), Room::NotBefore(IDLE_GRACE_MS));
        // The fresh ones are too young: otherwise idle clients would leave nobody the time to send a head.
        assert_eq!(table.for_connection(IDLE_GRACE_MS), Room::Shed(1));
        assert_eq!(table.for_connection(9_000), Room::Coming);
        assert!(table.is_shed(1) && !table.is_shed(2));
        table.leave(1);
        table.enter(1, Kind::Idle, 3_000);
        assert_eq!(table.for_connection(9_000), Room::Shed(2));
        // Its head came at the last moment: another one has to go.
        table.leave(2);
        assert_eq!(table.for_connection(9_000), Room::Shed(3));
    }

    #[test]
    fn a_user_who_came_back_goes_last() {
        let mut table = Sheddable::new(4);
        table.enter(1, Kind::Known, 0);
        table.enter(2, Kind::Idle, 100);
        assert_eq!(table.for_connection(IDLE_GRACE_MS + 100), Room::Shed(2));
        table.leave(2);
        assert_eq!(table.for_connection(IDLE_GRACE_MS + 100), Room::Shed(1));
    }

    #[test]
    fn the_oldest_large_head_gives_its_buffer() {
        let buffers: &'static Buffers =
            Box::leak(Box::new(Buffers::new(0, 4, 0, Box::leak(Box::new(Reactor::new(1, 1).unwrap())))));
        let mut table = Sheddable::new(8);
        table.enter(1, Kind::Fresh, 0);
        assert!(table.take_parked().is_none());
        for (who, now_ms) in [(2, 10), (1, 20)] {
            table.enter(who, Kind::LargeHead, now_ms);
            table.entries[who].parked = buffers.large(Need::RequestHead);
        }
        for expected in [2, 1] {
            let (who, buffer) = table.take_parked().unwrap();
            assert!(who == expected && buffer.is_empty() && table.is_shed(who));
            table.enter(who, Kind::LargeHead, 30);
            assert!(table.is_shed(who), "a mark stays until it leaves");
        }
        assert!(table.take_parked().is_none());
        assert_eq!(buffers.in_use(), (0, 0));
    }

    proptest! {
        /// Whatever comes and goes, it chooses as a search through a plain list would.
        #[test]
        fn like_a_plain_list(steps in prop::collection::vec((0u16..10, 0usize..7, 0u64..600), 1..200)) {
            let (mut table, mut model) = (Sheddable::new(10), Vec::<(u16, Kind, u64)>::new());
            let (mut shed, mut now_ms) = (None, 0);
            for (who, what, pass_ms) in steps {
                now_ms += pass_ms;
                if let Some(&kind) = KINDS.get(what) {
                    table.enter(who, kind, now_ms);
                    if shed != Some(who) {
                        model.retain(|&(other, ..)| other != who);
                        model.push((who, kind, now_ms));
                    }
                } else if what == KINDS.len() {
                    table.leave(who);
                    model.retain(|&(other, ..)| other != who);
                    shed = shed.filter(|&other| other != who);
                } else {
                    let oldest = |kind| model.iter().find(|entry| entry.1 == kind && entry.2 + kind.grace_ms() <= now_ms);
                    let wanted = KINDS.into_iter().find_map(oldest).map(|&(who, ..)| who);
                    let next_ms = model.iter().map(|entry| entry.2 + entry.1.grace_ms()).min().unwrap_or(NEVER);
                    let expected = match (shed, wanted) {
                        (Some(_), _) => Room::Coming,
                        (None, Some(who)) => Room::Shed(who),
                        (None, None) => Room::NotBefore(next_ms),
                    };
                    prop_assert_eq!(table.for_connection(now_ms), expected);
                    shed = shed.or(wanted);
                    model.retain(|&(other, ..)| Some(other) != shed);
                }
            }
        }
    }
}
