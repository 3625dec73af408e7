//! The table of differences in docs/http.md.

use crate::proxies::version;
use crate::report::{Class, Report, Row};
use std::fmt::Write;

const BEGIN: &str = "<!-- differences: written by `scripts/compare-http --write`, do not edit -->\n";
const END: &str = "<!-- end of the differences -->\n";

/// Writes the table where `BEELANCE_BLESS` is set; what is wrong with the one that is there.
pub fn check(report: &Report<'_>) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let (Some((before, rest)), Some((_, after))) = (page.split_once(BEGIN), page.split_once(END)) else {
        return Some("docs/http.md has no place for the differences".to_owned());
    };
    let (committed, _) = rest.split_once(END).unwrap_or_default();
    let versions = versions();
    if std::env::var_os("BEELANCE_BLESS").is_some() {
        let page = format!("{before}{BEGIN}{}{END}{after}", render(report, &versions));
        std::fs::write(path, page).unwrap();
        return None;
    }
    if !committed.starts_with(&versions) {
        // Other versions differ in other cases: only the conditions are checked then.
        println!("docs/http.md is about other versions than these: {versions}");
        return None;
    }
    (committed != render(report, &versions))
        .then(|| "docs/http.md is outdated: scripts/compare-http --write".to_owned())
}

fn versions() -> String {
    let (haproxy, nginx) = (version("haproxy", "-v"), version("nginx", "-v"));
    format!(
        "HAProxy {haproxy} and nginx {nginx}, as Debian configures them but for what scripts/compare-http.d shows.\n"
    )
}

fn render(report: &Report<'_>, versions: &str) -> String {
    let mut out = versions.to_owned();
    for class in Class::ALL {
        let rows: Vec<&Row<'_>> = report.rows.iter().filter(|row| row.class() == Some(class)).collect();
        write!(out, "\n### {}\n\n", capital(class.title())).unwrap();
        out += "| case | RFC | beelance | HAProxy | nginx | why beelance is right |\n|---|---|---|---|---|---|\n";
        // Cases with the same reason and the same outcomes share a line.
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        for row in rows {
            let [ours, haproxy, nginx] = row.words();
            let rest = format!("{} | {ours} | {haproxy} | {nginx} | {}", row.case.rfc, row.case.why);
            let key = format!("{}: ", row.case.noun) + &rest;
            let name = escaped(&row.case.name);
            match lines.iter_mut().find(|(known, _)| *known == key) {
                Some((_, names)) => names.push(name),
                None => lines.push((key, vec![name])),
            }
        }
        for (key, names) in lines {
            let (noun, rest) = key.split_once(": ").unwrap();
            writeln!(out, "| {noun}: {} | {rest} |", names.join("; ")).unwrap();
        }
    }
    out
}

fn capital(text: &str) -> String {
    if text.starts_with("beelance") {
        return text.to_owned();
    }
    text[..1].to_uppercase() + &text[1..]
}

fn escaped(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if "|\\`*_<>[]".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
