//! The cache sandwich: a real Varnish between two layers of one process, as `docs/recipes.md` has it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::access::Line;
use common::backend::Backend;
use common::client::{Client, Response};
use common::nginx::Nginx;
use common::port::Port;
use common::process::{Beelance, ConfigFile, command, temporary};
use common::varnish::Varnish;
use common::{eventually, output, recipe, scale};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Where the sockets are, and what the caches keep.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = temporary("lb");
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The recipe's file of this name, its sockets here, before these applications.
    fn recipe(&self, name: &str, apps: [SocketAddr; 2]) -> String {
        let [one, two] = apps.map(|address| address.to_string());
        let replaced = [
            ("0.0.0.0:80", "127.0.0.1:0"),
            ("192.168.1.21:8080", &one),
            ("192.168.1.22:8080", &two),
            ("/run/beelance", self.0.to_str().unwrap()),
        ];
        recipe::with(recipe::block("beelance", name), &replaced)
    }

    fn varnish(&self, name: &str) -> Varnish {
        let here = self.0.to_str().unwrap();
        let vcl = recipe::with(recipe::block("vcl", "sandwich"), &[("/run/beelance", here)]);
        Varnish::start(&self.0.join(format!("{name}.d")), &self.path(&format!("{name}.sock")), &vcl)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the application says of a request: its id, whom it is for, how it came, its host.
fn seen(response: &Response) -> [&str; 4] {
    assert_eq!(response.status, 200, "{}", response.head);
    let parts: Vec<&str> = response.text().split('|').collect();
    parts.try_into().unwrap()
}

/// The lines for this target, once there are so many: layer 1's, then layer 2's.
#[track_caller]
fn lines(beelance: &Beelance, target: &str, count: usize) -> Vec<Line> {
    let wanted = format!("GET {target} HTTP/1.1");
    let mut lines = beelance.wait_log(&format!("{count} lines for {target}"), |lines| {
        let found: Vec<Line> =
            lines.iter().filter_map(|line| Line::find(line)).filter(|line| line.request == wanted).collect();
        (found.len() >= count).then_some(found)
    });
    assert_eq!(lines.len(), count, "{lines:?}");
    lines.sort_by_key(|line| line.listener == "inner");
    lines
}

fn places(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| format!("{} {}/{}", line.listener, line.pool, line.backend)).collect()
}

/// Asks past what is in memory until the request goes this way through layer 1.
#[track_caller]
fn wait_way(beelance: &Beelance, path: &str, place: &str) {
    let mut number = 0;
    eventually(&format!("{path} goes by {place}"), || {
        number += 1;
        let target = format!("{path}?cc=no-store&{}-{number}", place.replace('/', "-"));
        assert_eq!(beelance.connect().get(&target).status, 200, "{target}");
        let line = beelance.access_to(&target);
        let outer = if line.listener == "web" { line } else { lines(beelance, &target, 2).remove(0) };
        (format!("{}/{}", outer.pool, outer.backend) == place).then_some(())
    });
}

#[test]
fn the_recipes_are_right_as_they_stand() {
    for name in ["sandwich", "caches"] {
        let file = ConfigFile::new(recipe::block("beelance", name));
        let output = output(command().args(["check", "-c"]).arg(file.path()), Duration::ZERO);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{name}");
    }
}

#[test]
fn one_client_and_one_id_in_both_layers_and_at_the_application() {
    let (folder, app) = (Folder::new(), Nginx::start("app"));
    let beelance = Beelance::start(&folder.recipe("sandwich", [app.address; 2]));
    let _varnish = folder.varnish("varnish");
    wait_way(&beelance, "/seen/warm", "cache/varnish");
    let mut client = beelance.connect();
    let forged = "X-Request-ID: mine\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    let target = "/seen/1?cc=no-store";
    let response = client.get_with(target, forged);
    let [id, forwarded, proto, host] = seen(&response);
    assert!(response.header("x-varnish").is_some() && response.header("via").is_some(), "{}", response.head);
    assert_eq!((forwarded, proto, host), ("127.0.0.1, 127.0.0.1", "http", "example.com"));
    assert_eq!(id.len(), 32, "made by layer 1: {id}");
    let lines = lines(&beelance, target, 2);
    assert_eq!(places(&lines)[0], "web cache/varnish");
    assert!(places(&lines)[1].starts_with("inner app/app"), "{lines:?}");
    for line in &lines {
        assert_eq!(line.client, client.local().to_string());
        assert_eq!(line.id.as_deref(), Some(id));
        assert_eq!((line.status, line.state.as_str()), (200, "----"));
    }
}

#[test]
fn what_the_cache_has_never_comes_to_layer_2() {
    let (folder, app) = (Folder::new(), Nginx::start("app"));
    let beelance = Beelance::start(&folder.recipe("sandwich", [app.address; 2]));
    let _varnish = folder.varnish("varnish");
    wait_way(&beelance, "/seen/warm", "cache/varnish");
    let target = "/seen/page?cc=max-age=300";
    let bodies = [(); 3].map(|()| beelance.connect().get(target).text().to_owned());
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let lines = lines(&beelance, target, 4);
    let ids: Vec<&str> = lines.iter().map(|line| line.id.as_deref().unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line.listener == "inner").count(), 1);
    // Three requests have three names; the one that was passed on has that of the first.
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert_eq!(ids[3], ids[0]);
    assert!(bodies[0].starts_with(ids[0]));
}

#[test]
fn a_cache_that_dies_under_load_is_passed_by() {
    let (folder, apps) = (Folder::new(), [Nginx::start("one"), Nginx::start("two")]);
    let varnish = folder.varnish("varnish");
    let beelance = Beelance::start(&folder.recipe("sandwich", [apps[0].address, apps[1].address]));
    wait_way(&beelance, "/seen/warm", "cache/varnish");
    let (over, done, cut) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let each = scale(400);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let (beelance, over, done, cut) = (&beelance, &over, &done, &cut);
                scope.spawn(move || {
                    let mut client = beelance.connect();
                    let mut asked = 0;
                    while !over.load(Ordering::Relaxed) {
                        client.ask("GET", &format!("/seen/{number}/{asked}?cc=no-store"), "");
                        match client.try_response(false) {
                            Ok(response) => assert_eq!(response.status, 200, "{}", response.head),
                            // In the middle of a response there is no way back.
                            Err(_) => {
                                cut.fetch_add(1, Ordering::Relaxed);
                                client = beelance.connect();
                            }
                        }
                        asked += 1;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let wait = |count| eventually("requests are served", || (done.load(Ordering::Relaxed) >= count).then_some(()));
        wait(each);
        varnish.kill();
        let before = done.load(Ordering::Relaxed);
        wait(before + each);
        over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    // Layer 1 answered everything, some by one way, some by the other; nobody was told of the death.
    let all = beelance.access(1);
    let outer: Vec<&Line> = all.iter().filter(|line| line.listener == "web").collect();
    assert!(outer.iter().all(|line| line.status == 200), "{:?}", outer.iter().find(|line| line.status != 200));
    let broken: Vec<&&Line> = outer.iter().filter(|line| line.state != "----").collect();
    assert!(broken.iter().all(|line| line.state == "SD--" && line.backend == "varnish"), "{broken:?}");
    assert_eq!(broken.len(), cut.into_inner());
    assert!(broken.len() <= 8, "no more than one of each client: {broken:?}");
    for backend in ["varnish", "bypass"] {
        assert!(outer.iter().any(|line| line.backend == backend), "{backend}");
    }
    // The id is still one, and the client is known, without the cache between.
    let mut client = beelance.connect();
    let response = client.get("/seen/past?cc=no-store");
    assert_eq!(seen(&response)[1..], ["127.0.0.1", "http", "example.com"]);
    let lines = lines(&beelance, "/seen/past?cc=no-store", 2);
    assert_eq!(places(&lines)[0], "web cache/bypass");
    assert!(lines.iter().all(|line| line.client == client.local().to_string()), "{lines:?}");
    assert!(lines.iter().all(|line| line.id.as_deref() == Some(seen(&response)[0])), "{lines:?}");
    // And when it is back, it is used.
    let _varnish = folder.varnish("varnish");
    wait_way(&beelance, "/seen/back", "cache/varnish");
}

#[test]
fn who_waits_inside_a_dying_cache_is_asked_for_again() {
    let (folder, app) = (Folder::new(), Backend::named("app"));
    let beelance = Beelance::start(&folder.recipe("sandwich", [app.address(); 2]));
    let varnish = folder.varnish("varnish");
    wait_way(&beelance, "/warm", "cache/varnish");
    app.hold();
    let mut clients: Vec<Client> = (0..4).map(|_| beelance.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask("GET", &format!("/inside/{number}"), "");
    }
    app.wait_held(4);
    varnish.kill();
    app.wait_held(8);
    app.open();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response().text(), "app");
        let lines = lines(&beelance, &format!("/inside/{number}"), 3);
        assert_eq!(lines[0].backend, "bypass");
        assert!(lines[0].redispatched && lines[0].status == 200, "{lines:?}");
        // What was asked twice has one name.
        assert!(lines.iter().all(|line| line.id == lines[0].id), "{lines:?}");
    }
}

#[test]
fn the_sandwich_over_loopback() {
    let (folder, app) = (Folder::new(), Nginx::start("app"));
    let (cache, inner) = (Port::take(), Port::take());
    let here = folder.0.to_str().unwrap();
    let [cache_at, inner_at] = [&cache, &inner].map(|port| port.address.to_string());
    let config = recipe::with(
        folder.recipe("sandwich", [app.address; 2]),
        &[
            (&format!("unix:{here}/varnish.sock"), &cache_at),
            (&format!("unix:{here}/inner.sock"), &inner_at),
            ("trust          = unix", "trust          = peer:127.0.0.1"),
            ("listen.inner.perm           = 660\n", ""),
        ],
    );
    let beelance = Beelance::start(&config);
    let (path, port) = (".path = \"/run/beelance/inner.sock\";", inner.address.port());
    let host = format!(".host = \"127.0.0.1\"; .port = \"{port}\";");
    let vcl = recipe::with(recipe::block("vcl", "sandwich"), &[(path, &host)]);
    let varnish = Varnish::start(&folder.0.join("d"), &cache_at, &vcl);
    wait_way(&beelance, "/seen/warm", "cache/varnish");
    let through = |target: &str, place: &str| {
        let mut client = beelance.connect();
        let response = client.get(target);
        let lines = lines(&beelance, target, 2);
        assert_eq!(places(&lines)[0], place);
        assert!(lines.iter().all(|line| line.client == client.local().to_string()), "{lines:?}");
        assert!(lines.iter().all(|line| line.id.as_deref() == Some(seen(&response)[0])), "{lines:?}");
    };
    through("/seen/1?cc=no-store", "web cache/varnish");
    varnish.kill();
    through("/seen/2?cc=no-store", "web cache/bypass");
}

#[test]
fn two_caches_back_each_other_up() {
    let (folder, app) = (Folder::new(), Nginx::start("app"));
    let (memory, disk) = (folder.varnish("memory"), folder.varnish("disk"));
    let beelance = Beelance::start(&folder.recipe("caches", [app.address; 2]));
    wait_way(&beelance, "/seen/page", "pages/memory");
    wait_way(&beelance, "/seen/a.jpg", "files/disk");
    memory.kill();
    // The very next request of each kind.
    for (target, place) in
        [("/seen/1?cc=no-store", "web pages/memory-down"), ("/seen/1.jpg?cc=no-store", "web files/disk")]
    {
        let response = beelance.connect().get(target);
        assert_eq!(seen(&response)[3], "example.com");
        assert!(response.header("x-varnish").is_some());
        assert_eq!(places(&lines(&beelance, target, 2))[0], place);
    }
    disk.kill();
    for (target, place) in
        [("/seen/2?cc=no-store", "web pages/both-down"), ("/seen/2.jpg?cc=no-store", "web files/no-cache")]
    {
        let response = beelance.connect().get(target);
        assert_eq!(seen(&response)[3], "example.com");
        assert!(response.header("x-varnish").is_none());
        assert_eq!(places(&lines(&beelance, target, 2))[0], place);
    }
    let _memory = folder.varnish("memory");
    wait_way(&beelance, "/seen/again", "pages/memory");
    wait_way(&beelance, "/seen/again.jpg", "files/disk-down");
}
