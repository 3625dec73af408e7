//! Telling what others can cause again and again, within the bounds of [`super::repeats`].

use super::Proxy;
use super::rates::KEYS;
use super::repeats::{About, Kind, LeftOut};
use crate::balance::Admin;
use crate::limits::{BackendId, PoolId};
use log::Level;

impl Proxy {
    /// Whether a line that somebody else caused may be told now. If not, it is told later how many there were.
    #[cold]
    #[inline(never)]
    pub fn may_tell(&self, about: About) -> bool {
        let owed = self.repeats.owes();
        let may = self.repeats.may(about, self.reactor.now_ms(), &mut |left_out| self.tell_of(left_out));
        if !owed && self.repeats.owes() {
            self.wake_warmer();
        }
        may
    }

    /// An operator changes this server: what follows is told in any case.
    #[cold]
    #[inline(never)]
    pub fn tell_freely(&self, id: BackendId) {
        let pool = self.config().backends[id.index()].pool;
        for about in [About::server(id), About::address(id), About::pool(pool)] {
            if let Some(left_out) = self.repeats.empty(about, self.reactor.now_ms()) {
                self.tell_of(left_out);
            }
        }
    }

    /// Tells what was left out if it is time to, where nothing more comes; when it will be.
    pub(super) fn tell_in_time(&self, now_ms: u64) -> u64 {
        self.repeats.leak(now_ms, &mut |left_out| self.tell_of(left_out));
        self.repeats.due_ms()
    }

    /// Tells what was left out, without waiting for its time: what it is about changes, or this is the end.
    #[cold]
    #[inline(never)]
    pub fn tell_what_is_left_out(&self) {
        if self.repeats.owes() {
            self.repeats.tell_all(self.reactor.now_ms(), 0, &mut |left_out| self.tell_of(left_out));
        }
    }

    /// Lines that ever were left out.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.repeats.left_out()
    }

    /// How things are now, and how many lines about them were left out.
    #[cold]
    #[inline(never)]
    fn tell_of(&self, LeftOut { about, count, seconds }: LeftOut) {
        let (kind, at) = about.parts();
        let (config, balancer) = (self.config(), self.balancer.borrow());
        let id = BackendId::new(at).unwrap_or(BackendId(0));
        let is_of_server = matches!(kind, Kind::Server | Kind::Address);
        let server = if is_of_server { self.name(id) } else { String::new() };
        let ip = if kind == Kind::Address { self.ip(id).map(|ip| ip.to_string()) } else { None };
        let (before, name, now, more) = match kind {
            Kind::Server => {
                let admin = match balancer.admin(id) {
                    Admin::Ready => "",
                    Admin::Drain => ", in DRAIN state",
                    Admin::Maint => ", in MAINT",
                };
                ("Server ", &*server, if balancer.is_healthy(id) { " is UP now" } else { " is DOWN now" }, admin)
            }
            Kind::Address => match &ip {
                Some(ip) => ("", &*server, " now has the IP ", &**ip),
                None => ("", &*server, " now has no IP", ""),
            },
            Kind::Pool => {
                let usable = PoolId::new(at).is_some_and(|pool| balancer.usable(pool) != (0, 0));
                let has = if usable { " has a server available now" } else { " has no server available now" };
                ("pool ", &*config.pools[at].name, has, "")
            }
            Kind::Listener => ("listener ", &*config.listeners[at].name, ": accept failed", ""),
            Kind::Closed => ("closed by ", KEYS[at], "", ""),
            Kind::Tokens => ("admin listener: wrong tokens", "", "", ""),
        };
        let level = if kind == Kind::Closed { Level::Debug } else { Level::Warn };
        log::log!(
            level,
            "{before}{name}{now}{more}; lines like this one that were left out in the last {seconds} s: {count}."
        );
    }
}
