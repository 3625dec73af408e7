//! A real Varnish behind PROXY protocol, on a UNIX socket or a port.

use super::{eventually, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// A running Varnish: a process that manages, and its worker; both killed when dropped.
pub struct Varnish {
    manager: Child,
    folder: PathBuf,
}

impl Varnish {
    /// One that listens on a path or an address, and has this VCL. Its files go into `folder`, which it makes.
    #[track_caller]
    pub fn start(folder: &Path, listen: &str, vcl: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join("test.vcl");
        std::fs::write(&file, vcl).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        // As whoever runs the test; nobody administers it; few threads.
        let manager = tool("varnishd")
            .args(["-F", "-j", "none", "-T", "none", "-s", "malloc,8m"])
            .args(["-p", "thread_pools=1", "-p", "thread_pool_min=8", "-p", "thread_pool_max=200"])
            .arg("-n")
            .arg(folder)
            .arg("-f")
            .arg(file)
            .arg("-a")
            .arg(format!("{listen},PROXY"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut varnish = Self { manager, folder: folder.to_owned() };
        eventually("Varnish listens, and its worker runs", || {
            if varnish.manager.try_wait().unwrap().is_some() {
                let log = std::fs::read_to_string(varnish.folder.join("log")).unwrap_or_default();
                panic!("varnishd ended: {log}");
            }
            varnish.worker()?;
            match listen.starts_with('/') {
                true => UnixStream::connect(listen).map(drop).ok(),
                false => TcpStream::connect(listen).map(drop).ok(),
            }
        });
        varnish
    }

    /// The process that serves.
    fn worker(&self) -> Option<Pid> {
        let id = self.manager.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let number = children.split_whitespace().next()?;
        let name = std::fs::read_to_string(format!("/proc/{number}/comm")).ok()?;
        // While it is started, a compiler is the child.
        (name.trim_end() == "cache-main").then(|| Pid::from_raw(number.parse().unwrap()))
    }

    /// Ends both at once, in the middle of whatever they do.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let worker = self.worker();
        // The manager first: it would start another worker.
        let _ = self.manager.kill();
        let _ = self.manager.wait();
        if let Some(worker) = worker {
            let _ = kill(worker, Signal::SIGKILL);
        }
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        self.end();
    }
}
