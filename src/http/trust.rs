//! Whose word about a request is taken: `listen.N.trust`.
//!
//! A client is who the request is from: the other end of the connection, or whom a PROXY header names there. Whoever passes
//! such a header on need not have looked at what stands behind it, so a client's word does not become its proxy's: that a
//! proxy answers for all it sends is said apart, by `peer:` and `unix`.

use super::route::Cidr;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One of those that are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Clients in this block.
    Client(Cidr),
    /// Who opens connections from this block, whatever client a PROXY header names.
    Peer(Cidr),
    /// Who may connect to the UNIX socket, as above.
    Unix,
}

const PEER: &str = "peer:";
const UNIX: &str = "unix";

/// Whether a client with this address, if it has one, is trusted.
#[must_use]
pub fn trusts_client(all: &[Trust], client: Option<IpAddr>) -> bool {
    all.iter().any(|trust| match trust {
        Trust::Client(block) => client.is_some_and(|client| block.contains(client)),
        Trust::Peer(_) | Trust::Unix => false,
    })
}

/// Whether the other end of a connection answers for all that comes; `None` is the address of a UNIX socket's.
#[must_use]
pub fn trusts_peer(all: &[Trust], peer: Option<IpAddr>) -> bool {
    all.iter().any(|trust| match trust {
        Trust::Client(_) => false,
        Trust::Peer(block) => peer.is_some_and(|peer| block.contains(peer)),
        Trust::Unix => peer.is_none(),
    })
}

impl FromStr for Trust {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(PEER) {
            Some(block) => block.parse().map(Self::Peer),
            None if text == UNIX => Ok(Self::Unix),
            None => text.parse().map(Self::Client),
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(block) => block.fmt(f),
            Self::Peer(block) => write!(f, "{PEER}{block}"),
            Self::Unix => f.write_str(UNIX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_peers_are_trusted_apart() {
        let all = ["10.0.0.0/8", "peer:192.0.2.0/24", "unix"].map(|text| text.parse::<Trust>().unwrap());
        assert_eq!(all.map(|trust| trust.to_string()), ["10.0.0.0/8", "peer:192.0.2.0/24", "unix"]);
        for (address, client, peer) in
            [("10.1.2.3", true, false), ("192.0.2.7", false, true), ("::1", false, false), ("", false, true)]
        {
            let address = address.parse().ok();
            assert_eq!((trusts_client(&all, address), trusts_peer(&all, address)), (client, peer), "{address:?}");
        }
        assert!(!trusts_peer(&all[..2], None) && !trusts_client(&all, None));
        for wrong in ["unix:", "peer:", "peer:unix", "peer", "unix:/x", "Unix"] {
            assert!(wrong.parse::<Trust>().is_err(), "{wrong}");
        }
    }
}
