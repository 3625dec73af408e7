//! The task that gives backends on their way up more and more, step by step (`pool.N.slowstart`).

use super::Proxy;
use crate::runtime::{NEVER, Seat};

/// Sleeps while no backend is on its way up.
pub async fn warm_up(proxy: &'static Proxy) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    proxy.warmer.set(Some(seat.index()));
    loop {
        let now_ms = proxy.reactor.now_ms();
        let next_ms = proxy.balancer.borrow_mut().advance(now_ms, |waiter| proxy.reactor.wake(waiter));
        let _ = seat.pause(next_ms.unwrap_or(NEVER)).await;
    }
}
