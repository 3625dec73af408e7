//! A port of one's own, and how a connection to it may end.

use super::eventually;
use nix::sys::socket::sockopt::{Linger, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt, socket,
};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

/// A port where connections are refused, and nobody else listens, as long as the value lives.
pub struct Port {
    pub address: SocketAddr,
    _holder: OwnedFd,
}

impl Port {
    pub fn take() -> Self {
        let holder = bound(SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let name: SockaddrIn = getsockname(holder.as_raw_fd()).unwrap();
        Self { address: SocketAddrV4::from(name).into(), _holder: holder }
    }

    /// Listens on it. The system may need a moment to forget connections that closed just now.
    pub fn listener(&self) -> TcpListener {
        let SocketAddr::V4(address) = self.address else { unreachable!("taken as IPv4") };
        let fd = eventually("the port is free again", || bound(address.into()).ok());
        listen(&fd, Backlog::new(1024).unwrap()).unwrap();
        TcpListener::from(fd)
    }
}

fn bound(address: SockaddrIn) -> nix::Result<OwnedFd> {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Makes the end of this socket a reset.
pub fn reset_on_close(stream: &TcpStream) {
    setsockopt(stream, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}
