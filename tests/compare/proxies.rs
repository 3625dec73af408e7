//! The three proxies of the comparison, each in front of lanes of its own.

use crate::cases::Case;
use crate::common::lane::{Door, Lane, Seen};
use crate::common::process::{Beelance, temporary};
use crate::common::{eventually, output, tool};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Cases under way at once in one proxy.
const LANES: usize = 8;

/// What keeps the proxy running as long as it is there.
enum Running {
    #[expect(dead_code, reason = "its end is what it is kept for")]
    Beelance(Beelance),
    Other {
        child: Child,
        folder: PathBuf,
    },
}

/// A proxy, and a way through it for each lane.
pub struct Proxy {
    pub name: &'static str,
    running: Running,
    lanes: Vec<(Door, Lane)>,
}

impl Proxy {
    pub fn beelance() -> Self {
        let lanes: Vec<Lane> = (0..LANES).map(|_| Lane::new()).collect();
        let beelance = Beelance::start(&render(&template("beelance.conf"), Path::new(""), &lanes));
        let doors: Vec<Door> = (0..LANES).map(|lane| Door::Tcp(beelance.address(&format!("l{lane}")))).collect();
        Self { name: "beelance", running: Running::Beelance(beelance), lanes: doors.into_iter().zip(lanes).collect() }
    }

    pub fn haproxy() -> Self {
        Self::start("HAProxy", "haproxy", "haproxy.cfg", &["-db", "-f"])
    }

    pub fn nginx() -> Self {
        Self::start("nginx", "nginx", "nginx.conf", &["-e", "stderr", "-c"])
    }

    /// Its sockets are files, so that no port has to be guessed.
    fn start(name: &'static str, program: &str, config: &str, arguments: &[&str]) -> Self {
        let folder = temporary(program);
        std::fs::create_dir_all(&folder).unwrap();
        let lanes: Vec<Lane> = (0..LANES).map(|_| Lane::new()).collect();
        let file = folder.join(config);
        std::fs::write(&file, render(&template(config), &folder, &lanes)).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = tool(program)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let doors: Vec<Door> = (0..LANES).map(|lane| Door::Unix(socket(&folder, lane))).collect();
        let mut proxy =
            Self { name, running: Running::Other { child, folder }, lanes: doors.into_iter().zip(lanes).collect() };
        eventually(&format!("{name} listens"), || proxy.is_open().then_some(()));
        proxy
    }

    /// Whether every lane is open; fails when the proxy has ended.
    fn is_open(&mut self) -> bool {
        if let Running::Other { child, folder } = &mut self.running
            && child.try_wait().unwrap().is_some()
        {
            panic!("{} ended: {}", self.name, std::fs::read_to_string(folder.join("log")).unwrap_or_default());
        }
        self.lanes.iter().all(|(door, _)| door.open().is_ok())
    }

    /// Sends every case, as many at once as there are lanes; what came of each, and through which door.
    pub fn run(&mut self, cases: &[Case]) -> Vec<(Seen, Door)> {
        let (name, count) = (self.name, cases.len());
        let (next, seen) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for (door, lane) in &mut self.lanes {
                scope.spawn(|| {
                    while let Some((index, case)) = take(cases, &next) {
                        let piece = case.sent.len() + 1000;
                        let outcome = lane.run(door, &case.sent, piece, case.ending);
                        let mut seen = seen.lock().unwrap();
                        seen.push((index, (outcome, door.clone())));
                        if seen.len() % 25 == 0 {
                            eprint!("\r{name}: {} of {count} cases", seen.len());
                        }
                    }
                });
            }
        });
        eprintln!("\r{name}: {count} of {count} cases");
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|(index, _)| *index);
        seen.into_iter().map(|(_, seen)| seen).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Beelance(_) => {}
            Running::Other { child, folder } => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

/// `2.6.12`, as the program says.
pub fn version(program: &str, argument: &str) -> String {
    let said = output(tool(program).arg(argument), Duration::ZERO);
    let text = said.stdout + &said.stderr;
    let digits = |word: &str| word.trim_start_matches("nginx/").starts_with(|c: char| c.is_ascii_digit());
    let word = text.split_whitespace().find(|word| digits(word)).unwrap_or_default();
    word.trim_start_matches("nginx/").split(['-', '+']).next().unwrap_or_default().to_owned()
}

fn take<'c>(cases: &'c [Case], next: &AtomicUsize) -> Option<(usize, &'c Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, case))
}

fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/compare-http.d").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn socket(folder: &Path, lane: usize) -> PathBuf {
    folder.join(format!("{lane}.sock"))
}

/// The template with what stands between its marks once for each lane.
fn render(template: &str, folder: &Path, lanes: &[Lane]) -> String {
    let (before, rest) = template.split_once("# lane\n").unwrap();
    let (each, after) = rest.split_once("# end\n").unwrap();
    let mut text = before.to_owned();
    for (number, lane) in lanes.iter().enumerate() {
        let socket = socket(folder, number).display().to_string();
        let backend = lane.backend().to_string();
        text +=
            &each.replace("@LANE@", &number.to_string()).replace("@SOCKET@", &socket).replace("@BACKEND@", &backend);
    }
    (text + after).replace("@FOLDER@", &folder.display().to_string())
}
