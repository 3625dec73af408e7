//! Agents: one task per backend whose pool asks for it. It connects, reads one line, and does what the line says.
//!
//! An agent that cannot be reached, or says nothing, changes nothing: whether the service can be reached is what probes
//! find out. Only the agent takes back what it said.

use super::probe::{patience, plain, reason};
use crate::balance::{Authority, Report};
use crate::config::Agent;
use crate::limits::BackendId;
use crate::proxy::{Finding, Proxy};
use async_io::{Async, Timer};
use futures_lite::AsyncReadExt;
use futures_lite::future::or;
use std::cell::Cell;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of a line.
const MAX_LINE: usize = 1024;

/// Asks the agent of one backend for as long as the process lives. `wait` is how long the first question waits.
pub(super) async fn listen_to(proxy: &'static Proxy, id: BackendId, agent: Agent, wait: Duration) {
    if proxy.config().backends[id.index()].path.is_some() {
        return;
    }
    Timer::after(wait).await;
    loop {
        proxy.placed(id).await;
        if proxy.agent_rests(id) {
            Timer::after(Duration::from_millis(agent.inter_ms)).await;
            continue;
        }
        let Some(ip) = proxy.ip(id) else { continue };
        let (address, asked) = (SocketAddr::new(ip, agent.port), proxy.era(id));
        let (connected, began_ms) = (Cell::new(false), proxy.reactor.now_ms());
        let late = async {
            patience(Duration::from_millis(agent.timeout_ms)).await;
            Err((if connected.get() { Finding::Silent } else { Finding::ConnectTimeout }, String::new()))
        };
        let said = or(ask(address, &connected), late).await;
        // What an agent says is of its own server, that of who is there now is asked at once; or nobody asks any more.
        if asked != proxy.era(id) || proxy.agent_rests(id) {
            continue;
        }
        let took_ms = proxy.reactor.now_ms().saturating_sub(began_ms);
        let (finding, words) = match said {
            Ok(line) => obey(proxy, id, &line, took_ms),
            Err((finding, words)) => {
                log::debug!("agent of {}: {}: {words}", proxy.name(id), finding.words());
                (finding, words)
            }
        };
        proxy.answered(id, finding, took_ms, &words);
        Timer::after(Duration::from_millis(agent.inter_ms)).await;
    }
}

/// What comes until the end of the line; or what went wrong. `connected` is set when it stands.
async fn ask(address: SocketAddr, connected: &Cell<bool>) -> Result<String, (Finding, String)> {
    let stream = Async::<TcpStream>::connect(address).await;
    let mut stream = stream.map_err(|error| (Finding::NotConnected, plain(&error)))?;
    connected.set(true);
    let malformed = |info: String| (Finding::Malformed, info);
    let mut line = [0; MAX_LINE];
    let mut length = 0;
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
    while length < MAX_LINE && !line[..length].iter().any(ends) {
        match stream.read(&mut line[length..]).await.map_err(|error| malformed(plain(&error)))? {
            0 => break,
            count => length += count,
        }
    }
    if length == 0 {
        return Err(malformed("an empty answer".to_owned()));
    }
    let end = line[..length].iter().position(ends);
    let is_whole = end.is_some_and(|end| line[end] != 0);
    let line = String::from_utf8_lossy(&line[..end.unwrap_or(length)]).into_owned();
    // Half an order is another order. Of a description the beginning will do.
    if !is_whole && (length < MAX_LINE || Report::parse(&line).description.is_empty()) {
        return Err((Finding::Silent, "Ignoring incomplete line from agent".to_owned()));
    }
    Ok(line)
}

/// Does what a line says. Orders come before the verdict, as HAProxy takes them. Tells what it was, in HAProxy's words.
fn obey(proxy: &Proxy, id: BackendId, line: &str, took_ms: u64) -> (Finding, String) {
    let report = Report::parse(line);
    if let Some(word) = report.unknown {
        log::debug!("agent of {}: what is {word:?}?", proxy.name(id));
    }
    if let Some(admin) = report.admin {
        proxy.set_admin(id, Authority::Agent, admin);
    }
    let weight = report.weight.map(|weight| weight.of(proxy.config().backends[id.index()].weight));
    if weight.is_some() || report.maxconn.is_some() {
        proxy.heed(id, weight, report.maxconn);
    }
    let Some(up) = report.up else {
        let said = report.unknown.map(|word| format!("agent reports an error : {word}"));
        return (Finding::Unchanged, said.unwrap_or_default());
    };
    let why = report.unknown.unwrap_or(report.description);
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    let (finding, words) =
        (if up { Finding::Good } else { Finding::Wrong }, format!("via agent : {}{why}", report.word));
    // HAProxy's code of an answer that it understood.
    proxy.set_agent_up(id, up, &reason(finding, Some(0), &words, took_ms));
    (finding, words)
}
