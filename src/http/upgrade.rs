//! The Upgrade field (RFC 9110 section 7.8): which protocols a request may offer, and whether a 101 keeps to them.
//!
//! Refuses to offer another version of HTTP or TLS: what would follow is requests that no rule has seen.

use super::fields::is_token;

/// Bytes of an offer that is passed on; a longer one is dropped like any Upgrade that is not understood.
pub const MAX_OFFER: usize = 64;

/// Whether `value` is a list of protocols that may be offered to a backend.
pub(super) fn is_offer(value: &[u8]) -> bool {
    value.len() <= MAX_OFFER && protocols(value).all(is_offerable)
}

/// Whether `value`, a 101's, names one or more protocols and only such as `offer` does.
pub(super) fn accepts(offer: &[u8], value: &[u8]) -> bool {
    protocols(value).all(|chosen| protocols(offer).any(|offered| offered.eq_ignore_ascii_case(chosen)))
}

fn protocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn is_offerable(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |&byte| byte == b'/');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next());
    let carries_http = ["h2", "h2c", "http", "tls"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    is_token(name) && version.is_none_or(is_token) && !carries_http
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        for good in ["websocket", "WebSocket", "a/1.0", "websocket, irc/6.9"] {
            assert!(is_offer(good.as_bytes()), "{good}");
        }
        let long = "x".repeat(MAX_OFFER + 1);
        for bad in [
            "",
            ",",
            "websocket,",
            "h2c",
            "H2C",
            "websocket, h2c",
            "HTTP/2.0",
            "TLS/1.2",
            "a b",
            "a/",
            "/1",
            "a/1/2",
            &long,
        ] {
            assert!(!is_offer(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn answers() {
        for (offer, answer, good) in [
            ("websocket", "websocket", true),
            ("websocket", "WebSocket", true),
            ("a, b", "b", true),
            ("a, b", "b, a", true),
            ("websocket", "", false),
            ("websocket", "h2c", false),
            ("websocket", "websocket, h2c", false),
        ] {
            assert_eq!(accepts(offer.as_bytes(), answer.as_bytes()), good, "{offer} {answer}");
        }
    }
}
