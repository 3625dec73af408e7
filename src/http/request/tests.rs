//! A request head: cases, each a name, bytes and what becomes of them, and properties.

use super::*;
use crate::http::scan::{HeadScan, Scanned};
use proptest::prelude::*;

fn with<T>(bytes: &[u8], look: impl FnOnce(Result<RequestHead<'_, '_>, Refusal>) -> T) -> T {
    look(parse(bytes, 16, &mut Fields::new(), &mut Cuts::default()))
}

/// The head as it goes to a backend, without the fields that are added.
fn rewritten(head: &str) -> String {
    let (mut bytes, mut cuts) = (head.as_bytes().to_vec(), Cuts::default());
    let rewrite = parse(head.as_bytes(), 16, &mut Fields::new(), &mut cuts).expect(head).rewrite();
    let length = rewrite.apply(&mut bytes, &mut cuts);
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn rewriting() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n"),
        (
            "GET / HTTP/1.1\r\nA: 1\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 2\r\nHost: a\r\nKeep-Alive: 5\r\nB:  3 \r\n\r\n",
            "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nB:  3 \r\n",
        ),
        ("GET http://a/x?y HTTP/1.1\r\nHost: A\r\n\r\n", "GET /x?y HTTP/1.1\r\nHost: A\r\n"),
        ("GET http://a:80 HTTP/1.1\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\n"),
        ("GET HTTP://a?x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?x HTTP/1.1\r\nHost: a\r\n"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: content-length, host\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\nX: y\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \t5\r\nX: y\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n"),
        ("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n"),
        ("OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: a\r\n"),
        ("GET / HTTP/1.1\r\nHost: a\r\nClose: 1\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"),
        (
            "GET / HTTP/1.1\r\nClose: 1\r\nHost: a\r\nclose: 2\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\n",
        ),
    ];
    for (head, expected) in cases {
        assert_eq!(rewritten(head), expected);
    }
}

#[test]
fn refused() {
    let cases: [(&[u8], u16); 52] = [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [::1]:x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\xff: b\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        (b"GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", 400),
        (b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: -1\r\n\r\n", 400),
        (b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards:\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n", 431),
    ];
    for (bytes, status) in cases {
        let result = with(bytes, |parsed| parsed.map(|head| format!("{head:?}")));
        assert_eq!(result.map_err(|refusal| refusal.status), Err(status), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn upgrades_and_max_forwards() {
    let asks = |lines: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let offered = with(head.as_bytes(), |parsed| parsed.unwrap().upgrade.map(<[u8]>::to_vec));
        (offered.map(|offer| String::from_utf8(offer).unwrap()), rewritten(&head))
    };
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    let passed = asks("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(passed, (Some("websocket".into()), plain.clone() + "Upgrade: websocket\r\n"));
    for lines in [
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
    ] {
        assert_eq!(asks(lines), (None, plain.clone()), "{lines}");
    }
    let body = "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n";
    assert_eq!(asks(body), (None, plain + "Content-Length: 1\r\n"));

    for (method, expected) in [("TRACE", Some(7)), ("OPTIONS", Some(7)), ("GET", None)] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n");
        assert_eq!(with(head.as_bytes(), |parsed| parsed.unwrap().max_forwards), expected);
        assert_eq!(rewritten(&head).contains("Max-Forwards"), expected.is_none());
    }
}

#[test]
fn what_a_head_says() {
    let head = b"PUT /a/b?c HTTP/1.1\r\nHost: shop:81\r\nContent-Length: 5000000000\r\nConnection: close\r\n\r\n";
    with(head, |parsed| {
        let parsed = parsed.unwrap();
        assert_eq!((parsed.path, parsed.host), (&b"/a/b"[..], Some(&b"shop:81"[..])));
        assert_eq!((parsed.framing, parsed.keep_alive), (Framing::Length(5_000_000_000), false));
        assert!(parsed.kind.is_idempotent());
        assert_eq!(&head[..parsed.line], b"PUT /a/b?c HTTP/1.1");
    });
    let cases: [(&[u8], bool); 4] = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (b"GET / HTTP/1.0\r\n\r\n", false),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false),
    ];
    for (head, keep_alive) in cases {
        assert_eq!(with(head, |parsed| parsed.unwrap().keep_alive), keep_alive);
    }
    assert!(!with(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", |parsed| parsed.unwrap().kind.is_idempotent()));
}

proptest! {
    /// The parser finds the end that the scan finds, and nothing that the scan refuses.
    #[test]
    fn the_parser_finds_the_end(
        pieces in prop::collection::vec("(\\r\\n|\\n|\\r|\\r\\n\\r\\n|A: b\\r\\n|Host: h\\r\\n|x)", 0..8)
    ) {
        let bytes = format!("GET / HTTP/1.1{}\r\n\r\n", pieces.concat());
        let length = with(bytes.as_bytes(), |parsed| parsed.ok().map(|head| head.length));
        if let Some(length) = length {
            prop_assert_eq!(HeadScan::default().scan(bytes.as_bytes()), Scanned::Complete(length));
        }
    }

    /// No bytes make parsing panic, and what is passed on never says two things about its framing.
    #[test]
    fn nothing_ambiguous_is_passed_on(lines in prop::collection::vec(
        "(Content-Length: [0-9 ,+]{0,5}|Transfer-Encoding: (chunked|gzip|[ a-z,]{0,8})|Connection: [a-zA-Z, -]{0,12}|Host: [a-z]|[A-Za-z :\r\n]{0,6})", 0..5), v10: bool
    ) {
        let head = format!("POST / HTTP/1.{}\r\nHost: a\r\n{}\r\n\r\n", u8::from(!v10), lines.join("\r\n"));
        let (mut bytes, mut cuts) = (head.as_bytes().to_vec(), Cuts::default());
        let mut fields = Fields::new();
        let parsed = parse(head.as_bytes(), 16, &mut fields, &mut cuts);
        if let Ok((framing, rewrites_length, rewrite)) = parsed.map(|head| {
            bytes.truncate(head.length);
            (head.framing, head.rewrites_length, head.rewrite())
        }) {
            let length = rewrite.apply(&mut bytes, &mut cuts);
            let passed = String::from_utf8(bytes[..length].to_vec()).unwrap().to_ascii_lowercase();
            prop_assert!(!passed.contains("transfer-encoding"), "{passed}");
            let lengths = passed.matches("content-length:").count();
            match framing {
                Framing::Length(_) => prop_assert_eq!(lengths, usize::from(!rewrites_length)),
                Framing::None => prop_assert!(lengths <= 1),
                Framing::Chunked => prop_assert_eq!(lengths, 0),
                Framing::UntilClose => prop_assert!(false),
            }
        }
    }
}
