//! A real Redis on a port of its own, that keeps nothing.

use super::client::Client;
use super::port::Port;
use super::process::temporary;
use super::{DEADLINE, eventually, tool};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// A running Redis; killed when dropped.
pub struct Redis {
    child: Child,
    folder: PathBuf,
    port: Port,
}

impl Redis {
    /// One that knows its name: the value of the key `name`.
    #[track_caller]
    pub fn start(name: &str) -> Self {
        let folder = temporary(&format!("redis-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let port = Port::take();
        let mut redis = Self { child: spawn(&folder, &port), folder, port };
        redis.introduce(name);
        redis
    }

    /// Starts it again after [`Self::kill`].
    #[track_caller]
    pub fn start_again(&mut self, name: &str) {
        self.child = spawn(&self.folder, &self.port);
        self.introduce(name);
    }

    /// Tells it its name, once it listens.
    #[track_caller]
    fn introduce(&mut self, name: &str) {
        let address = self.address();
        eventually("Redis listens", || {
            if self.child.try_wait().unwrap().is_some() {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("Redis ended (redis-server must be installed): {log}");
            }
            TcpStream::connect_timeout(&address, DEADLINE).ok()
        });
        assert_eq!(Session::open(address).ask(&format!("SET name {name}")), Ok("+OK".to_owned()));
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn spawn(folder: &Path, port: &Port) -> Child {
    tool("redis-server")
        .args(["--port", &port.address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--logfile", "log"])
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection that asks Redis, line by line.
pub struct Session(Client);

impl Session {
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self(Client::connect(address))
    }

    /// The answer to a command: its line, and behind `$` the text of that length instead. An error when the connection ends.
    pub fn ask(&mut self, command: &str) -> Result<String, String> {
        self.0.try_send(format!("{command}\r\n")).map_err(|e| e.to_string())?;
        let line = self.line()?;
        if line.starts_with('$') && line != "$-1" { self.line() } else { Ok(line) }
    }

    fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(at) = self.0.unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.0.unread.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).map_err(|e| e.to_string());
            }
            if self.0.fill()? == 0 {
                return Err("the end".to_owned());
            }
        }
    }
}
