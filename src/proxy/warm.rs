//! The task that gives backends on their way up more and more, step by step (`pool.N.slowstart`), and tells what was left out of the
//! log ([`super::left_out`]): both now and then, and mostly not at all.

use super::Proxy;
use crate::runtime::{NEVER, Seat};

/// Sleeps while no backend is on its way up, and nothing is to be told.
pub async fn warm_up(proxy: &'static Proxy) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    proxy.warmer.set(Some(seat.index()));
    loop {
        let now_ms = proxy.reactor.now_ms();
        let next_ms = proxy.balancer.borrow_mut().advance(now_ms, |waiter| proxy.reactor.wake(waiter));
        let tell_ms = proxy.tell_in_time(now_ms);
        let _ = seat.pause(next_ms.unwrap_or(NEVER).min(tell_ms)).await;
    }
}
