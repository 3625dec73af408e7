//! What is tried again (`pool.N.retry-on`, HAProxy's `retry-on`).

/// Statuses that can be tried again: HAProxy's list.
const STATUSES: [u16; 12] = [401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504];

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There was no connection, so nothing was sent.
    Connection,
    /// The connection ended before a byte of a response.
    Empty,
    /// The response did not come in time.
    Timeout,
    /// The response has this status.
    Status(u16),
}

/// Which failures are tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u16);

impl RetryOn {
    /// `conn-failure` alone.
    pub const CONNECTION: Self = Self(1);

    /// The words of the words' places, before the statuses.
    const WORDS: [(&str, Failed); 3] = [
        ("conn-failure", Failed::Connection),
        ("empty-response", Failed::Empty),
        ("response-timeout", Failed::Timeout),
    ];

    /// Whether `failed` is tried again.
    #[must_use]
    pub fn takes(self, failed: Failed) -> bool {
        Self::place(failed).is_some_and(|place| self.0 >> place & 1 == 1)
    }

    /// Adds what `word` names; whether it names something.
    pub fn add(&mut self, word: &str) -> bool {
        let named = Self::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, failed)| failed);
        let plain = word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        let status = || word.parse().ok().filter(|_| plain).map(Failed::Status);
        let place = named.or_else(status).and_then(Self::place);
        self.0 |= place.map_or(0, |place| 1 << place);
        place.is_some()
    }

    /// The words that name all of it.
    pub fn words(self) -> impl Iterator<Item = String> {
        let words = Self::WORDS.map(|(word, failed)| (word.to_owned(), failed));
        let statuses = STATUSES.map(|status| (status.to_string(), Failed::Status(status)));
        words.into_iter().chain(statuses).filter(move |(_, failed)| self.takes(*failed)).map(|(word, _)| word)
    }

    fn place(failed: Failed) -> Option<usize> {
        match failed {
            Failed::Connection => Some(0),
            Failed::Empty => Some(1),
            Failed::Timeout => Some(2),
            Failed::Status(status) => STATUSES.iter().position(|&known| known == status).map(|place| 3 + place),
        }
    }
}

const _: () = assert!(RetryOn::WORDS.len() + STATUSES.len() <= u16::BITS as usize, "one bit for each");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_printed() {
        let mut all = RetryOn::default();
        for word in ["504", "conn-failure", "401", "response-timeout", "empty-response"] {
            assert!(all.add(word), "{word}");
        }
        let words: Vec<String> = all.words().collect();
        assert_eq!(words, ["conn-failure", "empty-response", "response-timeout", "401", "504"]);
        assert_eq!(RetryOn::CONNECTION.words().collect::<Vec<_>>(), ["conn-failure"]);
        assert!(all.takes(Failed::Status(504)) && !all.takes(Failed::Status(503)) && !all.takes(Failed::Status(200)));
        for word in ["", "200", "402", "0504", "+504", "junk-response", "none"] {
            assert!(!all.add(word), "{word}");
        }
        assert_eq!(STATUSES.iter().filter(|&&status| all.add(&status.to_string())).count(), STATUSES.len());
        assert_eq!(all.words().count(), 15);
        let names: Vec<String> = all.words().collect();
        for name in &names {
            let mut one = RetryOn::default();
            one.add(name);
            assert_eq!(one.words().collect::<Vec<_>>(), [name.as_str()], "and nothing else");
        }
    }
}
