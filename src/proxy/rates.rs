//! What single clients may do: how often they ask and err, how many connections they have, who is known when
//! connections run short (`limits.rate`, `.errors`, `.per-client`, `.reserve`, `route.N.rate`).
//!
//! A client is the peer of a connection, or whom a PROXY header names; never what a field of a request says. Who is
//! exempt, or trusted by its listener, is not counted. A request that is refused is an error, not a request: who keeps to
//! the rate in spite of others at its address gets it, and who goes on regardless does too much wrong and is closed right
//! after it is accepted, where it costs neither a buffer nor a worker.

mod allowance;

pub use allowance::{Allowance, Regard, Used};

use super::Proxy;
use super::connection::Connection;
use super::obtain::client_of;
use super::record::Record;
use super::repeats::About;
use super::shed::Kind;
use crate::balance::{Act, Counted, Crowd, Rate, Rates};
use crate::config::Config;
use crate::fault::{Fault, Phase};
use crate::http::trust::{trusts_client, trusts_peer};
use crate::limits::{ListenerId, RouteId};
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

/// How the client of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no limits.
    Free,
    /// What it does is counted.
    Counted,
    /// The same, and an affinity cookie brought it back not long ago.
    Known,
}

impl Standing {
    /// What its connection is before it has sent a request.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Free | Self::Counted => Kind::Fresh,
            Self::Known => Kind::Known,
        }
    }

    pub(super) fn is_counted(self) -> bool {
        self != Self::Free
    }
}

/// The key that closed it, in the order of [`Closed`].
pub(super) const KEYS: [&str; 3] = ["limits.errors", "limits.per-client", "limits.reserve"];

/// The counts of all clients; a proxy has one where something is bounded.
pub(super) struct Limiter {
    rates: RefCell<Rates>,
    crowd: Option<RefCell<Crowd>>,
    /// Connections that were closed for each reason.
    closed: [Cell<u64>; KEYS.len()],
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

    /// What is bounded changed: the tables stay.
    pub(super) fn adopt(&self, config: &Config) {
        if let Some(crowd) = &self.crowd {
            crowd.borrow_mut().allow(config.clients.connections.unwrap_or(u16::MAX));
        }
    }

    /// How another connection of this client would stand. Nothing is counted.
    ///
    /// # Errors
    /// [`Closed`]: it would be closed.
    fn verdict(&self, config: &Config, client: u64, uses_reserve: bool, now_ms: u64) -> Result<Standing, Closed> {
        let rates = self.rates.borrow();
        let (clients, who) = (&config.clients, rates.who(client, None));
        if clients.errors.is_some_and(|rate| rates.wait_ms(who, Act::Error, rate, now_ms) > 0) {
            return Err(Closed::Errors);
        }
        let known = clients.reserve > 0 && rates.knows(who, now_ms);
        if uses_reserve && !known {
            return Err(Closed::Reserve);
        }
        match &self.crowd {
            Some(crowd) if !crowd.borrow().has_place(client) => Err(Closed::Connections),
            Some(_) | None => Ok(if known { Standing::Known } else { Standing::Counted }),
        }
    }

    /// A request of this client, on this route if it has a rate of its own.
    ///
    /// # Errors
    /// [`Fault::TooFast`] and [`Fault::Barred`], which count as errors.
    fn request(&self, config: &Config, client: IpAddr, route: Option<RouteId>, now_ms: u64) -> Result<(), Fault> {
        let mut rates = self.rates.borrow_mut();
        let client = client_of(client);
        let Waits { bounds, barred_ms, wait_ms } = waits(&rates, config, client, route, now_ms);
        let errors = config.clients.errors;
        if barred_ms == 0 && wait_ms == 0 {
            for (who, rate) in bounds.iter().flatten() {
                rates.count(*who, Act::Request, *rate, now_ms);
            }
            return Ok(());
        }
        let again_ms = errors.map_or(0, |rate| err(&mut rates, client, rate, now_ms));
        let after_s = u16::try_from(wait_ms.max(again_ms).div_ceil(1_000)).unwrap_or(u16::MAX);
        Err(if barred_ms > 0 { Fault::Barred(after_s) } else { Fault::TooFast(after_s) })
    }
}

/// What bounds the requests of one client, and how long it is to wait for that.
struct Waits {
    bounds: [Option<(Counted, Rate)>; 2],
    /// Because of its errors.
    barred_ms: u64,
    wait_ms: u64,
}

#[inline(always)]
fn waits(rates: &Rates, config: &Config, client: u64, route: Option<RouteId>, now_ms: u64) -> Waits {
    let who = rates.who(client, None);
    let routed = route.and_then(|route| Some((route, config.routes.get(route.index())?.rate?)));
    let bounds = [
        config.clients.rate.map(|rate| (who, rate)),
        routed.map(|(route, rate)| (rates.who(client, Some(route)), rate)),
    ];
    let barred_ms = config.clients.errors.map_or(0, |rate| rates.wait_ms(who, Act::Error, rate, now_ms));
    let mut wait_ms = 0;
    for (who, rate) in bounds.iter().flatten() {
        wait_ms = rates.wait_ms(*who, Act::Request, *rate, now_ms).max(wait_ms);
    }
    Waits { bounds, barred_ms, wait_ms }
}

/// This client did something wrong; how long it is barred, in milliseconds.
#[inline(never)]
fn err(rates: &mut Rates, client: u64, rate: Rate, now_ms: u64) -> u64 {
    let who = rates.who(client, None);
    rates.count(who, Act::Error, rate, now_ms);
    rates.wait_ms(who, Act::Error, rate, now_ms)
}

/// Whether nothing bounds a client, whatever it does.
fn is_exempt(config: &Config, address: IpAddr) -> bool {
    config.clients.exempt.iter().any(|block| block.contains(address))
}

impl Proxy {
    /// Whether single clients have limits.
    pub(super) fn limits_clients(&self) -> bool {
        self.limiter.is_some()
    }

    /// Lets a connection in that was just accepted, or not. Where a PROXY header will name the client, it is let in to be
    /// heard. Whose client is counted must [`Proxy::leave`].
    ///
    /// # Errors
    /// [`Closed`]: it is to be closed.
    pub(super) fn let_in(
        &self,
        peer: Option<SocketAddr>,
        id: ListenerId,
        uses_reserve: bool,
    ) -> Result<Standing, Closed> {
        let listener = &self.config().listeners[id.index()];
        match &self.limiter {
            Some(limiter) if !listener.accept_proxy => {
                let address = peer.map(|peer| peer.ip());
                let trusted = trusts_peer(&listener.trust, address) || trusts_client(&listener.trust, address);
                let entered = self.enter(limiter, address.filter(|_| !trusted), uses_reserve);
                entered.inspect_err(|_| self.refused(id, false))
            }
            Some(_) | None => Ok(Standing::Free),
        }
    }

    /// The same once a PROXY header named the client; `trusted` when it is, or who sent the header is.
    ///
    /// # Errors
    /// [`Closed`]: it is to be closed.
    pub(super) fn let_in_named(
        &self,
        client: Option<SocketAddr>,
        id: ListenerId,
        trusted: bool,
    ) -> Result<Standing, Closed> {
        let Some(limiter) = &self.limiter else { return Ok(Standing::Free) };
        let uses_reserve = self.connections() > self.ordinary();
        let entered = self.enter(limiter, client.filter(|_| !trusted).map(|client| client.ip()), uses_reserve);
        entered.inspect_err(|_| self.refused(id, true))
    }

    /// Who has no address, or none that counts, is free.
    fn enter(&self, limiter: &Limiter, client: Option<IpAddr>, uses_reserve: bool) -> Result<Standing, Closed> {
        let Some(address) = client else { return Ok(Standing::Free) };
        let standing = self.judge(limiter, address, uses_reserve);
        if let Err(why) = standing {
            self.note_closed(limiter, why as usize, address);
        }
        standing
    }

    #[inline(never)]
    fn note_closed(&self, limiter: &Limiter, key: usize, client: IpAddr) {
        limiter.closed[key].set(limiter.closed[key].get() + 1);
        if log::log_enabled!(log::Level::Debug) && self.may_tell(About::closed(key)) {
            log::debug!("{client}: closed by {}", KEYS[key]);
        }
    }

    fn judge(&self, limiter: &Limiter, address: IpAddr, uses_reserve: bool) -> Result<Standing, Closed> {
        let config = self.config();
        if is_exempt(&config, address) {
            return Ok(Standing::Free);
        }
        let (client, now_ms) = (client_of(address), self.reactor.now_ms());
        let verdict = limiter.verdict(&config, client, uses_reserve, now_ms);
        match (verdict, config.clients.errors, &limiter.crowd) {
            // Who does not stop stays out.
            (Err(Closed::Errors), Some(rate), _) => {
                err(&mut limiter.rates.borrow_mut(), client, rate, now_ms);
            }
            (Ok(_), _, Some(crowd)) => crowd.borrow_mut().enter(client),
            (Err(_), _, _) | (Ok(_), _, None) => {}
        }
        verdict
    }

    /// A connection that is counted ends.
    pub(super) fn leave(&self, peer: SocketAddr) {
        if let Some(crowd) = self.limiter.as_ref().and_then(|limiter| limiter.crowd.as_ref()) {
            crowd.borrow_mut().leave(client_of(peer.ip()));
        }
    }

    /// Connections that were closed as soon as they were there, by the key that closed them.
    #[must_use = "it only reads"]
    pub fn closed_at_once(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let tallies = self.limiter.iter().flat_map(|limiter| &limiter.closed);
        KEYS.into_iter().zip(tallies.map(Cell::get))
    }
}

impl Connection {
    /// Counts a request whose head is complete.
    ///
    /// # Errors
    /// [`Fault::TooFast`], [`Fault::Barred`].
    #[inline(never)]
    pub(super) fn count_request(&self, route: Option<RouteId>) -> Result<(), Fault> {
        let proxy = self.proxy;
        let (Some(limiter), Some(peer)) = (&proxy.limiter, self.peer) else { return Ok(()) };
        limiter.request(&proxy.config(), peer.ip(), route, proxy.reactor.now_ms())
    }

    /// Learns from a request that is over what its client is like.
    #[inline(never)]
    pub(super) fn learn(&self, record: &Record) {
        let proxy = self.proxy;
        let (Some(limiter), Some(peer)) = (&proxy.limiter, self.peer) else { return };
        let (config, now_ms) = (proxy.config(), proxy.reactor.now_ms());
        let clients = &config.clients;
        if let Some(rate) = clients.errors.filter(|_| is_clients_error(record)) {
            err(&mut limiter.rates.borrow_mut(), client_of(peer.ip()), rate, now_ms);
        }
        // Only while there is room: nobody becomes known in the middle of an attack.
        if clients.reserve > 0 && is_of_user(record) && proxy.connections() <= proxy.ordinary() / 2 {
            let mut rates = limiter.rates.borrow_mut();
            let who = rates.who(client_of(peer.ip()), None);
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
        // Whatever the status that the rule says.
        Some(Fault::Denied(_)) => return true,
        Some(_) if record.phase == Phase::Tarpit => return true,
        Some(Fault::ClientGone) => record.phase == Phase::Request,
        Some(_) | None => true,
    };
    counts && (400..500).contains(&record.status)
}

#[cfg(test)]
mod tests {
    use super::super::footprint::proxy;
    use super::*;

    const WEB: ListenerId = ListenerId(0);

    fn peer(text: &str) -> SocketAddr {
        format!("{text}:1").parse().unwrap()
    }

    #[test]
    fn each_door_closes_for_its_own_reason_and_counts() {
        let proxy = proxy(
            "listen.web = 127.0.0.1:0\nlisten.web.trust = 192.0.2.9\nlimits.per-client = 2\nlimits.errors = 1/m\n\
             limits.reserve = 1\nlimits.exempt = 192.0.2.8\npool.*.cookie = S\n",
        );
        let limiter = proxy.limiter.as_ref().unwrap();
        let enter = |text| proxy.let_in(Some(peer(text)), WEB, false);
        let enter_reserve = |text| proxy.let_in(Some(peer(text)), WEB, true);
        let one = "192.0.2.1";
        let (counted, full) = (Ok(Standing::Counted), Err(Closed::Connections));
        assert_eq!([one; 3].map(enter), [counted, counted, full]);
        proxy.leave(peer(one));
        assert_eq!([one; 2].map(enter), [counted, full]);
        assert_eq!(["192.0.2.8", "192.0.2.9", "192.0.2.8", "192.0.2.8"].map(enter), [Ok(Standing::Free); 4]);
        assert_eq!(enter_reserve("192.0.2.8"), Ok(Standing::Free));
        assert_eq!(enter_reserve("192.0.2.2"), Err(Closed::Reserve));
        let number = |text| client_of(peer(text).ip());
        let known = limiter.rates.borrow().who(number("192.0.2.2"), None);
        limiter.rates.borrow_mut().know(known, proxy.reactor.now_ms());
        assert_eq!(enter_reserve("192.0.2.2"), Ok(Standing::Known));
        let rate = proxy.config().clients.errors.unwrap();
        let wrong = || err(&mut limiter.rates.borrow_mut(), number("192.0.2.3"), rate, 0);
        assert_eq!([wrong(), wrong()], [0, 60_000]);
        assert_eq!(["192.0.2.3"; 2].map(enter), [Err(Closed::Errors); 2]);
        let closed: Vec<_> = proxy.closed_at_once().collect();
        assert_eq!(closed, [("limits.errors", 2), ("limits.per-client", 2), ("limits.reserve", 1)]);
    }

    #[test]
    fn who_is_trusted_or_has_no_address_is_free() {
        let proxy = proxy(
            "listen.web = 127.0.0.1:0\nlisten.web.trust = 192.0.2.9, peer:192.0.2.10\nlisten.in = 127.0.0.1:0\n\
             listen.in.accept-proxy = yes\nlisten.in.trust = peer:192.0.2.10\nlimits.per-client = 1\n",
        );
        let enter = |client: Option<&str>| proxy.let_in(client.map(peer), WEB, false);
        for free in [Some("192.0.2.9"), Some("192.0.2.10"), None] {
            assert_eq!([free; 2].map(enter), [Ok(Standing::Free); 2], "{free:?}");
        }
        let in_turn = [Ok(Standing::Counted), Err(Closed::Connections)];
        assert_eq!([Some("192.0.2.1"); 2].map(enter), in_turn);
        // Who will be named is heard, then judged.
        assert_eq!(proxy.let_in(Some(peer("192.0.2.2")), ListenerId(1), false), Ok(Standing::Free));
        assert_eq!([false; 2].map(|trusted| proxy.let_in_named(Some(peer("192.0.2.2")), WEB, trusted)), in_turn);
        assert_eq!(proxy.let_in_named(Some(peer("192.0.2.2")), WEB, true), Ok(Standing::Free));
        assert_eq!(proxy.let_in_named(None, WEB, false), Ok(Standing::Free));
    }

    #[test]
    fn what_is_the_clients_error() {
        let record =
            |status, phase, fault| Record { status, phase, fault, ..Record::new(Some(peer("192.0.2.1")), WEB, 0) };
        for (status, phase, fault, expected) in [
            (404, Phase::Data, None, true),
            (500, Phase::Data, None, false),
            (200, Phase::Data, None, false),
            (0, Phase::Request, None, false),
            (400, Phase::Request, Some(Fault::ClientGone), true),
            (400, Phase::Headers, Some(Fault::ClientGone), false),
            (408, Phase::Request, Some(Fault::ClientSilent), true),
            (404, Phase::Headers, Some(Fault::Retried(404)), true),
            (429, Phase::Request, Some(Fault::TooFast(1)), false),
            (429, Phase::Request, Some(Fault::Barred(1)), false),
            (429, Phase::Data, None, true),
            (503, Phase::Request, Some(Fault::Denied(503)), true),
            (500, Phase::Tarpit, Some(Fault::ClientGone), true),
            (503, Phase::Tarpit, Some(Fault::Shed), true),
            (503, Phase::Request, Some(Fault::Answered(503)), false),
            (302, Phase::Request, Some(Fault::Answered(302)), false),
        ] {
            assert_eq!(is_clients_error(&record(status, phase, fault)), expected, "{status} {phase:?} {fault:?}");
        }
    }

    #[test]
    fn who_counts_as_a_user() {
        let user = Record { client_cookie: 'V', status: 200, ..Record::new(Some(peer("192.0.2.1")), WEB, 0) };
        assert!(is_of_user(&user) && is_of_user(&Record { status: 304, ..user }));
        for other in [
            Record { client_cookie: 'I', ..user },
            Record { redispatched: true, ..user },
            Record { status: 404, ..user },
            Record { fault: Some(Fault::ClientGone), ..user },
        ] {
            assert!(!is_of_user(&other), "{other:?}");
        }
    }
}
