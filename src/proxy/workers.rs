//! Workers: futures that serve a connection while it has a request, or the beginning of one.
//!
//! A connection between two requests is a small entry in a table and no more. When something comes it is handed to a
//! worker, which runs until the connection is idle again or over, and is then put back on the shelf with all its memory:
//! serving a request allocates nothing. The loop runs both; there is no waker and no atomic in it.
//!
//! ```text
//!   accepted --> Idle --bytes--> Busy(worker) --+--over--> Vacant
//!                 ^                             |
//!                 +--------response sent--------+
//! ```
//!
//! A connection without requests is never idle in this sense. From the first moment, or from its PROXY header, to the last it
//! has a worker of another kind for itself alone. There are never more workers of both kinds than connections: one from the
//! shelf makes room.

use super::Proxy;
use super::connection::{Connection, Look};
use super::exchange::Exchange;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Who sits in a connection's seat.
#[derive(Default)]
pub(super) enum Post {
    /// Nobody, or one who is being run at the moment.
    #[default]
    Vacant,
    /// A connection that waits for a request.
    Idle(Box<Connection>),
    /// A worker with its connection.
    Busy(Worker),
}

/// A future that serves one connection after the other.
pub(super) struct Worker {
    desk: Rc<Desk>,
    life: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// Where a worker takes its connection from, and leaves it.
#[derive(Default)]
struct Desk {
    /// To be served.
    given: Cell<Option<Box<Connection>>>,
    left: Cell<Left>,
}

/// What a worker left of its connection.
#[derive(Default)]
enum Left {
    /// The worker has it.
    #[default]
    Nothing,
    /// It was served, and waits for its next request; `None` when it is over.
    Done(Option<Box<Connection>>),
    /// It is over, and so is the worker.
    Over,
}

impl Worker {
    fn new() -> Self {
        let desk = Rc::new(Desk::default());
        Self { desk: Rc::clone(&desk), life: Box::pin(work(desk)) }
    }

    /// One for a connection without requests.
    fn relaying(connection: Box<Connection>) -> Self {
        let desk = Rc::new(Desk::default());
        Self { desk: Rc::clone(&desk), life: Box::pin(relay(desk, connection)) }
    }
}

impl Desk {
    async fn next(&self) -> Box<Connection> {
        poll_fn(|_| self.given.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

async fn work(desk: Rc<Desk>) -> Infallible {
    let mut connection = desk.next().await;
    let mut exchange = Exchange::new(connection.record());
    loop {
        let stays = connection.serve(&mut exchange).await;
        desk.left.set(Left::Done(stays.then_some(connection)));
        connection = desk.next().await;
    }
}

async fn relay(desk: Rc<Desk>, mut connection: Box<Connection>) -> Infallible {
    let mut exchange = Exchange::new(connection.record());
    connection.relay(&mut exchange).await;
    drop(exchange);
    drop(connection);
    desk.left.set(Left::Over);
    std::future::pending().await
}

impl Proxy {
    /// Takes in a connection that was accepted.
    pub(super) fn admit(&self, connection: Connection) {
        let post = &self.posts[usize::from(connection.seat.index())];
        self.seat(post, Box::new(connection));
    }

    /// Lets a connection wait for its next request; one without any begins.
    fn seat(&self, post: &Cell<Post>, connection: Box<Connection>) {
        if !connection.is_to_be_relayed() {
            connection.wait();
            return post.set(Post::Idle(connection));
        }
        let seat = connection.seat.index();
        // In its place: see above.
        drop(self.shelf.borrow_mut().pop());
        post.set(Post::Busy(Worker::relaying(connection)));
        // It wants a backend, whatever its client does. Others go on first.
        self.reactor.wake(seat);
    }

    /// Serves until [`crate::runtime::Loop::end`]; the code that it was given. `after_turn` is called once a turn.
    ///
    /// # Errors
    /// As [`crate::runtime::Loop::run`].
    pub fn serve(&self, after_turn: &dyn Fn()) -> io::Result<i32> {
        self.event_loop().run(|seat| self.run_seat(seat), after_turn)
    }

    /// Serves only the connections there are, until `is_over`: nothing else goes on meanwhile.
    ///
    /// # Errors
    /// As [`crate::runtime::Loop::run`].
    pub fn serve_alone(&self, after_turn: &dyn Fn(), is_over: &dyn Fn() -> bool) -> io::Result<()> {
        self.event_loop().run_seats(|seat| self.run_seat(seat), after_turn, is_over)
    }

    /// Runs who sits in `seat` and was woken.
    pub(super) fn run_seat(&self, seat: u16) {
        let Some(post) = self.posts.get(usize::from(seat)) else { return };
        match post.take() {
            Post::Vacant => {}
            Post::Idle(connection) => match connection.look() {
                Look::Nothing => post.set(Post::Idle(connection)),
                Look::Over => drop(connection),
                Look::Bytes => {
                    let worker = self.shelf.borrow_mut().pop();
                    let worker = worker.unwrap_or_else(Worker::new);
                    worker.desk.given.set(Some(connection));
                    self.run_worker(post, worker);
                }
            },
            Post::Busy(worker) => self.run_worker(post, worker),
        }
    }

    fn run_worker(&self, post: &Cell<Post>, mut worker: Worker) {
        // It never ends, and waits for nothing but its seat.
        let _ = worker.life.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match worker.desk.left.take() {
            Left::Nothing => post.set(Post::Busy(worker)),
            Left::Done(connection) => {
                self.shelf.borrow_mut().push(worker);
                if let Some(connection) = connection {
                    self.seat(post, connection);
                }
            }
            Left::Over => drop(worker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::WORKER_BYTES;

    /// What `f` would return: only its size is of interest.
    fn size_of_future<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// What an allocation of so many bytes takes: musl's are of few sizes, in steps of a fifth about here.
    fn allocated(bytes: usize) -> u64 {
        const SIZES: [usize; 6] = [2336, 2720, 3264, 4080, 4672, 5440];
        let small = (bytes + 4).next_multiple_of(16);
        let step = SIZES.into_iter().find(|&size| size >= small).filter(|_| small > 2032).unwrap_or(small);
        (if cfg!(target_env = "musl") { step } else { (bytes + 8).next_multiple_of(16) }) as u64
    }

    #[test]
    fn a_connection_and_its_worker_are_as_large_as_the_budget_says() {
        let busy = allocated(size_of_future(work)) + allocated(size_of::<Desk>() + 2 * size_of::<usize>());
        assert!(busy <= WORKER_BYTES, "a worker takes {busy} bytes, the budget has {WORKER_BYTES}");
        assert!(
            busy * 10 >= WORKER_BYTES * 9,
            "a worker takes {busy} bytes only, the budget has {WORKER_BYTES}: lower it"
        );
        let idle = size_of::<Connection>() + size_of::<Post>();
        let relaying = size_of_future(|(desk, connection)| relay(desk, connection));
        let relaying = allocated(relaying) + allocated(size_of::<Desk>() + 2 * size_of::<usize>());
        assert!(relaying <= WORKER_BYTES, "a relaying worker takes {relaying} bytes");
        assert!(idle <= 256, "an idle connection holds {idle} bytes beside its entries in tables");
    }
}
