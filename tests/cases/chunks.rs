//! Chunked bodies: sizes, extensions, data, trailers (RFC 9112 section 7.1).

use super::table::{Table, chunked};
use super::{Case, Kind};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("chunks");
    t.late();

    t.group(
        "9112 7.1",
        Kind::Valid,
        "However a body is cut into chunks, the server gets its bytes in chunks of the proxy's own.",
    );
    t.forward("no chunk", chunked("0\r\n\r\n"), "");
    t.forward("one chunk", chunked("5\r\nhello\r\n0\r\n\r\n"), "hello");
    t.forward("five chunks", chunked("1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"), "hello");
    t.forward("a size of a small letter", chunked("a\r\n0123456789\r\n0\r\n\r\n"), "0123456789");
    t.forward("a size of a capital letter", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789");
    t.forward("zeros before a size", chunked("005\r\nhello\r\n0\r\n\r\n"), "hello");
    t.forward("a size of 16 digits", chunked("0000000000000005\r\nhello\r\n0\r\n\r\n"), "hello");
    t.forward("a last chunk of zeros", chunked("5\r\nhello\r\n000\r\n\r\n"), "hello");
    t.forward("a last chunk of 16 zeros", chunked("5\r\nhello\r\n0000000000000000\r\n\r\n"), "hello");
    t.forward("CRLF in a chunk", chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n");
    t.forward("a last chunk in a chunk", chunked("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"), "\r\n0\r\n\r\n");
    t.forward("a request in a chunk", chunked(format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())), HIDDEN);
    let every: Vec<u8> = (0..=255).collect();
    t.forward("every byte", chunked([b"100\r\n", every.as_slice(), b"\r\n0\r\n\r\n"].concat()), &every);
    let long = "0123456789".repeat(1000);
    t.forward("a chunk of 10000 bytes", chunked(format!("2710\r\n{long}\r\n0\r\n\r\n")), &long);
    t.forward("a thousand chunks", chunked("1\r\nx\r\n".repeat(1000) + "0\r\n\r\n"), "x".repeat(1000));

    t.group(
        "9112 7.1.1",
        Kind::Valid,
        "A recipient ignores extensions it does not know; a proxy that cuts the body anew drops them.",
    );
    for (name, extension) in [
        ("a name", ";a"),
        ("a value", ";a=b"),
        ("several", ";a;b=c;d=e"),
        ("a quoted value", ";a=\"b c;\\\"d\""),
        ("blanks before the semicolon", " \t;a=b"),
        ("blanks around the equals sign", "; a = b"),
        ("bytes beyond ASCII in quotes", ";a=\"\u{e4}\""),
    ] {
        t.forward(format!("an extension: {name}"), chunked(format!("5{extension}\r\nhello\r\n0\r\n\r\n")), "hello");
    }
    t.forward("an extension of the last chunk", chunked("5\r\nhello\r\n0;a=b\r\n\r\n"), "hello");
    t.forward("an extension of 1000 bytes", chunked(format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(999))), "hello");
    t.group(
        "9112 7.1.1",
        Kind::Syntax,
        "An extension that is none ends with its line all the same, and nothing of it is passed on.",
    );
    t.normalise("an empty extension", chunked("5;\r\nhello\r\n0\r\n\r\n"), "hello");
    t.normalise("an extension that is no token", chunked("5;(a)\r\nhello\r\n0\r\n\r\n"), "hello");
    t.normalise("an extension of quotes that do not end", chunked("5;a=\"\r\nhello\r\n0\r\n\r\n"), "hello");

    t.group(
        "9110 6.5.1",
        Kind::Valid,
        "Trailer fields may be dropped, and must not be merged into the head where they could say something about it.",
    );
    for (name, trailers) in [
        ("one", "X: y\r\n"),
        ("several", "X: y\r\nY: z\r\nX: w\r\n"),
        ("without a value", "X:\r\n"),
        ("of bytes beyond ASCII", "X: \u{e4}\r\n"),
        ("of the name Content-Length", "Content-Length: 35\r\n"),
        ("of the name Transfer-Encoding", "Transfer-Encoding: chunked\r\n"),
        ("of the name Host", "Host: b\r\n"),
        ("of the name Connection", "Connection: close\r\n"),
        ("of the name X-Forwarded-For", "X-Forwarded-For: 192.0.2.1\r\n"),
        ("of the name Cookie", "Cookie: a=b\r\n"),
    ] {
        t.forward(format!("trailers: {name}"), chunked(format!("5\r\nhello\r\n0\r\n{trailers}\r\n")), "hello");
    }
    t.forward(
        "trailers of 8000 bytes",
        chunked(format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "y".repeat(7990))),
        "hello",
    );

    t.group("9112 7.1", Kind::Framing, "A chunk size is hexadecimal digits: what a lax reader skips, or a strict one stops at, moves the end of the body.");
    let sizes: [(&str, &[u8]); 27] = [
        ("nothing", b""),
        ("a letter beyond f", b"g"),
        ("0x", b"0x5"),
        ("0X", b"0X5"),
        ("a plus", b"+5"),
        ("a minus", b"-5"),
        ("minus zero", b"-0"),
        ("a blank before", b" 5"),
        ("a tab before", b"\t5"),
        ("a blank behind", b"5 "),
        ("a tab behind", b"5\t"),
        ("a NUL behind", b"5\0"),
        ("a vertical tab behind", b"5\x0b"),
        ("a vertical tab before", b"\x0b5"),
        ("a no-break space before", b"\xa05"),
        ("an underscore", b"0_5"),
        ("two sizes", b"5 5"),
        ("a comma", b"5,5"),
        ("a fraction", b"5.0"),
        ("quotes", b"\"5\""),
        ("a letter behind", b"5h"),
        ("a wide digit", "\u{ff15}".as_bytes()),
        ("an equals sign", b"5=a"),
        ("a colon", b"5:"),
        ("an extension without its semicolon", b"5 a=b"),
        ("an extension without a size", b";a=b"),
        ("a CR behind", b"5\r"),
    ];
    for (name, size) in sizes {
        t.refuse(400, format!("a size with {name}"), chunked([size, b"\r\nhello\r\n0\r\n\r\n"].concat()));
    }
    for (name, last) in [
        ("0x", "0x0"),
        ("a minus", "-0"),
        ("a blank behind", "0 "),
        ("a letter behind", "0g"),
        ("17 zeros", "00000000000000000"),
    ] {
        t.refuse(400, format!("a last chunk with {name}"), chunked(format!("5\r\nhello\r\n{last}\r\n\r\n")));
    }
    t.group("9112 7.1", Kind::Framing, "A size beyond 64 bits overflows, and each reader is left with another one.");
    for size in ["10000000000000005", "fffffffffffffffff", "00000000000000005", "100000000000000000000000000000005"] {
        t.refuse(400, format!("a size of {size}"), chunked(format!("{size}\r\nhello\r\n0\r\n\r\n")));
    }
    t.group(
        "9112 7.1",
        Kind::Framing,
        "Every line of a chunked body ends with CRLF: a reader that takes less finds another end.",
    );
    for (name, body) in [
        ("LF behind a size", "5\nhello\r\n0\r\n\r\n"),
        ("CR behind a size", "5\rhello\r\n0\r\n\r\n"),
        ("CR and a letter behind a size", "5\rX\r\nhello\r\n0\r\n\r\n"),
        ("LF CR behind a size", "5\n\rhello\r\n0\r\n\r\n"),
        ("LF behind an extension", "5;a\nhello\r\n0\r\n\r\n"),
        ("CR inside an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("LF in a quoted extension", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
        ("LF behind data", "5\r\nhello\n0\r\n\r\n"),
        ("CR behind data", "5\r\nhello\r0\r\n\r\n"),
        ("nothing behind data", "5\r\nhello0\r\n\r\n"),
        ("other bytes behind data", "5\r\nhelloXX0\r\n\r\n"),
        ("a byte too many", "5\r\nhello!\r\n0\r\n\r\n"),
        ("a byte too few", "5\r\nhell\r\n0\r\n\r\n"),
        ("LF behind the last chunk", "5\r\nhello\r\n0\n\r\n"),
        ("LF LF behind the last chunk", "5\r\nhello\r\n0\n\n"),
        ("an empty line of LF at the end", "5\r\nhello\r\n0\r\n\n"),
        ("CR alone at the end", "5\r\nhello\r\n0\r\n\rX"),
        ("an empty line before a size", "\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("an empty line between chunks", "5\r\nhello\r\n\r\n0\r\n\r\n"),
    ] {
        t.refuse(400, name, chunked(body));
    }
    t.group("9112 7.1.1", Kind::Syntax, "Control bytes are no part of an extension.");
    t.refuse(400, "an extension with a NUL", chunked("5;a\0\r\nhello\r\n0\r\n\r\n"));
    t.refuse(400, "an extension with a control byte", chunked("5;a\x01\r\nhello\r\n0\r\n\r\n"));
    t.group("9112 7.1.1", Kind::Policy, "Extensions are bounded, or a body without data could go on forever.");
    t.refuse(400, "an extension of 2000 bytes", chunked(format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(2000))));
    t.refuse(400, "2000 blanks behind a size", chunked(format!("5{};a\r\nhello\r\n0\r\n\r\n", " ".repeat(2000))));

    t.group(
        "9112 7.1.2",
        Kind::Framing,
        "A trailer is a header field: what is none may be the next request for another reader.",
    );
    for (name, trailers) in [
        ("without a colon", "X\r\n\r\n"),
        ("without a name", ": y\r\n\r\n"),
        ("with a blank before the colon", "X : y\r\n\r\n"),
        ("with a blank in the name", "X Y: z\r\n\r\n"),
        ("that are folded", "X: y\r\n z\r\n\r\n"),
        ("that begin with a blank", " X: y\r\n\r\n"),
        ("of a blank alone", " \r\n\r\n"),
        ("behind which comes LF", "X: y\n\r\n"),
        ("with a CR inside", "X: y\rz\r\n\r\n"),
        ("with a NUL", "X: y\0\r\n\r\n"),
        ("with a NUL in the name", "X\0: y\r\n\r\n"),
        ("with a control byte", "X: \x01\r\n\r\n"),
        ("that are a request", "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        t.refuse(400, format!("trailers {name}"), chunked(format!("5\r\nhello\r\n0\r\n{trailers}")));
    }
    t.group("9110 5.4", Kind::Policy, "Trailers are bounded, or a body without data could go on forever.");
    t.refuse(400, "trailers of 9000 bytes", chunked(format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "y".repeat(9000))));
    t.refuse(400, "2000 trailers", chunked(format!("5\r\nhello\r\n0\r\n{}\r\n", "X: yz\r\n".repeat(2000))));

    t.group("9112 8", Kind::Framing, "A body that breaks off is not complete, and is never made to look so.");
    for (name, body) in [
        ("before the size", ""),
        ("in the size", "5"),
        ("behind the size", "5\r\n"),
        ("in the data", "5\r\nhel"),
        ("behind the data", "5\r\nhello"),
        ("before the last chunk", "5\r\nhello\r\n"),
        ("behind the last chunk", "5\r\nhello\r\n0\r\n"),
        ("in a trailer", "5\r\nhello\r\n0\r\nX: y"),
        ("behind a trailer", "5\r\nhello\r\n0\r\nX: y\r\n"),
    ] {
        t.broken_off(format!("an end {name}"), chunked(body));
    }
    t.done()
}
