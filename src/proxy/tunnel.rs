//! Behind a 101: bytes of another protocol in both directions, until both sides have ended or nobody moves.
//!
//! The backend's slot stays taken for as long: it works on that connection. What the client sent behind its request is
//! the first that goes through, and only now.

use super::broken::Broken;
use super::connection::Connection;
use super::exchange::Exchange;
use super::flow::Pumped;
use super::obtain::Held;
use crate::fault::Fault;
use crate::runtime::Stream;

impl Connection {
    /// Passes on what comes from either side. A side that ends ends the other's receiving only: the answer may follow.
    ///
    /// # Errors
    /// [`Fault`] of the side that broke off; [`Fault::ClientSilent`] when nothing moved for `timeout.tunnel`;
    /// [`Fault::Shed`] when nothing ever did, and the place is needed.
    pub(super) async fn tunnel(&self, exchange: &mut Exchange, held: &mut Option<Held>) -> Result<(), Fault> {
        let Some(Held { slot: _slot, stream: backend, .. }) = held.take() else { return Err(Fault::BackendGone) };
        let result = self.pass(exchange, &backend).await;
        // A protocol whose end is a close must not take one side's breaking off for the other's end.
        match result {
            Err(Fault::BackendGone) => self.client.set_reset_on_close(true),
            Err(Fault::ClientGone) => backend.set_reset_on_close(true),
            Ok(()) | Err(_) => {}
        }
        result
    }

    async fn pass(&self, exchange: &mut Exchange, backend: &Stream) -> Result<(), Fault> {
        let proxy = self.proxy;
        exchange.request.run_on().and_then(|()| exchange.response.run_on()).map_err(up)?;
        let (mut moved, mut moved_ms) = (exchange.moved(), proxy.reactor.now_ms());
        let (mut client_ended, mut backend_ended) = (false, false);
        loop {
            let sent = exchange.request.pump(&self.client, backend, proxy.buffers).map_err(up)?;
            let answered = exchange.response.pump(backend, &self.client, proxy.buffers).map_err(down)?;
            if sent == Pumped::Done && !std::mem::replace(&mut client_ended, true) {
                backend.finish_sending();
            }
            if answered == Pumped::Done && !std::mem::replace(&mut backend_ended, true) {
                self.client.finish_sending();
            }
            if client_ended && backend_ended {
                return Ok(());
            }
            // Nothing is received that could tell of it: it has ended, or the backend takes no more of what it sent.
            if (client_ended || sent == Pumped::WaitSink) && self.client.failed() {
                return Err(Fault::ClientGone);
            }
            if backend_ended && backend.failed() {
                return Err(Fault::BackendGone);
            }
            if exchange.moved() != moved {
                (moved, moved_ms) = (exchange.moved(), proxy.reactor.now_ms());
                // Who said something, or was told something, makes no room from now on.
                self.awaiting.end();
            } else if self.awaiting.is_shed() {
                return Err(Fault::Shed);
            }
            if sent == Pumped::Yield || answered == Pumped::Yield {
                self.seat.next_turn().await;
                continue;
            }
            if self.seat.pause(moved_ms + proxy.timeouts().tunnel_ms).await.is_err() {
                return Err(Fault::ClientSilent);
            }
        }
    }
}

/// The fault of the way to the backend.
fn up(broken: Broken) -> Fault {
    match broken {
        Broken::Source => Fault::ClientGone,
        Broken::Sink => Fault::BackendGone,
        Broken::NoBuffer | Broken::Malformed(_) | Broken::TooLong => Fault::Exhausted,
    }
}

/// The fault of the way to the client.
fn down(broken: Broken) -> Fault {
    match broken {
        Broken::Source => Fault::BackendGone,
        Broken::Sink => Fault::ClientGone,
        Broken::NoBuffer | Broken::Malformed(_) | Broken::TooLong => Fault::Exhausted,
    }
}
