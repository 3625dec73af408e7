//! Who is late: he waited long enough for his backend, which is full (`pool.N.stick.wait`).
//!
//! He goes at once to the least loaded other backend that has a slot. Where all are full he keeps his turn at home, and a
//! second pair of links puts him into his pool's list of late ones besides: another backend serves him as soon as it has a slot
//! and nobody who is bound to it waits. So he is never worse off than if he had gone on waiting, and delays nobody who belongs
//! elsewhere. Did he take the places of those, they would be late in turn, and where all are full nobody would be at home.

use super::balancer::Balancer;
use super::queue::{List, Place};
use crate::limits::{BackendId, PoolId};

impl Balancer {
    /// Who waits for the backend he is bound to is late from now on: he takes any other too.
    pub fn unbind(&mut self, waiter: u16, mut wake: impl FnMut(u16)) {
        let Place::Backend(home) = self.waiters.place(waiter) else { return };
        if self.waiters.home(waiter).is_some() {
            return;
        }
        let pool = self.backend(home).spec.pool;
        self.waiters.insert_late(&mut self.pools[pool.index()].late, waiter, home);
        self.lend(waiter, pool, &mut wake);
    }

    /// The backend that somebody is bound to who was told that he has a slot of another one, because he was late.
    #[must_use]
    pub fn left(&self, waiter: u16) -> Option<BackendId> {
        self.waiters.home(waiter)
    }

    /// Gives somebody who is late a slot of the least loaded other backend, if one has any.
    pub(super) fn lend(&mut self, waiter: u16, pool: PoolId, wake: &mut impl FnMut(u16)) {
        if self.pools[pool.index()].has_room()
            && let Some(id) = self.least_loaded(waiter, pool)
        {
            self.grant(waiter, id, wake);
        }
    }

    /// The least loaded backend that has a slot for somebody who is late. While its pool has room nobody waits for it.
    pub(super) fn least_loaded(&mut self, waiter: u16, pool: PoolId) -> Option<BackendId> {
        let avoid = self.waiters.avoids(waiter).filter(|&id| !self.is_only(id));
        self.least_conn(pool, avoid)
    }

    /// The first late one whom this backend could serve.
    pub(super) fn first_late(&self, id: BackendId) -> Option<u16> {
        self.first_of(&self.pools[self.backend(id).spec.pool.index()].late, id)
    }

    /// The first in a list of its pool whom this backend could serve.
    pub(super) fn first_of(&self, list: &List, id: BackendId) -> Option<u16> {
        if list.head().is_none() || !self.takes_free(id) {
            return None;
        }
        let mut at = list.head();
        while let Some(waiter) = at {
            if self.waiters.avoids(waiter) != Some(id) || self.is_only(id) {
                return at;
            }
            at = self.waiters.next(list, waiter);
        }
        None
    }

    /// He waits for his backend alone, or no longer.
    pub(super) fn end_late(&mut self, waiter: u16) {
        if let Some(home) = self.waiters.home(waiter) {
            let pool = self.backend(home).spec.pool;
            self.waiters.remove_late(&mut self.pools[pool.index()].late, waiter);
        }
    }
}
