//! What would become of a request now, and what that is made from, without any effect.
//!
//! The decision is [`Balancer::place`]'s own, taken on the real tables; what it moves, whose turn it is and what is drawn, is
//! put back. What is told of the backends of the pool is what the algorithm compares.

use super::Algorithm;
use super::balancer::{Balancer, Pool, of_class};
use super::choose::Bound;
use super::clients::Line;
use super::hash::Hash;
use super::queue::Turn;
use super::rendezvous::Draw;
use super::state::Admin;
use super::wish::{Placement, Wish};
use crate::limits::{BackendId, MAX_BACKENDS, MAX_CLASS, MIN_CLASS, PoolId};

/// Why a backend can take a request that is bound to none, or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Free,
    /// It has no slot free.
    Full,
    /// It has more than its share of the load: keys bring it no more while another one has less.
    Share,
    /// It is on trial, and the request that decides is on its way.
    Trial,
    /// A backup, while it is not needed.
    Spare,
    /// Its weight is 0.
    Weightless,
    /// It drains.
    Drain,
    /// It rests.
    Maint,
    /// The traffic ejected it.
    Ejected,
    /// It has no address.
    Nowhere,
    /// Its probes or its agent say so.
    Down,
}

impl Standing {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Full => "full",
            Self::Share => "has its share (hash-balance-factor)",
            Self::Trial => "on trial, busy",
            Self::Spare => "a backup, not needed",
            Self::Weightless => "weight 0: its own users only",
            Self::Drain => "drains: its own users only",
            Self::Maint => "maint",
            Self::Ejected => "ejected by its traffic",
            Self::Nowhere => "has no address",
            Self::Down => "down",
        }
    }
}

/// A backend as a request finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: BackendId,
    /// Whether it can take a request that is bound to none.
    pub standing: Standing,
    /// What the algorithm compares, where it compares numbers: how near its turn is (`roundrobin`, the highest goes), the load
    /// for the weight in thousandths (`leastconn`, the lowest goes), the place in the order of the key (`beelance` hashes).
    pub score: Option<i32>,
    /// Requests in flight.
    pub serving: u32,
    /// At most so many at once, at the moment; 0 = unlimited.
    pub maxconn: u32,
    /// Requests bound to it that wait.
    pub queued: u32,
    /// Its weight, as configured or as changed since.
    pub weight: u16,
}

impl Balancer {
    /// What [`Balancer::place`] would say now.
    #[must_use]
    pub fn preview(&mut self, wish: &Wish) -> Placement {
        let at = wish.pool.index();
        let members = self.pools[at].members.iter();
        let turns: heapless::Vec<i32, MAX_BACKENDS> = members.map(|id| self.backends[id.index()].turn).collect();
        let (last, random) = (self.pools[at].last, self.random.clone());
        let placement = self.decide(wish);
        for (id, turn) in self.pools[at].members.iter().zip(turns) {
            self.backends[id.index()].turn = turn;
        }
        (self.pools[at].last, self.random) = (last, random);
        placement
    }

    /// How many of those who wait where this request would wait are served before it, as it stands.
    #[must_use]
    pub fn ahead(&self, wish: &Wish, placement: Placement) -> u32 {
        let pool = &self.pools[wish.pool.index()];
        let list = match placement {
            Placement::WaitForBackend(id, _) => &self.backend(id).waiting,
            Placement::WaitForPool(_) => &pool.waiting,
            Placement::Go(_) | Placement::Refused(_) => return 0,
        };
        let class = wish.class.clamp(MIN_CLASS, MAX_CLASS);
        let round = self.clients.round(Line { pool: wish.pool.0, class }, wish.client, pool.rounds[of_class(class)]);
        let turn = Turn { class, round, arrival: u64::MAX };
        let (mut count, mut at) = (0, list.head());
        while let Some(waiter) = at.filter(|&waiter| self.waiters.turn(waiter) < turn) {
            count += 1;
            at = self.waiters.next(list, waiter);
        }
        count
    }

    /// A backend as a request of its pool with this key finds it.
    #[must_use]
    pub fn candidate(&self, id: BackendId, key: Option<u32>) -> Candidate {
        let pool = self.backend(id).spec.pool;
        let algorithm = self.pools[pool.index()].spec.algorithm;
        let hashed = match (algorithm, key) {
            (Algorithm::Hash { hash, factor }, Some(key)) => Some((hash, factor, key)),
            _ => None,
        };
        let bound = hashed.filter(|(_, factor, _)| *factor > 0).map(|(_, factor, _)| self.bound(pool, factor));
        let backend = self.backend(id);
        let score = match (algorithm, hashed) {
            (Algorithm::RoundRobin | Algorithm::Hash { .. }, None) => {
                Some(backend.turn.saturating_add(i32::try_from(backend.pace.weight()).unwrap_or(0)))
            }
            // A key is in units of 1/4096 of a request for a weight of 1.
            (Algorithm::LeastConn, _) => {
                Some(i32::try_from(backend.key().saturating_mul(1_000) / 4_096).unwrap_or(i32::MAX))
            }
            (_, Some((Hash::Beelance, _, key))) => Some(self.rank(pool, id, key)),
            (Algorithm::Random | Algorithm::First, _) | (_, Some(_)) => None,
        };
        Candidate {
            id,
            standing: self.standing(id, bound.as_ref()),
            score,
            serving: backend.serving,
            maxconn: backend.pace.maxconn(),
            queued: backend.waiting.len(),
            weight: backend.pace.weight_set(),
        }
    }

    /// The place of a backend among those that take requests, in the order of a key; from 1 on.
    fn rank(&self, pool: PoolId, id: BackendId, key: u32) -> i32 {
        let draw = |id: BackendId| Draw::of(key, self.backend(id).spec.seed, self.backend(id).pace.weight());
        let beats = |&&other: &&BackendId| self.takes_free(other) && draw(other).beats(&mut draw(id));
        let better = self.members(pool).iter().filter(|other| **other != id).filter(beats).count();
        i32::try_from(better).unwrap_or(i32::MAX).saturating_add(1)
    }

    fn standing(&self, id: BackendId, bound: Option<&Bound>) -> Standing {
        let backend = self.backend(id);
        let Pool { tier, .. } = &self.pools[backend.spec.pool.index()];
        let state = &backend.state;
        match () {
            () if state.admin() == Admin::Maint => Standing::Maint,
            () if !state.placed => Standing::Nowhere,
            () if !state.takes() && state.watch.is_out() => Standing::Ejected,
            () if !state.takes() => Standing::Down,
            () if state.admin() == Admin::Drain => Standing::Drain,
            () if !backend.pace.takes_users() => Standing::Weightless,
            () if !tier.takes(id, backend) => Standing::Spare,
            () if !state.watch.has_room() => Standing::Trial,
            () if !backend.has_slot() => Standing::Full,
            () if bound.is_some_and(|bound| !bound.allows(backend)) => Standing::Share,
            () => Standing::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::{FREE, balancer, spec, wish};
    use super::super::{Admin, Authority, BackendSpec};
    use super::*;

    fn standings(balancer: &Balancer, key: Option<u32>) -> Vec<&'static str> {
        let members = balancer.members(super::super::cases::POOL);
        members.iter().map(|&id| balancer.candidate(id, key).standing.words()).collect()
    }

    #[test]
    fn why_a_backend_takes_nothing() {
        let backup = BackendSpec { backup: true, ..spec(1, 0) };
        let specs = vec![spec(1, 1), spec(0, 0), backup, spec(1, 0), spec(1, 0), spec(1, 0), spec(1, 0), spec(1, 1)];
        let mut balancer = balancer(Algorithm::First, specs);
        balancer.set_up(BackendId(3), false, |_| ());
        balancer.set_admin(BackendId(4), Authority::Operator, Admin::Drain, |_| ());
        balancer.set_admin(BackendId(5), Authority::Agent, Admin::Maint, |_| ());
        balancer.set_placed(BackendId(6), false, |_| ());
        assert_eq!(balancer.place(FREE), Placement::Go(BackendId(0)));
        let expected = [
            "full",
            "weight 0: its own users only",
            "a backup, not needed",
            "down",
            "drains: its own users only",
            "maint",
            "has no address",
            "free",
        ];
        assert_eq!(standings(&balancer, None), expected);
        assert_eq!(balancer.preview(&FREE), Placement::Go(BackendId(7)));
    }

    #[test]
    fn what_each_algorithm_compares() {
        let scores = |balancer: &Balancer, key| {
            let members = balancer.members(super::super::cases::POOL);
            members.iter().map(|&id| balancer.candidate(id, key).score).collect::<Vec<_>>()
        };
        let mut turns = balancer(Algorithm::RoundRobin, vec![spec(2, 0), spec(1, 0)]);
        assert_eq!(scores(&turns, None), [Some(32), Some(16)]);
        assert_eq!(turns.place(FREE), Placement::Go(BackendId(0)));
        assert_eq!(scores(&turns, None), [Some(16), Some(32)]);
        let mut loads = balancer(Algorithm::LeastConn, vec![spec(2, 0), spec(1, 0)]);
        for _ in 0..3 {
            let _ = loads.place(FREE);
        }
        // Two of weight 2 and one of weight 1: three halves and two.
        assert_eq!(scores(&loads, None), [Some(1500), Some(2000)]);
        let hash = Algorithm::Hash { hash: Hash::Beelance, factor: 0 };
        let keys = balancer(hash, vec![spec(1, 0); 4]);
        let mut ranks = scores(&keys, Some(7));
        ranks.sort_unstable();
        assert_eq!(ranks, [1, 2, 3, 4].map(Some));
        // Without a key they take turns.
        assert_eq!(scores(&keys, None), [Some(16); 4]);
        for algorithm in [Algorithm::Random, Algorithm::First] {
            assert_eq!(scores(&balancer(algorithm, vec![spec(1, 0)]), None), [None]);
        }
    }

    #[test]
    fn the_class_and_the_round_of_a_client_say_who_is_ahead() {
        let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
        let of = |waiter, client, class| Wish { client, class, ..wish(waiter, None) };
        assert_eq!(balancer.place(of(0, 1, 0)), Placement::Go(BackendId(0)));
        for waiter in 1..4 {
            assert_eq!(balancer.place(of(waiter, 1, 0)), Placement::WaitForPool(u32::from(waiter) - 1));
        }
        let mut ahead = |client, class| {
            let wish = of(9, client, class);
            let placement = balancer.preview(&wish);
            assert_eq!(placement, Placement::WaitForPool(3));
            balancer.ahead(&wish, placement)
        };
        // His own come one round later each; somebody else is behind the first of them alone; a lower class is first.
        assert_eq!([ahead(1, 0), ahead(2, 0), ahead(2, -1), ahead(2, 1)], [3, 1, 0, 3]);
    }
}
