//! The command line: exit codes, and messages about configurations that say where and why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::output;
use common::process::{Beelance, ConfigFile, Output, command};
use std::net::TcpListener;
use std::time::Duration;

const GOOD: &str = "listen.web = 127.0.0.1:0\nbackend.shop1 = 127.0.0.1:8081\nbackend.shop2 = 127.0.0.1:8082\n";

fn beelance(arguments: &[&str]) -> Output {
    output(command().args(arguments), Duration::ZERO)
}

fn check(file: &ConfigFile) -> Output {
    beelance(&["check", "-c", file.path().to_str().unwrap()])
}

/// The value of a key in what `check` prints.
fn effective<'a>(output: &'a Output, key: &str) -> Option<&'a str> {
    let pairs = output.stdout.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(known, value)| (known.trim(), value.trim())).find(|(known, _)| *known == key).map(|(_, value)| value)
}

#[test]
fn help_and_version() {
    let help = beelance(&["--help"]);
    assert_eq!(help.code, Some(0), "{help:?}");
    for word in ["run", "check", "demo", "-c", "--version"] {
        assert!(help.stdout.contains(word), "{word}: {help:?}");
    }
    let version = beelance(&["--version"]);
    assert_eq!(version.code, Some(0), "{version:?}");
    assert!(version.stdout.contains(concat!("beelance ", env!("CARGO_PKG_VERSION"))), "{version:?}");
}

#[test]
fn wrong_usage_is_2() {
    let cases: [&[&str]; 6] =
        [&["fly"], &["--fly"], &["check", "--fly"], &["check", "-c"], &["run", "now"], &["demo", "--port", "high"]];
    for arguments in cases {
        let output = beelance(arguments);
        assert_eq!(output.code, Some(2), "{arguments:?}: {output:?}");
        // The reason, which no help pushes away.
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert!(matches!(lines[..], [why, "see beelance --help"] if why.starts_with("beelance: ")), "{output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn wrong_usage_names_what_was_meant() {
    for (arguments, hint) in [
        (&["check", "foo.conf"][..], "unexpected argument \"foo.conf\": use -c foo.conf"),
        (&["check", "-f", "foo.conf"], "invalid option '-f': the file is named by -c FILE"),
        (&["-c", "-f", "foo.conf"], "a command comes first: beelance run -c FILE, or beelance check -c FILE"),
        (&["check", "-c", "/", "more"], "unexpected argument \"more\": use -c more"),
    ] {
        let output = beelance(arguments);
        let expected = format!("beelance: {hint}\nsee beelance --help\n");
        assert_eq!((output.code, output.stderr), (Some(2), expected), "{arguments:?}");
    }
}

#[test]
fn a_good_file_is_printed_as_it_takes_effect() {
    let more = "backend.shop1.maxconn = 5\nbackend.*.maxconn = 20\npool.*.cookie = SRV\ntimeout.queue = 90s\n";
    let output = check(&ConfigFile::new(format!("{GOOD}{more}")));
    assert_eq!(output.code, Some(0), "{output:?}");
    let cases = [
        ("backend.shop1", "127.0.0.1:8081"),
        ("backend.shop1.maxconn", "5"),
        ("backend.shop2.maxconn", "20"),
        ("pool.default.cookie", "SRV"),
        ("timeout.server", "30s"),
    ];
    for (key, value) in cases {
        assert_eq!(effective(&output, key), Some(value), "{key}: {}", output.stdout);
    }
    assert!(output.stdout.contains("limits.memory") && output.stdout.contains("limits.connections"), "the budget");
}

#[test]
fn what_check_prints_is_the_same_configuration() {
    let more = "pool.*.check.uri = /healthz\npool.*.balance = leastconn\nroute.a.path = /a/*\nroute.a.pool = default\n";
    let first = check(&ConfigFile::new(format!("{GOOD}{more}")));
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(effective(&first, "pool.default.check.uri"), Some("/healthz"), "{first:?}");
    let second = check(&ConfigFile::new(&first.stdout));
    assert_eq!((second.code, &second.stdout), (Some(0), &first.stdout), "{}", second.stderr);
}

#[test]
fn files_from_a_serial_console() {
    let clean = check(&ConfigFile::new(GOOD));
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert_eq!(effective(&clean, "backend.shop2"), Some("127.0.0.1:8082"), "{clean:?}");
    let cases = [
        ("CRLF", GOOD.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{GOOD}")),
        ("no final newline", GOOD.trim_end().to_owned()),
        ("blanks and tabs at the ends", GOOD.replace('\n', " \t\n").replace("listen", " \tlisten")),
        ("comments and empty lines", format!("# one\n\n  # two\n{GOOD}\n\n")),
        ("no blanks around =", GOOD.replace(" = ", "=")),
    ];
    for (name, text) in cases {
        let output = check(&ConfigFile::new(text));
        assert_eq!((output.code, &output.stdout), (Some(0), &clean.stdout), "{name}: {}", output.stderr);
    }
}

#[test]
fn every_error_at_once_with_its_place() {
    // Each line of the file, and the key its message names, if it is wrong.
    let lines: [(&str, Option<&str>); 16] = [
        ("listen.web = 127.0.0.1:0", None),
        ("backend.a = 127.0.0.1:8081", None),
        ("backend.a.maxcon = 20", Some("backend.a.maxcon")),
        ("backend.a.weight = 257", Some("backend.a.weight")),
        ("backend.a.maxconn = many", Some("backend.a.maxconn")),
        ("backend.b.maxconn = 20", Some("backend.b.maxconn")),
        ("backend.* = 127.0.0.1:1", Some("backend.*")),
        ("timeout.queue = 10", Some("timeout.queue")),
        ("timeout.server = none", Some("timeout.server")),
        ("timeout.client = 5s", None),
        ("timeout.client = 6s", Some("timeout.client")),
        ("listen.UP = 127.0.0.1:0", Some("listen.UP")),
        ("route.x.pool = nowhere", Some("route.x.pool")),
        ("no equals sign", None), // named below: it has no key
        ("pool.default.balance = fair", Some("pool.default.balance")),
        ("zzz = 1", Some("zzz")),
    ];
    let text: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    let file = ConfigFile::new(text);
    for what in ["check", "run"] {
        let output = beelance(&[what, "-c", file.path().to_str().unwrap()]);
        assert_eq!(output.code, Some(1), "{what}: {output:?}");
        let place = |number: usize| format!("{}:{number}: ", file.path().display());
        for (index, (line, key)) in lines.iter().enumerate() {
            let found = output.stderr.lines().filter(|message| message.starts_with(&place(index + 1))).count();
            let Some(key) = key else {
                assert_eq!(found, usize::from(!line.contains('=')), "{line}: {}", output.stderr);
                continue;
            };
            let start = format!("{}{key}: ", place(index + 1));
            let told = output.stderr.lines().any(|message| message.len() > start.len() && message.starts_with(&start));
            assert!(told, "{start}: {}", output.stderr);
        }
        let suggestion = output.stderr.lines().find(|message| message.starts_with(&place(3))).unwrap();
        assert!(suggestion.replace("maxcon:", "").contains("maxconn"), "the nearest known key: {suggestion}");
        assert!(!output.stdout.contains("listening on"), "{output:?}");
    }
}

#[test]
fn one_error_each() {
    let cases = [
        "backend.a = 127.0.0.1:0",
        "backend.a = 127.0.0.1",
        "backend.a = :80",
        "listen.web2 = 127.0.0.1:99999",
        "listen.bad_address = nowhere:80",
        "backend.this-name-is-much-longer-than-32-characters = 127.0.0.1:80",
        "backend.-a = 127.0.0.1:80",
        "pool.*.retries = -1",
        "pool.*.redispatch = maybe",
        "pool.*.check.inter = 5 s",
        "pool.*.check.expect = 99999",
        "pool.*.cookie = a b",
        "limits.header-size = 8x",
        "limits.memory = 1k",
        "log.access = loud",
        "route.a.src = 10.0.0.0/33\nroute.a.pool = default",
        "listen.web.pool =",
    ];
    for wrong in cases {
        let file = ConfigFile::new(format!("{GOOD}{wrong}\n"));
        let output = check(&file);
        assert_eq!(output.code, Some(1), "{wrong}: {output:?}");
        assert!(output.stderr.contains(&file.path().display().to_string()), "{wrong}: {output:?}");
    }
}

#[test]
fn an_unreadable_file_is_1() {
    for what in ["check", "run"] {
        let output = beelance(&[what, "-c", "/no/such/file.conf"]);
        assert_eq!(output.code, Some(1), "{what}: {output:?}");
        assert!(output.stderr.contains("/no/such/file.conf"), "{what}: {output:?}");
    }
}

#[test]
fn a_listener_without_backends_is_a_warning() {
    let output = check(&ConfigFile::new("listen.web = 127.0.0.1:0\n"));
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.starts_with("warning: ") && output.stderr.contains(":1: listen.web: "), "{output:?}");
    assert!(output.stderr.contains("503") && output.stderr.lines().count() == 1, "{output:?}");
}

#[test]
fn a_name_that_does_not_resolve_is_fine_to_check() {
    let output = check(&ConfigFile::new(format!("{GOOD}backend.lost = no-such-host.invalid:80\n")));
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn a_port_in_use_is_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = ConfigFile::new(format!("listen.web = {address}\nbackend.a = 127.0.0.1:8081\n"));
    let output = beelance(&["run", "-c", file.path().to_str().unwrap()]);
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(output.stderr.contains(&address.to_string()), "it says which: {output:?}");
}

#[test]
fn several_listeners_are_all_announced() {
    let mut config = String::from("listen.one = 127.0.0.1:0\nlisten.two-2 = 127.0.0.1:0\nbackend.a = 127.0.0.1:1\n");
    let ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if ipv6 {
        config += "listen.six = [::1]:0\n";
    }
    let beelance = Beelance::start(&config);
    let (one, two) = (beelance.address("one"), beelance.address("two-2"));
    assert!(one.port() != two.port() && one.port() != 0 && two.port() != 0, "{one} {two}");
    assert!(!ipv6 || beelance.address("six").is_ipv6());
}
