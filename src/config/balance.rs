//! How a pool places requests: `pool.N.balance`, `.hash` and what belongs to them, read, put together and printed.

use super::keys::Id;
use super::resolve::Resolver;
use super::value::{Value, is_token};
use super::{Backend, Pool};
use crate::balance::{Algorithm, Hash};
use crate::http::key::Key;
use crate::limits::{MAX_RING_WEIGHT, MAX_TOKEN};

/// `hash-balance-factor` where nothing is written.
const FACTOR: u32 = 140;

/// An algorithm as it is without further keys, and what it hashes.
pub(super) fn parse(text: &str) -> Result<(Algorithm, Option<Key>), &'static str> {
    let plain = match text {
        "roundrobin" => Some(Algorithm::RoundRobin),
        "leastconn" => Some(Algorithm::LeastConn),
        "random" => Some(Algorithm::Random),
        "first" => Some(Algorithm::First),
        _ => None,
    };
    if let Some(algorithm) = plain {
        return Ok((algorithm, None));
    }
    let (word, name) = text.split_once(':').unwrap_or((text, ""));
    let named = |key: fn(String) -> Key| match name {
        "" => Err("the name is missing"),
        name if name.len() > MAX_TOKEN || !is_token(name) => {
            Err("the name is a token of at most 64 letters, digits and !#$%&'*+-.^_`|~")
        }
        name => Ok(key(name.to_owned())),
    };
    let key = match word {
        "source" if word == text => Key::Source,
        "uri" if word == text => Key::Uri { depth: None, whole: false },
        "hdr" => named(Key::Header)?,
        "cookie" => named(Key::Cookie)?,
        "url_param" => named(Key::UrlParam)?,
        _ => return Err("not supported"),
    };
    Ok((Algorithm::Hash { hash: Hash::Beelance, factor: 0 }, Some(key)))
}

impl Resolver<'_, '_> {
    /// How requests are placed, and by what key.
    pub(super) fn placement(&self, pool: &str) -> (Algorithm, Option<Key>) {
        let settings = self.settings;
        let Value::Balance(algorithm, key) = settings.value(Id::Balance, pool) else {
            return (Algorithm::RoundRobin, None);
        };
        let key = match key {
            Some(Key::Uri { .. }) => Some(Key::Uri {
                depth: settings.small(Id::BalanceUriDepth, pool),
                whole: settings.yes(Id::BalanceUriWhole, pool),
            }),
            key => key,
        };
        let Algorithm::Hash { .. } = algorithm else { return (algorithm, key) };
        let factor = settings.small(Id::HashFactor, pool);
        let (hash, default) = match settings.number(Id::Hash, pool) {
            Some(1) => (Hash::Haproxy, 0),
            Some(_) | None => (Hash::Beelance, FACTOR),
        };
        (Algorithm::Hash { hash, factor: factor.unwrap_or(default) }, key)
    }

    /// HAProxy's rings have a node for every sixteenth of a weight: together they may not outgrow their place.
    pub(super) fn bound_rings(&mut self, pools: &[Pool], backends: &[Backend]) {
        let mut sum = 0;
        for pool in pools {
            let Algorithm::Hash { hash: Hash::Haproxy, .. } = pool.balance else { continue };
            let members = pool.backends.iter().filter_map(|id| backends.get(id.index()));
            sum += members.map(|backend| u32::from(backend.weight)).sum::<u32>();
            if sum > MAX_RING_WEIGHT {
                let reason = format!(
                    "the weights of all backends of pools with `haproxy` add up to {sum} or more, at most {MAX_RING_WEIGHT} have room: divide them by a common factor"
                );
                let line = self.settings.line(Id::Hash, &pool.name);
                self.errors.push(line, &Id::Hash.key().of(&pool.name), reason);
                return;
            }
        }
    }
}

/// What is printed for these keys.
pub(super) fn effective(id: Id, pool: &Pool) -> Option<String> {
    let hashing = match pool.balance {
        Algorithm::Hash { hash, factor } => Some((hash, factor)),
        Algorithm::RoundRobin | Algorithm::LeastConn | Algorithm::Random | Algorithm::First => None,
    };
    let uri = match pool.key {
        Some(Key::Uri { depth, whole }) => Some((depth, whole)),
        Some(Key::Source | Key::Header(_) | Key::Cookie(_) | Key::UrlParam(_)) | None => None,
    };
    match id {
        Id::Balance => Some(match (&pool.balance, &pool.key) {
            (Algorithm::RoundRobin, _) | (Algorithm::Hash { .. }, None) => "roundrobin".to_owned(),
            (Algorithm::LeastConn, _) => "leastconn".to_owned(),
            (Algorithm::Random, _) => "random".to_owned(),
            (Algorithm::First, _) => "first".to_owned(),
            (Algorithm::Hash { .. }, Some(Key::Source)) => "source".to_owned(),
            (Algorithm::Hash { .. }, Some(Key::Uri { .. })) => "uri".to_owned(),
            (Algorithm::Hash { .. }, Some(Key::Header(name))) => format!("hdr:{name}"),
            (Algorithm::Hash { .. }, Some(Key::Cookie(name))) => format!("cookie:{name}"),
            (Algorithm::Hash { .. }, Some(Key::UrlParam(name))) => format!("url_param:{name}"),
        }),
        Id::BalanceUriDepth => uri.map(|(depth, _)| depth.map_or_else(|| "none".to_owned(), |depth| depth.to_string())),
        Id::BalanceUriWhole => uri.map(|(_, whole)| (if whole { "yes" } else { "no" }).to_owned()),
        Id::Hash => hashing.map(|(hash, _)| match hash {
            Hash::Beelance => "beelance".to_owned(),
            Hash::Haproxy => "haproxy".to_owned(),
        }),
        Id::HashFactor => hashing.map(|(_, factor)| factor.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse as parse_file;
    use super::super::tests::{BOARD, read};
    use super::super::value::Unit;
    use super::*;

    #[test]
    fn what_is_taken() {
        let hashed = |key| Value::Balance(Algorithm::Hash { hash: Hash::Beelance, factor: 0 }, Some(key));
        for (written, expected) in [
            ("roundrobin", Value::Balance(Algorithm::RoundRobin, None)),
            ("leastconn", Value::Balance(Algorithm::LeastConn, None)),
            ("random", Value::Balance(Algorithm::Random, None)),
            ("first", Value::Balance(Algorithm::First, None)),
            ("source", hashed(Key::Source)),
            ("uri", hashed(Key::Uri { depth: None, whole: false })),
            ("hdr:X-User", hashed(Key::Header("X-User".to_owned()))),
            ("cookie:a.b", hashed(Key::Cookie("a.b".to_owned()))),
            ("url_param:id", hashed(Key::UrlParam("id".to_owned()))),
        ] {
            assert_eq!(Unit::Balance.parse(written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "RoundRobin",
            "static-rr",
            "source:x",
            "source:",
            "uri:x",
            "first:",
            "hdr",
            "hdr:",
            "hdr:a b",
            "cookie:\u{e9}",
            "url_param:a=b",
            "hash:x",
        ] {
            let refused = Unit::Balance.parse(text).expect_err(text);
            assert!(refused.ends_with(&Unit::Balance.expected()), "{text}: {refused}");
        }
    }

    /// What the pool's lines make of it; `listen.web` and `backend.a` are there.
    fn file(lines: &str) -> String {
        format!("listen.web = 0.0.0.0:80\nbackend.a = 10.0.0.1:80\n{lines}")
    }

    #[test]
    fn what_the_keys_make_together() {
        let uri = |depth, whole| Some(Key::Uri { depth, whole });
        let hash = |hash, factor| Algorithm::Hash { hash, factor };
        for (lines, balance, key) in [
            ("", Algorithm::RoundRobin, None),
            ("pool.*.hash = haproxy\npool.*.hash-balance-factor = 150\n", Algorithm::RoundRobin, None),
            ("pool.*.balance = uri\n", hash(Hash::Beelance, 140), uri(None, false)),
            ("pool.*.balance = uri\npool.*.hash = haproxy\n", hash(Hash::Haproxy, 0), uri(None, false)),
            ("pool.*.balance = source\npool.*.hash-balance-factor = 0\n", hash(Hash::Beelance, 0), Some(Key::Source)),
            (
                "pool.*.balance = uri\npool.*.hash = haproxy\npool.*.hash-balance-factor = 125\npool.*.balance.uri.depth = 2\npool.*.balance.uri.whole = yes\n",
                hash(Hash::Haproxy, 125),
                uri(Some(2), true),
            ),
        ] {
            let config = read(&file(lines));
            assert_eq!((config.pools[0].balance, &config.pools[0].key), (balance, &key), "{lines}");
        }
    }

    #[test]
    fn rings_have_a_bound() {
        let backends = |count: u32| -> String {
            (0..count).map(|number| format!("backend.b{number} = h:1\nbackend.b{number}.weight = 256\n")).collect()
        };
        let text =
            |count| file(&format!("pool.default.balance = uri\npool.default.hash = haproxy\n{}", backends(count)));
        assert_eq!(read(&(text(15) + "backend.a.weight = 256\n")).pools[0].backends.len(), 16);
        let errors = parse_file("f", text(16).as_bytes(), &BOARD).map(drop).unwrap_err().to_string();
        assert_eq!(
            errors,
            "f:4: pool.default.hash: the weights of all backends of pools with `haproxy` add up to 4097 or more, at most 4096 have room: divide them by a common factor"
        );
    }

    #[test]
    fn what_does_nothing_is_said() {
        let config = read(&file(
            "pool.default.hash = haproxy\npool.default.balance.uri.depth = 1\npool.default.balance = first\n",
        ));
        assert_eq!(
            config.warnings,
            [
                "f:3: pool.default.hash: it does nothing without `pool.default.balance` by a key, such as `uri`",
                "f:4: pool.default.balance.uri.depth: it does nothing without `pool.default.balance = uri`",
            ]
        );
    }
}
