//! Every file of the fuzz corpus, through the same bodies that libFuzzer calls. What was found once is tried for good.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a target that finds something panics")]
#![allow(clippy::cast_possible_truncation, reason = "the target's readings are bounded by a small file")]

#[path = "../fuzz/targets/mod.rs"]
#[allow(unreachable_pub, reason = "reached from fuzz_targets/")]
mod targets;

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;

/// Tries every file of the target's folder; the last one named is the one that failed.
fn replay(name: &str) {
    let target = targets::TARGETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in &files {
        println!("{}", file.display());
        target(&fs::read(file).unwrap());
    }
    // Not captured, unlike what the macros print.
    stderr().write_all(format!("{name}: {} files replayed\n", files.len()).as_bytes()).unwrap();
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn cookie() {
    replay("cookie");
}

#[test]
fn dns() {
    replay("dns");
}

#[test]
fn framing() {
    replay("framing");
}

#[test]
fn head() {
    replay("head");
}

#[test]
fn proxy() {
    replay("proxy");
}

/// A folder without a target would be tried by nobody, and neither would a target without a test above.
#[test]
fn every_folder_has_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut folders: Vec<_> =
        fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(folders, ["config", "cookie", "dns", "framing", "head", "proxy"]);
    assert_eq!(folders, targets::TARGETS.map(|(name, _)| name));
}
