//! A scripted backend: does what it is told, also what real software would not, and remembers all it got.
//!
//! A handler turns a request into [`Step`]s. The backend can hold requests, be stopped like a killed process and be
//! started again on its port. `/healthz` is answered apart: it is neither held, counted nor remembered.

use super::{DEADLINE, eventually};
use nix::sys::socket::sockopt::{Linger, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt, shutdown, socket,
};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a backend does next on a connection. After the last step it waits for the next request.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes in as few segments as the system likes.
    Send(Vec<u8>),
    /// These bytes one by one, each in a segment of its own.
    Dribble(Vec<u8>),
    /// The request's body, when the handler was called at the head.
    ReadBody,
    /// An orderly end (FIN).
    Close,
    /// A reset (RST).
    Reset,
    /// Nothing, until the peer leaves.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The connection's number, from 0 in the order of accepting, connections without a request included.
    pub connection: usize,
    /// The request's number on its connection, from 0.
    pub index: usize,
    /// The raw head with its final empty line.
    pub head: String,
    /// The body without its chunks.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.line().split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// The header lines as they stand, without the final empty line.
    pub fn lines(&self) -> Vec<&str> {
        self.head.split("\r\n").skip(1).filter(|line| !line.is_empty()).collect()
    }

    /// The values of all lines of that name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.lines().into_iter().filter_map(|line| line.split_once(':'));
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The value of the first line of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    fn is_last(&self) -> bool {
        let close = self.all("connection").iter().any(|value| value.to_ascii_lowercase().contains("close"));
        close || self.line().ends_with("HTTP/1.0")
    }
}

type Handler = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

struct State {
    requests: Vec<Request>,
    accepted: usize,
    probes: usize,
    health: u16,
    in_flight: usize,
    most_in_flight: usize,
    /// Requests that came to the gate, and those of them that may pass.
    tickets: u64,
    passes: u64,
    /// Counts the stops: a connection of an earlier epoch ends.
    epoch: usize,
    streams: Vec<TcpStream>,
    sent: u64,
    left: usize,
    problems: Vec<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    handler: Box<Handler>,
    at_head: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        let answer = what(&mut self.lock());
        self.changed.notify_all();
        answer
    }
}

/// A backend on a port of its own; it keeps the port while it is stopped.
pub struct Backend {
    shared: Arc<Shared>,
    port: Port,
    running: Option<(Arc<TcpListener>, JoinHandle<()>)>,
}

impl Backend {
    /// Calls `handler` with each complete request.
    pub fn start(handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::new(false, Box::new(handler))
    }

    /// Calls `handler` as soon as a head is there; [`Step::ReadBody`] reads the body.
    pub fn at_head(handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::new(true, Box::new(handler))
    }

    /// Answers everything with 200 and its name, `HEAD` without the name.
    pub fn named(name: &'static str) -> Self {
        Self::start(move |request| ok_to(request, name.as_bytes()))
    }

    /// Answers every request with these steps.
    pub fn scripted(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone())
    }

    fn new(at_head: bool, handler: Box<Handler>) -> Self {
        let state = State {
            requests: Vec::new(),
            accepted: 0,
            probes: 0,
            health: 200,
            in_flight: 0,
            most_in_flight: 0,
            tickets: 0,
            passes: u64::MAX,
            epoch: 0,
            streams: Vec::new(),
            sent: 0,
            left: 0,
            problems: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), handler, at_head });
        let mut backend = Self { shared, port: Port::take(), running: None };
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

    /// How many requests for `/healthz` came.
    pub fn probes(&self) -> usize {
        self.shared.lock().probes
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
        self.wait(&format!("{count} more probes"), |state| state.probes >= wanted);
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
        let in_flight = self.shared.change(|state| {
            state.epoch += 1;
            std::mem::take(&mut state.in_flight)
        });
        // The listener first: nobody may find it open while the connections end.
        let _ = shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let _ = thread.join();
        drop(listener);
        for stream in self.shared.lock().streams.drain(..) {
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
                    state.streams.push(stream.try_clone().unwrap());
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

/// A reply with status 200 and this body, framed by its length.
pub fn ok(body: &[u8]) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// The same, without the body when the request is a `HEAD`.
pub fn ok_to(request: &Request, body: &[u8]) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let body = if request.method() == "HEAD" { b"" } else { body };
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// These bytes in one piece.
pub fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

/// A port where connections are refused, and nobody else listens, as long as the value lives.
pub struct Port {
    pub address: SocketAddr,
    _holder: OwnedFd,
}

impl Port {
    pub fn take() -> Self {
        let holder = bound(SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let name: SockaddrIn = getsockname(holder.as_raw_fd()).unwrap();
        Self { address: SocketAddrV4::from(name).into(), _holder: holder }
    }

    /// Listens on it. The system may need a moment to forget connections that closed just now.
    pub fn listener(&self) -> TcpListener {
        let SocketAddr::V4(address) = self.address else { unreachable!("taken as IPv4") };
        let fd = eventually("the port is free again", || bound(address.into()).ok());
        listen(&fd, Backlog::new(1024).unwrap()).unwrap();
        TcpListener::from(fd)
    }
}

fn bound(address: SockaddrIn) -> nix::Result<OwnedFd> {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Makes the end of this socket a reset.
pub fn reset_on_close(stream: &TcpStream) {
    setsockopt(stream, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

/// Why a connection is over.
enum Over {
    /// The peer is gone, or the backend was stopped.
    Gone,
    /// What came is no HTTP.
    Broken(String),
}

/// One accepted connection.
struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    shared: Arc<Shared>,
    epoch: usize,
    connection: usize,
    /// Whether its request counts as in flight.
    counts: Cell<bool>,
}

impl Peer {
    fn serve(mut self) {
        let _ = self.stream.set_nodelay(true);
        let mut index = 0;
        loop {
            match self.exchange(index) {
                Ok(true) => index += 1,
                Ok(false) => break,
                Err(Over::Gone) => break,
                Err(Over::Broken(what)) => {
                    self.shared.change(|state| state.problems.push(what));
                    break;
                }
            }
        }
        self.shared.change(|state| {
            let own = self.stream.peer_addr().ok();
            state.streams.retain(|stream| own.is_none() || stream.peer_addr().ok() != own);
        });
    }

    /// One request and its reply; whether another may follow.
    fn exchange(&mut self, index: usize) -> Result<bool, Over> {
        let head = self.head()?;
        let connection = self.connection;
        let mut request = Request { connection, index, head, body: Vec::new(), complete: false };
        if request.target() == "/healthz" {
            let status = self.shared.change(|state| {
                state.probes += 1;
                state.health
            });
            self.send(format!("HTTP/1.1 {status} Health\r\nContent-Length: 2\r\n\r\nok").as_bytes())?;
            return Ok(!request.is_last());
        }
        self.enter()?;
        let result = self.answer(&mut request);
        self.leave();
        if matches!(result, Err(Over::Gone)) {
            self.shared.change(|state| state.left += usize::from(state.epoch == self.epoch));
        }
        Ok(result? && !request.is_last())
    }

    fn answer(&mut self, request: &mut Request) -> Result<bool, Over> {
        let place = if self.shared.at_head {
            self.remember(request)
        } else {
            let body = self.body(request);
            let place = self.remember(request);
            body?;
            place
        };
        self.gate()?;
        let steps = (self.shared.handler)(request);
        let last = steps.iter().rposition(|step| !matches!(step, Step::ReadBody | Step::Hang));
        for (number, step) in steps.into_iter().enumerate() {
            if Some(number) == last {
                self.leave(); // before the peer can know that the reply is complete
            }
            match step {
                Step::Send(bytes) => self.send(&bytes)?,
                Step::Dribble(bytes) => bytes.chunks(1).try_for_each(|byte| self.send(byte))?,
                Step::ReadBody => {
                    let body = self.body(request);
                    self.shared.change(|state| state.requests[place] = request.clone());
                    body?;
                }
                Step::Close => return Ok(false),
                Step::Reset => {
                    reset_on_close(&self.stream);
                    // The clone kept for `stop` must not keep the socket alive.
                    let own = self.stream.peer_addr().ok();
                    self.shared.change(|state| state.streams.retain(|s| s.peer_addr().ok() != own));
                    return Ok(false);
                }
                Step::Hang => loop {
                    self.fill()?;
                },
            }
        }
        Ok(true)
    }

    fn remember(&self, request: &Request) -> usize {
        self.shared.change(|state| {
            state.requests.push(request.clone());
            state.requests.len() - 1
        })
    }

    fn enter(&self) -> Result<(), Over> {
        let epoch = self.epoch;
        self.shared.change(|state| {
            if state.epoch != epoch {
                return Err(Over::Gone);
            }
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            Ok(())
        })?;
        self.counts.set(true);
        Ok(())
    }

    fn leave(&self) {
        if self.counts.replace(false) {
            self.shared.change(|state| state.in_flight -= usize::from(state.epoch == self.epoch));
        }
    }

    /// Waits for its turn while requests are held.
    fn gate(&self) -> Result<(), Over> {
        let mut state = self.shared.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        while state.passes <= ticket {
            if state.epoch != self.epoch {
                return Err(Over::Gone);
            }
            state = self.shared.changed.wait(state).unwrap();
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Over> {
        for piece in bytes.chunks(16 * 1024) {
            self.stream.write_all(piece).map_err(|_| Over::Gone)?;
            self.shared.change(|state| state.sent += piece.len() as u64);
        }
        Ok(())
    }

    /// More bytes from the peer.
    fn fill(&mut self) -> Result<(), Over> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(n) if n > 0 => {
                self.unread.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            _ => Err(Over::Gone),
        }
    }

    fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), Over> {
        let mut missing = count;
        while missing > 0 {
            if self.unread.is_empty() {
                self.fill()?;
            }
            let taken = missing.min(self.unread.len());
            into.extend(self.unread.drain(..taken));
            missing -= taken;
        }
        Ok(())
    }

    fn head(&mut self) -> Result<String, Over> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect());
        let head = head.map_err(|e| Over::Broken(format!("a head that is no text: {e}")))?;
        let lines = head.strip_suffix("\r\n\r\n").unwrap_or_default();
        let sound = lines.split("\r\n").enumerate().all(|(number, line)| match number {
            0 => line.split(' ').count() == 3 && line.contains(" HTTP/1."),
            _ => line.split_once(':').is_some_and(|(name, _)| is_token(name)) && !line.contains(['\r', '\n', '\0']),
        });
        if sound { Ok(head) } else { Err(Over::Broken(format!("a broken head: {head:?}"))) }
    }

    fn body(&mut self, request: &mut Request) -> Result<(), Over> {
        let (lengths, codings) = (request.all("content-length"), request.all("transfer-encoding"));
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => {}
            ([length], []) => {
                let length = length.parse().map_err(|_| Over::Broken(format!("Content-Length {length:?}")))?;
                self.take(length, &mut request.body)?;
            }
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => self.chunks(&mut request.body)?,
            _ => return Err(Over::Broken(format!("framing that is not clear: {:?}", request.head))),
        }
        request.complete = true;
        Ok(())
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Over> {
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim_end();
            let size = usize::from_str_radix(digits, 16).map_err(|_| Over::Broken(format!("chunk size {line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.take(size, body)?;
            let mut end = Vec::new();
            self.take(2, &mut end)?;
            if end != b"\r\n" {
                return Err(Over::Broken(format!("a chunk ends with {end:?}")));
            }
        }
    }

    fn line(&mut self) -> Result<String, Over> {
        let end = loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            self.fill()?;
        };
        let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
        String::from_utf8(line).map_err(|e| Over::Broken(format!("a line that is no text: {e}")))
    }
}

pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Waits until a value that only time can settle has stopped changing.
pub fn settled(mut value: impl FnMut() -> u64) -> u64 {
    let (mut last, mut since) = (value(), Instant::now());
    eventually("the value settles", || {
        let now = value();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_millis(500)).then_some(now)
    })
}
