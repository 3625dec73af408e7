//! A connection of a listener with `mode = tcp`, top to bottom: obtain a backend, pass the bytes on, log.
//!
//! It wants its backend at once, whatever the client sends or does not: the server may be the one to speak first. Nothing
//! is received before the backend is there, so a connection that waits for one holds no bytes but in the kernel. The
//! rest is a tunnel's: both directions, half-closes, resets, `timeout.tunnel`. Until a byte moves, it is one of those that
//! make room ([`super::shed`]): who says nothing costs a place, and must not keep others out.

use super::affinity::{Bond, Client};
use super::ask::{Ask, key_of_source};
use super::connection::Connection;
use super::exchange::Exchange;
use super::record::Named;
use super::rules::Rule;
use crate::config::Config;
use crate::fault::{Fault, Phase};
use crate::http::request::{Method, Version};
use crate::limits::{ListenerId, PoolId};

/// The pool that a connection wants a backend of, what binds it there, and what it is hashed by: all that is known is who
/// its client is, and where it came in.
pub(super) fn wanted(who: &Client<'_>, config: &Config, listener: ListenerId) -> (PoolId, Bond, Option<u32>) {
    let id = config.listeners[listener.index()].pool;
    let pool = &config.pools[id.index()];
    (id, Bond::of_source(who, id, pool), key_of_source(pool, who.peer.map(|peer| peer.ip())))
}

impl Connection {
    /// Whether all that comes is to be passed on as it is, from now on.
    pub(super) fn is_to_be_relayed(&self) -> bool {
        self.relays && self.introduced
    }

    /// Carries the connection until it is over.
    pub(super) async fn relay(&mut self, exchange: &mut Exchange) {
        // It stays among those that make room, until the first byte moves.
        exchange.record = self.record();
        exchange.record.headed_ms = Some(exchange.record.began_ms);
        exchange.record.fault = self.carry(exchange).await.err();
        self.proxy.judge_relayed(exchange.record.fault);
        let record = &mut exchange.record;
        if let Some(fault) = record.fault {
            log::debug!("{}: {fault:?} in {:?}", Named(self.peer), record.phase);
        }
        record.bytes = exchange.response.total;
        self.proxy.relayed(record, exchange.request.total);
        if let Some(journal) = self.proxy.journal.get() {
            journal.write_connection(self.proxy, record);
        }
    }

    async fn carry(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        let proxy = self.proxy;
        let ask = self.wants(&proxy.config());
        exchange.record.pool = Some(ask.pool);
        let _counted = proxy.pool_exchanges[ask.pool.index()].enter();
        proxy.budgets[ask.pool.index()].borrow_mut().count(proxy.reactor.now_ms());
        let mut held = None;
        if let Some(attempt) = self.obtain_at_once(&proxy.config(), exchange, &ask, &mut held)? {
            held = Some(self.obtain(exchange, &ask, attempt).await?);
        }
        exchange.record.phase = Phase::Data;
        exchange.request.begin_with(self.rest.take());
        exchange.response.begin_with(None);
        self.tunnel(exchange, &mut held).await
    }

    /// What it asks for.
    fn wants(&self, config: &Config) -> Ask {
        let who = Client { proxy: self.proxy, peer: &self.peer, is_guess: false };
        let (pool, bond, key) = wanted(&who, config, self.listener);
        Ask {
            pool,
            bond,
            key,
            class: 0,
            route: None,
            method: Method::Other,
            version: Version::Http11,
            keep_alive: false,
            rule: Rule::None,
            growth: 0,
        }
    }

    /// Why a client waits no longer for a backend: it left, or makes room. Not if it said something: that is at work, as a
    /// request is.
    pub(super) fn gives_up(&self, exchange: &Exchange) -> Option<Fault> {
        if self.client_left(exchange) {
            return Some(Fault::ClientGone);
        }
        if !self.awaiting.is_shed() {
            return None;
        }
        if self.has_nothing_to_say() {
            return Some(Fault::Shed);
        }
        self.awaiting.end();
        None
    }

    /// Whether a client without a backend yet, which will send no more, sent nothing at all. Of one that sent something
    /// this is the end of what it has to say, and it may wait for the answer.
    #[cold]
    pub(super) fn has_nothing_to_say(&self) -> bool {
        self.relays && self.rest.is_none() && !self.client.has_bytes()
    }
}
