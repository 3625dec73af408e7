//! `show table`, `set table`, `clear table`: the session map, pool by pool.
//!
//! It keeps hashes and no keys, so none can be listed; whoever knows a key can change or remove its entry.

use super::{Call, Next, pool};
use crate::balance::SessionKey;
use crate::http::key::Key;
use crate::limits::{PoolId, SESSIONS};
use crate::operate::text::Text;
use crate::proxy::Proxy;

/// The pool that the first word names, if it has a session map.
fn table(call: &Call<'_>, out: &mut Text<'_>) -> Result<PoolId, Next> {
    let config = call.proxy.config();
    let id = call.words.first().and_then(|word| pool(call.proxy, word)).ok_or(Next::Error("No such table\n"))?;
    let settings = &config.pools[id.index()];
    if settings.stick.is_none() {
        call.fail(&["No such table: pool.", &settings.name, ".stick is not set"], out);
        return Err(Next::Done);
    }
    Ok(id)
}

pub(super) fn show(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let proxy = call.proxy;
    let id = match call.words.first() {
        Some(_) if call.step == 0 => match table(call, out) {
            Ok(id) => id,
            Err(next) => return next,
        },
        Some(_) => return Next::Done,
        None => match proxy.config().pools().nth(call.step) {
            Some((id, _)) => id,
            None => return Next::Done,
        },
    };
    let config = proxy.config();
    let Some(settings) = config.pools.get(id.index()) else { return Next::Done };
    if let Some(stick) = &settings.stick {
        out.bytes(b"# table: ");
        out.bytes(settings.name.as_bytes());
        out.bytes(if matches!(stick.key, Key::Source) { b", type: ip, size:" } else { b", type: string, size:" });
        out.long(SESSIONS as u64);
        out.bytes(b", used:");
        out.long(proxy.pool_stats(id).sessions);
        out.byte(b'\n');
    }
    Next::More
}

/// The key behind `key`, in the session map.
fn key(proxy: &Proxy, id: PoolId, words: &[&str]) -> Result<SessionKey, &'static str> {
    let ["key", word, ..] = words else { return Err("Required key parameter\n") };
    proxy.session_key(id, word).ok_or("Invalid key\n")
}

pub(super) fn clear(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let id = match table(call, out) {
        Ok(id) => id,
        Err(next) => return next,
    };
    match call.words.get(1..) {
        None | Some([]) => call.proxy.forget_sessions(id),
        Some(rest) => match key(call.proxy, id, rest) {
            Ok(key) => call.proxy.forget_session(key),
            Err(message) => return Next::Error(message),
        },
    }
    Next::Done
}

pub(super) fn set(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let id = match table(call, out) {
        Ok(id) => id,
        Err(next) => return next,
    };
    let rest = &call.words[1..];
    let key = match key(call.proxy, id, rest) {
        Ok(key) => key,
        Err(message) => return Next::Error(message),
    };
    let [_, _, "data.server_id", number] = rest else {
        return Next::Error("Data type not stored in this table\n");
    };
    let config = call.proxy.config();
    let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    match place.and_then(|place| config.pools[id.index()].backends.get(place).copied()) {
        Some(member) => call.proxy.remember_session(key, member),
        None => return Next::Error("No such server.\n"),
    }
    Next::Done
}
