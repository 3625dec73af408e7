//! One request and its response: both directions at once, between a client and the backend that was obtained.
//!
//! Both directions are pumped without waiting; then the task waits once, for whichever side holds things up. The
//! backend and its slot are given back as soon as the response is received, not when the client has taken it.
//!
//! ```text
//!   Head --1xx--> Interim --sent--> Head
//!   Head --final--> Body --sent--> done
//!   Head --101--> Switching --sent--> Tunnel
//! ```

use super::affinity;
use super::ask::{Ask, refused};
use super::connection::Connection;
use super::flow::{Broken, Flow, Pumped};
use super::obtain::Held;
use super::record::Record;
use crate::balance::{Failed, Seen};
use crate::config::Reuse;
use crate::fault::{Fault, Phase};
use crate::http::body::{Framing, Malformed};
use crate::http::fields::Cuts;
use crate::http::request::Version;
use crate::http::response::{self, Asked, ResponseHead};
use crate::http::scan::{HeadScan, Scanned};
use crate::http::upgrade::MAX_OFFER;
use crate::limits::{BackendId, LARGE_BUFFER, LOG_LINE, MAX_ADDED, MAX_HEADER_SIZE, MAX_HEADERS, STEPS_PER_TURN};
use crate::runtime::{Need, Received, Stream};
use std::fmt::Write;
use std::mem::MaybeUninit;

/// Where the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its head is on its way in.
    Head,
    /// A 1xx is on its way out.
    Interim,
    /// The head is understood, the body is on its way.
    Body,
    /// A 101 is on its way out.
    Switching,
    /// What follows is another protocol.
    Tunnel,
}

/// A request on its way. Taken from a shelf when the first byte of a request comes, put back when it is logged.
pub(super) struct Exchange {
    pub record: Record,
    /// The request line as it came, for the log.
    pub line: heapless::Vec<u8, LOG_LINE>,
    /// The protocols the request offers to go on with; empty when it offers none.
    pub offer: heapless::Vec<u8, MAX_OFFER>,
    pub request: Flow,
    pub response: Flow,
    stage: Stage,
    scan: HeadScan,
    /// Whether the client's connection may stay when the exchange is over.
    pub keeps_client: bool,
    keeps_backend: bool,
    /// The backend takes no more of the request.
    deaf: bool,
    /// The backend it is bound to, when that was full and another one serves it this once.
    pub home: Option<BackendId>,
    /// The end of the client's connection is to tell it the end of the response.
    ends_by_close: bool,
    /// A retry is under way that is paid for if it fails.
    pub owes_retry: bool,
    /// The status, of a server's fault, of a response that was dropped to try again.
    pub dropped: Option<u16>,
}

impl Exchange {
    pub(super) fn new(record: Record) -> Self {
        Self {
            record,
            line: heapless::Vec::new(),
            offer: heapless::Vec::new(),
            request: Flow::new(),
            response: Flow::new(),
            stage: Stage::Head,
            scan: HeadScan::default(),
            keeps_client: false,
            keeps_backend: false,
            deaf: false,
            home: None,
            ends_by_close: false,
            owes_retry: false,
            dropped: None,
        }
    }

    /// Forgets all but the record, which the next request replaces.
    pub(super) fn reset(&mut self) {
        self.line.clear();
        self.offer.clear();
        self.request.reset();
        self.response.reset();
        self.stage = Stage::Head;
        self.scan = HeadScan::default();
        self.home = None;
        (self.keeps_client, self.keeps_backend, self.deaf, self.ends_by_close) = (false, false, false, false);
        (self.owes_retry, self.dropped) = (false, None);
    }

    /// Whether the request may be sent again: doing it twice is doing it once, and all of it is in the buffer.
    pub(super) fn is_replayable(&self, ask: &Ask) -> bool {
        ask.method.is_idempotent() && self.request.is_whole()
    }

    /// Whether the client was sent nothing that a reply of our own could contradict.
    pub(super) fn can_reply(&self) -> bool {
        self.stage == Stage::Head
    }

    /// Whether the final response's head is understood.
    pub(super) fn is_answered(&self) -> bool {
        match self.stage {
            Stage::Head | Stage::Interim => false,
            Stage::Body | Stage::Switching | Stage::Tunnel => true,
        }
    }

    /// Forgets what a connection that gave nothing back did.
    pub(super) fn hear_again(&mut self) {
        self.deaf = false;
        self.response.reset();
        self.scan = HeadScan::default();
    }

    /// Lets the request's buffer go if all of it is sent, and will not be sent again.
    fn let_request_go(&mut self, ask: &Ask) {
        if self.request.is_done() && (self.is_answered() || !self.is_replayable(ask)) {
            self.request.shrink();
        }
    }

    pub(super) fn moved(&self) -> u64 {
        self.request.moved + self.response.moved
    }
}

impl Connection {
    /// Sends the request and passes the response on.
    ///
    /// # Errors
    /// [`Fault`]. One before the response's head is passed on leaves `held` in place, so that the request can be tried
    /// again.
    pub(super) async fn transfer(
        &self,
        exchange: &mut Exchange,
        ask: &Ask,
        held: &mut Option<Held>,
    ) -> Result<(), Fault> {
        let proxy = self.proxy;
        exchange.record.phase = if exchange.request.is_complete() { Phase::Headers } else { Phase::Data };
        let mut moved = exchange.moved();
        let mut moved_ms = proxy.reactor.now_ms();
        loop {
            let up = self.pump_request(exchange, ask, held.as_ref())?;
            let down = self.pump_response(exchange, ask, held)?;
            match exchange.stage {
                Stage::Body if exchange.response.is_done() => {
                    if exchange.ends_by_close {
                        self.client.set_reset_on_close(false);
                    }
                    return Ok(());
                }
                Stage::Tunnel => return self.tunnel(exchange, held).await,
                Stage::Head | Stage::Interim | Stage::Body | Stage::Switching => {}
            }
            if up == Pumped::Yield || down == Pumped::Yield {
                self.seat.next_turn().await;
                continue;
            }
            if exchange.moved() != moved {
                moved = exchange.moved();
                moved_ms = proxy.reactor.now_ms();
            }
            let answering = exchange.is_answered();
            if !answering && exchange.request.is_complete() {
                exchange.record.phase = Phase::Headers;
            }
            let left = if answering { self.client.broken() } else { self.client_left(exchange) };
            if left {
                return Err(Fault::ClientGone);
            }
            // While the client is still sending, the backend owes nothing yet.
            let on_client = up == Pumped::WaitSource || down == Pumped::WaitSink;
            let on_backend =
                up == Pumped::WaitSink || (down == Pumped::WaitSource && (up == Pumped::Done || answering));
            let timeouts = &proxy.config.timeouts;
            let client_ms = if on_client { timeouts.client_ms } else { u64::MAX };
            let server_ms = if on_backend { timeouts.server_ms } else { u64::MAX };
            if self.seat.pause(moved_ms + client_ms.min(server_ms)).await.is_err() {
                return Err(if client_ms < server_ms { Fault::ClientSilent } else { Fault::BackendSilent });
            }
        }
    }

    fn pump_request(&self, exchange: &mut Exchange, ask: &Ask, held: Option<&Held>) -> Result<Pumped, Fault> {
        let Some(held) = held.filter(|_| !exchange.deaf && !exchange.request.is_done()) else {
            return Ok(Pumped::Done);
        };
        match exchange.request.pump(&self.client, &held.stream, self.proxy.buffers) {
            Ok(Pumped::Done) => {
                exchange.let_request_go(ask);
                Ok(Pumped::Done)
            }
            Ok(pumped) => Ok(pumped),
            Err(Broken::Sink) => {
                // It may have answered before it closed: the response decides.
                exchange.deaf = true;
                exchange.response.doubt_end();
                Ok(Pumped::Done)
            }
            Err(broken @ (Broken::Malformed(_) | Broken::TooLong)) => {
                exchange.record.phase = Phase::Request;
                Err(refused(broken))
            }
            Err(broken) => Err(refused(broken)),
        }
    }

    fn pump_response(&self, exchange: &mut Exchange, ask: &Ask, held: &mut Option<Held>) -> Result<Pumped, Fault> {
        // A backend that sends one interim response after the other must let others have their turn.
        for _ in 0..STEPS_PER_TURN {
            match exchange.stage {
                Stage::Head => {
                    let Some(backend) = held.as_ref() else { return Err(Fault::BackendGone) };
                    let Some(length) = self.receive_head(exchange, ask, &backend.stream)? else {
                        return Ok(Pumped::WaitSource);
                    };
                    self.answer(exchange, ask, length, backend)?;
                    // Not before: a status may be one to try again for.
                    exchange.let_request_go(ask);
                }
                Stage::Interim => {
                    if !exchange.response.send(&self.client).map_err(|_| Fault::ClientGone)? {
                        return Ok(Pumped::WaitSink);
                    }
                    // What follows it is the next head.
                    exchange.response.buffer = exchange.response.take_rest();
                    exchange.scan = HeadScan::default();
                    exchange.stage = Stage::Head;
                }
                Stage::Switching => {
                    if !exchange.response.send(&self.client).map_err(|_| Fault::ClientGone)? {
                        return Ok(Pumped::WaitSink);
                    }
                    exchange.stage = Stage::Tunnel;
                }
                Stage::Tunnel => return Ok(Pumped::Done),
                Stage::Body => {
                    if exchange.response.is_complete() {
                        self.give_back(exchange, held);
                        let sent = exchange.response.send(&self.client).map_err(|_| Fault::ClientGone)?;
                        return Ok(if sent { Pumped::Done } else { Pumped::WaitSink });
                    }
                    let Some(backend) = held.as_ref() else { return Err(Fault::BackendGone) };
                    let pumped = exchange.response.pump(&backend.stream, &self.client, self.proxy.buffers);
                    match pumped.map_err(broken_response)? {
                        // The last bytes are here and the client takes no more: the loop gives the backend back.
                        Pumped::Done | Pumped::WaitSink if exchange.response.is_complete() => {}
                        pumped => return Ok(pumped),
                    }
                }
            }
        }
        Ok(Pumped::Yield)
    }

    /// Receives until a head may be complete; how many bytes it has at most, or `None` when the backend has nothing more at the moment.
    fn receive_head(&self, exchange: &mut Exchange, ask: &Ask, backend: &Stream) -> Result<Option<usize>, Fault> {
        let spare = affinity::growth(&self.proxy.config.pools[ask.pool.index()]);
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
            if flow.buffer.is_none() {
                flow.buffer = self.proxy.buffers.large(Need::Body).or_else(|| self.proxy.buffers.small());
            }
            let Some(buffer) = &mut flow.buffer else { return Err(Fault::Exhausted) };
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
    fn answer(&self, exchange: &mut Exchange, ask: &Ask, length: usize, held: &Held) -> Result<(), Fault> {
        let proxy = self.proxy;
        let pool = &proxy.config.pools[ask.pool.index()];
        let flow = &mut exchange.response;
        let Some(buffer) = &mut flow.buffer else { return Err(Fault::Exhausted) };
        buffer.compact();
        let mut table = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut cuts = Cuts::default();
        let asked = Asked {
            method: ask.method,
            offer: (!exchange.offer.is_empty()).then_some(&exchange.offer),
            affinity: affinity::own_cookie(pool),
        };
        let head = response::parse(&buffer.filled()[..length], &mut table, asked, &mut cuts);
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
            proxy.saw(held.slot.backend, Seen::Answered(status));
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
                let name = &proxy.cookie_values[backend.index()];
                affinity::prefix(buffer, [length, rewritten], &cuts, values, name)?
            }
        };
        let record = &mut exchange.record;
        let set_cookie = affinity::set_cookie(proxy, record, ask, exchange.home.unwrap_or(backend), head);
        let delimited = !matches!(framing, Framing::Chunked | Framing::UntilClose);
        let rechunk = !delimited && ask.version == Version::Http11;
        let ends_by_close = !delimited && !rechunk;
        exchange.keeps_client =
            ask.keep_alive && !ends_by_close && !switches && exchange.request.is_complete() && !proxy.is_stopping();
        let close = !exchange.keeps_client;
        if ends_by_close {
            // Until it is whole, a close must not look like its end.
            self.client.set_reset_on_close(true);
        }
        exchange.ends_by_close = ends_by_close;
        let started = flow.start(length, rewritten, framing, rechunk, |out: &mut heapless::Vec<u8, MAX_ADDED>| {
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

    /// Gives the backend's connection and slot back, the connection for reuse if both messages ended cleanly.
    fn give_back(&self, exchange: &Exchange, held: &mut Option<Held>) {
        let Some(Held { slot, stream, .. }) = held.take() else { return };
        let clean = exchange.keeps_backend && exchange.request.is_done() && !exchange.response.has_more();
        if clean && !exchange.deaf && !self.proxy.is_stopping() {
            self.keep(slot.backend, stream);
        }
    }
}

/// The response's fault.
fn broken_response(broken: Broken) -> Fault {
    match broken {
        Broken::Source => Fault::BackendGone,
        Broken::Sink => Fault::ClientGone,
        Broken::Malformed(reason) => Fault::BackendMalformed(reason),
        Broken::TooLong => Fault::BackendMalformed("the body is too long"),
        Broken::NoBuffer => Fault::Exhausted,
    }
}
