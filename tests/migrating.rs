//! The words of `docs/migrating.md`: each line that its tables name is one that `beelance check` takes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::output;
use common::process::{ConfigFile, command};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// What a file needs in any case, where a row does not say it.
const BASE: [&str; 3] =
    ["listen.web = 127.0.0.1:8080", "backend.shop1 = 192.168.1.11:8080", "backend.shop2 = 192.168.1.12:8080"];

fn key(line: &str) -> &str {
    line.split(" = ").next().unwrap()
}

#[test]
fn every_line_that_it_names_is_right() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrating.md")).unwrap();
    let (mut wrong, mut count) = (String::new(), 0);
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 2, "{row}");
        // What stands between backticks.
        let lines: Vec<&str> = cells[1].split('`').skip(1).step_by(2).filter(|text| text.contains(" = ")).collect();
        count += lines.len();
        let said = |line: &str| lines.iter().any(|other| key(other) == key(line));
        let base = BASE.iter().copied().filter(|line| !said(line));
        let file = ConfigFile::new(base.chain(lines.iter().copied()).collect::<Vec<_>>().join("\n"));
        let output = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
        if output.code != Some(0) {
            write!(wrong, "{row}\n{}", output.stderr).unwrap();
        }
    }
    assert_eq!(wrong, "");
    assert!(count > 80, "only {count} lines were found");
}
