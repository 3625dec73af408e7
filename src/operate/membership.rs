//! Single servers that an operator adds and removes while beelance runs: a reload of a configuration that differs in one.
//!
//! The file stays what it is: its next reload removes what was added and brings back what was removed, unless it says the same.

use super::service::Service;
use crate::balance::{Admin, Authority};
use crate::config::{Backend, Config, NoRoom, Object};
use crate::limits::BackendId;
use std::rc::Rc;

/// Why a server cannot be removed, in HAProxy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stays {
    /// For as long as it is what it is.
    Always(&'static str),
    /// Until what is under way at it is over.
    Yet(&'static str),
}

impl Stays {
    /// The words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Always(words) | Self::Yet(words) => words,
        }
    }
}

impl Service {
    /// Adds a server, which rests until somebody says otherwise, or is ready at once.
    ///
    /// # Errors
    /// Why there is no room for it, for a message.
    pub(super) fn add_server(&self, backend: Backend, ready: bool) -> Result<(), String> {
        let proxy = self.proxy;
        if proxy.is_stopping() {
            return Err("beelance is about to end.".to_owned());
        }
        let room = proxy.room.backends;
        let is_held = |id| proxy.is_held(Object::Backend(id));
        let (id, config) =
            proxy.config().with(backend, room, &self.machine, is_held).map_err(|no_room| match no_room {
                NoRoom::Places => {
                    format!("No place is free: {room} were made for servers at the start; a restart makes more.")
                }
                NoRoom::Budget(excess) => format!("It does not fit into the budget: {excess}."),
            })?;
        self.go_on_with(config);
        log::warn!("Server {} was added.", proxy.name(id));
        if ready {
            proxy.set_admin(id, Authority::Operator, Admin::Ready);
        }
        Ok(())
    }

    /// Whether a server can be removed now.
    pub(super) fn may_remove(&self, id: BackendId) -> Result<(), Stays> {
        let proxy = self.proxy;
        if proxy.config().backends[id.index()].slots.is_some() {
            let words = "This server cannot be removed at runtime due to other configuration elements pointing to it.";
            return Err(Stays::Always(words));
        }
        if proxy.backend_stats(id).admin != Admin::Maint {
            return Err(Stays::Always("Only servers in maintenance mode can be deleted."));
        }
        if proxy.is_held(Object::Backend(id)) {
            return Err(Stays::Yet("Server still has connections attached to it, cannot remove it."));
        }
        Ok(())
    }

    /// Removes a server.
    pub(super) fn remove_server(&self, id: BackendId) -> Result<(), Stays> {
        let proxy = self.proxy;
        if proxy.is_stopping() {
            return Err(Stays::Always("beelance is about to end."));
        }
        self.may_remove(id)?;
        log::warn!("Server {} was removed.", proxy.name(id));
        self.go_on_with(proxy.config().without(id));
        Ok(())
    }

    /// Listeners are what they were. One function, for all that it calls.
    #[inline(never)]
    fn go_on_with(&self, config: Config) {
        let sockets = config.listeners().filter_map(|(id, _)| Some((id, self.proxy.socket(id)?))).collect();
        self.follow(Rc::new(config), sockets, &[]);
    }
}
