//! Sending beelance's own replies, and closing so that the client gets to read them.

use super::Proxy;
use super::shed::Awaiting;
use crate::http::reply::Reply;
use crate::limits::{LINGER_BYTES, LINGER_MS};
use crate::runtime::{Received, Seat, Stream};
use std::io::IoSlice;

/// Sends `reply`; how much of it the client took within `timeout.client`, and whether that is all.
pub(super) async fn send(proxy: &Proxy, seat: &Seat, client: &Stream, reply: &Reply<'_>) -> (usize, bool) {
    let deadline_ms = proxy.reactor.now_ms() + proxy.timeouts().client_ms;
    let all = reply.pieces().iter().map(|piece| piece.len()).sum();
    let mut sent = 0;
    while sent < all {
        match seat.until(deadline_ms, || send_behind(client, reply, sent).transpose()).await {
            Ok(Ok(count)) => sent += count,
            Ok(Err(_)) | Err(_) => break,
        }
    }
    (sent, sent == all)
}

/// Sends what follows the first `skip` bytes of `reply`.
fn send_behind(client: &Stream, reply: &Reply<'_>, mut skip: usize) -> std::io::Result<Option<usize>> {
    let slices = reply.pieces().map(|piece| {
        let skipped = skip.min(piece.len());
        skip -= skipped;
        IoSlice::new(&piece[skipped..])
    });
    client.send_slices(&slices)
}

/// Closes the sending side and throws away what still comes, within bounds: a close with unread bytes would reset the
/// connection and take the reply with it. When room is needed it ends at once.
pub(super) async fn linger(proxy: &'static Proxy, seat: &Seat, client: &Stream, awaiting: &Awaiting) {
    client.finish_sending();
    let deadline_ms = proxy.reactor.now_ms() + LINGER_MS;
    let mut left = LINGER_BYTES;
    while left > 0 && !client.failed() && !awaiting.is_shed() {
        if client.readable() {
            let Some(mut buffer) = proxy.buffers.small() else { return };
            match client.receive(buffer.space()) {
                Ok(Received::Bytes(count)) => left = left.saturating_sub(count as u64),
                Ok(Received::End) | Err(_) => return,
                Ok(Received::Dry) => {}
            }
        } else if seat.pause(deadline_ms).await.is_err() {
            return;
        }
    }
}
