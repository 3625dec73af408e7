//! What backends send and what clients get of it: tables of exact bytes, each with the RFC's section.
#![allow(unreachable_pub, reason = "what the tables share")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;
#[path = "responses/broken.rs"]
mod broken;
#[path = "responses/case.rs"]
mod case;
#[path = "responses/fields.rs"]
mod fields;
#[path = "responses/framing.rs"]
mod framing;
#[path = "responses/heads.rs"]
mod heads;
#[path = "responses/interim.rs"]
mod interim;
#[path = "responses/limits.rs"]
mod limits;

use case::{Case, Then, Wants};
use common::backend::{Backend, Request, Step, ok};
use common::client::{Framing, Response};
use common::process::Beelance;
use common::raw::{End, RawBackend};

/// Runs the cases one after the other, each in one piece and byte by byte, and fails with all that went wrong.
#[track_caller]
fn run(cases: &'static [Case]) {
    let backend = Backend::start(|request| {
        let (number, way) = place(request);
        let Some(case) = number.and_then(|number| cases.get(number)) else { return ok(b"next") };
        let bytes = case.reply.to_vec();
        let send = if way == "dribbled" { Step::Dribble(bytes) } else { Step::Send(bytes) };
        match case.then {
            Then::Stay => vec![send],
            Then::Close => vec![send, Step::Close],
            Then::Reset => vec![send, Step::Reset],
        }
    });
    let beelance = Beelance::before(&[&backend], "pool.*.retries = 0\ntimeout.server = 5m\n");
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        for way in ["whole", "dribbled"] {
            if way == "whole" || case.dribbles {
                let target = format!("/{number}/{way}");
                if let Err(what) = check(case, &target, &beelance, &backend) {
                    wrong.push(format!("{} (RFC {}), {way}: {what}", case.name, case.section));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The case's number and the way its bytes go, from `/NUMBER/WAY`.
fn place(request: &Request) -> (Option<usize>, &str) {
    let mut parts = request.target().split('/').skip(1);
    (parts.next().and_then(|number| number.parse().ok()), parts.next().unwrap_or_default())
}

fn check(case: &Case, target: &str, beelance: &Beelance, backend: &Backend) -> Result<(), String> {
    let mut client = beelance.connect();
    client.send(case.ask.replacen(" / ", &format!(" {target} "), 1));
    for expected in case.interim {
        let interim = client.any_response(false)?;
        same("an interim head", &interim.head, &format!("{expected}\r\n"))?;
    }
    let keeps = match case.wants {
        Wants::Whole(head, framing, body) => {
            let response = client.any_response(case.ask.starts_with("HEAD"))?;
            same("the head", &without_added_date(&response, case.reply), &format!("{head}\r\n"))?;
            same("the body", response.text(), body)?;
            // An empty body is none.
            if response.framing != framing {
                return Err(format!("framed as {:?} instead of {framing:?}", response.framing));
            }
            case.keeps
        }
        Wants::Refused => {
            let response = client.any_response(case.ask.starts_with("HEAD"))?;
            let sound =
                response.status == 502 && response.framing == Framing::Length && response.text().contains("502");
            if !sound {
                return Err(format!("not refused: {:?} {:?}", response.head, response.text()));
            }
            !response.says_close()
        }
        Wants::Cut(framing, most) => {
            let head = client.head_bytes();
            if head.starts_with("HTTP/1.1 502 ") {
                // Nothing was passed on yet: then a refusal is as good.
                let length = head.split_once("Content-Length: ").and_then(|(_, rest)| rest.split_once("\r\n"));
                client.exactly(length.unwrap().0.parse().unwrap());
                !head.contains("Connection: close")
            } else {
                let (raw, end) = client.rest();
                is_cut(&head, &String::from_utf8_lossy(&raw), end, framing, most)?;
                false
            }
        }
    };
    if !keeps {
        let (rest, _) = client.rest();
        same("what comes before the end", &String::from_utf8_lossy(&rest), "")?;
        client = beelance.connect();
    }
    let next = format!("/next{target}");
    client.ask("GET", &next, "");
    let response = client.any_response(false).map_err(|e| format!("the next response: {e}"))?;
    same("the next response", response.text(), "next")?;
    let requests = backend.requests();
    let connection = |target: &str| requests.iter().rfind(|request| request.target() == target).map(|r| r.connection);
    let reused = connection(target) == connection(&next);
    if reused != case.reuses {
        return Err(format!("the backend's connection: reused is {reused}"));
    }
    let line = beelance.access_to(target);
    let refused = matches!(case.wants, Wants::Cut(..)) && line.status == 502;
    let state = if refused { case.state.replace('D', "H") } else { case.state.to_owned() };
    same("the termination state", &line.state, &state)
}

/// Fails unless what came shows that it is not all.
fn is_cut(head: &str, body: &str, end: End, framing: Framing, most: &str) -> Result<(), String> {
    if !head.starts_with("HTTP/1.1 200 OK\r\n") {
        return Err(format!("another head: {head:?}"));
    }
    let says = |field: &str| head.to_ascii_lowercase().contains(field);
    let sound = match framing {
        Framing::Chunked => says("transfer-encoding: chunked") && !body.ends_with("0\r\n\r\n"),
        Framing::Length => says("content-length: ") && most.starts_with(body),
        // Only the kind of the end can tell.
        Framing::Close => !says("content-length: ") && !says("chunked") && most.starts_with(body) && end == End::Reset,
        Framing::None => false,
    };
    if sound { Ok(()) } else { Err(format!("cut as {framing:?} is wanted: {head:?} {body:?}, {end:?}")) }
}

fn same(what: &str, got: &str, wanted: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:?} instead of {wanted:?}")) }
}

/// The head without the Date line that beelance added, when the backend sent none.
fn without_added_date(response: &Response, reply: &[u8]) -> String {
    if String::from_utf8_lossy(reply).to_ascii_lowercase().contains("\r\ndate:") {
        return response.head.clone();
    }
    response.head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

#[test]
fn each_body_ends_where_it_says() {
    run(framing::CASES);
}

#[test]
fn a_body_that_ends_early_is_never_made_whole() {
    run(broken::BODIES);
}

#[test]
fn a_head_that_is_wrong_is_502() {
    run(heads::CASES);
}

#[test]
fn a_wrong_length_or_coding_is_502() {
    run(broken::FRAMING);
}

#[test]
fn fields_pass_but_for_those_of_the_hop() {
    run(fields::CASES);
}

#[test]
fn interim_responses_pass_to_http_1_1_only() {
    run(interim::CASES);
}

#[test]
fn heads_extensions_and_trailers_are_bounded() {
    run(limits::cases());
}

/// The client has read what there was before the backend breaks off: no reply of beelance's own is possible any more.
#[test]
fn what_breaks_off_is_never_made_whole() {
    let heads = [
        ("Content-Length: 10\r\n\r\nhalf", "1.1", Framing::Length),
        ("Content-Length: 10\r\n\r\nhalf", "1.0", Framing::Length),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "1.1", Framing::Chunked),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "1.0", Framing::Close),
        ("\r\nhalf", "1.1", Framing::Chunked),
        ("\r\nhalf", "1.0", Framing::Close),
    ];
    let backend = RawBackend::start();
    let beelance = Beelance::start(&backend.config(""));
    for (rest, version, framing) in heads {
        // Without a length of any kind only a reset tells that there would have been more.
        for reset in if rest.starts_with('\r') { vec![true] } else { vec![false, true] } {
            let what = format!("{rest:?} to HTTP/{version}, reset: {reset}");
            let mut client = beelance.connect();
            client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
            let mut server = backend.accept();
            server.head_bytes();
            server.send(format!("HTTP/1.1 200 OK\r\n{rest}"));
            let head = client.head_bytes();
            client.expect(if framing == Framing::Chunked { "4\r\nhalf\r\n" } else { "half" });
            if reset {
                server.reset()
            } else {
                drop(server)
            }
            let (raw, end) = client.rest();
            let cut = is_cut(&head, &String::from_utf8_lossy(&raw), end, framing, "");
            assert!(cut.is_ok(), "{what}: {cut:?}");
        }
    }
}
