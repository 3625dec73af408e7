//! The routes: their conditions, and what each does.
//!
//! Owns what a route must have. Refuses to know what a condition means: that is [`crate::http::route`]'s.

use super::keys::Id;
use super::resolve::Resolver;
use super::value::Value;
use super::{Deed, Listener, Pool, Routed};
use crate::http::route::{HeaderPattern, Route};
use crate::limits::{ListenerId, PoolId};
use crate::sort;

impl Resolver<'_, '_> {
    /// Every route, in the order of its first line.
    pub(super) fn routes(&mut self, objects: &[(u32, &str)], pools: &[Pool], listeners: &[Listener]) -> Vec<Routed> {
        let settings = self.settings;
        let members_known = self.are_members_known();
        let mut routes = Vec::new();
        for (first_line, name) in objects {
            let key = Id::RoutePool.key().of(name);
            let id = self.pool(Id::RoutePool, name);
            let deed = self.deed(name);
            match settings.find(Id::RoutePool, name).map(|setting| (setting.line, &setting.value)) {
                _ if deed.as_ref().is_some_and(|deed| *deed != Deed::Pool) => {}
                Some((_, Value::Bad)) => {}
                _ if deed.is_none() => {
                    let deny = Id::RouteDeny.key().of(name);
                    let reason =
                        format!("missing: say what becomes of the requests, as in `{key} = default` or `{deny} = 403`");
                    self.errors.push(*first_line, &key, reason);
                }
                None | Some((_, Value::Unset)) => {}
                Some((line, _)) => {
                    let empty = pools.get(id.index()).filter(|pool| pool.backends.is_empty() && members_known);
                    if let Some(pool) = empty {
                        self.errors.push(line, &key, Self::has_no_backend(&pool.name, pools));
                    }
                }
            }
            let priority = match settings.value(Id::RoutePriority, name) {
                Value::Integer(class) => i8::try_from(class).unwrap_or_default(),
                _ => 0,
            };
            let on = self.route_listeners(name, listeners);
            let here = |index| on.is_empty() || ListenerId::new(index).is_some_and(|id| on.contains(&id));
            let here = listeners.iter().enumerate().filter(|(index, _)| here(*index)).map(|(_, listener)| listener);
            let rate = settings.rate(Id::RouteRate, name);
            let route = self.route(name);
            let (edits, maintenance) = (self.edits(name, here), self.maintenance(name));
            let deed = deed.unwrap_or(Deed::Pool);
            let pool = if deed == Deed::Pool { id } else { PoolId(0) };
            routes.push(Routed { route, listeners: on, deed, pool, edits, maintenance, priority, rate });
        }
        routes
    }

    fn route_listeners(&mut self, name: &str, listeners: &[Listener]) -> Vec<ListenerId> {
        let Some(setting) = self.settings.find(Id::RouteListen, name) else { return Vec::new() };
        let Value::Texts(wanted) = &setting.value else { return Vec::new() };
        // What is wrong with one that is declared is said there.
        let undeclared = |name: &&String| self.settings.exactly(Id::Listen, name, "").is_none();
        if let Some(missing) = wanted.iter().find(undeclared) {
            let reason = format!("no line declares `listen.{missing}`");
            self.errors.push(setting.line, setting.written, reason);
        }
        let place = |name: &String| listeners.iter().position(|listener| listener.name == *name);
        wanted.iter().filter_map(place).filter_map(ListenerId::new).collect()
    }

    fn route(&self, name: &str) -> Route {
        let settings = self.settings;
        let headers = settings.with_header(Id::RouteHeader, name);
        let mut headers: Vec<HeaderPattern> = headers
            .filter_map(|setting| match &setting.value {
                Value::Texts(values) => Some(HeaderPattern { name: setting.header.to_owned(), values: values.clone() }),
                _ => None,
            })
            .collect();
        sort::few(&mut headers, |a, b| a.name.cmp(&b.name));
        Route {
            name: name.to_owned(),
            hosts: match settings.value(Id::RouteHost, name) {
                Value::Hosts(hosts) => hosts,
                _ => Vec::new(),
            },
            paths: match settings.value(Id::RoutePath, name) {
                Value::Paths(paths) => paths,
                _ => Vec::new(),
            },
            methods: match settings.value(Id::RouteMethod, name) {
                Value::Texts(methods) => methods,
                _ => Vec::new(),
            },
            headers,
            sources: match settings.value(Id::RouteSrc, name) {
                Value::Sources(sources) => sources,
                _ => Vec::new(),
            },
        }
    }
}
