//! Reload in place: the file is read again, and what runs follows it. No second process, and nothing is dropped.
//!
//! First everything that can be refused: the file, the budget, free places in the tables, new sockets; and names that are new are
//! looked up, for a second at most. Then the swap, in one go,
//! which cannot fail. Whatever is refused, all stays as it was.

use super::notify;
use super::rollback::Watched;
use super::service::Service;
use crate::config::{Config, Pool, load_again};
use crate::proxy::Changes;
use std::rc::Rc;

/// The words behind a refusal.
const STAYS: &str = "the old configuration stays";

impl Service {
    /// Reads the file again; what changed, in one line.
    ///
    /// # Errors
    /// All that is wrong, a line each, and that the old configuration stays.
    pub async fn reload(&'static self) -> Result<String, String> {
        notify::reloading("reading the file again");
        // Apart: it is large, and rare.
        let result = Box::pin(self.read_again()).await;
        if !self.proxy.is_stopping() {
            notify::ready("serving");
        }
        result
    }

    async fn read_again(&'static self) -> Result<String, String> {
        let Some(path) = &self.path else { return Err(format!("there is no file to read again: {STAYS}")) };
        let load = || {
            let loaded = self.proxy.with_standing(|standing| load_again(path, &self.machine, standing));
            loaded.map_err(|errors| format!("{errors}\n{}: {STAYS}", path.display()))
        };
        let known = self.resolver.find_out(self.proxy, &load()?).await;
        if self.proxy.is_stopping() {
            return Err(format!("beelance is about to end: {STAYS}"));
        }
        // Once more: things went on meanwhile.
        let config = load()?;
        let sockets = self.sockets(&config, true).map_err(|why| format!("{why}\n{}: {STAYS}", path.display()))?;
        let before = self.proxy.config();
        let watched = config.rollback_ms.map(|window_ms| Watched::before(self.proxy, window_ms));
        let config = Rc::new(config);
        let changes = self.follow(Rc::clone(&config), sockets, &known);
        self.watch_reload(watched);
        for warning in &config.warnings {
            log::warn!("{warning}");
        }
        Ok(format!("{}: {}", path.display(), tell(&before, &config, &changes)))
    }

    /// The same for an operator who reads the log as well.
    ///
    /// # Errors
    /// As [`Service::reload`].
    pub async fn reload_told(&'static self) -> Result<String, String> {
        let told = Box::pin(self.reload()).await;
        match &told {
            Ok(what) => log::info!("reloaded {what}"),
            Err(why) => why.lines().for_each(|line| log::error!("reload: {line}")),
        }
        told
    }
}

/// What differs, by kind.
fn tell(before: &Config, after: &Config, changes: &Changes) -> String {
    let mut told = String::new();
    let backend = |config: &Config, ids: &[crate::limits::BackendId]| -> Vec<String> {
        ids.iter().map(|id| format!("backend.{}", config.backends[id.index()].name)).collect()
    };
    let (mut added, mut removed) = (backend(after, &changes.added), backend(before, &changes.removed));
    let mut changed = backend(after, &changes.changed);
    for (id, listener) in after.listeners() {
        match before.listeners().find(|(at, there)| *at == id && there.name == listener.name).map(|(_, there)| there) {
            None => added.push(format!("listen.{}", listener.name)),
            Some(there) if there != listener => changed.push(format!("listen.{}", listener.name)),
            Some(_) => {}
        }
    }
    for (id, pool) in after.pools() {
        match before.pools().find(|(at, there)| *at == id && there.name == pool.name).map(|(_, there)| there) {
            None => added.push(format!("pool.{}", pool.name)),
            Some(there) if !is_same_pool(there, pool) => changed.push(format!("pool.{}", pool.name)),
            Some(_) => {}
        }
    }
    for (id, routed) in after.routes() {
        match before
            .routes()
            .find(|(at, there)| *at == id && there.route.name == routed.route.name)
            .map(|(_, there)| there)
        {
            None => added.push(format!("route.{}", routed.route.name)),
            Some(there) if there != routed => changed.push(format!("route.{}", routed.route.name)),
            Some(_) => {}
        }
    }
    let gone = |kind: &str, name: &str| format!("{kind}.{name}");
    let listeners =
        before.listeners().filter(|(id, it)| !after.listeners().any(|(at, now)| at == *id && now.name == it.name));
    removed.extend(listeners.map(|(_, it)| gone("listen", &it.name)));
    let pools = before.pools().filter(|(id, it)| !after.pools().any(|(at, now)| at == *id && now.name == it.name));
    removed.extend(pools.map(|(_, it)| gone("pool", &it.name)));
    let routes = before
        .routes()
        .filter(|(id, it)| !after.routes().any(|(at, now)| at == *id && now.route.name == it.route.name));
    removed.extend(routes.map(|(_, it)| gone("route", &it.route.name)));
    for (differs, what) in [
        (before.timeouts != after.timeouts, "timeout"),
        (before.clients != after.clients || before.limits.body != after.limits.body, "limits"),
        (before.limits.headers != after.limits.headers, "limits.headers"),
        (before.names != after.names, "resolver"),
        (before.log_level != after.log_level || before.logs != after.logs, "log"),
        (before.replies != after.replies, "reply"),
        (before.admin != after.admin, "admin"),
        (before.power != after.power, "power"),
        (before.drain_timeout_ms != after.drain_timeout_ms, "drain-timeout"),
        (before.rollback_ms != after.rollback_ms, "reload.rollback"),
        (
            before.order.routes != after.order.routes && before.order.routes.len() == after.order.routes.len(),
            "the order of routes",
        ),
    ] {
        if differs {
            changed.push(what.to_owned());
        }
    }
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            let separator = if told.is_empty() { "" } else { "; " };
            told.push_str(&format!("{separator}{what} {}", names.join(", ")));
        }
    }
    if told.is_empty() { "nothing differs".to_owned() } else { told }
}

/// Whether nothing differs but the backends, which are told of by themselves.
fn is_same_pool(one: &Pool, other: &Pool) -> bool {
    *one == Pool { backends: one.backends.clone(), redirects: one.redirects, ..other.clone() }
}
