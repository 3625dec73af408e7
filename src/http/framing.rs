//! What a head's Content-Length and Transfer-Encoding say together (RFC 9112 section 6), in both directions.
//!
//! Fed field by field; answers once, or refuses: nothing that two readers could read differently is passed on.

use super::body::Framing;
use super::fields::is_token;
use super::request::Version;

/// Why a body cannot be delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undelimited {
    /// A field breaks its grammar, or two fields contradict each other.
    Malformed(&'static str),
    /// A transfer coding that beelance does not speak.
    UnknownCoding,
}

use Undelimited::Malformed;

/// The framing fields of one head so far.
#[derive(Debug, Default)]
pub(super) struct Delimiters {
    length: Option<u64>,
    lines: u8,
    /// The length came in another form than plain digits behind one blank, once.
    odd: bool,
    chunked: bool,
}

impl Delimiters {
    /// Adds a Content-Length field: digits, 64 bits, every repetition the same (RFC 9112 section 6.3). `bare` says that
    /// nothing unusual stands around the value.
    pub(super) fn content_length(&mut self, value: &[u8], bare: bool) -> Result<(), Undelimited> {
        if let (0, true, Some(length)) = (self.lines, bare, plain(value)) {
            (self.lines, self.length) = (1, Some(length));
            return Ok(());
        }
        for element in value.split(|&byte| byte == b',') {
            let length = number(element.trim_ascii()).ok_or(Malformed("Content-Length is not a number of 64 bits"))?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Malformed("two different Content-Length values"));
            }
            self.length = Some(length);
        }
        self.lines = self.lines.saturating_add(1);
        let leading_zero = value.len() > 1 && value.first() == Some(&b'0');
        self.odd |= !bare || self.lines > 1 || leading_zero || !value.iter().all(u8::is_ascii_digit);
        Ok(())
    }

    /// Adds a Transfer-Encoding field: `chunked`, once, and nothing else (RFC 9112 sections 6.1 and 7).
    pub(super) fn transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), Undelimited> {
        if version == Version::Http10 {
            return Err(Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        if self.chunked {
            return Err(Malformed("chunked is not the only coding"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(unknown_coding(value));
        }
        self.chunked = true;
        Ok(())
    }

    /// Whether the Content-Length lines must be cut and one written anew in its plain form.
    pub(super) fn rewrites_length(&self) -> bool {
        self.odd
    }

    /// The length, when there is one.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The body's framing; [`Framing::None`] also when no field says anything.
    pub(super) fn framing(&self) -> Result<Framing, Undelimited> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Malformed("Content-Length and Transfer-Encoding")),
            (None, true) => Ok(Framing::Chunked),
            (Some(0) | None, false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Length(length)),
        }
    }
}

/// The number of a value in the form that nearly all have: up to nine digits, of which the first is not a zero before
/// others.
fn plain(value: &[u8]) -> Option<u64> {
    if !matches!((value.len(), value.first()?), (1, _) | (2..=9, b'1'..=b'9')) {
        return None;
    }
    let add = |number: u32, &digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'));
    value.iter().try_fold(0, add).map(u64::from)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What is wrong with a value that is not plain `chunked`: a list of known form is unknown, anything else malformed.
fn unknown_coding(value: &[u8]) -> Undelimited {
    let mut ended = false;
    for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if !is_token(coding) {
            return Malformed("bad Transfer-Encoding");
        }
        if ended {
            return Malformed("chunked is not the last coding");
        }
        ended = coding.eq_ignore_ascii_case(b"chunked");
    }
    Undelimited::UnknownCoding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        type Case = (&'static [&'static str], Option<(u64, bool)>);
        let cases: [Case; 17] = [
            (&["5"], Some((5, false))),
            (&["0"], Some((0, false))),
            (&["0005"], Some((5, true))),
            (&["5", "5"], Some((5, true))),
            (&["5, 5"], Some((5, true))),
            (&["5,\t5"], Some((5, true))),
            (&["18446744073709551615"], Some((u64::MAX, false))),
            (&["18446744073709551616"], None),
            (&["5", "6"], None),
            (&["5, 6"], None),
            (&[""], None),
            (&["+5"], None),
            (&["-5"], None),
            (&["5 5"], None),
            (&["0x5"], None),
            (&["5,"], None),
            (&[",5"], None),
        ];
        for (values, expected) in cases {
            let mut delimiters = Delimiters::default();
            let good = values.iter().all(|value| delimiters.content_length(value.as_bytes(), true).is_ok());
            let found = delimiters.length().map(|length| (length, delimiters.rewrites_length()));
            assert_eq!(if good { found } else { None }, expected, "{values:?}");
        }
    }

    #[test]
    fn codings() {
        use Undelimited::UnknownCoding;
        let bad = |values: &[&str]| {
            let mut delimiters = Delimiters::default();
            values.iter().find_map(|value| delimiters.transfer_encoding(value.as_bytes(), Version::Http11).err())
        };
        for good in ["chunked", "Chunked", "CHUNKED"] {
            assert_eq!(bad(&[good]), None, "{good}");
        }
        for unknown in ["gzip", "identity", "xchunked", "chunkedx", "gzip, chunked", "gzip,chunked"] {
            assert_eq!(bad(&[unknown]), Some(UnknownCoding), "{unknown}");
        }
        let malformed: [&[&str]; 15] = [
            &[""],
            &[","],
            &["chunked,"],
            &[",chunked"],
            &["chunked, ,"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["chunked, gzip"],
            &["chunked, identity"],
            &["chunked;q=1"],
            &["\"chunked\""],
            &["chunked chunked"],
            &["chunk\u{e9}d"],
            &["\u{a0}chunked"],
            &["chunked", "identity"],
        ];
        for values in malformed {
            assert!(matches!(bad(values), Some(Malformed(_))), "{values:?}");
        }
        let mut delimiters = Delimiters::default();
        assert!(delimiters.transfer_encoding(b"chunked", Version::Http10).is_err());
    }

    #[test]
    fn together() {
        let mut delimiters = Delimiters::default();
        assert_eq!(delimiters.framing(), Ok(Framing::None));
        delimiters.transfer_encoding(b"chunked", Version::Http11).unwrap();
        assert_eq!(delimiters.framing(), Ok(Framing::Chunked));
        delimiters.content_length(b"5", true).unwrap();
        assert!(delimiters.framing().is_err());
    }
}
