//! What holds in the world after every event, beside the balancer's own invariants.

use super::super::rendezvous::Draw;
use super::*;

impl World {
    pub(super) fn check(&self) {
        self.balancer.check_invariants();
        for (index, (&flying, &given)) in self.flying.iter().zip(&self.given).enumerate() {
            let id = BackendId::new(index).unwrap();
            let status = self.balancer.status(id);
            assert_eq!((status.serving, status.total), (flying, given), "{id:?}");
            let bound = self.waiting.values().filter(|bound| **bound == Some(id)).count();
            assert_eq!(status.queued as usize, bound, "{id:?}");
        }
        let free = self.waiting.values().filter(|bound| bound.is_none()).count();
        assert_eq!(self.balancer.queued(POOL) as usize, free);
    }

    /// The backend that a request must go to if it goes to one at once: its key's, unless that is full or has its share.
    pub(super) fn wanted(&self, wish: &Wish) -> Option<BackendId> {
        let pool = &self.balancer.pools[POOL.index()];
        let (Algorithm::Hash { hash: Hash::Beelance, factor }, Some(key)) = (pool.spec.algorithm, wish.key) else {
            return None;
        };
        let takers = || pool.members.iter().copied().filter(|&id| self.balancer.takes_free(id));
        let backend = |id| self.balancer.backend(id);
        let better = |one: BackendId, other: BackendId| {
            let [mut first, mut second] =
                [one, other].map(|id| Draw::of(key, backend(id).spec.seed, backend(id).pace.weight()));
            if second.beats(&mut first) { other } else { one }
        };
        let home = takers().reduce(better)?;
        let load: u64 = takers().map(|id| backend(id).load()).sum();
        let weight: u64 = takers().map(|id| backend(id).pace.weight()).sum();
        let share = (load + 1) * u64::from(factor) * backend(home).pace.weight();
        let below = factor == 0 || backend(home).load() * 100 * weight < share;
        (below && backend(home).has_slot() && wish.avoid != Some(home)).then_some(home)
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.served += other.served;
        self.failed += other.failed;
        self.refused += other.refused;
        self.gave_up += other.gave_up;
        self.retries += other.retries;
        self.ejections += other.ejections;
        self.unbound += other.unbound;
    }
}
