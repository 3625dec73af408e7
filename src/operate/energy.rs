//! What all of it drew so far, by the watts that the configuration gives (`power.*`).
//!
//! A board's power hardly depends on its load, nor does that of most servers while nobody needs them: so power times time is
//! what is told, and not more than that. What changes with a reload counts from the start as it is now.

use crate::limits::BackendId;
use crate::proxy::Proxy;

/// Energy, in millijoules.
pub(super) struct Energy {
    /// The machine that beelance runs on.
    pub board_mj: u64,
    /// All servers while they were not down; nothing without `power.server`.
    pub servers_mj: Option<u64>,
}

impl Energy {
    /// Since the start.
    pub(super) fn of(proxy: &Proxy) -> Self {
        let (config, seconds) = (proxy.config(), proxy.reactor.now_ms() / 1000);
        let up = |&id: &BackendId| seconds.saturating_sub(proxy.backend_stats(id).down_ms / 1000);
        let servers_mj = config.power.server_mw.map(|mw| {
            let up: u64 = config.order.backends.iter().map(up).sum();
            mw.saturating_mul(up)
        });
        Self { board_mj: config.power.board_mw.saturating_mul(seconds), servers_mj }
    }
}

/// Joules that a million requests take, when so many took `mj` millijoules; nothing without any.
pub(super) fn per_million(mj: u64, requests: u64) -> Option<u64> {
    mj.saturating_mul(1000).checked_div(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_requests() {
        // 0.7 W for 1,000 s, 500 requests a second.
        assert_eq!(per_million(700 * 1000, 500_000), Some(1_400));
        assert_eq!(per_million(700, 0), None);
        assert_eq!(per_million(u64::MAX, 1), Some(u64::MAX));
    }
}
