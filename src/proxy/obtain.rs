//! A slot of a backend, and a connection to it: place, wait, reuse or connect, try again.

use super::ask::Ask;
use super::connection::Connection;
use super::exchange::Exchange;
use super::retry::Attempt;
use super::slot::{Slot, Waiting};
use crate::balance::{Answer, Failed, Placement, Refused, Seen, Wish};
use crate::config::{Config, Reuse};
use crate::fault::{Fault, Phase};
use crate::http::proxy_protocol::{Header, ProxyVersion};
use crate::limits::{BackendId, TURN_AROUND_MS};
use crate::runtime::{Stream, is_exhaustion};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A connection to a backend, and the slot that lets a request use it.
pub(super) struct Held {
    pub slot: Slot,
    pub stream: Stream,
    /// It served another request before, so the backend may have closed it already.
    pub reused: bool,
}

/// Where the balancer puts a request.
pub(super) enum Placed {
    /// At a backend.
    At(Slot),
    /// In a queue; for the backend it is bound to it waits so long at most.
    Waits { place: Waiting, wait_ms: Option<u64> },
}

impl Connection {
    /// Asks the balancer for a backend, and takes an idle connection to it into `held`: all that there is to do for most
    /// requests, and nothing of it waits. Otherwise it says how far it came: what is left is [`Connection::obtain`]'s.
    ///
    /// # Errors
    /// [`Fault::QueueFull`], [`Fault::NoBackend`].
    pub(super) fn obtain_at_once(
        &self,
        config: &Config,
        exchange: &mut Exchange,
        ask: &Ask,
        held: &mut Option<Held>,
    ) -> Result<Option<Attempt>, Fault> {
        let slot = match self.place(config, exchange, ask, ask.bond.backend(), None)? {
            Placed::At(slot) => slot,
            waits @ Placed::Waits { .. } => return Ok(Some(Attempt::First(waits))),
        };
        let slot = self.unless_redirected(config, exchange, ask, slot)?;
        if self.shares(config, exchange, ask)
            && let Some(stream) = self.reusable(slot.backend)
        {
            exchange.record.connected_ms = Some(self.proxy.reactor.now_ms());
            *held = Some(Held { slot, stream, reused: true });
            return Ok(None);
        }
        Ok(Some(Attempt::First(Placed::At(slot))))
    }

    /// Gets the request a connection to a backend, with as many attempts to connect as it takes.
    ///
    /// # Errors
    /// [`Fault`] of the queue, of connecting, or the client left.
    pub(super) async fn obtain(&self, exchange: &mut Exchange, ask: &Ask, mut attempt: Attempt) -> Result<Held, Fault> {
        let proxy = self.proxy;
        let shares = !matches!(attempt, Attempt::Fresh(_)) && self.shares(&proxy.config(), exchange, ask);
        loop {
            let (placed, failed) = match attempt {
                Attempt::First(placed) => (placed, None),
                Attempt::Fresh(slot) => (Placed::At(slot), None),
                Attempt::Same(slot) => {
                    let id = slot.backend;
                    (Placed::At(slot), Some(id))
                }
                Attempt::Elsewhere(id) => (self.place(&proxy.config(), exchange, ask, None, Some(id))?, Some(id)),
            };
            let slot = match placed {
                Placed::At(slot) => slot,
                Placed::Waits { place, wait_ms } => {
                    let id = self.queue(exchange, place, wait_ms).await?;
                    self.placed(exchange, ask, id)
                }
            };
            let id = slot.backend;
            let slot = self.unless_redirected(&proxy.config(), exchange, ask, slot)?;
            exchange.record.redispatched |= failed.is_some_and(|failed| self.redispatches(ask, failed, id));
            if failed == Some(id) {
                // The same again: it may be restarting, so not at once (HAProxy's turn-around).
                self.rest(exchange, TURN_AROUND_MS.min(proxy.timeouts().connect_ms)).await?;
            } else if shares && let Some(stream) = self.reusable(id) {
                exchange.record.connected_ms.get_or_insert(proxy.reactor.now_ms());
                exchange.record.fresh = false;
                return Ok(Held { slot, stream, reused: true });
            }
            let fault = match self.connect(exchange, id).await {
                Ok(stream) => {
                    exchange.record.connected_ms = Some(proxy.reactor.now_ms());
                    exchange.record.fresh = true;
                    proxy.saw(id, Seen::Connected);
                    return Ok(Held { slot, stream, reused: false });
                }
                Err(fault @ (Fault::ConnectFailed | Fault::ConnectTimeout)) => fault,
                Err(fault) => return Err(fault),
            };
            proxy.saw(id, Seen::NotConnected);
            if !self.may_retry(exchange, ask, Failed::Connection) {
                return Err(fault);
            }
            attempt = self.next_attempt(exchange, ask, Failed::Connection, slot);
        }
    }

    /// Whether the request may go on a connection that served another one.
    fn shares(&self, config: &Config, exchange: &Exchange, ask: &Ask) -> bool {
        match config.pools[ask.pool.index()].reuse {
            Reuse::Never => false,
            Reuse::Safe => exchange.is_replayable(ask),
            Reuse::Always => true,
        }
    }

    /// A connection to `id` that is good for another request.
    fn reusable(&self, id: BackendId) -> Option<Stream> {
        let proxy = self.proxy;
        let mut idle = proxy.idle.borrow_mut();
        if idle.is_private(id) {
            let own = self.own.borrow_mut().take();
            let era = idle.era(id);
            let good = |stream: &Stream| stream.era == era && stream.is_quiet();
            return own.filter(|(backend, stream)| *backend == id && good(stream)).map(|(_, stream)| stream);
        }
        let stream = idle.take(id)?;
        stream.set_owner(self.seat.index());
        Some(stream)
    }

    /// Keeps a connection for another request: of anybody, or of this client where the backend was told who it is.
    pub(super) fn keep(&self, id: BackendId, stream: Stream) {
        let proxy = self.proxy;
        let mut idle = proxy.idle.borrow_mut();
        if idle.is_private(id) {
            self.own.replace(Some((id, stream)));
        } else {
            idle.put(id, stream);
        }
    }

    #[inline(never)]
    fn proxy_header(&self, version: ProxyVersion) -> Header {
        match self.peer {
            Some(source) => version.header(source, self.here().unwrap_or_else(|| nowhere(source))),
            None => version.local(),
        }
    }

    /// Says first of all on a new connection who the client is, where the backend wants to know.
    fn introduce(&self, id: BackendId, stream: &Stream) -> Result<(), Fault> {
        let Some(version) = self.proxy.config().backends[id.index()].send_proxy else { return Ok(()) };
        let header = self.proxy_header(version);
        // There is room for it in an empty socket.
        match stream.send(&header) {
            Ok(Some(sent)) if sent == header.len() => Ok(()),
            Ok(_) | Err(_) => Err(Fault::ConnectFailed),
        }
    }

    /// Takes a slot, or a place in a queue for one.
    fn place(
        &self,
        config: &Config,
        exchange: &mut Exchange,
        ask: &Ask,
        sticky: Option<BackendId>,
        avoid: Option<BackendId>,
    ) -> Result<Placed, Fault> {
        let proxy = self.proxy;
        let pool = &config.pools[ask.pool.index()];
        let waiter = self.seat.index();
        if pool.redirects {
            proxy.forget_redirects(ask.pool);
        }
        let placement = proxy.balancer.borrow_mut().place(Wish {
            waiter,
            pool: ask.pool,
            key: ask.key,
            sticky,
            avoid,
            may_move: pool.redispatch,
            client: self.peer.map_or(self.listener.index() as u64, |peer| client_of(peer.ip())),
            class: ask.class,
        });
        exchange.record.phase = Phase::Queue;
        let wait_ms = match placement {
            Placement::Go(id) => return Ok(Placed::At(self.placed(exchange, ask, id))),
            Placement::Refused(Refused::QueueFull) => {
                exchange.record.backend = sticky;
                return Err(Fault::QueueFull);
            }
            Placement::Refused(Refused::NoBackend) => {
                exchange.record.phase = Phase::Connect;
                return Err(Fault::NoBackend);
            }
            Placement::WaitForBackend(id, ahead) => {
                exchange.record.backend = Some(id);
                exchange.record.backend_queue = ahead + 1;
                pool.stick_wait_ms
            }
            Placement::WaitForPool(ahead) => {
                exchange.record.pool_queue = ahead + 1;
                None
            }
        };
        if pool.redirects {
            proxy.await_redirects();
        }
        proxy.happened(ask.pool, exchange.record.backend, |failures| failures.waited += 1);
        Ok(Placed::Waits { place: Waiting::held(proxy, waiter), wait_ms })
    }

    /// Takes charge of a slot of `backend`, and notes that the request has it.
    fn placed(&self, exchange: &mut Exchange, ask: &Ask, backend: BackendId) -> Slot {
        let proxy = self.proxy;
        exchange.record.phase = Phase::Connect;
        exchange.record.redispatched |= exchange.home.is_some_and(|home| home != backend);
        exchange.record.backend = Some(backend);
        if exchange.home.is_none() {
            ask.bond.remember(proxy, backend);
        }
        if ask.bond.counts() && exchange.record.placed_ms.is_none() {
            proxy.led(backend, ask.bond.backend());
        }
        exchange.record.placed_ms.get_or_insert(proxy.reactor.now_ms());
        Slot::held(proxy, backend)
    }

    /// Waits in `place` for the balancer's answer; for the backend it is bound to `wait_ms` at most, when that is given.
    async fn queue(&self, exchange: &mut Exchange, place: Waiting, wait_ms: Option<u64>) -> Result<BackendId, Fault> {
        let (proxy, waiter) = (self.proxy, self.seat.index());
        let last_ms = proxy.reactor.now_ms() + proxy.timeouts().queue_ms;
        let mut bound_ms = wait_ms;
        let result = loop {
            let deadline_ms = bound_ms.map_or(last_ms, |bound_ms| last_ms.min(proxy.reactor.now_ms() + bound_ms));
            let wait = self.seat.until(deadline_ms, || {
                let answer = proxy.balancer.borrow_mut().answer(waiter);
                match answer {
                    Some(Answer::Granted(id)) => Some(Ok(id)),
                    Some(Answer::Refused) => Some(Err(Fault::NoBackend)),
                    None => self.gives_up(exchange).map(Err),
                }
            });
            match wait.await {
                Ok(result) => break result,
                Err(_) if deadline_ms >= last_ms => break Err(Fault::QueueTimeout),
                Err(_) => {}
            }
            proxy.balancer.borrow_mut().unbind(waiter, |waiter| proxy.reactor.wake(waiter));
            bound_ms = None;
        };
        if result.is_ok() {
            // One that tries again, elsewhere, is still that one's.
            exchange.home = proxy.balancer.borrow().left(waiter).or(exchange.home);
        }
        // Answered or not, the place is given up; a slot granted in the very last moment goes on to the next.
        drop(place);
        // Who has a slot is noted with it.
        if result.is_err() {
            exchange.record.placed_ms.get_or_insert(proxy.reactor.now_ms());
        }
        if result == Err(Fault::NoBackend) {
            exchange.record.phase = Phase::Connect;
        }
        result
    }

    async fn connect(&self, exchange: &Exchange, id: BackendId) -> Result<Stream, Fault> {
        let proxy = self.proxy;
        let config = proxy.config();
        let Some(address) = proxy.address(&config, id) else { return Err(Fault::ConnectFailed) };
        proxy.connects(id);
        // A client has one connection to a backend at a time: the budget counts no more.
        self.own.take();
        let bounds = proxy.budget.backend_socket();
        let stream = match Stream::connect(proxy.reactor, address, &bounds) {
            Err(error) if is_exhaustion(&error) && proxy.idle.borrow_mut().close_one() => {
                Stream::connect(proxy.reactor, address, &bounds)
            }
            result => result,
        };
        let mut stream = stream.map_err(|error| {
            log::debug!("{address}: connect: {error}");
            if is_exhaustion(&error) { Fault::Exhausted } else { Fault::ConnectFailed }
        })?;
        drop(config);
        stream.era = proxy.era(id);
        stream.set_name(id.0);
        stream.set_owner(self.seat.index());
        let deadline_ms = proxy.reactor.now_ms() + proxy.timeouts().connect_ms;
        let wait = self.seat.until(deadline_ms, || match stream.connected() {
            Some(Ok(())) => Some(Ok(())),
            Some(Err(_)) => Some(Err(Fault::ConnectFailed)),
            None => self.gives_up(exchange).map(Err),
        });
        wait.await.unwrap_or(Err(Fault::ConnectTimeout))?;
        self.introduce(id, &stream)?;
        Ok(stream)
    }

    /// Whether a request that failed at one backend goes to another; that is counted.
    fn redispatches(&self, ask: &Ask, failed: BackendId, id: BackendId) -> bool {
        if failed != id {
            self.proxy.happened(ask.pool, Some(failed), |failures| failures.redispatches += 1);
        }
        failed != id
    }

    /// Lets time pass, unless the client leaves meanwhile.
    async fn rest(&self, exchange: &Exchange, rest_ms: u64) -> Result<(), Fault> {
        let deadline_ms = self.proxy.reactor.now_ms() + rest_ms;
        match self.seat.until(deadline_ms, || self.gives_up(exchange)).await {
            Ok(fault) => Err(fault),
            Err(_) => Ok(()),
        }
    }
}

/// What a PROXY header says of a destination that has no address, beside a source that has one.
fn nowhere(source: SocketAddr) -> SocketAddr {
    match source {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// Whom requests from `address` belong to, for taking turns and for limits: an IPv4 address, or the /64 network of an
/// IPv6 one, which is what one customer has. Small numbers are nobody's address: clients without one have their listener's.
pub(super) fn client_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        // The prefix of every network in use is above 32 bits.
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(0),
    }
}
