//! Where a backend is: a host and a port, as a file says it.
//!
//! Owns the form. Refuses to resolve a name.

use super::value::scaled;
use std::net::{IpAddr, Ipv6Addr};

/// `host:port`, with the host's brackets removed.
pub(super) fn server(text: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("no port")?;
    let port = match scaled(port, &[("", 1)]).and_then(|port| u16::try_from(port).ok()) {
        Some(port) if port > 0 => port,
        _ => return Err("the port is a number from 1 to 65535"),
    };
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|address| (address.to_string(), port)).ok_or("not an IPv6 address in brackets");
    }
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("not a host name");
    }
    // A name whose last label is a number can only be meant as an address.
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if number && host.parse::<IpAddr>().is_err() {
        return Err("not an IPv4 address");
    }
    Ok((host.to_owned(), port))
}
