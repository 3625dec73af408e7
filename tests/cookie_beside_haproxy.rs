//! The affinity cookie is HAProxy's: in a fleet of both, each understands what the other wrote, and does the same with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step};
use common::client::{Client, Response};
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::Beelance;
use common::request::Request;
use std::time::SystemTime;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

fn now_s() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// The date of `offset_s` seconds from now, as a cookie has it.
fn date(offset_s: i64) -> String {
    let step = (now_s() + offset_s) / 4;
    (0..5).rev().map(|place| char::from(DIGITS[usize::try_from(step >> (6 * place) & 63).unwrap()])).collect()
}

/// The seconds from now of a date.
fn offset(date: &str) -> i64 {
    let digit = |byte| i64::try_from(DIGITS.iter().position(|&digit| digit == byte).expect("a digit")).unwrap();
    date.bytes().fold(0, |number, byte| number << 6 | digit(byte)) * 4 - now_s()
}

/// Answers with its name in a header, and sets the cookies that `X-Set` lines ask for.
fn backend(name: &'static str) -> Backend {
    Backend::start(move |request: &Request| {
        let lines: String = request.all("x-set").iter().map(|value| format!("Set-Cookie: {value}\r\n")).collect();
        let cookies = request.all("cookie").join("; ");
        let head =
            format!("HTTP/1.1 200 OK\r\nX-Name: {name}\r\n{lines}Content-Length: {}\r\n\r\n{cookies}", cookies.len());
        vec![Step::Send(head.into_bytes())]
    })
}

/// HAProxy before the servers `s1`, `s2`, ..., each with its name as cookie unless `options` of the backend say `dynamic`.
#[track_caller]
fn haproxy(backends: &[&Backend], options: &str) -> Haproxy {
    let mut servers = String::new();
    for (number, backend) in (1..).zip(backends) {
        let cookie = if options.contains("dynamic") { String::new() } else { format!(" cookie s{number}") };
        servers += &format!("    server s{number} {}{cookie}\n", backend.address());
    }
    Haproxy::start(Port::take(), |address| {
        format!(
            "frontend web\n    bind {address}\n    log stdout format raw local0\n    option httplog\n    default_backend pool\n\
             backend pool\n    balance roundrobin\n{options}{servers}"
        )
    })
}

/// What both should agree about.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The client's and the server's letter.
    letters: String,
    /// What the backend saw of the cookies.
    cookies: String,
    /// What the client is given: the name of who answered is HERE, a date of now NOW.
    given: Vec<String>,
    /// Who answered, where the cookie says who should.
    answered: Option<String>,
}

fn seen(response: &Response, state: &str) -> Seen {
    let name = response.header("x-name").unwrap().to_owned();
    let tidy = |line: &&str| {
        let (pair, attributes) = line.split_once("; ").unwrap_or((line, ""));
        let mut parts = pair.split('|');
        let value = parts.next().unwrap().replace(&format!("={name}"), "=HERE");
        let dates: Vec<String> =
            parts.map(|date| if offset(date).abs() <= 60 { "NOW".to_owned() } else { date.to_owned() }).collect();
        format!("{}; {attributes}", [vec![value], dates].concat().join("|"))
    };
    let letters = state[2..].to_owned();
    Seen {
        answered: letters.starts_with('V').then_some(name.clone()),
        letters,
        cookies: response.text().replace("; ", ";"),
        given: response.all("set-cookie").iter().map(tidy).collect(),
    }
}

fn ask(client: &mut Client, post: bool, target: &str, lines: &str) -> Response {
    if post {
        client.ask("POST", target, &format!("{lines}Content-Length: 0\r\n"));
        client.response()
    } else {
        client.get_with(target, lines)
    }
}

/// Header lines, and the two letters.
type Case = (String, &'static str);

fn case(lines: impl Into<String>, letters: &'static str) -> Case {
    (lines.into(), letters)
}

/// Sends the same requests to both.
#[track_caller]
fn alike(options: &str, beelance: &str, post: bool, cases: &[Case]) {
    let backends = ["s1", "s2"].map(backend);
    let backends = backends.each_ref();
    let haproxy = haproxy(&backends, options);
    let beelance = Beelance::before(&backends, beelance);
    let (mut to_haproxy, mut to_beelance) = (Client::connect(haproxy.address()), beelance.connect());
    for (number, (lines, letters)) in cases.iter().enumerate() {
        let target = format!("/{number}");
        let wanted = ask(&mut to_haproxy, post, &target, lines);
        let wanted = seen(&wanted, &haproxy.state("pool"));
        let got = ask(&mut to_beelance, post, &target, lines);
        let got = seen(&got, &beelance.access_to(&target).state);
        assert_eq!(got, wanted, "{lines:?}");
        assert_eq!(got.letters, *letters, "{lines:?}");
    }
}

#[test]
fn dates() {
    let day = 24 * HOUR;
    let with = |value: String, letters| case(format!("Cookie: a=1; SRV={value}\r\n"), letters);
    let both = |idle: i64, life: i64| format!("s1|{}|{}", date(idle), date(life));
    let cases = [
        case("", "NI"),
        with(both(MINUTE, -7 * HOUR), "VN"),
        with(both(-4 * MINUTE, -7 * HOUR), "VU"),
        with(both(-6 * MINUTE, -7 * HOUR), "EI"),
        with(both(-4 * MINUTE, -9 * HOUR), "OI"),
        with(both(-6 * MINUTE, -9 * HOUR), "OI"),
        with(both(HOUR, HOUR), "VN"),
        with(both(day + HOUR, 0), "EI"),
        with(both(0, day + HOUR), "OI"),
        with("s2".into(), "VU"),
        with(format!("s2|{}", date(0)), "VU"),
        with("s2|".into(), "VU"),
        with("s2|AAA|BBB".into(), "VU"),
        with(format!("s2||{}", date(-HOUR)), "VU"),
        with("s2|!!!!!|?????".into(), "VU"),
        with(format!("s3|{}|{}", date(-MINUTE), date(-HOUR)), "II"),
        with(format!("|{}|{}", date(-MINUTE), date(-HOUR)), "II"),
        with(String::new(), "II"),
    ];
    let keys = "pool.*.cookie = SRV\npool.*.cookie.maxidle = 5m\npool.*.cookie.maxlife = 8h\n";
    alike("    cookie SRV insert indirect nocache maxidle 5m maxlife 8h\n", keys, false, &cases);
}

#[test]
fn one_date_or_none() {
    let with = |value: String, letters| case(format!("Cookie: SRV={value}\r\n"), letters);
    let old = || format!("s1|{}|{}", date(-6 * MINUTE), date(-9 * HOUR));
    let idle = [case("", "NI"), with(old(), "EI"), with(format!("s1|{}|{}", date(0), date(-9 * HOUR)), "VU")];
    let keys = "pool.*.cookie = SRV\npool.*.cookie.maxidle = 5m\n";
    alike("    cookie SRV insert indirect nocache maxidle 5m\n", keys, false, &idle);
    let life = [case("", "NI"), with(old(), "OI"), with(format!("s1|{}|{}", date(-HOUR), date(-HOUR)), "VU")];
    let keys = "pool.*.cookie = SRV\npool.*.cookie.maxlife = 8h\n";
    alike("    cookie SRV insert indirect nocache maxlife 8h\n", keys, false, &life);
    // Where no cookie should have dates, those of before are taken away.
    let none = [case("", "NI"), with(old(), "VU"), with("s1".into(), "VN"), with("s1|x".into(), "VN")];
    alike("    cookie SRV insert indirect nocache\n", "pool.*.cookie = SRV\n", false, &none);
}

#[test]
fn what_backends_set_themselves() {
    let known = "Cookie: SRV=s1\r\n";
    let set = "X-Set: SRV=mine; path=/x\r\nX-Set: a=SRV\r\n";
    let cases = |letters: [&'static str; 4]| {
        let lines = [String::new(), known.to_owned(), set.to_owned(), format!("{known}{set}")];
        lines.into_iter().zip(letters).map(|(lines, letters)| case(lines, letters)).collect::<Vec<_>>()
    };
    alike("    cookie SRV insert indirect nocache\n", "pool.*.cookie = SRV\n", false, &cases(["NI", "VN", "NI", "VD"]));
    let keys = "pool.*.cookie = SRV\npool.*.cookie.preserve = yes\n";
    alike("    cookie SRV insert indirect nocache preserve\n", keys, false, &cases(["NI", "VN", "NP", "VP"]));
    let keys = "pool.*.cookie = SRV\npool.*.cookie.postonly = yes\n";
    let haproxy = "    cookie SRV insert indirect nocache postonly\n";
    alike(haproxy, keys, false, &cases(["NN", "VN", "ND", "VD"]));
    alike(haproxy, keys, true, &cases(["NI", "VN", "NI", "VD"]));
}

#[test]
fn nothing_is_set_in_an_answer_of_its_own() {
    let broken = Backend::scripted(vec![Step::Send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n".to_vec(),
    )]);
    let haproxy = haproxy(&[&broken], "    cookie SRV insert indirect nocache\n");
    let beelance = Beelance::before(&[&broken], "pool.*.cookie = SRV\n");
    for proxy in [haproxy.address(), beelance.web()] {
        let response = Client::connect(proxy).get("/broken");
        assert_eq!((response.status, response.header("set-cookie")), (502, None));
    }
    assert_eq!((haproxy.state("pool"), beelance.access_to("/broken").state), ("PHNN".to_owned(), "PHNN".to_owned()));
}

#[test]
fn prefix() {
    let cases = [
        case("", "NN"),
        case("X-Set: SID=abc; path=/; HttpOnly\r\n", "NR"),
        case("X-Set: b=1\r\nX-Set: SID=\"a~b\"\r\nX-Set: SIDE=SID=x\r\nX-Set: SID=; Max-Age=0\r\n", "NR"),
        case("Cookie: SID=s1~abc\r\n", "VN"),
        case("Cookie: a=1; SID=s2~a~b; SIDE=s1~x\r\nX-Set: SID=new\r\n", "VR"),
        case("Cookie: SID=s3~abc\r\n", "IN"),
        case("Cookie: SID=abc\r\n", "IN"),
        case("Cookie: SID=s2\r\n", "VN"),
        case("Cookie: SID=s2~\r\n", "VN"),
        case("Cookie: SID=~abc\r\n", "IN"),
        case("Cookie: sid=s1~abc\r\n", "NN"),
    ];
    alike("    cookie SID prefix\n", "pool.*.cookie = SID\npool.*.cookie.mode = prefix\n", false, &cases);
}

#[test]
fn dynamic() {
    let backends = ["s1", "s2", "s3"].map(backend);
    let backends = backends.each_ref();
    let haproxy = haproxy(&backends, "    cookie SRV insert indirect dynamic\n    dynamic-cookie-key a-secret\n");
    // The names are others; addresses and secret are the same.
    let mut config = "listen.web = 127.0.0.1:0\nlog.access = stderr\npool.*.cookie = SRV\n".to_owned();
    config += "pool.*.cookie.dynamic-key = a-secret\nbackend.*.pool = default\n";
    for (name, backend) in ["x", "y", "z"].iter().zip(backends) {
        config += &format!("backend.{name} = {}\n", backend.address());
    }
    let beelance = Beelance::start(&config);
    for _ in 0..3 {
        for (one, other) in [(haproxy.address(), beelance.web()), (beelance.web(), haproxy.address())] {
            let given = Client::connect(one).get("/");
            let cookie = given.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
            let found = Client::connect(other).get_with("/", &format!("Cookie: {cookie}\r\n"));
            assert_eq!(found.header("x-name"), given.header("x-name"), "{cookie}");
            assert!(found.all("set-cookie").is_empty(), "{cookie}: {:?}", found.head);
        }
    }
}

#[test]
fn dates_pass_back_and_forth() {
    let backends = ["s1", "s2"].map(backend);
    let backends = backends.each_ref();
    let haproxy = haproxy(&backends, "    cookie SRV insert indirect nocache maxidle 1m maxlife 2m\n");
    let keys = "pool.*.cookie = SRV\npool.*.cookie.maxidle = 1m\npool.*.cookie.maxlife = 2m\n";
    let beelance = Beelance::before(&backends, keys);
    let (first, mut cookie) = {
        let given = Client::connect(haproxy.address()).get("/");
        let cookie = given.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        (given.header("x-name").unwrap().to_owned(), cookie)
    };
    let began = cookie.rsplit('|').next().unwrap().to_owned();
    for proxy in [beelance.web(), haproxy.address()] {
        // Until the step of four seconds is over, nobody gives it anew.
        common::eventually("the cookie is given anew", || {
            let response = Client::connect(proxy).get_with("/", &format!("Cookie: {cookie}\r\n"));
            assert_eq!(response.header("x-name"), Some(&*first), "{cookie}");
            cookie = response.header("set-cookie")?.split(';').next().unwrap().to_owned();
            Some(())
        });
        assert!(cookie.ends_with(&format!("|{began}")), "{cookie} began at {began}");
    }
}
