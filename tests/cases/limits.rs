//! `limits.*`, set low (RFC 9110 sections 5.4 and 15.5).

use super::table::{Table, chunked, get, line, post};
use super::{Case, Kind, Setting};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("limits");
    t.setting(Setting::Small);

    t.group("9110 5.4", Kind::Valid, "What is within the limits passes.");
    let many = |count: usize| -> String { (1..count).map(|n| format!("X-{n}: y\r\n")).collect() };
    let head = |bytes: usize| get(format!("X: {}\r\n", "y".repeat(bytes - get("X: \r\n").len())));
    let body = "x".repeat(1000);
    t.forward("20 fields", get(many(20)), "");
    t.forward("a head of 4096 bytes", head(4096), "");
    t.forward("a body of 1000 bytes", post("Content-Length: 1000\r\n", &body), &body);
    t.forward("chunks of 1000 bytes", chunked(format!("3e8\r\n{body}\r\n0\r\n\r\n")), &body);

    t.group("9110 5.4", Kind::Policy, "The head is larger than the limits allow; RFC 6585 gives the status.");
    t.refuse(431, "21 fields", get(many(21)));
    t.refuse(431, "a head of 4097 bytes", head(4097));
    t.refuse(431, "a value of 10000 bytes", get(format!("X: {}\r\n", "y".repeat(10_000))));
    t.group("9110 15.5.15", Kind::Policy, "The request line alone is larger than the limit for a head.");
    t.refuse(414, "a target of 5000 bytes", line(format!("GET /{} HTTP/1.1", "x".repeat(5000))));
    t.group("9110 15.5.14", Kind::Policy, "The body is larger than limits.body.");
    t.refuse(413, "a length of 1001", post("Content-Length: 1001\r\n", ""));
    t.refuse(413, "a length of 5 GB", post("Content-Length: 5000000000\r\n", ""));
    t.late();
    t.refuse(413, "a chunk of 1001 bytes", chunked(format!("3e9\r\n{body}x\r\n0\r\n\r\n")));
    t.refuse(413, "chunks of 1001 bytes", chunked(format!("3e8\r\n{body}\r\n1\r\nx\r\n0\r\n\r\n")));
    t.refuse(413, "a chunk of 5 GB", chunked(format!("12a05f200\r\n{body}x")));
    t.done()
}
