//! `/metrics` and `/api/v1/status`: HAProxy's names and what they say, beside HAProxy; read by Prometheus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::{Client, get};
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, is_native, listener_and};
use common::prometheus::{Prometheus, promtool};
use common::{eventually, output, tool};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const ADMIN: &str = "admin.listen = 127.0.0.1:0\n";

/// A family: its type, and the names of its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

fn metrics(beelance: &Beelance) -> String {
    let response = get(beelance.address("admin.listen"), "/metrics");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    response.text().to_owned()
}

/// The families of a text; every series belongs to the one before it, and is there once.
#[track_caller]
fn families(text: &str) -> Families {
    let mut families = Families::new();
    let mut series = BTreeSet::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            last = name.to_owned();
            let before = families.insert(last.clone(), (kind.to_owned(), BTreeSet::new()));
            assert!(before.is_none(), "{name} twice");
        } else if !line.starts_with('#') {
            let (id, value) = line.rsplit_once(' ').unwrap();
            assert!(value == "NaN" || value.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(id.to_owned()), "twice: {line}");
            let (name, labels) = id.split_once('{').unwrap_or((id, ""));
            assert_eq!(name, last, "{line}");
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            let entry = families.get_mut(name).unwrap();
            entry.1.extend(labels.map(|label| label.split_once('=').unwrap().0.to_owned()));
        }
    }
    families
}

/// The value of one series.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

#[test]
fn names_types_and_labels_are_haproxys() {
    let backends = ["one", "two"].map(Backend::named);
    let exporter = Port::take();
    let haproxy = Haproxy::start(Port::take(), |address| {
        format!(
            "frontend web\n  bind {address}\n  default_backend default\nfrontend exporter\n  bind {}\n  \
             http-request use-service prometheus-exporter\nbackend default\n  option httpchk\n  server s1 {} check maxconn 3 maxqueue 4\n  server s2 {} check\n",
            exporter.address,
            backends[0].address(),
            backends[1].address()
        )
    });
    let more = format!(
        "{ADMIN}backend.s1.maxconn = 3\nbackend.s1.maxqueue = 4\npool.default.check.uri = /healthz\npool.default.check.inter = 50ms\npool.default.check.timeout = 5s\npool.default.slowstart = 1h\n"
    );
    let beelance = Beelance::before(&[&backends[0], &backends[1]], &more);
    backends.iter().for_each(|backend| backend.wait_more_probes(1));
    for address in [haproxy.address(), beelance.web()] {
        assert_eq!(Client::connect(address).get("/").status, 200);
    }
    let theirs = eventually("HAProxy's probes are over", || {
        let text = get(exporter.address, "/metrics").text().to_owned();
        let series = "haproxy_server_check_status{proxy=\"default\",server=\"s1\",state=\"L7OK\"} 1";
        text.lines().any(|line| line == series).then_some(text)
    });
    let ours = metrics(&beelance);
    let (theirs, own) = (families(&theirs), families(&ours));
    let mut shared = 0;
    for (name, family) in own.iter().filter(|(name, _)| name.starts_with("haproxy_")) {
        let there = theirs.get(name).unwrap_or_else(|| panic!("HAProxy has no {name}"));
        assert_eq!(there.0, family.0, "{name}");
        // One that has no series at the moment has no labels.
        assert!(family.1.is_empty() || there.1 == family.1, "{name}: {family:?} for {there:?}");
        shared += 1;
    }
    assert!(shared > 80, "{shared} families");
    // What dashboards and scalers made for HAProxy ask for: haproxy-mixin's, Ceph's for its gateways, KEDA.
    for name in [
        "haproxy_process_current_connections",
        "haproxy_process_nbproc",
        "haproxy_process_nbthread",
        "haproxy_process_build_info",
        "haproxy_process_start_time_seconds",
        "haproxy_process_pool_allocated_bytes",
        "haproxy_process_pool_used_bytes",
        "haproxy_process_max_connections",
        "haproxy_process_max_memory_bytes",
        "haproxy_process_max_fds",
        "haproxy_process_max_sockets",
        "haproxy_frontend_status",
        "haproxy_frontend_bytes_in_total",
        "haproxy_frontend_bytes_out_total",
        "haproxy_frontend_connections_total",
        "haproxy_frontend_request_errors_total",
        "haproxy_frontend_requests_denied_total",
        "haproxy_backend_http_requests_total",
        "haproxy_backend_connection_errors_total",
        "haproxy_backend_response_errors_total",
        "haproxy_backend_redispatch_warnings_total",
        "haproxy_backend_retry_warnings_total",
        "haproxy_backend_queue_time_average_seconds",
        "haproxy_backend_connect_time_average_seconds",
        "haproxy_backend_total_time_average_seconds",
        "haproxy_backend_max_total_time_seconds",
        "haproxy_server_http_responses_total",
        "haproxy_server_max_queue_time_seconds",
        "haproxy_server_total_time_average_seconds",
        "haproxy_server_connection_errors_total",
        "haproxy_server_response_errors_total",
        "haproxy_frontend_http_requests_total",
        "haproxy_frontend_current_sessions",
        "haproxy_frontend_http_responses_total",
        "haproxy_backend_current_queue",
        "haproxy_backend_current_sessions",
        "haproxy_backend_http_responses_total",
        "haproxy_backend_status",
        "haproxy_backend_active_servers",
        "haproxy_backend_response_time_average_seconds",
        "haproxy_server_status",
        "haproxy_server_current_sessions",
        "haproxy_server_bytes_out_total",
        "haproxy_server_check_failures_total",
        "haproxy_server_downtime_seconds_total",
    ] {
        assert!(own.contains_key(name), "{name}");
    }
    let (said, accepted) = promtool(&ours);
    assert!(accepted, "{said}");
}

#[test]
fn what_happens_is_what_is_told() {
    let backends = ["one", "two"].map(Backend::named);
    let config = format!(
        "{}{ADMIN}pool.default.cookie = SRV\nbackend.s1.maxconn = 1\nroute.no.path = /no\nroute.no.deny = 403\nadmin.token.admin = 0123456789abcdef\n",
        listener_and(&[&backends[0], &backends[1]])
    );
    let beelance = Beelance::start(&config);
    for _ in 0..3 {
        assert_eq!(beelance.connect().get_with("/", "Cookie: SRV=s1\r\n").status, 200);
    }
    assert_eq!(beelance.connect().get("/no").status, 403);
    // One is served, one waits.
    backends[0].hold();
    let mut clients = [(); 2].map(|()| beelance.connect());
    for client in &mut clients {
        client.ask("GET", "/", "Cookie: SRV=s1\r\n");
    }
    backends[0].wait_in_flight(1);
    let text = eventually("one waits", || {
        let text = metrics(&beelance);
        (value(&text, "haproxy_server_current_queue{proxy=\"default\",server=\"s1\"}") == 1.0).then_some(text)
    });
    for (series, expected) in [
        ("haproxy_server_current_sessions{proxy=\"default\",server=\"s1\"}", 1.0),
        ("haproxy_server_limit_sessions{proxy=\"default\",server=\"s1\"}", 1.0),
        ("haproxy_backend_current_sessions{proxy=\"default\"}", 2.0),
        ("haproxy_frontend_current_sessions{proxy=\"web\"}", 2.0),
        ("haproxy_server_http_responses_total{proxy=\"default\",server=\"s1\",code=\"2xx\"}", 3.0),
        ("haproxy_frontend_http_responses_total{proxy=\"web\",code=\"2xx\"}", 3.0),
        ("haproxy_frontend_http_responses_total{proxy=\"web\",code=\"4xx\"}", 1.0),
        ("haproxy_frontend_requests_denied_total{proxy=\"web\"}", 1.0),
        ("haproxy_server_status{proxy=\"default\",server=\"s1\",state=\"UP\"}", 1.0),
        ("haproxy_backend_active_servers{proxy=\"default\"}", 2.0),
        ("haproxy_process_requests_total", 6.0),
        ("beelance_affinity_requests_total{proxy=\"default\",result=\"hit\"}", 4.0),
        ("beelance_queue_waits_total{proxy=\"default\"}", 1.0),
        ("haproxy_process_dropped_logs_total", 0.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}\n{text}");
    }
    assert!(value(&text, "beelance_buffers_in_use{size=\"small\"}") >= 1.0, "of who waits");
    assert!(value(&text, "beelance_loop_lag_seconds{of=\"ever\"}") >= 0.0);
    assert!(value(&text, "beelance_cpu_seconds_total") >= 0.0);
    // The dashboard's source says the same.
    let script = "import json,sys; s=json.load(sys.stdin); p=s['pools'][0]; one=p['servers'][0]; web=s['listeners'][0]\n\
                  print(s['requests'], web['s2'], web['s4'], web['denied'], p['hits'], one['now'], one['maxconn'], one['queue'], one['s2'], one['state'])";
    let status = get(beelance.address("admin.listen"), "/api/v1/status");
    assert_eq!(status.header("content-type"), Some("application/json"));
    assert_eq!(python(script, status.text()), "6 3 1 1 4 1 1 1 3 up\n");
    backends[0].open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    // What an operator does shows at once.
    let mut operator = Client::connect(beelance.address("admin.listen"));
    operator.send("POST /api/v1/servers/default/s2/state/maint HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n");
    assert_eq!(operator.response().status, 200);
    let text = metrics(&beelance);
    assert_eq!(value(&text, "haproxy_server_status{proxy=\"default\",server=\"s2\",state=\"MAINT\"}"), 1.0);
    assert_eq!(value(&text, "haproxy_server_status{proxy=\"default\",server=\"s2\",state=\"UP\"}"), 0.0);
    assert_eq!(value(&text, "haproxy_backend_agg_server_status{proxy=\"default\",state=\"MAINT\"}"), 1.0);
}

#[test]
fn prometheus_scrapes_it() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], &format!("{ADMIN}backend.s1.maxconn = 1\n"));
    let prometheus = Prometheus::scraping(beelance.address("admin.listen"));
    (0..7).for_each(|_| assert_eq!(beelance.connect().get("/").status, 200));
    let seven = || (prometheus.value("haproxy_server_sessions_total{server=\"s1\"}") == 7.0).then_some(());
    eventually("Prometheus has seen seven requests", seven);
    // One scrape may take longer than Prometheus waits, on a busy machine: until the next one it has no values.
    let is = |query: &str, value: f64| eventually(query, || (prometheus.value(query) == value).then_some(()));
    is("up{job=\"beelance\"}", 1.0);
    is("haproxy_backend_active_servers", 1.0);
    // What KEDA asks, by the same HTTP: how many wait, over all balancers there are.
    const QUEUE: &str = "sum(haproxy_backend_current_queue{proxy=\"default\"})";
    is(QUEUE, 0.0);
    backend.hold();
    let mut clients = [(); 3].map(|()| beelance.connect());
    clients.iter_mut().for_each(|client| client.ask("GET", "/", ""));
    is(QUEUE, 2.0);
    backend.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn the_csv_has_haproxys_columns() {
    let backend = Backend::named("one");
    let haproxy = Haproxy::start(Port::take(), |address| {
        format!(
            "frontend web\n  bind {address}\n  stats enable\n  default_backend default\nbackend default\n  server s1 {}\n",
            backend.address()
        )
    });
    let beelance = Beelance::before(&[&backend], ADMIN);
    (0..3).for_each(|_| assert_eq!(beelance.connect().get("/").status, 200));
    let theirs = get(haproxy.address(), "/haproxy?stats;csv").text().to_owned();
    let ours = get(beelance.address("admin.listen"), "/stats;csv").text().to_owned();
    // Clients put this and that behind the address of HAProxy's page (Datadog's, Munin's, Telegraf's).
    for options in ["/;csv", ";csv;norefresh", "/;csv;norefresh", ";norefresh;csv"] {
        for (address, page) in [(haproxy.address(), "/haproxy?stats"), (beelance.address("admin.listen"), "/stats")] {
            let told = get(address, &format!("{page}{options}"));
            assert_eq!((told.status, told.text().get(..8)), (200, Some("# pxname")), "{page}{options}");
        }
    }
    for other in ["/stats", "/stats;", "/stats/csv", "/statscsv", "/stats;json", "/stats;csv;up", "/statsx;csv"] {
        assert_eq!(get(beelance.address("admin.listen"), other).status, 404, "{other}");
    }
    // Behind these HAProxy has columns for each of its protocols.
    assert!(theirs.starts_with(ours.lines().next().unwrap()), "{theirs}");
    let columns = |text: &str| text.lines().map(|line| line.matches(',').count()).collect::<BTreeSet<_>>().len();
    assert_eq!(columns(&ours), 1, "{ours}");
    let names: Vec<&str> = ours.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(names, ["FRONTEND", "s1", "BACKEND"]);
    let server: Vec<&str> = ours.lines().nth(2).unwrap().split(',').collect();
    assert_eq!((server[0], server[7]), ("default", "3"));
}

/// What a script of Python's prints that reads `text`.
#[track_caller]
fn python(script: &str, text: &str) -> String {
    let file = common::process::temporary("status.json");
    std::fs::write(&file, text).unwrap();
    let shell = "exec python3 -c \"$0\" < \"$1\"";
    let read = output(tool("sh").args(["-c", shell, script]).arg(&file), Duration::ZERO);
    let _ = std::fs::remove_file(&file);
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    read.stdout
}

/// 256 servers, some 15,000 lines: streamed through one buffer of a client's, which others do not wait for.
#[test]
fn all_the_servers_there_can_be_are_streamed() {
    let backend = Backend::named("one");
    let servers: String = (1..=256).map(|n| format!("backend.s{n} = {}\n", backend.address())).collect();
    let beelance = Beelance::start(&format!("listen.web = 127.0.0.1:0\nlog.access = stderr\n{servers}{ADMIN}"));
    let address = beelance.address("admin.listen");
    let text = metrics(&beelance);
    // Some that do not read yet, as many as there is room for beside one: half a megabyte of text for each is on its way.
    let resident = || if is_native() { beelance.resident() } else { 0 };
    let before = resident();
    let mut slow: Vec<Client> = (0..7).map(|_| Client::connect_narrow(address)).collect();
    for client in &mut slow {
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    }
    assert!(text.len() > 500_000, "{}", text.len());
    assert_eq!(metrics(&beelance).len() / 1_000, text.len() / 1_000, "of another, meanwhile");
    let grown = resident().saturating_sub(before);
    assert!(grown < 300_000, "{grown} bytes: it is kept somewhere");
    let families = families(&text);
    assert!(families.len() > 90);
    let count = |part: &str| text.lines().filter(|line| line.starts_with(part)).count();
    assert_eq!(count("haproxy_server_current_sessions{"), 256);
    assert_eq!(count("haproxy_server_status{"), 256 * 5);
    assert_eq!(beelance.connect().get("/").status, 200);
    for client in &mut slow {
        let late = client.response();
        assert_eq!(self::families(late.text()).keys().collect::<Vec<_>>(), families.keys().collect::<Vec<_>>());
    }
    // The same as JSON, which another reader of it takes.
    let script = "import json,sys; s=json.load(sys.stdin); print(len(s['pools'][0]['servers']), s['level'])";
    assert_eq!(python(script, get(address, "/api/v1/status").text()), "256 user\n");
}
