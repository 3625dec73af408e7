//! An upgrade in place: another program, the same process, and nobody who notices.
//!
//! A program under user-mode emulation cannot execute itself: natively, and on the emulated board.
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
use common::ctl::ask;
use common::device::Device;
use common::process::{Beelance, listener_and, own_address, temporary};
use common::program::{Program, can_show, children, copy_libraries, no_children_are_left, upgrade, wait_for};
use common::raw::RawBackend;
use common::{eventually, tunnel};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chown, geteuid};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Clients that ask without end, some on one connection, some on a new one each time.
struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(beelance: &Beelance, keeping: usize, renewing: usize) -> Self {
        let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let address = beelance.web();
        let client = |keeps: bool| {
            let (over, served) = (Arc::clone(&over), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut errors = Vec::new();
                let mut client = None;
                while !over.load(Ordering::Relaxed) {
                    let mut current = match client.take() {
                        Some(client) => client,
                        None => match Client::try_connect(address) {
                            Ok(client) => client,
                            Err(error) => {
                                errors.push(format!("connect: {error}"));
                                continue;
                            }
                        },
                    };
                    let asked =
                        current.try_send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").map_err(|error| error.to_string());
                    match asked.and_then(|()| current.try_response(false)) {
                        Ok(response) if response.status == 200 => {
                            served.fetch_add(1, Ordering::Relaxed);
                            client = (keeps && !response.says_close()).then_some(current);
                        }
                        Ok(response) => errors.push(format!("status {}", response.status)),
                        Err(error) => errors.push(error),
                    }
                }
                errors
            })
        };
        let clients = (0..keeping).map(|_| client(true)).chain((0..renewing).map(|_| client(false))).collect();
        Self { over, served, clients }
    }

    /// Waits until so many more are served.
    #[track_caller]
    fn goes_on(&self, count: usize) {
        let enough = self.served.load(Ordering::Relaxed) + count;
        eventually("the load goes on", || (self.served.load(Ordering::Relaxed) >= enough).then_some(()));
    }

    fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

#[test]
fn fifty_upgrades_under_load_without_an_error() {
    if !can_show() {
        return;
    }
    let (backend, program, device) = (Backend::named("s1"), Program::new(), Device::new());
    let config = listener_and(&[&backend]) + &device.key();
    let mut beelance = Beelance::start_by(program.command(), &config);
    let load = Load::on(&beelance, 6, 2);
    for number in 1..=50 {
        program.renew();
        upgrade(&beelance, number);
        load.goes_on(20);
        let exe = fs::metadata(format!("/proc/{}/exe", beelance.pid())).unwrap();
        assert_eq!(exe.ino(), program.inode(), "it is the new program, {number}");
    }
    assert_eq!(load.end(), Vec::<String>::new());
    no_children_are_left(&beelance);
    // The watchdog was in good hands all the time, and its end is the end.
    device.feeds(1);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    device.ends_on_purpose();
}

#[test]
fn what_is_in_flight_is_finished_by_the_old_program() {
    if !can_show() {
        return;
    }
    let (backend, program) = (Backend::named("s1"), Program::new());
    let [path, socket, admin] = ["web.sock", "admin.sock", "page.sock"].map(temporary);
    let config = listener_and(&[&backend]) + &format!("listen.local = unix:{}\ndrain-timeout = 5m\n", path.display());
    let config = config + &format!("admin.socket = {}\nadmin.listen = unix:{}\n", socket.display(), admin.display());
    let mut beelance = Beelance::start_by(program.command(), &config);
    let mut idle = beelance.connect();
    assert_eq!(idle.get("/idle").text(), "s1");
    backend.hold();
    let mut held: Vec<Client> = vec![beelance.connect(), Client::connect_unix(&path)];
    held.iter_mut().for_each(|client| client.ask("GET", "/held", ""));
    backend.wait_in_flight(2);
    upgrade(&beelance, 1);
    // Whoever comes now comes to the new one.
    let mut new = beelance.connect();
    new.ask("GET", "/new", "");
    backend.wait_in_flight(3);
    assert_eq!(children(beelance.pid()).len(), 1);
    backend.open();
    for client in &mut held {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "s1"));
        assert!(response.says_close());
        client.ends();
    }
    assert_eq!(new.response().text(), "s1");
    // An idle connection has one more request; then it is to come anew.
    let last = idle.get("/idle");
    assert!(last.status == 200 && last.says_close());
    idle.ends();
    no_children_are_left(&beelance);
    assert_eq!(Client::connect_unix(&path).get("/").text(), "s1");
    assert_eq!(ask(&socket, "show cli level"), "admin\n\n");
    assert_eq!(Client::connect_unix(&admin).get("/healthz").status, 200);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    for path in [path, socket, admin] {
        assert!(!path.exists(), "{}: the file is the new program's to remove", path.display());
    }
}

#[test]
fn connections_of_before_end_with_drain_timeout() {
    if !can_show() {
        return;
    }
    let (backend, program) = (Backend::named("s1"), Program::new());
    let beelance = Beelance::start_by(program.command(), &(listener_and(&[&backend]) + "drain-timeout = 1s\n"));
    backend.hold();
    let mut held = beelance.connect();
    held.ask("GET", "/", "");
    backend.wait_in_flight(1);
    upgrade(&beelance, 1);
    held.ends();
    no_children_are_left(&beelance);
    backend.open();
    assert_eq!(beelance.connect().get("/").text(), "s1");
}

#[test]
fn what_is_refused_changes_nothing() {
    if !can_show() {
        return;
    }
    let (backend, program) = (Backend::named("s1"), Program::new());
    let beelance = Beelance::start_by(program.command(), &listener_and(&[&backend]));
    let inode = || fs::metadata(format!("/proc/{}/exe", beelance.pid())).unwrap().ino();
    let (before, right) = (inode(), fs::read(beelance.config()).unwrap());
    let mut kept = beelance.connect();
    assert_eq!(kept.get("/").text(), "s1");
    backend.hold();
    let mut held = beelance.connect();
    held.ask("GET", "/held", "");
    backend.wait_in_flight(1);
    let refused = |text: &str| {
        beelance.signal(Signal::SIGUSR2);
        wait_for(&beelance, text, 1);
    };
    // The file is wrong, and the new program says where.
    fs::write(beelance.config(), "listen.web = nowhere\n").unwrap();
    refused("ends with exit code 1: this one goes on");
    wait_for(&beelance, &format!("{}:1: listen.web: ", beelance.config().display()), 1);
    fs::write(beelance.config(), right).unwrap();
    // It is no program.
    program.put_text("no program");
    refused("ends with exit code 127: this one goes on");
    // It is killed.
    program.become_script("kill -KILL $$");
    refused("was ended by SIGKILL: this one goes on");
    // It thinks the file is right, and cannot be executed when it comes to that: a child was there by then.
    program.become_script("chmod 000 $0; exit 0");
    refused("upgrade: failed: Permission denied");
    // It is not there.
    fs::remove_file(&program.0).unwrap();
    refused("upgrade: refused: ");
    assert_eq!(inode(), before);
    assert!(children(beelance.pid()).is_empty());
    // Nobody's connection came to harm.
    backend.open();
    assert_eq!(held.response().text(), "s1");
    assert_eq!(kept.get("/").text(), "s1");
    // And the next upgrade is as good as any.
    program.renew();
    upgrade(&beelance, 1);
    assert_eq!(beelance.connect().get("/").text(), "s1");
}

#[test]
fn a_tunnel_lives_on_until_it_ends() {
    if !can_show() {
        return;
    }
    let (backend, program) = (RawBackend::start(), Program::new());
    let beelance = Beelance::start_by(program.command(), &backend.config("drain-timeout = 5m\n"));
    let (mut client, mut server) = tunnel::open(&beelance, &backend);
    upgrade(&beelance, 1);
    tunnel::assert_open(&mut client, &mut server);
    let (mut next_client, mut next_server) = tunnel::open(&beelance, &backend);
    upgrade(&beelance, 2);
    // One in each of three processes.
    let (mut last_client, mut last_server) = tunnel::open(&beelance, &backend);
    for (client, server) in
        [(&mut client, &mut server), (&mut next_client, &mut next_server), (&mut last_client, &mut last_server)]
    {
        tunnel::assert_open(client, server);
    }
    assert_eq!(children(beelance.pid()).len(), 2);
    drop((client, next_client));
    server.ends();
    next_server.ends();
    drop((server, next_server));
    no_children_are_left(&beelance);
    tunnel::assert_open(&mut last_client, &mut last_server);
}

#[test]
fn in_a_chroot_and_without_root() {
    const USER: u32 = 54_321;
    if !can_show() || !geteuid().is_root() {
        eprintln!("SKIPPED, needs root: an upgrade in a chroot");
        return;
    }
    let (backend, program, root) = (Backend::named("s1"), Program::new(), temporary("root"));
    fs::set_permissions(&program.0, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&root).unwrap();
    copy_libraries(&program.0, &root);
    let sockets = temporary("sockets");
    fs::create_dir(&sockets).unwrap();
    chown(&sockets, Some(Uid::from_raw(USER)), Some(Gid::from_raw(USER))).unwrap();
    let socket = sockets.join("web.sock");
    // A port that it could not bind any more, a name that is looked up in a file it could not open any more.
    let config = format!(
        "listen.web = 127.0.0.1:0\nlisten.low = {}:80\nlisten.local = unix:{}\nbackend.n = localhost:{}\n\
         user = {USER}\ngroup = {USER}\nchroot = {}\n",
        own_address(),
        socket.display(),
        backend.address().port(),
        root.display()
    );
    let mut beelance = Beelance::start_by(program.command(), &config);
    let load = Load::on(&beelance, 2, 1);
    for number in 1..=5 {
        program.renew();
        upgrade(&beelance, number);
        load.goes_on(10);
        assert_eq!(Client::connect(beelance.address("low")).get("/").text(), "s1");
        let pid = beelance.pid();
        assert_eq!(fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino(), program.inode(), "{number}");
        assert_eq!(fs::read_link(format!("/proc/{pid}/root")).unwrap(), root);
        assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "beelance\n");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n")), "{status}");
    }
    assert_eq!(load.end(), Vec::<String>::new());
    no_children_are_left(&beelance);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    assert!(!socket.exists());
    fs::remove_dir_all(root).unwrap();
    fs::remove_dir(sockets).unwrap();
}
