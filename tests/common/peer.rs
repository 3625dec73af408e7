//! One accepted connection of a scripted backend: reads requests strictly, does what the handler says.

use super::memory::{Shared, State};
use super::port::reset_on_close;
use super::request::{Request, is_token};
use super::script::Step;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

/// Why a connection is over.
enum Over {
    /// The peer is gone, or the backend was stopped.
    Gone,
    /// What came is no HTTP.
    Broken(String),
}

/// One accepted connection.
pub struct Peer {
    pub stream: TcpStream,
    pub unread: Vec<u8>,
    pub shared: Arc<Shared>,
    pub epoch: usize,
    pub connection: usize,
    /// Whether its request counts as in flight.
    pub counts: Cell<bool>,
}

/// Where a request stands among those that came.
struct Place {
    index: usize,
    ticket: u64,
}

impl Place {
    /// Remembers the request; the order at the gate is that of the requests.
    fn of(request: &Request, state: &mut State) -> Self {
        let place = Self { index: state.requests.len(), ticket: state.tickets };
        state.requests.push(request.clone());
        state.tickets += 1;
        place
    }
}

impl Peer {
    /// Serves requests until the connection is over.
    pub fn serve(mut self) {
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
        self.forget_stream();
    }

    /// The clone kept for `stop` must not keep the socket alive.
    fn forget_stream(&self) {
        let (epoch, own) = (self.epoch, self.connection);
        self.shared.change(|state| state.streams.retain(|&(number, _)| state.epoch != epoch || number != own));
    }

    /// One request and its reply; whether another may follow.
    fn exchange(&mut self, index: usize) -> Result<bool, Over> {
        let head = self.head()?;
        let connection = self.connection;
        let mut request = Request { connection, index, head, body: Vec::new(), complete: false };
        request.complete = request.all("content-length").is_empty() && request.all("transfer-encoding").is_empty();
        if request.target() == "/healthz" {
            let status = self.shared.change(|state| {
                state.probes.push(Instant::now());
                state.health
            });
            self.send(format!("HTTP/1.1 {status} Health\r\nContent-Length: 2\r\n\r\nok").as_bytes())?;
            return Ok(!request.is_last());
        }
        let arrived = self.enter(&request)?;
        let result = self.answer(&mut request, arrived);
        self.leave();
        if matches!(result, Err(Over::Gone)) {
            self.shared.change(|state| state.left += usize::from(state.epoch == self.epoch));
        }
        Ok(result? && !request.is_last())
    }

    fn answer(&mut self, request: &mut Request, arrived: Option<Place>) -> Result<bool, Over> {
        let place = match arrived {
            Some(place) => place,
            None => {
                let body = self.body(request);
                let place = self.shared.change(|state| Place::of(request, state));
                body?;
                place
            }
        };
        self.gate(place.ticket)?;
        let steps = (self.shared.handler)(request);
        let last = steps.iter().rposition(|step| !matches!(step, Step::ReadBody | Step::Hang));
        for (number, step) in steps.into_iter().enumerate() {
            if Some(number) == last {
                self.leave(); // before the peer can know that the reply is complete
            }
            match step {
                Step::Send(bytes) => self.send(&bytes)?,
                Step::Repeat(bytes, times) => (0..times).try_for_each(|_| self.send(&bytes))?,
                Step::Dribble(bytes) => bytes.chunks(1).try_for_each(|byte| self.send(byte))?,
                Step::ReadBody => {
                    let body = self.body(request);
                    self.shared.change(|state| state.requests[place.index] = request.clone());
                    body?;
                }
                Step::Close => return Ok(false),
                Step::Reset => {
                    reset_on_close(&self.stream);
                    self.forget_stream();
                    return Ok(false);
                }
                Step::Hang => loop {
                    self.fill()?;
                },
            }
        }
        Ok(true)
    }

    /// From here on it is in flight, and has come unless its body is to be read first.
    fn enter(&self, request: &Request) -> Result<Option<Place>, Over> {
        let place = self.shared.change(|state| {
            if state.epoch != self.epoch {
                return Err(Over::Gone);
            }
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            // At once: who waits for requests in flight may count on those, and on their order.
            Ok((request.complete || self.shared.at_head).then(|| Place::of(request, state)))
        })?;
        self.counts.set(true);
        Ok(place)
    }

    fn leave(&self) {
        if self.counts.replace(false) {
            self.shared.change(|state| state.in_flight -= usize::from(state.epoch == self.epoch));
        }
    }

    /// Waits for its turn while requests are held.
    fn gate(&self, ticket: u64) -> Result<(), Over> {
        let mut state = self.shared.lock();
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
