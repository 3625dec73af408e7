//! Who gets a slot that became free: of those who wait for it, the one whose turn is first.

use super::balancer::{Balancer, Pool};
use super::choose::Choice;
use super::queue::Place;
use crate::limits::{BackendId, PoolId};

impl Balancer {
    /// Gives the free slots of a backend, or the room of its pool, to who waits.
    pub(super) fn serve_more(&mut self, id: BackendId, wake: &mut impl FnMut(u16)) {
        let pool = self.backend(id).spec.pool;
        let of_pool = &self.pools[pool.index()];
        if of_pool.queued == 0 {
            return;
        }
        match of_pool.spec.maxconn {
            0 => self.serve_next(id, wake),
            _ => self.share_room(pool, wake),
        }
    }

    /// Serves who waits in the pool's list, or is late, and can be served, and refuses all of the list when nobody is left to
    /// serve them.
    pub(super) fn serve_pool(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        let Pool { waiting, late, .. } = &self.pools[pool.index()];
        let (mut free, mut late) = (waiting.head(), late.head());
        while let Some(waiter) = self.sooner(late, free) {
            if late == Some(waiter) {
                late = self.waiters.next(&self.pools[pool.index()].late, waiter).filter(|_| self.any_free(pool));
                self.lend(waiter, pool, wake);
                continue;
            }
            free = self.waiters.next(&self.pools[pool.index()].waiting, waiter);
            match self.choose(pool, self.keys[waiter], self.waiters.avoids(waiter)) {
                Choice::Chosen(id) => self.grant(waiter, id, wake),
                Choice::AllBusy if self.any_free(pool) => {}
                Choice::AllBusy => break,
                Choice::Nobody => {
                    self.stop_waiting(waiter, pool);
                    self.waiters.settle(waiter, Place::Refused);
                    wake(waiter);
                }
            }
        }
    }

    /// Gives the free slots of one backend to who waits for them.
    pub(super) fn serve_next(&mut self, id: BackendId, wake: &mut impl FnMut(u16)) {
        while self.backend(id).spec.up && self.has_slot(id) {
            let Some(waiter) = self.first_for(id) else { break };
            self.grant(waiter, id, wake);
        }
    }

    /// Gives the free room of a pool to who waits for any of its backends that has a slot; to who is late and would leave his
    /// own after all who are bound to one.
    fn share_room(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        while self.pools[pool.index()].has_room() {
            let free =
                || self.members(pool).iter().copied().filter(|&id| self.backend(id).spec.up && self.has_slot(id));
            let any_bound = free().any(|id| self.backend(id).waiting.head().is_some());
            let first = |id| if any_bound { self.first_in_turn(id) } else { self.first_for(id) };
            let heads = free().filter_map(|id| first(id).map(|waiter| (self.waiters.turn(waiter), waiter, id)));
            let Some((_, waiter, id)) = heads.min_by_key(|&(turn, ..)| turn) else { break };
            // Who is bound to none goes where the algorithm says, who is late to the least loaded; that finds at least this one.
            let id = match self.waiters.place(waiter) {
                Place::Pool(_) => match self.choose(pool, self.keys[waiter], self.waiters.avoids(waiter)) {
                    Choice::Chosen(better) => better,
                    Choice::AllBusy | Choice::Nobody => id,
                },
                Place::Backend(home) if home != id => self.least_loaded(waiter, pool).unwrap_or(id),
                Place::Backend(_) | Place::Nowhere | Place::Granted(_) | Place::Refused => id,
            };
            self.grant(waiter, id, wake);
        }
    }

    /// Whose turn it is at a backend: where nobody is bound to it, the first of its pool's list and of the late ones.
    fn first_for(&self, id: BackendId) -> Option<u16> {
        match self.backend(id).waiting.head() {
            None => self.sooner(self.first_late(id), self.first_free(id)),
            Some(_) => self.first_in_turn(id),
        }
    }

    /// The first of its own list's head and its pool's.
    fn first_in_turn(&self, id: BackendId) -> Option<u16> {
        self.sooner(self.backend(id).waiting.head(), self.first_free(id))
    }

    fn sooner(&self, one: Option<u16>, other: Option<u16>) -> Option<u16> {
        match (one, other) {
            (Some(one), Some(other)) if self.waiters.turn(other) < self.waiters.turn(one) => Some(other),
            (one, other) => one.or(other),
        }
    }

    /// The first in the pool's list whom this backend could serve.
    pub(super) fn first_free(&self, id: BackendId) -> Option<u16> {
        self.first_of(&self.pools[self.backend(id).spec.pool.index()].waiting, id)
    }
}
