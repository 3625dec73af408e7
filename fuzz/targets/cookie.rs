//! One cookie taken out of a request's: the first value of its name, every pair of that name gone, every other pair and
//! field as it came.
//!
//! The input's first line is the cookie's name, each further one the value of a Cookie field.

use super::passed_on::MAX_FIELDS;
use super::reader::{Field, is_token, read, trim};
use beelance::http::cookie::{set_by, take};
use beelance::http::fields::{self, Cuts};

/// Cookies of the same name that are not too many.
const FEW: usize = 10;

/// A name and Cookie values.
pub fn check(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let name = lines.next().unwrap_or_default();
    if !is_token(name) {
        return;
    }
    let name = std::str::from_utf8(name).expect("ASCII");
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for (index, value) in lines.clone().enumerate() {
        head.extend_from_slice(b"Cookie:");
        head.extend_from_slice(value);
        head.extend_from_slice(format!("\r\nX-{index}: {name}=1\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    // Values that no head can hold, and bare line ends, which are refused before.
    if parsed.parse(&head) != Ok(httparse::Status::Complete(head.len()))
        || head.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
    {
        return;
    }
    for value in lines {
        let pair = value.split(|&byte| byte == b';').next().unwrap_or_default();
        assert_eq!(set_by(value, name).is_some(), value_of(pair, name).is_some());
    }
    let mut cuts = Cuts::default();
    let expected: Vec<&[u8]> = read(&head)
        .1
        .iter()
        .filter(|field| field.is("cookie"))
        .flat_map(pairs)
        .filter_map(|pair| value_of(pair, name))
        .collect();
    let fields: Vec<_> =
        parsed.headers.iter().map(|field| fields::Field { name: field.name.as_bytes(), value: field.value }).collect();
    let Ok(found) = take(&head, &fields, name, &mut cuts) else {
        return assert!(expected.len() > FEW, "{} are not too many", expected.len());
    };
    assert_eq!(found, expected.first().copied());
    let mut left = head.clone();
    let length = cuts.apply(&mut left, head.len());
    compare(&read(&head).1, &read(&left[..length]).1, name);
    if expected.is_empty() {
        assert_eq!(length, head.len(), "nothing to take, but something is gone");
    }
}

/// What stays is what was there without the pairs of that name.
fn compare(before: &[Field<'_>], after: &[Field<'_>], name: &str) {
    let flat = |fields: &[Field<'_>], also: bool| {
        let mut all = Vec::new();
        for field in fields {
            if field.is("cookie") {
                all.extend(pairs(field).filter(|pair| also || value_of(pair, name).is_none()).map(<[u8]>::to_vec));
            } else {
                all.push(field.line.to_vec());
            }
        }
        all
    };
    assert_eq!(flat(after, true), flat(before, false));
    let empty = |fields: &[Field<'_>]| {
        let cookies = fields.iter().filter(|field| field.is("cookie"));
        cookies.flat_map(|field| field.value.split(|&byte| byte == b';')).filter(|pair| trim(pair).is_empty()).count()
    };
    assert!(empty(after) <= empty(before), "separators are left behind");
}

/// The pairs of a Cookie field that are not empty.
fn pairs<'b>(field: &Field<'b>) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    field.value.split(|&byte| byte == b';').map(trim).filter(|pair| !pair.is_empty())
}

fn value_of<'b>(pair: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    (trim(&pair[..equals]) == name.as_bytes()).then(|| trim(&pair[equals + 1..]))
}
