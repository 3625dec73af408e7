//! Accepting: one task per listener, connections in batches, and no further than there is room or room can be made.

use super::connection::Connection;
use super::shed::Room;
use super::{Counted, Proxy};
use crate::limits::{ACCEPT_REST_MS, ACCEPTS_PER_TURN, FIRST_ANSWERS_MS, ListenerId};
use crate::runtime::{Listener, NEVER, Seat, is_exhaustion};

/// Accepts on `listener` until the proxy stops; then the socket closes.
pub async fn accept(proxy: &'static Proxy, listener: Listener, id: ListenerId) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    listener.set_owner(seat.index());
    let counted = Counted::new(&proxy.listening);
    if !proxy.knows_names() {
        // Connections wait in the kernel until there is somewhere to send their requests.
        let deadline_ms = proxy.reactor.now_ms() + FIRST_ANSWERS_MS;
        rest(proxy, &seat, &listener, deadline_ms, || proxy.knows_names()).await;
    }
    // It is said once, not ten times a second.
    let mut exhausted = false;
    let mut batch = Batch::default();
    while !proxy.is_stopping() {
        let ready = || (proxy.is_stopping() || listener.acceptable()).then_some(());
        let _ = seat.until(NEVER, ready).await;
        if proxy.is_full() && !proxy.is_stopping() {
            make_room(proxy, &seat, &listener).await;
            continue;
        }
        match accept_some(proxy, &listener, id, batch.size) {
            Ok(count) => {
                exhausted = false;
                batch.next(count);
                // What is left the next turn tells anew. Nobody is to make room for a client that was not seen to be there.
                listener.look_again();
                continue;
            }
            Err(error) => {
                if !exhausted {
                    log::warn!("listener {}: accept: {error}", proxy.config.listeners[id.index()].name);
                }
                exhausted = true;
                let connections = proxy.connections();
                let deadline_ms = proxy.reactor.now_ms() + ACCEPT_REST_MS;
                rest(proxy, &seat, &listener, deadline_ms, || proxy.connections() < connections).await;
            }
        }
    }
    drop(listener);
    drop(counted);
    proxy.wake_watchers();
}

/// Somebody waits, and all places are taken: one that has no request in it is freed, or the listener rests until there
/// is one. What comes meanwhile waits in the kernel's backlog.
async fn make_room(proxy: &Proxy, seat: &Seat, listener: &Listener) {
    let room = proxy.sheddable.borrow_mut().for_connection(proxy.reactor.now_ms());
    match room {
        Room::Shed(who) => {
            proxy.reactor.wake(who);
            seat.next_turn().await;
        }
        Room::Coming => seat.next_turn().await,
        Room::NotBefore(ripe_ms) => {
            let sooner = || !proxy.is_full() || proxy.sheddable.borrow().next_ms() < ripe_ms;
            rest(proxy, seat, listener, ripe_ms, sooner).await;
        }
    }
}

/// Takes the listener out of the loop's sight until `ready`, the deadline, or the stop.
async fn rest(proxy: &Proxy, seat: &Seat, listener: &Listener, deadline_ms: u64, ready: impl Fn() -> bool) {
    listener.listen(false);
    proxy.watch_connections(seat.index());
    let _ = seat.until(deadline_ms, || (proxy.is_stopping() || ready()).then_some(())).await;
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
    for count in 0..most {
        if proxy.is_full() {
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
        proxy.admit(Connection::new(proxy, seat, client, peer, id));
    }
    Ok(most)
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
