//! What is wrong with a file: all of it at once, sorted by line.
//!
//! Owns how an error is printed and which known key is the nearest to an unknown one. Refuses to know any key itself.

use crate::sort;
use std::fmt;

/// Errors kept; of what is beyond only the count is. A file so wrong is not a configuration.
const MAX_ERRORS: usize = 1_000;

/// Every error of one file. [`fmt::Display`] prints a line for each: `FILE:LINE: key: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    file: String,
    errors: Vec<Error>,
    beyond: usize,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Error {
    /// Counted from 1; 0 when it is about the file itself.
    line: u32,
    key: String,
    reason: String,
}

impl Errors {
    /// None yet in the file called `file`.
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new(), beyond: 0 }
    }

    /// One more. Lines need not come in order.
    #[inline(never)]
    pub(super) fn push(&mut self, line: u32, key: &str, reason: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(Error { line, key: key.to_owned(), reason });
        } else {
            self.beyond += 1;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.errors.len() + self.beyond
    }

    /// `value` when there are none.
    pub(super) fn unless_any<T>(mut self, value: T) -> Result<T, Self> {
        sort::few(&mut self.errors, |a, b| a.line.cmp(&b.line));
        if self.errors.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "\n" })?;
            f.write_str(&message(&self.file, error.line, &error.key, &error.reason))?;
        }
        if self.beyond > 0 {
            write!(f, "\n{}: and {} more", self.file, self.beyond)?;
        }
        Ok(())
    }
}

/// `FILE:LINE: key: reason`; without a line when it is 0, without a key when that is empty.
pub(super) fn message(file: &str, line: u32, key: &str, reason: &str) -> String {
    let line = if line == 0 { String::new() } else { format!(":{line}") };
    let key = if key.is_empty() { String::new() } else { format!(" {key}:") };
    format!("{file}{line}:{key} {reason}")
}

/// The candidate nearest to `word`, when it is near enough to be what was meant.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    const LONGEST: usize = 128;
    if word.len() > LONGEST {
        return None;
    }
    let enough = (word.len() / 3).clamp(1, 5);
    let mut best = (enough + 1, None);
    for candidate in candidates {
        let distance = distance(word.as_bytes(), candidate.as_bytes());
        if distance < best.0 {
            best = (distance, Some(candidate));
        }
    }
    best.1
}

/// The edits (a byte in, out, changed, or two swapped) from `a` to `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &to) in b.iter().enumerate() {
            let change = last[j] + usize::from(from != to);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }

    #[test]
    fn what_is_too_far_is_not_suggested() {
        let known = || ["timeout.client", "timeout.connect"].into_iter().map(str::to_owned);
        assert_eq!(nearest("timeout.clinet", known()).as_deref(), Some("timeout.client"));
        assert_eq!(nearest("admin.listen", known()), None);
        assert_eq!(nearest(&"x".repeat(200), known()), None);
    }

    #[test]
    fn errors_are_sorted_and_bounded() {
        let mut errors = Errors::new("f");
        for line in (1..=1_500).rev() {
            errors.push(line, "k", "r".to_owned());
        }
        let errors = errors.unless_any(()).unwrap_err();
        assert_eq!(errors.count(), 1_500);
        let text = errors.to_string();
        assert!(text.starts_with("f:501: k: r\nf:502: k: r\n"), "{text}");
        assert!(text.ends_with("\nf: and 500 more"), "{text}");
        assert_eq!(message("f", 0, "", "r"), "f: r");
    }
}
