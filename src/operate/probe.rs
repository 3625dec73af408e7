//! Probes: one task per backend that is checked, on async-io, with HAProxy's intervals.

use super::text::HEX;
use crate::balance::{Health, Interval};
use crate::config::{Check, CheckKind, Expect};
use crate::http::proxy_protocol::ProxyVersion;
use crate::limits::BackendId;
use crate::proxy::{Checked, Finding, Proxy};
use crate::runtime::{Endpoint, connect_unix, is_exhaustion};
use async_io::{Async, Timer};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use nix::errno::Errno;
use std::cell::Cell;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// Bytes of a response that a probe looks at.
const MAX_RESPONSE: usize = 16 * 1024;

/// What a probe found out.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// With this status, if it has one.
    Healthy(u16),
    /// It is not.
    Ill(Why),
    /// The probe could not be made, for want of descriptors or memory here: that says nothing about the backend.
    Unknown(Why),
}

/// What is wrong, and what is to be said of it beside: HAProxy's `info`.
#[derive(Debug, PartialEq, Eq)]
struct Why {
    finding: Finding,
    status: u16,
    info: String,
}

impl Why {
    fn new(finding: Finding, status: u16, info: impl Into<String>) -> Self {
        Self { finding, status, info: info.into() }
    }

    fn malformed(info: &str) -> Self {
        Self::new(Finding::Malformed, 0, info)
    }

    fn words(&self, duration_ms: u64) -> String {
        reason(self.finding, Some(self.status).filter(|&status| status != 0), &self.info, duration_ms)
    }
}

/// Why a server is as it is, in HAProxy's words: what was found, with which code, what was said, and how long that took.
pub(super) fn reason(finding: Finding, code: Option<u16>, info: &str, duration_ms: u64) -> String {
    let mut words = finding.words().to_owned();
    if let Some(code) = code {
        words += &format!(", code: {code}");
    }
    if !info.is_empty() {
        words += &format!(", info: \"{}\"", beginning(info));
    }
    words + &format!(", check duration: {duration_ms}ms")
}

/// What the system says of an error, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let known = error.raw_os_error().map(|number| Errno::from_raw(number).desc().to_owned());
    known.unwrap_or_else(|| error.to_string())
}

/// Bytes of what a peer said that a line of the log takes (HAProxy `HCHK_DESC_LEN`).
const MAX_WORDS: usize = 127;

/// The beginning of what a peer said, for a line of the log: as HAProxy writes it, so that nothing in it ends the quotes.
fn beginning(said: &str) -> String {
    let mut words = String::new();
    for byte in said.bytes().take(MAX_WORDS) {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'<' | b'>') {
            words.push(byte.into());
        } else {
            let digit = |half: u8| char::from(HEX[usize::from(half)]);
            words.extend(['<', digit(byte >> 4), digit(byte & 15), '>']);
        }
    }
    words
}

impl Outcome {
    /// What it is called in statistics.
    fn finding(&self, kind: &CheckKind) -> (Finding, u16) {
        match (self, kind) {
            (Self::Healthy(_), CheckKind::Tcp) => (Finding::Connected, 0),
            (Self::Healthy(status), CheckKind::Http { .. }) => (Finding::Good, *status),
            (Self::Ill(why), _) => (why.finding, why.status),
            (Self::Unknown(_), _) => (Finding::SocketError, 0),
        }
    }
}

/// Probes one backend for as long as the process lives. `wait` is how long its first probe waits, so that the probes of
/// all backends are spread.
pub(super) async fn watch(proxy: &'static Proxy, id: BackendId, check: Check, wait: Duration) {
    let begin = || if proxy.is_probed_up(id) { Health::new } else { Health::down }(check.rise, check.fall);
    let mut health = begin();
    let mut rested = None;
    let is_slot = proxy.config().backends[id.index()].slots.is_some();
    let mut era = proxy.era(id);
    Timer::after(wait).await;
    loop {
        proxy.placed(id).await;
        if proxy.probes_rest(id) {
            Timer::after(Duration::from_millis(check.inter_ms)).await;
            continue;
        }
        let config = proxy.config();
        if let Some(endpoint) = proxy.address(&config, id).filter(|_| !proxy.rests(id)) {
            // Another server took the slot, or the same one again.
            if is_slot && era != proxy.era(id) {
                era = proxy.era(id);
                rested = Some("its IP is back");
            }
            if let Some(why) = rested.take() {
                // Back from maintenance: up, and the first probe decides.
                health = Health::new(check.rise, check.fall);
                proxy.set_up(id, true, why);
            }
            let hello = config.backends[id.index()].send_proxy.map(ProxyVersion::local);
            let asked = proxy.era(id);
            let began_ms = proxy.reactor.now_ms();
            let outcome = probe(endpoint, &check, hello.as_deref().unwrap_or_default()).await;
            // What was found out is another server's, who is there now is probed at once; or nobody asks any more.
            if asked != proxy.era(id) || proxy.probes_rest(id) {
                continue;
            }
            let healthy = match &outcome {
                Outcome::Healthy(_) => Some(true),
                Outcome::Ill(_) => Some(false),
                Outcome::Unknown(_) => None,
            };
            let duration_ms = proxy.reactor.now_ms().saturating_sub(began_ms);
            let (reason, info) = match &outcome {
                Outcome::Ill(why) | Outcome::Unknown(why) => (why.words(duration_ms), why.info.as_str()),
                Outcome::Healthy(_) => (String::new(), ""),
            };
            if !reason.is_empty() {
                log::debug!("probe of {}: {reason}", proxy.name(id));
            }
            let (finding, status) = outcome.finding(&check.kind);
            // An operator said otherwise meanwhile: it rises, or falls, from there (HAProxy's `set server health`).
            if health.is_up() != proxy.is_probed_up(id) {
                health = begin();
            }
            let changed = healthy.is_some_and(|healthy| health.probed(healthy));
            proxy.checked(id, Checked { finding, status, duration_ms, level: health.level() }, info);
            if changed {
                proxy.set_up(id, health.is_up(), &reason);
            }
            if healthy == Some(true) {
                proxy.probed_well(id);
            }
        } else {
            rested = Some("back from MAINT");
        }
        drop(config);
        let wait_ms = match health.interval() {
            Interval::Normal => check.inter_ms,
            Interval::Fast => check.fastinter_ms,
            Interval::Down => check.downinter_ms,
        };
        Timer::after(Duration::from_millis(wait_ms)).await;
    }
}

/// One probe, within its timeout. `hello` is what every connection to the backend begins with.
async fn probe(endpoint: Endpoint<'_>, check: &Check, hello: &[u8]) -> Outcome {
    let within = Duration::from_millis(check.timeout_ms);
    let connected = Cell::new(false);
    let work = async {
        let problem = |error: io::Error| Why::new(Finding::NotConnected, 0, plain(&error));
        let mut stream = match connect(endpoint).await {
            Ok(stream) => stream,
            Err(error) if is_exhaustion(&error) => return Outcome::Unknown(problem(error)),
            Err(error) => return Outcome::Ill(problem(error)),
        };
        connected.set(true);
        if let Err(error) = stream.write_all(hello).await {
            return Outcome::Ill(problem(error));
        }
        match &check.kind {
            CheckKind::Tcp => Outcome::Healthy(0),
            CheckKind::Http { method, uri, host, expect } => {
                match ask(&mut stream, method, uri, host.as_deref(), expect).await {
                    Ok(status) => Outcome::Healthy(status),
                    Err(why) => Outcome::Ill(why),
                }
            }
        }
    };
    let late = async {
        patience(within).await;
        let finding = if connected.get() { Finding::Silent } else { Finding::ConnectTimeout };
        Outcome::Ill(Why::new(finding, 0, ""))
    };
    or(work, late).await
}

async fn connect(endpoint: Endpoint<'_>) -> io::Result<Async<TcpStream>> {
    match endpoint {
        Endpoint::Inet(address) => Async::<TcpStream>::connect(address).await,
        // Where its backlog is full there is nothing to wait for: async-io would take that for a connection. What is asked
        // of it is asked of its descriptor, whatever the family; a type of its own would be all of this once more.
        Endpoint::Unix(path) => Async::new_nonblocking(TcpStream::from(connect_unix(path)?)),
    }
}

/// Steps in which a timeout passes.
const STEPS: u32 = 10;

/// Lets so much time pass in which the loop could have seen an answer. While it is busy with something else, an answer may
/// lie there unseen, and the next question is not even asked; so time passes in steps, and one that took much longer than
/// it should counts as one. Before each step ends, what has come is looked at.
pub(super) async fn patience(within: Duration) {
    for _ in 0..STEPS {
        Timer::after(within / STEPS).await;
    }
}

/// Sends the request, and reads the response until it can be judged, no further than [`MAX_RESPONSE`].
async fn ask(
    stream: &mut Async<TcpStream>,
    method: &str,
    uri: &str,
    host: Option<&str>,
    expect: &Expect,
) -> Result<u16, Why> {
    let request = match host {
        Some(host) => format!("{method} {uri} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        None => format!("{method} {uri} HTTP/1.0\r\n\r\n"),
    };
    stream.write_all(request.as_bytes()).await.map_err(|error| Why::malformed(&plain(&error)))?;
    let mut response = Vec::new();
    let mut piece = [0; 512];
    loop {
        let read = stream.read(&mut piece).await;
        let ended = matches!(read, Ok(0) | Err(_)) || response.len() >= MAX_RESPONSE;
        response.extend_from_slice(&piece[..*read.as_ref().unwrap_or(&0)]);
        match (judge(&response, expect, ended), read) {
            (Verdict::Open, Err(error)) => return Err(Why::malformed(&plain(&error))),
            (Verdict::Open, Ok(_)) if ended => return Err(Why::malformed("incomplete")),
            (Verdict::Open, Ok(_)) => {}
            (Verdict::Healthy(status), _) => return Ok(status),
            (Verdict::Ill(why), _) => return Err(why),
        }
    }
}

/// What a response, or its beginning, says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// With this status.
    Healthy(u16),
    Ill(Why),
    /// More of it is needed.
    Open,
}

/// Judges what has come of a response; `ended` when no more will come.
fn judge(response: &[u8], expect: &Expect, ended: bool) -> Verdict {
    let mut fields = [httparse::EMPTY_HEADER; crate::limits::MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(response) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Verdict::Open,
        Err(error) => return Verdict::Ill(Why::malformed(&error.to_string())),
    };
    let status = head.code.unwrap_or(0);
    match expect {
        Expect::Status(ranges) if ranges.iter().any(|&(low, high)| (low..=high).contains(&status)) => {
            Verdict::Healthy(status)
        }
        // Its own words, as far as they are plain.
        Expect::Status(_) => Verdict::Ill(Why::new(Finding::Wrong, status, head.reason.unwrap_or(""))),
        Expect::Text(text) => {
            let found = response[length..].windows(text.len().max(1)).any(|part| part == text.as_bytes());
            match (found, ended || is_whole(&head, response.len() - length)) {
                (true, _) => Verdict::Healthy(status),
                (false, true) if response.len() == length => {
                    Verdict::Ill(Why::malformed("HTTP content check could not find a response body"))
                }
                (false, true) => Verdict::Ill(Why::malformed("HTTP content check did not match")),
                (false, false) => Verdict::Open,
            }
        }
    }
}

/// Whether so many bytes are all of the body, as far as Content-Length tells.
fn is_whole(head: &httparse::Response<'_, '_>, body: usize) -> bool {
    let mut lengths = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
    length.is_some_and(|length: usize| body >= length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn judging() {
        let status = Expect::Status(vec![(200, 399), (404, 404)]);
        let text = Expect::Text("ready".into());
        // (response, expected, verdict on a beginning, verdict on all): Healthy, Ill, Open.
        let cases: [(&str, &Expect, &str); 11] = [
            ("HTTP/1.1 200 OK\r\n\r\n", &status, "HH"),
            ("HTTP/1.0 399 \r\n\r\n", &status, "HH"),
            ("HTTP/1.1 404 No\r\n\r\n", &status, "HH"),
            ("HTTP/1.1 503 No\r\n\r\n", &status, "II"),
            ("HTTP/1.1 200 OK\r\n", &status, "OO"),
            ("hello", &status, "II"),
            ("HTTP/1.1 200 OK\r\n\r\nall ready now", &text, "HH"),
            ("HTTP/1.1 200 OK\r\nX: ready\r\n\r\nno", &text, "OI"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", &text, "II"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nrea", &text, "OI"),
            ("", &text, "OO"),
        ];
        for (response, expect, verdicts) in cases {
            let letter = |ended| match judge(response.as_bytes(), expect, ended) {
                Verdict::Healthy(_) => 'H',
                Verdict::Ill(_) => 'I',
                Verdict::Open => 'O',
            };
            assert_eq!(String::from_iter([letter(false), letter(true)]), verdicts, "{response:?}");
        }
    }

    #[test]
    fn what_a_server_says_does_not_end_its_quotes_or_fill_a_line() {
        let ill = |said: &str| Why::new(Finding::Wrong, 503, said).words(0);
        let all = |words: &str| format!("Layer7 wrong status, code: 503, info: \"{words}\", check duration: 0ms");
        // As HAProxy 2.6 has it.
        let (said, told) = ("say \"hi\", check \\ duration: 5ms", "say <22>hi<22>, check \\ duration: 5ms");
        assert_eq!(ill(said), all(told));
        assert_eq!(ill("caf\u{e9} <b> tab\there"), all("caf<C3><A9> <3C>b<3E> tab<09>here"));
        assert_eq!(ill(&"y".repeat(3000)), all(&"y".repeat(127)));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the loop is to be busy")]
    fn a_busy_loop_blames_no_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            }
        });
        let kind = CheckKind::Http {
            method: "GET".into(),
            uri: "/".into(),
            host: None,
            expect: Expect::Status(vec![(200, 200)]),
        };
        let check = Check { kind, inter_ms: 50, fastinter_ms: 50, downinter_ms: 50, timeout_ms: 50, rise: 1, fall: 1 };
        let executor = smol::LocalExecutor::new();
        // What else the loop does takes longer than the timeout, every time.
        let busy = executor.spawn(async {
            loop {
                std::thread::sleep(Duration::from_millis(60));
                Timer::after(Duration::from_millis(1)).await;
            }
        });
        let outcome = async_io::block_on(executor.run(probe(Endpoint::Inet(address), &check, b"")));
        assert_eq!(outcome, Outcome::Healthy(200));
        drop(busy);
        // And who really does not answer is found out, although each step of the timeout is a long one.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let outcome = async_io::block_on(probe(Endpoint::Inet(silent.local_addr().unwrap()), &check, b""));
        let why = Why::new(Finding::Silent, 0, "");
        assert_eq!(why.words(50), "Layer7 timeout, check duration: 50ms");
        assert_eq!(outcome, Outcome::Ill(why));
    }
}
