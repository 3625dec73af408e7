//! `admin.*`, as far as it is about the listener of the dashboard and the metrics.
//!
//! Owns what is wrong or odd about these keys. Refuses to know what is served there.

use super::Listener;
use super::address::Address;
use super::effective::{list, none};
use super::keys::Id;
use super::listener::overlap;
use super::resolve::Resolver;
use super::value::Value;
use crate::http::route::HostPattern;

/// Fewer bytes can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// `admin.listen` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    /// Where to listen.
    pub address: Address,
    /// The permissions of a UNIX socket's file.
    pub perm: u32,
    /// Names it is asked by, beside those it knows itself.
    pub hosts: Vec<HostPattern>,
    /// Who knows it may change states and weights.
    pub operator: Option<String>,
    /// Who knows it may change everything.
    pub admin: Option<String>,
}

impl AdminListener {
    /// Its keys' values, but for the address.
    pub(super) fn effective(&self, id: Id) -> Option<String> {
        match id {
            Id::AdminPerm => matches!(self.address, Address::Unix(_)).then(|| format!("{:03o}", self.perm)),
            Id::AdminHost => Some(list(&self.hosts).unwrap_or_else(none)),
            Id::AdminTokenOperator => Some(self.operator.clone().unwrap_or_else(none)),
            Id::AdminTokenAdmin => Some(self.admin.clone().unwrap_or_else(none)),
            _ => None,
        }
    }
}

impl Resolver<'_, '_> {
    /// The admin listener, if there is one, beside `listeners`.
    pub(super) fn admin(&mut self, listeners: &[Listener]) -> Option<AdminListener> {
        let settings = self.settings;
        let others = [Id::AdminPerm, Id::AdminHost, Id::AdminTokenOperator, Id::AdminTokenAdmin];
        let Value::Address(address) = settings.value(Id::AdminListen, "") else {
            if settings.find(Id::AdminListen, "").is_none_or(|setting| setting.value == Value::Unset) {
                for setting in others.iter().filter_map(|&id| settings.find(id, "")) {
                    let reason = "it does nothing without `admin.listen`".to_owned();
                    self.warnings.push((setting.line, setting.written.to_owned(), reason));
                }
            }
            return None;
        };
        let line = settings.line(Id::AdminListen, "");
        if let Some(other) = listeners.iter().find(|other| overlap(&other.address, &address)) {
            let reason = format!("`{address}` is taken by `listen.{}`: choose another port or path", other.name);
            self.errors.push(line, Id::AdminListen.key().attribute, reason);
        }
        let [operator, admin] = [Id::AdminTokenOperator, Id::AdminTokenAdmin].map(|id| settings.text(id, ""));
        for (id, token) in [(Id::AdminTokenOperator, &operator), (Id::AdminTokenAdmin, &admin)] {
            if token.as_ref().is_some_and(|token| token.len() < SHORTEST_TOKEN) {
                let reason = "it is short enough to be guessed: `openssl rand -hex 16` makes a better one".to_owned();
                self.warnings.push((settings.line(id, ""), id.key().attribute.to_owned(), reason));
            }
        }
        if operator.is_some() && operator == admin {
            let reason = "it is `admin.token.operator`'s too: who has one has both".to_owned();
            let id = Id::AdminTokenAdmin;
            self.warnings.push((settings.line(id, ""), id.key().attribute.to_owned(), reason));
        }
        let hosts = match settings.value(Id::AdminHost, "") {
            Value::Hosts(hosts) => hosts,
            _ => Vec::new(),
        };
        let perm = match address {
            Address::Unix(_) => settings.small(Id::AdminPerm, "").unwrap_or(0o600),
            Address::Inet(_) => 0o600,
        };
        Some(AdminListener { address, perm, hosts, operator, admin })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, read};

    const REST: &str = "listen.l = 127.0.0.1:81\nbackend.z = h:1\n";

    #[test]
    fn what_is_wrong_or_odd_is_said() {
        let text = errors(&format!("{REST}admin.listen = 0.0.0.0:81\n")).join("\n");
        assert!(text.contains("f:5: admin.listen: `0.0.0.0:81` is taken by `listen.l`"), "{text}");
        for (more, expected) in [
            ("admin.host = a\n", "f:3: admin.host: it does nothing without `admin.listen`"),
            ("admin.listen = 127.0.0.1:1\nadmin.token.admin = short\n", "f:4: admin.token.admin: it is short enough"),
            (
                "admin.listen = 127.0.0.1:1\nadmin.token.admin = 0123456789abcdef\nadmin.token.operator = 0123456789abcdef\n",
                "f:4: admin.token.admin: it is `admin.token.operator`'s too",
            ),
        ] {
            let config = read(&format!("{REST}{more}"));
            assert!(config.warnings.iter().any(|warning| warning.starts_with(expected)), "{:?}", config.warnings);
        }
        let config = read(&format!("{REST}admin.listen = [::1]:81\nadmin.token.admin = 0123456789abcdef\n"));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(config.admin.unwrap().operator, None);
    }
}
