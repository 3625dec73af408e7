//! Programs of Debian's that watch HAProxy, unchanged, at beelance: its exporter for Prometheus and a check for Nagios, each
//! by the runtime socket and by the CSV of the admin listener.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::get;
use common::ctl::{Place, ask, config, value};
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::Beelance;
use common::{DEADLINE, eventually, output, tool};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

const ADMIN: &str = "admin.listen = 127.0.0.1:0\n";
const CHECK: &str = "pool.shop.check.uri = /\npool.shop.check.inter = 2s\npool.shop.check.timeout = 20s\n";

fn page(beelance: &Beelance) -> String {
    format!("http://{}/stats", beelance.address("admin.listen"))
}

/// Debian's prometheus-haproxy-exporter; killed when dropped.
struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    #[track_caller]
    fn scraping(place: &str) -> Self {
        let mut exporter = tool("prometheus-haproxy-exporter");
        exporter.arg(format!("--haproxy.scrape-uri={place}")).arg("--web.listen-address=127.0.0.1:0");
        let mut child = exporter.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
            if line.contains("\"Listening on\"") {
                break line.trim_end().rsplit_once("address=").unwrap().1.parse().unwrap();
            }
        };
        // Nobody else reads what it says.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Self { child, address }
    }

    /// What it tells of HAProxy, with its own words for how that went.
    #[track_caller]
    fn lines(&self) -> Vec<String> {
        let told = get(self.address, "/metrics");
        told.text().lines().filter(|line| line.starts_with("haproxy_")).map(str::to_owned).collect()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Names and labels of proxies and servers.
fn names(lines: &[String]) -> BTreeSet<&str> {
    let names = lines.iter().filter_map(|line| Some(line.rsplit_once(' ')?.0));
    names.filter(|name| name.contains("{backend=") || name.contains("{frontend=")).collect()
}

#[test]
fn the_exporter_reads_all_that_it_reads_of_haproxy() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let beelance = Beelance::start(&config(&backend, &ours.0, &format!("{ADMIN}{CHECK}")));
    let address = backend.address();
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        let check = "option httpchk GET /\n  timeout check 20s\n  default-server check inter 2s";
        format!(
            "global\n  stats socket {}\nfrontend web\n  bind {bind}\n  default_backend shop\nbackend shop\n  {check}\n  \
             server s1 {address} maxconn 20\n  server s2 {address}\n  server s3 {address}\n\
             backend api\n  server a1 {address} weight 5\n",
            theirs.0.display()
        )
    });
    // Its sockets come one after the other.
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    (0..3).for_each(|_| assert_eq!(beelance.connect().get("/").status, 200));
    eventually("all are counted", || (value(&ours.0, "web", "FRONTEND", "hrsp_2xx") == "3").then_some(()));
    for path in [&ours.0, &theirs.0] {
        eventually("all are probed", || {
            let probed = |server| value(path, "shop", server, "check_status") == "L7OK";
            ["s1", "s2", "s3"].into_iter().all(probed).then_some(())
        });
    }
    let of_haproxy = Exporter::scraping(&format!("unix:{}", theirs.0.display())).lines();
    let known = names(&of_haproxy);
    assert!(known.len() > 150, "{known:?}");
    for place in [format!("unix:{}", ours.0.display()), page(&beelance) + ";csv"] {
        let told = Exporter::scraping(&place).lines();
        assert_eq!(names(&told), known, "{place}");
        for line in [
            "haproxy_up 1",
            "haproxy_exporter_csv_parse_failures_total 0",
            "haproxy_frontend_connections_total{frontend=\"web\"} 3",
            "haproxy_backend_sessions_total{backend=\"shop\"} 3",
            "haproxy_server_limit_sessions{backend=\"shop\",server=\"s1\"} 20",
            "haproxy_server_weight{backend=\"api\",server=\"a1\"} 5",
            "haproxy_server_up{backend=\"shop\",server=\"s2\"} 1",
        ] {
            assert!(told.iter().any(|it| it == line), "{place}: {line} is not in {told:#?}");
        }
    }
}

#[test]
fn a_check_of_nagios_finds_who_is_in_maintenance() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let beelance = Beelance::start(&config(&backend, &socket.0, ADMIN));
    let (path, url) = (socket.0.to_str().unwrap().to_owned(), page(&beelance));
    let check = |more: &[&str]| {
        let by = |place: [&str; 2]| {
            let done = output(tool("/usr/lib/nagios/plugins/check_haproxy_stats").args(place).args(more), DEADLINE);
            (done.code, done.stdout.split('|').next().unwrap().trim_end().to_owned() + &done.stderr)
        };
        let told = by(["--sock", &path]);
        assert_eq!(told, by(["--url", &url]));
        told
    };
    assert_eq!(check(&[]), (Some(0), "Check haproxy OK - checked 3 proxies.".to_owned()));
    assert_eq!(ask(&socket.0, "set server shop/s2 state maint"), "\n");
    let (code, told) = check(&[]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("shop:s2 is MAINT") && !told.contains("s1"), "{told}");
    assert_eq!(check(&["--ignore-maint"]), (Some(0), "Check haproxy OK - checked 3 proxies.".to_owned()));
}
