//! One cookie among a request's, found and taken out (RFC 6265 section 4.2), and the one that a response sets.

use super::fields::Field;
use super::fields::{Cuts, Known, TooManyCuts, line, offset};

/// The value of the first cookie called `name`. With it go the cuts that take every cookie of that name out of the head
/// and leave the others as they are.
///
/// # Errors
/// [`TooManyCuts`] when the name is repeated more often than any honest client does.
pub fn take<'b>(
    head: &'b [u8],
    fields: &[Field<'b>],
    name: &str,
    cuts: &mut Cuts,
) -> Result<Option<&'b [u8]>, TooManyCuts> {
    let mut found = None;
    for (index, field) in fields.iter().enumerate() {
        if Known::of(field.name) != Some(Known::Cookie) {
            continue;
        }
        let base = offset(head, field.value);
        // Where the last cookie that stays ended; what is taken out behind it goes with the separator.
        let mut kept_end = None;
        let mut start = 0;
        let mut taken_last = None;
        while start < field.value.len() {
            let end =
                field.value[start..].iter().position(|&byte| byte == b';').map_or(field.value.len(), |at| start + at);
            let pair = field.value[start..end].trim_ascii();
            let next = next_pair(field.value, end);
            match value_of(pair, name) {
                Some(value) => {
                    found = found.or(Some(value));
                    taken_last = Some(start);
                    if next < field.value.len() {
                        cuts.add(base + start..base + next)?;
                        taken_last = None;
                    }
                }
                None => {
                    kept_end = Some(end);
                    taken_last = None;
                }
            }
            start = next;
        }
        match (taken_last, kept_end) {
            (Some(_), None) => cuts.add(line(head, fields, index))?,
            (Some(_), Some(kept_end)) => cuts.add(base + kept_end..base + field.value.len())?,
            (None, _) => {}
        }
    }
    Ok(found)
}

/// The value of the first cookie called `name`, which stays where it is.
#[must_use]
pub fn find<'b>(fields: &[Field<'b>], name: &str) -> Option<&'b [u8]> {
    let cookies = fields.iter().filter(|field| Known::of(field.name) == Some(Known::Cookie));
    let mut pairs = cookies.flat_map(|field| field.value.split(|&byte| byte == b';'));
    pairs.find_map(|pair| value_of(pair.trim_ascii(), name))
}

/// Where the pair behind the separator at `end` begins.
fn next_pair(value: &[u8], end: usize) -> usize {
    let rest = value.get(end + 1..).unwrap_or(&[]);
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (end + 1 + blanks).min(value.len())
}

fn value_of<'b>(pair: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    (pair[..equals].trim_ascii_end() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
}

/// The values of all cookies called `name`, in their order.
pub fn values<'b, 'a>(fields: &'a [Field<'b>], name: &'a str) -> impl Iterator<Item = &'b [u8]> + 'a {
    let cookies = fields.iter().filter(|field| Known::of(field.name) == Some(Known::Cookie));
    let pairs = cookies.flat_map(|field| field.value.split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| value_of(pair.trim_ascii(), name))
}

/// What a Set-Cookie field gives the cookie called `name`: its value and the attributes. None when it sets another.
#[must_use]
pub fn set_by<'b>(field: &'b [u8], name: &str) -> Option<&'b [u8]> {
    value_of(field.trim_ascii_start(), name)
}

/// Writes `parts` at each of `places`, which are in order, into the first `length` bytes of `bytes`; what is behind them is
/// written over. The new length; `None` when they do not fit.
pub fn insert(bytes: &mut [u8], length: usize, places: &[usize], parts: [&[u8]; 2]) -> Option<usize> {
    let added = parts[0].len() + parts[1].len();
    let longer = length + places.len() * added;
    if longer > bytes.len() || places.last().is_some_and(|&last| last > length) {
        return None;
    }
    let mut end = length;
    for (before, &place) in places.iter().enumerate().rev() {
        let at = place + before * added;
        bytes.copy_within(place..end, at + added);
        let (first, second) = bytes[at..at + added].split_at_mut(parts[0].len());
        first.copy_from_slice(parts[0]);
        second.copy_from_slice(parts[1]);
        end = place;
    }
    Some(longer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn taken_out_and_the_others_left_as_they_are() {
        let cases: [(&str, Option<&str>, &str); 14] = [
            ("Cookie: a=1\r\n", None, "Cookie: a=1\r\n"),
            ("Cookie: S=x\r\n", Some("x"), ""),
            ("Cookie: S=x; a=1\r\n", Some("x"), "Cookie: a=1\r\n"),
            ("Cookie: a=1; S=x\r\n", Some("x"), "Cookie: a=1\r\n"),
            ("Cookie: a=1; S=x; b=\"2\"\r\n", Some("x"), "Cookie: a=1; b=\"2\"\r\n"),
            ("Cookie: a=1;S=x;b=2\r\n", Some("x"), "Cookie: a=1;b=2\r\n"),
            ("cookie:S=x;  S=y ; S=z\r\n", Some("x"), ""),
            ("Cookie: S=x; a=1; S=y\r\n", Some("x"), "Cookie: a=1\r\n"),
            ("Cookie: a=1; S=x; S=y\r\n", Some("x"), "Cookie: a=1\r\n"),
            ("Cookie: SS=1; S2=1; S\r\n", None, "Cookie: SS=1; S2=1; S\r\n"),
            ("Cookie: S=\r\n", Some(""), ""),
            ("Cookie: S=x;\r\n", Some("x"), ""),
            ("Cookie: a=1\r\nX: y\r\nCookie: S=x\r\n", Some("x"), "Cookie: a=1\r\nX: y\r\n"),
            ("Cookie: s=1; S=x=y\r\n", Some("x=y"), "Cookie: s=1\r\n"),
        ];
        for (lines, value, kept) in cases {
            let mut head = format!("{lines}\r\n").into_bytes();
            let copy = head.clone();
            let fields: Vec<Field<'_>> = copy
                .split(|&byte| byte == b'\n')
                .filter_map(|line| {
                    let colon = line.iter().position(|&byte| byte == b':')?;
                    Some(Field { name: &line[..colon], value: line[colon + 1..].trim_ascii() })
                })
                .collect();
            let mut cuts = Cuts::default();
            let found = take(&copy, &fields, "S", &mut cuts).unwrap();
            assert_eq!(found, value.map(str::as_bytes), "{lines:?}");
            let length = cuts.apply(&mut head, copy.len());
            assert_eq!(String::from_utf8_lossy(&head[..length]), format!("{kept}\r\n"), "{lines:?}");
        }
    }

    #[test]
    fn set_cookie_names() {
        assert_eq!(set_by(b"S=x; path=/", "S"), Some(&b"x; path=/"[..]));
        assert_eq!(set_by(b" S =x", "S"), Some(&b"x"[..]));
        for other in ["SS=x", "s=x", "S; path=/", "a=S=x", ""] {
            assert_eq!(set_by(other.as_bytes(), "S"), None, "{other}");
        }
    }

    #[test]
    fn all_values() {
        let fields = [("Cookie", "a=1; S=x;S = y~z "), ("X", "S=no"), ("cookie", "S=;S"), ("Set-Cookie", "S=no")];
        let fields = fields.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
        assert_eq!(values(&fields, "S").collect::<Vec<_>>(), [&b"x"[..], b"y~z", b""]);
    }

    proptest! {
        /// Inserting in place is what building a copy is.
        #[test]
        fn inserted(text: Vec<u8>, places in prop::collection::vec(any::<prop::sample::Index>(), 0..5), room in 0usize..40, one: [u8; 3]) {
            let mut places: Vec<usize> = places.iter().map(|place| place.index(text.len() + 1)).collect();
            places.sort_unstable();
            let mut expected = text.clone();
            places.iter().rev().for_each(|&at| drop(expected.splice(at..at, [one[0], one[1], one[2], b'~'])));
            let mut bytes = text.clone();
            bytes.resize(text.len() + room, 0);
            match insert(&mut bytes, text.len(), &places, [&one, b"~"]) {
                Some(length) => prop_assert_eq!(&bytes[..length], &expected[..]),
                None => prop_assert!(room < places.len() * 4),
            }
        }
    }
}
