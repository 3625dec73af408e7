//! What the access log tells of one exchange, or one connection without any. All times are milliseconds of the loop's clock.

use super::Proxy;
use crate::fault::{Fault, Phase};
use crate::limits::{BackendId, ListenerId, PoolId};
use std::fmt;
use std::net::SocketAddr;

/// Takes the records of finished exchanges.
pub trait Journal {
    /// `line` is the request line as it came, cut to a bound, nothing when none could be read; and the request's id behind it.
    fn write(&self, proxy: &Proxy, record: &Record, line: &[u8]);

    /// The same for a connection without requests.
    fn write_connection(&self, proxy: &Proxy, record: &Record);
}

/// One exchange, finished or on its way.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Who asked; `None`: somebody on a UNIX socket.
    pub client: Option<SocketAddr>,
    /// Where.
    pub listener: ListenerId,
    /// The pool it was routed to, once it was.
    pub pool: Option<PoolId>,
    /// The backend that was to serve it, once one was chosen.
    pub backend: Option<BackendId>,
    /// When the first byte of the request came.
    pub began_ms: u64,
    /// When its head was complete.
    pub headed_ms: Option<u64>,
    /// When it held a slot.
    pub placed_ms: Option<u64>,
    /// When it had a connection to a backend.
    pub connected_ms: Option<u64>,
    /// Whether that was made for it, and had served no other.
    pub fresh: bool,
    /// When the response's head was complete.
    pub answered_ms: Option<u64>,
    /// The status the client got, or would have got.
    pub status: u16,
    /// Bytes sent to the client.
    pub bytes: u64,
    /// What ended it, if it did not end well.
    pub fault: Option<Fault>,
    /// Where it was at the end.
    pub phase: Phase,
    /// What the client's affinity cookie said: the third character of the termination state.
    pub client_cookie: char,
    /// What was done about the response's: the fourth.
    pub server_cookie: char,
    /// Connection attempts after the first.
    pub retries: u32,
    /// Whether another backend than the first served it.
    pub redispatched: bool,
    /// Its place in the backend's queue when it came, the first is 1; 0: it did not wait there. So HAProxy counts.
    pub backend_queue: u32,
    /// The same in the pool's queue.
    pub pool_queue: u32,
    /// Bytes of its id, behind the request line.
    pub id: u8,
}

impl Record {
    /// An exchange whose first byte came at `began_ms`.
    #[must_use]
    pub fn new(client: Option<SocketAddr>, listener: ListenerId, began_ms: u64) -> Self {
        Self {
            client,
            listener,
            pool: None,
            backend: None,
            began_ms,
            headed_ms: None,
            placed_ms: None,
            connected_ms: None,
            fresh: false,
            answered_ms: None,
            status: 0,
            bytes: 0,
            fault: None,
            phase: Phase::Request,
            client_cookie: '-',
            server_cookie: '-',
            retries: 0,
            redispatched: false,
            backend_queue: 0,
            pool_queue: 0,
            id: 0,
        }
    }
}

impl Record {
    /// What was to be set in the response is not in beelance's own answer, which is given instead.
    pub(super) fn set_no_cookie(&mut self) {
        if self.server_cookie != '-' {
            self.server_cookie = 'N';
        }
    }

    /// Whether it has a line: there was somebody to answer, and more than a question whether beelance serves.
    #[inline(always)]
    pub(super) fn is_told(&self) -> bool {
        self.status != 0 && !matches!(self.fault, Some(Fault::Monitored(_)))
    }
}

/// What a client without an address is called, as HAProxy does.
pub const UNNAMED: &str = "unix:1";

/// A client, in a message.
pub(super) struct Named(pub Option<SocketAddr>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str(UNNAMED),
        }
    }
}
