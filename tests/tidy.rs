//! The rules of the source that no compiler checks: layers, headers, unfinished marks, files that outgrew their page.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its files fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file, tests included.
const PAGE: usize = 450;

/// What a layer may not name: imports go one way.
const LAYERS: [(&str, &[&str]); 9] = [
    ("src/limits.rs", &["crate::http", "crate::balance", "crate::runtime", "crate::proxy", "crate::operate"]),
    ("src/limits/", &["crate::http", "crate::balance", "crate::runtime", "crate::proxy", "crate::operate"]),
    (
        "src/http/",
        &["crate::balance", "crate::config::", "crate::runtime", "crate::proxy", "crate::operate", "crate::demo"],
    ),
    ("src/http/", &["nix::", "smol::", "async_io", "TcpStream", "TcpListener", "Instant::", "SystemTime"]),
    (
        "src/balance/",
        &["crate::http", "crate::config::", "crate::runtime", "crate::proxy", "crate::operate", "crate::demo"],
    ),
    ("src/balance/", &["nix::", "smol::", "async_io", "std::net", "Instant::", "SystemTime"]),
    (
        "src/dns/",
        &[
            "crate::http",
            "crate::balance",
            "crate::config",
            "crate::runtime",
            "crate::proxy",
            "crate::operate",
            "nix::",
            "smol::",
            "async_io",
            "std::net",
            "Instant::",
            "SystemTime",
        ],
    ),
    ("src/runtime/", &["crate::http", "crate::balance", "crate::config", "crate::proxy", "crate::operate", "httparse"]),
    ("src/proxy/", &["crate::operate", "crate::demo", "async_io", "smol::Timer"]),
];

fn sources(root: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {root}");
    found
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::set_current_dir(root).unwrap();
    [sources("src"), sources("tests"), sources("fuzz/targets")].concat()
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The code without comments: documentation may link where code may not go.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        let code = code(&text);
        for (layer, forbidden) in LAYERS {
            let named = forbidden.iter().filter(|name| path.starts_with(layer) && code.contains(**name));
            wrong.extend(named.map(|name| format!("{path}: {layer} may not name {name}")));
        }
    }
    none(&wrong);
}

#[test]
fn unsafe_only_in_the_runtime() {
    let outside = |path: &str| path.starts_with("src/") && !path.starts_with("src/runtime/");
    let names = |text: &str| code(text).contains("unsafe");
    none(
        &all()
            .iter()
            .filter(|(path, text)| outside(path) && names(text))
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_module_says_what_it_is() {
    none(&all().iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path.clone()).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_undone() {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"]];
    let mut wrong = Vec::new();
    for (path, text) in all() {
        for mark in marks.map(|halves| halves.concat()) {
            wrong.extend(text.contains(&mark).then(|| format!("{path}: {mark}")));
        }
    }
    none(&wrong);
}

#[test]
fn a_file_is_a_page() {
    let wrong = all().into_iter().filter(|(_, text)| text.lines().count() > PAGE);
    none(&wrong.map(|(path, text)| format!("{path}: {} lines", text.lines().count())).collect::<Vec<_>>());
}

#[test]
fn the_binary_needs_no_more_crates_than_the_design_names() {
    let mut names = Vec::new();
    for manifest in ["Cargo.toml", "src/Cargo.toml"] {
        let manifest = fs::read_to_string(manifest).unwrap();
        let (_, rest) = manifest.split_once("\n[dependencies]").unwrap();
        let lines = rest.lines().skip(1).take_while(|line| !line.starts_with('['));
        names.extend(lines.filter_map(|line| line.split_once([' ', '.'])).map(|(name, _)| name.to_owned()));
    }
    // The engine is the balancer's own other half.
    names.retain(|name| name != "beelance-engine");
    assert!(!names.is_empty());
    let known = ["async-io", "futures-lite", "heapless", "httparse", "lexopt", "log", "nix", "simple_logger", "smol"];
    none(&names.into_iter().filter(|name| !known.contains(&name.as_str())).collect::<Vec<_>>());
}
