//! Who waits: whose turn it is, where he goes when it comes, and that he is told once.

use super::*;

#[test]
fn who_left_is_in_no_list_and_told_nothing() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
    go(&mut balancer);
    balancer.place(wish(1, None));
    balancer.place(wish(2, None));
    balancer.leave(1, |_| panic!("no slot is free"));
    balancer.leave(1, |_| panic!("no slot is free"));
    assert_eq!(balancer.queued(POOL), 1);
    balancer.check_invariants();
    balancer.set_up(BackendId(0), false, |waiter| assert_eq!(waiter, 2));
    balancer.leave(2, |_| panic!("no slot is free"));
    assert_eq!(balancer.answer(2), None, "he left before he was told");
}

#[test]
fn of_two_clients_who_came_first_is_first_whatever_he_is_bound_to() {
    for (one, other) in [(None, Some(BackendId(0))), (Some(BackendId(0)), None)] {
        let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
        go(&mut balancer);
        balancer.place(Wish { client: 7, ..wish(1, one) });
        balancer.place(Wish { client: 8, ..wish(2, other) });
        assert_eq!(served(&mut balancer, 2), [1, 2], "{one:?} {other:?}");
    }
}

#[test]
fn classes_out_of_range_are_the_last_within() {
    for (beyond, last) in [(127, 10), (-128, -10)] {
        let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
        go(&mut balancer);
        for (waiter, class) in [(1, last), (2, beyond), (3, last)] {
            balancer.place(Wish { class, ..wish(waiter, None) });
        }
        assert_eq!(served(&mut balancer, 3), [1, 2, 3], "{beyond}");
    }
}

/// Two backends with one slot, which is taken.
fn two_busy() -> Balancer {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    balancer
}

fn queue(balancer: &mut Balancer, waiter: u16, client: u64, class: i8, id: u8) {
    assert!(matches!(
        balancer.place(Wish { client, class, ..wish(waiter, Some(BackendId(id))) }),
        Placement::WaitForBackend(..)
    ));
}

fn next(balancer: &mut Balancer, id: u8) -> Vec<u16> {
    let mut woken = Vec::new();
    balancer.release(BackendId(id), |waiter| woken.push(waiter));
    woken
}

#[test]
fn a_late_grant_of_an_early_round_does_not_let_newcomers_overtake() {
    let mut balancer = two_busy();
    queue(&mut balancer, 1, 7, 0, 0);
    (2..=4).for_each(|waiter| queue(&mut balancer, waiter, 8, 0, 1));
    assert_eq!([(); 3].map(|()| next(&mut balancer, 1)), [[2], [3], [4]], "the third round");
    queue(&mut balancer, 5, 8, 0, 1);
    assert_eq!(next(&mut balancer, 0), [1], "of the first round");
    queue(&mut balancer, 6, 9, 0, 1);
    assert_eq!([(); 2].map(|()| next(&mut balancer, 1)), [[5], [6]]);
}

#[test]
fn each_class_has_rounds_of_its_own() {
    let mut balancer = two_busy();
    (1..=2).for_each(|waiter| queue(&mut balancer, waiter, 8, -3, 0));
    (3..=5).for_each(|waiter| queue(&mut balancer, waiter, 7, 3, 1));
    assert_eq!([(); 3].map(|()| next(&mut balancer, 1)), [[3], [4], [5]], "three rounds of another class");
    queue(&mut balancer, 6, 9, -3, 0);
    assert_eq!([(); 3].map(|()| next(&mut balancer, 0)), [[1], [6], [2]]);
}

#[test]
fn who_is_unbound_keeps_his_turn_and_avoids_who_failed_him() {
    let mut one = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
    go(&mut one);
    one.place(wish(1, Some(BackendId(0))));
    one.place(wish(2, None));
    one.unbind(1, |_| panic!("it is full"));
    assert_eq!(served(&mut one, 2), [1, 2]);
    let mut three = balancer(Algorithm::RoundRobin, vec![spec(1, 1); 3]);
    assert_eq!([(); 3].map(|()| go(&mut three)), [0, 1, 2]);
    three.release(BackendId(1), |_| ());
    three.place(Wish { avoid: Some(BackendId(1)), ..wish(1, Some(BackendId(0))) });
    three.unbind(1, |_| panic!("only the one that failed him is free"));
    three.check_invariants();
    assert_eq!(next(&mut three, 2), [1]);
}

#[test]
fn who_is_unbound_goes_before_a_client_who_came_behind_him() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
    go(&mut balancer);
    balancer.place(Wish { client: 7, ..wish(1, Some(BackendId(0))) });
    balancer.place(Wish { client: 8, ..wish(2, None) });
    balancer.unbind(1, |_| panic!("it is full"));
    assert_eq!(served(&mut balancer, 2), [1, 2]);
}

#[test]
fn who_is_unbound_gets_the_one_that_failed_him_when_his_own_takes_no_others() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(0, 1), spec(1, 1)]);
    assert_eq!(balancer.place(wish(0, Some(BackendId(0)))), Placement::Go(BackendId(0)));
    balancer.place(Wish { avoid: Some(BackendId(1)), ..wish(1, Some(BackendId(0))) });
    let mut woken = Vec::new();
    balancer.unbind(1, |waiter| woken.push(waiter));
    assert_eq!((&woken[..], balancer.answer(1)), (&[1][..], Some(Answer::Granted(BackendId(1)))));
}

#[test]
fn who_is_unbound_in_a_full_pool_waits_for_its_room() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    balancer.pools[0].spec.maxconn = 1;
    assert_eq!(go(&mut balancer), 0);
    balancer.place(wish(1, Some(BackendId(0))));
    balancer.unbind(1, |_| panic!("the pool is full"));
    assert_eq!(next(&mut balancer, 0), [1]);
}

/// Two full backends, and one who is late for the first.
fn one_late() -> Balancer {
    let mut balancer = two_busy();
    queue(&mut balancer, 1, 7, 0, 0);
    balancer.unbind(1, |_| panic!("all are full"));
    balancer.check_invariants();
    balancer
}

fn told(balancer: &mut Balancer, waiter: u16) -> (Option<Answer>, Option<BackendId>) {
    (balancer.answer(waiter), balancer.left(waiter))
}

#[test]
fn who_is_late_is_served_at_home_in_his_turn_as_if_he_had_gone_on_waiting() {
    let mut balancer = one_late();
    queue(&mut balancer, 2, 8, 0, 0);
    queue(&mut balancer, 3, 8, 0, 1);
    assert_eq!([next(&mut balancer, 1), next(&mut balancer, 0)], [[3], [1]]);
    assert_eq!(told(&mut balancer, 1), (Some(Answer::Granted(BackendId(0))), None));
    // He is among the late ones no more.
    assert_eq!([next(&mut balancer, 1), next(&mut balancer, 0)], [vec![], vec![2]]);
    balancer.check_invariants();
}

#[test]
fn late_ones_and_free_ones_take_turns_where_nobody_is_bound() {
    let mut balancer = two_busy();
    balancer.place(wish(1, None));
    queue(&mut balancer, 2, 8, 0, 0);
    balancer.place(Wish { client: 9, ..wish(3, None) });
    queue(&mut balancer, 4, 10, -1, 0);
    [2, 4].into_iter().for_each(|waiter| balancer.unbind(waiter, |_| panic!("all are full")));
    assert_eq!([(); 4].map(|()| next(&mut balancer, 1)), [[4], [1], [2], [3]]);
    assert_eq!([4, 1, 2].map(|waiter| balancer.left(waiter)), [Some(BackendId(0)), None, Some(BackendId(0))]);
}

#[test]
fn who_is_late_and_leaves_is_late_no_more() {
    let mut balancer = one_late();
    balancer.leave(1, |_| panic!("he had no slot"));
    balancer.check_invariants();
    assert!(next(&mut balancer, 1).is_empty());
}

#[test]
fn whose_home_goes_down_while_he_is_late_moves_for_good() {
    for rests in [false, true] {
        let mut balancer = one_late();
        match rests {
            true => balancer.set_admin(BackendId(0), Authority::Operator, Admin::Maint, |_| panic!("all are full")),
            false => balancer.set_up(BackendId(0), false, |_| panic!("all are full")),
        }
        balancer.check_invariants();
        assert_eq!((balancer.queued(POOL), next(&mut balancer, 1)), (1, vec![1]));
        assert_eq!(told(&mut balancer, 1), (Some(Answer::Granted(BackendId(1))), None), "bound no longer");
    }
}

#[test]
fn one_that_comes_up_or_takes_users_again_serves_who_is_late() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(0, 1)]);
    go(&mut balancer);
    queue(&mut balancer, 1, 7, 0, 0);
    balancer.unbind(1, |_| panic!("the other one takes no users"));
    balancer.check_invariants();
    let mut woken = Vec::new();
    balancer.set_weight(BackendId(1), 1, |waiter| woken.push(waiter));
    assert_eq!(
        (&woken[..], told(&mut balancer, 1)),
        (&[1][..], (Some(Answer::Granted(BackendId(1))), Some(BackendId(0))))
    );
}

#[test]
fn the_first_backup_serves_who_is_late_when_the_tier_falls() {
    let backup = BackendSpec { backup: true, ..spec(1, 1) };
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(0, 1), spec(1, 1), backup]);
    assert_eq!(balancer.place(wish(0, Some(BackendId(0)))), Placement::Go(BackendId(0)));
    assert_eq!(go(&mut balancer), 1);
    queue(&mut balancer, 1, 7, 0, 0);
    balancer.unbind(1, |_| panic!("a backup takes nobody yet"));
    let mut woken = Vec::new();
    balancer.set_up(BackendId(1), false, |waiter| woken.push(waiter));
    balancer.check_invariants();
    assert_eq!(
        (&woken[..], told(&mut balancer, 1)),
        (&[1][..], (Some(Answer::Granted(BackendId(2))), Some(BackendId(0))))
    );
}

#[test]
fn scarce_room_in_a_pool_goes_to_who_is_at_home_there_before_who_is_late() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 2), spec(1, 1)]);
    balancer.pools[0].spec.maxconn = 3;
    for id in [0, 1, 1] {
        assert_eq!(balancer.place(wish(0, Some(BackendId(id)))), Placement::Go(BackendId(id)));
    }
    queue(&mut balancer, 1, 7, 0, 0);
    balancer.unbind(1, |_| panic!("the pool is full"));
    queue(&mut balancer, 2, 8, 0, 1);
    balancer.check_invariants();
    assert_eq!([(); 2].map(|()| next(&mut balancer, 1)), [[2], [1]]);
    assert_eq!(told(&mut balancer, 1), (Some(Answer::Granted(BackendId(2))), Some(BackendId(0))), "the idle one");
}

#[test]
fn a_higher_limit_serves_who_is_bound_to_it() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
    go(&mut balancer);
    balancer.place(wish(1, Some(BackendId(0))));
    let mut woken = Vec::new();
    balancer.set_maxconn(BackendId(0), 2, |waiter| woken.push(waiter));
    assert_eq!((&woken[..], balancer.answer(1)), (&[1][..], Some(Answer::Granted(BackendId(0)))));
}

#[test]
fn who_waits_gets_the_backend_that_failed_him_when_there_is_no_other() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
    go(&mut balancer);
    balancer.place(Wish { avoid: Some(BackendId(0)), ..wish(1, None) });
    assert_eq!(served(&mut balancer, 1), [1]);
}

#[test]
fn a_change_elsewhere_gives_nobody_the_backend_that_failed_him() {
    let mut balancer = two_busy();
    balancer.release(BackendId(0), |_| ());
    balancer.place(Wish { avoid: Some(BackendId(0)), ..wish(1, None) });
    balancer.set_weight(BackendId(0), 2, |_| panic!("it failed him"));
    balancer.set_maxconn(BackendId(0), 2, |_| panic!("it failed him"));
}

#[test]
fn room_in_a_full_pool_goes_where_the_algorithm_says() {
    let by_key = Algorithm::Hash { hash: Hash::Beelance, factor: 0 };
    let key = (0..).find(|&key| home(by_key, key) == 1);
    for (algorithm, key) in [(Algorithm::LeastConn, None), (by_key, key)] {
        let mut balancer = balancer(algorithm, vec![spec(1, 0), spec(1, 0)]);
        balancer.pools[0].spec.maxconn = 5;
        for id in [0, 0, 0, 0, 1] {
            assert_eq!(balancer.place(wish(0, Some(BackendId(id)))), Placement::Go(BackendId(id)));
        }
        assert_eq!(balancer.place(Wish { key, ..wish(1, None) }), Placement::WaitForPool(0));
        assert_eq!(next(&mut balancer, 0), [1]);
        assert_eq!(balancer.answer(1), Some(Answer::Granted(BackendId(1))), "{algorithm:?}");
    }
}

/// Which of two a key belongs to.
fn home(algorithm: Algorithm, key: u32) -> u8 {
    match balancer(algorithm, vec![spec(1, 0), spec(1, 0)]).place(Wish { key: Some(key), ..FREE }) {
        Placement::Go(id) => id.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_that_is_searched_serves_who_waits_when_it_grows_and_ends_when_it_is_fixed() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![BackendSpec { auto: Some((1, 20)), ..spec(1, 0) }]);
    let id = BackendId(0);
    assert_eq!((go(&mut balancer), balancer.status(id).maxconn), (0, 1), "from the least on");
    balancer.place(wish(1, None));
    let mut woken = Vec::new();
    for now_ms in (0..10_000).step_by(10) {
        balancer.answered(id, now_ms, now_ms + 10, |waiter| woken.push(waiter));
        balancer.check_invariants();
    }
    assert_eq!((&woken[..], balancer.answer(1)), (&[1][..], Some(Answer::Granted(id))), "without a slot given back");
    balancer.set_maxconn(id, 7, |_| ());
    assert_eq!(balancer.status(id).maxconn, 7);
}
