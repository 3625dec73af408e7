//! What a preview says comes true, and to ask changes nothing: for the simulations to check at every request.

use super::balancer::Balancer;
use super::hash::Hash;
use super::preview::{Candidate, Standing};
use super::queue::List;
use super::wish::{Placement, Wish};
use super::{Algorithm, PoolSpec};
use crate::limits::BackendId;

/// What was said about a request.
pub(super) struct Foretold {
    placement: Placement,
    ahead: u32,
    candidates: Vec<Candidate>,
}

impl Balancer {
    /// All that a preview could change by mistake.
    fn fingerprint(&self) -> Vec<u64> {
        let list = |list: &List| [u64::from(list.len()), u64::from(list.most()), list.head().map_or(9_999, u64::from)];
        let mut all = vec![self.arrivals, self.random.clone().below(1 << 32)];
        for backend in &self.backends {
            let turn = u64::from(backend.turn.cast_unsigned());
            let counts = [backend.serving, backend.most_serving, backend.redirects].map(u64::from);
            all.extend([turn, backend.total].into_iter().chain(counts).chain(list(&backend.waiting)));
        }
        for pool in &self.pools {
            let counts = [pool.last as u64, pool.serving.into(), pool.queued.into()];
            all.extend(counts.into_iter().chain(list(&pool.waiting)).chain(list(&pool.late)).chain(pool.rounds));
        }
        all
    }

    /// Asks what would become of a request.
    pub(super) fn foretell(&mut self, wish: &Wish) -> Foretold {
        let before = self.fingerprint();
        let placement = self.preview(wish);
        let candidates = self.members(wish.pool).iter().map(|&id| self.candidate(id, wish.key)).collect();
        let foretold = Foretold { placement, ahead: self.ahead(wish, placement), candidates };
        assert_eq!(self.fingerprint(), before, "to ask has an effect");
        self.check_invariants();
        foretold
    }

    /// Checks what was said against what became of the request.
    pub(super) fn check_foretold(&self, foretold: &Foretold, wish: &Wish, placement: Placement) {
        assert_eq!(foretold.placement, placement);
        let pool = &self.pools[wish.pool.index()];
        let list = match placement {
            Placement::Go(id) if wish.sticky == Some(id) => return,
            Placement::Go(id) => return foretold.check_choice(&pool.spec, wish, id),
            Placement::WaitForBackend(id, _) => &self.backend(id).waiting,
            Placement::WaitForPool(_) => {
                let is_free = |it: &&Candidate| is_eligible(it) && wish.avoid != Some(it.id);
                let free = foretold.candidates.iter().find(is_free);
                assert!(free.is_none() || !pool.has_room(), "it waits beside {free:?}");
                &pool.waiting
            }
            Placement::Refused(_) => return,
        };
        let place = self.waiters.iter(list).position(|waiter| waiter == wish.waiter);
        assert_eq!(place, Some(foretold.ahead as usize), "its place in the queue");
    }
}

/// Whether it may be given a request at all.
fn is_eligible(it: &Candidate) -> bool {
    matches!(it.standing, Standing::Free | Standing::Share)
}

impl Foretold {
    /// The choice has the best score of those that could have been chosen.
    fn check_choice(&self, spec: &PoolSpec, wish: &Wish, id: BackendId) {
        let could = |standing: Standing| {
            let all = self.candidates.iter().filter(move |it| it.standing == standing);
            all.filter(|it| wish.avoid != Some(it.id) || it.id == id).copied().collect::<Vec<_>>()
        };
        let [free, share] = [Standing::Free, Standing::Share].map(could);
        let could = if free.is_empty() { share } else { free };
        let chosen = could.iter().find(|it| it.id == id);
        let chosen = chosen.unwrap_or_else(|| panic!("{id:?} was not free: {:?}", self.candidates));
        let scores = || could.iter().filter_map(|it| it.score);
        match (spec.algorithm, wish.key) {
            (Algorithm::RoundRobin, _) | (Algorithm::Hash { .. }, None) => {
                let first = could.iter().find(|it| it.score == scores().max());
                assert_eq!(first, Some(chosen), "{could:?}");
            }
            (Algorithm::LeastConn, _) | (Algorithm::Hash { hash: Hash::Beelance, .. }, Some(_)) => {
                assert_eq!(chosen.score, scores().min(), "{could:?}");
            }
            (Algorithm::First, _) => assert_eq!(could.first(), Some(chosen)),
            (Algorithm::Random | Algorithm::Hash { hash: Hash::Haproxy, .. }, _) => {}
        }
    }
}
