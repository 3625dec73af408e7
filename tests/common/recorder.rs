//! What came over one backend connection, taken apart by a reader that trusts nothing: plain framing or none.

/// How a recorded message said where its body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    None,
    Length,
    Chunked,
}

/// A request as it came, or the beginning of one.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The raw head with its final empty line.
    pub head: Vec<u8>,
    /// The body without its chunks.
    pub body: Vec<u8>,
    /// The trailer lines of a chunked body.
    pub trailers: Vec<u8>,
    pub framing: Framing,
    /// Whether its end came.
    pub complete: bool,
    /// What two readers could read differently.
    pub unclear: Option<String>,
}

impl Message {
    pub fn target(&self) -> &[u8] {
        self.head.split(|&byte| byte == b' ').nth(1).unwrap_or_default()
    }

    /// The header lines as they stand.
    pub fn lines(&self) -> Vec<&[u8]> {
        lines(&self.head).into_iter().skip(1).filter(|line| !line.is_empty()).collect()
    }

    /// The values of all lines of that name, in order.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let fields = self.lines().into_iter().filter_map(split_field);
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value).collect()
    }
}

/// The lines of a head, split at CRLF.
pub fn lines(head: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut rest) = (Vec::new(), head);
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        found.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

/// Name and value of a header line.
pub fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// The bytes of one connection that are no complete message yet.
#[derive(Default)]
pub struct Recorder {
    unread: Vec<u8>,
    /// A message was unclear: what follows has no known beginning.
    lost: bool,
}

impl Recorder {
    /// The messages that these bytes complete. One that is unclear is the last.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        if self.lost {
            return Vec::new();
        }
        self.unread.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            let mut reader = Reader { bytes: &self.unread, at: 0 };
            let (message, used) = (reader.message(), reader.at);
            if message.unclear.is_some() {
                self.lost = true;
                self.unread.clear();
                found.push(message);
                return found;
            }
            if !message.complete {
                return found;
            }
            self.unread.drain(..used);
            found.push(message);
        }
    }

    /// The beginning of a message whose end has not come.
    pub fn begun(&self) -> Option<Message> {
        (!self.unread.is_empty()).then(|| Reader { bytes: &self.unread, at: 0 }.message())
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn message(&mut self) -> Message {
        let mut message = Message::default();
        message.unclear = self.read(&mut message).err();
        message
    }

    /// Stops without an error where the bytes end.
    fn read(&mut self, message: &mut Message) -> Result<(), String> {
        let Some(length) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            message.head = self.bytes.to_vec();
            let bare = message.head.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r');
            return if bare { Err("a line that ends without CR".to_owned()) } else { Ok(()) };
        };
        message.head = self.bytes[..length + 4].to_vec();
        self.at = length + 4;
        let lengths: Vec<Vec<u8>> = message.all("content-length").into_iter().map(<[u8]>::to_vec).collect();
        let codings: Vec<Vec<u8>> = message.all("transfer-encoding").into_iter().map(<[u8]>::to_vec).collect();
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => message.complete = true,
            ([length], []) => {
                message.framing = Framing::Length;
                let digits = std::str::from_utf8(length).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                let length: u64 = digits.and_then(|text| text.parse().ok()).ok_or("a length that is no number")?;
                let there = self.bytes.len() - self.at;
                let taken = usize::try_from(length).unwrap_or(usize::MAX).min(there);
                message.body = self.bytes[self.at..self.at + taken].to_vec();
                self.at += taken;
                message.complete = taken as u64 == length;
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => {
                message.framing = Framing::Chunked;
                self.chunks(message)?;
            }
            _ => return Err("framing that is not clear".to_owned()),
        }
        Ok(())
    }

    fn chunks(&mut self, message: &mut Message) -> Result<(), String> {
        loop {
            let Some(line) = self.line() else { return Ok(()) };
            let digits = std::str::from_utf8(line).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
            let size = digits.and_then(|text| usize::from_str_radix(text, 16).ok());
            let size = size.ok_or_else(|| format!("the chunk size \"{}\"", line.escape_ascii()))?;
            if size == 0 {
                break;
            }
            let Some(data) = self.bytes.get(self.at..self.at + size) else { return Ok(()) };
            message.body.extend_from_slice(data);
            self.at += size;
            match self.line() {
                Some([]) => {}
                Some(_) => return Err("a chunk longer than it says".to_owned()),
                None => return Ok(()),
            }
        }
        loop {
            match self.line() {
                Some([]) => break,
                Some(line) => {
                    message.trailers.extend_from_slice(line);
                    message.trailers.extend_from_slice(b"\r\n");
                }
                None => return Ok(()),
            }
        }
        message.complete = true;
        Ok(())
    }

    fn line(&mut self) -> Option<&'b [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}
