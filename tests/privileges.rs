//! What the process may still do once it serves: nothing it does not need, in every thread, and what it needs it still can.
//!
//! To give something up one has to have it: most of this needs root, and says so where it is missing. In an emulator it is the
//! emulator that would become somebody else, one of its threads only: there the same is shown by the emulated board.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::DEADLINE;
use common::backend::Backend;
use common::client::Client;
use common::process::{
    Beelance, ConfigFile, Output, command, copy_program, is_native, listener_and, own_address, temporary,
};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chown, geteuid};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who nobody else is on this system: numbers need no line in /etc/passwd.
const USER: u32 = 54_321;
const GROUP: u32 = 54_322;

/// Whether this can be shown here.
fn can_show(what: &str) -> bool {
    let can = is_native() && geteuid().is_root();
    if !can {
        eprintln!("SKIPPED, needs root and no emulator: {what}");
    }
    can
}

/// What /proc says of each thread.
fn threads(pid: u32) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| status(&task.unwrap().path())).collect()
}

/// What /proc says of the thread in this folder.
fn status(thread: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(thread.join("status")).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// Fails unless every thread is `USER` and `GROUP`, and no more.
#[track_caller]
fn assert_nothing_is_left(pid: u32) {
    let threads = threads(pid);
    assert!(threads.len() >= 2, "the control plane has a thread: {}", threads.len());
    let ids = |id: u32| format!("{id} {id} {id} {id}");
    let none = "0000000000000000".to_owned();
    for thread in threads {
        let expected = [
            ("Uid", ids(USER)),
            ("Gid", ids(GROUP)),
            ("Groups", String::new()),
            ("CapInh", none.clone()),
            ("CapPrm", none.clone()),
            ("CapEff", none.clone()),
            ("CapBnd", none.clone()),
            ("CapAmb", none.clone()),
            ("NoNewPrivs", "1".to_owned()),
        ];
        for (field, value) in expected {
            assert_eq!(thread[field], value, "{field} of {}", thread["Name"]);
        }
    }
}

/// A folder that belongs to the user, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = temporary(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(Uid::from_raw(USER)), Some(Gid::from_raw(GROUP))).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The binary where anybody may execute it, run by somebody who is not root.
fn command_of_nobody(folder: &Folder) -> Command {
    let binary = folder.join("beelance");
    if !binary.exists() {
        copy_program(command().get_program().as_ref(), &binary);
    }
    let mut command = Command::new(binary);
    command.uid(USER).gid(GROUP);
    command
}

fn get(beelance: &Beelance, target: &str) -> u16 {
    beelance.connect().get(target).status
}

#[test]
fn nothing_is_left_in_any_thread() {
    if !can_show("user and group") {
        return;
    }
    let backend = Backend::named("s1");
    // A name is looked up, and a server probed: that is what the second thread is for.
    let port = backend.address().port();
    let more = format!("user = {USER}\ngroup = {GROUP}\npool.default.check = tcp\nbackend.n = localhost:{port}\n");
    let beelance = Beelance::start(&(listener_and(&[&backend]) + &more));
    assert_eq!(get(&beelance, "/"), 200);
    assert_nothing_is_left(beelance.pid());
    assert!(!beelance.log().iter().any(|line| line.contains("running as root")), "{:?}", beelance.log());
}

#[test]
fn a_port_that_needs_root_is_bound_before_root_is_given_up() {
    if !can_show("a low port") {
        return;
    }
    let backend = Backend::named("s1");
    let more = format!("listen.low = {}:80\nuser = {USER}\ngroup = {GROUP}\n", own_address());
    let beelance = Beelance::start(&(listener_and(&[&backend]) + &more));
    assert_eq!(Client::connect(beelance.address("low")).get("/").status, 200);
    assert_nothing_is_left(beelance.pid());
}

#[test]
fn in_a_chroot_names_are_looked_up_and_the_socket_is_removed() {
    if !can_show("chroot") {
        return;
    }
    let (backend, root, sockets) = (Backend::named("s1"), Folder::new("root"), Folder::new("sockets"));
    let socket = sockets.join("web.sock");
    let config = format!(
        "listen.web = 127.0.0.1:0\nlisten.unix = unix:{}\nbackend.n = localhost:{}\nuser = {USER}\ngroup = {GROUP}\nadmin.listen = 127.0.0.1:0\n\
         chroot = {}\n",
        socket.display(),
        backend.address().port(),
        root.0.display()
    );
    let mut beelance = Beelance::start(&config);
    // It found localhost in /etc/hosts, and there is no such file inside.
    assert_eq!(get(&beelance, "/"), 200);
    assert_nothing_is_left(beelance.pid());
    let mut client = Client::connect(beelance.address("admin.listen"));
    client.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let metrics = client.response();
    let memory = metrics.text().lines().find_map(|line| line.strip_prefix("beelance_memory_resident_bytes "));
    assert!(memory.is_some_and(|bytes| bytes.parse::<u64>().unwrap() > 100_000), "{memory:?}");
    let inside = fs::read_link(format!("/proc/{}/root", beelance.pid())).unwrap();
    assert_eq!(inside, root.0);
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", beelance.pid())).unwrap(), root.0);
    assert!(socket.exists());
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    assert!(!socket.exists(), "the file of the listener stays behind");
}

#[test]
fn without_the_keys_only_new_privileges_are_ruled_out() {
    if !can_show("the same without the keys") {
        return;
    }
    let backend = Backend::named("s1");
    let beelance = Beelance::before(&[&backend], "");
    assert_eq!(get(&beelance, "/"), 200);
    // Other threads of this process end with their tests.
    let own = status(Path::new("/proc/thread-self"));
    for thread in threads(beelance.pid()) {
        for field in ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(thread[field], own[field], "{field}");
        }
        assert_eq!(thread["NoNewPrivs"], "1");
    }
    let told = beelance.log().iter().filter(|line| line.contains("running as root: `user`")).count();
    assert_eq!(told, 1, "{:?}", beelance.log());
}

#[test]
fn who_is_not_root_needs_none_for_high_ports() {
    if !can_show("somebody who is not root") {
        return;
    }
    let (backend, folder) = (Backend::named("s1"), Folder::new("nobody"));
    for keys in [String::new(), format!("user = {USER}\ngroup = {GROUP}\n"), format!("group = {GROUP}\n")] {
        let beelance = Beelance::start_by(command_of_nobody(&folder), &(listener_and(&[&backend]) + &keys));
        assert_eq!(get(&beelance, "/"), 200, "{keys}");
        for thread in threads(beelance.pid()) {
            assert_eq!(thread["Uid"], format!("{USER} {USER} {USER} {USER}"), "{keys}");
            assert_eq!(thread["CapEff"], "0000000000000000", "{keys}");
            assert_eq!(thread["NoNewPrivs"], "1", "{keys}");
        }
    }
}

#[test]
fn what_cannot_be_given_up_ends_the_start_and_names_the_key() {
    if !can_show("refusals") {
        return;
    }
    let folder = Folder::new("refused");
    let nobody = || command_of_nobody(&folder);
    type By<'a> = &'a dyn Fn() -> Command;
    let cases: [(By<'_>, &str, &str); 6] = [
        (&nobody, "user = 0\n", "beelance: user: "),
        (&nobody, "group = 0\n", "beelance: group: "),
        (&nobody, "chroot = /tmp\n", "beelance: chroot: "),
        (&nobody, "listen.low = 127.0.0.1:80\n", "beelance: listen.low: 127.0.0.1:80: "),
        (&command, "chroot = /no/such/directory\n", "beelance: chroot: "),
        (&command, "chroot = /etc/passwd\n", "beelance: chroot: "),
    ];
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let anybodys = first.trim().parse::<u16>().unwrap() <= 80;
    for (command, line, expected) in cases {
        if anybodys && line.contains(":80") {
            eprintln!("SKIPPED, net.ipv4.ip_unprivileged_port_start is {}: port 80 needs no root here", first.trim());
            continue;
        }
        let config = ConfigFile::new(format!("listen.web = 127.0.0.1:0\nbackend.s = 127.0.0.1:1\n{line}"));
        let output = Output::of(command().args(["run", "-c"]).arg(config.path()), DEADLINE);
        assert_eq!(output.code, Some(3), "{line}: {output:?}");
        let last = output.stderr.lines().last().unwrap();
        assert!(last.starts_with(expected) && output.stdout.is_empty(), "{line}: {output:?}");
        // It says what to do.
        assert!(last.contains("root") || last.contains("directory"), "{line}: {last}");
    }
}

#[test]
fn a_name_that_nobody_has_is_wrong_in_the_file() {
    let lines = "user = no-such-user\ngroup = no-such-group\n";
    let config = ConfigFile::new(format!("listen.web = 127.0.0.1:0\nbackend.s = 127.0.0.1:1\n{lines}chroot = var\n"));
    let output = Output::of(command().args(["check", "-c"]).arg(config.path()), DEADLINE);
    assert_eq!(output.code, Some(1));
    let file = config.path().display();
    for expected in [
        format!("{file}:3: user: `no-such-user`: no such user in /etc/passwd: add it there, or give its number"),
        format!("{file}:4: group: `no-such-group`: no such group in /etc/group: add it there, or give its number"),
        format!("{file}:5: chroot: `var`: expected the path of a directory, which starts with /"),
    ] {
        assert!(output.stderr.contains(&expected), "{expected}\n{}", output.stderr);
    }
    let config = ConfigFile::new(format!("listen.web = 127.0.0.1:0\nbackend.s = 127.0.0.1:1\nuser = {USER}\n"));
    let output = Output::of(command().args(["check", "-c"]).arg(config.path()), DEADLINE);
    assert!(output.code == Some(1) && output.stderr.contains(":3: user: "), "{output:?}");
}

/// The binary, started by a shell that does this before; the configuration is `$3`.
fn command_after(prepare: &str) -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--net", "/bin/sh", "-c", &format!("{prepare} && exec \"$0\" \"$@\"")]).arg(command().get_program());
    shell
}

/// What it says from its start to its end.
fn told(command: Command, config: &str) -> Vec<String> {
    let mut beelance = Beelance::start_by(command, config);
    beelance.signal(Signal::SIGTERM);
    assert_eq!(beelance.exit_code(), Some(0));
    beelance.ended();
    beelance.log()
}

#[test]
fn a_file_that_cannot_be_read_again_is_told() {
    if !can_show("a file of root's") {
        return;
    }
    let config = format!("listen.web = 0.0.0.0:0\nbackend.s = 127.0.0.1:1\nuser = {USER}\ngroup = {GROUP}\n");
    for (mode, expected) in [("600", 1), ("644", 0)] {
        let lines = told(command_after(&format!("chmod {mode} \"$3\"")), &config);
        let count = lines.iter().filter(|line| line.contains("may not read the configuration again")).count();
        assert_eq!(count, expected, "{mode}: {lines:?}");
    }
}

#[test]
fn limits_of_the_kernel_that_are_too_low_are_told_with_what_to_type() {
    if !can_show("limits of the kernel") {
        return;
    }
    let config = "listen.web = 0.0.0.0:0\nbackend.s = 127.0.0.1:1\nlimits.connections = 500\n";
    // A network of its own has limits of its own.
    let low = "sysctl -qw net.core.somaxconn=100 net.ipv4.ip_local_port_range='60000 60100'";
    let lines = told(command_after(low), config);
    let typed = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(&format!("beelance: {name} is 10")));
        let line = line.unwrap_or_else(|| panic!("{name}: {lines:?}"));
        line.split_once("; ").unwrap().1.replace("sysctl -w", "sysctl -qw")
    };
    let typed = ["net.core.somaxconn", "net.ipv4.ip_local_port_range"].map(typed).join(" && ");
    let lines = told(command_after(&format!("{low} && {typed}")), config);
    assert!(!lines.iter().any(|line| line.contains("sysctl")), "{typed}: {lines:?}");
}
