//! The comparison case by case: who differs from whom, in which class, and the conditions that have to hold.

use crate::cases::{Case, Expected, Kind};
use crate::outcome::{Outcome, as_sent};
use std::collections::BTreeMap;

/// In what way a case differs, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// beelance passes on what another refuses.
    Wider,
    /// beelance refuses what another passes on.
    Stricter,
    /// Passed on by all that do, in different form.
    Form,
    /// Refused by all, with another status, or answered by some.
    Status,
}

impl Class {
    pub const ALL: [Self; 4] = [Self::Wider, Self::Stricter, Self::Form, Self::Status];

    pub fn title(self) -> &'static str {
        match self {
            Self::Wider => "beelance forwards, another refuses",
            Self::Stricter => "beelance refuses, another forwards",
            Self::Form => "forwarded in different forms",
            Self::Status => "not forwarded, with different replies",
        }
    }
}

/// Trailers whose names HAProxy 2.6 checks in one run and passes on unchecked in the next.
const UNSTEADY: [&str; 4] = [
    "trailers with a blank before the colon",
    "trailers with a blank in the name",
    "trailers that begin with a blank",
    "trailers with a NUL in the name",
];

/// A case in the three proxies: beelance, HAProxy, nginx.
pub struct Row<'c> {
    pub case: &'c Case,
    pub outcomes: [Outcome; 3],
    /// Why beelance did not do what the case expects.
    pub wrong: Vec<String>,
    /// Edits of the head that the documentation does not list.
    pub unlisted: Vec<String>,
}

impl Row<'_> {
    /// How the three differ, if they do.
    pub fn class(&self) -> Option<Class> {
        let [ours, others @ ..] = &self.outcomes;
        let any = |what: fn(&Outcome) -> bool| others.iter().any(what);
        if ours.forwards() && any(Outcome::refuses) {
            Some(Class::Wider)
        } else if ours.refuses() && any(Outcome::forwards) {
            Some(Class::Stricter)
        } else if others.iter().all(|other| other == ours) {
            None
        } else if ours.forwards() || any(Outcome::forwards) {
            Some(Class::Form)
        } else {
            Some(Class::Status)
        }
    }

    /// What each did, in a few words.
    pub fn words(&self) -> [String; 3] {
        let ours = &self.outcomes[0];
        let base = if ours.forwards() { ours.messages.clone() } else { as_sent(self.case) };
        let mut words = [0, 1, 2].map(|at| self.outcomes[at].say(&base));
        if let Expected::Normalise(passed) = &self.case.expected
            && ours.forwards()
            && passed[0].head.windows(18).any(|window| window == b"\r\nContent-Length: ")
        {
            words[0] += " with one plain length";
        }
        if UNSTEADY.contains(&self.case.name.as_str()) {
            words[1] = "400 or forwards, from run to run".to_owned();
        }
        words
    }

    /// Whether another reader could find another end of the message, or another host, in it.
    fn is_about_framing(&self) -> bool {
        let nouns = ["Content-Length", "Transfer-Encoding", "chunks", "pipelining"];
        self.case.kind == Kind::Framing || nouns.contains(&self.case.noun)
    }

    fn is_wider_in_framing(&self) -> bool {
        self.class() == Some(Class::Wider) && self.is_about_framing()
    }

    /// Whether what was forwarded is the plain form.
    fn is_normalised(&self) -> bool {
        matches!(self.case.expected, Expected::Normalise(_)) && self.wrong.is_empty()
    }

    fn is_valid(&self) -> bool {
        self.case.kind == Kind::Valid && matches!(self.case.expected, Expected::Forward(_))
    }
}

/// Everything that was found.
pub struct Report<'c> {
    pub rows: Vec<Row<'c>>,
    /// Cases of other configurations than the three have in common.
    pub left_out: usize,
}

impl Report<'_> {
    /// One line a case that differs, by class, and the counts.
    pub fn print(&self) {
        for class in Class::ALL {
            let rows: Vec<&Row<'_>> = self.rows.iter().filter(|row| row.class() == Some(class)).collect();
            println!("\n{}: {} cases", class.title(), rows.len());
            for row in rows {
                let [ours, haproxy, nginx] = row.words();
                println!("  {}: {ours}; HAProxy {haproxy}; nginx {nginx}", row.case);
            }
        }
        println!();
        for (name, count) in self.counts() {
            println!("{count:5}  {name}");
        }
        let normalised = self.rows.iter().filter(|row| row.is_wider_in_framing() && row.is_normalised());
        for row in normalised {
            println!("       normalised: {}: {}", row.case, row.case.why);
        }
        let (good, all) = self.valid();
        println!("       valid messages forwarded unchanged but for the listed header edits: {good} of {all}");
    }

    fn counts(&self) -> Vec<(String, usize)> {
        let count = |what: &dyn Fn(&Row<'_>) -> bool| self.rows.iter().filter(|row| what(row)).count();
        let mut counts = vec![
            ("cases".to_owned(), self.rows.len()),
            ("cases of beelance's own settings, left out".to_owned(), self.left_out),
            ("forwarded by all three".to_owned(), count(&|row| row.outcomes.iter().all(Outcome::forwards))),
            ("refused by all three".to_owned(), count(&|row| row.outcomes.iter().all(Outcome::refuses))),
            ("the same in all three".to_owned(), count(&|row| row.class().is_none())),
        ];
        for class in Class::ALL {
            counts.push((class.title().to_owned(), count(&|row| row.class() == Some(class))));
        }
        counts.push((
            "beelance forwards, another refuses, normalised as the RFC permits".to_owned(),
            count(&|row| row.is_wider_in_framing() && row.is_normalised()),
        ));
        counts.push((
            "beelance forwards what HAProxy or nginx refuses for framing reasons (has to be 0)".to_owned(),
            count(&|row| row.is_wider_in_framing() && !row.is_normalised()),
        ));
        counts
    }

    /// Valid messages that were forwarded as they have to be, and all.
    fn valid(&self) -> (usize, usize) {
        let valid: Vec<&Row<'_>> = self.rows.iter().filter(|row| row.is_valid()).collect();
        (valid.iter().filter(|row| row.wrong.is_empty() && row.unlisted.is_empty()).count(), valid.len())
    }

    /// What does not hold, in words.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for row in &self.rows {
            if row.is_wider_in_framing() && !row.is_normalised() {
                broken.push(format!("{}: forwarded, and refused by another for its framing", row.case));
            }
            broken.extend(row.wrong.iter().map(|wrong| format!("{}: {wrong}", row.case)));
            broken.extend(row.unlisted.iter().map(|edit| format!("{}: an edit that is not listed: {edit}", row.case)));
        }
        let (good, all) = self.valid();
        if good == 0 || good != all {
            broken.push(format!("{good} of {all} valid messages forwarded unchanged"));
        }
        let counts: BTreeMap<String, usize> = self.counts().into_iter().collect();
        for name in ["cases", "forwarded by all three", "refused by all three", Class::Stricter.title()] {
            if counts.get(name).is_none_or(|count| *count == 0) {
                broken.push(format!("{name}: none"));
            }
        }
        broken
    }
}
