//! What all of it drew so far, by the watts that the configuration gives (`power.*`).
//!
//! A board's power hardly depends on its load, nor does that of most servers while nobody needs them: so power times time is
//! what is told, and not more than that. Watts that change with a reload count from the start as they are now.

use crate::proxy::Proxy;

/// Energy, in millijoules.
pub(super) struct Energy {
    /// The machine that beelance runs on.
    pub board_mj: u64,
    /// All servers while they were there and not down; nothing without `power.server`.
    pub servers_mj: Option<u64>,
}

impl Energy {
    /// Since the start.
    pub(super) fn of(proxy: &Proxy) -> Self {
        let power = &proxy.config().power;
        Self {
            board_mj: energy_mj(power.board_mw, proxy.reactor.now_ms()),
            servers_mj: power.server_mw.map(|mw| energy_mj(mw, proxy.servers_up_ms())),
        }
    }
}

fn energy_mj(mw: u64, ms: u64) -> u64 {
    mw.saturating_mul(ms) / 1000
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
