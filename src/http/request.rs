//! Request heads (RFC 9112 sections 2 to 6): parsed once, checked, and what to cut from them.
//!
//! Refuses what two readers could read differently; the reason goes into the reply's status and the log.

use super::body::Framing;
use super::fields::{
    ConnectionOptions, Cuts, Field, Fields, Known, TooManyCuts, TooManyOptions, collect, cut_known, ends_lines,
    is_bare, line, offset,
};
use super::framing::{Delimiters, Undelimited};
use super::plain::{self, RequestLine};
use super::target::Target;
use super::{host, upgrade};
use crate::limits::MAX_HEADERS;
use std::mem::MaybeUninit;

/// The version of HTTP a peer speaks; beelance itself always speaks 1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Why a request is refused, and with which status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the reply.
    pub status: u16,
    /// What is wrong, for the log.
    pub reason: &'static str,
}

const fn bad(reason: &'static str) -> Refusal {
    Refusal { status: 400, reason }
}

impl From<TooManyCuts> for Refusal {
    fn from(_: TooManyCuts) -> Self {
        bad("too many fields to remove")
    }
}

impl From<TooManyOptions> for Refusal {
    fn from(_: TooManyOptions) -> Self {
        bad("too many Connection options")
    }
}

impl From<Undelimited> for Refusal {
    fn from(undelimited: Undelimited) -> Self {
        match undelimited {
            Undelimited::Malformed(reason) => bad(reason),
            Undelimited::UnknownCoding => Self { status: 501, reason: "unknown transfer coding" },
        }
    }
}

/// What a method means to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, OPTIONS, TRACE, PUT, DELETE: doing it twice is doing it once (RFC 9110 section 9.2.2).
    Idempotent,
    /// HEAD: idempotent, and its response has no body.
    Head,
    /// POST, PATCH and every other: never sent twice.
    Other,
}

impl Method {
    fn of(method: &[u8]) -> Self {
        match method {
            // The most frequent one without a call to compare.
            [b'G', b'E', b'T'] | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE" => Self::Idempotent,
            b"HEAD" => Self::Head,
            _ => Self::Other,
        }
    }

    /// Whether a request may be sent again when nobody knows if it was received.
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        match self {
            Self::Idempotent | Self::Head => true,
            Self::Other => false,
        }
    }
}

/// A request head, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct RequestHead<'b, 'f> {
    /// The method, a token.
    pub method: &'b [u8],
    /// What it means here.
    pub kind: Method,
    /// The target's path, without the query; `*` for OPTIONS of the server.
    pub path: &'b [u8],
    /// The target's query with its `?`; empty when there is none.
    pub query: &'b [u8],
    /// The authority it is for: Host, or the absolute target's.
    pub host: Option<&'b [u8]>,
    /// Whether `host` must be written anew, because it came in the target and the Host field said something else.
    pub rewrites_host: bool,
    /// The client's version.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the Content-Length line was cut because it must be written anew in its plain form.
    pub rewrites_length: bool,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// All fields, as they came.
    pub fields: &'f [Field<'b>],
    /// Bytes of the head, its empty line included.
    pub length: usize,
    /// Bytes of the request line, without its CRLF.
    pub line: usize,
    /// Whether it has an X-Forwarded field of any kind.
    pub forwarded: bool,
    /// The protocols it offers to go on with, as its Upgrade field names them; that field is passed on.
    pub upgrade: Option<&'b [u8]>,
    /// How many more proxies it may pass, when it is a TRACE or an OPTIONS that says so; that field is cut.
    pub max_forwards: Option<u64>,
    /// The byte of an absolute target without a path that becomes one, and which.
    path_byte: Option<(usize, u8)>,
}

/// Parses the head at the front of `bytes`, which is there up to and including its empty line, with `most` fields at most.
/// They go into `fields`, which are empty, and what is not passed on goes into `cuts`.
///
/// # Errors
/// [`Refusal`] with 400, 431, 501 or 505.
// Inlined, it and its caller would run out of registers.
#[inline(never)]
pub fn parse<'b, 'f>(
    bytes: &'b [u8],
    most: usize,
    fields: &'f mut Fields<'b>,
    cuts: &mut Cuts,
) -> Result<RequestHead<'b, 'f>, Refusal> {
    let line = match plain::request(bytes, most, fields) {
        Some(line) => line,
        None => judge(bytes, most, fields)?,
    };
    let RequestLine { method, target, minor, length } = line;
    let bytes = &bytes[..length];
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    // Made where it goes: it is long to copy.
    let mut parsed = Ok(RequestHead {
        method,
        kind: Method::of(method),
        path: &[],
        query: &[],
        host: None,
        rewrites_host: false,
        version,
        framing: Framing::None,
        rewrites_length: false,
        keep_alive: false,
        fields,
        length,
        line: offset(bytes, target) + target.len() + " HTTP/1.1".len(),
        forwarded: false,
        upgrade: None,
        max_forwards: None,
        path_byte: None,
    });
    if let Ok(head) = &mut parsed
        && let Err(refusal) = head.read_fields(bytes, cuts).and_then(|()| head.read_target(bytes, target, cuts))
    {
        return Err(refusal);
    }
    parsed
}

/// Takes a head apart that is written in an unusual way, or finds out what is wrong with it.
#[cold]
#[inline(never)]
fn judge<'b>(bytes: &'b [u8], most: usize, fields: &mut Fields<'b>) -> Result<RequestLine<'b>, Refusal> {
    let mut table = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let most = most.min(table.len());
    let mut parsed = httparse::Request::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_request_with_uninit_headers(&mut parsed, bytes, &mut table[..most]) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(bad("the head is not complete")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal { status: 431, reason: "too many header fields" });
        }
        Err(httparse::Error::Version) if names_other_version(bytes) => {
            return Err(Refusal { status: 505, reason: "not HTTP/1" });
        }
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(bad("bad header field")),
        Err(_) => return Err(bad("bad request line")),
    };
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return Err(bad("bad request line")) };
    collect(fields, parsed.headers);
    // httparse skips empty lines before the request line, and takes LF for a line's end (RFC 9112 section 2.2).
    if offset(bytes, method.as_bytes()) != 0 || !ends_lines(&bytes[..length], fields) {
        return Err(bad("a line ends without CR"));
    }
    let minor = parsed.version.unwrap_or(1);
    Ok(RequestLine { method: method.as_bytes(), target: target.as_bytes(), minor, length })
}

impl<'b> RequestHead<'b, '_> {
    fn read_fields(&mut self, bytes: &'b [u8], cuts: &mut Cuts) -> Result<(), Refusal> {
        let (mut options, mut delimiters) = (ConnectionOptions::default(), Delimiters::default());
        let (mut upgrades, mut close) = (0, false);
        for (index, field) in self.fields.iter().enumerate() {
            match Known::of(field.name) {
                Some(Known::Host) => {
                    if self.host.is_some() {
                        return Err(bad("two Host fields"));
                    }
                    host::check(field.value).map_err(bad)?;
                    self.host = Some(field.value);
                }
                Some(Known::Connection) => {
                    options.add(field.value)?;
                    cuts.add(line(bytes, self.fields, index))?;
                }
                Some(Known::HopByHop) => cuts.add(line(bytes, self.fields, index))?,
                Some(Known::ContentLength) => delimiters.content_length(field.value, is_bare(bytes, field))?,
                Some(Known::TransferEncoding) => {
                    delimiters.transfer_encoding(field.value, self.version)?;
                    cuts.add(line(bytes, self.fields, index))?;
                }
                Some(Known::Upgrade) => {
                    upgrades += 1;
                    self.upgrade = Some(field.value);
                }
                Some(Known::MaxForwards) if matches!(self.method, b"TRACE" | b"OPTIONS") => {
                    if self.max_forwards.is_some() {
                        return Err(bad("two Max-Forwards fields"));
                    }
                    self.max_forwards = Some(max_forwards(field.value).ok_or(bad("bad Max-Forwards"))?);
                    cuts.add(line(bytes, self.fields, index))?;
                }
                Some(Known::Forwarded | Known::ForwardedProto) => self.forwarded = true,
                Some(Known::Close) => close = true,
                Some(Known::Lookalike) => return Err(bad("a framing field with an underscore")),
                Some(Known::Cookie | Known::Date | Known::MaxForwards | Known::SetCookie) | None => {}
            }
        }
        self.framing = delimiters.framing()?;
        self.rewrites_length = delimiters.rewrites_length();
        options.cut(bytes, self.fields, self.rewrites_length, cuts)?;
        if close && options.close {
            cut_known(bytes, self.fields, Known::Close, cuts)?;
        }
        self.keep_alive = match self.version {
            Version::Http10 => options.keep_alive && !options.close,
            Version::Http11 => !options.close,
        };
        // Behind a body nobody could tell where the other protocol begins before it is answered.
        let offers = options.upgrade && self.version == Version::Http11 && self.framing == Framing::None;
        self.upgrade = self.upgrade.filter(|offer| offers && upgrades == 1 && upgrade::is_offer(offer));
        if upgrades > 0 && self.upgrade.is_none() {
            cut_known(bytes, self.fields, Known::Upgrade, cuts)?;
        }
        Ok(())
    }

    /// Cuts the target down to its origin form; an absolute one's authority takes the place of Host.
    fn read_target(&mut self, bytes: &'b [u8], target: &'b [u8], cuts: &mut Cuts) -> Result<(), Refusal> {
        let Target { path, query, absolute } = Target::read(self.method, target)?;
        (self.path, self.query) = (path, query);
        if self.version == Version::Http11 && self.host.is_none() {
            return Err(bad("no Host field"));
        }
        if let Some(absolute) = absolute {
            if self.host.is_none_or(|host| !host.eq_ignore_ascii_case(absolute.authority)) {
                self.rewrites_host = true;
                if let Some(index) = self.fields.iter().position(|field| Known::of(field.name) == Some(Known::Host)) {
                    cuts.add(line(bytes, self.fields, index))?;
                }
            }
            self.host = Some(absolute.authority);
            let start = offset(bytes, target);
            let cut = start + absolute.cut.start..start + absolute.cut.end;
            self.path_byte = absolute.path.map(|byte| (cut.end, byte));
            cuts.add(cut)?;
        }
        Ok(())
    }

    /// What rewriting needs, free of the bytes.
    #[must_use]
    pub fn rewrite(&self) -> Rewrite {
        Rewrite { version_at: self.line - 1, path_byte: self.path_byte }
    }
}

/// What becomes of a request head on its way to a backend.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite {
    version_at: usize,
    path_byte: Option<(usize, u8)>,
}

impl Rewrite {
    /// Rewrites the head in place, to HTTP/1.1, without `cuts` and its empty line, so that fields can be added behind it.
    /// Returns its new length.
    #[must_use]
    pub fn apply(self, head: &mut [u8], cuts: &mut Cuts) -> usize {
        head[self.version_at] = b'1';
        if let Some((at, byte)) = self.path_byte {
            head[at] = byte;
        }
        let length = head.len() - 2;
        cuts.apply(head, length)
    }
}

/// Whether the request line is whole but for a version that is not 1.0 or 1.1.
fn names_other_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or(head);
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"));
    words.next().is_none() && matches!(version, Some([b'0'..=b'9', b'.', b'0'..=b'9']))
}

fn max_forwards(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests;
