//! Transfer-Encoding: `chunked`, once, and never beside a length (RFC 9112 section 6.1 and 6.3).

use super::table::{Table, post};
use super::{Case, Kind};

/// A request that a body ended differently would set free.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("Transfer-Encoding");

    t.group(
        "9112 6.1",
        Kind::Valid,
        "The chunked coding is this connection's: the server gets chunks of its own, whatever case the name was in.",
    );
    for (name, field) in [
        ("chunked", "Transfer-Encoding: chunked"),
        ("Chunked", "Transfer-Encoding: Chunked"),
        ("CHUNKED", "Transfer-Encoding: CHUNKED"),
        ("no blank before it", "Transfer-Encoding:chunked"),
        ("a name of lower case", "transfer-encoding: chunked"),
        ("a name of capitals", "TRANSFER-ENCODING: chunked"),
    ] {
        t.forward(name, post(format!("{field}\r\n"), CHUNKS), "hello");
    }
    t.forward("between other fields", post("X: 1\r\nTransfer-Encoding: chunked\r\nY: 2\r\n", CHUNKS), "hello");
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let sent = format!("{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}");
        t.forward(format!("{method} with chunks"), sent, "hello");
    }
    t.forward(
        "a request in the chunks",
        post("Transfer-Encoding: chunked\r\n", format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
        HIDDEN,
    );

    t.group(
        "9110 5.6.3",
        Kind::Valid,
        "Blanks and tabs around a value are no part of it; the server gets the name alone, since some do not skip tabs.",
    );
    t.normalise("blanks and tabs around it", post("Transfer-Encoding: \t chunked \t \r\n", CHUNKS), "hello");

    t.group("9112 6.1", Kind::Framing, "A coding that is not known leaves the end of the body unknown: 501 is the status for it, and nothing is passed on.");
    for value in [
        "gzip",
        "gzip, chunked",
        "deflate, chunked",
        "compress",
        "identity",
        "identity, chunked",
        "xchunked",
        "chunkedx",
        "x-chunked",
        "chunked-",
        "'chunked'",
        "x, chunked",
        "cow",
        "chunke",
        "*",
        "br, gzip, chunked",
    ] {
        t.refuse(501, value, post(format!("Transfer-Encoding: {value}\r\n"), CHUNKS));
    }
    t.refuse(
        501,
        "identity, then chunked in another line",
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    );
    t.refuse(
        501,
        "gzip, then chunked in another line",
        post("Transfer-Encoding: gzip\r\nX: y\r\ntransfer-encoding: chunked\r\n", CHUNKS),
    );

    t.group(
        "9112 6.3",
        Kind::Framing,
        "Where chunked is not the last coding, or there twice, the end of the body cannot be known: 400 is the status for it.",
    );
    for value in [
        "chunked, gzip",
        "chunked, identity",
        "chunked, xchunked",
        "chunked, chunked",
        "chunked,chunked",
        "Chunked, CHUNKED",
        "chunked, gzip, chunked",
    ] {
        t.refuse(400, value, post(format!("Transfer-Encoding: {value}\r\n"), CHUNKS));
    }
    for second in ["chunked", "identity", "gzip", "x", "", "chunked;x"] {
        let fields = format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {second}\r\n");
        t.refuse(400, format!("chunked, then \"{second}\" in another line"), post(fields, CHUNKS));
    }
    t.refuse(
        400,
        "a short name's line before chunked's",
        post("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    );

    t.group(
        "9112 6.1",
        Kind::Framing,
        "What is not a list of codings is chunked for some readers and nothing for others: bad syntax is 400, 501 is for codings one does not know.",
    );
    let values: [(&str, &[u8]); 38] = [
        ("nothing", b""),
        ("a blank", b" "),
        ("a comma", b","),
        ("a comma behind", b"chunked,"),
        ("a comma and a blank behind", b"chunked, "),
        ("a comma before", b",chunked"),
        ("a comma and a blank before", b", chunked"),
        ("an empty element behind", b"chunked,,"),
        ("a parameter", b"chunked;x"),
        ("a parameter with a value", b"chunked; q=1"),
        ("a semicolon", b"chunked;"),
        ("quotes", b"\"chunked\""),
        ("a quote behind", b"chunked\""),
        ("a NUL behind", b"chunked\0"),
        ("a NUL before", b"\0chunked"),
        ("a NUL inside", b"chu\0nked"),
        ("a vertical tab before", b"\x0bchunked"),
        ("a vertical tab behind", b"chunked\x0b"),
        ("a form feed before", b"\x0cchunked"),
        ("a form feed behind", b"chunked\x0c"),
        ("a no-break space before", b"\xa0chunked"),
        ("a no-break space behind", b"chunked\xa0"),
        ("a no-break space of UTF-8 before", b"\xc2\xa0chunked"),
        ("an ideographic space before", "\u{3000}chunked".as_bytes()),
        ("a next-line character behind", b"chunked\x85"),
        ("a Kelvin sign for the k", "chun\u{212a}ed".as_bytes()),
        ("0xff behind", b"chunked\xff"),
        ("a backspace behind", b"chunkedd\x08"),
        ("brackets", b"(chunked)"),
        ("pointed brackets", b"<chunked>"),
        ("an equals sign", b"chunked=1"),
        ("a colon before", b": chunked"),
        ("a slash", b"chunked/1"),
        ("two words", b"chunked chunked"),
        ("another word behind", b"chunked gzip"),
        ("another word before", b"gzip chunked"),
        ("blanks between the letters", b"c h u n k e d"),
        ("a backslash", b"\\chunked"),
    ];
    for (name, value) in values {
        t.refuse(400, name, post([b"Transfer-Encoding: ", value, b"\r\n"].concat(), CHUNKS));
    }

    t.group(
        "9112 5.1",
        Kind::Framing,
        "What is not the name of the field to the letter must not be the field for another reader.",
    );
    let lines: [(&str, &[u8]); 23] = [
        ("a name with a blank behind", b"Transfer-Encoding : chunked"),
        ("a name with a tab behind", b"Transfer-Encoding\t: chunked"),
        ("a name with a NUL behind", b"Transfer-Encoding\0: chunked"),
        ("a name with a vertical tab behind", b"Transfer-Encoding\x0b: chunked"),
        ("a name with a form feed behind", b"Transfer-Encoding\x0c: chunked"),
        ("a name with a CR behind", b"Transfer-Encoding\r: chunked"),
        ("a name with a no-break space behind", b"Transfer-Encoding\xa0: chunked"),
        ("a name with 0xff behind", b"Transfer-Encoding\xff: chunked"),
        ("a name with a blank inside", b"Transfer Encoding: chunked"),
        ("a name with a blank before", b" Transfer-Encoding: chunked"),
        ("a name with a tab before", b"\tTransfer-Encoding: chunked"),
        ("a name with a NUL before", b"\0Transfer-Encoding: chunked"),
        ("a name with a colon before", b":Transfer-Encoding: chunked"),
        ("no colon", b"Transfer-Encoding chunked"),
        ("an equals sign for the colon", b"Transfer-Encoding=chunked"),
        ("a folded coding", b"Transfer-Encoding:\r\n chunked"),
        ("a coding folded with a tab", b"Transfer-Encoding:\r\n\tchunked"),
        ("a coding with a fold behind", b"Transfer-Encoding: chunked\r\n x"),
        ("a list over a fold", b"Transfer-Encoding: gzip,\r\n chunked"),
        ("the field as a fold", b"X: y\r\n Transfer-Encoding: chunked"),
        ("the field behind a bare LF", b"X: y\nTransfer-Encoding: chunked"),
        ("the field behind a bare CR", b"X: y\rTransfer-Encoding: chunked"),
        ("a coding before a bare LF", b"Transfer-Encoding: chunked\n"),
    ];
    for (name, field) in lines {
        t.refuse(400, name, post([field, b"\r\n"].concat(), CHUNKS));
    }
    t.group("9110 5.1", Kind::Valid, "Another name is another field: it says nothing about the body.");
    t.forward("no hyphen in the name", post("TransferEncoding: chunked\r\n", ""), "");
    t.forward("Content-Encoding: chunked", post("Content-Encoding: chunked\r\n", ""), "");
    t.group(
        "9112 11.2",
        Kind::Framing,
        "A server that folds names into variables, as CGI does, takes it for the field with a hyphen; others do not.",
    );
    t.refuse(400, "an underscore in the name", post("Transfer_Encoding: chunked\r\n", CHUNKS));
    t.refuse(
        400,
        "an underscore in the name, and a length",
        post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    );

    t.group(
        "9112 6.3",
        Kind::Framing,
        "A message with both is an attempt at smuggling: one reader ends it by its length, another by its chunks.",
    );
    let length = HIDDEN.len() + 5;
    t.refuse(400, "a length, then chunked", post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", CHUNKS));
    t.refuse(400, "chunked, then a length", post("Transfer-Encoding: chunked\r\nContent-Length: 15\r\n", CHUNKS));
    t.refuse(
        400,
        "a request behind chunks inside a length",
        post(format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), format!("0\r\n\r\n{HIDDEN}")),
    );
    t.refuse(
        400,
        "a request in chunks behind a length",
        post(
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len()),
        ),
    );
    t.refuse(400, "a length of 0 and chunked", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", CHUNKS));
    t.refuse(
        400,
        "both in a GET",
        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
    );
    t.refuse(
        400,
        "two same lengths and chunked",
        post("Content-Length: 15\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    );
    t.refuse(
        400,
        "both, the length an option of Connection",
        post("Connection: content-length\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    );
    t.refuse(
        400,
        "both, the coding an option of Connection",
        post("Connection: transfer-encoding\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    );
    t.refuse(400, "a bad length and chunked", post("Content-Length: x\r\nTransfer-Encoding: chunked\r\n", CHUNKS));
    t.refuse(400, "an empty length and chunked", post("Content-Length:\r\nTransfer-Encoding: chunked\r\n", CHUNKS));
    t.refuse(400, "a length and a bad coding", post("Content-Length: 15\r\nTransfer-Encoding: chunked;x\r\n", CHUNKS));
    t.refuse(
        400,
        "a length and chunked behind a vertical tab",
        post("Content-Length: 15\r\nTransfer-Encoding: \x0bchunked\r\n", CHUNKS),
    );
    t.refuse(
        501,
        "a length and an unknown coding",
        post("Content-Length: 15\r\nTransfer-Encoding: xchunked\r\n", CHUNKS),
    );
    t.refuse(501, "a length and identity", post("Content-Length: 15\r\nTransfer-Encoding: identity\r\n", CHUNKS));

    t.group(
        "9112 6.1",
        Kind::Framing,
        "HTTP/1.0 has no transfer codings: its framing is faulty even where a reader happens to know them.",
    );
    t.refuse(
        400,
        "chunked in HTTP/1.0",
        format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
    );
    t.refuse(
        400,
        "chunked in HTTP/1.0 that is kept",
        format!("POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
    );
    t.refuse(
        400,
        "both in HTTP/1.0",
        format!("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
    );
    t.refuse(400, "identity in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n");
    t.done()
}
