//! Guards: a slot of a backend, and a place in a queue. Dropping one on any path gives it back.

use super::Proxy;
use crate::limits::BackendId;

/// A unit of a backend's `maxconn`, held by one request.
pub(super) struct Slot {
    proxy: &'static Proxy,
    /// The backend that works on the request.
    pub backend: BackendId,
}

impl Slot {
    /// Takes charge of a slot the balancer just gave.
    pub(super) fn held(proxy: &'static Proxy, backend: BackendId) -> Self {
        Self { proxy, backend }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let proxy = self.proxy;
        proxy.balancer.borrow_mut().release(self.backend, |waiter| proxy.reactor.wake(waiter));
    }
}

/// A place in a queue.
pub(super) struct Waiting {
    proxy: &'static Proxy,
    waiter: u16,
}

impl Waiting {
    /// Takes charge of a place the balancer just gave to `waiter`.
    pub(super) fn held(proxy: &'static Proxy, waiter: u16) -> Self {
        Self { proxy, waiter }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let proxy = self.proxy;
        proxy.balancer.borrow_mut().leave(self.waiter, |waiter| proxy.reactor.wake(waiter));
    }
}
