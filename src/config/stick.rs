//! What tells the users of a pool apart: `pool.N.stick`.

use super::value::is_token;
use crate::http::key::Key;

/// `pool.N.stick` and `pool.N.stick.expire`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stick {
    /// What tells one user from the others: the client's address, a header field, a cookie, a parameter of the query.
    pub key: Key,
    /// Milliseconds for which a user who does not come is remembered.
    pub expire_ms: u64,
}

/// Reads what tells users apart.
pub(super) fn read(text: &str) -> Result<Key, &'static str> {
    if text == "src" {
        return Ok(Key::Source);
    }
    let (kind, name) = text.split_once(':').ok_or("")?;
    let of: fn(String) -> Key = match kind {
        "hdr" => Key::Header,
        "cookie" => Key::Cookie,
        "url_param" => Key::UrlParam,
        _ => return Err(""),
    };
    if is_token(name) { Ok(of(name.to_owned())) } else { Err("the name is no token;") }
}

/// How a file says it.
pub(super) fn text(key: &Key) -> String {
    match key {
        Key::Source => "src".to_owned(),
        Key::Uri { .. } => "uri".to_owned(),
        Key::Header(name) => format!("hdr:{name}"),
        Key::Cookie(name) => format!("cookie:{name}"),
        Key::UrlParam(name) => format!("url_param:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for known in ["src", "hdr:X-User", "cookie:PHPSESSID", "url_param:sid"] {
            assert_eq!(text(&read(known).unwrap()), known);
        }
        for unknown in ["", "uri", "source", "hdr", "hdr:", "hdr:a b", "header:x", "cookie:a;b", "src:x", "Src"] {
            assert!(read(unknown).is_err(), "{unknown}");
        }
    }
}
