//! Non-blocking TCP and UNIX sockets, registered with the reactor for as long as they live.
//!
//! A receive that fills less than its buffer means the socket is dry, so no second call is made to see `EAGAIN`; unless
//! the kernel said that the end came with it: then it is read on until the end shows, because a FIN that arrives with the
//! last bytes gives no edge of its own. So it is with urgent data, before which a receive stops.

#![allow(unsafe_code, reason = "nix has no accept4 that returns the peer's address")]

use super::endpoint::Endpoint;
use super::reactor::{BROKEN, FAILED, PEER_CLOSED, READ, Reactor, URGENT, WRITE};
use super::unix::{SocketFile, bind_unix, connect_within};
use super::{bounds, calls};
use crate::limits::Sockets;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, bind,
    connect, getsockname, getsockopt, listen, recv, setsockopt, shutdown, socket, sockopt,
};
use nix::sys::uio::writev;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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

/// A listening socket.
pub struct Listener {
    socket: OwnedFd,
    index: u16,
    reactor: &'static Reactor,
    /// The address, with the real port; `None` where it is the path.
    address: Option<SocketAddr>,
    path: Box<str>,
    /// What the accepted sockets do not inherit.
    bounds: Sockets,
    _file: Option<SocketFile>,
}

/// How a listener is bound.
#[derive(Clone, Copy, Debug)]
pub struct Bind {
    /// Whether an IPv6 address takes IPv6 only.
    pub only_v6: bool,
    /// The permissions of a UNIX socket's file.
    pub mode: u32,
    /// The bounds of the kernel's buffers.
    pub bounds: Sockets,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.reactor.leave(self.index);
    }
}

impl Listener {
    /// Listens on `endpoint`. What is set here (`TCP_NODELAY`, the bounds of the kernel's buffers) the accepted sockets
    /// of TCP inherit.
    ///
    /// # Errors
    /// The system's: the port or path is in use, no permission.
    pub fn bind(reactor: &'static Reactor, endpoint: Endpoint<'_>, how: &Bind) -> io::Result<Self> {
        let (socket, file) = match endpoint {
            Endpoint::Inet(address) => (bind_inet(address, how)?, None),
            Endpoint::Unix(path) => bind_unix(path, how.mode)?,
        };
        Self::enter(reactor, socket, file, endpoint, how)
    }

    /// Takes a socket that listens on `endpoint` already. Its file is removed at the end where it is `ours`.
    ///
    /// # Errors
    /// The system's.
    pub fn inherit(
        reactor: &'static Reactor,
        socket: OwnedFd,
        endpoint: Endpoint<'_>,
        how: &Bind,
        ours: bool,
    ) -> io::Result<Self> {
        // Whoever made it may have waited at it.
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let file = match endpoint {
            Endpoint::Inet(_) => {
                setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
                bounds::set(&socket, &how.bounds)?;
                None
            }
            Endpoint::Unix(path) if ours => SocketFile::found(path),
            Endpoint::Unix(_) => None,
        };
        Self::enter(reactor, socket, file, endpoint, how)
    }

    fn enter(
        reactor: &'static Reactor,
        socket: OwnedFd,
        file: Option<SocketFile>,
        endpoint: Endpoint<'_>,
        how: &Bind,
    ) -> io::Result<Self> {
        // As many as `net.core.somaxconn` allows: musl's own idea of the most, 128, is older than the kernel's.
        listen(&socket, Backlog::MAXALLOWABLE)?;
        let bound: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        let path = if let Endpoint::Unix(path) = endpoint { path.into() } else { Box::default() };
        let index = reactor.register_listener(&socket)?;
        Ok(Self { socket, index, reactor, address: to_std(&bound), path, bounds: how.bounds, _file: file })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        self.address.map_or(Endpoint::Unix(&self.path), Endpoint::Inet)
    }

    /// The socket, to hand it over.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Makes the task in `seat` the one that is woken for new connections.
    pub fn set_owner(&self, seat: u16) {
        self.reactor.set_owner(self.index, seat);
    }

    /// Whether a connection may be there; if not, the owner is woken when it is.
    #[must_use]
    pub fn acceptable(&self) -> bool {
        let acceptable = self.reactor.ready(self.index, READ);
        if !acceptable {
            self.reactor.wait_for(self.index, READ);
        }
        acceptable
    }

    /// Takes one connection, with the client's address where it has one; `None` when there is none.
    ///
    /// # Errors
    /// The system's: out of descriptors or memory, or the connection is gone already.
    pub fn accept(&self) -> io::Result<Option<(Stream, Option<SocketAddr>)>> {
        let (socket, peer) = match accept4(&self.socket) {
            Ok(accepted) => accepted,
            Err(Errno::EAGAIN) => {
                self.reactor.set_dry(self.index, READ);
                self.reactor.wait_for(self.index, READ);
                return Ok(None);
            }
            Err(errno) => return Err(errno.into()),
        };
        if peer.is_none() {
            bounds::set_unix(&socket, &self.bounds)?;
        }
        // There is room to send. Registering tells in the next turn whether the first bytes came already: under load
        // they mostly come a moment later, and trying for them here would be a call in vain.
        let index = self.reactor.register(&socket, WRITE)?;
        Ok(Some((Stream { socket, index, era: 0, reactor: self.reactor }, peer)))
    }

    /// Forgets that a connection may be there. The socket is level-triggered: the next turn tells anew.
    pub fn look_again(&self) {
        self.reactor.set_dry(self.index, READ);
    }

    /// Takes the socket out of the epoll set's sight, or puts it back: a listener that must rest costs no turn.
    pub fn listen(&self, listening: bool) {
        if let Err(error) = self.reactor.set_listening(&self.socket, self.index, listening) {
            log::error!("listener {}: epoll: {error}", self.endpoint());
        }
    }
}

/// Whether the system, or a fixed table of ours, has nothing left to make a connection with.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    use libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM | EADDRNOTAVAIL))
}

fn bind_inet(address: SocketAddr, how: &Bind) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &how.only_v6)?;
    }
    bounds::set(&socket, &how.bounds)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

/// The connection, and the client's address; a client of a UNIX socket has none.
fn accept4(listener: &OwnedFd) -> nix::Result<(OwnedFd, Option<SocketAddr>)> {
    // SAFETY: sockaddr_storage is plain old data, for which all zeroes is a value.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
    let address = (&raw mut storage).cast::<libc::sockaddr>();
    // SAFETY: `address` points to `length` writable bytes that outlive the call; the descriptor is open.
    let socket = Errno::result(unsafe {
        libc::accept4(listener.as_raw_fd(), address, &raw mut length, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
    })?;
    // SAFETY: the call just returned this descriptor, nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    if libc::c_int::from(storage.ss_family) == libc::AF_UNIX {
        return Ok((socket, None));
    }
    // SAFETY: the kernel wrote an address of `length` bytes into `storage`.
    let peer = unsafe { SockaddrStorage::from_raw(address, Some(length)) };
    let peer = peer.as_ref().and_then(to_std).ok_or(Errno::EAFNOSUPPORT)?;
    Ok((socket, Some(peer)))
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
