//! Where the affinity cookie of a request leads.

use super::balancer::Balancer;
use super::stamp::Stale;
use crate::limits::{BackendId, PoolId};

/// What a request's affinity cookie says. The letters are those of the log's termination state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// The pool uses no cookie (`-`).
    #[default]
    Unused,
    /// It has none (`N`).
    None,
    /// It names no backend of the pool (`I`).
    Invalid,
    /// It names one that is down (`D`).
    Down,
    /// It was not used for too long (`E`).
    Expired,
    /// It was in use for too long (`O`).
    Old,
    /// It names one that is up (`V`).
    Valid(BackendId),
}

impl Affinity {
    /// What `value`, the cookie's, leads to: the first backend of the pool with that value that is up.
    #[must_use]
    pub fn of(balancer: &Balancer, pool: PoolId, value: &[u8]) -> Self {
        let mut found = Self::Invalid;
        if value.is_empty() {
            return found;
        }
        for &id in balancer.members(pool) {
            if balancer.cookie(id).as_bytes() == value {
                if balancer.is_up(id) {
                    return Self::Valid(id);
                }
                found = Self::Down;
            }
        }
        found
    }

    /// Of a cookie that is good no longer.
    #[must_use]
    pub fn of_stale(stale: Stale) -> Self {
        match stale {
            Stale::Idle => Self::Expired,
            Stale::Old => Self::Old,
        }
    }

    /// The backend it leads to.
    #[must_use]
    pub fn backend(self) -> Option<BackendId> {
        match self {
            Self::Valid(id) => Some(id),
            Self::Unused | Self::None | Self::Invalid | Self::Down | Self::Expired | Self::Old => None,
        }
    }

    /// The third character of the log's termination state.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Unused => '-',
            Self::None => 'N',
            Self::Invalid => 'I',
            Self::Down => 'D',
            Self::Expired => 'E',
            Self::Old => 'O',
            Self::Valid(_) => 'V',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::{POOL, spec};
    use super::super::{BackendSpec, PoolSpec};
    use super::*;

    #[test]
    fn of_several_with_one_cookie_the_first_that_is_up() {
        let specs = ["a", "bc", "bc", ""].map(|cookie| BackendSpec { cookie: cookie.into(), ..spec(1, 0) });
        let mut balancer = Balancer::new(&[PoolSpec::default()], specs.to_vec(), 64);
        let of = |balancer: &Balancer, value: &str| Affinity::of(balancer, POOL, value.as_bytes());
        assert_eq!(of(&balancer, "bc"), Affinity::Valid(BackendId(1)));
        balancer.set_up(BackendId(1), false, |_| ());
        assert_eq!(of(&balancer, "bc"), Affinity::Valid(BackendId(2)));
        balancer.set_up(BackendId(2), false, |_| ());
        assert_eq!(of(&balancer, "bc"), Affinity::Down);
        assert_eq!(["", "b", "bcd", "c"].map(|value| of(&balancer, value)), [Affinity::Invalid; 4]);
    }

    #[test]
    fn what_the_log_calls_it_and_where_it_leads() {
        let home = BackendId(3);
        let cases = [
            (Affinity::Unused, '-', None),
            (Affinity::None, 'N', None),
            (Affinity::Invalid, 'I', None),
            (Affinity::Down, 'D', None),
            (Affinity::of_stale(Stale::Idle), 'E', None),
            (Affinity::of_stale(Stale::Old), 'O', None),
            (Affinity::Valid(home), 'V', Some(home)),
        ];
        for (affinity, letter, backend) in cases {
            assert_eq!((affinity.letter(), affinity.backend()), (letter, backend), "{affinity:?}");
        }
    }
}
