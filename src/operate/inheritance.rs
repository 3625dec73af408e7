//! What this program was given by who executed it: sockets that listen already, from systemd or from the program in whose place
//! it is, and of the latter the watchdog, the ways out of a chroot, and what it knew as well.
//!
//! Owns the names of these. A listener takes the socket that is bound where it would bind one itself.

use crate::runtime::Endpoint;
use crate::runtime::inherited::{self, Inherited};
use crate::runtime::{exec, outside};
use std::env;
use std::os::fd::OwnedFd;

/// The socket of `admin.listen`: no listener's name has a dot.
pub(super) const ADMIN: &str = "admin.listen";
/// The socket of `admin.socket`.
pub(super) const SOCKET: &str = "admin.socket";
/// The root directory of before a chroot.
pub(super) const ROOT: &str = "beelance.root";
/// The watchdog device.
pub(super) const WATCHDOG: &str = "beelance.watchdog";
/// The socket to systemd.
pub(super) const NOTIFY: &str = "beelance.notify";
/// What the program before leaves beside them.
pub(super) const STATE: &str = "beelance.state";
/// The variable that counts the programs which this process was before.
pub(super) const UPGRADES: &str = "BEELANCE_UPGRADES";
/// The variable with the path of the program, which /proc may not be able to tell.
pub(super) const PROGRAM: &str = "BEELANCE_PROGRAM";

/// All of it.
#[derive(Debug, Default)]
pub struct Inheritance {
    sockets: Vec<Inherited>,
    pub(super) watchdog: Option<OwnedFd>,
    pub(super) notify: Option<OwnedFd>,
    pub(super) state: Option<OwnedFd>,
    /// How many programs this process was before.
    pub(super) upgrades: u64,
    /// Sockets that listeners took.
    pub(super) taken: usize,
}

impl Inheritance {
    /// Takes it; before anything is opened. The way out of the chroot is in use from now on.
    pub(super) fn take() -> Self {
        let mut all = Self {
            upgrades: env::var(UPGRADES).ok().and_then(|count| count.parse().ok()).unwrap_or(0),
            ..Self::default()
        };
        for inherited in inherited::take() {
            match inherited.name.as_str() {
                ROOT => {
                    outside::keep(inherited.descriptor);
                    // It was executed by a descriptor, which would be its name.
                    exec::set_name();
                }
                WATCHDOG => all.watchdog = Some(inherited.descriptor),
                NOTIFY => all.notify = Some(inherited.descriptor),
                STATE => all.state = Some(inherited.descriptor),
                _ => all.sockets.push(inherited),
            }
        }
        all
    }

    /// Whether another program was this process before.
    pub(super) fn is_upgrade(&self) -> bool {
        self.upgrades > 0
    }

    /// The socket of the listener called `name`, if there is one.
    pub(super) fn listener(&mut self, endpoint: Endpoint<'_>, name: &str) -> Option<OwnedFd> {
        // One of its own name first: with port 0 several will do.
        let named = self.sockets.iter().position(|socket| socket.name == name && socket.listens_at(endpoint, name));
        let at = named.or_else(|| self.sockets.iter().position(|socket| socket.listens_at(endpoint, name)))?;
        self.taken += 1;
        Some(self.sockets.swap_remove(at).descriptor)
    }

    /// Closes what nobody wanted, and says so. The file of a socket that the program before had goes with it.
    pub(super) fn close(self) {
        let ours = self.is_upgrade();
        if ours {
            log::info!("upgrade {}: it took over {} listeners", self.upgrades, self.taken);
        }
        for socket in self.sockets {
            let place = socket.describe();
            log::warn!("no `listen.N` or `admin.*` is at {place}, which was handed over: it is closed");
            if ours {
                // It is removed.
                drop(socket.file());
            }
        }
    }
}
