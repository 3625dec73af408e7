//! What an operator asks for beside states: who is remembered where, and which watches rest.

use super::Proxy;
use crate::balance::{Said, SessionKey, Sessions};
use crate::http::key::Key;
use crate::limits::{BackendId, PoolId};
use std::cell::Cell;

/// What is not asked about one backend at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resting {
    probes: bool,
    agent: bool,
}

impl Resting {
    pub(super) fn nothing(backends: usize) -> Box<[Cell<Self>]> {
        vec![Cell::default(); backends].into_boxed_slice()
    }
}

impl Proxy {
    /// Lets a backend not be probed, and stay as it is, or be probed again.
    pub fn let_probes_rest(&self, id: BackendId, probes: bool) {
        let resting = &self.resting[id.index()];
        resting.set(Resting { probes, ..resting.get() });
    }

    /// Lets its agent not be asked, or be asked again.
    pub fn let_agent_rest(&self, id: BackendId, agent: bool) {
        let resting = &self.resting[id.index()];
        resting.set(Resting { agent, ..resting.get() });
    }

    /// Whether its probes rest.
    #[must_use]
    pub fn probes_rest(&self, id: BackendId) -> bool {
        self.resting[id.index()].get().probes
    }

    /// Whether questions to its agent rest.
    #[must_use]
    pub fn agent_rests(&self, id: BackendId) -> bool {
        self.resting[id.index()].get().agent
    }

    /// The key of a user of `pool` in the session map: of an address where that tells users apart, else of any text.
    #[must_use]
    pub fn session_key(&self, pool: PoolId, text: &str) -> Option<SessionKey> {
        let sessions = self.sessions.borrow();
        match self.config().pools[pool.index()].stick.as_ref()?.key {
            Key::Source => text.parse().ok().map(|address| sessions.source(pool, address)),
            Key::Uri { .. } | Key::Header(_) | Key::Cookie(_) | Key::UrlParam(_) => sessions.key(pool, text.as_bytes()),
        }
    }

    /// Remembers the backend of a user.
    pub fn remember_session(&self, key: SessionKey, id: BackendId) {
        self.sessions.borrow_mut().store(key, id, self.reactor.now_ms());
    }

    /// Forgets a user.
    pub fn forget_session(&self, key: SessionKey) {
        self.sessions.borrow_mut().forget_user(key);
    }

    /// What is said of a backend, and what was changed of it while it ran.
    #[must_use]
    pub fn said(&self, id: BackendId) -> Said {
        self.balancer.borrow().said(id)
    }

    /// Works with the session map as a whole.
    pub fn with_sessions<T>(&self, work: impl FnOnce(&mut Sessions) -> T) -> T {
        work(&mut self.sessions.borrow_mut())
    }

    /// Forgets all users of a pool.
    pub fn forget_sessions(&self, pool: PoolId) {
        self.sessions.borrow_mut().forget_pool(pool);
    }
}
