//! Accepting at a socket of the control plane: as many clients as its desk has room for, whoever comes then waits in the
//! kernel.
//!
//! Owns the listener, for as long as the process lives: also while it stops, an operator can see how far the end is.

use crate::limits::{ACCEPT_REST_MS, DESK_LOOK_MS};
use crate::proxy::Proxy;
use crate::runtime::{Listener, NEVER, Reactor, Seat, Stream};
use std::cell::Cell;
use std::net::SocketAddr;

/// What the clients of a socket share. Lives as long as the process.
pub(super) trait Desk {
    /// The seat of [`accept`]: whoever leaves wakes it.
    fn acceptor(&self) -> &Cell<u16>;

    /// Whether there is room for one more. Where there is none, another one may be told to leave.
    fn has_room(&self) -> bool;

    /// Serves a client from now on; called only where there is room.
    fn admit(&'static self, seat: Seat, stream: Stream, peer: Option<SocketAddr>);
}

/// Serves what comes to `listener` at `desk` from now on.
pub(super) fn start(proxy: &'static Proxy, desk: &'static dyn Desk, listener: Listener) {
    proxy.event_loop().executor.spawn(accept(proxy.reactor, desk, listener)).detach();
}

async fn accept(reactor: &'static Reactor, desk: &'static dyn Desk, listener: Listener) {
    let Some(seat) = Seat::take(reactor) else { return };
    desk.acceptor().set(seat.index());
    listener.set_owner(seat.index());
    loop {
        let _ = seat.until(NEVER, || listener.acceptable().then_some(())).await;
        if !desk.has_room() {
            listener.listen(false);
            // Nobody tells when a client has taken nothing for too long.
            while seat.until(reactor.now_ms() + DESK_LOOK_MS, || desk.has_room().then_some(())).await.is_err() {}
            listener.listen(true);
            continue;
        }
        match listener.accept() {
            Ok(Some((stream, peer))) => {
                if let Some(own) = Seat::take(reactor) {
                    stream.set_owner(own.index());
                    desk.admit(own, stream, peer);
                }
            }
            Ok(None) => {}
            // The client is gone, or the system has nothing left: then this must not spin.
            Err(_) => {
                listener.listen(false);
                let _ = seat.pause(reactor.now_ms() + ACCEPT_REST_MS).await;
                listener.listen(true);
            }
        }
        listener.look_again();
    }
}
