//! The algorithms: whom a request gets that is bound to no backend.
//!
//! None gives a request to a backend without a free slot, or to one that just failed it while there is another; and none
//! says that all are busy while one is left. So nobody waits beside a slot he could have.

use super::Algorithm;
use super::balancer::{Backend, Balancer, Pool};
use super::hash::Hash;
use super::rendezvous::Draw;
use super::tier::Tier;
use crate::limits::{BackendId, PoolId};

/// What an algorithm says.
pub(super) enum Choice {
    /// This one.
    Chosen(BackendId),
    /// Whoever could take the request has no slot free.
    AllBusy,
    /// Nobody takes requests.
    Nobody,
}

/// A pool's load and weight, and the percentage of the average that none may be above for the sake of a key.
pub(super) struct Bound {
    load: u64,
    weight: u64,
    factor: u64,
}

impl Bound {
    const NONE: Self = Self { load: 0, weight: 0, factor: 0 };

    /// Whether a backend may take another request: its load is below `(all load + 1) * factor / 100`, split by weight.
    /// That is above zero, and for somebody it always holds.
    pub(super) fn allows(&self, backend: &Backend) -> bool {
        let share = self.factor * backend.pace.weight();
        self.factor == 0 || backend.load() * 100 * self.weight < (self.load + 1) * share
    }
}

impl Balancer {
    /// Whom the algorithm takes for a request that is bound to none.
    pub(super) fn choose(&mut self, pool: PoolId, key: Option<u32>, avoid: Option<BackendId>) -> Choice {
        if self.pools[pool.index()].tier == Tier::Nobody {
            return Choice::Nobody;
        }
        if !self.pools[pool.index()].has_room() {
            return Choice::AllBusy;
        }
        // One that just failed it is still better than none.
        let avoid = avoid.filter(|&id| !self.is_only(id));
        let chosen = match self.pools[pool.index()].spec.algorithm {
            Algorithm::RoundRobin => self.round_robin(pool, avoid),
            Algorithm::LeastConn => self.least_conn(pool, avoid),
            Algorithm::Random => self.two_draws(pool, avoid),
            Algorithm::First => self.free(pool, avoid).map(|(id, _)| id).next(),
            Algorithm::Hash { hash, factor } => match key {
                Some(key) => self.by_key(pool, key, hash, factor, avoid),
                None => self.round_robin(pool, avoid),
            },
        };
        chosen.map_or(Choice::AllBusy, Choice::Chosen)
    }

    /// Smooth weighted round robin: everybody's turn comes nearer by his weight, the nearest goes and steps back by
    /// the weights of all. Who has no slot free is passed over and keeps his place.
    fn round_robin(&mut self, pool: PoolId, avoid: Option<BackendId>) -> Option<BackendId> {
        let Pool { members, tier, .. } = &self.pools[pool.index()];
        let mut nearest: Option<(i32, BackendId)> = None;
        let mut all = 0;
        for &id in members {
            let backend = &mut self.backends[id.index()];
            if !tier.can_take(id, backend, avoid) {
                continue;
            }
            // At most 256 times 16.
            let weight = i32::try_from(backend.pace.weight()).unwrap_or(0);
            backend.turn += weight;
            all += weight;
            if nearest.is_none_or(|(turn, _)| backend.turn > turn) {
                nearest = Some((backend.turn, id));
            }
        }
        let (_, id) = nearest?;
        self.backends[id.index()].turn -= all;
        Some(id)
    }

    /// The lowest of HAProxy's key: 0 when idle, else requests in flight and queued plus one, over the weight. Among
    /// equals, the next after the last choice.
    pub(super) fn least_conn(&mut self, pool: PoolId, avoid: Option<BackendId>) -> Option<BackendId> {
        let Pool { members, tier, last, .. } = &mut self.pools[pool.index()];
        let mut best: Option<(u64, usize)> = None;
        let mut at = *last;
        for _ in 0..members.len() {
            // No remainder: the board divides in software.
            at = if at + 1 < members.len() { at + 1 } else { 0 };
            let id = members[at];
            let backend = &self.backends[id.index()];
            if !tier.can_take(id, backend, avoid) {
                continue;
            }
            let key = backend.key();
            if best.is_none_or(|(lowest, _)| key < lowest) {
                best = Some((key, at));
            }
        }
        let (_, at) = best?;
        *last = at;
        Some(members[at])
    }

    /// Two drawn by weight, and of them the one with less in flight and queued for its weight; the first when it is the
    /// same. Nearly as even as asking all, and balancers side by side that cannot see each other's requests do not all
    /// run to the same backend.
    fn two_draws(&mut self, pool: PoolId, avoid: Option<BackendId>) -> Option<BackendId> {
        let all = self.free(pool, avoid).map(|(_, backend)| backend.pace.weight()).sum();
        let places = [self.random.below(all), self.random.below(all)];
        let mut drawn = [None; 2];
        let mut sum = 0;
        for (id, backend) in self.free(pool, avoid) {
            sum += backend.pace.weight();
            for (place, drawn) in places.into_iter().zip(&mut drawn) {
                if place < sum && drawn.is_none() {
                    *drawn = Some((id, backend));
                }
            }
        }
        let [Some((one, first)), Some((other, second))] = drawn else { return None };
        let less = second.load() * first.pace.weight() < first.load() * second.pace.weight();
        Some(if less { other } else { one })
    }

    /// Whom the key belongs to, or the next in its order who is below the bound; when all of those are full, the first
    /// with a slot.
    fn by_key(&self, pool: PoolId, key: u32, hash: Hash, factor: u32, avoid: Option<BackendId>) -> Option<BackendId> {
        let find = |bound: &Bound| match hash {
            Hash::Beelance => self.by_draw(pool, key, avoid, bound),
            Hash::Haproxy => self.on_ring(pool, key, avoid, bound),
        };
        if factor > 0
            && let Some(id) = find(&self.bound(pool, factor))
        {
            return Some(id);
        }
        find(&Bound::NONE)
    }

    /// What a key may bring a backend, where that is bounded.
    #[inline(always)]
    pub(super) fn bound(&self, pool: PoolId, factor: u32) -> Bound {
        let mut bound = Bound { factor: u64::from(factor), ..Bound::NONE };
        let Pool { members, tier, .. } = &self.pools[pool.index()];
        for &id in members {
            let backend = self.backend(id);
            if tier.takes(id, backend) {
                bound.load += backend.load();
                bound.weight += backend.pace.weight();
            }
        }
        bound
    }

    /// The best draw.
    fn by_draw(&self, pool: PoolId, key: u32, avoid: Option<BackendId>, bound: &Bound) -> Option<BackendId> {
        let Pool { members, tier, .. } = &self.pools[pool.index()];
        let mut best: Option<(Draw, BackendId)> = None;
        for &id in members {
            let backend = self.backend(id);
            let mut draw = Draw::of(key, backend.spec.seed, backend.pace.weight());
            // Few beat the best so far; only of those it matters whether they may.
            let is_better = best.as_mut().is_none_or(|(best, _)| draw.beats(best));
            if is_better && tier.can_take(id, backend, avoid) && bound.allows(backend) {
                best = Some((draw, id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// The nearest node.
    fn on_ring(&self, pool: PoolId, key: u32, avoid: Option<BackendId>, bound: &Bound) -> Option<BackendId> {
        // A walk round the ring to find nobody would be long.
        let (any, _) = self.free(pool, avoid).find(|(_, backend)| bound.allows(backend))?;
        let Pool { members, tier, ring, .. } = &self.pools[pool.index()];
        if let Tier::Backup(_) = tier {
            return Some(any);
        }
        let present = |member: usize, ordinal: u16| {
            let backend = self.backend(members[member]);
            u64::from(ordinal) < backend.pace.weight() && tier.takes(members[member], backend)
        };
        let eligible = |member: usize| {
            let (id, backend) = (members[member], self.backend(members[member]));
            tier.can_take(id, backend, avoid) && bound.allows(backend)
        };
        // One whose weight was raised from nothing has no nodes.
        Some(ring.find(key, present, eligible).map_or(any, |member| members[member]))
    }

    /// The backends of a pool that can take a request.
    fn free(&self, pool: PoolId, avoid: Option<BackendId>) -> impl Iterator<Item = (BackendId, &Backend)> {
        let Pool { members, tier, .. } = &self.pools[pool.index()];
        let with_id = members.iter().map(|&id| (id, self.backend(id)));
        with_id.filter(move |(id, backend)| tier.can_take(*id, backend, avoid))
    }
}

impl Backend {
    /// HAProxy's key: 0 when idle, else requests in flight and queued plus one, over the weight.
    #[inline(always)]
    pub(super) fn key(&self) -> u64 {
        let load = self.load();
        if load == 0 { 0 } else { (load + 1) * 65_536 / self.pace.weight().max(1) }
    }
}

impl Tier {
    /// Whether a backend takes requests, has a slot, and is not the one that failed this request.
    fn can_take(self, id: BackendId, backend: &Backend, avoid: Option<BackendId>) -> bool {
        self.takes(id, backend) && backend.has_slot() && Some(id) != avoid
    }
}
