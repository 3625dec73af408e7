//! What single clients may do: how often they ask and err, how many connections they have, who is known when
//! connections run short (`limits.rate`, `.errors`, `.per-client`, `.reserve`, `route.N.rate`).
//!
//! A client is the peer of a connection, or whom a PROXY header names; never what a field of a request says. Who is
//! exempt, or trusted by its listener, is not counted. A request that is refused is an error, not a request: who keeps to
//! the rate in spite of others at its address gets it, and who goes on regardless does too much wrong and is closed right
//! after it is accepted, where it costs neither a buffer nor a worker.

use super::Proxy;
use super::connection::Connection;
use super::obtain::client_of;
use super::record::Record;
use crate::balance::{Act, Crowd, Rate, Rates};
use crate::config::Config;
use crate::fault::{Fault, Phase};
use crate::limits::{ListenerId, REFUSED_MESSAGE_MS};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};

/// Why a connection is closed as soon as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Its client did too much wrong.
    Errors,
    /// Its client has as many as it may have.
    Connections,
    /// What is left is for those who are known.
    Reserve,
}

/// The key that closed it, in the order of [`Closed`].
const KEYS: [&str; 3] = ["limits.errors", "limits.per-client", "limits.reserve"];

/// Connections that were closed for one reason.
#[derive(Default)]
struct Tally {
    count: Cell<u64>,
    /// Of these, how many were told of.
    told: Cell<u64>,
    /// When the next message may be.
    next_ms: Cell<u64>,
}

/// The counts of all clients; a proxy has one where something is bounded.
pub(super) struct Limiter {
    rates: RefCell<Rates>,
    crowd: Option<RefCell<Crowd>>,
    closed: [Tally; KEYS.len()],
}

impl Limiter {
    /// For this configuration, if it bounds something.
    pub(super) fn new(config: &Config, secret: [u64; 2]) -> Option<Self> {
        let (clients, budget) = (&config.clients, &config.limits.budget);
        let crowd = clients.connections.map(|most| RefCell::new(Crowd::new(budget.connections, most)));
        let rates = clients.need_rates(&config.routes);
        (rates || crowd.is_some()).then(|| Self {
            rates: RefCell::new(Rates::new(budget.beside.rates, secret)),
            crowd,
            closed: Default::default(),
        })
    }

    /// A request of this client, on this route if it has a rate of its own.
    ///
    /// # Errors
    /// [`Fault::TooFast`] and [`Fault::Barred`], which count as errors.
    fn request(&self, config: &Config, client: IpAddr, route: Option<u8>, now_ms: u64) -> Result<(), Fault> {
        let mut rates = self.rates.borrow_mut();
        let client = client_of(client);
        let who = rates.who(client, None);
        let routed = route.and_then(|route| {
            let rate = config.routes.get(usize::from(route))?.rate?;
            Some((rates.who(client, Some(route)), rate))
        });
        let own = config.clients.rate.map(|rate| (who, rate));
        let asked = || [own, routed].into_iter().flatten();
        let errors = config.clients.errors;
        let barred_ms = errors.map_or(0, |rate| rates.wait_ms(who, Act::Error, rate, now_ms));
        let wait_ms = asked().map(|(who, rate)| rates.wait_ms(who, Act::Request, rate, now_ms)).max().unwrap_or(0);
        if barred_ms == 0 && wait_ms == 0 {
            asked().for_each(|(who, rate)| rates.count(who, Act::Request, rate, now_ms));
            return Ok(());
        }
        let again_ms = errors.map_or(0, |rate| err(&mut rates, client, rate, now_ms));
        let after_s = u16::try_from(wait_ms.max(again_ms).div_ceil(1_000)).unwrap_or(u16::MAX);
        Err(if barred_ms > 0 { Fault::Barred(after_s) } else { Fault::TooFast(after_s) })
    }

    fn tell(&self, why: Closed, client: IpAddr, now_ms: u64) {
        let tally = &self.closed[why as usize];
        tally.count.set(tally.count.get() + 1);
        if now_ms >= tally.next_ms.get() {
            tally.next_ms.set(now_ms + REFUSED_MESSAGE_MS);
            let count = tally.count.get();
            let since = count - tally.told.replace(count);
            log::debug!("{client}: closed by {}; {since} since the last such message", KEYS[why as usize]);
        }
    }
}

/// This client did something wrong; how long it is barred, in milliseconds.
fn err(rates: &mut Rates, client: u64, rate: Rate, now_ms: u64) -> u64 {
    let who = rates.who(client, None);
    rates.count(who, Act::Error, rate, now_ms);
    rates.wait_ms(who, Act::Error, rate, now_ms)
}

impl Proxy {
    /// Lets a connection in that was just accepted, or not; whether its client is counted. Where a PROXY header will name
    /// the client, it is let in to be heard. Who is counted must [`Proxy::leave`].
    ///
    /// # Errors
    /// [`Closed`]: it is to be closed.
    pub(super) fn let_in(&self, peer: SocketAddr, listener: ListenerId, uses_reserve: bool) -> Result<bool, Closed> {
        match &self.limiter {
            Some(limiter) if !self.config.listeners[listener.index()].accept_proxy => {
                self.enter(limiter, peer.ip(), listener, uses_reserve)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// The same once a PROXY header named the client.
    ///
    /// # Errors
    /// [`Closed`]: it is to be closed.
    pub(super) fn let_in_named(&self, client: IpAddr, listener: ListenerId) -> Result<bool, Closed> {
        let uses_reserve = self.connections() > self.ordinary();
        self.limiter.as_ref().map_or(Ok(false), |limiter| self.enter(limiter, client, listener, uses_reserve))
    }

    fn enter(
        &self,
        limiter: &Limiter,
        address: IpAddr,
        listener: ListenerId,
        uses_reserve: bool,
    ) -> Result<bool, Closed> {
        if self.is_exempt(address, listener) {
            return Ok(false);
        }
        let now_ms = self.reactor.now_ms();
        let client = client_of(address);
        let close = |why| {
            limiter.tell(why, address, now_ms);
            Err(why)
        };
        if let Some(rate) = self.config.clients.errors {
            let mut rates = limiter.rates.borrow_mut();
            if rates.wait_ms(rates.who(client, None), Act::Error, rate, now_ms) > 0 {
                // Who does not stop stays out.
                err(&mut rates, client, rate, now_ms);
                return close(Closed::Errors);
            }
        }
        if uses_reserve && !self.is_known(limiter, address) {
            return close(Closed::Reserve);
        }
        if limiter.crowd.as_ref().is_some_and(|crowd| !crowd.borrow_mut().enter(client)) {
            return close(Closed::Connections);
        }
        Ok(true)
    }

    /// A connection that is counted ends.
    pub(super) fn leave(&self, peer: SocketAddr) {
        if let Some(crowd) = self.limiter.as_ref().and_then(|limiter| limiter.crowd.as_ref()) {
            crowd.borrow_mut().leave(client_of(peer.ip()));
        }
    }

    /// Whether a client is known, where that is kept.
    pub(super) fn knows(&self, peer: SocketAddr) -> bool {
        self.config.clients.reserve > 0
            && self.limiter.as_ref().is_some_and(|limiter| self.is_known(limiter, peer.ip()))
    }

    fn is_known(&self, limiter: &Limiter, client: IpAddr) -> bool {
        let rates = limiter.rates.borrow();
        rates.knows(rates.who(client_of(client), None), self.reactor.now_ms())
    }

    fn is_exempt(&self, client: IpAddr, listener: ListenerId) -> bool {
        let trust = &self.config.listeners[listener.index()].trust;
        self.config.clients.exempt.iter().chain(trust).any(|block| block.contains(client))
    }
}

impl Connection {
    /// Counts a request whose head is complete.
    ///
    /// # Errors
    /// [`Fault::TooFast`], [`Fault::Barred`].
    #[inline(never)]
    pub(super) fn count_request(&self, route: Option<u8>) -> Result<(), Fault> {
        let proxy = self.proxy;
        let Some(limiter) = &proxy.limiter else { return Ok(()) };
        limiter.request(proxy.config, self.peer.ip(), route, proxy.reactor.now_ms())
    }

    /// Learns from a request that is over what its client is like.
    #[inline(never)]
    pub(super) fn learn(&self, record: &Record) {
        let proxy = self.proxy;
        let Some(limiter) = &proxy.limiter else { return };
        let (clients, now_ms) = (&proxy.config.clients, proxy.reactor.now_ms());
        if let Some(rate) = clients.errors.filter(|_| is_clients_error(record)) {
            err(&mut limiter.rates.borrow_mut(), client_of(self.peer.ip()), rate, now_ms);
        }
        // Only while there is room: nobody becomes known in the middle of an attack.
        if clients.reserve > 0 && is_of_user(record) && proxy.connections() <= proxy.ordinary() / 2 {
            let mut rates = limiter.rates.borrow_mut();
            let who = rates.who(client_of(self.peer.ip()), None);
            rates.know(who, now_ms);
        }
    }
}

/// Whether a request went well on the backend that its affinity cookie names.
pub(super) fn is_of_user(record: &Record) -> bool {
    record.client_cookie == 'V' && !record.redispatched && record.fault.is_none() && (200..400).contains(&record.status)
}

/// Whether the client did something wrong: what HAProxy's `http_err_rate` counts. One that loses patience did not, and
/// what was refused for a rate is counted already.
fn is_clients_error(record: &Record) -> bool {
    let counts = match record.fault {
        Some(Fault::TooFast(_) | Fault::Barred(_)) => false,
        Some(Fault::ClientGone) => record.phase == Phase::Request,
        Some(_) | None => true,
    };
    counts && (400..500).contains(&record.status)
}
