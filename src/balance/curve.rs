//! How fast a server is by how many requests it works on at once: what its response times say about `maxconn`, and about how
//! many servers would do.
//!
//! Made of two totals that are counted anyhow, so a request costs nothing for it. Whoever has them says now and then how many
//! responses began by now and how long they took together. Of the time between, the second is how many the server worked on
//! at once on average (Little's law: time spent by time passed), and the first is how fast it was then. Such windows are added
//! up by classes of the former.
//!
//! What a server does at most, times what a request takes that is nearly alone, is how many it works on at full speed: where
//! the two straight lines that bound its throughput cross (Denning and Buzen, "The Operational Analysis of Queueing Network
//! Models", 1978). More at once only wait inside. Refuses to guess: without the lower end or the upper one there is no figure.

/// Requests at once from which on each class is.
const FIRST: [u16; 14] = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128];
/// A window is at least so long, in milliseconds, and has so many responses, and so many for each that is there at once: else it
/// would count waves of them. Or it is over because it is long.
const WINDOW_MS: u64 = 1_000;
const WINDOW_RESPONSES: u64 = 32;
const ROUNDS: u64 = 4;
const LONG_MS: u64 = 30_000;
/// What no sum of a class may pass, in milliseconds and responses: from half of it on, what is old counts half. That is after six
/// days with one request at once, and after so much less with more.
const MOST: u32 = 1 << 30;
/// Responses without which a class says nothing.
const ENOUGH: u32 = 100;
/// The first class that is no longer nearly alone.
const NOT_ALONE: usize = 2;

/// Windows with about as many requests at once, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Milliseconds that passed.
    pub elapsed_ms: u32,
    /// Responses that began.
    pub responses: u32,
    /// Milliseconds that they took to begin, together.
    pub took_ms: u32,
}

/// All classes of a server, and the totals when the last window ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    classes: [Class; FIRST.len()],
    ended_ms: u64,
    responses: u64,
    took_ms: u64,
}

/// What a server showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Microseconds to the beginning of a response that is nearly alone.
    pub alone_us: u64,
    /// The most responses per second, in thousandths.
    pub most_milli: u64,
    /// Requests at once then, on average, in thousandths.
    pub at_once_milli: u64,
    /// How many it works on at full speed, in thousandths.
    pub abreast_milli: u64,
    /// Responses that the most is made of.
    pub responses: u32,
}

/// What can be said of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// No load was there for long enough.
    TooLittle,
    /// It was always busy: how fast it is alone is not known, and with that how many it works on at full speed.
    NeverAlone(Point),
    /// It was never so busy that it became slower: it can do at least this.
    NeverFull(Point),
    /// Both ends were there.
    Full(Point),
}

impl Class {
    /// Adds a window: what passed, responses, what they took; nothing of one that is too long.
    fn add(&mut self, window: [u64; 3]) {
        let short = window.map(|sum| u32::try_from(sum).ok().filter(|&sum| sum <= MOST / 2));
        let [Some(elapsed_ms), Some(responses), Some(took_ms)] = short else { return };
        if [self.elapsed_ms, self.responses, self.took_ms].iter().any(|&sum| sum > MOST / 2) {
            self.elapsed_ms /= 2;
            self.responses /= 2;
            self.took_ms /= 2;
        }
        self.elapsed_ms += elapsed_ms;
        self.responses += responses;
        self.took_ms += took_ms;
    }

    /// Microseconds that a response took.
    #[must_use]
    pub fn each_us(&self) -> u64 {
        (u64::from(self.took_ms) * 1000).checked_div(self.responses.into()).unwrap_or(0)
    }

    /// Responses per second, in thousandths.
    #[must_use]
    pub fn milli_per_s(&self) -> u64 {
        (u64::from(self.responses) * 1_000_000).checked_div(self.elapsed_ms.into()).unwrap_or(0)
    }

    /// Requests at once, in thousandths.
    #[must_use]
    pub fn at_once_milli(&self) -> u64 {
        (u64::from(self.took_ms) * 1000).checked_div(self.elapsed_ms.into()).unwrap_or(0)
    }
}

impl Curve {
    /// Takes in what was added to the totals by now; nothing while that is too little.
    pub fn take(&mut self, now_ms: u64, responses: u64, took_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.ended_ms);
        let new = responses.saturating_sub(self.responses);
        // When it came is not known: there may have been nothing to count for long.
        if self.ended_ms == 0 {
            (self.ended_ms, self.responses, self.took_ms) = (now_ms, responses, took_ms);
            return;
        }
        if elapsed < WINDOW_MS {
            return;
        }
        let took = took_ms.saturating_sub(self.took_ms);
        let at_once = took / elapsed;
        if new < WINDOW_RESPONSES.max(at_once.saturating_mul(ROUNDS)) && elapsed < LONG_MS {
            return;
        }
        (self.ended_ms, self.responses, self.took_ms) = (now_ms, responses, took_ms);
        // What was there long before the window says nothing about it.
        if new == 0 || took / new > elapsed {
            return;
        }
        let class = FIRST.iter().rposition(|&first| u64::from(first) <= at_once).unwrap_or(0);
        self.classes[class].add([elapsed, new, took]);
    }

    /// The classes that hold anything, each with the least there is at once.
    pub fn classes(&self) -> impl Iterator<Item = (u16, Class)> + use<'_> {
        FIRST.into_iter().zip(self.classes).filter(|(_, class)| class.responses > 0)
    }

    /// What all that says.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let known = |&(_, class): &(usize, &Class)| class.responses >= ENOUGH;
        let known = || self.classes.iter().enumerate().filter(known);
        let Some((lowest, low)) = known().next() else { return Reading::TooLittle };
        // Where it was never nearly alone, it is as fast as alone if another load, larger by a third, made no difference.
        let is_as_fast = |class: &Class| {
            3 * class.at_once_milli() >= 4 * low.at_once_milli() && 10 * class.each_us() <= 11 * low.each_us()
        };
        let is_known_alone = lowest < NOT_ALONE || known().any(|(_, class)| is_as_fast(class));
        let alone_us = known().map(|(_, class)| class.each_us()).min().unwrap_or(0);
        let most = known().map(|(_, class)| *class).max_by_key(Class::milli_per_s).unwrap_or_default();
        let point = Point {
            alone_us,
            most_milli: most.milli_per_s(),
            at_once_milli: most.at_once_milli(),
            abreast_milli: most.milli_per_s().saturating_mul(alone_us) / 1_000_000,
            responses: most.responses,
        };
        // Half as slow again: then some of them wait inside.
        match known().any(|(_, class)| 2 * class.each_us() >= 3 * alone_us) {
            _ if !is_known_alone => Reading::NeverAlone(point),
            true => Reading::Full(point),
            false => Reading::NeverFull(point),
        }
    }
}

impl Point {
    /// The `maxconn` that fits: what is worked on at full speed, the next whole number from a quarter on. One too few costs
    /// throughput, one too many a little time.
    #[must_use]
    pub fn maxconn(&self) -> u64 {
        (self.abreast_milli.saturating_add(750) / 1000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    /// A server with so many workers, the rest waits inside, first come first served; its clock and its totals, which it tells
    /// once a second.
    struct Server {
        workers: u64,
        alone_ms: u64,
        /// What each further request beside adds, in thousandths.
        contention: u64,
        /// When each worker is free, when each request is answered and when it came.
        free: BinaryHeap<Reverse<u64>>,
        flying: BinaryHeap<Reverse<(u64, u64)>>,
        now_ms: u64,
        seed: u64,
        responses: u64,
        took_ms: u64,
        curve: Curve,
    }

    impl Server {
        fn new(workers: u64, alone_ms: u64, contention: u64) -> Self {
            Self {
                workers,
                alone_ms,
                contention,
                free: (0..workers).map(|_| Reverse(0)).collect(),
                flying: BinaryHeap::new(),
                now_ms: 0,
                seed: 42,
                responses: 0,
                took_ms: 0,
                curve: Curve::default(),
            }
        }

        fn random(&mut self, below: u64) -> u64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.seed >> 33) % below.max(1)
        }

        fn tell(&mut self, until_ms: u64) {
            let next_ms = (self.now_ms / 1000 + 1) * 1000;
            if next_ms <= until_ms {
                self.now_ms = next_ms;
                self.curve.take(next_ms, self.responses, self.took_ms);
            } else {
                self.now_ms = until_ms;
            }
        }

        fn arrive(&mut self) {
            let beside = (self.flying.len() as u64).min(self.workers - 1);
            let work = self.alone_ms * (1000 + self.contention * beside) / 1000;
            // Half as long to half as long again.
            let work = work / 2 + self.random(work + 1);
            let Reverse(free_ms) = self.free.pop().unwrap();
            let done_ms = free_ms.max(self.now_ms) + work.max(1);
            self.free.push(Reverse(done_ms));
            self.flying.push(Reverse((done_ms, self.now_ms)));
        }

        /// So many clients without end, each with a request at a time and a pause of up to twice `think_ms` behind it.
        fn run(&mut self, clients: u64, think_ms: u64, seconds: u64) -> &mut Self {
            let end_ms = self.now_ms + 1000 * seconds;
            let mut coming: BinaryHeap<Reverse<u64>> = (0..clients).map(|_| Reverse(self.now_ms)).collect();
            while self.now_ms < end_ms {
                let answer = self.flying.peek().map_or(u64::MAX, |Reverse((done_ms, _))| *done_ms);
                let request = coming.peek().map_or(u64::MAX, |Reverse(at_ms)| *at_ms);
                let next_ms = answer.min(request).min(end_ms);
                while self.now_ms < next_ms {
                    self.tell(next_ms);
                }
                if next_ms == end_ms {
                    break;
                }
                if answer <= request {
                    let Reverse((done_ms, came_ms)) = self.flying.pop().unwrap();
                    self.responses += 1;
                    self.took_ms += done_ms - came_ms;
                    let pause_ms = if think_ms == 0 { 0 } else { self.random(2 * think_ms) };
                    coming.push(Reverse(self.now_ms + pause_ms));
                } else {
                    coming.pop();
                    self.arrive();
                }
            }
            // Nobody comes any more; who is there is answered.
            while let Some(Reverse((done_ms, came_ms))) = self.flying.pop() {
                while self.now_ms < done_ms {
                    self.tell(done_ms);
                }
                self.responses += 1;
                self.took_ms += done_ms - came_ms;
            }
            self
        }

        #[track_caller]
        fn full(&self) -> Point {
            match self.curve.reading() {
                Reading::Full(point) => point,
                other => panic!("{other:?} of {:?}", self.curve.classes().collect::<Vec<_>>()),
            }
        }
    }

    #[test]
    fn the_workers_of_a_server_are_found() {
        for workers in [1, 2, 3, 4, 6, 8, 12, 16, 30, 60] {
            for alone_ms in [10, 100, 700] {
                let mut server = Server::new(workers, alone_ms, 0);
                let seconds = 60 + 300 * alone_ms / 1000;
                server.run(1, alone_ms, seconds).run(workers, alone_ms, seconds).run(4 * workers, 0, seconds);
                let point = server.full();
                let off = point.maxconn().abs_diff(workers);
                assert!(off <= 1 + workers / 20, "{workers} workers of {alone_ms} ms: {point:?}");
                let expected_milli = workers * 1_000_000 / alone_ms;
                assert!(
                    point.most_milli.abs_diff(expected_milli) * 20 <= expected_milli,
                    "{expected_milli}: {point:?}"
                );
                assert!(point.alone_us.abs_diff(alone_ms * 1000) <= alone_ms * 80, "{alone_ms} ms: {point:?}");
            }
        }
    }

    #[test]
    fn a_server_that_suffers_from_every_further_request_has_the_limit_where_it_does_most() {
        let mut server = Server::new(4, 150, 40);
        server.run(1, 150, 120).run(4, 100, 120).run(40, 0, 120);
        assert_eq!(server.full().maxconn(), 4);
    }

    #[test]
    fn a_crowd_that_grows_and_shrinks_shows_the_same() {
        let mut server = Server::new(8, 50, 0);
        for clients in [2, 10, 40, 90, 30, 5, 1, 60] {
            server.run(clients, 300, 60);
        }
        assert_eq!(server.full().maxconn(), 8);
    }

    #[test]
    fn where_an_end_is_missing_there_is_no_figure() {
        let reading = |server: &mut Server| server.curve.reading();
        assert_eq!(Curve::default().reading(), Reading::TooLittle);
        assert_eq!(reading(Server::new(4, 100, 0).run(1, 900, 20)), Reading::TooLittle, "20 requests");
        // What it does at most is known nevertheless.
        let busy = reading(Server::new(4, 100, 0).run(40, 0, 60));
        assert!(matches!(busy, Reading::NeverAlone(point) if point.most_milli.abs_diff(40_000) < 2_000), "{busy:?}");
        for (clients, least_milli) in [(1, 500), (4, 3_000)] {
            match reading(Server::new(4, 100, 0).run(clients, 0, 60)) {
                Reading::NeverFull(point) => {
                    assert!((least_milli..=4_200).contains(&point.abreast_milli), "{clients}: {point:?}");
                }
                // Four at once all the time, and nothing else: it cannot be known that this is as fast as alone.
                Reading::NeverAlone(_) if clients == 4 => {}
                other => panic!("{clients}: {other:?}"),
            }
        }
        // Never alone, but as fast with more of them.
        let busy = reading(Server::new(16, 100, 0).run(3, 0, 60).run(7, 0, 60));
        assert!(matches!(busy, Reading::NeverFull(point) if point.alone_us.abs_diff(100_000) < 5_000), "{busy:?}");
    }

    #[test]
    fn what_lasts_much_longer_than_a_window_is_left_out() {
        let mut curve = Curve::default();
        curve.take(1_000, 0, 0);
        // A tunnel of an hour that ends.
        curve.take(31_000, 1, 3_600_000);
        assert_eq!(curve.classes().count(), 0);
        curve.take(32_000, 41, 3_604_000);
        assert_eq!(
            curve.classes().collect::<Vec<_>>(),
            [(4, Class { elapsed_ms: 1_000, responses: 40, took_ms: 4_000 })]
        );
        // Too short, or too few, is not over yet.
        curve.take(32_999, 9_999, 3_604_000);
        curve.take(40_000, 42, 3_604_000);
        assert_eq!(curve.classes().count(), 1);
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut class = Class::default();
        (0..10).for_each(|_| class.add([1 << 28, 10, 100]));
        assert!(class.elapsed_ms <= MOST && class.responses < 50, "{class:?}");
        // What one has of the other stays, but for what is cut.
        assert!((class.elapsed_ms / class.responses).abs_diff((1 << 28) / 10) < (1 << 28) / 1000, "{class:?}");
        // Nothing of a window that is longer than all that counts.
        let before = class;
        class.add([10, 10, 1 << 30]);
        assert_eq!(class, before);
    }

    proptest! {
        #[test]
        fn no_totals_make_it_panic(totals: Vec<(u64, u64, u64)>) {
            let mut curve = Curve::default();
            for (now_ms, responses, took_ms) in totals {
                curve.take(now_ms, responses, took_ms);
                if let Reading::Full(point) | Reading::NeverFull(point) = curve.reading() {
                    prop_assert!(point.maxconn() > 0);
                }
            }
        }
    }
}
