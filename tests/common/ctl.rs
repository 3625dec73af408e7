//! A client of the runtime socket: lines, answers, and the statistics by name.

use super::backend::Backend;
use super::haproxy::Haproxy;
use super::port::Port;
use super::process::{Output, command, temporary};
use super::{DEADLINE, eventually, output};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A path for a socket, which goes with its value.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        Self(temporary("ctl.sock"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Lines of a configuration with a listener `web` before two pools: `shop` with s1, s2 and s3, and `api` with a1.
pub fn config(backend: &Backend, socket: &Path, more: &str) -> String {
    let address = backend.address();
    let servers = ["s1", "s2", "s3"].map(|name| format!("backend.{name} = {address}\nbackend.{name}.pool = shop\n"));
    format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = shop\n{}backend.a1 = {address}\nbackend.a1.pool = api\n\
         backend.a1.weight = 5\nbackend.s1.maxconn = 20\npool.shop.balance = leastconn\nadmin.socket = {}\n{more}",
        servers.concat(),
        socket.display()
    )
}

/// What [`config`] says, of HAProxy.
#[track_caller]
pub fn haproxy(backend: &Backend, socket: &Path, level: &str) -> Haproxy {
    let address = backend.address();
    let haproxy = Haproxy::start(Port::take(), |bind| {
        format!(
            "global\n  nbthread 1\n  stats socket {} level {level}\nfrontend web\n  bind {bind}\n  default_backend shop\n\
             backend shop\n  balance leastconn\n  server s1 {address} maxconn 20\n  server s2 {address}\n  server s3 {address}\n\
             backend api\n  server a1 {address} weight 5\n",
            socket.display()
        )
    });
    // Its sockets come one after the other.
    eventually("HAProxy's socket is there", || UnixStream::connect(socket).ok());
    haproxy
}

/// A client that sends lines and reads what comes.
pub struct Caller(pub UnixStream);

impl Caller {
    #[track_caller]
    pub fn new(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(stream)
    }

    #[track_caller]
    pub fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// What comes until `end` does.
    #[track_caller]
    pub fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "closed behind {:?}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    /// What comes until the connection is closed.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

/// The answer to one line.
#[track_caller]
pub fn ask(path: &Path, line: &str) -> String {
    let mut caller = Caller::new(path);
    caller.send(line);
    caller.rest()
}

/// `beelance ctl` with these words.
#[track_caller]
pub fn ctl(path: &Path, words: &[&str]) -> Output {
    output(command().arg("ctl").arg("-s").arg(path).args(words), DEADLINE)
}

/// One line's values, by the names of the first line.
pub fn rows(stat: &str) -> Vec<Vec<(String, String)>> {
    let mut lines = stat.trim_end().lines();
    let names: Vec<&str> = lines.next().unwrap().trim_start_matches("# ").split(',').collect();
    let row = |line: &str| names.iter().zip(fields(line)).map(|(name, value)| ((*name).into(), value)).collect();
    lines.map(row).collect()
}

/// The fields of a line of CSV: those in quotes may have commas, and quotes twice.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => {
                if !quoted && line[..at].ends_with('"') {
                    fields.last_mut().unwrap().push('"');
                }
                quoted = !quoted;
            }
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

/// A value of the line of `proxy` and `server`.
#[track_caller]
pub fn value(path: &Path, proxy: &str, server: &str, name: &str) -> String {
    let of = |row: &Vec<(String, String)>, name: &str| row.iter().find(|(it, _)| it == name).unwrap().1.clone();
    let rows = rows(&ask(path, "show stat"));
    let row = rows.iter().find(|row| of(row, "pxname") == proxy && of(row, "svname") == server).unwrap();
    of(row, name)
}
