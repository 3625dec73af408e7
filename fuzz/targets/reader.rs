//! A head as the strictest reader would read it: slow, simple, and knowing nothing of the code under test.

/// A field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'b> {
    /// Its name.
    pub(super) name: &'b [u8],
    /// Its value, without the blanks around it.
    pub(super) value: &'b [u8],
    /// The whole line, without its CRLF.
    pub(super) line: &'b [u8],
}

impl Field<'_> {
    /// Whether it has this name, in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The first line and the fields of a head that is whole.
///
/// # Panics
/// When two readers could read it differently: a line that does not end in CRLF, control bytes, a name that is no token.
pub(super) fn read(head: &[u8]) -> (&[u8], Vec<Field<'_>>) {
    let text = String::from_utf8_lossy(head);
    assert!(head.ends_with(b"\r\n\r\n"), "no empty line at the end: {text:?}");
    let lines: Vec<&[u8]> = split(&head[..head.len() - 4]);
    for line in &lines {
        assert!(!line.is_empty(), "an empty line inside: {text:?}");
        let control = line.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f);
        assert!(!control, "a control byte: {text:?}");
    }
    let fields = lines[1..].iter().map(|line| {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or_else(|| panic!("no colon: {text:?}"));
        assert!(is_token(&line[..colon]), "no name: {text:?}");
        Field { name: &line[..colon], value: trim(&line[colon + 1..]), line }
    });
    (lines[0], fields.collect())
}

/// The pieces between CRLFs.
fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&bytes[..end]);
        bytes = &bytes[end + 2..];
    }
    lines.push(bytes);
    lines
}

/// Without the blanks and tabs around it.
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().take_while(|byte| blank(byte)).count();
    let end = value[start..].iter().rev().take_while(|byte| blank(byte)).count();
    &value[start..value.len() - end]
}

/// The elements of a comma-separated list, empty ones too.
pub(super) fn list(value: &[u8]) -> Vec<&[u8]> {
    value.split(|&byte| byte == b',').map(trim).collect()
}

/// Whether it is a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// The values of all fields of this name.
pub(super) fn values<'b>(fields: &[Field<'b>], name: &str) -> Vec<&'b [u8]> {
    fields.iter().filter(|field| field.is(name)).map(|field| field.value).collect()
}
