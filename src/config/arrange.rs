//! A file's objects on the tables that run: an object that stays keeps its place, a new one takes a free one.
//!
//! An object is the same when its name is, a backend when its pool's is as well. Owns who gets which place. Refuses to change
//! anything: whether there is room is known before any of it is done.

use super::{Config, Order};
use crate::limits::{
    BackendId, Budget, ListenerId, MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS, MAX_ROUTES, PoolId, RouteId, SPARE_BACKENDS,
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
    /// The budget of the start, which the tables were made from.
    pub began: Budget,
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
    /// Those whose objects are there, but may not be in the file any more.
    live: Vec<usize>,
    room: usize,
}

impl Table<'_> {
    /// A place for each of these.
    fn place(&self, wanted: &[[&str; 2]], is_held: impl Fn(usize) -> bool) -> Result<Vec<usize>, Lacking> {
        let mut places: Vec<Option<usize>> =
            wanted.iter().map(|name| self.names.iter().position(|there| there == name)).collect();
        // Those that nobody had come first: what is known of who is gone is useful when he comes back.
        let unused = self.names.len()..self.room;
        let left: Vec<usize> = unused
            .chain(self.gone.iter().chain(&self.live).copied())
            .filter(|at| !places.contains(&Some(*at)))
            .collect();
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
fn left(gone: Vec<usize>, live: Vec<usize>, places: &[usize]) -> impl Iterator<Item = usize> {
    let places = places.to_vec();
    gone.into_iter().chain(live).filter(move |at| !places.contains(at))
}

/// The configuration `new` in the places that its objects have, or get.
///
/// # Errors
/// [`Lacking`]: nothing is arranged.
pub fn arrange(new: &Config, standing: &Standing<'_>) -> Result<Config, Lacking> {
    let Standing { now, room, is_held, .. } = *standing;
    let table = |kind, names, gone, live, room| Table { kind, names, gone, live, room };
    let listeners = table(
        "listen",
        now.listeners.iter().map(|it| [it.name.as_str(), ""]).collect(),
        now.gone.listeners.iter().map(|id| id.index()).collect(),
        now.order.listeners.iter().map(|id| id.index()).collect(),
        room.listeners,
    );
    let pools = table(
        "pool",
        now.pools.iter().map(|it| [it.name.as_str(), ""]).collect(),
        now.gone.pools.iter().map(|id| id.index()).collect(),
        now.order.pools.iter().map(|id| id.index()).collect(),
        room.pools,
    );
    let pool_of =
        |config: &Config, id: PoolId| config.pools.get(id.index()).map_or("", |pool| pool.name.as_str()).to_owned();
    let owners: Vec<String> = now.backends.iter().map(|it| pool_of(now, it.pool)).collect();
    let backends = table(
        "backend",
        now.backends.iter().zip(&owners).map(|(it, pool)| [it.name.as_str(), pool]).collect(),
        now.gone.backends.iter().map(|id| id.index()).collect(),
        now.order.backends.iter().map(|id| id.index()).collect(),
        room.backends,
    );
    let routes = table(
        "route",
        now.routes.iter().map(|it| [it.route.name.as_str(), ""]).collect(),
        now.gone.routes.iter().map(|id| id.index()).collect(),
        now.order.routes.iter().map(|id| id.index()).collect(),
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
            listeners: left(listeners.gone, listeners.live, &listener_places).filter_map(ListenerId::new).collect(),
            pools: left(pools.gone, pools.live, &pool_places).filter_map(PoolId::new).collect(),
            backends: left(backends.gone, backends.live, &backend_places).filter_map(BackendId::new).collect(),
            routes: left(routes.gone, routes.live, &route_places).filter_map(RouteId::new).collect(),
        },
        replies: new.replies.clone(),
        limits: new.limits,
        clients: new.clients.clone(),
        names: new.names.clone(),
        identity: new.identity.clone(),
        socket: new.socket.clone(),
        watchdog: new.watchdog.clone(),
        warnings: new.warnings.clone(),
        admin: new.admin.clone(),
        logs: new.logs.clone(),
        ..*new
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    const BASE: &str = "listen.l = 127.0.0.1:1\n";

    /// The places of backends in a configuration, as `POOL/NAME@PLACE`, in the order of the file.
    fn places(config: &Config) -> String {
        let of = |(id, it): (BackendId, &super::super::Backend)| {
            format!("{}/{}@{}", config.pools[it.pool.index()].name, it.name, id.0)
        };
        config.backends().map(of).collect::<Vec<_>>().join(" ")
    }

    fn text(backends: &str) -> String {
        let line = |word: &str| {
            let (pool, name) = word.split_once('/').unwrap_or(("default", word));
            format!("backend.{name} = h:1\nbackend.{name}.pool = {pool}\n")
        };
        BASE.to_owned() + &backends.split_whitespace().map(line).collect::<String>()
    }

    /// One file after the other on five places, of which those in `held` are: the places after each.
    fn story(files: &[(&str, &[u8], &str)]) {
        let mut now = read(&text(files[0].0));
        let room = Room { backends: 5, ..Room::for_config(&now) };
        for (backends, held, expected) in files {
            let is_held = |object| matches!(object, Object::Backend(id) if held.contains(&id.0));
            let standing = Standing { now: &now, began: now.limits.budget, room, is_held: &is_held };
            let new = read(&text(backends));
            match arrange(&new, &standing) {
                Ok(config) => {
                    assert_eq!(places(&config), *expected, "{backends}");
                    let members: Vec<&BackendId> = config.pools().flat_map(|(_, pool)| &pool.backends).collect();
                    assert!(members.iter().all(|id| config.order.backends.contains(id)), "{backends}");
                    assert_eq!(members.len(), config.order.backends.len());
                    // Again, it is what it was.
                    let standing = Standing { now: &config, ..standing };
                    assert_eq!(arrange(&new, &standing).as_ref(), Ok(&config));
                    now = config;
                }
                Err(lacking) => assert_eq!(format!("{}.{}", lacking.kind, lacking.name), *expected, "{backends}"),
            }
        }
    }

    #[test]
    fn who_stays_keeps_his_place() {
        story(&[
            ("a b", &[], "default/a@0 default/b@1"),
            ("c b a", &[], "default/c@2 default/b@1 default/a@0"),
            ("c", &[], "default/c@2"),
            // Places that nobody had come first, then that of who is gone longest.
            ("c d e", &[], "default/c@2 default/d@3 default/e@4"),
            ("c d e b", &[], "default/c@2 default/d@3 default/e@4 default/b@1"),
            ("c d e f", &[], "default/c@2 default/d@3 default/e@4 default/f@0"),
            // Then that of who is about to go, if nobody works with him.
            ("c d e f g", &[1], "backend.g"),
            ("c d e f g", &[], "default/c@2 default/d@3 default/e@4 default/f@0 default/g@1"),
            // In another pool it is another one.
            ("c d e f p/g", &[1], "backend.g"),
            ("c d e p/f", &[], "default/c@2 default/d@3 default/e@4 p/f@0"),
            ("c d e f", &[], "default/c@2 default/d@3 default/e@4 default/f@1"),
        ]);
    }

    #[test]
    fn what_refers_to_another_follows_it() {
        let of = |text: &str| read(&(BASE.to_owned() + "backend.a = h:1\n" + text));
        let first =
            of("backend.b = h:2\nbackend.b.pool = p\nroute.r.pool = p\nroute.s.deny = 403\nroute.s.path = /s\n");
        let second = of(
            "backend.z = h:3\nbackend.z.pool = q\nbackend.b = h:2\nbackend.b.pool = p\npool.q.overflow = p\n\
                         listen.m = 127.0.0.1:2\nlisten.m.pool = q\nroute.s.deny = 404\nroute.s.listen = m\nroute.r.pool = p\n",
        );
        let standing =
            Standing { now: &first, began: first.limits.budget, room: Room::for_config(&first), is_held: &|_| false };
        let config = arrange(&second, &standing).unwrap();
        let name = |id: PoolId| config.pools[id.index()].name.as_str();
        let routes: Vec<(&str, u8)> = config.routes().map(|(id, it)| (it.route.name.as_str(), id.0)).collect();
        assert_eq!(routes, [("s", 1), ("r", 0)]);
        assert_eq!(name(config.routes[0].pool), "p");
        let listener = config.routes[1].listeners[0];
        assert_eq!(config.listeners[listener.index()].name, "m");
        assert_eq!(name(config.listeners[listener.index()].pool), "q");
        let (_, q) = config.pools().find(|(_, pool)| pool.name == "q").unwrap();
        assert_eq!((q.overflow.map(name), config.backends[q.backends[0].index()].name.as_str()), (Some("p"), "z"));
        assert!(config.backends().all(|(id, it)| config.pools[it.pool.index()].backends.contains(&id)));
    }
}
