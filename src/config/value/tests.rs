//! What is taken as a value, what is refused, and that it is printed as it is read.

use super::*;

fn texts(items: &[&str]) -> Value {
    Value::Texts(items.iter().map(|&item| item.to_owned()).collect())
}

#[test]
fn what_is_taken() {
    let text = |text: &str| Value::Text(text.to_owned());
    let server = |host: &str, port| Value::Server(host.to_owned(), port);
    for (unit, written, expected) in [
        (Unit::Duration, "250ms", Value::Number(250)),
        (Unit::Duration, "24h", Value::Number(MAX_DURATION_MS)),
        (Unit::Size(1, 1 << 30), "4k", Value::Number(4096)),
        (Unit::Size(1, 1 << 30), "1g", Value::Number(1 << 30)),
        (Unit::Size(0, 9), "0", Value::Number(0)),
        (Unit::Number(0, 256), "256", Value::Number(256)),
        (Unit::Choice(&["no", "yes"]), "yes", Value::Number(1)),
        (Unit::Listen, "[::]:0", Value::Address(Address::Inet("[::]:0".parse().unwrap()))),
        (Unit::Listen, "unix:/run/a.sock", Value::Address(Address::Unix("/run/a.sock".to_owned()))),
        (Unit::Listen, "unix:@a/b", Value::Address(Address::Unix("@a/b".to_owned()))),
        (Unit::Server, "unix:/run/a.sock", Value::Path("/run/a.sock".to_owned())),
        (Unit::Mode, "660", Value::Number(0o660)),
        (Unit::Mode, "0600", Value::Number(0o600)),
        (Unit::Server, "192.168.1.11:8080", server("192.168.1.11", 8080)),
        (Unit::Server, "[2001:DB8::1]:1", server("2001:db8::1", 1)),
        (Unit::Server, "app_1.example.:65535", server("app_1.example.", 65535)),
        (Unit::Token, "JSESSION-ID", text("JSESSION-ID")),
        (Unit::Factor, "0", Value::Number(0)),
        (Unit::Factor, "101", Value::Number(101)),
        (Unit::CookieValue, "s1/a=b:c", text("s1/a=b:c")),
        (Unit::CookieAttributes, "SameSite=Lax ;  Max-Age=5", text("SameSite=Lax; Max-Age=5")),
        (Unit::Target, "/a?b=c#d", text("/a?b=c#d")),
        (Unit::Expect, "200-399, 404", Value::Expect(Expect::Status(vec![(200, 399), (404, 404)]))),
        (Unit::Expect, "string:all, fine", Value::Expect(Expect::Text("all, fine".to_owned()))),
        (Unit::Methods, "GET,HEAD", texts(&["GET", "HEAD"])),
        (Unit::HeaderValues, "a b , c", texts(&["a b", "c"])),
        (Unit::Secret, "a;b|c", text("a;b|c")),
        (Unit::Rate, "50000/s", Value::Rate(Rate { count: Rate::MOST, per_minute: false })),
        (Unit::Rate, "1/m", Value::Rate(Rate { count: 1, per_minute: true })),
        (Unit::StickKey, "hdr:X-User", Value::StickKey(Key::Header("X-User".to_owned()))),
    ] {
        assert_eq!(unit.parse(written), Ok(expected), "{unit:?} {written}");
    }
}

/// The path of a UNIX socket with a byte more than there may be.
const LONG: &str = concat!(
    "unix:/",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456"
);

#[test]
fn a_path_as_long_as_may_be() {
    let path = &LONG[..LONG.len() - 1];
    let bytes = path.strip_prefix("unix:").unwrap();
    assert_eq!(bytes.len(), crate::limits::MAX_UNIX_PATH);
    assert_eq!(Unit::Listen.parse(path), Ok(Value::Address(Address::Unix(bytes.to_owned()))));
    assert_eq!(Unit::Server.parse(path), Ok(Value::Path(bytes.to_owned())));
}

#[test]
fn what_is_refused() {
    let cases: [(Unit, &[&str]); 25] = [
        (Unit::Factor, &["1", "100", "-140", "140%", "10001", ""]),
        (
            Unit::Duration,
            &[
                "0s",
                "0ms",
                "5",
                "1.5s",
                "-1s",
                "+1s",
                "5 s",
                "25h",
                "s",
                "99999999999999999999s",
                "9999999999999999h",
                "5S",
            ],
        ),
        (Unit::Size(1 << 10, 16 << 10), &["1", "1023", "17k", "4K", "4kb", "k", "-4k", "16777216g", "99999999999g"]),
        (Unit::Number(0, 10), &["11", "-1", "+1", "1.0", "a", "auto:1..5", "99999999999999999999"]),
        (Unit::Choice(&["no", "yes"]), &["true", "Yes", "1"]),
        (
            Unit::Listen,
            &["80", ":80", "*:80", "localhost:80", "::1:80", "1.2.3.4", "1.2.3.4:65536", "unix:x", "unix:/x y", LONG],
        ),
        (Unit::Mode, &["888", "1777", "-1", "+1", "rw", "0o7"]),
        (
            Unit::Server,
            &[
                "a",
                ":80",
                "a:0",
                "a:65536",
                "a:",
                "a:+1",
                "::1:80",
                "[::1]",
                "[a]:1",
                "192.168.1.300:80",
                "1.2.3:80",
                "a..b:1",
                "-a:1",
                "a b:1",
                "é:1",
                "http://a:1",
                "unix:",
                "unix:@",
                "unix:x",
                "unix:/é",
                LONG,
                "256:1",
                ".:1",
            ],
        ),
        (Unit::Pool, &["", "-a", "_a", "A", "a.b", "*", "aaaaaaaaaabbbbbbbbbbccccccccccddd"]),
        (Unit::Token, &["a b", "a;b", "a=b", "é", "a,b"]),
        (Unit::CookieValue, &["a;b", "a,b", "a b", "\"a\"", "a\\b", "é", "a|b", "a~b"]),
        (Unit::CookieAttributes, &["a;", ";", "a b", "=x", "a=\u{7f}", "none", "a;none", "a=é"]),
        (Unit::Target, &["x", "/a b", "/\u{1}", "/é", "*"]),
        (Unit::HostValue, &["a b", "a\tb"]),
        (Unit::Secret, &["a b", "é"]),
        (Unit::Rate, &["10", "/s", "0/s", "50001/s", "65537/s", "1/h", "1/ s", "-1/s", "+1/s", "1.5/s", "1/s/s", "1/"]),
        (Unit::StickKey, &["hdr", "hdr:", "source", "hdr:a b", "cookie:a;b"]),
        (Unit::Expect, &["99", "600", "300-200", "200-", "-200", "string:", "ok", "200,", "+200"]),
        (Unit::RetryOn, &["none", "502,", "all", "402", "conn-failure empty-response"]),
        (Unit::Methods, &["get", "G T", "GET,", ","]),
        (Unit::HeaderValues, &[",", "a,,b"]),
        (Unit::Listeners, &["a,", "A", "a b", "*"]),
        (Unit::Sources, &["10.0.0.0/33", "a", "10.0.0.0/8,", "unix", "peer:::1"]),
        (Unit::Trust, &["10.0.0.0/33", "peer:a", "unix:/x", "unix,"]),
        (
            Unit::FieldName,
            &["a b", "Content-Length", "transfer_encoding", "Host", "X-Forwarded-For", "Connection", "a:"],
        ),
    ];
    for (unit, texts) in cases {
        for text in texts {
            let refused = unit.parse(text).expect_err(text);
            assert!(refused.ends_with(&unit.expected()), "{unit:?} {text}: {refused}");
        }
    }
}

#[test]
fn numbers_are_printed_as_they_are_read() {
    for (ms, text) in
        [(1, "1ms"), (1_000, "1s"), (1_500, "1500ms"), (60_000, "1m"), (5_400_000, "90m"), (86_400_000, "24h")]
    {
        assert_eq!(duration_text(ms), text);
        assert_eq!(Unit::Duration.parse(text), Ok(Value::Number(ms)));
    }
    for (bytes, text) in [(0, "0"), (1_000, "1000"), (8_192, "8k"), (48 << 20, "48m"), (3 << 30, "3g")] {
        assert_eq!(size_text(bytes), text);
        assert_eq!(Unit::Size(0, u64::MAX).parse(text), Ok(Value::Number(bytes)));
    }
}
