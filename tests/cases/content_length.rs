//! Content-Length: digits, once, or the same again (RFC 9112 section 6.3, RFC 9110 section 8.6).

use super::table::{Table, post};
use super::{Case, Kind};
use crate::common::lane::Ending;

/// A request that a length read differently would set free.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("Content-Length");

    t.group("9112 6.2", Kind::Valid, "A length of digits says where the body ends.");
    t.forward("a length of 5", post("Content-Length: 5\r\n", "hello"), "hello");
    t.forward("a length of 0", post("Content-Length: 0\r\n", ""), "");
    t.forward("no blank before it", post("Content-Length:5\r\n", "hello"), "hello");
    t.forward("a name of lower case", post("content-length: 5\r\n", "hello"), "hello");
    t.forward("a name of mixed case", post("CONTENT-length: 5\r\n", "hello"), "hello");
    t.forward("between other fields", post("X: 1\r\nContent-Length: 5\r\nY: 2\r\n", "hello"), "hello");
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let sent = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        t.forward(format!("{method} with a body"), sent, "hello");
    }
    t.forward(
        "every byte",
        [post("Content-Length: 256\r\n", ""), (0..=255).collect()].concat(),
        (0..=255).collect::<Vec<u8>>(),
    );
    let long = "0123456789".repeat(2000);
    t.forward("a body of 20000 bytes", post("Content-Length: 20000\r\n", &long), &long);
    t.forward("a request as the body", post(format!("Content-Length: {}\r\n", HIDDEN.len()), HIDDEN), HIDDEN);
    t.forward("chunks as the body", post("Content-Length: 5\r\n", "0\r\n\r\n"), "0\r\n\r\n");
    t.forward("empty lines as the body", post("Content-Length: 4\r\n", "\r\n\r\n"), "\r\n\r\n");
    for (name, length) in
        [("5 GB", "5000000000"), ("2 to the 32nd", "4294967296"), ("2 to the 63rd less 1", "9223372036854775807")]
    {
        t.forward(format!("a length of {name}"), post(format!("Content-Length: {length}\r\n"), ""), "")
            .closes()
            .ending = Ending::Leave;
    }

    t.group(
        "9110 8.6",
        Kind::Valid,
        "A length is decimal however many zeros it begins with; the server gets the plain number, which nobody reads as octal.",
    );
    t.normalise_length("a length of 00005", post("Content-Length: 00005\r\n", "hello"), "hello");
    t.normalise_length("a length of 24 digits", post("Content-Length: 000000000000000000000005\r\n", "hello"), "hello");
    t.group(
        "9110 5.6.3",
        Kind::Valid,
        "Blanks and tabs around a value are no part of it; the server gets the number alone, since some do not skip tabs.",
    );
    t.normalise_length("blanks and tabs around it", post("Content-Length: \t 5 \t\r\n", "hello"), "hello");

    t.group(
        "9112 6.3",
        Kind::Framing,
        "Repetitions of one valid length may be taken for it: the server gets one line, with that number.",
    );
    t.normalise_length("two same lines", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), "hello");
    t.normalise_length(
        "three same lines",
        post("Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\ncontent-length: 5\r\n", "hello"),
        "hello",
    );
    t.normalise_length("a list of the same", post("Content-Length: 5, 5\r\n", "hello"), "hello");
    t.normalise_length("a list without blanks", post("Content-Length: 5,5\r\n", "hello"), "hello");
    t.normalise_length("a list with tabs", post("Content-Length: 5\t,\t5\r\n", "hello"), "hello");
    t.normalise_length("a list and a line", post("Content-Length: 5, 5\r\nContent-Length: 5\r\n", "hello"), "hello");
    t.normalise_length("a list of zeros", post("Content-Length: 0, 0\r\n", ""), "");
    t.normalise_length("two lines of zero", post("Content-Length: 0\r\nContent-Length: 0\r\n", ""), "");

    t.group("9112 6.3", Kind::Framing, "Two different lengths are two different ends of the message.");
    t.refuse(400, "two different lines", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"));
    t.refuse(
        400,
        "two different lines, the first 0",
        post(format!("Content-Length: 0\r\nContent-Length: {}\r\n", HIDDEN.len()), HIDDEN),
    );
    t.refuse(
        400,
        "two different lines, the second 0",
        post(format!("Content-Length: {}\r\nContent-Length: 0\r\n", HIDDEN.len()), HIDDEN),
    );
    t.refuse(400, "a list of different lengths", post("Content-Length: 5, 6\r\n", "hello!"));
    t.refuse(400, "a list and a different line", post("Content-Length: 5, 5\r\nContent-Length: 6\r\n", "hello!"));
    t.refuse(400, "a good line and an empty one", post("Content-Length: 5\r\nContent-Length:\r\n", "hello"));
    t.refuse(400, "a good line and a bad one", post("Content-Length: 5\r\nContent-Length: x\r\n", "hello"));
    t.refuse(
        400,
        "different lengths in a GET",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\nabc",
    );
    t.refuse(
        400,
        "different lengths in HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
    );
    t.refuse(
        400,
        "different lengths, one an option of Connection",
        post("Connection: content-length\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
    );

    t.group(
        "9112 6.3",
        Kind::Framing,
        "A length that is not digits is unrecoverable: what one reader takes for a number another does not.",
    );
    let values: [(&str, &[u8]); 41] = [
        ("nothing", b""),
        ("a blank", b" "),
        ("a comma", b","),
        ("a comma behind", b"5,"),
        ("a comma before", b",5"),
        ("an empty element", b"5,,5"),
        ("a plus", b"+5"),
        ("a minus", b"-5"),
        ("minus zero", b"-0"),
        ("plus zero", b"+0"),
        ("hexadecimal", b"0x5"),
        ("octal", b"0o5"),
        ("binary", b"0b101"),
        ("a letter behind", b"5a"),
        ("a letter before", b"a5"),
        ("a fraction", b"5.0"),
        ("an exponent", b"5e0"),
        ("an underscore", b"0_5"),
        ("an apostrophe", b"0'5"),
        ("a parameter", b"5;q=1"),
        ("a semicolon", b"5;"),
        ("two numbers", b"5 5"),
        ("a blank between digits", b"0 5"),
        ("a tab between digits", b"0\t5"),
        ("quotes", b"\"5\""),
        ("single quotes", b"'5'"),
        ("brackets", b"(5)"),
        ("a word", b"five"),
        ("a star", b"*"),
        ("NaN", b"NaN"),
        ("a unit", b"5B"),
        ("a NUL behind", b"5\0"),
        ("a NUL before", b"\x005"),
        ("a vertical tab before", b"\x0b5"),
        ("a vertical tab behind", b"5\x0b"),
        ("a form feed before", b"\x0c5"),
        ("a no-break space before", b"\xa05"),
        ("a no-break space behind", b"5\xc2\xa0"),
        ("a wide digit", "\u{ff15}".as_bytes()),
        ("an Arabic digit", "\u{665}".as_bytes()),
        ("a CR inside", b"5\r0"),
    ];
    for (name, value) in values {
        t.refuse(400, name, post([b"Content-Length: ", value, b"\r\n"].concat(), "hello"));
    }
    t.group("9110 8.6", Kind::Framing, "A length beyond 64 bits overflows: each reader is left with another number.");
    for (name, value) in [
        ("2 to the 64th", "18446744073709551616"),
        ("2 to the 64th and 5", "18446744073709551621"),
        ("20 nines", "99999999999999999999"),
        ("30 digits", "500000000000000000000000000000"),
    ] {
        t.refuse(400, name, post(format!("Content-Length: {value}\r\n"), "hello"));
    }

    t.group(
        "9112 5.1",
        Kind::Framing,
        "What is not the name of the field to the letter must not be the field for another reader.",
    );
    let lines: [(&str, &[u8]); 15] = [
        ("a name with a blank behind", b"Content-Length : 5"),
        ("a name with a tab behind", b"Content-Length\t: 5"),
        ("a name with a NUL behind", b"Content-Length\0: 5"),
        ("a name with a vertical tab behind", b"Content-Length\x0b: 5"),
        ("a name with a CR behind", b"Content-Length\r: 5"),
        ("a name with a no-break space behind", b"Content-Length\xa0: 5"),
        ("a name with a blank inside", b"Content Length: 5"),
        ("a name with a blank before", b" Content-Length: 5"),
        ("a name with a NUL before", b"\0Content-Length: 5"),
        ("a name with a colon before", b":Content-Length: 5"),
        ("no colon", b"Content-Length 5"),
        ("an equals sign", b"Content-Length=5"),
        ("a folded length", b"Content-Length:\r\n 5"),
        ("a length with a fold behind", b"Content-Length: 5\r\n 0"),
        ("a length behind a bare LF", b"X: y\nContent-Length: 5"),
    ];
    for (name, field) in lines {
        t.refuse(400, name, post([field, b"\r\n"].concat(), "hello"));
    }
    t.group("9110 5.1", Kind::Valid, "Another name is another field: it says nothing about the body.");
    t.forward("no hyphen in the name", post("ContentLength: 35\r\n", ""), "");
    t.forward("a name with more behind", post("Content-Length-: 35\r\n", ""), "");
    t.group(
        "9112 11.2",
        Kind::Framing,
        "A server that folds names into variables, as CGI does, takes it for the field with a hyphen; others do not.",
    );
    t.refuse(400, "an underscore in the name", post("Content_Length: 35\r\n", ""));
    t.done()
}
