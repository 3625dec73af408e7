//! A task's place in the reactor: what wakes it, and its one deadline.
//!
//! [`Seat::until`] is the only way a data-plane task waits, so every wait has a deadline by construction.

use super::reactor::Reactor;
use std::future::poll_fn;
use std::task::Poll;

/// No deadline: only for waits that cost nothing and end with the process.
pub const NEVER: u64 = u64::MAX;

/// The deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// A seat, taken for the life of a task.
pub struct Seat {
    reactor: &'static Reactor,
    index: u16,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.reactor.stand_up(self.index);
    }
}

impl Seat {
    /// Takes a free seat; `None` when all are taken.
    pub fn take(reactor: &'static Reactor) -> Option<Self> {
        reactor.sit_down().map(|index| Self { reactor, index })
    }

    /// Its place in the table: what [`Reactor::wake`] takes.
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
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
                self.reactor.note(self.index, cx.waker());
                if deadline_ms != NEVER {
                    self.reactor.arm(self.index, deadline_ms);
                }
            }
            if self.reactor.passed(self.index) { Poll::Ready(Err(Elapsed)) } else { Poll::Pending }
        })
        .await;
        if armed {
            self.reactor.disarm(self.index);
        }
        result
    }

    /// Waits until the task is woken, whatever for.
    ///
    /// # Errors
    /// [`Elapsed`] when it is not until `deadline_ms`.
    pub async fn pause(&self, deadline_ms: u64) -> Result<(), Elapsed> {
        let mut asked = false;
        self.until(deadline_ms, || std::mem::replace(&mut asked, true).then_some(())).await
    }

    /// Gives way to everybody else: goes on in the next turn, when events were looked at and the clock was read. (The
    /// executor alone would run this task again before that, two hundred times.)
    pub async fn next_turn(&self) {
        let mut asked = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            self.reactor.note(self.index, cx.waker());
            self.reactor.again(self.index);
            Poll::Pending
        })
        .await;
    }
}
