//! Just enough HTTP/1.1 to be a shop server, and to ask one.
//!
//! Keep-alive, Content-Length, heads of at most [`MAX_HEAD`] bytes; bodies are read and thrown away. Every wait has a
//! deadline. Knows nothing of shops.

use crate::limits::MAX_HEADERS;
use async_io::{Async, Timer, block_on};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::LocalExecutor;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::time::Duration;

/// Connections one server has at once; what comes beyond them is closed.
const MAX_CONNECTIONS: usize = 256;
/// Bytes of a request's head: what the balancer lets through and what it adds.
const MAX_HEAD: usize = 16 * 1024;
/// Bytes of an answer that [`fetch`] reads.
const MAX_ANSWER: u64 = 4 * 1024;
/// Bytes read at once.
const PIECE: usize = 2 * 1024;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a server rests when the system refuses it a connection.
const REST: Duration = Duration::from_millis(100);

/// What answers requests.
pub(super) trait Site {
    /// The response to one request.
    fn answer<'a>(&'a self, request: &'a Request) -> Answer<'a>;
}

/// A response on its way: boxed, so that the server exists once in the binary, whatever it serves.
pub(super) type Answer<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;

/// A request's head, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Without the query.
    pub path: String,
    cookies: String,
    is_head: bool,
    is_last: bool,
    body: Body,
}

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Bytes(u64),
    Chunked,
}

impl Default for Body {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

impl Request {
    /// The value of a cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let mut pairs = self.cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Reads a head and how long it is; `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Self)>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut fields);
        let parsed = head.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let target = head.path.unwrap_or("/");
        let mut request = Self {
            path: target.split('?').next().unwrap_or(target).to_owned(),
            is_head: head.method == Some("HEAD"),
            is_last: head.version == Some(0),
            ..Self::default()
        };
        for field in head.headers.iter() {
            let value = String::from_utf8_lossy(field.value);
            match field.name.to_ascii_lowercase().as_str() {
                "cookie" => request.cookies.extend([value.as_ref(), ";"]),
                "connection" => request.is_last |= value.eq_ignore_ascii_case("close"),
                "transfer-encoding" => request.body = Body::Chunked,
                "content-length" => {
                    request.body = Body::Bytes(value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?)
                }
                _ => {}
            }
        }
        Ok(Some((length, request)))
    }
}

/// A response.
pub(super) struct Response {
    /// Status and reason.
    pub status: &'static str,
    /// The media type.
    pub kind: &'static str,
    /// The value of Set-Cookie.
    pub set_cookie: Option<String>,
    /// The body.
    pub body: String,
}

impl Response {
    /// Plain text.
    pub(super) fn text(status: &'static str, body: String) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", set_cookie: None, body }
    }

    fn write(&self, request: &Request) -> Vec<u8> {
        let Self { status, kind, set_cookie, body } = self;
        let cookie = set_cookie.as_ref().map(|value| format!("Set-Cookie: {value}\r\n")).unwrap_or_default();
        let close = if request.is_last { "Connection: close\r\n" } else { "" };
        let body_sent = if request.is_head { "" } else { body.as_str() };
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{cookie}{close}\r\n{body_sent}"
        )
        .into_bytes()
    }
}

/// Serves `site` on `listener` until the process ends; the exit code when that fails.
pub(super) fn serve(listener: TcpListener, site: Box<dyn Site>) -> u8 {
    let site: &'static dyn Site = Box::leak(site);
    let executor: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
    let open: &'static Cell<usize> = Box::leak(Box::new(Cell::new(0)));
    let accept = async {
        let Ok(listener) = Async::new(listener) else { return 3 };
        loop {
            match listener.accept().await {
                Ok((stream, _)) if open.get() < MAX_CONNECTIONS => {
                    open.set(open.get() + 1);
                    let conversation = async move {
                        // The peer left, or sent what is no HTTP: nobody is there to be told.
                        let _ = converse(stream, site).await;
                        open.set(open.get() - 1);
                    };
                    executor.spawn(conversation).detach();
                }
                Ok(_) => {}
                Err(_) => _ = Timer::after(REST).await,
            }
        }
    };
    block_on(executor.run(accept))
}

/// One connection, from its first request to its last.
async fn converse(stream: Async<TcpStream>, site: &dyn Site) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    let mut unread = Vec::new();
    while let Some(mut request) = within(SILENCE, read_head(&stream, &mut unread)).await? {
        let response = match request.body {
            Body::Bytes(count) => {
                discard(&stream, &mut unread, count).await?;
                site.answer(&request).await
            }
            Body::Chunked => {
                request.is_last = true;
                Response::text("411 Length Required", "Only bodies with a Content-Length, please.\n".into())
            }
        };
        within(SILENCE, (&stream).write_all(&response.write(&request))).await?;
        if request.is_last {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` when the peer is done.
async fn read_head(stream: &Async<TcpStream>, unread: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((length, request)) = Request::parse(unread)? {
            unread.drain(..length);
            return Ok(Some(request));
        }
        if unread.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if read_more(stream, unread).await? == 0 {
            return Ok(None);
        }
    }
}

/// Reads the `count` bytes of a body and forgets them.
async fn discard(stream: &Async<TcpStream>, unread: &mut Vec<u8>, mut count: u64) -> io::Result<()> {
    loop {
        let here = usize::try_from(count).unwrap_or(usize::MAX).min(unread.len());
        unread.drain(..here);
        count -= here as u64;
        if count == 0 {
            return Ok(());
        }
        if within(SILENCE, read_more(stream, unread)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn read_more(mut stream: &Async<TcpStream>, unread: &mut Vec<u8>) -> io::Result<usize> {
    let start = unread.len();
    unread.resize(start + PIECE, 0);
    let result = stream.read(&mut unread[start..]).await;
    unread.truncate(start + *result.as_ref().unwrap_or(&0));
    result
}

/// Asks a server for `path` and returns the body of its answer, unless it takes longer than `deadline`.
pub(super) async fn fetch(address: SocketAddr, path: &str, deadline: Duration) -> io::Result<String> {
    let ask = async {
        let mut stream = Async::<TcpStream>::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
        let body = answer.strip_prefix("HTTP/1.1 200 ").and_then(|rest| rest.split_once("\r\n\r\n"));
        body.map(|(_, body)| body.to_owned()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    within(deadline, ask).await
}

async fn within<T>(deadline: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(deadline).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    or(work, late).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: x\r\nCookie: SHOP=1; SRV=2\r\ncookie: c=3\r\nContent-Length: 5\r\n\r\n";
        let (length, request) = Request::parse(&[&head[..], b"hello"].concat()).unwrap().unwrap();
        assert_eq!((length, request.path.as_str(), request.body), (head.len(), "/a", Body::Bytes(5)));
        assert_eq!(["SHOP", "SRV", "c", "S"].map(|name| request.cookie(name)), [Some("1"), Some("2"), Some("3"), None]);
        assert!(!request.is_last && !request.is_head);
        let (_, last) = Request::parse(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap().unwrap();
        assert!(last.is_last && last.is_head);
        assert_eq!(Request::parse(b"GET / HTTP/1.1\r\n").unwrap(), None);
        assert!(Request::parse(b"\0").is_err());
        let (_, chunked) = Request::parse(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert_eq!(chunked.body, Body::Chunked);
    }
}
