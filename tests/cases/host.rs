//! Host: exactly one, with one reading (RFC 9112 section 3.2, RFC 9110 section 7.2).

use super::table::{FORWARDED, Table, get};
use super::{Case, Kind, Passed};

fn host(value: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: ", value.as_ref(), b"\r\n\r\n"].concat()
}

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("host");

    t.group("9110 7.2", Kind::Valid, "A host and perhaps a port, as RFC 3986 writes them, pass byte for byte.");
    for value in [
        "a",
        "a:8080",
        "a.example.",
        "A.EXAMPLE",
        "xn--bcher-kva.example",
        "127.0.0.1",
        "127.0.0.1:80",
        "1.2.3.4.5",
        "[::1]",
        "[::1]:443",
        "[2001:db8::1]",
        "[::ffff:192.0.2.1]:80",
        "[v1.a:b]",
        "a:",
        "[::1]:",
        "a:0",
        "a:0080",
        "a:65535",
        "a_b",
        "a%41b",
        "a!$&'()*+;=b",
        "-",
        "...",
    ] {
        t.forward(value, host(value), "");
    }
    t.forward("a host of 255 bytes", host("x".repeat(255)), "");
    t.forward("a name of lower case", "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "");
    t.forward("a name of capitals", "GET / HTTP/1.1\r\nHOST: a\r\n\r\n", "");
    t.forward("no blank before it", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", "");
    t.forward("blanks and tabs around it", "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", "");
    t.forward("behind other fields", "GET / HTTP/1.1\r\nX: 1\r\nHost: a\r\nY: 2\r\n\r\n", "");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Host: b\r\n{FORWARDED}\r\n");
    t.pipeline("beside X-Host", get("X-Host: b\r\n"), vec![Passed { head: head.into_bytes(), body: Vec::new() }]);

    t.group(
        "9112 3.2",
        Kind::Framing,
        "HTTP/1.1 has exactly one Host: with none or two, cache, router and server may each take another one.",
    );
    t.refuse(400, "no Host", "GET / HTTP/1.1\r\n\r\n");
    t.refuse(400, "no Host among fields", "GET / HTTP/1.1\r\nX: y\r\nAccept: */*\r\n\r\n");
    t.refuse(400, "two different Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    t.refuse(400, "two same Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    t.refuse(400, "two Hosts of different case", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n");
    t.refuse(400, "two Hosts, the second empty", "GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n");
    t.refuse(400, "two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n");
    t.refuse(400, "three Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nHost: a\r\n\r\n");
    t.refuse(
        400,
        "two Hosts, one of them an option of Connection",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: host\r\n\r\n",
    );
    t.refuse(400, "a Host with a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    t.refuse(400, "a second Host with a tab before the colon", "GET / HTTP/1.1\r\nHost: a\r\nHost\t: b\r\n\r\n");
    t.refuse(400, "a second Host with a NUL in its name", b"GET / HTTP/1.1\r\nHost: a\r\nHost\0: b\r\n\r\n");
    t.refuse(400, "a first Host behind a blank", "GET / HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n").rfc = "9112 2.2";
    t.refuse(400, "a Host that is folded", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n");
    t.refuse(400, "a Host on the line behind its name", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n");

    t.group(
        "9112 3.2",
        Kind::Framing,
        "A Host that is no host and port is invalid: readers would cut it at different places.",
    );
    let values: [(&str, &[u8]); 51] = [
        ("nothing", b""),
        ("a blank", b" "),
        ("a tab", b"\t"),
        ("a list", b"a, b"),
        ("a list without blanks", b"a,b"),
        ("a comma behind", b"a,"),
        ("a blank inside", b"a b"),
        ("a tab inside", b"a\tb"),
        ("userinfo", b"u@a"),
        ("userinfo with a password", b"u:p@a"),
        ("an empty userinfo", b"@a"),
        ("a path", b"a/b"),
        ("a slash behind", b"a/"),
        ("a query", b"a?b"),
        ("a fragment", b"a#b"),
        ("a backslash", b"a\\b"),
        ("a scheme", b"http://a"),
        ("a port of letters", b"a:http"),
        ("a port with a letter", b"a:8o"),
        ("a negative port", b"a:-1"),
        ("a port with a sign", b"a:+80"),
        ("a hexadecimal port", b"a:0x50"),
        ("a blank before the port", b"a: 80"),
        ("a blank before the colon", b"a :80"),
        ("a port beyond 65535", b"a:65536"),
        ("a port of 99999", b"a:99999"),
        ("a port of 20 digits", b"a:00000000000000000080"),
        ("a port beyond 64 bits", b"a:18446744073709551696"),
        ("two ports", b"a:80:80"),
        ("two colons", b"a::80"),
        ("a port alone", b":80"),
        ("a colon alone", b":"),
        ("an IPv6 address without brackets", b"::1"),
        ("an IPv6 address without its end", b"[::1"),
        ("an IPv6 address without its beginning", b"::1]"),
        ("something behind the brackets", b"[::1]x"),
        ("something before the brackets", b"x[::1]"),
        ("a port of letters behind brackets", b"[::1]:x"),
        ("empty brackets", b"[]"),
        ("brackets around no address", b"[::g]"),
        ("brackets around an IPv4 address", b"[127.0.0.1]"),
        ("brackets around a name", b"[a]"),
        ("an address of nine groups", b"[1:2:3:4:5:6:7:8:9]"),
        ("a zone", b"[fe80::1%25eth0]"),
        ("two brackets", b"[[::1]]"),
        ("a percent sign alone", b"a%"),
        ("a percent sign before one digit", b"a%4"),
        ("a percent sign before letters", b"a%zz"),
        ("quotes", b"\"a\""),
        ("a caret", b"a^b"),
        ("a pipe", b"a|b"),
    ];
    for (name, value) in values {
        t.refuse(400, name, host(value));
    }
    let bytes: [(&str, &[u8]); 9] = [
        ("a NUL", b"a\0b"),
        ("a NUL behind", b"a\0"),
        ("a CR", b"a\rb"),
        ("a vertical tab", b"a\x0bb"),
        ("DEL", b"a\x7f"),
        ("Latin-1", b"\xe4"),
        ("UTF-8", "\u{e4}.example".as_bytes()),
        ("a no-break space", b"a\xa0"),
        ("an ideographic full stop", "a\u{3002}b".as_bytes()),
    ];
    for (name, value) in bytes {
        t.refuse(400, format!("a Host with {name}"), host(value));
    }
    t.group("9112 3.2", Kind::Policy, "DNS names end at 253 bytes; a bound keeps the field small.");
    t.refuse(400, "a host of 400 bytes", host("x".repeat(400)));
    t.done()
}
