//! What a board may lack when beelance starts: entropy, a network; and what it must not be asked for: writes to its flash.
//!
//! By the system calls of the real process. Under an emulator they would be the emulator's. A kernel without entropy, a clock in
//! 1970 and one that jumps by decades are in the emulated board's tests: here there is one kernel for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::Client;
use common::process::{Beelance, command, is_native, listener_and, temporary};
use common::tool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The system calls of a process and its threads, with what its descriptors are.
struct Trace(PathBuf);

impl Trace {
    fn new() -> Self {
        Self(temporary("trace"))
    }

    /// The binary, watched while it makes these calls.
    fn command(&self, calls: &str) -> Command {
        let mut strace = tool("strace");
        strace.args(["-f", "-y", "-s", "0", "-e", &format!("trace={calls}"), "-o"]).arg(&self.0);
        let plain = command();
        strace.arg(plain.get_program()).args(plain.get_args());
        strace
    }

    /// Each call without who made it, once the process has ended.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim_start().to_owned()).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Ends the process that strace watches, and strace with it.
fn end(mut beelance: Beelance) {
    let tasks = format!("/proc/{0}/task/{0}/children", beelance.pid());
    let child: i32 = fs::read_to_string(tasks).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(child), Signal::SIGTERM).unwrap();
    assert_eq!(beelance.exit_code(), Some(0));
}

fn can_show() -> bool {
    if !is_native() {
        eprintln!("SKIPPED in an emulator: the calls of the process itself");
    }
    is_native()
}

/// Names, probes, affinity, a session map, ids and rates: all that draws lots or keeps something.
fn everything(backend: &Backend) -> String {
    let port = backend.address().port();
    listener_and(&[backend])
        + &format!(
            "backend.n = localhost:{port}\npool.*.check.uri = /healthz\npool.*.check.inter = 20ms\npool.*.check.timeout = 5s\n\
             pool.*.cookie = SRV\n\
             pool.*.stick = src\npool.*.balance = random\nlisten.web.request-id = X-Request-ID\nlimits.rate = 50000/s\n"
        )
}

#[test]
fn nothing_waits_for_entropy() {
    if !can_show() {
        return;
    }
    let (backend, trace) = (Backend::named("s1"), Trace::new());
    let beelance = Beelance::start_by(trace.command("getrandom,openat,open"), &everything(&backend));
    for _ in 0..20 {
        assert_eq!(beelance.connect().get("/").status, 200);
    }
    end(beelance);
    let calls = trace.calls();
    let drawn: Vec<_> = calls.iter().filter(|call| call.starts_with("getrandom(")).collect();
    assert!(!drawn.is_empty(), "lots are drawn somehow: {calls:?}");
    for call in drawn {
        assert!(call.contains("GRND_INSECURE") || call.contains("GRND_NONBLOCK"), "it may wait: {call}");
    }
    for call in calls.iter().filter(|call| call.starts_with("open")) {
        assert!(!call.contains("/dev/random") && !call.contains("/dev/urandom"), "{call}");
    }
}

#[test]
fn nothing_is_written_to_a_file() {
    if !can_show() {
        return;
    }
    let (backend, trace) = (Backend::named("s1"), Trace::new());
    // Calls that open, write, move, make, remove or change files.
    let calls = "open,openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,sendfile,copy_file_range,splice,\
        truncate,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
        mkdir,mkdirat,mknod,mknodat,chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat";
    let beelance = Beelance::start_by(trace.command(calls), &everything(&backend));
    let mut kept = beelance.connect();
    for _ in 0..200 {
        assert_eq!(kept.get("/").status, 200);
        assert_eq!(beelance.connect().post("/", &common::pattern(100_000)).status, 200);
    }
    common::eventually("probes come and go meanwhile", || (backend.probes() >= 20).then_some(()));
    end(beelance);
    let calls = trace.calls();
    assert!(calls.iter().any(|call| call.starts_with("openat") && call.contains("/etc/hosts")), "names are looked up");
    let mut written = 0;
    for call in calls.iter().filter(|call| !call.starts_with("---") && !call.starts_with("+++")) {
        let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
        match name {
            "open" | "openat" | "openat2" => {
                // Its standard error, once more.
                let own = call.contains("/proc/self/fd/2") || call.contains("\"/proc/self/fd/\"");
                let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
                assert!(!writes || own || arguments.contains("\"/proc/self/fd"), "{call}");
            }
            "write" | "writev" | "splice" => {
                // `4<socket:[123]>`, `5<pipe:[4]>`, `6<anon_inode:[eventfd]>`: a file would have its path here.
                let is_file = |argument: &str| argument.split_once('<').is_some_and(|(_, what)| what.starts_with('/'));
                assert!(!arguments.split(", ").any(is_file), "{call}");
                written += 1;
            }
            _ => assert!(name.starts_with('<'), "a file is changed: {call}"),
        }
    }
    assert!(written > 400, "what it writes is seen at all: {written}");
}

/// The binary in a network of its own, which is down.
fn without_a_network() -> Command {
    let mut unshare = tool("unshare");
    unshare.arg("--net");
    let plain = command();
    unshare.arg(plain.get_program()).args(plain.get_args());
    unshare
}

fn unix(path: &Path) -> Client {
    Client::connect_unix(path)
}

#[test]
fn it_starts_without_a_network_and_is_there_when_that_comes() {
    if !can_show() || !geteuid().is_root() {
        eprintln!("SKIPPED, needs root: a network of its own");
        return;
    }
    let path = temporary("web.sock");
    let config = format!(
        "listen.web = 0.0.0.0:0\nlisten.local = unix:{}\nbackend.far = 192.0.2.1:80\nbackend.named = app.example.com:80\n\
         backend.near = 127.0.0.1:9\npool.*.check = tcp\npool.*.check.inter = 20ms\npool.*.check.timeout = 5s\nresolver.nameservers = 192.0.2.53\n\
         log.level = debug\n",
        path.display()
    );
    let mut beelance = Beelance::start_by(without_a_network(), &config);
    for server in ["far", "near"] {
        beelance.wait_log("nothing is within reach", |lines| {
            let down = |line: &String| line.contains(&format!("default/{server} is DOWN"));
            lines.iter().any(down).then_some(())
        });
    }
    assert_eq!(unix(&path).get("/").status, 503);
    beelance.wait_log("the name is not known", |lines| {
        lines.iter().any(|line| line.contains("app.example.com does not resolve")).then_some(())
    });
    // The network comes, and in it a server.
    let inside = |words: &[&str]| {
        let mut nsenter = tool("nsenter");
        nsenter.args(["--net", "--target", &beelance.pid().to_string()]).args(words);
        nsenter
    };
    let up = common::output(&mut inside(&["ip", "link", "set", "lo", "up"]), std::time::Duration::ZERO);
    assert_eq!(up.code, Some(0), "{up:?}");
    let script = "import socket\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
        s.bind(('127.0.0.1', 9))\ns.listen()\n\
        while True:\n c, _ = s.accept()\n if c.recv(4096): c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nnear')\n c.close()\n";
    let mut server = inside(&["python3", "-c", script]).spawn().unwrap();
    beelance.wait_change("near", "up", 1);
    let response = unix(&path).get("/");
    assert_eq!((response.status, response.text()), (200, "near"));
    server.kill().unwrap();
    server.wait().unwrap();
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
}
