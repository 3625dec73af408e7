//! Response heads (RFC 9112 sections 4 to 6): parsed once, checked, and what to cut from them.

use super::body::{Framing, Malformed};
use super::fields::{
    ConnectionOptions, Cuts, Field, Fields, Known, TooManyCuts, TooManyOptions, collect, cut_known, ends_lines,
    is_bare, line, offset,
};
use super::framing::{Delimiters, Undelimited};
use super::plain::{self, StatusLine};
use super::request::{Method, Version};
use super::{cookie, upgrade};
use crate::limits::{MAX_HEADERS, MAX_PREFIXES};
use std::mem::MaybeUninit;

impl From<TooManyCuts> for Malformed {
    fn from(_: TooManyCuts) -> Self {
        Self("too many fields to remove")
    }
}

impl From<TooManyOptions> for Malformed {
    fn from(_: TooManyOptions) -> Self {
        Self("too many Connection options")
    }
}

impl From<Undelimited> for Malformed {
    fn from(undelimited: Undelimited) -> Self {
        match undelimited {
            Undelimited::Malformed(reason) => Self(reason),
            Undelimited::UnknownCoding => Self("unknown transfer coding"),
        }
    }
}

/// What is known of the request that a response answers.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: Method,
    /// The protocols it offered to go on with.
    pub offer: Option<&'a [u8]>,
    /// The name of the affinity cookie, and what becomes of it where the backend sets it.
    pub affinity: Option<(&'a str, Own)>,
}

/// What becomes of the affinity cookie that the backend itself sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Its lines are cut.
    Cut,
    /// They stay.
    Keep,
    /// They stay, and [`ResponseHead::affinity_values`] says where the values begin.
    Find,
}

/// What a response head says, free of its bytes.
#[derive(Debug)]
pub struct ResponseHead {
    /// Bytes of the head, its empty line included.
    pub length: usize,
    /// 100..=999.
    pub status: u16,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the backend keeps the connection.
    pub keep_alive: bool,
    /// The Content-Length to write anew, because it came in another form than plain digits, once.
    pub new_length: Option<u64>,
    /// Whether it has a Date.
    pub dated: bool,
    /// Where each value that the backend gives the affinity cookie begins.
    pub affinity_values: heapless::Vec<u16, MAX_PREFIXES>,
    /// Whether it gives it any.
    pub sets_affinity: bool,
}

/// What a status line begins with; the minor version follows.
const STATUS_LINE: &[u8] = b"HTTP/1.";
const VERSION_AT: usize = STATUS_LINE.len();
/// Where the blank behind the three digits of a status stands.
const STATUS_END: usize = "HTTP/1.1 200".len();

/// Parses the head at the front of `bytes`; `None` when its end is not there yet. What is not passed on, such as a
/// Set-Cookie of the affinity cookie, goes into `cuts`.
///
/// # Errors
/// [`Malformed`]: the backend cannot be understood, or could be understood in two ways, or does what nobody asked for.
pub fn parse(bytes: &[u8], asked: Asked<'_>, cuts: &mut Cuts) -> Result<Option<ResponseHead>, Malformed> {
    let mut fields = Fields::new();
    let line = match plain::response(bytes, &mut fields) {
        Some(line) => line,
        None => match judge(bytes, &mut fields)? {
            Some(line) => line,
            None => return Ok(None),
        },
    };
    let StatusLine { status, minor, length } = line;
    let bytes = &bytes[..length];
    if status < 100 {
        return Err(Malformed("bad status"));
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let mut head = ResponseHead {
        length,
        status,
        framing: Framing::None,
        keep_alive: false,
        new_length: None,
        dated: false,
        affinity_values: heapless::Vec::new(),
        sets_affinity: false,
    };
    head.read_fields(bytes, &fields, version, asked, cuts)?;
    Ok(Some(head))
}

/// Takes a head apart that is written in an unusual way, or is not whole, or finds out what is wrong with it.
#[cold]
#[inline(never)]
fn judge<'b>(bytes: &'b [u8], fields: &mut Fields<'b>) -> Result<Option<StatusLine>, Malformed> {
    let mut table = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut table) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("too many header fields")),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(Malformed("bad header field")),
        Err(_) => return Err(Malformed("bad status line")),
    };
    collect(fields, parsed.headers);
    // httparse skips empty lines before the status line, and takes one that ends behind the digits (RFC 9112 section 4).
    // What stands behind the first byte it has seen to.
    if bytes.first() != STATUS_LINE.first() || bytes.get(STATUS_END) != Some(&b' ') {
        return Err(Malformed("bad status line"));
    }
    // It takes LF for a line's end, too.
    if !ends_lines(&bytes[..length], fields) {
        return Err(Malformed("a line ends without CR"));
    }
    let status = parsed.code.ok_or(Malformed("bad status"))?;
    Ok(Some(StatusLine { status, minor: parsed.version.unwrap_or(1), length }))
}

impl ResponseHead {
    fn read_fields(
        &mut self,
        bytes: &[u8],
        fields: &[Field<'_>],
        version: Version,
        asked: Asked<'_>,
        cuts: &mut Cuts,
    ) -> Result<(), Malformed> {
        let (mut options, mut delimiters) = (ConnectionOptions::default(), Delimiters::default());
        let (mut delimited, mut switched, mut close) = (false, false, false);
        for (index, field) in fields.iter().enumerate() {
            match Known::of(field.name) {
                Some(Known::Connection) => {
                    options.add(field.value)?;
                    cuts.add(line(bytes, fields, index))?;
                }
                Some(Known::HopByHop) => cuts.add(line(bytes, fields, index))?,
                Some(Known::ContentLength) => {
                    delimiters.content_length(field.value, is_bare(bytes, field))?;
                    delimited = true;
                }
                Some(Known::TransferEncoding) => {
                    delimiters.transfer_encoding(field.value, version)?;
                    delimited = true;
                    cuts.add(line(bytes, fields, index))?;
                }
                Some(Known::Upgrade) if self.status == 101 => {
                    // The second one, or another protocol than one offered, leaves it unclear what the bytes behind are.
                    let accepted = asked.offer.is_some_and(|offer| upgrade::accepts(offer, field.value));
                    if switched || !accepted {
                        return Err(Malformed("101 for a protocol that was not offered"));
                    }
                    switched = true;
                }
                Some(Known::Upgrade) => cuts.add(line(bytes, fields, index))?,
                Some(Known::SetCookie) => {
                    let Some((name, own)) = asked.affinity else { continue };
                    let Some(value) = cookie::set_by(field.value, name) else { continue };
                    self.sets_affinity = true;
                    match own {
                        Own::Cut => cuts.add(line(bytes, fields, index))?,
                        Own::Keep => {}
                        Own::Find => {
                            let at = u16::try_from(offset(bytes, value)).map_err(|_| TooManyCuts)?;
                            let noted = self.affinity_values.push(at);
                            noted.map_err(|_| Malformed("the session cookie is set too often"))?;
                        }
                    }
                }
                Some(Known::Date) => self.dated = true,
                Some(Known::Close) => close = true,
                Some(Known::Lookalike) => return Err(Malformed("a framing field with an underscore")),
                Some(Known::Cookie | Known::Forwarded | Known::ForwardedProto | Known::Host | Known::MaxForwards)
                | None => {}
            }
        }
        if self.status == 101 && !(switched && options.upgrade) {
            return Err(Malformed("101 that nobody asked for"));
        }
        // Both fields together are refused even where no body follows.
        let framing = delimiters.framing()?;
        self.framing = match framing {
            _ if asked.method == Method::Head || matches!(self.status, 100..200 | 204 | 304) => Framing::None,
            Framing::None if !delimited => Framing::UntilClose,
            framing => framing,
        };
        // No body, no length (RFC 9110 section 8.6); a 304 and the answer to HEAD tell that of the body they leave out.
        let bodiless = matches!(self.status, 100..200 | 204);
        options.cut(bytes, fields, delimiters.rewrites_length() || bodiless, cuts)?;
        if close && options.close {
            cut_known(bytes, fields, Known::Close, cuts)?;
        }
        self.new_length = delimiters.length().filter(|_| delimiters.rewrites_length() && !bodiless);
        self.keep_alive = match version {
            Version::Http10 => options.keep_alive && !options.close,
            Version::Http11 => !options.close,
        } && self.framing != Framing::UntilClose;
        Ok(())
    }

    /// Whether another head follows this one: 1xx but 101.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..200) && !self.switches()
    }

    /// Whether what follows is the other protocol that the request offered: 101.
    #[must_use]
    pub fn switches(&self) -> bool {
        self.status == 101
    }
}

/// Rewrites a head in place, to HTTP/1.1, without `cuts` and its empty line, so that fields can be added behind it.
/// Returns its new length.
#[must_use]
pub fn rewrite(head: &mut [u8], cuts: &mut Cuts) -> usize {
    head[VERSION_AT] = b'1';
    let length = head.len() - 2;
    cuts.apply(head, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(bytes: &[u8], method: Method) -> Result<ResponseHead, Malformed> {
        let asked = Asked { method, offer: Some(b"websocket"), affinity: Some(("SRV", Own::Cut)) };
        parse(bytes, asked, &mut Cuts::default()).and_then(|head| head.ok_or(Malformed("not whole")))
    }

    fn rewritten(head: &[u8]) -> Option<Vec<u8>> {
        let (mut bytes, mut cuts) = (head.to_vec(), Cuts::default());
        let asked = Asked { method: Method::Idempotent, offer: None, affinity: Some(("SRV", Own::Cut)) };
        parse(head, asked, &mut cuts).ok()??;
        let length = rewrite(&mut bytes, &mut cuts);
        bytes.truncate(length);
        Some(bytes)
    }

    #[test]
    fn framing() {
        let get = Method::Idempotent;
        let cases: [(&str, Method, Framing, bool); 12] = [
            ("200 OK\r\nContent-Length: 5\r\n", get, Framing::Length(5), true),
            ("200 OK\r\nContent-Length: 0\r\n", get, Framing::None, true),
            ("200 OK\r\nContent-Length: 5\r\n", Method::Head, Framing::None, true),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n", get, Framing::Chunked, true),
            ("200 OK\r\n", get, Framing::UntilClose, false),
            ("200 OK\r\n", Method::Head, Framing::None, true),
            ("204 No\r\n", get, Framing::None, true),
            ("304 Not\r\nContent-Length: 5\r\n", get, Framing::None, true),
            ("100 Continue\r\n", get, Framing::None, true),
            ("200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", get, Framing::Length(5), false),
            ("200 OK\r\nContent-Length: 5, 5\r\n", get, Framing::Length(5), true),
            ("200 \r\nContent-Length: 5\r\n", get, Framing::Length(5), true),
        ];
        for (head, method, framing, keep_alive) in cases {
            let head = parsed(format!("HTTP/1.1 {head}\r\n").as_bytes(), method).expect(head);
            assert_eq!((head.framing, head.keep_alive), (framing, keep_alive));
        }
        let old = parsed(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", get).unwrap();
        assert!(!old.keep_alive);
    }

    #[test]
    fn lengths_without_a_body() {
        let cases = [
            ("204 No\r\nContent-Length: 5\r\n", "204 No\r\n", None),
            ("304 Not\r\nContent-Length: 5\r\n", "304 Not\r\nContent-Length: 5\r\n", None),
            ("304 Not\r\nContent-Length: 5, 5\r\n", "304 Not\r\n", Some(5)),
        ];
        for (head, expected, new_length) in cases {
            let head = format!("HTTP/1.1 {head}\r\n");
            assert_eq!(rewritten(head.as_bytes()).unwrap(), format!("HTTP/1.1 {expected}").into_bytes());
            assert_eq!(parsed(head.as_bytes(), Method::Idempotent).unwrap().new_length, new_length);
        }
    }

    #[test]
    fn switching() {
        let switch = |lines: &str| {
            let head = format!("HTTP/1.1 101 Go\r\n{lines}\r\n");
            parsed(head.as_bytes(), Method::Idempotent).map(|head| (head.switches(), head.is_interim(), head.framing))
        };
        let good = "Connection: Upgrade\r\nUpgrade: WebSocket\r\n";
        assert_eq!(switch(good), Ok((true, false, Framing::None)));
        for bad in [
            "",
            "Connection: Upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
            "Connection: Upgrade\r\nUpgrade:\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
        ] {
            assert!(switch(bad).is_err(), "{bad}");
        }
        let unasked = format!("HTTP/1.1 101 Go\r\n{good}\r\n");
        assert_eq!(rewritten(unasked.as_bytes()), None);
        // Everywhere else the field says what the backend could do, of this hop only.
        let other = b"HTTP/1.1 426 No\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(rewritten(other).unwrap(), b"HTTP/1.1 426 No\r\nContent-Length: 0\r\n");
    }

    #[test]
    fn malformed() {
        let cases = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
            "HTTP/1.1 304 Not\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200\tOK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
            "hello\r\n\r\n",
        ];
        for head in cases {
            assert!(parsed(head.as_bytes(), Method::Idempotent).is_err(), "{head:?}");
        }
    }

    #[test]
    fn rewriting() {
        let head = "HTTP/1.0 200 Fine\r\nA: 1\r\nConnection: x-hop, close\r\nX-Hop: 1\r\nSet-Cookie: SRV=b1\r\n\
                    Set-Cookie: a=SRV\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\nB: 2\r\n\r\n";
        let expected = "HTTP/1.1 200 Fine\r\nA: 1\r\nSet-Cookie: a=SRV\r\nContent-Length: 5\r\nB: 2\r\n";
        assert_eq!(String::from_utf8(rewritten(head.as_bytes()).unwrap()).unwrap(), expected);
        let head = b"HTTP/1.1 204 No\r\nClose: 1\r\nA: 1\r\nClose: 2\r\nConnection: close\r\n\r\n";
        assert_eq!(rewritten(head).unwrap(), b"HTTP/1.1 204 No\r\nA: 1\r\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parsed(&bytes, Method::Idempotent);
            let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
            head.extend_from_slice(&bytes);
            head.extend_from_slice(b"\r\n\r\n");
            let _ = rewritten(&head);
        }
    }
}
