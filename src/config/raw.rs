//! The file as written: one setting a line, with line numbers, grammar only.
//!
//! Owns what a line may look like and what a serial console or a Windows editor may have done to it: CRLF, a byte
//! order mark, no final newline, trailing blanks. Refuses to know any key: of a line that is none, `keys` knows whose words it has.

use super::error::Errors;
use super::keys;

/// Bytes a file may have: every object there can be, with every attribute, fits several times over.
pub(super) const MAX_FILE: u64 = 512 * 1024;

/// One `key = value`, both sides trimmed and neither empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Counted from 1.
    pub line: u32,
    /// Lower-case ASCII without blanks.
    pub key: &'a str,
    /// No control characters but tabs.
    pub value: &'a str,
}

/// All settings, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct RawConfig<'a> {
    /// The settings.
    pub entries: Vec<Entry<'a>>,
    /// The last line, at least 1: where what is missing is reported.
    pub last_line: u32,
}

impl<'a> RawConfig<'a> {
    /// Reads all lines; what is wrong with one goes to `errors` and the line is left out.
    pub(super) fn read(bytes: &'a [u8], errors: &mut Errors) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut raw = Self { entries: Vec::new(), last_line: 1 };
        let mut line = 0;
        for text in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n') {
            line += 1;
            match read_line(text) {
                Ok(Some((key, value))) => raw.entries.push(Entry { line, key, value }),
                Ok(None) => {}
                Err(reason) => errors.push(line, &subject(text), reason),
            }
        }
        raw.last_line = line.max(1);
        raw
    }
}

/// One line: nothing, a setting, or what is wrong with it.
fn read_line(line: &[u8]) -> Result<Option<(&str, &str)>, String> {
    if line.contains(&0) {
        return Err("a NUL byte: not a text file; save it as UTF-8".to_owned());
    }
    let Ok(line) = str::from_utf8(line) else {
        return Err("not UTF-8: save the file as UTF-8 or plain ASCII".to_owned());
    };
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // Those beyond ASCII too: a terminal that shows the message may obey them.
    if let Some(control) = line.chars().find(|&c| c.is_control() && c != '\t') {
        return Err(format!("control character 0x{:02x}: remove it (end lines with LF or CRLF)", u32::from(control)));
    }
    let Some((key, value)) = line.split_once('=') else {
        return Err(no_setting(line));
    };
    let (key, value) = (key.trim_ascii(), value.trim_ascii());
    if key.is_empty() {
        return Err("no key before `=`".to_owned());
    }
    if let Some(odd) = key.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!(
            "a key holds no {}",
            if odd.is_ascii() { "blanks".to_owned() } else { format!("`{}`", odd.escape_unicode()) }
        ));
    }
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("keys are lower case: write `{}`", key.to_ascii_lowercase()));
    }
    if value.is_empty() {
        return Err("no value after `=`: give one or remove the line".to_owned());
    }
    Ok(Some((key, value)))
}

/// What is wrong with a line without `=`.
fn no_setting(line: &str) -> String {
    let word = line.split(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | '{')).next().unwrap_or_default();
    let colon = line.split_once(": ").filter(|(key, _)| *key == word.trim_end_matches(':') && line.len() <= 128);
    match (colon, keys::said_here(word)) {
        (Some((key, value)), _) => format!("no `=`: write `{key} = {}`", value.trim_ascii()),
        (None, Some(said)) => format!("no `=`: this is HAProxy's or nginx's syntax; {said}"),
        (None, None) => "no `=`: write `key = value`".to_owned(),
    }
}

/// What an error about a line that is no setting calls it: what stands where the key should.
fn subject(line: &[u8]) -> String {
    let before = line.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
    let word = before.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    match str::from_utf8(word.strip_suffix(b":").unwrap_or(word)) {
        Ok(word) if !word.is_empty() => word.chars().take(64).flat_map(char::escape_debug).collect(),
        _ => "(line)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        type Entries = &'static [(u32, &'static str, &'static str)];
        let cases: [(&str, &[u8], Entries, &[&str]); 20] = [
            ("nothing", b"", &[], &[]),
            ("CRLF", b"a = 1\r\nb = 2\r\n", &[(1, "a", "1"), (2, "b", "2")], &[]),
            ("BOM", b"\xef\xbb\xbfa=1\n", &[(1, "a", "1")], &[]),
            ("no final newline", b"a=1\nb=2", &[(1, "a", "1"), (2, "b", "2")], &[]),
            ("trailing blanks", b"\t a \t=  1 2 \t \r\n", &[(1, "a", "1 2")], &[]),
            ("first = splits", b"a = b=c#d", &[(1, "a", "b=c#d")], &[]),
            ("comments", b"# x\n  #y = 1\n\n   \na=1", &[(5, "a", "1")], &[]),
            ("control byte in a comment", b"# \x1b[1m\na=1", &[(2, "a", "1")], &[]),
            ("no =", b"listen.web 0.0.0.0:80", &[], &["f:1: listen.web: no `=`: write `key = value`"]),
            ("colon", b"log.level: info", &[], &["f:1: log.level: no `=`: write `log.level = info`"]),
            (
                "HAProxy's",
                b"frontend web\n  bind *:80\n  server s1 10.0.0.1:80 check\n",
                &[],
                &[
                    "f:1: frontend: no `=`: this is HAProxy's or nginx's syntax; here it is `listen.NAME = ADDRESS:PORT`",
                    "f:2: bind: no `=`: this is HAProxy's or nginx's syntax; here it is `listen.NAME = ADDRESS:PORT`",
                    "f:3: server: no `=`: this is HAProxy's or nginx's syntax; here it is `backend.NAME = HOST:PORT`, and `backend.NAME.pool = POOL`",
                ],
            ),
            (
                "nginx's",
                b"upstream shop {\n}",
                &[],
                &[
                    "f:1: upstream: no `=`: this is HAProxy's or nginx's syntax; here it is `backend.NAME = HOST:PORT`, and `backend.NAME.pool = POOL`",
                    "f:2: }: no `=`: write `key = value`",
                ],
            ),
            ("no value", b"a =  ", &[], &["f:1: a: no value after `=`: give one or remove the line"]),
            ("no key", b"= 1", &[], &["f:1: (line): no key before `=`"]),
            ("upper case", b"Listen.web = 1", &[], &["f:1: Listen.web: keys are lower case: write `listen.web`"]),
            (
                "NUL",
                b"a=1\nb=\0\nc=3",
                &[(1, "a", "1"), (3, "c", "3")],
                &["f:2: b: a NUL byte: not a text file; save it as UTF-8"],
            ),
            ("latin 1", b"a=\xe9", &[], &["f:1: a: not UTF-8: save the file as UTF-8 or plain ASCII"]),
            (
                "old Macintosh",
                b"a=1\rb=2\r",
                &[],
                &["f:1: a: control character 0x0d: remove it (end lines with LF or CRLF)"],
            ),
            (
                "control character beyond ASCII",
                "a = \u{9b}31m".as_bytes(),
                &[],
                &["f:1: a: control character 0x9b: remove it (end lines with LF or CRLF)"],
            ),
            ("no-break space", "a\u{a0}= 1".as_bytes(), &[], &["f:1: a\\u{a0}: a key holds no `\\u{a0}`"]),
        ];
        for (name, bytes, entries, expected) in cases {
            let mut errors = Errors::new("f");
            let raw = RawConfig::read(bytes, &mut errors);
            let read: Vec<_> = raw.entries.iter().map(|entry| (entry.line, entry.key, entry.value)).collect();
            assert_eq!(read, entries, "{name}");
            let text = errors.to_string();
            assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{name}");
        }
    }
}
