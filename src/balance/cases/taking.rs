//! Who takes requests: drained, without weight, down from the start, backups and those on trial; and in what order.

use super::super::random::Random;
use super::*;

#[test]
fn a_backup_gets_nothing_beside_an_active_one() {
    let backup = BackendSpec { backup: true, ..spec(1, 0) };
    let mut balancer = balancer(Algorithm::RoundRobin, vec![backup.clone(), spec(1, 0), spec(1, 0), backup]);
    assert_eq!([(); 6].map(|()| go(&mut balancer)), [1, 2, 1, 2, 1, 2]);
    assert_eq!(balancer.usable(POOL), (2, 2));
    balancer.set_weight(BackendId(1), 0, |_| ());
    assert_eq!((balancer.usable(POOL), go(&mut balancer)), ((1, 2), 2));
}

#[test]
fn one_that_drains_keeps_its_users_and_takes_no_new_ones() {
    for by in [Authority::Operator, Authority::Agent] {
        let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0), spec(1, 0)]);
        balancer.set_admin(BackendId(0), by, Admin::Drain, |_| ());
        assert_eq!([(); 3].map(|()| go(&mut balancer)), [1, 1, 1]);
        assert_eq!(balancer.usable(POOL), (1, 0));
        assert_eq!(balancer.place(wish(0, Some(BackendId(0)))), Placement::Go(BackendId(0)));
        balancer.set_admin(BackendId(1), by, Admin::Drain, |_| ());
        assert_eq!(balancer.place(FREE), Placement::Refused(Refused::NoBackend));
    }
}

#[test]
fn one_that_is_down_from_the_start_takes_nothing() {
    let down = BackendSpec { up: false, ..spec(1, 0) };
    let mut two = balancer(Algorithm::RoundRobin, vec![down.clone(), spec(1, 0)]);
    assert_eq!([(); 2].map(|()| go(&mut two)), [1, 1]);
    assert_eq!(balancer(Algorithm::RoundRobin, vec![down]).place(FREE), Placement::Refused(Refused::NoBackend));
}

const PASSIVE: PassiveSpec = PassiveSpec { observe: Observe::Http, error_limit: 1, eject_max: 50, eject_ms: 10 };

fn watched(backends: Vec<BackendSpec>) -> Balancer {
    Balancer::new(&[PoolSpec { passive: PASSIVE, ..PoolSpec::default() }], backends, 64)
}

#[test]
fn one_on_trial_is_tried_beside_the_backup_that_stands_in_for_it() {
    let mut balancer = watched(vec![spec(1, 0), BackendSpec { backup: true, ..spec(1, 0) }]);
    assert!(balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()));
    assert_eq!([(); 2].map(|()| go(&mut balancer)), [1, 1]);
    balancer.begin_trials(10, |_| ());
    let trial: Vec<u8> = [(); 3].map(|()| go(&mut balancer)).into_iter().filter(|&id| id == 0).collect();
    assert_eq!(trial, [0], "one request");
}

#[test]
fn who_avoids_the_backup_that_stands_in_holds_up_nobody_behind_him() {
    let mut balancer = watched(vec![spec(1, 1), spec(1, 1), BackendSpec { backup: true, ..spec(1, 1) }]);
    assert!(balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()));
    balancer.begin_trials(10, |_| ());
    assert_eq!([(); 2].map(|()| go(&mut balancer)), [0, 1], "the trial, and the only one that is trusted");
    balancer.place(Wish { avoid: Some(BackendId(2)), ..wish(1, None) });
    balancer.place(wish(2, None));
    let mut woken = Vec::new();
    balancer.set_up(BackendId(1), false, |waiter| woken.push(waiter));
    assert_eq!((&woken[..], balancer.answer(2)), (&[2][..], Some(Answer::Granted(BackendId(2)))));
    balancer.check_invariants();
}

#[test]
fn one_without_weight_is_not_pardoned_for_new_users() {
    let mut balancer = watched(vec![spec(0, 0), spec(1, 0)]);
    assert!(balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()));
    balancer.set_up(BackendId(1), false, |_| ());
    assert!(!balancer.is_up(BackendId(0)));
    balancer.set_weight(BackendId(0), 1, |_| ());
    assert_eq!(go(&mut balancer), 0, "now it is");
}

#[test]
fn a_backend_that_was_full_keeps_its_place_and_no_more() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 0), spec(1, 0)]);
    assert_eq!([(); 7].map(|()| go(&mut balancer)), [0, 1, 2, 1, 2, 1, 2]);
    balancer.release(BackendId(0), |_| ());
    let next = [(); 6].map(|()| {
        let id = go(&mut balancer);
        balancer.release(BackendId(id), |_| ());
        id
    });
    assert_eq!(next, [1, 2, 0, 1, 2, 0]);
}

#[test]
fn least_conn_counts_the_request_to_be_placed_and_takes_equals_in_turn() {
    let mut weighted = balancer(Algorithm::LeastConn, vec![spec(3, 0), spec(1, 0)]);
    for id in [0, 0, 0, 0, 1] {
        weighted.place(wish(0, Some(BackendId(id))));
    }
    // (4 + 1) / 3 is less than (1 + 1) / 1, though 4 / 3 is more than 1 / 1.
    assert_eq!(go(&mut weighted), 0);
    let mut even = balancer(Algorithm::LeastConn, vec![spec(1, 0); 3]);
    let order = [(); 6].map(|()| {
        let id = go(&mut even);
        even.release(BackendId(id), |_| ());
        id
    });
    assert_eq!(order, [1, 2, 0, 1, 2, 0]);
}

#[test]
fn seeds_decide_what_random_draws() {
    let drawn = |seed| {
        let mut balancer = balancer(Algorithm::Random, vec![spec(1, 0); 4]).seeded(seed);
        [(); 16].map(|()| go(&mut balancer))
    };
    assert_eq!(drawn(2), drawn(2));
    assert_ne!(drawn(2), drawn(3));
}

#[test]
fn of_two_draws_that_are_equally_loaded_the_first_goes() {
    let mut balancer = balancer(Algorithm::Random, vec![spec(1, 0); 4]).seeded(7);
    let mut random = Random::new(7);
    for _ in 0..32 {
        let [first, _] = [(); 2].map(|()| random.below(4));
        let id = go(&mut balancer);
        assert_eq!(u64::from(id), first);
        balancer.release(BackendId(id), |_| ());
    }
}

#[test]
fn a_slow_start_is_looked_at_again_when_the_soonest_step_is_due() {
    let pools = [10_000, 4_000, 0].map(|slowstart_ms| PoolSpec { slowstart_ms, ..PoolSpec::default() });
    let specs = (0..3).map(|pool| BackendSpec { pool: PoolId(pool), up: false, ..spec(1, 0) });
    let mut balancer = Balancer::new(&pools, specs.collect(), 64);
    assert_eq!([0, 1, 2].map(|id| balancer.start_slowly(BackendId(id), 0)), [true, true, false]);
    assert_eq!(balancer.advance(0, |_| ()), Some(200), "a twentieth of four seconds");
    assert_eq!(balancer.advance(5_000, |_| ()), Some(5_500));
}

#[test]
fn each_voice_takes_back_only_what_it_said() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0)]);
    let id = BackendId(0);
    balancer.set_agent_up(id, false, |_| ());
    balancer.set_up(id, true, |_| ());
    assert!(!balancer.is_up(id) && !balancer.is_healthy(id), "its agent says down");
    balancer.set_up(id, false, |_| ());
    balancer.set_agent_up(id, true, |_| ());
    assert!(!balancer.is_up(id), "the probes say down");
    balancer.set_up(id, true, |_| ());
    balancer.set_admin(id, Authority::Operator, Admin::Maint, |_| ());
    balancer.set_admin(id, Authority::Agent, Admin::Ready, |_| ());
    assert_eq!((balancer.is_up(id), balancer.is_healthy(id), balancer.admin(id)), (false, true, Admin::Maint));
    balancer.set_admin(id, Authority::Agent, Admin::Drain, |_| ());
    balancer.set_admin(id, Authority::Operator, Admin::Ready, |_| ());
    assert_eq!((balancer.is_up(id), balancer.admin(id)), (true, Admin::Drain));
}

#[test]
fn a_probe_that_goes_well_ends_a_trial_at_once() {
    let mut balancer = watched(vec![spec(1, 0), BackendSpec { backup: true, ..spec(1, 0) }]);
    assert!(balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()));
    balancer.begin_trials(10, |_| ());
    balancer.probed_well(BackendId(0), |_| ());
    assert_eq!([(); 3].map(|()| go(&mut balancer)), [0; 3], "the backup is not needed");
}

#[test]
fn the_last_one_that_is_trusted_is_never_ejected_and_no_more_than_the_share() {
    let backends = || vec![spec(1, 0); 4];
    // What may be ejected, and how many of four that fail are.
    for (eject_max, ejected) in [(0, 0), (24, 0), (25, 1), (49, 1), (50, 2), (100, 3)] {
        let mut balancer = watched(backends());
        balancer.pools[0].spec.passive.eject_max = eject_max;
        let count = (0..4).filter(|&id| balancer.saw(BackendId(id), Seen::Broken, u64::from(id), |_| ())).count();
        assert_eq!(count, ejected, "{eject_max} percent");
        assert_eq!(balancer.next_trial_ms(), (ejected > 0).then_some(10), "the soonest");
        // On trial they are trusted no more than before.
        balancer.begin_trials(100, |_| ());
        assert!(!balancer.saw(BackendId(3), Seen::Broken, 100, |_| ()), "{eject_max} percent");
        balancer.check_invariants();
    }
}

#[test]
fn one_that_is_down_as_well_is_not_pardoned() {
    let mut balancer = watched(vec![spec(1, 0), spec(1, 0)]);
    let (ejected, other) = (BackendId(0), BackendId(1));
    assert!(balancer.saw(ejected, Seen::Broken, 0, |_| ()));
    balancer.set_up(ejected, false, |_| ());
    balancer.set_up(other, false, |_| ());
    balancer.set_up(other, true, |_| ());
    balancer.set_up(ejected, true, |_| ());
    assert!(!balancer.is_up(ejected), "its time is not over");
    balancer.set_up(other, false, |_| ());
    assert_eq!(go(&mut balancer), 0, "it is better than none");
}
