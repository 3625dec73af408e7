//! The table is in order, and what is no key is told so.

use super::*;
use crate::config::value::Value;

#[test]
fn the_table_is_in_order_and_its_defaults_are_legal() {
    for (index, key) in KEYS.iter().enumerate() {
        assert_eq!(key.id as usize, index, "{key:?}");
        assert_eq!(key.id.key().attribute, key.attribute);
        if let Builtin::Text(text) = key.default {
            assert!(key.unit.parse(text).is_ok(), "{key:?}");
        }
        let written = key.of("x");
        assert_eq!(find(&written, false).unwrap().key.id, key.id, "{written}");
        assert!(key.help.ends_with('.') && !key.help.contains('|'), "{key:?}");
    }
    assert_eq!(Id::Weight.key().unit.parse("256"), Ok(Value::Number(256)));
}

#[test]
fn keys_that_are_none() {
    for (written, expected) in [
        ("timeout.clinet", "unknown key, the nearest known one is `timeout.client`"),
        ("listne.web", "unknown key, the nearest known one is `listen.web`"),
        ("backend.a.max-conn", "unknown key, the nearest known one is `backend.a.maxconn`"),
        ("backend.*.wieght", "unknown key, the nearest known one is `backend.*.weight`"),
        ("pool.a.check.url", "unknown key, the nearest known one is `pool.a.check.uri`"),
        ("route.a.heder.x-y", "unknown key, the nearest known one is `route.a.header.x-y`"),
        ("maxqueue", "unknown key, the nearest known one is `backend.NAME.maxqueue`"),
        ("limits.conections", "unknown key, the nearest known one is `limits.connections`"),
        (
            "maxconn",
            "unknown key: here it is `limits.connections = N` for all clients, `backend.NAME.maxconn = N` for a server",
        ),
        ("timeout.http", "unknown key: here it is `timeout.http-request = TIME`"),
        ("listen.web.ssl.cert", "unknown key: there is no TLS here: let a terminator in front decrypt it"),
        ("route.a.backend", "unknown key: here it is `route.NAME.pool = POOL`"),
        ("frontend.web", "unknown key: here it is `listen.NAME = ADDRESS:PORT`"),
        ("daemon", "unknown key: it stays in the foreground: leave it to whoever starts it"),
        ("backend.a.balance", "unknown key, the nearest known one is `pool.NAME.balance`"),
        ("something-else-entirely", "unknown key"),
        ("listen", "a name is missing: write `listen.NAME`"),
        ("pool.", "a name is missing: write `pool.NAME`"),
        ("pool.a", "a pool has no value of its own, only attributes such as `pool.a.balance`"),
        ("route.a", "a route has no value of its own, only attributes such as `route.a.pool`"),
        ("backend.*", "`*` stands for the attributes of every backend: name the backend, as in `backend.NAME`"),
        ("backend.-a", "names are [a-z0-9][a-z0-9_-]{0,31}: lower case, at most 32 characters"),
        ("backend..weight", "names are [a-z0-9][a-z0-9_-]{0,31}: lower case, at most 32 characters"),
        ("route.a.header.", "the name of a header field is a token"),
        ("route.a.header.a/b", "the name of a header field is a token"),
    ] {
        assert_eq!(find(written, true).map(|place| place.key.id), Err(expected.to_owned()), "{written}");
    }
}

#[test]
fn words_of_others_are_told_by_keys_that_there_are() {
    for word in [
        "limits.maxconn",
        "listen.web.tls",
        "listen.web.maxconn",
        "backend.s1.inter",
        "server.s2",
        "bind.web",
        "upstream.web",
        "log.file",
        "pidfile",
        "backend.s1.check",
        "worker_connections",
        "listen.web.default_backend",
    ] {
        let said = find(word, true).map(|place| place.key.id).unwrap_err();
        assert!(said.starts_with("unknown key: "), "{word}: {said}");
        for line in said.split('`').skip(1).step_by(2).filter(|line| line.contains(" = ") && *line != "key = value") {
            let key = line.split(" = ").next().unwrap().replace("NAME", "x");
            assert!(find(&key, false).is_ok(), "{word}: {said}");
        }
    }
}
