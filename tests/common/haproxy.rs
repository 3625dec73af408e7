//! A real HAProxy with a configuration of the test's.

use super::backend::Backend;
use super::port::Port;
use super::process::temporary;
use super::{DEADLINE, eventually, tool};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running HAProxy; killed when dropped.
pub struct Haproxy {
    child: Child,
    file: PathBuf,
    port: Port,
    /// Its standard output, where a section may send its log.
    lines: Receiver<String>,
}

impl Haproxy {
    /// One that listens on a port of its own; `sections` writes what stands behind the defaults, given its address.
    #[track_caller]
    pub fn start(port: Port, sections: impl FnOnce(SocketAddr) -> String) -> Self {
        let file = temporary("haproxy.cfg");
        let defaults = "defaults\n  mode http\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n";
        std::fs::write(&file, format!("{defaults}{}", sections(port.address))).unwrap();
        let mut child = tool("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut haproxy = Self { child, file, port, lines };
        eventually("HAProxy listens", || {
            assert!(haproxy.child.try_wait().unwrap().is_none(), "HAProxy ended; what it said stands above");
            TcpStream::connect_timeout(&haproxy.address(), DEADLINE).ok()
        });
        haproxy
    }

    /// The termination state of the next request of `pool` in its log (`log stdout format raw local0`, `option httplog`).
    #[track_caller]
    pub fn state(&self, pool: &str) -> String {
        self.line(pool).split(' ').nth(9).unwrap().to_owned()
    }

    /// The next line of `pool` in its log.
    #[track_caller]
    pub fn line(&self, pool: &str) -> String {
        let of_pool = format!(" {pool}/");
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line in HAProxy's log");
            if line.contains(&of_pool) {
                return line;
            }
        }
    }

    /// One listener before the servers `s1`, `s2`, ..., each with more words on its line; `lines` are its backend's.
    #[track_caller]
    pub fn before(backends: &[&Backend], words: &[&str], lines: &str) -> Self {
        Self::start(Port::take(), |address| {
            let server = |(number, (backend, words)): (usize, (&&Backend, &&str))| {
                format!("  server s{} {} {words}\n", number + 1, backend.address())
            };
            let servers: String = backends.iter().zip(words).enumerate().map(server).collect();
            format!("frontend web\n  bind {address}\n  default_backend all\nbackend all\n{lines}{servers}")
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}
