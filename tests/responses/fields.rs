//! What a response's head keeps, to the letter, and what stays on its hop.

use super::case::{Case, GET, KEEP_10, whole};
use crate::common::client::Framing::{Length, None};

const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";

pub const CASES: &[Case] = &[
    // The status line.
    whole(
        ("a reason of its own", "9112 4"),
        GET,
        b"HTTP/1.1 299 Odd: (reason) \r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 299 Odd: (reason) \r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("an empty reason", "9112 4"),
        GET,
        b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 \r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("obs-text in the reason", "9112 4"),
        GET,
        b"HTTP/1.1 200 R\xe9ussi\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 R\u{e9}ussi\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("UTF-8 in the reason", "9112 4"),
        GET,
        b"HTTP/1.1 200 \xe2\x82\xac\tok\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 \u{20ac}\tok\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("a status nobody knows", "9110 15"),
        GET,
        b"HTTP/1.1 999 Odd\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 999 Odd\r\nContent-Length: 3\r\n", Length, "one"),
    ),
    whole(
        ("the version is one's own", "9110 2.5"),
        GET,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    ),
    // Fields pass as they are, in their order.
    whole(
        ("order, case and blanks", "9110 5.3"),
        GET,
        b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nVARY:x\r\nX-Two:  two blanks  \r\nSet-Cookie:b=2\r\nX-Tab:\ta\tb\r\n\
          X-Empty:\r\nX-Blank: \r\nContent-Length: 0\r\n\r\n",
        (
            "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nVARY:x\r\nX-Two:  two blanks  \r\nSet-Cookie:b=2\r\nX-Tab:\ta\tb\r\n\
             X-Empty:\r\nX-Blank: \r\nContent-Length: 0\r\n",
            Length,
            "",
        ),
    ),
    whole(
        ("obs-text in a value", "9110 5.5"),
        GET,
        b"HTTP/1.1 200 OK\r\nX: caf\xe9\xff\x80\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nX: caf\u{e9}\u{ff}\u{80}\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("every byte a name may have", "9110 5.6.2"),
        GET,
        b"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ: x\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ: x\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("what is for the client", "9110 11.7"),
        GET,
        b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nVia: 1.1 x\r\nAllow:\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nVia: 1.1 x\r\nAllow:\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("a Date is kept", "9110 6.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("a Date in a form of its own is kept", "9110 6.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\ndate: now\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\ndate: now\r\nContent-Length: 0\r\n", Length, ""),
    ),
    // Fields of the hop.
    whole(
        ("Keep-Alive and Connection", "9110 7.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    ),
    whole(
        ("TE, Trailer, Proxy-Connection", "9110 7.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nTE: x\r\nTrailer: x\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    ),
    whole(
        ("an Upgrade that is only an offer", "9110 7.8"),
        GET,
        b"HTTP/1.1 426 No\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 426 No\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("fields that Connection names", "9110 7.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: x-a,  X-b\t,,x-none\r\nX-B: 1\r\nX-C: 1\r\nx-a: 2\r\n\
          Content-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nX-C: 1\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("fields that a second Connection names", "9110 7.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: 1\r\nX-B: 1\r\nCONNECTION: x-b\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    ),
    whole(
        ("close among other names", "9112 9.6"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: x-a, Close\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    )
    .drops(),
    whole(
        ("close beats keep-alive", "9112 9.3"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    )
    .drops(),
    whole(
        ("a longer word is not close", "9112 9.6"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 0\r\n\r\n",
        (EMPTY, Length, ""),
    ),
    whole(
        ("the framing is never taken away", "9110 7.6.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Length, "one"),
    ),
    whole(
        ("the client's own Connection", "9112 9.3"),
        KEEP_10,
        b"HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", Length, ""),
    ),
    whole(
        ("with 304", "9110 7.6.1"),
        GET,
        b"HTTP/1.1 304 Not\r\nConnection: x-a\r\nX-A: 1\r\nX-B: 1\r\n\r\n",
        ("HTTP/1.1 304 Not\r\nX-B: 1\r\n", None, ""),
    ),
];
