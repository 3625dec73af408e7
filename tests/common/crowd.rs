//! Peers that take nothing and give what they can: every buffer on the way to them and from them fills.

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, SndBuf};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the system takes for them before they read, in bytes; it doubles it.
const WINDOW: usize = 4096;
/// What it takes from each of them that nobody read, in bytes, doubled likewise. Without a bound a thousand floods are
/// gigabytes, more than TCP may have in all, and then it drops what other tests send.
const SENT: usize = 32 * 1024;

/// Many connections, driven by one thread. Its clients leave when it is dropped; its backends stay.
pub struct Crowd {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// Those that the flood did not take over yet.
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    sent: AtomicUsize,
}

impl Shared {
    fn enter(&self, mut stream: TcpStream, greeting: &[u8]) {
        stream.write_all(greeting).unwrap();
        self.sent.fetch_add(greeting.len(), Ordering::Relaxed);
        stream.set_nonblocking(true).unwrap();
        self.streams.lock().unwrap().push(stream);
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends on every connection what it takes, over and over.
    fn flood(&self) {
        let (bytes, mut streams) = ([b'x'; 4096], Vec::new());
        while !self.over.load(Ordering::Relaxed) {
            streams.append(&mut self.streams.lock().unwrap());
            for stream in &mut streams {
                // The peer may have left.
                while let Ok(count) = stream.write(&bytes) {
                    self.sent.fetch_add(count, Ordering::Relaxed);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Crowd {
    /// So many clients of `address`: each sends `head`, and then, if it `floods`, as much as is taken.
    pub fn clients(address: SocketAddr, count: usize, head: &str, floods: bool) -> Self {
        let shared = Arc::new(Shared::default());
        for _ in 0..count {
            let socket = super::port::narrow_socket_of(&address, WINDOW).unwrap();
            setsockopt(&socket, SndBuf, &SENT).unwrap();
            shared.enter(TcpStream::from(socket), head.as_bytes());
        }
        let thread = floods.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.flood())
        });
        Self { address, shared, thread }
    }

    /// A backend that reads the beginning of one request from each connection, answers `reply`, and floods as above.
    pub fn backend(reply: &'static [u8], floods: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        setsockopt(&listener, RcvBuf, &WINDOW).unwrap();
        setsockopt(&listener, SndBuf, &SENT).unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::new(Shared::default()));
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // It is a head's first part: enough to know that it is there.
                let _ = stream.read(&mut [0; 16]).unwrap();
                accepting.enter(stream, reply);
            }
        });
        let thread = floods.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.flood())
        });
        Self { address, shared, thread }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Bytes that were taken so far.
    pub fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.streams.lock().unwrap().clear();
    }
}
