//! A server's session cache: private, bounded, the session that was not used for longest goes first.

use std::fmt::Write;

/// Sessions one server remembers.
const SESSIONS: usize = 512;
/// Letters and digits of a session's id, at most.
const MAX_ID: usize = 16;

/// The id of a session: the value of the shop's own cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionId(heapless::String<MAX_ID>);

impl SessionId {
    /// The id of a new session.
    pub(super) fn new(random: u64) -> Self {
        let mut digits = heapless::String::new();
        // Sixteen digits have room.
        let _ = write!(digits, "{random:016x}");
        Self(digits)
    }

    /// An id that a client sent, when it can be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        sound.then(|| heapless::String::try_from(text).ok()).flatten().map(Self)
    }

    /// The id itself: it needs no escaping anywhere.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The sessions a server knows.
#[derive(Default)]
pub(super) struct Cache {
    /// Each with the time of its last use, counted in uses.
    sessions: Vec<(SessionId, u64)>,
    uses: u64,
}

impl Cache {
    /// Whether the session is known; that counts as a use.
    pub(super) fn knows(&mut self, id: &SessionId) -> bool {
        self.uses += 1;
        let found = self.sessions.iter_mut().find(|(known, _)| known == id);
        found.map(|(_, used)| *used = self.uses).is_some()
    }

    /// Remembers a session.
    pub(super) fn remember(&mut self, id: SessionId) {
        if self.knows(&id) {
            return;
        }
        let used = self.uses;
        if self.sessions.len() < SESSIONS {
            self.sessions.push((id, used));
        } else if let Some(oldest) = self.sessions.iter_mut().min_by_key(|(_, used)| *used) {
            *oldest = (id, used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> SessionId {
        SessionId::parse(&number.to_string()).unwrap()
    }

    #[test]
    fn a_full_cache_forgets_what_was_not_used_for_longest() {
        let mut cache = Cache::default();
        (0..SESSIONS).for_each(|number| cache.remember(id(number)));
        assert!(cache.knows(&id(0)));
        cache.remember(id(SESSIONS));
        assert!(cache.knows(&id(0)) && cache.knows(&id(SESSIONS)) && !cache.knows(&id(1)));
        assert_eq!(cache.sessions.len(), SESSIONS);
    }

    #[test]
    fn ids_are_letters_and_digits() {
        let cases =
            [("a1", true), ("0123456789abcdef", true), ("", false), ("0123456789abcdef0", false), ("<b>", false)];
        for (text, sound) in cases {
            assert_eq!(SessionId::parse(text).is_some(), sound, "{text:?}");
        }
        assert_eq!(SessionId::new(u64::MAX).as_str(), "ffffffffffffffff");
    }
}
