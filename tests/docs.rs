//! Pages of the documentation, followed word for word: every command in them works as it is written there, and prints what the
//! page says that it prints; every piece of a file is accepted.
//!
//! On a machine of its own: namespaces in which /dev, /etc, /usr/sbin, /run and the network are the test's. That needs root, and a
//! program that can be executed by its name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::process::{command, is_native, temporary};
use common::{output, tool};
use nix::unistd::geteuid;
use std::path::Path;
use std::time::Duration;

/// Follows `page`: so many commands and pieces of files at least.
#[track_caller]
fn follow(page: &str, commands: usize, files: usize) {
    if !is_native() || !geteuid().is_root() {
        eprintln!("SKIPPED, needs root and no emulator: {page}");
        return;
    }
    let (root, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), temporary("docs"));
    std::fs::create_dir(&folder).unwrap();
    let mut followed = tool("unshare");
    followed.args("--mount --net --uts --ipc --pid --fork --mount-proc --kill-child python3 -B".split(' '));
    followed.arg(root.join("tests/docs/follow.py")).arg(root.join(page));
    let followed = output(followed.arg(command().get_program()).arg(&folder), Duration::from_secs(300));
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(followed.code, Some(0), "{}{}", followed.stdout, followed.stderr);
    let counts = followed.stdout.lines().last().unwrap();
    let mut numbers = counts.split(' ').filter_map(|word| word.parse::<usize>().ok());
    let [seen, pieces] = [numbers.next().unwrap(), numbers.next().unwrap()];
    assert!(seen >= commands && pieces >= files, "{page}: {counts}; where have the others gone?");
}

#[test]
fn operating() {
    follow("docs/operating.md", 80, 6);
}

#[test]
fn monitoring() {
    follow("docs/monitoring.md", 24, 3);
}
