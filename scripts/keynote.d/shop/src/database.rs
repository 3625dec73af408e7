//! The session database: D calls at once, the rest wait; each connection that is open makes every call a little slower, for
//! each call looks through what the others hold.

use crate::http::{Request, Response, Site};
use crate::machine::{Places, slowed};
use crate::parameters::Parameters;
use crate::random::Random;
use async_io::Timer;
use std::cell::Cell;

/// It, and what it did so far.
pub(crate) struct Database {
    workers: Places,
    random: Random,
    calls: Cell<u64>,
    most_at_once: Cell<usize>,
    callers: Cell<usize>,
    parameters: Parameters,
}

impl Database {
    /// One that nobody called yet.
    pub(crate) fn new(parameters: Parameters, seed: u64) -> Self {
        let workers = Places::new(parameters.database_workers);
        let (random, calls) = (Random::new(seed), Cell::new(0));
        Self { workers, random, calls, most_at_once: Cell::new(0), callers: Cell::new(0), parameters }
    }
}

impl Site for Database {
    async fn answer(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/stats" => {
                let (calls, most, callers) = (self.calls.get(), self.most_at_once.get(), self.callers.get());
                return Response::good(format!("{{\"calls\":{calls},\"most_at_once\":{most},\"callers\":{callers}}}"));
            }
            // A server says how many connections it keeps: its workers have one each.
            "/connected" => {
                self.callers.set(self.callers.get() + self.parameters.server_workers);
                return Response::good(String::new());
            }
            _ => {}
        }
        self.calls.set(self.calls.get() + 1);
        self.most_at_once.set(self.most_at_once.get().max(1 + self.workers.taken() + self.workers.waiting()));
        let _worker = self.workers.take().await;
        let Parameters { database_call, database_contention, spread, .. } = self.parameters;
        let alone = self.random.around(database_call, spread);
        Timer::after(slowed(alone, database_contention, self.callers.get())).await;
        Response::good("known".into())
    }
}
