//! Which entries of the tables are the file's, and in what order it names them.
//!
//! The places in [`Config::listeners`], `pools`, `backends` and `routes` are the ids that every table goes by. In a file that
//! was just read they follow its order. In the configuration that runs an object keeps its place over any number of reloads; the
//! place of one that is gone stays what it was, for whoever still works with it, until another object takes it.

use super::{Backend, Config, Listener, Pool, Routed};
use crate::limits::{BackendId, ListenerId, PoolId, RouteId};

/// Ids of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Of listeners.
    pub listeners: Vec<ListenerId>,
    /// Of pools.
    pub pools: Vec<PoolId>,
    /// Of backends.
    pub backends: Vec<BackendId>,
    /// Of routes: the first match wins.
    pub routes: Vec<RouteId>,
}

impl Order {
    /// Of so many of each kind, in their order.
    pub(super) fn of(listeners: usize, pools: usize, backends: usize, routes: usize) -> Self {
        Self {
            listeners: (0..listeners).filter_map(ListenerId::new).collect(),
            pools: (0..pools).filter_map(PoolId::new).collect(),
            backends: (0..backends).filter_map(BackendId::new).collect(),
            routes: (0..routes).filter_map(RouteId::new).collect(),
        }
    }
}

impl Config {
    /// The listeners of the file, in its order.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        self.order.listeners.iter().map(|&id| (id, &self.listeners[id.index()]))
    }

    /// The pools of the file, in the order in which it first names them.
    pub fn pools(&self) -> impl Iterator<Item = (PoolId, &Pool)> {
        self.order.pools.iter().map(|&id| (id, &self.pools[id.index()]))
    }

    /// The backends of the file, in its order.
    pub fn backends(&self) -> impl Iterator<Item = (BackendId, &Backend)> {
        self.order.backends.iter().map(|&id| (id, &self.backends[id.index()]))
    }

    /// The routes of the file, in the order in which they are tried.
    pub fn routes(&self) -> impl Iterator<Item = (RouteId, &Routed)> {
        self.order.routes.iter().map(|&id| (id, &self.routes[id.index()]))
    }
}
