//! Whether a backend takes part: what probes, its agent, the traffic and the operator say about it, and what follows.
//!
//! Each of them takes back only what it said itself. A backend takes requests while nobody objects; one that drains takes
//! those that are bound to it.

use super::pace::Heeded;
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

/// What of a backend is said while it runs, and what was changed of it; for who goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The probes say that it is up.
    pub probe_up: bool,
    /// The agent does.
    pub agent_up: bool,
    /// What the operator wants of it.
    pub operator: Admin,
    /// What its agent wants.
    pub agent: Admin,
    /// 0..=256.
    pub weight: u16,
    /// 0 = unlimited; nothing where it is searched.
    pub maxconn: Option<u32>,
    /// Which of these two the agent set.
    pub heeded: Heeded,
}

/// All that is said about one backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// The probes say that it is up.
    pub probe_up: bool,
    /// The agent does.
    pub agent_up: bool,
    /// It has an address.
    pub placed: bool,
    /// It is no longer its pool's.
    pub gone: bool,
    pub operator: Admin,
    pub agent: Admin,
    /// What the traffic says.
    pub watch: Watch,
}

impl State {
    pub(super) fn new(up: bool) -> Self {
        let (operator, agent) = (Admin::Ready, Admin::Ready);
        Self { probe_up: up, agent_up: true, placed: true, gone: false, operator, agent, watch: Watch::default() }
    }

    pub(super) fn admin(&self) -> Admin {
        self.operator.max(self.agent)
    }

    /// Whether it is well, as far as is known for sure: on trial it is not yet.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_fit() && self.watch.is_trusted()
    }

    /// Whether it takes requests at all.
    pub(super) fn takes(&self) -> bool {
        self.is_fit() && !self.watch.is_out() && self.admin() != Admin::Maint
    }

    /// Whether only what the traffic says keeps it from taking new users.
    pub(super) fn is_only_suspected(&self) -> bool {
        self.is_fit() && self.admin() == Admin::Ready && !self.watch.is_trusted()
    }

    /// Whether it can be reached, and neither probes nor agent object.
    fn is_fit(&self) -> bool {
        self.placed && !self.gone && self.probe_up && self.agent_up
    }
}

#[cfg(test)]
mod tests {
    use super::super::passive::{Observe, PassiveSpec, Seen};
    use super::*;

    /// What the traffic says: nothing, that it is out, that it is on trial.
    fn watch(said: &str) -> Watch {
        let spec = PassiveSpec { observe: Observe::Http, error_limit: 1, eject_max: 100, eject_ms: 10 };
        let mut watch = Watch::default();
        assert_eq!(said != "well", said != "well" && watch.note(Seen::Broken, &spec, 0, || true));
        assert_eq!(said == "trial", said == "trial" && watch.begin_trial(10));
        watch
    }

    #[test]
    fn everybody_can_object() {
        use Admin::{Drain, Maint, Ready};
        // Probes, agent, operator, the agent's order, traffic; and: takes, healthy, only suspected, what is wanted.
        let cases = [
            (true, true, Ready, Ready, "well", "th-", Ready),
            (false, true, Ready, Ready, "well", "---", Ready),
            (true, false, Ready, Ready, "well", "---", Ready),
            (true, true, Drain, Ready, "well", "th-", Drain),
            (true, true, Ready, Drain, "well", "th-", Drain),
            (true, true, Maint, Ready, "well", "-h-", Maint),
            (true, true, Ready, Maint, "well", "-h-", Maint),
            (true, true, Drain, Maint, "well", "-h-", Maint),
            (true, true, Maint, Drain, "well", "-h-", Maint),
            (true, true, Ready, Ready, "out", "--s", Ready),
            (true, true, Ready, Ready, "trial", "t-s", Ready),
            (true, true, Drain, Ready, "trial", "t--", Drain),
            (false, true, Ready, Ready, "out", "---", Ready),
            (true, false, Ready, Ready, "out", "---", Ready),
        ];
        for (probe_up, agent_up, operator, agent, traffic, expected, admin) in cases {
            let state = State { probe_up, agent_up, placed: true, gone: false, operator, agent, watch: watch(traffic) };
            for out in [State { placed: false, ..state }, State { gone: true, ..state }] {
                assert!(!out.takes() && !out.is_healthy() && !out.is_only_suspected(), "{out:?}");
                assert_eq!(out.admin(), admin);
            }
            let letter = |is: bool, letter| if is { letter } else { '-' };
            let said =
                [letter(state.takes(), 't'), letter(state.is_healthy(), 'h'), letter(state.is_only_suspected(), 's')];
            assert_eq!((String::from_iter(said).as_str(), state.admin()), (expected, admin), "{state:?}");
        }
    }
}
