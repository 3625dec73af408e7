//! A port of one's own, and how a connection to it may end.

use super::eventually;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{Linger, RcvBuf, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, listen, setsockopt, socket,
};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

/// Whether this machine has ::1; what needs it says that it was skipped.
pub fn has_v6() -> bool {
    let has = Port::at("[::1]:0".parse().unwrap()).is_some();
    if !has {
        eprintln!("SKIPPED, there is no ::1: what needs IPv6");
    }
    has
}

/// A port where connections are refused, and nobody else listens, as long as the value lives.
pub struct Port {
    pub address: SocketAddr,
    _holder: OwnedFd,
    _of_datagrams: Option<UdpSocket>,
}

impl Port {
    /// One of 127.0.0.1.
    pub fn take() -> Self {
        Self::of("127.0.0.1:0")
    }

    /// One of 127.0.0.1 that is held for datagrams too.
    pub fn take_both() -> Self {
        eventually("a port that is free for both", || {
            let mut port = Self::take();
            let holder = UdpSocket::from(bound_for(port.address, SockType::Datagram).ok()?);
            // Connected to itself it gets nothing from others, and without a server what they send is refused.
            holder.connect(port.address).unwrap();
            port._of_datagrams = Some(holder);
            Some(port)
        })
    }

    /// Takes datagrams there.
    pub fn datagrams(&self) -> UdpSocket {
        UdpSocket::from(bound_for(self.address, SockType::Datagram).unwrap())
    }

    /// Whether somebody takes datagrams there, told by the system's table, where the holder is a connected socket.
    pub fn takes_datagrams(&self) -> bool {
        let table = std::fs::read_to_string("/proc/net/udp").unwrap();
        let port = format!(":{:04X}", self.address.port());
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1].ends_with(&port) && fields[3] == "07"
        })
    }

    /// One of ::1.
    pub fn take_v6() -> Self {
        Self::of("[::1]:0")
    }

    #[track_caller]
    fn of(address: &str) -> Self {
        Self::at(address.parse().unwrap()).unwrap_or_else(|| panic!("{address} cannot be had"))
    }

    /// This one, or any of the address when its port is 0; `None` when it is taken.
    pub fn at(address: SocketAddr) -> Option<Self> {
        let holder = bound(address).ok()?;
        let name: SockaddrStorage = getsockname(holder.as_raw_fd()).unwrap();
        let v4 = name.as_sockaddr_in().map(|name| SocketAddr::from(SocketAddrV4::from(*name)));
        let v6 = name.as_sockaddr_in6().map(|name| SocketAddr::from(SocketAddrV6::from(*name)));
        Some(Self { address: v4.or(v6).unwrap(), _holder: holder, _of_datagrams: None })
    }

    /// Listens on it. The system may need a moment to forget connections that closed just now.
    pub fn listener(&self) -> TcpListener {
        let fd = eventually("the port is free again", || bound(self.address).ok());
        listen(&fd, Backlog::new(1024).unwrap()).unwrap();
        TcpListener::from(fd)
    }
}

/// A listener whose queue of connections is full: what connects next is not answered.
pub struct Deaf {
    port: Port,
    _listener: TcpListener,
    _full: Vec<OwnedFd>,
}

impl Deaf {
    pub fn listening() -> Self {
        let port = Port::take();
        let listener = port.listener();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        // More than the queue takes, also where the system rounds it up.
        let full = (0..8).map(|_| connecting(&port.address)).collect();
        Self { port, _listener: listener, _full: full }
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address
    }
}

/// A socket on its way to `address`, connected or not.
fn connecting(address: &SocketAddr) -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    let _ = connect(fd.as_raw_fd(), &SockaddrStorage::from(*address));
    fd
}

fn bound(address: SocketAddr) -> nix::Result<OwnedFd> {
    bound_for(address, SockType::Stream)
}

fn bound_for(address: SocketAddr, kind: SockType) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// A socket connected to `address` that receives no more than some 16 kB before it is read.
pub fn narrow_socket(address: &SocketAddr) -> nix::Result<OwnedFd> {
    narrow_socket_of(address, 16 * 1024)
}

/// The same with so many bytes.
pub fn narrow_socket_of(address: &SocketAddr, bytes: usize) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, RcvBuf, &bytes)?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(*address))?;
    Ok(fd)
}

/// A socket connected to `address` from an address of this machine.
pub fn socket_from(source: IpAddr, address: SocketAddr) -> nix::Result<OwnedFd> {
    let fd = bound(SocketAddr::new(source, 0))?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        // It was accepted, and closed before this call came back: what follows finds that out.
        Ok(()) | Err(Errno::ECONNRESET) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

/// Makes the end of this socket a reset.
pub fn reset_on_close(stream: &TcpStream) {
    setsockopt(stream, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}
