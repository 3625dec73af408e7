//! The places that clients of the admin listener take.
//!
//! When all are taken the client that has waited longest without sending a request makes room; where none waits, the one that
//! has taken nothing of its answer for longest, if that is too long: whoever only holds a connection keeps nobody out.

use super::client;
use super::out::Buffer;
use crate::limits::{ADMIN_BUFFER, ADMIN_CLIENTS, ADMIN_HEAD, ADMIN_STALL_MS};
use crate::operate::accept;
use crate::operate::lines::Lines;
use crate::proxy::Proxy;
use crate::runtime::{Listener, Seat, Stream};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

/// What all of its clients share.
pub(super) struct Desk {
    pub proxy: &'static Proxy,
    /// The machine's own name.
    pub host: String,
    /// The same without what would end a text.
    pub json_host: String,
    /// Where lines go.
    pub lines: &'static [Lines],
    places: Box<[Place]>,
    /// Counts waits.
    waits: Cell<u64>,
    acceptor: Cell<u16>,
}

/// Room for one client.
struct Place {
    /// Its buffers while nobody is there.
    room: RefCell<Option<Room>>,
    /// The client's seat.
    seat: Cell<u16>,
    /// The number of its wait for a request; nothing while it is busy.
    waits: Cell<Option<u64>>,
    /// Since when it takes nothing of its answer.
    stalls: Cell<Option<u64>>,
    /// It is to leave, if it still waits or stalls.
    leaves: Cell<bool>,
}

impl Place {
    /// Whether it has taken nothing of its answer for too long.
    fn is_stuck(&self, now_ms: u64) -> bool {
        self.stalls.get().is_some_and(|since_ms| now_ms >= since_ms + ADMIN_STALL_MS)
    }
}

/// Buffers of a client, made once.
pub(super) struct Room {
    pub input: Box<[u8]>,
    pub output: Buffer,
}

/// Where a client is: given back when it leaves.
pub(super) struct Visit {
    desk: &'static Desk,
    index: usize,
    pub room: Option<Room>,
}

impl Visit {
    fn place(&self) -> &'static Place {
        &self.desk.places[self.index]
    }

    /// From now on it waits for a request, or no longer.
    pub(super) fn wait(&self, waits: bool) {
        let next = || self.desk.waits.replace(self.desk.waits.get() + 1);
        self.place().waits.set(waits.then(next));
        if waits {
            // Somebody may have come while all were busy.
            self.desk.proxy.reactor.wake(self.desk.acceptor.get());
        }
    }

    /// It takes nothing of its answer, or something again. Whether somebody else needs the place, and it stalls for too long.
    pub(super) fn stall(&self, stalls: bool) -> bool {
        let (now_ms, place) = (self.desk.proxy.reactor.now_ms(), self.place());
        place.stalls.set(stalls.then(|| place.stalls.get().unwrap_or(now_ms)));
        if !stalls {
            // Who takes some again stays, and another is told.
            place.leaves.set(false);
        }
        place.leaves.get() && place.is_stuck(now_ms)
    }

    /// Whether somebody else needs the place.
    pub(super) fn is_over(&self) -> bool {
        self.place().leaves.get()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let place = self.place();
        place.waits.set(None);
        place.stalls.set(None);
        place.leaves.set(false);
        place.room.replace(self.room.take());
        self.desk.proxy.reactor.wake(self.desk.acceptor.get());
    }
}

/// Serves the admin listener from now on.
pub(in crate::operate) fn start(proxy: &'static Proxy, lines: &'static [Lines], listener: Listener, host: String) {
    accept::start(proxy, Box::leak(Box::new(Desk::new(proxy, lines, host))), listener);
}

impl Desk {
    fn new(proxy: &'static Proxy, lines: &'static [Lines], host: String) -> Self {
        let place = |_| Place {
            room: RefCell::new(Some(Room {
                input: vec![0; ADMIN_HEAD].into_boxed_slice(),
                output: Buffer::new(ADMIN_BUFFER),
            })),
            seat: Cell::new(0),
            waits: Cell::new(None),
            stalls: Cell::new(None),
            leaves: Cell::new(false),
        };
        let places = (0..ADMIN_CLIENTS).map(place).collect();
        let json_host = host.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        Self { proxy, host, json_host, lines, places, waits: Cell::new(0), acceptor: Cell::new(0) }
    }

    /// A free place; where there is none, whoever waits longest is told to leave, or else stalls longest.
    fn free(&self) -> Option<usize> {
        let free = self.places.iter().position(|place| place.room.borrow().is_some());
        if free.is_none() {
            let now_ms = self.proxy.reactor.now_ms();
            // Who was told and is busy all the same may be so for long: others are told then.
            let idle = |place: &&Place| place.waits.get().is_some() || place.is_stuck(now_ms);
            let leaving = self.places.iter().filter(idle).find(|place| place.leaves.get());
            let waiting =
                || self.places.iter().filter(|place| place.waits.get().is_some()).min_by_key(|it| it.waits.get());
            let stuck = || self.places.iter().filter(|place| place.is_stuck(now_ms)).min_by_key(|it| it.stalls.get());
            if let Some(place) = leaving.or_else(waiting).or_else(stuck) {
                place.leaves.set(true);
                self.proxy.reactor.wake(place.seat.get());
            }
        }
        free
    }
}

impl accept::Desk for Desk {
    fn acceptor(&self) -> &Cell<u16> {
        &self.acceptor
    }

    fn has_room(&self) -> bool {
        self.free().is_some()
    }

    fn admit(&'static self, seat: Seat, stream: Stream, peer: Option<SocketAddr>) {
        let Some(index) = self.free() else { return };
        let place = &self.places[index];
        place.seat.set(seat.index());
        let visit = Visit { desk: self, index, room: place.room.take() };
        visit.wait(true);
        self.proxy.event_loop().executor.spawn(client::serve(self, visit, seat, stream, peer)).detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::small::proxy;

    #[test]
    fn who_was_told_to_leave_and_is_busy_lets_others_be_told() {
        let proxy = proxy("listen.a = 127.0.0.1:0\nbackend.s1 = 127.0.0.1:1\n");
        let desk: &'static Desk = Box::leak(Box::new(Desk::new(proxy, &[], String::new())));
        let visits: Vec<Visit> = (0..ADMIN_CLIENTS)
            .map(|index| Visit { desk, index, room: desk.places[index].room.take() })
            .inspect(|visit| visit.wait(true))
            .collect();
        let told = || visits.iter().map(Visit::is_over).collect::<Vec<_>>();
        let first = |count| (0..ADMIN_CLIENTS).map(|at| at < count).collect::<Vec<_>>();
        // Whoever waits longest, and as long as he still waits nobody else.
        assert!((0..2).all(|_| desk.free().is_none()));
        assert_eq!(told(), first(1));
        // His request comes all the same.
        visits[0].wait(false);
        assert_eq!(desk.free(), None);
        assert_eq!(told(), first(2));
        // Where all are busy nobody is, who takes nothing of his answer either, unless for too long.
        visits.iter().for_each(|visit| visit.wait(false));
        assert!(!visits[2].stall(true));
        assert_eq!((desk.free(), told()), (None, first(2)));
        // Who takes some of it stays.
        assert!(!visits[1].stall(false));
        assert_eq!(told(), first(1));
    }
}
