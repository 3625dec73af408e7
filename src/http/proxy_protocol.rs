//! The PROXY protocol, versions 1 and 2: who the client of a relayed connection is, said in front of its first byte.
//!
//! After HAProxy's doc/proxy-protocol.txt; its sections are cited. Owns both forms, read and written. Knows no sockets:
//! [`parse`] is asked again with what has come so far until it knows. What cannot become a header is refused at the
//! byte that says so, but addresses of version 2 and what follows them are looked at when all of them are there.
//!
//! Extensions of version 2 are checked to be well formed and skipped; the checksum among them is verified (2.2.3). The
//! block of LOCAL and of UNSPEC is skipped whole: its layout is nobody's business (2.2).

use crate::limits::SMALL_BUFFER;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a version 1 header at most, its CRLF included (2.1).
const MAX_V1: usize = 107;
/// Bytes of a header taken at most. Version 2 could announce 64 kB; both are made to fit one segment of the smallest
/// that every host must take (section 2), and more would not fit the buffer a connection starts with.
const MAX_HEADER: usize = 536;
/// Bytes of a header written at most.
const MAX_WRITTEN: usize = MAX_V1;

/// What a version 2 header starts with (2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes up to the addresses: the signature, version and command, family and transport, length.
const FIXED: usize = 16;
const INET_LENGTH: usize = 4 + 4 + 2 + 2;
const INET6_LENGTH: usize = 16 + 16 + 2 + 2;
const UNIX_LENGTH: usize = 108 + 108;
/// The type of the extension that holds a checksum (2.2.3).
const CRC32C: u8 = 0x03;

const _: () = assert!(MAX_V1 <= MAX_HEADER && MAX_HEADER <= SMALL_BUFFER, "a header fits a small buffer");
const _: () = assert!(FIXED + UNIX_LENGTH <= MAX_HEADER && FIXED + INET6_LENGTH <= MAX_WRITTEN);

/// What the bytes at the start of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A header so far, but not all of it.
    Incomplete,
    /// A header.
    Complete {
        /// Its bytes.
        length: usize,
        /// The client it names, IPv4 as such where it came mapped into IPv6. None: the peer is the client (LOCAL,
        /// UNKNOWN, or addresses that are not TCP's).
        source: Option<SocketAddr>,
    },
    /// No header; the connection must be dropped.
    Malformed(&'static str),
}

/// Looks for a header at the start of `bytes`, all that came on a connection so far.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let parsed = match bytes.first() {
        None => Ok(None),
        Some(b'P') => parse_v1(bytes),
        Some(b'\r') => parse_v2(bytes),
        Some(_) => Err("not a PROXY header"),
    };
    match parsed {
        Ok(None) => Parsed::Incomplete,
        Ok(Some((length, source))) => {
            let canonical = |source: SocketAddr| SocketAddr::new(source.ip().to_canonical(), source.port());
            Parsed::Complete { length, source: source.map(canonical) }
        }
        Err(reason) => Parsed::Malformed(reason),
    }
}

/// The header's length and whom it names; none while it is incomplete.
type Answer = Result<Option<(usize, Option<SocketAddr>)>, &'static str>;

/// Whether `bytes` start with `start`, or are the start of it.
fn agree(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(a, b)| a == b)
}

/// One line (2.1).
fn parse_v1(bytes: &[u8]) -> Answer {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)).unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    let is = |start: &[u8]| line.len() >= start.len() && agree(line, start);
    let ended = match rest {
        [] | [b'\r'] | [b'\r', b'\n', ..] => !rest.is_empty(),
        _ => return Err("PROXY line without its CRLF"),
    };
    if line.len() > MAX_V1 - 2 {
        return Err("PROXY line too long");
    }
    let source = if is(b"PROXY TCP4 ") {
        read_words::<Ipv4Addr>(&line[11..], ended, 15, |byte| byte.is_ascii_digit() || byte == b'.')?
    } else if is(b"PROXY TCP6 ") {
        read_words::<Ipv6Addr>(&line[11..], ended, 45, |byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))?
    } else if ["PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN "].iter().any(|start| agree(line, start.as_bytes())) {
        if ended && !is(b"PROXY UNKNOWN") {
            return Err("PROXY line is cut short");
        }
        None
    } else {
        return Err("not a PROXY header");
    };
    Ok(rest.starts_with(b"\r\n").then_some((line.len() + 2, source)))
}

/// Two addresses and two ports. The last word may still grow unless the line has ended; then it holds only bytes that
/// are `allowed` in an address, at most `longest` of them.
fn read_words<A: std::str::FromStr + Into<IpAddr>>(
    text: &[u8],
    ended: bool,
    longest: usize,
    allowed: fn(u8) -> bool,
) -> Result<Option<SocketAddr>, &'static str> {
    let (mut words, mut count) = ([&[][..]; 4], 0);
    for word in text.split(|&byte| byte == b' ') {
        *words.get_mut(count).ok_or("PROXY line with more than two addresses and ports")? = word;
        count += 1;
    }
    let (mut source, mut port) = (None, None);
    for (at, word) in words[..count].iter().enumerate() {
        let grows = !ended && at + 1 == count;
        match at {
            0 | 1 if grows => {
                if word.len() > longest || !word.iter().copied().all(allowed) {
                    return Err("bad address in the PROXY line");
                }
            }
            0 | 1 => {
                let address = std::str::from_utf8(word).ok().and_then(|word| word.parse::<A>().ok());
                source = source.or(Some(address.ok_or("bad address in the PROXY line")?.into()));
            }
            // What a port starts with is one too.
            _ if grows && word.is_empty() => {}
            _ => port = port.or(Some(read_port(word).ok_or("bad port in the PROXY line")?)),
        }
    }
    if ended && count < words.len() {
        return Err("PROXY line is cut short");
    }
    Ok(source.zip(port).map(SocketAddr::from))
}

/// A port without a sign and leading zeros.
fn read_port(word: &[u8]) -> Option<u16> {
    let plain = word.iter().all(u8::is_ascii_digit) && (word.len() == 1 || word.first() != Some(&b'0'));
    std::str::from_utf8(word).ok().filter(|_| plain)?.parse().ok()
}

/// The binary header (2.2).
fn parse_v2(bytes: &[u8]) -> Answer {
    if !agree(bytes, SIGNATURE) {
        return Err("not a PROXY header");
    }
    let mut fixed = bytes[bytes.len().min(SIGNATURE.len())..].iter().copied();
    let relayed = match fixed.next() {
        None => return Ok(None),
        Some(0x20) => false,
        Some(0x21) => true,
        Some(0x22..=0x2f) => return Err("unknown PROXY command"),
        Some(_) => return Err("unknown PROXY version"),
    };
    let Some(family) = fixed.next() else { return Ok(None) };
    let addresses = match family {
        // The family of LOCAL is ignored.
        _ if !relayed => 0,
        0x00 => 0,
        0x11 => INET_LENGTH,
        0x21 => INET6_LENGTH,
        0x31 => UNIX_LENGTH,
        0x12 | 0x22 | 0x32 => return Err("PROXY header of datagrams"),
        _ => return Err("unknown PROXY family or transport"),
    };
    let (high, low) = (fixed.next(), fixed.next());
    let end = FIXED + usize::from(u16::from_be_bytes([high.unwrap_or(0), low.unwrap_or(0)]));
    if end > MAX_HEADER {
        return Err("PROXY header too long");
    }
    if low.is_some() && end < FIXED + addresses {
        return Err("PROXY header shorter than its addresses");
    }
    let Some(header) = bytes.get(..end).filter(|_| low.is_some()) else { return Ok(None) };
    if addresses > 0 {
        check_extensions(header, FIXED + addresses)?;
    }
    let block = &header[FIXED..];
    let source = match addresses {
        INET_LENGTH => first(block).map(|ip: [u8; 4]| (IpAddr::from(ip), 8)),
        INET6_LENGTH => first(block).map(|ip: [u8; 16]| (IpAddr::from(ip), 32)),
        _ => None,
    };
    let source =
        source.and_then(|(ip, port)| Some(SocketAddr::new(ip, u16::from_be_bytes(block.get(port..).and_then(first)?))));
    Ok(Some((end, source)))
}

fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

/// Type, length and value, one behind the other up to the end; the checksum is that of the whole header.
fn check_extensions(header: &[u8], mut at: usize) -> Result<(), &'static str> {
    let mut summed = false;
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3) else { return Err("PROXY extension is cut short") };
        at += 3;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = header.get(at..at + length) else { return Err("PROXY extension is cut short") };
        if kind == CRC32C {
            let expected = first(value).filter(|_| length == 4 && !summed).ok_or("bad PROXY checksum extension")?;
            summed = true;
            // Its own bytes count as zeros.
            let (before, after) = (header[..at].iter(), header[at + 4..].iter());
            if crc32c(before.chain(&[0; 4]).chain(after)) != u32::from_be_bytes(expected) {
                return Err("wrong PROXY checksum");
            }
        }
        at += length;
    }
    Ok(())
}

/// CRC32c (RFC 4960 appendix B). A bit at a time: it is rare, and at most a header long.
fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    !bytes.fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// Which form is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// The line.
    V1,
    /// The binary header.
    V2,
}

/// A header to send.
pub type Header = heapless::Vec<u8, MAX_WRITTEN>;

impl ProxyVersion {
    /// The header of a connection from `source` to `destination`. Where one is IPv6, the other is mapped into it.
    #[must_use]
    pub fn header(self, source: SocketAddr, destination: SocketAddr) -> Header {
        let mut out = Header::new();
        let ports = [source.port(), destination.port()];
        let written = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => match self {
                Self::V1 => write_v1(&mut out, "TCP4", [source, destination], ports),
                Self::V2 => write_v2(&mut out, 0x11, [source, destination].map(|ip| ip.octets()).as_flattened(), ports),
            },
            (source, destination) => {
                let addresses = [source, destination].map(|ip| match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                });
                match self {
                    Self::V1 => write_v1(&mut out, "TCP6", addresses, ports),
                    Self::V2 => write_v2(&mut out, 0x21, addresses.map(|ip| ip.octets()).as_flattened(), ports),
                }
            }
        };
        debug_assert!(written.is_ok());
        out
    }

    /// The header of a connection of our own, for no client: a probe's.
    #[must_use]
    pub fn local(self) -> Header {
        let mut out = Header::new();
        let written = match self {
            Self::V1 => out.write_str("PROXY UNKNOWN\r\n"),
            Self::V2 => push(&mut out, SIGNATURE).and_then(|()| push(&mut out, &[0x20, 0x00, 0, 0])),
        };
        debug_assert!(written.is_ok());
        out
    }
}

fn write_v1(out: &mut Header, family: &str, [from, to]: [impl fmt::Display; 2], ports: [u16; 2]) -> fmt::Result {
    write!(out, "PROXY {family} {from} {to} {} {}\r\n", ports[0], ports[1])
}

fn write_v2(out: &mut Header, family: u8, addresses: &[u8], ports: [u16; 2]) -> fmt::Result {
    let length = u16::try_from(addresses.len() + 4).map_err(|_| fmt::Error)?;
    push(out, SIGNATURE)?;
    push(out, &[0x21, family])?;
    push(out, &length.to_be_bytes())?;
    push(out, addresses)?;
    push(out, ports.map(u16::to_be_bytes).as_flattened())
}

fn push(out: &mut Header, bytes: &[u8]) -> fmt::Result {
    out.extend_from_slice(bytes).map_err(|_| fmt::Error)
}

#[cfg(test)]
mod tests;
