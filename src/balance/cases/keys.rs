//! Where keys lie while backends come, go, and fill up.

use super::super::ring::Ring;
use super::*;

fn by(hash: Hash, factor: u32) -> Algorithm {
    Algorithm::Hash { hash, factor }
}

fn homes(balancer: &mut Balancer) -> Vec<u8> {
    let home = |key: u32| match balancer.place(Wish { key: Some(key.wrapping_mul(0x9e37_79b1)), ..FREE }) {
        Placement::Go(id) => {
            balancer.release(id, |_| ());
            id.0
        }
        other => panic!("{other:?}"),
    };
    (0..400).map(home).collect()
}

#[test]
fn a_crowd_for_one_key_fills_each_backend_to_its_share_and_no_further() {
    for hash in [Hash::Beelance, Hash::Haproxy] {
        for (up, percent) in [(4, 140), (2, 140), (4, 110), (3, 250)] {
            let mut balancer = balancer(by(hash, percent), vec![spec(1, 0); 4]);
            (up..4).for_each(|id| balancer.set_up(BackendId(id), false, |_| ()));
            for number in 1..=40 {
                balancer.place(Wish { key: Some(42), ..FREE });
                let most = (0..4).map(|id| balancer.status(BackendId(id)).serving).max();
                let share = (number * percent).div_ceil(u32::from(up) * 100).min(number);
                assert_eq!(most, Some(share), "{hash:?} {percent} percent, {number} at {up}");
            }
        }
    }
}

#[test]
fn who_waits_for_a_full_backend_counts_as_load() {
    let mut balancer = balancer(by(Hash::Beelance, 101), vec![spec(1, 1), spec(1, 0), spec(1, 0)]);
    let key = (0..).find(|&key| {
        let placed = balancer.place(Wish { key: Some(key), ..FREE });
        let Placement::Go(id) = placed else { panic!("{placed:?}") };
        balancer.release(id, |_| ());
        id == BackendId(1)
    });
    for waiter in 0..10 {
        balancer.place(wish(waiter, Some(BackendId(0))));
    }
    for _ in 0..5 {
        balancer.place(wish(20, Some(BackendId(1))));
    }
    // Its load of 5 is below a third of 16; without those who wait it would be above a third of 7.
    assert_eq!(balancer.place(Wish { waiter: 20, key, ..FREE }), Placement::Go(BackendId(1)));
}

#[test]
fn keys_go_by_the_weight_there_is_now() {
    let with = |weights: [u16; 3]| balancer(by(Hash::Beelance, 0), weights.map(|weight| spec(weight, 0)).to_vec());
    let mut changed = with([1, 8, 2]);
    changed.set_weight(BackendId(1), 1, |_| ());
    assert_eq!(homes(&mut changed), homes(&mut with([1, 1, 2])));
}

#[test]
fn on_the_ring_no_key_keeps_the_one_on_trial_from_being_tried() {
    let passive = PassiveSpec { observe: Observe::Http, error_limit: 1, eject_max: 50, eject_ms: 10 };
    let pool = PoolSpec { algorithm: by(Hash::Haproxy, 0), passive, ..PoolSpec::default() };
    let backup = BackendSpec { backup: true, ..spec(1, 0) };
    let mut balancer = Balancer::new(&[pool], vec![spec(1, 0), backup], 64);
    assert!(balancer.saw(BackendId(0), Seen::Broken, 0, |_| ()));
    assert_eq!(homes(&mut balancer), [1; 400], "the backup stands in, whatever the key");
    balancer.begin_trials(10, |_| ());
    assert_eq!(homes(&mut balancer), [0; 400]);
}

#[test]
fn on_the_ring_the_nodes_of_one_that_is_down_are_gone() {
    let mut balancer = balancer(by(Hash::Haproxy, 0), vec![spec(1, 0); 4]);
    balancer.set_up(BackendId(2), false, |_| ());
    let ring = Ring::new([1; 4].into_iter());
    let left: Vec<u8> = (0..400u32)
        .map(|key| ring.find(key.wrapping_mul(0x9e37_79b1), |member, _| member != 2, |_| true).unwrap())
        .map(|member| u8::try_from(member).unwrap())
        .collect();
    assert_eq!(homes(&mut balancer), left);
}
