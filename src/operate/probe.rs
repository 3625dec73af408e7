//! Probes: one task per backend that is checked, on async-io, with HAProxy's intervals.

use crate::balance::{Health, Interval};
use crate::config::{Check, CheckKind, Expect};
use crate::limits::BackendId;
use crate::proxy::Proxy;
use async_io::{Async, Timer};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of a response that a probe looks at.
const MAX_RESPONSE: usize = 16 * 1024;

/// Why a probe failed, in HAProxy's words.
type Why = String;

/// Probes one backend for as long as the process lives. `wait` is how long its first probe waits, so that the probes of
/// all backends are spread.
pub(super) async fn watch(proxy: &'static Proxy, id: BackendId, check: &'static Check, wait: Duration) {
    let Some(address) = proxy.address(id) else { return };
    let mut health = Health::new(check.rise, check.fall);
    Timer::after(wait).await;
    while !proxy.is_stopping() {
        let result = probe(address, check).await;
        if let Err(why) = &result {
            log::debug!("probe of {}: {why}", name(proxy, id));
        }
        if health.probed(result.is_ok()) {
            proxy.set_up(id, health.is_up());
            tell(proxy, id, health.is_up(), result.err().as_deref());
        }
        let wait_ms = match health.interval() {
            Interval::Normal => check.inter_ms,
            Interval::Fast => check.fastinter_ms,
            Interval::Down => check.downinter_ms,
        };
        Timer::after(Duration::from_millis(wait_ms)).await;
    }
}

fn name(proxy: &Proxy, id: BackendId) -> String {
    let backend = &proxy.config.backends[id.index()];
    format!("{}/{}", proxy.config.pools[backend.pool.index()].name, backend.name)
}

/// One line for a change of state, in the words people search for.
fn tell(proxy: &Proxy, id: BackendId, up: bool, why: Option<&str>) {
    let pool = proxy.config.backends[id.index()].pool;
    let (active, backup) = proxy.balancer.borrow().usable(pool);
    let state = if up { "UP" } else { "DOWN" };
    let reason = why.map(|why| format!(", reason: {why}")).unwrap_or_default();
    let left = format!("{active} active and {backup} backup servers left");
    log::warn!("Server {} is {state}{reason}. {left}.", name(proxy, id));
    if active + backup == 0 {
        log::error!("pool {} has no server available!", proxy.config.pools[pool.index()].name);
    }
}

/// One probe, within its timeout.
async fn probe(address: SocketAddr, check: &Check) -> Result<(), Why> {
    let within = Duration::from_millis(check.timeout_ms);
    let work = async {
        let connected = Async::<TcpStream>::connect(address).await;
        let mut stream = connected.map_err(|error| format!("Layer4 connection problem, info: \"{error}\""))?;
        match &check.kind {
            CheckKind::Tcp => Ok(()),
            CheckKind::Http { method, uri, host, expect } => {
                let response = ask(&mut stream, method, uri, host.as_deref()).await;
                let response = response.map_err(|error| format!("Layer7 invalid response, info: \"{error}\""))?;
                judge(&response, expect)
            }
        }
    };
    let late = async {
        Timer::after(within).await;
        Err(format!("timeout, check duration: {}ms", within.as_millis()))
    };
    or(work, late).await
}

/// Sends the request and reads the response, no further than [`MAX_RESPONSE`].
async fn ask(stream: &mut Async<TcpStream>, method: &str, uri: &str, host: Option<&str>) -> io::Result<Vec<u8>> {
    let request = match host {
        Some(host) => format!("{method} {uri} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        None => format!("{method} {uri} HTTP/1.0\r\n\r\n"),
    };
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE as u64).read_to_end(&mut response).await?;
    Ok(response)
}

/// Whether a response is what was expected.
fn judge(response: &[u8], expect: &Expect) -> Result<(), Why> {
    let mut fields = [httparse::EMPTY_HEADER; crate::limits::MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = head.parse(response).map_err(|error| format!("Layer7 invalid response, info: \"{error}\""))?;
    let httparse::Status::Complete(length) = parsed else {
        return Err("Layer7 invalid response, info: \"incomplete\"".into());
    };
    let status = head.code.unwrap_or(0);
    let good = match expect {
        Expect::Status(ranges) => ranges.iter().any(|&(low, high)| (low..=high).contains(&status)),
        Expect::Text(text) => response[length..].windows(text.len().max(1)).any(|part| part == text.as_bytes()),
    };
    match (good, expect) {
        (true, _) => Ok(()),
        (false, Expect::Status(_)) => Err(format!("Layer7 wrong status, code: {status}")),
        (false, Expect::Text(_)) => Err(format!("Layer7 wrong content, code: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judging() {
        let status = Expect::Status(vec![(200, 399), (404, 404)]);
        let text = Expect::Text("ready".into());
        let cases: [(&str, &Expect, bool); 9] = [
            ("HTTP/1.1 200 OK\r\n\r\n", &status, true),
            ("HTTP/1.0 399 \r\n\r\n", &status, true),
            ("HTTP/1.1 404 No\r\n\r\n", &status, true),
            ("HTTP/1.1 503 No\r\n\r\n", &status, false),
            ("HTTP/1.1 200 OK\r\n", &status, false),
            ("hello", &status, false),
            ("HTTP/1.1 200 OK\r\n\r\nall ready now", &text, true),
            ("HTTP/1.1 200 OK\r\nX: ready\r\n\r\nno", &text, false),
            ("", &text, false),
        ];
        for (response, expect, good) in cases {
            assert_eq!(judge(response.as_bytes(), expect).is_ok(), good, "{response:?}");
        }
    }
}
