//! What is served under which path, and the heads of all answers.

use super::orders::{self, Order};
use super::out::{Gone, Out};
use super::serve::Desk;
use super::{Level, explain, health, metrics, page, status};
use crate::operate::socket;
use crate::operate::text::Text;
use std::fmt::Write;
use std::net::SocketAddr;

/// A request that was understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'b> {
    pub method: &'b [u8],
    pub path: &'b [u8],
    /// With its `?`, if it has any.
    pub query: &'b [u8],
    pub level: Level,
    /// The client knows chunks.
    pub chunks: bool,
    /// The connection stays.
    pub keep: bool,
    pub way: Way<'b>,
}

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way<'b> {
    /// `/healthz`: for everybody, by whatever name, as is the next.
    Healthy,
    /// `/readyz`
    Ready,
    /// A file of the dashboard.
    Page(&'static page::File),
    /// `/metrics`
    Metrics,
    /// `/api/v1/status`
    Status,
    /// `/api/v1/explain`
    Explain,
    /// `/stats;csv`
    Csv,
    /// Something is to be changed.
    Order(Order<'b>),
    /// Nowhere.
    Refused(Reply),
}

/// A short answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    pub text: &'static str,
}

impl Reply {
    pub(super) const fn of(status: u16, text: &'static str) -> Self {
        Self { status, text }
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";
/// What every answer says to browsers: take it as what it is called, keep it nowhere, show it in no page of others, and
/// tell nobody where it was.
const CAUTION: &[u8] = b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n";
/// An answer that is no page loads nothing, and is framed by nobody.
const SEALED: &[u8] = b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

/// `/stats;csv`, and what clients of HAProxy's page make of its address: `/stats/;csv`, `/stats;csv;norefresh`.
fn is_csv(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/stats") else { return false };
    let mut options = rest.strip_prefix(b"/").unwrap_or(rest).split(|&byte| byte == b';');
    options.next() == Some(b"")
        && options.clone().any(|option| option == b"csv")
        && options.all(|option| matches!(option, b"csv" | b"norefresh"))
}

/// Where a method and a path lead.
pub(super) fn way<'b>(asked: &Asked<'b>) -> Way<'b> {
    let way = match asked.path {
        b"/healthz" => Way::Healthy,
        b"/readyz" => Way::Ready,
        b"/metrics" => Way::Metrics,
        b"/api/v1/status" => Way::Status,
        b"/api/v1/explain" => Way::Explain,
        path if is_csv(path) => Way::Csv,
        path => match path.strip_prefix(orders::PREFIX) {
            Some(rest) => match (asked.method, Order::read(rest)) {
                (b"POST", Ok(order)) => return Way::Order(order),
                (b"POST", Err(reply)) => return Way::Refused(reply),
                _ => return Way::Refused(Reply::of(405, "this takes POST")),
            },
            None => match page::file(path) {
                Some(file) => Way::Page(file),
                None => return Way::Refused(Reply::of(404, "nothing is served here")),
            },
        },
    };
    match asked.method {
        b"GET" | b"HEAD" => way,
        _ => Way::Refused(Reply::of(405, "this takes GET, HEAD")),
    }
}

/// Answers.
pub(super) async fn answer(
    desk: &Desk,
    out: &mut Out<'_>,
    asked: &Asked<'_>,
    peer: Option<SocketAddr>,
) -> Result<(), Gone> {
    out.head_only = asked.method == b"HEAD";
    let reply = match asked.way {
        Way::Page(file) => return send_file(out, file, asked.keep).await,
        Way::Metrics | Way::Status | Way::Explain | Way::Csv | Way::Ready => match streamed(desk, asked) {
            Ok(streamed) => return stream(out, asked, streamed).await,
            Err(reply) => reply,
        },
        Way::Healthy => Reply::of(200, "ok"),
        Way::Order(order) => order.carry_out(desk, asked.level, peer),
        Way::Refused(reply) => reply,
    };
    refuse(out, reply, asked.keep).await
}

/// A text of unknown length.
struct Streamed<'a> {
    status: u16,
    media_type: &'static str,
    /// Writes the next piece; whether there is another.
    piece: Box<dyn FnMut(&mut Text<'_>) -> bool + 'a>,
}

fn streamed<'a>(desk: &'a Desk, asked: &Asked<'_>) -> Result<Streamed<'a>, Reply> {
    let proxy = desk.proxy;
    proxy.refresh_statistics();
    let (mut status, mut media_type) = (200, PLAIN);
    let piece: Box<dyn FnMut(&mut Text<'_>) -> bool + 'a> = match asked.way {
        Way::Metrics => {
            media_type = "text/plain; version=0.0.4; charset=utf-8";
            let mut scrape = metrics::Scrape::new(proxy, desk.lines);
            Box::new(move |text| scrape.piece(proxy, text))
        }
        Way::Status => {
            media_type = "application/json";
            let mut page = status::Page::new(&desk.json_host, asked.level, desk.lines);
            Box::new(move |text| page.piece(proxy, text))
        }
        Way::Explain => {
            media_type = "application/json";
            let mut answer = explain::Answer::to(desk, asked.query)?;
            Box::new(move |text| answer.piece(text))
        }
        Way::Ready => {
            let mut ready = health::Ready::of(proxy);
            status = ready.status();
            Box::new(move |text| ready.piece(proxy, text))
        }
        _ => {
            let mut step = 0;
            Box::new(move |text| {
                step += 1;
                socket::csv(proxy, step - 1, text)
            })
        }
    };
    Ok(Streamed { status, media_type, piece })
}

/// Answers piece by piece.
async fn stream(out: &mut Out<'_>, asked: &Asked<'_>, mut streamed: Streamed<'_>) -> Result<(), Gone> {
    head(out, streamed.status, streamed.media_type, asked.keep, SEALED);
    out.put(&mut |text| text.bytes(if asked.chunks { b"Transfer-Encoding: chunked\r\n\r\n" } else { b"\r\n" }));
    out.begin(asked.chunks).await?;
    while out.write(&mut *streamed.piece).await? {}
    out.end().await
}

/// Sends a short answer, of one line.
pub(super) async fn refuse(out: &mut Out<'_>, reply: Reply, keep: bool) -> Result<(), Gone> {
    head(out, reply.status, PLAIN, keep, SEALED);
    out.put(&mut |text| {
        // Which methods there are has to be told (RFC 9110 section 15.5.6).
        if let (405, Some(methods)) = (reply.status, reply.text.strip_prefix("this takes ")) {
            text.bytes(b"Allow: ");
            text.bytes(methods.as_bytes());
            text.bytes(b"\r\n");
        }
        text.bytes(b"Content-Length: ");
        text.long(reply.text.len() as u64 + 1);
        text.bytes(b"\r\n\r\n");
        text.bytes(reply.text.as_bytes());
        text.byte(b'\n');
    });
    if out.head_only {
        out.forget(reply.text.len() + 1);
    }
    out.send(b"").await
}

async fn send_file(out: &mut Out<'_>, file: &page::File, keep: bool) -> Result<(), Gone> {
    head(out, 200, file.media_type, keep, page::POLICY);
    out.put(&mut |text| {
        text.bytes(b"Content-Encoding: gzip\r\nContent-Length: ");
        text.long(file.bytes.len() as u64);
        text.bytes(b"\r\n\r\n");
    });
    out.send(file.bytes).await
}

fn head(out: &mut Out<'_>, status: u16, media_type: &str, keep: bool, policy: &[u8]) {
    out.put(&mut |text| {
        text.bytes(b"HTTP/1.1 ");
        text.number(status.into());
        for part in [" ", reason(status), "\r\nContent-Type: ", media_type, "\r\n"] {
            text.bytes(part.as_bytes());
        }
        text.bytes(CAUTION);
        text.bytes(policy);
        if status == 401 {
            text.bytes(b"WWW-Authenticate: Bearer realm=\"beelance\"\r\n");
        }
        if !keep {
            text.bytes(b"Connection: close\r\n");
        }
    });
}

/// A client, for a message.
pub(super) fn who(peer: Option<SocketAddr>) -> heapless::String<64> {
    let mut name = heapless::String::new();
    let written = match peer {
        Some(address) => write!(name, "{address}"),
        None => name.write_str("the UNIX socket"),
    };
    debug_assert!(written.is_ok());
    name
}
