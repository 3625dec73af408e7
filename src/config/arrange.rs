//! A file's objects on the tables that run: an object that stays keeps its place, a new one takes a free one.
//!
//! An object is the same when its name is, a backend when its pool's is as well. Owns who gets which place. Refuses to change
//! anything: whether there is room is known before any of it is done.

use super::{Config, Order};
use crate::limits::{
    BackendId, ListenerId, MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS, MAX_ROUTES, PoolId, RouteId, SPARE_BACKENDS,
    SPARE_LISTENERS, SPARE_POOLS, SPARE_ROUTES,
};

/// A place in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Of a listener.
    Listener(ListenerId),
    /// Of a pool.
    Pool(PoolId),
    /// Of a backend.
    Backend(BackendId),
    /// Of a route.
    Route(RouteId),
}

/// How many objects of each kind the tables take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Listeners.
    pub listeners: usize,
    /// Pools.
    pub pools: usize,
    /// Backends.
    pub backends: usize,
    /// Routes.
    pub routes: usize,
}

impl Room {
    /// For a file with so many objects, and those that later ones may add.
    #[must_use]
    pub fn of(listeners: usize, pools: usize, backends: usize, routes: usize) -> Self {
        Self {
            listeners: (listeners + SPARE_LISTENERS).min(MAX_LISTENERS),
            pools: (pools + SPARE_POOLS).min(MAX_POOLS),
            backends: (backends + backends.max(SPARE_BACKENDS)).min(MAX_BACKENDS),
            routes: (routes + SPARE_ROUTES).min(MAX_ROUTES),
        }
    }

    /// The same for this one.
    #[must_use]
    pub fn for_config(config: &Config) -> Self {
        let Order { listeners, pools, backends, routes } = &config.order;
        Self::of(listeners.len(), pools.len(), backends.len(), routes.len())
    }

    /// All of them.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.listeners + self.pools + self.backends + self.routes
    }
}

/// What runs, and what of it cannot be given away yet.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// The configuration that runs.
    pub now: &'a Config,
    /// What its tables take.
    pub room: Room,
    /// Whether somebody still works with what was in a place.
    pub is_held: &'a dyn Fn(Object) -> bool,
}

/// A new object for which no place is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// `listen`, `pool`, `backend`, `route`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Places there are.
    pub room: usize,
}

/// What is known of the places of one kind.
struct Table<'n> {
    kind: &'static str,
    /// Who is in each, or was last.
    names: Vec<[&'n str; 2]>,
    /// Those whose objects are gone, the oldest first.
    gone: Vec<usize>,
    room: usize,
}

impl Table<'_> {
    /// A place for each of these.
    fn place(&self, wanted: &[[&str; 2]], is_held: impl Fn(usize) -> bool) -> Result<Vec<usize>, Lacking> {
        let mut places: Vec<Option<usize>> =
            wanted.iter().map(|name| self.names.iter().position(|there| there == name)).collect();
        // Those that nobody had come first: what is known of who is gone is useful when he comes back.
        let unused = self.names.len()..self.room;
        let left: Vec<usize> =
            unused.chain(self.gone.iter().copied()).filter(|at| !places.contains(&Some(*at))).collect();
        let mut free = left.into_iter().filter(|&at| at >= self.names.len() || !is_held(at));
        for (place, [name, _]) in places.iter_mut().zip(wanted) {
            if place.is_none() {
                *place = free.next();
            }
            if place.is_none() {
                return Err(Lacking { kind: self.kind, name: (*name).to_owned(), room: self.room });
            }
        }
        Ok(places.into_iter().flatten().collect())
    }
}

/// Puts `objects` in their places over those that are there.
fn put<T: Clone>(there: &[T], objects: impl Iterator<Item = T>, places: &[usize]) -> Vec<T> {
    let mut table = there.to_vec();
    for (object, &at) in objects.zip(places) {
        // A place that nobody had is one behind the last: they are given in their order.
        while table.len() <= at {
            table.push(object.clone());
        }
        table[at] = object;
    }
    table
}

/// Those of `gone` and `live` that are not among `places`, in this order.
fn left(gone: Vec<usize>, live: impl Iterator<Item = usize>, places: &[usize]) -> impl Iterator<Item = usize> {
    let places = places.to_vec();
    gone.into_iter().chain(live.collect::<Vec<_>>()).filter(move |at| !places.contains(at))
}

/// The configuration `new` in the places that its objects have, or get.
///
/// # Errors
/// [`Lacking`]: nothing is arranged.
pub fn arrange(new: &Config, standing: &Standing<'_>) -> Result<Config, Lacking> {
    let Standing { now, room, is_held } = *standing;
    let table = |kind, names, gone, room| Table { kind, names, gone, room };
    let listeners = table(
        "listen",
        now.listeners.iter().map(|it| [it.name.as_str(), ""]).collect(),
        now.gone.listeners.iter().map(|id| id.index()).collect(),
        room.listeners,
    );
    let pools = table(
        "pool",
        now.pools.iter().map(|it| [it.name.as_str(), ""]).collect(),
        now.gone.pools.iter().map(|id| id.index()).collect(),
        room.pools,
    );
    let pool_of =
        |config: &Config, id: PoolId| config.pools.get(id.index()).map_or("", |pool| pool.name.as_str()).to_owned();
    let owners: Vec<String> = now.backends.iter().map(|it| pool_of(now, it.pool)).collect();
    let backends = table(
        "backend",
        now.backends.iter().zip(&owners).map(|(it, pool)| [it.name.as_str(), pool]).collect(),
        now.gone.backends.iter().map(|id| id.index()).collect(),
        room.backends,
    );
    let routes = table(
        "route",
        now.routes.iter().map(|it| [it.route.name.as_str(), ""]).collect(),
        now.gone.routes.iter().map(|id| id.index()).collect(),
        room.routes,
    );

    let wanted: Vec<[&str; 2]> = new.listeners().map(|(_, it)| [it.name.as_str(), ""]).collect();
    let listener_places =
        listeners.place(&wanted, |at| ListenerId::new(at).is_none_or(|id| is_held(Object::Listener(id))))?;
    let wanted: Vec<[&str; 2]> = new.pools().map(|(_, it)| [it.name.as_str(), ""]).collect();
    let pool_places = pools.place(&wanted, |at| PoolId::new(at).is_none_or(|id| is_held(Object::Pool(id))))?;
    let wanted: Vec<[&str; 2]> =
        new.backends().map(|(_, it)| [it.name.as_str(), new.pools[it.pool.index()].name.as_str()]).collect();
    let backend_places =
        backends.place(&wanted, |at| BackendId::new(at).is_none_or(|id| is_held(Object::Backend(id))))?;
    let wanted: Vec<[&str; 2]> = new.routes().map(|(_, it)| [it.route.name.as_str(), ""]).collect();
    let route_places = routes.place(&wanted, |at| RouteId::new(at).is_none_or(|id| is_held(Object::Route(id))))?;

    // Where each id of `new` leads to.
    let listener = |id: ListenerId| {
        let at = new.order.listeners.iter().position(|other| *other == id);
        at.and_then(|at| ListenerId::new(listener_places[at])).unwrap_or(id)
    };
    let pool = |id: PoolId| {
        let at = new.order.pools.iter().position(|other| *other == id);
        at.and_then(|at| PoolId::new(pool_places[at])).unwrap_or(id)
    };
    let backend = |id: BackendId| {
        let at = new.order.backends.iter().position(|other| *other == id);
        at.and_then(|at| BackendId::new(backend_places[at])).unwrap_or(id)
    };
    let monitor = |it: &super::Monitor| super::Monitor {
        uri: it.uri.clone(),
        fail: it.fail.iter().map(|&(id, least)| (pool(id), least)).collect(),
    };
    let new_listeners = new.listeners().map(|(_, it)| super::Listener {
        pool: pool(it.pool),
        monitor: it.monitor.as_ref().map(monitor),
        ..it.clone()
    });
    let new_pools = new.pools().map(|(_, it)| super::Pool {
        backends: it.backends.iter().map(|&id| backend(id)).collect(),
        overflow: it.overflow.map(pool),
        ..it.clone()
    });
    let new_backends = new.backends().map(|(_, it)| super::Backend { pool: pool(it.pool), ..it.clone() });
    let new_routes = new.routes().map(|(_, it)| super::Routed {
        listeners: it.listeners.iter().map(|&id| listener(id)).collect(),
        pool: pool(it.pool),
        ..it.clone()
    });
    Ok(Config {
        listeners: put(&now.listeners, new_listeners, &listener_places),
        pools: put(&now.pools, new_pools, &pool_places),
        backends: put(&now.backends, new_backends, &backend_places),
        routes: put(&now.routes, new_routes, &route_places),
        order: Order {
            listeners: listener_places.iter().filter_map(|&at| ListenerId::new(at)).collect(),
            pools: pool_places.iter().filter_map(|&at| PoolId::new(at)).collect(),
            backends: backend_places.iter().filter_map(|&at| BackendId::new(at)).collect(),
            routes: route_places.iter().filter_map(|&at| RouteId::new(at)).collect(),
        },
        gone: Order {
            listeners: left(listeners.gone, now.order.listeners.iter().map(|id| id.index()), &listener_places)
                .filter_map(ListenerId::new)
                .collect(),
            pools: left(pools.gone, now.order.pools.iter().map(|id| id.index()), &pool_places)
                .filter_map(PoolId::new)
                .collect(),
            backends: left(backends.gone, now.order.backends.iter().map(|id| id.index()), &backend_places)
                .filter_map(BackendId::new)
                .collect(),
            routes: left(routes.gone, now.order.routes.iter().map(|id| id.index()), &route_places)
                .filter_map(RouteId::new)
                .collect(),
        },
        replies: new.replies.clone(),
        limits: new.limits,
        clients: new.clients.clone(),
        names: new.names.clone(),
        identity: new.identity.clone(),
        warnings: new.warnings.clone(),
        admin: new.admin.clone(),
        logs: new.logs.clone(),
        ..*new
    })
}
