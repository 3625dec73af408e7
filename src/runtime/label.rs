//! The sockets that are registered, looked at from outside: whose they are, and who is at the other end. For an operator; who
//! serves never asks, and pays nothing for it but a store when a socket is registered.

use super::listener::Listener;
use super::reactor::Reactor;
use super::socket::to_std;
use nix::sys::socket::{Shutdown, SockaddrLike, SockaddrStorage, getpeername, getsockname, shutdown};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// A descriptor and one, and what the owner calls the socket, in one word: a board's table is as small as it can be, and zero is
/// no socket.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Label(u32);

/// Bits of a descriptor: twice as many as Linux allows unless told otherwise.
const BITS: u32 = 21;
const MASK: u32 = (1 << BITS) - 1;

impl Label {
    pub(super) fn of(socket: BorrowedFd<'_>) -> Self {
        u32::try_from(socket.as_raw_fd())
            .ok()
            .map(|number| number + 1)
            .filter(|&number| number <= MASK)
            .map_or_else(Self::default, Self)
    }

    /// The same with a name.
    pub(super) fn called(self, name: u8) -> Self {
        if self == Self::default() { self } else { Self(self.0 & MASK | (u32::from(name) + 1) << BITS) }
    }

    fn read(self) -> Option<(RawFd, Option<u8>)> {
        let number = RawFd::try_from((self.0 & MASK).checked_sub(1)?).ok()?;
        Some((number, (self.0 >> BITS).checked_sub(1).and_then(|name| u8::try_from(name).ok())))
    }
}

/// A socket that somebody owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Of all sockets there ever are its own, but for those four thousand million later.
    pub id: u64,
    /// Its owner's seat.
    pub seat: u16,
    /// What the owner calls it, if anything.
    pub name: Option<u8>,
    /// Whether a task of the executor owns it.
    pub of_task: bool,
    /// Good for as long as nothing is awaited.
    number: RawFd,
}

impl Seen {
    pub(super) fn number(&self) -> RawFd {
        self.number
    }

    /// Who is at the other end; nothing where that is a UNIX socket's, or gone.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        getpeername::<SockaddrStorage>(self.number).ok().as_ref().and_then(to_std)
    }

    /// Whether it was accepted by `listener`.
    #[must_use]
    pub fn came_to(&self, listener: &Listener) -> bool {
        let name = |number: RawFd| getsockname::<SockaddrStorage>(number).ok();
        let (Some(own), Some(its)) = (name(self.number), name(listener.descriptor().as_raw_fd())) else { return false };
        match (to_std(&own), to_std(&its)) {
            (Some(own), Some(its)) => own.port() == its.port() && (its.ip().is_unspecified() || own.ip() == its.ip()),
            (None, None) => own.family() == its.family() && own == its,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Ends the connection: its owner sees it as if the peer had.
    pub fn end(&self) {
        // One that is over already needs nothing.
        let _ = shutdown(self.number, Shutdown::Both);
    }
}

impl Reactor {
    /// Calls a registered socket `name` for as long as it is registered.
    pub(super) fn call(&self, index: u16, name: u8) {
        let label = &self.labels[usize::from(index)];
        label.set(label.get().called(name));
    }

    /// How many sockets can be registered.
    #[must_use]
    pub fn places(&self) -> usize {
        self.labels.len()
    }

    /// The socket in this place of the table, if there is one and somebody owns it.
    #[must_use]
    #[inline(never)]
    pub fn look(&self, place: usize) -> Option<Seen> {
        let (number, name) = self.labels.get(place)?.get().read()?;
        let index = u16::try_from(place).ok()?;
        let (seat, generation) = self.owner(index);
        (seat != u16::MAX).then(|| Seen {
            id: u64::from(generation) << 16 | u64::from(index),
            seat,
            name,
            of_task: self.seats_task(seat),
            number,
        })
    }

    /// All of them.
    pub fn sockets(&self) -> impl Iterator<Item = Seen> {
        (0..self.places()).filter_map(|place| self.look(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_label_is_what_was_put_in() {
        let (near, _far) = UnixStream::pair().unwrap();
        let (label, number) = (Label::of(near.as_fd()), near.as_raw_fd());
        assert_eq!(label.read(), Some((number, None)));
        for name in [0, 1, 255] {
            assert_eq!(label.called(name).read(), Some((number, Some(name))));
            assert_eq!(label.called(7).called(name).read(), Some((number, Some(name))));
        }
        assert_eq!(Label::default().read(), None);
        assert_eq!(Label::default().called(3).read(), None);
    }

    #[test]
    fn a_socket_is_seen_while_somebody_owns_it() {
        let reactor = Reactor::new(2, 2).unwrap();
        let (near, _far) = UnixStream::pair().unwrap();
        let index = reactor.register(&near, 0).unwrap();
        assert_eq!(reactor.sockets().count(), 0, "nobody owns it");
        reactor.set_owner(index, 1);
        reactor.call(index, 9);
        let seen = reactor.sockets().next().unwrap();
        assert_eq!((seen.seat, seen.name, seen.number, seen.of_task), (1, Some(9), near.as_raw_fd(), false));
        reactor.leave(index);
        assert_eq!(reactor.sockets().count(), 0);
        let again = reactor.register(&near, 0);
        assert!(again.is_err(), "it is in the epoll set already");
    }
}
