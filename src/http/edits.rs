//! Edits of a request's head that a route asks for: `route.N.set-header.NAME` and `route.N.del-header.NAME`.
//!
//! Owns which fields may be edited: none that frames a message or belongs to one hop. Setting a field replaces all its
//! lines. A name with underscores is the same field here: servers that fold names into variables (CGI) read it so, and a
//! client must not be able to say what the balancer says.

use super::fields::{Cuts, Field, Known, TooManyCuts, is_token, line};
use super::host;

/// The edits of one route, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    sets: Vec<(String, String)>,
    deletes: Vec<String>,
    /// The lines to add, each with its CRLF.
    lines: Vec<u8>,
    /// Bytes of that of Host.
    host: usize,
    /// Whether one of them is Host.
    pub sets_host: bool,
    /// Whether one of them is X-Forwarded-Proto.
    pub sets_proto: bool,
}

impl Edits {
    /// Sets the field `name` to `value`.
    ///
    /// # Errors
    /// Why that must not be.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        check_name(name)?;
        if !value.bytes().all(|byte| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic()) {
            return Err("a value is printable ASCII");
        }
        match Known::of(name.as_bytes()) {
            Some(Known::Host) => {
                host::check(value.as_bytes()).map_err(|_| "that is no host")?;
                self.sets_host = true;
                self.host = "host: \r\n".len() + value.len();
            }
            Some(Known::ForwardedProto) => self.sets_proto = true,
            _ => {}
        }
        for part in [name, ": ", value, "\r\n"] {
            self.lines.extend_from_slice(part.as_bytes());
        }
        self.sets.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Deletes the field `name`.
    ///
    /// # Errors
    /// Why that must not be.
    pub fn delete(&mut self, name: &str) -> Result<(), &'static str> {
        check_name(name)?;
        if Known::of(name.as_bytes()) == Some(Known::Host) {
            return Err("a request needs its Host");
        }
        self.deletes.push(name.to_owned());
        Ok(())
    }

    /// What is set: names and values.
    #[must_use]
    pub fn sets(&self) -> &[(String, String)] {
        &self.sets
    }

    /// What is deleted.
    #[must_use]
    pub fn deletes(&self) -> &[String] {
        &self.deletes
    }

    /// Bytes of the lines beside Host, which takes the place of one that may be there anyway.
    #[must_use]
    pub fn length(&self) -> usize {
        self.lines.len() - self.host
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.deletes.is_empty()
    }

    /// The lines that go behind a head.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Cuts the lines of all fields that are set or deleted.
    ///
    /// # Errors
    /// [`TooManyCuts`].
    #[inline(never)]
    pub fn cut(&self, head: &[u8], fields: &[Field<'_>], cuts: &mut Cuts) -> Result<(), TooManyCuts> {
        for (index, field) in fields.iter().enumerate() {
            let mut names = self.sets.iter().map(|(name, _)| name).chain(&self.deletes);
            if names.any(|name| is_same(name.as_bytes(), field.name)) {
                cuts.add(line(head, fields, index))?;
            }
        }
        Ok(())
    }
}

/// Whether two names are one for a reader that takes `_` for `-`.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let fold = |&byte: &u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(fold).eq(other.iter().map(fold))
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if !is_token(name.as_bytes()) {
        return Err("the name of a header field is a token");
    }
    let plain = name.replace('_', "-");
    let of_this_hop = plain.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"));
    match Known::of(plain.as_bytes()) {
        Some(Known::ContentLength | Known::TransferEncoding | Known::Lookalike) => {
            Err("it frames the message, and no rule may change that")
        }
        Some(Known::Connection | Known::HopByHop | Known::Upgrade | Known::MaxForwards) => {
            Err("it is of one hop only, and beelance writes it itself")
        }
        _ if of_this_hop => Err("it is of one hop only, and beelance writes it itself"),
        Some(
            Known::Close
            | Known::Cookie
            | Known::Date
            | Known::Forwarded
            | Known::ForwardedProto
            | Known::Host
            | Known::SetCookie,
        )
        | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::Fields;
    use crate::http::request;
    use proptest::prelude::*;

    #[test]
    fn what_must_not_be_edited() {
        for name in [
            "content-length",
            "Content_Length",
            "transfer-encoding",
            "transfer_encoding",
            "connection",
            "keep-alive",
            "Keep_Alive",
            "te",
            "trailer",
            "upgrade",
            "proxy-connection",
            "Proxy-Authorization",
            "proxy_authenticate",
            "max-forwards",
            "a b",
            "",
        ] {
            assert!(Edits::default().set(name, "1").is_err(), "{name}");
            assert!(Edits::default().delete(name).is_err(), "{name}");
        }
        assert!(Edits::default().delete("host").is_err());
        assert!(Edits::default().set("host", "a/b").is_err());
        assert!(Edits::default().set("x", "a\r\nb: c").is_err());
        assert!(Edits::default().delete("proxy").is_ok(), "what CGI takes for a variable of its own");
    }

    proptest! {
        /// What goes out is read back by the parser: the fields that stay, in their order, then those that are set.
        #[test]
        fn an_edited_head_is_a_head(
            fields in prop::collection::vec(("(x-a|X_A|x-b|y|Accept|X-Forwarded-Proto)", "[ -~]{0,8}"), 0..8),
            sets in prop::collection::vec(("(x-a|y|z|X-Forwarded-Proto)", "[!-~]([ -~]{0,6}[!-~])?"), 0..3),
            deletes in prop::collection::vec("(x-b|accept|X_A)", 0..3),
        ) {
            let mut edits = Edits::default();
            for (name, value) in &sets {
                prop_assert_eq!(edits.set(name, value), Ok(()));
            }
            for name in &deletes {
                prop_assert_eq!(edits.delete(name), Ok(()));
            }
            let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("GET /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let (mut bytes, mut cuts) = (head.clone().into_bytes(), Cuts::default());
            let mut table = Fields::new();
            let parsed = request::parse(head.as_bytes(), 16, &mut table, &mut cuts).expect("the fields are legal");
            prop_assert!(edits.cut(head.as_bytes(), parsed.fields, &mut cuts).is_ok());
            let length = parsed.rewrite().apply(&mut bytes, &mut cuts);
            let out = [&bytes[..length], edits.lines(), b"\r\n"].concat();

            let mut table = Fields::new();
            let again = request::parse(&out, 16, &mut table, &mut Cuts::default()).expect("what goes out is a head");
            let found: Vec<(String, String)> = again
                .fields
                .iter()
                .map(|field| (String::from_utf8_lossy(field.name).into_owned(), String::from_utf8_lossy(field.value.trim_ascii()).into_owned()))
                .collect();
            let stays = |name: &str| !sets.iter().map(|(set, _)| set).chain(&deletes).any(|edited| is_same(edited.as_bytes(), name.as_bytes()));
            let kept = fields.iter().filter(|(name, _)| stays(name)).map(|(name, value)| (name.clone(), value.trim().to_owned()));
            let expected: Vec<(String, String)> =
                std::iter::once(("Host".to_owned(), "a".to_owned())).chain(kept).chain(sets.iter().cloned()).collect();
            prop_assert_eq!(again.length, out.len());
            prop_assert_eq!(found, expected);
        }
    }
}
