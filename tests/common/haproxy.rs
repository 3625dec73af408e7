//! A real HAProxy before the same backends as a beelance, to see that both do the same.

use super::backend::Backend;
use super::client::Client;
use super::process::temporary;
use super::{DEADLINE, eventually, tool};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running HAProxy; killed when dropped.
pub struct HaProxy {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
    lines: Receiver<String>,
}

impl HaProxy {
    /// Starts one before the servers `s1`, `s2`, ..., each with its name as cookie unless `options` of the backend say
    /// `dynamic`.
    #[track_caller]
    pub fn before(backends: &[&Backend], options: &str) -> Self {
        let folder = temporary("haproxy");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, config(backends, options)).unwrap();
        // It inherits the port as its standard input, so that nobody has to guess a free one.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut child = tool("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(OwnedFd::from(listener))
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
        let mut haproxy = Self { child, folder, address, lines };
        // The port is open before HAProxy serves it: whoever waits in its backlog is served when it does.
        eventually("HAProxy runs", || haproxy.child.try_wait().unwrap().is_none().then_some(()));
        haproxy
    }

    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The termination state of the next request in its log.
    #[track_caller]
    pub fn state(&self) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line in HAProxy's log");
            if line.contains(" web pool/") {
                return line.split(' ').nth(9).unwrap().to_owned();
            }
        }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn config(backends: &[&Backend], options: &str) -> String {
    let mut config = format!(
        "global\n    nbthread 1\n    maxconn 1000\n\
         defaults\n    mode http\n    log stdout format raw local0\n    option httplog\n    option http-keep-alive\n\
         \x20   timeout connect 5s\n    timeout client 20s\n    timeout server 20s\n\
         frontend web\n    bind fd@0\n    default_backend pool\n\
         backend pool\n    balance roundrobin\n{options}"
    );
    for (number, backend) in backends.iter().enumerate() {
        let name = format!("s{}", number + 1);
        let cookie = if options.contains("dynamic") { String::new() } else { format!(" cookie {name}") };
        config += &format!("    server {name} {}{cookie}\n", backend.address());
    }
    config
}
