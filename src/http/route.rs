//! Conditions on a request: what `route.N.host`, `.path`, `.method`, `.header.NAME` and `.src` mean.
//!
//! Owns the patterns, how they are written and how they match. Refuses to know what follows from a match: the
//! configuration keeps the pool beside the route. Matching allocates nothing.

use super::fields::Field;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// One `route.N`: all conditions that are given must hold, a list means any of. An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// N.
    pub name: String,
    /// `route.N.host`.
    pub hosts: Vec<HostPattern>,
    /// `route.N.path`.
    pub paths: Vec<PathPattern>,
    /// `route.N.method`, as sent: methods are case-sensitive.
    pub methods: Vec<String>,
    /// `route.N.header.NAME`: every one must hold.
    pub headers: Vec<HeaderPattern>,
    /// `route.N.src`.
    pub sources: Vec<Cidr>,
}

/// What a route can ask about one request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The method, as sent.
    pub method: &'a [u8],
    /// The value of Host, with its port when there is one.
    pub host: Option<&'a [u8]>,
    /// The raw path of the target, without the query.
    pub path: &'a [u8],
    /// All header fields of the request.
    pub headers: &'a [Field<'a>],
    /// The client's address, if it has one.
    pub source: Option<IpAddr>,
}

/// A host: `example.com`, `[2001:db8::1]`, or `*.example.com` for every name below (not `example.com` itself).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host, in lower case.
    Exact(String),
    /// Every name that ends so, in lower case and with the leading dot.
    Below(String),
}

/// A path: `/x` exactly, `/x/*` for all that begins with `/x/` (not `/x`), `*.jpg` for all that ends so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// This path.
    Exact(String),
    /// Every path that begins so; it ends with a slash.
    Prefix(String),
    /// Every path that ends so.
    Suffix(String),
}

/// A header field with one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPattern {
    /// Its name; case does not matter.
    pub name: String,
    /// The whole value of any one of its lines is one of these.
    pub values: Vec<String>,
}

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address. IPv4 blocks hold IPv4-mapped IPv6 addresses
/// too; IPv6 blocks hold no IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

impl Route {
    /// Whether every condition holds.
    #[must_use]
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.mismatch(facts).is_none()
    }

    /// The first kind of condition that does not hold, by its name in the configuration.
    #[must_use]
    #[inline(always)]
    pub fn mismatch(&self, facts: &Facts<'_>) -> Option<&'static str> {
        let host = facts.host.map(without_port);
        match () {
            () if !(self.methods.is_empty() || self.methods.iter().any(|method| method.as_bytes() == facts.method)) => {
                Some("method")
            }
            () if !(self.hosts.is_empty()
                || host.is_some_and(|host| self.hosts.iter().any(|pattern| pattern.matches(host)))) =>
            {
                Some("host")
            }
            () if !(self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches(facts.path))) => {
                Some("path")
            }
            () if !(self.sources.is_empty()
                || facts.source.is_some_and(|source| self.sources.iter().any(|block| block.contains(source)))) =>
            {
                Some("src")
            }
            () if !self.headers.iter().all(|pattern| pattern.matches(facts.headers)) => Some("header"),
            () => None,
        }
    }

    /// Whether it takes every request.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        self.hosts.is_empty()
            && self.paths.is_empty()
            && self.methods.is_empty()
            && self.headers.is_empty()
            && self.sources.is_empty()
    }
}

/// The host of a Host value: `a:80` and `a` are `a`, `[::1]:80` and `[::1]` are `[::1]`.
#[must_use]
pub fn without_port(host: &[u8]) -> &[u8] {
    let stop = if host.first() == Some(&b'[') { b']' } else { b':' };
    match host.iter().position(|&byte| byte == stop) {
        Some(bracket) if stop == b']' => &host[..=bracket],
        Some(colon) => &host[..colon],
        None => host,
    }
}

impl HostPattern {
    /// Whether it takes `host`, which has no port.
    #[must_use]
    pub fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Self::Below(tail) => match host.len().checked_sub(tail.len()) {
                Some(start) => start > 0 && host[start..].eq_ignore_ascii_case(tail.as_bytes()),
                None => false,
            },
        }
    }
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or("the port is ignored: leave it out")?;
            return match address.parse::<Ipv6Addr>() {
                Ok(_) => Ok(Self::Exact(text)),
                Err(_) => Err("not an IPv6 address in brackets"),
            };
        }
        let name = text.strip_prefix("*.").unwrap_or(&text);
        if name.contains(':') {
            return Err("the port is ignored: leave it out");
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(legal) {
            return Err("write a host name such as example.com or *.example.com");
        }
        Ok(if name.len() < text.len() { Self::Below(text[1..].to_owned()) } else { Self::Exact(text) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(tail) => write!(f, "*{tail}"),
        }
    }
}

impl PathPattern {
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(whole) => path == whole.as_bytes(),
            Self::Prefix(start) => path.starts_with(start.as_bytes()),
            Self::Suffix(end) => path.ends_with(end.as_bytes()),
        }
    }
}

impl FromStr for PathPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "write /x (this path), /x/* (all below /x/) or *.jpg (all that end so)";
        if text.contains(['?', '#']) {
            return Err("the query is no part of the path: leave it out");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("a path holds no blanks: write %20");
        }
        let (pattern, fixed) = if let Some(end) = text.strip_prefix('*') {
            (Self::Suffix(end.to_owned()), end)
        } else if let Some(start) = text.strip_suffix("/*") {
            (Self::Prefix(text[..=start.len()].to_owned()), text.trim_end_matches('*'))
        } else {
            (Self::Exact(text.to_owned()), text)
        };
        let rooted = matches!(pattern, Self::Suffix(_)) || fixed.starts_with('/');
        if fixed.is_empty() || fixed.contains('*') || !rooted { Err(FORMS) } else { Ok(pattern) }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(whole) => f.write_str(whole),
            Self::Prefix(start) => write!(f, "{start}*"),
            Self::Suffix(end) => write!(f, "*{end}"),
        }
    }
}

impl HeaderPattern {
    fn matches(&self, headers: &[Field<'_>]) -> bool {
        headers.iter().any(|header| {
            header.name.eq_ignore_ascii_case(self.name.as_bytes()) && {
                let sent = header.value.trim_ascii();
                self.values.iter().any(|value| value.as_bytes() == sent)
            }
        })
    }
}

impl Cidr {
    /// Whether `address` is in the block.
    #[must_use]
    #[inline(never)]
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(address.to_canonical(), self.bits) == self.network
    }
}

/// `address` with all but its first `bits` bits cleared.
fn mask(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & keep).into())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & keep).into())
        }
    }
}

impl FromStr for Cidr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "write a block such as 10.0.0.0/8 or 2001:db8::/32, or one address";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse::<u8>().map_err(|_| FORMS)?))
            }
            Some(_) => return Err(FORMS),
            None => (text, None),
        };
        let written = address.parse::<IpAddr>().map_err(|_| FORMS)?;
        let most = if written.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err("an IPv4 block has at most 32 bits, an IPv6 block 128");
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let (address, bits) = match (written, written.to_canonical(), bits.checked_sub(96)) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_), Some(bits)) => (v4, bits),
            _ => (written, bits),
        };
        Ok(Self { network: mask(address, bits), bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts() {
        for (pattern, host, expected) in [
            ("example.com", "example.com", true),
            ("Example.COM", "eXample.com:8080", true),
            ("example.com", "www.example.com", false),
            ("example.com", "example.com.", false),
            ("example.com", "", false),
            ("*.example.com", "a.EXAMPLE.com", true),
            ("*.example.com", "a.b.example.com:1", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("[2001:DB8::1]", "[2001:db8::1]:443", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]", "[2001:db8::2]:443", false),
            ("[2001:db8::1]", "[2001:db8::1", false),
            ("10.0.0.1", "10.0.0.1:80", true),
        ] {
            let parsed: HostPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(without_port(host.as_bytes())), expected, "{pattern} {host}");
        }
        for bad in ["", "*", "*.", "*..a", ".a", "a:80", "[::1]:80", "[::g]", "[", "a b", "a*", "*.*.a", "a/b", "é"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        for (pattern, path, expected) in [
            ("/x", "/x", true),
            ("/x", "/x/", false),
            ("/x", "/X", false),
            ("/x/*", "/x", false),
            ("/x/*", "/x/", true),
            ("/x/*", "/x/y/z", true),
            ("/x/*", "/xy", false),
            ("/*", "/", true),
            ("/*", "*", false),
            ("*.jpg", "/a/b.jpg", true),
            ("*.jpg", "/a/b.jpg/c", false),
            ("*.jpg", "/a/b.JPG", false),
            ("*/x", "/x", true),
            ("/%7Ea", "/~a", false),
        ] {
            let parsed: PathPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(path.as_bytes()), expected, "{pattern} {path}");
        }
        for bad in ["", "*", "**", "x", "/x*", "/x*/y", "*x*", "/*/*", "x/*", "/x?a=1", "/x#f", "/a b", "/a\u{7f}"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn blocks() {
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            let parsed: Cidr = block.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), expected, "{block} {address}");
        }
        for bad in ["", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "::/999", "a/8", "[::]/0"]
        {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_condition_must_hold_and_any_of_a_list() {
        let route = Route {
            name: "r".into(),
            hosts: vec!["a.example".parse().unwrap(), "b.example".parse().unwrap()],
            paths: vec!["/x/*".parse().unwrap()],
            methods: vec!["GET".into(), "HEAD".into()],
            headers: vec![HeaderPattern { name: "x-kind".into(), values: vec!["one".into(), "two".into()] }],
            sources: vec!["10.0.0.0/8".parse().unwrap()],
        };
        let headers = [Field { name: b"X-Kind", value: b"zero" }, Field { name: b"X-KIND", value: b" two\t" }];
        let facts = Facts {
            method: b"HEAD",
            host: Some(b"B.example:80"),
            path: b"/x/1",
            headers: &headers,
            source: "::ffff:10.0.0.1".parse().ok(),
        };
        assert!(route.matches(&facts));
        assert!(!route.is_unconditional());
        for (expected, facts) in [
            ("method", Facts { method: b"head", ..facts }),
            ("host", Facts { host: None, path: b"/x", ..facts }),
            ("path", Facts { path: b"/x", source: None, ..facts }),
            ("src", Facts { source: None, headers: &[], ..facts }),
            ("header", Facts { headers: &[], ..facts }),
        ] {
            assert_eq!(route.mismatch(&facts), Some(expected));
        }
        assert!(!route.matches(&Facts { method: b"head", ..facts }));
        assert!(!route.matches(&Facts { host: None, ..facts }));
        assert!(!route.matches(&Facts { path: b"/x", ..facts }));
        assert!(!route.matches(&Facts { headers: &headers[..1], ..facts }));
        assert!(!route.matches(&Facts { source: "192.0.2.1".parse().ok(), ..facts }));
        assert!(!route.matches(&Facts { source: None, ..facts }));
        assert!(Route::default().is_unconditional());
        assert!(Route::default().matches(&Facts { host: None, headers: &[], ..facts }));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(text in "[*./a-z0-9:\\[\\]]{0,12}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
            if let Ok(pattern) = text.parse::<PathPattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
            if let Ok(block) = text.parse::<Cidr>() {
                prop_assert_eq!(block.to_string().parse(), Ok(block));
            }
        }

        #[test]
        fn a_block_holds_its_own_addresses(v6: [u8; 16], v4: [u8; 4], bits in 0_u8..=128) {
            let (v6, v4) = (IpAddr::from(v6), IpAddr::from(v4));
            let block: Cidr = format!("{v6}/{bits}").parse().unwrap();
            prop_assert!(v6.to_canonical().is_ipv4() || block.contains(v6));
            let block: Cidr = format!("{v4}/{}", bits / 4).parse().unwrap();
            prop_assert!(block.contains(v4));
        }

        #[test]
        fn any_bytes_are_matched_without_a_panic(host: Vec<u8>, path: Vec<u8>) {
            for pattern in ["a.b", "*.b", "[::1]"] {
                let _ = pattern.parse::<HostPattern>().unwrap().matches(without_port(&host));
            }
            for pattern in ["/a", "/a/*", "*.b"] {
                pattern.parse::<PathPattern>().unwrap().matches(&path);
            }
        }
    }
}
