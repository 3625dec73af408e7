//! From the settings to the [`Config`]: the objects, what refers to what, and what no single line can show wrong.
//!
//! Owns the rules between lines. Refuses to stop at the first error: what is wrong is replaced by a default and the
//! rest is looked at too.

use super::error::{Errors, message, nearest};
use super::keys::{Id, Kind};
use super::names::{self, Wanted};
use super::settings::{Settings, in_order};
use super::value::Value;
use super::{
    Address, Backend, ClientLimits, Config, Custom, Deed, Identity, Limits, Logs, Names, Order, Pool, Power, Room,
    Routed, Timeouts,
};
use crate::balance::{Algorithm, Hash, Rate};
use crate::http::proxy_protocol::ProxyVersion;
use crate::limits::{
    Beside, Budget, DEFAULT_CONNECTIONS, MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS, MAX_ROUTES, Machine, NODES_PER_WEIGHT,
    PoolId, RATES, SESSIONS, Sockets,
};
use crate::sort;

/// The configuration the settings make; what is wrong with it goes to `errors`.
pub(super) fn resolve(file: &str, settings: &Settings<'_>, machine: &Machine, errors: &mut Errors) -> Config {
    let mut resolver = Resolver {
        settings,
        errors,
        warnings: settings.odd.iter().map(|&(line, key, what)| (line, key.to_owned(), what.to_owned())).collect(),
        pools: Vec::new(),
    };
    resolver.undeclared();
    let listeners = resolver.objects(Kind::Listen, MAX_LISTENERS);
    let backends = resolver.objects(Kind::Backend, MAX_BACKENDS);
    let routes = resolver.objects(Kind::Route, MAX_ROUTES);
    let replies = settings.named(Kind::Reply);
    let wanted = resolver.with_slots(&backends);
    let backends: Vec<(u32, &str)> = wanted.iter().map(|wanted| (wanted.line, wanted.name.as_str())).collect();
    resolver.name_pools(&listeners, &backends);

    let listeners = resolver.listeners(&listeners);
    let mut backends: Vec<Backend> = wanted.iter().map(|wanted| resolver.backend(wanted)).collect();
    let pools = resolver.pools(&backends, &listeners);
    resolver.bound_rings(&pools, &backends);
    let routes = resolver.routes(&routes, &pools, &listeners);
    let replies = resolver.replies(&replies);
    resolver.overflows(&pools);
    resolver.modes(&listeners, &routes, &pools, &mut backends);
    resolver.warn(&listeners, &routes, &pools);
    resolver.warn_agents(&backends, &pools);
    resolver.warn_of_places(&listeners, &pools, &backends);
    let admin = resolver.admin(&listeners);
    let mut beside = resolver.beside(&pools, &backends);
    beside.admin = admin.is_some();
    let logs = Logs::of(settings);
    beside.logs = logs.syslogs().len();
    beside.listeners = listeners.len();
    beside.texts = texts(&routes, &replies);
    let room = Room::of(listeners.len(), pools.len(), backends.len(), routes.len());
    beside.objects = room.objects();
    let mut clients = resolver.client_limits();
    beside.rates = if clients.need_rates(&routes) { RATES } else { 0 };
    beside.crowd = clients.connections.is_some();
    let is_unix = |address: &Address| address.inet().is_none();
    let unix = admin.as_ref().is_some_and(|admin| is_unix(&admin.address))
        || listeners.iter().any(|l| is_unix(&l.address))
        || backends.iter().any(|backend| backend.path.is_some());
    // What the system lets all sockets of TCP have bounds no UNIX socket.
    let machine = Machine { tcp_memory: machine.tcp_memory.filter(|_| !unix), ..*machine };
    let limits = resolver.limits(&machine, beside);
    resolver.bound_reserve(&mut clients, &limits);
    resolver.warn_of_limits(&clients, &listeners, &routes, &pools);

    let identity = Identity::of(settings, resolver.errors);
    let socket = resolver.socket(&listeners);
    resolver.warn_of_chroot(&identity, &backends);

    let number = |id| settings.number(id, "").unwrap_or_default();
    let mut warnings = resolver.warnings;
    sort::few(&mut warnings, |a, b| a.0.cmp(&b.0));
    Config {
        order: Order::of(listeners.len(), pools.len(), backends.len(), routes.len()),
        gone: Order::default(),
        chooses: !routes.is_empty() || listeners.iter().any(|listener| listener.monitor.is_some()),
        listeners,
        pools,
        backends,
        routes,
        replies,
        timeouts: Timeouts {
            client_ms: number(Id::TimeoutClient),
            http_request_ms: number(Id::TimeoutHttpRequest),
            http_keep_alive_ms: number(Id::TimeoutHttpKeepAlive),
            connect_ms: number(Id::TimeoutConnect),
            queue_ms: number(Id::TimeoutQueue),
            server_ms: number(Id::TimeoutServer),
            tunnel_ms: number(Id::TimeoutTunnel),
        },
        limits,
        clients,
        names: Names::of(settings),
        admin,
        log_level: log::LevelFilter::iter()
            .nth(settings.small(Id::LogLevel, "").unwrap_or_default() as usize)
            .unwrap_or(log::LevelFilter::Info),
        logs,
        socket,
        identity,
        watchdog: settings.text(Id::Watchdog, ""),
        drain_timeout_ms: number(Id::DrainTimeout),
        rollback_ms: settings.number(Id::ReloadRollback, ""),
        power: Power::of(settings),
        warnings: warnings.iter().map(|(line, key, reason)| message(file, *line, key, reason)).collect(),
    }
}

/// Bytes of what rules answer and add, and of the bodies of replies.
fn texts(routes: &[Routed], replies: &[Custom]) -> usize {
    let of_route = |routed: &Routed| match &routed.deed {
        Deed::Return { text, .. } => text.len(),
        Deed::Pool => routed.edits.as_ref().map_or(0, |edits| 3 * edits.lines().len()),
        Deed::Deny(_) | Deed::Tarpit { .. } | Deed::Redirect(_) => 0,
    };
    routes.iter().map(of_route).chain(replies.iter().map(|reply| reply.body.len())).sum()
}

/// The work: parts of it are in `listener`, `pool`, `route` and `warning`.
pub(super) struct Resolver<'s, 'a> {
    pub(super) settings: &'s Settings<'a>,
    pub(super) errors: &'s mut Errors,
    /// Line, key, reason.
    pub(super) warnings: Vec<(u32, String, String)>,
    /// Where each pool is named first; a place in it is a [`PoolId`].
    pub(super) pools: Vec<(u32, String)>,
}

impl<'a> Resolver<'_, 'a> {
    /// Attributes of listeners and backends that no line declares.
    fn undeclared(&mut self) {
        for setting in self.settings.all() {
            let declaration = match setting.id.key().kind {
                Kind::Listen => Id::Listen,
                Kind::Backend => Id::Backend,
                Kind::Pool | Kind::Route | Kind::Reply | Kind::Process => continue,
            };
            if setting.name != "*" && self.settings.find(declaration, setting.name).is_none() {
                let key = declaration.key();
                let missing = key.of(setting.name);
                self.errors.push(
                    setting.line,
                    setting.written,
                    format!("no line declares `{missing}`: expected {}", key.unit.expected()),
                );
            }
        }
    }

    /// The objects of this kind, at most so many.
    fn objects(&mut self, kind: Kind, most: usize) -> Vec<(u32, &'a str)> {
        let mut objects = self.settings.named(kind);
        let declaration = match kind {
            Kind::Listen => Some(Id::Listen),
            Kind::Backend => Some(Id::Backend),
            Kind::Pool | Kind::Route | Kind::Reply | Kind::Process => None,
        };
        if let Some(id) = declaration {
            objects = in_order(self.settings.of(id).iter().map(|setting| (setting.line, setting.name)).collect());
        }
        if let Some((line, name)) = objects.get(most) {
            let (word, count) = (kind.word(), objects.len());
            self.errors.push(
                *line,
                &format!("{word}.{name}"),
                format!("too many: at most {most}, the file names {count}"),
            );
        }
        objects.truncate(most);
        objects
    }

    /// Finds every pool: those with attributes, those referred to, `default` where nothing is.
    fn name_pools(&mut self, listeners: &[(u32, &str)], backends: &[(u32, &str)]) {
        let settings = self.settings;
        let mut mentions: Vec<(u32, &str)> = settings.named(Kind::Pool);
        for id in [Id::ListenPool, Id::BackendPool, Id::RoutePool] {
            for setting in settings.of(id) {
                if let Value::Text(pool) = &setting.value {
                    mentions.push((setting.line, pool));
                }
            }
        }
        for (id, objects) in [(Id::ListenPool, listeners), (Id::BackendPool, backends)] {
            let silent = objects.iter().filter(|(_, name)| settings.find(id, name).is_none());
            mentions.extend(silent.map(|(line, _)| (*line, "default")));
        }
        let mut pools = in_order(mentions);
        if let Some((line, name)) = pools.get(MAX_POOLS) {
            let reason = format!("too many: at most {MAX_POOLS}, the file names {}", pools.len());
            self.errors.push(*line, &format!("pool.{name}"), reason);
        }
        pools.truncate(MAX_POOLS);
        self.pools = pools.into_iter().map(|(line, name)| (line, name.to_owned())).collect();
    }

    /// The pool that this setting of `name` refers to. One there is no room for is an error already.
    pub(super) fn pool(&self, id: Id, name: &str) -> PoolId {
        self.known_pool(id, name).unwrap_or(PoolId(0))
    }

    /// The same, if there is one of that name.
    pub(super) fn known_pool(&self, id: Id, name: &str) -> Option<PoolId> {
        let wanted = self.settings.text(id, name);
        PoolId::new(self.pools.iter().position(|(_, pool)| Some(pool) == wanted.as_ref())?)
    }

    /// What is said where something leads to a pool without backends.
    pub(super) fn has_no_backend(wanted: &str, pools: &[Pool]) -> String {
        let others = pools.iter().filter(|pool| !pool.backends.is_empty()).map(|pool| pool.name.clone());
        match nearest(wanted, others) {
            Some(other) => format!("the pool `{wanted}` has no backend; did you mean `{other}`?"),
            None => format!("the pool `{wanted}` has no backend: `backend.NAME.pool = {wanted}` puts one there"),
        }
    }

    /// Whether it is known which pools are empty: not where a backend's is misspelt.
    pub(super) fn are_members_known(&self) -> bool {
        self.settings.of(Id::BackendPool).iter().all(|setting| setting.value != Value::Bad)
    }

    fn backend(&self, wanted: &Wanted<'_>) -> Backend {
        let (settings, name) = (self.settings, wanted.name.as_str());
        let (path, host, port) = match settings.value(Id::Backend, name) {
            Value::Server(host, port) => (None, host, port),
            Value::Path(path) => (Some(path), String::new(), 0),
            _ => (None, String::new(), 0),
        };
        let pool = settings.text(Id::BackendPool, name).unwrap_or_default();
        Backend {
            name: name.to_owned(),
            host,
            port,
            pool: self.pool(Id::BackendPool, name),
            weight: settings.small(Id::Weight, name).and_then(|weight| u16::try_from(weight).ok()).unwrap_or_default(),
            maxconn: settings.small(Id::Maxconn, name).unwrap_or_default(),
            auto: match settings.value(Id::Maxconn, name) {
                Value::Auto(least, most) => Some((least, most)),
                _ => None,
            },
            maxqueue: settings.small(Id::Maxqueue, name).unwrap_or_default(),
            backup: settings.yes(Id::Backup, name),
            cookie: settings.text(Id::BackendCookie, name).unwrap_or_else(|| name.to_owned()),
            dynamic_cookie: path.is_none()
                && !settings.is_set(Id::BackendCookie, name)
                && [Id::Cookie, Id::CookieDynamicKey].iter().all(|&id| settings.is_set(id, &pool)),
            send_proxy: match settings.number(Id::SendProxy, name) {
                Some(1) => Some(ProxyVersion::V1),
                Some(2) => Some(ProxyVersion::V2),
                _ => None,
            },
            slots: wanted.slots(),
            added: false,
            path,
            redirect: match settings.value(Id::BackendRedirect, name) {
                Value::Redirect(redirect) => Some(redirect),
                _ => None,
            },
        }
    }

    /// What the budget holds beside the connections.
    fn beside(&self, pools: &[Pool], backends: &[Backend]) -> Beside {
        let kinds = |pool: &Pool| usize::from(pool.check.is_some()) + usize::from(pool.agent.is_some());
        let has_ring = |pool: &Pool| matches!(pool.balance, Algorithm::Hash { hash: Hash::Haproxy, .. });
        let weight = |backend: &Backend| usize::from(backend.weight) * usize::from(NODES_PER_WEIGHT);
        let on_ring = |backend: &&Backend| pools.get(backend.pool.index()).is_some_and(has_ring);
        Beside {
            sessions: if pools.iter().any(|pool| pool.stick.is_some()) { SESSIONS } else { 0 },
            probes: pools.iter().map(|pool| pool.backends.len() * kinds(pool)).sum(),
            names: names::count(backends),
            listeners: 0,
            objects: 0,
            texts: 0,
            splice: self.settings.yes(Id::Splice, ""),
            nodes: backends.iter().filter(on_ring).map(weight).sum(),
            rates: 0,
            crowd: false,
            admin: false,
            logs: 0,
            sockets: Sockets {
                send: self.settings.small(Id::Sndbuf, ""),
                receive: self.settings.small(Id::Rcvbuf, ""),
                unsent: self.settings.small(Id::NotsentLowat, ""),
            },
        }
    }

    fn client_limits(&self) -> ClientLimits {
        let settings = self.settings;
        let rate = settings.rate(Id::LimitRate, "");
        let tenfold = |rate: Rate| Rate { count: rate.count.saturating_mul(10).min(Rate::MOST), ..rate };
        ClientLimits {
            rate,
            errors: settings.rate(Id::LimitErrors, "").or(rate.map(tenfold)),
            connections: settings.small(Id::PerClient, "").and_then(|count| u16::try_from(count).ok()),
            exempt: match settings.value(Id::Exempt, "") {
                Value::Sources(blocks) => blocks,
                _ => Vec::new(),
            },
            reserve: settings.small(Id::Reserve, "").unwrap_or_default() as usize,
        }
    }

    /// Others need connections too.
    fn bound_reserve(&mut self, clients: &mut ClientLimits, limits: &Limits) {
        let connections = limits.budget.connections;
        if clients.reserve > 0 && clients.reserve >= connections {
            // A budget that could not be made is reported already.
            if connections > 0 {
                let reason = format!("`{}`: there are {connections} connections in all: keep fewer", clients.reserve);
                let line = self.settings.line(Id::Reserve, "");
                self.errors.push(line, Id::Reserve.key().attribute, reason);
            }
            clients.reserve = 0;
        }
    }

    fn limits(&mut self, machine: &Machine, beside: Beside) -> Limits {
        let settings = self.settings;
        let size = |id| settings.small(id, "").unwrap_or_default() as usize;
        let memory = settings.number(Id::Memory, "").unwrap_or_else(|| machine.default_memory());
        let connections = settings.small(Id::Connections, "").map(|count| count as usize);
        let given = [Id::Connections, Id::Memory].map(|id| settings.find(id, "").map(|setting| &setting.value));
        let mut plan = Budget::plan(memory, connections, beside, machine);
        // Tables take memory from the start, so without a word about either there are no more than a board can use.
        if given == [None, None] && plan.is_ok_and(|budget| budget.connections > DEFAULT_CONNECTIONS) {
            plan = Budget::plan(memory, Some(DEFAULT_CONNECTIONS), beside, machine);
        }
        let budget = plan.unwrap_or_else(|excess| {
            let id = if settings.is_set(Id::Connections, "") { Id::Connections } else { Id::Memory };
            // A bad value is reported already, and nobody knows what it was to be.
            if !given.contains(&Some(&Value::Bad)) {
                self.errors.push(settings.line(id, ""), id.key().attribute, excess.to_string());
            }
            Budget { memory, beside, ..Budget::default() }
        });
        Limits {
            header_size: size(Id::HeaderSize),
            headers: size(Id::Headers),
            body: settings.number(Id::Body, ""),
            budget,
        }
    }
}
