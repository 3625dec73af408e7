//! The settings: each line matched to its key, its value parsed, ready to be looked up.
//!
//! Owns the rule that explicit beats `*` and `*` beats the built-in default. Refuses to know what a key is for.

use super::error::Errors;
use super::keys::{self, Builtin, Id, Key, Kind};
use super::raw::RawConfig;
use super::value::{Unit, Value};
use crate::balance::Rate;
use crate::sort;

/// Unknown keys that get a suggestion; in a file with more of them it helps nobody.
const SUGGESTIONS: usize = 100;

/// What is odd about a value that is legal.
const COMMENT: &str = "the `#` and what follows it are part of the value: a comment needs a line of its own";
const VARIABLE: &str = "there are no variables: it is sent as it stands here";

/// One line.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub id: Id,
    /// The object's name, `*`, or empty.
    pub name: &'a str,
    /// NAME of `route.N.header.NAME`, else empty.
    pub header: &'a str,
    pub line: u32,
    /// The key as written.
    pub written: &'a str,
    pub value: Value,
}

/// All of them, sorted by key, name and header.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    sorted: Vec<Setting<'a>>,
    /// What values have in them that looks as if it meant something: line, key, what.
    pub odd: Vec<(u32, &'a str, &'static str)>,
    /// Where what is missing is reported.
    pub last_line: u32,
}

impl<'a> Settings<'a> {
    /// Matches every entry; unknown keys, keys given twice and bad values go to `errors`.
    pub(super) fn read(raw: &RawConfig<'a>, errors: &mut Errors) -> Self {
        let mut sorted = Vec::with_capacity(raw.entries.len());
        let mut odd = Vec::new();
        for entry in &raw.entries {
            match keys::find(entry.key, errors.count() < SUGGESTIONS) {
                Ok(place) => {
                    let commented = [" #", "\t#"].iter().any(|sign| entry.value.contains(sign));
                    let value = parse(place.key, entry.value).unwrap_or_else(|reason| {
                        let own = if commented { "; a comment needs a line of its own" } else { "" };
                        errors.push(entry.line, entry.key, reason + own);
                        Value::Bad
                    });
                    if value != Value::Bad {
                        let is_variable = place.key.id == Id::RouteSetHeader && has_variable(entry.value);
                        let signs = [(commented, COMMENT), (is_variable, VARIABLE)];
                        odd.extend(signs.iter().filter(|(is, _)| *is).map(|(_, what)| (entry.line, entry.key, *what)));
                    }
                    let (id, name, header) = (place.key.id, place.name, place.header);
                    sorted.push(Setting { id, name, header, line: entry.line, written: entry.key, value });
                }
                Err(reason) => errors.push(entry.line, entry.key, reason),
            }
        }
        sort::many(&mut sorted, |a, b| place(a).cmp(&place(b)).then(a.line.cmp(&b.line)));
        let mut previous = None;
        sorted.retain(|setting| match previous.filter(|(key, _)| *key == setting.written) {
            Some((_, first)) => {
                errors.push(setting.line, setting.written, format!("given twice, first on line {first}"));
                false
            }
            None => {
                previous = Some((setting.written, setting.line));
                true
            }
        });
        Self { sorted, odd, last_line: raw.last_line }
    }

    /// Every line.
    pub(super) fn all(&self) -> &[Setting<'a>] {
        &self.sorted
    }

    /// Every line of one key, sorted by name.
    pub(super) fn of(&self, id: Id) -> &[Setting<'a>] {
        let start = self.sorted.partition_point(|setting| setting.id < id);
        let end = self.sorted.partition_point(|setting| setting.id <= id);
        &self.sorted[start..end]
    }

    /// The line of exactly this object (or of `*`).
    #[inline(never)]
    pub(super) fn exactly(&self, id: Id, name: &str, header: &str) -> Option<&Setting<'a>> {
        let wanted = (id, name, header);
        self.sorted.binary_search_by(|setting| place(setting).cmp(&wanted)).ok().and_then(|at| self.sorted.get(at))
    }

    /// The lines of a key with a header's name that hold for `name`: its own, and those of `*` for other headers.
    pub(super) fn with_header<'s>(&'s self, id: Id, name: &'s str) -> impl Iterator<Item = &'s Setting<'a>> {
        self.of(id).iter().filter(move |setting| {
            setting.name == name || setting.name == "*" && self.exactly(id, name, setting.header).is_none()
        })
    }

    /// Whether such a line gives `name` a value for this header.
    pub(super) fn is_set_with(&self, id: Id, name: &str, header: &str) -> bool {
        self.with_header(id, name)
            .any(|setting| setting.header.eq_ignore_ascii_case(header) && setting.value != Value::Unset)
    }

    /// The line that holds for `name`: its own, else that of what it is a slot of, else that of `*`.
    #[inline(never)]
    pub(super) fn find(&self, id: Id, name: &str) -> Option<&Setting<'a>> {
        let slot_of = || if id.key().kind == Kind::Backend { self.slot_of(name) } else { None };
        let exactly = |name: &str| self.exactly(id, name, "");
        exactly(name).or_else(|| slot_of().and_then(exactly)).or_else(|| exactly("*"))
    }

    /// Whether a line gives it a value.
    #[inline(never)]
    pub(super) fn is_set(&self, id: Id, name: &str) -> bool {
        self.find(id, name).is_some_and(|setting| setting.value != Value::Unset)
    }

    /// What holds for `name`, the built-in default included; [`Value::Unset`] when there is none.
    #[inline(never)]
    pub(super) fn value(&self, id: Id, name: &str) -> Value {
        match self.find(id, name) {
            Some(setting) if setting.value != Value::Bad => setting.value.clone(),
            _ => match id.key().default {
                Builtin::Text(text) => id.key().unit.parse(text).unwrap_or(Value::Unset),
                Builtin::Declared | Builtin::Follows(_) | Builtin::Unset(_) => Value::Unset,
            },
        }
    }

    /// [`Settings::value`] of a key whose value is a number, a duration, a size or a choice.
    #[inline(never)]
    pub(super) fn number(&self, id: Id, name: &str) -> Option<u64> {
        match self.value(id, name) {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The same, where it fits a `usize`, as the ranges of the table see to.
    #[inline(never)]
    pub(super) fn small(&self, id: Id, name: &str) -> Option<u32> {
        self.number(id, name).and_then(|number| u32::try_from(number).ok())
    }

    /// [`Settings::value`] of a key whose value is `no` or `yes`.
    pub(super) fn yes(&self, id: Id, name: &str) -> bool {
        self.number(id, name) == Some(1)
    }

    /// [`Settings::value`] of a key whose value is a rate.
    #[inline(never)]
    pub(super) fn rate(&self, id: Id, name: &str) -> Option<Rate> {
        match self.value(id, name) {
            Value::Rate(rate) => Some(rate),
            _ => None,
        }
    }

    /// [`Settings::value`] of a key whose value is a text.
    #[inline(never)]
    pub(super) fn text(&self, id: Id, name: &str) -> Option<String> {
        match self.value(id, name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where a message about this setting of `name` belongs: its line, that of `*`, or the end of the file.
    #[inline(never)]
    pub(super) fn line(&self, id: Id, name: &str) -> u32 {
        self.find(id, name).map_or(self.last_line, |setting| setting.line)
    }

    /// The named objects that lines of this kind speak of, each with its first line, in the order of those lines.
    pub(super) fn named(&self, kind: Kind) -> Vec<(u32, &'a str)> {
        let of_kind = self.sorted.iter().filter(|setting| setting.id.key().kind == kind && setting.name != "*");
        in_order(of_kind.map(|setting| (setting.line, setting.name)).collect())
    }
}

/// Each name once, at its first line, in the order of those lines.
pub(super) fn in_order(mut mentions: Vec<(u32, &str)>) -> Vec<(u32, &str)> {
    sort::many(&mut mentions, |a, b| a.1.cmp(b.1).then(a.0.cmp(&b.0)));
    mentions.dedup_by(|later, first| later.1 == first.1);
    sort::many(&mut mentions, |a, b| a.0.cmp(&b.0));
    mentions
}

fn place<'s>(setting: &'s Setting<'_>) -> (Id, &'s str, &'s str) {
    (setting.id, setting.name, setting.header)
}

/// Whether there is a name as HAProxy's and nginx's variables have it.
fn has_variable(value: &str) -> bool {
    value.contains("%[")
        || value.split('$').skip(1).any(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '{'))
}

/// A value of this key; `none` unsets where the key can be unset.
fn parse(key: &Key, text: &str) -> Result<Value, String> {
    match (text, key.default, key.unit) {
        ("none", Builtin::Unset(_), _) => Ok(Value::Unset),
        ("none", _, unit) if !matches!(unit, Unit::Choice(_)) => {
            Err(format!("`none`: this cannot be unset; expected {}", unit.expected()))
        }
        (_, _, unit) => unit.parse(text),
    }
}
