//! `retry-on`: what a server answered, or did not, is tried again where that is safe, within a budget.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Step, ok_to, send};
use common::process::Beelance;
use std::time::Instant;

/// Answers everything with this status and its name.
fn failing(status: u16, name: &'static str) -> Backend {
    Backend::scripted(send(format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{name}", name.len())))
}

const EVERYTHING: &str = "pool.*.retry-on = conn-failure,empty-response,response-timeout,500,502,503,504\n";

#[test]
fn what_one_server_cannot_do_another_does() {
    let endings: [(&str, Vec<Step>); 4] = [
        ("a status", send("HTTP/1.1 503 Busy\r\nX-From: ill\r\nContent-Length: 3\r\n\r\nill")),
        ("nothing", vec![Step::Close]),
        ("a reset", vec![Step::Reset]),
        ("silence", vec![Step::Hang]),
    ];
    for (name, steps) in endings {
        let (ill, well) = (Backend::scripted(steps), Backend::named("well"));
        let more = format!("{EVERYTHING}timeout.server = {}\n", if name == "silence" { "2s" } else { "30s" });
        let beelance = Beelance::before(&[&ill, &well], &more);
        let mut client = beelance.connect();
        for method in ["GET", "GET", "PUT", "DELETE"] {
            // In one piece: what is on its way in parts is not sent twice.
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
            let response = client.response();
            assert_eq!((response.status, response.text()), (200, "well"), "{name} {method}");
            assert_eq!(response.header("x-from"), None, "{name}: nothing of the dropped response");
        }
        ill.wait_requests(2);
        assert_eq!(ill.count(), 2, "{name}: two turns were its");
        let lines = beelance.access(4);
        let retried: Vec<_> = lines.iter().filter(|line| line.counts[4] == 1).collect();
        assert_eq!(retried.len(), 2, "{name}: {lines:?}");
        assert!(retried.iter().all(|line| line.redispatched && line.backend == "s2"), "{name}: {lines:?}");
        assert!(well.requests().iter().all(|request| request.body == b"body"), "{name}: the whole request again");
    }
}

#[test]
fn when_retries_are_used_up_the_last_response_is_passed_on() {
    let backends = [failing(503, "one"), failing(503, "two"), failing(503, "three")];
    let beelance = Beelance::before(&backends.each_ref(), &format!("{EVERYTHING}pool.*.retries = 2\n"));
    let mut client = beelance.connect();
    let response = client.get("/");
    assert_eq!((response.status, response.text()), (503, "three"));
    assert_eq!(backends.each_ref().map(Backend::count), [1, 1, 1]);
    let line = beelance.access(1).remove(0);
    assert_eq!((line.state.as_str(), line.counts[4]), ("----", 2), "a response like any other: {line:?}");
}

#[test]
fn a_retry_that_ends_without_a_response_keeps_the_status_of_the_last_one() {
    let (one, two) = (failing(500, "one"), Backend::scripted(vec![Step::Close]));
    let beelance = Beelance::before(&[&one, &two], "pool.*.retry-on = 500\npool.*.retries = 1\n");
    let mut client = beelance.connect();
    assert_eq!(client.get("/").status, 500, "never a blank 502");
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[test]
fn what_is_not_in_the_list_is_passed_on() {
    let (one, two) = (failing(500, "one"), failing(404, "two"));
    let beelance = Beelance::before(&[&one, &two], "pool.*.retry-on = conn-failure,503,504\n");
    let mut client = beelance.connect();
    assert_eq!((client.get("/").status, client.get("/").status), (500, 404));
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[test]
fn what_may_not_be_replayed_is_not_retried() {
    let endings = [send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), vec![Step::Close], vec![Step::Hang]];
    for ((steps, wanted), time) in endings.into_iter().zip([503, 502, 504]).zip(["30s", "30s", "1s"]) {
        let at_head = steps.clone();
        let ill = Backend::at_head(move |_| [vec![Step::ReadBody], at_head.clone()].concat());
        let well = Backend::named("well");
        let beelance = Beelance::before(
            &[&ill, &well],
            &format!("{EVERYTHING}timeout.server = {time}\npool.*.balance = leastconn\nbackend.s2.backup = yes\n"),
        );
        // Not idempotent.
        assert_eq!(beelance.connect().post("/", b"body").status, wanted);
        // Longer than what is kept of it.
        let mut client = beelance.connect();
        client.ask("PUT", "/", "Content-Length: 100000\r\n");
        client.send(vec![b'x'; 100_000]);
        assert_eq!(client.response().status, wanted);
        ill.wait_requests(2);
        assert_eq!((ill.count(), well.count()), (2, 0));
    }
}

#[test]
fn who_is_bound_tries_the_same_again_and_goes_elsewhere_with_the_last_attempt() {
    let (one, two) = (failing(503, "one"), Backend::named("two"));
    let more = format!("{EVERYTHING}pool.*.retries = 2\npool.*.cookie = SRV\ntimeout.connect = 1s\n");
    let beelance = Beelance::before(&[&one, &two], &more);
    let response = beelance.connect().get_with("/", "Cookie: SRV=s1\r\n");
    assert_eq!((response.status, response.text()), (200, "two"));
    assert_eq!(response.all("set-cookie"), ["SRV=s2; path=/"]);
    assert_eq!((one.count(), two.count()), (2, 1));
}

#[test]
fn without_conn_failure_a_refused_connection_is_not_tried_again() {
    let (mut one, two) = (Backend::named("one"), Backend::named("two"));
    one.stop();
    let beelance = Beelance::before(&[&one, &two], "pool.*.retry-on = 503\n");
    let mut client = beelance.connect();
    let statuses = [client.get("/").status, client.get("/").status];
    assert_eq!(statuses, [503, 200]);
}

#[test]
fn an_outage_is_not_made_worse() {
    const REQUESTS: usize = 150;
    for (budget, most) in [("", 10 + REQUESTS / 10), ("pool.*.retry-budget = 1000\n", 3 * REQUESTS)] {
        let backends = [failing(503, "one"), failing(503, "two")];
        let beelance = Beelance::before(&backends.each_ref(), &format!("{EVERYTHING}{budget}"));
        let mut client = beelance.connect();
        let begin = Instant::now();
        for _ in 0..REQUESTS {
            let response = client.get("/");
            assert_eq!(response.status, 503);
            assert!(["one", "two"].contains(&response.text()), "a server's response, not one of ours");
        }
        let retries = backends.iter().map(Backend::count).sum::<usize>() - REQUESTS;
        if budget.is_empty() {
            // Each ten seconds allow ten more, and those that have begun.
            let tens = usize::try_from(begin.elapsed().as_secs() / 10).unwrap();
            assert!(retries >= 10 && retries <= most + 10 * (tens + 1), "{retries} in {tens} times ten seconds");
        } else {
            assert_eq!(retries, most);
        }
        let counted: usize = beelance.access(REQUESTS).iter().map(|line| line.counts[4] as usize).sum();
        assert_eq!(counted, retries, "all of them are in the log");
    }
}

#[test]
fn a_pool_of_which_one_server_is_dead_needs_no_budget() {
    let (mut dead, well) = (Backend::named("dead"), Backend::named("well"));
    dead.stop();
    let beelance = Beelance::before(&[&dead, &well], "pool.*.retry-budget = 0\n");
    let mut client = beelance.connect();
    for _ in 0..60 {
        assert_eq!(client.get("/").text(), "well");
    }
}

#[test]
fn heads_that_came_behind_a_request_survive_its_retry() {
    let (ill, well) = (failing(503, "ill"), Backend::start(|request| ok_to(request, request.target().as_bytes())));
    let beelance = Beelance::before(&[&ill, &well], EVERYTHING);
    let mut client = beelance.connect();
    client
        .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    for target in ["/1", "/2", "/3"] {
        assert_eq!(client.response().text(), target);
    }
}
