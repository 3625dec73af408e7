//! Heads: what is accepted is unambiguous, leaves with one framing that is the one it came with, and loses nothing but
//! what belongs to one hop.
//!
//! Input that starts with `HTTP/` is a response's, any other a request's.

use super::passed_on::{COOKIE, MAX_FIELDS, Passed, Question, request, response};
use super::pieces;
use super::reader::{Field, is_token, list, read, trim, values};
use beelance::http::body::Framing;
use beelance::http::fields::Fields;
use beelance::http::plain;
use beelance::http::request::Method;
use beelance::http::scan::{HeadScan, Scanned, leading_empty_lines};

/// Fields of one hop, whatever Connection names; Upgrade has conditions of its own.
const OF_THIS_HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"];
/// Fields that go on whatever Connection names.
const PROTECTED: [&str; 2] = ["content-length", "host"];
/// Fields that may be added behind those that came.
const ADDED: [&str; 5] = ["connection", "content-length", "host", "max-forwards", "transfer-encoding"];

/// The start of a connection.
pub fn check(bytes: &[u8]) {
    let bytes = &bytes[leading_empty_lines(bytes)..];
    let Some(length) = find_end(bytes) else { return };
    let head = &bytes[..length];
    compare(head);
    if head.starts_with(b"HTTP/") {
        for method in [Method::Idempotent, Method::Head, Method::Other] {
            for (upgrade, touched) in [(false, false), (true, false), (true, true)] {
                let question = Question { method, upgrade, touched };
                if let Ok(passed) = response(head, question) {
                    check_response(head, question, &passed);
                }
            }
        }
    } else {
        for touched in [false, true] {
            if let Ok(passed) = request(head, touched) {
                check_request(head, touched, &passed);
            }
        }
    }
}

/// What is taken apart the quick way is taken apart as httparse does.
fn compare(head: &[u8]) {
    let mut table = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut fields = Fields::new();
    let (length, found): (_, &[httparse::Header<'_>]) = if head.starts_with(b"HTTP/") {
        let mut parsed = httparse::Response::new(&mut table);
        let result = parsed.parse(head);
        let Some(line) = plain::response(head, &mut fields) else { return };
        assert_eq!((parsed.code, parsed.version), (Some(line.status), Some(line.minor)));
        assert_eq!(result, Ok(httparse::Status::Complete(line.length)));
        (line.length, parsed.headers)
    } else {
        let mut parsed = httparse::Request::new(&mut table);
        let result = parsed.parse(head);
        let Some(line) = plain::request(head, MAX_FIELDS, &mut fields) else { return };
        assert_eq!(parsed.method.map(str::as_bytes), Some(line.method));
        assert_eq!(parsed.path.map(str::as_bytes), Some(line.target));
        assert_eq!(parsed.version, Some(line.minor));
        assert_eq!(result, Ok(httparse::Status::Complete(line.length)));
        (line.length, parsed.headers)
    };
    assert_eq!(length, head.len());
    let place = |part: &[u8]| part.as_ptr_range();
    assert!(fields.len() == found.len());
    for (field, found) in fields.iter().zip(found) {
        assert_eq!(place(field.name), place(found.name.as_bytes()));
        assert_eq!(place(field.value), place(found.value));
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
        Scanned::BareCr => {
            let cr = bytes.windows(3).position(|three| three[..2] == *b"\n\r" && three[2] != b'\n');
            assert!(cr.is_some_and(|cr| empty.is_none_or(|empty| cr < empty) && bare.is_none_or(|bare| cr < bare)));
            None
        }
        Scanned::Incomplete => {
            assert_eq!((empty, bare), (None, None));
            None
        }
    }
}

fn check_request(came: &[u8], touched: bool, passed: &Passed) {
    let ((line, fields), (new_line, new_fields)) = (read(came), read(&passed.head));
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { panic!("{words:?}") };
    let new_words: Vec<&[u8]> = new_line.split(|&byte| byte == b' ').collect();
    let [new_method, new_target, b"HTTP/1.1"] = new_words[..] else { panic!("{new_words:?}") };
    assert!(is_token(method) && method == new_method && method != b"CONNECT");
    assert!(target.iter().all(|byte| (b'!'..=b'~').contains(byte)) && !target.contains(&b'#'));
    let absolute = target[0] != b'/' && target != b"*";
    if absolute {
        let (scheme, behind) = target.split_at(target.windows(3).position(|three| three == b"://").expect("a scheme"));
        assert!(scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https"));
        let authority = behind[3..].iter().take_while(|byte| !b"/?".contains(byte)).count();
        let (authority, rest) = behind[3..].split_at(authority);
        assert!(values(&new_fields, "host")[0].eq_ignore_ascii_case(authority));
        let path: &[u8] = match rest.first() {
            Some(b'/') => b"",
            None if method == b"OPTIONS" => b"*",
            _ => b"/",
        };
        assert_eq!(new_target, [path, rest].concat());
    } else {
        assert!(new_target == target && (target != b"*" || method == b"OPTIONS"));
    }
    let old = match version {
        b"HTTP/1.0" => true,
        b"HTTP/1.1" => false,
        _ => panic!("{version:?}"),
    };

    let hosts = values(&new_fields, "host");
    assert_eq!(hosts.len(), 1, "one Host: {:?}", String::from_utf8_lossy(&passed.head));
    assert!(!hosts[0].is_empty() && !hosts[0].iter().any(|byte| b" \t,@/?#\\\"<>".contains(byte)), "{:?}", hosts[0]);
    assert!(values(&fields, "host").len() <= 1);

    let framing = framing_of(&fields, old).unwrap_or(Framing::None);
    assert_eq!(passed.framing, plain(framing));
    leaves_with(&new_fields, passed.framing, false);
    offers(&fields, &new_fields, old, passed);
    let limited = method == b"TRACE" || method == b"OPTIONS";
    keeps_the_rest(&fields, &new_fields, touched, passed.upgrade, &|field| {
        (absolute && field.is("host"))
            || (limited && field.is("max-forwards"))
            || (touched && hyphens(field.name).starts_with(b"x-forwarded-"))
    });
    if limited {
        let left = |fields: &[Field<'_>]| values(fields, "max-forwards").first().copied().map(number);
        assert_eq!(left(&new_fields), left(&fields).map(|left| left.saturating_sub(1)));
    }

    if new_fields.len() > MAX_FIELDS {
        return;
    }
    let again = request(&passed.head, touched).expect("what is passed on is a request");
    let lines = |head: &[u8]| {
        let (first, fields) = read(head);
        let mut lines: Vec<Vec<u8>> =
            fields.iter().filter(|field| !field.is("max-forwards")).map(|field| field.line.to_vec()).collect();
        lines.sort();
        (first.to_vec(), lines)
    };
    assert_eq!(lines(&again.head), lines(&passed.head), "passed on twice, it is another");
    assert_eq!((again.framing, again.upgrade), (passed.framing, passed.upgrade));
}

/// Another protocol is offered where it was, by a request without a body, and never one that carries HTTP.
fn offers(before: &[Field<'_>], after: &[Field<'_>], old: bool, passed: &Passed) {
    let (offers, connections) = (values(after, "upgrade"), values(after, "connection"));
    if !passed.upgrade {
        return assert!(offers.is_empty() && connections.is_empty());
    }
    assert!(offers.len() == 1 && connections == [b"upgrade"]);
    assert!(!old && passed.framing == Framing::None && values(before, "upgrade") == offers);
    assert!(
        values(before, "connection").into_iter().flat_map(list).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
    );
    for protocol in list(offers[0]) {
        let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
        assert!(is_token(name));
        let carrier = [&b"h2"[..], b"h2c", b"http", b"tls"].iter().any(|carrier| name.eq_ignore_ascii_case(carrier));
        assert!(!carrier, "offered: {:?}", String::from_utf8_lossy(protocol));
    }
}

fn check_response(came: &[u8], question: Question, passed: &Passed) {
    let ((line, fields), (new_line, new_fields)) = (read(came), read(&passed.head));
    let old = line.starts_with(b"HTTP/1.0");
    assert!(old || line.starts_with(b"HTTP/1.1"));
    assert!(new_line.starts_with(b"HTTP/1.1 ") && new_line[8..] == line[8..]);
    let digits = &line[9..12];
    assert!(digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0' && matches!(line.get(12), None | Some(b' ')));
    let interim = digits[0] == b'1';
    let bodiless = question.method == Method::Head || interim || digits == b"204" || digits == b"304";

    let framing = framing_of(&fields, old).unwrap_or(Framing::UntilClose);
    assert_eq!(passed.framing, if bodiless { Framing::None } else { plain(framing) });
    leaves_with(&new_fields, passed.framing, bodiless);
    assert!(
        values(&new_fields, "content-length").is_empty() || !(interim || digits == b"204"),
        "a length without a body"
    );
    if passed.upgrade {
        assert!(digits == b"101" && question.upgrade && values(&new_fields, "connection") == [b"upgrade"]);
        let offered = |value: &&[u8]| list(value).iter().all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        assert!(values(&fields, "upgrade").len() == 1 && values(&new_fields, "upgrade").iter().all(offered));
    } else {
        assert!(digits != b"101" && values(&new_fields, "upgrade").is_empty());
    }
    keeps_the_rest(&fields, &new_fields, question.touched, passed.upgrade, &|field| {
        bodiless && field.is("content-length")
    });

    if new_fields.len() > MAX_FIELDS {
        return;
    }
    let again = response(&passed.head, question).expect("what is passed on is a response");
    assert_eq!(again.head, passed.head, "passed on twice, it is another");
}

/// A name as a reader may fold it.
fn hyphens(name: &[u8]) -> Vec<u8> {
    name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect()
}

/// An empty body is no body.
fn plain(framing: Framing) -> Framing {
    if framing == Framing::Length(0) { Framing::None } else { framing }
}

/// The one framing that fields of an accepted head can mean (RFC 9112 section 6); none when they say nothing.
fn framing_of(fields: &[Field<'_>], old: bool) -> Option<Framing> {
    let (codings, lengths) = (values(fields, "transfer-encoding"), values(fields, "content-length"));
    let framing = |name: &[u8]| name == b"content-length" || name == b"transfer-encoding";
    let lookalikes = fields.iter().filter(|field| field.name.contains(&b'_') && framing(&hyphens(field.name)));
    assert_eq!(lookalikes.count(), 0, "accepted: framing for readers that fold names");
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

/// The head that leaves says `framing` once, in its plain form, and nothing else; `free` where a length may tell of a
/// body that is left out.
fn leaves_with(fields: &[Field<'_>], framing: Framing, free: bool) {
    let (codings, lengths) = (values(fields, "transfer-encoding"), values(fields, "content-length"));
    match framing {
        Framing::Chunked | Framing::UntilClose => assert!(codings == [b"chunked"] && lengths.is_empty()),
        Framing::Length(length) => assert!(codings.is_empty() && lengths == [length.to_string().as_bytes()]),
        Framing::None => {
            assert!(codings.is_empty() && lengths.len() <= 1);
            assert!(
                lengths
                    .iter()
                    .all(|digits| digits == b"0" || (free && number(digits).to_string().as_bytes() == *digits))
            );
        }
    }
}

/// Every field of `after` but the last few, which were added, came in `before`, byte for byte and in its order; what is
/// missing belongs to one hop, or is one of those that are written anew.
fn keeps_the_rest(
    before: &[Field<'_>],
    after: &[Field<'_>],
    touched: bool,
    upgrade: bool,
    gone: &dyn Fn(&Field<'_>) -> bool,
) {
    let named: Vec<&[u8]> = values(before, "connection").into_iter().flat_map(list).collect();
    let of_this_hop = |field: &Field<'_>| {
        if field.is("upgrade") {
            return !upgrade;
        }
        let nominated = named.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        let protected = PROTECTED.iter().any(|name| field.is(name)) || is_forwarded(field);
        OF_THIS_HOP.iter().any(|name| field.is(name)) || (nominated && !protected)
    };
    // Cookies are touched inside of lines.
    let cookie = |field: &Field<'_>| touched && (field.is("cookie") || field.is("set-cookie"));
    let cookies = |fields: &[Field<'_>]| -> Vec<Vec<u8>> {
        let stay = fields.iter().filter(|field| cookie(field) && !of_this_hop(field));
        stay.flat_map(foreign_cookies).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(cookies(after), cookies(before));
    let after: Vec<&Field<'_>> = after.iter().filter(|field| !cookie(field)).collect();
    let mut kept = &after[..];
    for field in before.iter().filter(|field| !of_this_hop(field) && !cookie(field)) {
        match kept {
            [next, rest @ ..] if next.line == field.line => kept = rest,
            _ => {
                let anew = field.is("content-length") || gone(field);
                assert!(anew, "lost: {:?}", String::from_utf8_lossy(field.line));
            }
        }
    }
    let stays = after.len() - kept.len();
    for added in kept {
        assert!(ADDED.iter().any(|name| added.is(name)), "added: {:?}", String::from_utf8_lossy(added.line));
    }
    for field in &after[..stays] {
        assert!(!of_this_hop(field), "passed on: {:?}", String::from_utf8_lossy(field.line));
    }
}

/// What a proxy in front says of the client: a client behind it must not be able to have that removed.
fn is_forwarded(field: &Field<'_>) -> bool {
    let folded: Vec<u8> = field.name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
    folded.len() > 12 && folded[..12].eq_ignore_ascii_case(b"x-forwarded-")
}

/// Of a Cookie field the pairs that are not ours; a Set-Cookie field that does not set ours.
fn foreign_cookies<'b>(field: &Field<'b>) -> Vec<&'b [u8]> {
    let ours = |pair: &[u8]| {
        let equals = pair.iter().position(|&byte| byte == b'=');
        equals.is_some_and(|equals| trim(&pair[..equals]) == COOKIE.as_bytes())
    };
    let pairs = field.value.split(|&byte| byte == b';').map(trim);
    if field.is("cookie") {
        pairs.filter(|pair| !pair.is_empty() && !ours(pair)).collect()
    } else {
        let sets_ours = pairs.take(1).any(ours);
        std::iter::once(field.line).filter(|_| !sets_ours).collect()
    }
}
