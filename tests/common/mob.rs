//! Many cheap hostile clients, driven by one thread over one epoll set.
//!
//! Each acts once in a period, spread evenly over it: who has no connection opens one, who has one sends its next bytes.
//! Who is closed comes back in its next turn, so the attack lasts until the mob is stopped.

use super::eventually;
use super::port::reset_on_close;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::sockopt::RcvBuf;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What every client of a mob does.
#[derive(Clone)]
pub struct Conduct {
    /// What it sends on each connection, one piece in each of its turns; then nothing more.
    pub pieces: Vec<Vec<u8>>,
    /// Between two turns of the same client.
    pub period: Duration,
    /// Whether it takes what it is sent. Who does not has a small receive buffer, never sees an end, and so leaves by
    /// itself after [`PATIENCE`] turns.
    pub reads: bool,
}

/// Turns until one who does not read leaves and comes back.
const PATIENCE: usize = 12;

/// What a mob saw so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Connections begun.
    pub begun: usize,
    /// Connections that ended.
    pub ended: usize,
    /// Answers by status, of those who read.
    pub answers: std::collections::BTreeMap<String, usize>,
}

/// A mob at work; it leaves when dropped.
pub struct Mob {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    connected: AtomicUsize,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Member {
    stream: Option<TcpStream>,
    connected: bool,
    pieces_sent: usize,
    /// Of the piece that is on its way.
    bytes_sent: usize,
    answered: bool,
    turns: usize,
}

struct Attack {
    address: SocketAddr,
    conduct: Conduct,
    epoll: Epoll,
    members: Vec<Member>,
    shared: Arc<Shared>,
}

/// Lets this process open `count` files. The hard limit is what it is: too low a one fails the test.
#[track_caller]
pub fn need_descriptors(count: usize) {
    let wanted = nix::libc::rlim_t::try_from(count).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < wanted {
        let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted));
        raised.unwrap_or_else(|e| panic!("the attack needs {wanted} file descriptors, the hard limit is {hard}: {e}"));
    }
}

impl Mob {
    /// Sets `count` clients on `address`.
    pub fn start(address: SocketAddr, count: usize, conduct: Conduct) -> Self {
        let shared = Arc::new(Shared::default());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let members = (0..count).map(|_| Member::default()).collect();
        let attack = Attack { address, conduct, epoll, members, shared: Arc::clone(&shared) };
        Self { shared, thread: Some(std::thread::spawn(move || attack.run())) }
    }

    /// Clients that have a connection now: served, or waiting in the kernel.
    pub fn connected(&self) -> usize {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Waits until so many have come and most of them are there at the same time. Where the machine is slow, some have been
    /// turned out before the last ones come.
    #[track_caller]
    pub fn wait_connected(&self, count: usize) {
        let all = || self.tally().begun >= count && self.connected() > count / 2;
        eventually(&format!("{count} connected attackers"), || all().then_some(()));
    }

    pub fn tally(&self) -> Tally {
        self.shared.tally.lock().unwrap().clone()
    }

    /// All leave, with resets.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.tally()
    }

    fn end(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the mob's thread panicked");
        }
    }
}

impl Drop for Mob {
    fn drop(&mut self) {
        self.end();
    }
}

impl Attack {
    fn run(mut self) {
        let (begin, mut turns) = (Instant::now(), 0);
        let mut events = [EpollEvent::empty(); 256];
        while !self.shared.over.load(Ordering::Relaxed) {
            let count = self.epoll.wait(&mut events, 2u8).unwrap_or(0);
            for event in &events[..count] {
                self.happened(usize::try_from(event.data()).unwrap(), event.events());
            }
            // At most a round at once, however late it is.
            let due = begin.elapsed().as_micros() * self.members.len() as u128 / self.conduct.period.as_micros();
            let due = usize::try_from(due).unwrap();
            turns = turns.max(due.saturating_sub(self.members.len()));
            while turns < due {
                self.act(turns % self.members.len());
                turns += 1;
            }
        }
    }

    fn act(&mut self, index: usize) {
        let member = &mut self.members[index];
        let Some(stream) = &mut member.stream else { return self.open(index) };
        member.turns += 1;
        if !self.conduct.reads && member.turns > PATIENCE {
            return self.close(index);
        }
        if member.connected
            && let Some(piece) = self.conduct.pieces.get(member.pieces_sent)
        {
            match stream.write(&piece[member.bytes_sent..]) {
                Ok(count) if member.bytes_sent + count == piece.len() => {
                    (member.pieces_sent, member.bytes_sent) = (member.pieces_sent + 1, 0);
                }
                Ok(count) => member.bytes_sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.close(index),
            }
        }
    }

    fn open(&mut self, index: usize) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        if !self.conduct.reads {
            setsockopt(&socket, RcvBuf, &4096).unwrap();
        }
        // Without room for a port now: the next turn comes.
        let begun = connect(socket.as_raw_fd(), &SockaddrStorage::from(self.address));
        if !matches!(begun, Ok(()) | Err(Errno::EINPROGRESS)) {
            return;
        }
        let stream = TcpStream::from(socket);
        // No connection of the mob's lingers in the kernel and holds a port.
        reset_on_close(&stream);
        let reading = if self.conduct.reads { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        let flags = reading | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(&stream, EpollEvent::new(flags, index as u64)).unwrap();
        self.members[index] = Member { stream: Some(stream), ..Member::default() };
        self.shared.tally.lock().unwrap().begun += 1;
    }

    fn happened(&mut self, index: usize, events: EpollFlags) {
        let member = &mut self.members[index];
        if member.stream.is_none() {
            return;
        }
        let broken = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        if !broken && !member.connected && events.contains(EpollFlags::EPOLLOUT) {
            member.connected = true;
            self.shared.connected.fetch_add(1, Ordering::Relaxed);
        }
        let ended = self.conduct.reads && self.take(index);
        if broken || ended || events.contains(EpollFlags::EPOLLRDHUP) {
            self.close(index);
        }
    }

    /// Takes what there is and notes the status; whether the connection ended.
    fn take(&mut self, index: usize) -> bool {
        let member = &mut self.members[index];
        let Some(stream) = &mut member.stream else { return false };
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return true,
                Ok(count) if !member.answered => {
                    member.answered = true;
                    let status = String::from_utf8_lossy(bytes[..count].get(9..12).unwrap_or(b"?")).into_owned();
                    *self.shared.tally.lock().unwrap().answers.entry(status).or_default() += 1;
                }
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    fn close(&mut self, index: usize) {
        let member = std::mem::take(&mut self.members[index]);
        if member.connected {
            self.shared.connected.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.tally.lock().unwrap().ended += 1;
    }
}
