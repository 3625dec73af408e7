//! What operates the proxy, and changes with its configuration: its sockets, probes, names and logs.

use super::confine;
use super::inheritance::Inheritance;
use super::lines::Lines;
use super::logs::Logs;
use super::resolver::{self, Resolver};
use super::run::hint;
use super::upgrade::Upgrade;
use super::watches::Watches;
use crate::config::{Address, Backend, Config, Listener};
use crate::limits::{BackendId, ListenerId, Machine};
use crate::proxy::{Changes, Proxy};
use crate::runtime::{self, Endpoint, SocketFile};
use smol::Task;
use std::cell::RefCell;
use std::fs::{Permissions, set_permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

/// All of it. Lives as long as the process.
pub struct Service {
    /// The proxy.
    pub proxy: &'static Proxy,
    /// The file; `None` where the configuration came otherwise.
    pub(super) path: Option<PathBuf>,
    /// What the machine had at the start: what is planned again is planned for that.
    pub(super) machine: Machine,
    watches: Watches,
    pub(super) resolver: Resolver,
    logs: Logs,
    /// The task that watches the last reload.
    pub(super) watched: RefCell<Option<Task<()>>>,
    /// What listens already; empty once it has begun.
    pub(super) inheritance: RefCell<Inheritance>,
    /// The sockets of `admin.listen` and `admin.socket`, which stay open.
    pub(super) controls: RefCell<Vec<(&'static str, RawFd)>>,
    /// `None` where nothing can take its place: in a demo.
    pub(super) upgrade: Option<&'static Upgrade>,
}

/// A listener of the file, and the socket that it is to have.
pub(super) type Socket = (ListenerId, Rc<runtime::Listener>);

impl Service {
    pub(super) fn new(
        proxy: &'static Proxy,
        path: Option<PathBuf>,
        machine: Machine,
        logs: Logs,
        upgrade: Option<&'static Upgrade>,
    ) -> Self {
        let (watches, resolver) = (Watches::default(), Resolver::default());
        let (inheritance, controls, watched) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { proxy, path, machine, watches, resolver, logs, inheritance, controls, upgrade, watched }
    }

    /// Where lines go.
    pub(super) fn lines(&self) -> &'static [Lines] {
        self.logs.lines
    }

    /// Begins with the configuration of the start.
    pub(super) fn start(&self, sockets: Vec<Socket>) {
        self.proxy.set_journal(self.logs.journal(&self.proxy.config().logs));
        self.resolver.start(self.proxy);
        sockets.into_iter().for_each(|(id, socket)| self.proxy.open(id, socket));
        self.watches.follow(self.proxy);
    }

    /// Goes on with another configuration, arranged on what runs, with these sockets for its listeners. `known`: addresses of names
    /// that it has.
    #[inline(never)]
    pub(super) fn follow(&self, config: Rc<Config>, sockets: Vec<Socket>, known: &[(String, IpAddr)]) -> Changes {
        let proxy = self.proxy;
        let before = proxy.config();
        log::set_max_level(config.log_level);
        proxy.set_journal(self.logs.journal(&config.logs));
        let place = |id: BackendId, backend: &Backend| {
            let there = before.backends.get(id.index()).filter(|_| before.order.backends.contains(&id));
            let is_known = there.is_some_and(|there| there.host == backend.host) && proxy.ip(id).is_some();
            // Which server fills which slot is the resolver's to say.
            let found = known.iter().find(|(host, _)| *host == backend.host && !is_known && backend.slots.is_none());
            resolver::literal(backend).or(found.map(|(_, ip)| SocketAddr::new(*ip, backend.port)))
        };
        let changes = proxy.adopt(Rc::clone(&config), place);
        // Those that are kept first: one that is closed may be another listener's now.
        for (id, socket) in sockets {
            if !before.listeners().any(|(at, _)| proxy.socket(at).is_some_and(|open| Rc::ptr_eq(&open, &socket))) {
                log::info!("listening on {} ({})", socket.endpoint(), config.listeners[id.index()].name);
            }
            proxy.open(id, socket);
        }
        let leaves = |id: &&ListenerId| !config.order.listeners.contains(id);
        before.order.listeners.iter().filter(leaves).for_each(|&id| proxy.close(id));
        self.resolver.follow(proxy);
        self.watches.follow(proxy);
        changes
    }

    /// The sockets of a configuration's listeners: those that are open at its addresses, and new ones for the others. What is
    /// refused is said, and then nothing has changed. `again`: what was needed only to start may be gone.
    ///
    /// # Errors
    /// What the system said, with the listener and what may help.
    pub(super) fn sockets(&self, config: &Config, again: bool) -> Result<Vec<Socket>, String> {
        let before = self.proxy.config();
        let mut sockets = Vec::new();
        for (id, listener) in config.listeners() {
            sockets.push((id, self.socket(&before, id, listener, again)?));
        }
        for (_, listener) in config.listeners() {
            let changed = before.listeners().any(|(_, it)| it.address == listener.address && it.perm != listener.perm);
            if let Address::Unix(path) = &listener.address
                && changed
            {
                set_permissions(path, Permissions::from_mode(listener.perm))
                    .map_err(|error| format!("listen.{}.perm: {path}: {error}: restart needed", listener.name))?;
            }
        }
        Ok(sockets)
    }

    /// A socket at `endpoint`: the one that was handed over, or a new one.
    fn bind(&self, endpoint: Endpoint<'_>, name: &str, how: &runtime::Bind) -> io::Result<runtime::Listener> {
        let (mut inheritance, reactor) = (self.inheritance.borrow_mut(), self.proxy.reactor);
        match inheritance.listener(endpoint, name) {
            Some(socket) => runtime::Listener::inherit(reactor, socket, endpoint, how, inheritance.is_upgrade()),
            None => runtime::Listener::bind(reactor, endpoint, how),
        }
    }

    /// The same for the control plane, for as long as the process lives: what serves it is never dropped, so its file goes
    /// to `files`.
    ///
    /// # Errors
    /// As [`Service::sockets`].
    pub(super) fn control(
        &self,
        name: &'static str,
        address: &Address,
        mode: u32,
        files: &mut Vec<SocketFile>,
    ) -> Result<runtime::Listener, String> {
        let how = runtime::Bind { only_v6: false, mode, bounds: self.proxy.budget.client_socket() };
        let bound = self.bind(address.endpoint(), name, &how);
        let mut bound = bound.map_err(|error| format!("{name}: {address}: {error}{}", hint(address, error.kind())))?;
        files.extend(bound.part_with_file());
        self.controls.borrow_mut().push((name, bound.descriptor().as_raw_fd()));
        Ok(bound)
    }

    fn socket(
        &self,
        before: &Config,
        id: ListenerId,
        listener: &Listener,
        again: bool,
    ) -> Result<Rc<runtime::Listener>, String> {
        let proxy = self.proxy;
        let there = before.listeners().find_map(|(at, there)| {
            let socket = proxy.socket(at)?;
            // Which port the system chose for a 0 is each listener's own.
            let is_same = at == id && there.address == listener.address;
            (is_same || socket.endpoint() == listener.address.endpoint()).then_some(socket)
        });
        if let Some(there) = there {
            return Ok(there);
        }
        if again {
            let refused = |why| format!("listen.{}: {}: {why}: restart needed", listener.name, listener.address);
            confine::may_listen(&listener.address).map_err(refused)?;
        }
        let how =
            runtime::Bind { only_v6: listener.only_v6, mode: listener.perm, bounds: proxy.budget.client_socket() };
        let bound = self.bind(listener.address.endpoint(), &listener.name, &how);
        bound.map(Rc::new).map_err(|error| {
            let hint = hint(&listener.address, error.kind());
            format!("listen.{}: {}: {error}{hint}", listener.name, listener.address)
        })
    }
}
