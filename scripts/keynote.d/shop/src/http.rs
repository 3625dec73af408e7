//! Just enough HTTP/1.1: a server that keeps connections, a client that asks once or keeps its connection too.
//!
//! Messages of at most [`MAX_MESSAGE`] bytes; responses have a Content-Length, requests no body.

use async_io::{Async, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::LocalExecutor;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Bytes of a message, its head and its body.
const MAX_MESSAGE: usize = 128 * 1024;
/// Header fields of a head.
const MAX_FIELDS: usize = 32;

/// A request, as far as it matters here.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Request {
    pub path: String,
    /// All cookies, separated by semicolons.
    pub cookies: String,
    is_last: bool,
}

impl Request {
    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let mut pairs = self.cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Self)>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let parsed = head.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let mut request = Self { path: head.path.unwrap_or("/").to_owned(), ..Self::default() };
        request.is_last = head.version == Some(0);
        for field in head.headers.iter() {
            let value = String::from_utf8_lossy(field.value);
            if field.name.eq_ignore_ascii_case("cookie") {
                request.cookies.extend([value.as_ref(), ";"]);
            } else if field.name.eq_ignore_ascii_case("connection") {
                request.is_last |= value.eq_ignore_ascii_case("close");
            }
        }
        Ok(Some((length, request)))
    }
}

/// An answer, on its way out or as it came in.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Response {
    pub status: u16,
    /// Whole lines of Set-Cookie without the name of the field.
    pub set_cookies: Vec<String>,
    pub body: String,
}

impl Response {
    /// A good one.
    pub(crate) fn good(body: String) -> Self {
        Self { status: 200, set_cookies: Vec::new(), body }
    }

    fn write(&self, is_last: bool) -> Vec<u8> {
        let cookies: String = self.set_cookies.iter().map(|cookie| format!("Set-Cookie: {cookie}\r\n")).collect();
        let close = if is_last { "Connection: close\r\n" } else { "" };
        let Self { status, body, .. } = self;
        let length = body.len();
        format!("HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\n{cookies}{close}\r\n{body}").into_bytes()
    }

    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let httparse::Status::Complete(start) = parsed else { return Ok(None) };
        let mut response = Self { status: head.code.unwrap_or(0), ..Self::default() };
        let mut length = None;
        for field in head.headers.iter() {
            let value = String::from_utf8_lossy(field.value);
            if field.name.eq_ignore_ascii_case("set-cookie") {
                response.set_cookies.push(value.into_owned());
            } else if field.name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        let Some(body) = bytes.get(start..start.saturating_add(length)) else { return Ok(None) };
        response.body = String::from_utf8_lossy(body).into_owned();
        Ok(Some(response))
    }
}

/// What answers requests.
pub(crate) trait Site: 'static {
    /// The response to one.
    fn answer(&self, request: &Request) -> impl Future<Output = Response>;
}

/// Serves a site until the process ends.
pub(crate) fn serve(listener: TcpListener, site: impl Site) -> io::Result<()> {
    let executor: &LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
    let site: &'static _ = Box::leak(Box::new(site));
    block_on(executor.run(async {
        let listener = Async::new(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            executor
                .spawn(async move {
                    // A peer that leaves, or says what is no HTTP, needs no answer.
                    let _ = converse(stream, site).await;
                })
                .detach();
        }
    }))
}

async fn converse(mut stream: Async<TcpStream>, site: &impl Site) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    let mut unread = Vec::new();
    loop {
        let request = loop {
            if let Some((length, request)) = Request::parse(&unread)? {
                unread.drain(..length);
                break request;
            }
            if !read_more(&mut stream, &mut unread).await? {
                return Ok(());
            }
        };
        let response = site.answer(&request).await;
        stream.write_all(&response.write(request.is_last)).await?;
        if request.is_last {
            return Ok(());
        }
    }
}

/// Whether there was more to read.
async fn read_more(stream: &mut Async<TcpStream>, unread: &mut Vec<u8>) -> io::Result<bool> {
    if unread.len() > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut piece = [0; 2048];
    let count = stream.read(&mut piece).await?;
    unread.extend_from_slice(&piece[..count]);
    Ok(count > 0)
}

/// Asks on a connection, after which it can be used again.
async fn ask(stream: &mut Async<TcpStream>, request: &str) -> io::Result<Response> {
    stream.write_all(request.as_bytes()).await?;
    let mut unread = Vec::new();
    loop {
        if let Some(response) = Response::parse(&unread)? {
            return Ok(response);
        }
        if !read_more(stream, &mut unread).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Asks on a connection of its own.
pub(crate) async fn ask_once(address: SocketAddr, path: &str, cookies: &str) -> io::Result<Response> {
    let mut stream = Async::<TcpStream>::connect(address).await?;
    stream.get_ref().set_nodelay(true)?;
    let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{cookies}Connection: close\r\n\r\n")).await
}

/// Connections to one server, kept for the next question: as many as ever were needed at once.
pub(crate) struct Kept {
    address: SocketAddr,
    idle: RefCell<Vec<Async<TcpStream>>>,
}

impl Kept {
    /// None yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: RefCell::default() }
    }

    /// Opens so many.
    pub(crate) async fn open(&self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let stream = Async::<TcpStream>::connect(self.address).await?;
            stream.get_ref().set_nodelay(true)?;
            self.idle.borrow_mut().push(stream);
        }
        Ok(())
    }

    /// Asks on one of them.
    pub(crate) async fn ask(&self, path: &str) -> io::Result<Response> {
        let kept = self.idle.borrow_mut().pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => Async::<TcpStream>::connect(self.address).await?,
        };
        let response = ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: database\r\n\r\n")).await?;
        self.idle.borrow_mut().push(stream);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let head = b"GET /a HTTP/1.1\r\nHost: x\r\nCookie: SHOP=1; SRV=2\r\nConnection: close\r\n\r\n";
        let (length, request) = Request::parse(head).unwrap().unwrap();
        assert_eq!((length, request.path.as_str(), request.is_last), (head.len(), "/a", true));
        assert_eq!(["SHOP", "SRV", "S"].map(|name| request.cookie(name)), [Some("1"), Some("2"), None]);
        assert_eq!(Request::parse(b"GET / HT").unwrap(), None);
        let response = Response { status: 200, set_cookies: vec!["a=b; path=/".into()], body: "page".into() };
        let bytes = response.write(true);
        assert_eq!(Response::parse(&bytes).unwrap(), Some(response));
        assert_eq!(Response::parse(&bytes[..bytes.len() - 1]).unwrap(), None);
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
