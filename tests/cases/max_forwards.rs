//! Max-Forwards: counted for OPTIONS and TRACE, somebody else's for the rest (RFC 9110 section 7.6.2).

use super::table::{FORWARDED, Table, get};
use super::{Case, Kind, Passed};

fn ask(method: &str, fields: &str) -> Vec<u8> {
    format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("Max-Forwards");

    t.group("9110 7.6.2", Kind::Valid, "A proxy that gets OPTIONS or TRACE with Max-Forwards: 0 answers itself.");
    t.own(200, "OPTIONS with 0", ask("OPTIONS", "Max-Forwards: 0\r\n"));
    t.own(200, "OPTIONS with 000", ask("OPTIONS", "Max-Forwards: 000\r\n"));
    t.own(200, "OPTIONS * with 0", "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    t.own(405, "TRACE with 0", ask("TRACE", "Max-Forwards: 0\r\n"));
    t.group("9110 7.6.2", Kind::Valid, "A proxy that passes OPTIONS or TRACE on counts Max-Forwards down by one.");
    for (method, value, next) in [
        ("OPTIONS", "1", "0"),
        ("OPTIONS", "10", "9"),
        ("TRACE", "1", "0"),
        ("TRACE", "100", "99"),
        ("OPTIONS", "007", "6"),
    ] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nX: y\r\n{FORWARDED}Max-Forwards: {next}\r\n\r\n");
        let passed = Passed { head: head.into_bytes(), body: Vec::new() };
        t.pipeline(
            format!("{method} with {value}"),
            ask(method, &format!("Max-Forwards: {value}\r\nX: y\r\n")),
            vec![passed],
        );
    }
    t.forward("OPTIONS without it", ask("OPTIONS", "X: y\r\n"), "");
    t.group("9110 7.6.2", Kind::Valid, "For other methods the field may be ignored: it is passed on as it came.");
    t.forward("GET with 0", get("Max-Forwards: 0\r\n"), "");
    t.forward("GET with 10", get("Max-Forwards: 10\r\n"), "");
    t.forward("GET with no number", get("Max-Forwards: x\r\n"), "");
    t.forward("options with 5", ask("options", "Max-Forwards: 5\r\n"), "")
        .says("9110 9.1", "A method's case counts: this one is not OPTIONS.");
    t.group(
        "9110 7.6.2",
        Kind::Syntax,
        "Max-Forwards is digits, once: what cannot be counted down must not be passed on.",
    );
    for value in ["", "x", "-1", "+1", "1.0", "1, 1", "0x1", "1 1"] {
        t.refuse(400, format!("OPTIONS with \"{value}\""), ask("OPTIONS", &format!("Max-Forwards: {value}\r\n")));
    }
    t.refuse(400, "OPTIONS with two", ask("OPTIONS", "Max-Forwards: 1\r\nMax-Forwards: 2\r\n"));
    t.refuse(400, "TRACE with two", ask("TRACE", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n"));
    t.refuse(400, "TRACE with no number", ask("TRACE", "Max-Forwards: x\r\n"));
    t.done()
}
