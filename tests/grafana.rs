//! The dashboard for Grafana in docs: everything it asks, asked of a real Prometheus that scraped a real beelance.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::process::Beelance;
use common::prometheus::Prometheus;
use common::{output, tool};
use std::time::Duration;

/// What its panels and its variables ask, a line each.
const EXPRESSIONS: &str = "
import json, re, sys
board = json.load(open(sys.argv[1]))
for panel in board['panels']:
    for target in panel.get('targets', []):
        print(target['expr'])
for variable in board['templating']['list']:
    if variable['type'] == 'query':
        print(re.fullmatch(r'label_values\\((.*), *instance\\)', variable['query']['query'])[1])
";

#[test]
fn every_expression_finds_something() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "admin.listen = 127.0.0.1:0\npool.default.cookie = SRV\n");
    let prometheus = Prometheus::scraping(beelance.address("admin.listen"));
    let mut client = beelance.connect();
    (0..5).for_each(|_| assert_eq!(client.get_with("/", "Cookie: SRV=s1\r\n").status, 200));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana-dashboard.json");
    let read = output(tool("python3").args(["-c", EXPRESSIONS, file]), Duration::ZERO);
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    let instance = beelance.address("admin.listen").to_string();
    let mut count = 0;
    for expression in read.stdout.lines() {
        let expression = expression.replace("$instance", &instance);
        assert!(!expression.contains('$'), "{expression}");
        // It panics where none comes.
        let value = prometheus.value(&expression);
        assert!(value >= 0.0 || value.is_nan(), "{expression}: {value}");
        count += 1;
    }
    assert!(count >= 19, "{count} expressions");
}
