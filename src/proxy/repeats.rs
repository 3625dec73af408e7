//! Messages that others can cause again and again: a server that flaps, a pool left without one, a name that comes and goes, a
//! listener that cannot accept, connections that are closed at once, wrong tokens.
//!
//! Each thing that such messages are about has a bucket of its own, so what one server does hides nothing of another, and all
//! may go down at once. A line goes into the bucket of its thing, and one leaks out every ten seconds; a line that finds the
//! bucket full is left out, and counted. As soon as there is room again one line says how many were left out and how things are
//! now: nobody goes on believing the last line he saw.
//!
//! Only lines are left out, never what they tell of: states, counts and metrics know nothing of this. What an operator does is
//! told in any case, since he empties the buckets of what he touches.

use super::rates::KEYS;
use crate::limits::{
    BackendId, ListenerId, MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS, MESSAGE_BURST, MESSAGE_LEAK_MS, PoolId,
    REFUSED_MESSAGE_BURST,
};
use crate::runtime::NEVER;
use std::cell::{Cell, OnceCell};

/// What kinds of things messages are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a server does.
    Server,
    /// Where it is, by a nameserver.
    Address,
    Pool,
    /// That a listener cannot accept.
    Listener,
    /// Connections closed by one of [`KEYS`].
    Closed,
    Tokens,
}

/// Where the buckets of each kind begin: those of servers are the first.
const ADDRESSES: usize = MAX_BACKENDS;
const POOLS: usize = ADDRESSES + MAX_BACKENDS;
const LISTENERS: usize = POOLS + MAX_POOLS;
const CLOSED: usize = LISTENERS + MAX_LISTENERS;
const TOKENS: usize = CLOSED + KEYS.len();
const BUCKETS: usize = TOKENS + 1;

static STARTS: [(Kind, usize); 6] = [
    (Kind::Tokens, TOKENS),
    (Kind::Closed, CLOSED),
    (Kind::Listener, LISTENERS),
    (Kind::Pool, POOLS),
    (Kind::Address, ADDRESSES),
    (Kind::Server, 0),
];

/// What a message is about: the place of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About(usize);

impl About {
    /// Wrong tokens at the admin listener, whoever tries them: addresses are no names, there are too many.
    pub const TOKENS: Self = Self(TOKENS);

    /// What a server does.
    #[must_use]
    pub fn server(id: BackendId) -> Self {
        Self(id.index())
    }

    /// Where a server is, as a nameserver says, or the name of which this server is the first.
    #[must_use]
    pub fn address(id: BackendId) -> Self {
        Self(ADDRESSES + id.index())
    }

    pub(super) fn pool(id: PoolId) -> Self {
        Self(POOLS + id.index())
    }

    pub(super) fn listener(id: ListenerId) -> Self {
        Self(LISTENERS + id.index())
    }

    /// Connections that were closed at once, by the key at this place.
    pub(super) fn closed(key: usize) -> Self {
        Self(CLOSED + key)
    }

    /// Its kind, and which of that.
    pub(super) fn parts(self) -> (Kind, usize) {
        let start = STARTS.iter().find(|(_, start)| *start <= self.0);
        start.map_or((Kind::Tokens, 0), |&(kind, start)| (kind, self.0 - start))
    }

    /// Lines that its bucket takes.
    fn most(self) -> u32 {
        if self.0 < LISTENERS { MESSAGE_BURST } else { REFUSED_MESSAGE_BURST }
    }
}

/// The lines in it, 5 bits, and those that were left out, 19 bits: more than there can be in ten seconds.
#[derive(Clone, Copy, Default)]
struct Bucket([u8; 3]);

impl Bucket {
    const LEVEL_BITS: u32 = 5;
    const MOST_LEFT_OUT: u32 = (1 << (24 - Self::LEVEL_BITS)) - 1;

    fn of(level: u32, left_out: u32) -> Self {
        let [low, middle, high, _] = (level | left_out.min(Self::MOST_LEFT_OUT) << Self::LEVEL_BITS).to_le_bytes();
        Self([low, middle, high])
    }

    fn level(self) -> u32 {
        self.bits() & ((1 << Self::LEVEL_BITS) - 1)
    }

    fn left_out(self) -> u32 {
        self.bits() >> Self::LEVEL_BITS
    }

    fn bits(self) -> u32 {
        let [low, middle, high] = self.0;
        u32::from_le_bytes([low, middle, high, 0])
    }
}

const _: () = assert!(MESSAGE_BURST < 1 << Bucket::LEVEL_BITS && REFUSED_MESSAGE_BURST < 1 << Bucket::LEVEL_BITS);

/// What was left out of one thing, in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) about: About,
    pub(super) count: u32,
    pub(super) seconds: u64,
}

/// All buckets. They are made when the first line comes.
#[derive(Default)]
pub(super) struct Repeats {
    buckets: OnceCell<Box<[Cell<Bucket>]>>,
    /// How often a line leaked out of each bucket since the start.
    leaks: Cell<u64>,
    /// When was last told what was left out.
    told_ms: Cell<u64>,
    /// Something was left out and not told yet.
    owes: Cell<bool>,
    /// Lines that ever were left out.
    left_out: Cell<u64>,
}

impl Repeats {
    fn bucket(&self, about: About) -> &Cell<Bucket> {
        &self.buckets.get_or_init(|| vec![Cell::default(); BUCKETS].into_boxed_slice())[about.0]
    }

    /// Whether a line may be told now; else it is counted as left out. `tell` is told what was left out before.
    pub(super) fn may(&self, about: About, now_ms: u64, tell: &mut dyn FnMut(LeftOut)) -> bool {
        self.leak(now_ms, tell);
        let bucket = self.bucket(about);
        let (level, left_out) = (bucket.get().level(), bucket.get().left_out());
        let may = level < about.most();
        bucket.set(if may { Bucket::of(level + 1, left_out) } else { Bucket::of(level, left_out + 1) });
        if !may {
            self.owes.set(true);
            self.left_out.set(self.left_out.get() + 1);
        }
        may
    }

    /// Lets leak out what is due, and tells what was left out: there is room for that now.
    pub(super) fn leak(&self, now_ms: u64, tell: &mut dyn FnMut(LeftOut)) {
        let leaks = now_ms / MESSAGE_LEAK_MS;
        let leaked = leaks.saturating_sub(self.leaks.replace(leaks));
        if leaked > 0 {
            self.tell_all(now_ms, u32::try_from(leaked).unwrap_or(u32::MAX), tell);
        }
    }

    /// Tells what was left out, once `leaked` lines are out of each bucket; where that is none, what is told needs no room.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_all(&self, now_ms: u64, leaked: u32, tell: &mut dyn FnMut(LeftOut)) {
        self.owes.set(false);
        let seconds = self.seconds(now_ms);
        self.told_ms.set(now_ms);
        for (bucket, at) in self.buckets.get().map_or(&[][..], |buckets| buckets).iter().zip(0..) {
            let (level, count) = (bucket.get().level(), bucket.get().left_out());
            let room = u32::from(count > 0).min(leaked);
            bucket.set(Bucket::of(level.saturating_sub(leaked) + room, 0));
            if count > 0 {
                tell(LeftOut { about: About(at), count, seconds });
            }
        }
    }

    /// When there is something to tell.
    pub(super) fn due_ms(&self) -> u64 {
        if self.owes.get() { (self.leaks.get() + 1) * MESSAGE_LEAK_MS } else { NEVER }
    }

    /// Whether something was left out that was not told yet.
    pub(super) fn owes(&self) -> bool {
        self.owes.get()
    }

    /// Lines that ever were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.get()
    }

    /// Empties a bucket; what was left out of it.
    pub(super) fn empty(&self, about: About, now_ms: u64) -> Option<LeftOut> {
        let count = self.buckets.get()?[about.0].take().left_out();
        (count > 0).then(|| LeftOut { about, count, seconds: self.seconds(now_ms) })
    }

    /// Since when was last told what was left out.
    fn seconds(&self, now_ms: u64) -> u64 {
        (now_ms.saturating_sub(self.told_ms.get()) + 500).div_euclid(1_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(number: u8) -> About {
        About::server(BackendId(number))
    }

    /// Lines about `about` at these times: `+` told, `-` left out; and what was told of those, `count/seconds`.
    fn run(repeats: &Repeats, about: About, times_ms: impl IntoIterator<Item = u64>) -> String {
        let mut said = String::new();
        for now_ms in times_ms {
            let mut told = String::new();
            let may = repeats.may(about, now_ms, &mut |it| told += &format!("({}/{}s)", it.count, it.seconds));
            said += &told;
            said.push(if may { '+' } else { '-' });
        }
        said
    }

    #[test]
    fn lines_that_come_and_lines_that_do_not() {
        let burst = "+".repeat(MESSAGE_BURST as usize);
        let all = u64::from(MESSAGE_BURST);
        let leak = MESSAGE_LEAK_MS;
        // What it is about, when lines come, what becomes of them.
        let cases: [(&str, About, Vec<u64>, String); 8] = [
            ("a burst is told whole", server(0), vec![5; MESSAGE_BURST as usize], burst.clone()),
            ("and no line beyond it", server(0), vec![5; MESSAGE_BURST as usize + 2], format!("{burst}--")),
            (
                "the line that tells of them takes the room there is",
                server(0),
                [vec![0; MESSAGE_BURST as usize + 2], vec![leak - 1, leak, leak + 1, 2 * leak]].concat(),
                format!("{burst}---(3/10s)--(2/10s)-"),
            ),
            (
                "after quiet the first line comes at once",
                server(0),
                [vec![0; MESSAGE_BURST as usize + 1], vec![2 * leak, 2 * leak]].concat(),
                format!("{burst}-(1/20s)+-"),
            ),
            (
                "after long quiet so does a burst",
                server(0),
                [vec![0; MESSAGE_BURST as usize], vec![(all + 1) * leak; MESSAGE_BURST as usize + 1]].concat(),
                format!("{burst}{burst}-"),
            ),
            ("one line each time is never too much", server(0), (0..99).map(|at| at * leak).collect(), "+".repeat(99)),
            ("refusals are all alike", About::TOKENS, vec![1; 5], "+++--".to_owned()),
            ("so are failures to accept", About::listener(ListenerId(15)), vec![1; 5], "+++--".to_owned()),
        ];
        for (name, about, times_ms, expected) in cases {
            assert_eq!(run(&Repeats::default(), about, times_ms), expected, "{name}");
        }
    }

    #[test]
    fn nothing_hides_anything_else() {
        let repeats = Repeats::default();
        let mut all: Vec<About> = (0..=u8::MAX).map(server).collect();
        all.extend((0..=u8::MAX).map(|number| About::address(BackendId(number))));
        all.extend((0..64).map(|number| About::pool(PoolId(number))));
        all.extend((0..16).map(|number| About::listener(ListenerId(number))));
        all.extend((0..KEYS.len()).map(About::closed));
        all.push(About::TOKENS);
        for (at, &about) in all.iter().enumerate() {
            assert_eq!(about.0, at, "{about:?}");
            // Full, and overfull, while those behind it are empty.
            assert!(run(&repeats, about, [0; 50]).starts_with("+++"), "{about:?}");
        }
        let buckets = repeats.buckets.get().unwrap();
        assert_eq!(buckets.len(), all.len(), "as many as there are things");
        let bytes = size_of_val(&**buckets) + size_of::<Repeats>();
        assert!(bytes <= 2 * 1024, "{bytes} bytes");
        let mut told = Vec::new();
        repeats.leak(MESSAGE_LEAK_MS, &mut |it| told.push(it.about));
        assert_eq!(told, all);
    }

    #[test]
    fn it_is_due_only_while_something_is_owed() {
        let repeats = Repeats::default();
        assert_eq!(repeats.due_ms(), NEVER);
        let late_ms = 7 * MESSAGE_LEAK_MS + 1;
        run(&repeats, server(3), [late_ms; MESSAGE_BURST as usize]);
        assert_eq!(repeats.due_ms(), NEVER);
        run(&repeats, server(3), [late_ms]);
        assert_eq!(repeats.due_ms(), 8 * MESSAGE_LEAK_MS);
        let mut told = Vec::new();
        repeats.leak(repeats.due_ms() - 1, &mut |it| told.push(it));
        assert_eq!(told, []);
        repeats.leak(repeats.due_ms(), &mut |it| told.push(it));
        assert_eq!(told, [LeftOut { about: server(3), count: 1, seconds: 10 }]);
        assert_eq!((repeats.due_ms(), repeats.left_out()), (NEVER, 1));
    }

    #[test]
    fn an_operator_empties_a_bucket() {
        let repeats = Repeats::default();
        assert_eq!(repeats.empty(server(1), 0), None);
        assert!(repeats.buckets.get().is_none(), "nothing is made for that");
        run(&repeats, server(1), [1_500; MESSAGE_BURST as usize + 4]);
        assert_eq!(repeats.empty(server(2), 2_000), None);
        assert_eq!(repeats.empty(server(1), 2_000), Some(LeftOut { about: server(1), count: 4, seconds: 2 }));
        assert_eq!(run(&repeats, server(1), [2_000]), "+");
    }

    #[test]
    fn more_than_can_be_counted_is_as_many_as_can() {
        let full = Bucket::of(MESSAGE_BURST, u32::MAX);
        assert_eq!((full.level(), full.left_out()), (MESSAGE_BURST, Bucket::MOST_LEFT_OUT));
        let more = Bucket::of(full.level(), full.left_out() + 1);
        assert_eq!((more.level(), more.left_out()), (MESSAGE_BURST, Bucket::MOST_LEFT_OUT));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Line(u8),
        /// The task wakes.
        Wake,
        Order(u8),
        /// A reload.
        All,
    }

    fn step() -> impl Strategy<Value = (u64, Step)> {
        let step = prop_oneof![
            40 => (0u8..3).prop_map(Step::Line),
            4 => Just(Step::Wake),
            1 => (0u8..3).prop_map(Step::Order),
            1 => Just(Step::All),
        ];
        (prop_oneof![9 => Just(0), 9 => 0u64..500, 2 => 0..3 * MESSAGE_LEAK_MS], step)
    }

    proptest! {
        /// Whenever lines come: in no time there are more than may be, and each is told, or counted and told of.
        #[test]
        fn never_too_many_and_all_accounted_for(steps in prop::collection::vec(step(), 1..600)) {
            let repeats = Repeats::default();
            // Of each server: when lines about it were written since an operator last touched one, what came, what was told.
            let mut written: [Vec<u64>; 3] = Default::default();
            let (mut came, mut told, mut now_ms) = ([0; 3], [0; 3], 0);
            for (after_ms, step) in steps.into_iter().chain([(MESSAGE_LEAK_MS, Step::Wake)]) {
                now_ms += after_ms;
                let mut tell = |it: LeftOut| {
                    assert!(it.count > 0);
                    told[it.about.0] += it.count;
                    written[it.about.0].push(now_ms);
                };
                match step {
                    Step::Line(number) => {
                        let may = repeats.may(server(number), now_ms, &mut tell);
                        came[usize::from(number)] += 1;
                        told[usize::from(number)] += u32::from(may);
                        written[usize::from(number)].extend(may.then_some(now_ms));
                    }
                    Step::Wake => repeats.leak(now_ms, &mut tell),
                    Step::Order(number) => {
                        repeats.empty(server(number), now_ms).into_iter().for_each(&mut tell);
                        written[usize::from(number)].clear();
                    }
                    Step::All => {
                        repeats.tell_all(now_ms, 0, &mut tell);
                        written = Default::default();
                    }
                }
            }
            prop_assert_eq!(told, came);
            for times in &written {
                for (first, &from_ms) in times.iter().enumerate() {
                    for (last, &to_ms) in times.iter().enumerate().skip(first) {
                        let most = u64::from(MESSAGE_BURST) + to_ms / MESSAGE_LEAK_MS - from_ms / MESSAGE_LEAK_MS;
                        let count = (last - first) as u64 + 1;
                        prop_assert!(count <= most, "{count} lines from {from_ms} to {to_ms}");
                    }
                }
            }
        }
    }
}
