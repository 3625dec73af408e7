//! `listen.N.monitor-uri`: what is in front of beelance asks whether it serves, as it would ask HAProxy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::{Client, Response};
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, listener_and};

#[test]
fn the_answers_are_haproxys() {
    let backend = Backend::named("one");
    let haproxy = Haproxy::start(Port::take(), |address| {
        format!(
            "frontend web\n  bind {address}\n  monitor-uri /alive?x\n  monitor fail if {{ nbsrv(two) lt 2 }} {{ hdr(x) 1 }}\n  \
             http-request deny\n  default_backend two\nbackend two\n  server s1 {0}\n  server s2 {0}\n",
            backend.address()
        )
    });
    let beelance = Beelance::before(
        &[&backend, &backend],
        "listen.web.monitor-uri = /alive?x\nroute.all.path = /*\nroute.all.deny = 403\nlimits.rate = 1/m\n",
    );
    let both = [haproxy.address(), beelance.web()].map(Client::connect);
    let [mut theirs, mut ours] = both;
    let shape = |response: &Response| {
        (response.status, response.text().to_owned(), response.header("content-type").map(str::to_owned))
    };
    for line in ["GET /alive?x", "GET /alive?x", "POST /alive?x", "DELETE /alive?x", "GET http://example.com/alive?x"] {
        let ask = |client: &mut Client| {
            client.send(format!("{line} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
            shape(&client.response())
        };
        let ours = ask(&mut ours);
        assert_eq!(ours.0, 200, "{line}");
        assert_eq!(ours, ask(&mut theirs), "{line}");
    }
    ours.send("HEAD /alive?x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(ours.head_response().status, 200);
    // What is nearly it is a request like any other: refused by a rule, the second by its rate.
    for (target, status) in [("/alive", 403), ("/alive?xy", 429)] {
        assert_eq!(ours.get(target).status, status, "{target}");
    }
    // Neither a line in the log, nor a request that counts for a rate.
    let lines = beelance.access(2);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].request.starts_with("GET /alive "), "{:?}", lines[0]);
    assert_eq!(ours.get("/alive?x").status, 200);
    assert_eq!(backend.count(), 0);
}

#[test]
fn it_fails_while_a_pool_has_too_few() {
    let [one, two] = ["one", "two"].map(Backend::named);
    let config = format!(
        "{}backend.s2.backup = yes\nbackend.s3 = {}\nlisten.web.monitor-uri = /alive\nlisten.web.monitor-fail = default<2\n\
         listen.b = 127.0.0.1:0\nlisten.b.monitor-uri = /alive\nlisten.b.monitor-fail = default<1\n\
         pool.default.check.inter = 50ms\npool.default.check.timeout = 5s\npool.default.check.uri = /healthz\n",
        listener_and(&[&one, &two]),
        one.address(),
    );
    let beelance = Beelance::start(&config);
    let mut clients = ["web", "b"].map(|name| Client::connect(beelance.address(name)));
    let mut ask = |expected: [u16; 2]| {
        for (client, status) in clients.iter_mut().zip(expected) {
            assert_eq!(client.get("/alive").status, status);
        }
    };
    ask([200, 200]);
    // The two that are at `one` fall; the backup serves, alone.
    one.set_health(500);
    beelance.wait_change("s1", "down", 1);
    beelance.wait_change("s3", "down", 1);
    ask([503, 200]);
    two.set_health(500);
    beelance.wait_change("s2", "down", 1);
    ask([503, 503]);
    one.set_health(200);
    beelance.wait_change("s1", "up", 1);
    beelance.wait_change("s3", "up", 1);
    ask([200, 200]);
}

#[test]
fn what_is_wrong_is_said() {
    let file = common::process::ConfigFile::new(
        "listen.l = 127.0.0.1:1\nbackend.a = h:1\nlisten.l.monitor-uri = /a\nlisten.l.monitor-fail = nobody<1\n",
    );
    let mut command = common::process::command();
    let output = common::output(command.args(["check", "-c"]).arg(file.path()), std::time::Duration::ZERO);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains(":4: listen.l.monitor-fail: there is no pool `nobody`"), "{}", output.stderr);
}
