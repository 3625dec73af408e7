//! A real syslog daemon, Debian's rsyslog, that listens on a UNIX socket and a UDP port, and writes what it understood of
//! each line into a file.

use super::port::Port;
use super::process::temporary;
use super::{eventually, tool};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A line as rsyslog understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `local0.info`
    pub kind: String,
    /// RFC 3339
    pub time: String,
    pub host: String,
    pub program: String,
    pub pid: String,
    /// 0: RFC 3164, 1: RFC 5424.
    pub version: String,
    pub text: String,
}

/// A running rsyslog; killed when dropped.
pub struct Rsyslog {
    child: Option<Child>,
    folder: PathBuf,
    port: Port,
}

impl Rsyslog {
    #[track_caller]
    pub fn start() -> Self {
        let mut rsyslog = Self::absent();
        rsyslog.restart();
        rsyslog
    }

    /// One that is not there yet.
    pub fn absent() -> Self {
        let folder = temporary("rsyslog");
        std::fs::create_dir(&folder).unwrap();
        Self { child: None, folder, port: Port::take_both() }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// One more, where lines of RFC 5424 are read as such: rsyslog takes those of /dev/log for RFC 3164 unless told otherwise.
    pub fn any_form(&self) -> PathBuf {
        self.folder.join("any")
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Starts it again, with all that it wrote.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it was stopped");
        let (folder, socket, file) = (self.folder.display(), self.socket(), self.folder.join("lines"));
        let config = format!(
            "global(workDirectory=\"{folder}\" maxMessageSize=\"8k\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\nmodule(load=\"imudp\")\n\
             input(type=\"imuxsock\" Socket=\"{}\")\n\
             input(type=\"imuxsock\" Socket=\"{}\" useSpecialParser=\"off\" parseHostname=\"on\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{}\")\n\
             template(name=\"all\" type=\"string\" string=\"%syslogfacility-text%.%syslogseverity-text%|%timestamp:::date-rfc3339%|\
             %hostname%|%app-name%|%procid%|%protocol-version%|%msg:::sp-if-no-1st-sp%%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"all\" asyncWriting=\"off\" flushOnTXEnd=\"on\")\n",
            socket.display(),
            self.any_form().display(),
            self.address().port(),
            file.display(),
        );
        let path = self.folder.join("conf");
        std::fs::write(&path, config).unwrap();
        let child = tool("rsyslogd")
            .env("TZ", "UTC")
            .args(["-n", "-i"])
            .arg(self.folder.join("pid"))
            .arg("-f")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("rsyslog listens", || {
            (self.socket().exists() && self.any_form().exists() && self.port.takes_datagrams()).then_some(())
        });
    }

    /// Ends it; its socket's file goes with it.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.any_form());
        let _ = std::fs::remove_file(self.folder.join("pid"));
    }

    /// All that came so far.
    pub fn entries(&self) -> Vec<Entry> {
        let text = std::fs::read_to_string(self.folder.join("lines")).unwrap_or_default();
        let entry = |line: &str| {
            let mut parts = line.splitn(7, '|').map(str::to_owned);
            let mut next = || parts.next().expect("seven parts");
            let (kind, time, host, program) = (next(), next(), next(), next());
            let (pid, version, text) = (next(), next(), next());
            Entry { kind, time, host, program, pid, version, text: text.trim_start().to_owned() }
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(entry).collect()
    }

    /// Waits for a line that contains `part`.
    #[track_caller]
    pub fn wait(&self, part: &str) -> Entry {
        let found = || self.entries().into_iter().find(|entry| entry.text.contains(part));
        eventually(&format!("a line in rsyslog's file with {part:?}"), found)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
