//! Whole files: what they give and every message they earn.

use super::*;
use crate::limits::{
    Beside, DEFAULT_CONNECTIONS, ListenerId, MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS, MAX_ROUTES, RATES,
};

pub(super) const BOARD: Machine = Machine {
    memory_total: Some(58_404 * 1024),
    cgroup: None,
    address_space: None,
    tcp_memory: Some(1254 * 4096),
    descriptors: Some(4096),
};

/// A listener and a backend, on lines 1 and 2.
const BASE: &str = "listen.web = 0.0.0.0:80\nbackend.a = 10.0.0.1:80\n";

pub(super) fn read(text: &str) -> Config {
    parse("f", text.as_bytes(), &BOARD).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// The messages of a file that follows [`BASE`]; lines count from 3.
pub(super) fn errors(text: &str) -> Vec<String> {
    let errors = parse("f", format!("{BASE}{text}").as_bytes(), &BOARD).map(drop).unwrap_err();
    errors.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn the_whole_file_of_the_design() {
    let config = read(
        "listen.web = 0.0.0.0:80\nbackend.shop1 = 192.168.1.11:8080\nbackend.shop2 = 192.168.1.12:8080\n\
         backend.*.maxconn = 20\npool.*.balance = leastconn\npool.*.cookie = SRV\npool.*.check.uri = /healthz\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let [pool] = &config.pools[..] else { panic!("{:?}", config.pools) };
    assert_eq!((pool.name.as_str(), pool.backends.len(), pool.retries), ("default", 2, 3));
    assert_eq!(pool.balance, Algorithm::LeastConn);
    let (name, attributes) = ("SRV".into(), "; path=/".into());
    assert_eq!(pool.cookie, Some(Cookie { name, attributes, rules: CookieRules::default(), dynamic_key: None }));
    assert_eq!((&pool.stick, pool.stick_wait_ms), (&None, None));
    let check = pool.check.clone().unwrap();
    assert_eq!(
        (check.inter_ms, check.fastinter_ms, check.timeout_ms, check.rise, check.fall),
        (2000, 2000, 2000, 2, 3)
    );
    let CheckKind::Http { method, uri, host, expect } = check.kind else { panic!("{check:?}") };
    assert_eq!((method.as_str(), uri.as_str(), host), ("GET", "/healthz", None));
    assert_eq!(expect, Expect::Status(vec![(200, 399)]));
    let backend = &config.backends[1];
    assert_eq!((backend.host.as_str(), backend.port, backend.maxconn, backend.weight), ("192.168.1.12", 8080, 20, 1));
    assert_eq!(backend.cookie, "shop2");
    assert_eq!(
        (config.timeouts.client_ms, config.timeouts.http_request_ms, config.drain_timeout_ms),
        (30_000, 10_000, 30_000)
    );
    assert_eq!((config.limits.header_size, config.limits.headers, config.limits.body), (8192, 64, None));
    // And places to spare.
    let objects = (1 + 4) + (2 + 16) + (1 + 8) + 16;
    let beside = Beside { probes: 2, listeners: 1, objects, splice: true, ..Beside::default() };
    assert_eq!(
        config.limits.budget,
        Budget::plan(BOARD.default_memory(), Some(DEFAULT_CONNECTIONS), beside, &BOARD).unwrap()
    );
}

#[test]
fn explicit_beats_star_wherever_it_stands() {
    let config = read(
        "backend.a.maxconn = 5\nlisten.web = [::]:80\nlisten.old = 0.0.0.0:80\nbackend.a = a:1\nbackend.b = b:1\nbackend.c = c:1\n\
         backend.*.maxconn = 20\nbackend.b.maxconn = 0\nbackend.*.pool = x\nbackend.c.pool = y\npool.*.cookie = S\npool.y.cookie = none\n\
         listen.*.pool = x\nlisten.old.pool = y\nroute.*.header.x-a = 1\nroute.r.pool = x\nroute.s.header.x-a = none\nroute.s.path = /\nroute.s.pool = y\n",
    );
    assert_eq!(config.backends.iter().map(|backend| backend.maxconn).collect::<Vec<_>>(), [5, 0, 20]);
    assert_eq!(
        config.pools.iter().map(|pool| (pool.name.as_str(), pool.cookie.is_some())).collect::<Vec<_>>(),
        [("x", true), ("y", false)]
    );
    assert_eq!(
        config.listeners.iter().map(|l| (l.pool, l.only_v6)).collect::<Vec<_>>(),
        [(PoolId(0), true), (PoolId(1), false)]
    );
    assert_eq!(config.routes.iter().map(|routed| routed.route.headers.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(ListenerId::new(1).map(ListenerId::index), Some(1));
}

#[test]
fn how_a_check_comes_about() {
    for (text, expected) in [
        ("", "none"),
        ("pool.*.check.inter = 1s\n", "tcp"),
        ("pool.*.check.fall = 1\npool.default.check.uri = /x\n", "http"),
        ("pool.*.check.host = none\n", "none"),
        ("pool.*.check.host = h\n", "http"),
        ("pool.*.check.uri = /x\npool.default.check = none\n", "none"),
        ("pool.*.check.uri = /x\npool.default.check = tcp\n", "tcp"),
        ("pool.*.check = http\n", "http"),
    ] {
        let config = read(&format!("{BASE}{text}"));
        let found = match config.pools[0].check.as_ref().map(|check| &check.kind) {
            None => "none",
            Some(CheckKind::Tcp) => "tcp",
            Some(CheckKind::Http { .. }) => "http",
        };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn every_message() {
    for (name, text, expected) in [
        (
            "unknown",
            "timeout.clinet = 5s",
            &["f:3: timeout.clinet: unknown key, the nearest known one is `timeout.client`"][..],
        ),
        (
            "twice",
            "log.level = info\nlog.level = warn\nlog.level = off",
            &["f:4: log.level: given twice, first on line 3", "f:5: log.level: given twice, first on line 3"],
        ),
        ("declared twice", "backend.a = 10.0.0.2:80", &["f:3: backend.a: given twice, first on line 2"]),
        (
            "undeclared",
            "backend.b.weight = 1\nlisten.x.pool = default",
            &[
                "f:3: backend.b.weight: no line declares `backend.b`: expected host:port or address:port, such as 192.168.1.11:8080, [2001:db8::1]:80 or app1:8080, or unix:/path",
                "f:4: listen.x.pool: no line declares `listen.x`: expected address:port, such as 0.0.0.0:80 or [::]:80, or unix:/path",
            ],
        ),
        (
            "star",
            "backend.* = a:1",
            &["f:3: backend.*: `*` stands for the attributes of every backend: name the backend, as in `backend.NAME`"],
        ),
        (
            "bad star value nobody uses",
            "pool.*.retries = 11\npool.default.retries = 1",
            &["f:3: pool.*.retries: `11`: expected a whole number from 0 to 10"],
        ),
        (
            "route to an empty pool",
            "route.r.pool = nowhere",
            &["f:3: route.r.pool: the pool `nowhere` has no backend: `backend.NAME.pool = nowhere` puts one there"],
        ),
        (
            "listener to an empty pool",
            "listen.web.pool = defualt",
            &[
                "f:3: listen.web.pool: the pool `defualt` has no backend; did you mean `default`? (a key of its own, such as `pool.defualt.balance`, lets it be empty)",
            ],
        ),
        (
            "a scheme",
            "backend.b = http://192.168.1.11:8080",
            &[
                "f:3: backend.b: `http://192.168.1.11:8080`: no scheme stands before it, and no path behind it; expected host:port or address:port, such as 192.168.1.11:8080, [2001:db8::1]:80 or app1:8080, or unix:/path",
            ],
        ),
        (
            "a comment behind a value",
            "timeout.client = 5s # c",
            &[
                "f:3: timeout.client: `5s # c`: expected a duration from 1ms to 24h, such as 250ms, 5s, 2m, 1h; a comment needs a line of its own",
            ],
        ),
        (
            "route nowhere",
            "route.r.path = /x",
            &[
                "f:3: route.r.pool: missing: say what becomes of the requests, as in `route.r.pool = default` or `route.r.deny = 403`",
            ],
        ),
        (
            "route on a listener there is none of",
            "route.r.pool = default\nroute.r.listen = web, wbe",
            &["f:4: route.r.listen: no line declares `listen.wbe`"],
        ),
        (
            "no follow-up of a bad pool",
            "backend.a.pool = X\nroute.r.pool = y",
            &["f:3: backend.a.pool: `X`: expected the name of a pool: [a-z0-9][a-z0-9_-]{0,31}"],
        ),
        (
            "unset",
            "timeout.client = none",
            &[
                "f:3: timeout.client: `none`: this cannot be unset; expected a duration from 1ms to 24h, such as 250ms, 5s, 2m, 1h",
            ],
        ),
        (
            "zero",
            "timeout.queue = 0s",
            &["f:3: timeout.queue: `0s`: expected a duration from 1ms to 24h, such as 250ms, 5s, 2m, 1h"],
        ),
        (
            "same address",
            "listen.b = 0.0.0.0:80",
            &["f:3: listen.b: `0.0.0.0:80` is the address of `listen.web` on line 1 already"],
        ),
        (
            "covered address",
            "listen.b = 127.0.0.1:80",
            &["f:3: listen.b: `127.0.0.1:80` and `0.0.0.0:80` of `listen.web` on line 1 exclude each other"],
        ),
        (
            "same path",
            "listen.b = unix:/run/x\nlisten.c = unix:/run/x\nlisten.d = unix:@x",
            &["f:4: listen.c: `unix:/run/x` is the address of `listen.b` on line 3 already"],
        ),
        (
            "dual stack",
            "listen.b = [::]:81\nlisten.c = 127.0.0.1:81",
            &[
                "f:3: listen.b: `[::]:81` takes IPv4 too, so it and `127.0.0.1:81` of `listen.c` exclude each other: write `0.0.0.0:81` there",
            ],
        ),
        (
            "planned values",
            "listen.u = unix:run/x\nbackend.u = unix:@\nbackend.a.maxconn = auto:9..1\npool.default.balance = static-rr\nlog.access = syslog",
            &[
                "f:3: listen.u: `unix:run/x`: the path of a UNIX socket is absolute; expected address:port, such as 0.0.0.0:80 or [::]:80, or unix:/path",
                "f:4: backend.u: `unix:@`: the path of a UNIX socket is absolute; expected host:port or address:port, such as 192.168.1.11:8080, [2001:db8::1]:80 or app1:8080, or unix:/path",
                "f:5: backend.a.maxconn: `auto:9..1`: expected a whole number from 0 to 1000000, or auto:MIN..MAX with numbers from 1 to 10000",
                "f:6: pool.default.balance: `static-rr`: not supported; expected roundrobin, leastconn, random, first, source, uri, hdr:NAME, cookie:NAME or url_param:NAME",
                "f:7: log.access: `syslog`: expected off, stderr, syslog:/dev/log or syslog:ADDRESS:PORT",
            ],
        ),
        (
            "cookie value",
            "backend.a.cookie = a;b",
            &[
                "f:3: backend.a.cookie: `a;b`: expected at most 64 bytes of printable ASCII without blanks and without any of \",;\\|~",
            ],
        ),
        (
            "no follow-up of a bad limit",
            "limits.memory = 1\nlimits.connections = 16000",
            &["f:3: limits.memory: `1`: expected a size from 1m to 1g, such as 4096, 8k, 16m"],
        ),
        (
            "header size",
            "limits.header-size = 17k",
            &["f:3: limits.header-size: `17k`: expected a size from 1k to 16k, such as 4096, 8k, 16m"],
        ),
        (
            "host with a port",
            "route.r.host = a:80\nroute.r.pool = default",
            &[
                "f:3: route.r.host: `a:80`: the port is ignored: leave it out; expected a list of hosts: example.com, *.example.com",
            ],
        ),
        (
            "sorted by line",
            "nonsense\npool.default.retries = x\nlog.level = loud",
            &[
                "f:3: nonsense: no `=`: write `key = value`",
                "f:4: pool.default.retries: `x`: expected a whole number from 0 to 10",
                "f:5: log.level: `loud`: not supported; expected off, error, warn, info, debug or trace",
            ],
        ),
    ] {
        assert_eq!(errors(text), expected, "{name}");
    }
}

#[test]
fn what_bounds_tcp_bounds_no_unix_socket() {
    let budget = |text: &str| read(text).limits.budget;
    let tcp = budget(BASE);
    assert_eq!(tcp.tcp_memory, BOARD.tcp_memory);
    for text in
        ["listen.web = unix:/run/x\nbackend.a = 10.0.0.1:80\n", "listen.web = 0.0.0.0:80\nbackend.a = unix:/run/x\n"]
    {
        let unix = budget(text);
        assert_eq!(unix.tcp_memory, None);
        assert!(unix.connections < tcp.connections && unix.total() <= unix.memory, "{unix}");
    }
}

#[test]
fn backends_without_an_address() {
    let text = "listen.web = unix:@x\nlisten.web.perm = 666\nbackend.a = unix:/run/a\npool.*.cookie = S\npool.*.cookie.dynamic-key = k\n\
                pool.*.check.agent-port = 9777\n";
    let config = read(text);
    // Its cookie cannot follow from an address.
    assert_eq!((config.backends[0].dynamic_cookie, config.backends[0].cookie.as_str()), (false, "a"));
    assert_eq!(
        config.warnings,
        [
            "f:2: listen.web.perm: it does nothing where the listener has no file",
            "f:3: backend.a: it has no address, so no agent beside it is asked",
        ]
    );
}

#[test]
fn a_budget_that_does_not_fit() {
    let beside = Beside { listeners: 1, objects: (1 + 4) + (1 + 16) + (1 + 8) + 16, splice: true, ..Beside::default() };
    let excess = |memory, connections| Budget::plan(memory, connections, beside, &BOARD).unwrap_err();
    for (text, line, key, excess) in [
        ("limits.memory = 4m\nlimits.connections = 9000", 4, "connections", excess(4 << 20, Some(9000))),
        ("limits.connections = 16000", 3, "connections", excess(BOARD.default_memory(), Some(16_000))),
        ("limits.memory = 1m", 3, "memory", excess(1 << 20, None)),
    ] {
        assert_eq!(errors(text), [format!("f:{line}: limits.{key}: {excess}")]);
    }
}

#[test]
fn a_file_without_a_listener() {
    let text = |bytes: &[u8]| parse("f", bytes, &BOARD).unwrap_err().to_string();
    let message = "listen.NAME: no listener: write a line such as `listen.web = 0.0.0.0:80`";
    assert_eq!(text(b""), format!("f:1: {message}"));
    assert_eq!(text(b"backend.a = a:1\n# end\n"), format!("f:2: {message}"));
}

#[test]
fn too_many_of_everything() {
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    for (most, word, line) in [
        (
            MAX_LISTENERS - 1,
            "listen.n15",
            &(|i: usize| format!("listen.n{i} = 0.0.0.0:{}\n", 100 + i)) as &dyn Fn(usize) -> String,
        ),
        (MAX_BACKENDS - 1, "backend.n255", &|i| format!("backend.n{i} = h:1\n")),
        (MAX_ROUTES, "route.n64", &|i| format!("route.n{i}.pool = default\n")),
        (MAX_POOLS - 1, "pool.n63", &|i| format!("pool.n{i}.retries = 1\n")),
    ] {
        read(&format!("{BASE}{}", many(most, line)));
        let messages = errors(&many(most + 3, line));
        let start = format!("f:{}: {word}: too many: at most", most + 3);
        assert!(messages.len() == 1 && messages[0].starts_with(&start), "{messages:?}");
    }
}

#[test]
fn what_is_probably_not_meant() {
    for (text, expected) in [
        (
            "listen.b = 0.0.0.0:81\nlisten.b.pool = nobody\npool.nobody.balance = first\n",
            vec!["f:4: listen.b: the pool `nobody` has no backend: what no route takes is answered 503"],
        ),
        (
            "route.r.pool = default\nroute.r.set-header.x-site = main # c\nroute.r.set-header.x-ip = $remote_addr\nroute.r.set-header.a = %[src]\nroute.r.set-header.b = 5$\n",
            vec![
                "f:4: route.r.set-header.x-site: the `#` and what follows it are part of the value: a comment needs a line of its own",
                "f:5: route.r.set-header.x-ip: there are no variables: it is sent as it stands here",
                "f:6: route.r.set-header.a: there are no variables: it is sent as it stands here",
            ],
        ),
        ("pool.defualt.retries = 1\n", vec!["f:3: pool.defualt: no listener and no route leads to this pool"]),
        (
            "route.a.pool = default\nroute.b.pool = default\n",
            vec!["f:3: route.a: it has no condition and takes every request: no later route is ever tried"],
        ),
        (
            "pool.default.cookie.secure = yes\n",
            vec!["f:3: pool.default.cookie.secure: it does nothing without `pool.default.cookie`"],
        ),
        (
            "pool.default.check = tcp\npool.default.check.uri = /\n",
            vec!["f:4: pool.default.check.uri: it does nothing without `pool.default.check = http`"],
        ),
        ("pool.*.check.uri = /\npool.*.cookie.secure = yes\n", vec![]),
    ] {
        assert_eq!(read(&format!("{BASE}{text}")).warnings, expected, "{text}");
    }
}

#[test]
fn files_from_a_serial_console() {
    let expected = read(BASE);
    for bytes in [
        &b"\xef\xbb\xbflisten.web = 0.0.0.0:80\r\nbackend.a = 10.0.0.1:80\r\n"[..],
        b"listen.web=0.0.0.0:80  \r\n\r\n  backend.a\t=\t10.0.0.1:80\t ",
        b"# c\nbackend.a = 10.0.0.1:80\n   # d\nlisten.web = 0.0.0.0:80",
    ] {
        assert_eq!(parse("f", bytes, &BOARD).unwrap(), expected);
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let text = |path: &str| load(Path::new(path), &BOARD).unwrap_err().to_string();
    let missing = text("/nonexistent/beelance.conf");
    assert!(missing.starts_with("/nonexistent/beelance.conf: cannot be read: "), "{missing}");
    assert!(missing.ends_with("write it, or name another with -c FILE"), "{missing}");
    assert!(text("/").ends_with("name a file in it with -c FILE"), "{}", text("/"));
    assert!(text("/proc/self/mem").ends_with("make it readable, or name another with -c FILE"));
    assert!(text("/dev/zero").ends_with("this is no configuration; name another with -c FILE"));
}

#[test]
fn what_goes_into_a_head_is_bounded() {
    let cases = [
        format!("pool.*.cookie = {}\n", "x".repeat(65)),
        format!("backend.a.cookie = {}\n", "x".repeat(65)),
        format!("pool.*.cookie.attr = a={}\n", "x".repeat(256)),
    ];
    for text in cases {
        let errors = errors(&text);
        assert!(errors.len() == 1 && errors[0].contains("too long"), "{errors:?}");
    }
}

#[test]
fn limits_of_single_clients() {
    let config = read(BASE);
    assert_eq!(config.clients, ClientLimits::default());
    assert_eq!((config.limits.budget.beside.rates, config.limits.budget.beside.crowd), (0, false));
    let per_second = |count| Some(Rate { count, per_minute: false });
    for (lines, rate, errors, has_rates) in [
        ("limits.rate = 20/s\n", per_second(20), per_second(200), true),
        ("limits.rate = 50000/s\n", per_second(50_000), per_second(50_000), true),
        ("limits.rate = 20/s\nlimits.errors = 5/s\n", per_second(20), per_second(5), true),
        ("limits.errors = 5/s\n", None, per_second(5), true),
        ("limits.per-client = 4\n", None, None, false),
        ("route.r.pool = default\nroute.r.rate = 1/m\n", None, None, true),
        ("limits.reserve = 4\npool.*.cookie = S\n", None, None, true),
    ] {
        let config = read(&format!("{BASE}{lines}"));
        assert_eq!((config.clients.rate, config.clients.errors), (rate, errors), "{lines}");
        let beside = config.limits.budget.beside;
        assert_eq!((beside.rates, beside.crowd), (if has_rates { RATES } else { 0 }, !has_rates), "{lines}");
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
    let cookie = "pool.*.cookie = S\nlimits.connections = 50\n";
    assert_eq!(
        errors(&format!("{cookie}limits.reserve = 50\n")),
        ["f:5: limits.reserve: `50`: there are 50 connections in all: keep fewer"]
    );
    assert_eq!(read(&format!("{BASE}{cookie}limits.reserve = 49\n")).clients.reserve, 49);
    let warned = read(&format!("{BASE}limits.reserve = 5\nlisten.*.trust = 10.0.0.9\n")).warnings;
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned[0].starts_with("f:3: limits.reserve: it does nothing without `pool.N.cookie`"), "{warned:?}");
    assert!(warned[1].starts_with("f:4: listen.web.trust: clients behind these proxies have no limits"), "{warned:?}");
}
