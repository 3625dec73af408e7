//! The same request cases through beelance, HAProxy and nginx to a recording backend: where they differ, that beelance
//! forwards nothing another refuses for its framing, and that docs/http.md lists every difference. `scripts/compare-http`
//! runs this with its report shown.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

#[path = "../cases/mod.rs"]
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod edits;
mod outcome;
mod page;
mod proxies;
mod report;

use cases::{Case, Setting, check};
use common::lane::Door;
use outcome::Outcome;
use proxies::Proxy;
use report::{Report, Row};

#[test]
fn beelance_haproxy_and_nginx() {
    let all = cases::all();
    let cases: Vec<Case> = all.iter().filter(|case| case.setting == Setting::Plain).cloned().collect();
    let left_out = all.len() - cases.len();
    let ours = Proxy::beelance().run(&cases);
    let haproxy = Proxy::haproxy().run(&cases);
    let nginx = Proxy::nginx().run(&cases);
    let rows = cases.iter().zip(ours).zip(haproxy.into_iter().zip(nginx));
    let rows = rows.map(|((case, (seen, door)), ((haproxy, _), (nginx, _)))| {
        let Door::Tcp(address) = door else { panic!("beelance listens on TCP") };
        let outcomes = [&seen, &haproxy, &nginx].map(|seen| Outcome::of(case, seen));
        let wrong = check::problems(case, &seen, &address.to_string());
        let unlisted = edits::unlisted(case, &seen.messages);
        Row { case, outcomes, wrong, unlisted }
    });
    let report = Report { rows: rows.collect(), left_out };
    report.print();
    let mut broken = report.broken();
    broken.extend(page::check(&report));
    assert!(broken.is_empty(), "\n{} conditions do not hold:\n{}\n", broken.len(), broken.join("\n"));
}
