//! What a backend remembers: requests, connections, who is in flight; all its connections share it.

use super::request::Request;
use super::script::Step;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// Turns a request into what is done with it.
pub type Handler = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

/// What changes.
#[derive(Default)]
pub struct State {
    pub requests: Vec<Request>,
    pub accepted: usize,
    /// When each request for `/healthz` came.
    pub probes: Vec<Instant>,
    /// The status that `/healthz` is answered with.
    pub health: u16,
    pub in_flight: usize,
    pub most_in_flight: usize,
    /// Requests that came, and those of them that may pass.
    pub tickets: u64,
    pub passes: u64,
    /// Counts the stops: a connection of an earlier epoch ends.
    pub epoch: usize,
    /// Those that are open, by the numbers of their connections.
    pub streams: Vec<(usize, TcpStream)>,
    pub sent: u64,
    pub left: usize,
    pub problems: Vec<String>,
}

/// What the threads of one backend have in common.
pub struct Shared {
    state: Mutex<State>,
    pub changed: Condvar,
    pub handler: Box<Handler>,
    pub at_head: bool,
}

impl Shared {
    /// Healthy, with nothing to remember, and every request may pass.
    pub fn new(at_head: bool, handler: Box<Handler>) -> Self {
        let state = State { health: 200, passes: u64::MAX, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), handler, at_head }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn change<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        let answer = what(&mut self.lock());
        self.changed.notify_all();
        answer
    }
}
