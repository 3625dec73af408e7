//! How many connections each client has (`limits.per-client`).
//!
//! An exact count: a client is in the table for as long as it has a connection, and the table holds as many clients as
//! there can be connections. Nobody can be pushed out of it.

use super::clients::{Clients, Line};

/// All connections count alike.
const LINE: Line = Line { pool: 0, class: 0 };

/// The clients that are connected.
pub struct Crowd {
    clients: Clients,
    most: u16,
}

impl Crowd {
    /// For so many connections in all, `most` of one client.
    #[must_use]
    pub fn new(connections: usize, most: u16) -> Self {
        Self { clients: Clients::new(connections), most }
    }

    /// So many of one client from now on; who has more keeps them.
    pub fn allow(&mut self, most: u16) {
        self.most = most;
    }

    /// Connections of `client`.
    #[must_use]
    #[inline(never)]
    pub fn count(&self, client: u64) -> u16 {
        self.clients.waiting(LINE, client)
    }

    /// Whether another connection of `client` may stay.
    #[must_use]
    pub fn has_place(&self, client: u64) -> bool {
        self.count(client) < self.most
    }

    /// A connection of `client` that may stay comes; it must [`Crowd::leave`].
    #[inline(never)]
    pub fn enter(&mut self, client: u64) {
        self.clients.join(LINE, client, 0);
    }

    /// A connection that was let in ends.
    pub fn leave(&mut self, client: u64) {
        self.clients.leave(LINE, client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// It admits exactly who has a connection left, and forgets nobody who has one.
        #[test]
        fn like_a_map(steps in prop::collection::vec((0u64..6, any::<bool>()), 1..300), most in 1u16..5) {
            let mut crowd = Crowd::new(6 * 4, most);
            let mut model = HashMap::<u64, u16>::new();
            for (client, comes) in steps {
                let there = model.entry(client).or_default();
                if comes {
                    let may = *there < most;
                    prop_assert_eq!((crowd.count(client), crowd.has_place(client)), (*there, may));
                    if may {
                        crowd.enter(client);
                        *there += 1;
                    }
                } else if *there > 0 {
                    crowd.leave(client);
                    *there -= 1;
                }
            }
        }
    }
}
