//! Changes of a backend's state: each takes effect, and is told once.
//!
//! What an operator can change while beelance runs is here; probes, agents and the traffic go the same way.

use super::Proxy;
use super::repeats::About;
use crate::balance::{Admin, Authority, Balancer, Observe, Seen};
use crate::limits::{BackendId, PoolId};
use crate::runtime::{NEVER, Seat};
use std::cell::Cell;
use std::fmt::Display;

/// What was last told of one backend, and done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    healthy: bool,
    up: bool,
}

impl Told {
    /// Of every backend.
    pub(super) fn all(balancer: &Balancer, count: usize) -> Box<[Cell<Self>]> {
        (0..count).filter_map(BackendId::new).map(|id| Cell::new(Self::of(balancer, id))).collect()
    }

    pub(super) fn is_up(self) -> bool {
        self.up
    }

    pub(super) fn is_healthy(self) -> bool {
        self.healthy
    }

    pub(super) fn of(balancer: &Balancer, id: BackendId) -> Self {
        Self { healthy: balancer.is_healthy(id), up: balancer.is_up(id) }
    }
}

impl Proxy {
    /// The probes say that a backend is up or down, and why.
    pub fn set_up(&self, id: BackendId, up: bool, why: &str) {
        self.start_slowly(id, up);
        self.change(id, &why, |balancer, wake| balancer.set_up(id, up, wake));
    }

    /// Its agent says so.
    pub fn set_agent_up(&self, id: BackendId, up: bool, why: &str) {
        self.start_slowly(id, up);
        self.change(id, &why, |balancer, wake| balancer.set_agent_up(id, up, wake));
    }

    /// Its agent, or an operator, wants it to be ready, to drain, or to rest.
    pub fn set_admin(&self, id: BackendId, by: Authority, admin: Admin) {
        if by == Authority::Operator {
            self.tell_freely(id);
        }
        let before = self.balancer.borrow().admin(id);
        self.start_slowly(id, admin == Admin::Ready);
        self.make(|balancer, wake| balancer.set_admin(id, by, admin, wake));
        self.settle(id, &"");
        let now = self.balancer.borrow().admin(id);
        if now != before {
            self.turned(id, self.balancer.borrow().is_healthy(id));
            let by = match by {
                Authority::Operator => "",
                Authority::Agent => " (by its agent)",
            };
            let what = match now {
                Admin::Ready => "is READY",
                Admin::Drain => "enters DRAIN state",
                Admin::Maint => "goes into MAINT",
            };
            if self.may_tell(About::server(id)) {
                log::warn!("Server {} {what}{by}. {}.", self.name(id), self.left(id));
            }
        }
        self.judge_pool_of(id);
    }

    /// One that is down and about to come up begins slowly, if its pool says so.
    pub(super) fn start_slowly(&self, id: BackendId, up: bool) {
        if up && self.balancer.borrow_mut().start_slowly(id, self.reactor.now_ms()) {
            self.wake_warmer();
        }
    }

    pub(super) fn wake_warmer(&self) {
        if let Some(warmer) = self.warmer.get() {
            self.reactor.wake(warmer);
        }
    }

    /// Whether the probes last said that a backend is up; of one that was not probed yet, that it is.
    #[must_use]
    pub fn is_probed_up(&self, id: BackendId) -> bool {
        self.balancer.borrow().is_probed_up(id)
    }

    /// Gives a backend another weight.
    pub fn set_weight(&self, id: BackendId, weight: u16) {
        self.change(id, &"", |balancer, wake| balancer.set_weight(id, weight, wake));
    }

    /// Gives a backend another limit; 0 = unlimited.
    pub fn set_maxconn(&self, id: BackendId, maxconn: u32) {
        self.change(id, &"", |balancer, wake| balancer.set_maxconn(id, maxconn, wake));
    }

    /// Gives a backend the weight and the limit that its agent wants.
    pub fn heed(&self, id: BackendId, weight: Option<u16>, maxconn: Option<u32>) {
        self.change(id, &"", |balancer, wake| balancer.heed(id, weight, maxconn, wake));
    }

    /// Gives a backend the weight and the limit of the file again, where its agent set another that nobody changed since.
    pub fn unheed(&self, id: BackendId) {
        self.change(id, &"", |balancer, wake| balancer.unheed(id, wake));
    }

    /// Whether a backend is not to be probed.
    #[must_use]
    pub fn rests(&self, id: BackendId) -> bool {
        !self.is_placed(id) || self.balancer.borrow().admin(id) == Admin::Maint
    }

    /// A probe of a backend went well.
    pub fn probed_well(&self, id: BackendId) {
        self.change(id, &"a probe went well", |balancer, wake| balancer.probed_well(id, wake));
    }

    /// Something happened with a backend: the traffic may eject it.
    pub(super) fn saw(&self, id: BackendId, seen: Seen) {
        if self.balancer.borrow().observes(id) == Observe::None {
            return;
        }
        let now_ms = self.reactor.now_ms();
        let changed = self.balancer.borrow_mut().saw(id, seen, now_ms, |waiter| self.reactor.wake(waiter));
        if changed {
            let what = match seen {
                Seen::Connected => "a connection succeeded".to_owned(),
                Seen::NotConnected => "Layer4 connection problem".to_owned(),
                Seen::Answered(status) => format!("Layer7 status, code: {status}"),
                Seen::Broken => "Layer7 invalid response".to_owned(),
            };
            self.settle(id, &format_args!("{what} (observed)"));
            self.judge_pool_of(id);
            if !self.balancer.borrow().is_up(id) {
                self.ejected(id);
            }
            self.reactor.wake(self.trials.get());
        }
    }

    pub(super) fn change(
        &self,
        id: BackendId,
        why: &dyn Display,
        make: impl FnOnce(&mut Balancer, &mut dyn FnMut(u16)),
    ) {
        self.make(make);
        self.settle(id, why);
        self.judge_pool_of(id);
    }

    fn make(&self, make: impl FnOnce(&mut Balancer, &mut dyn FnMut(u16))) {
        make(&mut self.balancer.borrow_mut(), &mut |waiter| self.reactor.wake(waiter));
    }

    /// After a change of `id`: closes idle connections to who takes no more requests, and tells who of its pool became
    /// healthy or ill.
    fn settle(&self, id: BackendId, why: &dyn Display) {
        let config = self.config();
        for &id in &config.pools[config.backends[id.index()].pool.index()].backends {
            let now = Told::of(&self.balancer.borrow(), id);
            let before = self.told[id.index()].replace(now);
            if before != now {
                self.turned(id, now.healthy);
            }
            if before.up && !now.up {
                self.idle.borrow_mut().close_all(id);
            }
            if before.healthy != now.healthy {
                self.tell(id, now.healthy, why);
            }
        }
    }

    /// After a change that is not told.
    pub(super) fn note(&self, id: BackendId) {
        let config = self.config();
        for &id in &config.pools[config.backends[id.index()].pool.index()].backends {
            self.told[id.index()].set(Told::of(&self.balancer.borrow(), id));
        }
        self.judge_pool_of(id);
    }

    /// One line for a change of state, in the words people search for.
    fn tell(&self, id: BackendId, up: bool, why: &dyn Display) {
        if self.may_tell(About::server(id)) {
            let state = if up { "UP" } else { "DOWN" };
            let why = why.to_string();
            let reason = if why.is_empty() { String::new() } else { format!(", reason: {why}") };
            log::warn!("Server {} is {state}{reason}. {}.", self.name(id), self.left(id));
        }
    }

    fn judge_pool_of(&self, id: BackendId) {
        self.judge_pool(self.config().backends[id.index()].pool);
    }

    /// After any change in a pool: whether a server takes new users counts, and is told where none does any more, whatever the
    /// reason (HAProxy's `set_backend_down`).
    pub(super) fn judge_pool(&self, pool: PoolId) {
        let usable = self.serves(pool);
        if self.pool_turned(pool, usable) && !usable && self.may_tell(About::pool(pool)) {
            log::error!("pool {} has no server available!", self.config().pools[pool.index()].name);
        }
    }

    fn left(&self, id: BackendId) -> String {
        let (active, backup) = self.balancer.borrow().usable(self.config().backends[id.index()].pool);
        format!("{active} active and {backup} backup servers left")
    }

    /// A backend's pool and name, as HAProxy writes them.
    #[must_use]
    pub fn name(&self, id: BackendId) -> String {
        let config = self.config();
        let backend = &config.backends[id.index()];
        format!("{}/{}", config.pools[backend.pool.index()].name, backend.name)
    }
}

/// The task that begins the trials of ejected backends.
pub async fn begin_trials(proxy: &'static Proxy) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    proxy.trials.set(seat.index());
    loop {
        let due_ms = proxy.balancer.borrow().next_trial_ms();
        let _ = seat.pause(due_ms.unwrap_or(NEVER)).await;
        let now_ms = proxy.reactor.now_ms();
        proxy.balancer.borrow_mut().begin_trials(now_ms, |waiter| proxy.reactor.wake(waiter));
        for (told, id) in proxy.told.iter().zip((0..).map_while(BackendId::new)) {
            told.set(Told::of(&proxy.balancer.borrow(), id));
        }
        proxy.config().pools().for_each(|(id, _)| proxy.judge_pool(id));
    }
}
