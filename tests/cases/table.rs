//! How a table of cases is written: a group says the RFC section, the kind and the reason, then a line a case.

use super::{Case, Expected, Kind, Passed, Setting};
use crate::common::lane::Ending;
use crate::common::recorder::{lines, split_field};

/// The fields that beelance adds for a client it does not trust.
pub const FORWARDED: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\n";

/// The cases of one file.
pub struct Table {
    noun: &'static str,
    rfc: &'static str,
    kind: Kind,
    why: &'static str,
    late: bool,
    setting: Setting,
    cases: Vec<Case>,
}

impl Table {
    pub fn new(noun: &'static str) -> Self {
        let (kind, setting) = (Kind::Valid, Setting::Plain);
        Self { noun, rfc: "", kind, why: "", late: false, setting, cases: Vec::new() }
    }

    /// What follows is about this section, for this reason.
    pub fn group(&mut self, rfc: &'static str, kind: Kind, why: &'static str) {
        (self.rfc, self.kind, self.why) = (rfc, kind, why);
    }

    /// What follows is about bodies: the head may be on its way when they turn out to be bad.
    pub fn late(&mut self) {
        self.late = true;
    }

    /// What follows is for this configuration.
    pub fn setting(&mut self, setting: Setting) {
        self.setting = setting;
    }

    pub fn refuse(&mut self, status: u16, name: impl Into<String>, sent: impl AsRef<[u8]>) -> &mut Case {
        self.add(name.into(), sent.as_ref(), Expected::Refuse(status), vec![status], false)
    }

    /// Answered by beelance itself; the next request is answered as well.
    pub fn own(&mut self, status: u16, name: impl Into<String>, sent: impl AsRef<[u8]>) -> &mut Case {
        self.add(name.into(), sent.as_ref(), Expected::Own(status), vec![status, 200], true)
    }

    /// Passed on as it is, with this body.
    pub fn forward(&mut self, name: impl Into<String>, sent: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> &mut Case {
        self.forward_without(name, sent, &[], body)
    }

    /// Passed on without the fields of these names, with this body.
    pub fn forward_without(
        &mut self,
        name: impl Into<String>,
        sent: impl AsRef<[u8]>,
        without: &[&str],
        body: impl AsRef<[u8]>,
    ) -> &mut Case {
        let passed = self.passed(sent.as_ref(), without, body.as_ref());
        self.pipeline(name, sent, vec![passed])
    }

    /// Passed on with this head, to which what beelance adds is added.
    pub fn forward_as(
        &mut self,
        name: impl Into<String>,
        sent: impl AsRef<[u8]>,
        head: impl AsRef<[u8]>,
        body: impl AsRef<[u8]>,
    ) -> &mut Case {
        let head = [head.as_ref(), self.ours().as_bytes(), b"\r\n"].concat();
        self.pipeline(name, sent, vec![Passed { head, body: body.as_ref().to_vec() }])
    }

    /// Passed on as these messages.
    pub fn pipeline(&mut self, name: impl Into<String>, sent: impl AsRef<[u8]>, passed: Vec<Passed>) -> &mut Case {
        let replies = vec![200; passed.len() + 1];
        self.add(name.into(), sent.as_ref(), Expected::Forward(passed), replies, true)
    }

    /// Passed on with a Content-Length written anew.
    pub fn normalise_length(&mut self, name: impl Into<String>, sent: impl AsRef<[u8]>, body: &str) -> &mut Case {
        let sent = sent.as_ref();
        let mut passed = self.passed(sent, &["Content-Length"], body.as_bytes());
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        passed.head.truncate(passed.head.len() - 2);
        passed.head.extend_from_slice(length.as_bytes());
        self.add(name.into(), sent, Expected::Normalise(vec![passed]), vec![200, 200], true)
    }

    /// Passed on as it is but for what was unclear in its chunks, with this body.
    pub fn normalise(&mut self, name: impl Into<String>, sent: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> &mut Case {
        let passed = self.passed(sent.as_ref(), &[], body.as_ref());
        self.add(name.into(), sent.as_ref(), Expected::Normalise(vec![passed]), vec![200, 200], true)
    }

    /// The client leaves in the middle: no backend may take what there is for a request.
    pub fn broken_off(&mut self, name: impl Into<String>, sent: impl AsRef<[u8]>) -> &mut Case {
        let case = self.add(name.into(), sent.as_ref(), Expected::Drop, Vec::new(), false);
        (case.ending, case.late) = (Ending::HalfClose, true);
        case
    }

    pub fn done(self) -> Vec<Case> {
        self.cases
    }

    /// The first message in `sent` as it is passed on.
    pub fn passed(&self, sent: &[u8], without: &[&str], body: &[u8]) -> Passed {
        let start = sent.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
        let end = sent.windows(4).skip(start).position(|four| four == b"\r\n\r\n").unwrap() + start;
        let (mut head, mut chunked) = (Vec::new(), false);
        for (number, line) in lines(&sent[start..end]).into_iter().enumerate() {
            let name = split_field(line).map_or(&b""[..], |(name, _)| name);
            let coding = number > 0 && name.eq_ignore_ascii_case(b"Transfer-Encoding");
            chunked |= coding;
            let dropped = number > 0 && without.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()));
            if !coding && !dropped {
                match line.strip_suffix(b"HTTP/1.0").filter(|_| number == 0) {
                    Some(line) => head.extend([line, b"HTTP/1.1"].concat()),
                    None => head.extend_from_slice(line),
                }
                head.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(self.ours().as_bytes());
        if chunked {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        head.extend_from_slice(b"\r\n");
        Passed { head, body: body.to_vec() }
    }

    fn ours(&self) -> &'static str {
        match self.setting {
            Setting::Plain | Setting::Trusted | Setting::Small => FORWARDED,
            Setting::NoForwardFor => "",
        }
    }

    fn add(&mut self, name: String, sent: &[u8], expected: Expected, replies: Vec<u16>, keeps: bool) -> &mut Case {
        let Self { noun, rfc, kind, why, late, setting, .. } = *self;
        let sent = sent.to_vec();
        self.cases.push(Case {
            noun,
            name,
            rfc,
            kind,
            why,
            sent,
            expected,
            keeps,
            late,
            replies,
            setting,
            ending: Ending::Next,
        });
        self.cases.last_mut().unwrap()
    }
}

/// A byte in the name of a case.
pub fn shown(byte: u8) -> String {
    if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("0x{byte:02x}") }
}

/// A GET of HTTP/1.1 for `/` with a Host and these header lines.
pub fn get(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n"].concat()
}

/// A POST of HTTP/1.1 for `/` with a Host, these header lines, and these bytes behind the head.
pub fn post(fields: impl AsRef<[u8]>, behind: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n", behind.as_ref()].concat()
}

/// A chunked POST whose body, chunks included, is these bytes.
pub fn chunked(behind: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", behind)
}

/// This request line before a Host.
pub fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: a\r\n\r\n"].concat()
}
