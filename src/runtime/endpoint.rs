//! Where a listener or a backend is: an address and a port, or a UNIX socket's path.

use std::fmt;
use std::net::SocketAddr;

/// One end of a connection, as it is bound or connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// TCP.
    Inet(SocketAddr),
    /// A UNIX socket: its path, or `@` and a name in Linux' abstract namespace.
    Unix(&'a str),
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}
