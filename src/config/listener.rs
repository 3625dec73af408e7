//! The listeners, and which of them the system would refuse beside each other.
//!
//! Owns the rule that `[::]:P` takes IPv4 too unless a listener holds `0.0.0.0:P`. Refuses to open anything.

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
            if let Some(other) = listeners.iter().find(|other| overlap(other.address, address)) {
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
                Value::Sources(blocks) => blocks,
                _ => Vec::new(),
            };
            let name = (*name).to_owned();
            listeners.push(Listener { name, address, only_v6: false, mode, pool, accept_proxy, trust });
        }
        let v4: Vec<u16> = listeners.iter().map(|l| l.address).filter(is_all_v4).map(|a| a.port()).collect();
        for listener in &mut listeners {
            listener.only_v6 = is_all_v6(&listener.address) && v4.contains(&listener.address.port());
        }
        for all in listeners.iter().filter(|listener| is_all_v6(&listener.address) && !listener.only_v6) {
            let port = all.address.port();
            let clash =
                |l: &&Listener| port != 0 && l.address.ip().to_canonical().is_ipv4() && l.address.port() == port;
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

/// Whether the system refuses to listen on both, whatever else there is.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
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
