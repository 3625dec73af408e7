//! Who gets a slot that became free: of those who wait for it, the one whose turn is first.

use super::balancer::Balancer;
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

    /// Serves who waits in the pool's list and can be served, and refuses all when nobody is left to serve them.
    pub(super) fn serve_pool(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        let mut next = self.pools[pool.index()].waiting.head();
        while let Some(waiter) = next {
            next = self.waiters.next(waiter);
            match self.choose(pool, self.keys[usize::from(waiter)], self.waiters.avoids(waiter)) {
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

    /// Gives the free room of a pool to who waits for any of its backends that has a slot.
    fn share_room(&mut self, pool: PoolId, wake: &mut impl FnMut(u16)) {
        while self.pools[pool.index()].has_room() {
            let free = self.members(pool).iter().filter(|&&id| self.backend(id).spec.up && self.has_slot(id));
            let heads = free.filter_map(|&id| self.first_for(id).map(|waiter| (self.waiters.turn(waiter), waiter, id)));
            let Some((_, waiter, id)) = heads.min_by_key(|&(turn, ..)| turn) else { break };
            // Who is bound to none goes where the algorithm says; that finds at least this one.
            let id = match self.waiters.place(waiter) {
                Place::Pool(_) => {
                    match self.choose(pool, self.keys[usize::from(waiter)], self.waiters.avoids(waiter)) {
                        Choice::Chosen(better) => better,
                        Choice::AllBusy | Choice::Nobody => id,
                    }
                }
                Place::Backend(_) | Place::Nowhere | Place::Granted(_) | Place::Refused => id,
            };
            self.grant(waiter, id, wake);
        }
    }

    /// Whose turn it is at a backend: the first of its own list's head and its pool's.
    fn first_for(&self, id: BackendId) -> Option<u16> {
        let (own, free) = (self.backend(id).waiting.head(), self.first_free(id));
        match (own, free) {
            (Some(own), Some(free)) if self.waiters.turn(free) < self.waiters.turn(own) => Some(free),
            (own, free) => own.or(free),
        }
    }

    /// The first in the pool's list whom this backend could serve.
    pub(super) fn first_free(&self, id: BackendId) -> Option<u16> {
        if !self.takes_free(id) {
            return None;
        }
        let pool = self.backend(id).spec.pool;
        let mut at = self.pools[pool.index()].waiting.head();
        while let Some(waiter) = at {
            if self.waiters.avoids(waiter) != Some(id) || self.is_only(id) {
                return at;
            }
            at = self.waiters.next(waiter);
        }
        None
    }
}
