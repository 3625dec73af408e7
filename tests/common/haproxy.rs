//! A real HAProxy with a configuration of the test's.

use super::backend::Backend;
use super::port::Port;
use super::process::temporary;
use super::{DEADLINE, eventually, tool};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A running HAProxy; killed when dropped.
pub struct Haproxy {
    child: Child,
    file: PathBuf,
    port: Port,
}

impl Haproxy {
    /// One that listens on a port of its own; `sections` writes what stands behind the defaults, given its address.
    #[track_caller]
    pub fn start(port: Port, sections: impl FnOnce(SocketAddr) -> String) -> Self {
        let file = temporary("haproxy.cfg");
        let defaults = "defaults\n  mode http\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n";
        std::fs::write(&file, format!("{defaults}{}", sections(port.address))).unwrap();
        let child = tool("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut haproxy = Self { child, file, port };
        eventually("HAProxy listens", || {
            assert!(haproxy.child.try_wait().unwrap().is_none(), "HAProxy ended; what it said stands above");
            TcpStream::connect_timeout(&haproxy.address(), DEADLINE).ok()
        });
        haproxy
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
