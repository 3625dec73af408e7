//! The authority a request is for: a host and perhaps a port (RFC 9110 section 4.2, RFC 3986 section 3.2.2).

use crate::limits::MAX_HOST;
use std::net::Ipv6Addr;

/// A byte of a registered name.
const NAME: u8 = 1;
/// `%`, which begins an escape in a registered name.
const ESCAPE: u8 = 2;

/// What each byte is in a registered name; 0: none of it.
static NAME_BYTES: [u8; 256] = {
    let mut allowed = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // The cast is of an index below 256.
        #[allow(clippy::cast_possible_truncation)]
        let char = byte as u8;
        allowed[byte] = if char.is_ascii_alphanumeric() { NAME } else { 0 };
        byte += 1;
    }
    let others = b"-._~!$&'()*+;=";
    let mut at = 0;
    while at < others.len() {
        allowed[others[at] as usize] = NAME;
        at += 1;
    }
    allowed[b'%' as usize] = ESCAPE;
    allowed
};

/// A host and perhaps a port, with nothing in it that another reader could take for an end. A comma, though a registered
/// name may have one, makes a list of it for readers that join fields.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(host: &[u8]) -> Result<(), &'static str> {
    if host.is_empty() || host.len() > MAX_HOST {
        return Err("bad Host");
    }
    let end = if host[0] == b'[' {
        literal(host).ok_or("bad address in Host")?
    } else {
        let mut kinds = 0;
        let end = host.iter().position(|&byte| {
            let kind = NAME_BYTES[usize::from(byte)];
            kinds |= kind;
            kind == 0
        });
        let end = end.unwrap_or(host.len());
        if end == 0 || (kinds & ESCAPE != 0 && !escapes_are_whole(&host[..end])) {
            return Err("bad Host");
        }
        end
    };
    match host.get(end) {
        None => Ok(()),
        Some(b':') => port(&host[end + 1..]),
        Some(_) => Err("bad Host"),
    }
}

/// The length of an address in brackets at the front (RFC 3986: IPv6 or a future form).
fn literal(host: &[u8]) -> Option<usize> {
    let end = host.iter().position(|&byte| byte == b']')?;
    let inner = std::str::from_utf8(&host[1..end]).ok()?;
    let future = || {
        let (version, address) = inner.strip_prefix(['v', 'V'])?.split_once('.')?;
        let legal = |byte: u8| NAME_BYTES[usize::from(byte)] == NAME || byte == b':';
        let good = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        (good && !address.is_empty() && address.bytes().all(legal)).then_some(())
    };
    (inner.parse::<Ipv6Addr>().is_ok() || future().is_some()).then_some(end + 1)
}

fn escapes_are_whole(name: &[u8]) -> bool {
    let mut parts = name.split(|&byte| byte == b'%');
    parts.next();
    parts.all(|part| part.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Digits up to 65535; none is the scheme's own port.
fn port(digits: &[u8]) -> Result<(), &'static str> {
    let add = |number: u32, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'));
    // Of no more than five digits, the number fits its type.
    let number = if digits.len() <= 5 { digits.iter().try_fold(0, add) } else { None };
    match number {
        Some(0..=65535) => Ok(()),
        _ => Err("bad port in Host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        for good in [
            "a",
            "shop.example.com:8080",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "[::ffff:10.0.0.1]",
            "[v1.fe80::a+en1]:80",
            "a:",
            "a:0",
            "a:65535",
            "x_y~%41",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        let long = "x".repeat(MAX_HOST + 1);
        let bad = [
            "",
            "a b",
            "u@a",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "a\\b",
            "a:8o",
            "a:123456",
            "a:65536",
            ":80",
            "a:80:80",
            "a:+80",
            "a%",
            "a%4",
            "a%zz",
            "a[b",
            "a]b",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[::1%25eth0]",
            "[]",
            "[1.2.3.4]",
            "[v.x]",
            "[vg.x]",
            "[[::1]]",
            "::1",
            "a\0",
            "\u{e9}",
            &long,
        ];
        for bad in bad {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
