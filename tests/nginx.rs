//! Real software on both sides: nginx behind, curl and wrk in front.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::nginx::Nginx;
use common::process::{Beelance, temporary};
use common::{assert_same, output, pattern, scale, tool};
use std::path::PathBuf;
use std::time::Duration;

fn before(servers: &[Nginx], more: &str) -> Beelance {
    let mut config = String::from("listen.web = 127.0.0.1:0\n");
    for (number, nginx) in servers.iter().enumerate() {
        config += &format!("backend.n{} = {}\n", number + 1, nginx.address);
    }
    Beelance::start(&(config + more))
}

/// What curl prints for these arguments (`-s`, errors shown) and a path.
#[track_caller]
fn curl(beelance: &Beelance, arguments: &[&str], path: &str) -> String {
    let url = format!("http://{}{path}", beelance.web());
    let output =
        output(tool("curl").args(["-sS", "--max-time", "60"]).args(arguments).arg(url), Duration::from_secs(60));
    assert_eq!(output.code, Some(0), "curl {arguments:?} {path}: {output:?}");
    output.stdout
}

struct File(PathBuf);

impl File {
    fn new(content: &[u8]) -> Self {
        let path = temporary("upload");
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn curl_sees_both_servers() {
    let servers = ["one", "two"].map(Nginx::start);
    let beelance = before(&servers, "");
    let seen: Vec<String> = (0..6).map(|_| curl(&beelance, &[], "/")).collect();
    for name in ["one\n", "two\n"] {
        assert!(seen.iter().any(|text| text == name), "{seen:?}");
    }
}

#[test]
fn curl_with_a_cookie_jar_stays() {
    let servers = ["one", "two"].map(Nginx::start);
    let beelance = before(&servers, "pool.*.cookie = SRV\npool.*.check.uri = /healthz\n");
    for _ in 0..4 {
        let jar = File::new(b"");
        let ask = || curl(&beelance, &["-b", jar.path(), "-c", jar.path()], "/");
        let home = ask();
        for _ in 0..scale(10) {
            assert_eq!(ask(), home);
        }
    }
}

#[test]
fn files_ranges_heads_and_conditions() {
    let servers = [Nginx::start("one")];
    let content = pattern(3_000_000);
    servers[0].file("large", &content);
    let beelance = before(&servers, "");
    assert_same("the file", curl(&beelance, &[], "/file/large").as_bytes(), &content);
    assert_same("in HTTP/1.0", curl(&beelance, &["--http1.0"], "/file/large").as_bytes(), &content);
    let part = curl(&beelance, &["-r", "1000000-1000099", "-D", "-"], "/file/large");
    let (head, body) = part.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert_same("the range", body.as_bytes(), &content[1_000_000..1_000_100]);
    let head = curl(&beelance, &["-I"], "/file/large");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.to_lowercase().contains("content-length: 3000000"), "{head}");
    let etag = head.lines().find_map(|line| line.to_lowercase().starts_with("etag:").then(|| &line[5..])).unwrap();
    let condition = format!("If-None-Match: {}", etag.trim());
    assert!(curl(&beelance, &["-H", &condition, "-D", "-"], "/file/large").starts_with("HTTP/1.1 304 "));
    let missing = curl(&beelance, &["-o", "/dev/null", "-w", "%{http_code}"], "/file/missing");
    assert_eq!(missing, "404");
    // Two transfers down one connection.
    let again = format!("http://{}/file/large", beelance.web());
    let connects = ["-I", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &again];
    let connects = curl(&beelance, &connects, "/file/large");
    assert_eq!(connects.trim(), "1 0");
}

#[test]
fn uploads() {
    let servers = [Nginx::start("one")];
    let beelance = before(&servers, "");
    for size in [0, 1, 16384, 1_000_000] {
        let content = pattern(size);
        let file = File::new(&content);
        let data = format!("@{}", file.path());
        let cases: [(&str, &[&str]); 4] = [
            ("by length", &["--data-binary", &data]),
            ("chunked", &["--data-binary", &data, "-H", "Transfer-Encoding: chunked"]),
            ("with 100-continue", &["--data-binary", &data, "-H", "Expect: 100-continue"]),
            ("PUT", &["-T", file.path()]),
        ];
        for (name, arguments) in cases {
            let echo = curl(&beelance, arguments, "/upload");
            assert_same(&format!("{size} bytes {name}"), echo.as_bytes(), &content);
        }
    }
}

/// What wrk counted: responses, those that were not 2xx or 3xx, socket errors.
#[derive(Debug)]
struct Counts {
    responses: u64,
    bad: u64,
    errors: String,
}

fn wrk(beelance: &Beelance, path: &str, seconds: u64) -> Counts {
    let url = format!("http://{}{path}", beelance.web());
    let arguments = ["-t", "1", "-c", "200", "-d", &format!("{seconds}s"), "--timeout", "60s"];
    let output = output(tool("wrk").args(arguments).arg(url), Duration::from_secs(seconds + 60));
    assert_eq!(output.code, Some(0), "{output:?}");
    let find = |what: &str| output.stdout.lines().find_map(|line| line.trim().strip_prefix(what).map(str::to_owned));
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or_else(|e| panic!("{text:?}: {e}: {}", output.stdout));
    let requests = output.stdout.lines().find(|line| line.contains(" requests in ")).expect("wrk's total");
    Counts {
        responses: number(requests.trim().split(' ').next().unwrap()),
        bad: find("Non-2xx or 3xx responses:").map_or(0, |text| number(&text)),
        errors: find("Socket errors:").unwrap_or_default(),
    }
}

#[test]
fn maxconn_keeps_servers_from_refusing() {
    let servers = ["one", "two", "three", "four"].map(Nginx::start);
    // A balancer that is emulated, or has little of the machine, is too slow to overload servers that take 20 ms.
    let path = "/slow";
    let limited = before(&servers, "backend.*.maxconn = 20\ntimeout.queue = 5m\ntimeout.server = 5m\n");
    let counts = wrk(&limited, path, 5);
    assert!(counts.responses > 200 && counts.bad == 0 && counts.errors.is_empty(), "with maxconn = 20: {counts:?}");
    let unlimited = before(&servers, "backend.*.maxconn = 0\n");
    let counts = wrk(&unlimited, path, 5);
    assert!(counts.bad > 0, "without maxconn the servers refuse: {counts:?}");
}
