//! Lines that others cause again and again: those that were told, those that were left out, and what the log says of these.

use super::access::Line;
use super::ctl::ask;
use super::eventually;
use super::process::Beelance;
use std::path::Path;
use std::time::Instant;

/// Lines about one thing that come one behind the other, and about what is refused.
pub const BURST: usize = 20;
pub const REFUSED_BURST: usize = 3;
pub const TOLD: &str = "; lines like this one that were left out in the last ";
/// What is no access line.
pub fn messages(beelance: &Beelance) -> Vec<String> {
    beelance.log().into_iter().filter(|line| Line::find(line).is_none()).collect()
}

/// The lines that hold these words: those that were told, and how many they say were left out.
pub fn told_and_left_out(lines: &[String], words: &[&str]) -> (usize, usize) {
    let about = lines.iter().filter(|line| words.iter().any(|word| line.contains(word)));
    about.fold((0, 0), |(told, left_out), line| match line.split_once(TOLD) {
        None => (told + 1, left_out),
        Some((_, rest)) => {
            let count = rest.split_once(" s: ").unwrap().1.trim_end_matches('.');
            (told, left_out + count.parse::<usize>().unwrap())
        }
    })
}

/// All lines about one thing that there may be since `began`, those among them that tell of others.
pub fn most(burst: usize, began: Instant) -> usize {
    burst + usize::try_from(began.elapsed().as_secs()).unwrap() / 10 + 1
}

pub fn lines_about(beelance: &Beelance, words: &[&str]) -> usize {
    messages(beelance).iter().filter(|line| words.iter().any(|word| line.contains(word))).count()
}

pub fn suppressed(socket: &Path) -> usize {
    let info = ask(socket, "show info");
    let number = info.lines().find_map(|line| line.strip_prefix("MessagesSuppressed: "));
    number.unwrap_or_else(|| panic!("{info}")).parse().unwrap()
}

/// Waits until there were so many, however long that takes, as long as there are more and more.
#[track_caller]
pub fn wait_for_many(what: &str, wanted: usize, mut count: impl FnMut() -> usize) {
    let mut before = count();
    while before < wanted {
        before =
            eventually(&format!("more {what} than {before} of {wanted}"), || Some(count()).filter(|&now| now > before));
    }
}

/// Waits until each line that was left out has been told of, and returns all lines.
#[track_caller]
pub fn settled(beelance: &Beelance, suppressed: usize) -> Vec<String> {
    beelance.wait_log(&format!("{suppressed} lines are told to be left out"), |lines| {
        (told_and_left_out(lines, &[TOLD]).1 >= suppressed).then(|| lines.to_vec())
    })
}
