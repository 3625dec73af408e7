//! A key as a file has it: taken apart, or why it is none.
//!
//! Owns what is said of a key that is wrong. Refuses to know which values there are.

use super::{HEADERS, Id, KEYS, Key, Kind, said_here};
use crate::config::error::nearest;
use crate::config::value::{is_name, is_token};

/// A key as written, taken apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Place<'a> {
    pub key: &'static Key,
    /// The object's name, `*`, or empty for [`Kind::Process`].
    pub name: &'a str,
    /// NAME of `route.N.header.NAME` and the like, else empty.
    pub header: &'a str,
}

/// Takes a key as written apart, or says why it is none. Suggestions cost time: `suggest` asks for one.
pub(in crate::config) fn find(written: &str, suggest: bool) -> Result<Place<'_>, String> {
    let (word, rest) = written.split_once('.').unwrap_or((written, ""));
    let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind != Kind::Process && kind.word() == word) else {
        let key = KEYS.iter().find(|key| key.kind == Kind::Process && key.attribute == written);
        return key.map(|key| Place { key, name: "", header: "" }).ok_or_else(|| unknown(written, written, suggest));
    };
    let (name, attribute) = rest.split_once('.').unwrap_or((rest, ""));
    if rest.is_empty() {
        return Err(format!("a name is missing: write `{word}.NAME`"));
    }
    if name != "*" && !is_name(name) {
        return Err("names are [a-z0-9][a-z0-9_-]{0,31}: lower case, at most 32 characters".to_owned());
    }
    let split = |(prefix, id): (&str, Id)| attribute.strip_prefix(prefix).map(|header| (header, id));
    let header = HEADERS.into_iter().find_map(split).filter(|_| kind == Kind::Route);
    let with_header = |id: Id| HEADERS.iter().any(|(_, other)| *other == id);
    let key = match header {
        Some((header, id)) if is_token(header) => Some(id.key()),
        Some(_) => return Err("the name of a header field is a token".to_owned()),
        None => KEYS.iter().find(|key| key.kind == kind && key.attribute == attribute && !with_header(key.id)),
    };
    let header = header.map_or("", |(header, _)| header);
    match key {
        Some(key) if name == "*" && attribute.is_empty() => {
            Err(format!("`*` stands for the attributes of every {word}: name the {word}, as in `{}`", key.of("NAME")))
        }
        Some(key) => Ok(Place { key, name, header }),
        None if attribute.is_empty() => Err(format!(
            "a {word} has no value of its own, only attributes such as `{}`",
            Id::first_of(kind).key().of(name)
        )),
        None => Err(unknown(written, attribute, suggest)),
    }
}

impl Id {
    /// An attribute to show for an object that is not declared by a line of its own.
    fn first_of(kind: Kind) -> Self {
        match kind {
            Kind::Route => Self::RoutePool,
            Kind::Reply => Self::ReplyFile,
            Kind::Listen | Kind::Backend | Kind::Pool | Kind::Process => Self::Balance,
        }
    }
}

/// The message for an unknown key with the nearest known one: the same attribute of something else, or the fewest edits away.
fn unknown(written: &str, attribute: &str, suggest: bool) -> String {
    let word = written.split('.').next().unwrap_or_default();
    let foreign = if attribute == written { said_here(written) } else { said_here(&format!("{word}.{attribute}")) };
    if let Some(said) = foreign {
        return format!("unknown key: {said}");
    }
    // The first word of such a key is no kind, so the second is no name.
    let is_process = |key: &Key| key.attribute.split_once('.').is_some_and(|(first, _)| first == word);
    let is_process = KEYS.iter().any(|key| key.kind == Kind::Process && is_process(key));
    let may_be = |key: &&Key| !is_process || key.kind == Kind::Process;
    let mut segments = written.splitn(4, '.').skip(1);
    let name = segments.next().filter(|name| !name.is_empty()).unwrap_or("NAME");
    let header = segments.nth(1).unwrap_or("NAME");
    let elsewhere = || KEYS.iter().find(|key| key.attribute == attribute).map(|key| key.of("NAME"));
    let near = || nearest(written, KEYS.iter().filter(may_be).map(|key| key.of(name).replace("NAME", header)));
    match if suggest { elsewhere().or_else(near) } else { None } {
        Some(known) => format!("unknown key, the nearest known one is `{known}`"),
        None => "unknown key".to_owned(),
    }
}
