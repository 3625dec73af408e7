//! Whether a backend takes part: what probes, its agent, the traffic and the operator say about it, and what follows.
//!
//! Each of them takes back only what it said itself. A backend takes requests while nobody objects; one that drains takes
//! those that are bound to it.

use super::passive::Watch;

/// What is wanted of a backend (HAProxy's administrative states).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admin {
    /// It serves.
    #[default]
    Ready,
    /// It takes no new users; who is bound to it stays.
    Drain,
    /// It gets nothing, and is not probed.
    Maint,
}

/// Who wants it. The stricter of the two holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The operator of beelance.
    Operator,
    /// The backend's agent.
    Agent,
}

/// All that is said about one backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// The probes say that it is up.
    pub probe_up: bool,
    /// The agent does.
    pub agent_up: bool,
    pub operator: Admin,
    pub agent: Admin,
    /// What the traffic says.
    pub watch: Watch,
}

impl State {
    pub(super) fn new(up: bool) -> Self {
        Self { probe_up: up, agent_up: true, operator: Admin::Ready, agent: Admin::Ready, watch: Watch::default() }
    }

    pub(super) fn admin(&self) -> Admin {
        self.operator.max(self.agent)
    }

    /// Whether it is well, as far as is known for sure: on trial it is not yet.
    pub(super) fn is_healthy(&self) -> bool {
        self.probe_up && self.agent_up && self.watch.is_trusted()
    }

    /// Whether it takes requests at all.
    pub(super) fn takes(&self) -> bool {
        self.probe_up && self.agent_up && !self.watch.is_out() && self.admin() != Admin::Maint
    }

    /// Whether only what the traffic says keeps it from taking new users.
    pub(super) fn is_only_suspected(&self) -> bool {
        self.probe_up && self.agent_up && self.admin() == Admin::Ready && !self.watch.is_trusted()
    }
}
