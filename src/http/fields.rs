//! Header fields that a proxy has to know, and the cuts it makes.
//!
//! A head is rewritten in place: what must not be passed on is cut out, what is added goes behind the last line. Every
//! other byte stays as it came, in its order.

use crate::limits::MAX_HEADERS;
use crate::sort;
use std::ops::Range;

/// Cuts one head may need: every line, and cookies inside lines.
pub const MAX_CUTS: usize = MAX_HEADERS + 32;
/// Options of all Connection fields of a head together; more is nobody's honest head.
const MAX_OPTIONS: usize = 32;

/// One field of a head, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// The name, a token.
    pub name: &'b [u8],
    /// The value, without the blanks around it.
    pub value: &'b [u8],
}

/// The fields of one head, in their order.
pub type Fields<'b> = heapless::Vec<Field<'b>, MAX_HEADERS>;

/// Takes over the fields that httparse found, of which there are no more than there is room for.
pub(super) fn collect<'b>(fields: &mut Fields<'b>, found: &[httparse::Header<'b>]) {
    fields.clear();
    fields
        .extend(found.iter().map(|field| Field { name: field.name.as_bytes(), value: field.value }).take(MAX_HEADERS));
}

/// A field whose meaning matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Close: of this hop only where Connection's own option `close` happens to name it.
    Close,
    /// Connection: options and names of further hop-by-hop fields.
    Connection,
    /// Content-Length.
    ContentLength,
    /// Cookie.
    Cookie,
    /// Date.
    Date,
    /// X-Forwarded-For and whatever else begins so, but X-Forwarded-Proto; with underscores too, as some servers read them.
    Forwarded,
    /// X-Forwarded-Proto.
    ForwardedProto,
    /// Host.
    Host,
    /// Keep-Alive, Proxy-Connection, TE, Trailer: of this hop only, never passed on.
    HopByHop,
    /// Content_Length and Transfer_Encoding: for readers that fold names into variables (CGI) they are the fields with
    /// hyphens, for all others they are not.
    Lookalike,
    /// Max-Forwards.
    MaxForwards,
    /// Set-Cookie.
    SetCookie,
    /// Transfer-Encoding.
    TransferEncoding,
    /// Upgrade: of this hop, and passed on only under conditions.
    Upgrade,
}

impl Known {
    /// What `name`, a token, means, if it means anything here.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        let is = |known: &str| folds_to(name, known.as_bytes());
        // Most fields have a name of another length, or of the same one with another first letter.
        let (known, meaning) = match (name.len(), name.first()?.to_ascii_lowercase()) {
            (2, b't') => ("te", Self::HopByHop),
            (4, b'd') => ("date", Self::Date),
            (4, b'h') => ("host", Self::Host),
            (5, b'c') => ("close", Self::Close),
            (6, b'c') => ("cookie", Self::Cookie),
            (7, b'u') => ("upgrade", Self::Upgrade),
            (7, b't') => ("trailer", Self::HopByHop),
            (10, b'c') => ("connection", Self::Connection),
            (10, b'k') => ("keep-alive", Self::HopByHop),
            (10, b's') => ("set-cookie", Self::SetCookie),
            (12, b'm') => ("max-forwards", Self::MaxForwards),
            (14, b'c') if name[7] == b'_' && name.eq_ignore_ascii_case(b"content_length") => {
                return Some(Self::Lookalike);
            }
            (14, b'c') => ("content-length", Self::ContentLength),
            (16, b'p') => ("proxy-connection", Self::HopByHop),
            (17, b't') if name[8] == b'_' && name.eq_ignore_ascii_case(b"transfer_encoding") => {
                return Some(Self::Lookalike);
            }
            (17, b't') => ("transfer-encoding", Self::TransferEncoding),
            (13.., b'x') => {
                let joint = |at: usize| matches!(name.get(at), Some(b'-' | b'_'));
                let word = name.get(2..11).is_some_and(|word| word.eq_ignore_ascii_case(b"forwarded"));
                let meaning = if is("x-forwarded-proto") { Self::ForwardedProto } else { Self::Forwarded };
                return (word && joint(1) && joint(11)).then_some(meaning);
            }
            _ => return None,
        };
        is(known).then_some(meaning)
    }

    /// Whether a Connection option of this name may remove the field. Framing and the name of the host are end to end
    /// whatever a peer says (RFC 9110 section 7.6.1); so is who the client is, which a trusted proxy said and a client behind
    /// it must not unsay.
    #[must_use]
    pub fn may_be_nominated(self) -> bool {
        match self {
            Self::ContentLength
            | Self::Host
            | Self::TransferEncoding
            | Self::Connection
            | Self::Upgrade
            | Self::Forwarded
            | Self::ForwardedProto => false,
            Self::Close
            | Self::Cookie
            | Self::Date
            | Self::HopByHop
            | Self::Lookalike
            | Self::MaxForwards
            | Self::SetCookie => true,
        }
    }
}

/// Whether `name`, a token, is `known` but for case. `known` has small letters and hyphens only: no other byte of a token
/// becomes one of them by the bit that makes letters small. Four bytes at a time: names are most of what a head is asked.
fn folds_to(name: &[u8], known: &[u8]) -> bool {
    const FOLD: u32 = 0x2020_2020;
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
        word.map_or(0, u32::from_ne_bytes)
    };
    let length = known.len();
    if name.len() != length {
        return false;
    }
    if length < 4 {
        return name.eq_ignore_ascii_case(known);
    }
    let mut at = 0;
    while at + 4 < length {
        if word(name, at) | FOLD != word(known, at) {
            return false;
        }
        at += 4;
    }
    word(name, length - 4) | FOLD == word(known, length - 4)
}

/// The options of all Connection fields of one head.
#[derive(Debug, Default)]
pub struct ConnectionOptions<'b> {
    /// `close` is among them.
    pub close: bool,
    /// `keep-alive` is among them.
    pub keep_alive: bool,
    /// `upgrade` is among them.
    pub upgrade: bool,
    /// Absent in nearly every head, which has no other options: that saves clearing it.
    named: Option<heapless::Vec<&'b [u8], MAX_OPTIONS>>,
}

/// More Connection options than any honest head has.
#[derive(Debug)]
pub struct TooManyOptions;

impl<'b> ConnectionOptions<'b> {
    /// Adds the options of one Connection field.
    ///
    /// # Errors
    /// [`TooManyOptions`] beyond a fixed number.
    pub fn add(&mut self, value: &'b [u8]) -> Result<(), TooManyOptions> {
        // What nearly all of them say.
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return Ok(());
        }
        for option in elements(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.named.get_or_insert_default().push(option).map_err(|_| TooManyOptions)?;
            }
        }
        Ok(())
    }

    /// Whether a field of this name is of this hop only.
    fn nominate(&self, name: &[u8]) -> bool {
        self.named.iter().flatten().any(|option| option.eq_ignore_ascii_case(name))
    }

    /// Cuts the lines of the fields that are named, and with `length` those of Content-Length.
    ///
    /// # Errors
    /// [`TooManyCuts`].
    pub(super) fn cut(
        &self,
        head: &[u8],
        fields: &[Field<'_>],
        length: bool,
        cuts: &mut Cuts,
    ) -> Result<(), TooManyCuts> {
        if self.named.is_none() && !length {
            return Ok(());
        }
        for (index, field) in fields.iter().enumerate() {
            let known = Known::of(field.name);
            let named = known.is_none_or(Known::may_be_nominated) && self.nominate(field.name);
            if named || (length && known == Some(Known::ContentLength)) {
                cuts.add(line(head, fields, index))?;
            }
        }
        Ok(())
    }
}

/// The elements of a comma-separated list, without blanks around them and without the empty ones.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether nothing but one blank at most stands around a field's value, up to its CRLF.
pub(super) fn is_bare(head: &[u8], field: &Field<'_>) -> bool {
    let (start, name_end) = (offset(head, field.value), offset(head, field.name) + field.name.len());
    let before = head.get(name_end..start);
    matches!(before, Some(b":" | b": "))
        && head.get(start + field.value.len()..).is_some_and(|rest| rest.starts_with(b"\r\n"))
}

/// Whether `text` is a token (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Ranges of a head that are not passed on.
#[derive(Debug, Default)]
pub struct Cuts(heapless::Vec<(u16, u16), MAX_CUTS>);

/// More cuts than any honest head needs.
#[derive(Debug)]
pub struct TooManyCuts;

impl Cuts {
    /// Cuts `range`, offsets into the head.
    ///
    /// # Errors
    /// [`TooManyCuts`] when the table is full.
    pub fn add(&mut self, range: Range<usize>) -> Result<(), TooManyCuts> {
        let (Ok(start), Ok(end)) = (u16::try_from(range.start), u16::try_from(range.end)) else {
            return Err(TooManyCuts);
        };
        self.0.push((start, end)).map_err(|_| TooManyCuts)
    }

    /// Moves what is kept of the first `length` bytes to their front, and says how long it is.
    #[must_use]
    pub fn apply(&mut self, bytes: &mut [u8], length: usize) -> usize {
        if !self.0.is_sorted() {
            sort::few(&mut self.0, Ord::cmp);
        }
        let mut kept = 0;
        let mut from = 0;
        for &(start, end) in &self.0 {
            let (start, end) = (usize::from(start).min(length), usize::from(end).min(length));
            if start > from {
                if kept != from {
                    bytes.copy_within(from..start, kept);
                }
                kept += start - from;
            }
            from = from.max(end);
        }
        if from < length {
            if kept != from {
                bytes.copy_within(from..length, kept);
            }
            kept += length - from;
        }
        kept
    }

    /// Where the byte at `at` stands after [`Cuts::apply`]; `None` when it was cut.
    #[must_use]
    pub fn moved(&self, at: usize) -> Option<usize> {
        let (mut gone, mut from) = (0, 0);
        for &(start, end) in &self.0 {
            let (start, end) = (usize::from(start), usize::from(end));
            if start > at {
                break;
            }
            if at < end {
                return None;
            }
            gone += end.saturating_sub(start.max(from));
            from = from.max(end);
        }
        Some(at - gone)
    }
}

/// Cuts the lines of every field that is `known`.
///
/// # Errors
/// [`TooManyCuts`].
pub(super) fn cut_known(head: &[u8], fields: &[Field<'_>], known: Known, cuts: &mut Cuts) -> Result<(), TooManyCuts> {
    for (index, field) in fields.iter().enumerate() {
        if Known::of(field.name) == Some(known) {
            cuts.add(line(head, fields, index))?;
        }
    }
    Ok(())
}

/// Whether every line of the head ends in CRLF, its empty line too: a parser that is content with LF found the lines.
pub(super) fn ends_lines(head: &[u8], fields: &[Field<'_>]) -> bool {
    // No CR is inside a line, so before an LF it is part of the line's end.
    let ends = |at: usize| head.get(at.wrapping_sub(2)) == Some(&b'\r');
    head.len() >= 4
        && fields.iter().all(|field| ends(offset(head, field.name)))
        && ends(head.len() - 2)
        && ends(head.len())
}

/// Where `part` lies in `whole`, which it is a slice of.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    let offset = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    debug_assert!(offset + part.len() <= whole.len());
    offset.min(whole.len())
}

/// The line of the `index`th field, its CRLF included: up to the next field's name, or to the head's empty line.
pub(crate) fn line(head: &[u8], fields: &[Field<'_>], index: usize) -> Range<usize> {
    let start = offset(head, fields[index].name);
    let end = fields.get(index + 1).map_or(head.len() - 2, |next| offset(head, next.name));
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (name, known) in [
            ("HOST", Some(Known::Host)),
            ("x-forwarded-PROTO", Some(Known::ForwardedProto)),
            ("X-Forwarded-For", Some(Known::Forwarded)),
            ("X-Forwarded-Port", Some(Known::Forwarded)),
            ("X_Forwarded-For", Some(Known::Forwarded)),
            ("x_forwarded_proto", Some(Known::Forwarded)),
            ("Content_Length", Some(Known::Lookalike)),
            ("transfer_encoding", Some(Known::Lookalike)),
            ("transfer-encodinG", Some(Known::TransferEncoding)),
            ("x-forwarded-", None),
            ("x-forwardedx-for", None),
            ("x-forwarded", None),
            ("x-forwarder-for", None),
            ("xx", None),
            ("", None),
            ("Max-Forwards", Some(Known::MaxForwards)),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn folding() {
        for known in ["te", "host", "close", "set-cookie", "content-length"] {
            assert!(folds_to(known.to_ascii_uppercase().as_bytes(), known.as_bytes()));
            assert!(folds_to(known.as_bytes(), known.as_bytes()));
            for at in 0..known.len() {
                let mut other = known.as_bytes().to_vec();
                other[at] = b'q';
                assert!(!folds_to(&other, known.as_bytes()), "{known} {at}");
            }
            assert!(!folds_to(&known.as_bytes()[1..], known.as_bytes()));
        }
    }

    #[test]
    fn options() {
        let mut options = ConnectionOptions::default();
        options.add(b" Close , X-Private,, keep-alive").unwrap();
        assert!(options.close && options.keep_alive && options.nominate(b"x-private") && !options.nominate(b"close"));
        assert!(options.add(b"a,".repeat(40).leak()).is_err());
    }

    proptest! {
        /// Cutting in place is what leaving the bytes out of a copy is.
        #[test]
        fn cuts(length in 0usize..60, ranges in prop::collection::vec((0usize..60, 0usize..12), 0..8)) {
            let mut bytes: Vec<u8> = (0..60).collect();
            let mut cuts = Cuts::default();
            let mut gone = [false; 60];
            for (start, count) in ranges {
                let range = start..(start + count).min(60);
                gone[range.clone()].fill(true);
                cuts.add(range).unwrap();
            }
            let expected: Vec<u8> = (0u8..60).filter(|&at| usize::from(at) < length && !gone[usize::from(at)]).collect();
            let kept = cuts.apply(&mut bytes, length);
            prop_assert_eq!(&bytes[..kept], &expected[..]);
            for at in 0..length {
                let place = expected.iter().position(|&byte| usize::from(byte) == at);
                prop_assert_eq!(cuts.moved(at), place);
            }
        }
    }
}
