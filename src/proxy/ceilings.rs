//! How many connections there may be at the moment: of all clients, and of those of each listener, as an operator says within
//! what the budget has.

use super::Proxy;
use crate::limits::ListenerId;
use std::cell::Cell;

/// All of it.
pub(super) struct Ceilings {
    /// Of all clients.
    most: Cell<usize>,
    /// Of clients who are not known: all but those that are kept.
    ordinary: Cell<usize>,
    /// Kept for clients who are known.
    reserve: Cell<usize>,
    /// Of each listener's; [`usize::MAX`]: it has none of its own.
    listeners: Box<[Cell<usize>]>,
}

impl Ceilings {
    /// For so many connections, of which some are kept, and so many listeners.
    pub(super) fn new(connections: usize, reserve: usize, listeners: usize) -> Self {
        let listeners = vec![Cell::new(usize::MAX); listeners].into_boxed_slice();
        let ceilings = Self { most: Cell::new(connections), ordinary: Cell::new(0), reserve: Cell::new(0), listeners };
        ceilings.keep(reserve);
        ceilings
    }

    /// Keeps so many for clients who are known.
    pub(super) fn keep(&self, reserve: usize) {
        self.reserve.set(reserve);
        self.ordinary.set(self.most.get().saturating_sub(reserve));
    }

    fn set(&self, most: usize) {
        self.most.set(most);
        self.keep(self.reserve.get());
    }

    /// Of all clients.
    pub(super) fn most(&self) -> usize {
        self.most.get()
    }

    /// Of clients who are not known.
    pub(super) fn ordinary(&self) -> usize {
        self.ordinary.get()
    }

    /// Another listener is in this place.
    pub(super) fn forget(&self, id: ListenerId) {
        self.listeners[id.index()].set(usize::MAX);
    }
}

impl Proxy {
    /// How many connections of clients there may be.
    #[must_use]
    pub fn maxconn(&self) -> usize {
        self.ceilings.most()
    }

    /// The same of a listener's.
    #[must_use]
    pub fn listener_maxconn(&self, id: ListenerId) -> usize {
        self.ceilings.listeners[id.index()].get().min(self.maxconn())
    }

    /// Lets there be so many, no more than the budget has; 0: as many as at the start. Nobody who is here has to go.
    ///
    /// # Errors
    /// How many there may be.
    pub fn set_maxconn_of_all(&self, most: usize) -> Result<(), usize> {
        let planned = self.budget.connections;
        if most > planned {
            return Err(planned);
        }
        self.ceilings.set(if most == 0 { planned } else { most });
        self.wake_watchers();
        Ok(())
    }

    /// The same of a listener's; 0: it has no limit of its own.
    pub fn set_listener_maxconn(&self, id: ListenerId, most: usize) {
        self.ceilings.listeners[id.index()].set(if most == 0 { usize::MAX } else { most });
        self.wake_watchers();
    }

    /// Whether a listener has as many as it may.
    pub(super) fn is_listener_full(&self, id: ListenerId) -> bool {
        self.listener_connections[id.index()].now() >= self.ceilings.listeners[id.index()].get()
    }
}

#[cfg(test)]
mod tests {
    use super::super::footprint::proxy;
    use super::*;

    #[test]
    fn within_the_budget_and_beside_what_is_kept() {
        let proxy = proxy("listen.a = 127.0.0.1:0\nlimits.connections = 10\nlimits.reserve = 4\nlimits.rate = 9/s\n");
        assert_eq!((proxy.maxconn(), proxy.ordinary()), (10, 6));
        assert_eq!(proxy.set_maxconn_of_all(11), Err(10));
        assert_eq!(proxy.set_maxconn_of_all(3), Ok(()));
        assert_eq!((proxy.maxconn(), proxy.ordinary(), proxy.listener_maxconn(ListenerId(0))), (3, 0, 3));
        proxy.set_listener_maxconn(ListenerId(0), 2);
        assert_eq!((proxy.listener_maxconn(ListenerId(0)), proxy.is_listener_full(ListenerId(0))), (2, false));
        assert_eq!(proxy.set_maxconn_of_all(0), Ok(()));
        proxy.set_listener_maxconn(ListenerId(0), 0);
        assert_eq!((proxy.maxconn(), proxy.ordinary(), proxy.listener_maxconn(ListenerId(0))), (10, 6, 10));
    }
}
