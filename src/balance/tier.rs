//! Who takes requests that are bound to none: a pool's active backends, or one backup.

use super::balancer::{Backend, Balancer};
use crate::limits::{BackendId, PoolId};

/// Who takes requests that are bound to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// The backends that are up, have a weight and are no backup.
    Active,
    /// The first backup that is up and has a weight; and those of the others that are on trial.
    Backup(BackendId),
    Nobody,
}

impl Balancer {
    /// Whether no other backend of its pool takes requests that are bound to none.
    pub(super) fn is_only(&self, id: BackendId) -> bool {
        let pool = self.backend(id).spec.pool;
        !self.members(pool).iter().any(|&other| other != id && self.takes_free(other))
    }

    /// Whether any backend has a slot for a request that is bound to none.
    pub(super) fn any_free(&self, pool: PoolId) -> bool {
        self.members(pool).iter().any(|&id| self.takes_free(id) && self.has_slot(id))
    }

    /// Whether a backend takes requests that are bound to none.
    pub(super) fn takes_free(&self, id: BackendId) -> bool {
        let backend = self.backend(id);
        self.pools[backend.spec.pool.index()].tier.takes(id, backend)
    }

    pub(super) fn find_tier(&mut self, pool: usize) {
        let usable = |backup: bool| {
            let members = self.pools[pool].members.iter().copied();
            members.filter(|&id| self.backend(id).spec.backup == backup).find(|&id| self.backend(id).is_trusted())
        };
        self.pools[pool].tier = match (usable(false), usable(true)) {
            (Some(_), _) => Tier::Active,
            (None, Some(backup)) => Tier::Backup(backup),
            (None, None) => Tier::Nobody,
        };
    }
}

impl Tier {
    /// Whether a backend of the pool is among them.
    pub(super) fn takes(self, id: BackendId, backend: &Backend) -> bool {
        let users = backend.takes_users && !backend.spec.backup;
        match self {
            Self::Active => users,
            Self::Backup(backup) => id == backup || users,
            Self::Nobody => false,
        }
    }
}
