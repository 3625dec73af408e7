//! What one client has used of what it may do at the moment, to be told. What follows from it is decided where it is for a
//! connection that comes, and a request; nothing is counted.

use super::{KEYS, Limiter, Standing, Waits, is_exempt, waits};
use crate::balance::{Act, Rate};
use crate::config::Config;
use crate::http::trust::{trusts_client, trusts_peer};
use crate::limits::{ListenerId, RouteId};
use crate::proxy::Proxy;
use crate::proxy::obtain::client_of;
use std::net::IpAddr;

/// How the limits of clients take one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regard {
    /// Nobody says who it is.
    Unnamed,
    /// Its listener trusts it: it has no limits.
    Trusted,
    /// It is exempt: it has no limits.
    Exempt,
    /// Nothing is counted of it at the moment.
    Unknown,
    /// Something is.
    Counted,
    /// An affinity cookie brought it back not long ago.
    Known,
}

/// What is used of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// So many, a part of one counting as one.
    pub count: u32,
    /// Of so many.
    pub rate: Rate,
}

/// What a client has used, where that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How the limits take it.
    pub regard: Regard,
    /// Connections it has, and may have.
    pub connections: Option<[u16; 2]>,
    /// What it did wrong.
    pub errors: Option<Used>,
    /// What it asked for, and on the route that has a rate of its own.
    pub requests: [Option<Used>; 2],
    /// The key that closes another connection of it.
    pub closed: Option<&'static str>,
    /// Milliseconds until its errors no longer bar its requests.
    pub barred_ms: u64,
    /// Milliseconds until its next request is admitted by the rates.
    pub wait_ms: u64,
}

impl Allowance {
    /// That of a client of which nothing is counted.
    fn free(regard: Regard) -> Self {
        let (requests, closed) = ([None; 2], None);
        Self { regard, connections: None, errors: None, requests, closed, barred_ms: 0, wait_ms: 0 }
    }
}

impl Limiter {
    /// Of its connections.
    #[inline(never)]
    fn allowance(&self, config: &Config, client: u64, uses_reserve: bool, now_ms: u64) -> Allowance {
        let clients = &config.clients;
        let verdict = self.verdict(config, client, uses_reserve, now_ms);
        let rates = self.rates.borrow();
        let who = rates.who(client, None);
        let crowd = self.crowd.as_ref().map(|crowd| crowd.borrow().count(client));
        let used = |act, rate| Used { count: rates.used(who, act, rate, now_ms), rate };
        let errors = clients.errors.map(|rate| used(Act::Error, rate));
        let asked = clients.rate.map_or(0, |rate| used(Act::Request, rate).count);
        let counted = crowd.unwrap_or(0) > 0 || errors.is_some_and(|errors| errors.count > 0) || asked > 0;
        let regard = match verdict {
            Ok(Standing::Known) => Regard::Known,
            Ok(Standing::Free | Standing::Counted) | Err(_) if counted => Regard::Counted,
            Ok(Standing::Free | Standing::Counted) | Err(_) => Regard::Unknown,
        };
        let connections = crowd.and_then(|count| Some([count, clients.connections?]));
        let closed = verdict.err().map(|why| KEYS[why as usize]);
        Allowance { connections, errors, closed, ..Allowance::free(regard) }
    }

    /// Of its requests.
    #[inline(never)]
    fn add_requests(&self, config: &Config, client: u64, route: Option<RouteId>, now_ms: u64, all: &mut Allowance) {
        let rates = self.rates.borrow();
        let Waits { bounds, barred_ms, wait_ms } = waits(&rates, config, client, route, now_ms);
        all.requests = bounds
            .map(|bound| bound.map(|(who, rate)| Used { count: rates.used(who, Act::Request, rate, now_ms), rate }));
        (all.barred_ms, all.wait_ms) = (barred_ms, wait_ms);
        if all.regard == Regard::Unknown && all.requests.iter().flatten().any(|used| used.count > 0) {
            all.regard = Regard::Counted;
        }
    }
}

impl Proxy {
    /// What a client that comes in here has used of its connections, if clients are bounded; `uses_reserve`: there are only
    /// places left for those who are known.
    pub(in crate::proxy) fn allowance(
        &self,
        config: &Config,
        listener: ListenerId,
        client: Option<IpAddr>,
        uses_reserve: bool,
    ) -> Option<Allowance> {
        let limiter = self.limiter.as_ref()?;
        let place = &config.listeners[listener.index()];
        // Whom a PROXY header names did not open the connection.
        let is_trusted =
            || trusts_client(&place.trust, client) || (!place.accept_proxy && trusts_peer(&place.trust, client));
        Some(match client {
            None => Allowance::free(Regard::Unnamed),
            Some(_) if is_trusted() => Allowance::free(Regard::Trusted),
            Some(address) if is_exempt(config, address) => Allowance::free(Regard::Exempt),
            Some(address) => limiter.allowance(config, client_of(address), uses_reserve, self.reactor.now_ms()),
        })
    }

    /// Adds what it has used of its requests, and of those on `route`.
    pub(in crate::proxy) fn allow_requests(
        &self,
        config: &Config,
        client: Option<IpAddr>,
        route: Option<RouteId>,
        all: &mut Allowance,
    ) {
        if let (Some(limiter), Some(address)) = (&self.limiter, client)
            && matches!(all.regard, Regard::Unknown | Regard::Counted | Regard::Known)
        {
            limiter.add_requests(config, client_of(address), route, self.reactor.now_ms(), all);
        }
    }
}
