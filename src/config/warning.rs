//! What is legal and probably not meant.
//!
//! Owns the warnings of `check` and `run`. Refuses to change anything.

use super::keys::{Id, Kind};
use super::resolve::Resolver;
use super::{Backend, Check, CheckKind, ClientLimits, Deed, Identity, Listener, Mode, Pool, Routed};
use crate::balance::{CookieMode, Observe};
use crate::http::key::Key;
use crate::limits::PoolId;

impl Resolver<'_, '_> {
    /// Limits of single clients that nobody will feel.
    pub(super) fn warn_of_limits(
        &mut self,
        limits: &ClientLimits,
        listeners: &[Listener],
        routes: &[Routed],
        pools: &[Pool],
    ) {
        const UNKNOWN: &str = "it does nothing without `pool.N.cookie`: nobody becomes known";
        const TRUSTED: &str = "clients behind these proxies have no limits, since all come from one address: let the proxies send a PROXY header (`accept-proxy`)";
        if limits.reserve > 0 && pools.iter().all(|pool| pool.cookie.is_none()) {
            self.warn_at(Id::Reserve, "", UNKNOWN);
        }
        let limited = limits.connections.is_some() || limits.need_rates(routes);
        for listener in listeners {
            if limited && !listener.trust.is_empty() && !listener.accept_proxy {
                self.warn_at(Id::ListenTrust, &listener.name, TRUSTED);
            }
        }
    }

    fn warn_at(&mut self, id: Id, name: &str, reason: &str) {
        self.warnings.push((self.settings.line(id, name), id.key().of(name), reason.to_owned()));
    }

    /// Looks for all of it.
    pub(super) fn warn(&mut self, listeners: &[Listener], routes: &[Routed], pools: &[Pool]) {
        let settings = self.settings;
        for listener in listeners {
            if let Some(pool) = pools.get(listener.pool.index()).filter(|pool| pool.backends.is_empty()) {
                let named = settings.find(Id::ListenPool, &listener.name);
                let is_own = settings.all().iter().any(|it| it.id.key().kind == Kind::Pool && it.name == pool.name);
                if let Some(setting) = named.filter(|_| !is_own && self.are_members_known())
                    && pools.iter().any(|pool| !pool.backends.is_empty())
                {
                    let reason = Self::has_no_backend(&pool.name, pools)
                        + &format!(" (a key of its own, such as `pool.{}.balance`, lets it be empty)", pool.name);
                    self.errors.push(setting.line, setting.written, reason);
                    continue;
                }
                let line = settings
                    .find(Id::ListenPool, &listener.name)
                    .map_or_else(|| settings.line(Id::Listen, &listener.name), |s| s.line);
                let then = match listener.mode {
                    Mode::Http => "what no route takes is answered 503",
                    Mode::Tcp => "every connection is closed",
                };
                let reason = format!("the pool `{}` has no backend: {then}", pool.name);
                self.warnings.push((line, format!("listen.{}", listener.name), reason));
            }
        }
        for (index, (pool, (line, _))) in pools.iter().zip(&self.pools).enumerate() {
            let leads_here = |id: PoolId| id.index() == index;
            if !listeners.iter().any(|l| leads_here(l.pool))
                && !pools.iter().any(|pool| pool.overflow.is_some_and(leads_here))
                && !routes.iter().any(|routed| routed.deed == Deed::Pool && leads_here(routed.pool))
            {
                let reason = "no listener and no route leads to this pool".to_owned();
                self.warnings.push((*line, format!("pool.{}", pool.name), reason));
            }
        }
        if let Some(index) = routes
            .iter()
            .position(|routed| routed.listeners.is_empty() && routed.route.is_unconditional())
            .filter(|i| i + 1 < routes.len())
        {
            let name = routes.get(index).map(|routed| routed.route.name.as_str()).unwrap_or_default();
            let line = settings.named(Kind::Route).get(index).map_or(settings.last_line, |(line, _)| *line);
            let reason = "it has no condition and takes every request: no later route is ever tried".to_owned();
            self.warnings.push((line, format!("route.{name}"), reason));
        }
        for setting in settings.all().iter().filter(|setting| setting.id.key().kind == Kind::Pool) {
            let Some(pool) = pools.iter().find(|pool| pool.name == setting.name) else { continue };
            let http = matches!(pool.check, Some(Check { kind: CheckKind::Http { .. }, .. }));
            let prefix = pool.cookie.as_ref().is_some_and(|cookie| cookie.rules.mode == CookieMode::Prefix);
            let needs = match setting.id {
                Id::BalanceUriDepth | Id::BalanceUriWhole if !matches!(pool.key, Some(Key::Uri { .. })) => {
                    "balance = uri"
                }
                Id::Hash | Id::HashFactor if pool.key.is_none() => "balance` by a key, such as `uri",
                Id::CookieMode
                | Id::CookieHttponly
                | Id::CookieSecure
                | Id::CookieAttr
                | Id::CookiePreserve
                | Id::CookiePostonly
                | Id::CookieMaxidle
                | Id::CookieMaxlife
                | Id::CookieDynamicKey
                    if pool.cookie.is_none() =>
                {
                    "cookie"
                }
                Id::CookieHttponly
                | Id::CookieSecure
                | Id::CookieAttr
                | Id::CookiePreserve
                | Id::CookiePostonly
                | Id::CookieMaxidle
                | Id::CookieMaxlife
                    if prefix =>
                {
                    "cookie.mode = insert"
                }
                Id::StickExpire if pool.stick.is_none() => "stick",
                Id::StickWait if pool.stick.is_none() && pool.cookie.is_none() => "stick",
                Id::CheckMethod | Id::CheckUri | Id::CheckHost | Id::CheckExpect if !http => "check = http",
                Id::CheckInter | Id::CheckTimeout if pool.check.is_none() && pool.agent.is_none() => "check",
                Id::CheckFastinter | Id::CheckDowninter if pool.check.is_none() => "check",
                Id::CheckRise | Id::CheckFall if pool.check.is_none() => "check",
                Id::ErrorLimit | Id::EjectMax | Id::EjectTime if pool.passive.observe == Observe::None => "observe",
                _ => continue,
            };
            let reason = format!("it does nothing without `pool.{}.{needs}`", pool.name);
            self.warnings.push((setting.line, setting.written.to_owned(), reason));
        }
        self.warn_of_rules(routes);
    }

    fn warn_of_rules(&mut self, routes: &[Routed]) {
        let settings = self.settings;
        for setting in settings.all().iter().filter(|setting| setting.name != "*") {
            let deed = routes.iter().find(|routed| routed.route.name == setting.name).map(|routed| &routed.deed);
            let needs = match (setting.id, deed) {
                (
                    Id::RouteRedirectQuery,
                    Some(Deed::Pool | Deed::Deny(_) | Deed::Tarpit { .. } | Deed::Return { .. }),
                ) => Id::RouteRedirect,
                (
                    Id::RouteSetHeader | Id::RouteDelHeader,
                    Some(Deed::Deny(_) | Deed::Tarpit { .. } | Deed::Return { .. } | Deed::Redirect(_)),
                ) => Id::RoutePool,
                (Id::ReplyType, _) if !settings.is_set(Id::ReplyFile, setting.name) => Id::ReplyFile,
                _ => continue,
            };
            let reason = format!("it does nothing without `{}`", needs.key().of(setting.name));
            self.warnings.push((setting.line, setting.written.to_owned(), reason));
        }
    }

    /// Connections without HTTP that nothing bounds, where requests need places too.
    pub(super) fn warn_of_places(&mut self, listeners: &[Listener], pools: &[Pool], backends: &[Backend]) {
        const ALL: &str = "no `maxconn` bounds its connections: those at rest may take all of `limits.connections` from the HTTP listeners";
        let has_bound = |id: PoolId| {
            pools.get(id.index()).is_some_and(|pool| pool.maxconn > 0)
                || backends.iter().filter(|backend| backend.pool == id).all(|backend| backend.maxconn > 0)
        };
        if listeners.iter().all(|listener| listener.mode == Mode::Tcp) {
            return;
        }
        for listener in listeners.iter().filter(|l| l.mode == Mode::Tcp && !has_bound(l.pool)) {
            self.warn_at(Id::ListenMode, &listener.name, ALL);
        }
    }

    /// Backends whose sockets are looked for inside.
    pub(super) fn warn_of_chroot(&mut self, identity: &Identity, backends: &[Backend]) {
        let Some(root) = &identity.chroot else { return };
        for backend in backends {
            if let Some(path) = backend.path.as_ref().filter(|path| !path.starts_with('@')) {
                self.warn_at(
                    Id::Backend,
                    &backend.name,
                    &format!("with `chroot` its socket has to be at {root}{path}"),
                );
            }
        }
    }

    /// Backends whose agents cannot be asked.
    pub(super) fn warn_agents(&mut self, backends: &[Backend], pools: &[Pool]) {
        let has_agent = |pool: PoolId| pools.get(pool.index()).is_some_and(|pool| pool.agent.is_some());
        for backend in backends.iter().filter(|backend| backend.path.is_some() && has_agent(backend.pool)) {
            let line = self.settings.line(Id::Backend, &backend.name);
            let reason = "it has no address, so no agent beside it is asked".to_owned();
            self.warnings.push((line, format!("backend.{}", backend.name), reason));
        }
    }
}
