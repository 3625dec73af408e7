//! Every request case of tests/cases against the real process: in one piece, and byte by byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod cases;
mod common;

use cases::{Case, Setting, check};
use common::lane::{Door, Lane};
use common::process::Beelance;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases under way at once.
const LANES: usize = 8;
/// Longer cases are not sent byte by byte but in pieces: what is special about them is their length.
const LONG: usize = 1000;
const PIECE: usize = 97;

/// One process, its listeners each before a backend of their own.
struct Bed {
    beelance: Beelance,
    lanes: Vec<Lane>,
}

impl Bed {
    fn new(setting: Setting) -> Self {
        let lanes: Vec<Lane> = (0..LANES).map(|_| Lane::new()).collect();
        let mut config = match setting {
            Setting::Small => "limits.body = 1000\nlimits.headers = 20\nlimits.header-size = 4k\n".to_owned(),
            Setting::Plain | Setting::Trusted | Setting::NoForwardFor => String::new(),
        };
        for (number, lane) in lanes.iter().enumerate() {
            let backend = lane.backend();
            writeln!(config, "listen.l{number} = 127.0.0.1:0\nlisten.l{number}.pool = p{number}").unwrap();
            writeln!(config, "backend.b{number} = {backend}\nbackend.b{number}.pool = p{number}").unwrap();
            let more = match setting {
                Setting::Trusted => format!("listen.l{number}.trust = 127.0.0.0/8\n"),
                Setting::NoForwardFor => format!("pool.p{number}.forwardfor = no\n"),
                Setting::Plain | Setting::Small => String::new(),
            };
            config += &more;
        }
        Self { beelance: Beelance::start(&config), lanes }
    }

    /// Runs the cases, as many at once as there are lanes; what is wrong, by case.
    fn run(&mut self, cases: &[&Case], piece: impl Fn(&Case) -> usize + Sync) -> Vec<String> {
        let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let (next, found, piece, beelance) = (&next, &wrong, &piece, &self.beelance);
        std::thread::scope(|scope| {
            for (number, lane) in self.lanes.iter_mut().enumerate() {
                scope.spawn(move || {
                    let address = beelance.address(&format!("l{number}"));
                    while let Some((index, case)) = cases.get(next.load(Ordering::Relaxed)).and_then(|_| {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        cases.get(index).map(|case| (index, case))
                    }) {
                        let seen = lane.run(&Door::Tcp(address), &case.sent, piece(case), case.ending);
                        let problems = check::problems(case, &seen, &address.to_string());
                        if !problems.is_empty() {
                            let sent: Vec<u8> = case.sent.iter().copied().take(400).collect();
                            let text =
                                format!("{case}\n  sent \"{}\"\n  - {}", sent.escape_ascii(), problems.join("\n  - "));
                            found.lock().unwrap().push((index, text));
                        }
                    }
                });
            }
        });
        let mut wrong = wrong.into_inner().unwrap();
        wrong.sort();
        wrong.into_iter().map(|(_, text)| text).collect()
    }
}

#[track_caller]
fn hold(setting: Setting) {
    let all = cases::all();
    let cases: Vec<&Case> = all.iter().filter(|case| case.setting == setting).collect();
    assert!(!cases.is_empty());
    let mut bed = Bed::new(setting);
    let mut wrong = bed.run(&cases, |case| case.sent.len() + 1000);
    for text in bed.run(&cases, |case| if case.sent.len() > LONG { PIECE } else { 1 }) {
        wrong.push(format!("byte by byte: {text}"));
    }
    let (count, failed) = (cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{count} cases, sent twice each, {failed} failures\n\n{}\n", wrong.join("\n\n"));
}

#[test]
fn plain() {
    hold(Setting::Plain);
}

#[test]
fn from_a_trusted_client() {
    hold(Setting::Trusted);
}

#[test]
fn without_forwardfor() {
    hold(Setting::NoForwardFor);
}

#[test]
fn within_small_limits() {
    hold(Setting::Small);
}

#[test]
fn a_name_belongs_to_one_case() {
    let mut names: Vec<String> = cases::all().iter().map(|case| format!("{}: {}", case.noun, case.name)).collect();
    names.sort();
    let double: Vec<&String> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(double.is_empty(), "{double:?}");
    assert!(names.len() > 300, "{} cases", names.len());
}
