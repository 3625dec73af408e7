//! The request line: method, blanks, and what stands before it (RFC 9112 sections 2.2 and 3).

use super::table::{Table, get, line, post, shown};
use super::{Case, Kind};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("request line");

    t.group(
        "9110 9.1",
        Kind::Valid,
        "A method is any token, its case counts, and a proxy passes on those it does not know.",
    );
    for method in
        ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "PURGE", "M-SEARCH", "PROPFIND", "get", "Get", "connect", "X"]
    {
        t.forward(method, line(format!("{method} / HTTP/1.1")), "");
    }
    t.forward("every byte of a token", line("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1"), "");
    t.forward("a method of 100 bytes", line(format!("{} / HTTP/1.1", "M".repeat(100))), "");
    t.forward("POST without a body", post("", ""), "");
    t.forward("PUT with a body", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc");
    t.forward("PATCH with a body", "PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc");

    t.group(
        "9112 2.2",
        Kind::Valid,
        "A server ignores an empty line before a request line; a few of them are a bounded number.",
    );
    t.forward("one empty line first", [&b"\r\n"[..], &get("")].concat(), "");
    t.forward("two empty lines first", [&b"\r\n\r\n"[..], &get("")].concat(), "");
    t.forward("eight empty lines first", ["\r\n".repeat(8).as_bytes(), &get("")].concat(), "");
    t.group(
        "9112 2.2",
        Kind::Policy,
        "Only one empty line need be ignored; a bound keeps a client from sending them forever.",
    );
    t.refuse(400, "nine empty lines first", ["\r\n".repeat(9).as_bytes(), &get("")].concat());
    t.refuse(400, "a thousand empty lines first", ["\r\n".repeat(1000).as_bytes(), &get("")].concat());

    t.group(
        "9112 2.2",
        Kind::Framing,
        "A line ends with CRLF: readers disagree on a bare LF or CR, so where lines end would depend on the reader.",
    );
    t.refuse(400, "an empty line of LF first", [&b"\n"[..], &get("")].concat());
    t.refuse(400, "a CR first", [&b"\r"[..], &get("")].concat());
    t.refuse(400, "LF CR first", [&b"\n\r"[..], &get("")].concat());
    t.refuse(400, "LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n");
    t.refuse(400, "LF everywhere", "GET / HTTP/1.1\nHost: a\n\n");
    t.refuse(400, "CR behind the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n");
    t.refuse(400, "CR CR LF behind the request line", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n");
    t.refuse(400, "LF LF behind the request line", "GET / HTTP/1.1\n\nHost: a\r\n\r\n");

    t.group(
        "9112 3",
        Kind::Syntax,
        "One SP stands between the parts of a request line, nothing before, nothing behind.",
    );
    let lines: [(&str, &[u8]); 22] = [
        ("a blank first", b" GET / HTTP/1.1"),
        ("a tab first", b"\tGET / HTTP/1.1"),
        ("a NUL first", b"\0GET / HTTP/1.1"),
        ("a byte order mark first", b"\xef\xbb\xbfGET / HTTP/1.1"),
        ("no method", b" / HTTP/1.1"),
        ("no target", b"GET HTTP/1.1"),
        ("an empty target", b"GET  HTTP/1.1"),
        ("two blanks behind the method", b"GET  / HTTP/1.1"),
        ("two blanks behind the target", b"GET /  HTTP/1.1"),
        ("a blank behind the version", b"GET / HTTP/1.1 "),
        ("a tab behind the version", b"GET / HTTP/1.1\t"),
        ("a tab behind the method", b"GET\t/ HTTP/1.1"),
        ("a tab behind the target", b"GET /\tHTTP/1.1"),
        ("blank and tab behind the target", b"GET / \tHTTP/1.1"),
        ("a vertical tab behind the method", b"GET\x0b/ HTTP/1.1"),
        ("a form feed behind the target", b"GET /\x0cHTTP/1.1"),
        ("a no-break space behind the method", b"GET\xa0/ HTTP/1.1"),
        ("a CR behind the target", b"GET /\rHTTP/1.1"),
        ("a word too many", b"GET / x HTTP/1.1"),
        ("a word behind the version", b"GET / HTTP/1.1 x"),
        ("two versions", b"GET / HTTP/1.1 HTTP/1.1"),
        ("a whole request in the target", b"GET /x HTTP/1.1 GET / HTTP/1.1"),
    ];
    for (name, bytes) in lines {
        t.refuse(400, name, line(bytes));
    }

    t.group("9112 3.1", Kind::Syntax, "A method is a token.");
    for byte in b"\"(),/:;<=>?@[\\]{}\0\x01\x7f\x80\xc3" {
        t.refuse(
            400,
            format!("a method with {}", shown(*byte)),
            [b"G".as_slice(), &[*byte], b"T / HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
        );
    }

    t.group("9110 9.3.6", Kind::Policy, "A load balancer opens no tunnels to where the client likes.");
    t.refuse(501, "CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    t.refuse(501, "CONNECT in HTTP/1.0", "CONNECT a:80 HTTP/1.0\r\n\r\n");
    t.refuse(501, "CONNECT with a length", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\nabc");
    t.refuse(
        501,
        "CONNECT with chunks",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );

    t.group("9112 2.1", Kind::Syntax, "What is not HTTP is no request.");
    t.refuse(400, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    t.refuse(400, "an SSH banner", "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    t.refuse(400, "SMTP", "EHLO example.com\r\n\r\n");
    t.refuse(400, "a response", line("HTTP/1.1 200 OK"));
    t.refuse(
        400,
        "a PROXY header nobody asked for",
        [&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..], &get("")].concat(),
    );
    t.refuse(
        400,
        "a binary PROXY header nobody asked for",
        [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], &get("")].concat(),
    );
    t.refuse(400, "a header line first", "Host: a\r\nGET / HTTP/1.1\r\n\r\n");
    t.done()
}
