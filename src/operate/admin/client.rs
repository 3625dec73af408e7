//! The story of a client at the admin listener: read a head, guard, answer, again.

use super::answer::{Asked, Reply, Way};
use super::out::{Gone, Out};
use super::serve::{Desk, Room, Visit};
use super::{Level, answer, guard};
use crate::http::body::Framing;
use crate::http::fields::{Cuts, Fields};
use crate::http::request::{self, Refusal, Version};
use crate::http::scan::{HeadScan, Scanned, leading_empty_lines};
use crate::limits::{ADMIN_HEAD_MS, ADMIN_REPLY_MS, MAX_HEADERS};
use crate::proxy::About;
use crate::runtime::{Received, Seat, Stream};
use std::net::SocketAddr;

/// Milliseconds that a wrong token costs whoever tries it.
const WRONG_TOKEN_MS: u64 = 500;

/// Serves one client until it leaves, is silent, or has to make room.
pub(super) async fn serve(desk: &'static Desk, mut visit: Visit, seat: Seat, stream: Stream, peer: Option<SocketAddr>) {
    let Some(mut room) = visit.room.take() else { return };
    let (mut filled, mut is_first) = (0, true);
    loop {
        visit.wait(true);
        // Also who has sent the next request already makes room for others; the first, if it is there, is heard.
        seat.next_turn().await;
        if visit.is_over() && !is_first {
            break;
        }
        is_first = false;
        let length = read_head(desk, &visit, &seat, &stream, &mut room.input, &mut filled).await;
        let Room { input, output } = &mut room;
        let deadline_ms = desk.proxy.reactor.now_ms() + ADMIN_REPLY_MS;
        let mut out = Out::new(output, &visit, &stream, &seat, deadline_ms);
        let length = match length {
            Ok(length) => length,
            Err(Some(refusal)) => {
                let _ = answer::refuse(&mut out, Reply::of(refusal.status, refusal.reason), false).await;
                finish(&visit, &seat, &stream, desk.proxy.reactor.now_ms()).await;
                break;
            }
            Err(None) => break,
        };
        let judged = judge(desk, &input[..length]);
        if let Ok(Way::Refused(Reply { status: 401, .. })) = judged.as_ref().map(|asked| asked.way) {
            if desk.proxy.may_tell(About::TOKENS) {
                log::warn!("admin listener: wrong token from {}", answer::who(peer));
            }
            // It still makes room for others.
            let until_ms = desk.proxy.reactor.now_ms() + WRONG_TOKEN_MS;
            let _ = seat.until(until_ms, || visit.is_over().then_some(())).await;
        }
        visit.wait(false);
        let keep = match judged {
            Ok(mut asked) => {
                asked.keep &= !visit.is_over();
                let keep = asked.keep;
                answer::answer(desk, &mut out, &asked, peer).await.map(|()| keep)
            }
            Err(refusal) => {
                answer::refuse(&mut out, Reply::of(refusal.status, refusal.reason), false).await.map(|()| false)
            }
        };
        match keep {
            Ok(true) => {}
            Ok(false) => {
                finish(&visit, &seat, &stream, desk.proxy.reactor.now_ms()).await;
                break;
            }
            Err(Gone) => break,
        }
        input.copy_within(length..filled, 0);
        filled -= length;
    }
    visit.room = Some(room);
}

/// Reads until a head is there; how long it is. `filled` bytes of `input` are in use.
///
/// # Errors
/// What to refuse it with; nothing when nobody waits for an answer.
async fn read_head(
    desk: &Desk,
    visit: &Visit,
    seat: &Seat,
    stream: &Stream,
    input: &mut [u8],
    filled: &mut usize,
) -> Result<usize, Option<Refusal>> {
    let deadline_ms = desk.proxy.reactor.now_ms() + ADMIN_HEAD_MS;
    let mut scan = HeadScan::default();
    let mut emptied = 0;
    loop {
        let refused = |status, reason| Err(Some(Refusal { status, reason }));
        let empty = leading_empty_lines(&input[..*filled]);
        if empty > 0 {
            input.copy_within(empty..*filled, 0);
            *filled -= empty;
            scan = HeadScan::default();
            emptied += empty;
            if emptied >= input.len() {
                return refused(400, "too many empty lines before the request");
            }
        }
        match scan.scan(&input[..*filled]) {
            Scanned::Complete(length) => return Ok(length),
            Scanned::BareLf => return refused(400, "a line ends without CR"),
            Scanned::BareCr => return refused(400, "bare CR in the head"),
            Scanned::Incomplete if *filled == input.len() => return refused(431, "the head is too long"),
            Scanned::Incomplete => {}
        }
        match stream.receive(&mut input[*filled..]) {
            Ok(Received::Bytes(count)) => *filled += count,
            Ok(Received::End) | Err(_) => return Err(None),
            Ok(Received::Dry) => {
                let wait = seat.until(deadline_ms, || match stream.readable() {
                    true => Some(true),
                    false => visit.is_over().then_some(false),
                });
                match wait.await {
                    Ok(true) => {}
                    Ok(false) => return Err(None),
                    Err(_) if *filled == 0 => return Err(None),
                    Err(_) => return refused(408, "the head did not come in time"),
                }
            }
        }
    }
}

/// What a head asks for, and whether that may be.
fn judge<'b>(desk: &Desk, head: &'b [u8]) -> Result<Asked<'b>, Refusal> {
    let mut fields = Fields::new();
    // What a proxy would cut from it is nobody's here.
    let mut cuts = Cuts::default();
    let parsed = request::parse(head, MAX_HEADERS, &mut fields, &mut cuts)?;
    if !matches!(parsed.framing, Framing::None | Framing::Length(0)) {
        return Err(Refusal { status: 413, reason: "nothing here takes a body" });
    }
    let config = desk.proxy.config();
    let Some(settings) = &config.admin else {
        return Err(Refusal { status: 503, reason: "admin.listen was taken out of the configuration" });
    };
    let level = guard::level(settings, parsed.fields);
    let mut asked = Asked {
        method: parsed.method,
        path: parsed.path,
        query: parsed.query,
        level: level.unwrap_or(Level::User),
        chunks: parsed.version == Version::Http11,
        // What cannot be told from the next request without chunks ends with the connection.
        keep: parsed.keep_alive && parsed.version == Version::Http11,
        way: Way::Healthy,
    };
    asked.way = answer::way(&asked);
    if matches!(asked.way, Way::Healthy | Way::Ready) {
        return Ok(asked);
    }
    let origin = guard::only(parsed.fields, "origin");
    let has_origin = parsed.fields.iter().any(|field| field.name.eq_ignore_ascii_case(b"origin"));
    let refusal = if !guard::knows(settings, &desk.host, parsed.host) {
        Some(Reply::of(421, "this name is not known: ask by an address, or add the name to admin.host"))
    } else if level.is_none() {
        Some(Reply::of(401, guard::unless_none_is_set(Some(settings), "the token is wrong")))
    } else if has_origin && !guard::is_own(origin.or(Some(b"")), parsed.host) {
        Some(Reply::of(403, "this was asked by a page from elsewhere"))
    } else {
        None
    };
    if let Some(reply) = refusal {
        asked.way = Way::Refused(reply);
    }
    Ok(asked)
}

/// Closes the sending side and throws away what still comes, for a moment or until somebody needs the place: a close with
/// unread bytes would take the reply with it.
async fn finish(visit: &Visit, seat: &Seat, stream: &Stream, now_ms: u64) {
    const LINGER_MS: u64 = 1_000;
    const READS: usize = 16;
    stream.finish_sending();
    visit.wait(true);
    let mut space = [0; 512];
    for _ in 0..READS {
        match stream.receive(&mut space) {
            Ok(Received::Bytes(_)) => {}
            Ok(Received::End) | Err(_) => return,
            Ok(Received::Dry) => {
                let ready = || (stream.readable() || stream.hung_up() || visit.is_over()).then_some(());
                if seat.until(now_ms + LINGER_MS, ready).await.is_err() || visit.is_over() {
                    return;
                }
            }
        }
    }
}
