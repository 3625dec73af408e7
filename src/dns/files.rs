//! /etc/resolv.conf and /etc/hosts, as the C library reads them.

use crate::limits::{MAX_ADDRESSES, MAX_NAMESERVERS};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port of nameservers.
const PORT: u16 = 53;

/// The nameservers that resolv.conf names, the first few of them; the one of this machine when it names none. Those with a
/// zone (`fe80::1%eth0`) and whatever else is no address are passed over.
#[must_use]
pub fn nameservers(text: &str) -> heapless::Vec<SocketAddr, MAX_NAMESERVERS> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|&word| word == "nameserver").and(words.next())?;
        address.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT))
    };
    let mut found = heapless::Vec::new();
    for address in text.lines().filter_map(address) {
        // Those beyond the last place are not asked.
        let _ = found.push(address);
    }
    if found.is_empty() {
        // There is room for one.
        let _ = found.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    found
}

/// The addresses that a hosts file has for `host`, each once, of the family of the first of them, in its order.
#[must_use]
pub fn hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let of_line = |line: &str| {
        let (line, _) = line.split_once('#').unwrap_or((line, ""));
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse::<IpAddr>().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    let mut found: Vec<IpAddr> = Vec::new();
    for address in text.lines().filter_map(of_line) {
        let fits = found.first().is_none_or(|first| first.is_ipv4() == address.is_ipv4());
        if fits && found.len() < MAX_ADDRESSES && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nameservers_as_they_are_written() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &["127.0.0.1:53"]),
            ("# nameserver 1.1.1.1\nsearch lan\n", &["127.0.0.1:53"]),
            ("nameserver 192.168.1.1\nnameserver\t2001:db8::1 # two\r\n", &["192.168.1.1:53", "[2001:db8::1]:53"]),
            ("nameserver fe80::1%eth0\nnameserver x\nnameserver\nnameserver 1.1.1.1", &["1.1.1.1:53"]),
            ("nameservers 1.1.1.1\n nameserver 1.1.1.2\n", &["1.1.1.2:53"]),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n",
                &["1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"],
            ),
        ];
        for (text, expected) in cases {
            let found: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn hosts_as_they_are_written() {
        let text = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n# 10.0.0.9 app\n10.0.0.1\tApp.lan app # old\n\
                    10.0.0.2 app\n10.0.0.1 app\n2001:db8::2 app\nnonsense app\n2001:db8::3 six\n10.0.0.3 six\n10.0.0.4";
        let cases: [(&str, &[&str]); 6] = [
            ("localhost", &["127.0.0.1"]),
            ("ip6-localhost", &["::1"]),
            ("APP", &["10.0.0.1", "10.0.0.2"]),
            ("app.lan.", &["10.0.0.1"]),
            ("six", &["2001:db8::3"]),
            ("old", &[]),
        ];
        for (host, expected) in cases {
            let found: Vec<String> = hosts(text, host).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "((nameserver|10[.]0[.]0[.]1|::1|a|#)?[ \t\r\n\\PC]?){0,30}") {
            prop_assert!(!nameservers(&text).is_empty());
            let _ = hosts(&text, "a");
        }
    }
}
