//! What changes about backends in a simulation: health, states, weights, limits, and what the traffic says.

use super::*;

/// What can change about a backend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Up(bool),
    AgentUp(bool),
    Admin(Authority, Admin),
    Weight(u16),
    Maxconn(u32),
    Saw(Seen),
    ProbedWell,
    /// So many milliseconds pass.
    Time(u64),
}

impl Change {
    pub(super) fn make(self, balancer: &mut Balancer, id: BackendId, now_ms: &mut u64, wake: impl FnMut(u16)) {
        match self {
            Self::Up(up) => balancer.set_up(id, up, wake),
            Self::AgentUp(up) => balancer.set_agent_up(id, up, wake),
            Self::Admin(by, admin) => balancer.set_admin(id, by, admin, wake),
            Self::Weight(weight) => balancer.set_weight(id, weight, wake),
            Self::Maxconn(maxconn) => balancer.set_maxconn(id, maxconn, wake),
            Self::Saw(seen) => {
                balancer.saw(id, seen, *now_ms, wake);
            }
            Self::ProbedWell => balancer.probed_well(id, wake),
            Self::Time(ms) => {
                *now_ms += ms;
                balancer.begin_trials(*now_ms, wake);
            }
        }
    }
}

pub(super) fn changes() -> impl Strategy<Value = Change> {
    let by = prop_oneof![Just(Authority::Operator), Just(Authority::Agent)];
    let admin = prop_oneof![3 => Just(Admin::Ready), 1 => Just(Admin::Drain), 1 => Just(Admin::Maint)];
    prop_oneof![
        4 => any::<bool>().prop_map(Change::Up),
        1 => prop::bool::weighted(0.7).prop_map(Change::AgentUp),
        2 => (by, admin).prop_map(|(by, admin)| Change::Admin(by, admin)),
        1 => (0u16..4).prop_map(Change::Weight),
        1 => (0u32..4).prop_map(Change::Maxconn),
        8 => prop_oneof![3 => Just(Seen::Broken), 1 => Just(Seen::Answered(200))].prop_map(Change::Saw),
        1 => Just(Change::ProbedWell),
        3 => (1u64..200).prop_map(Change::Time),
    ]
}

/// Backends that the traffic keeps out or on trial.
pub(super) fn ejected(balancer: &Balancer) -> u32 {
    let untrusted = |id: &u8| !balancer.backend(BackendId(*id)).state.watch.is_trusted();
    (0..4).filter(untrusted).map(|_| 1).sum()
}
