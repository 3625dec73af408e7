//! Lengths and codings that two readers could read differently, and bodies that break off or break their framing.

use super::case::{Case, GET, GET_10, KEEP_10, Then, cut, refused};
use crate::common::client::Framing::{Chunked, Close, Length};

/// Chunks that are none: nobody may take what came for the whole.
const fn broken(names: (&'static str, &'static str), reply: &'static [u8]) -> Case {
    let mut case = cut(names, GET, reply, (Chunked, "one"));
    case.then = Then::Stay;
    case.state = "PD--";
    case
}

/// Nothing of these is passed on.
pub const FRAMING: &[Case] = &[
    refused(("two lengths", "9112 6.3"), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    refused(("two lengths in a list", "9112 6.3"), b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab"),
    refused(
        ("one of three differs", "9112 6.3"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 3\r\n\r\nab",
    ),
    refused(("an empty length", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"),
    refused(("a length of letters", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
    refused(("a negative length", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    refused(("minus zero", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: -0\r\n\r\n"),
    refused(("a length with a sign", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab"),
    refused(("a hexadecimal length", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nab"),
    refused(("a length with a fraction", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: 2.0\r\n\r\nab"),
    refused(("a length in two words", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\nab"),
    refused(("a length with a parameter", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: 2;x\r\n\r\nab"),
    refused(("a quoted length", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: \"2\"\r\n\r\nab"),
    refused(("a length of 2^64", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n"),
    refused(("a length of 2^64 + 2", "9110 8.6"), b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nab"),
    refused(("a length that is no length, with 204", "9110 8.6"), b"HTTP/1.1 204 No\r\nContent-Length: x\r\n\r\n"),
    refused(("two lengths with 304", "9112 6.3"), b"HTTP/1.1 304 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    refused(
        ("length and chunks", "9112 6.3"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("chunks and length", "9112 6.3"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(("gzip", "9112 6.1"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc").then(Then::Close),
    refused(
        ("gzip, chunked", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("chunked, gzip", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("gzip in a line of its own", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(("identity", "9112 7"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc").then(Then::Close),
    refused(
        ("chunked twice", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("chunked in two lines", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("a parameter", "9112 7"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(("quoted", "9112 7"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n3\r\none\r\n0\r\n\r\n"),
    refused(
        ("a longer word", "9112 7"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedx\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(("two words", "9112 7"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"),
    refused(("empty", "9112 6.1"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n3\r\none\r\n0\r\n\r\n"),
    refused(
        ("an empty element", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("an empty line beside it", "9112 6.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
    refused(
        ("chunks in HTTP/1.0", "9112 6.1"),
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    ),
];

/// A head that is passed on, a body that breaks.
pub const BODIES: &[Case] = &[
    cut(("a short length", "9112 8"), GET, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", (Length, "half")),
    cut(
        ("a short length, reset", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        (Length, "half"),
    )
    .then(Then::Reset),
    cut(("no byte of ten", "9112 8"), GET, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", (Length, "")),
    cut(("all but one byte", "9112 8"), GET, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf", (Length, "half")),
    cut(
        ("a short length of HTTP/1.0", "9112 8"),
        GET,
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        (Length, "half"),
    ),
    cut(("a short length to HTTP/1.0", "9112 8"), GET_10, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", {
        (Length, "half")
    }),
    cut(
        ("no last chunk", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        (Chunked, "half"),
    ),
    cut(
        ("no last chunk, reset", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        (Chunked, "half"),
    )
    .then(Then::Reset),
    cut(("no chunk at all", "9112 8"), GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (Chunked, "")),
    cut(
        ("within a chunk", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        (Chunked, "half"),
    ),
    cut(
        ("within a chunk's end", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r",
        (Chunked, "half"),
    ),
    cut(
        ("within a size that could be the last", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0",
        (Chunked, "half"),
    ),
    cut(
        ("behind the last size", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        (Chunked, "half"),
    ),
    cut(
        ("in the last empty line", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r",
        (Chunked, "half"),
    ),
    cut(
        ("in a trailer", "9112 8"),
        GET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: y\r\n",
        (Chunked, "half"),
    ),
    cut(
        ("no last chunk to HTTP/1.0", "9112 8"),
        GET_10,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        (Close, "half"),
    ),
    cut(
        ("no chunk at all to HTTP/1.0", "9112 8"),
        GET_10,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        (Close, ""),
    ),
    cut(
        ("behind the last size to HTTP/1.0 that would keep", "9112 8"),
        KEEP_10,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        (Close, "half"),
    ),
    cut(
        ("within a chunk to HTTP/1.0, reset", "9112 8"),
        GET_10,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        (Close, "half"),
    )
    .then(Then::Reset),
    cut(("a reset instead of the end", "9112 8"), GET, b"HTTP/1.1 200 OK\r\n\r\nhalf", (Chunked, "half"))
        .then(Then::Reset),
    cut(("a reset instead of the end to HTTP/1.0", "9112 8"), GET_10, b"HTTP/1.1 200 OK\r\n\r\nhalf", (Close, "half"))
        .then(Then::Reset),
    broken(
        ("a size of letters", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\none\r\n0\r\n\r\n",
    ),
    broken(("no size", "9112 7.1"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\none\r\n0\r\n\r\n"),
    broken(
        ("a size with a sign", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a negative size", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a size with 0x", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a blank before the size", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a blank behind the size", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a size in two words", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 3\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a size of 17 digits", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000003\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a size of 2^64 + 3", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a bare LF behind the size", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a bare LF behind the data", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\n0\r\n\r\n",
    ),
    broken(
        ("a bare CR behind the size", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\rone\r\n0\r\n\r\n",
    ),
    broken(
        ("a chunk longer than it says", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nones\r\n0\r\n\r\n",
    ),
    broken(
        ("a bare LF in an extension", "9112 7.1.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\none\r\n0\r\n\r\n",
    ),
    broken(
        ("a bare LF as the last line", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\n",
    ),
    broken(
        ("a bare LF behind the last size", "9112 7.1"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\n\r\n",
    ),
    broken(
        ("a trailer without a colon", "9112 7.1.2"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nbroken\r\n\r\n",
    ),
    broken(
        ("a trailer with a blank before the colon", "9112 7.1.2"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX : y\r\n\r\n",
    ),
    broken(
        ("a trailer that is folded", "9112 7.1.2"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX: y\r\n z\r\n\r\n",
    ),
    broken(
        ("NUL in a trailer", "9112 7.1.2"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX: a\0\r\n\r\n",
    ),
];
