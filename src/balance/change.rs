//! What changes while beelance runs: health, administrative states, weights, limits, and who is ejected.
//!
//! Every change is in effect when the call returns: who waited for room that is there now has been served, who waited for a
//! backend that is gone has been placed anew. `wake` is called for everybody who has an answer.

use super::balancer::{Backend, Balancer};
use super::passive::{Observe, Seen, Watch};
use super::state::{Admin, Authority, Said, State};
use super::tier::Tier;
use crate::limits::{BackendId, PoolId};

impl Balancer {
    /// The probes say that a backend is up or down.
    pub fn set_up(&mut self, id: BackendId, up: bool, wake: impl FnMut(u16)) {
        self.backends[id.index()].state.probe_up = up;
        self.apply(id, wake);
    }

    /// Its agent says so. Both have to say up.
    pub fn set_agent_up(&mut self, id: BackendId, up: bool, wake: impl FnMut(u16)) {
        self.backends[id.index()].state.agent_up = up;
        self.apply(id, wake);
    }

    /// A backend has an address, or has none any more. Requests under way go on.
    pub fn set_placed(&mut self, id: BackendId, placed: bool, wake: impl FnMut(u16)) {
        self.backends[id.index()].state.placed = placed;
        self.apply(id, wake);
    }

    /// Another server is about to come up where a backend without an address was: nothing is held against it, and it
    /// starts slowly, over `ramp_ms` where its pool says nothing.
    pub fn join(&mut self, id: BackendId, now_ms: u64, ramp_ms: u64) {
        let slowstart_ms = self.pools[self.backend(id).spec.pool.index()].spec.slowstart_ms;
        let backend = &mut self.backends[id.index()];
        (backend.state.probe_up, backend.state.agent_up, backend.state.watch) = (true, true, Watch::default());
        backend.pace.start_slowly(now_ms, if slowstart_ms > 0 { slowstart_ms } else { ramp_ms });
    }

    /// Gives a backend another value of the affinity cookie.
    pub fn set_cookie(&mut self, id: BackendId, value: Box<str>) {
        self.backends[id.index()].spec.cookie = value;
    }

    /// `by` wants a backend to be ready, to drain, or to rest. The stricter of what the two want holds.
    pub fn set_admin(&mut self, id: BackendId, by: Authority, admin: Admin, wake: impl FnMut(u16)) {
        let state = &mut self.backends[id.index()].state;
        match by {
            Authority::Operator => state.operator = admin,
            Authority::Agent => state.agent = admin,
        }
        self.apply(id, wake);
    }

    /// Gives a backend another weight, 0..=256.
    pub fn set_weight(&mut self, id: BackendId, weight: u16, wake: impl FnMut(u16)) {
        self.backends[id.index()].pace.set_weight(weight);
        self.apply(id, wake);
    }

    /// Gives a backend another limit; 0 = unlimited. Requests above a lower one end in their own time.
    pub fn set_maxconn(&mut self, id: BackendId, maxconn: u32, wake: impl FnMut(u16)) {
        self.backends[id.index()].pace.set_maxconn(maxconn);
        self.apply(id, wake);
    }

    /// Gives a backend the weight and the limit that its agent wants.
    pub fn heed(&mut self, id: BackendId, weight: Option<u16>, maxconn: Option<u32>, wake: impl FnMut(u16)) {
        self.backends[id.index()].pace.heed(weight, maxconn);
        self.apply(id, wake);
    }

    /// Nobody heeds its agent any more: of what that set, and nobody changed since, a backend has what the file says.
    pub fn unheed(&mut self, id: BackendId, wake: impl FnMut(u16)) {
        let Backend { pace, spec, .. } = &mut self.backends[id.index()];
        let heeded = pace.heeded();
        if heeded.weight {
            pace.set_weight(spec.weight);
        }
        if heeded.maxconn {
            pace.set_limit(spec.maxconn, spec.auto);
        }
        self.apply(id, wake);
    }

    /// A backend that is down is about to come up, and begins slowly if its pool says so; whether it does.
    pub fn start_slowly(&mut self, id: BackendId, now_ms: u64) -> bool {
        let slowstart_ms = self.pools[self.backend(id).spec.pool.index()].spec.slowstart_ms;
        let backend = &mut self.backends[id.index()];
        let starts = !backend.spec.up && slowstart_ms > 0;
        if starts {
            backend.pace.start_slowly(now_ms, slowstart_ms);
        }
        starts
    }

    /// Gives those on their way up what they may have by now, and the room of redirects that are forgotten; when to look again, while there are any.
    pub fn advance(&mut self, now_ms: u64, mut wake: impl FnMut(u16)) -> Option<u64> {
        let mut next_ms = None;
        for index in 0..self.backends.len() {
            let before = self.backends[index].pace.maxconn();
            let look_ms = self.backends[index].pace.advance(now_ms);
            let Some(id) = BackendId::new(index) else { break };
            let pass_ms = self.pass(id, now_ms, &mut wake);
            next_ms = [next_ms, look_ms, pass_ms].into_iter().flatten().min();
            if self.backends[index].pace.maxconn() != before {
                self.serve_next(id, &mut wake);
            }
        }
        next_ms
    }

    /// A backend answered a request, sent at `began_ms`, as it should: where its limit is searched, it may change.
    pub fn answered(&mut self, id: BackendId, began_ms: u64, now_ms: u64, mut wake: impl FnMut(u16)) {
        let backend = &mut self.backends[id.index()];
        if backend.pace.answered(began_ms, now_ms, backend.serving) {
            self.serve_next(id, &mut wake);
        }
    }

    /// What is noted of the traffic with a backend.
    #[must_use]
    pub fn observes(&self, id: BackendId) -> Observe {
        self.pools[self.backend(id).spec.pool.index()].spec.passive.observe
    }

    /// Takes note of what happened with a backend; whether that ejected it, or ended or failed its trial.
    pub fn saw(&mut self, id: BackendId, seen: Seen, now_ms: u64, wake: impl FnMut(u16)) -> bool {
        let pool = self.backend(id).spec.pool;
        let spec = self.pools[pool.index()].spec.passive;
        if spec.observe == Observe::None {
            return false;
        }
        let mut watch = self.backend(id).state.watch;
        let changed = watch.note(seen, &spec, now_ms, || self.may_eject(id));
        self.backends[id.index()].state.watch = watch;
        if changed {
            self.apply(id, wake);
        }
        changed
    }

    /// A probe of a backend went well: that ends its trial, if it is on trial.
    pub fn probed_well(&mut self, id: BackendId, wake: impl FnMut(u16)) {
        if self.backends[id.index()].state.watch.probed_well() {
            self.apply(id, wake);
        }
    }

    /// Begins the trials that are due.
    pub fn begin_trials(&mut self, now_ms: u64, mut wake: impl FnMut(u16)) {
        for id in (0..self.backends.len()).filter_map(BackendId::new) {
            if self.backends[id.index()].state.watch.begin_trial(now_ms) {
                self.apply(id, &mut wake);
            }
        }
    }

    /// When the next trial begins.
    #[must_use]
    pub fn next_trial_ms(&self) -> Option<u64> {
        self.backends.iter().filter_map(|backend| backend.state.watch.due_ms()).min()
    }

    /// Whether the probes say that a backend is up.
    #[must_use]
    pub fn is_probed_up(&self, id: BackendId) -> bool {
        self.backend(id).state.probe_up
    }

    /// What is said of a backend, and what was changed of it.
    #[must_use]
    pub fn said(&self, id: BackendId) -> Said {
        let backend = self.backend(id);
        let State { probe_up, agent_up, operator, agent, .. } = backend.state;
        let (weight, maxconn) = (backend.pace.weight_set(), backend.pace.maxconn_set());
        Said { probe_up, agent_up, operator, agent, weight, maxconn, heeded: backend.pace.heeded() }
    }

    /// What is wanted of a backend.
    #[must_use]
    pub fn admin(&self, id: BackendId) -> Admin {
        self.backend(id).state.admin()
    }

    /// Whether probes, agent and traffic find nothing wrong with it. On trial it is not healthy yet.
    #[must_use]
    pub fn is_healthy(&self, id: BackendId) -> bool {
        self.backend(id).state.is_healthy()
    }

    /// Whether the pool can do without a backend: another one serves, and no more than the share are ejected with it.
    fn may_eject(&self, id: BackendId) -> bool {
        let pool = &self.pools[self.backend(id).spec.pool.index()];
        let others = || pool.members.iter().filter(|&&other| other != id).map(|&other| self.backend(other));
        let serves = others().any(Backend::is_trusted);
        let ejected = others().filter(|backend| !backend.state.watch.is_trusted()).count() as u64 + 1;
        let members = others().filter(|backend| backend.state.placed).count() as u64 + 1;
        serves && ejected * 100 <= members * u64::from(pool.spec.passive.eject_max)
    }

    /// Makes the state of a backend take effect.
    fn apply(&mut self, id: BackendId, mut wake: impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        self.derive(id);
        self.find_tier(pool.index());
        let pardons = self.pools[pool.index()].tier == Tier::Nobody && self.pardon(pool);
        self.leave_unserved(id);
        self.serve_more(id, &mut wake);
        if pardons {
            // Who is bound to one that was on trial waits in its list.
            for at in 0..self.members(pool).len() {
                self.serve_more(self.members(pool)[at], &mut wake);
            }
        }
        self.serve_pool(pool, &mut wake);
    }

    /// When nobody else is left, a backend that was ejected is better than none. Whether there was one.
    pub(super) fn pardon(&mut self, pool: PoolId) -> bool {
        let mut pardons = false;
        for at in 0..self.members(pool).len() {
            let id = self.members(pool)[at];
            if self.backend(id).is_only_suspected() {
                self.backends[id.index()].state.watch.trust();
                self.derive(id);
                pardons = true;
            }
        }
        self.find_tier(pool.index());
        pardons
    }

    pub(super) fn derive(&mut self, id: BackendId) {
        let backend = &mut self.backends[id.index()];
        (backend.spec.up, backend.takes_users) = backend.as_said();
    }
}
