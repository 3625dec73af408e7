//! Where the affinity cookie of a request leads.

use super::balancer::Balancer;
use super::stamp::Stale;
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
    /// It was not used for too long (`E`).
    Expired,
    /// It was in use for too long (`O`).
    Old,
    /// It names one that is up (`V`).
    Valid(BackendId),
}

impl Affinity {
    /// What `value`, the cookie's, leads to: the first backend of the pool with that value that is up.
    #[must_use]
    pub fn of(balancer: &Balancer, pool: PoolId, value: &[u8]) -> Self {
        let mut found = Self::Invalid;
        if value.is_empty() {
            return found;
        }
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

    /// Of a cookie that is good no longer.
    #[must_use]
    pub fn of_stale(stale: Stale) -> Self {
        match stale {
            Stale::Idle => Self::Expired,
            Stale::Old => Self::Old,
        }
    }

    /// The backend it leads to.
    #[must_use]
    pub fn backend(self) -> Option<BackendId> {
        match self {
            Self::Valid(id) => Some(id),
            Self::Unused | Self::None | Self::Invalid | Self::Down | Self::Expired | Self::Old => None,
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
            Self::Expired => 'E',
            Self::Old => 'O',
            Self::Valid(_) => 'V',
        }
    }
}
