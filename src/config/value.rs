//! The values a key can have: what may be written, in which range, and how it is printed again.
//!
//! Owns every parser of a value and the words that say what is expected. Refuses to know which key has which unit.

use super::address::{self, Address};
use super::rules::STATUSES;
use super::{Expect, account, balance, logs, monitor, names, pool, power, stick};
use crate::balance::{Algorithm, Rate, RetryOn};
use crate::http::fields::Known;
use crate::http::key::Key;
use crate::http::redirect::{Redirect, To};
use crate::http::reply;
use crate::http::route::{Cidr, HostPattern, PathPattern};
use crate::http::trust::Trust;
use crate::limits::{MAX_COOKIE_ATTRIBUTES, MAX_NAME, MAX_TEXT, MAX_TOKEN};
use std::net::SocketAddr;
use std::str::FromStr;

/// The unit of a key's value, with its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds, 1 to those of [`MAX_DURATION_MS`].
    Duration,
    /// Bytes, in this inclusive range.
    Size(u64, u64),
    /// A whole number in this inclusive range.
    Number(u64, u64),
    /// A whole number in this inclusive range, which may be negative.
    Integer(i64, i64),
    /// How many requests a backend works on at once: a number, or two between which it is searched.
    Maxconn,
    /// One of these words; its place is the value.
    Choice(&'static [&'static str]),
    /// Where lines go: one of these words, or a syslog.
    Log(&'static [&'static str]),
    /// Where to listen.
    Listen,
    /// A backend's host and port, or the path of its UNIX socket.
    Server,
    /// The permissions of a file.
    Mode,
    /// The name of a pool.
    Pool,
    /// Pools, and how many usable servers are too few.
    Fewer,
    /// How requests are placed.
    Balance,
    /// A bound of load: percent of the average, or 0.
    Factor,
    /// A token (RFC 9110): the name of a cookie, a method.
    Token,
    /// The value of a cookie: RFC 6265's cookie-octets.
    CookieValue,
    /// Attributes of Set-Cookie, separated by semicolons.
    CookieAttributes,
    /// A request target.
    Target,
    /// A Host value.
    HostValue,
    /// What a probe takes for health.
    Expect,
    /// What is tried again.
    RetryOn,
    /// Host patterns.
    Hosts,
    /// Path patterns.
    Paths,
    /// Methods.
    Methods,
    /// Values of a header field.
    HeaderValues,
    /// Names of listeners.
    Listeners,
    /// Blocks of addresses.
    Sources,
    /// Blocks of addresses, and who connects from where.
    Trust,
    /// The name of a header field that means nothing to beelance.
    FieldName,
    /// What is known to those who may know it.
    Secret,
    /// What tells users apart.
    StickKey,
    /// Addresses of nameservers.
    Nameservers,
    /// So many in a second or a minute.
    Rate,
    /// The status of a refusal.
    Deny,
    /// A status and a text to answer with.
    Return,
    /// Where clients are sent.
    Redirect,
    /// The same, with the target of the request behind it.
    Prefix,
    /// The value of a header field.
    FieldValue,
    /// The path of a file.
    File,
    /// The type of a body.
    MediaType,
    /// The name or number of a user or group of the system's.
    Account,
    /// The path from the root on, of what this word says.
    Absolute(&'static str),
    /// Watts, in thousandths.
    Watts,
}

/// The longest duration, in milliseconds: a day.
pub const MAX_DURATION_MS: u64 = 24 * 60 * 60 * 1_000;

/// A value, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `none`.
    Unset,
    /// Reported already; the built-in default stands in.
    Bad,
    Number(u64),
    Integer(i64),
    /// `auto:MIN..MAX`.
    Auto(u16, u16),
    Text(String),
    Address(Address),
    Path(String),
    Server(String, u16),
    /// The algorithm as it is without further keys, and what it hashes.
    Balance(Algorithm, Option<Key>),
    Expect(Expect),
    RetryOn(RetryOn),
    Hosts(Vec<HostPattern>),
    Paths(Vec<PathPattern>),
    Texts(Vec<String>),
    Fewer(Vec<(String, u16)>),
    Sources(Vec<Cidr>),
    Trust(Vec<Trust>),
    StickKey(Key),
    Addresses(Vec<SocketAddr>),
    Rate(Rate),
    Return(u16, String),
    Redirect(Redirect),
}

impl Unit {
    /// What may be written, for messages and documentation.
    #[must_use]
    pub fn expected(self) -> String {
        let fixed = match self {
            Self::Duration => {
                return format!("a duration from 1ms to {}, such as 250ms, 5s, 2m, 1h", duration_text(MAX_DURATION_MS));
            }
            Self::Size(least, most) => {
                return format!("a size from {} to {}, such as 4096, 8k, 16m", size_text(least), size_text(most));
            }
            Self::Number(least, most) => return format!("a whole number from {least} to {most}"),
            Self::Integer(least, most) => return format!("a whole number from {least} to {most}"),
            Self::Choice([all @ .., last]) if !all.is_empty() => return format!("{} or {last}", all.join(", ")),
            Self::Choice(words) => return words.concat(),
            Self::Log(words) => {
                return format!("{}, syslog:/dev/log or syslog:ADDRESS:PORT", words.join(", "));
            }
            Self::Absolute(what) => return format!("the path of a {what}, which starts with /"),
            Self::Maxconn => "a whole number from 0 to 1000000, or auto:MIN..MAX with numbers from 1 to 10000",
            Self::Listen => "address:port, such as 0.0.0.0:80 or [::]:80, or unix:/path",
            Self::Server => {
                "host:port or address:port, such as 192.168.1.11:8080, [2001:db8::1]:80 or app1:8080, or unix:/path"
            }
            Self::Mode => "octal digits from 000 to 777",
            Self::Balance => balance::ALGORITHMS,
            Self::Factor => "0 or a whole number of percent from 101 to 10000",
            Self::Pool => "the name of a pool: [a-z0-9][a-z0-9_-]{0,31}",
            Self::Fewer => "a list of POOL<N with numbers from 1 to 256, such as web<2",
            Self::Token => "a token: at most 64 letters, digits and !#$%&'*+-.^_`|~",
            Self::CookieValue => "at most 64 bytes of printable ASCII without blanks and without any of \",;\\|~",
            Self::CookieAttributes => {
                "at most 256 bytes of attributes of Set-Cookie such as SameSite=Lax, separated by semicolons"
            }
            Self::Target => "a path that starts with / and holds neither blanks nor control bytes",
            Self::HostValue => "a host, with or without a port",
            Self::Expect => "statuses (a list such as 200-299,404 within 100-599) or string:TEXT",
            Self::RetryOn => {
                "a list of conn-failure, empty-response, response-timeout, 401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504"
            }
            Self::Hosts => "a list of hosts: example.com, *.example.com",
            Self::Paths => "a list of paths: /x (this path), /x/* (all below /x/), *.jpg (all that end so)",
            Self::Methods => "a list of methods in upper case: GET, HEAD",
            Self::HeaderValues => "a list of values",
            Self::Listeners => "a list of names of listeners",
            Self::Sources => "a list of blocks of addresses: 10.0.0.0/8, 2001:db8::/32, 192.0.2.7",
            Self::Trust => "a list of blocks of addresses, such as 10.0.0.0/8, peer:192.0.2.7, or unix",
            Self::FieldName => "the name of a header field with no other meaning, such as X-Request-ID",
            Self::Secret => "at most 64 bytes of printable ASCII without blanks",
            Self::StickKey => "src, hdr:NAME, cookie:NAME or url_param:NAME",
            Self::Nameservers => "at most 3 addresses, with a port or without: 192.168.1.1, [2001:db8::1]:5353",
            Self::Rate => "a whole number from 1 to 50000 with /s or /m, such as 100/s or 300/m",
            // 405 would have to say which methods there are.
            Self::Deny => return STATUSES.replace("405, ", ""),
            Self::Return => {
                "a status from 200 to 299 or 400 to 599 and a text, as in `200 well`; none that needs more than a text (205, 206, 401, 405, 407, 416, 426), and no text with 204"
            }
            Self::Redirect => {
                "a code, which may be left out, and where to: a prefix such as https://example.com or /new, `location` and one address, or `scheme https`"
            }
            Self::Prefix => {
                "an address such as https://cdn1.example.com, which the path and query of the request follow"
            }
            Self::FieldValue => "at most 1024 bytes of printable ASCII",
            Self::File => "the path of a file",
            Self::MediaType => "the type of a body, such as text/html; charset=utf-8",
            Self::Watts => "watts from 0.001 to 100000, such as 0.7 or 95",
            Self::Account => "the name of an account of this system, or its number",
        };
        fixed.to_owned()
    }

    /// Bytes a value may have that goes into a head as it is.
    const fn longest(self) -> Option<usize> {
        match self {
            Self::Token | Self::FieldName | Self::CookieValue | Self::Secret | Self::StickKey | Self::MediaType => {
                Some(MAX_TOKEN)
            }
            Self::Return | Self::Redirect | Self::Prefix | Self::FieldValue | Self::File => Some(MAX_TEXT),
            Self::Account => Some(MAX_TOKEN),
            Self::CookieAttributes => Some(MAX_COOKIE_ATTRIBUTES),
            _ => None,
        }
    }

    /// Reads `text`, which is trimmed and not empty, or says why not.
    pub(super) fn parse(self, text: &str) -> Result<Value, String> {
        self.read(text).map_err(|why| {
            let shown: String = text.chars().take(64).collect();
            let why = if why.is_empty() { String::new() } else { format!(" {why};") };
            format!("`{shown}`:{why} expected {}", self.expected())
        })
    }

    /// As [`Unit::parse`]; the error adds to what is expected, or is empty.
    fn read(self, text: &str) -> Result<Value, &'static str> {
        if self.longest().is_some_and(|longest| text.len() > longest) {
            return Err("too long");
        }
        let in_range = |value: Option<u64>, least, most| match value {
            Some(value) if (least..=most).contains(&value) => Ok(Value::Number(value)),
            _ => Err(""),
        };
        let text_if = |good: bool| if good { Ok(Value::Text(text.to_owned())) } else { Err("") };
        match self {
            Self::Duration => in_range(scaled(text, &DURATIONS), 1, MAX_DURATION_MS),
            Self::Size(least, most) => in_range(scaled(text, &SIZES), least, most),
            Self::Maxconn => match text.strip_prefix("auto:") {
                Some(range) => auto(range).map(|(least, most)| Value::Auto(least, most)).ok_or(""),
                None => in_range(scaled(text, &[("", 1)]), 0, 1_000_000),
            },
            Self::Number(least, most) => in_range(scaled(text, &[("", 1)]), least, most),
            Self::Integer(least, most) => match text.parse::<i64>() {
                Ok(value) if (least..=most).contains(&value) && !text.starts_with('+') => Ok(Value::Integer(value)),
                Ok(_) | Err(_) => Err(""),
            },
            Self::Choice(words) => match (0..).zip(words).find(|(_, word)| **word == text) {
                Some((place, _)) => Ok(Value::Number(place)),
                None => Err("not supported"),
            },
            Self::Log(words) => match (0..).zip(words).find(|(_, word)| **word == text) {
                Some((place, _)) => Ok(Value::Number(place)),
                None => logs::syslog(text).map(Value::Address),
            },
            Self::Listen => match address::unix(text) {
                Some(path) => path.map(Address::Unix).map(Value::Address),
                None => text.parse().map(Address::Inet).map(Value::Address).map_err(|_| ""),
            },
            Self::Server => match address::unix(text) {
                Some(path) => path.map(Value::Path),
                None => address::server(text).map(|(host, port)| Value::Server(host, port)),
            },
            Self::Mode => match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o777 && !text.starts_with('+') => Ok(Value::Number(mode.into())),
                Ok(_) | Err(_) => Err(""),
            },
            Self::Balance => balance::parse(text).map(|(algorithm, key)| Value::Balance(algorithm, key)),
            Self::Factor => in_range(scaled(text, &[("", 1)]), if text == "0" { 0 } else { 101 }, 10_000),
            Self::Pool => text_if(is_name(text)),
            Self::Fewer => {
                items(text)?.iter().map(|item| monitor::fewer(item)).collect::<Option<_>>().map(Value::Fewer).ok_or("")
            }
            Self::Token => text_if(is_token(text)),
            Self::CookieValue => text_if(text.bytes().all(is_cookie_octet)),
            Self::CookieAttributes => cookie_attributes(text).map(Value::Text),
            Self::Target => text_if(text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic())),
            Self::HostValue | Self::Secret => text_if(text.bytes().all(|byte| byte.is_ascii_graphic())),
            Self::Expect => pool::expect(text).map(Value::Expect).ok_or(""),
            Self::RetryOn => pool::retry_on(&items(text)?).map(Value::RetryOn).ok_or(""),
            Self::Hosts => parse_all(text).map(Value::Hosts),
            Self::Paths => parse_all(text).map(Value::Paths),
            Self::Sources => parse_all(text).map(Value::Sources),
            Self::Trust => parse_all(text).map(Value::Trust),
            Self::FieldName => text_if(is_token(text) && Known::of(text.as_bytes()).is_none()),
            Self::Methods => {
                let methods = items(text)?;
                let good = |method: &str| is_token(method) && !method.bytes().any(|byte| byte.is_ascii_lowercase());
                if methods.iter().all(|method| good(method)) { Ok(Value::Texts(methods)) } else { Err("") }
            }
            Self::HeaderValues => items(text).map(Value::Texts),
            Self::Listeners => match items(text)? {
                names if names.iter().all(|name| is_name(name)) => Ok(Value::Texts(names)),
                _ => Err(""),
            },
            Self::StickKey => stick::read(text).map(Value::StickKey),
            Self::Nameservers => names::nameservers(&items(text)?).map(Value::Addresses),
            Self::Rate => rate(text).map(Value::Rate).ok_or(""),
            Self::Deny => match scaled(text, &[("", 1)]).map(|status| (status, u16::try_from(status).ok())) {
                Some((status, Some(known))) if reply::has_body(known) && known != 405 => Ok(Value::Number(status)),
                _ => Err(""),
            },
            Self::Return => answer(text).ok_or(""),
            Self::Redirect => Redirect::read(text, None).map(Value::Redirect),
            Self::Prefix => match text.parse::<To>()? {
                To::Prefix(prefix) if prefix.starts_with('/') || prefix.is_empty() => Err("the host is missing"),
                to => Ok(Value::Redirect(Redirect { code: 302, to, keeps_query: true })),
            },
            Self::FieldValue => text_if(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))),
            Self::File => text_if(true),
            Self::Watts => in_range(power::milliwatts(text), *power::RANGE_MW.start(), *power::RANGE_MW.end()),
            Self::Account => text_if(account::is_account(text)),
            Self::Absolute(_) => text_if(text.starts_with('/')),
            Self::MediaType => text_if(
                text.split_once('/').is_some_and(|(kind, _)| is_token(kind))
                    && text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            ),
        }
    }
}

/// Suffixes of durations, the longest unit first, in milliseconds.
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Suffixes of sizes, the largest first, in bytes.
const SIZES: [(&str, u64); 4] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10), ("", 1)];

/// Digits and one of these suffixes.
pub(super) fn scaled(text: &str, suffixes: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let (_, scale) = suffixes.iter().find(|(known, _)| *known == suffix)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// `MIN..MAX`, in this order.
fn auto(range: &str) -> Option<(u16, u16)> {
    let bound = |text| scaled(text, &[("", 1)]).and_then(|bound| u16::try_from(bound).ok());
    let (least, most) = range.split_once("..")?;
    let (least, most) = (bound(least)?, bound(most)?);
    (1 <= least && least <= most && most <= 10_000).then_some((least, most))
}

/// Digits and `/s` or `/m`.
fn rate(text: &str) -> Option<Rate> {
    let (count, period) = text.split_once('/')?;
    let count = u16::try_from(scaled(count, &[("", 1)])?).ok()?;
    let per_minute = match period {
        "s" => false,
        "m" => true,
        _ => return None,
    };
    (1..=Rate::MOST).contains(&count).then_some(Rate { count, per_minute })
}

/// The shortest way to write `value` with one of these suffixes. Not inlined: it is wanted wherever a number is printed.
#[inline(never)]
fn in_largest(value: u64, suffixes: &[(&str, u64)]) -> String {
    let fits = suffixes.iter().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
    let (suffix, scale) = fits.or(suffixes.last()).copied().unwrap_or(("", 1));
    format!("{}{suffix}", value / scale)
}

/// `ms` milliseconds, as a file says it.
#[must_use]
pub fn duration_text(ms: u64) -> String {
    in_largest(ms, &DURATIONS)
}

/// `bytes`, as a file says it.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    in_largest(bytes, &SIZES)
}

/// `rate`, as a file says it.
#[must_use]
pub fn rate_text(rate: Rate) -> String {
    count_text(rate.count.into()) + if rate.per_minute { "/m" } else { "/s" }
}

/// `count`, as a file says it.
#[must_use]
pub fn count_text(count: u64) -> String {
    in_largest(count, &[("", 1)])
}

/// Whether `text` may name an object.
pub(super) fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    text.len() <= MAX_NAME && !text.starts_with(['-', '_']) && !text.is_empty() && text.bytes().all(legal)
}

/// Whether `text` is a token of RFC 9110.
pub(super) fn is_token(text: &str) -> bool {
    crate::http::fields::is_token(text.as_bytes())
}

/// RFC 6265's cookie-octets, but for what separates a backend's name from dates and from an application's own value.
pub(super) fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\|~".contains(&byte)
}

/// The items of a list.
fn items(text: &str) -> Result<Vec<String>, &'static str> {
    let items: Vec<String> = text.split(',').map(|item| item.trim_ascii().to_owned()).collect();
    if items.iter().any(String::is_empty) { Err("an empty item") } else { Ok(items) }
}

fn parse_all<T: FromStr<Err = &'static str>>(text: &str) -> Result<Vec<T>, &'static str> {
    items(text)?.iter().map(|item| item.parse()).collect()
}

/// Attributes joined by `; `, as Set-Cookie carries them.
fn cookie_attributes(text: &str) -> Result<String, &'static str> {
    let attributes: Vec<&str> = text.split(';').map(str::trim_ascii).collect();
    let good = |attribute: &&str| {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        is_token(name) && *attribute != "none" && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    if attributes.iter().all(good) { Ok(attributes.join("; ")) } else { Err("") }
}

/// A status, and a text behind it.
fn answer(text: &str) -> Option<Value> {
    let (status, text) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let status = scaled(status, &[("", 1)]).and_then(|status| u16::try_from(status).ok())?;
    let text = text.trim_ascii();
    let good = matches!(status, 200..=299 | 400..=599)
        && !matches!(status, 205 | 206 | 401 | 405 | 407 | 416 | 426)
        && (status != 204 || text.is_empty());
    good.then(|| Value::Return(status, text.to_owned()))
}

#[cfg(test)]
mod tests;
