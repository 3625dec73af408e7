//! A request as a backend got it.

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The connection's number, from 0 in the order of accepting, connections without a request included.
    pub connection: usize,
    /// The request's number on its connection, from 0.
    pub index: usize,
    /// The raw head with its final empty line.
    pub head: String,
    /// The body without its chunks.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.line().split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// The header lines as they stand, without the final empty line.
    pub fn lines(&self) -> Vec<&str> {
        self.head.split("\r\n").skip(1).filter(|line| !line.is_empty()).collect()
    }

    /// The values of all lines of that name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.lines().into_iter().filter_map(|line| line.split_once(':'));
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The value of the first line of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Whether no other follows on its connection.
    pub fn is_last(&self) -> bool {
        let close = self.all("connection").iter().any(|value| value.to_ascii_lowercase().contains("close"));
        close || self.line().ends_with("HTTP/1.0")
    }
}

/// Whether `name` may be the name of a header field.
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
