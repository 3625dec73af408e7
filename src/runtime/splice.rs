//! Bytes from socket to socket that user space never sees: `splice(2)`, through a few pipes that are kept.
//!
//! A pipe is made when it is first needed; one that is given up with bytes in it is closed. Where none is free, or the
//! system has no such call, bytes are received and sent. A socket's end is left to a receive to find, since a splice
//! stops before urgent data with the same answer.

use super::reactor::{READ, Reactor, URGENT, WRITE};
use super::socket::Stream;
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::pipe2;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// All pipes of the process.
pub(super) struct Pipes {
    count: usize,
    free: RefCell<Vec<Ends>>,
    /// Pipes that may still be made.
    unmade: Cell<usize>,
    /// The system does not splice.
    refused: Cell<bool>,
}

struct Ends {
    inlet: OwnedFd,
    outlet: OwnedFd,
}

impl Pipes {
    /// So many pipes, none of them made yet.
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            free: RefCell::new(Vec::with_capacity(count)),
            unmade: Cell::new(count),
            refused: Cell::new(false),
        }
    }

    pub(super) fn take(&'static self) -> Option<Pipe> {
        if self.refused.get() {
            return None;
        }
        let kept = self.free.borrow_mut().pop();
        let ends = kept.or_else(|| {
            let unmade = self.unmade.get().checked_sub(1)?;
            let (outlet, inlet) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).ok()?;
            self.unmade.set(unmade);
            Some(Ends { inlet, outlet })
        })?;
        Some(Pipe { ends: Some(ends), filled: 0, home: self })
    }

    pub(super) fn in_use(&self) -> usize {
        self.count - self.unmade.get() - self.free.borrow().len()
    }
}

/// A pipe in use. Goes back when dropped, or is closed when there are bytes in it.
pub struct Pipe {
    ends: Option<Ends>,
    filled: usize,
    home: &'static Pipes,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let home = self.home;
        match self.ends.take() {
            Some(ends) if self.filled == 0 => home.free.borrow_mut().push(ends),
            _ => home.unmade.set(home.unmade.get() + 1),
        }
    }
}

impl Pipe {
    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no byte is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

/// What a splice found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spliced {
    /// So many bytes, at least one. That says nothing of whether there are more.
    Bytes(usize),
    /// Nothing yet; the owner is woken when there is.
    Dry,
    /// A receive has to tell.
    Unsure,
}

impl Stream {
    /// Moves at most `most` bytes into `pipe`, which is empty.
    ///
    /// # Errors
    /// The system's, a reset among them.
    pub fn splice_into(&self, pipe: &mut Pipe, most: usize) -> io::Result<Spliced> {
        debug_assert!(pipe.is_empty() && most > 0);
        if !self.readable() {
            return Ok(Spliced::Dry);
        }
        let reactor: &Reactor = self.reactor;
        let Some(ends) = pipe.ends.as_ref().filter(|_| !reactor.ready(self.index, URGENT)) else {
            return Ok(Spliced::Unsure);
        };
        loop {
            match splice(&self.socket, None, &ends.inlet, None, most, flags()) {
                Ok(0) => return Ok(Spliced::Unsure),
                Ok(count) => {
                    pipe.filled = count;
                    return Ok(Spliced::Bytes(count));
                }
                Err(Errno::EAGAIN) => {
                    reactor.set_dry(self.index, READ);
                    reactor.wait_for(self.index, READ);
                    return Ok(Spliced::Dry);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM | Errno::EOPNOTSUPP) => {
                    pipe.home.refused.set(true);
                    return Ok(Spliced::Unsure);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends what it can of what is in `pipe`; `None` when nothing can be taken now, and the owner is woken when it can.
    ///
    /// # Errors
    /// The system's: a reset, a closed connection.
    pub fn splice_from(&self, pipe: &mut Pipe) -> io::Result<Option<usize>> {
        let reactor: &Reactor = self.reactor;
        let Some(ends) = pipe.ends.as_ref().filter(|_| reactor.ready(self.index, WRITE)) else {
            reactor.wait_for(self.index, WRITE);
            return Ok(None);
        };
        loop {
            match splice(&ends.outlet, None, &self.socket, None, pipe.filled, flags()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    pipe.filled -= count.min(pipe.filled);
                    return Ok(Some(count));
                }
                Err(Errno::EAGAIN) => {
                    reactor.set_dry(self.index, WRITE);
                    reactor.wait_for(self.index, WRITE);
                    return Ok(None);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Finds out whether more came, where a splice left that open: then [`Stream::readable`] tells.
    pub fn look_behind(&self) {
        let peeked = recv(self.socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK);
        if peeked == Err(Errno::EAGAIN) {
            self.reactor.set_dry(self.index, READ | URGENT);
        }
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::write;
    use std::os::fd::AsRawFd;

    fn outlet(pipe: &Pipe) -> i32 {
        pipe.ends.as_ref().unwrap().outlet.as_raw_fd()
    }

    #[test]
    fn an_empty_pipe_is_kept_and_one_with_bytes_is_not() {
        let pipes: &'static Pipes = Box::leak(Box::new(Pipes::new(2)));
        let (first, mut second) = (pipes.take().unwrap(), pipes.take().unwrap());
        assert!(pipes.take().is_none());
        let number = outlet(&first);
        drop(first);
        let again = pipes.take().unwrap();
        assert_eq!(outlet(&again), number);
        second.filled = write(&second.ends.as_ref().unwrap().inlet, b"left over").unwrap();
        drop(second);
        assert_eq!((pipes.in_use(), pipes.free.borrow().len(), pipes.unmade.get()), (1, 0, 1));
        assert_eq!(pipes.take().map(|pipe| pipe.len()), Some(0));
    }

    #[test]
    fn a_system_that_refuses_is_not_asked_again() {
        let pipes: &'static Pipes = Box::leak(Box::new(Pipes::new(2)));
        drop(pipes.take().unwrap());
        pipes.refused.set(true);
        assert!(pipes.take().is_none());
    }
}
