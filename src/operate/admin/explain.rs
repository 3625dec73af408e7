//! `/api/v1/explain?method=GET&host=NAME&path=/...`: what would become of such a request now, as JSON; of a connection with
//! `method=connection`.
//!
//! Beside these three, which have defaults, the query takes `cookie`, `header`, `src` and `listen`, as often as wanted. What was
//! asked is not told back, so nothing in the answer has to be escaped.

use super::answer::Reply;
use super::serve::Desk;
use crate::limits::CLI_LINE;
use crate::operate::explain::{self, Question};
use crate::operate::text::Text;
use crate::proxy::Explained;

type Value = heapless::Vec<u8, CLI_LINE>;

/// A value of the query without its escapes (`%20`, `+`); what is no escape stays.
fn decoded(text: &[u8]) -> Result<Value, &'static str> {
    let digit =
        |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16)).and_then(|it| u8::try_from(it).ok());
    let (mut value, mut at) = (Value::new(), 0);
    while let Some(&byte) = text.get(at) {
        let (byte, length) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (high << 4 | low, 3),
            (b'+', _, _) => (b' ', 1),
            (byte, _, _) => (byte, 1),
        };
        value.push(byte).map_err(|_| "The request is too long.\n")?;
        at += length;
    }
    Ok(value)
}

/// The pairs of a query, which begins with its `?` unless it is empty.
fn pairs(query: &[u8]) -> impl Iterator<Item = [&[u8]; 2]> {
    query.get(1..).unwrap_or_default().split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        [&pair[..at], pair.get(at + 1..).unwrap_or_default()]
    })
}

fn ask(desk: &Desk, query: &[u8]) -> Result<Box<Explained>, &'static str> {
    const FIRST: [(&[u8], &[u8]); 3] = [(b"method", b"GET"), (b"host", b"localhost"), (b"path", b"/")];
    let config = desk.proxy.config();
    let first = FIRST.map(|(name, default)| {
        let given = pairs(query).find(|[known, value]| *known == name && !value.is_empty());
        decoded(given.map_or(default, |[_, value]| value))
    });
    let [method, host, path] = first;
    let (method, host, path) = (method?, host?, path?);
    let (mut question, asked) = match method == explain::CONNECTION.as_bytes() {
        true => (Question::about_connection(&config)?, &FIRST[..1]),
        false => (Question::new(&config, [&method, &host, &path].map(|value| value.as_slice()))?, &FIRST[..]),
    };
    let more = pairs(query).filter(|[what, value]| !value.is_empty() && asked.iter().all(|(name, _)| what != name));
    for [what, value] in more {
        question.add(&config, what, &decoded(value)?)?;
    }
    question.answer(desk.proxy)
}

/// An answer, told piece by piece.
pub(super) struct Answer {
    told: Box<Explained>,
    step: usize,
    more: bool,
}

impl Answer {
    /// That to `query`.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub(super) fn to(desk: &Desk, query: &[u8]) -> Result<Self, Reply> {
        let told = ask(desk, query).map_err(|message| Reply::of(400, message.trim_end()))?;
        Ok(Self { told, step: 0, more: true })
    }

    /// Writes the next piece; whether there is another.
    pub(super) fn piece(&mut self, out: &mut Text<'_>) -> bool {
        match self.step.checked_sub(1) {
            None => begin(&self.told, out),
            Some(at) if self.more => self.more = explain::line(&self.told, at, true, out),
            Some(_) => {
                out.bytes(b"]}\n");
                return false;
            }
        }
        self.step += 1;
        true
    }
}

/// What programs read, up to the steps.
fn begin(told: &Explained, out: &mut Text<'_>) {
    let (result, status, server) = explain::result(told);
    let config = &told.config;
    let route = told.route.map_or("", |id| &config.routes[id.index()].route.name);
    let pool = if told.ends_before_pool() { "" } else { &config.pools[told.pool.index()].name };
    for (key, value) in [
        ("{\"result", result),
        ("listener", &config.listeners[told.listener.index()].name),
        ("route", route),
        ("pool", pool),
        ("server", server.map_or("", |id| &config.backends[id.index()].name)),
    ] {
        for part in [if key.starts_with('{') { "" } else { "\"" }, key, "\":\"", value, "\","] {
            out.bytes(part.as_bytes());
        }
    }
    out.bytes(b"\"status\":");
    out.number(status.into());
    out.bytes(b",\"steps\":[");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let values = |query: &'static str| {
            let pair = |[name, value]: [&[u8]; 2]| {
                [name, &decoded(value).unwrap()].map(|it| String::from_utf8_lossy(it).into_owned())
            };
            pairs(query.as_bytes()).map(pair).collect::<Vec<_>>()
        };
        let expected = [["path", "/a b/c d&e"], ["cookie", "SRV=s1"], ["src", ""], ["x", "%zz%4"]];
        assert_eq!(values("?path=%2fa+b/c%20d%26e&&cookie=SRV=s1&src&x=%zz%4"), expected);
        assert!(values("").is_empty() && values("?").is_empty());
        assert!(decoded(&[b'a'; CLI_LINE]).is_ok() && decoded(&[b'a'; CLI_LINE + 1]).is_err());
    }
}
