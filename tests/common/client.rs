//! A raw client: exact bytes out, one strictly read response in.

use super::DEADLINE;
use super::port::{narrow_socket, reset_on_close, socket_from};
use super::request::is_token;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// How a response's body was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HEAD, 204, 304: no body whatever the head says.
    None,
    Length,
    Chunked,
    Close,
}

/// A response, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// The raw head with its final empty line.
    pub head: String,
    /// The body without its chunks.
    pub body: Vec<u8>,
    pub framing: Framing,
}

impl Response {
    /// The values of all lines of that name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.lines().into_iter().filter_map(|line| line.split_once(':'));
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The value of the first line of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The header lines as they stand.
    pub fn lines(&self) -> Vec<&str> {
        self.head.split("\r\n").skip(1).filter(|line| !line.is_empty()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("(no text)")
    }

    /// Whether the head says that the connection ends here.
    pub fn says_close(&self) -> bool {
        self.all("connection").iter().any(|value| value.to_ascii_lowercase().contains("close"))
    }
}

/// One client connection.
pub struct Client {
    pub(super) stream: TcpStream,
    pub(super) unread: Vec<u8>,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|e| panic!("connecting to {address}: {e}"))
    }

    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        Self::of(TcpStream::connect_timeout(&address, DEADLINE)?)
    }

    /// One whose own address is `source`.
    #[track_caller]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let stream = TcpStream::from(socket_from(source, address).unwrap_or_else(|e| panic!("from {source}: {e}")));
        Self::of(stream).unwrap()
    }

    /// One whose system takes no more than some 16 kB before the client reads.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let stream =
            TcpStream::from(narrow_socket(&address).unwrap_or_else(|e| panic!("connecting to {address}: {e}")));
        Self::of(stream).unwrap()
    }

    /// One over a UNIX socket.
    #[track_caller]
    pub fn connect_unix(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("connecting to {}: {e}", path.display()));
        Self::of_unix(stream)
    }

    /// This end of a connection over a UNIX socket.
    pub fn of_unix(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        // Reading, writing and closing are the descriptor's, of whatever family.
        Self { stream: TcpStream::from(OwnedFd::from(stream)), unread: Vec::new() }
    }

    /// This end of a connection, whoever opened it.
    pub(super) fn of(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// The client's own address, as the access log names it.
    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// For another thread: one sends, the other reads.
    pub fn both_ends(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), unread: Vec::new() }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap_or_else(|e| panic!("sending: {e}"));
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Every byte in a segment of its own.
    #[track_caller]
    pub fn dribble(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref().chunks(1) {
            self.send(byte);
        }
    }

    /// A request without a body.
    #[track_caller]
    pub fn ask(&mut self, method: &str, target: &str, headers: &str) {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n"));
    }

    /// Sends a GET and reads the response.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.ask("GET", target, "");
        self.response()
    }

    /// Sends a GET with more header lines and reads the response.
    #[track_caller]
    pub fn get_with(&mut self, target: &str, headers: &str) -> Response {
        self.ask("GET", target, headers);
        self.response()
    }

    /// Sends a POST with a body of known length, a short one together with its head, and reads the response.
    #[track_caller]
    pub fn post(&mut self, target: &str, body: &[u8]) -> Response {
        let head = format!("POST {target} HTTP/1.1\r\nHost: example.com\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat());
        self.response()
    }

    /// The response to anything but a HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response(false).unwrap_or_else(|e| panic!("no response: {e}"))
    }

    /// The response to a HEAD.
    #[track_caller]
    pub fn head_response(&mut self) -> Response {
        self.try_response(true).unwrap_or_else(|e| panic!("no response: {e}"))
    }

    /// A final response, or what is wrong with it.
    pub fn try_response(&mut self, to_head: bool) -> Result<Response, String> {
        loop {
            let response = self.any_response(to_head)?;
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    /// The next response, be it a 1xx, or what is wrong with it.
    pub fn any_response(&mut self, to_head: bool) -> Result<Response, String> {
        let head = self.head()?;
        let status = parse_head(&head)?;
        let mut response = Response { status, head, body: Vec::new(), framing: Framing::None };
        let lengths: Vec<String> = response.all("content-length").into_iter().map(str::to_owned).collect();
        let codings = response.all("transfer-encoding").join(",");
        if !codings.is_empty() && (!lengths.is_empty() || !codings.eq_ignore_ascii_case("chunked")) {
            return Err(format!("framing that is not clear: {:?}", response.head));
        }
        if to_head || status < 200 || status == 204 || status == 304 {
            return Ok(response);
        }
        if !codings.is_empty() {
            response.framing = Framing::Chunked;
            self.chunks(&mut response.body)?;
        } else if let [length] = lengths.as_slice() {
            response.framing = Framing::Length;
            let length = length.parse().map_err(|_| format!("Content-Length {length:?}"))?;
            self.take(length, &mut response.body)?;
        } else if lengths.is_empty() {
            response.framing = Framing::Close;
            while self.fill()? > 0 {}
            response.body.append(&mut self.unread);
        } else {
            return Err(format!("more than one Content-Length: {:?}", response.head));
        }
        Ok(response)
    }

    fn head(&mut self) -> Result<String, String> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                return Err(format!("the connection ends after {:?}", String::from_utf8_lossy(&self.unread)));
            }
        };
        let head = String::from_utf8(self.unread.drain(..end).collect());
        // What is no UTF-8 is Latin-1.
        Ok(head.unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect()))
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("chunk size {line:?}"));
            }
            let size = usize::from_str_radix(digits, 16).map_err(|_| format!("chunk size {line:?}"))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.take(size, body)?;
            if !self.line()?.is_empty() {
                return Err("a chunk longer than it says".to_owned());
            }
        }
    }

    fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(|e| format!("a line that is no text: {e}"));
            }
            if self.fill()? == 0 {
                return Err("the connection ends in a chunked body".to_owned());
            }
        }
    }

    fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), String> {
        let mut missing = count;
        while missing > 0 {
            if self.unread.is_empty() && self.fill()? == 0 {
                return Err(format!("the connection ends {missing} bytes early"));
            }
            let taken = missing.min(self.unread.len());
            into.extend(self.unread.drain(..taken));
            missing -= taken;
        }
        Ok(())
    }

    /// A read that a process which was stopped meanwhile, or a machine that slept, does not end: with a time-out the
    /// system interrupts it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// More bytes; 0 at the end.
    pub(super) fn fill(&mut self) -> Result<usize, String> {
        let mut buffer = [0; 16 * 1024];
        let n = self.read(&mut buffer).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock => format!("nothing comes; so far {:?}", String::from_utf8_lossy(&self.unread)),
            _ => e.to_string(),
        })?;
        self.unread.extend_from_slice(&buffer[..n]);
        Ok(n)
    }

    /// Waits for the end of the connection and returns what came before it. A reset is an end too.
    #[track_caller]
    pub fn until_end(&mut self) -> Vec<u8> {
        loop {
            let mut buffer = [0; 4096];
            match self.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => self.unread.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("the connection stays open"),
                Err(_) => break,
            }
        }
        std::mem::take(&mut self.unread)
    }

    /// How many bytes come until the end of the connection.
    pub fn count_until_end(&mut self) -> u64 {
        let mut count = self.unread.len() as u64;
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = self.read(&mut buffer) {
            count += n as u64;
        }
        count
    }

    /// Waits for the end of the connection; nothing may come before it.
    #[track_caller]
    pub fn ends(&mut self) {
        let rest = self.until_end();
        assert!(rest.is_empty(), "before the end comes {:?}", String::from_utf8_lossy(&rest));
    }

    /// Waits for the first bytes of a response.
    #[track_caller]
    pub fn some(&mut self) {
        let got = self.fill();
        assert!(matches!(got, Ok(n) if n > 0), "no response: {got:?}");
    }

    /// Sends no more, still reads. The peer may have reset the connection meanwhile.
    pub fn half_close(&mut self) {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            result => result.unwrap(),
        }
    }

    /// Neither sends nor reads any more; other ends of the same connection end too.
    pub fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether nothing has come yet, without waiting.
    pub fn is_silent(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let silent = matches!(self.stream.peek(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        silent && self.unread.is_empty()
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        reset_on_close(&self.stream);
    }
}

/// A request on a connection of its own, for the address it goes to, as the admin listener wants it.
#[track_caller]
pub fn get(address: SocketAddr, target: &str) -> Response {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"));
    client.response()
}

/// The status of a head that is right to the letter.
fn parse_head(head: &str) -> Result<u16, String> {
    let mut lines = head.strip_suffix("\r\n\r\n").unwrap_or_default().split("\r\n");
    let line = lines.next().unwrap_or_default();
    let bytes = line.as_bytes();
    let sound = (line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "))
        && bytes.len() >= 13
        && bytes[9..12].iter().all(u8::is_ascii_digit)
        && bytes[12] == b' ';
    if !sound {
        return Err(format!("status line {line:?}"));
    }
    for field in lines {
        let sound = field.split_once(':').is_some_and(|(name, _)| is_token(name));
        if !sound || field.contains(['\r', '\n', '\0']) {
            return Err(format!("header line {field:?}"));
        }
    }
    line[9..12].parse().map_err(|_| format!("status line {line:?}"))
}

/// A user with a cookie jar: a connection of its own and what the last Set-Cookie of that name said.
pub struct User {
    client: Client,
    address: SocketAddr,
    name: &'static str,
    /// The cookie's value, once it has one.
    pub cookie: Option<String>,
    /// How often a Set-Cookie of that name came.
    pub set: usize,
}

impl User {
    #[track_caller]
    pub fn new(address: SocketAddr, name: &'static str) -> Self {
        Self { client: Client::connect(address), address, name, cookie: None, set: 0 }
    }

    /// A GET with the cookie, on the same connection while it lasts.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        let response = self.try_get(target);
        response.unwrap_or_else(|e| panic!("no response for {target}: {e}"))
    }

    pub fn try_get(&mut self, target: &str) -> Result<Response, String> {
        let cookie = self.cookie.as_ref().map_or(String::new(), |value| format!("Cookie: {}={value}\r\n", self.name));
        let request = format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{cookie}\r\n");
        let response = self.client.try_send(request).map_err(|e| e.to_string());
        let response = response.and_then(|()| self.client.try_response(false));
        if response.as_ref().map_or(true, Response::says_close) {
            self.client = Client::try_connect(self.address).map_err(|e| e.to_string())?;
        }
        let response = response?;
        for line in response.all("set-cookie") {
            if let Some((name, value)) = line.split(';').next().unwrap_or_default().split_once('=')
                && name == self.name
            {
                self.cookie = Some(value.to_owned());
                self.set += 1;
            }
        }
        Ok(response)
    }
}
