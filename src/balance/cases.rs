//! One balancer, one case after the other: who gets which slot, who waits, who is next.

mod keys;
mod placing;
mod taking;
mod waiting;

use super::*;
use crate::limits::{BackendId, PoolId};

pub(super) const POOL: PoolId = PoolId(0);

pub(super) fn spec(weight: u16, maxconn: u32) -> BackendSpec {
    BackendSpec {
        pool: POOL,
        weight,
        maxconn,
        auto: None,
        maxqueue: 0,
        backup: false,
        cookie: "".into(),
        seed: 0,
        up: true,
    }
}

pub(super) fn balancer(algorithm: Algorithm, backends: Vec<BackendSpec>) -> Balancer {
    let backends = backends.into_iter().enumerate();
    let named = backends.map(|(index, spec)| {
        let name = format!("b{index}");
        BackendSpec { seed: Hash::Beelance.of(&[name.as_bytes()]), cookie: name.into(), ..spec }
    });
    Balancer::new(&[PoolSpec { algorithm, ..PoolSpec::default() }], named.collect(), 64)
}

/// A request of the one client there is, who may go anywhere.
pub(super) const FREE: Wish =
    Wish { waiter: 0, pool: POOL, key: None, sticky: None, avoid: None, may_move: true, client: 1, class: 0 };

pub(super) fn wish(waiter: u16, sticky: Option<BackendId>) -> Wish {
    Wish { waiter, sticky, ..FREE }
}

pub(super) fn go(balancer: &mut Balancer) -> u8 {
    match balancer.place(FREE) {
        Placement::Go(id) => id.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn round_robin_is_smooth_and_weighted() {
    let mut even = balancer(Algorithm::RoundRobin, vec![spec(1, 0); 3]);
    assert_eq!([(); 6].map(|()| go(&mut even)), [0, 1, 2, 0, 1, 2]);
    let mut weighted = balancer(Algorithm::RoundRobin, vec![spec(5, 0), spec(1, 0), spec(1, 0)]);
    assert_eq!([(); 7].map(|()| go(&mut weighted)), [0, 0, 1, 0, 2, 0, 0]);
    let mut without = balancer(Algorithm::RoundRobin, vec![spec(1, 0), spec(0, 0)]);
    assert_eq!([(); 3].map(|()| go(&mut without)), [0, 0, 0]);
}

#[test]
fn least_conn_takes_the_idle_then_the_least_for_the_weight() {
    let mut balancer = balancer(Algorithm::LeastConn, vec![spec(4, 0), spec(1, 0)]);
    let first_two = [go(&mut balancer), go(&mut balancer)];
    assert!(first_two == [0, 1] || first_two == [1, 0], "an idle backend before any busy one");
    // (1+1)/4, (2+1)/4 and (3+1)/4 are all below (1+1)/1.
    assert_eq!([(); 3].map(|()| go(&mut balancer)), [0, 0, 0]);
    balancer.release(BackendId(1), |_| ());
    assert_eq!(go(&mut balancer), 1);
}

#[test]
fn a_backup_serves_only_when_nobody_else_does() {
    let backup = BackendSpec { backup: true, ..spec(1, 0) };
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0), backup.clone(), backup]);
    assert_eq!(go(&mut balancer), 0);
    balancer.set_up(BackendId(0), false, |_| ());
    assert_eq!([(); 2].map(|()| go(&mut balancer)), [1, 1], "the first backup alone");
    balancer.set_up(BackendId(1), false, |_| ());
    assert_eq!(go(&mut balancer), 2);
    balancer.set_up(BackendId(2), false, |_| ());
    assert_eq!(balancer.place(wish(0, None)), Placement::Refused(Refused::NoBackend));
    balancer.set_up(BackendId(0), true, |_| ());
    assert_eq!(go(&mut balancer), 0);
}

#[test]
fn affinity_finds_the_backend_of_a_cookie() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0), spec(0, 0)]);
    let of = |balancer: &Balancer, value: &str| Affinity::of(balancer, POOL, value.as_bytes());
    assert_eq!(of(&balancer, ""), Affinity::Invalid);
    assert_eq!(of(&balancer, "x"), Affinity::Invalid);
    assert_eq!(of(&balancer, "b1"), Affinity::Valid(BackendId(1)));
    assert_eq!(balancer.place(wish(0, Some(BackendId(1)))), Placement::Go(BackendId(1)), "weight 0 keeps its users");
    balancer.set_up(BackendId(1), false, |_| ());
    assert_eq!(of(&balancer, "b1"), Affinity::Down);
}

#[test]
fn a_full_backend_queues_its_own_and_the_older_head_is_served_first() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    let (one, two) = (Some(BackendId(0)), Some(BackendId(1)));
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    assert_eq!(balancer.place(wish(1, one)), Placement::WaitForBackend(BackendId(0), 0));
    assert_eq!(balancer.place(wish(2, None)), Placement::WaitForPool(0));
    assert_eq!(balancer.place(wish(3, two)), Placement::WaitForBackend(BackendId(1), 0));
    assert_eq!(balancer.place(wish(4, None)), Placement::WaitForPool(1));
    let mut order = Vec::new();
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    assert_eq!(order, [2, 3, 4]);
    assert_eq!(balancer.answer(2), Some(Answer::Granted(BackendId(1))));
    assert_eq!(balancer.answer(2), None);
    // A slot granted to a client that left goes to the next.
    assert_eq!(balancer.place(wish(5, one)), Placement::WaitForBackend(BackendId(0), 1));
    balancer.release(BackendId(0), |waiter| order.push(waiter));
    balancer.leave(1, |waiter| order.push(waiter));
    assert_eq!(order, [2, 3, 4, 1, 5]);
    balancer.check_invariants();
}

#[test]
fn a_full_queue_sends_elsewhere_or_refuses() {
    let full = BackendSpec { maxqueue: 1, ..spec(1, 1) };
    let mut balancer = balancer(Algorithm::RoundRobin, vec![full, spec(1, 1)]);
    let sticky = Some(BackendId(0));
    assert_eq!(balancer.place(wish(1, sticky)), Placement::Go(BackendId(0)));
    assert_eq!(balancer.place(wish(2, sticky)), Placement::WaitForBackend(BackendId(0), 0));
    assert_eq!(balancer.place(Wish { may_move: false, ..wish(3, sticky) }), Placement::Refused(Refused::QueueFull));
    assert_eq!(balancer.place(wish(3, sticky)), Placement::Go(BackendId(1)));
}

#[test]
fn who_is_bound_to_a_backend_that_is_down_goes_elsewhere() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 0), spec(1, 0)]);
    balancer.set_up(BackendId(0), false, |_| ());
    assert_eq!([1, 2].map(|waiter| balancer.place(wish(waiter, Some(BackendId(0))))), [Placement::Go(BackendId(1)); 2]);
}

#[test]
fn who_is_bound_to_a_backend_that_dies_goes_elsewhere_in_his_turn() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    balancer.place(wish(1, Some(BackendId(0))));
    balancer.place(wish(2, None));
    let mut order = Vec::new();
    balancer.set_up(BackendId(0), false, |waiter| order.push(waiter));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    assert_eq!(order, [1]);
    balancer.set_up(BackendId(1), false, |waiter| order.push(waiter));
    assert_eq!((&order[..], balancer.answer(2)), (&[1, 2][..], Some(Answer::Refused)));
    balancer.check_invariants();
}

#[test]
fn a_backend_that_refused_a_request_does_not_get_it_again_from_the_queue() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 1)]);
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    // The first backend refused the first request; its slot is free, and still the request waits for the other.
    balancer.release(BackendId(0), |_| ());
    assert_eq!(balancer.place(Wish { avoid: Some(BackendId(0)), ..wish(1, None) }), Placement::WaitForPool(0));
    balancer.check_invariants();
    assert_eq!(balancer.place(wish(2, None)), Placement::Go(BackendId(0)));
    balancer.release(BackendId(0), |_| panic!("taken back"));
    balancer.release(BackendId(1), |waiter| assert_eq!(waiter, 1));
    assert_eq!(balancer.answer(1), Some(Answer::Granted(BackendId(1))));
    // When no other is left, it is better than none.
    assert_eq!(balancer.place(Wish { avoid: Some(BackendId(0)), ..wish(1, None) }), Placement::WaitForPool(0));
    balancer.set_up(BackendId(1), false, |waiter| assert_eq!(waiter, 1));
    assert_eq!(balancer.answer(1), Some(Answer::Granted(BackendId(0))));
}

/// Who is served when, one slot being given back again and again.
pub(super) fn served(balancer: &mut Balancer, count: usize) -> Vec<u16> {
    let mut order = Vec::new();
    for _ in 0..count {
        balancer.release(BackendId(0), |waiter| order.push(waiter));
        balancer.check_invariants();
    }
    for &waiter in &order {
        assert_eq!(balancer.answer(waiter), Some(Answer::Granted(BackendId(0))));
    }
    order
}

#[test]
fn clients_take_turns_and_a_single_request_waits_for_one_service_only() {
    let mut balancer = Balancer::new(&[PoolSpec::default()], vec![spec(1, 1)], 600);
    balancer.place(FREE);
    let queue = |balancer: &mut Balancer, waiter, client| balancer.place(Wish { waiter, client, ..FREE });
    for waiter in 1..=500 {
        assert_eq!(queue(&mut balancer, waiter, 7), Placement::WaitForPool(u32::from(waiter) - 1));
    }
    assert_eq!(served(&mut balancer, 3), [1, 2, 3]);
    queue(&mut balancer, 501, 8);
    assert_eq!(served(&mut balancer, 2), [501, 4], "behind the one in service");
    // Three clients, four requests each, in the order of the clients.
    for (client, first) in [(8, 510), (9, 520)] {
        for waiter in first..first + 4 {
            queue(&mut balancer, waiter, client);
        }
    }
    let order = served(&mut balancer, 12);
    let owners: Vec<u16> = order.iter().map(|waiter| if *waiter < 510 { 7 } else { waiter / 10 - 43 }).collect();
    for turn in owners.chunks(3) {
        let mut turn = turn.to_vec();
        turn.sort_unstable();
        assert_eq!(turn, [7, 8, 9], "{owners:?}");
    }
    assert!(order.iter().filter(|waiter| **waiter < 510).is_sorted(), "a client's own stay in order");
}

#[test]
fn a_lower_class_goes_first_and_clients_take_turns_within_theirs() {
    let mut balancer = Balancer::new(&[PoolSpec::default()], vec![spec(1, 1)], 64);
    balancer.place(FREE);
    let wishes = [(1, 7, 0), (2, 7, 5), (3, 8, -10), (4, 7, -10), (5, 7, -10), (6, 8, 0), (7, 7, 0), (8, 9, 5)];
    for (waiter, client, class) in wishes {
        balancer.place(Wish { waiter, client, class, ..FREE });
    }
    assert_eq!(served(&mut balancer, 8), [3, 4, 5, 1, 6, 7, 2, 8]);
}

#[test]
fn turns_are_taken_across_the_lists_of_a_backend_and_its_pool() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1)]);
    balancer.place(FREE);
    for waiter in 1..=4 {
        balancer.place(Wish { client: 7, ..wish(waiter, Some(BackendId(0))) });
    }
    balancer.place(Wish { client: 8, ..wish(5, None) });
    assert_eq!(served(&mut balancer, 5), [1, 5, 2, 3, 4]);
}

#[test]
fn who_waited_long_enough_for_his_backend_goes_to_the_least_loaded_or_to_any_where_nobody_else_waits() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(1, 2), spec(1, 2)]);
    let one = Some(BackendId(0));
    assert_eq!([(); 3].map(|()| go(&mut balancer)), [0, 1, 2]);
    balancer.release(BackendId(2), |_| ());
    balancer.place(wish(1, one));
    balancer.place(wish(2, one));
    balancer.place(wish(3, one));
    let mut woken = Vec::new();
    balancer.unbind(2, |waiter| woken.push(waiter));
    assert_eq!(balancer.answer(2), Some(Answer::Granted(BackendId(2))), "the idle one");
    assert_eq!(balancer.left(2), one);
    balancer.place(Wish { sticky: Some(BackendId(1)), ..FREE });
    balancer.place(Wish { sticky: Some(BackendId(2)), ..FREE });
    balancer.unbind(3, |waiter| woken.push(waiter));
    assert_eq!(balancer.place(wish(4, None)), Placement::WaitForPool(0));
    assert_eq!(balancer.place(wish(5, Some(BackendId(2)))), Placement::WaitForBackend(BackendId(2), 0));
    balancer.unbind(3, |waiter| woken.push(waiter));
    balancer.check_invariants();
    balancer.release(BackendId(2), |waiter| woken.push(waiter));
    balancer.release(BackendId(2), |waiter| woken.push(waiter));
    assert_eq!(woken, [2, 4, 5], "who belongs there goes before who is late");
    balancer.release(BackendId(1), |waiter| woken.push(waiter));
    balancer.release(BackendId(0), |waiter| woken.push(waiter));
    assert_eq!(woken, [2, 4, 5, 3, 1]);
    assert_eq!(
        [3, 1].map(|waiter| (balancer.answer(waiter), balancer.left(waiter))),
        [(Some(Answer::Granted(BackendId(1))), one), (Some(Answer::Granted(BackendId(0))), None)]
    );
    balancer.check_invariants();
}

#[test]
fn who_would_gain_nothing_elsewhere_stays_bound() {
    // The pool is full, not the backend.
    let mut limited =
        Balancer::new(&[PoolSpec { maxconn: 1, ..PoolSpec::default() }], vec![spec(1, 1), spec(1, 1)], 64);
    assert_eq!(go(&mut limited), 0);
    let one = Some(BackendId(1));
    limited.place(wish(1, one));
    limited.unbind(1, |_| panic!("stays"));
    limited.release(BackendId(0), |waiter| assert_eq!(waiter, 1));
    assert_eq!((limited.answer(1), limited.left(1)), (Some(Answer::Granted(BackendId(1))), None));
    // Nobody takes free requests: the backend itself takes only its own.
    let mut draining = balancer(Algorithm::RoundRobin, vec![spec(0, 1), spec(0, 1)]);
    draining.place(wish(0, one));
    draining.place(wish(1, one));
    draining.unbind(1, |_| panic!("stays"));
    draining.check_invariants();
    draining.release(BackendId(1), |waiter| assert_eq!(waiter, 1));
}

#[test]
fn a_pool_has_a_limit_of_its_own() {
    let pool = PoolSpec { maxconn: 2, maxqueue: 3, ..PoolSpec::default() };
    let mut balancer = Balancer::new(&[pool], vec![spec(1, 2), spec(1, 2)], 64);
    assert_eq!((go(&mut balancer), go(&mut balancer)), (0, 1));
    let one = Some(BackendId(1));
    assert_eq!(balancer.place(wish(1, one)), Placement::WaitForBackend(BackendId(1), 0), "its backend has a slot");
    assert_eq!(balancer.place(wish(2, None)), Placement::WaitForPool(0));
    assert_eq!(balancer.place(wish(3, one)), Placement::WaitForBackend(BackendId(1), 1));
    assert_eq!(balancer.place(wish(4, None)), Placement::Refused(Refused::QueueFull));
    assert_eq!(balancer.place(wish(4, one)), Placement::Refused(Refused::QueueFull));
    // Room that one backend makes goes to who waits for another.
    let mut order = Vec::new();
    balancer.release(BackendId(0), |waiter| order.push(waiter));
    balancer.check_invariants();
    assert_eq!(balancer.answer(1), Some(Answer::Granted(BackendId(1))));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    assert!(matches!(balancer.answer(2), Some(Answer::Granted(_))));
    balancer.release(BackendId(1), |waiter| order.push(waiter));
    assert_eq!(order, [1, 2, 3]);
    balancer.check_invariants();
}

#[test]
fn a_backend_that_comes_back_gets_its_share_step_by_step() {
    let pool = PoolSpec { slowstart_ms: 10_000, ..PoolSpec::default() };
    let mut balancer = Balancer::new(&[pool], vec![spec(1, 0), spec(1, 0)], 64);
    let share = |balancer: &mut Balancer| (0..160).filter(|_| go(balancer) == 1).count();
    assert_eq!(share(&mut balancer), 80, "not at the start of the process");
    balancer.set_up(BackendId(1), false, |_| ());
    assert!(balancer.start_slowly(BackendId(1), 5_000));
    balancer.set_up(BackendId(1), true, |_| ());
    let mut shares = Vec::new();
    for at_ms in [0, 2_500, 5_000, 7_500, 10_000] {
        balancer.advance(5_000 + at_ms, |_| ());
        shares.push(share(&mut balancer));
    }
    // Of a weight that is a quarter, a half, three quarters of the other's: 1/17, 1/5, 1/3, 3/7, 1/2 of all.
    assert!(shares.iter().zip([9, 32, 53, 69, 80]).all(|(share, wanted)| share.abs_diff(wanted) <= 2), "{shares:?}");
    assert!(!balancer.start_slowly(BackendId(1), 90_000), "it is up");
}

#[test]
fn weight_and_maxconn_change_at_once_and_serve_who_waits() {
    let mut balancer = balancer(Algorithm::RoundRobin, vec![spec(1, 1), spec(0, 1)]);
    assert_eq!(go(&mut balancer), 0);
    for waiter in 1..=4 {
        assert_eq!(balancer.place(wish(waiter, None)), Placement::WaitForPool(u32::from(waiter) - 1));
    }
    let mut order = Vec::new();
    balancer.set_weight(BackendId(1), 3, |waiter| order.push(waiter));
    assert_eq!((&order[..], balancer.answer(1)), (&[1][..], Some(Answer::Granted(BackendId(1)))));
    balancer.set_maxconn(BackendId(0), 3, |waiter| order.push(waiter));
    assert_eq!(order, [1, 2, 3]);
    balancer.set_maxconn(BackendId(0), 1, |_| panic!("nobody gets a slot by this"));
    balancer.release(BackendId(0), |_| panic!("still two too many"));
    balancer.set_weight(BackendId(1), 0, |_| ());
    balancer.release(BackendId(1), |_| panic!("it takes no new users"));
    balancer.set_maxconn(BackendId(0), 0, |waiter| order.push(waiter));
    assert_eq!(order, [1, 2, 3, 4]);
}
