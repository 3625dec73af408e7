//! The dashboard in a real browser, Debian's Chromium, driven by Playwright; what is served is what the repository holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::process::{Beelance, temporary};
use common::{output, tool};
use std::path::{Path, PathBuf};
use std::time::Duration;

const OPERATOR: &str = "operator-0123456789";
/// The folder of Playwright, which drives the Chromium that is installed. Both are put there before any test runs: two
/// tests that each fetched what was missing once disturbed each other.
fn playwright() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/playwright");
    assert!(folder.is_dir(), "no {}: scripts/setup makes it", folder.display());
    folder
}

#[test]
fn a_person_at_it() {
    let backends = ["one", "two"].map(Backend::named);
    let more = format!(
        "admin.listen = 127.0.0.1:0\nadmin.token.operator = {OPERATOR}\npool.default.cookie = SRV\nbackend.*.maxconn = 20\n"
    );
    let beelance = Beelance::before(&[&backends[0], &backends[1]], &more);
    let folder = temporary("pictures");
    std::fs::create_dir(&folder).unwrap();
    let mut node = tool("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dashboard/browse.mjs"))
        .arg(playwright())
        .arg(format!("http://{}/", beelance.address("admin.listen")))
        .arg(format!("http://{}", beelance.web()))
        .arg(&folder);
    let browsed = output(&mut node, Duration::from_secs(180));
    assert_eq!(browsed.code, Some(0), "{}{}", browsed.stdout, browsed.stderr);
    let seen = browsed.stdout;
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    for part in [
        "\"errors\":[]",
        "\"elsewhere\":[]",
        &format!("\"title\":\"beelance {host}\""),
        "\"hidden\":true",
        "\"refused\":\"the token is wrong\"",
        "\"stillHidden\":true",
        "\"untouched\":\"Up\"",
        "\"flight\":\"In flight40",
        "\"response\":true",
        "\"failed\":\"0\"",
        "\"memory\":true",
        "\"drained\":\"Drain\"",
        "\"weights\":[\"7\"]",
        "\"weightNote\":\"A weight is a whole number from 0 to 256.\"",
        "\"rests\":\"Maint\"",
        "\"back\":\"Up\"",
        "\"unnamed\":0",
        "\"captions\":true",
        "\"kept\":false",
        "\"locked\":true",
        "\"dark\":\"rgb(22, 20, 15)\"",
        "\"overflow\":0",
        "\"overflowBelow\":0",
        "\"why\":\"It goes to default/s2.\"",
        "\"steps\":\"listener pool affinity balance server server choice retries\"",
        "\"headless\":true",
        "\"connection\":\"It is let in; what it asks for is placed request by request.\"",
        "\"mistake\":\"src takes an IPv4 or IPv6 address.\"",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    // The drained server got nothing of the second load.
    assert_eq!(backends[0].count() + backends[1].count(), 95);
    assert!(backends[1].count() >= 15 + 20 + 4 + 20, "{}", backends[1].count());
    for picture in ["light", "dark", "phone", "explain"] {
        let file = folder.join(format!("dashboard-{picture}.png"));
        assert!(std::fs::metadata(&file).unwrap().len() > 10_000);
        if std::env::var_os("BEELANCE_BLESS").is_some() {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
            std::fs::copy(&file, docs.join(file.file_name().unwrap())).unwrap();
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// A page of somebody else's in an operator's browser, who even knows the token: it reads nothing, and changes nothing.
#[test]
fn a_page_from_elsewhere_can_do_nothing() {
    let backend = Backend::named("one");
    let more = format!("admin.listen = 127.0.0.1:0\nadmin.token.operator = {OPERATOR}\n");
    let beelance = Beelance::before(&[&backend, &backend], &more);
    let mut node = tool("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dashboard/elsewhere.mjs"))
        .arg(playwright())
        .arg(format!("http://{}/", beelance.address("admin.listen")))
        .arg(OPERATOR);
    let browsed = output(&mut node, Duration::from_secs(180));
    assert_eq!(browsed.code, Some(0), "{}{}", browsed.stdout, browsed.stderr);
    assert_eq!(browsed.stdout.trim(), "it could do nothing; its own page could", "{}", browsed.stderr);
}

/// A reload, a new process, nobody there, answers that come late; many servers in a narrow window.
#[test]
fn what_changes_under_it_is_shown_as_it_is() {
    let [one, two, three] = ["one", "two", "three"].map(Backend::named);
    let more = format!(
        "admin.listen = 127.0.0.1:0\nadmin.token.operator = {OPERATOR}\nbackend.*.maxconn = 20\n\
         backend.o = {}\nbackend.o.pool = other\nroute.o.path = /o\nroute.o.pool = other\n",
        three.address()
    );
    let beelance = Beelance::before(&[&one, &two], &more);
    (0..4).for_each(|_| assert_eq!(beelance.connect().get("/").status, 200));
    let mut node = tool("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dashboard/changes.mjs"))
        .arg(playwright())
        .arg(format!("http://{}/", beelance.address("admin.listen")))
        .arg(OPERATOR);
    let browsed = output(&mut node, Duration::from_secs(180));
    assert_eq!(browsed.code, Some(0), "{}{}", browsed.stdout, browsed.stderr);
    assert_eq!(browsed.stdout.trim(), "it showed what there was", "{}", browsed.stderr);
}

#[test]
fn what_is_served_is_what_is_here() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "admin.listen = 127.0.0.1:0\n");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/operate/admin/page");
    let mut compressed = 0;
    for (path, file) in [("", "page.html"), ("page.css", "page.css"), ("page.js", "page.js")] {
        let url = format!("http://{}/{path}", beelance.address("admin.listen"));
        let served = output(tool("curl").args(["-sS", "--compressed", &url]), Duration::ZERO);
        assert_eq!(served.stdout, std::fs::read_to_string(folder.join(file)).unwrap(), "{file}: run scripts/page");
        let head = output(tool("curl").args(["-sSI", &url]), Duration::ZERO).stdout.to_ascii_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'; "), "{head}");
        assert!(!head.contains("unsafe-inline") && head.contains("frame-ancestors 'none'"), "{head}");
        compressed += std::fs::metadata(folder.join(format!("{file}.gz"))).unwrap().len();
    }
    assert!(compressed <= 30_000, "{compressed} bytes");
}
