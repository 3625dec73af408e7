//! Accepting: one task per listener, connections in batches, and no further than there is room or room can be made.

use super::connection::Connection;
use super::rates::Standing;
use super::repeats::About;
use super::shed::Room;
use super::{Counted, Proxy};
use crate::limits::{ACCEPT_REST_MS, ACCEPTS_PER_TURN, FIRST_ANSWERS_MS, ListenerId};
use crate::runtime::{Listener, NEVER, Seat, Stream, is_exhaustion};
use std::net::SocketAddr;
use std::rc::Rc;

/// Accepts on `listener` for as long as that is the socket of the listener `id`; when nobody has it any more it closes.
pub(super) async fn accept(proxy: &'static Proxy, listener: Rc<Listener>, id: ListenerId) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    listener.set_owner(seat.index());
    let counted = Counted::new(&proxy.doors.listening);
    if !proxy.knows_names() {
        // Connections wait in the kernel until there is somewhere to send their requests.
        let deadline_ms = proxy.reactor.now_ms() + FIRST_ANSWERS_MS;
        rest(proxy, &seat, (id, &listener), deadline_ms, || proxy.knows_names()).await;
    }
    let mut batch = Batch::default();
    while proxy.is_open(id, &listener) {
        let ready = || (!proxy.is_open(id, &listener) || listener.acceptable()).then_some(());
        let _ = seat.until(NEVER, ready).await;
        if !proxy.is_open(id, &listener) {
            break;
        }
        if proxy.is_listener_full(id) {
            rest(proxy, &seat, (id, &listener), NEVER, || !proxy.is_listener_full(id)).await;
            continue;
        }
        if proxy.is_full() && !make_room(proxy, &seat, (id, &listener)).await {
            continue;
        }
        match accept_some(proxy, &listener, id, batch.size) {
            Ok(count) => {
                batch.next(count);
                // What is left the next turn tells anew. Nobody is to make room for a client that was not seen to be there.
                listener.look_again();
            }
            Err(error) => {
                if proxy.may_tell(About::listener(id)) {
                    log::warn!("listener {}: accept: {error}", proxy.config().listeners[id.index()].name);
                }
                let connections = proxy.connections();
                let deadline_ms = proxy.reactor.now_ms() + ACCEPT_REST_MS;
                rest(proxy, &seat, (id, &listener), deadline_ms, || proxy.connections() < connections).await;
            }
        }
    }
    drop(listener);
    if !proxy.is_stopping() {
        // Who was accepted last may have sent his request already: the next turns tell, and then he is served.
        seat.next_turn().await;
        seat.next_turn().await;
        proxy.leave_door(id);
    }
    drop(counted);
    proxy.wake_watchers();
}

/// Somebody waits, and all places are taken: one that has no request in it is freed, or the listener rests until there
/// is one. What comes meanwhile waits in the kernel's backlog. True when nobody can be, but there are places left that are
/// kept for clients who are known: to find them, the others have to be closed.
async fn make_room(proxy: &Proxy, seat: &Seat, listener: (ListenerId, &Rc<Listener>)) -> bool {
    let room = proxy.sheddable.borrow_mut().for_connection(proxy.reactor.now_ms());
    match room {
        Room::Shed(who) => {
            proxy.reactor.wake(who);
            seat.next_turn().await;
        }
        Room::Coming => seat.next_turn().await,
        Room::NotBefore(_) if proxy.has_place() => return true,
        Room::NotBefore(ripe_ms) => {
            let sooner = || proxy.has_place() || proxy.sheddable.borrow().next_ms() < ripe_ms;
            rest(proxy, seat, listener, ripe_ms, sooner).await;
        }
    }
    false
}

/// How another connection would come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// There is room.
    Open,
    /// Room is made: one without a request gives up its place.
    Replaces,
    /// Only places are left that are kept for clients who are known.
    Reserve,
    /// It waits in the kernel's backlog until there is room.
    Waits,
}

impl Proxy {
    /// How another connection would come in at this listener now. Nobody gives up anything.
    pub(super) fn entrance(&self, id: ListenerId) -> Entrance {
        if self.is_listener_full(id) {
            return Entrance::Waits;
        }
        if !self.is_full() {
            return Entrance::Open;
        }
        match self.sheddable.borrow().ripe(self.reactor.now_ms()) {
            Ok(_) | Err(Room::Shed(_) | Room::Coming) => Entrance::Replaces,
            Err(Room::NotBefore(_)) if self.has_place() => Entrance::Reserve,
            Err(Room::NotBefore(_)) => Entrance::Waits,
        }
    }
}

/// Takes the listener out of the loop's sight until `ready`, the deadline, or the stop.
async fn rest(
    proxy: &Proxy,
    seat: &Seat,
    (id, listener): (ListenerId, &Rc<Listener>),
    deadline_ms: u64,
    ready: impl Fn() -> bool,
) {
    listener.listen(false);
    proxy.watch_connections(seat.index());
    let _ = seat.until(deadline_ms, || (!proxy.is_open(id, listener) || ready()).then_some(())).await;
    proxy.look_away(seat.index());
    listener.listen(true);
}

/// How many connections to try for at once. Mostly there is one, and looking for a second would be a call in vain; so that is
/// done now and then only, and more while there are more.
struct Batch {
    size: usize,
    /// Batches of one since the last look for a second.
    ones: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 1, ones: 0 }
    }
}

impl Batch {
    /// After `count` came.
    fn next(&mut self, count: usize) {
        const ONES: u32 = 8;
        if count < self.size {
            *self = Self::default();
        } else if self.size > 1 || self.ones >= ONES {
            self.size = (self.size * 2).min(ACCEPTS_PER_TURN);
        } else {
            self.ones += 1;
        }
    }
}

/// Accepts what is there, `most` at most; how many connections that was.
///
/// # Errors
/// When the system has no descriptor or no memory left.
fn accept_some(proxy: &'static Proxy, listener: &Listener, id: ListenerId, most: usize) -> std::io::Result<usize> {
    let uses_reserve = proxy.is_full();
    for count in 0..most {
        let full = if uses_reserve { !proxy.has_place() } else { proxy.is_full() };
        if full || proxy.is_listener_full(id) {
            return Ok(count);
        }
        if proxy.reactor.free_sources() == 0 && !proxy.idle.borrow_mut().close_one() {
            return Err(nix::errno::Errno::ENFILE.into());
        }
        let (client, peer) = match listener.accept() {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return Ok(count),
            Err(error) if is_exhaustion(&error) => {
                if !proxy.idle.borrow_mut().close_one() {
                    return Err(error);
                }
                continue;
            }
            // The client is gone already, or the network said something about it.
            Err(_) => continue,
        };
        // There is a seat for every connection that is admitted.
        let Some(seat) = Seat::take_for_loop(proxy.reactor) else { return Ok(count) };
        if proxy.limits_clients() {
            admit_judged(proxy, seat, client, peer, id, uses_reserve);
        } else {
            proxy.admit(Connection::new(proxy, seat, client, peer, id, Standing::Free));
        }
    }
    Ok(most)
}

/// Admits a connection if its client may have it. Apart, so that where nobody is judged the addresses are not moved about.
#[inline(never)]
fn admit_judged(
    proxy: &'static Proxy,
    seat: Seat,
    client: Stream,
    peer: Option<SocketAddr>,
    id: ListenerId,
    uses_reserve: bool,
) {
    match proxy.let_in(peer, id, uses_reserve) {
        Ok(standing) => proxy.admit(Connection::new(proxy, seat, client, peer, id, standing)),
        // Nothing of it stays behind, in the kernel neither.
        Err(_) => client.set_reset_on_close(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_until_there_are_more() {
        let mut batch = Batch::default();
        let mut calls = Vec::new();
        // One by one: now and then a second is looked for.
        for _ in 0..10 {
            calls.push(batch.size);
            batch.next(1);
        }
        assert_eq!(calls, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
        // Many wait: twice as many each turn, until that is enough.
        for size in [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 16] {
            assert_eq!(batch.size, size);
            batch.next(size);
        }
        batch.next(7);
        assert_eq!(batch.size, 1);
    }
}
