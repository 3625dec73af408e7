//! Interim responses: as many as come, to clients that know of them.

use super::case::{Case, GET, GET_10, HEAD, KEEP_10, Then, refused, whole};
use crate::common::client::Framing::{Length, None};

const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n";
const DONE_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n";

pub const CASES: &[Case] = &[
    whole(
        ("100 that nobody asked for", "9110 15.2"),
        GET,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 100 Continue\r\n"]),
    whole(
        ("102", "9110 15.2"),
        GET,
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 102 Processing\r\n"]),
    whole(
        ("103", "8297 2"),
        GET,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink:  </b>\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink:  </b>\r\n"]),
    whole(
        ("one that nobody knows", "9110 15.2"),
        GET,
        b"HTTP/1.1 199 Odd\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 199 Odd\r\nX: y\r\n"]),
    whole(
        ("several", "9110 15.2"),
        GET,
        b"HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 B\r\n\r\nHTTP/1.1 102 C\r\n\r\nHTTP/1.1 103 D\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 100 A\r\n", "HTTP/1.1 100 B\r\n", "HTTP/1.1 102 C\r\n", "HTTP/1.1 103 D\r\n"]),
    whole(
        ("with a length and fields of the hop", "9110 8.6"),
        GET,
        b"HTTP/1.1 103 Hints\r\nContent-Length: 9\r\nConnection: x-a\r\nX-A: 1\r\nKeep-Alive: 1\r\nX-B: 2\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 103 Hints\r\nX-B: 2\r\n"]),
    whole(
        ("close in it is not yet the end", "9112 9.6"),
        GET,
        b"HTTP/1.1 103 Hints\r\nX-B: 2\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone",
        (DONE, Length, "done"),
    )
    .interim(&["HTTP/1.1 103 Hints\r\nX-B: 2\r\n"])
    .drops(),
    whole(
        ("before 304", "9110 15.2"),
        GET,
        b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 304 Not\r\n\r\n",
        ("HTTP/1.1 304 Not\r\n", None, ""),
    )
    .interim(&["HTTP/1.1 103 Hints\r\n"]),
    whole(
        ("before the response to HEAD", "9110 15.2"),
        HEAD,
        b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        (DONE, None, ""),
    )
    .interim(&["HTTP/1.1 103 Hints\r\n"]),
    whole(
        ("not to HTTP/1.0", "9110 15.2"),
        GET_10,
        b"HTTP/1.1 100 A\r\n\r\nHTTP/1.1 103 B\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        (DONE_CLOSE, Length, "done"),
    )
    .closes(),
    whole(
        ("not to HTTP/1.0 that keeps", "9110 15.2"),
        KEEP_10,
        b"HTTP/1.1 102 A\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\n", Length, "done"),
    ),
    refused(("and then the end", "9110 15.2"), b"HTTP/1.1 103 Hints\r\n\r\n")
        .interim(&["HTTP/1.1 103 Hints\r\n"])
        .then(Then::Close)
        .state("SH--"),
    refused(("and then half a head", "9110 15.2"), b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nX")
        .interim(&["HTTP/1.1 103 Hints\r\n"])
        .then(Then::Close)
        .state("SH--"),
    refused(("and then garbage", "9110 15.2"), b"HTTP/1.1 103 Hints\r\n\r\ngarbage\r\n\r\n")
        .interim(&["HTTP/1.1 103 Hints\r\n"]),
    refused(("one with a broken field", "9110 15.2"), b"HTTP/1.1 103 Hints\r\nX : y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    refused(("101 that nobody asked for", "9110 15.2.2"), b"HTTP/1.1 101 Switching\r\n\r\n"),
    refused(
        ("101 that nobody asked for, with Upgrade", "9110 15.2.2"),
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    refused(
        ("101 behind 103", "9110 15.2.2"),
        b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    )
    .interim(&["HTTP/1.1 103 Hints\r\n"]),
];
