//! Backends whose address comes and goes.

use super::*;

#[test]
fn one_that_takes_a_slot_starts_slowly_and_with_nothing_against_it() {
    for (slowstart_ms, over_ms) in [(0, 10_000), (20_000, 20_000)] {
        let pools = [PoolSpec { slowstart_ms, ..PoolSpec::default() }];
        let mut balancer = Balancer::new(&pools, vec![spec(1, 0), spec(1, 40)], 64);
        balancer.set_placed(BackendId(1), false, |_| ());
        assert_eq!((balancer.usable(POOL), balancer.is_healthy(BackendId(1))), ((1, 0), false));
        balancer.set_up(BackendId(1), true, |_| ());
        assert!(!balancer.is_up(BackendId(1)), "a probe gives it no address");
        balancer.set_up(BackendId(1), false, |_| ());
        balancer.set_agent_up(BackendId(1), false, |_| ());
        balancer.join(BackendId(1), 1_000, 10_000);
        balancer.set_placed(BackendId(1), true, |_| ());
        assert_eq!((balancer.usable(POOL), balancer.status(BackendId(1)).maxconn), ((2, 0), 1));
        balancer.advance(1_000 + over_ms / 2, |_| ());
        assert_eq!(balancer.status(BackendId(1)).maxconn, 20);
        assert_eq!(balancer.advance(1_000 + over_ms, |_| ()), None);
        assert_eq!(balancer.status(BackendId(1)).maxconn, 40);
    }
}

#[test]
fn slots_without_an_address_do_not_count_when_one_is_ejected() {
    let passive = PassiveSpec { observe: Observe::Http, error_limit: 1, eject_max: 40, eject_ms: 10 };
    let pools = [PoolSpec { passive, ..PoolSpec::default() }];
    let mut balancer = Balancer::new(&pools, vec![spec(1, 0); 4], 64);
    for id in [2, 3] {
        balancer.set_placed(BackendId(id), false, |_| ());
    }
    assert!(!balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()), "more than the share of two");
    for id in [2, 3] {
        balancer.set_placed(BackendId(id), true, |_| ());
    }
    assert!(balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()), "one of four");
}
