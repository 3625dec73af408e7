//! `docs/config.md`, rendered from the key table. `BEELANCE_BLESS=1 cargo test` writes it anew.
//!
//! Compiled for tests only: the binary carries no documentation.

use super::keys::{Builtin, KEYS, Key, Kind};
use super::value::Unit;
use std::fmt::Write;

const HEAD: &str = "\
# Configuration

<!-- Rendered from the key table in src/config/keys.rs: change that, then run `BEELANCE_BLESS=1 cargo test docs`. -->

A flat file, one `key = value` a line, split at the first `=`, both sides trimmed. Blank lines, and lines whose first
character after blanks is `#`, are skipped; a `#` inside a value belongs to it. Keys are lower case. A byte order mark,
CRLF and a missing final newline do not matter.

    listen.web                = 0.0.0.0:80
    backend.shop1             = 192.168.1.11:8080
    backend.shop2             = 192.168.1.12:8080
    backend.*.maxconn         = 20
    pool.*.balance            = leastconn
    pool.*.cookie             = SRV
    pool.*.check.uri          = /healthz

N is the name of an object: `[a-z0-9][a-z0-9_-]{0,31}`, unique within its kind. `*` instead sets an attribute for every
object of the kind, wherever it stands in the file: a line of the object's own beats `*`, `*` beats the default. What
names no pool is in the pool `default`; a pool exists as soon as something names it.

Durations are whole numbers with a unit: `250ms`, `5s`, `2m`, `1h`. Sizes are bytes, or `4k`, `16m`, `1g` in powers of
1024. Booleans are `yes` and `no`. Lists are separated by commas. `none` unsets a key whose
default is no fixed value, but for {FOLLOWS}.

`beelance check` prints the effective configuration: every key that has an effect with its value, defaults included. What is
wrong with a file is reported all at once, a line each: `FILE:LINE: key: reason`, with exit code 1. What is legal and probably not
meant is a `warning: FILE:LINE: key: reason`, and the exit code stays 0.

Tokens and `cookie.dynamic-key` stand in the file in clear, and in what `check` prints, whose first line says so: a file with such keys
is best root's and of the group of the service, with mode 640.
";

fn render() -> String {
    let is_none_a_choice = |unit| matches!(unit, Unit::Choice(words) if words.contains(&"none"));
    let follows = |key: &&Key| matches!(key.default, Builtin::Follows(_)) && !is_none_a_choice(key.unit);
    let follows: Vec<String> = KEYS.iter().filter(follows).map(|key| format!("`{}`", key.of("N"))).collect();
    let mut out = HEAD.replace("{FOLLOWS}", &follows.join(", "));
    for kind in Kind::ALL {
        let title = match kind {
            Kind::Listen => "Listeners",
            Kind::Backend => "Backends",
            Kind::Pool => "Pools",
            Kind::Route => "Routes",
            Kind::Reply => "Replies",
            Kind::Process => "Everything else",
        };
        write!(out, "\n## {title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n").unwrap();
        for key in KEYS.iter().filter(|key| key.kind == kind) {
            let default = match key.default {
                Builtin::Declared => "(declares it)".to_owned(),
                Builtin::Text(text) => format!("`{text}`"),
                Builtin::Follows(words) | Builtin::Unset(words) => words.to_owned(),
            };
            let mut value = String::new();
            for c in key.unit.expected().chars() {
                value.push_str(if "|*_`[]\\".contains(c) { "\\" } else { "" });
                value.push(c);
            }
            writeln!(out, "| `{}` | {value} | {default} | {} |", key.of("N"), key.help).unwrap();
        }
    }
    out
}

#[test]
fn the_committed_page_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");
    let rendered = render();
    if std::env::var_os("BEELANCE_BLESS").is_some() {
        std::fs::write(path, &rendered).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == rendered,
        "docs/config.md is not what the key table says: run `BEELANCE_BLESS=1 cargo test docs`"
    );
}
