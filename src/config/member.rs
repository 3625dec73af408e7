//! One server more, or one less, than the file has: the configuration that runs, with that difference.
//!
//! Owns which place a server that is added takes, and what it begins with. Of `backend.*` it has nothing, as HAProxy's has nothing
//! of `default-server`. Refuses to know whether somebody still works with a place: that is asked.

use super::{Backend, Config, address, value};
use crate::balance::{Algorithm, Hash};
use crate::limits::{BackendId, Beside, Excess, MAX_NAME, MAX_TOKEN, Machine, NODES_PER_WEIGHT, PoolId};
use std::net::IpAddr;

/// Why a server cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// All places are taken.
    Places,
    /// Probes of it, its name or its nodes on a ring do not fit.
    Budget(Excess),
}

impl Backend {
    /// One of this name at `place` (`HOST:PORT`, `unix:/PATH`) in a pool of `config`, as HAProxy's are without keywords.
    ///
    /// # Errors
    /// What is wrong with the place.
    pub fn added(config: &Config, pool: PoolId, name: &str, place: &str) -> Result<Self, &'static str> {
        let (path, host, port) = match address::unix(place) {
            Some(path) => (Some(path?), String::new(), 0),
            None => {
                let (host, port) = address::server(place)?;
                (None, host, port)
            }
        };
        let cookie = config.pools[pool.index()].cookie.as_ref();
        Ok(Self {
            name: name.to_owned(),
            host,
            port,
            pool,
            weight: 1,
            maxconn: 0,
            auto: None,
            maxqueue: 0,
            backup: false,
            cookie: name.to_owned(),
            dynamic_cookie: path.is_none() && cookie.is_some_and(|cookie| cookie.dynamic_key.is_some()),
            send_proxy: None,
            slots: None,
            redirect: None,
            added: true,
            path,
        })
    }
}

/// Where in the name of a server that is added the first character is that it may not have; its end where it is too long.
#[must_use]
pub fn wrong_in_name(name: &str) -> Option<usize> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    name.bytes().position(|byte| !fits(byte)).or((name.len() > MAX_NAME).then_some(name.len()))
}

/// Whether the affinity cookie may have this value.
#[must_use]
pub fn is_cookie_value(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(value::is_cookie_octet)
}

impl Config {
    /// This one with `backend` as the last of its pool, and its place. What was known of a server of this name comes back with
    /// it, as with a file that names it again.
    ///
    /// # Errors
    /// [`NoRoom`]: none of `room` places is free, or the budget of `machine` is used up.
    pub fn with(
        &self,
        backend: Backend,
        room: usize,
        machine: &Machine,
        is_held: impl Fn(BackendId) -> bool,
    ) -> Result<(BackendId, Self), NoRoom> {
        let gone = &self.gone.backends;
        let was_its = |id: &BackendId| {
            let there = &self.backends[id.index()];
            (&there.name, there.pool) == (&backend.name, backend.pool)
        };
        let unused = BackendId::new(self.backends.len()).filter(|id| id.index() < room);
        let own = gone.iter().copied().find(was_its);
        let id = own.or(unused).or_else(|| gone.iter().copied().find(|&id| !is_held(id))).ok_or(NoRoom::Places)?;
        let budget = &self.limits.budget;
        let [probes, names, nodes] = self.needs(&backend);
        let now = budget.beside;
        let beside = Beside { probes: now.probes + probes, names: now.names + names, nodes: now.nodes + nodes, ..now };
        let budget = budget.with(beside, budget.tcp_memory, machine).map_err(NoRoom::Budget)?;
        let mut config = self.clone();
        config.limits.budget = budget;
        config.gone.backends.retain(|&other| other != id);
        config.order.backends.push(id);
        config.pools[backend.pool.index()].backends.push(id);
        match config.backends.get_mut(id.index()) {
            Some(there) => *there = backend,
            None => config.backends.push(backend),
        }
        Ok((id, config))
    }

    /// This one without a backend, whose place stays what it was until another one takes it.
    #[must_use]
    pub fn without(&self, id: BackendId) -> Self {
        let backend = &self.backends[id.index()];
        let mut config = self.clone();
        config.gone.backends.push(id);
        config.order.backends.retain(|&other| other != id);
        let [probes, names, nodes] = config.needs(backend);
        let beside = &mut config.limits.budget.beside;
        for (count, less) in [(&mut beside.probes, probes), (&mut beside.names, names), (&mut beside.nodes, nodes)] {
            *count = count.saturating_sub(less);
        }
        let pool = &mut config.pools[backend.pool.index()];
        pool.backends.retain(|&other| other != id);
        pool.redirects = pool.backends.iter().any(|member| self.backends[member.index()].redirect.is_some());
        config
    }

    /// What the budget counts of a backend that is not there: probes, names that no other has, nodes on a ring.
    fn needs(&self, backend: &Backend) -> [usize; 3] {
        let pool = &self.pools[backend.pool.index()];
        let has_name = !backend.host.is_empty() && backend.host.parse::<IpAddr>().is_err();
        let is_new = || !self.backends().any(|(_, other)| other.host.eq_ignore_ascii_case(&backend.host));
        let on_ring = matches!(pool.balance, Algorithm::Hash { hash: Hash::Haproxy, .. });
        [
            usize::from(pool.check.is_some()) + usize::from(pool.agent.is_some()),
            usize::from(has_name && is_new()),
            if on_ring { usize::from(backend.weight) * usize::from(NODES_PER_WEIGHT) } else { 0 },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    fn added(config: &Config, name: &str) -> Backend {
        Backend::added(config, PoolId(0), name, "10.0.0.9:80").unwrap()
    }

    fn names(config: &Config) -> String {
        let members = &config.pools[0].backends;
        let listed: Vec<BackendId> = config.backends().map(|(id, _)| id).collect();
        assert!(members.iter().all(|id| listed.contains(id) && !config.gone.backends.contains(id)));
        let name = |id: &BackendId| format!("{}@{}", config.backends[id.index()].name, id.0);
        members.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_is_added_takes_a_free_place_and_who_comes_back_his_own() {
        let file = read("listen.l = 127.0.0.1:1\nbackend.a = h:1\nbackend.b = h:2\n");
        let with = |config: &Config, name: &str, held: &[u8]| {
            config
                .with(added(config, name), 3, &Machine::default(), |id| held.contains(&id.0))
                .map(|(_, config)| config)
        };
        let one = with(&file, "c", &[]).unwrap();
        assert_eq!(names(&one), "a@0 b@1 c@2");
        assert_eq!(with(&one, "d", &[]).err(), Some(NoRoom::Places), "all three places are taken");
        let without = one.without(BackendId(0));
        assert_eq!(names(&without), "b@1 c@2");
        assert_eq!(with(&without, "d", &[0]).err(), Some(NoRoom::Places), "somebody still works with who is gone");
        assert_eq!(names(&with(&without, "d", &[]).unwrap()), "b@1 c@2 d@0");
        assert_eq!(names(&with(&without, "a", &[0]).unwrap()), "b@1 c@2 a@0");
    }

    #[test]
    fn what_it_needs_is_counted_and_given_back() {
        let file = read(
            "listen.l = 127.0.0.1:1\nbackend.a = h:1\npool.*.check.uri = /\npool.*.balance = uri\npool.*.hash = haproxy\n",
        );
        let before = file.limits.budget.beside;
        let server = |host: &str| Backend { weight: 3, host: host.to_owned(), ..added(&file, "n") };
        let with = |host: &str| file.with(server(host), 9, &Machine::default(), |_| false).unwrap();
        for (host, names) in [("other", 1), ("H", 0), ("10.0.0.1", 0)] {
            let (id, config) = with(host);
            let beside = config.limits.budget.beside;
            let more = [beside.probes - before.probes, beside.names - before.names, beside.nodes - before.nodes];
            assert_eq!(more, [1, names, 48], "{host}");
            assert_eq!(config.without(id).limits.budget.beside, before, "{host}");
        }
        let little = Machine { descriptors: Some(file.limits.budget.descriptors()), ..Machine::default() };
        assert!(matches!(file.with(server("x"), 9, &little, |_| false), Err(NoRoom::Budget(_))));
    }

    #[test]
    fn it_begins_as_haproxys_do() {
        let file = read("listen.l = 127.0.0.1:1\nbackend.a = h:1\nbackend.*.weight = 7\nbackend.*.maxconn = 9\n");
        let server = added(&file, "n");
        assert_eq!((server.weight, server.maxconn, server.backup, server.cookie.as_str()), (1, 0, false, "n"));
        let at = |place: &str| Backend::added(&file, PoolId(0), "n", place).map(|it| (it.path, it.host, it.port));
        assert_eq!(at("unix:/run/s"), Ok((Some("/run/s".into()), String::new(), 0)));
        assert_eq!(at("[::1]:80"), Ok((None, "::1".into(), 80)));
        for place in ["10.0.0.1", "10.0.0.1:0", "10.0.0.1:99999", "unix:run", "foo!bar:1", ""] {
            assert!(at(place).is_err(), "{place}");
        }
    }

    #[test]
    fn letters_of_names() {
        assert_eq!(wrong_in_name("srv-1_A.b:2"), None);
        assert_eq!(wrong_in_name("x!y"), Some(1));
        assert_eq!(wrong_in_name("a,b"), Some(1));
        assert_eq!(wrong_in_name(&"x".repeat(MAX_NAME)), None);
        assert_eq!(wrong_in_name(&"x".repeat(MAX_NAME + 1)), Some(MAX_NAME + 1));
    }
}
