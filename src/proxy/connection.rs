//! The story of a client's connection: wait for a request, read its head, obtain a backend, exchange, log, again.

use super::ask::{self, Ask};
use super::exchange::Exchange;
use super::obtain::Held;
use super::rates::{Standing, is_of_user};
use super::record::{Named, Record};
use super::retry::Attempt;
use super::rules::Rule;
use super::shed::{Awaiting, Kind};
use super::{Counted, Proxy, reply};
use crate::config::Mode;
use crate::fault::{Fault, Phase};
use crate::http::proxy_protocol::{self, Parsed};
use crate::http::reply::After;
use crate::http::request::Version;
use crate::http::scan::leading_empty_lines;
use crate::http::trust::{trusts_client, trusts_peer};
use crate::limits::{BackendId, ListenerId};
use crate::runtime::{Buffer, Received, Seat, Stream};
use std::cell::RefCell;
use std::net::SocketAddr;

/// Bytes of empty lines before a request line; some clients send one behind a body.
pub(super) const MAX_EMPTY: usize = 16;

/// A client's connection.
pub(super) struct Connection {
    pub proxy: &'static Proxy,
    pub seat: Seat,
    pub client: Stream,
    /// Who the client is: its address, or what a PROXY header says. `None`: it came over a UNIX socket, and nothing says.
    pub peer: Option<SocketAddr>,
    pub listener: ListenerId,
    /// Who opened it answers for whomever a PROXY header names.
    vouched: bool,
    /// What the client sent behind its last request, or its PROXY header: the start of what comes next.
    pub rest: Option<Buffer>,
    /// Who its client proved to be so far.
    past: Past,
    /// The PROXY header was read, or none is to come.
    pub introduced: bool,
    /// It carries no requests.
    pub relays: bool,
    /// Bytes of empty lines since the last request.
    pub empty: usize,
    /// A backend connection that is this client's alone, since a PROXY header on it says so.
    pub own: RefCell<Option<(BackendId, Stream)>>,
    /// Its place among those that make room, until a head is complete.
    pub awaiting: Awaiting,
    /// What its client does is counted.
    limited: bool,
}

/// What the last request on a connection was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// There was none.
    Fresh,
    /// Somebody's.
    Any,
    /// A user's whose affinity cookie brought it to its backend.
    User,
}

/// What happens to the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Keep,
    Close,
    /// Close, but let the client read its reply first.
    Linger,
}

/// What there is of the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Nothing,
    Bytes,
    Over,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let proxy = self.proxy;
        proxy.connections.set(proxy.connections.get() - 1);
        proxy.listener_connections[self.listener.index()].leave();
        if self.limited
            && let Some(peer) = self.peer
        {
            proxy.leave(peer);
        }
        proxy.wake_watchers();
    }
}

impl Connection {
    /// A connection that was just accepted. It counts until it is dropped; for its client too, if that is counted.
    /// Inlined, it is made where it stays, and not copied there.
    #[inline(always)]
    pub(super) fn new(
        proxy: &'static Proxy,
        seat: Seat,
        client: Stream,
        peer: Option<SocketAddr>,
        listener: ListenerId,
        standing: Standing,
    ) -> Self {
        proxy.connections.set(proxy.connections.get() + 1);
        proxy.count_second();
        proxy.listener_connections[listener.index()].arrive();
        client.set_owner(seat.index());
        let awaiting = Awaiting::new(proxy, seat.index());
        let config = proxy.config();
        let place = &config.listeners[listener.index()];
        awaiting.begin(standing.kind());
        Self {
            proxy,
            seat,
            client,
            peer,
            listener,
            vouched: trusts_peer(&place.trust, peer.map(|peer| peer.ip())),
            rest: None,
            past: Past::Fresh,
            introduced: !place.accept_proxy,
            relays: place.mode == Mode::Tcp,
            empty: 0,
            own: RefCell::new(None),
            awaiting,
            limited: standing.is_counted(),
        }
    }

    /// The record of its next request, as of now.
    pub(super) fn record(&self) -> Record {
        Record::new(self.peer, self.listener, self.proxy.reactor.now_ms())
    }

    /// Lets it wait for its next request, without a worker. An idle connection holds no buffer.
    pub(super) fn wait(&self) {
        let timeouts = self.proxy.timeouts();
        let idle_ms = if self.past == Past::Fresh { timeouts.http_request_ms } else { timeouts.http_keep_alive_ms };
        self.seat.arm(self.proxy.reactor.now_ms() + idle_ms);
        // What makes it look again: bytes, the end, or a mark that came meanwhile.
        self.look_at_own();
        if self.client.readable() || self.is_over() {
            self.proxy.reactor.wake(self.seat.index());
        }
    }

    /// Whether it has bytes of a request, or is over.
    pub(super) fn look(&self) -> Look {
        self.look_at_own();
        if self.client.readable() {
            return Look::Bytes;
        }
        match self.is_over() || self.seat.has_elapsed() {
            true => Look::Over,
            false => Look::Nothing,
        }
    }

    fn look_at_own(&self) {
        self.own.borrow_mut().take_if(|(_, stream)| !stream.is_quiet());
    }

    fn is_over(&self) -> bool {
        self.is_to_leave() || self.awaiting.is_shed()
    }

    /// Serves the client until it has nothing more to ask at the moment: then true. False when it left, was silent,
    /// or broke a rule. Where no requests are to come, only its PROXY header is read.
    pub(super) async fn serve(&mut self, exchange: &mut Exchange) -> bool {
        if !self.introduced {
            if !self.read_proxy_header().await {
                return false;
            }
            self.introduced = true;
            let entered = self.proxy.let_in_named(self.peer, self.listener, self.is_trusted());
            let Ok(standing) = entered else { return false };
            self.limited = standing.is_counted();
            self.awaiting.begin(standing.kind());
            if self.relays {
                // Now it is known who it is, and all that is to be known.
                return true;
            }
        }
        loop {
            match self.first_bytes(exchange) {
                Look::Bytes => {}
                Look::Nothing => return true,
                Look::Over => return false,
            }
            match self.serve_request(exchange).await {
                Next::Keep => self.awaiting.begin(if self.past == Past::User { Kind::Known } else { Kind::Idle }),
                Next::Close => return false,
                Next::Linger => {
                    self.awaiting.begin(Kind::Leaving);
                    reply::linger(self.proxy, &self.seat, &self.client, &self.awaiting).await;
                    return false;
                }
            }
            if self.rest.is_none() && !self.client.readable() {
                return true;
            }
            // One client's pipeline must not keep the others waiting, wherever its receives end.
            self.seat.next_turn().await;
        }
    }

    /// Reads who the client is; whether it was said, in time. What comes behind it is the first request.
    async fn read_proxy_header(&mut self) -> bool {
        let (proxy, client) = (self.proxy, &self.client);
        self.awaiting.begin(Kind::Fresh);
        let deadline_ms = proxy.reactor.now_ms() + proxy.timeouts().http_request_ms;
        // A header that is not whole yet fits, so there is always space.
        let Some(mut buffer) = proxy.buffers.small() else { return false };
        loop {
            match client.receive(buffer.space()) {
                Ok(Received::Bytes(count)) => buffer.fill(count),
                Ok(Received::End) | Err(_) => return false,
                Ok(Received::Dry) => {
                    let wait = self.seat.until(deadline_ms, || match client.readable() {
                        true => Some(true),
                        false => (self.is_to_leave() || self.awaiting.is_shed()).then_some(false),
                    });
                    if wait.await != Ok(true) {
                        return false;
                    }
                    continue;
                }
            }
            match proxy_protocol::parse(buffer.filled()) {
                Parsed::Incomplete => {}
                Parsed::Malformed(reason) => {
                    log::debug!("{}: {reason}", Named(self.peer));
                    return false;
                }
                Parsed::Complete { length, source } => {
                    self.peer = source.or(self.peer);
                    buffer.consume(length);
                    self.rest = (!buffer.is_empty()).then_some(buffer);
                    return true;
                }
            }
        }
    }

    /// Takes the first bytes of a request into `exchange`, if they are here. A function of its own, as [`Connection::step`] is.
    #[inline(never)]
    fn first_bytes(&mut self, exchange: &mut Exchange) -> Look {
        let first = &mut exchange.request.buffer;
        *first = self.rest.take();
        if let Some(rest) = first
            && self.begins(rest)
        {
            exchange.request.moved = rest.len() as u64;
            return Look::Bytes;
        }
        *first = None;
        while self.client.readable() {
            let Some(buffer) = self.proxy.buffers.small() else { return Look::Over };
            let buffer = first.insert(buffer);
            buffer.leave_room();
            match self.client.receive(buffer.space()) {
                Ok(Received::Bytes(count)) => {
                    buffer.fill(count);
                    if self.begins(buffer) {
                        exchange.request.moved = buffer.len() as u64;
                        return Look::Bytes;
                    }
                }
                Ok(Received::End) | Err(_) => {
                    *first = None;
                    return Look::Over;
                }
                Ok(Received::Dry) => {}
            }
            *first = None;
        }
        Look::Nothing
    }

    /// Drops empty lines from the front of `buffer`; whether a request begins in what is left. An empty line alone, behind
    /// a body for instance, is nothing yet; too many of them are for [`Connection::read_head`] to refuse.
    fn begins(&mut self, buffer: &mut Buffer) -> bool {
        let skipped = leading_empty_lines(buffer.filled());
        self.empty += skipped;
        if self.empty > MAX_EMPTY {
            return true;
        }
        buffer.consume(skipped);
        !buffer.is_empty()
    }

    /// One request, from its first bytes to its line in the log.
    async fn serve_request(&mut self, exchange: &mut Exchange) -> Next {
        self.past = Past::Any;
        let proxy = self.proxy;
        exchange.record = self.record();
        let mut asked = None;
        let result = self.exchange(exchange, &mut asked).await;
        let next = match result {
            Ok(()) if exchange.record.status == 0 => Next::Close,
            Ok(()) if exchange.keeps_client && exchange.request.is_done() => Next::Keep,
            Ok(()) if exchange.request.is_complete() && !exchange.request.has_more() && !self.client.readable() => {
                Next::Close
            }
            Ok(()) => Next::Linger,
            Err(fault) => self.fail(exchange, asked.as_ref(), fault).await,
        };
        exchange.record.bytes += exchange.response.total;
        proxy.ended(&exchange.record, exchange.request.received());
        if let Some(journal) = proxy.journal.get().filter(|_| exchange.record.is_told()) {
            journal.write(proxy, &exchange.record, &exchange.line);
        }
        if is_of_user(&exchange.record) {
            self.past = Past::User;
        }
        if self.limited {
            self.learn(&exchange.record);
        }
        if next == Next::Keep {
            self.rest = exchange.request.take_rest().map(|rest| proxy.buffers.fitting(rest));
        }
        // Now, not when it is next used: its buffers go back.
        exchange.reset();
        self.empty = 0;
        next
    }

    /// The way of a request that goes well.
    async fn exchange(&self, exchange: &mut Exchange, asked: &mut Option<Ask>) -> Result<(), Fault> {
        let length = match self.whole_head(exchange) {
            Some(length) => Ok(Some(length)),
            None => self.read_head(exchange).await,
        };
        self.awaiting.end();
        let Some(length) = length? else { return Ok(()) };
        let mut held = None;
        let (ask, _counted, attempt) = self.take_up(exchange, length, asked, &mut held)?;
        if let Some(attempt) = attempt {
            held = Some(self.obtain(exchange, ask, attempt).await?);
        }
        loop {
            let Err(fault) = self.transfer(exchange, ask, &mut held).await else { return Ok(()) };
            let attempt = self.after_fault(exchange, ask, &mut held, fault).ok_or(fault)?;
            held = Some(self.obtain(exchange, ask, attempt).await?);
        }
    }

    /// All that is done about a complete head without waiting: `held` is what was obtained so, or there is an attempt to.
    ///
    /// A function of its own, as [`Connection::step`] is.
    #[inline(never)]
    fn take_up<'a>(
        &self,
        exchange: &mut Exchange,
        length: usize,
        asked: &'a mut Option<Ask>,
        held: &mut Option<Held>,
    ) -> Result<(&'a Ask, Counted<'static>, Option<Attempt>), Fault> {
        let proxy = self.proxy;
        exchange.record.headed_ms = Some(proxy.reactor.now_ms());
        proxy.count_second();
        proxy.asked(self.listener);
        let config = proxy.config();
        let ask = ask::understand(self, &config, exchange, length, asked)?;
        if self.limited && !matches!(ask.rule, Rule::Monitor(_)) {
            self.count_request(ask.route)?;
        }
        if !matches!(ask.rule, Rule::None | Rule::Here(_)) {
            return Err(self.obey(&config, exchange, ask.rule));
        }
        exchange.record.pool = Some(ask.pool);
        exchange.record.client_cookie = ask.bond.affinity.letter();
        if config.pools[ask.pool.index()].cookie.is_some() {
            exchange.record.server_cookie = 'N';
        }
        if let Rule::Here(status) = ask.rule {
            return Err(Fault::Answered(status));
        }
        let counted = proxy.pool_exchanges[ask.pool.index()].enter();
        proxy.budgets[ask.pool.index()].borrow_mut().count(proxy.reactor.now_ms());
        let attempt = self.obtain_at_once(&config, exchange, ask, held)?;
        Ok((ask, counted, attempt))
    }

    /// Whether what the client says of itself is kept: where it comes from, what its request is called.
    pub(super) fn is_trusted(&self) -> bool {
        self.vouched
            || trusts_client(
                &self.proxy.config().listeners[self.listener.index()].trust,
                self.peer.map(|peer| peer.ip()),
            )
    }

    /// The address the client came to; a UNIX socket has none.
    pub(super) fn here(&self) -> Option<SocketAddr> {
        let bound = || self.proxy.config().listeners[self.listener.index()].address.inet();
        self.client.local_address().or_else(bound)
    }

    /// Ends an exchange that failed: with a reply if the client can still make sense of one.
    async fn fail(&self, exchange: &mut Exchange, ask: Option<&Ask>, fault: Fault) -> Next {
        let phase = exchange.record.phase;
        let fault = if phase == Phase::Tarpit { self.hold(exchange, ask, fault).await } else { fault };
        log::debug!("{}: {fault:?} in {phase:?}", Named(self.peer));
        exchange.record.fault = Some(fault);
        self.proxy.failed(&exchange.record, fault);
        if !exchange.is_answered() {
            // A response with a status that was tried again is better known than the end of the last attempt.
            exchange.record.status = exchange.dropped.unwrap_or_else(|| fault.status(phase));
            self.proxy.note_answer(exchange.record.status, fault);
            exchange.record.set_no_cookie();
        }
        if !exchange.can_reply() || !fault.leaves_client() {
            return Next::Close;
        }
        let keep = fault.keeps_framing()
            && exchange.request.is_complete()
            && !self.is_ending()
            && ask.is_some_and(|ask| ask.keep_alive);
        let after = match (keep, ask.map(|ask| ask.version)) {
            (true, Some(Version::Http10)) => After::SayKeep,
            (true, _) => After::Keep,
            (false, _) => After::Close,
        };
        let config = self.proxy.config();
        let reply = self.reply(&config, exchange, ask, fault, after);
        let (sent, all) = reply::send(self.proxy, &self.seat, &self.client, &reply).await;
        exchange.record.bytes += sent as u64;
        match all {
            true if keep => Next::Keep,
            // Its place is needed now.
            true if fault == Fault::Shed => Next::Close,
            true => Next::Linger,
            false => Next::Close,
        }
    }

    /// Whether the client closed its connection: nobody waits for the response. Only when all of the request is here
    /// does the end of what it sends mean that.
    pub(super) fn client_left(&self, exchange: &Exchange) -> bool {
        self.client.broken() || (self.client.hung_up() && (exchange.request.is_complete() || self.has_nothing_to_say()))
    }
}
