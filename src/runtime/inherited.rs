//! Descriptors that whoever executed this program hands over: systemd's `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID`
//! (sd_listen_fds(3)), which an upgrade in place uses as well.
//!
//! Owns the way in, and what a socket says of itself. Refuses to believe that a number is a descriptor.

#![allow(unsafe_code, reason = "a descriptor that is handed over is a number in the environment")]

use super::endpoint::Endpoint;
use super::socket::to_std;
use super::unix::SocketFile;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt};
use std::env;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of the first one.
pub const FIRST: RawFd = 3;
/// No more are looked at.
const MOST: RawFd = 64;

/// One of them.
#[derive(Debug)]
pub struct Inherited {
    /// Its name in `LISTEN_FDNAMES`; empty when it has none.
    pub name: String,
    /// It is closed when nobody wants it.
    pub descriptor: OwnedFd,
}

/// Takes all that were handed over to this process; once, and before anything is opened.
#[must_use]
pub fn take() -> Vec<Inherited> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let variable = |name| env::var(name).ok();
    let ours = variable("LISTEN_PID").is_some_and(|pid| pid.parse() == Ok(std::process::id()));
    let count = variable("LISTEN_FDS").and_then(|count| count.parse::<RawFd>().ok()).unwrap_or(0);
    if !ours || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    (FIRST..FIRST + count.clamp(0, MOST)).zip(names).filter_map(|(number, name)| claim(number, name).ok()).collect()
}

fn claim(number: RawFd, name: String) -> nix::Result<Inherited> {
    // SAFETY: only for this call, which finds out whether it is one.
    fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open; it was ours from the start, and is claimed once, before anything else is opened.
    Ok(Inherited { name, descriptor: unsafe { OwnedFd::from_raw_fd(number) } })
}

impl Inherited {
    /// Whether it is a socket that listens for connections at `endpoint`; where that leaves the port to the system, one called
    /// `name` will do at any port.
    #[must_use]
    pub fn listens_at(&self, endpoint: Endpoint<'_>, name: &str) -> bool {
        let Ok(Some(bound)) = self.bound() else { return false };
        match endpoint {
            Endpoint::Inet(wanted) => to_std(&bound).is_some_and(|bound| {
                let port_fits = bound.port() == wanted.port() || wanted.port() == 0 && self.name == name;
                bound.ip() == wanted.ip() && port_fits
            }),
            Endpoint::Unix(wanted) => {
                let Some(address) = bound.as_unix_addr() else { return false };
                match wanted.strip_prefix('@') {
                    Some(name) => address.as_abstract() == Some(name.as_bytes()),
                    None => address.path().is_some_and(|path| path.as_os_str() == wanted),
                }
            }
        }
    }

    /// Where it listens; `None` for what is no listening socket of connections.
    fn bound(&self) -> nix::Result<Option<SockaddrStorage>> {
        let listens = getsockopt(&self.descriptor, sockopt::AcceptConn)?;
        if !listens || getsockopt(&self.descriptor, sockopt::SockType)? != SockType::Stream {
            return Ok(None);
        }
        let bound: SockaddrStorage = getsockname(self.descriptor.as_raw_fd())?;
        let known = [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Unix];
        Ok(bound.family().filter(|family| known.contains(family)).map(|_| bound))
    }

    /// The file of a UNIX socket that listens, to be removed with what is returned.
    #[must_use]
    pub fn file(&self) -> Option<SocketFile> {
        SocketFile::found(self.bound().ok()??.as_unix_addr()?.path()?.to_str()?)
    }

    /// What it is, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let place = match self.bound() {
            Ok(Some(bound)) => bound.to_string(),
            Ok(None) => "no listening socket of connections".to_owned(),
            Err(Errno::ENOTSOCK) => "no socket".to_owned(),
            Err(errno) => errno.to_string(),
        };
        if self.name.is_empty() { place } else { format!("{place} (`{}`)", self.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    fn inherited(name: &str, descriptor: impl Into<OwnedFd>) -> Inherited {
        Inherited { name: name.to_owned(), descriptor: descriptor.into() }
    }

    #[test]
    fn a_socket_is_known_by_where_it_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = listener.local_addr().unwrap();
        let socket = inherited("web", listener);
        assert!(socket.listens_at(Endpoint::Inet(bound), "other"));
        assert!(!socket.listens_at(Endpoint::Inet(([127, 0, 0, 2], bound.port()).into()), "web"));
        assert!(!socket.listens_at(Endpoint::Unix("/run/web"), "web"));
        // Any port is one that the system chose for this name.
        let any = Endpoint::Inet("127.0.0.1:0".parse().unwrap());
        assert!(socket.listens_at(any, "web") && !socket.listens_at(any, "other"));
        assert!(socket.describe().contains(&bound.to_string()) && socket.describe().contains("`web`"));
    }

    #[test]
    fn a_unix_socket_is_known_by_its_path_or_name() {
        let path = std::env::temp_dir().join(format!("beelance-inherited-{}", std::process::id()));
        let socket = inherited("", UnixListener::bind(&path).unwrap());
        assert!(socket.listens_at(Endpoint::Unix(path.to_str().unwrap()), ""));
        assert!(!socket.listens_at(Endpoint::Unix("/run/other"), ""));
        std::fs::remove_file(path).unwrap();
        let name = format!("beelance-inherited-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = inherited("", UnixListener::bind_addr(&address).unwrap());
        assert!(socket.listens_at(Endpoint::Unix(&format!("@{name}")), ""));
        assert!(!socket.listens_at(Endpoint::Unix(&name), ""));
    }

    #[test]
    fn what_does_not_listen_is_nowhere() {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::Inet(datagrams.local_addr().unwrap());
        assert!(!inherited("", datagrams).listens_at(endpoint, ""));
        let file = inherited("", std::fs::File::open("/dev/null").unwrap());
        assert!(!file.listens_at(endpoint, ""));
        assert_eq!(file.describe(), "no socket");
    }
}
