//! A backend that the test itself plays, byte by byte, and what a raw end of a connection can do beside asking.

use super::DEADLINE;
use super::client::Client;
use super::process::Beelance;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{MsgFlags, send, setsockopt};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order (FIN).
    Closed,
    /// By a reset (RST).
    Reset,
}

/// A server that says its name first, and goes on until its client ends.
pub fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _ = stream.write_all(name.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

/// A listening socket; the test accepts its connections and serves them.
pub struct RawBackend {
    listener: TcpListener,
    pub address: SocketAddr,
}

/// A request to /asked with `more` lines in its head, and the backend's end where it came.
impl RawBackend {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let seconds = i64::try_from(DEADLINE.as_secs()).unwrap();
        setsockopt(&listener, ReceiveTimeout, &nix::sys::time::TimeVal::new(seconds, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// A listener `web` with this backend as `s1`, the access log on, and more lines.
    pub fn config(&self, more: &str) -> String {
        format!("listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.s1 = {}\n{more}", self.address)
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Client {
        let accepted = self.listener.accept();
        let (stream, _) = accepted.unwrap_or_else(|e| panic!("no connection to the backend: {e}"));
        Client::of(stream).unwrap()
    }

    /// Whether no connection waits to be accepted.
    pub fn is_silent(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        let silent = matches!(self.listener.accept(), Err(e) if e.kind() == ErrorKind::WouldBlock);
        self.listener.set_nonblocking(false).unwrap();
        silent
    }
}

impl Client {
    /// Exactly so many bytes.
    #[track_caller]
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            let got = self.fill().unwrap_or_else(|e| panic!("{count} bytes do not come: {e}"));
            assert!(got > 0, "the end after {:?}", String::from_utf8_lossy(&self.unread));
        }
        self.unread.drain(..count).collect()
    }

    /// Fails unless these bytes come next.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        let got = self.exactly(wanted.len());
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(wanted));
    }

    /// The bytes up to and including an empty line.
    #[track_caller]
    pub fn head_bytes(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                return self.unread.drain(..at + 4).map(char::from).collect();
            }
            let got = self.fill().unwrap_or_else(|e| panic!("no head: {e}"));
            assert!(got > 0, "the end after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// The bytes up to and including a line end.
    #[track_caller]
    pub fn head_line(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                return self.unread.drain(..at + 2).map(char::from).collect();
            }
            let got = self.fill().unwrap_or_else(|e| panic!("no line: {e}"));
            assert!(got > 0, "the end after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Sends a byte out of the line of the others.
    #[track_caller]
    pub fn send_urgent(&mut self, byte: u8) {
        assert_eq!(send(self.stream.as_raw_fd(), &[byte], MsgFlags::MSG_OOB), Ok(1));
    }

    /// Sends until nobody takes a byte for half a second, no more than `most`; how many.
    #[track_caller]
    pub fn send_until_stuck(&mut self, most: usize) -> usize {
        self.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut count = 0;
        while count < most {
            match self.stream.write(&[b'x'; 16 * 1024]) {
                Ok(n) => count += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => panic!("sending: {e}"),
            }
        }
        self.stream.set_write_timeout(Some(DEADLINE)).unwrap();
        count
    }

    /// All that comes until the end, and which end it is.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let mut buffer = [0; 4096];
        let end = loop {
            match self.read(&mut buffer) {
                Ok(0) => break End::Closed,
                Ok(n) => self.unread.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    panic!("the connection stays open after {:?}", String::from_utf8_lossy(&self.unread))
                }
                Err(_) => break End::Reset,
            }
        };
        (std::mem::take(&mut self.unread), end)
    }
}

/// A request to `/asked` with `more` behind its head, and the backend's end, where the head came.
#[track_caller]
pub fn asked(beelance: &Beelance, backend: &RawBackend, more: &str) -> (Client, Client) {
    let mut client = beelance.connect();
    client.ask("POST", "/asked", more);
    let mut server = backend.accept();
    server.head_bytes();
    (client, server)
}
