//! Where the affinity cookie of a request leads.

use super::balancer::Balancer;
use crate::limits::{BackendId, PoolId};

/// What a request's affinity cookie says. The letters are those of the log's termination state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// The pool uses no cookie (`-`).
    #[default]
    Unused,
    /// It has none (`N`).
    None,
    /// It names no backend of the pool (`I`).
    Invalid,
    /// It names one that is down (`D`).
    Down,
    /// It names one that is up (`V`).
    Valid(BackendId),
}

impl Affinity {
    /// What `value`, the cookie's, leads to: the first backend of the pool with that value that is up.
    #[must_use]
    pub fn of(balancer: &Balancer, pool: PoolId, value: Option<&[u8]>) -> Self {
        let Some(value) = value else { return Self::None };
        let mut found = Self::Invalid;
        for &id in balancer.members(pool) {
            if balancer.cookie(id).as_bytes() == value {
                if balancer.is_up(id) {
                    return Self::Valid(id);
                }
                found = Self::Down;
            }
        }
        found
    }

    /// The backend it leads to.
    #[must_use]
    pub fn backend(self) -> Option<BackendId> {
        match self {
            Self::Valid(id) => Some(id),
            Self::Unused | Self::None | Self::Invalid | Self::Down => None,
        }
    }

    /// The third character of the log's termination state.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Unused => '-',
            Self::None => 'N',
            Self::Invalid => 'I',
            Self::Down => 'D',
            Self::Valid(_) => 'V',
        }
    }
}
