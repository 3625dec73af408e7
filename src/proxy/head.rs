//! Receiving a request's head, within its limits and its time.

use super::connection::{Connection, MAX_EMPTY};
use super::exchange::Exchange;
use crate::fault::Fault;
use crate::http::request::Refusal;
use crate::http::scan::{HeadScan, Scanned, leading_empty_lines};
use crate::runtime::{Buffer, Received};

impl Connection {
    /// The length of the request's head, or more, if what is there ends as a head does: in an empty line. Then a whole head
    /// is in front of that, mostly with nothing behind it, and the parser finds its end.
    pub(super) fn whole_head(&self, exchange: &mut Exchange) -> Option<usize> {
        let buffer = exchange.request.buffer.as_ref()?;
        let length = buffer.len();
        let fits = length <= self.proxy.header_size && self.empty <= MAX_EMPTY;
        if !fits || !buffer.filled().ends_with(b"\r\n\r\n") {
            return None;
        }
        if self.proxy.journal.get().is_some() {
            note_line(&mut exchange.line, buffer.filled());
        }
        Some(length)
    }

    /// Receives until the request's head is complete; how many bytes it has at most, or `None` when nothing but an empty
    /// line ever came.
    pub(super) async fn read_head(&self, exchange: &mut Exchange) -> Result<Option<usize>, Fault> {
        let proxy = self.proxy;
        let deadline_ms = exchange.record.began_ms + proxy.timeouts().http_request_ms;
        let mut scan = HeadScan::default();
        let (mut begun, mut empty) = (false, self.empty);
        let flow = &mut exchange.request;
        loop {
            // It was taken away while the task waited.
            let Some(buffer) = &mut flow.buffer else { return Err(Fault::Shed) };
            if !begun {
                let skipped = leading_empty_lines(buffer.filled());
                empty += skipped;
                if empty > MAX_EMPTY {
                    return Err(refusal(400, "empty lines without end"));
                }
                buffer.consume(skipped);
                begun = buffer.len() >= 2;
            }
            let scanned = match begun {
                true => scan.scan(buffer.filled()),
                false => Scanned::Incomplete,
            };
            let length = match scanned {
                Scanned::Complete(length) => length,
                Scanned::Incomplete => buffer.len(),
                Scanned::BareLf => return Err(refusal(400, "a line ends without CR")),
                Scanned::BareCr => return Err(refusal(400, "a line begins with CR")),
            };
            if begun && proxy.journal.get().is_some() {
                note_line(&mut exchange.line, buffer.filled());
            }
            if length > proxy.header_size || (scanned == Scanned::Incomplete && length == proxy.header_size) {
                let line = buffer.filled().iter().take(proxy.header_size).position(|&byte| byte == b'\n');
                return Err(match line {
                    Some(_) => refusal(431, "the head is too long"),
                    None => refusal(414, "the target is too long"),
                });
            }
            if let Scanned::Complete(length) = scanned {
                return Ok(Some(length));
            }
            if buffer.space().is_empty() {
                buffer.compact();
                if buffer.space().is_empty() {
                    let mut large = self.large_buffer(deadline_ms).await?;
                    buffer.move_to(&mut large);
                    *buffer = large;
                }
            }
            match self.client.receive(buffer.space()) {
                Ok(Received::Bytes(count)) => {
                    buffer.fill(count);
                    flow.moved += count as u64;
                }
                Ok(Received::End) | Err(_) => return if begun { Err(Fault::ClientGone) } else { Ok(None) },
                Ok(Received::Dry) => {
                    let wait = self.seat.until(deadline_ms, || match self.client.readable() {
                        true => Some(Ok(())),
                        false if self.awaiting.is_shed() => Some(Err(Fault::Shed)),
                        false => (!begun && self.is_to_leave()).then_some(Err(Fault::ClientSilent)),
                    });
                    self.awaiting.park(&mut flow.buffer);
                    let result = wait.await;
                    self.awaiting.unpark(&mut flow.buffer);
                    match result.unwrap_or(Err(Fault::ClientSilent)) {
                        Err(_) if !begun => return Ok(None),
                        result => result?,
                    }
                }
            }
        }
    }

    /// A large buffer for a head that outgrew a small one. While complete heads hold all there are, behind queues for
    /// instance, this one waits: nobody is refused for what others have.
    async fn large_buffer(&self, deadline_ms: u64) -> Result<Buffer, Fault> {
        let buffers = self.proxy.buffers;
        if !buffers.has_line()
            && let Some(buffer) = self.awaiting.large_buffer()
        {
            return Ok(buffer);
        }
        let place = buffers.line_up(self.seat.index());
        let wait = self.seat.until(deadline_ms, || {
            if self.awaiting.is_shed() {
                return Some(Err(Fault::Shed));
            }
            if self.client.broken() {
                return Some(Err(Fault::ClientGone));
            }
            place.is_first().then(|| self.awaiting.large_buffer()).flatten().map(Ok)
        });
        wait.await.unwrap_or(Err(Fault::Exhausted))
    }
}

fn refusal(status: u16, reason: &'static str) -> Fault {
    Fault::Refused(Refusal { status, reason })
}

/// Copies the request line, cut to what the log takes, once it is there.
fn note_line(line: &mut heapless::Vec<u8, { crate::limits::LOG_LINE }>, bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\r' || byte == b'\n') else { return };
    if line.is_empty() {
        let _ = line.extend_from_slice(&bytes[..end.min(line.capacity())]);
    }
}
