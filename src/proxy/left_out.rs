//! Telling what others can cause again and again, within the bounds of [`super::repeats`].

use super::Proxy;
use super::rates::KEYS;
use super::repeats::{About, Kind, LeftOut};
use crate::balance::Admin;
use crate::limits::{BackendId, PoolId};
use crate::runtime::Seat;
use log::Level;

impl Proxy {
    /// Whether a line that somebody else caused may be told now. If not, it is told later how many there were.
    #[cold]
    #[inline(never)]
    pub fn may_tell(&self, about: About) -> bool {
        let owed = self.repeats.owes();
        let may = self.repeats.may(about, self.reactor.now_ms(), &mut |left_out| self.tell_of(left_out));
        if !owed
            && self.repeats.owes()
            && let Some(teller) = self.teller.get()
        {
            self.reactor.wake(teller);
        }
        may
    }

    /// An operator changes this server: what follows is told in any case.
    pub fn tell_freely(&self, id: BackendId) {
        let pool = self.config().backends[id.index()].pool;
        for about in [About::server(id), About::address(id), About::pool(pool)] {
            self.repeats.empty(about, self.reactor.now_ms()).into_iter().for_each(|left_out| self.tell_of(left_out));
        }
    }

    /// Tells what was left out, without waiting for its time: what it is about changes, or this is the end.
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
    fn tell_of(&self, LeftOut { about, count, seconds }: LeftOut) {
        let (kind, at) = about.parts();
        let config = self.config();
        let id = BackendId::new(at).unwrap_or(BackendId(0));
        let now = match kind {
            Kind::Server => {
                let balancer = self.balancer.borrow();
                let up = if balancer.is_healthy(id) { "UP" } else { "DOWN" };
                let admin = match balancer.admin(id) {
                    Admin::Ready => "",
                    Admin::Drain => " in DRAIN state",
                    Admin::Maint => " in MAINT",
                };
                format!("Server {} is {up}{admin} now", self.name(id))
            }
            Kind::Address => match self.ip(id) {
                Some(ip) => format!("{} has the IP {ip} now", self.name(id)),
                None => format!("{} has no IP now", self.name(id)),
            },
            Kind::Pool => {
                let usable = PoolId::new(at).is_some_and(|pool| self.balancer.borrow().usable(pool) != (0, 0));
                let has = if usable { "a server" } else { "no server" };
                format!("pool {} has {has} available now", config.pools[at].name)
            }
            Kind::Listener => format!("listener {}: accept failed", config.listeners[at].name),
            Kind::Closed => format!("closed by {}", KEYS[at]),
            Kind::Tokens => "admin listener: wrong tokens".to_owned(),
        };
        let level = if kind == Kind::Closed { Level::Debug } else { Level::Warn };
        log::log!(level, "{now}; lines like this one that were left out in the last {seconds} s: {count}.");
    }
}

/// The task that tells what was left out where nothing more comes. Sleeps while nothing is.
pub async fn tell_left_out(proxy: &'static Proxy) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    proxy.teller.set(Some(seat.index()));
    loop {
        let _ = seat.pause(proxy.repeats.due_ms()).await;
        proxy.repeats.leak(proxy.reactor.now_ms(), &mut |left_out| proxy.tell_of(left_out));
    }
}
