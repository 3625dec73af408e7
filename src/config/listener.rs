//! The listeners, and which of them the system would refuse beside each other.
//!
//! Owns the rule that `[::]:P` takes IPv4 too unless a listener holds `0.0.0.0:P`. Refuses to open anything.

use super::address::Address;
use super::keys::Id;
use super::resolve::Resolver;
use super::value::Value;
use super::{Listener, Mode};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Resolver<'_, '_> {
    /// Every listener whose address can be read.
    pub(super) fn listeners(&mut self, objects: &[(u32, &str)]) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for (line, name) in objects {
            let Value::Address(address) = self.settings.value(Id::Listen, name) else { continue };
            if let Some(other) = listeners.iter().find(|other| overlap(&other.address, &address)) {
                let first = self.settings.line(Id::Listen, &other.name);
                let reason = if other.address == address {
                    format!("`{address}` is the address of `listen.{}` on line {first} already", other.name)
                } else {
                    format!(
                        "`{address}` and `{}` of `listen.{}` on line {first} exclude each other",
                        other.address, other.name
                    )
                };
                self.errors.push(*line, &format!("listen.{name}"), reason);
            }
            let pool = self.pool(Id::ListenPool, name);
            let mode = if self.settings.number(Id::ListenMode, name) == Some(1) { Mode::Tcp } else { Mode::Http };
            let accept_proxy = self.settings.yes(Id::AcceptProxy, name);
            let trust = match self.settings.value(Id::ListenTrust, name) {
                Value::Trust(trust) => trust,
                _ => Vec::new(),
            };
            let perm = self.perm(name, &address);
            let request_id = self.settings.text(Id::RequestId, name);
            let monitor = self.monitor(name);
            listeners.push(Listener {
                name: (*name).to_owned(),
                address,
                perm,
                only_v6: false,
                mode,
                pool,
                accept_proxy,
                trust,
                request_id,
                monitor,
            });
        }
        let v4: Vec<u16> =
            listeners.iter().filter_map(|l| l.address.inet()).filter(is_all_v4).map(|a| a.port()).collect();
        for listener in &mut listeners {
            let port = listener.address.inet().filter(is_all_v6).map(|address| address.port());
            listener.only_v6 = port.is_some_and(|port| v4.contains(&port));
        }
        for all in listeners.iter().filter(|listener| !listener.only_v6) {
            let Some(port) = all.address.inet().filter(is_all_v6).map(|address| address.port()) else { continue };
            let is_v4 = |address: SocketAddr| address.ip().to_canonical().is_ipv4() && address.port() == port;
            let clash = |l: &&Listener| port != 0 && l.address.inet().is_some_and(is_v4);
            if let Some(other) = listeners.iter().find(clash) {
                let line = self.settings.line(Id::Listen, &all.name);
                let reason = format!(
                    "`{}` takes IPv4 too, so it and `{}` of `listen.{}` exclude each other: write `0.0.0.0:{port}` there",
                    all.address, other.address, other.name
                );
                self.errors.push(line, &format!("listen.{}", all.name), reason);
            }
        }
        if self.settings.of(Id::Listen).is_empty() {
            let reason = "no listener: write a line such as `listen.web = 0.0.0.0:80`".to_owned();
            self.errors.push(self.settings.last_line, "listen.NAME", reason);
        }
        listeners
    }
}

impl Resolver<'_, '_> {
    /// The permissions of the file, where there is one to have them.
    fn perm(&mut self, name: &str, address: &Address) -> u32 {
        let has_file = matches!(address, Address::Unix(path) if !path.starts_with('@'));
        if let Some(setting) = self.settings.exactly(Id::ListenPerm, name, "").filter(|_| !has_file) {
            let reason = "it does nothing where the listener has no file".to_owned();
            self.warnings.push((setting.line, setting.written.to_owned(), reason));
        }
        let perm = self.settings.small(Id::ListenPerm, name).filter(|_| has_file);
        perm.unwrap_or(0o600)
    }
}

/// Whether the system refuses to listen on both, whatever else there is.
pub(super) fn overlap(a: &Address, b: &Address) -> bool {
    let (a, b) = match (a, b) {
        (Address::Inet(a), Address::Inet(b)) => (*a, *b),
        (a, b) => return a == b,
    };
    let same_port = a.port() == b.port() && a.port() != 0;
    let (a_ip, b_ip) = (a.ip().to_canonical(), b.ip().to_canonical());
    let either_all = a_ip.is_unspecified() || b_ip.is_unspecified();
    same_port && a_ip.is_ipv4() == b_ip.is_ipv4() && (either_all || a_ip == b_ip && scope(a) == scope(b))
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

fn is_all_v4(address: &SocketAddr) -> bool {
    address.ip().to_canonical() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && address.port() != 0
}

fn is_all_v6(address: &SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}
