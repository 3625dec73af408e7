//! Where backends are, while that changes: names are looked up again and again.
//!
//! Requests under way finish where they are; their connections, and idle ones to the old address, serve no further
//! request. A backend without an address takes no requests, and is not probed.

use super::Proxy;
use super::repeats::About;
use crate::balance::dynamic;
use crate::config::Config;
use crate::limits::{BackendId, JOIN_RAMP_MS};
use crate::runtime::Endpoint;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Poll, Waker};

/// How a backend comes to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// At the start of the process: no slow start, and no change of state to tell.
    Start,
    /// A new server takes a slot: it starts slowly, also where `pool.N.slowstart` says nothing.
    Join,
    /// Its name has an address now, again, or another one.
    Change,
}

/// What is expected of names, and who waits for it.
#[derive(Default)]
pub(super) struct Expecting {
    /// Tasks that wait for a backend to have an address.
    tasks: RefCell<Vec<Waker>>,
    /// Names that were not looked up yet.
    names: Cell<usize>,
}

impl Proxy {
    /// Where a backend is.
    #[must_use]
    pub fn address<'c>(&self, config: &'c Config, id: BackendId) -> Option<Endpoint<'c>> {
        let address = self.addresses[id.index()].get();
        let path = || config.backends[id.index()].path.as_deref();
        address.map(Endpoint::Inet).or_else(|| path().map(Endpoint::Unix))
    }

    /// Whether it is known where a backend is.
    pub(super) fn is_placed(&self, id: BackendId) -> bool {
        self.address(&self.config(), id).is_some()
    }

    /// The IP of a backend; a UNIX socket has none.
    #[must_use]
    pub fn ip(&self, id: BackendId) -> Option<IpAddr> {
        self.addresses[id.index()].get().map(|address| address.ip())
    }

    /// The port of a backend's address.
    #[must_use]
    pub fn port(&self, id: BackendId) -> Option<u16> {
        self.addresses[id.index()].get().map(|address| address.port())
    }

    /// Changes with each address of a backend.
    #[must_use]
    pub fn era(&self, id: BackendId) -> u16 {
        self.idle.borrow().era(id)
    }

    /// Returns when a backend has an address, or a path.
    pub async fn placed(&self, id: BackendId) {
        poll_fn(|cx| match self.is_placed(id) {
            true => Poll::Ready(()),
            false => {
                self.expecting.tasks.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }

    /// So many names are about to be looked up for the first time. Listeners wait for that, though not for long.
    pub fn expect_names(&self, count: usize) {
        self.expecting.names.set(count);
    }

    /// One of them was looked up.
    pub fn name_looked_up(&self) {
        self.expecting.names.set(self.expecting.names.get().saturating_sub(1));
        if self.knows_names() {
            self.wake_watchers();
        }
    }

    /// Whether each name was looked up.
    pub(super) fn knows_names(&self) -> bool {
        self.expecting.names.get() == 0
    }

    /// Gives a backend this address, or none; `by` says who knows.
    pub fn set_address(&self, id: BackendId, address: Option<SocketAddr>, arrival: Arrival, by: &str) {
        let before = self.addresses[id.index()].replace(address);
        if before == address {
            return;
        }
        self.idle.borrow_mut().renew(id);
        if let Some(address) = address
            && let Some(value) = self.dynamic_cookie(id, address)
        {
            self.balancer.borrow_mut().set_cookie(id, value);
        }
        match (before, address) {
            (Some(before), Some(address)) => {
                if self.may_tell(About::address(id)) {
                    let name = self.name(id);
                    if before.port() == address.port() {
                        log::warn!("{name} changed its IP from {} to {} by {by}.", before.ip(), address.ip());
                    } else {
                        log::warn!("{name} changed its address from {before} to {address} by {by}.");
                    }
                }
            }
            (None, Some(address)) => self.arrive(id, address, arrival, by),
            (_, None) => self.change(id, &format_args!("its IP is no longer in {by}"), |balancer, wake| {
                balancer.set_placed(id, false, wake);
            }),
        }
        self.wake_expecting();
    }

    /// Lets the tasks look that wait for an address.
    pub(super) fn wake_expecting(&self) {
        self.expecting.tasks.take().into_iter().for_each(Waker::wake);
    }

    fn arrive(&self, id: BackendId, address: SocketAddr, arrival: Arrival, by: &str) {
        match arrival {
            Arrival::Start => {
                let wake: &mut dyn FnMut(u16) = &mut |waiter| self.reactor.wake(waiter);
                self.balancer.borrow_mut().set_placed(id, true, wake);
                self.note(id);
                log::info!("{} has the IP {} by {by}.", self.name(id), address.ip());
                return;
            }
            Arrival::Join => {
                self.balancer.borrow_mut().join(id, self.reactor.now_ms(), JOIN_RAMP_MS);
                self.wake_warmer();
            }
            Arrival::Change => self.start_slowly(id, true),
        }
        let why = format_args!("IP {} by {by}", address.ip());
        self.change(id, &why, |balancer, wake| balancer.set_placed(id, true, wake));
    }

    /// The value of the affinity cookie that follows from the address, where it does.
    fn dynamic_cookie(&self, id: BackendId, address: SocketAddr) -> Option<Box<str>> {
        let config = self.config();
        let backend = &config.backends[id.index()];
        let cookie = config.pools[backend.pool.index()].cookie.as_ref().filter(|_| backend.dynamic_cookie)?;
        Some(dynamic::value(cookie.dynamic_key.as_ref()?.as_bytes(), address).as_str().into())
    }
}
