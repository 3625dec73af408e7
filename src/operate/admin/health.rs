//! `/readyz`: whether requests find a server here.

use crate::limits::PoolId;
use crate::operate::text::Text;
use crate::proxy::Proxy;

/// Why it is not ready, told piece by piece.
pub(super) struct Ready {
    stopping: bool,
    /// Pools without a usable server.
    empty: std::vec::IntoIter<PoolId>,
    nothing_told: bool,
}

impl Ready {
    /// Whether `proxy` stops, or a pool has no usable server.
    pub(super) fn of(proxy: &Proxy) -> Self {
        let balancer = proxy.balancer.borrow();
        let mut empty = proxy.config().order.pools.clone();
        empty.retain(|&id| balancer.usable(id) == (0, 0));
        Self { stopping: proxy.is_stopping(), empty: empty.into_iter(), nothing_told: true }
    }

    /// 200, or 503.
    pub(super) fn status(&self) -> u16 {
        if self.stopping || !self.empty.as_slice().is_empty() { 503 } else { 200 }
    }

    /// Writes the next piece; whether there is another.
    pub(super) fn piece(&mut self, proxy: &Proxy, out: &mut Text<'_>) -> bool {
        if std::mem::take(&mut self.stopping) {
            out.bytes(b"stopping\n");
        } else if let Some(id) = self.empty.next() {
            for part in ["pool ", &proxy.config().pools[id.index()].name, " has no server available\n"] {
                out.bytes(part.as_bytes());
            }
        } else if self.nothing_told {
            out.bytes(b"ready\n");
        }
        self.nothing_told = false;
        !self.empty.as_slice().is_empty()
    }
}
