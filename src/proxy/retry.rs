//! Another attempt for a request whose last one failed: whether, and where.
//!
//! The rules are HAProxy's: who is bound to a backend tries it again, after a rest, and goes elsewhere with the last
//! attempt; who is free goes elsewhere at once. What HAProxy lacks is the budget: see [`crate::balance::Budget`].

use super::ask::Ask;
use super::connection::Connection;
use super::exchange::Exchange;
use super::obtain::{Held, Placed};
use super::slot::Slot;
use crate::balance::{Failed, Seen};
use crate::fault::Fault;
use crate::limits::BackendId;

/// Which attempt it is to be.
pub(super) enum Attempt {
    /// The first, as far as it goes without waiting.
    First(Placed),
    /// A reused connection gave nothing back: a fresh one to the same backend, with the slot.
    Fresh(Slot),
    /// The same backend once more.
    Same(Slot),
    /// Another one than this.
    Elsewhere(BackendId),
}

impl Connection {
    /// Whether there may be another attempt after this failure. A retry that failed too is paid for now.
    pub(super) fn may_retry(&self, exchange: &mut Exchange, ask: &Ask, failed: Failed) -> bool {
        let proxy = self.proxy;
        let pool = &proxy.config().pools[ask.pool.index()];
        let now_ms = proxy.reactor.now_ms();
        let mut budget = proxy.budgets[ask.pool.index()].borrow_mut();
        if std::mem::take(&mut exchange.owes_retry) {
            budget.pay(now_ms);
        }
        let wanted = pool.retry_on.takes(failed)
            && exchange.record.retries < pool.retries
            && (failed == Failed::Connection || exchange.is_replayable(ask));
        let paid = wanted && budget.allows(now_ms);
        if wanted && !paid {
            proxy.happened(ask.pool, exchange.record.backend, |failures| failures.unpaid += 1);
        }
        paid
    }

    /// The next attempt, after one with `slot` failed: counts it, and pays if the request had reached the backend.
    pub(super) fn next_attempt(&self, exchange: &mut Exchange, ask: &Ask, failed: Failed, slot: Slot) -> Attempt {
        let proxy = self.proxy;
        let pool = &proxy.config().pools[ask.pool.index()];
        exchange.record.retries += 1;
        proxy.happened(ask.pool, Some(slot.backend), |failures| failures.retries += 1);
        match failed {
            Failed::Connection => exchange.owes_retry = true,
            Failed::Empty | Failed::Timeout | Failed::Status(_) => {
                proxy.budgets[ask.pool.index()].borrow_mut().pay(proxy.reactor.now_ms());
                exchange.start_again();
            }
        }
        let id = slot.backend;
        let last = exchange.record.retries == pool.retries;
        let bound = ask.bond.backend() == Some(id);
        if pool.redispatch && (last || !bound) { Attempt::Elsewhere(id) } else { Attempt::Same(slot) }
    }

    /// What is to be done about a fault of an exchange: the next attempt, or none.
    pub(super) fn after_fault(
        &self,
        exchange: &mut Exchange,
        ask: &Ask,
        held: &mut Option<Held>,
        fault: Fault,
    ) -> Option<Attempt> {
        let failed = match fault {
            // The backend closed the idle connection just as it was taken: that says nothing about the backend.
            Fault::BackendGone if exchange.is_stale(ask, held.as_ref()) => {
                exchange.record.retries += 1;
                self.proxy.happened(ask.pool, exchange.record.backend, |failures| failures.retries += 1);
                exchange.start_again();
                return held.take().map(|stale| Attempt::Fresh(stale.slot));
            }
            // It was asked before the response was dropped.
            Fault::Retried(status) => {
                let Held { slot, .. } = held.take()?;
                return Some(self.next_attempt(exchange, ask, Failed::Status(status), slot));
            }
            Fault::BackendGone if exchange.response.moved == 0 => Some(Failed::Empty),
            Fault::BackendSilent => Some(Failed::Timeout),
            Fault::BackendGone | Fault::BackendMalformed(_) => None,
            Fault::ClientGone
            | Fault::ClientSilent
            | Fault::Refused(_)
            | Fault::QueueTimeout
            | Fault::QueueFull
            | Fault::NoBackend
            | Fault::ConnectFailed
            | Fault::ConnectTimeout
            | Fault::Exhausted
            | Fault::Answered(_)
            | Fault::Monitored(_)
            | Fault::Denied(_)
            | Fault::Redirected
            | Fault::Shed
            | Fault::TooFast(_)
            | Fault::Barred(_) => return None,
        };
        if exchange.is_answered() {
            return None;
        }
        let id = held.as_ref()?.slot.backend;
        self.proxy.saw(id, Seen::Broken);
        let failed = failed.filter(|&failed| exchange.can_reply() && self.may_retry(exchange, ask, failed))?;
        // The connection is closed: it may still send what nobody wants.
        let Held { slot, .. } = held.take()?;
        Some(self.next_attempt(exchange, ask, failed, slot))
    }
}

impl Exchange {
    /// Whether the request can go again, to a fresh connection, after a reused one gave nothing back.
    fn is_stale(&self, ask: &Ask, held: Option<&Held>) -> bool {
        held.is_some_and(|held| held.reused) && self.is_replayable(ask) && self.response.moved == 0
    }

    fn start_again(&mut self) {
        self.request.rewind();
        self.hear_again();
    }
}
