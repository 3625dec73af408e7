//! UNIX sockets on both sides: the file of a listener, who the client then is, backends that are paths.
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
use common::nginx::Nginx;
use common::process::{Beelance, ConfigFile, command, temporary};
use common::{assert_same, output, pattern, tool};
use nix::sys::signal::Signal;
use nix::sys::socket::{Backlog, listen};
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = temporary(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A listener `web` at this path, the access log on, and more lines.
fn config(path: &Path, more: &str) -> String {
    format!("listen.web = unix:{}\nlog.access = stderr\n{more}", path.display())
}

/// A listening UNIX socket; the test accepts its connections.
fn listener(path: &Path) -> UnixListener {
    UnixListener::bind(path).unwrap()
}

#[track_caller]
fn accept(listener: &UnixListener) -> Client {
    Client::of_unix(listener.accept().unwrap().0)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// `curl` over the socket; its standard output.
#[track_caller]
fn curl(path: &Path, words: &[&str]) -> String {
    let mut curl = tool("curl");
    curl.args(["-sS", "--fail", "--unix-socket"]).arg(path).args(words);
    let output = output(&mut curl, Duration::from_secs(60));
    assert_eq!(output.code, Some(0), "{words:?}: {}", output.stderr);
    output.stdout
}

#[test]
fn curl_and_nginx_over_unix_sockets() {
    let folder = Folder::new("both");
    let (socket, body) = (folder.path("web"), folder.path("body"));
    let nginx = Nginx::start("shop");
    let large = pattern(4_000_000);
    nginx.file("large", &large);
    fs::write(&body, &large[..1_500_000]).unwrap();
    let mut beelance = Beelance::start(&config(&socket, &format!("backend.s1 = {}\n", nginx.socket())));
    assert_eq!(beelance.place("web"), format!("unix:{}", socket.display()));
    assert_eq!(curl(&socket, &["http://a/healthz"]), "well");
    assert_same("the download", curl(&socket, &["http://a/file/large"]).as_bytes(), &large);
    let upload = format!("@{}", body.display());
    let echo = curl(&socket, &["http://a/upload", "--data-binary", &upload]);
    assert_same("the upload", echo.as_bytes(), &large[..1_500_000]);
    let lines = beelance.access(3);
    assert!(lines.iter().all(|line| line.client == "unix:1" && line.status == 200), "{lines:?}");
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    assert_eq!(beelance.ended().in_use, common::process::NOTHING);
}

#[test]
fn the_file_is_made_and_removed() {
    let folder = Folder::new("file");
    let socket = folder.path("web");
    for (more, expected) in [("", 0o600), ("listen.web.perm = 666\n", 0o666), ("listen.*.perm = 060\n", 0o060)] {
        let mut beelance = Beelance::start(&config(&socket, more));
        assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
        assert_eq!(mode(&socket), expected, "{more}");
        beelance.signal(Signal::SIGTERM);
        assert_eq!(beelance.exit_code(), Some(0));
        assert!(!socket.exists(), "{more}");
    }
}

#[test]
fn what_a_killed_process_left_is_replaced() {
    let folder = Folder::new("stale");
    let socket = folder.path("web");
    drop(Beelance::start(&config(&socket, "")));
    assert!(socket.exists(), "a process that is killed removes nothing");
    let _beelance = Beelance::start(&config(&socket, ""));
    assert_eq!(Client::connect_unix(&socket).get("/").status, 503);
}

#[test]
fn what_is_not_its_own_is_refused() {
    let folder = Folder::new("taken");
    let (live, file, link) = (folder.path("live"), folder.path("file"), folder.path("link"));
    let _running = Beelance::start(&config(&live, ""));
    fs::write(&file, "precious").unwrap();
    symlink(&live, &link).unwrap();
    let cases = [
        (&live, "another process listens there; stop it, or change the path"),
        (&file, "what is there is no socket; remove it, or change the path"),
        (&link, "what is there is no socket; remove it, or change the path"),
        (&folder.path("missing/web"), "the folder does not exist; make it"),
    ];
    for (path, hint) in cases {
        let file = ConfigFile::new(config(path, "backend.s1 = 127.0.0.1:1\n"));
        let output = output(command().args(["run", "-c"]).arg(file.path()), Duration::ZERO);
        assert_eq!(output.code, Some(3), "{output:?}");
        let begin = format!("beelance: listen.web: unix:{}: ", path.display());
        assert!(output.stderr.starts_with(&begin) && output.stderr.trim_end().ends_with(hint), "{output:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert_eq!(Client::connect_unix(&live).get("/").status, 503, "it still listens");
}

#[test]
fn only_who_may_write_to_the_file_connects() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root can be somebody else.
        return;
    }
    let folder = Folder::new("perm");
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path("web");
    for (perm, code) in [("600", Some(7)), ("666", Some(0))] {
        let _beelance = Beelance::start(&config(&socket, &format!("listen.web.perm = {perm}\n")));
        let mut curl = tool("setpriv");
        curl.args(["--reuid=65534", "--clear-groups", "curl", "-s", "--unix-socket"]).arg(&socket).arg("http://a/");
        assert_eq!(output(&mut curl, Duration::ZERO).code, code, "{perm}");
    }
}

#[test]
fn a_client_without_an_address() {
    let folder = Folder::new("nobody");
    let (socket, server) = (folder.path("web"), folder.path("server"));
    let backend = listener(&server);
    let [inside, all] = [Backend::named("inside"), Backend::named("all")];
    let more = format!(
        "backend.s1 = unix:{}\nroute.r.src = 0.0.0.0/0, ::/0\nroute.r.pool = in\nbackend.in = {}\nbackend.in.pool = in\n\
         listen.web.trust = 0.0.0.0/0, ::/0\npool.default.stick = src\nroute.all.path = /all\nroute.all.pool = all\n\
         pool.all.balance = source\nbackend.all = {}\nbackend.all.pool = all\n",
        server.display(),
        inside.address(),
        all.address()
    );
    let beelance = Beelance::start(&config(&socket, &more));
    let mut client = Client::connect_unix(&socket);
    client.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    let mut server = accept(&backend);
    let head = server.head_bytes();
    // No route takes it by its address, nobody trusts it, nobody knows where it is.
    assert_eq!(head, "GET /1 HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: http\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(beelance.access_to("/1").client, "unix:1");
    // What it would be placed by is what everybody has: nothing.
    assert_eq!(client.get("/all").text(), "all");
    assert_eq!(all.only().all("x-forwarded-for"), Vec::<&str>::new());
    assert_eq!(inside.count(), 0);
}

#[test]
fn a_connection_without_http_and_without_an_address() {
    let folder = Folder::new("relay");
    let (socket, server) = (folder.path("db"), folder.path("server"));
    let backend = listener(&server);
    let more = format!(
        "listen.web.mode = tcp\nbackend.s1 = unix:{}\nbackend.s1.send-proxy = v1\npool.*.balance = source\n\
         pool.*.stick = src\n",
        server.display()
    );
    let beelance = Beelance::start(&config(&socket, &more));
    let mut client = Client::connect_unix(&socket);
    let mut server = accept(&backend);
    // The server speaks first, and is told that nobody knows the client.
    server.expect("PROXY UNKNOWN\r\n");
    server.send("220 ready");
    client.expect("220 ready");
    client.send("ping");
    client.half_close();
    assert_eq!(server.until_end(), b"ping");
    server.send("bye");
    drop(server);
    assert_eq!(client.until_end(), b"bye");
    let line = beelance.tcp_line_of("unix:1");
    assert_eq!((line.listener.as_str(), line.backend.as_str(), line.state.as_str()), ("web", "s1", "--"));
    assert_eq!(line.bytes, "220 readybye".len() as u64);
}

#[test]
fn a_header_names_the_client_of_a_unix_socket() {
    let folder = Folder::new("proxy");
    let (socket, backend) = (folder.path("web"), Backend::named("one"));
    let more = format!("listen.web.accept-proxy = yes\nbackend.s1 = {}\n", backend.address());
    let beelance = Beelance::start(&config(&socket, &more));
    for (number, (header, client, forwarded)) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n", "192.0.2.7:49153", vec!["192.0.2.7"]),
        ("PROXY TCP6 2001:db8::7 ::1 49153 80\r\n", "2001:db8::7:49153", vec!["2001:db8::7"]),
        ("PROXY UNKNOWN\r\n", "unix:1", vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut connection = Client::connect_unix(&socket);
        connection.send(header);
        assert_eq!(connection.get(&format!("/{number}")).text(), "one");
        assert_eq!(beelance.access_to(&format!("/{number}")).client, client);
        assert_eq!(backend.requests()[number].all("x-forwarded-for"), forwarded, "{header}");
    }
}

#[test]
fn what_a_backend_is_told_of_a_client_of_a_unix_socket() {
    let folder = Folder::new("told");
    let (socket, named, server) = (folder.path("web"), folder.path("named"), folder.path("server"));
    for (version, unknown, known) in [
        ("v1", &b"PROXY UNKNOWN\r\n"[..], &b"PROXY TCP4 192.0.2.7 0.0.0.0 49153 0\r\n"[..]),
        (
            "v2",
            b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\0\0\0\0\xc0\x01\0\0",
        ),
    ] {
        let backend = listener(&server);
        let more = format!(
            "listen.named = unix:{}\nlisten.named.accept-proxy = yes\nbackend.s1 = unix:{}\nbackend.s1.send-proxy = {version}\n",
            named.display(),
            server.display()
        );
        let _beelance = Beelance::start(&config(&socket, &more));
        for (path, hello, expected) in
            [(&socket, "", unknown), (&named, "PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n", known)]
        {
            let mut client = Client::connect_unix(path);
            client.send(hello);
            client.ask("GET", "/", "");
            let mut server = accept(&backend);
            server.expect(expected);
            assert!(server.head_bytes().starts_with("GET / HTTP/1.1\r\n"));
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(client.response().text(), "ok", "{version}");
        }
        fs::remove_file(&server).unwrap();
    }
    // Real software reads it.
    let nginx = Nginx::behind_proxy("who");
    let more = format!("listen.web.accept-proxy = yes\nbackend.s1 = {}\nbackend.s1.send-proxy = v2\n", nginx.socket());
    let _beelance = Beelance::start(&config(&socket, &more));
    let mut client = Client::connect_unix(&socket);
    client.send("PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n");
    assert_eq!(client.get("/who").text(), "192.0.2.7,49153");
}

#[test]
fn connections_to_a_path_are_kept() {
    let folder = Folder::new("kept");
    let (socket, server) = (folder.path("web"), folder.path("server"));
    let backend = listener(&server);
    let _beelance = Beelance::start(&config(&socket, &format!("backend.s1 = unix:{}\n", server.display())));
    let mut clients = [Client::connect_unix(&socket), Client::connect_unix(&socket)];
    clients[0].ask("GET", "/0", "");
    let mut server = accept(&backend);
    for (number, client) in clients.iter_mut().enumerate() {
        if number > 0 {
            client.ask("GET", &format!("/{number}"), "");
        }
        assert!(server.head_bytes().starts_with(&format!("GET /{number} ")));
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.response().text(), "ok");
    }
    // The server closes while the connection is idle: the next request has a new one.
    drop(server);
    clients[1].ask("GET", "/2", "");
    let mut server = accept(&backend);
    assert!(server.head_bytes().starts_with("GET /2 "));
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(clients[1].response().text(), "ok");
}

/// A listener with as many waiting connections as its backlog takes.
fn full(path: &Path) -> (UnixListener, Vec<UnixStream>) {
    let listener = listener(path);
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    // One more than the backlog; the next would block.
    let waiting = vec![UnixStream::connect(path).unwrap()];
    (listener, waiting)
}

#[test]
fn a_full_backlog_is_a_failed_connection() {
    let folder = Folder::new("full");
    let (socket, server) = (folder.path("web"), folder.path("server"));
    let (listener, waiting) = full(&server);
    let other = Backend::named("other");
    let more = format!(
        "backend.s1 = unix:{path}\nbackend.s2 = {}\npool.*.balance = first\nbackend.alone = unix:{path}\n\
         backend.alone.pool = alone\nroute.r.path = /alone\nroute.r.pool = alone\ntimeout.connect = 200ms\n",
        other.address(),
        path = server.display()
    );
    let beelance = Beelance::start(&config(&socket, &more));
    let mut client = Client::connect_unix(&socket);
    assert_eq!(client.get("/alone").status, 503);
    let line = beelance.access_to("/alone");
    assert_eq!((line.state.as_str(), line.counts[4]), ("SC--", 3), "{line:?}");
    assert_eq!(client.get("/moved").text(), "other");
    let line = beelance.access_to("/moved");
    assert!(line.redispatched && line.backend == "s2" && line.counts[4] == 1, "{line:?}");
    // As soon as it accepts, it gets requests.
    drop(waiting);
    listener.accept().unwrap();
    client.ask("GET", "/taken", "");
    let mut server = accept(&listener);
    assert!(server.head_bytes().starts_with("GET /taken "));
}

#[test]
fn probes_of_paths() {
    for check in [
        "pool.*.check = tcp\n",
        "pool.*.check.uri = /healthz\n",
        "pool.*.check.uri = /healthz\nbackend.s1.send-proxy = v2\n",
    ] {
        let folder = Folder::new("probe");
        let (socket, server) = (folder.path("web"), folder.path("server"));
        let more = format!(
            "backend.s1 = unix:{}\n{check}pool.*.check.inter = 20ms\npool.*.check.timeout = 5s\npool.*.check.fall = 1\n",
            server.display()
        );
        let beelance = Beelance::start(&config(&socket, &more));
        beelance.wait_change("s1", "down", 1);
        let (busy, waiting) = full(&server);
        drop((busy, waiting));
        fs::remove_file(&server).unwrap();
        let nginx = if check.contains("send-proxy") { Nginx::behind_proxy("a") } else { Nginx::start("a") };
        symlink(nginx.socket().strip_prefix("unix:").unwrap(), &server).unwrap();
        beelance.wait_change("s1", "up", 1);
        assert_eq!(curl(&socket, &["http://a/healthz"]), "well");
        drop(nginx);
        beelance.wait_change("s1", "down", 2);
    }
}

#[test]
fn a_full_backlog_is_no_health() {
    let folder = Folder::new("busy");
    let (socket, server) = (folder.path("web"), folder.path("server"));
    let _full = full(&server);
    let more = format!("backend.s1 = unix:{}\npool.*.check = tcp\npool.*.check.fall = 1\n", server.display());
    let beelance = Beelance::start(&config(&socket, &more));
    beelance.wait_change("s1", "down", 1);
}

#[test]
fn abstract_names() {
    let name = format!("@beelance-{}", std::process::id());
    let more = format!(
        "listen.web = unix:{name}/1\nlisten.web.pool = two\nlisten.two = unix:{name}/2\nlisten.two.pool = empty\npool.empty.balance = first\n\
         backend.s1 = unix:{name}/2\nbackend.s1.pool = two\nlog.access = stderr\n"
    );
    let beelance = Beelance::start(&more);
    assert_eq!(beelance.place("two"), format!("unix:{name}/2"));
    let mut curl = tool("curl");
    curl.args(["-s", "-w", "%{http_code}", "-o", "/dev/null", "--abstract-unix-socket"])
        .arg(format!("{}/1", &name[1..]));
    assert_eq!(output(curl.arg("http://a/x"), Duration::ZERO).stdout, "503");
    let lines = beelance.access(2);
    assert_eq!(lines.iter().map(|line| line.listener.as_str()).collect::<Vec<_>>(), ["two", "web"]);
    let file = ConfigFile::new(&more);
    let output = output(command().args(["run", "-c"]).arg(file.path()), Duration::ZERO);
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(output.stderr.contains("another process listens there"), "{output:?}");
}

#[test]
fn whoever_may_open_the_socket_may_be_trusted() {
    let folder = Folder::new("trusted");
    let socket = folder.path("web");
    let forged = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    // A terminator of ours in front says who the client is by fields; with a header, of each connection.
    for (more, hello, expected) in [
        ("listen.web.trust = unix\n", "", (vec!["203.0.113.9"], vec!["https"])),
        ("listen.web.trust = peer:0.0.0.0/0, peer:::/0\n", "", (vec![], vec!["http"])),
        (
            "listen.web.trust = unix\nlisten.web.accept-proxy = yes\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            (vec!["203.0.113.9", "192.0.2.7"], vec!["https"]),
        ),
    ] {
        let backend = Backend::named("one");
        let beelance = Beelance::start(&config(&socket, &format!("backend.s1 = {}\n{more}", backend.address())));
        let mut client = Client::connect_unix(&socket);
        client.send(hello);
        assert_eq!(client.get_with("/", forged).text(), "one");
        let request = backend.only();
        assert_eq!((request.all("x-forwarded-for"), request.all("x-forwarded-proto")), expected, "{more}");
        drop(beelance);
    }
}
