//! What scripts send to the runtime socket, beside HAProxy's: several lines at once, and options of `show stat`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::ctl::{Place, ask, config, haproxy, value};
use common::process::Beelance;
use std::path::Path;

/// Scripts send a command on each line, in one write, without a prompt.
#[test]
fn all_lines_that_came_are_answered() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours.0, ""));
    let _haproxy = haproxy(&backend, &theirs.0, "admin");
    for lines in [
        "show backend\nget weight api/a1\r\nshow cli level",
        "disable server shop/s1; get weight api/a1\nget weight shop/zz\nquit\nshow backend",
    ] {
        assert_eq!(ask(&ours.0, lines), ask(&theirs.0, lines), "{lines}");
    }
    assert_eq!(value(&ours.0, "shop", "s1", "status"), "MAINT");
    // More than one read has, a line across its end.
    let lines = vec!["get weight api/a1"; 400].join("\n");
    assert_eq!(ask(&ours.0, &lines), "5 (initial 5)\n\n".repeat(400));
}

/// Its options beside the columns: HAProxy's answers have the same lines.
#[test]
fn the_statistics_leave_out_what_nobody_wants() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours.0, ""));
    let _haproxy = haproxy(&backend, &theirs.0, "admin");
    let lines = |path: &Path, words: &str| -> Vec<String> {
        let line = format!("set server shop/s1 state maint; set server shop/s2 health down; show stat {words}");
        let names = |line: &str| line.split(',').take(2).collect::<Vec<_>>().join("/");
        ask(path, &line).lines().skip(2).filter(|line| !line.is_empty()).map(names).collect()
    };
    for (words, count) in [
        ("", 7),
        ("no-maint", 6),
        ("up", 5),
        ("-1 4 -1 up", 2),
        ("shop 4 -1 no-maint", 2),
        ("domain proxy api 6 -1 up", 2),
    ] {
        let told = lines(&ours.0, words);
        assert_eq!(told, lines(&theirs.0, words), "{words}");
        assert_eq!(told.len(), count + 1, "{words}: {told:?}");
    }
}
