//! Redirects: what a backend that sends its clients elsewhere is loaded with.
//!
//! Such a client is served for a while, but nobody here sees for how long. So a redirect counts like a request in flight,
//! for [`WINDOW_S`] seconds: in the load that algorithms compare, in the bound of a hash, and towards `maxconn`.

use super::balancer::Balancer;
use super::tier::Tier;
use super::wish::Room;
use crate::limits::{BackendId, PoolId};

/// Seconds for which a redirect counts.
const WINDOW_S: usize = 10;

/// The redirects of the last seconds, by second.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    counts: [u16; WINDOW_S],
    /// The second of the latest count.
    second: u64,
}

impl Window {
    /// Lets time pass; how many fall out of the window.
    fn pass(&mut self, now_ms: u64) -> u32 {
        let second = now_ms / 1_000;
        let mut gone = 0;
        for late in (self.second + 1..=second).take(WINDOW_S) {
            gone += u32::from(std::mem::take(self.at(late)));
        }
        self.second = self.second.max(second);
        gone
    }

    /// One more, now; false where so many in a second are not counted.
    fn add(&mut self) -> bool {
        let now = self.second;
        let count = self.at(now);
        let more = count.checked_add(1);
        *count = more.unwrap_or(*count);
        more.is_some()
    }

    fn at(&mut self, second: u64) -> &mut u16 {
        // The remainder is below the window's length.
        &mut self.counts[usize::try_from(second % WINDOW_S as u64).unwrap_or(0)]
    }
}

impl Balancer {
    /// A backend redirects from now on: its redirects are counted.
    pub fn begin_redirects(&mut self, id: BackendId) {
        self.backends[id.index()].window = Some(Box::default());
    }

    /// A backend that was just given a request sends the client elsewhere. The slot is to be given back behind this.
    pub fn redirected(&mut self, id: BackendId, now_ms: u64) {
        let backend = &mut self.backends[id.index()];
        if let Some(window) = &mut backend.window {
            backend.redirects -= window.pass(now_ms);
            backend.redirects += u32::from(window.add());
        }
    }

    /// Lets the redirects of a pool's backends grow old; who waited for the room they give gets it.
    pub fn forget_redirects(&mut self, pool: PoolId, now_ms: u64, wake: &mut dyn FnMut(u16)) {
        for at in 0..self.members(pool).len() {
            let id = self.members(pool)[at];
            self.pass(id, now_ms, wake);
        }
    }

    /// The same for one backend; when to look again, while somebody waits for that.
    #[inline(never)]
    pub(super) fn pass(&mut self, id: BackendId, now_ms: u64, mut wake: &mut dyn FnMut(u16)) -> Option<u64> {
        let backend = &mut self.backends[id.index()];
        let gone = backend.window.as_mut()?.pass(now_ms);
        backend.redirects -= gone;
        if gone > 0 {
            self.serve_more(id, &mut wake);
        }
        let backend = self.backend(id);
        let waits = backend.redirects > 0 && self.pools[backend.spec.pool.index()].queued > 0;
        waits.then_some((now_ms / 1_000 + 1) * 1_000)
    }

    /// Redirects of a backend that still count.
    #[must_use]
    pub fn redirects(&self, id: BackendId) -> u32 {
        self.backend(id).redirects
    }

    /// Whether a pool could take one more request that is bound to none.
    #[must_use]
    pub fn room(&self, pool: PoolId) -> Room {
        let of_pool = &self.pools[pool.index()];
        match of_pool.tier {
            Tier::Nobody => Room::Nobody,
            Tier::Active | Tier::Backup(_) if of_pool.has_room() && self.any_free(pool) => Room::Slot,
            Tier::Active | Tier::Backup(_) => Room::Queue(of_pool.queued),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{Algorithm, BackendSpec, Hash, Placement, PoolSpec, Wish};
    use proptest::prelude::*;

    /// One pool of so many backends, all of which redirect, for so many at once.
    fn balancer(backends: u8, maxconn: u32, algorithm: Algorithm) -> Balancer {
        let spec = |id: u8| BackendSpec {
            pool: PoolId(0),
            weight: 1,
            maxconn,
            auto: None,
            maxqueue: 0,
            backup: false,
            cookie: Box::default(),
            seed: Hash::Beelance.of(&[&[id]]),
            up: true,
        };
        let pool = PoolSpec { algorithm, ..PoolSpec::default() };
        let mut balancer = Balancer::new(&[pool], (0..backends).map(spec).collect(), 8);
        (0..backends).for_each(|id| balancer.begin_redirects(BackendId(id)));
        balancer
    }

    fn wish(waiter: u16, key: Option<u32>) -> Wish {
        Wish { waiter, pool: PoolId(0), key, sticky: None, avoid: None, may_move: true, client: 0, class: 0 }
    }

    /// Places a request and redirects it, at `now_ms`; where, if it need not wait.
    fn redirect(balancer: &mut Balancer, key: Option<u32>, now_ms: u64) -> Option<BackendId> {
        balancer.forget_redirects(PoolId(0), now_ms, &mut |_| ());
        match balancer.place(wish(0, key)) {
            Placement::Go(id) => {
                balancer.redirected(id, now_ms);
                balancer.release(id, |_| ());
                Some(id)
            }
            _ => {
                balancer.leave(0, |_| ());
                None
            }
        }
    }

    #[test]
    fn a_popular_key_spreads_and_comes_home_again() {
        let mut balancer = balancer(4, 0, Algorithm::Hash { hash: Hash::Beelance, factor: 125 });
        let home = redirect(&mut balancer, Some(7), 0).unwrap();
        for _ in 0..399 {
            redirect(&mut balancer, Some(7), 500).unwrap();
        }
        let counts: Vec<u32> = (0..4).map(|id| balancer.redirects(BackendId(id))).collect();
        assert_eq!(counts.iter().sum::<u32>(), 400);
        assert_eq!(counts.iter().max(), Some(&125), "a hundred and a quarter: {counts:?}");
        assert_eq!(redirect(&mut balancer, Some(7), 10_000), Some(home), "they are forgotten");
        assert_eq!(balancer.redirects(home), 1);
    }

    #[test]
    fn maxconn_is_how_many_the_window_has() {
        let mut balancer = balancer(2, 3, Algorithm::LeastConn);
        for at in 0..6 {
            assert_eq!(balancer.room(PoolId(0)), Room::Slot);
            assert!(redirect(&mut balancer, None, at * 1_000).is_some());
        }
        assert_eq!(balancer.room(PoolId(0)), Room::Queue(0));
        assert_eq!(redirect(&mut balancer, None, 9_999), None);
        assert!(redirect(&mut balancer, None, 10_000).is_some(), "that of the first second is forgotten");
        assert_eq!(redirect(&mut balancer, None, 10_999), None);
        [0, 1].into_iter().for_each(|id| balancer.set_up(BackendId(id), false, |_| ()));
        assert_eq!(balancer.room(PoolId(0)), Room::Nobody);
    }

    #[test]
    fn who_waits_is_served_when_one_is_forgotten() {
        let mut balancer = balancer(1, 1, Algorithm::RoundRobin);
        assert!(redirect(&mut balancer, None, 1_700).is_some());
        assert_eq!(balancer.advance(1_900, |_| ()), None, "nobody waits");
        assert_eq!(balancer.place(wish(3, None)), Placement::WaitForPool(0));
        let mut woken = Vec::new();
        assert_eq!(balancer.advance(2_100, |waiter| woken.push(waiter)), Some(3_000));
        assert_eq!(balancer.advance(11_000, |waiter| woken.push(waiter)), None);
        assert_eq!(woken, [3]);
    }

    #[test]
    fn a_redirect_is_of_the_second_in_which_it_was_made() {
        let mut balancer = balancer(1, 0, Algorithm::RoundRobin);
        let id = BackendId(0);
        assert_eq!(balancer.place(wish(0, None)), Placement::Go(id));
        balancer.redirected(id, 5_000);
        balancer.release(id, |_| ());
        let left = [14_999, 15_000].map(|now_ms| {
            balancer.forget_redirects(PoolId(0), now_ms, &mut |_| ());
            balancer.redirects(id)
        });
        assert_eq!(left, [1, 0]);
    }

    #[test]
    fn an_earlier_time_takes_nothing_back() {
        let mut window = Window::default();
        window.pass(5_000);
        assert!(window.add());
        assert_eq!([3_000, 6_000, 14_999, 15_000].map(|now_ms| window.pass(now_ms)), [0, 0, 0, 1]);
    }

    #[test]
    fn what_one_second_cannot_count_is_not_taken_back() {
        let mut window = Window::default();
        let counted = (0..70_000).filter(|_| window.add()).count();
        assert_eq!((counted, window.pass(10_000)), (65_535, 65_535));
    }

    proptest! {
        /// The window counts what a list of all redirects would.
        #[test]
        fn like_a_plain_list(steps in prop::collection::vec((0u64..4_000, 0u8..3), 1..200)) {
            let mut balancer = balancer(1, 0, Algorithm::RoundRobin);
            let (mut all, mut now_ms) = (Vec::new(), 0);
            for (pass_ms, count) in steps {
                now_ms += pass_ms;
                for _ in 0..count {
                    redirect(&mut balancer, None, now_ms);
                    all.push(now_ms / 1_000);
                }
                balancer.forget_redirects(PoolId(0), now_ms, &mut |_| ());
                let recent = all.iter().filter(|&&second| second + WINDOW_S as u64 > now_ms / 1_000).count();
                prop_assert_eq!(balancer.redirects(BackendId(0)) as usize, recent);
            }
        }
    }
}
