//! Header fields: names, values, lines (RFC 9112 section 5, RFC 9110 section 5).

use super::table::{Table, get, line, shown};
use super::{Case, Kind};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("fields");

    t.group("9110 5.1", Kind::Valid, "A field nobody knows is passed on, whichever token its name is.");
    t.forward("every byte of a token in a name", get("!#$%&'*+-.^_`|~09azAZ: x\r\n"), "");
    t.forward("a name of one letter", get("X: y\r\n"), "");
    t.forward("a name that begins with a digit", get("0: y\r\n"), "");
    t.forward("a name with an underscore", get("X_Y: z\r\n"), "");
    t.forward("a name with a dot", get("X.Y: z\r\n"), "");
    t.forward("a name of 200 bytes", get(format!("{}: y\r\n", "x".repeat(200))), "");
    t.forward(
        "a name like one that counts",
        get("Content-Lengthy: 5\r\nTransfer-Encodings: chunked\r\nHosts: b\r\n"),
        "",
    );
    t.group(
        "9110 5.5",
        Kind::Valid,
        "A value is any visible bytes, blanks and tabs inside, bytes beyond ASCII: it is passed on byte for byte.",
    );
    t.forward("an empty value", get("X:\r\nY: \r\n"), "");
    t.forward("no blank before a value", get("X:y\r\n"), "");
    t.forward("blanks and tabs around a value", get("X: \t y \t \r\n"), "");
    t.forward("blanks and tabs inside a value", get("X: a \t b\r\n"), "");
    t.forward("Latin-1", get(b"X: \xe4\xff\x80\r\n"), "");
    t.forward("UTF-8", get("X: \u{e4}\u{20ac}\r\n"), "");
    t.forward("a no-break space", get(b"X: \xa0y\xa0\r\n"), "");
    t.forward("colons", get("X: :a:b:\r\nY:: z\r\n"), "");
    t.forward("quotes that do not end", get("X: \"a\r\n"), "");
    t.forward("commas", get("X: ,a,,b,\r\n"), "");
    t.forward("what looks like a field", get("X: Content-Length: 5\r\n"), "");
    t.forward("a value of 4000 bytes", get(format!("X: {}\r\n", "y".repeat(4000))), "");
    t.group("9110 5.3", Kind::Valid, "The order of fields of the same name counts.");
    t.forward("fields of the same name", get("X: 1\r\nY: 2\r\nX: 3\r\nx: 4\r\n"), "");
    t.forward("cookies", get("Cookie: a=b\r\nCookie: c=d; e=f\r\n"), "");
    t.forward("fields of responses", get("Set-Cookie: a=b\r\nLocation: /x\r\nServer: s\r\nDate: now\r\n"), "");
    t.forward("credentials", get("Authorization: Basic eA==\r\nProxy-Authorization: Basic eA==\r\n"), "");
    t.forward(
        "a browser's",
        get("User-Agent: M/5.0 (X; Y)\r\nAccept: a/b,c/*;q=0.8\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-\r\n"),
        "",
    );

    t.group(
        "9112 5.1",
        Kind::Framing,
        "No blank may stand between name and colon: readers that trim it and readers that do not see different fields.",
    );
    t.refuse(400, "a blank before the colon", get("X : y\r\n"));
    t.refuse(400, "a tab before the colon", get("X\t: y\r\n"));
    t.refuse(400, "many blanks before the colon", get("X          : y\r\n"));
    t.group(
        "9112 5.2",
        Kind::Framing,
        "A line that begins with a blank continues the one before, or does not: a server refuses it.",
    );
    t.refuse(400, "a folded value", get("X: y\r\n z\r\n"));
    t.refuse(400, "a value folded with a tab", get("X: y\r\n\tz\r\n"));
    t.refuse(400, "a fold of nothing", get("X: y\r\n \r\n"));
    t.refuse(400, "a fold before the value", get("X:\r\n y\r\n"));
    t.refuse(400, "a fold as the first line", "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n").rfc = "9112 2.2";
    t.refuse(400, "a fold that is a field", get("X: y\r\n Z: z\r\n"));
    t.refuse(400, "a line of a blank alone", "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n");
    t.group(
        "9112 2.2",
        Kind::Framing,
        "A line ends with CRLF: readers disagree on a bare LF or CR, so where lines end would depend on the reader.",
    );
    t.refuse(400, "LF behind a field", get("X: y\nZ: z\r\n"));
    t.refuse(400, "LF inside a value", get("X: y\n\r\n"));
    t.refuse(400, "an empty line of LF", "GET / HTTP/1.1\r\nHost: a\r\n\n");
    t.refuse(400, "an empty line of LF behind LF", "GET / HTTP/1.1\r\nHost: a\n\n");
    t.refuse(400, "an empty line of LF CR LF", "GET / HTTP/1.1\r\nHost: a\n\r\n");
    t.refuse(400, "CR inside a value", get("X: y\rz\r\n"));
    t.refuse(400, "CR behind a value", get("X: y\r\r\n"));
    t.refuse(400, "CR before a name", get("\rX: y\r\n"));
    t.refuse(400, "CR inside a name", get("X\rY: z\r\n"));
    t.refuse(400, "CR behind the colon", get("X:\ry\r\n"));
    t.refuse(400, "an empty line of CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n");

    t.group("9112 5", Kind::Syntax, "A field is a token, a colon and a value.");
    t.refuse(400, "no colon", get("X\r\n"));
    t.refuse(400, "no colon, but an equals sign", get("X=y\r\n"));
    t.refuse(400, "no name", get(": y\r\n"));
    t.refuse(400, "a colon alone", get(":\r\n"));
    t.refuse(400, "a blank inside a name", get("X Y: z\r\n"));
    for byte in b"\"(),/;<=>?@[\\]{}\0\x01\x0b\x0c\x1b\x7f\x80\xa0\xe4" {
        t.refuse(400, format!("a name with {}", shown(*byte)), get([b"X".as_slice(), &[*byte], b"Y: z\r\n"].concat()));
    }
    t.refuse(400, "a name that begins with a NUL", get(b"\0X: y\r\n"));
    t.refuse(400, "a name that ends with a NUL", get(b"X\0: y\r\n"));
    t.refuse(400, "a name of UTF-8", get("\u{e4}: y\r\n"));
    t.group("9110 5.5", Kind::Syntax, "Control bytes are no part of a value; a NUL ends it for some readers.");
    for byte in b"\0\x01\x02\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f" {
        t.refuse(400, format!("a value with {}", shown(*byte)), get([b"X: y".as_slice(), &[*byte], b"z\r\n"].concat()));
    }
    t.refuse(400, "a value that is a NUL", get(b"X: \0\r\n"));

    t.group("9110 5.4", Kind::Valid, "64 fields and 8192 bytes are within the limits.");
    let many = |count: usize| -> String { (1..count).map(|n| format!("X-{n}: y\r\n")).collect() };
    t.forward("64 fields", get(many(64)), "");
    let head = |bytes: usize| get(format!("X: {}\r\n", "y".repeat(bytes - get("X: \r\n").len())));
    t.forward("a head of 8192 bytes", head(8192), "");
    t.group("9110 5.4", Kind::Policy, "The head is larger than the limits allow; RFC 6585 gives the status.");
    t.refuse(431, "65 fields", get(many(65)));
    t.refuse(431, "1000 fields", get("X:\r\n".repeat(1000)));
    t.refuse(431, "a head of 8193 bytes", head(8193));
    t.refuse(431, "a value of 20000 bytes", get(format!("X: {}\r\n", "y".repeat(20_000))));
    t.refuse(431, "a name of 20000 bytes", get(format!("{}: y\r\n", "x".repeat(20_000))));
    t.group("9110 15.5.15", Kind::Policy, "The request line alone is larger than the limit for a head.");
    t.refuse(414, "a target of 10000 bytes", line(format!("GET /{} HTTP/1.1", "x".repeat(10_000))));
    t.refuse(414, "a query of 20000 bytes", line(format!("GET /?{} HTTP/1.1", "x".repeat(20_000))));
    t.refuse(414, "a method of 10000 bytes", line(format!("{} / HTTP/1.1", "M".repeat(10_000))));
    t.done()
}
