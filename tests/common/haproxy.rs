//! A real HAProxy before the same backends.

use super::backend::Backend;
use super::client::Client;
use super::process::temporary;
use super::{eventually, tool};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A running HAProxy; killed when dropped.
pub struct Haproxy {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
}

impl Haproxy {
    /// One listener before the servers `s1`, `s2`, ..., each with more words on its line; `lines` are its backend's.
    #[track_caller]
    pub fn before(backends: &[&Backend], words: &[&str], lines: &str) -> Self {
        let folder = temporary("haproxy");
        std::fs::create_dir_all(&folder).unwrap();
        // It inherits the listening socket, so that no port has to be guessed.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let (address, fd) = (listener.local_addr().unwrap(), listener.as_raw_fd());
        let server = |(number, (backend, words)): (usize, (&&Backend, &&str))| {
            format!("    server s{} {} {words}\n", number + 1, backend.address())
        };
        let servers: String = backends.iter().zip(words).enumerate().map(server).collect();
        let file = folder.join("haproxy.cfg");
        let text = format!(
            "global\n    maxconn 1000\n    nbthread 1\ndefaults\n    mode http\n    timeout connect 20s\n    timeout client 20s\n    \
             timeout server 20s\nfrontend web\n    bind fd@{fd}\n    default_backend all\nbackend all\n{lines}{servers}"
        );
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = tool("haproxy");
        command.args(["-db", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut haproxy = Self { child: command.spawn().unwrap(), folder, address };
        drop(listener);
        eventually("HAProxy answers", || {
            if haproxy.child.try_wait().unwrap().is_some() {
                panic!("HAProxy ended: {}", std::fs::read_to_string(haproxy.folder.join("log")).unwrap_or_default());
            }
            let mut client = Client::try_connect(address).ok()?;
            client.try_send("OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n").ok()?;
            client.try_response(false).ok().map(drop)
        });
        haproxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
