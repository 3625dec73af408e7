//! Where a body ends, and that what follows it is nobody's.

use super::case::{Case, GET, GET_10, HEAD, HEAD_10, KEEP_10, Then, whole};
use crate::common::client::Framing::{Chunked, Close, Length, None};

const OK_3: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n";
const OK_3_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n";
const OK_CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\n";
const OK_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n";

pub const CASES: &[Case] = &[
    // By length.
    whole(("a length", "9112 6.3"), GET, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", (OK_3, Length, "one")),
    whole(
        ("no bytes", "9112 6.3"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("leading zeros go", "9110 8.6"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0003\r\n\r\none",
        (OK_3, Length, "one"),
    ),
    whole(
        ("the same length in two lines is one", "9110 8.6"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 3\r\n", Length, "one"),
    ),
    whole(
        ("the same length in a list is one", "9110 8.6"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nX: y\r\n\r\none",
        ("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 3\r\n", Length, "one"),
    ),
    whole(
        ("a length and then the end", "9112 9.3"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        (OK_3, Length, "one"),
    )
    .then(Then::Close),
    whole(
        ("a length and then a reset", "9112 9.3"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        (OK_3, Length, "one"),
    )
    .then(Then::Reset),
    whole(
        ("a length, and close", "9112 9.6"),
        GET,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
        (OK_3, Length, "one"),
    )
    .drops(),
    whole(
        ("a server of HTTP/1.0 does not keep", "9112 9.3"),
        GET,
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none",
        (OK_3, Length, "one"),
    )
    .drops(),
    whole(
        ("a server of HTTP/1.0 that keeps", "9112 9.3"),
        GET,
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\none",
        (OK_3, Length, "one"),
    ),
    whole(
        ("a length to HTTP/1.0", "9112 9.3"),
        GET_10,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        (OK_3_CLOSE, Length, "one"),
    )
    .closes(),
    whole(
        ("a length to HTTP/1.0 that keeps", "9112 9.3"),
        KEEP_10,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n", Length, "one"),
    ),
    // In chunks.
    whole(
        ("chunks", "9112 7.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\non\r\n1\r\ne\r\n0\r\n\r\n",
        (OK_CHUNKED, Chunked, "one"),
    ),
    whole(
        ("no chunk", "9112 7.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (OK_CHUNKED, Chunked, ""),
    ),
    whole(
        ("the coding in another case", "9112 7"),
        GET,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding:\tCHUNKED \r\nX: y\r\n\r\n3\r\none\r\n0\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n", Chunked, "one"),
    ),
    whole(
        ("sizes with zeros in front, in both cases", "9112 7.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0b\r\n0123456789a\r\n000\r\n\r\n",
        (OK_CHUNKED, Chunked, "01234567890123456789a"),
    ),
    whole(
        ("extensions are dropped", "9112 7.1.1"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d;e\"\r\none\r\n0;last\r\n\r\n",
        (OK_CHUNKED, Chunked, "one"),
    ),
    whole(
        ("trailers are dropped with their announcement", "9112 7.1.2"),
        GET,
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum, Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\none\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n",
        (OK_CHUNKED, Chunked, "one"),
    ),
    whole(
        ("chunks and then the end", "9112 9.3"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        (OK_CHUNKED, Chunked, "one"),
    )
    .then(Then::Close),
    whole(
        ("chunks to HTTP/1.0", "9112 6.1"),
        GET_10,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\non\r\n1;x\r\ne\r\n0\r\nX: y\r\n\r\n",
        (OK_CLOSE, Close, "one"),
    )
    .closes(),
    whole(
        ("chunks to HTTP/1.0 that would keep", "9112 6.1"),
        KEEP_10,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        (OK_CLOSE, Close, "one"),
    )
    .closes(),
    // Until the end.
    whole(("until the end", "9112 6.3"), GET, b"HTTP/1.1 200 OK\r\n\r\none", (OK_CHUNKED, Chunked, "one"))
        .then(Then::Close),
    whole(("nothing until the end", "9112 6.3"), GET, b"HTTP/1.1 200 OK\r\n\r\n", (OK_CHUNKED, Chunked, ""))
        .then(Then::Close),
    whole(
        ("until the end, of HTTP/1.0", "9112 6.3"),
        GET,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\none",
        (OK_CHUNKED, Chunked, "one"),
    )
    .then(Then::Close),
    whole(("until the end to HTTP/1.0", "9112 6.3"), GET_10, b"HTTP/1.1 200 OK\r\n\r\none", (OK_CLOSE, Close, "one"))
        .then(Then::Close)
        .closes(),
    whole(
        ("until the end to HTTP/1.0 that would keep", "9112 6.3"),
        KEEP_10,
        b"HTTP/1.0 200 OK\r\n\r\none",
        (OK_CLOSE, Close, "one"),
    )
    .then(Then::Close)
    .closes(),
    whole(
        ("a head within the body is body", "9112 6.3"),
        GET,
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        (OK_CHUNKED, Chunked, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
    )
    .then(Then::Close),
    // Without a body whatever the head says.
    whole(
        ("HEAD with a length", "9110 9.3.2"),
        HEAD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        (OK_3, None, ""),
    ),
    whole(
        ("HEAD with two lengths that are one", "9110 8.6"),
        HEAD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n",
        (OK_3, None, ""),
    ),
    whole(
        ("HEAD with the length of 5 GB", "9110 8.6"),
        HEAD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n", None, ""),
    ),
    whole(("HEAD without anything", "9112 6.3"), HEAD, b"HTTP/1.1 200 OK\r\n\r\n", (OK, None, "")),
    whole(
        ("HEAD to HTTP/1.0", "9112 6.3"),
        HEAD_10,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        (OK_3_CLOSE, None, ""),
    )
    .closes(),
    whole(("HEAD with a 404", "9112 6.3"), HEAD, b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", {
        ("HTTP/1.1 404 No\r\nContent-Length: 9\r\n", None, "")
    }),
    whole(("204", "9110 15.3.5"), GET, b"HTTP/1.1 204 No\r\nX: y\r\n\r\n", ("HTTP/1.1 204 No\r\nX: y\r\n", None, "")),
    whole(
        ("204 with a length", "9110 8.6"),
        GET,
        b"HTTP/1.1 204 No\r\nContent-Length: 0\r\nX: y\r\n\r\n",
        ("HTTP/1.1 204 No\r\nX: y\r\n", None, ""),
    ),
    whole(
        ("204 to HTTP/1.0 that keeps", "9112 6.3"),
        KEEP_10,
        b"HTTP/1.1 204 No\r\n\r\n",
        ("HTTP/1.1 204 No\r\nConnection: keep-alive\r\n", None, ""),
    ),
    whole(
        ("304", "9110 15.4.5"),
        GET,
        b"HTTP/1.1 304 Not\r\nETag: \"a\"\r\n\r\n",
        ("HTTP/1.1 304 Not\r\nETag: \"a\"\r\n", None, ""),
    ),
    whole(
        ("304 with the length of what it leaves out", "9110 8.6"),
        GET,
        b"HTTP/1.1 304 Not\r\nContent-Length: 77\r\n\r\n",
        ("HTTP/1.1 304 Not\r\nContent-Length: 77\r\n", None, ""),
    ),
    whole(
        ("304 of HTTP/1.0", "9112 6.3"),
        GET,
        b"HTTP/1.0 304 Not\r\nContent-Length: 77\r\n\r\n",
        ("HTTP/1.1 304 Not\r\nContent-Length: 77\r\n", None, ""),
    )
    .drops(),
    // 205 has no content, but is framed as any other.
    whole(
        ("205 without bytes", "9110 15.3.6"),
        GET,
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n", Length, ""),
    ),
    whole(
        ("205 with no chunk", "9110 15.3.6"),
        GET,
        b"HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ("HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n", Chunked, ""),
    ),
    whole(
        ("205 with a body all the same", "9112 6.3"),
        GET,
        b"HTTP/1.1 205 Reset\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 205 Reset\r\nContent-Length: 3\r\n", Length, "one"),
    ),
    whole(
        ("205 until the end", "9112 6.3"),
        GET,
        b"HTTP/1.1 205 Reset\r\n\r\n",
        ("HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n", Chunked, ""),
    )
    .then(Then::Close),
    // What stands behind the end is never read as a response.
    whole(
        ("bytes behind a length", "9112 9.2"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        (OK_3, Length, "one"),
    )
    .drops()
    .at_once(),
    whole(
        ("one byte behind a length", "9112 9.2"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none\n",
        (OK_3, Length, "one"),
    )
    .drops()
    .at_once(),
    whole(
        ("bytes behind the last chunk", "9112 9.2"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        (OK_CHUNKED, Chunked, "one"),
    )
    .drops()
    .at_once(),
    whole(
        ("a body behind the response to HEAD", "9112 9.2"),
        HEAD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        (OK_3, None, ""),
    )
    .drops()
    .at_once(),
    whole(
        ("a body behind 204", "9112 9.2"),
        GET,
        b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 204 No\r\n", None, ""),
    )
    .drops()
    .at_once(),
    whole(
        ("a body behind 304", "9112 9.2"),
        GET,
        b"HTTP/1.1 304 Not\r\nContent-Length: 3\r\n\r\none",
        ("HTTP/1.1 304 Not\r\nContent-Length: 3\r\n", None, ""),
    )
    .drops()
    .at_once(),
    whole(
        ("a response behind 205", "9112 9.2"),
        GET,
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n", Length, ""),
    )
    .drops()
    .at_once(),
];
