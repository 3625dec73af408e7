//! What the algorithms promise, in figures: shares, what moves, bounds of load.
//!
//! Also prints what the picture of docs/balancing.md shows: `scripts/plot-balancing`.

use super::cases;
use super::random::Random;
use super::*;
use crate::limits::{BackendId, PoolId};
use std::collections::BinaryHeap;

const POOL: PoolId = PoolId(0);

fn spec(name: &str, weight: u16, maxconn: u32) -> BackendSpec {
    let seed = Hash::Beelance.of(&[name.as_bytes()]);
    BackendSpec { cookie: name.into(), seed, ..cases::spec(weight, maxconn) }
}

fn balancer(algorithm: Algorithm, backends: Vec<BackendSpec>) -> Balancer {
    Balancer::new(&[PoolSpec { algorithm, ..PoolSpec::default() }], backends, 4096).seeded(7)
}

fn wish(key: Option<u32>) -> Wish {
    Wish { waiter: 0, pool: POOL, key, sticky: None, avoid: None, may_move: true, client: 1, class: 0 }
}

fn by_key(hash: Hash, factor: u32) -> Algorithm {
    Algorithm::Hash { hash, factor }
}

fn named(names: &[&str], weights: &[u16]) -> Balancer {
    let specs = names.iter().zip(weights).map(|(name, &weight)| spec(name, weight, 0));
    balancer(by_key(Hash::Beelance, 0), specs.collect())
}

fn object(number: u32) -> u32 {
    Hash::Beelance.of(&[format!("/obj/{number}").as_bytes()])
}

/// Whom the pool gives a request with this key, which is over at once.
fn place(balancer: &mut Balancer, key: Option<u32>) -> usize {
    let Placement::Go(id) = balancer.place(wish(key)) else { panic!("all are free") };
    balancer.release(id, |_| ());
    id.index()
}

/// Whom each of so many keys belongs to.
fn homes(balancer: &mut Balancer, count: u32) -> Vec<usize> {
    (0..count).map(|number| place(balancer, Some(object(number)))).collect()
}

fn counts(homes: &[usize], backends: usize) -> Vec<u32> {
    let mut counts = vec![0; backends];
    homes.iter().for_each(|&home| counts[home] += 1);
    counts
}

/// The greatest distance of a count from its share by weight, in percent of that share.
fn worst_share(counts: &[u32], weights: &[u16]) -> f64 {
    let (all, sum) =
        (f64::from(counts.iter().sum::<u32>()), f64::from(weights.iter().map(|&w| u32::from(w)).sum::<u32>()));
    let off = |(&count, &weight): (&u32, &u16)| {
        let share = all * f64::from(weight) / sum;
        (f64::from(count) - share).abs() / share * 100.0
    };
    counts.iter().zip(weights).map(off).fold(0.0, f64::max)
}

const TEN: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

#[test]
fn keys_are_shared_by_weight() {
    // Chance alone makes a percent or two of it.
    let cases: [(&[&str], &[u16], f64); 5] = [
        (&TEN, &[1; 10], 4.0),
        (&["shop1", "shop2", "shop3", "shop4", "shop5", "shop6", "shop7", "shop8", "shop9", "shop10"], &[7; 10], 4.0),
        (&["web-01.rack1", "web-02.rack1"], &[1; 2], 2.0),
        (&TEN, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 6.0),
        (&["x", "y", "z"], &[1, 256, 16], 12.0),
    ];
    for (names, weights, percent) in cases {
        let homes = homes(&mut named(names, weights), 60_000);
        let worst = worst_share(&counts(&homes, names.len()), weights);
        println!("share: {names:?} {weights:?}: at most {worst:.2} % off");
        assert!(worst < percent, "{names:?} {weights:?}: {worst} %");
    }
}

#[test]
fn a_backend_that_leaves_gives_up_its_keys_alone_and_to_all_alike() {
    let mut balancer = named(&TEN, &[1; 10]);
    let before = homes(&mut balancer, 100_000);
    for gone in [0, 4, 9] {
        balancer.set_up(BackendId(gone), false, |_| ());
        let after = homes(&mut balancer, 100_000);
        let moved = before.iter().zip(&after).filter(|(from, to)| from != to);
        assert!(moved.clone().all(|(&from, _)| from == usize::from(gone)));
        let heirs: Vec<usize> = moved.map(|(_, &to)| to).collect();
        assert_eq!(heirs.len(), before.iter().filter(|&&home| home == usize::from(gone)).count());
        let mut heirs = counts(&heirs, 10);
        assert_eq!(heirs.remove(usize::from(gone)), 0);
        let worst = worst_share(&heirs, &[1; 9]);
        // Some 1,100 keys each: chance makes 3 % of it, the worst is three times that.
        assert!(worst < 12.0, "{gone} leaves: {heirs:?}");
        balancer.set_up(BackendId(gone), true, |_| ());
    }
    assert_eq!(homes(&mut balancer, 100_000), before);
}

#[test]
fn a_weight_that_changes_moves_keys_to_it_or_from_it_alone() {
    let weights = [1, 2, 3, 4];
    let before = homes(&mut named(&TEN[..4], &weights), 50_000);
    for (changed, weight) in [(0, 2), (2, 1), (3, 3), (1, 256)] {
        let mut weights = weights;
        let share = |weights: [u16; 4]| f64::from(weights[changed]) / f64::from(weights.iter().sum::<u16>());
        let (old, grows) = (share(weights), weight > weights[changed]);
        weights[changed] = weight;
        let moves = (share(weights) - old).abs();
        let after = homes(&mut named(&TEN[..4], &weights), 50_000);
        let moved: Vec<_> = before.iter().zip(&after).filter(|(from, to)| from != to).collect();
        assert!(moved.iter().all(|&(&from, &to)| if grows { to == changed } else { from == changed }), "{weights:?}");
        let moved = moved.len() as f64 / 50_000.0;
        assert!((moved - moves).abs() < 0.01, "{weights:?}: {moved} moved, {moves} is what the share changed by");
    }
}

#[test]
fn two_boards_with_shuffled_files_agree() {
    let weights = [1, 1, 2, 5, 1, 1, 3, 1, 1, 1];
    let mut shuffled: Vec<(&str, u16)> = TEN.into_iter().zip(weights).collect();
    shuffled.rotate_left(3);
    shuffled.swap(1, 7);
    let (names, moved): (Vec<&str>, Vec<u16>) = shuffled.into_iter().unzip();
    let one = homes(&mut named(&TEN, &weights), 20_000);
    let other = homes(&mut named(&names, &moved), 20_000);
    assert!(one.iter().zip(&other).all(|(&here, &there)| TEN[here] == names[there]));
}

/// What every machine must find, whatever its processor.
#[test]
fn keys_stay_where_earlier_versions_had_them() {
    let mut balancer = named(&TEN, &[1, 1, 2, 5, 1, 1, 3, 1, 1, 1]);
    let names: String = homes(&mut balancer, 40).into_iter().map(|home| TEN[home]).collect();
    assert_eq!(names, "deccgiddddddadbdddjaiggaffggidhgdgdgdfdh");
}

#[test]
fn without_a_key_it_goes_round() {
    let mut balancer = named(&TEN[..3], &[1; 3]);
    assert_eq!([(); 6].map(|()| place(&mut balancer, None)), [0, 1, 2, 0, 1, 2]);
}

/// A number from 0 to 1, exclusive.
fn chance(random: &mut Random) -> f64 {
    random.below(1 << 30) as f64 / f64::from(1 << 30)
}

/// Ranks by Zipf's law: the n-th is asked for n^-1.1 times as often as the first.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: u32) -> Self {
        let mut sum = 0.0;
        Self(
            (1..=count)
                .map(|rank| {
                    sum += f64::from(rank).powf(-1.1);
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let place = chance(random) * self.0[self.0.len() - 1];
        u32::try_from(self.0.partition_point(|&sum| sum < place)).unwrap()
    }
}

/// What so many requests in flight, each of which is followed by another when it ends, do to the backends.
struct Closed {
    /// Requests each was given.
    given: Vec<u32>,
    /// The most one had in flight at a time.
    most: u32,
    /// How many of a hundred went where their key belongs.
    at_home: f64,
}

fn closed(algorithm: Algorithm, weights: &[u16], flying: usize, rounds: u32) -> Closed {
    let names = &TEN[..weights.len()];
    let specs = names.iter().zip(weights).map(|(name, &weight)| spec(name, weight, 0));
    let mut balancer = balancer(algorithm, specs.collect());
    let (mut alone, mut random, zipf) = (named(names, weights), Random::new(11), Zipf::new(10_000));
    let mut flight: Vec<BackendId> = Vec::new();
    let mut outcome = Closed { given: vec![0; names.len()], most: 0, at_home: 0.0 };
    for _ in 0..rounds {
        if flight.len() == flying {
            let gone = flight.swap_remove(usize::try_from(random.below(flight.len() as u64)).unwrap());
            balancer.release(gone, |_| ());
        }
        let key = object(zipf.draw(&mut random));
        let Placement::Go(id) = balancer.place(wish(Some(key))) else { panic!("no limits") };
        outcome.at_home += f64::from(u8::from(place(&mut alone, Some(key)) == id.index()));
        outcome.given[id.index()] += 1;
        outcome.most = outcome.most.max(balancer.status(id).serving);
        flight.push(id);
    }
    outcome.at_home *= 100.0 / f64::from(rounds);
    outcome
}

#[test]
fn bounded_load_holds_its_bound_and_keeps_most_keys_at_home() {
    for (factor, least_at_home) in [(0, 100.0), (200, 96.0), (150, 89.0), (140, 86.0), (125, 81.0), (110, 70.0)] {
        let outcome = closed(by_key(Hash::Beelance, factor), &[1; 8], 200, 30_000);
        println!("bounded load {factor}: at home {:.1} %, most {} for 25", outcome.at_home, outcome.most);
        assert!(outcome.at_home >= least_at_home, "{factor}: {} % at home", outcome.at_home);
        let bound = (200 * factor).div_ceil(100 * 8);
        assert!(if factor == 0 { outcome.most > 60 } else { outcome.most == bound }, "{factor}: {}", outcome.most);
    }
}

#[test]
fn the_bound_goes_by_weight() {
    let weights = [1, 1, 2, 4];
    for hash in [Hash::Beelance, Hash::Haproxy] {
        let outcome = closed(by_key(hash, 101), &weights, 160, 50_000);
        // The share of the lightest is 20 requests at a time, its bound the next whole number.
        assert!(worst_share(&outcome.given, &weights) < 6.0, "{hash:?}: {:?}", outcome.given);
    }
}

#[test]
fn a_slot_above_the_bound_is_better_than_none() {
    for hash in [Hash::Beelance, Hash::Haproxy] {
        let mut balancer = balancer(by_key(hash, 101), vec![spec("a", 1, 1), spec("b", 1, 0)]);
        for number in 0..40 {
            assert!(matches!(balancer.place(wish(Some(object(number)))), Placement::Go(_)), "{hash:?}");
        }
        // The one below the bound is full, the other is far above it.
        let serving = [0, 1].map(|id| balancer.status(BackendId(id)).serving);
        assert_eq!(serving, [1, 39], "{hash:?}");
    }
}

#[test]
fn on_the_ring_too_the_live_weight_counts() {
    let ring = |weights: [u16; 3]| {
        let specs = TEN.iter().zip(weights).map(|(name, weight)| spec(name, weight, 0));
        balancer(by_key(Hash::Haproxy, 0), specs.collect())
    };
    let mut lowered = ring([10, 10, 10]);
    lowered.set_weight(BackendId(1), 2, |_| ());
    assert_eq!(homes(&mut lowered, 5_000), homes(&mut ring([10, 2, 10]), 5_000));
    // Weight that was not there at the start has no nodes, and still serves when nobody else does.
    let mut raised = ring([0, 1, 1]);
    raised.set_weight(BackendId(0), 3, |_| ());
    assert_eq!(counts(&homes(&mut raised, 1_000), 3)[0], 0);
    raised.set_up(BackendId(1), false, |_| ());
    raised.set_up(BackendId(2), false, |_| ());
    assert_eq!(place(&mut raised, Some(object(1))), 0);
}

#[test]
fn random_is_nearly_even_and_goes_by_weight() {
    let most = |algorithm| closed(algorithm, &[1; 8], 200, 30_000).most;
    let (random, least_conn) = (most(Algorithm::Random), most(Algorithm::LeastConn));
    println!("most in flight at one, 25 on average: leastconn {least_conn}, random {random}");
    assert!(least_conn <= 26 && random <= 33);
    // One request at a time: every backend is idle, the shares are those of the draws.
    let weights = [1, 2, 3, 4];
    let outcome = closed(Algorithm::Random, &weights, 1, 30_000);
    assert!(worst_share(&outcome.given, &weights) < 3.0, "{:?}", outcome.given);
    let outcome = closed(Algorithm::Random, &weights, 100, 30_000);
    assert!(worst_share(&outcome.given, &weights) < 3.0, "{:?}", outcome.given);
}

#[test]
fn first_fills_one_before_it_takes_the_next() {
    let specs = TEN.map(|name| spec(name, 1, 10));
    let mut balancer = balancer(Algorithm::First, specs.to_vec());
    let taken: Vec<usize> = (0..25)
        .map(|_| match balancer.place(wish(None)) {
            Placement::Go(id) => id.index(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts(&taken, 4), [10, 10, 5, 0]);
    balancer.release(BackendId(0), |_| ());
    let Placement::Go(next) = balancer.place(wish(None)) else { panic!("a slot is free") };
    assert_eq!(next, BackendId(0));
}

/// Requests come by chance and are worked on by eight backends of 16 slots; the last takes four times as long. Were it as
/// quick as the others, each would have four in flight.
struct Open {
    /// For each backend, how many were in flight when one came: sorted.
    seen: Vec<Vec<u32>>,
}

fn open(algorithm: Algorithm) -> Open {
    const SERVICE_US: f64 = 20_000.0;
    const BETWEEN_US: f64 = SERVICE_US / 32.0;
    let specs: Vec<BackendSpec> = TEN[..8].iter().map(|name| spec(name, 1, 16)).collect();
    let mut balancer = balancer(algorithm, specs);
    let (mut random, zipf) = (Random::new(5), Zipf::new(1_000));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of some seconds at most")]
    let mut exponential = |mean: f64| (-(1.0 - chance(&mut random)).ln() * mean) as u64;
    let mut keys = Random::new(6);
    let mut ends: BinaryHeap<std::cmp::Reverse<(u64, BackendId)>> = BinaryHeap::new();
    let mut idle: Vec<u16> = (0..4096).collect();
    let mut open = Open { seen: vec![Vec::new(); 8] };
    let mut now = 0;
    for _ in 0..20_000 {
        now += exponential(BETWEEN_US);
        let mut started = Vec::new();
        while let Some(&std::cmp::Reverse((end, id))) = ends.peek().filter(|end| end.0.0 <= now) {
            ends.pop();
            balancer.release(id, |waiter| started.push(waiter));
            for waiter in started.drain(..) {
                idle.push(waiter);
                let Some(Answer::Granted(id)) = balancer.answer(waiter) else { panic!("woken for a slot") };
                ends.push(std::cmp::Reverse((end + exponential(service(id, SERVICE_US)), id)));
            }
        }
        for (id, seen) in open.seen.iter_mut().enumerate() {
            seen.push(balancer.status(BackendId::new(id).unwrap()).serving);
        }
        let waiter = idle.pop().unwrap();
        match balancer.place(Wish { waiter, ..wish(Some(object(zipf.draw(&mut keys)))) }) {
            Placement::Go(id) => {
                idle.push(waiter);
                ends.push(std::cmp::Reverse((now + exponential(service(id, SERVICE_US)), id)));
            }
            Placement::WaitForPool(_) => {}
            other => panic!("{other:?}"),
        }
    }
    open.seen.iter_mut().for_each(|seen| seen.sort_unstable());
    open
}

fn service(id: BackendId, mean: f64) -> f64 {
    if id.index() == 7 { mean * 4.0 } else { mean }
}

impl Open {
    fn mean(&self, backend: usize) -> f64 {
        let seen = &self.seen[backend];
        f64::from(seen.iter().sum::<u32>()) / seen.len() as f64
    }

    fn percentile(&self, backend: usize, part: usize) -> u32 {
        let seen = &self.seen[backend];
        seen[(seen.len() - 1) * part / 100]
    }
}

/// The lines that `scripts/plot-balancing` draws, and what docs/balancing.md says of them.
#[test]
fn the_picture() {
    let all = [
        ("roundrobin", Algorithm::RoundRobin),
        ("leastconn", Algorithm::LeastConn),
        ("random", Algorithm::Random),
        ("first", Algorithm::First),
        ("uri, no bound", by_key(Hash::Beelance, 0)),
        ("uri, bound 140 %", by_key(Hash::Beelance, 140)),
    ];
    let opens = all.map(|(name, algorithm)| {
        let open = open(algorithm);
        for backend in 0..8 {
            let (low, high) = (open.percentile(backend, 5), open.percentile(backend, 95));
            println!("figure: {name}: {} {:.2} {low} {high}", backend + 1, open.mean(backend));
        }
        open
    });
    let [round_robin, least_conn, random, first, unbound, bound] = opens;
    let busiest = |open: &Open| (0..7).map(|backend| open.mean(backend)).fold(0.0, f64::max);
    assert!(round_robin.mean(7) > 3.0 * round_robin.mean(0), "the slow one fills up");
    assert!(least_conn.mean(7) < 1.5 * least_conn.mean(0), "the slow one gets as much as it works off");
    assert!(random.mean(7) < 2.0 * random.mean(0));
    assert!(first.mean(0) > 12.0 && first.mean(6) < 1.0, "the last are hardly used");
    assert!(busiest(&unbound) > 1.3 * busiest(&bound), "popular keys crowd one");
}
