//! `listen.N.monitor-uri` and `.monitor-fail`: what a listener answers itself.
//!
//! Owns the conditions as a file has them. Refuses to know how many servers a pool has.

use super::keys::Id;
use super::resolve::Resolver;
use super::value::{Value, is_name, scaled};
use crate::limits::PoolId;

/// What a listener answers itself, for whoever wants to know whether beelance serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The path, and the query behind it.
    pub uri: String,
    /// Pools, and how many usable servers they need for the answer to be 200.
    pub fail: Vec<(PoolId, u16)>,
}

impl Monitor {
    /// Whether a request for `path`, with `query` and its `?`, is about it.
    #[must_use]
    pub fn is_asked(&self, path: &[u8], query: &[u8]) -> bool {
        self.uri.as_bytes().strip_prefix(path) == Some(query)
    }

    /// The conditions as a file says them; `name` names a pool.
    pub(super) fn conditions(&self, name: impl Fn(PoolId) -> Option<String>) -> String {
        let one = |&(pool, least): &(PoolId, u16)| format!("{}<{least}", name(pool).unwrap_or_default());
        self.fail.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

impl Resolver<'_, '_> {
    /// What the listener `name` answers itself.
    pub(super) fn monitor(&mut self, name: &str) -> Option<Monitor> {
        let settings = self.settings;
        let fail = settings.find(Id::MonitorFail, name).filter(|setting| matches!(setting.value, Value::Fewer(_)));
        let Some(uri) = settings.text(Id::MonitorUri, name) else {
            if let Some(setting) = fail {
                let reason = format!("it does nothing without `{}`", Id::MonitorUri.key().of(name));
                self.warnings.push((setting.line, setting.written.to_owned(), reason));
            }
            return None;
        };
        let mut conditions = Vec::new();
        if let Some(setting) = fail
            && let Value::Fewer(wanted) = &setting.value
        {
            for (pool, least) in wanted {
                match self.pools.iter().position(|(_, known)| known == pool).and_then(PoolId::new) {
                    Some(id) => conditions.push((id, *least)),
                    None => {
                        let reason = format!("there is no pool `{pool}`: no backend and no other key names it");
                        self.errors.push(setting.line, setting.written, reason);
                    }
                }
            }
        }
        Some(Monitor { uri, fail: conditions })
    }
}

/// `POOL<N`.
pub(super) fn fewer(item: &str) -> Option<(String, u16)> {
    let (pool, count) = item.split_once('<')?;
    let (pool, count) = (pool.trim_ascii(), scaled(count.trim_ascii(), &[("", 1)])?);
    (is_name(pool) && (1..=256).contains(&count)).then(|| (pool.to_owned(), u16::try_from(count).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, read};
    use super::*;

    #[test]
    fn exactly_the_target() {
        let monitor = Monitor { uri: "/a?b".into(), fail: Vec::new() };
        for (path, query, asked) in [("/a", "?b", true), ("/a", "", false), ("/a", "?bc", false)] {
            assert_eq!(monitor.is_asked(path.as_bytes(), query.as_bytes()), asked, "{path} {query}");
        }
    }

    #[test]
    fn pools_that_are_none() {
        let file = "listen.l = 127.0.0.1:1\nbackend.z = h:1\nlisten.l.monitor-uri = /m\nlisten.l.monitor-fail = default<1, b<2\n";
        let text = errors(file).join("\n");
        assert!(text.contains("f:6: listen.l.monitor-fail: there is no pool `b`"), "{text}");
        let config = read(&file.replace("b<2", "default<2"));
        let monitor = config.listeners[0].monitor.clone().unwrap();
        assert_eq!(monitor.fail, [(PoolId(0), 1), (PoolId(0), 2)]);
        let idle = read("listen.l = 127.0.0.1:1\nbackend.z = h:1\nlisten.*.monitor-fail = default<1\n");
        assert_eq!(idle.listeners[0].monitor, None);
        assert!(idle.warnings[0].contains("without `listen.l.monitor-uri`"), "{:?}", idle.warnings);
    }
}
