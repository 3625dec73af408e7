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

use super::ask::{Ask, refused};
use super::broken::Broken;
use super::connection::Connection;
use super::flow::{Flow, Pumped};
use super::obtain::Held;
use super::record::Record;
use crate::fault::{Fault, Phase};
use crate::http::scan::HeadScan;
use crate::http::upgrade::MAX_OFFER;
use crate::limits::{BackendId, LOG_LINE, STEPS_PER_TURN};

/// Where the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
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

/// What an exchange does next.
enum Step {
    /// Nothing: it is over.
    Done,
    /// What follows is another protocol.
    Tunnel,
    /// It lets others have their turn.
    GiveWay,
    /// It waits for either side; the deadline is armed.
    Wait,
}

/// When an exchange moved last.
struct Moved {
    bytes: u64,
    at_ms: u64,
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
    pub stage: Stage,
    pub scan: HeadScan,
    /// Whether the client's connection may stay when the exchange is over.
    pub keeps_client: bool,
    pub keeps_backend: bool,
    /// The backend takes no more of the request.
    deaf: bool,
    /// The backend it is bound to, when that was full and another one serves it this once.
    pub home: Option<BackendId>,
    /// The end of the client's connection is to tell it the end of the response.
    pub ends_by_close: bool,
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
        exchange.record.phase = if exchange.request.is_complete() { Phase::Headers } else { Phase::Data };
        let mut last = Moved { bytes: exchange.moved(), at_ms: self.proxy.reactor.now_ms() };
        loop {
            match self.step(exchange, ask, held, &mut last)? {
                Step::Done => return Ok(()),
                Step::Tunnel => return self.tunnel(exchange, held).await,
                Step::GiveWay => self.seat.next_turn().await,
                Step::Wait => self.seat.woken().await,
            }
        }
    }

    /// Moves what can be moved without waiting, and says what the exchange waits for then.
    ///
    /// A function of its own, as [`Connection::answer`] is: in the future that calls it, its variables would lie in memory.
    #[inline(never)]
    fn step(
        &self,
        exchange: &mut Exchange,
        ask: &Ask,
        held: &mut Option<Held>,
        last: &mut Moved,
    ) -> Result<Step, Fault> {
        let proxy = self.proxy;
        let up = self.pump_request(exchange, ask, held.as_ref())?;
        let down = self.pump_response(exchange, ask, held)?;
        match exchange.stage {
            Stage::Body if exchange.response.is_done() => {
                if exchange.ends_by_close {
                    self.client.set_reset_on_close(false);
                }
                return Ok(Step::Done);
            }
            Stage::Tunnel => return Ok(Step::Tunnel),
            Stage::Head | Stage::Interim | Stage::Body | Stage::Switching => {}
        }
        if up == Pumped::Yield || down == Pumped::Yield {
            return Ok(Step::GiveWay);
        }
        if exchange.moved() != last.bytes {
            *last = Moved { bytes: exchange.moved(), at_ms: proxy.reactor.now_ms() };
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
        let on_backend = up == Pumped::WaitSink || (down == Pumped::WaitSource && (up == Pumped::Done || answering));
        let timeouts = proxy.timeouts();
        let client_ms = if on_client { timeouts.client_ms } else { u64::MAX };
        let server_ms = if on_backend { timeouts.server_ms } else { u64::MAX };
        let until_ms = last.at_ms.saturating_add(client_ms.min(server_ms));
        if until_ms <= proxy.reactor.now_ms() {
            return Err(if client_ms < server_ms { Fault::ClientSilent } else { Fault::BackendSilent });
        }
        self.seat.arm(until_ms);
        Ok(Step::Wait)
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
                        if !exchange.keeps_client {
                            exchange.response.send_last(&self.client).map_err(|_| Fault::ClientGone)?;
                        }
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
pub(super) fn broken_response(broken: Broken) -> Fault {
    match broken {
        Broken::Source => Fault::BackendGone,
        Broken::Sink => Fault::ClientGone,
        Broken::Malformed(reason) => Fault::BackendMalformed(reason),
        Broken::TooLong => Fault::BackendMalformed("the body is too long"),
        Broken::NoBuffer => Fault::Exhausted,
    }
}
