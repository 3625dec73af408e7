//! A shop server: a page, a session cookie of its own, a private session cache, and the database when that misses.

use super::cache::{Cache, SessionId};
use super::database;
use super::http::{Answer, Request, Response, Site};
use super::page::{Page, Source};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

/// The shop's session cookie, which has nothing to do with the balancer's.
const COOKIE: &str = "SHOP";
/// The path that asks the database every time, whatever the cache knows.
pub(super) const CHECKOUT: &str = "/checkout";

/// How often the session cache knew a session, and how often it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    pub hits: u64,
    pub misses: u64,
}

impl Stats {
    /// What `/stats` says.
    fn text(self) -> String {
        format!("hits {}\nmisses {}\n", self.hits, self.misses)
    }

    /// Reads what `/stats` said.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
            pairs.find(|(known, _)| *known == name)?.1.parse().ok()
        };
        Some(Self { hits: number("hits")?, misses: number("misses")? })
    }
}

/// One server.
pub(super) struct Shop {
    name: String,
    database: SocketAddr,
    cache: RefCell<Cache>,
    stats: Cell<Stats>,
    created: Cell<u32>,
}

impl Shop {
    /// A server with an empty cache.
    pub(super) fn new(name: &str, database: SocketAddr) -> Self {
        let (cache, stats) = (RefCell::default(), Cell::default());
        Self { name: name.to_owned(), database, cache, stats, created: Cell::new(0) }
    }

    /// The page for a request, and the cookie a new customer gets.
    async fn page(&self, request: &Request) -> Response {
        let (id, source) = match request.cookie(COOKIE).and_then(SessionId::parse) {
            None => (self.create(), Source::New),
            Some(id) if self.cache.borrow_mut().knows(&id) => (id, Source::Cache),
            Some(id) => (id, Source::Database),
        };
        let mut stats = self.stats.get();
        match source {
            Source::New => {}
            Source::Cache => stats.hits += 1,
            Source::Database => stats.misses += 1,
        }
        self.stats.set(stats);
        if (source == Source::Database || request.path == CHECKOUT)
            && database::look_up(self.database, &id).await.is_err()
        {
            return Response::text("503 Service Unavailable", "The session database does not answer.\n".into());
        }
        let set_cookie = (source == Source::New).then(|| format!("{COOKIE}={}; path=/; HttpOnly", id.as_str()));
        let body = Page { server: &self.name, session: id.as_str(), source, stats }.to_string();
        self.cache.borrow_mut().remember(id);
        Response { status: "200 OK", kind: "text/html; charset=utf-8", set_cookie, body }
    }

    /// A new session.
    fn create(&self) -> SessionId {
        self.created.set(self.created.get() + 1);
        // Forked processes may share the random state: the process id keeps their sessions apart.
        SessionId::new(RandomState::new().hash_one((std::process::id(), self.created.get())))
    }
}

impl Site for Shop {
    fn answer<'a>(&'a self, request: &'a Request) -> Answer<'a> {
        let ready = |response| -> Answer<'a> { Box::pin(std::future::ready(response)) };
        match request.path.as_str() {
            "/healthz" => ready(Response::text("200 OK", "fine\n".into())),
            "/stats" => ready(Response::text("200 OK", self.stats.get().text())),
            _ => Box::pin(self.page(request)),
        }
    }
}
