//! `admin.socket`: where the runtime socket is, and what may be done there.

use super::Listener;
use super::address::Address;
use super::keys::Id;
use super::resolve::Resolver;
use super::value::Value;
use crate::limits::MAX_UNIX_PATH;

/// `admin.socket` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeSocket {
    /// Its path.
    pub path: String,
    /// The permissions of its file.
    pub mode: u32,
    /// What its clients may do: the place in [`SOCKET_LEVELS`].
    pub level: usize,
}

/// The levels of the runtime socket, the lowest first.
pub const SOCKET_LEVELS: [&str; 3] = ["user", "operator", "admin"];

impl Resolver<'_, '_> {
    /// The runtime socket, if there is one, beside `listeners`.
    pub(super) fn socket(&mut self, listeners: &[Listener]) -> Option<RuntimeSocket> {
        let settings = self.settings;
        let Some(path) = settings.text(Id::AdminSocket, "") else {
            if settings.find(Id::AdminSocket, "").is_none_or(|setting| setting.value == Value::Unset) {
                let others = [Id::AdminSocketMode, Id::AdminSocketLevel];
                for setting in others.iter().filter_map(|&id| settings.find(id, "")) {
                    let reason = "it does nothing without `admin.socket`".to_owned();
                    self.warnings.push((setting.line, setting.written.to_owned(), reason));
                }
            }
            return None;
        };
        let line = settings.line(Id::AdminSocket, "");
        if path.len() > MAX_UNIX_PATH {
            let reason = format!("a socket's path has {MAX_UNIX_PATH} bytes at most: choose a shorter one");
            self.errors.push(line, Id::AdminSocket.key().attribute, reason);
        }
        let is_taken = |listener: &&Listener| matches!(&listener.address, Address::Unix(taken) if *taken == path);
        if let Some(other) = listeners.iter().find(is_taken) {
            let reason = format!("`{path}` is the address of `listen.{}`: choose another path", other.name);
            self.errors.push(line, Id::AdminSocket.key().attribute, reason);
        }
        let level = settings.number(Id::AdminSocketLevel, "").and_then(|level| usize::try_from(level).ok());
        let mode = settings.small(Id::AdminSocketMode, "").unwrap_or(0o600);
        Some(RuntimeSocket { path, mode, level: level.unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, read};

    const REST: &str = "listen.l = unix:/run/a\nbackend.z = h:1\n";

    #[test]
    fn what_is_wrong_or_odd_is_said() {
        for (more, expected) in [
            ("admin.socket = /run/a\n".to_owned(), "admin.socket: `/run/a` is the address of `listen.l`"),
            (format!("admin.socket = /{}\n", "x".repeat(107)), "admin.socket: a socket's path has 107 bytes"),
        ] {
            let text = errors(&format!("{REST}{more}")).join("\n");
            assert!(text.contains(expected), "{text}");
        }
        let config = read(&format!("{REST}admin.socket.level = user\n"));
        let expected = "f:3: admin.socket.level: it does nothing without `admin.socket`";
        assert!(config.warnings.iter().any(|warning| warning.starts_with(expected)), "{:?}", config.warnings);
        let socket = read(&format!("{REST}admin.socket = /run/b\nadmin.socket.level = operator\n")).socket.unwrap();
        assert_eq!((socket.path.as_str(), socket.mode, socket.level), ("/run/b", 0o600, 1));
    }
}
