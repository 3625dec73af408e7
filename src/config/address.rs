//! Where a listener or a backend is, as a file says it: an address and a port, a host and a port, a UNIX socket.
//!
//! Owns the forms. Refuses to resolve a name, or to look for a file.

use super::value::scaled;
use crate::limits::MAX_UNIX_PATH;
use crate::runtime::Endpoint;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Inet(SocketAddr),
    /// A UNIX socket: an absolute path, or `@` and a name in Linux' abstract namespace.
    Unix(String),
}

impl Address {
    /// What is bound.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        match self {
            Self::Inet(address) => Endpoint::Inet(*address),
            Self::Unix(path) => Endpoint::Unix(path),
        }
    }

    /// The address and port, where it has them.
    #[must_use]
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint().fmt(f)
    }
}

/// What stands before the path of a UNIX socket.
const UNIX: &str = "unix:";

/// The path of a UNIX socket, where `text` is meant as one.
pub(super) fn unix(text: &str) -> Option<Result<String, &'static str>> {
    text.strip_prefix(UNIX).map(unix_path)
}

/// The path, or `@` and the name, of a UNIX socket.
pub(super) fn unix_path(path: &str) -> Result<String, &'static str> {
    let name = path.strip_prefix('@').unwrap_or(path);
    match () {
        () if name.is_empty() || !path.starts_with(['/', '@']) => Err("the path of a UNIX socket is absolute"),
        () if path.len() > MAX_UNIX_PATH => Err("the path of a UNIX socket has at most 107 bytes"),
        () if !path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("the path of a UNIX socket is of printable ASCII without blanks")
        }
        () => Ok(path.to_owned()),
    }
}

/// `host:port`, with the host's brackets removed.
pub(super) fn server(text: &str) -> Result<(String, u16), &'static str> {
    if text.contains("://") {
        return Err("no scheme stands before it, and no path behind it");
    }
    let (host, port) = text.rsplit_once(':').ok_or("no port")?;
    let port = match scaled(port, &[("", 1)]).and_then(|port| u16::try_from(port).ok()) {
        Some(port) if port > 0 => port,
        _ => return Err("the port is a number from 1 to 65535"),
    };
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|address| (address.to_string(), port)).ok_or("not an IPv6 address in brackets");
    }
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("not a host name");
    }
    // A name whose last label is a number can only be meant as an address.
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if number && host.parse::<IpAddr>().is_err() {
        return Err("not an IPv4 address");
    }
    Ok((host.to_owned(), port))
}
