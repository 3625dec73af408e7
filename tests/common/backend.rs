//! A scripted backend: does what it is told, also what real software would not, and remembers all it got.
//!
//! A handler turns a request into [`Step`]s. The backend can hold requests, be stopped like a killed process and be
//! started again on its port. `/healthz` is answered apart: it is neither held, counted nor remembered.

pub use super::port::Port;
pub use super::request::Request;
pub use super::script::{Step, ok, ok_to, send};

use super::DEADLINE;
use super::memory::{Handler, Shared, State};
use super::peer::Peer;
use nix::sys::socket::shutdown;
use std::cell::Cell;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// A backend on a port of its own; it keeps the port while it is stopped.
pub struct Backend {
    shared: Arc<Shared>,
    port: Port,
    running: Option<(Arc<TcpListener>, JoinHandle<()>)>,
}

impl Backend {
    /// Calls `handler` with each complete request.
    pub fn start(handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::new(false, Box::new(handler), Port::take())
    }

    /// Calls `handler` as soon as a head is there; [`Step::ReadBody`] reads the body.
    pub fn at_head(handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::new(true, Box::new(handler), Port::take())
    }

    /// Answers everything with 200 and its name, `HEAD` without the name.
    pub fn named(name: &'static str) -> Self {
        Self::start(move |request| ok_to(request, name.as_bytes()))
    }

    /// The same, on this port.
    pub fn named_on(name: &'static str, port: Port) -> Self {
        Self::new(false, Box::new(move |request| ok_to(request, name.as_bytes())), port)
    }

    /// Answers every request with these steps.
    pub fn scripted(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone())
    }

    fn new(at_head: bool, handler: Box<Handler>, port: Port) -> Self {
        let shared = Arc::new(Shared::new(at_head, handler));
        let mut backend = Self { shared, port, running: None };
        backend.restart();
        backend
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// All requests so far, in the order of their heads' arrival (of their ends', unless made with `at_head`).
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    pub fn count(&self) -> usize {
        self.shared.lock().requests.len()
    }

    pub fn targets(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.target().to_owned()).collect()
    }

    /// The only request so far.
    #[track_caller]
    pub fn only(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request to the backend");
        requests.remove(0)
    }

    /// How many connections carried requests.
    pub fn connections(&self) -> usize {
        let mut numbers: Vec<_> = self.requests().iter().map(|request| request.connection).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }

    /// How many connections were accepted, probes' included.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Waits until so many connections are open.
    #[track_caller]
    pub fn wait_open(&self, count: usize) {
        self.wait(&format!("{count} open connections"), |state| state.streams.len() == count);
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().streams.len()
    }

    /// How many requests for `/healthz` came.
    pub fn probes(&self) -> usize {
        self.shared.lock().probes.len()
    }

    /// When each of them came.
    pub fn probe_times(&self) -> Vec<Instant> {
        self.shared.lock().probes.clone()
    }

    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight
    }

    /// The most requests there ever were at once.
    pub fn most_in_flight(&self) -> usize {
        self.shared.lock().most_in_flight
    }

    /// Bytes of replies the system took so far.
    pub fn sent(&self) -> u64 {
        self.shared.lock().sent
    }

    /// How often the peer left in the middle of a request or of a reply.
    pub fn left(&self) -> usize {
        self.shared.lock().left
    }

    /// Answers `/healthz` with this status from now on.
    pub fn set_health(&self, status: u16) {
        self.shared.change(|state| state.health = status);
    }

    /// Requests that come from now on wait for [`Self::release`] or [`Self::open`].
    pub fn hold(&self) {
        self.shared.change(|state| state.passes = state.tickets);
    }

    /// Waits until exactly so many that came since [`Self::hold`] wait.
    #[track_caller]
    pub fn wait_held(&self, count: u64) {
        self.wait(&format!("{count} held"), |state| state.tickets.checked_sub(state.passes) == Some(count));
    }

    /// Lets the `count` requests go that wait longest.
    pub fn release(&self, count: usize) {
        self.shared.change(|state| state.passes = state.passes.saturating_add(count as u64));
    }

    /// Lets all go.
    pub fn open(&self) {
        self.shared.change(|state| state.passes = u64::MAX);
    }

    /// Waits until so many requests have come altogether.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) {
        self.wait(&format!("{count} requests"), |state| state.requests.len() >= count);
    }

    /// Waits until exactly so many are in flight.
    #[track_caller]
    pub fn wait_in_flight(&self, count: usize) {
        self.wait(&format!("{count} in flight"), |state| state.in_flight == count);
    }

    /// Waits until so many more probes have come.
    #[track_caller]
    pub fn wait_more_probes(&self, count: usize) {
        let wanted = self.probes() + count;
        self.wait(&format!("{count} more probes"), |state| state.probes.len() >= wanted);
    }

    /// Waits until the peer has left so often.
    #[track_caller]
    pub fn wait_left(&self, count: usize) {
        self.wait(&format!("the peer left {count} times"), |state| state.left >= count);
    }

    #[track_caller]
    fn wait(&self, what: &str, enough: impl Fn(&State) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut state = self.shared.lock();
        while !enough(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (count, in_flight) = (state.requests.len(), state.in_flight);
                drop(state);
                panic!("not within {DEADLINE:?}: {what}; there are {count} requests, {in_flight} in flight");
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Ends as a killed process does: listener and connections are closed at once. The number of requests in flight.
    pub fn stop(&mut self) -> usize {
        let Some((listener, thread)) = self.running.take() else { return 0 };
        // The listener first: nobody may find it open while the connections end, and the new epoch ends those that are held.
        let _ = shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let in_flight = self.shared.change(|state| {
            state.epoch += 1;
            std::mem::take(&mut state.in_flight)
        });
        let _ = thread.join();
        drop(listener);
        for (_, stream) in self.shared.lock().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        in_flight
    }

    /// Listens again on the same port.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "it was stopped");
        let listener = Arc::new(self.port.listener());
        let (shared, accepting) = (Arc::clone(&self.shared), Arc::clone(&listener));
        let epoch = shared.lock().epoch;
        let thread = std::thread::spawn(move || {
            loop {
                let accepted = accepting.accept();
                if shared.lock().epoch != epoch {
                    break;
                }
                let Ok((stream, _)) = accepted else { continue };
                let connection = shared.change(|state| {
                    state.streams.push((state.accepted, stream.try_clone().unwrap()));
                    state.accepted += 1;
                    state.accepted - 1
                });
                let (shared, counts) = (Arc::clone(&shared), Cell::new(false));
                let peer = Peer { stream, unread: Vec::new(), shared, epoch, connection, counts };
                std::thread::spawn(move || peer.serve());
            }
        });
        self.running = Some((listener, thread));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop();
        let problems = std::mem::take(&mut self.shared.lock().problems);
        if !std::thread::panicking() {
            assert!(problems.is_empty(), "the backend was sent what no backend should get: {problems:?}");
        }
    }
}
