//! Another configuration for the proxy that runs: tables follow it, and what is under way goes on.
//!
//! What is done here cannot fail: the configuration was arranged on these tables before ([`crate::config::arrange`]). Of what stays,
//! only what differs in the file is changed; what was changed at run time stays where the file says what it said. An operator who
//! adds, moves or removes single servers goes the same way, with a configuration that differs in them.

use super::Proxy;
use super::state::Told;
use crate::balance::{Admin, BackendSpec, Hash, PoolSpec, dynamic};
use crate::config::{Backend, Config, Object, Pool, Standing};
use crate::limits::{BackendId, PoolId};
use std::net::SocketAddr;
use std::rc::Rc;

/// What the balancer is told of a backend of this configuration, at this address.
#[must_use]
pub fn backend_spec(config: &Config, backend: &Backend, address: Option<SocketAddr>) -> BackendSpec {
    let pool = &config.pools[backend.pool.index()];
    let secret = pool.cookie.as_ref().and_then(|cookie| cookie.dynamic_key.as_ref());
    BackendSpec {
        pool: backend.pool,
        weight: backend.weight,
        maxconn: backend.maxconn,
        auto: backend.auto,
        maxqueue: backend.maxqueue,
        backup: backend.backup,
        cookie: match secret.filter(|_| backend.dynamic_cookie) {
            // While it has no address nobody is led to it.
            Some(secret) => {
                address.map_or_else(Box::default, |address| dynamic::value(secret.as_bytes(), address).as_str().into())
            }
            None => backend.cookie.as_str().into(),
        },
        seed: Hash::Beelance.of(&[backend.name.as_bytes()]),
        up: true,
    }
}

/// What the balancer is told of a pool.
#[must_use]
pub fn pool_spec(pool: &Pool) -> PoolSpec {
    PoolSpec {
        algorithm: pool.balance,
        maxconn: pool.maxconn,
        maxqueue: pool.maxqueue,
        passive: pool.passive,
        slowstart_ms: pool.slowstart_ms,
    }
}

/// What is another, of two configurations on the same tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Backends that are new, or are back.
    pub added: Vec<BackendId>,
    /// Backends that leave.
    pub removed: Vec<BackendId>,
    /// Backends that stay, and of which something differs.
    pub changed: Vec<BackendId>,
}

impl Changes {
    /// Of the backends, from one configuration to the next.
    #[must_use]
    pub fn of(before: &Config, after: &Config) -> Self {
        let mut changes = Self::default();
        for (id, backend) in after.backends() {
            if !stays(before, after, id) {
                changes.added.push(id);
            } else if before.backends[id.index()] != *backend {
                changes.changed.push(id);
            }
        }
        let leaves = |id: &BackendId| !after.order.backends.contains(id) || !is_same(before, after, *id);
        changes.removed = before.order.backends.iter().copied().filter(leaves).collect();
        changes
    }
}

/// Whether a backend is there before and after.
fn stays(before: &Config, after: &Config, id: BackendId) -> bool {
    before.order.backends.contains(&id) && is_same(before, after, id)
}

/// Whether two backends, of two configurations, are one: the same name in a pool of the same name.
fn is_same(before: &Config, after: &Config, id: BackendId) -> bool {
    let Some(there) = before.backends.get(id.index()) else { return false };
    let now = &after.backends[id.index()];
    let pool =
        |config: &Config, backend: &Backend| config.pools.get(backend.pool.index()).map(|pool| pool.name.clone());
    there.name == now.name && pool(before, there) == pool(after, now)
}

impl Proxy {
    /// Whether somebody still works with what was in a place of a table, so that nothing else may have it.
    #[must_use]
    pub fn is_held(&self, object: Object) -> bool {
        let balancer = self.balancer.borrow();
        match object {
            Object::Listener(id) => self.listener_connections(id) > 0 || self.socket(id).is_some(),
            Object::Pool(id) => self.pool_exchanges(id) > 0 || balancer.is_pool_busy(id),
            Object::Backend(id) => {
                let pool = self.config().backends.get(id.index()).map(|backend| backend.pool);
                balancer.is_busy(id) || pool.is_some_and(|pool| self.leaves_with(pool, id))
            }
            Object::Route(_) => false,
        }
    }

    /// Whether a backend serves those who are still in its pool, which leaves.
    fn leaves_with(&self, pool: PoolId, id: BackendId) -> bool {
        self.pool_exchanges(pool) > 0 && self.balancer.borrow().members(pool).contains(&id)
    }

    /// What runs, to arrange another configuration on.
    pub fn with_standing<T>(&self, arrange: impl FnOnce(&Standing<'_>) -> T) -> T {
        let now = self.config();
        arrange(&Standing { now: &now, began: self.budget, room: self.room, is_held: &|object| self.is_held(object) })
    }

    /// Works under this configuration from now on. `place` says where backends are that have an address in the file, or whose name
    /// is known.
    pub fn adopt(&self, after: Rc<Config>, place: impl Fn(BackendId, &Backend) -> Option<SocketAddr>) -> Changes {
        let before = self.config();
        let changes = Changes::of(&before, &after);
        // Under the names of before.
        self.tell_what_is_left_out();
        drop(self.config.replace(Rc::clone(&after)));
        self.timeouts.set(after.timeouts);
        self.ceilings.keep(after.clients.reserve);
        if let Some(limiter) = &self.limiter {
            limiter.adopt(&after);
        }
        for (id, routed) in after.routes() {
            let there = before
                .routes
                .get(id.index())
                .filter(|there| before.order.routes.contains(&id) && there.route.name == routed.route.name);
            if there.map(|there| there.maintenance.on) != Some(routed.maintenance.on) {
                self.maintenance[id.index()].set(routed.maintenance.on);
            }
        }
        for (id, listener) in after.listeners() {
            if before.listeners.get(id.index()).is_some_and(|there| there.name != listener.name) {
                self.forget_listener(id);
            }
        }
        for (id, pool) in after.pools() {
            self.adopt_pool(&before, id, pool);
        }
        for &id in &changes.removed {
            self.take_out(&before, &after, id);
        }
        for (id, backend) in after.backends() {
            self.adopt_backend(&before, &after, id, backend, place(id, backend));
        }
        let wake: &mut dyn FnMut(u16) = &mut |waiter| self.reactor.wake(waiter);
        for (id, pool) in after.pools() {
            let mut balancer = self.balancer.borrow_mut();
            balancer.arrange(id, pool_spec(pool), pool.backends.as_slice().into());
            balancer.settle(id, wake);
        }
        for (told, id) in self.told.iter().zip((0..).map_while(BackendId::new)) {
            let now = Told::of(&self.balancer.borrow(), id);
            let there = told.replace(now);
            if there.is_healthy() != now.is_healthy() {
                self.turned(id, now.is_healthy());
            }
            if there.is_up() && !now.is_up() {
                self.idle.borrow_mut().close_all(id);
            }
        }
        for (id, pool) in after.pools() {
            match before.pools.get(id.index()).is_some_and(|there| there.name == pool.name) {
                true => self.judge_pool(id),
                false => self.pool_began(id, self.serves(id)),
            }
        }
        self.wake_warmer();
        self.reactor.wake(self.trials.get());
        changes
    }

    fn adopt_pool(&self, before: &Config, id: PoolId, pool: &Pool) {
        let mut sessions = self.sessions.borrow_mut();
        if before.pools.get(id.index()).is_some_and(|there| there.name != pool.name) {
            sessions.forget_pool(id);
            let mut balancer = self.balancer.borrow_mut();
            // Its backends left with it.
            let left = balancer.members(id).to_vec();
            left.into_iter().for_each(|id| balancer.remove(id));
            drop(balancer);
            self.forget_pool(id);
        }
        if let Some(stick) = &pool.stick {
            sessions.set_pool(id, &pool.name, stick.expire_ms);
        }
        self.budgets[id.index()].borrow_mut().allow(pool.retry_budget);
    }

    /// A backend leaves. Where its whole pool does, it serves those who are still in there.
    fn take_out(&self, before: &Config, after: &Config, id: BackendId) {
        self.statistics.borrow_mut().let_go(id, self.reactor.now_ms());
        if after.order.pools.contains(&before.backends[id.index()].pool) {
            self.balancer.borrow_mut().remove(id);
            self.idle.borrow_mut().renew(id);
        }
    }

    fn adopt_backend(
        &self,
        before: &Config,
        after: &Config,
        id: BackendId,
        backend: &Backend,
        literal: Option<SocketAddr>,
    ) {
        let stays = stays(before, after, id);
        let there = before.backends.get(id.index());
        if !stays {
            self.forget_backend(id);
        }
        if !is_same(before, after, id) {
            self.sessions.borrow_mut().forget(id);
            self.tell_freely(id);
            self.resting[id.index()].take();
            self.addresses[id.index()].set(None);
        }
        let private = backend.send_proxy.is_some();
        let moved = there.is_some_and(|there| {
            (&there.path, &there.host, there.send_proxy) != (&backend.path, &backend.host, backend.send_proxy)
        });
        if !stays || moved {
            self.idle.borrow_mut().renew(id);
        }
        self.idle.borrow_mut().set_private(id, private);
        let address = self.addresses[id.index()].get();
        let address = match (literal, &backend.path) {
            (Some(literal), _) => Some(literal),
            (None, Some(_)) => None,
            // It has the last one until its name is looked up.
            (None, None) => address.map(|address| SocketAddr::new(address.ip(), backend.port)),
        };
        if self.addresses[id.index()].replace(address) != address {
            self.idle.borrow_mut().renew(id);
        }
        let spec = backend_spec(after, backend, address);
        let mut balancer = self.balancer.borrow_mut();
        if stays {
            balancer.revise(id, spec);
        } else {
            let slowstart_ms = after.pools[backend.pool.index()].slowstart_ms;
            balancer.install(id, spec, slowstart_ms, self.reactor.now_ms());
            // Nobody goes to who was added before an operator says so.
            balancer.order_quietly(id, if backend.added { Admin::Maint } else { Admin::Ready });
        }
        balancer.place_quietly(id, address.is_some() || backend.path.is_some());
        let redirected = there.filter(|_| stays).is_some_and(|there| there.redirect.is_some());
        if backend.redirect.is_some() && !redirected {
            balancer.begin_redirects(id);
        }
        drop(balancer);
        self.wake_expecting();
    }
}
