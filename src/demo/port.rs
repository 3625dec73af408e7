//! The ports the demo listens on, chosen before anything is started.

use crate::operate::Failure;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};
use std::os::fd::{AsRawFd, OwnedFd};

/// A port of 127.0.0.1 that is ours: bound, so that nobody else gets it before the listener does.
pub(super) struct Port {
    /// The port.
    pub number: u16,
    /// The usual one was wanted and is taken.
    pub is_substitute: bool,
    _bound: OwnedFd,
}

impl Port {
    /// The port `wanted` (0: any); without a wish the `usual` one, or any when that is taken.
    ///
    /// # Errors
    /// [`Failure::System`]: it is taken, no permission.
    pub(super) fn choose(wanted: Option<u16>, usual: u16) -> Result<Self, Failure> {
        let number = wanted.unwrap_or(usual);
        let (result, is_substitute) = match reserve(number) {
            Err(Errno::EADDRINUSE) if wanted.is_none() => (reserve(0), true),
            result => (result, false),
        };
        let (number, bound) = result.map_err(|errno| {
            let hint = match errno {
                Errno::EADDRINUSE => ": another process listens there; choose another with --port",
                Errno::EACCES => ": a port below 1024 needs root or CAP_NET_BIND_SERVICE",
                _ => "",
            };
            Failure::System(format!("beelance: demo: 127.0.0.1:{number}: {}{hint}", errno.desc()))
        })?;
        Ok(Self { number, is_substitute, _bound: bound })
    }
}

/// Binds without listening: with SO_REUSEADDR on both, the listener can still bind beside it.
fn reserve(number: u16) -> nix::Result<(u16, OwnedFd)> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, number))?;
    let bound: SockaddrIn = getsockname(socket.as_raw_fd())?;
    Ok((bound.port(), socket))
}
