//! A shop server: W workers, fewer processors, a session cache of its own, and the database for what that does not know.
//!
//! A request takes a worker and keeps it to its end. With the session at hand a processor makes the page; each other request
//! that has a worker makes that slower. A session that is not at hand is read from the database first, and built up again by
//! the processor.

use crate::http::{Kept, Request, Response, Site};
use crate::machine::{Places, slowed};
use crate::parameters::Parameters;
use crate::random::Random;
use async_io::Timer;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The shop's own session cookie.
const COOKIE: &str = "SHOP";

/// A server, and what it did so far.
pub(crate) struct Server {
    name: String,
    workers: Places,
    processors: Places,
    database: Kept,
    is_connected: Cell<bool>,
    cache: RefCell<Cache>,
    random: Random,
    figures: Figures,
    parameters: Parameters,
}

/// What `/stats` says.
#[derive(Default)]
struct Figures {
    requests: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    in_flight: Cell<u64>,
    most_in_flight: Cell<u64>,
}

impl Server {
    /// One with an empty cache.
    pub(crate) fn new(name: &str, parameters: Parameters, database: SocketAddr, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            workers: Places::new(parameters.server_workers),
            processors: Places::new(parameters.server_processors),
            database: Kept::new(database),
            is_connected: Cell::new(false),
            cache: RefCell::new(Cache { most: parameters.server_sessions, ..Cache::default() }),
            random: Random::new(seed),
            figures: Figures::default(),
            parameters,
        }
    }

    /// Opens its connections to the database; asked for once, before the first user.
    async fn connect(&self) -> Response {
        if !self.is_connected.replace(true) {
            let opened = self.database.open(self.parameters.server_workers).await;
            if opened.is_err() || self.database.ask("/connected").await.is_err() {
                return Response { status: 503, ..Response::default() };
            }
        }
        Response::good("ready".into())
    }

    async fn page(&self, request: &Request) -> Response {
        let _worker = self.workers.take().await;
        let asked = request.cookie(COOKIE).map(str::to_owned);
        let is_known = asked.as_ref().is_some_and(|id| self.cache.borrow_mut().knows(id));
        let is_new = asked.is_none();
        let id = asked.unwrap_or_else(|| format!("{:016x}", self.random.next()));
        let counter = if is_known { &self.figures.hits } else { &self.figures.misses };
        counter.set(counter.get() + 1);
        if !is_known && self.database.ask(&format!("/session/{id}")).await.is_err() {
            return Response { status: 503, body: "The database does not answer.".into(), ..Response::default() };
        }
        let kind = request.path.as_bytes().get(1).map_or(0, |digit| usize::from(digit.saturating_sub(b'0')));
        let page = self.parameters.pages.get(kind).map_or(Duration::ZERO, |page| page.work);
        let rebuild = if is_known { Duration::ZERO } else { self.parameters.server_rebuild };
        {
            let _processor = self.processors.take().await;
            let alone = self.random.around(page + rebuild, self.parameters.spread);
            Timer::after(slowed(alone, self.parameters.server_contention, self.workers.taken())).await;
        }
        self.cache.borrow_mut().remember(&id);
        let how = if is_known { "hit" } else { "miss" };
        let set_cookies = if is_new { vec![format!("{COOKIE}={id}; path=/; HttpOnly")] } else { Vec::new() };
        Response { status: 200, set_cookies, body: format!("{} {how}", self.name) }
    }

    fn stats(&self) -> Response {
        let Figures { requests, hits, misses, most_in_flight, .. } = &self.figures;
        let [requests, hits, misses, most] = [requests, hits, misses, most_in_flight].map(Cell::get);
        Response::good(format!(
            "{{\"requests\":{requests},\"hits\":{hits},\"misses\":{misses},\"most_in_flight\":{most}}}"
        ))
    }
}

impl Site for Server {
    async fn answer(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/stats" => return self.stats(),
            "/ready" => return self.connect().await,
            _ => {}
        }
        let Figures { requests, in_flight, most_in_flight, .. } = &self.figures;
        requests.set(requests.get() + 1);
        in_flight.set(in_flight.get() + 1);
        most_in_flight.set(most_in_flight.get().max(in_flight.get()));
        let response = self.page(request).await;
        in_flight.set(in_flight.get() - 1);
        response
    }
}

/// The sessions a server knows; the one that was not used for longest goes first.
#[derive(Default)]
struct Cache {
    most: usize,
    uses: u64,
    /// Each with its last use.
    sessions: HashMap<String, u64>,
}

impl Cache {
    fn knows(&mut self, id: &str) -> bool {
        self.uses += 1;
        let found = self.sessions.get_mut(id);
        found.map(|used| *used = self.uses).is_some()
    }

    fn remember(&mut self, id: &str) {
        if self.knows(id) {
            return;
        }
        if self.sessions.len() >= self.most {
            let oldest = self.sessions.iter().min_by_key(|(_, used)| **used).map(|(id, _)| id.clone());
            oldest.map(|oldest| self.sessions.remove(&oldest));
        }
        self.sessions.insert(id.to_owned(), self.uses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_forgets_what_was_not_used_for_longest() {
        let mut cache = Cache { most: 2, ..Cache::default() };
        cache.remember("a");
        cache.remember("b");
        assert!(cache.knows("a"));
        cache.remember("c");
        assert_eq!(["a", "b", "c"].map(|id| cache.knows(id)), [true, false, true]);
    }
}
