//! Rules on routes: refuse, answer, redirect, edit, close for maintenance; bodies of beelance's own replies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, Port};
use common::client::Client;
use common::haproxy::Haproxy;
use common::nginx::Nginx;
use common::process::{Beelance, ConfigFile, Output, command};
use common::{DEADLINE, tool};
use std::net::SocketAddr;

fn output(address: SocketAddr, arguments: &[&str]) -> String {
    let url = format!("http://{address}/old/x?q=1");
    let mut curl = tool("curl");
    Output::of(curl.args(["-sS", "-o", "/dev/null"]).args(arguments).arg(url), DEADLINE).stdout
}

#[test]
fn a_refusal_reaches_nobody() {
    let backend = Backend::named("one");
    let more = "route.d.path = /wp-admin/*\nroute.d.deny = 403\nroute.g.path = /gone\nroute.g.deny = 410\n";
    let beelance = Beelance::before(&[&backend], more);
    let mut client = beelance.connect();
    for (target, status) in [("/wp-admin/x", 403), ("/gone", 410)] {
        let response = client.get(target);
        assert_eq!((response.status, response.says_close()), (status, false));
        assert!(response.text().starts_with(&format!("<html><body><h1>{status} ")), "{}", response.text());
    }
    assert_eq!(client.get("/").text(), "one");
    // A body that nobody reads must not take the reply with it.
    let mut client = beelance.connect();
    client.send("POST /wp-admin/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.send(vec![b'x'; 50_000]);
    let response = client.response();
    assert_eq!((response.status, response.says_close()), (403, true));
    assert_eq!(backend.count(), 1);
    let line = beelance.access_to("/wp-admin/x");
    assert_eq!((line.pool.as_str(), line.backend.as_str(), line.state.as_str()), ("web", "<NOSRV>", "PR--"));
    assert_eq!((line.status, line.timers[1]), (403, -1));
    assert_eq!(line.request, "GET /wp-admin/x HTTP/1.1");
}

#[test]
fn paths_are_compared_as_they_came() {
    // What docs/rules.md says of the same page by other names, and what is to be done about it.
    const OTHERS: [&str; 6] = ["/%6detrics", "//metrics", "/./metrics", "/x/../metrics", "/Metrics", "/metrics/"];
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "route.m.path = /metrics\nroute.m.deny = 403\n");
    let mut client = beelance.connect();
    for target in ["/metrics", "/metrics?x", "http://a/metrics"] {
        assert_eq!(client.get(target).status, 403, "{target}");
    }
    for target in OTHERS {
        assert_eq!(client.get(target).text(), "one", "{target}");
    }
    assert_eq!(backend.targets(), OTHERS, "they go on as they came");

    let more = "route.shop.path = /, /cart, /static/*\nroute.shop.pool = default\nroute.rest.deny = 404\n";
    let beelance = Beelance::before(&[&backend], more);
    let mut client = beelance.connect();
    for target in OTHERS.into_iter().chain(["/metrics", "/x"]) {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    // What is below `/static/*` is for the server to say.
    for target in ["/", "/cart", "/static/x", "/static/../metrics"] {
        assert_eq!(client.get(target).text(), "one", "{target}");
    }
}

#[test]
fn an_answer_keeps_the_connection() {
    let backend = Backend::named("one");
    let more = "route.r.path = /robots.txt\nroute.r.return = 200 User-agent: *\nroute.e.path = /empty\n\
                route.e.return = 204\nroute.o.path = /odd\nroute.o.return = 299 # a text\n";
    let beelance = Beelance::before(&[&backend], more);
    let mut client = beelance.connect();
    // All at once: what follows is told from what the rule answered.
    client.send(
        "GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\nPOST /robots.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         GET /empty HTTP/1.1\r\nHost: a\r\n\r\nGET /odd HTTP/1.1\r\nHost: a\r\n\r\nHEAD /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    for (status, text, content_type) in [
        (200, "User-agent: *", Some("text/plain")),
        (200, "User-agent: *", Some("text/plain")),
        (204, "", None),
        (299, "# a text", Some("text/plain")),
    ] {
        let response = client.response();
        assert_eq!((response.status, response.text(), response.header("content-type")), (status, text, content_type));
        assert_eq!(response.header("cache-control"), None);
        assert!(!response.says_close());
    }
    let head = client.head_response();
    assert_eq!((head.status, head.header("content-length")), (200, Some("13")));
    assert_eq!(client.get("/").text(), "one");
    assert_eq!(backend.count(), 1);
    assert_eq!(beelance.access_to("/robots.txt").state, "LR--");
    // A client of HTTP/1.0 that asks for it is told.
    let mut old = beelance.connect();
    old.send("GET /robots.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.response().header("connection"), Some("keep-alive"));
}

const REDIRECTS: &str = "route.p.path = /old/*\nroute.p.redirect = 301 https://new.test/base/\n\
    route.d.path = /drop/*\nroute.d.redirect = 307 prefix https://new.test\nroute.d.redirect.query = drop\n\
    route.l.path = /one\nroute.l.redirect = 303 location /other#here\n\
    route.k.path = /kept\nroute.k.redirect = location /other?a\nroute.k.redirect.query = keep\n\
    route.s.host = plain.test\nroute.s.redirect = 308 scheme https\n\
    route.h.host = same.test\nroute.h.redirect = /\n";

#[test]
fn redirects() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], REDIRECTS);
    let mut client = beelance.connect();
    for (host, target, status, location, cache) in [
        ("a", "/old/x?q=1", 301, "https://new.test/base/old/x?q=1", None),
        ("a", "/drop/x?q=1", 307, "https://new.test/drop/x", Some("no-cache")),
        ("a", "/one?q=1", 303, "/other#here", Some("no-cache")),
        ("a", "/kept?q=1", 302, "/other?a&q=1", Some("no-cache")),
        ("plain.test:80", "/x?y", 308, "https://plain.test/x?y", None),
        ("plain.test:8080", "//evil.test", 308, "https://plain.test:8080//evil.test", None),
        ("same.test", "//evil.test/x", 302, "/evil.test/x", Some("no-cache")),
        ("same.test", "/\\/evil.test", 302, "/evil.test", Some("no-cache")),
        ("same.test", "http://same.test//evil.test", 302, "/evil.test", Some("no-cache")),
        ("b", "http://plain.test/x", 308, "https://plain.test/x", None),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.header("location")), (status, Some(location)), "{host} {target}");
        assert_eq!((response.header("cache-control"), response.header("content-length")), (cache, Some("0")));
    }
    // As long as a head may be, and in pieces.
    let long = format!("/old/{}?{}", "x".repeat(5_000), "y".repeat(2_000));
    client.ask("HEAD", &long, "");
    assert_eq!(client.head_response().header("location"), Some(format!("https://new.test/base{long}").as_str()));
    assert_eq!(client.get("/").text(), "one");
    assert_eq!((backend.count(), beelance.access_to("/one?q=1").state.as_str()), (1, "LR--"));
    let told = output(beelance.web(), &["-w", "%{http_code} %{redirect_url}"]);
    assert_eq!(told, "301 https://new.test/base/old/x?q=1");
}

#[test]
fn redirects_are_haproxys() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], REDIRECTS);
    let haproxy = Haproxy::start(Port::take(), |address| {
        format!(
            "frontend web\n  bind {address}\n\
             \x20 http-request redirect prefix https://new.test/base code 301 if {{ path_beg /old/ }}\n\
             \x20 http-request redirect prefix https://new.test code 307 drop-query if {{ path_beg /drop/ }}\n\
             \x20 http-request redirect location /other\\#here code 303 if {{ path /one }}\n\
             \x20 http-request redirect scheme https code 308 if {{ hdr(host) -i plain.test plain.test:8080 }}\n\
             \x20 http-request redirect prefix / if {{ hdr(host) -i same.test }}\n"
        )
    });
    let (mut ours, mut theirs) = (beelance.connect(), Client::connect(haproxy.address()));
    for (host, target) in [
        ("a", "/old/"),
        ("a", "/old/x?q=1&r"),
        ("a", "/old/%2e%2e/?"),
        ("a", "/drop/x?q=1"),
        ("a", "/drop/x?"),
        ("a", "/one?q=1"),
        ("plain.test", "/x?y"),
        ("plain.test:8080", "/x"),
        ("same.test", "/x?y=//z"),
    ] {
        let [ours, theirs] = [&mut ours, &mut theirs].map(|client| {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.response();
            let fields =
                ["location", "cache-control", "content-length"].map(|name| response.header(name).map(str::to_owned));
            (response.status, fields)
        });
        assert_eq!(ours, theirs, "{host} {target}");
    }
}

#[test]
fn header_edits() {
    let backend = Backend::named("one");
    let more = "route.r.path = /edited\nroute.r.pool = default\nroute.r.set-header.x-site = shop, one\n\
                route.r.set-header.x-forwarded-proto = https\nroute.r.set-header.host = inner.test\n\
                route.r.del-header.authorization = yes\nroute.*.del-header.proxy = yes\nroute.*.set-header.x-all = 1\n";
    let beelance = Beelance::before(&[&backend], more);
    let mut client = beelance.connect();
    let headers = "X-Site: a\r\nx_site: b\r\nX-SITE: c\r\nAuthorization: d\r\nProxy: e\r\nX-Forwarded-Proto: f\r\nX-All: g\r\nX-Other: h\r\n";
    client.get_with("/edited", headers);
    // A body that beelance frames anew, behind what is added.
    client.send(
        "POST /edited HTTP/1.1\r\nHost: a\r\nX-All: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    client.send("GET http://other.test/edited HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.get_with("/not", headers);
    let requests = backend.requests();
    for request in &requests[..3] {
        assert_eq!(request.all("x-site"), ["shop, one"]);
        assert_eq!((request.all("x_site").len(), request.all("authorization").len()), (0, 0));
        assert_eq!((request.all("x-forwarded-proto"), request.all("x-all")), (vec!["https"], vec!["1"]));
        assert_eq!((request.all("host"), request.all("proxy").len()), (vec!["inner.test"], 0));
    }
    assert_eq!(requests[0].all("x-other"), ["h"]);
    assert_eq!(requests[1].body, b"abc");
    // No route, no rule.
    assert_eq!((requests[3].all("x-site"), requests[3].all("x-forwarded-proto")), (vec!["a", "c"], vec!["http"]));
    assert_eq!(requests[3].all("host"), ["example.com"]);
}

#[test]
fn all_that_can_be_added_at_once_has_room() {
    let backend = Backend::named("one");
    let (host, value) = ("h".repeat(270), "v".repeat(176));
    let more = format!("route.r.pool = default\nroute.r.set-header.x-s = {value}\n");
    let beelance = Beelance::before(&[&backend], &more);
    let mut client = beelance.connect();
    let max_forwards = u64::MAX;
    client.send(format!(
        "OPTIONS http://{host}:65535/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: {max_forwards}\r\nContent-Length: 00000000000003\r\n\r\nabc"
    ));
    assert_eq!(client.response().status, 200);
    client.send(format!(
        "OPTIONS http://{host}:65535/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 2\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{}\r\n0\r\n\r\n",
        "x".repeat(1024)
    ));
    assert_eq!(client.response().status, 200);
    for (request, length) in backend.requests().iter().zip([3, 1024]) {
        assert_eq!(
            (request.all("host"), request.all("x-s")),
            (vec![format!("{host}:65535").as_str()], vec![value.as_str()])
        );
        assert_eq!(request.body.len(), length);
    }
    assert_eq!(backend.count(), 2);
}

#[test]
fn what_is_added_goes_along_with_a_retry() {
    let (mut dead, backend) = (Backend::named("dead"), Backend::named("one"));
    dead.stop();
    let more = "route.r.pool = default\nroute.r.set-header.x-site = shop\npool.*.retries = 3\n";
    let beelance = Beelance::before(&[&dead, &backend], more);
    let mut client = beelance.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "one");
    }
    assert!(beelance.access(2).iter().any(|line| line.counts[4] > 0), "one was tried again");
    assert!(backend.requests().iter().all(|request| request.all("x-site") == ["shop"]));
}

#[test]
fn bodies_of_our_own_replies() {
    let (page, plain) = (ConfigFile::new("<p>back soon</p>\n"), ConfigFile::new("no\n"));
    let config = format!(
        "listen.web = 127.0.0.1:0\nlog.access = stderr\nreply.*.type = text/html; charset=utf-8\nreply.503.file = {}\n\
         reply.403.file = {}\nreply.403.type = text/plain\nreply.400.file = {}\nroute.d.path = /no\nroute.d.deny = 403\n",
        page.path().display(),
        plain.path().display(),
        plain.path().display(),
    );
    let beelance = Beelance::start(&config);
    // What was read at the start stays.
    std::fs::write(page.path(), "changed").unwrap();
    let mut client = beelance.connect();
    let response = client.get("/");
    assert_eq!((response.status, response.text()), (503, "<p>back soon</p>\n"));
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    client.ask("HEAD", "/", "");
    let head = client.head_response();
    assert_eq!((head.status, head.header("content-length")), (503, Some("17")));
    let response = client.get("/no");
    assert_eq!((response.text(), response.header("content-type")), ("no\n", Some("text/plain")));
    let mut client = beelance.connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!((client.response().text(), beelance.access(4)[3].status), ("no\n", 400));
}

#[test]
fn a_body_that_cannot_be_had_is_an_error_of_the_configuration() {
    let (long, fine) = (ConfigFile::new(vec![b'x'; 16 * 1024 + 1]), ConfigFile::new(vec![b'x'; 16 * 1024]));
    let check = |file: &str| {
        let config = ConfigFile::new(format!("listen.web = 127.0.0.1:0\nreply.503.file = {file}\n"));
        Output::of(command().args(["check", "-c"]).arg(config.path()), DEADLINE)
    };
    for (file, why) in [
        ("/nonexistent/page", "cannot be read: "),
        ("/dev/zero", "not a file"),
        ("/", "not a file"),
        (long.path().to_str().unwrap(), "too long: a body has at most 16384 bytes"),
    ] {
        let output = check(file);
        assert_eq!(output.code, Some(1));
        assert!(output.stderr.contains(&format!(":2: reply.503.file: `{file}`: {why}")), "{}", output.stderr);
    }
    let output = check(fine.path().to_str().unwrap());
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("texts of rules and replies"), "it is in the budget: {}", output.stdout);
}

#[test]
fn maintenance_lets_some_pass() {
    let backend = Backend::named("one");
    let page = ConfigFile::new("closed\n");
    let more = format!(
        "route.m.path = /shop/*\nroute.m.pool = default\nroute.m.maintenance = yes\n\
         route.m.maintenance.allow = 127.0.0.2, 10.0.0.0/8\nroute.m.maintenance.retry-after = 1500ms\nreply.503.file = {}\n",
        page.path().display()
    );
    let beelance = Beelance::before(&[&backend], &more);
    let mut client = beelance.connect();
    let response = client.get("/shop/x");
    assert_eq!((response.status, response.text(), response.header("retry-after")), (503, "closed\n", Some("2")));
    assert_eq!(client.get("/other").text(), "one");
    let mut allowed = Client::connect_from([127, 0, 0, 2].into(), beelance.web());
    assert_eq!(allowed.get("/shop/y").text(), "one");
    assert_eq!(backend.targets(), ["/other", "/shop/y"]);
    let line = beelance.access_to("/shop/x");
    assert_eq!((line.pool.as_str(), line.state.as_str()), ("web", "LR--"));
}

#[test]
fn with_nginx_behind() {
    let nginx = Nginx::start("one");
    nginx.file("x", b"a file");
    let config = format!(
        "listen.web = 127.0.0.1:0\nbackend.s1 = {}\nroute.old.path = /old/*\nroute.old.redirect = location /file/x\n\
         route.deny.method = TRACE, DELETE\nroute.deny.deny = 403\nroute.all.pool = default\nroute.all.set-header.range = bytes=2-5\n",
        nginx.address
    );
    let beelance = Beelance::start(&config);
    let followed = output(beelance.web(), &["-L", "-w", "%{http_code} %{num_redirects} %{size_download}"]);
    assert_eq!(followed, "206 1 4", "nginx did what was set");
    assert_eq!(output(beelance.web(), &["-X", "DELETE", "-w", "%{http_code}"]), "302", "the first match wins");
    let mut client = beelance.connect();
    client.ask("TRACE", "/", "");
    assert_eq!(client.response().status, 403);
}
