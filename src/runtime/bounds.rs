//! What the kernel may hold for a socket: its options that say so.

#![allow(unsafe_code, reason = "nix has no TCP_NOTSENT_LOWAT")]

use crate::limits::Sockets;
use nix::errno::Errno;
use nix::libc;
#[cfg(test)]
use nix::sys::socket::getsockopt;
use nix::sys::socket::{setsockopt, sockopt};
use std::os::fd::{AsRawFd, OwnedFd};

/// Sets them. Before the socket listens, or connects: the window is announced with the handshake.
pub(super) fn set(socket: &OwnedFd, bounds: &Sockets) -> nix::Result<()> {
    let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    if let Some(bytes) = bounds.send {
        setsockopt(socket, sockopt::SndBuf, &size(bytes))?;
    }
    if let Some(bytes) = bounds.receive {
        setsockopt(socket, sockopt::RcvBuf, &size(bytes))?;
    }
    let Some(unsent) = bounds.unsent else { return Ok(()) };
    let length = libc::socklen_t::try_from(size_of_val(&unsent)).unwrap_or(0);
    let value = (&raw const unsent).cast();
    // SAFETY: `value` points to `length` bytes that outlive the call; the descriptor is open.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, value, length) };
    Errno::result(result).map(drop)
}

/// The same for a connected UNIX socket. All that it sent and the peer did not take is unsent: there is no way in between.
/// What the peer sends is the peer's.
pub(super) fn set_unix(socket: &OwnedFd, bounds: &Sockets) -> nix::Result<()> {
    // The kernel doubles it.
    let bytes = bounds.send.or(bounds.unsent.map(|bytes| bytes / 2));
    bytes.map_or(Ok(()), |bytes| setsockopt(socket, sockopt::SndBuf, &usize::try_from(bytes).unwrap_or(usize::MAX)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
/// What the kernel says of them; it doubles the sizes.
pub(super) fn of(socket: &OwnedFd) -> Sockets {
    let half = |size: usize| u32::try_from(size / 2).ok();
    let (mut unsent, mut length) = (0u32, libc::socklen_t::try_from(size_of::<u32>()).unwrap());
    // SAFETY: both point to their values, which outlive the call.
    let result = unsafe {
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT);
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut unsent).cast(), &raw mut length)
    };
    assert_eq!(result, 0);
    Sockets {
        send: half(getsockopt(socket, sockopt::SndBuf).unwrap()),
        receive: half(getsockopt(socket, sockopt::RcvBuf).unwrap()),
        unsent: Some(unsent),
    }
}
