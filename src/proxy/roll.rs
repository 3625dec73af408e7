//! The roll of clients' connections, for an operator: who is here, since when, and what for.
//!
//! A connection at work is in the hands of its worker, so what is told of it is what its sockets and the queues show: nothing is
//! written down for that while requests are served.

use super::Proxy;
use super::workers::Post;
use crate::limits::{BackendId, ListenerId, PoolId};
use crate::runtime::Seen;
use std::net::SocketAddr;

/// One connection of a client.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// Its own for as long as it lasts.
    pub id: u64,
    /// Its client: whom a PROXY header names while it is idle, else who is at the other end; nothing over a UNIX socket.
    pub client: Option<SocketAddr>,
    /// Where it came to.
    pub listener: Option<ListenerId>,
    /// The pool that its request is in.
    pub pool: Option<PoolId>,
    /// The backend that works on it.
    pub backend: Option<BackendId>,
    /// Milliseconds since it began to wait for the request that it has or waits for.
    pub age_ms: u64,
}

impl Proxy {
    /// The connection in this place of the table of sockets, which has [`crate::runtime::Reactor::places`].
    #[must_use]
    pub fn present(&self, place: usize) -> Option<Present> {
        let seen = self.reactor.look(place).filter(|seen| !seen.of_task && seen.name.is_none())?;
        let age_ms = self.reactor.now_ms().saturating_sub(self.sheddable.borrow().since_ms(seen.seat));
        let nothing = Present { id: seen.id, client: seen.peer(), listener: None, pool: None, backend: None, age_ms };
        let post = self.posts.get(usize::from(seen.seat))?;
        let sitter = post.take();
        let idle = match &sitter {
            Post::Idle(connection) => {
                let (client, listener) = (connection.peer, Some(connection.listener));
                Some(Present { client, listener, ..nothing })
            }
            Post::Busy(_) | Post::Vacant => None,
        };
        let is_vacant = matches!(sitter, Post::Vacant);
        post.set(sitter);
        if is_vacant {
            return None;
        }
        if idle.is_some() {
            return idle;
        }
        let config = self.config();
        let came_to = |id: ListenerId| self.socket(id).is_some_and(|listener| seen.came_to(&listener));
        let backend = self.served_by(seen.seat).filter(|id| id.index() < config.backends.len());
        let pool = backend.map(|id| config.backends[id.index()].pool);
        let pool = pool.or_else(|| self.balancer.borrow().waits_in(seen.seat));
        let listener = config.listeners().map(|(id, _)| id).find(|&id| came_to(id));
        Some(Present { listener, pool, backend, ..nothing })
    }

    /// The backend to which a connection at work has one.
    fn served_by(&self, seat: u16) -> Option<BackendId> {
        self.reactor.sockets().filter(|seen| seen.seat == seat).find_map(|seen| seen.name).map(BackendId)
    }

    /// Ends the client's connection with this id; whether there is one.
    pub fn end_session(&self, id: u64) -> bool {
        let place = usize::try_from(id & 0xffff).unwrap_or(usize::MAX);
        let its = |seen: &Seen| seen.id == id && !seen.of_task && seen.name.is_none();
        self.reactor.look(place).filter(its).inspect(Seen::end).is_some()
    }

    /// Ends the connections of all clients whose requests a backend works on.
    pub fn end_sessions(&self, id: BackendId) {
        for at in self.reactor.sockets().filter(|seen| !seen.of_task && seen.name == Some(id.0)) {
            let clients = self.reactor.sockets().filter(|seen| seen.seat == at.seat && seen.name.is_none());
            clients.for_each(|client| client.end());
        }
    }
}
