//! An edge-triggered epoll set and the tables beside it: who waits for which socket, and until when.
//!
//! A socket is registered once, for both directions, and never again; what the kernel said about it is kept as flags
//! until a receive or a send finds them outdated. A *source* is a registered socket, a *seat* is a task that may wait.
//! A source has at most one owner, a seat; events wake the owner, and only when it said that it waits for them.

use super::alarm::Alarm;
use super::calls;
use super::clock::Clock;
use super::deadlines::Deadlines;
use super::label::Label;
use super::lag::{Lag, Lags};
#[cfg(test)]
use super::seat::NEVER;
use super::waker::LoopWaker;
use super::zeroed::{Free, Zeroed, zeroed};
use crate::limits::EVENTS_PER_TURN;
use crate::table::Table;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Waker;

/// A source's flag: a receive may find something.
pub(super) const READ: u8 = 1;
/// A source's flag: a send may be taken.
pub(super) const WRITE: u8 = 2;
/// A source's flag: the peer will send no more (EPOLLRDHUP).
pub(super) const PEER_CLOSED: u8 = 4;
/// A source's flag: the connection is over (EPOLLHUP, EPOLLERR), also when both sides ended it in order.
pub(super) const BROKEN: u8 = 8;
/// A source's flag: it did not end in order (EPOLLERR).
pub(super) const FAILED: u8 = 16;

/// A source's flag: there is urgent data (EPOLLPRI), before which a receive stops however much lies behind it.
pub(super) const URGENT: u8 = 32;

/// No seat: the owner of an idle source, the next of the last.
const NOBODY: u16 = u16::MAX;
/// The next of a seat that is not among the woken.
const UNLISTED: u16 = NOBODY - 1;
/// The token of what ends a sleep and no more: the eventfd that other threads wake the loop with, and the alarm.
const WAKER_TOKEN: u64 = u64::MAX;

struct Source {
    /// Counts the sockets that used this entry, so that an event of an earlier one is not taken for this one's.
    generation: Cell<u32>,
    ready: Cell<u8>,
    waiting: Cell<u8>,
    /// Of one that is registered.
    owner: Cell<u16>,
}

// SAFETY: it is numbers.
#[allow(unsafe_code, reason = "a promise about its bytes")]
unsafe impl Zeroed for Source {}
// SAFETY: it is a number.
#[allow(unsafe_code, reason = "as above")]
unsafe impl Zeroed for Cell<Label> {}

/// Who sits in a seat: a task of the executor, which has a waker, or one that the loop runs by itself.
struct Sitter {
    has_waker: Cell<bool>,
    /// The next among the woken; [`NOBODY`] behind the last, [`UNLISTED`] when it is not among them.
    next: Cell<u16>,
}

/// What happens at some time.
struct Times {
    deadlines: Deadlines,
    lag: Lag,
}

/// The epoll set, the clock, and the tables of sources and seats.
pub struct Reactor {
    epoll: Epoll,
    alarm: Alarm,
    clock: Clock,
    sources: Box<[Source]>,
    /// The descriptor of each, and what its owner calls it. Apart: who serves does not ask.
    pub(super) labels: Box<[Cell<Label>]>,
    free_sources: RefCell<Free>,
    seats: Box<[Sitter]>,
    /// Of those who have one.
    wakers: RefCell<Table<Option<Waker>>>,
    free_seats: RefCell<Free>,
    times: RefCell<Times>,
    /// Seats whose tasks gave way and go on in the next turn.
    again: RefCell<Vec<u16>>,
    /// The first of the seats that the loop itself runs, woken and not run yet, in their order; [`NOBODY`] when there is none.
    first_woken: Cell<u16>,
    last_woken: Cell<u16>,
    pub(super) waker: Arc<LoopWaker>,
}

impl Reactor {
    /// A reactor for so many sockets and tasks.
    ///
    /// # Errors
    /// When the system refuses the epoll set or the eventfd.
    pub fn new(sources: usize, seats: usize) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let waker = Arc::new(LoopWaker::new()?);
        // Edge-triggered: every write, and every ring, is an edge, so their counters never need a read.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&waker.eventfd, EpollEvent::new(flags, WAKER_TOKEN))?;
        let alarm = Alarm::new()?;
        epoll.add(&alarm.timer, EpollEvent::new(flags, WAKER_TOKEN))?;
        let sitter = || Sitter { has_waker: Cell::new(false), next: Cell::new(UNLISTED) };
        Ok(Self {
            epoll,
            alarm,
            clock: Clock::new(),
            sources: zeroed(sources),
            labels: zeroed(sources),
            free_sources: RefCell::new(Free::all(sources)),
            seats: (0..seats).map(|_| sitter()).collect(),
            wakers: RefCell::new(Table::new(seats)),
            free_seats: RefCell::new(Free::all(seats)),
            times: RefCell::new(Times { deadlines: Deadlines::new(seats), lag: Lag::default() }),
            again: RefCell::new(Vec::with_capacity(seats)),
            first_woken: Cell::new(NOBODY),
            last_woken: Cell::new(NOBODY),
            waker,
        })
    }

    /// The clock, as of this turn.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Milliseconds since the start, as of this turn.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// How long its turns took lately.
    #[must_use]
    pub fn lags(&self) -> Lags {
        self.times.borrow().lag.at(self.now_ms())
    }

    /// Wakes who sits in seat `seat`: a task of the executor, or else the loop runs it.
    pub fn wake(&self, seat: u16) {
        let Some(sitter) = self.seats.get(usize::from(seat)) else { return };
        if sitter.has_waker.get() {
            return self.wake_task(seat);
        }
        if sitter.next.get() != UNLISTED {
            return;
        }
        sitter.next.set(NOBODY);
        match self.seats.get(usize::from(self.last_woken.replace(seat))) {
            Some(last) => last.next.set(seat),
            None => self.first_woken.set(seat),
        }
    }

    #[inline(never)]
    fn wake_task(&self, seat: u16) {
        if let Some(Some(waker)) = self.wakers.borrow().get(seat) {
            waker.wake_by_ref();
        }
    }

    /// The next seat that was woken and that the loop runs.
    pub(super) fn next_woken(&self) -> Option<u16> {
        let seat = self.first_woken.get();
        let next = self.seats.get(usize::from(seat))?.next.replace(UNLISTED);
        self.first_woken.set(next);
        if next == NOBODY {
            self.last_woken.set(NOBODY);
        }
        Some(seat)
    }

    /// Whether nobody that the loop runs is woken.
    fn is_at_rest(&self) -> bool {
        self.first_woken.get() == NOBODY && self.again.borrow().is_empty()
    }

    /// Wakes every task that sits anywhere, so that it looks at the world again.
    pub fn wake_all(&self) {
        (0..u16::try_from(self.seats.len()).unwrap_or(NOBODY)).for_each(|seat| self.wake(seat));
    }

    /// Room for the events of a turn.
    pub(super) fn events() -> Box<[EpollEvent]> {
        vec![EpollEvent::empty(); EVENTS_PER_TURN].into_boxed_slice()
    }

    /// One turn: sleeps until an event or a deadline when `sleep`, reads the clock, wakes who is concerned. Whether another
    /// thread, or a task, woke the loop.
    pub(super) fn turn(&self, events: &mut [EpollEvent], sleep: bool) -> io::Result<bool> {
        let sleep = sleep && self.is_at_rest() && self.waker.fall_asleep();
        let timeout_ms = if sleep { self.sleep_at_most_ms() } else { 0 };
        let count = match calls::wait(&self.epoll, events, timeout_ms) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let woken = if sleep { self.waker.wake_up() } else { self.waker.take_woken() };
        self.clock.refresh();
        let now_ms = self.now_ms();
        // The alarm is no traffic: if it were, the samples of the lag would go on for ever.
        let mut traffic = false;
        for event in events.iter().take(count) {
            traffic |= self.dispatch(event.data(), event.events());
        }
        let mut again = self.again.borrow_mut();
        if !again.is_empty() {
            again.drain(..).for_each(|seat| self.wake(seat));
        }
        drop(again);
        let times = &mut *self.times.borrow_mut();
        times.lag.turned(now_ms, sleep, traffic);
        times.deadlines.advance(now_ms, |seat| self.wake(seat));
        Ok(woken)
    }

    /// How many milliseconds a sleep may take by itself; -1: any.
    fn sleep_at_most_ms(&self) -> i32 {
        let times = self.times.borrow();
        self.alarm.ring(times.deadlines.due_ms().min(times.lag.due_ms()), self.now_ms())
    }

    /// Notes the events of a source, and wakes who waits for them; whether there is such a source.
    fn dispatch(&self, token: u64, events: EpollFlags) -> bool {
        let (index, generation) = (token & 0xffff, token >> 16);
        // That of the waker and the alarm is no source's.
        let Some(source) = usize::try_from(index).ok().and_then(|index| self.sources.get(index)) else { return false };
        if u64::from(source.generation.get()) != generation {
            return false;
        }
        let mut flags = 0;
        if events.contains(EpollFlags::EPOLLIN) {
            flags |= READ;
        }
        if events.contains(EpollFlags::EPOLLOUT) {
            flags |= WRITE;
        }
        if !(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT).contains(events) {
            flags |= seldom(events);
        }
        let before = source.ready.replace(source.ready.get() | flags);
        let ended = flags & !before & (PEER_CLOSED | BROKEN | FAILED) != 0;
        if ended || flags & source.waiting.get() != 0 {
            source.waiting.set(0);
            self.wake(source.owner.get());
        }
        true
    }

    /// Registers `socket` once and for all. The flags in `ready` are assumed until the kernel or a call says otherwise.
    pub(super) fn register(&self, socket: impl AsFd, ready: u8) -> io::Result<u16> {
        let inward = EpollFlags::EPOLLIN | EpollFlags::EPOLLPRI | EpollFlags::EPOLLRDHUP;
        self.enter(socket, inward | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET, ready)
    }

    /// Registers a listening socket: level-triggered, so that what one turn leaves the next one finds.
    pub(super) fn register_listener(&self, socket: impl AsFd) -> io::Result<u16> {
        self.enter(socket, EpollFlags::EPOLLIN, 0)
    }

    fn enter(&self, socket: impl AsFd, flags: EpollFlags, ready: u8) -> io::Result<u16> {
        let index = self.free_sources.borrow_mut().take().ok_or(Errno::ENFILE)?;
        let source = &self.sources[usize::from(index)];
        source.ready.set(ready);
        source.waiting.set(0);
        source.owner.set(NOBODY);
        self.labels[usize::from(index)].set(Label::of(socket.as_fd()));
        if let Err(errno) = self.epoll.add(socket, EpollEvent::new(flags, self.token(index))) {
            self.leave(index);
            return Err(errno.into());
        }
        Ok(index)
    }

    /// Lets a listening socket rest, or puts it back.
    pub(super) fn set_listening(&self, socket: impl AsFd, index: u16, listening: bool) -> io::Result<()> {
        let flags = if listening { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        self.source(index).ready.set(0);
        Ok(self.epoll.modify(socket, &mut EpollEvent::new(flags, self.token(index)))?)
    }

    /// Frees an entry. The socket leaves the epoll set when it is closed, which its owner does next.
    pub(super) fn leave(&self, index: u16) {
        let source = self.source(index);
        source.generation.set(source.generation.get().wrapping_add(1));
        source.owner.set(NOBODY);
        self.labels[usize::from(index)].take();
        self.free_sources.borrow_mut().put(index);
    }

    fn token(&self, index: u16) -> u64 {
        u64::from(self.source(index).generation.get()) << 16 | u64::from(index)
    }

    fn source(&self, index: u16) -> &Source {
        &self.sources[usize::from(index)]
    }

    /// The seat of a source's owner, and how often its entry was used before.
    pub(super) fn owner(&self, index: u16) -> (u16, u32) {
        (self.source(index).owner.get(), self.source(index).generation.get())
    }

    /// Whether a task of the executor sits in a seat.
    pub(super) fn seats_task(&self, seat: u16) -> bool {
        self.seats.get(usize::from(seat)).is_some_and(|sitter| sitter.has_waker.get())
    }

    /// Sources that are not in use.
    #[must_use]
    pub fn free_sources(&self) -> usize {
        self.free_sources.borrow().len()
    }

    pub(super) fn ready(&self, index: u16, flags: u8) -> bool {
        self.source(index).ready.get() & flags != 0
    }

    pub(super) fn set_dry(&self, index: u16, flags: u8) {
        let ready = &self.source(index).ready;
        ready.set(ready.get() & !flags);
    }

    /// Notes that the owner waits for `flags`.
    pub(super) fn wait_for(&self, index: u16, flags: u8) {
        let waiting = &self.source(index).waiting;
        waiting.set(waiting.get() | flags);
    }

    pub(super) fn set_owner(&self, index: u16, seat: u16) {
        let source = self.source(index);
        source.owner.set(seat);
        source.waiting.set(0);
    }

    /// The epoll set.
    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Forgets who waits on the executor, without a word to it: of its locks another thread may hold one.
    pub(super) fn forget_tasks(&self) {
        let mut wakers = self.wakers.borrow_mut();
        (0..u16::MAX).map_while(|seat| Some(wakers.get_mut(seat)?.take())).for_each(std::mem::forget);
    }

    pub(super) fn sit_down(&self) -> Option<u16> {
        self.free_seats.borrow_mut().take()
    }

    pub(super) fn stand_up(&self, seat: u16) {
        self.times.borrow_mut().deadlines.remove(seat);
        if self.seats[usize::from(seat)].has_waker.replace(false) {
            self.wakers.borrow_mut()[seat] = None;
        }
        self.free_seats.borrow_mut().put(seat);
    }

    /// Remembers whom to wake for `seat`.
    pub(super) fn note(&self, seat: u16, waker: &Waker) {
        self.seats[usize::from(seat)].has_waker.set(true);
        let mut wakers = self.wakers.borrow_mut();
        let known = wakers.at(seat);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Wakes `seat` in the next turn, after its events.
    pub(super) fn again(&self, seat: u16) {
        self.again.borrow_mut().push(seat);
    }

    pub(super) fn arm(&self, seat: u16, at_ms: u64) {
        self.times.borrow_mut().deadlines.arm(seat, at_ms);
    }

    pub(super) fn disarm(&self, seat: u16) {
        self.times.borrow_mut().deadlines.disarm(seat);
    }

    pub(super) fn passed(&self, seat: u16) -> bool {
        self.times.borrow().deadlines.passed(seat, self.now_ms())
    }
}

/// The flags of events that most turns do not bring.
#[inline(never)]
fn seldom(events: EpollFlags) -> u8 {
    let mut flags = 0;
    if events.contains(EpollFlags::EPOLLPRI) {
        flags |= READ | URGENT;
    }
    if events.contains(EpollFlags::EPOLLRDHUP) {
        flags |= READ | PEER_CLOSED;
    }
    if events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
        flags |= READ | WRITE | BROKEN;
    }
    if events.contains(EpollFlags::EPOLLERR) {
        flags |= FAILED;
    }
    flags
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    /// Turns of a reactor that has nothing to do, until it would sleep for ever.
    fn turns_to_rest(reactor: &Reactor) -> usize {
        let mut events = Reactor::events();
        let due = || reactor.times.borrow().lag.due_ms();
        (0..100).take_while(|_| due() != NEVER && reactor.turn(&mut events, true).is_ok()).count()
    }

    #[test]
    fn behind_the_last_event_it_comes_to_rest() {
        let reactor = Reactor::new(1, 1).unwrap();
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        reactor.register(&near, WRITE).unwrap();
        drop(far);
        reactor.turn(&mut Reactor::events(), false).unwrap();
        assert!((1..=3).contains(&turns_to_rest(&reactor)), "its own timer is no traffic");
    }
}
