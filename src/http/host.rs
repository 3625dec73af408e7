//! The authority a request is for: a host and perhaps a port (RFC 9110 section 4.2).

use crate::limits::MAX_HOST;

/// The bytes a host may have, beside those that delimit its port.
static HOST_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        // The cast is of an index below 256.
        #[allow(clippy::cast_possible_truncation)]
        let char = byte as u8;
        allowed[byte] = char.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+;=[";
    let mut at = 0;
    while at < others.len() {
        allowed[others[at] as usize] = true;
        at += 1;
    }
    allowed
};

/// A host and perhaps a port (RFC 9110 section 4.2), with nothing in it that another reader could take for an end.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(host: &[u8]) -> Result<(), &'static str> {
    if host.is_empty() || host.len() > MAX_HOST {
        return Err("bad Host");
    }
    // The first colon, or the first behind an address in brackets.
    let mut colon = None;
    for (at, &byte) in host.iter().enumerate() {
        match byte {
            b']' => colon = None,
            b':' => colon = colon.or(Some(at)),
            byte if HOST_BYTES[usize::from(byte)] => {}
            _ => return Err("bad Host"),
        }
    }
    let port = colon.map_or(&[][..], |colon| &host[colon + 1..]);
    if port.len() > 5 || !port.iter().all(u8::is_ascii_digit) {
        return Err("bad port in Host");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        for good in ["a", "shop.example.com:8080", "127.0.0.1:80", "[::1]", "[2001:db8::1]:443", "a:", "x_y~%41"] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        let long = "x".repeat(MAX_HOST + 1);
        for bad in
            ["", "a b", "u@a", "a/b", "a?b", "a#b", "a,b", "a\\b", "a:8o", "a:123456", "[::1]:x", "::1", "a\0", &long]
        {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
