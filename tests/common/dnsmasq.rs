//! A real nameserver, Debian's dnsmasq, that knows what a hosts file says; for what is not in it there is no such name.

use super::backend::Backend;
use super::port::Port;
use super::process::{Beelance, temporary};
use super::{DEADLINE, eventually, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// A running dnsmasq; killed when dropped.
pub struct Dnsmasq {
    child: Option<Child>,
    hosts: PathBuf,
    port: Port,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Dnsmasq {
    /// One that knows these lines: `192.0.2.1 name`.
    #[track_caller]
    pub fn knowing(lines: &str) -> Self {
        let hosts = temporary("dnsmasq-hosts");
        std::fs::write(&hosts, lines).unwrap();
        let mut dnsmasq = Self { child: None, hosts, port: Port::take_both(), log: Arc::default() };
        dnsmasq.restart();
        dnsmasq
    }

    /// Starts it again, on its port.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it was stopped");
        let mut child = tool("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=", "--group="])
            .args(["--no-resolv", "--no-hosts", "--local=/test/", "--bind-interfaces", "--listen-address=127.0.0.1"])
            .args(["--cname=alias.test,app.test", "--log-queries", "--log-facility=-", "--local-ttl=600"])
            .arg(format!("--port={}", self.address().port()))
            .arg(format!("--addn-hosts={}", self.hosts.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stderr, log) = (child.stderr.take().unwrap(), Arc::clone(&self.log));
        self.log.0.lock().unwrap().clear();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.0.lock().unwrap().push(line);
                log.1.notify_all();
            }
        });
        self.child = Some(child);
        self.wait("it has read its file", |lines| lines.iter().any(|line| line.contains("dnsmasq-hosts")));
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Knows these lines from now on.
    #[track_caller]
    pub fn know(&self, lines: &str) {
        let reads = |lines: &[String]| lines.iter().filter(|line| line.contains("dnsmasq-hosts")).count();
        let before = reads(&self.log.0.lock().unwrap());
        std::fs::write(&self.hosts, lines).unwrap();
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGHUP).unwrap();
        self.wait("it has read its file again", |lines| reads(lines) > before);
    }

    /// Waits until it was asked so many more times for the addresses of a family (`A`, `AAAA`) of `name`.
    #[track_caller]
    pub fn wait_asked(&self, family: &str, name: &str, count: usize) {
        let wanted = format!("query[{family}] {name} ");
        let asked = |lines: &[String]| lines.iter().filter(|line| line.contains(&wanted)).count();
        let before = asked(&self.log.0.lock().unwrap());
        self.wait(&format!("{count} questions for {name}"), |lines| asked(lines) >= before + count);
    }

    /// Ends; its port refuses.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    #[track_caller]
    fn wait(&self, what: &str, enough: impl Fn(&[String]) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut lines = self.log.0.lock().unwrap();
        while !enough(&lines) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {DEADLINE:?}: {what}; dnsmasq says {lines:#?}");
            lines = self.log.1.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(&self.hosts);
    }
}

/// One port of several addresses of this machine, 127.0.0.FIRST and those behind it: backends that a name leads to.
pub fn neighbours<const N: usize>(first: u8) -> [Port; N] {
    eventually("a port that is free at all of them", || {
        let holder = Port::at(SocketAddr::from(([127, 0, 0, first], 0)))?;
        let port = holder.address.port();
        let mut ports = vec![holder];
        for last in (first + 1..).take(N - 1) {
            ports.push(Port::at(SocketAddr::from(([127, 0, 0, last], port)))?);
        }
        ports.try_into().ok()
    })
}

/// `web` before the backend `app`, or its slots, at `app.test` with this port; names are looked up ten times a second.
pub fn config(nameservers: &[SocketAddr], port: u16, more: &str) -> String {
    let nameservers: Vec<String> = nameservers.iter().map(ToString::to_string).collect();
    format!(
        "listen.web = 127.0.0.1:0\nlog.access = stderr\nbackend.app = app.test:{port}\nresolver.hold = 100ms\n\
         resolver.nameservers = {}\n{more}",
        nameservers.join(", ")
    )
}

/// Lines of the log that hold all of these.
pub fn count(beelance: &Beelance, words: &[&str]) -> usize {
    beelance.log().iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[track_caller]
pub fn wait(beelance: &Beelance, words: &[&str]) {
    beelance.wait_log(&words.join(" ... "), |lines| {
        lines.iter().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
}

/// Named backends at 127.0.0.2 and those behind it, all with one port.
pub fn backends<const N: usize>(names: [&'static str; N]) -> ([Backend; N], u16) {
    let ports: [Port; N] = neighbours(2);
    let port = ports[0].address.port();
    let mut names = names.into_iter();
    (ports.map(|port| Backend::named_on(names.next().unwrap(), port)), port)
}
