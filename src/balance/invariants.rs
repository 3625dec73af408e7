//! What holds after every call, for the simulations to check.

use super::balancer::{Backend, Balancer};
use super::queue::{List, Place, Turn};
use super::tier::Tier;
use crate::limits::{BackendId, PoolId};

impl Balancer {
    /// Checks the two invariants and that everybody who waits is in the list he thinks.
    pub(super) fn check_invariants(&self) {
        let held = |list: &List, place: Place| {
            let turns = self.waiters.iter(list).map(|waiter| {
                assert_eq!(self.waiters.place(waiter), place);
                self.waiters.turn(waiter)
            });
            let turns: Vec<Turn> = turns.collect();
            assert!(turns.is_sorted(), "not in order of turns: {turns:?}");
            assert_eq!(turns.len(), list.len() as usize);
        };
        for (index, backend) in self.backends.iter().enumerate() {
            let id = BackendId::new(index).unwrap();
            let spec = &backend.spec;
            assert!(spec.maxqueue == 0 || backend.waiting.len() <= spec.maxqueue, "{id:?} queues too many");
            held(&backend.waiting, Place::Backend(id));
            let pool = &self.pools[spec.pool.index()];
            let waits = backend.waiting.len() > 0 || self.first_free(id).is_some() || self.first_late(id).is_some();
            assert!(!(waits && spec.up && self.has_slot(id)), "{id:?} has a slot free and somebody waits for it");
            assert!(spec.up || backend.waiting.len() == 0, "{id:?} is down and somebody waits for it");
            assert!(pool.waiting.len() == 0 || pool.tier != Tier::Nobody, "somebody waits and nobody is up");
            assert_eq!((spec.up, backend.takes_users), backend.as_said(), "{id:?} is not what is said");
            let mut members = pool.members.iter().map(|&id| self.backend(id));
            let alone = backend.is_only_suspected() && !members.any(Backend::is_trusted);
            let is_member = pool.members.contains(&id);
            assert!(backend.state.gone || is_member, "{id:?} is in no pool");
            assert!(!(backend.state.gone && (spec.up || is_member)), "{id:?} is gone and takes requests");
            assert!(!alone, "{id:?} is ejected and nobody else is left");
        }
        for (index, pool) in self.pools.iter().enumerate() {
            held(&pool.waiting, Place::Pool(PoolId(u8::try_from(index).unwrap())));
            // Those who left it and are not done are counted with it.
            let members = || self.backends.iter().filter(|backend| backend.spec.pool.index() == index);
            assert_eq!(pool.serving, members().map(|backend| backend.serving).sum::<u32>());
            let late = members().flat_map(|backend| self.waiters.iter(&backend.waiting));
            let mut late: Vec<u16> = late.filter(|&waiter| self.waiters.home(waiter).is_some()).collect();
            late.sort_by_key(|&waiter| self.waiters.turn(waiter));
            assert_eq!(late, self.waiters.iter(&pool.late).collect::<Vec<_>>(), "who is late");
            assert!(
                late.iter().all(|&waiter| {
                    self.waiters.home(waiter).map(Place::Backend) == Some(self.waiters.place(waiter))
                })
            );
            assert_eq!(late.len(), pool.late.len() as usize);
            assert_eq!(pool.queued, pool.waiting.len() + members().map(|backend| backend.waiting.len()).sum::<u32>());
            assert!(pool.spec.maxconn == 0 || pool.serving <= pool.spec.maxconn, "a pool serves {}", pool.serving);
            assert!(pool.spec.maxqueue == 0 || pool.queued <= pool.spec.maxqueue, "a pool queues {}", pool.queued);
        }
        let queued: u32 = self.pools.iter().map(|pool| pool.queued).sum();
        assert!(self.clients.len() <= queued as usize && (queued == 0) == (self.clients.len() == 0));
    }
}
