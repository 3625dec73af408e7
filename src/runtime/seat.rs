//! A task's place in the reactor: what wakes it, and its one deadline.
//!
//! [`Seat::until`] is the only way a data-plane task waits, so every wait has a deadline by construction.

use super::reactor::Reactor;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// No deadline: only for waits that cost nothing and end with the process.
pub const NEVER: u64 = u64::MAX;

/// The deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// A seat, taken for the life of a task.
pub struct Seat {
    reactor: &'static Reactor,
    index: u16,
    /// Whether a task of the executor sits here, rather than one that the loop runs by itself.
    has_waker: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.reactor.stand_up(self.index);
    }
}

impl Seat {
    /// Takes a free seat for a task of the executor; `None` when all are taken.
    pub fn take(reactor: &'static Reactor) -> Option<Self> {
        reactor.sit_down().map(|index| Self { reactor, index, has_waker: true })
    }

    /// Takes a free seat for somebody whom [`super::Loop::run`] runs when it is woken; `None` when all are taken.
    pub fn take_for_loop(reactor: &'static Reactor) -> Option<Self> {
        reactor.sit_down().map(|index| Self { reactor, index, has_waker: false })
    }

    /// Its place in the table: what [`Reactor::wake`] takes.
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
    }

    fn note(&self, cx: &Context<'_>) {
        if self.has_waker {
            self.reactor.note(self.index, cx.waker());
        }
    }

    /// Sets the deadline at which who sits here is woken, in place of any earlier one; see [`Seat::has_elapsed`].
    pub fn arm(&self, deadline_ms: u64) {
        self.reactor.arm(self.index, deadline_ms);
    }

    /// Forgets the deadline.
    pub fn disarm(&self) {
        self.reactor.disarm(self.index);
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn has_elapsed(&self) -> bool {
        self.reactor.passed(self.index)
    }

    /// Waits until `ready` has an answer, asked now and each time an event of a socket this seat owns, or a call of
    /// [`Reactor::wake`], wakes the task.
    ///
    /// # Errors
    /// [`Elapsed`] when there is none at `deadline_ms` (of [`Reactor::now_ms`]).
    pub async fn until<T>(&self, deadline_ms: u64, mut ready: impl FnMut() -> Option<T>) -> Result<T, Elapsed> {
        let mut armed = false;
        let result = poll_fn(|cx| {
            if let Some(answer) = ready() {
                return Poll::Ready(Ok(answer));
            }
            if !armed {
                armed = true;
                self.note(cx);
                self.arm(deadline_ms);
            }
            if self.has_elapsed() { Poll::Ready(Err(Elapsed)) } else { Poll::Pending }
        })
        .await;
        if armed {
            self.disarm();
        }
        result
    }

    /// Waits until the task is woken, whatever for.
    ///
    /// # Errors
    /// [`Elapsed`] when it is not until `deadline_ms`: at once, when that has passed.
    pub async fn pause(&self, deadline_ms: u64) -> Result<(), Elapsed> {
        if deadline_ms <= self.reactor.now_ms() {
            return Err(Elapsed);
        }
        self.arm(deadline_ms);
        self.woken().await;
        self.disarm();
        Ok(())
    }

    /// Waits until the task is woken: by the deadline that was armed last, too.
    pub fn woken(&self) -> Woken<'_> {
        Woken { seat: self, asked: false }
    }

    /// Gives way to everybody else: goes on in the next turn, when events were looked at and the clock was read. (The
    /// executor alone would run this task again before that, two hundred times.)
    pub async fn next_turn(&self) {
        self.reactor.again(self.index);
        self.woken().await;
    }
}

/// What [`Seat::woken`] returns. Made by hand: every exchange waits in it, and as an `async fn` it takes three times the
/// instructions.
pub struct Woken<'a> {
    seat: &'a Seat,
    asked: bool,
}

impl Future for Woken<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.asked, true) {
            return Poll::Ready(());
        }
        self.seat.note(cx);
        Poll::Pending
    }
}
