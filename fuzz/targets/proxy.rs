//! The PROXY protocol: however the bytes come, one answer; what a header names can be written and is read again.

use beelance::http::proxy_protocol::{Parsed, ProxyVersion, parse};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Bytes beyond which an answer must have been given.
const MAX_HEADER: usize = 536;

/// The start of a connection.
pub fn check(bytes: &[u8]) {
    let mut answer = Parsed::Incomplete;
    for end in 0..=bytes.len().min(MAX_HEADER + 64) {
        let parsed = parse(&bytes[..end]);
        match answer {
            Parsed::Incomplete => {
                assert!(parsed != Parsed::Incomplete || end < MAX_HEADER, "no answer to {end} bytes");
                if let Parsed::Complete { length, .. } = parsed {
                    assert_eq!(length, end, "the header ends at the byte that makes it whole");
                }
                answer = parsed;
            }
            Parsed::Complete { .. } => assert_eq!(parsed, answer),
            Parsed::Malformed(_) => assert!(matches!(parsed, Parsed::Malformed(_)), "mended: {parsed:?}"),
        }
    }
    let whole = parse(bytes);
    assert_eq!(matches!(whole, Parsed::Malformed(_)), matches!(answer, Parsed::Malformed(_)));
    if let Parsed::Complete { length, source } = answer {
        assert!(length <= MAX_HEADER);
        match bytes[0] {
            b'P' => check_line(&bytes[..length], source),
            _ => check_block(&bytes[..length], source),
        }
        if let Some(source) = source {
            write_again(source);
        }
    }
}

/// The line, read word by word.
fn check_line(line: &[u8], source: Option<SocketAddr>) {
    assert!(line.len() <= 107 && line.ends_with(b"\r\n"));
    let inner = &line[..line.len() - 2];
    assert!(!inner.iter().any(|byte| b"\r\n\0".contains(byte)));
    if inner.starts_with(b"PROXY UNKNOWN") {
        return assert_eq!(source, None);
    }
    let words: Vec<&str> = std::str::from_utf8(inner).expect("ASCII").split(' ').collect();
    let [_, family, from, to, from_port, to_port] = words[..] else { panic!("{words:?}") };
    let address = |word: &str| match family {
        "TCP4" => IpAddr::V4(word.parse().expect("IPv4")),
        "TCP6" => IpAddr::V6(word.parse().expect("IPv6")),
        _ => panic!("{family}"),
    };
    let port = |word: &str| {
        let port: u16 = word.parse().expect("a port");
        assert_eq!(port.to_string(), word);
        port
    };
    let _ = (address(to), port(to_port));
    assert_eq!(source, Some(SocketAddr::new(address(from).to_canonical(), port(from_port))));
}

/// The binary header, byte by byte.
fn check_block(header: &[u8], source: Option<SocketAddr>) {
    assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    assert_eq!(header.len(), 16 + usize::from(word(14)));
    let expected = match (header[12], header[13]) {
        (0x20, _) | (0x21, 0x00) => None,
        (0x21, 0x11) => Some((IpAddr::from(<[u8; 4]>::try_from(&header[16..20]).expect("4")), 24)),
        (0x21, 0x21) => Some((IpAddr::from(<[u8; 16]>::try_from(&header[16..32]).expect("16")), 48)),
        (0x21, 0x31) => {
            assert!(header.len() >= 16 + 2 * 108);
            None
        }
        other => panic!("accepted: {other:x?}"),
    };
    assert_eq!(source, expected.map(|(ip, port)| SocketAddr::new(ip.to_canonical(), word(port))));
}

fn write_again(source: SocketAddr) {
    assert_eq!(source.ip(), source.ip().to_canonical());
    let mixed = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80));
    for destination in [source, mixed] {
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let header = version.header(source, destination);
            assert_eq!(parse(&header), Parsed::Complete { length: header.len(), source: Some(source) });
        }
    }
}
