//! What connections carry: `listen.N.mode`, and what follows from it for the pool behind the listener.
//!
//! Owns the rule that a pool carries one of the two, as HAProxy's backends do, and what a pool without HTTP can have.
//! What such a pool's own line asks for and only HTTP could give is an error; what `*` says so does not apply to it.

use super::keys::{Id, Kind};
use super::resolve::Resolver;
use super::value::Value;
use super::{Backend, Deed, Listener, Pool, Reuse, Routed};
use crate::balance::{Algorithm, Observe, RetryOn};
use crate::http::key::Key;
use crate::limits::{ListenerId, PoolId};

/// `listen.N.mode` (HAProxy `mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests, each of which is placed.
    Http,
    /// Whatever it is: each connection is placed, and its bytes pass unchanged.
    Tcp,
}

impl Mode {
    /// What the `index`th pool carries.
    pub(super) fn of_pool(index: usize, listeners: &[Listener]) -> Self {
        let leads_here = |listener: &&Listener| listener.mode == Self::Tcp && listener.pool.index() == index;
        if listeners.iter().any(|listener| leads_here(&listener)) { Self::Tcp } else { Self::Http }
    }
}

impl Pool {
    /// Leaves it with what needs no request.
    pub(super) fn forget_http(&mut self) {
        if self.key.as_ref().is_some_and(|key| *key != Key::Source) {
            (self.balance, self.key) = (Algorithm::RoundRobin, None);
        }
        self.cookie = None;
        self.stick = self.stick.take().filter(|stick| stick.key == Key::Source);
        self.stick_wait_ms = self.stick_wait_ms.filter(|_| self.stick.is_some());
        (self.reuse, self.forwardfor) = (Reuse::Never, false);
        (self.overflow, self.redirects) = (None, false);
        self.retry_on = RetryOn::CONNECTION;
        if self.passive.observe == Observe::Http {
            self.passive.observe = Observe::Connect;
        }
    }
}

impl Resolver<'_, '_> {
    /// What the modes of the listeners forbid or make useless. Where a pool has no cookie, no backend has one either.
    pub(super) fn modes(
        &mut self,
        listeners: &[Listener],
        routes: &[Routed],
        pools: &[Pool],
        backends: &mut [Backend],
    ) {
        let settings = self.settings;
        for (index, pool) in pools.iter().enumerate().filter(|(_, pool)| pool.mode == Mode::Tcp) {
            let leads_here = |id: PoolId| id.index() == index;
            let mut here = listeners.iter().filter(|listener| leads_here(listener.pool));
            let Some(first) = here.clone().find(|listener| listener.mode == Mode::Tcp) else { continue };
            let why = format!("`listen.{}.mode = tcp` leads to the pool `{}`", first.name, pool.name);
            if let Some(Listener { name, .. }) = here.find(|listener| listener.mode == Mode::Http) {
                let declared = if settings.find(Id::ListenPool, name).is_some() { Id::ListenPool } else { Id::Listen };
                self.refuse(settings.line(declared, name), Id::ListenPool, name, &why, NO_REQUESTS);
            }
            for Routed { route, .. } in
                routes.iter().filter(|routed| routed.deed == Deed::Pool && leads_here(routed.pool))
            {
                // One whose pool could not be read is reported already.
                if settings.find(Id::RoutePool, &route.name).is_some_and(|setting| setting.value != Value::Bad) {
                    let line = settings.line(Id::RoutePool, &route.name);
                    self.refuse(line, Id::RoutePool, &route.name, &why, NO_REQUESTS);
                }
            }
            for Pool { name, .. } in pools.iter().filter(|other| other.overflow.is_some_and(leads_here)) {
                self.refuse(settings.line(Id::Overflow, name), Id::Overflow, name, &why, NO_REQUESTS);
            }
            self.without_http(pool, &why);
            for backend in backends.iter_mut().filter(|backend| leads_here(backend.pool)) {
                backend.dynamic_cookie = false;
                if backend.redirect.take().is_some()
                    && let Some(own) = settings.find(Id::BackendRedirect, &backend.name).filter(|own| own.name != "*")
                {
                    let instead = "only a request can be sent elsewhere";
                    self.refuse(own.line, Id::BackendRedirect, &backend.name, &why, instead);
                }
                if backend.auto.is_some() {
                    let line = settings.line(Id::Maxconn, &backend.name);
                    self.refuse(
                        line,
                        Id::Maxconn,
                        &backend.name,
                        &why,
                        "no response times tell how many: give a number",
                    );
                }
            }
        }
        if !listeners.is_empty()
            && listeners.iter().all(|listener| listener.mode == Mode::Tcp)
            && let Some((line, name)) = settings.named(Kind::Route).first()
        {
            let reason = "no listener has `mode = http`: no request comes to any route".to_owned();
            self.warnings.push((*line, Id::RoutePool.key().of(name), reason));
        } else {
            let is_tcp = |id: &ListenerId| listeners.get(id.index()).is_some_and(|l| l.mode == Mode::Tcp);
            let silent = |routed: &&Routed| !routed.listeners.is_empty() && routed.listeners.iter().all(is_tcp);
            for Routed { route, .. } in routes.iter().filter(silent) {
                let line = settings.line(Id::RouteListen, &route.name);
                self.warnings.push((line, Id::RouteListen.key().of(&route.name), IDLE.to_owned()));
            }
        }
        for Listener { name, .. } in listeners.iter().filter(|listener| listener.mode == Mode::Tcp) {
            let idle = [Id::ListenTrust, Id::RequestId, Id::MonitorUri, Id::MonitorFail];
            for setting in idle.iter().filter_map(|&id| settings.exactly(id, name, "")) {
                self.warnings.push((setting.line, setting.written.to_owned(), IDLE.to_owned()));
            }
        }
    }

    /// What the pool's own lines ask for and only HTTP could give.
    fn without_http(&mut self, pool: &Pool, why: &str) {
        for setting in self.settings.all().iter().filter(|setting| setting.name == pool.name) {
            let instead = match (setting.id, &setting.value) {
                (Id::Balance, Value::Balance(_, Some(key))) if *key != Key::Source => {
                    "roundrobin, leastconn, random, first and source need no request"
                }
                (Id::Stick, Value::StickKey(key)) if *key != Key::Source => "`src` needs no request",
                (Id::Cookie, Value::Text(_)) => "`stick = src` needs no request",
                (Id::RetryOn, Value::RetryOn(words)) if *words != pool.retry_on => {
                    "only a connection that failed can be tried again: `conn-failure`"
                }
                (Id::Overflow, Value::Text(_)) => "only requests overflow",
                (Id::Observe, Value::Number(2)) => "`connect` needs no response",
                (Id::Reuse | Id::Forwardfor, value) if *value != Value::Bad => {
                    self.warnings.push((setting.line, setting.written.to_owned(), IDLE.to_owned()));
                    continue;
                }
                _ => continue,
            };
            self.refuse(setting.line, setting.id, &pool.name, why, instead);
        }
    }

    /// An error about this key of `name`: why it cannot be, and what can.
    #[inline(never)]
    fn refuse(&mut self, line: u32, id: Id, name: &str, why: &str, instead: &str) {
        self.errors.push(line, &id.key().of(name), [why, ": ", instead].concat());
    }
}

const NO_REQUESTS: &str = "requests need a pool of their own";
/// What does nothing.
const IDLE: &str = "it does nothing without HTTP (`mode = tcp`)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{BOARD, read};
    use crate::config::{effective, parse};

    /// A listener `db` of `mode = tcp` and its pool's backend, on lines 1 to 4.
    const BASE: &str =
        "listen.db = 0.0.0.0:5432\nlisten.db.mode = tcp\nlisten.db.pool = db\nbackend.a = h:1\nbackend.a.pool = db\n";

    fn errors(more: &str) -> Vec<String> {
        let errors = parse("f", format!("{BASE}{more}").as_bytes(), &BOARD).map(drop).expect_err(more);
        errors.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_only_http_could_give_is_an_error() {
        const WHY: &str = "`listen.db.mode = tcp` leads to the pool `db`";
        for (line, key, reason) in [
            (
                "pool.db.balance = uri",
                "pool.db.balance",
                ": roundrobin, leastconn, random, first and source need no request",
            ),
            (
                "pool.db.balance = hdr:X",
                "pool.db.balance",
                ": roundrobin, leastconn, random, first and source need no request",
            ),
            ("pool.db.stick = cookie:S", "pool.db.stick", ": `src` needs no request"),
            ("pool.db.cookie = S", "pool.db.cookie", ": `stick = src` needs no request"),
            (
                "pool.db.retry-on = conn-failure, 503",
                "pool.db.retry-on",
                ": only a connection that failed can be tried again: `conn-failure`",
            ),
            ("pool.db.observe = http", "pool.db.observe", ": `connect` needs no response"),
            ("backend.a.maxconn = auto:1..9", "backend.a.maxconn", ": no response times tell how many: give a number"),
            ("backend.*.maxconn = auto:1..9", "backend.a.maxconn", ": no response times tell how many: give a number"),
            ("route.r.pool = db", "route.r.pool", ": requests need a pool of their own"),
        ] {
            let listener = "listen.web = 0.0.0.0:80\nbackend.w = h:2\n";
            let errors = errors(&format!("{line}\n{listener}"));
            assert_eq!(errors, [format!("f:6: {key}: {WHY}{reason}")], "{line}");
        }
    }

    #[test]
    fn a_pool_carries_one_of_the_two() {
        let reason = "`listen.db.mode = tcp` leads to the pool `db`: requests need a pool of their own";
        let errors = errors("listen.web = 0.0.0.0:80\nlisten.web.pool = db\n");
        assert_eq!(errors, [format!("f:7: listen.web.pool: {reason}")]);
        let text = "listen.web = 0.0.0.0:80\nlisten.db = 0.0.0.0:81\nlisten.db.mode = tcp\nbackend.a = h:1\n";
        let errors = parse("f", text.as_bytes(), &BOARD).map(drop).unwrap_err().to_string();
        assert_eq!(errors, format!("f:1: listen.web.pool: {}", reason.replace("`db`", "`default`")));
        let two = read(&format!("{BASE}listen.more = 0.0.0.0:81\nlisten.more.pool = db\nlisten.*.mode = tcp\n"));
        assert!(two.listeners.iter().all(|listener| listener.mode == Mode::Tcp) && two.warnings.is_empty());
    }

    #[test]
    fn what_sends_requests_elsewhere_is_an_error() {
        let why = "`listen.db.mode = tcp` leads to the pool `db`";
        for (text, key, instead) in [
            (
                "backend.o.pool = o\nbackend.o = h:2\nlisten.o = 0.0.0.0:80\nlisten.o.pool = o\npool.db.overflow = o\n",
                "10: pool.db.overflow",
                "only requests overflow",
            ),
            (
                "backend.o.pool = o\nbackend.o = h:2\nlisten.o = 0.0.0.0:80\nlisten.o.pool = o\npool.o.overflow = db\n",
                "10: pool.o.overflow",
                NO_REQUESTS,
            ),
            ("backend.a.redirect = http://b/\n", "6: backend.a.redirect", "only a request can be sent elsewhere"),
        ] {
            let errors = parse("f", format!("{BASE}{text}").as_bytes(), &BOARD).unwrap_err().to_string();
            assert_eq!(errors.trim_end(), format!("f:{key}: {why}: {instead}"));
        }
        let config = read(&format!(
            "{BASE}backend.o = h:2\nbackend.o.pool = o\nlisten.o = 0.0.0.0:80\nlisten.o.pool = o\nbackend.*.redirect = http://b/\n"
        ));
        let redirects: Vec<_> = config.backends.iter().map(|backend| backend.redirect.is_some()).collect();
        let of_pools: Vec<_> = config.pools.iter().map(|pool| pool.redirects).collect();
        assert_eq!((redirects, of_pools), (vec![false, true], vec![false, true]));
        // Said for all pools: at that line, for each that would send requests there.
        let text =
            "backend.o.pool = o\nbackend.o = h:2\nlisten.o = 0.0.0.0:80\nlisten.o.pool = o\npool.*.overflow = db\n";
        let errors = parse("f", format!("{BASE}{text}").as_bytes(), &BOARD).unwrap_err().to_string();
        assert_eq!(errors.trim_end(), format!("f:10: pool.o.overflow: {why}: {NO_REQUESTS}"));
        // What a rule does with requests leads nowhere, wherever its pool would be.
        assert!(read(&format!("{BASE}route.r.deny = 403\n")).routes.len() == 1);
    }

    #[test]
    fn what_all_pools_have_does_not_apply_where_it_cannot() {
        let config = read(&format!(
            "{BASE}listen.web = 0.0.0.0:80\nbackend.w = h:2\npool.*.cookie = S\npool.*.cookie.dynamic-key = k\npool.*.balance = uri\n\
             pool.*.stick = hdr:X\npool.*.stick.wait = 1s\npool.*.retry-on = 503\npool.*.observe = http\npool.*.reuse = always\n"
        ));
        let [db, web] = &config.pools[..] else { panic!("{:?}", config.pools) };
        assert_eq!((db.mode, web.mode), (Mode::Tcp, Mode::Http));
        assert_eq!((db.balance, &db.key, &db.cookie, &db.stick), (Algorithm::RoundRobin, &None, &None, &None));
        assert_eq!((db.stick_wait_ms, db.reuse, db.passive.observe), (None, Reuse::Never, Observe::Connect));
        assert_eq!(db.retry_on.words().collect::<Vec<_>>(), ["conn-failure"]);
        assert!(web.cookie.is_some() && web.key.is_some() && web.stick.is_some() && web.reuse == Reuse::Always);
        assert!(!config.backends[0].dynamic_cookie && config.backends[1].dynamic_cookie);
        let text = effective(&config);
        assert!(!text.contains("pool.db.reuse") && !text.contains("pool.db.forwardfor"), "{text}");
        let again = parse("f", text.as_bytes(), &BOARD).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        assert_eq!((&again.pools, &again.backends, effective(&again)), (&config.pools, &config.backends, text));
    }

    #[test]
    fn what_needs_no_request_stays() {
        let config = read(&format!(
            "{BASE}pool.db.balance = source\npool.db.stick = src\npool.db.stick.wait = 1s\npool.db.observe = connect\n\
             pool.db.retry-on = conn-failure\npool.db.check.uri = /up\nbackend.a.maxconn = 9\n"
        ));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let [db] = &config.pools[..] else { panic!("{:?}", config.pools) };
        assert_eq!((&db.key, db.stick_wait_ms, db.passive.observe), (&Some(Key::Source), Some(1000), Observe::Connect));
        assert!(db.stick.is_some() && db.check.is_some());
    }

    #[test]
    fn connections_without_a_bound_beside_http_are_warned_of() {
        let http = "listen.w = 0.0.0.0:80\nlisten.w.pool = w\nbackend.w = h:2\nbackend.w.pool = w\n";
        let second = "backend.b = h:3\nbackend.b.pool = db\n";
        for (more, warned) in [
            (http.to_owned(), true),
            (format!("{http}pool.w.maxconn = 9\nbackend.w.maxconn = 9\n"), true),
            (format!("{http}{second}backend.a.maxconn = 9\n"), true),
            (format!("{http}{second}backend.*.maxconn = 9\n"), false),
            (format!("{http}pool.db.maxconn = 9\n"), false),
            (second.to_owned(), false),
        ] {
            let warnings = read(&format!("{BASE}{more}")).warnings;
            let expected = "f:2: listen.db.mode: no `maxconn` bounds its connections: those at rest may take all of \
                            `limits.connections` from the HTTP listeners";
            assert_eq!(warnings, if warned { vec![expected] } else { vec![] }, "{more}");
        }
    }

    #[test]
    fn what_does_nothing_is_said() {
        let config = read(&format!(
            "{BASE}listen.db.trust = 10.0.0.0/8\npool.db.reuse = always\npool.db.forwardfor = no\nroute.r.host = a\nroute.r.pool = w\nbackend.w = h:2\nbackend.w.pool = w\n"
        ));
        assert_eq!(
            config.warnings,
            [
                "f:6: listen.db.trust: it does nothing without HTTP (`mode = tcp`)",
                "f:7: pool.db.reuse: it does nothing without HTTP (`mode = tcp`)",
                "f:8: pool.db.forwardfor: it does nothing without HTTP (`mode = tcp`)",
                "f:9: route.r.pool: no listener has `mode = http`: no request comes to any route",
            ]
        );
        let config = read(&format!(
            "{BASE}listen.db.request-id = X-Id\nlisten.w = 0.0.0.0:80\nlisten.w.pool = w\nbackend.w = h:2\nbackend.w.pool = w\n\
             route.r.listen = db\nroute.r.pool = w\nroute.s.listen = db, w\nroute.s.pool = w\nbackend.a.maxconn = 9\n"
        ));
        assert_eq!(
            config.warnings,
            [
                "f:6: listen.db.request-id: it does nothing without HTTP (`mode = tcp`)",
                "f:11: route.r.listen: it does nothing without HTTP (`mode = tcp`)",
            ]
        );
        let empty = read("listen.db = 0.0.0.0:5432\nlisten.db.mode = tcp\n");
        assert_eq!(empty.warnings, ["f:1: listen.db: the pool `default` has no backend: every connection is closed"]);
    }
}
