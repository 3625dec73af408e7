//! What is done about the affinity cookie: how the client's is read, and what becomes of the response's.

use super::stamp::{Dates, Lifetime};

/// What stands between the backend's name and the application's own value in `prefix` mode.
const TILDE: u8 = b'~';

/// Whose cookie it is (`pool.N.cookie.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieMode {
    /// The balancer's own: set when the client has none that is valid, and hidden from the backends.
    #[default]
    Insert,
    /// The application's: the backend's name is written before its value, and taken off on the way back.
    Prefix,
}

/// `pool.N.cookie.mode` and what goes with it; all but the mode is about `insert` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieRules {
    /// Whose cookie it is.
    pub mode: CookieMode,
    /// A backend may set and clear the cookie itself.
    pub preserve: bool,
    /// Only the response to a POST sets it.
    pub postonly: bool,
    /// How long it is good.
    pub lifetime: Lifetime,
}

/// What is known when a response comes.
#[derive(Clone, Copy, Debug)]
pub struct Answering {
    /// The dates of the client's cookie, if it was good.
    pub dates: Dates,
    /// Whether the client's cookie leads where it should.
    pub at_home: bool,
    /// Whether the request is a POST.
    pub post: bool,
    /// Whether the backend sets a cookie of this name.
    pub sets_it: bool,
    /// The wall clock.
    pub wall_ms: u64,
}

/// What becomes of the response's cookie. The letters are those of the log's termination state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// There is none (`N`).
    Nothing,
    /// The backend's is left as it is (`P`).
    Provided,
    /// The backend's is removed (`D`).
    Deleted,
    /// One is set (`I`).
    Inserted,
    /// The client's is set again with other dates (`U`).
    Updated,
    /// The backend's gets its name before the value (`R`).
    Rewritten,
}

impl Deed {
    /// The fourth character of the log's termination state.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Nothing => 'N',
            Self::Provided => 'P',
            Self::Deleted => 'D',
            Self::Inserted => 'I',
            Self::Updated => 'U',
            Self::Rewritten => 'R',
        }
    }

    /// Whether a Set-Cookie is added.
    #[must_use]
    pub fn sets(self) -> bool {
        match self {
            Self::Inserted | Self::Updated => true,
            Self::Nothing | Self::Provided | Self::Deleted | Self::Rewritten => false,
        }
    }
}

impl CookieRules {
    /// Takes a cookie's value apart: what names the backend, and the dates.
    #[must_use]
    pub fn read<'v>(&self, value: &'v [u8]) -> (&'v [u8], Dates) {
        match self.mode {
            CookieMode::Insert => Dates::split(value),
            CookieMode::Prefix => {
                (own_value(value).map_or(value, |own| &value[..value.len() - own.len() - 1]), Dates::NONE)
            }
        }
    }

    /// What becomes of the response's cookie.
    #[must_use]
    pub fn answer(&self, response: Answering) -> Deed {
        let Answering { dates, at_home, post, sets_it, wall_ms } = response;
        if self.mode == CookieMode::Prefix {
            return if sets_it { Deed::Rewritten } else { Deed::Nothing };
        }
        let kept = sets_it && self.preserve;
        let due = !at_home || dates.are_due(&self.lifetime, wall_ms);
        match (due && !kept && (post || !self.postonly), sets_it) {
            (true, _) if at_home => Deed::Updated,
            (true, _) => Deed::Inserted,
            (false, true) if kept => Deed::Provided,
            (false, true) => Deed::Deleted,
            (false, false) => Deed::Nothing,
        }
    }
}

/// The application's own part of a cookie's value in `prefix` mode; none where no backend's name stands before it.
#[must_use]
pub fn own_value(value: &[u8]) -> Option<&[u8]> {
    value.iter().position(|&byte| byte == TILDE).map(|at| &value[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CLOCK_SET_MS;

    const NEW: Answering =
        Answering { dates: Dates::NONE, at_home: false, post: false, sets_it: false, wall_ms: CLOCK_SET_MS };

    #[test]
    fn the_part_that_names_the_backend() {
        let prefix = CookieRules { mode: CookieMode::Prefix, ..CookieRules::default() };
        for (value, insert, by_prefix) in [
            ("s1", "s1", "s1"),
            ("s1~x~y", "s1~x~y", "s1"),
            ("~x", "~x", ""),
            ("s1|AAAAB", "s1", "s1|AAAAB"),
            ("", "", ""),
        ] {
            assert_eq!(CookieRules::default().read(value.as_bytes()).0, insert.as_bytes(), "{value}");
            assert_eq!(prefix.read(value.as_bytes()).0, by_prefix.as_bytes(), "{value}");
        }
        assert_eq!(own_value(b"s1~x~y"), Some(&b"x~y"[..]));
        assert_eq!(own_value(b"x"), None);
    }

    #[test]
    fn what_the_log_calls_it_and_whether_one_is_set() {
        let cases = [
            (Deed::Nothing, 'N', false),
            (Deed::Provided, 'P', false),
            (Deed::Deleted, 'D', false),
            (Deed::Inserted, 'I', true),
            (Deed::Updated, 'U', true),
            (Deed::Rewritten, 'R', false),
        ];
        for (deed, letter, sets) in cases {
            assert_eq!((deed.letter(), deed.sets()), (letter, sets), "{deed:?}");
        }
    }

    #[test]
    fn dates_are_read_in_insert_mode_alone() {
        let prefix = CookieRules { mode: CookieMode::Prefix, ..CookieRules::default() };
        let value = b"s1|AAAAB|AAAAC";
        assert_eq!(CookieRules::default().read(value).1, Dates::split(value).1);
        assert_ne!(CookieRules::default().read(value).1, Dates::NONE);
        assert_eq!(prefix.read(value).1, Dates::NONE);
    }

    #[test]
    fn what_becomes_of_the_cookie() {
        let insert = CookieRules::default();
        let preserve = CookieRules { preserve: true, ..insert };
        let postonly = CookieRules { postonly: true, ..insert };
        let prefix = CookieRules { mode: CookieMode::Prefix, ..insert };
        let idle = CookieRules { lifetime: Lifetime { idle_ms: Some(1000), life_ms: None }, ..insert };
        let home = Answering { at_home: true, ..NEW };
        let sets = |response: Answering| Answering { sets_it: true, ..response };
        let cases = [
            (insert, NEW, Deed::Inserted),
            (insert, home, Deed::Nothing),
            (insert, sets(NEW), Deed::Inserted),
            (insert, sets(home), Deed::Deleted),
            (preserve, NEW, Deed::Inserted),
            (preserve, sets(NEW), Deed::Provided),
            (preserve, sets(home), Deed::Provided),
            (postonly, NEW, Deed::Nothing),
            (postonly, sets(NEW), Deed::Deleted),
            (postonly, Answering { post: true, ..NEW }, Deed::Inserted),
            (idle, home, Deed::Updated),
            (idle, Answering { wall_ms: 0, ..home }, Deed::Nothing),
            (prefix, NEW, Deed::Nothing),
            (prefix, sets(NEW), Deed::Rewritten),
            (prefix, sets(home), Deed::Rewritten),
        ];
        for (rules, response, deed) in cases {
            assert_eq!(rules.answer(response), deed, "{rules:?} {response:?}");
        }
    }
}
