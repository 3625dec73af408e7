//! The target in its four forms (RFC 9112 section 3.2).

use super::table::{Table, line};
use super::{Case, Kind};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("target");

    t.group(
        "9112 3.2.1",
        Kind::Valid,
        "A proxy does not rewrite path and query: what the client sent is what the server gets.",
    );
    for target in [
        "/",
        "//",
        "//a/b",
        "/a/../b",
        "/./a",
        "/a//b",
        "/%00",
        "/%2e%2e/%2F",
        "/%e4",
        "/?",
        "/a?b=c&d",
        "/a?b?c/d",
        "/a;b=c",
        "/~a!$&'()*+,;=:@",
        "/a:b@c",
        "/*",
        "/http://b/",
        "/x?http://b/",
    ] {
        t.forward(target, line(format!("GET {target} HTTP/1.1")), "");
    }
    t.forward("a target of 4000 bytes", line(format!("GET /{} HTTP/1.1", "x".repeat(3999))), "");
    t.group(
        "9112 3.2",
        Kind::Policy,
        "Browsers send these bytes; no reader takes one of them for an end, and a target must not be corrected: they pass as they came.",
    );
    for target in ["/%", "/%zz", "/a|b", "/{a}", "/\"a\"", "/<a>", "/a\\b", "/^", "/`"] {
        t.forward(target, line(format!("GET {target} HTTP/1.1")), "");
    }

    t.group(
        "9112 3.2.2",
        Kind::Valid,
        "An absolute target is accepted, its authority replaces Host, and the server gets the origin form.",
    );
    let same = [
        ("http://a/", "/"),
        ("http://a/x?y", "/x?y"),
        ("http://a", "/"),
        ("http://a?x", "/?x"),
        ("HTTP://A/", "/"),
        ("https://a/x", "/x"),
        ("hTTpS://a", "/"),
        ("http://a//b", "//b"),
        ("http://a/http://b/", "/http://b/"),
    ];
    for (target, origin) in same {
        let head = format!("GET {origin} HTTP/1.1\r\nHost: a\r\n");
        t.forward_as(target, line(format!("GET {target} HTTP/1.1")), head, "");
    }
    for authority in ["b", "a:80", "a:", "[::1]", "[::1]:8080", "b.example:8080"] {
        let head = format!("GET /x HTTP/1.1\r\nHost: {authority}\r\n");
        t.forward_as(format!("http://{authority}/x"), line(format!("GET http://{authority}/x HTTP/1.1")), head, "");
    }
    t.forward_as(
        "an absolute target before another Host and more",
        "GET http://b/ HTTP/1.1\r\nX: 1\r\nHost: a\r\nY: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nX: 1\r\nY: 2\r\nHost: b\r\n",
        "",
    );
    t.forward_as(
        "an absolute target in HTTP/1.0",
        "GET http://b/x HTTP/1.0\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: b\r\n",
        "",
    )
    .closes();
    t.forward_as(
        "an absolute target in HTTP/1.0 with another Host",
        "GET http://b/x HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: b\r\n",
        "",
    )
    .closes();
    t.forward_as(
        "OPTIONS of an absolute target",
        line("OPTIONS http://a/x HTTP/1.1"),
        "OPTIONS /x HTTP/1.1\r\nHost: a\r\n",
        "",
    );
    t.forward_as(
        "OPTIONS of an absolute target's root",
        line("OPTIONS http://a/ HTTP/1.1"),
        "OPTIONS / HTTP/1.1\r\nHost: a\r\n",
        "",
    );
    t.forward_as(
        "OPTIONS of an authority with a query",
        line("OPTIONS http://a?x HTTP/1.1"),
        "OPTIONS /?x HTTP/1.1\r\nHost: a\r\n",
        "",
    );
    t.group(
        "9112 3.2.4",
        Kind::Valid,
        "OPTIONS of an absolute target without a path is about the server: the last proxy sends an asterisk.",
    );
    t.forward_as("OPTIONS of an authority", line("OPTIONS http://a HTTP/1.1"), "OPTIONS * HTTP/1.1\r\nHost: a\r\n", "");
    t.forward_as(
        "OPTIONS of another authority",
        line("OPTIONS http://b:81 HTTP/1.1"),
        "OPTIONS * HTTP/1.1\r\nHost: b:81\r\n",
        "",
    );
    t.group("9112 3.2.4", Kind::Valid, "An asterisk is a target of OPTIONS, which is then about the server.");
    t.forward("OPTIONS *", line("OPTIONS * HTTP/1.1"), "");

    t.group("9112 3.2", Kind::Framing, "HTTP/1.1 without exactly one Host is refused, whatever the target says.");
    t.refuse(400, "an absolute target without Host", "GET http://a/ HTTP/1.1\r\n\r\n");
    t.refuse(400, "an absolute target before two Hosts", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    t.refuse(400, "an absolute target before an empty Host", "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n");
    t.refuse(400, "an absolute target before a bad Host", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n");

    t.group("9110 4.2.4", Kind::Framing, "Userinfo in front of a host makes readers disagree on which host is meant.");
    for target in ["http://u@a/", "http://u:p@a/", "http://@a/", "http://a@/", "http://a@b@a/"] {
        t.refuse(400, target, line(format!("GET {target} HTTP/1.1")));
    }
    t.group("9110 4.2.1", Kind::Framing, "An http URI has a host that is not empty, and a port of digits.");
    for target in [
        "http://",
        "http:///x",
        "http://?x",
        "http://:80/",
        "http://a:8o/",
        "http://a:99999/",
        "http://a:80:80/",
        "http://a:-1/",
        "http://[::1/",
        "http://[]/",
        "http://[x]/",
        "http://a\\b/",
        "http://a%/",
        "http://a\"b/",
        "http://a,b/",
        "http://::1/",
    ] {
        t.refuse(400, target, line(format!("GET {target} HTTP/1.1")));
    }
    t.group("9112 3.2", Kind::Framing, "A target is in origin, absolute or asterisk form, whichever its method allows; what looks like none of them has no one meaning.");
    for target in [
        "x",
        "a:80",
        "www.example.com/",
        "?x",
        ".",
        "..",
        "\\",
        "*",
        "**",
        "*/",
        "http:/a",
        "http:a",
        "http",
        "ftp://a/",
        "ws://a/",
        "file:///etc/passwd",
        "javascript:x",
        "mailto:a@b",
        ":80",
        "@a",
    ] {
        t.refuse(400, target, line(format!("GET {target} HTTP/1.1")));
    }
    t.refuse(400, "OPTIONS of two asterisks", line("OPTIONS ** HTTP/1.1"));
    t.refuse(400, "OPTIONS of an asterisk with a query", line("OPTIONS *?x HTTP/1.1"));
    t.refuse(400, "POST of an asterisk", line("POST * HTTP/1.1"));

    t.group(
        "9112 3.2",
        Kind::Syntax,
        "A target is of visible ASCII without `#`: no blank, control byte, fragment or byte beyond ASCII.",
    );
    let bytes: [(&str, &[u8]); 14] = [
        ("a fragment", b"/a#b"),
        ("a fragment alone", b"/#"),
        ("a fragment in an absolute target", b"http://a/#b"),
        ("a NUL", b"/a\0b"),
        ("a control byte", b"/a\x01b"),
        ("a tab", b"/a\tb"),
        ("a vertical tab", b"/a\x0bb"),
        ("a form feed", b"/a\x0cb"),
        ("a CR", b"/a\rb"),
        ("DEL", b"/a\x7fb"),
        ("Latin-1", b"/a\xe4b"),
        ("UTF-8", "/\u{e4}".as_bytes()),
        ("a no-break space", b"/a\xa0b"),
        ("0xff", b"/\xff"),
    ];
    for (name, target) in bytes {
        t.refuse(400, format!("a target with {name}"), line([b"GET ", target, b" HTTP/1.1"].concat()));
    }
    t.done()
}
