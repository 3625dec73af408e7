//! Heads: what is accepted is unambiguous, leaves with one framing that is the one it came with, and loses nothing but
//! what belongs to one hop.
//!
//! Input that starts with `HTTP/` is a response's, any other a request's.

use super::passed_on::{COOKIE, Passed, request, response};
use super::pieces;
use super::reader::{Field, is_token, list, read};
use beelance::http::body::Framing;
use beelance::http::request::Method;
use beelance::http::scan::{HeadScan, Scanned, leading_empty_lines};

/// Fields of one hop, whatever Connection names.
const OF_THIS_HOP: [&str; 8] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"];
/// Fields that go on whatever Connection names.
const PROTECTED: [&str; 2] = ["content-length", "host"];

/// The start of a connection.
pub fn check(bytes: &[u8]) {
    let bytes = &bytes[leading_empty_lines(bytes)..];
    let Some(length) = find_end(bytes) else { return };
    let head = &bytes[..length];
    if head.starts_with(b"HTTP/") {
        for method in [Method::Idempotent, Method::Head, Method::Other] {
            for affinity in [false, true] {
                if let Ok(passed) = response(head, method, affinity) {
                    check_response(head, method, affinity, &passed);
                }
            }
        }
    } else {
        for affinity in [false, true] {
            if let Ok(passed) = request(head, affinity) {
                check_request(head, affinity, &passed);
            }
        }
    }
}

/// The head's end is the first empty line, if no line before it ends otherwise; however the bytes come.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let whole = HeadScan::default().scan(bytes);
    let (mut scan, mut end, mut lengths) = (HeadScan::default(), 0, pieces(bytes));
    let trickled = loop {
        end = bytes.len().min(end + lengths.next().unwrap_or(1));
        let scanned = scan.scan(&bytes[..end]);
        if scanned != Scanned::Incomplete || end == bytes.len() {
            break scanned;
        }
    };
    assert_eq!(trickled, whole);
    let empty = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let bare = (0..bytes.len()).find(|&at| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r'));
    match whole {
        Scanned::Complete(length) => {
            assert!(empty == Some(length) && bare.is_none_or(|bare| bare >= length));
            Some(length)
        }
        Scanned::BareLf => {
            assert!(bare.is_some_and(|bare| empty.is_none_or(|empty| bare < empty)));
            None
        }
        Scanned::Incomplete => {
            assert_eq!((empty, bare), (None, None));
            None
        }
    }
}

fn check_request(came: &[u8], affinity: bool, passed: &Passed) {
    let ((line, fields), (new_line, new_fields)) = (read(came), read(&passed.head));
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { panic!("{words:?}") };
    let new_words: Vec<&[u8]> = new_line.split(|&byte| byte == b' ').collect();
    let [new_method, new_target, b"HTTP/1.1"] = new_words[..] else { panic!("{new_words:?}") };
    assert!(is_token(method) && method == new_method);
    assert!(target.iter().all(|byte| (b'!'..=b'~').contains(byte)) && !target.contains(&b'#'));
    assert!(new_target.starts_with(b"/") || (new_target == b"*" && method == b"OPTIONS"));
    assert!(target.ends_with(new_target) || (target.contains(&b':') && new_target.starts_with(b"/")));
    let absolute = target[0] != b'/' && target != b"*";
    let old = match version {
        b"HTTP/1.0" => true,
        b"HTTP/1.1" => false,
        _ => panic!("{version:?}"),
    };

    let hosts: Vec<&Field> = new_fields.iter().filter(|field| field.is("host")).collect();
    assert_eq!(hosts.len(), 1, "one Host: {:?}", String::from_utf8_lossy(&passed.head));
    let host = hosts[0].value;
    assert!(!host.is_empty() && !host.iter().any(|byte| b" \t,@/?#\\\"<>".contains(byte)), "{host:?}");
    assert!(fields.iter().filter(|field| field.is("host")).count() <= 1);

    let framing = framing_of(&fields, old).unwrap_or(Framing::None);
    assert_eq!(passed.framing, plain(framing));
    leaves_with(&new_fields, passed.framing, plain(framing) == Framing::None);
    keeps_the_rest(&fields, &new_fields, affinity, &|field| absolute && field.is("host"));

    let again = request(&passed.head, affinity).expect("what is passed on is a request");
    assert_eq!(&again, passed, "passed on twice, it is another");
}

fn check_response(came: &[u8], method: Method, affinity: bool, passed: &Passed) {
    let ((line, fields), (new_line, new_fields)) = (read(came), read(&passed.head));
    let old = line.starts_with(b"HTTP/1.0");
    assert!(old || line.starts_with(b"HTTP/1.1"));
    assert!(new_line.starts_with(b"HTTP/1.1 ") && new_line[8..] == line[8..]);
    let digits = &line[9..12];
    assert!(digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0' && matches!(line.get(12), None | Some(b' ')));
    let interim = digits[0] == b'1';
    let bodiless = method == Method::Head || interim || digits == b"204" || digits == b"304";

    let framing = if bodiless { Framing::None } else { framing_of(&fields, old).unwrap_or(Framing::UntilClose) };
    assert_eq!(passed.framing, plain(framing));
    leaves_with(&new_fields, passed.framing, bodiless);
    let lengths = new_fields.iter().filter(|field| field.is("content-length"));
    assert!(lengths.count() == 0 || !(interim || digits == b"204"), "a length without a body");
    keeps_the_rest(&fields, &new_fields, affinity, &|field| bodiless && field.is("content-length"));

    let again = response(&passed.head, method, affinity).expect("what is passed on is a response");
    assert_eq!(again.head, passed.head, "passed on twice, it is another");
}

/// An empty body is no body.
fn plain(framing: Framing) -> Framing {
    if framing == Framing::Length(0) { Framing::None } else { framing }
}

/// The one framing that fields of an accepted head can mean (RFC 9112 section 6); none when they say nothing.
fn framing_of(fields: &[Field<'_>], old: bool) -> Option<Framing> {
    let values = |name: &str| fields.iter().filter(|field| field.is(name)).map(|field| field.value).collect::<Vec<_>>();
    let (codings, lengths) = (values("transfer-encoding"), values("content-length"));
    if !codings.is_empty() {
        assert!(!old, "Transfer-Encoding in HTTP/1.0");
        assert!(codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked"), "accepted: {codings:?}");
        assert!(lengths.is_empty(), "two framings accepted");
        return Some(Framing::Chunked);
    }
    let lengths: Vec<u64> = lengths.into_iter().flat_map(list).map(number).collect();
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "accepted: {lengths:?}");
    lengths.first().map(|&length| Framing::Length(length))
}

fn number(digits: &[u8]) -> u64 {
    assert!(!digits.is_empty() && digits.iter().all(u8::is_ascii_digit), "accepted: {digits:?}");
    std::str::from_utf8(digits).expect("digits").parse().expect("64 bits")
}

/// The head that leaves says `framing` once and nothing else; `free` where a length tells of no body here.
fn leaves_with(fields: &[Field<'_>], framing: Framing, free: bool) {
    let values = |name: &str| fields.iter().filter(|field| field.is(name)).map(|field| field.value).collect::<Vec<_>>();
    let (codings, lengths) = (values("transfer-encoding"), values("content-length"));
    match framing {
        Framing::Chunked | Framing::UntilClose => assert!(codings == [b"chunked"] && lengths.is_empty()),
        Framing::Length(length) => assert!(
            codings.is_empty() && lengths == [length.to_string().as_bytes()]
                || lengths.iter().map(|digits| number(digits)).eq([length])
        ),
        Framing::None => {
            assert!(codings.is_empty() && lengths.len() <= 1);
            assert!(lengths.iter().all(|digits| number(digits) == 0 || free));
        }
    }
}

/// Every field of `after` but the last few, which were added, came in `before`, byte for byte and in its order; what is
/// missing belongs to one hop, or is one of those that are written anew.
fn keeps_the_rest(before: &[Field<'_>], after: &[Field<'_>], affinity: bool, gone: &dyn Fn(&Field<'_>) -> bool) {
    let named: Vec<&[u8]> =
        before.iter().filter(|field| field.is("connection")).flat_map(|field| list(field.value)).collect();
    let of_this_hop = |field: &Field<'_>| {
        OF_THIS_HOP[..7].iter().any(|name| field.is(name))
            || (named.iter().any(|name| name.eq_ignore_ascii_case(field.name))
                && !PROTECTED.iter().any(|name| field.is(name)))
    };
    let cookie =
        |field: &Field<'_>| affinity && (field.is("cookie") || field.is("set-cookie")) && contains(field.value, COOKIE);
    let anew = |field: &Field<'_>| field.is("content-length") || field.is("transfer-encoding") || gone(field);
    let mut kept = after.iter();
    for field in before {
        if of_this_hop(field) {
            continue;
        }
        let next = kept.as_slice().first();
        if next.is_some_and(|next| {
            next.line == field.line || (cookie(field) && next.name == field.name && next.line.len() < field.line.len())
        }) {
            kept.next();
        } else {
            assert!(anew(field) || cookie(field), "lost: {:?}", String::from_utf8_lossy(field.line));
        }
    }
    for added in kept {
        assert!(
            ["host", "content-length", "transfer-encoding"].iter().any(|name| added.is(name)),
            "added: {:?}",
            String::from_utf8_lossy(added.line)
        );
    }
    for field in after {
        let framing = field.is("transfer-encoding");
        assert!(framing || !of_this_hop(field), "passed on: {:?}", String::from_utf8_lossy(field.line));
    }
}

fn contains(value: &[u8], word: &str) -> bool {
    value.windows(word.len()).any(|window| window == word.as_bytes())
}
