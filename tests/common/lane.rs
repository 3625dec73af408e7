//! A lane through a proxy: a raw client before it and a recording backend behind it, both driven by one loop on one
//! thread, so that what a case put through is known when the loop is done and no two cases mix.

use super::DEADLINE;
use super::recorder::{Message, Recorder};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

/// The target of the request that the lane sends behind a case's bytes: who reads it as a request agrees with us where
/// the case's messages end.
const NEXT: &[u8] = b"GET /the-next-request HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What the client does once its bytes are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It sends one more request, [`Seen::next`], with `Connection: close`.
    Next,
    /// It ends its sending side.
    HalfClose,
    /// It waits until the backend has a head, and leaves.
    Leave,
}

/// Where the proxy listens.
#[derive(Clone, Debug)]
pub enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Door {
    pub fn open(&self) -> std::io::Result<TcpStream> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, DEADLINE)?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
            // A socket is a socket: what the lane does with it is the same for both families.
            Self::Unix(path) => Ok(TcpStream::from(OwnedFd::from(UnixStream::connect(path)?))),
        }
    }
}

/// How the connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    /// It did not, within the deadline.
    Open,
    /// The client left.
    Left,
}

/// What a case came to.
#[derive(Debug)]
pub struct Seen {
    /// All that the client got.
    pub replies: Vec<u8>,
    pub end: End,
    /// What the backend got, without the next request.
    pub messages: Vec<Message>,
    /// Whether the backend got the next request as a message of its own.
    pub next: bool,
}

/// The backend's end of a connection.
struct Peer {
    stream: TcpStream,
    recorder: Recorder,
}

/// One way through a proxy.
pub struct Lane {
    listener: TcpListener,
    peers: Vec<Peer>,
}

impl Lane {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, peers: Vec::new() }
    }

    /// Where the backend listens.
    pub fn backend(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Sends `bytes` in pieces of `piece` bytes, and waits until the connection is over and nothing is on its way.
    pub fn run(&mut self, door: &Door, bytes: &[u8], piece: usize, ending: Ending) -> Seen {
        let mut seen = Seen { replies: Vec::new(), end: End::Open, messages: Vec::new(), next: false };
        let mut unsent = bytes.to_vec();
        if ending == Ending::Next {
            unsent.extend_from_slice(NEXT);
        }
        let mut client = Some(door.open().unwrap());
        client.as_ref().unwrap().set_nonblocking(true).unwrap();
        let (mut at, mut deaf) = (0, false);
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let over = client.is_none() && self.peers.iter().all(|peer| peer.recorder.begun().is_none());
            let wait = if over { PollTimeout::ZERO } else { PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX) };
            let ready = self.poll(client.as_ref().filter(|_| seen.end == End::Open), at < unsent.len() && !deaf, wait);
            if over && !ready.any {
                break;
            }
            // First what was sent before the client's end could be seen.
            self.hear(&ready.peers, &mut seen);
            if let Some(stream) = &mut client {
                if ready.client_writes {
                    match stream.write(&unsent[at..unsent.len().min(at + piece)]) {
                        Ok(count) => at += count,
                        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => deaf = true,
                    }
                    if at == unsent.len() && ending == Ending::HalfClose {
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                }
                if ready.client_reads
                    && let Some(end) = read(stream, |bytes| seen.replies.extend_from_slice(bytes))
                {
                    seen.end = end;
                }
                let started = || {
                    self.peers.iter().any(|peer| peer.recorder.begun().is_some_and(|m| m.head.ends_with(b"\r\n\r\n")))
                };
                if ending == Ending::Leave && at == unsent.len() && started() {
                    seen.end = End::Left;
                }
                if seen.end != End::Open {
                    client = None;
                }
            }
            while let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(true).unwrap();
                stream.set_nodelay(true).unwrap();
                self.peers.push(Peer { stream, recorder: Recorder::default() });
            }
        }
        // Only a case that ran out of time leaves something here.
        self.peers.retain(|peer| match peer.recorder.begun() {
            Some(begun) => {
                seen.messages.push(begun);
                false
            }
            None => true,
        });
        seen.messages.retain(|message| {
            let next = message.target() == b"/the-next-request" && message.complete && message.unclear.is_none();
            seen.next |= next;
            !next
        });
        seen
    }

    fn poll(&self, client: Option<&TcpStream>, sends: bool, wait: PollTimeout) -> Ready {
        let mut polled = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.peers.iter().map(|peer| PollFd::new(peer.stream.as_fd(), PollFlags::POLLIN)));
        let flags = if sends { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        polled.extend(client.map(|stream| PollFd::new(stream.as_fd(), flags)));
        let any = poll(&mut polled, wait).unwrap_or(0) > 0;
        let got = |fd: &PollFd<'_>, flags| fd.revents().is_some_and(|events| events.intersects(flags));
        let reads = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
        let own = client.and(polled.last());
        Ready {
            any,
            peers: polled[1..=self.peers.len()].iter().map(|fd| got(fd, reads)).collect(),
            client_reads: own.is_some_and(|fd| got(fd, reads)),
            client_writes: own.is_some_and(|fd| got(fd, PollFlags::POLLOUT)),
        }
    }

    /// Reads what came to the backend, answers every message that is complete.
    fn hear(&mut self, ready: &[bool], seen: &mut Seen) {
        let mut ready = ready.iter();
        self.peers.retain_mut(|peer| {
            if !ready.next().copied().unwrap_or_default() {
                return true;
            }
            let mut got = Vec::new();
            let end = read(&mut peer.stream, |bytes| got.extend_from_slice(bytes));
            for message in peer.recorder.feed(&got) {
                // Its answer fits into an empty socket buffer.
                let _ = peer.stream.write(ANSWER);
                let lost = message.unclear.is_some();
                seen.messages.push(message);
                if lost {
                    let _ = peer.stream.shutdown(Shutdown::Write);
                }
            }
            if end.is_some() {
                seen.messages.extend(peer.recorder.begun());
            }
            end.is_none()
        });
    }
}

/// What poll said, the backend's connections in their order.
struct Ready {
    any: bool,
    peers: Vec<bool>,
    client_reads: bool,
    client_writes: bool,
}

/// Reads until nothing is there; the end, if it came.
fn read(stream: &mut TcpStream, mut take: impl FnMut(&[u8])) -> Option<End> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Some(End::Closed),
            Ok(count) => take(&buffer[..count]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Some(End::Reset),
        }
    }
}
