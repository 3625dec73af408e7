//! What rules do instead of a backend: refuse, answer, redirect, hold in the tarpit; and every reply of beelance's own.
//!
//! Decides nothing about routes: `ask` found which one takes the request. A redirect's Location is made of the request's
//! head where it lies, in the request's buffer.

use super::ask::Ask;
use super::connection::Connection;
use super::exchange::Exchange;
use super::shed::Kind;
use super::slot::Slot;
use super::{Counted, Proxy};
use crate::balance::Room;
use crate::config::{Config, Custom, Deed, Monitor, Pool, Routed};
use crate::fault::{Fault, Phase};
use crate::http::edits::Edits;
use crate::http::redirect::{Redirect, host_of, target_of};
use crate::http::reply::{After, Content, Reply, Sketch};
use crate::http::request::{Method, RequestHead};
use crate::http::route::Facts;
use crate::limits::{BackendId, CONNECTIONS_PER_TARPIT, ListenerId, PoolId, RouteId};
use std::net::IpAddr;

/// What HAProxy answers where all is well.
const READY: &[u8] = b"<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n";

/// What keeps a request from its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing.
    None,
    /// It says itself that it may go no further: this is the status.
    Here(u16),
    /// What its route does.
    Route(RouteId),
    /// Its route is closed for maintenance.
    Maintenance(RouteId),
    /// It asks its listener whether beelance serves: this is the answer.
    Monitor(u16),
}

/// Where a request goes, and how.
#[derive(Clone, Copy)]
pub(super) struct Way<'c> {
    pub pool: PoolId,
    /// Its priority class.
    pub class: i8,
    pub rule: Rule,
    pub edits: Option<&'c Edits>,
    /// The route, if one is for it.
    pub route: Option<RouteId>,
}

/// The way of the first route whose conditions hold, else the listener's.
pub(super) fn way<'c>(
    proxy: &Proxy,
    config: &'c Config,
    head: &RequestHead<'_, '_>,
    listener: ListenerId,
    source: Option<IpAddr>,
) -> Way<'c> {
    let pool = config.listeners[listener.index()].pool;
    let mut way = Way { pool, class: 0, rule: Rule::None, edits: None, route: None };
    if config.chooses {
        choose_route(proxy, config, head, listener, source, &mut way);
    }
    way
}

// Out of the way of a request that no route is for.
#[inline(never)]
fn choose_route<'c>(
    proxy: &Proxy,
    config: &'c Config,
    head: &RequestHead<'_, '_>,
    listener: ListenerId,
    source: Option<IpAddr>,
    way: &mut Way<'c>,
) {
    if let Some(monitor) = &config.listeners[listener.index()].monitor
        && monitor.is_asked(head.path, head.query)
    {
        way.rule = Rule::Monitor(monitor_status(proxy, monitor));
        return;
    }
    let facts = Facts { method: head.method, host: head.host, path: head.path, headers: head.fields, source };
    let mut routes = config.routes().filter(|(_, routed)| is_for(routed, listener));
    let Some((id, routed)) = routes.find(|(_, routed)| routed.route.matches(&facts)) else { return };
    let allowed = |source| routed.maintenance.allow.iter().any(|block| block.contains(source));
    (way.class, way.route) = (routed.priority, Some(id));
    if proxy.maintenance[id.index()].get() && !source.is_some_and(allowed) {
        way.rule = Rule::Maintenance(id);
    } else if routed.deed == Deed::Pool {
        (way.pool, way.edits) = (routed.pool, routed.edits.as_deref());
    } else {
        way.rule = Rule::Route(id);
    }
}

/// Whether a route is for what comes in here.
pub(super) fn is_for(routed: &Routed, listener: ListenerId) -> bool {
    routed.listeners.is_empty() || routed.listeners.contains(&listener)
}

/// 503 while beelance stops, or a pool has too few servers; else 200.
fn monitor_status(proxy: &Proxy, monitor: &Monitor) -> u16 {
    let balancer = proxy.balancer.borrow();
    let usable = |pool| {
        // HAProxy's `nbsrv`: the backups too where no other is left, else only the others.
        let (active, backup) = balancer.usable(pool);
        if active > 0 { active } else { backup }
    };
    let fails = monitor.fail.iter().any(|&(pool, least)| usable(pool) < usize::from(least));
    if proxy.is_stopping() || fails { 503 } else { 200 }
}

impl Proxy {
    /// Closes a route for maintenance, or opens it again.
    pub fn set_maintenance(&self, id: RouteId, on: bool) {
        self.maintenance[id.index()].set(on);
    }

    /// The first pool of the chain that can take a request now, be it into its queue; else the first in which it can wait;
    /// else `pool` itself.
    #[inline(never)]
    pub(super) fn spread(&self, config: &Config, pool: PoolId) -> PoolId {
        let mut balancer = self.balancer.borrow_mut();
        let (mut waits, mut at) = (None, Some(pool));
        // The configuration has no circle.
        while let Some(id) = at {
            let Pool { overflow, maxqueue, redirects, .. } = config.pools[id.index()];
            if redirects {
                balancer.forget_redirects(id, self.reactor.now_ms(), &mut |waiter| self.reactor.wake(waiter));
            }
            match balancer.room(id) {
                Room::Slot => return id,
                Room::Queue(queued) if queued < maxqueue => return id,
                Room::Queue(_) if maxqueue == 0 => waits = waits.or(Some(id)),
                Room::Queue(_) | Room::Nobody => {}
            }
            at = overflow;
        }
        waits.unwrap_or(pool)
    }
}

impl Proxy {
    /// A request that was given `slot` is redirected: the slot goes back, the redirect counts.
    #[inline(never)]
    fn redirected(&self, slot: Slot) {
        self.balancer.borrow_mut().redirected(slot.backend, self.reactor.now_ms());
        drop(slot);
    }

    /// Before a request is placed in a pool that redirects: what is old no longer counts.
    #[inline(never)]
    pub(super) fn forget_redirects(&self, pool: PoolId) {
        let wake = &mut |waiter| self.reactor.wake(waiter);
        self.balancer.borrow_mut().forget_redirects(pool, self.reactor.now_ms(), wake);
    }

    /// Somebody waits in such a pool: from now on time is watched.
    #[inline(never)]
    pub(super) fn await_redirects(&self) {
        if let Some(seat) = self.warmer.get() {
            self.reactor.wake(seat);
        }
    }
}

impl Connection {
    /// What a rule ends an exchange with; in [`Phase::Tarpit`] not before it was held there.
    #[inline(never)]
    pub(super) fn obey(&self, config: &Config, exchange: &mut Exchange, rule: Rule) -> Fault {
        let proxy = self.proxy;
        let id = match rule {
            Rule::Here(status) => return Fault::Answered(status),
            Rule::Monitor(status) => return Fault::Monitored(status),
            Rule::Maintenance(_) | Rule::None => return Fault::Answered(503),
            Rule::Route(id) => id,
        };
        match &config.routes[id.index()].deed {
            Deed::Deny(status) => Fault::Denied(*status),
            Deed::Tarpit { status, .. } => {
                let most = (proxy.budget.connections / CONNECTIONS_PER_TARPIT).max(1);
                match proxy.tarpitted.get() < most {
                    true => exchange.record.phase = Phase::Tarpit,
                    // What the client sends behind its request is never read: the connection closes.
                    false => exchange.request.reset(),
                }
                Fault::Denied(*status)
            }
            Deed::Return { status, .. } => Fault::Answered(*status),
            Deed::Redirect(redirect) => Fault::Answered(redirect.code),
            // Such a route is no rule.
            Deed::Pool => Fault::Answered(503),
        }
    }

    /// Holds a connection in the tarpit, without a buffer, then ends it with `denied`. It makes room for others before any
    /// else, and closes behind its reply.
    pub(super) async fn hold(&self, exchange: &mut Exchange, ask: Option<&Ask>, denied: Fault) -> Fault {
        let proxy = self.proxy;
        let hold_ms = ask.and_then(|ask| match ask.rule {
            Rule::Route(id) => match proxy.config().routes[id.index()].deed {
                Deed::Tarpit { hold_ms, .. } => Some(hold_ms),
                Deed::Pool | Deed::Deny(_) | Deed::Return { .. } | Deed::Redirect(_) => None,
            },
            Rule::None | Rule::Here(_) | Rule::Maintenance(_) | Rule::Monitor(_) => None,
        });
        let Some(hold_ms) = hold_ms else { return denied };
        let deadline_ms = proxy.reactor.now_ms() + hold_ms;
        let is_whole = exchange.request.is_complete();
        exchange.request.reset();
        let _counted = Counted::new(&proxy.tarpitted);
        self.awaiting.begin(Kind::Leaving);
        let early = self.seat.until(deadline_ms, || match () {
            () if self.awaiting.is_shed() => Some(Fault::Shed),
            () if self.client.broken() || (is_whole && self.client.hung_up()) => Some(Fault::ClientGone),
            () => self.is_ending().then_some(denied),
        });
        let fault = early.await.unwrap_or(denied);
        self.awaiting.end();
        fault
    }

    /// The reply to an exchange that ended with `fault`.
    #[inline(never)]
    pub(super) fn reply<'e>(
        &self,
        config: &'e Config,
        exchange: &'e Exchange,
        ask: Option<&Ask>,
        fault: Fault,
        after: After,
    ) -> Reply<'e> {
        let head_only = ask.is_some_and(|ask| ask.method == Method::Head);
        let sketch = Self::sketch(config, exchange, ask, fault);
        self.proxy.with_date(|date| sketch.reply(after, head_only, date))
    }

    fn sketch<'e>(config: &'e Config, exchange: &'e Exchange, ask: Option<&Ask>, fault: Fault) -> Sketch<'e> {
        let status = exchange.record.status;
        let routed = |id: RouteId| &config.routes[id.index()];
        let of_status = || {
            let custom = config.replies.iter().find(|custom| custom.status == status);
            let body = |custom: &'e Custom| Content::Body(&custom.body, &custom.media_type);
            Sketch::new(status, custom.map_or(Content::Own, body))
        };
        let to = |redirect: &'e Redirect| {
            let [head, behind] = exchange.request.parts();
            let content = Content::Location(redirect.location(target_of(head), host_of(head, behind)));
            // Those two may be kept.
            let cache = if matches!(redirect.code, 301 | 308) { "" } else { "no-cache" };
            Sketch { cache, ..Sketch::new(redirect.code, content) }
        };
        match (fault, ask.map(|ask| ask.rule)) {
            (Fault::Redirected, _) => {
                let backend = exchange.record.backend.map(|id| &config.backends[id.index()]);
                let redirect = backend.and_then(|backend| backend.redirect.as_ref());
                redirect.map_or_else(of_status, |redirect| Sketch { cache: "no-store", ..to(redirect) })
            }
            (Fault::Monitored(200), _) => Sketch::new(200, Content::Body(READY, "text/html")),
            (Fault::Answered(_), Some(Rule::Maintenance(id))) => {
                let retry_after_s = routed(id).maintenance.retry_after_ms.div_ceil(1_000);
                Sketch { retry_after_s: Some(retry_after_s), ..of_status() }
            }
            (Fault::Answered(_), Some(Rule::Route(id))) => match &routed(id).deed {
                Deed::Return { text, .. } => {
                    Sketch { cache: "", ..Sketch::new(status, Content::Body(text.as_bytes(), "text/plain")) }
                }
                Deed::Redirect(redirect) => to(redirect),
                Deed::Pool | Deed::Deny(_) | Deed::Tarpit { .. } => of_status(),
            },
            _ => Sketch { retry_after_s: fault.retry_after_s().map(u64::from), ..of_status() },
        }
    }

    /// The slot, unless its backend redirects the request.
    ///
    /// # Errors
    /// [`Fault::Redirected`]: the slot is given back, and the redirect counts.
    pub(super) fn unless_redirected(
        &self,
        config: &Config,
        exchange: &Exchange,
        ask: &Ask,
        slot: Slot,
    ) -> Result<Slot, Fault> {
        if config.pools[ask.pool.index()].redirects
            && is_redirected(config, ask.method, exchange.request.parts()[0], slot.backend)
        {
            self.proxy.redirected(slot);
            return Err(Fault::Redirected);
        }
        Ok(slot)
    }
}

/// Whether this backend redirects a request with this method and head.
#[inline(never)]
pub(super) fn is_redirected(config: &Config, method: Method, head: &[u8], id: BackendId) -> bool {
    config.backends[id.index()].redirect.is_some() && (method == Method::Head || head.starts_with(b"GET "))
}
