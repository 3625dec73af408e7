//! `add server` and `del server`, with HAProxy's rules and messages.
//!
//! Of the keywords of HAProxy's `server` line those that are a server's here; what is its pool's in a file cannot be one server's.

use super::{Call, Next};
use crate::config::{Backend, Config, is_cookie_value, wrong_in_name};
use crate::http::proxy_protocol::ProxyVersion;
use crate::limits::PoolId;
use crate::operate::named::{self, Unknown};
use crate::operate::text::Text;

/// Keywords of HAProxy's that say something of a pool here, or of what there is not.
const NOT_HERE: [&str; 15] = [
    "agent-check",
    "agent-port",
    "downinter",
    "error-limit",
    "fall",
    "fastinter",
    "id",
    "inter",
    "minconn",
    "observe",
    "port",
    "redir",
    "rise",
    "slowstart",
    "ssl",
];

pub(super) fn delete(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let removed = named::server(&call.proxy.config(), call.words.first())
        .map_err(Unknown::words)
        .and_then(|id| call.service.remove_server(id).map_err(|stays| stays.words()));
    match removed {
        Ok(()) => {
            call.begin_note(out);
            out.bytes(b"Server deleted.");
            Next::Done
        }
        Err(words) => Next::Error(words),
    }
}

pub(super) fn add(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let config = call.proxy.config();
    let (pool, name) = match named::pair(&config, call.words.first()) {
        Ok(pair) => pair,
        Err(unknown) => return Next::Error(unknown.words()),
    };
    if named::member(&config, pool, name).is_some() {
        return Next::Error("Already exists a server with the same name in backend.\n");
    }
    match read(call.words, &config, pool, name) {
        Ok((backend, ready)) => match call.service.add_server(backend, ready) {
            Ok(()) => {
                call.begin_note(out);
                out.bytes(b"New server registered.\n");
            }
            Err(words) => call.fail(&[&words], out),
        },
        Err(words) => call.fail(&words, out),
    }
    Next::Done
}

/// What is wrong, in pieces.
type Wrong<'a> = [&'a str; 5];

/// What is to be added, and whether it is ready at once.
fn read<'a>(words: &[&'a str], config: &'a Config, pool: PoolId, name: &'a str) -> Result<(Backend, bool), Wrong<'a>> {
    if let Some(at) = wrong_in_name(name) {
        return Err(match name.get(at..).and_then(|rest| rest.get(..rest.chars().next()?.len_utf8())) {
            Some(letter) => ["character '", letter, "' is not permitted in server name '", name, "'."],
            None => ["a server's name has at most 32 characters.", "", "", "", ""],
        });
    }
    let [_, place, keywords @ ..] = words else {
        return Err(["'server' expects <name> and <addr>[:<port>] as arguments.", "", "", "", ""]);
    };
    let mut backend = Backend::added(config, pool, name, place)
        .map_err(|why| ["'", place, "': ", why, ": expected <addr>:<port>, <name>:<port> or unix:<path>."])?;
    let settings = &config.pools[pool.index()];
    let mut ready = false;
    let mut words = keywords.iter().copied();
    while let Some(keyword) = words.next() {
        match keyword {
            "weight" | "maxconn" | "maxqueue" => {
                let word = words.next().unwrap_or_default();
                let value: u32 =
                    word.parse().map_err(|_| ["'", keyword, "' expects a whole number, not '", word, "'."])?;
                match keyword {
                    "weight" if value > 256 => {
                        return Err(["weight of server ", name, " is not within 0 and 256 (", word, ").."]);
                    }
                    "weight" => backend.weight = u16::try_from(value).unwrap_or(256),
                    "maxconn" => backend.maxconn = value,
                    _ => backend.maxqueue = value,
                }
            }
            "cookie" => {
                let value = words.next().filter(|value| is_cookie_value(value));
                let why = "'cookie' expects a value without blanks, quotes, commas and semicolons.";
                value.ok_or([why, "", "", "", ""])?.clone_into(&mut backend.cookie);
                backend.dynamic_cookie = false;
            }
            "backup" => backend.backup = true,
            "disabled" => ready = false,
            "enabled" => ready = true,
            "send-proxy" => backend.send_proxy = Some(ProxyVersion::V1),
            "send-proxy-v2" => backend.send_proxy = Some(ProxyVersion::V2),
            "check" if settings.check.is_some() => {}
            "check" => {
                let pool = settings.name.as_str();
                return Err(["'check': pool ", pool, " has no check; pool.", pool, ".check says so for all of it."]);
            }
            _ if NOT_HERE.contains(&keyword) => {
                return Err(["'", keyword, "' option is not accepted for dynamic server", "", ""]);
            }
            _ => return Err(["unknown keyword '", keyword, "'", "", ""]),
        }
    }
    Ok((backend, ready))
}
