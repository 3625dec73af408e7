//! The rates of clients: what is in a bucket, who may do what when, who is pushed out.

use super::*;
use proptest::prelude::*;

const SECRET: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

const fn per_second(count: u16) -> Rate {
    Rate { count, per_minute: false }
}

fn period_ms(rate: Rate) -> u64 {
    period_s(rate.per_minute) * 1_000
}

/// Asks as the proxy does: a request that is refused does not count.
fn ask(table: &mut Rates, client: u64, rate: Rate, now_ms: u64) -> bool {
    let who = table.who(client, None);
    let may = table.wait_ms(who, Act::Request, rate, now_ms) == 0;
    if may {
        table.count(who, Act::Request, rate, now_ms);
    }
    may
}

#[test]
fn a_burst_and_then_the_rate() {
    let mut table = Rates::new(WAYS, SECRET);
    let (rate, who) = (per_second(4), table.who(1, None));
    assert_eq!([0; 6].map(|now_ms| ask(&mut table, 1, rate, now_ms)), [true, true, true, true, false, false]);
    assert_eq!(table.wait_ms(who, Act::Request, rate, 100), 150);
    assert_eq!([0, 249, 250, 999, 1_000].map(|now_ms| table.used(who, Act::Request, rate, now_ms)), [4, 4, 3, 1, 0]);
    assert_eq!(table.used(who, Act::Error, rate, 0), 0);
    assert_eq!([249, 250, 499, 500].map(|now_ms| ask(&mut table, 1, rate, now_ms)), [false, true, false, true]);
    assert_eq!([9_000; 5].map(|now_ms| ask(&mut table, 1, rate, now_ms)), [true, true, true, true, false]);
    // Another kind of period is another count.
    assert!(ask(&mut table, 1, Rate { count: 1, per_minute: true }, 9_000));
    assert_eq!(table.wait_ms(who, Act::Request, Rate { count: 1, per_minute: true }, 9_000), 60_000);
}

#[test]
fn errors_are_too_many_above_the_rate_and_for_one_period_at_most() {
    let mut table = Rates::new(WAYS, SECRET);
    let (rate, who) = (per_second(10), table.who(1, None));
    for count in [3, 7, 300, Rate::MOST] {
        let (odd, who) = (Rate { count, per_minute: true }, table.who(count.into(), None));
        (0..3 * u32::from(count)).for_each(|_| table.count(who, Act::Error, odd, 500));
        assert_eq!(table.wait_ms(who, Act::Error, odd, 500), 60_000, "{count}");
    }
    for errors in 1..1000 {
        table.count(who, Act::Error, rate, 500);
        let wait_ms = table.wait_ms(who, Act::Error, rate, 500);
        assert_eq!(wait_ms, 100 * (errors.min(20u64)).saturating_sub(10), "{errors}");
    }
    assert_eq!(table.wait_ms(who, Act::Request, rate, 500), 0, "an error is no request");
}

#[test]
fn clients_and_their_routes_are_told_apart() {
    let mut table = Rates::new(RATES, SECRET);
    assert!(ask(&mut table, 7, per_second(1), 0) && !ask(&mut table, 7, per_second(1), 0));
    assert!(ask(&mut table, 8, per_second(1), 0));
    let keys = [
        table.who(7, None),
        table.who(7, Some(RouteId(0))),
        table.who(7, Some(RouteId(1))),
        table.who(8, Some(RouteId(0))),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(keys[..at].iter().all(|other| other != key));
        assert_eq!(table.wait_ms(*key, Act::Request, per_second(1), 0) > 0, at == 0);
    }
    let mut without_room = Rates::new(0, SECRET);
    assert!([0, 0].into_iter().all(|now_ms| ask(&mut without_room, 7, per_second(1), now_ms)));
}

#[test]
fn who_comes_once_pushes_out_others_like_it_and_nobody_who_is_active() {
    const RATE: Rate = per_second(20);
    let mut table = Rates::new(RATES, SECRET);
    let busy = 0x0a00_0001;
    let known = table.who(0x0a00_0002, None);
    table.know(known, 0);
    let mut served = 0u32;
    for attacker in 0..100_000u64 {
        // A hundred a millisecond: in one second more than ten times what the table holds.
        let now_ms = attacker / 100;
        assert!(ask(&mut table, 0xc000_0000 + attacker, RATE, now_ms));
        if attacker % 10 == 0 {
            served += u32::from(ask(&mut table, busy, RATE, now_ms));
        }
    }
    assert_eq!(served, 20 + 19, "of 10,000 in a second: a burst, and the rate");
    assert!(table.knows(known, 1_000) && !table.knows(known, KNOWN_MS));
}

#[test]
fn a_set_of_known_clients_has_room_for_the_active() {
    const ACTIVE: [u64; 2] = [100, 200];
    let mut table = Rates::new(WAYS, SECRET);
    for client in 0..WAYS as u64 {
        table.know(table.who(client, None), client);
    }
    for _ in 0..3 {
        assert!(ACTIVE.into_iter().all(|client| ask(&mut table, client, per_second(3), 10_000)));
    }
    (1000..2000).for_each(|client| assert!(ask(&mut table, client, per_second(3), 10_000)));
    assert!(!ACTIVE.into_iter().any(|client| ask(&mut table, client, per_second(3), 10_000)));
    let known = (0..8).map(|client| table.knows(table.who(client, None), 10_000));
    assert_eq!(known.collect::<Vec<_>>(), [[false; 4], [true; 4]].concat(), "those of longest ago went");
}

#[test]
fn who_was_served_as_a_user_is_known_for_half_an_hour() {
    let mut table = Rates::new(WAYS, SECRET);
    let who = table.who(1, None);
    assert!(!table.knows(who, 0));
    table.know(who, 1_000);
    let last_ms = 1_000 + 30 * 60 * 1_000 - 1;
    assert_eq!([1_000, last_ms, last_ms + 1].map(|now_ms| table.knows(who, now_ms)), [true, true, false]);
}

#[test]
fn of_those_who_are_known_he_goes_who_was_seen_the_longest_ago() {
    let mut table = Rates::new(WAYS, SECRET);
    let client = |table: &Rates, number: u64| table.who(number, None);
    (0..WAYS as u64).for_each(|number| table.know(client(&table, number), 0));
    for (now_ms, number) in (1..).zip((0..WAYS as u64).filter(|number| *number != 5)) {
        table.know(client(&table, number), now_ms);
    }
    table.know(client(&table, 100), 100);
    let known: Vec<u64> = (0..WAYS as u64).filter(|&number| table.knows(client(&table, number), 100)).collect();
    assert_eq!(known, [0, 1, 2, 3, 4, 6, 7]);
}

fn rate() -> impl Strategy<Value = Rate> {
    (1u16..40, any::<bool>()).prop_map(|(count, per_minute)| Rate { count, per_minute })
}

proptest! {
    /// However it asks, no period has more than the rate and as many again in a burst; and none has nothing.
    #[test]
    fn a_rate_and_a_burst(rate in rate(), pauses in prop::collection::vec((0u64..400, 1usize..30), 1..60)) {
        let (mut table, mut now_ms, mut admitted) = (Rates::new(WAYS, SECRET), 0, Vec::new());
        for (pause, times) in pauses {
            now_ms += pause * period_s(rate.per_minute);
            for _ in 0..times {
                if ask(&mut table, 1, rate, now_ms) { admitted.push(now_ms); }
            }
            let last = admitted.iter().filter(|&&at_ms| at_ms + period_ms(rate) > now_ms).count();
            prop_assert!((1..=2 * usize::from(rate.count)).contains(&last), "{} in a period", last);
        }
    }

    /// Who waits as long as is said is served, and who waits a moment less is not.
    #[test]
    fn the_wait_is_exact(rate in rate(), start_ms in 0u64..70_000, more in prop::collection::vec(0u64..900, 1..99)) {
        let (mut table, mut now_ms) = (Rates::new(WAYS, SECRET), start_ms);
        for pause in more { now_ms += pause; ask(&mut table, 1, rate, now_ms); }
        let who = table.who(1, None);
        let wait_ms = table.wait_ms(who, Act::Request, rate, now_ms);
        let (used, most) = (table.used(who, Act::Request, rate, now_ms), u32::from(rate.count));
        prop_assert!(used <= most && (used == most) == (wait_ms > 0), "{} of {}, {} ms", used, most, wait_ms);
        prop_assert!(wait_ms <= period_ms(rate));
        if wait_ms > 0 {
            prop_assert!(!ask(&mut table, 1, rate, now_ms + wait_ms - 1));
        }
        prop_assert!(ask(&mut table, 1, rate, now_ms + wait_ms));
    }

    /// A client that has no more than its rate in any period is never refused, however it spreads them.
    #[test]
    fn within_the_rate_nobody_is_refused(rate in rate(), pauses in prop::collection::vec(0u64..900, 1..200)) {
        let (mut table, mut now_ms, mut asked) = (Rates::new(WAYS, SECRET), 0, Vec::<u64>::new());
        for pause in pauses {
            now_ms += pause;
            if let Some(&first) = asked.len().checked_sub(rate.count.into()).and_then(|at| asked.get(at)) {
                now_ms = now_ms.max(first + period_ms(rate));
            }
            prop_assert!(ask(&mut table, 1, rate, now_ms), "the {}th, at {}", asked.len(), now_ms);
            asked.push(now_ms);
        }
    }

    /// A full set gives up the entry that a plain search finds, and no other.
    #[test]
    fn the_least_active_goes(counts in prop::collection::vec(0usize..6, WAYS), errs: bool, per_minute: bool) {
        let mut table = Rates::new(WAYS, SECRET);
        let (act, rate) = (if errs { Act::Error } else { Act::Request }, Rate { count: 9, per_minute });
        for (client, &count) in (0u64..).zip(&counts) {
            // Shares of an allowance, be it of a second or of a minute.
            let rate = if client == 0 { per_second(9) } else { rate };
            for _ in 0..=count { table.count(table.who(client, None), act, rate, 0); }
        }
        table.count(table.who(100, None), act, rate, 0);
        let least = (0..WAYS).min_by_key(|&client| counts[client]);
        for client in 0..WAYS {
            prop_assert_eq!(table.find(table.who(client as u64, None)).is_none(), Some(client) == least);
        }
    }
}
