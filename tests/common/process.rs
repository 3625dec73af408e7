//! The real process: `beelance run` with a configuration of its own, its addresses, its log, its end.

use super::backend::Backend;
use super::client::Client;
use super::{DEADLINE, access::Line, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The binary under test with the words that run it: `BEELANCE_RUNNER` (`qemu-arm-static`) and `BEELANCE_BIN`.
pub fn command() -> Command {
    let binary = std::env::var("BEELANCE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_beelance").to_owned());
    let runner = std::env::var("BEELANCE_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace().map(str::to_owned).chain([binary]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// The same, with so many file descriptors at most.
pub fn command_with_descriptors(count: usize) -> Command {
    let plain = command();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args());
    command
}

/// The same, with so many bytes of memory that it can write to (RLIMIT_DATA).
pub fn command_within(bytes: u64) -> Command {
    let plain = command();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -d {} && exec \"$0\" \"$@\"", bytes / 1024)]);
    command.arg(plain.get_program()).args(plain.get_args());
    command
}

/// Whether the binary runs as it is, not in an emulator.
pub fn is_native() -> bool {
    std::env::var("BEELANCE_RUNNER").unwrap_or_default().is_empty()
}

/// Copies a program that is to be executed. Another process does it: what this one has open to write to at the moment, a child
/// that another test just forked has too, and then the copy cannot be executed.
#[track_caller]
pub fn copy_program(from: &Path, to: &Path) {
    let output = Output::of(Command::new("cp").arg(from).arg(to), DEADLINE);
    assert_eq!(output.code, Some(0), "{output:?}");
}

/// A path nobody else uses, in the system's temporary folder; nothing is there, also where an earlier process with this id was
/// killed.
pub fn temporary(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("beelance-test-{}-{number}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// An address of loopback that is this process's: another one, of another checkout, may want the same low port just now.
pub fn own_address() -> std::net::Ipv4Addr {
    let id = std::process::id();
    // Ids go up to 2^22.
    let [_, high, middle, low] = id.to_be_bytes();
    std::net::Ipv4Addr::new(127, 64 | high, middle, low)
}

/// A configuration file that goes with its value.
pub struct ConfigFile(PathBuf);

impl ConfigFile {
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        let path = temporary("beelance.conf");
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Output {
    #[track_caller]
    pub fn of(command: &mut Command, deadline: Duration) -> Self {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{shown}: {e}"));
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        let Some(code) = wait(&mut child, deadline) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{shown} did not end\n{}{}", stdout.join().unwrap(), stderr.join().unwrap());
        };
        Self { stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), code }
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The child's end within the deadline: its exit code (`None` inside: a signal).
fn wait(child: &mut Child, deadline: Duration) -> Option<Option<i32>> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The line at the end of a drain.
#[derive(Debug)]
pub struct Ended {
    pub requests: u64,
    pub in_use: String,
}

/// [`Ended::in_use`] when everything was given back.
pub const NOTHING: &str = "0 connections, 0 slots, 0 queued, 0 small and 0 large buffers, 0 pipes";

impl Ended {
    fn find(line: &str) -> Option<Self> {
        let (requests, in_use) = line.split_once("ended: ")?.1.split_once(" requests; in use: ")?;
        Some(Self { requests: requests.parse().ok()?, in_use: in_use.to_owned() })
    }
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

/// A running beelance; killed when dropped, its log shown when the test failed.
pub struct Beelance {
    child: Child,
    config: ConfigFile,
    /// Names, and where each listens.
    listeners: Vec<(String, String)>,
    log: Arc<Log>,
}

impl Beelance {
    /// Runs with the given file, once all its listeners are listening.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Self::start_by(command(), config)
    }

    /// The same, with what runs the binary.
    #[track_caller]
    pub fn start_by(command: Command, config: &str) -> Self {
        let mut beelance = Self::start_unread(command, config);
        beelance.read_log();
        beelance
    }

    /// The same, but nobody reads its standard error before [`Self::read_log`].
    #[track_caller]
    pub fn start_unread(mut command: Command, config: &str) -> Self {
        let count = config.lines().filter(|line| is_listener(line)).count();
        let config = ConfigFile::new(config);
        let mut child = command
            .args(["run", "-c"])
            .arg(config.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("beelance does not start: {e}"));
        let (stdout, (found, listening)) = (child.stdout.take().unwrap(), mpsc::channel());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = found.send(line);
            }
        });
        let mut beelance = Self { child, config, listeners: Vec::new(), log: Arc::new(Log::default()) };
        let end = Instant::now() + DEADLINE;
        while beelance.listeners.len() < count {
            let line = listening.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|e| panic!("`listening on` {count} times, then requests; instead: {e}"));
            beelance.listeners.push(announced(&line));
        }
        beelance
    }

    /// Closes the end that would read standard error.
    pub fn close_log(&mut self) {
        drop(self.child.stderr.take());
    }

    /// Reads standard error from now on.
    pub fn read_log(&mut self) {
        let (stderr, kept) = (self.child.stderr.take().unwrap(), Arc::clone(&self.log));
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                kept.lines.lock().unwrap().push(text);
                kept.changed.notify_all();
            }
        });
    }

    /// Listener `web` before the backends `s1`, `s2`, ... of pool `default`, and more lines. The access log is on.
    #[track_caller]
    pub fn before(backends: &[&Backend], more: &str) -> Self {
        Self::start(&(listener_and(backends) + more))
    }

    /// Where the listener called `name` listens.
    #[track_caller]
    pub fn address(&self, name: &str) -> SocketAddr {
        self.place(name).parse().expect("an address and a port")
    }

    /// The same for any kind of socket, as it was printed.
    #[track_caller]
    pub fn place(&self, name: &str) -> &str {
        &self.listeners.iter().find(|(known, _)| known == name).expect("a listener of that name").1
    }

    /// Where the listener `web` listens.
    pub fn web(&self) -> SocketAddr {
        self.address("web")
    }

    /// A new client connection to `web`.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.web())
    }

    pub fn config(&self) -> &Path {
        self.config.path()
    }

    /// Writes the file anew and sends SIGHUP: what it says that changed, or the lines that say why nothing did.
    #[track_caller]
    pub fn reload(&self, config: &str) -> Result<String, Vec<String>> {
        let already = self.log().len();
        std::fs::write(self.config(), config).unwrap();
        self.signal(Signal::SIGHUP);
        self.wait_log("the end of a reload", |lines| {
            let lines = &lines[already..];
            if let Some(what) = lines.iter().find_map(|line| Some(line.split_once("] reloaded ")?.1.to_owned())) {
                return Some(Ok(what.split_once(": ").map_or(what.clone(), |(_, what)| what.to_owned())));
            }
            lines.iter().any(|line| line.ends_with("the old configuration stays")).then(|| {
                let refusals = lines.iter().filter_map(|line| Some(line.split_once("] reload: ")?.1.to_owned()));
                Err(refusals.collect())
            })
        })
    }

    /// Where a listener listens that a reload opened, as the log says.
    #[track_caller]
    pub fn opened(&self, name: &str) -> SocketAddr {
        let end = format!(" ({name})");
        self.wait_log(&format!("listening on ...{end}"), |lines| {
            let found = |line: &String| line.strip_suffix(&end)?.split_once("] listening on ")?.1.parse().ok();
            lines.iter().rev().find_map(found)
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// What happens meanwhile the process finds all at once: it stands still until `meanwhile` is over.
    #[track_caller]
    pub fn frozen<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.signal(Signal::SIGSTOP);
        eventually("the process stands still", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('T').then_some(())
        });
        let answer = meanwhile();
        self.signal(Signal::SIGCONT);
        answer
    }

    /// The exit code, once the process has ended by itself.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        wait(&mut self.child, DEADLINE).expect("the process ends")
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What its last line said was still held; waits for that line.
    #[track_caller]
    pub fn ended(&self) -> Ended {
        self.wait_log("`ended: N requests; in use: ...`", |lines| lines.iter().find_map(|line| Ended::find(line)))
    }

    /// Everything on standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Waits until the log satisfies `enough`, and returns what it answers.
    #[track_caller]
    pub fn wait_log<T>(&self, what: &str, mut enough: impl FnMut(&[String]) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(answer) = enough(&lines) {
                return answer;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines); // Drop shows the log and needs the lock
                panic!("not in the log within {DEADLINE:?}: {what}");
            }
            lines = self.log.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// The access-log lines so far, once there are at least `count`.
    #[track_caller]
    pub fn access(&self, count: usize) -> Vec<Line> {
        self.wait_log(&format!("{count} access lines"), |lines| {
            let found: Vec<Line> = lines.iter().filter_map(|line| Line::find(line)).collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// The first access-log line whose request line has this target.
    #[track_caller]
    pub fn access_to(&self, target: &str) -> Line {
        let wanted = format!(" {target} ");
        self.wait_log(&format!("an access line for {target}"), |lines| {
            lines.iter().filter_map(|line| Line::find(line)).find(|line| line.request.contains(&wanted))
        })
    }

    /// The lines that are no access lines and say that `backend` went `state` ("up", "down").
    pub fn changes(&self, backend: &str, state: &str) -> usize {
        self.log().iter().filter(|line| is_change(line, backend, state)).count()
    }

    /// Waits until the log says so for the `count`th time.
    #[track_caller]
    pub fn wait_change(&self, backend: &str, state: &str, count: usize) {
        self.wait_log(&format!("{backend} is {state}"), |lines| {
            (lines.iter().filter(|line| is_change(line, backend, state)).count() >= count).then_some(())
        });
    }
}

impl Drop for Beelance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            if let Some(mut unread) = self.child.stderr.take() {
                let mut text = String::new();
                let _ = unread.read_to_string(&mut text);
                self.log.lines.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
            let lines = self.log.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let last = &lines[lines.len().saturating_sub(30)..];
            let cut: Vec<String> = last.iter().map(|line| line.chars().take(300).collect()).collect();
            eprintln!("--- beelance's standard error, the last lines:\n{}\n---", cut.join("\n"));
        }
    }
}

/// The head of every configuration here: `web` before `s1`, `s2`, ...
pub fn listener_and(backends: &[&Backend]) -> String {
    let mut config = String::from("listen.web = 127.0.0.1:0\nlog.access = stderr\n");
    for (number, backend) in backends.iter().enumerate() {
        config += &format!("backend.s{} = {}\n", number + 1, backend.address());
    }
    config
}

/// `listen.NAME = ...`, not an attribute of a listener; or the admin listener's.
fn is_listener(line: &str) -> bool {
    let declares = |key: &str| key.strip_prefix("listen.").is_some_and(|name| !name.contains('.'));
    line.split_once('=').is_some_and(|(key, _)| declares(key.trim()) || key.trim() == "admin.listen")
}

/// `listening on ADDR:PORT (NAME)`, or of a UNIX socket.
#[track_caller]
fn announced(line: &str) -> (String, String) {
    let read = || {
        let (address, name) = line.strip_prefix("listening on ")?.strip_suffix(')')?.split_once(" (")?;
        Some((name.to_owned(), address.to_owned()))
    };
    read().unwrap_or_else(|| panic!("standard output says {line:?}"))
}

/// A line about a backend's state: its name as a word, the state as a word in any case.
fn is_change(line: &str, backend: &str, state: &str) -> bool {
    let mut words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    Line::find(line).is_none()
        && words.clone().any(|word| word == backend)
        && words.any(|word| word.eq_ignore_ascii_case(state))
}
