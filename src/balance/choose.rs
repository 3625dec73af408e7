//! The algorithms: whom a request gets that is bound to no backend.
//!
//! None gives a request to a backend without a free slot, or to one that just failed it while there is another; and none
//! says that all are busy while one is left. So nobody waits beside a slot he could have.

use super::Algorithm;
use super::balancer::{Balancer, Tier};
use super::hash::Hash;
use super::rendezvous::Draw;
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
struct Bound {
    load: u64,
    weight: u64,
    factor: u64,
}

impl Bound {
    /// Whether one with this load and weight may take another request: its load is below
    /// `ceil((all load + 1) * factor / 100)`, split by weight. That is at least one.
    fn allows(&self, load: u64, weight: u16) -> bool {
        self.factor == 0 || load * 100 * self.weight < (self.load + 1) * self.factor * u64::from(weight)
    }
}

impl Balancer {
    /// Whom the algorithm takes for a request that is bound to none.
    pub(super) fn choose(&mut self, pool: PoolId, key: Option<u32>, avoid: Option<BackendId>) -> Choice {
        if self.pools[pool.index()].tier == Tier::Nobody {
            return Choice::Nobody;
        }
        // One that just failed it is still better than none.
        let avoid = avoid.filter(|&id| !self.is_only(id));
        let chosen = match self.pools[pool.index()].algorithm {
            Algorithm::RoundRobin => self.round_robin(pool, avoid),
            Algorithm::LeastConn => self.least_conn(pool, avoid),
            Algorithm::Random => self.two_draws(pool, avoid),
            Algorithm::First => self.members(pool).iter().copied().find(|&id| self.can_take(id, avoid)),
            Algorithm::Hash { hash, factor } => match key {
                Some(key) => self.by_key(pool, key, hash, factor, avoid),
                None => self.round_robin(pool, avoid),
            },
        };
        chosen.map_or(Choice::AllBusy, Choice::Chosen)
    }

    /// Whether a backend takes requests, has a slot, and is not the one that failed this request.
    fn can_take(&self, id: BackendId, avoid: Option<BackendId>) -> bool {
        Some(id) != avoid && self.takes_free(id) && self.backend(id).has_slot()
    }

    /// Smooth weighted round robin: everybody's turn comes nearer by his weight, the nearest goes and steps back by
    /// the weights of all. Who has no slot free is passed over and keeps his place.
    fn round_robin(&mut self, pool: PoolId, avoid: Option<BackendId>) -> Option<BackendId> {
        let mut chosen: Option<BackendId> = None;
        let mut all = 0;
        for at in 0..self.pools[pool.index()].members.len() {
            let id = self.pools[pool.index()].members[at];
            if !self.can_take(id, avoid) {
                continue;
            }
            let backend = &mut self.backends[id.index()];
            backend.turn += i64::from(backend.spec.weight);
            all += i64::from(backend.spec.weight);
            if chosen.is_none_or(|best| self.backend(id).turn > self.backend(best).turn) {
                chosen = Some(id);
            }
        }
        self.backends[chosen?.index()].turn -= all;
        chosen
    }

    /// The lowest of HAProxy's key: 0 when idle, else requests in flight and queued plus one, over the weight. Among
    /// equals, the next after the last choice.
    fn least_conn(&mut self, pool: PoolId, avoid: Option<BackendId>) -> Option<BackendId> {
        let members = &self.pools[pool.index()].members;
        let last = self.pools[pool.index()].last;
        let mut best: Option<(u64, usize)> = None;
        for step in 1..=members.len() {
            let at = (last + step) % members.len();
            let id = members[at];
            if !self.can_take(id, avoid) {
                continue;
            }
            let backend = self.backend(id);
            let load = backend.load();
            let key = if load == 0 { 0 } else { (load + 1) * 4096 / u64::from(backend.spec.weight.max(1)) };
            if best.is_none_or(|(lowest, _)| key < lowest) {
                best = Some((key, at));
            }
        }
        let (_, at) = best?;
        let id = members[at];
        self.pools[pool.index()].last = at;
        Some(id)
    }

    /// Two drawn by weight, and of them the one with less in flight and queued for its weight; the first when it is the
    /// same. Nearly as even as asking all, and balancers side by side that cannot see each other's requests do not all
    /// run to the same backend.
    fn two_draws(&mut self, pool: PoolId, avoid: Option<BackendId>) -> Option<BackendId> {
        let free = |balancer: &Self, id: &BackendId| balancer.can_take(*id, avoid);
        let weight = |balancer: &Self, id: BackendId| u32::from(balancer.backend(id).spec.weight);
        let members = self.members(pool);
        let all = members.iter().filter(|id| free(self, id)).map(|&id| weight(self, id)).sum();
        let places = [self.random.below(all), self.random.below(all)];
        let mut drawn = [None; 2];
        let mut sum = 0;
        for &id in self.members(pool).iter().filter(|id| free(self, id)) {
            sum += weight(self, id);
            for (place, drawn) in places.into_iter().zip(&mut drawn) {
                if place < sum && drawn.is_none() {
                    *drawn = Some(id);
                }
            }
        }
        let [Some(one), Some(other)] = drawn else { return None };
        let burden = |id, by| self.backend(id).load() * u64::from(weight(self, by));
        Some(if burden(other, one) < burden(one, other) { other } else { one })
    }

    /// Whom the key belongs to, or the next in its order who is below the bound; when all of those are full, the first
    /// with a slot.
    fn by_key(&self, pool: PoolId, key: u32, hash: Hash, factor: u32, avoid: Option<BackendId>) -> Option<BackendId> {
        let mut bound = Bound { load: 0, weight: 0, factor: u64::from(factor) };
        if factor > 0 {
            for &id in self.members(pool).iter().filter(|&&id| self.takes_free(id)) {
                bound.load += self.backend(id).load();
                bound.weight += u64::from(self.backend(id).spec.weight);
            }
        }
        let find = |bound: &Bound| {
            let eligible = |id| {
                let backend = self.backend(id);
                self.can_take(id, avoid) && bound.allows(backend.load(), backend.spec.weight)
            };
            match hash {
                Hash::Beelance => self.by_draw(pool, key, eligible),
                Hash::Haproxy => self.on_ring(pool, key, eligible),
            }
        };
        find(&bound).or_else(|| (factor > 0).then(|| find(&Bound { factor: 0, ..bound })).flatten())
    }

    /// The best draw.
    fn by_draw(&self, pool: PoolId, key: u32, eligible: impl Fn(BackendId) -> bool) -> Option<BackendId> {
        let mut best: Option<(Draw, BackendId)> = None;
        for &id in self.members(pool) {
            if eligible(id) {
                let spec = &self.backend(id).spec;
                let draw = Draw::of(key, spec.seed, spec.weight);
                if best.is_none_or(|(best, _)| draw.beats(&best)) {
                    best = Some((draw, id));
                }
            }
        }
        best.map(|(_, id)| id)
    }

    /// The nearest node.
    fn on_ring(&self, pool: PoolId, key: u32, eligible: impl Fn(BackendId) -> bool) -> Option<BackendId> {
        let members = self.members(pool);
        // A walk round the ring to find nobody would be long.
        if !members.iter().any(|&id| eligible(id)) {
            return None;
        }
        if let Tier::Backup(id) = self.pools[pool.index()].tier {
            return Some(id);
        }
        let of = |member: usize| members[member];
        let ring = &self.pools[pool.index()].ring;
        ring.find(key, |member| self.takes_free(of(member)), |member| eligible(of(member))).map(of)
    }
}
