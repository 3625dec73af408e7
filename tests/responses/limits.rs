//! How long heads, chunk extensions and trailers may be: what just fits passes, what does not is refused.

use super::case::{Case, GET, Then, cut, refused, whole};
use crate::common::client::Framing::{Chunked, Length};

/// Bytes of a head at most, its last line end included.
const HEAD: usize = 16 * 1024;
const FIELDS: usize = 128;
const EXTENSION: usize = 1024;
/// Line ends are not counted.
const TRAILERS: usize = 8192;

const LAST: &str = "Content-Length: 3\r\n";
const OK_CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A head of so many bytes in two fields; without its empty line, which the client's has elsewhere.
fn head(bytes: usize) -> String {
    let line = "HTTP/1.1 200 OK\r\nX: ";
    format!("{line}{}\r\n{LAST}", "x".repeat(bytes - line.len() - 2 - LAST.len() - 2))
}

/// A head of so many fields.
fn fields(count: usize) -> String {
    format!("HTTP/1.1 200 OK\r\n{}{LAST}", "X: y\r\n".repeat(count - 1))
}

/// A body in chunks, the second with so many bytes of extensions.
fn extended(bytes: usize) -> String {
    format!("{OK_CHUNKED}\r\n3\r\none\r\n3;{}\r\ntwo\r\n0\r\n\r\n", "x".repeat(bytes - 1))
}

/// A body in chunks with so many trailers, each of `line` bytes without its end.
fn trailed(lines: usize, line: usize) -> String {
    let trailer = format!("X: {}\r\n", "x".repeat(line - 3));
    format!("{OK_CHUNKED}\r\n3\r\none\r\n0\r\n{}\r\n", trailer.repeat(lines))
}

fn fits(name: &'static str, section: &'static str, head: String) -> Case {
    let reply = leak(format!("{head}\r\none")).as_bytes();
    whole((name, section), GET, reply, (leak(head), Length, "one")).at_once()
}

fn too_long(name: &'static str, section: &'static str, head: String) -> Case {
    Case { dribbles: false, ..refused((name, section), leak(format!("{head}\r\none")).as_bytes()) }
}

fn passes(name: &'static str, section: &'static str, reply: String, body: &'static str) -> Case {
    whole((name, section), GET, leak(reply).as_bytes(), (OK_CHUNKED, Chunked, body))
}

fn breaks(name: &'static str, section: &'static str, reply: String) -> Case {
    Case { then: Then::Stay, state: "PD--", ..cut((name, section), GET, leak(reply).as_bytes(), (Chunked, "one")) }
}

pub fn cases() -> &'static [Case] {
    let long_line = format!("HTTP/1.1 200 {}\r\n{LAST}", "x".repeat(4000));
    let cases = vec![
        fits("a head that just fits", "9110 5.4", head(HEAD)),
        too_long("a head of one byte too many", "9110 5.4", head(HEAD + 1)),
        too_long("a head far too long", "9110 5.4", head(10 * HEAD)),
        too_long("a line without end", "9110 5.4", "x".repeat(2 * HEAD)),
        too_long("a field without end", "9110 5.4", format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2 * HEAD))),
        too_long("a name without end", "9110 5.4", format!("HTTP/1.1 200 OK\r\n{}", "x".repeat(2 * HEAD))),
        fits("a long reason", "9112 4", long_line),
        fits("as many fields as there may be", "9110 5.4", fields(FIELDS)),
        too_long("one field too many", "9110 5.4", fields(FIELDS + 1)),
        too_long("many fields too many", "9110 5.4", fields(2000)),
        passes("an extension that just fits", "9112 7.1.1", extended(EXTENSION), "onetwo"),
        breaks("an extension of one byte too many", "9112 7.1.1", extended(EXTENSION + 1)),
        passes("trailers that just fit", "9112 7.1.2", trailed(2, TRAILERS / 2), "one"),
        passes("many trailers that fit", "9112 7.1.2", trailed(TRAILERS / 8, 8), "one"),
        breaks("trailers of a line too many", "9112 7.1.2", trailed(TRAILERS / 8 + 1, 8)),
        breaks("a trailer that is too long", "9112 7.1.2", trailed(1, TRAILERS + 1)),
    ];
    Box::leak(cases.into_boxed_slice())
}
