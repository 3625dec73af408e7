//! Connections over TCP and UNIX sockets, non-blocking, registered with the reactor for as long as they live.
//!
//! A receive that fills less than its buffer means the socket is dry, so no second call is made to see `EAGAIN`; unless
//! the kernel said that the end came with it: then it is read on until the end shows, because a FIN that arrives with the
//! last bytes gives no edge of its own. So it is with urgent data, before which a receive stops.

use super::endpoint::Endpoint;
use super::reactor::{BROKEN, FAILED, PEER_CLOSED, READ, Reactor, URGENT, WRITE};
use super::unix::connect_within;
use super::{bounds, calls};
use crate::limits::Sockets;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, getsockname,
    getsockopt, recv, setsockopt, shutdown, socket, sockopt,
};
use nix::sys::uio::writev;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

/// What a receive found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The peer will send no more.
    End,
    /// Nothing yet; the owner is woken when there is.
    Dry,
}

/// A connection over TCP or a UNIX socket.
pub struct Stream {
    // Closed after the reactor's entry is freed: fields drop after `drop`.
    pub(super) socket: OwnedFd,
    pub(super) index: u16,
    /// What its owner notes of it.
    pub era: u16,
    pub(super) reactor: &'static Reactor,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reactor.leave(self.index);
    }
}

impl Stream {
    /// Begins a connection to `endpoint`. [`Stream::connected`] tells when it stands.
    ///
    /// # Errors
    /// The system's: no descriptors, no route, refused at once; a UNIX socket's whose backlog is full.
    pub fn connect(reactor: &'static Reactor, endpoint: Endpoint<'_>, bounds: &Sockets) -> io::Result<Self> {
        let address = match endpoint {
            Endpoint::Inet(address) => address,
            Endpoint::Unix(path) => {
                let socket = connect_within(path, bounds)?;
                let index = reactor.register(&socket, WRITE)?;
                return Ok(Self { socket, index, era: 0, reactor });
            }
        };
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
        setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
        bounds::set(&socket, bounds)?;
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        let index = reactor.register(&socket, 0)?;
        Ok(Self { socket, index, era: 0, reactor })
    }

    /// Whether the connection stands; `None` while it is not decided, and the owner is woken when it is.
    ///
    /// # Errors
    /// Why it failed.
    pub fn connected(&self) -> Option<io::Result<()>> {
        if self.reactor.ready(self.index, BROKEN) {
            let error = getsockopt(&self.socket, sockopt::SocketError).unwrap_or(libc::ECONNRESET);
            let error = if error == 0 { libc::ECONNRESET } else { error };
            return Some(Err(io::Error::from_raw_os_error(error)));
        }
        if self.reactor.ready(self.index, WRITE) {
            return Some(Ok(()));
        }
        self.reactor.wait_for(self.index, WRITE);
        None
    }

    /// Makes the task in `seat` the one that events wake.
    pub fn set_owner(&self, seat: u16) {
        self.reactor.set_owner(self.index, seat);
    }

    /// Gives it a name, for who looks at all sockets.
    pub fn set_name(&self, name: u8) {
        self.reactor.call(self.index, name);
    }

    /// Whether the peer closed its side or the connection is over; no system call.
    #[must_use]
    pub fn hung_up(&self) -> bool {
        self.reactor.ready(self.index, PEER_CLOSED | BROKEN)
    }

    /// Whether the connection is over in both directions; no system call.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.reactor.ready(self.index, BROKEN)
    }

    /// Whether the connection did not end in order: a reset, a peer that is out of reach. No system call.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.reactor.ready(self.index, FAILED)
    }

    /// Whether a receive may find something; if not, the owner is woken when it may. No system call.
    #[must_use]
    pub fn readable(&self) -> bool {
        let readable = self.reactor.ready(self.index, READ);
        if !readable {
            self.reactor.wait_for(self.index, READ);
        }
        readable
    }

    /// Whether an idle connection is still good: nothing came and nobody closed it; the owner is woken when it no longer
    /// is. No system call.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let quiet = !self.reactor.ready(self.index, READ | PEER_CLOSED | BROKEN);
        if quiet {
            self.reactor.wait_for(self.index, READ);
        }
        quiet
    }

    /// Whether bytes wait to be received, whatever comes behind them. One system call.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        matches!(recv(self.socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK), Ok(1..))
    }

    /// Receives into `space`, which has room for at least one byte.
    ///
    /// # Errors
    /// The system's, a reset among them.
    pub fn receive(&self, space: &mut [u8]) -> io::Result<Received> {
        debug_assert!(!space.is_empty());
        if !self.readable() {
            return Ok(Received::Dry);
        }
        loop {
            match calls::receive(&self.socket, space) {
                Ok(0) => return Ok(Received::End),
                Ok(count) => {
                    if count < space.len() && !self.reactor.ready(self.index, PEER_CLOSED | BROKEN | URGENT) {
                        self.reactor.set_dry(self.index, READ);
                    }
                    return Ok(Received::Bytes(count));
                }
                Err(Errno::EAGAIN) => {
                    self.reactor.set_dry(self.index, READ | URGENT);
                    self.reactor.wait_for(self.index, READ);
                    return Ok(Received::Dry);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends what it can of `bytes`; `None` when nothing can be taken now, and the owner is woken when it can.
    ///
    /// # Errors
    /// The system's: a reset, a closed connection.
    pub fn send(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.try_send(bytes.len(), || calls::send(&self.socket, bytes, 0))
    }

    /// [`Stream::send`] for the last `bytes` before the sending side is closed at once: the end goes with them.
    ///
    /// # Errors
    /// The system's: a reset, a closed connection.
    pub fn send_last(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.try_send(bytes.len(), || calls::send(&self.socket, bytes, libc::MSG_MORE))
    }

    /// [`Stream::send`] for `slices`, in one call, which takes more of the system.
    ///
    /// # Errors
    /// The system's: a reset, a closed connection.
    pub fn send_slices(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        self.try_send(slices.iter().map(|slice| slice.len()).sum(), || writev(&self.socket, slices))
    }

    fn try_send(&self, length: usize, call: impl Fn() -> nix::Result<usize>) -> io::Result<Option<usize>> {
        if !self.reactor.ready(self.index, WRITE) {
            self.reactor.wait_for(self.index, WRITE);
            return Ok(None);
        }
        loop {
            match call() {
                Ok(count) => {
                    if count < length {
                        self.reactor.set_dry(self.index, WRITE);
                        self.reactor.wait_for(self.index, WRITE);
                    }
                    return Ok(Some(count));
                }
                Err(Errno::EAGAIN) => {
                    self.reactor.set_dry(self.index, WRITE);
                    self.reactor.wait_for(self.index, WRITE);
                    return Ok(None);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The address of this end; `None` when the connection is over, or that is a UNIX socket.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        getsockname::<SockaddrStorage>(self.socket.as_raw_fd()).ok().as_ref().and_then(to_std)
    }

    /// Whether closing, by whatever end, resets the connection: the peer must not take what it has for all there is.
    pub fn set_reset_on_close(&self, reset: bool) {
        let linger = libc::linger { l_onoff: reset.into(), l_linger: 0 };
        // A connection that is over needs no care.
        let _ = setsockopt(&self.socket, sockopt::Linger, &linger);
    }

    /// Says that no more will be sent; the peer may still.
    pub fn finish_sending(&self) {
        // A connection that is over needs no goodbye.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
    }
}

/// Whether the system, or a fixed table of ours, has nothing left to make a connection with.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    use libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM | EADDRNOTAVAIL))
}

pub(super) fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    // A client that came over IPv4 to an IPv6 listener is an IPv4 client.
    Some(SocketAddr::new(IpAddr::V6(v6.ip()).to_canonical(), v6.port()))
}

#[cfg(test)]
mod tests;
