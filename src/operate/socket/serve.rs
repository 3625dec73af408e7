//! The places that clients of the runtime socket take, with buffers made at the start.

use super::{Level, client};
use crate::limits::{CLI_CLIENTS, CLI_LINE, CLI_OUTPUT};
use crate::operate::accept;
use crate::operate::service::Service;
use crate::proxy::Proxy;
use crate::runtime::{Listener, Seat, Stream};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

/// Buffers of a client, made once.
pub(super) struct Room {
    pub input: Box<[u8]>,
    pub output: Vec<u8>,
}

/// What all clients share.
pub(super) struct Desk {
    pub service: &'static Service,
    pub proxy: &'static Proxy,
    pub level: Level,
    rooms: RefCell<Vec<Room>>,
    acceptor: Cell<u16>,
}

impl Desk {
    /// Gives a place back.
    pub(super) fn leave(&self, mut room: Room) {
        // What a client that left was not sent is for nobody else.
        room.output.clear();
        self.rooms.borrow_mut().push(room);
        self.proxy.reactor.wake(self.acceptor.get());
    }
}

impl accept::Desk for Desk {
    fn acceptor(&self) -> &Cell<u16> {
        &self.acceptor
    }

    fn has_room(&self) -> bool {
        !self.rooms.borrow().is_empty()
    }

    fn admit(&'static self, seat: Seat, stream: Stream, _: Option<SocketAddr>) {
        if let Some(room) = self.rooms.borrow_mut().pop() {
            self.proxy.event_loop().executor.spawn(client::serve(self, room, seat, stream)).detach();
        }
    }
}

/// Serves the runtime socket from now on.
pub(in crate::operate) fn start(service: &'static Service, listener: Listener, level: Level) {
    let room = |_| Room { input: vec![0; CLI_LINE].into_boxed_slice(), output: Vec::with_capacity(CLI_OUTPUT) };
    let rooms = RefCell::new((0..CLI_CLIENTS).map(room).collect());
    let desk = Desk { service, proxy: service.proxy, level, rooms, acceptor: Cell::new(0) };
    accept::start(service.proxy, Box::leak(Box::new(desk)), listener);
}
