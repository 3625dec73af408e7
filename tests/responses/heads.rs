//! Heads that are no heads of HTTP/1.

use super::case::{Case, Then, refused};

pub const CASES: &[Case] = &[
    // The version.
    refused(("HTTP/2.0", "9112 2.3"), b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("HTTP/2 without a minor", "9112 2.3"), b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("HTTP/1.2", "9112 2.3"), b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("HTTP/0.9", "9112 2.3"), b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("HTTP/1.10", "9112 2.3"), b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("HTTP/01.1", "9112 2.3"), b"HTTP/01.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a comma in it", "9112 2.3"), b"HTTP/1,1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("lower case", "9112 2.3"), b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("none", "9112 4"), b"200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("ICY", "9112 2.3"), b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("another protocol", "9112 4"), b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    refused(("a request", "9112 4"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Around the parts of the line.
    refused(("an empty line before", "9112 2.2"), b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a bare LF before", "9112 2.2"), b"\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a blank before", "9112 4"), b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("two blanks before the status", "9112 4"), b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a TAB before the status", "9112 4"), b"HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a TAB behind the status", "9112 4"), b"HTTP/1.1 200\tOK\r\nContent-Length: 0\r\n\r\n"),
    // The status.
    refused(("no status", "9112 4"), b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
    refused(("no status, a blank", "9112 4"), b"HTTP/1.1 \r\nContent-Length: 0\r\n\r\n"),
    refused(("two digits", "9112 4"), b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("four digits", "9112 4"), b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("letters", "9112 4"), b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a reason at once", "9112 4"), b"HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a sign", "9112 4"), b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("minus", "9112 4"), b"HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("000", "9110 15"), b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
    refused(("099", "9110 15"), b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    // The reason.
    refused(("NUL in the reason", "9112 4"), b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
    refused(("a control byte in the reason", "9112 4"), b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"),
    refused(("DEL in the reason", "9112 4"), b"HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n"),
    refused(("a bare CR in the reason", "9112 2.2"), b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
    // Line ends.
    refused(("a bare LF behind the status line", "9112 2.2"), b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    refused(("a bare LF behind a field", "9112 2.2"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"),
    refused(("a bare LF as the empty line", "9112 2.2"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
    refused(("bare LFs only", "9112 2.2"), b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    refused(("bare CRs only", "9112 2.2"), b"HTTP/1.1 200 OK\rContent-Length: 0\r\r\n\r\n"),
    refused(("a bare CR in a value", "9112 2.2"), b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
    refused(("two CRs", "9112 2.2"), b"HTTP/1.1 200 OK\r\nX: a\r\r\nContent-Length: 0\r\n\r\n"),
    refused(("CR LF CR CR LF", "9112 2.2"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\r\n")
        .then(Then::Close)
        .state("SH--"),
    // Field lines.
    refused(("a folded line", "9112 5.2"), b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    refused(("a line folded by a TAB", "9112 5.2"), b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"),
    refused(("a first line that is folded", "9112 2.2"), b"HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n"),
    refused(("a line of a blank", "9112 5.2"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n \r\n\r\n"),
    refused(("a blank before the colon", "9112 5.1"), b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
    refused(("a TAB before the colon", "9112 5.1"), b"HTTP/1.1 200 OK\r\nContent-Length\t: 0\r\n\r\n"),
    refused(("no colon", "9112 5"), b"HTTP/1.1 200 OK\r\nbroken\r\nContent-Length: 0\r\n\r\n"),
    refused(("no name", "9112 5"), b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n"),
    refused(("a blank in a name", "9110 5.1"), b"HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 0\r\n\r\n"),
    refused(("brackets in a name", "9110 5.1"), b"HTTP/1.1 200 OK\r\nX(Y): z\r\nContent-Length: 0\r\n\r\n"),
    refused(("a quote in a name", "9110 5.1"), b"HTTP/1.1 200 OK\r\nX\"Y: z\r\nContent-Length: 0\r\n\r\n"),
    refused(("obs-text in a name", "9110 5.1"), b"HTTP/1.1 200 OK\r\nX\xe9: z\r\nContent-Length: 0\r\n\r\n"),
    refused(("NUL in a name", "9110 5.1"), b"HTTP/1.1 200 OK\r\nX\0Y: z\r\nContent-Length: 0\r\n\r\n"),
    refused(("NUL in a value", "9110 5.5"), b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
    refused(("a control byte in a value", "9110 5.5"), b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n"),
    refused(("VT in a value", "9110 5.5"), b"HTTP/1.1 200 OK\r\nX: a\x0bb\r\nContent-Length: 0\r\n\r\n"),
    refused(("DEL in a value", "9110 5.5"), b"HTTP/1.1 200 OK\r\nX: a\x7fb\r\nContent-Length: 0\r\n\r\n"),
    // Heads that do not come to their end.
    refused(("nothing", "9112 8"), b"").then(Then::Close).state("SH--"),
    refused(("nothing, and a reset", "9112 8"), b"").then(Then::Reset).state("SH--"),
    refused(("half a status line", "9112 8"), b"HTTP/1.1 20").then(Then::Close).state("SH--"),
    refused(("half a status line and a reset", "9112 8"), b"HTTP/1.1 20").then(Then::Reset).state("SH--"),
    refused(("half a field", "9112 8"), b"HTTP/1.1 200 OK\r\nContent-Le").then(Then::Close).state("SH--"),
    refused(("no empty line", "9112 8"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n").then(Then::Close).state("SH--"),
    refused(("half the empty line", "9112 8"), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r")
        .then(Then::Close)
        .state("SH--"),
];
