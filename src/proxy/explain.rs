//! What would become of a request now, or of a connection without requests, and why: the way it would take, without any
//! effect.
//!
//! The head is read by the parser of the data path, its route, pool, affinity, rate and backend are found by the functions
//! that find them there, in their order; what those would count, bind or move, they leave as it is. Owns no rule of its own,
//! and no words: those are in `operate`.

use super::Proxy;
use super::accept::Entrance;
use super::affinity::{Bond, Client};
use super::ask::{goes_no_further, key, settle};
use super::obtain::client_of;
use super::rates::Allowance;
use super::relay::wanted;
use super::rules::{Rule, Way, is_for, is_redirected, way};
use crate::balance::{Affinity, Candidate, Placement, Wish};
use crate::config::{Config, Deed, Mode};
use crate::http::fields::{Cuts, Fields};
use crate::http::request::{self, Refusal};
use crate::http::route::Facts;
use crate::limits::{BackendId, ListenerId, MAX_ROUTES, PoolId, RouteId};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// What becomes of a request, or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A connection that is closed by this key.
    Closed(&'static str),
    /// A connection that brings requests, each of which is placed by itself.
    Accepted,
    /// Its head breaks a rule.
    Refused(Refusal),
    /// Its client asks too often; it is answered 429.
    TooFast,
    /// Its client did too much wrong; it is answered 429.
    Barred,
    /// A target that the listener answers itself, with this status.
    Monitor(u16),
    /// Its route is closed for maintenance; it is answered 503.
    Maintenance,
    /// Its route answers it with this status.
    Rule(u16),
    /// Its route holds it for so long, in milliseconds, and then answers with this status.
    Tarpit(u16, u64),
    /// It may pass no further proxy; it is answered with this status.
    Here(u16),
    /// The balancer's.
    Placed(Placement),
    /// The backend it would be given redirects it.
    Redirected(BackendId),
}

/// The decision, step by step.
pub struct Explained {
    /// What the ids are of.
    pub config: Rc<Config>,
    /// Where it comes in.
    pub listener: ListenerId,
    /// Connections there are, and there may be of clients who are not known.
    pub connections: [usize; 2],
    /// How another connection comes in.
    pub entrance: Entrance,
    /// What its client has used, where that is bounded.
    pub client: Option<Allowance>,
    /// The routes that were tried, and the condition that did not hold; `listen` for other listeners.
    pub tried: heapless::Vec<(RouteId, Option<&'static str>), MAX_ROUTES>,
    /// The one that takes it.
    pub route: Option<RouteId>,
    /// Where it ends.
    pub end: End,
    /// The pool it is routed to.
    pub first: PoolId,
    /// The pool that serves it; another one where that one spills over.
    pub pool: PoolId,
    /// What its affinity cookie says.
    pub affinity: Affinity,
    /// Whether it has a key of the session map, and which backend is known for that.
    pub session: Option<Option<BackendId>>,
    /// The backend it is bound to.
    pub bound: Option<BackendId>,
    /// What it is hashed by.
    pub key: Option<u32>,
    /// Its priority class.
    pub class: i8,
    /// The backends of its pool.
    pub candidates: Box<[Candidate]>,
    /// Requests that are served before it, where it waits.
    pub ahead: u32,
}

impl Explained {
    /// Whether its pool was not asked.
    #[must_use]
    pub fn ends_before_pool(&self) -> bool {
        !matches!(self.end, End::Placed(_) | End::Redirected(_))
    }
}

impl Proxy {
    /// What would become of a request with this head, that comes in at `listener` from `source`.
    #[must_use]
    pub fn explain(&'static self, listener: ListenerId, head: &[u8], source: Option<IpAddr>) -> Box<Explained> {
        let config = self.config();
        let mut fields = Fields::new();
        let mut cuts = Cuts::default();
        let mut it = self.begin(&config, listener, source);
        let parsed = match request::parse(head, config.limits.headers, &mut fields, &mut cuts) {
            Ok(parsed) => parsed,
            Err(refusal) => {
                it.end = End::Refused(refusal);
                return it;
            }
        };
        let Way { pool, class, mut rule, route, .. } = way(self, &config, &parsed, listener, source);
        (it.first, it.pool, it.class, it.route) = (pool, pool, class, route);
        if !matches!(rule, Rule::Monitor(_)) {
            if let Some(client) = &mut it.client {
                self.allow_requests(&config, source, route, client);
            }
            let facts =
                Facts { method: parsed.method, host: parsed.host, path: parsed.path, headers: parsed.fields, source };
            for (id, routed) in config.routes() {
                let why = if is_for(routed, listener) { routed.route.mismatch(&facts) } else { Some("listen") };
                let _ = it.tried.push((id, why));
                if route == Some(id) {
                    break;
                }
            }
        }
        if parsed.max_forwards == Some(0) && rule == Rule::None {
            rule = goes_no_further(&parsed);
        }
        if let Some(end) = before_the_pool(&config, it.client.as_ref(), rule) {
            it.end = end;
            return it;
        }
        let peer = source.map(|source| SocketAddr::new(source, 0));
        let who = Client { proxy: self, peer: &peer, is_guess: true };
        let (pool_id, bond) = match settle(&who, &config, pool, &head[..parsed.length], &parsed, &mut cuts) {
            Ok(settled) => settled,
            Err(cuts) => {
                it.end = End::Refused(cuts.into());
                return it;
            }
        };
        let pool = &config.pools[pool_id.index()];
        if pool.redirects {
            self.forget_redirects(pool_id);
        }
        it.pool = pool_id;
        it.key = key(pool, &parsed, source);
        it.end = match self.foresee(&mut it, &bond, source) {
            Placement::Go(id) if pool.redirects && is_redirected(&config, parsed.kind, head, id) => End::Redirected(id),
            placement => End::Placed(placement),
        };
        it
    }

    /// What would become of a connection that comes in at `listener` from `source`.
    #[must_use]
    pub fn explain_connection(&'static self, listener: ListenerId, source: Option<IpAddr>) -> Box<Explained> {
        let config = self.config();
        let mut it = self.begin(&config, listener, source);
        if let Some(key) = it.client.and_then(|client| client.closed) {
            it.end = End::Closed(key);
        } else if config.listeners[listener.index()].mode == Mode::Http {
            it.end = End::Accepted;
        } else {
            let peer = source.map(|source| SocketAddr::new(source, 0));
            let (_, bond, key) = wanted(&Client { proxy: self, peer: &peer, is_guess: true }, &config, listener);
            it.key = key;
            it.end = End::Placed(self.foresee(&mut it, &bond, source));
        }
        it
    }

    /// What is so whatever comes in: where, and what its client has used.
    fn begin(&self, config: &Rc<Config>, listener: ListenerId, source: Option<IpAddr>) -> Box<Explained> {
        let first = config.listeners[listener.index()].pool;
        let entrance = self.entrance(listener);
        Box::new(Explained {
            config: Rc::clone(config),
            listener,
            connections: [self.connections(), self.ordinary()],
            entrance,
            client: self.allowance(config, listener, source, entrance == Entrance::Reserve),
            tried: heapless::Vec::new(),
            route: None,
            end: End::Placed(Placement::WaitForPool(0)),
            first,
            pool: first,
            affinity: Affinity::Unused,
            session: None,
            bound: None,
            key: None,
            class: 0,
            candidates: Box::default(),
            ahead: 0,
        })
    }

    /// What the balancer would do with it in its pool, once its key and what binds it are known.
    fn foresee(&self, it: &mut Explained, bond: &Bond, source: Option<IpAddr>) -> Placement {
        let now_ms = self.reactor.now_ms();
        it.affinity = bond.affinity;
        it.session = bond.session.map(|session| self.sessions.borrow().peek(session, now_ms));
        it.bound = bond.backend();
        let wish = Wish {
            waiter: 0,
            pool: it.pool,
            key: it.key,
            sticky: it.bound,
            avoid: None,
            may_move: it.config.pools[it.pool.index()].redispatch,
            client: source.map_or(it.listener.index() as u64, client_of),
            class: it.class,
        };
        let mut balancer = self.balancer.borrow_mut();
        it.candidates = balancer.members(it.pool).iter().map(|&id| balancer.candidate(id, it.key)).collect();
        let placement = balancer.preview(&wish);
        it.ahead = balancer.ahead(&wish, placement);
        placement
    }
}

/// What ends a request before its pool is asked.
fn before_the_pool(config: &Config, client: Option<&Allowance>, rule: Rule) -> Option<End> {
    if let Rule::Monitor(status) = rule {
        return Some(End::Monitor(status));
    }
    match client.map_or([0; 2], |client| [client.barred_ms, client.wait_ms]) {
        [0, 0] => {}
        [0, _] => return Some(End::TooFast),
        [_, _] => return Some(End::Barred),
    }
    match rule {
        Rule::None => None,
        Rule::Here(status) | Rule::Monitor(status) => Some(End::Here(status)),
        Rule::Maintenance(_) => Some(End::Maintenance),
        Rule::Route(id) => match &config.routes[id.index()].deed {
            Deed::Deny(status) | Deed::Return { status, .. } => Some(End::Rule(*status)),
            Deed::Redirect(redirect) => Some(End::Rule(redirect.code)),
            Deed::Tarpit { status, hold_ms } => Some(End::Tarpit(*status, *hold_ms)),
            Deed::Pool => None,
        },
    }
}
