//! Accepting at the runtime socket, and the places its clients take: buffers are made at the start, one more client than
//! there are places waits in the kernel.

use super::{Level, client};
use crate::limits::{ACCEPT_REST_MS, CLI_CLIENTS, CLI_LINE, CLI_OUTPUT};
use crate::operate::service::Service;
use crate::proxy::Proxy;
use crate::runtime::{Listener, NEVER, Seat};
use std::cell::{Cell, RefCell};

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
    /// The seat of [`accept`].
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

/// Serves the runtime socket from now on.
pub(in crate::operate) fn start(service: &'static Service, listener: Listener, level: Level) {
    let proxy = service.proxy;
    let room = |_| Room { input: vec![0; CLI_LINE].into_boxed_slice(), output: Vec::with_capacity(CLI_OUTPUT) };
    let rooms = RefCell::new((0..CLI_CLIENTS).map(room).collect());
    let desk: &'static Desk = Box::leak(Box::new(Desk { service, proxy, level, rooms, acceptor: Cell::new(0) }));
    proxy.event_loop().executor.spawn(accept(desk, listener)).detach();
}

/// Accepts for as long as the process lives: also while it stops, an operator can see how far the end is.
async fn accept(desk: &'static Desk, listener: Listener) {
    let reactor = desk.proxy.reactor;
    let Some(seat) = Seat::take(reactor) else { return };
    desk.acceptor.set(seat.index());
    listener.set_owner(seat.index());
    loop {
        let _ = seat.until(NEVER, || listener.acceptable().then_some(())).await;
        let room = desk.rooms.borrow_mut().pop();
        let Some(room) = room else {
            // Whoever leaves wakes this task.
            listener.listen(false);
            let _ = seat.until(NEVER, || (!desk.rooms.borrow().is_empty()).then_some(())).await;
            listener.listen(true);
            continue;
        };
        match (listener.accept(), Seat::take(reactor)) {
            (Ok(Some((stream, _))), Some(own)) => {
                stream.set_owner(own.index());
                desk.proxy.event_loop().executor.spawn(client::serve(desk, room, own, stream)).detach();
            }
            (Err(_), _) => {
                // The system has nothing left: this must not spin.
                desk.rooms.borrow_mut().push(room);
                listener.listen(false);
                let _ = seat.pause(reactor.now_ms() + ACCEPT_REST_MS).await;
                listener.listen(true);
            }
            (Ok(_), _) => desk.rooms.borrow_mut().push(room),
        }
        listener.look_again();
    }
}
