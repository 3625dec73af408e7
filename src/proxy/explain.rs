//! What would become of a request now, and why: the way it would take, without any effect.
//!
//! The head is read by the parser of the data path, its route, pool, affinity, rate and backend are found by the functions
//! that find them there, in their order; what those would count, bind or move, they leave as it is. Owns no rule of its own,
//! and no words: those are in `operate`.

use super::Proxy;
use super::affinity::Client;
use super::ask::{goes_no_further, key, settle};
use super::obtain::client_of;
use super::rules::{Rule, Way, is_for, is_redirected, way};
use crate::balance::{Affinity, Candidate, Placement, Wish};
use crate::config::{Config, Deed};
use crate::http::fields::{Cuts, Fields};
use crate::http::request::{self, Refusal};
use crate::http::route::Facts;
use crate::limits::{BackendId, ListenerId, MAX_ROUTES, PoolId, RouteId};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
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
        let first = config.listeners[listener.index()].pool;
        let mut it = Box::new(Explained {
            config: Rc::clone(&config),
            listener,
            connections: [self.connections(), self.ordinary()],
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
        });
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
        if let Some(end) = self.before_the_pool(&config, listener, source, route, rule) {
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
        let now_ms = self.reactor.now_ms();
        it.pool = pool_id;
        it.affinity = bond.affinity;
        it.session = bond.session.map(|session| self.sessions.borrow().peek(session, now_ms));
        it.bound = bond.backend();
        it.key = key(pool, &parsed, source);
        let wish = Wish {
            waiter: 0,
            pool: pool_id,
            key: it.key,
            sticky: it.bound,
            avoid: None,
            may_move: pool.redispatch,
            client: source.map_or(listener.index() as u64, client_of),
            class,
        };
        let mut balancer = self.balancer.borrow_mut();
        it.candidates = balancer.members(pool_id).iter().map(|&id| balancer.candidate(id, it.key)).collect();
        let placement = balancer.preview(&wish);
        it.ahead = balancer.ahead(&wish, placement);
        it.end = match placement {
            Placement::Go(id) if pool.redirects && is_redirected(&config, parsed.kind, head, id) => End::Redirected(id),
            placement => End::Placed(placement),
        };
        it
    }

    /// What ends a request before its pool is asked.
    fn before_the_pool(
        &self,
        config: &Config,
        listener: ListenerId,
        source: Option<IpAddr>,
        route: Option<RouteId>,
        rule: Rule,
    ) -> Option<End> {
        if let Rule::Monitor(status) = rule {
            return Some(End::Monitor(status));
        }
        match self.would_wait_ms(config, listener, source, route) {
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
}
