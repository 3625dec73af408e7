//! The version: which are spoken, which are known, and what it says about the connection (RFC 9112 section 2.3).

use super::table::{Table, line};
use super::{Case, Kind};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("version");

    t.group("9112 2.3", Kind::Valid, "A proxy sends its own version: the message goes on as HTTP/1.1.");
    t.forward("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "").closes();
    t.forward_without(
        "HTTP/1.0 that is kept",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        &["Connection"],
        "",
    );
    t.forward("HTTP/1.0 with a body", "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc").closes();
    t.forward_without(
        "HTTP/1.0 with a body that is kept",
        "POST / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc",
        &["Connection"],
        "abc",
    );
    t.forward_without(
        "HTTP/1.0 with Proxy-Connection: keep-alive",
        "GET / HTTP/1.0\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n",
        &["Proxy-Connection"],
        "",
    )
    .closes();
    t.group(
        "9112 3.3",
        Kind::Valid,
        "A client of HTTP/1.0 that names no host is served; HTTP/1.1 behind it needs a Host.",
    );
    t.forward_as("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: {listener}\r\n", "")
        .closes();
    t.forward_as(
        "HTTP/1.0 without Host, with a field",
        "GET /x HTTP/1.0\r\nX: y\r\n\r\n",
        "GET /x HTTP/1.1\r\nX: y\r\nHost: {listener}\r\n",
        "",
    )
    .closes();

    t.group(
        "9110 15.6.6",
        Kind::Policy,
        "Another major version, or a minor one that does not exist, is not spoken here: 505 says so.",
    );
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/9.9", "HTTP/0.0"] {
        t.refuse(505, version, line(format!("GET / {version}")));
    }
    t.refuse(505, "the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    t.group("9112 2.3", Kind::Syntax, "A version is HTTP/ in capitals, a digit, a dot and a digit.");
    let versions: [(&str, &[u8]); 24] = [
        ("of lower case", b"http/1.1"),
        ("of mixed case", b"Http/1.1"),
        ("of another protocol", b"FTP/1.1"),
        ("of RTSP", b"RTSP/1.0"),
        ("of HTTPS", b"HTTPS/1.1"),
        ("without a minor number", b"HTTP/1"),
        ("that ends with the dot", b"HTTP/1."),
        ("without a major number", b"HTTP/.1"),
        ("without a slash", b"HTTP1.1"),
        ("with a blank", b"HTTP/ 1.1"),
        ("with a blank for the slash", b"HTTP 1.1"),
        ("with a comma", b"HTTP/1,1"),
        ("without a dot", b"HTTP/11"),
        ("with a minor number of two digits", b"HTTP/1.10"),
        ("with a leading zero", b"HTTP/01.1"),
        ("of three numbers", b"HTTP/1.1.1"),
        ("of letters", b"HTTP/x.y"),
        ("with a letter behind", b"HTTP/1.1x"),
        ("with a NUL behind", b"HTTP/1.1\0"),
        ("with a sign", b"HTTP/+1.1"),
        ("with a minus", b"HTTP/1.-1"),
        ("of wide digits", "HTTP/\u{ff11}.1".as_bytes()),
        ("with two slashes", b"HTTP//1.1"),
        ("with a carriage return", b"HTTP/1\r.1"),
    ];
    for (name, version) in versions {
        t.refuse(400, format!("a version {name}"), line([b"GET / ", version].concat()));
    }

    t.group(
        "9112 3",
        Kind::Syntax,
        "A request line without a version is no HTTP/1: whose headers come next nobody can say.",
    );
    t.refuse(400, "the form of HTTP/0.9", "GET /\r\n\r\n");
    t.refuse(400, "the form of HTTP/0.9 with a blank behind", "GET / \r\n\r\n");
    t.refuse(400, "no version before header lines", "GET /\r\nHost: a\r\n\r\n");
    t.done()
}
