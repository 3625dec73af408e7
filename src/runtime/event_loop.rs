//! The loop: run what is runnable, then sleep in `epoll_wait` until there is more.
//!
//! One long-lived future runs the executor, polled with the loop's own waker, and only when that was woken: a wake from
//! another thread (async-io's driver) reaches the executor's queue and this waker, so it is never lost. Beside the
//! executor's tasks there are seats that the loop runs by itself, without wakers and atomics: whoever is woken by a
//! socket, a deadline or another one of them is listed and run. In a turn there is one `epoll_wait` and one reading of
//! the clock.

use super::reactor::Reactor;
use crate::limits::RUNS_PER_TURN;
use smol::LocalExecutor;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The executor and the reactor of beelance's one thread.
pub struct Loop {
    /// Sockets, seats and the clock.
    pub reactor: &'static Reactor,
    /// Runs every task there is.
    pub executor: &'static LocalExecutor<'static>,
    ended: Cell<Option<i32>>,
}

impl Loop {
    /// A loop over `reactor`, with nothing to run yet.
    #[must_use]
    pub fn new(reactor: &'static Reactor) -> Self {
        Self { reactor, executor: Box::leak(Box::new(LocalExecutor::new())), ended: Cell::new(None) }
    }

    /// Makes [`Loop::run`] return `code` at the end of this turn. It may be called again then.
    pub fn end(&self, code: i32) {
        self.ended.set(Some(code));
        // The executor's main future looks at it when something wakes the loop: this does.
        Waker::from(self.reactor.waker.clone()).wake();
    }

    /// Runs until [`Loop::end`]. `serve` runs who sits in a seat without a task ([`super::Seat::take_for_loop`]) and was
    /// woken. `after_turn` is called once a turn, when all have run: the place for batched work.
    ///
    /// # Errors
    /// When the epoll set fails, which is a bug or a system beyond help.
    pub fn run(&self, mut serve: impl FnMut(u16), mut after_turn: impl FnMut()) -> io::Result<i32> {
        let loop_waker = &self.reactor.waker;
        let waker = Waker::from(loop_waker.clone());
        let mut context = Context::from_waker(&waker);
        let end = poll_fn(|_| self.ended.take().map_or(Poll::Pending, Poll::Ready));
        let mut tasks = pin!(self.executor.run(end));
        let mut events = Reactor::events();
        let mut woken = true;
        loop {
            // Once more for what they wake in each other.
            for _ in 0..2 {
                // A wake that comes from here on is seen below or by `fall_asleep`.
                if woken && let Poll::Ready(code) = tasks.as_mut().poll(&mut context) {
                    after_turn();
                    return Ok(code);
                }
                for _ in 0..RUNS_PER_TURN {
                    let Some(seat) = self.reactor.next_woken() else { break };
                    serve(seat);
                }
                woken = loop_waker.take_woken();
                if !woken {
                    break;
                }
            }
            after_turn();
            woken |= self.reactor.turn(&mut events, !woken)?;
        }
    }

    /// Runs only who sits without a task, until `is_over` says so: whatever lives on the executor stands still.
    ///
    /// # Errors
    /// As [`Loop::run`].
    pub fn run_seats(
        &self,
        mut serve: impl FnMut(u16),
        mut after_turn: impl FnMut(),
        is_over: impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut events = Reactor::events();
        loop {
            for _ in 0..RUNS_PER_TURN {
                let Some(seat) = self.reactor.next_woken() else { break };
                serve(seat);
            }
            after_turn();
            if is_over() {
                return Ok(());
            }
            // Nobody is there whom that was meant for.
            self.reactor.waker.take_woken();
            self.reactor.turn(&mut events, true)?;
        }
    }
}
