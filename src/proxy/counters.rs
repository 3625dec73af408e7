//! What is counted: bytes and statuses, failures, where users were led, how many there are.

use super::Counted;
use crate::fault::{Fault, Phase};
use std::cell::Cell;

/// Bytes and statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came from clients.
    pub received: u64,
    /// Bytes that went to clients.
    pub sent: u64,
    /// Responses by the first digit of their status; at 0 the others, connections without requests among them.
    pub statuses: [u64; 6],
}

/// What went wrong, or was prevented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Requests that a rule, a rate or a limit of clients refused.
    pub denied: u64,
    /// Of them, those that came too fast or from a client that did too much wrong.
    pub limited: u64,
    /// Requests that could not be read.
    pub malformed: u64,
    /// Requests that beelance answered itself, as a rule says.
    pub answered: u64,
    /// Requests that found no connection: none could be made, nobody was up, or no slot in time.
    pub connect: u64,
    /// Responses that did not come, or broke a rule.
    pub response: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Retries that the budget refused.
    pub unpaid: u64,
    /// Requests that went to another backend than the one they were for.
    pub redispatches: u64,
    /// Exchanges that the client broke off.
    pub client_aborts: u64,
    /// Responses that the backend broke off.
    pub server_aborts: u64,
    /// Requests that waited for a slot.
    pub waited: u64,
}

/// Where users were led, in pools that keep them on their backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loyalty {
    /// Requests that went where their user belongs.
    pub hits: u64,
    /// Requests that had to go elsewhere.
    pub moved: u64,
    /// Requests of users that belonged nowhere.
    pub new: u64,
}

/// Connections to a server, or to those of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// Attempts to make one.
    pub(super) attempts: u64,
    /// Exchanges on one that was made for them; the others had one that had served before.
    pub(super) fresh: u64,
}

/// How many of something there are, were at most, and have been.
#[derive(Debug, Default)]
pub(super) struct Headcount {
    now: Cell<usize>,
    most: Cell<usize>,
    total: Cell<u64>,
}

impl Headcount {
    /// Another one, for as long as what is returned lives.
    #[inline(always)]
    pub(super) fn enter(&self) -> Counted<'_> {
        self.note();
        Counted::new(&self.now)
    }

    /// Another one, until [`Headcount::leave`].
    pub(super) fn arrive(&self) {
        self.note();
        self.now.set(self.now.get() + 1);
    }

    pub(super) fn leave(&self) {
        self.now.set(self.now.get() - 1);
    }

    #[inline(always)]
    fn note(&self) {
        self.total.set(self.total.get() + 1);
        if self.now.get() >= self.most.get() {
            self.most.set(self.now.get() + 1);
        }
    }

    pub(super) fn now(&self) -> usize {
        self.now.get()
    }

    pub(super) fn most(&self) -> usize {
        self.most.get()
    }

    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }

    pub(super) fn clear(&self, all: bool) {
        self.most.set(self.now.get());
        if all {
            self.total.set(0);
        }
    }
}

impl Traffic {
    #[inline(always)]
    pub(super) fn add(&mut self, status: u16, received: u64, sent: u64) {
        self.received += received;
        self.sent += sent;
        if (200..300).contains(&status) {
            self.statuses[2] += 1;
        } else {
            self.add_other(status);
        }
    }

    pub(super) fn add_other(&mut self, status: u16) {
        let class = usize::from(status / 100);
        self.statuses[if class < self.statuses.len() { class } else { 0 }] += 1;
    }

    /// Both together.
    pub(super) fn plus(&mut self, other: &Self) {
        self.received += other.received;
        self.sent += other.sent;
        self.statuses.iter_mut().zip(other.statuses).for_each(|(sum, other)| *sum += other);
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let mut grown = *self;
        grown.received -= before.received;
        grown.sent -= before.sent;
        grown.statuses.iter_mut().zip(before.statuses).for_each(|(now, before)| *now -= before);
        grown
    }

    /// Exchanges.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.statuses.iter().sum()
    }
}

impl Loyalty {
    /// Both together.
    pub fn plus(&mut self, other: &Self) {
        self.hits += other.hits;
        self.moved += other.moved;
        self.new += other.new;
    }
}

impl Links {
    /// Both together.
    pub(super) fn plus(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.fresh += other.fresh;
    }
}

impl Failures {
    /// Both together.
    pub(super) fn plus(&mut self, other: &Self) {
        self.denied += other.denied;
        self.limited += other.limited;
        self.malformed += other.malformed;
        self.answered += other.answered;
        self.connect += other.connect;
        self.response += other.response;
        self.retries += other.retries;
        self.unpaid += other.unpaid;
        self.redispatches += other.redispatches;
        self.client_aborts += other.client_aborts;
        self.server_aborts += other.server_aborts;
        self.waited += other.waited;
    }

    /// An exchange ended like this.
    pub(super) fn note(&mut self, fault: Fault, phase: Phase) {
        match fault {
            Fault::Denied(_) => self.denied += 1,
            Fault::TooFast(_) | Fault::Barred(_) => {
                self.denied += 1;
                self.limited += 1;
            }
            Fault::Refused(_) => self.malformed += 1,
            Fault::ClientGone | Fault::ClientSilent if phase == Phase::Request => self.malformed += 1,
            Fault::ClientGone | Fault::ClientSilent => self.client_aborts += 1,
            Fault::QueueTimeout
            | Fault::QueueFull
            | Fault::NoBackend
            | Fault::ConnectFailed
            | Fault::ConnectTimeout => {
                self.connect += 1;
            }
            Fault::BackendGone | Fault::BackendSilent | Fault::BackendMalformed(_) if phase == Phase::Data => {
                self.server_aborts += 1;
            }
            Fault::BackendGone | Fault::BackendSilent | Fault::BackendMalformed(_) | Fault::Retried(_) => {
                self.response += 1;
            }
            Fault::Answered(_) | Fault::Monitored(_) | Fault::Redirected => self.answered += 1,
            Fault::Exhausted | Fault::Shed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        let mut traffic = Traffic::default();
        for status in [0, 99, 101, 200, 299, 304, 404, 429, 502, 600, u16::MAX] {
            traffic.add(status, 10, 100);
        }
        assert_eq!(traffic, Traffic { received: 110, sent: 1_100, statuses: [4, 1, 2, 1, 2, 1] });
        assert_eq!(traffic.exchanges(), 11);
        let mut both = traffic;
        both.plus(&traffic);
        assert_eq!(both.since(&traffic), traffic);
    }

    #[test]
    fn what_went_wrong_is_counted_once() {
        use crate::http::request::Refusal;
        let refused = Fault::Refused(Refusal { status: 400, reason: "" });
        let cases = [
            (refused, Phase::Request, Failures { malformed: 1, ..Failures::default() }),
            (Fault::ClientSilent, Phase::Request, Failures { malformed: 1, ..Failures::default() }),
            (Fault::ClientGone, Phase::Queue, Failures { client_aborts: 1, ..Failures::default() }),
            (Fault::Denied(403), Phase::Request, Failures { denied: 1, ..Failures::default() }),
            (Fault::TooFast(1), Phase::Request, Failures { denied: 1, limited: 1, ..Failures::default() }),
            (Fault::Answered(301), Phase::Request, Failures { answered: 1, ..Failures::default() }),
            (Fault::QueueTimeout, Phase::Queue, Failures { connect: 1, ..Failures::default() }),
            (Fault::ConnectFailed, Phase::Connect, Failures { connect: 1, ..Failures::default() }),
            (Fault::BackendSilent, Phase::Headers, Failures { response: 1, ..Failures::default() }),
            (Fault::BackendGone, Phase::Data, Failures { server_aborts: 1, ..Failures::default() }),
            (Fault::Shed, Phase::Request, Failures::default()),
        ];
        let mut all = Failures::default();
        for (fault, phase, expected) in cases {
            let mut failures = Failures::default();
            failures.note(fault, phase);
            assert_eq!(failures, expected, "{fault:?}");
            all.plus(&failures);
        }
        assert_eq!((all.denied, all.malformed, all.connect, all.limited), (2, 2, 2, 1));
    }

    #[test]
    fn a_headcount_knows_the_most() {
        let count = Headcount::default();
        let two = [count.enter(), count.enter()];
        drop(two);
        count.arrive();
        assert_eq!((count.now(), count.most(), count.total()), (1, 2, 3));
        count.clear(false);
        assert_eq!((count.now(), count.most(), count.total()), (1, 1, 3));
        count.leave();
        count.clear(true);
        assert_eq!((count.now(), count.most(), count.total()), (0, 0, 0));
    }
}
