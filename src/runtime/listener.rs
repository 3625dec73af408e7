//! Listening sockets over TCP and at a path, registered with the reactor for as long as they live.
//!
//! A connection is taken one at a time: the socket is level-triggered, what is left is told of in the next turn.

#![allow(unsafe_code, reason = "nix has no accept4 that returns the peer's address")]

use super::bounds;
use super::endpoint::Endpoint;
use super::reactor::{READ, Reactor, WRITE};
use super::socket::{Stream, to_std};
use super::unix::{SocketFile, bind_unix};
use crate::limits::Sockets;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, bind, getsockname, listen,
    setsockopt, socket, sockopt,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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
    file: Option<SocketFile>,
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
        Ok(Self { socket, index, reactor, address: to_std(&bound), path, bounds: how.bounds, file })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        self.address.map_or(Endpoint::Unix(&self.path), Endpoint::Inet)
    }

    /// Its file, for whoever knows better when it is to be removed.
    pub fn part_with_file(&mut self) -> Option<SocketFile> {
        self.file.take()
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
