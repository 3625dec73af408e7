//! `explain`: what it says is what happens, and to ask has no effect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::Client;
use common::ctl::{Place, ask, ctl};
use common::process::Beelance;
use common::told::{Chance, step};
use std::fmt::Write;

const NAMES: [&str; 4] = ["one", "two", "three", "four"];

/// A pool for each algorithm and each kind of affinity, behind a route of the same name.
const POOLS: [(&str, &str); 14] = [
    ("rr", "balance = roundrobin"),
    ("least", "balance = leastconn"),
    ("random", "balance = random"),
    ("first", "balance = first"),
    ("source", "balance = source"),
    ("uri", "balance = uri"),
    ("hdr", "balance = hdr:X-User"),
    ("ring", "balance = hdr:X-User\npool.ring.hash = haproxy"),
    ("param", "balance = url_param:user"),
    ("cookie", "cookie = SRV"),
    ("prefix", "cookie = SESSION\npool.prefix.cookie.mode = prefix"),
    ("src", "stick = src"),
    ("stick", "stick = hdr:X-User\npool.stick.balance = random"),
    ("both", "cookie = SRV\npool.both.stick = cookie:USER\npool.both.balance = leastconn"),
];

fn all_pools(backends: &[Backend; 4], socket: &Place) -> String {
    let mut text =
        format!("listen.web = 127.0.0.1:0\nadmin.socket = {}\nadmin.socket.level = user\n", socket.0.display());
    for (name, settings) in POOLS {
        let _ = writeln!(text, "route.{name}.path = /{name}/*\nroute.{name}.pool = {name}\npool.{name}.{settings}");
        for (place, backend) in NAMES.iter().zip(backends) {
            let _ =
                writeln!(text, "backend.{name}-{place} = {}\nbackend.{name}-{place}.pool = {name}", backend.address());
        }
        // No two alike.
        let _ = writeln!(text, "backend.{name}-three.weight = 3\nbackend.{name}-four.weight = 2");
    }
    // A pool of its own for what no route takes.
    let _ = writeln!(text, "backend.rest = {}", backends[0].address());
    text
}

#[test]
fn what_it_says_is_what_happens() {
    let backends = NAMES.map(Backend::named);
    let socket = Place::new();
    let beelance = Beelance::start(&all_pools(&backends, &socket));
    let mut chance = Chance(7);
    let mut clients: Vec<Client> =
        (1..4).map(|host| Client::connect_from(format!("127.0.0.{host}").parse().unwrap(), beelance.web())).collect();
    let mut chosen = std::collections::BTreeSet::new();
    for round in 0..common::scale(40) {
        for (name, _) in POOLS {
            let user = chance.below(5);
            let who = usize::try_from(chance.below(3)).unwrap();
            let cookie = match chance.below(3) {
                0 => format!("SRV={name}-{}", NAMES[usize::try_from(user % 4).unwrap()]),
                1 => format!("SESSION={name}-{}~s{user}", NAMES[usize::try_from(user % 4).unwrap()]),
                _ => format!("SRV=gone{user}"),
            };
            let target = format!("/{name}/{user}?user={user}");
            let line = format!(
                "explain GET shop.example {target} cookie {cookie} cookie USER=u{user} header X-User=u{user} src 127.0.0.{}",
                who + 1
            );
            let told = ask(&socket.0, &line);
            // Asked twice, it is the same, but for the connections, which come meanwhile: nothing moved.
            let decision = |told: &str| told.split_once('\n').map(|(_, rest)| rest.to_owned());
            assert_eq!(decision(&ask(&socket.0, &line)), decision(&told));
            let choice = step(&told, "choice").split(',').next().unwrap().to_owned();
            let fields = format!("Cookie: {cookie}\r\nCookie: USER=u{user}\r\nX-User: u{user}\r\n");
            let served = clients[who].get_with(&target, &fields).text().to_owned();
            assert_eq!(choice, format!("{name}-{served}"), "round {round} of {name}: {told}");
            chosen.insert(choice);
        }
    }
    // All were asked for, so that it is no matter of course; `first` has but one to give.
    assert!(common::scale(40) < 40 || chosen.len() > POOLS.len() * 3, "{chosen:?}");
}

#[test]
fn every_step_is_told_in_the_order_of_the_data_path() {
    let backends = NAMES.map(Backend::named);
    let socket = Place::new();
    let address = backends[0].address();
    let text = format!(
        "listen.web = 127.0.0.1:0\nlisten.web.monitor-uri = /alive\nadmin.socket = {}\nlisten.other = 127.0.0.1:0\n\
         route.inner.path = /inner/*\nroute.inner.listen = other\nroute.inner.pool = default\n\
         route.no.host = *.bad.example\nroute.no.deny = 403\n\
         route.old.path = /old\nroute.old.redirect = 301 https://shop.example\n\
         route.slow.path = /slow\nroute.slow.tarpit = 2s\nroute.slow.deny = 429\n\
         route.say.header.x-say = yes\nroute.say.return = 200 hello\n\
         route.shut.src = 10.0.0.0/8\nroute.shut.maintenance = yes\nroute.shut.pool = default\n\
         route.post.method = POST\nroute.post.rate = 1/m\nroute.post.pool = default\n\
         backend.s1 = {address}\nbackend.s2 = {address}\nbackend.s2.maxconn = 5\nbackend.s3 = {address}\nbackend.s3.weight = 0\n\
         backend.b1 = {address}\nbackend.b1.backup = yes\npool.default.balance = leastconn\npool.default.cookie = SRV\npool.default.retries = 2\n",
        socket.0.display()
    );
    let beelance = Beelance::start(&text);
    let explain = |question: &str| ask(&socket.0, &format!("explain {question}"));
    let told = explain("GET shop.example / cookie SRV=s2");
    let routes = [
        "inner is for other listeners",
        "no is not for it: host",
        "old is not for it: path",
        "slow is not for it: path",
        "say is not for it: header",
        "shut is not for it: src",
        "post is not for it: method",
    ];
    let routes: String = routes.iter().map(|route| format!("route: {route}\n")).collect();
    let most = told.split(" of ").nth(1).unwrap().split(' ').next().unwrap();
    let expected = format!(
        "listener: web; 0 of {most} connections\nclient: not named (src ADDRESS): its limits are not looked at\n{routes}\
         pool: default by its listener: no route is for it\n\
         affinity: cookie SRV, which leads to s2\n\
         balance: leastconn: the least load for its weight, which is the lowest score; not asked for who is bound\n\
         server: s1 free; weight 1, 0 in flight, 0 waiting, score 0\n\
         server: s2 free; weight 1, 0 of 5 in flight, 0 waiting, score 0\n\
         server: s3 weight 0: its own users only; weight 0, 0 in flight, 0 waiting, score 0\n\
         server: b1 a backup, not needed; weight 1, 0 in flight, 0 waiting, score 0\n\
         choice: s2, to which it is bound\n\
         retries: 2 when it cannot connect, on the same server, the last one elsewhere\n\n"
    );
    assert_eq!(told, expected);
    let reply = |question: &str| step(&explain(question), "reply").to_owned();
    assert_eq!(reply("GET a.bad.example /"), "403, the route's own");
    assert_eq!(reply("GET shop.example /old"), "301, the route's own");
    assert_eq!(reply("GET shop.example /slow"), "429, held for 2000 ms before (tarpit)");
    assert_eq!(reply("GET shop.example / header X-Say=yes"), "200, the route's own");
    assert_eq!(reply("GET shop.example / src 10.1.2.3"), "503, the route is closed for maintenance");
    assert_eq!(reply("GET shop.example /alive"), "200, the listener's monitor-uri");
    assert_eq!(reply("GET a,b /"), "400, refused: bad Host");
    assert_eq!(reply("TRACE shop.example / header Max-Forwards=0"), "405, Max-Forwards is 0");
    // What it says of a rate is what the client finds, and to ask takes nothing of it.
    let post = || explain("POST shop.example / src 127.0.0.1");
    for _ in 0..3 {
        assert_eq!(step(&post(), "choice"), "s2");
    }
    assert_eq!(Client::connect(beelance.address("web")).post("/", b"").status, 200);
    assert_eq!(step(&post(), "reply"), "429, its client asks more often than it may");
    assert_eq!(Client::connect(beelance.address("web")).post("/", b"").status, 429);
    assert!(step(&explain("POST shop.example / src 127.0.0.2"), "choice").starts_with('s'));
    // Another listener, where the first route is.
    let inner = explain("GET shop.example /inner/x listen other");
    assert!(inner.starts_with("listener: other; ") && !inner.contains("is not for it"), "{inner}");
}

#[test]
fn it_says_where_it_would_wait_and_changes_nothing() {
    let [one, two] = ["one", "two"].map(Backend::named);
    let socket = Place::new();
    let more = format!(
        "admin.socket = {}\nbackend.*.maxconn = 1\nbackend.s2.maxqueue = 1\npool.default.cookie = SRV\npool.default.stick.wait = 700ms\n\
         timeout.queue = 60s\npool.default.stick = hdr:X-User\n",
        socket.0.display()
    );
    let beelance = Beelance::before(&[&one, &two], &more);
    let choice = |question: &str| step(&ask(&socket.0, &format!("explain GET h / {question}")), "choice").to_owned();
    assert_eq!(choice("header X-User=anna"), "s1");
    assert_eq!(ask(&socket.0, "show table default").matches("used:0").count(), 1, "nobody was remembered");
    one.hold();
    two.hold();
    let mut clients: Vec<Client> = Vec::new();
    let ask_with = |clients: &mut Vec<Client>, fields: &str| {
        clients.push(beelance.connect());
        clients.last_mut().unwrap().ask("GET", "/", fields);
    };
    for (server, backend) in [("s1", &one), ("s2", &two)] {
        ask_with(&mut clients, &format!("Cookie: SRV={server}\r\n"));
        backend.wait_in_flight(1);
    }
    let all_full = "none: all who could take it are full; it waits for any, behind 0 others, for 60000 ms at most";
    assert_eq!(choice("src 127.0.0.1"), all_full);
    let late = "for 60000 ms at most; after 700 ms for any other as well";
    assert_eq!(choice("cookie SRV=s1"), format!("it waits for s1 behind 0 others, {late}"));
    ask_with(&mut clients, "Cookie: SRV=s2\r\n");
    common::eventually("it waits", || (common::ctl::value(&socket.0, "default", "s2", "qcur") == "1").then_some(()));
    // The queue of s2 holds one: it waits for any, and who came before waits for s2 alone.
    assert_eq!(choice("cookie SRV=s2"), all_full);
    let before = ask(&socket.0, "show stat");
    for _ in 0..20 {
        choice("cookie SRV=s1");
        choice("header X-User=anna");
    }
    let steady = |stat: &str| {
        let rows = common::ctl::rows(stat).into_iter().flatten();
        rows.filter(|(name, _)| !["lastchg", "rate", "lastsess", "req_rate"].contains(&name.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(steady(&ask(&socket.0, "show stat")), steady(&before));
    one.open();
    two.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    // Nobody is left.
    assert_eq!(ask(&socket.0, "set server default/s1 state maint;set server default/s2 state drain"), "\n\n");
    assert_eq!(choice("cookie SRV=s1"), "none: nobody takes requests; 503");
    assert_eq!(choice("cookie SRV=s2"), "s2, to which it is bound");
    let told = ask(&socket.0, "explain GET h / cookie SRV=s1");
    assert_eq!(
        step(&told, "affinity"),
        "cookie SRV, which names a server that is down; the session map needs a key, which it has not"
    );
}

#[test]
fn the_admin_listener_tells_the_same_as_json() {
    let backends = ["one", "two"].map(Backend::named);
    let socket = Place::new();
    let more = format!(
        "admin.socket = {}\nadmin.listen = 127.0.0.1:0\nroute.no.path = /a b/*\nroute.no.deny = 403\npool.default.cookie = SRV\n",
        socket.0.display()
    );
    let more = more.replace("/a b/*", "/a%20b/*");
    let beelance = Beelance::before(&[&backends[0], &backends[1]], &more);
    let mut client = Client::connect(beelance.address("admin.listen"));
    let mut get = |method: &str, query: &str| {
        client.send(format!("{method} /api/v1/explain{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        if method == "HEAD" { client.head_response() } else { client.response() }
    };
    let told = get("GET", "?method=GET&host=shop.example&path=%2F&cookie=SRV%3Ds2&src=192.0.2.7&listen=web");
    assert_eq!((told.status, told.header("content-type")), (200, Some("application/json")));
    let text = ask(&socket.0, "explain GET shop.example / cookie SRV=s2 src 192.0.2.7");
    // Another program reads it.
    let script = "import json,sys; it=json.load(open(sys.argv[1])); print(it['result'], it['listener'], it['pool'], it['server'], it['status'])\n\
                  [print(step['step'] + ': ' + step['says']) for step in it['steps']]";
    let file = common::process::temporary("explain.json");
    std::fs::write(&file, &told.body).unwrap();
    let read = common::output(common::tool("python3").args(["-c", script]).arg(&file), std::time::Duration::ZERO);
    let _ = std::fs::remove_file(&file);
    assert_eq!(
        read.stdout,
        format!("server web default s2 0\n{}", text.trim_end_matches('\n').to_owned() + "\n"),
        "{}",
        read.stderr
    );
    let denied = get("GET", "?host=h&path=/a%2520b/c");
    let start = "{\"result\":\"reply\",\"listener\":\"web\",\"route\":\"no\",\"pool\":\"\",\"server\":\"\",\"status\":403,\"steps\":[";
    assert!(denied.text().starts_with(start) && denied.text().ends_with("the route's own\"}]}\n"), "{}", denied.text());
    assert_eq!(get("HEAD", "?host=h").status, 200);
    assert_eq!(get("GET", "").status, 200, "everything has a default");
    assert_eq!(get("POST", "?host=h").status, 405);
    for (query, message) in [
        ("?path=/%0d%0aX:1", "Usage: explain {METHOD"),
        ("?cookie=a%0d%0aX:1", "A value is one line."),
        ("?src=nobody", "src takes an IPv4 or IPv6 address."),
        ("?listen=none", "No such listener."),
        ("?colour=red", "Usage: explain {METHOD"),
        (&format!("?cookie={}", "a".repeat(3000)), "The request is too long."),
    ] {
        let wrong = get("GET", query);
        assert!(wrong.status == 400 && wrong.text().starts_with(message), "{query}: {}", wrong.text());
    }
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let text = format!(
        "admin.socket = {}\nadmin.socket.level = user\nlisten.raw = 127.0.0.1:0\nlisten.raw.mode = tcp\nlisten.raw.pool = raw\n\
         backend.r = {}\nbackend.r.pool = raw\n",
        socket.0.display(),
        backend.address()
    );
    let _beelance = Beelance::before(&[&backend], &text);
    let usage = "Usage: explain {METHOD HOST PATH [cookie NAME=VALUE] [header NAME=VALUE] | connection} [src ADDRESS] [listen NAME]...\n\n";
    for (line, expected) in [
        ("explain", usage),
        ("explain GET h", usage),
        ("explain GET h / cookie", usage),
        ("explain GET h / colour red", usage),
        ("explain GET h / src 10.0.0", "src takes an IPv4 or IPv6 address.\n\n"),
        ("explain GET h / listen none", "No such listener.\n\n"),
        ("explain GET h / listen raw", "This listener carries no requests.\n\n"),
        ("explain GET h / header X-User", "A header is NAME=VALUE.\n\n"),
    ] {
        assert_eq!(ask(&socket.0, line), expected, "{line}");
    }
    for question in ["G@T h /", "GET h nowhere", "GET h / header Host=other", "GET h / header X\u{1}=1"] {
        let told = ask(&socket.0, &format!("explain {question}"));
        assert!(step(&told, "reply").starts_with("400, refused: "), "{question}: {told}");
    }
    // On the command line.
    let told = ctl(&socket.0, &["explain", "GET", "h", "/", "src", "127.0.0.1"]);
    assert_eq!((told.code, step(&told.stdout, "choice")), (Some(0), "s1"));
    let wrong = ctl(&socket.0, &["explain", "GET", "h"]);
    assert_eq!((wrong.code, wrong.stderr.trim_end()), (Some(1), usage.trim_end()));
    // Everybody in a pool of 256 servers is told.
    let many: String = (1..=256).map(|n| format!("backend.m{n} = {}\n", backend.address())).collect();
    let socket = Place::new();
    let _beelance =
        Beelance::start(&format!("listen.web = 127.0.0.1:0\nadmin.socket = {}\n{many}", socket.0.display()));
    let told = ask(&socket.0, "explain GET h /");
    assert_eq!(told.matches("\nserver: m").count(), 256);
    assert_eq!(step(&told, "choice"), "m1");
}
