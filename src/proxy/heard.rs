//! What was last heard of each backend beside the traffic: what its probe found, and what its agent answered, in their words.
//!
//! Peers choose the words: they are cut, and no character of them ends a line or a field of a table.

use super::Proxy;
use super::condition::Finding;
use crate::limits::BackendId;
use crate::table::Table;
use std::cell::{Ref, RefCell, RefMut};

/// Bytes that are kept of what a peer said.
const MOST: usize = 64;

/// Words of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(heapless::String<MOST>);

impl Words {
    /// Those at the beginning of `text`, without control characters, and without those that end a line for Unicode: Python's
    /// `splitlines`, which tools for HAProxy use, goes by that.
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self::default();
        for c in text.chars() {
            let ends_line = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if words.0.push(if ends_line { ' ' } else { c }).is_err() {
                break;
            }
        }
        words
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// All that was heard of one backend.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// What its last probe found beside a [`Finding`] (HAProxy `last_chk`).
    pub probe: Words,
    /// Its agent's last answer.
    pub agent: Answer,
}

/// What came of a question to an agent.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What it was (HAProxy `agent_status`).
    pub finding: Finding,
    /// How long it took.
    pub duration_ms: u64,
    /// HAProxy `last_agt`.
    pub words: Words,
}

impl Proxy {
    /// A backend's agent answered, or did not.
    pub fn answered(&self, id: BackendId, finding: Finding, duration_ms: u64, words: &str) {
        self.hear(id).agent = Answer { finding, duration_ms, words: Words::of(words) };
    }

    /// What was heard of a backend, if anything was.
    #[must_use]
    pub fn heard(&self, id: BackendId) -> Option<Ref<'_, Heard>> {
        Ref::filter_map(self.heard.get()?.borrow(), |heard| heard.get(id.0.into())).ok()
    }

    /// The entry of a backend; the first one makes the table, which takes no memory where nobody is asked.
    pub(super) fn hear(&self, id: BackendId) -> RefMut<'_, Heard> {
        let heard = self.heard.get_or_init(|| RefCell::new(Table::new(self.room.backends)));
        RefMut::map(heard.borrow_mut(), |heard| heard.at(id.0.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_and_plain() {
        let long = "é".repeat(40);
        for (text, kept) in [
            ("", ""),
            ("Connection refused", "Connection refused"),
            ("a\r\nb\u{1b}[1m", "a  b [1m"),
            ("a\u{85}b\u{2028}shop,s2\u{2029}c", "a b shop,s2 c"),
            (long.as_str(), &long[..MOST]),
            (&format!("x{long}"), &format!("x{long}")[..MOST - 1]),
        ] {
            assert_eq!(Words::of(text).as_str(), kept);
        }
    }
}
