//! The head of a response: received, understood, and made the first bytes that the client gets.

use super::affinity;
use super::ask::Ask;
use super::connection::Connection;
use super::exchange::{Exchange, Stage, broken_response};
use super::obtain::Held;
use crate::balance::{Failed, Observe, Seen};
use crate::config::Reuse;
use crate::fault::{Fault, Phase};
use crate::http::body::{Framing, Malformed};
use crate::http::fields::Cuts;
use crate::http::request::Version;
use crate::http::response::{self, Asked, ResponseHead};
use crate::http::scan::{HeadScan, Scanned};
use crate::limits::{LARGE_BUFFER, MAX_HEADER_SIZE};
use crate::runtime::{Need, Received, Stream};
use std::fmt::Write;

impl Connection {
    /// Receives until a head may be complete; how many bytes it has at most, or `None` when the backend has nothing more at the moment.
    pub(super) fn receive_head(
        &self,
        exchange: &mut Exchange,
        ask: &Ask,
        backend: &Stream,
    ) -> Result<Option<usize>, Fault> {
        let flow = &mut exchange.response;
        loop {
            if let Some(buffer) = flow.buffer.as_ref().filter(|buffer| !buffer.is_empty()) {
                if exchange.scan.is_untried() {
                    return Ok(Some(buffer.len()));
                }
                match exchange.scan.scan(buffer.filled()) {
                    Scanned::Complete(length) => return Ok(Some(length)),
                    Scanned::BareLf => return Err(Fault::BackendMalformed("bare LF in the head")),
                    Scanned::BareCr => return Err(Fault::BackendMalformed("bare CR in the head")),
                    Scanned::Incomplete => {}
                }
            }
            if !backend.readable() {
                return Ok(None);
            }
            let spare = ask.growth;
            if flow.buffer.is_none() {
                flow.buffer = self.proxy.buffers.large(Need::Body).or_else(|| self.proxy.buffers.small());
            }
            let Some(buffer) = &mut flow.buffer else { return Err(Fault::Exhausted) };
            if buffer.is_empty() {
                buffer.leave_room();
            }
            if buffer.space().len() <= spare {
                buffer.compact();
                if buffer.space().len() <= spare {
                    if buffer.capacity() >= LARGE_BUFFER {
                        return Err(Fault::BackendMalformed("the head is too long"));
                    }
                    let Some(mut large) = self.proxy.buffers.large(Need::ResponseHead) else {
                        return Err(Fault::Exhausted);
                    };
                    buffer.move_to(&mut large);
                    *buffer = large;
                }
            }
            let room = buffer.space().len() - spare;
            match backend.receive(&mut buffer.space()[..room]) {
                Ok(Received::Bytes(count)) => {
                    buffer.fill(count);
                    flow.moved += count as u64;
                }
                Ok(Received::End) | Err(_) => return Err(Fault::BackendGone),
                Ok(Received::Dry) => {
                    if buffer.is_empty() {
                        flow.buffer = None;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Understands a head in the first `length` bytes, and makes the response's first batch; nothing when its end is not
    /// among them.
    ///
    /// Inlined, it would cost its caller's loop more than the call: the places of all that it touches, computed before
    /// each turn and kept on the stack.
    #[inline(never)]
    pub(super) fn answer(&self, exchange: &mut Exchange, ask: &Ask, length: usize, held: &Held) -> Result<(), Fault> {
        let proxy = self.proxy;
        let config = proxy.config();
        let pool = &config.pools[ask.pool.index()];
        let flow = &mut exchange.response;
        let Some(buffer) = &flow.buffer else { return Err(Fault::Exhausted) };
        let mut cuts = Cuts::default();
        let asked = Asked {
            method: ask.method,
            offer: (!exchange.offer.is_empty()).then_some(&exchange.offer),
            affinity: affinity::own_cookie(pool),
        };
        let head = response::parse(&buffer.filled()[..length], asked, &mut cuts);
        // Used where it lies: it is long to copy.
        let head = head.as_ref().map_err(|&Malformed(reason)| Fault::BackendMalformed(reason))?;
        let Some(head) = head else { return Ok(()) };
        let &ResponseHead { length, status, framing, new_length, dated, .. } = head;
        if length > MAX_HEADER_SIZE {
            return Err(Fault::BackendMalformed("the head is too long"));
        }
        let backend = held.slot.backend;
        let switches = head.switches();
        if switches && !exchange.request.is_done() {
            return Err(Fault::BackendMalformed("101 before all of the request was sent"));
        }
        exchange.keeps_backend = head.keep_alive && pool.reuse != Reuse::Never;
        let interim = head.is_interim();
        if !interim {
            if pool.passive.observe != Observe::None {
                proxy.saw(held.slot.backend, Seen::Answered(status));
            }
            if pool.retry_on.takes(Failed::Status(status)) && self.may_retry(exchange, ask, Failed::Status(status)) {
                exchange.dropped = Some(status).filter(|&status| status >= 500);
                return Err(Fault::Retried(status));
            }
        }
        let flow = &mut exchange.response;
        let Some(buffer) = &mut flow.buffer else { return Err(Fault::Exhausted) };
        let rewritten = response::rewrite(&mut buffer.filled_mut()[..length], &mut cuts);
        if interim {
            if ask.version == Version::Http10 {
                buffer.consume(length);
                exchange.scan = HeadScan::default();
                return Ok(());
            }
            flow.start(length, rewritten, Framing::None, false, |_| Ok(())).map_err(broken_response)?;
            exchange.stage = Stage::Interim;
            return Ok(());
        }

        let [length, rewritten] = match head.affinity_values.as_slice() {
            [] => [length, rewritten],
            values => {
                let balancer = proxy.balancer.borrow();
                affinity::prefix(buffer, [length, rewritten], &cuts, values, balancer.cookie(backend))?
            }
        };
        let record = &mut exchange.record;
        let set_cookie = affinity::set_cookie(proxy, pool, record, ask, exchange.home.unwrap_or(backend), head);
        let delimited = !matches!(framing, Framing::Chunked | Framing::UntilClose);
        let rechunk = !delimited && ask.version == Version::Http11;
        let ends_by_close = !delimited && !rechunk;
        exchange.keeps_client =
            ask.keep_alive && !ends_by_close && !switches && exchange.request.is_complete() && !self.is_ending();
        let close = !exchange.keeps_client;
        if ends_by_close {
            // Until it is whole, a close must not look like its end.
            self.client.set_reset_on_close(true);
        }
        exchange.ends_by_close = ends_by_close;
        let started = flow.start(length, rewritten, framing, rechunk, |out| {
            set_cookie.map_or(Ok(()), |set_cookie| set_cookie.write(out))?;
            if rechunk {
                out.write_str("Transfer-Encoding: chunked\r\n")?;
            } else if let Some(length) = new_length {
                write!(out, "Content-Length: {length}\r\n")?;
            }
            if !dated && !switches {
                proxy.with_date(|date| out.write_str(date))?;
            }
            match (close, ask.version) {
                _ if switches => out.write_str("Connection: upgrade\r\n"),
                (true, _) => out.write_str("Connection: close\r\n"),
                (false, Version::Http10) => out.write_str("Connection: keep-alive\r\n"),
                (false, Version::Http11) => Ok(()),
            }
        });
        started.map_err(broken_response)?;
        exchange.stage = if switches { Stage::Switching } else { Stage::Body };
        record.status = status;
        record.answered_ms = Some(proxy.reactor.now_ms());
        if let Some(began_ms) = record.connected_ms.filter(|_| status < 500) {
            let mut balancer = proxy.balancer.borrow_mut();
            balancer.answered(held.slot.backend, began_ms, proxy.reactor.now_ms(), |waiter| proxy.reactor.wake(waiter));
        }
        record.phase = Phase::Data;
        Ok(())
    }
}
