//! What is printed is read again, and no file makes the reader panic.

use super::tests::{BOARD, read};
use super::*;
use proptest::prelude::*;

/// Reads what `config` prints; warnings hold line numbers and are left out.
fn reread(config: &Config) -> Config {
    let text = effective(config);
    let again = parse("effective", text.as_bytes(), &BOARD).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    Config { warnings: config.warnings.clone(), ..again }
}

/// A file in which every key has a value that is not its default, but for the mode, which is of another file: without
/// HTTP most of these have none.
const EVERYTHING: &str = concat!(
    "listen.web = unix:/run/web.sock\nlisten.web.mode = http\nlisten.web.perm = 660\nlisten.web.pool = p\nlisten.web.accept-proxy = yes\nlisten.web.trust = 10.0.0.0/8, ::1, peer:10.0.0.0/8, unix\nlisten.web.request-id = X-Request-ID\nlisten.web.monitor-uri = /alive?x\nlisten.web.monitor-fail = p<2, o<1\nbackend.a = [2001:db8::1]:80\nbackend.a.pool = p\nbackend.a.weight = 0\n\
    backend.a.maxconn = auto:3..40\nbackend.a.maxqueue = 4\nbackend.a.backup = yes\nbackend.a.cookie = x\nbackend.a.send-proxy = v2\nbackend.a.slots = none\nbackend.a.redirect = http://b/\nbackend.o = h:1\nbackend.o.pool = o\npool.p.overflow = o\npool.p.balance = uri\npool.p.balance.uri.depth = 2\npool.p.balance.uri.whole = yes\npool.p.hash = haproxy\npool.p.hash-balance-factor = 125\npool.p.maxconn = 7\npool.p.maxqueue = 8\npool.p.slowstart = 20s\npool.p.cookie = S\n\
    pool.p.cookie.mode = insert\npool.p.cookie.httponly = yes\npool.p.cookie.secure = yes\npool.p.cookie.attr = SameSite=Lax;Max-Age=3\n\
    pool.p.cookie.preserve = yes\npool.p.cookie.postonly = yes\npool.p.cookie.maxidle = 5m\npool.p.cookie.maxlife = 8h\npool.p.cookie.dynamic-key = k\n\
    pool.p.stick = hdr:X-User\npool.p.stick.expire = 1m\npool.p.stick.wait = 50ms\npool.p.reuse = never\npool.p.retries = 0\npool.p.redispatch = no\npool.p.retry-on = empty-response, 503\npool.p.retry-budget = 7\n\
    pool.p.observe = http\npool.p.error-limit = 4\npool.p.eject-max = 20\npool.p.eject-time = 3s\npool.p.forwardfor = no\npool.p.check = http\npool.p.check.method = HEAD\n\
    pool.p.check.uri = /h\npool.p.check.host = h\npool.p.check.expect = string: a, b\npool.p.check.inter = 90s\npool.p.check.fastinter = 1s\n\
    pool.p.check.downinter = 1m\npool.p.check.timeout = 250ms\npool.p.check.rise = 1\npool.p.check.fall = 9\npool.p.check.agent-port = 9777\nroute.r.host = *.A.b, c\n\
    route.r.path = /x, /y/*, *.z\nroute.r.method = GET,PUT\nroute.r.header.x-n.name = v, w x\nroute.r.header.a = none,1\nroute.r.src = 10.1.2.3/8, ::1\nroute.r.listen = web\n\
    route.r.pool = p\nroute.r.priority = -3\nroute.r.rate = 5/m\nroute.r.set-header.x-n.name = a, b\nroute.e.del-header.x-n.name = yes\nroute.r.maintenance = yes\n\
    route.r.maintenance.allow = 10.0.0.0/8\nroute.r.maintenance.retry-after = 90s\nroute.d.deny = 429\nroute.d.tarpit = 3s\nroute.e.return = 404 not  here\n\
    route.f.redirect = 301 location /x\nroute.f.redirect.query = keep\nreply.503.type = text/plain\nreply.503.file = ",
    env!("CARGO_MANIFEST_DIR"),
    "/../rustfmt.toml\ntimeout.client = 1s\ntimeout.http-request = 1s\ntimeout.http-keep-alive = 1s\ntimeout.connect = 1s\ntimeout.queue = 1s\n\
    timeout.server = 1s\ntimeout.tunnel = 1s\nlimits.connections = 100\nlimits.memory = 20m\nlimits.sndbuf = 8k\nlimits.rcvbuf = 4k\nlimits.notsent-lowat = 32k\nlimits.header-size = 16k\nlimits.headers = 128\nlimits.body = 1g\nlimits.rate = 7/s\nlimits.per-client = 9\nlimits.errors = 300/m\nlimits.exempt = 10.9.0.0/16, ::2\nlimits.reserve = 5\n\
    resolver.nameservers = 192.168.1.1, [::1]:5353\nresolver.hold = 1m\nresolver.prefer = ipv4\n\
    admin.listen = unix:/run/admin.sock\nadmin.listen.perm = 660\nadmin.host = b.lan, *.c\nadmin.token.operator = 0123456789abcdef\nadmin.token.admin = fedcba9876543210\n\
    log.level = trace\nlog.access = syslog:[::1]:514\nlog.messages = syslog:/dev/log\nlog.format = rfc5424\nlog.facility = daemon\nuser = 0\ngroup = 65534\nchroot = /var/empty\nwatchdog = /dev/watchdog\ndrain-timeout = 1500ms\nsplice = no\npower.board = 1.25\npower.server = 95.5\nadmin.socket = /run/b.sock\nadmin.socket.mode = 660\nadmin.socket.level = operator\n"
);

#[test]
fn the_effective_configuration_has_every_key_and_is_read_again() {
    let config = read(EVERYTHING);
    assert_eq!(
        config.pools[0].cookie.as_ref().unwrap().attributes,
        "; path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3"
    );
    let text = effective(&config);
    for key in &keys::KEYS {
        let name = match key.kind {
            keys::Kind::Listen => "web",
            keys::Kind::Backend => "a",
            keys::Kind::Pool => "p",
            // Some of them exclude each other.
            keys::Kind::Route => "r",
            keys::Kind::Reply => "503",
            keys::Kind::Process => "",
        };
        let written = key.of(name).replace("NAME", "x-n.name");
        let others = ["d", "e", "f"].map(|name| key.of(name).replace("NAME", "x-n.name"));
        let is_it = |key: &str| key == written || (name == "r" && others.iter().any(|other| other == key));
        let mut keys = text.lines().filter_map(|line| line.split(" =").next()).map(str::trim_end);
        assert!(keys.any(is_it), "{written}\n{text}");
    }
    assert_eq!(reread(&config), config);
    assert_eq!(effective(&reread(&config)), text);
}

#[test]
fn what_is_printed_earns_no_warning_and_says_that_it_holds_secrets() {
    let base = "listen.l = 127.0.0.1:1\nbackend.a = h:1\n";
    for (more, has) in [
        ("pool.default.error-limit = 5\npool.*.check.uri = /\n", false),
        ("admin.listen = 127.0.0.1:2\nadmin.token.operator = 0123456789abcdef\n", true),
        ("pool.*.cookie = S\npool.*.cookie.dynamic-key = key\n", true),
    ] {
        let text = effective(&read(&format!("{base}{more}")));
        assert_eq!(read(&text).warnings, [""; 0], "{text}");
        assert_eq!(text.starts_with("# This holds secrets: "), has, "{text}");
    }
}

#[test]
fn what_has_no_effect_in_prefix_mode_is_left_out() {
    let config = read(
        "listen.l = 127.0.0.1:1\nbackend.a = h:1\npool.default.cookie = S\npool.default.cookie.mode = prefix\n\
         pool.default.cookie.maxidle = 1m\npool.default.cookie.secure = yes\npool.default.stick.wait = 1s\n",
    );
    let text = effective(&config);
    assert!(text.contains("cookie.mode         = prefix") && text.contains("stick.wait          = 1s"), "{text}");
    assert!(!text.contains("maxidle") && !text.contains("secure") && !text.contains("stick.expire"), "{text}");
    assert_eq!(reread(&config), config);
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
}

/// Lines of a file that is right or nearly so.
fn line() -> impl Strategy<Value = String> {
    let names = ["a", "b", "default", "*", "b2", "b3"];
    let values = [
        "none",
        "yes",
        "no",
        "0",
        "1",
        "7",
        "2s",
        "8k",
        "20m",
        "tcp",
        "http",
        "leastconn",
        "prefix",
        "url_param:sid",
        "first",
        "random",
        "uri",
        "hdr:X-User",
        "haproxy",
        "150",
        "always",
        "default",
        "a",
        "b",
        "GET",
        "/x",
        "/x/*",
        "*.a",
        "a.b,*.c",
        "10.0.0.0/8",
        "200",
        "200,300-399",
        "string:x =",
        "HttpOnly",
        "Secure; HttpOnly",
        "off",
        "debug",
        "h:80",
        "[::1]:81",
        "0.0.0.0:80",
        "3",
        "192.0.2.1,[::1]:54",
        "ipv4",
        "unix:/run/x",
        "unix:@x",
        "syslog:/dev/log",
        "syslog:10.0.0.1:514",
        "rfc5424",
        "stderr",
        "local7",
        "l",
        "unix",
        "peer:::1/128,unix",
        "660",
        "50/s",
        "3/m",
        "403",
        "301 https://a",
        "location /x",
        "200 ok",
        "https://c.test",
        "a value",
        "text/css",
        "root",
        "65533",
        "/var/empty",
        "a<1,default<2",
    ];
    let declared = keys::KEYS.iter().map(|key| key.id).collect::<Vec<_>>();
    (proptest::sample::select(declared), 0..names.len(), 0..values.len()).prop_map(move |(id, name, value)| {
        let key = id.key();
        let fitting = (value..value + values.len())
            .map(|at| values[at % values.len()])
            .find(|value| key.unit.parse(value).is_ok() || value == &"none");
        format!("{} = {}\n", key.of(names[name]).replace("NAME", "x-y"), fitting.unwrap_or("none"))
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = parse("f", &bytes, &BOARD).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_lines_make_it_panic(text in "((listen|backend|pool|route|timeout|limits|log)[.][a-z*.]{0,12} ?= ?[a-z0-9:/.,*-]{0,12}\r?\n){0,8}") {
        let _ = parse("f", text.as_bytes(), &Machine::default()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn what_is_printed_gives_the_same_configuration(lines in proptest::collection::vec(line(), 0..12)) {
        // Drop lines that are wrong until the rest is right.
        let mut lines: Vec<String> = std::iter::once("listen.l = 127.0.0.1:8080\n".to_owned()).chain(["a", "b"].map(|n| format!("backend.{n} = h:1\n"))).chain(lines).collect();
        loop {
            match parse("f", lines.concat().as_bytes(), &BOARD) {
                Ok(config) => {
                    prop_assert_eq!(reread(&config), config);
                    break;
                }
                Err(errors) => {
                    let wrong: Vec<usize> = errors.to_string().lines().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
                    prop_assert!(!wrong.is_empty());
                    lines = lines.into_iter().enumerate().filter(|(at, _)| !wrong.contains(&(at + 1))).map(|(_, line)| line).collect();
                    if lines.is_empty() { break; }
                }
            }
        }
    }
}
