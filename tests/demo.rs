//! `beelance demo`: the shop, its customers' affinity, a server that dies, the table, an end without a trace.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::{Client, User};
use common::port::Port;
use common::process::command;
use common::{eventually, output, scale};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SERVERS: [&str; 4] = ["shop1", "shop2", "shop3", "shop4"];

/// A running demo; killed when dropped, what it said shown when the test failed.
struct Demo {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    std::thread::spawn(move || {
        BufReader::new(pipe).lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
    });
    lines
}

impl Demo {
    /// Once it shows its first table.
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let mut child = command()
            .arg("demo")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, errors) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let demo = Self { child, lines, errors };
        eventually("the first table", || demo.row("all"));
        demo
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The address that the first line says.
    #[track_caller]
    fn address(&self) -> SocketAddr {
        let first = self.lines().first().cloned().unwrap();
        let address = first.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix(" (shop)"));
        address.unwrap_or_else(|| panic!("{first:?}")).parse().unwrap()
    }

    /// The words of a server's line in the last table.
    fn row(&self, name: &str) -> Option<Vec<String>> {
        let lines = self.lines();
        let heading = lines.iter().rposition(|line| line.starts_with("server "))?;
        let row = lines[heading..].iter().find(|line| line.split_whitespace().next() == Some(name))?;
        Some(row.split_whitespace().map(str::to_owned).collect())
    }

    /// The process of a server, from the table, which comes line by line.
    #[track_caller]
    fn pid(&self, name: &str) -> Pid {
        Pid::from_raw(eventually("its line", || self.row(name))[2].parse().unwrap())
    }

    /// All processes it started: the servers and what the story calls the database.
    #[track_caller]
    fn pids(&self) -> Vec<Pid> {
        let story = self.lines().join("\n");
        let database = story.split("database ").find_map(|rest| rest.split('.').next()?.parse().ok()).expect("its id");
        SERVERS.map(|name| self.pid(name)).into_iter().chain([Pid::from_raw(database)]).collect()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    #[track_caller]
    fn exit_code(&mut self) -> Option<i32> {
        eventually("the end of the demo", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}\n{}", self.lines().join("\n"), self.errors.lock().unwrap().join("\n"));
        }
    }
}

/// Whether a process runs; one that ended and that nobody waited for does not.
fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A page, and the server that made it.
#[track_caller]
fn server_of(user: &mut User) -> String {
    let response = user.get("/");
    assert_eq!(response.status, 200, "{}", response.head);
    let server = SERVERS.into_iter().find(|name| response.text().contains(&format!("<b>{name}</b>")));
    server.unwrap_or_else(|| panic!("{}", response.text())).to_owned()
}

#[test]
fn the_first_page_brings_both_cookies() {
    let demo = Demo::start(&["--port", "0"]);
    let mut client = Client::connect(demo.address());
    let response = client.get("/");
    assert_eq!(response.status, 200);
    assert!(response.header("content-type").unwrap().starts_with("text/html"), "{}", response.head);
    assert!(response.text().contains("The bee shop"), "{}", response.text());
    let cookies = response.all("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("SRV=shop")), "{cookies:?}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("SHOP=") && cookie.contains("HttpOnly")), "{cookies:?}");
    // Bodies do not confuse the shop, and a HEAD has none.
    assert_eq!(client.post("/", b"basket=1").status, 200);
    client.ask("HEAD", "/", "");
    assert_eq!(client.head_response().status, 200);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn its_dashboard_shows_the_shop_and_its_token_drains() {
    let demo = Demo::start(&["--port", "0"]);
    let lines = demo.lines();
    let at = lines.iter().position(|line| line.starts_with("Its dashboard; ")).expect("where it is");
    let token = lines[at].split("token ").nth(1).unwrap().split(' ').next().unwrap();
    let address = lines[at + 1].trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).unwrap();
    let ask = |line: &str, fields: &str| {
        let mut client = Client::connect(address.parse().unwrap());
        client.send(format!("{line} HTTP/1.1\r\nHost: {address}\r\n{fields}Connection: close\r\n\r\n"));
        client.response()
    };
    let page = ask("GET /", "");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{}", page.head);
    let status = || ask("GET /api/v1/status", "").text().to_owned();
    for server in SERVERS {
        assert!(status().contains(&format!("{{\"name\":\"{server}\",")), "{server}: {}", status());
    }
    let drain = |token: &str| {
        let fields = format!("Authorization: Bearer {token}\r\n");
        ask("POST /api/v1/servers/default/shop3/state/drain", &fields).status
    };
    assert_eq!((drain("another-token-0123"), status().contains("\"state\":\"drain\"")), (401, false));
    assert_eq!((drain(token), status().matches("\"state\":\"drain\"").count()), (200, 1));
    let homes: Vec<String> = (0..9).map(|_| server_of(&mut User::new(demo.address(), "SRV"))).collect();
    assert!(homes.iter().all(|home| home != "shop3"), "{homes:?}");
}

#[test]
fn ten_jars_cover_all_servers_and_stay() {
    let demo = Demo::start(&["--port", "0"]);
    let mut users: Vec<User> = (0..10).map(|_| User::new(demo.address(), "SRV")).collect();
    let homes: Vec<String> = users.iter_mut().map(server_of).collect();
    assert!(SERVERS.iter().all(|server| homes.iter().any(|home| home == server)), "{homes:?}");
    for (user, home) in users.iter_mut().zip(&homes) {
        for _ in 1..scale(100) {
            assert_eq!(server_of(user), *home);
        }
        assert_eq!((user.cookie.as_ref(), user.set), (Some(home), 1));
    }
}

#[test]
fn a_killed_servers_jars_move_once() {
    let demo = Demo::start(&["--port", "0"]);
    let mut users: Vec<User> = (0..8).map(|_| User::new(demo.address(), "SRV")).collect();
    let homes: Vec<String> = users.iter_mut().map(server_of).collect();
    let shop = demo.pid("shop2");
    kill(shop, Signal::SIGTERM).unwrap();
    eventually("it is gone", || (!runs(shop)).then_some(()));
    for (user, home) in users.iter_mut().zip(&homes) {
        let new_home = server_of(user);
        let moved = home == "shop2";
        assert_eq!(new_home != *home, moved, "from {home} to {new_home}");
        for _ in 0..scale(20) {
            assert_eq!(server_of(user), new_home);
        }
        assert_eq!((user.cookie.as_ref(), user.set), (Some(&new_home), 1 + usize::from(moved)));
    }
    assert!(homes.iter().any(|home| home == "shop2"));
    eventually("the table says so", || {
        demo.row("shop2").filter(|row| row[1..3] == ["DOWN".to_owned(), "gone".to_owned()])
    });
    eventually("standard error says so", || {
        let errors = demo.errors.lock().unwrap();
        errors.iter().any(|line| line.contains("shop2 is DOWN")).then_some(())
    });
}

#[test]
fn a_session_is_looked_up_once_on_each_server() {
    let demo = Demo::start(&["--port", "0"]);
    let mut client = Client::connect(demo.address());
    for server in SERVERS {
        for class in ["miss", "hit", "hit"] {
            let page = client.get_with("/", &format!("Cookie: SHOP=somebody; SRV={server}\r\n"));
            assert!(page.text().contains(&format!("<b>{server}</b>")), "{}", page.text());
            assert!(page.text().contains(&format!("class=\"{class}\"")), "{server}: {}", page.text());
        }
    }
    // Requests, in flight, queued, hits, misses, hit %.
    let numbers = |name| demo.row(name).map(|row| row[3..].join(" "));
    for server in SERVERS {
        eventually(&format!("{server}'s line"), || numbers(server).filter(|now| now == "3 0 0 2 1 66"));
    }
}

#[test]
fn a_signal_ends_it_and_all_its_processes() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut demo = Demo::start(&["--port", "0"]);
        let pids = demo.pids();
        assert!(pids.iter().all(|&pid| runs(pid)), "{pids:?}");
        demo.signal(signal);
        assert_eq!(demo.exit_code(), Some(0), "{signal}");
        assert!(!pids.iter().any(|&pid| runs(pid)), "{signal}");
    }
    let mut demo = Demo::start(&["--port", "0"]);
    let pids = demo.pids();
    demo.signal(Signal::SIGKILL);
    assert_eq!(demo.exit_code(), None);
    eventually("nobody outlives it", || (!pids.iter().any(|&pid| runs(pid))).then_some(()));
}

#[test]
fn without_a_reader_it_ends() {
    let mut child =
        command().args(["demo", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let nothing = Arc::default();
    let mut demo = Demo { child, lines: Arc::clone(&nothing), errors: nothing };
    assert_eq!(demo.exit_code(), Some(0));
}

#[test]
fn the_file_it_runs_is_one_that_check_takes() {
    let demo = Demo::start(&["--port", "0"]);
    let lines = demo.lines();
    let settings = lines.iter().filter(|line| line.starts_with("    ") && line.contains(" = "));
    let text: Vec<&str> = settings.map(|line| line.trim()).collect();
    assert!(text.iter().any(|line| line.starts_with("pool.*.cookie ")), "{text:?}");
    let file = common::process::ConfigFile::new(text.join("\n"));
    let checked = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.contains("SRV") && checked.stderr.is_empty(), "{checked:?}");
}

#[test]
fn ports() {
    // While it is held nobody else can have it, listening or not.
    let held = Port::take();
    let taken = held.listener();
    let port = held.address.port();
    let refused = output(command().args(["demo", "--port", &port.to_string()]), Duration::ZERO);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stdout.is_empty() && refused.stderr.contains(&port.to_string()), "{refused:?}");
    drop(taken);
    let exact = Demo::start(&["--port", &port.to_string()]);
    assert_eq!(exact.address().port(), port);
    // The usual port goes to the first; the second takes another and says so.
    let (first, second) = (Demo::start(&[]), Demo::start(&[]));
    assert_ne!(second.address().port(), 8080);
    assert!(second.lines().iter().any(|line| line.contains("8080 is taken")), "{:?}", second.lines());
    for demo in [&exact, &first, &second] {
        assert_eq!(Client::connect(demo.address()).get("/").status, 200);
    }
}
