//! Several requests on a connection: each has its own end, and what follows a bad one is nobody's (RFC 9112 section 9.3).

use super::table::{FORWARDED, Table, get, post};
use super::{Case, Kind, Passed};

const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

/// A request as it is passed on.
fn passed(head: &str, body: &str) -> Passed {
    let (head, chunked) = match head.strip_suffix("chunked\r\n") {
        Some(head) => (head, "Transfer-Encoding: chunked\r\n"),
        None => (head, ""),
    };
    Passed { head: format!("{head}{FORWARDED}{chunked}\r\n").into_bytes(), body: body.as_bytes().to_vec() }
}

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("pipelining");
    let two = "GET /2 HTTP/1.1\r\nHost: a\r\n";
    let one = "GET / HTTP/1.1\r\nHost: a\r\n";
    let behind = |first: Vec<u8>| [first, format!("{two}\r\n").into_bytes()].concat();
    let five = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";
    let cut = "POST / HTTP/1.1\r\nHost: a\r\nchunked\r\n";

    t.group("9112 9.3.2", Kind::Valid, "Requests may follow each other without waiting; each is answered in its turn.");
    t.pipeline("two", behind(get("")), vec![passed(one, ""), passed(two, "")]);
    t.pipeline("three", behind([get(""), get("")].concat()), vec![passed(one, ""), passed(one, ""), passed(two, "")]);
    t.pipeline("ten", get("").repeat(10), vec![passed(one, ""); 10]);
    t.pipeline(
        "behind a body of known length",
        behind(post("Content-Length: 5\r\n", "hello")),
        vec![passed(five, "hello"), passed(two, "")],
    );
    t.pipeline(
        "behind chunks",
        behind(post("Transfer-Encoding: chunked\r\n", CHUNKS)),
        vec![passed(cut, "hello"), passed(two, "")],
    );
    t.pipeline(
        "behind chunks with trailers",
        behind(post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n")),
        vec![passed(cut, ""), passed(two, "")],
    )
    .says("9110 6.5.1", "Trailer fields may be dropped.");
    t.pipeline(
        "behind a GET with a body",
        behind([get("Content-Length: 5\r\n"), b"hello".to_vec()].concat()),
        vec![passed(&format!("{one}Content-Length: 5\r\n"), "hello"), passed(two, "")],
    );
    t.pipeline(
        "behind a HEAD",
        behind(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        vec![passed("HEAD / HTTP/1.1\r\nHost: a\r\n", ""), passed(two, "")],
    );
    t.pipeline(
        "behind HTTP/1.0 that is kept",
        behind(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".to_vec()),
        vec![passed(one, ""), passed(two, "")],
    )
    .says("9112 2.3", "A proxy sends its own version: the message goes on as HTTP/1.1.");
    t.pipeline(
        "chunks behind chunks",
        post("Transfer-Encoding: chunked\r\n", CHUNKS).repeat(2),
        vec![passed(cut, "hello"); 2],
    );
    t.pipeline(
        "behind a body that is a request",
        behind(post("Content-Length: 27\r\n", get(""))),
        vec![passed(&five.replace('5', "27"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), passed(two, "")],
    );
    t.pipeline(
        "an Expect that is not waited for",
        behind(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello")),
        vec![
            passed("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
            passed(two, ""),
        ],
    )
    .says(
        "9110 10.1.1",
        "An expectation is passed on: the server knows whether it wants the body, and answers 100 or not.",
    );
    t.group(
        "9112 2.2",
        Kind::Valid,
        "Some clients send an empty line behind a body; it is ignored before the next request.",
    );
    t.pipeline(
        "an empty line between",
        behind([get(""), b"\r\n".to_vec()].concat()),
        vec![passed(one, ""), passed(two, "")],
    );
    t.pipeline(
        "an empty line behind a body",
        behind(post("Content-Length: 5\r\n", "hello\r\n")),
        vec![passed(five, "hello"), passed(two, "")],
    );
    t.pipeline(
        "an empty line behind chunks",
        behind(post("Transfer-Encoding: chunked\r\n", format!("{CHUNKS}\r\n"))),
        vec![passed(cut, "hello"), passed(two, "")],
    );

    t.group("9112 9.6", Kind::Valid, "After a request that closes, nothing on the connection is a request any more.");
    t.forward_without("behind Connection: close", behind(get("Connection: close\r\n")), &["Connection"], "").closes();
    t.forward_without(
        "behind a body with Connection: close",
        behind(post("Connection: close\r\nContent-Length: 5\r\n", "hello")),
        &["Connection"],
        "hello",
    )
    .closes();
    t.forward("behind HTTP/1.0", behind(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n".to_vec()), "")
        .closes()
        .says("9112 2.3", "A proxy sends its own version: the message goes on as HTTP/1.1.");

    t.group(
        "9112 11.2",
        Kind::Framing,
        "After what is no request nobody knows where the next one begins: the connection closes.",
    );
    t.pipeline("behind a good request, none", [get(""), b"(\r\n\r\n".to_vec()].concat(), vec![passed(one, "")])
        .then(400);
    t.pipeline("bytes behind a body", post("Content-Length: 5\r\n", "hello(x) "), vec![passed(five, "hello")])
        .then(400);
    t.pipeline(
        "bytes behind chunks",
        post("Transfer-Encoding: chunked\r\n", format!("{CHUNKS}(x) ")),
        vec![passed(cut, "hello")],
    )
    .then(400);
    t.pipeline(
        "a second Host behind a good request",
        [get(""), b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec()].concat(),
        vec![passed(one, "")],
    )
    .then(400);
    t.pipeline(
        "both framings behind a good request",
        [get(""), post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", CHUNKS)].concat(),
        vec![passed(one, "")],
    )
    .then(400);
    t.pipeline(
        "a bad version behind a good request",
        [get(""), b"GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_vec()].concat(),
        vec![passed(one, "")],
    )
    .then(505);
    t.pipeline(
        "a chunk of LF behind a good request",
        [get(""), post("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n")].concat(),
        vec![passed(one, "")],
    )
    .then(400)
    .late = true;
    t.refuse(
        400,
        "a good request behind a bad one",
        [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(), get("")].concat(),
    );
    t.refuse(400, "a good request behind a bad length", behind(post("Content-Length: +5\r\n", "hello")));
    t.refuse(501, "a good request behind an unknown coding", behind(post("Transfer-Encoding: cow\r\n", CHUNKS)));

    t.group(
        "9112 8",
        Kind::Framing,
        "A message that breaks off is not complete; the client has left, and a reply to it is optional.",
    );
    t.broken_off("an end in the request line", "GET / HTT");
    t.broken_off("an end behind the request line", "GET / HTTP/1.1\r\n");
    t.broken_off("an end in a field", "GET / HTTP/1.1\r\nHost: a");
    t.broken_off("an end before the empty line", "GET / HTTP/1.1\r\nHost: a\r\n");
    t.broken_off("an end in the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\r");
    t.broken_off("an end before the body", post("Content-Length: 5\r\n", ""));
    t.broken_off("an end in the body", post("Content-Length: 5\r\n", "hell"));
    t.done()
}
