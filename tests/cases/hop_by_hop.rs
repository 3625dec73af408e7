//! Fields of one hop: Connection, what it names, and the old ones (RFC 9110 section 7.6.1).

use super::table::{Table, get, post};
use super::{Case, Kind};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("hop by hop");

    t.group(
        "9110 7.6.1",
        Kind::Valid,
        "Connection and every field it names are this connection's: a proxy removes them.",
    );
    t.forward_without("keep-alive", get("Connection: keep-alive\r\n"), &["Connection"], "");
    t.forward_without("close", get("Connection: close\r\n"), &["Connection"], "").closes();
    t.forward_without("Close", get("Connection: Close\r\n"), &["Connection"], "").closes();
    t.forward_without("keep-alive, close", get("Connection: keep-alive, close\r\n"), &["Connection"], "").closes();
    t.forward_without(
        "close in a second line",
        get("Connection: keep-alive\r\nX: y\r\nConnection: close\r\n"),
        &["Connection"],
        "",
    )
    .closes();
    t.forward_without("closed", get("Connection: closed\r\n"), &["Connection"], "");
    t.forward_without("an empty Connection", get("Connection:\r\n"), &["Connection"], "");
    t.forward_without("empty elements", get("Connection: ,, close ,\r\n"), &["Connection"], "").closes();
    t.forward_without("a name", get("Connection: X-Hop\r\nX-Hop: 1\r\nX: 2\r\n"), &["Connection", "X-Hop"], "");
    t.forward_without("a name of another case", get("connection: x-HOP\r\nX-Hop: 1\r\n"), &["Connection", "X-Hop"], "");
    t.forward_without(
        "a name before Connection",
        get("X-Hop: 1\r\nConnection: X-Hop\r\n"),
        &["Connection", "X-Hop"],
        "",
    );
    t.forward_without(
        "a name of three fields",
        get("X-Hop: 1\r\nConnection: X-Hop\r\nX-Hop: 2\r\nY: z\r\nX-Hop: 3\r\n"),
        &["Connection", "X-Hop"],
        "",
    );
    t.forward_without(
        "three names",
        get("Connection: A, B,C\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"),
        &["Connection", "A", "B", "C"],
        "",
    );
    t.forward_without(
        "names in two lines",
        get("Connection: A\r\nA: 1\r\nConnection: B\r\nB: 2\r\n"),
        &["Connection", "A", "B"],
        "",
    );
    t.forward_without("a name that is not there", get("Connection: X-Hop\r\nX-Hop2: 1\r\n"), &["Connection"], "");
    t.forward_without(
        "close and a name",
        get("Connection: close, X-Hop\r\nX-Hop: 1\r\n"),
        &["Connection", "X-Hop"],
        "",
    )
    .closes();
    t.forward_without("a cookie", get("Connection: Cookie\r\nCookie: a=b\r\n"), &["Connection", "Cookie"], "");
    t.forward_without(
        "a name in HTTP/1.0",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
        &["Connection", "X-Hop"],
        "",
    )
    .closes();
    t.forward_without(
        "a field that is named like an option",
        get("Connection: close\r\nClose: x\r\n"),
        &["Connection", "Close"],
        "",
    )
    .closes();

    t.group(
        "9110 7.6.1",
        Kind::Framing,
        "No option may take away what frames a message or says whom it is for: the server would read another one.",
    );
    t.forward_without("Host named", get("Connection: Host\r\n"), &["Connection"], "");
    t.forward_without(
        "Content-Length named",
        post("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
        &["Connection"],
        "hello",
    );
    t.forward_without(
        "Transfer-Encoding named",
        post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        &["Connection"],
        "hello",
    );
    t.forward_without("Connection named", get("Connection: Connection, close\r\n"), &["Connection"], "").closes();
    t.group("9110 7.6.1", Kind::Policy, "No option may take away what the proxy itself says about the client.");
    t.forward_without(
        "X-Forwarded-For named",
        get("Connection: X-Forwarded-For, X-Forwarded-Proto\r\n"),
        &["Connection"],
        "",
    );

    t.group("9110 7.6.1", Kind::Valid, "Keep-Alive, Proxy-Connection, TE, Trailer and Upgrade are of one hop, also where Connection forgets to name them.");
    t.forward_without("Keep-Alive", get("Keep-Alive: timeout=5\r\n"), &["Keep-Alive"], "");
    t.forward_without(
        "Keep-Alive named",
        get("Connection: Keep-Alive\r\nKeep-Alive: timeout=5, max=100\r\n"),
        &["Connection", "Keep-Alive"],
        "",
    );
    t.forward_without("Proxy-Connection", get("Proxy-Connection: keep-alive\r\n"), &["Proxy-Connection"], "");
    t.forward_without("Proxy-Connection: close", get("Proxy-Connection: close\r\n"), &["Proxy-Connection"], "");
    t.group(
        "9110 10.1.4",
        Kind::Valid,
        "TE is about the trailers and codings of this hop's responses; this proxy drops trailers, so it offers none.",
    );
    t.forward_without("TE", get("TE: trailers\r\n"), &["TE"], "");
    t.forward_without("TE named", get("Connection: TE\r\nTE: trailers, gzip;q=0.5\r\n"), &["Connection", "TE"], "");
    t.group(
        "9110 6.6.2",
        Kind::Valid,
        "Trailer announces trailers, which this proxy drops; so it drops the announcement.",
    );
    t.forward_without(
        "Trailer",
        post("Transfer-Encoding: chunked\r\nTrailer: X\r\n", "0\r\nX: y\r\n\r\n"),
        &["Trailer"],
        "",
    );
    t.forward_without("Trailer without chunks", get("Trailer: X\r\n"), &["Trailer"], "");

    t.group("9110 7.6.1", Kind::Syntax, "Options that are no tokens name nothing; the field is removed with them.");
    t.forward_without("two words", get("Connection: a b\r\na: 1\r\n"), &["Connection"], "");
    t.forward_without("a quoted name", get("Connection: \"X\"\r\nX: 1\r\n"), &["Connection"], "");
    t.forward_without("a parameter", get("Connection: close;x\r\n"), &["Connection"], "");
    t.group("9110 5.4", Kind::Policy, "More options than any honest client sends.");
    let names: Vec<String> = (0..100).map(|n| format!("X{n}")).collect();
    t.refuse(400, "100 names", get(format!("Connection: {}\r\n", names.join(","))));
    t.done()
}
