//! The PROXY protocol: cases, each a name, bytes and what they are, and properties.

use super::*;
use proptest::prelude::*;

fn whole(length: usize, source: &str) -> Parsed {
    Parsed::Complete { length, source: Some(source.parse().unwrap()) }
}

fn nobody(length: usize) -> Parsed {
    Parsed::Complete { length, source: None }
}

/// A version 2 header: command, family, and the bytes behind the length.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family][..], &length, block].concat()
}

const INET: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 0xc0, 0x01, 0x00, 0x50];

fn inet(extensions: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[INET, extensions].concat())
}

fn inet6(address: &str) -> Vec<u8> {
    let address: Ipv6Addr = address.parse().unwrap();
    v2(0x21, 0x21, &[&address.octets(), &[0; 16][..], &[0xff, 0xff, 0, 80]].concat())
}

/// Extensions with a checksum among them that is right for the header.
fn summed(before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut header = inet(&[before, &[CRC32C, 0, 4, 0, 0, 0, 0], after].concat());
    let sum = crc32c(header.iter()).to_be_bytes();
    let at = FIXED + INET_LENGTH + before.len() + 3;
    header[at..at + 4].copy_from_slice(&sum);
    header
}

#[test]
fn the_checksum_of_the_standard() {
    assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
}

/// Each is a header however it is cut, and whatever follows it.
#[test]
fn headers() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let cases: [(&str, Vec<u8>, Parsed); 27] = [
        ("line", b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n".into(), whole(47, "192.168.0.1:56324")),
        ("line, lowest", b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".into(), whole(32, "0.0.0.0:0")),
        (
            "line, highest",
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".into(),
            whole(56, "255.255.255.255:65535"),
        ),
        ("line, IPv6", b"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n".into(), whole(32, "[2001:db8::1]:1")),
        (
            "line, longest IPv6",
            format!("PROXY TCP6 {full} {full} 65535 65535\r\n").into(),
            whole(104, &format!("[{full}]:65535")),
        ),
        ("line, IPv6 with leading zeros", b"PROXY TCP6 0001::0000 :: 1 2\r\n".into(), whole(30, "[1::]:1")),
        ("line, mapped", b"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n".into(), whole(36, "10.0.0.1:1")),
        ("unknown", b"PROXY UNKNOWN\r\n".into(), nobody(15)),
        ("unknown with a blank", b"PROXY UNKNOWN \r\n".into(), nobody(16)),
        ("unknown with addresses", b"PROXY UNKNOWN 1.1.1.1 2.2.2.2 1 2\r\n".into(), nobody(35)),
        ("unknown with anything", b"PROXY UNKNOWN \x01\xff  x\r\n".into(), nobody(21)),
        ("unknown, longest", longest.into(), nobody(107)),
        ("local", v2(0x20, 0x00, b""), nobody(16)),
        ("local, block ignored", v2(0x20, 0x11, b"x"), nobody(17)),
        ("local, any family", v2(0x20, 0xff, b""), nobody(16)),
        ("unspec", v2(0x21, 0x00, b""), nobody(16)),
        ("unspec, block ignored", v2(0x21, 0x00, b"\x01\x02\x03\x04"), nobody(20)),
        ("inet", inet(b""), whole(28, "192.0.2.1:49153")),
        ("inet6", inet6("2001:db8::2"), whole(52, "[2001:db8::2]:65535")),
        ("inet6, mapped", inet6("::ffff:192.0.2.9"), whole(52, "192.0.2.9:65535")),
        ("unix", v2(0x21, 0x31, &[b'/'; 216]), nobody(232)),
        ("extensions", inet(b"\x04\0\0\x02\0\x01a\xe0\0\x02bc"), whole(40, "192.0.2.1:49153")),
        ("extension of unix", v2(0x21, 0x31, &[&[b'/'; 216][..], b"\x04\0\0"].concat()), nobody(235)),
        ("checksum", summed(b"", b""), whole(35, "192.0.2.1:49153")),
        ("checksum between", summed(b"\x04\0\x01x", b"\x02\0\x01a"), whole(43, "192.0.2.1:49153")),
        ("longest", inet(&[&[4, 0x01, 0xf9][..], &[0; 505]].concat()), whole(536, "192.0.2.1:49153")),
        ("longest local", v2(0x20, 0x00, &[0xff; 520]), nobody(536)),
    ];
    for (name, bytes, expected) in cases {
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Parsed::Incomplete, "{name}, cut at {end}");
        }
        for follows in [&b""[..], b"\r\n", b"GET / HTTP/1.1\r\n", b"\0", b"PROXY UNKNOWN\r\n"] {
            assert_eq!(parse(&[&bytes, follows].concat()), expected, "{name}");
        }
    }
}

/// The last byte of each is the first that makes it no header, and nothing behind it mends that.
#[test]
fn refused_at_the_byte_that_says_so() {
    let wrong_sum = {
        let mut header = summed(b"", b"");
        header[34] ^= 1;
        header
    };
    let line = |line: &str| line.as_bytes().to_vec();
    let head = |rest: &[u8]| [&SIGNATURE[..], rest].concat();
    let twice = &summed(b"", b"\x03\0\x04\0\0\0\0");
    let cases = [
        ("a request", line("G")),
        ("TLS", vec![0x16]),
        ("NUL", vec![0]),
        ("another method", line("PO")),
        ("lower case", line("PROXY t")),
        ("two blanks", line("PROXY  ")),
        ("TAB", line("PROXY\t")),
        ("datagrams", line("PROXY U\x44")),
        ("TCP5", line("PROXY TCP5")),
        ("TCP45", line("PROXY TCP45")),
        ("family without a blank", line("PROXY UNKNOWNS")),
        ("no addresses", line("PROXY TCP4\r")),
        ("no addresses but a blank", line("PROXY TCP4 \r")),
        ("nothing at all", line("PROXY\r")),
        ("leading blank", line("PROXY TCP4  ")),
        ("IPv6 as TCP4", line("PROXY TCP4 :")),
        ("IPv4 as TCP6", line("PROXY TCP6 1.2.3.4 ")),
        ("a name", line("PROXY TCP4 l")),
        ("zone", line("PROXY TCP6 fe80::1%")),
        ("brackets", line("PROXY TCP6 [")),
        ("octal", line("PROXY TCP4 010.0.0.1 ")),
        ("octal in IPv6", line("PROXY TCP6 ::ffff:010.0.0.1 ")),
        ("three numbers", line("PROXY TCP4 1.2.3 ")),
        ("256", line("PROXY TCP4 1.2.3.256 ")),
        ("endless address", line("PROXY TCP4 1.1.1.1.1.1.1.1.")),
        ("endless IPv6", line(&format!("PROXY TCP6 {}", "f".repeat(46)))),
        ("five digits", line("PROXY TCP6 0:0:0:0:0:0:0:00000 ")),
        ("two double colons", line("PROXY TCP6 1::2::3 ")),
        ("bad destination", line("PROXY TCP4 1.1.1.1 2.2.2 ")),
        ("octal port", line("PROXY TCP4 1.1.1.1 2.2.2.2 08")),
        ("two zeros", line("PROXY TCP4 1.1.1.1 2.2.2.2 00")),
        ("signed port", line("PROXY TCP4 1.1.1.1 2.2.2.2 +")),
        ("hexadecimal port", line("PROXY TCP4 1.1.1.1 2.2.2.2 0x")),
        ("port 65536", line("PROXY TCP4 1.1.1.1 2.2.2.2 65536")),
        ("destination port 99999", line("PROXY TCP4 1.1.1.1 2.2.2.2 1 99999")),
        ("no port", line("PROXY TCP4 1.1.1.1 2.2.2.2\r")),
        ("one port", line("PROXY TCP4 1.1.1.1 2.2.2.2 1\r")),
        ("an empty port", line("PROXY TCP4 1.1.1.1 2.2.2.2 1 \r")),
        ("two blanks between ports", line("PROXY TCP4 1.1.1.1 2.2.2.2 1  ")),
        ("trailing blank", line("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 ")),
        ("bare LF", line("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n")),
        ("bare CR", line("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rG")),
        ("two CRs", line("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r")),
        ("NUL in a line", line("PROXY TCP4 1.1.1.1\0")),
        ("not ASCII", b"PROXY TCP4 1.1.1.1 2.2.2.2 \xff".to_vec()),
        ("bare LF of unknown", line("PROXY UNKNOWN\n")),
        ("bare CR of unknown", line("PROXY UNKNOWN x\rx")),
        ("NUL of unknown", line("PROXY UNKNOWN x\0")),
        ("unknown too long", line(&format!("PROXY UNKNOWN {}", "f".repeat(92)))),
        ("another signature", b"\r\n\r\n\0\r\nQUIT\r".to_vec()),
        ("empty lines of HTTP", line("\r\n\r\nG")),
        ("version 1 as binary", head(b"\x11")),
        ("version 3", head(b"\x31")),
        ("command 2", head(b"\x22")),
        ("stream of unspec", head(b"\x21\x01")),
        ("inet without transport", head(b"\x21\x10")),
        ("UDP", head(b"\x21\x12")),
        ("UDP, IPv6", head(b"\x21\x22")),
        ("datagrams of unix", head(b"\x21\x32")),
        ("SCTP", head(b"\x21\x13")),
        ("unknown family", head(b"\x21\x41")),
        ("no length for inet", head(b"\x21\x11\0\0")),
        ("length below inet", head(b"\x21\x11\0\x0b")),
        ("length below inet6", head(b"\x21\x21\0\x23")),
        ("length below unix", head(b"\x21\x31\0\xd7")),
        ("length one too many", head(b"\x20\0\x02\x09")),
        ("length far too many", head(b"\x21\x11\xff")),
        ("half an extension", inet(b"\x04\0")),
        ("extension beyond the end", inet(b"\x04\0\x02x")),
        ("extension of unix beyond the end", v2(0x21, 0x31, &[&[0; 216][..], b"\x04\0\x01"].concat())),
        ("checksum of three bytes", inet(b"\x03\0\x03\0\0\0")),
        ("checksum of five bytes", inet(b"\x03\0\x05\0\0\0\0\0")),
        ("wrong checksum", wrong_sum),
        ("two checksums", twice.clone()),
    ];
    for (name, bytes) in cases {
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Parsed::Incomplete, "{name}, cut at {end}");
        }
        for follows in [&b""[..], b"\r\n", b" 1.1.1.1 2.2.2.2 1 2\r\n", &[0; 600]] {
            let parsed = parse(&[&bytes, follows].concat());
            assert!(matches!(parsed, Parsed::Malformed(_)), "{name}: {parsed:?}");
        }
    }
}

#[test]
fn written() {
    let cases: [(&str, &str, &str, &[u8]); 4] = [
        (
            "192.0.2.1:49153",
            "10.0.0.1:80",
            "PROXY TCP4 192.0.2.1 10.0.0.1 49153 80\r\n",
            b"\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\xc0\x01\0\x50",
        ),
        (
            "[2001:db8::1]:1",
            "[::1]:65535",
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            b"\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
              \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\xff\xff",
        ),
        (
            "10.0.0.1:0",
            "[fe80::1%7]:2",
            "PROXY TCP6 ::ffff:10.0.0.1 fe80::1 0 2\r\n",
            b"\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01\
              \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02",
        ),
        (
            "[::ffff:10.0.0.1]:3",
            "10.0.0.2:4",
            "PROXY TCP4 10.0.0.1 10.0.0.2 3 4\r\n",
            b"\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\0\x03\0\x04",
        ),
    ];
    for (source, destination, line, behind_signature) in cases {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        assert_eq!(ProxyVersion::V1.header(source, destination), line.as_bytes());
        assert_eq!(ProxyVersion::V2.header(source, destination)[..], [SIGNATURE, behind_signature].concat());
    }
    assert_eq!(ProxyVersion::V1.local(), b"PROXY UNKNOWN\r\n");
    assert_eq!(ProxyVersion::V2.local()[..], [SIGNATURE, &b"\x20\0\0\0"[..]].concat());
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<[u8; 4]>().prop_map(|ip| IpAddr::V6(Ipv4Addr::from(ip).to_ipv6_mapped())),
    ];
    (ip, any::<u16>()).prop_map(SocketAddr::from)
}

/// Bytes that get past the first checks often.
fn almost_headers() -> impl Strategy<Value = Vec<u8>> {
    let binary = (0x20_u8..0x23, prop_oneof![Just(0x11_u8), Just(0x21), any::<u8>()], 0_u16..60)
        .prop_map(|(command, family, length)| [SIGNATURE, &[command, family][..], &length.to_be_bytes()].concat());
    let start = prop_oneof![
        Just(Vec::new()),
        "PROXY (TCP[46]|UNKNOWN) ".prop_map(String::into_bytes),
        "PROXY TCP4 1[.]1[.]1[.]1 2[.]2[.]2[.]2 [0-9 \r\n]{0,9}".prop_map(String::into_bytes),
        binary,
    ];
    let rest = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        prop::collection::vec(0_u8..6, 0..80),
        "[0-9a-f:. \r\n]{0,80}".prop_map(String::into_bytes),
    ];
    (start, rest).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(source in addresses(), destination in addresses(), behind: Vec<u8>) {
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let header = version.header(source, destination);
            let expected = SocketAddr::new(source.ip().to_canonical(), source.port());
            let parsed = parse(&[&header, &behind[..]].concat());
            prop_assert_eq!(parsed, Parsed::Complete { length: header.len(), source: Some(expected) });
            let local = version.local();
            prop_assert_eq!(parse(&[&local, &behind[..]].concat()), nobody(local.len()));
        }
    }

    /// An answer stands, whatever comes behind it, and until then there is none. A refusal may name another reason.
    #[test]
    fn the_cuts_do_not_matter(bytes in almost_headers()) {
        let mut answer = Parsed::Incomplete;
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end]);
            if answer == Parsed::Incomplete {
                answer = parsed;
                if let Parsed::Complete { length, .. } = parsed {
                    prop_assert_eq!(length, end);
                }
            } else {
                let refused = matches!((parsed, answer), (Parsed::Malformed(_), Parsed::Malformed(_)));
                prop_assert!(refused || parsed == answer, "{:?}, then {:?}", answer, parsed);
            }
        }
        prop_assert!(bytes.len() < MAX_HEADER || answer != Parsed::Incomplete);
    }
}
