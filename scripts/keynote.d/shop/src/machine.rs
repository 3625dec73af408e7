//! What a number of places can be taken for: workers, processors. First come, first served.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The places. Whoever waits for one waits until he gets it: nobody leaves the line.
pub(crate) struct Places {
    free: Cell<usize>,
    taken: Cell<usize>,
    line: RefCell<VecDeque<Rc<Turn>>>,
}

/// Somebody in the line.
#[derive(Default)]
struct Turn {
    has_come: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A place that is taken until this is dropped.
pub(crate) struct Place<'a>(&'a Places);

impl Places {
    /// So many free ones.
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Cell::new(count), taken: Cell::new(0), line: RefCell::default() }
    }

    /// Takes one, after all who came before.
    pub(crate) async fn take(&self) -> Place<'_> {
        if self.free.get() > 0 {
            self.free.set(self.free.get() - 1);
        } else {
            let turn = Rc::new(Turn::default());
            self.line.borrow_mut().push_back(Rc::clone(&turn));
            poll_fn(|context| {
                *turn.waker.borrow_mut() = Some(context.waker().clone());
                if turn.has_come.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        self.taken.set(self.taken.get() + 1);
        Place(self)
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.line.borrow().len()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self(places) = self;
        places.taken.set(places.taken.get() - 1);
        // Given to the next in line directly: who comes between must not overtake him.
        match places.line.borrow_mut().pop_front() {
            Some(turn) => {
                turn.has_come.set(true);
                if let Some(waker) = turn.waker.take() {
                    waker.wake();
                }
            }
            None => places.free.set(places.free.get() + 1),
        }
    }
}

/// How long work takes when `present` are there at once: each one beside it makes it slower by `contention`.
pub(crate) fn slowed(work: Duration, contention: f64, present: usize) -> Duration {
    work.mul_f64(1.0 + contention * present.saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let (places, order) = (Places::new(2), RefCell::new(Vec::new()));
        let executor = smol::LocalExecutor::new();
        let tasks: Vec<_> = (0..6)
            .map(|number| {
                let (places, order) = (&places, &order);
                executor.spawn(async move {
                    let _place = places.take().await;
                    assert!(places.taken() <= 2);
                    order.borrow_mut().push(number);
                    smol::future::yield_now().await;
                })
            })
            .collect();
        smol::future::block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5]);
        assert_eq!((places.taken(), places.waiting(), places.free.get()), (0, 0, 2));
    }

    #[test]
    fn alone_it_takes_its_time() {
        let work = Duration::from_millis(100);
        assert_eq!(slowed(work, 0.05, 0), work);
        assert_eq!(slowed(work, 0.05, 1), work);
        assert_eq!(slowed(work, 0.05, 11), Duration::from_millis(150));
    }
}
