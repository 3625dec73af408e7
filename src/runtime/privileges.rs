//! What the process may do, given up for good before any second thread exists.
//!
//! Owns the order of it: root directory, bounding set, groups, user, capabilities, and no program it runs ever gets more.
//! Refuses to believe: what the kernel says of the process afterwards has to agree.

#![allow(unsafe_code, reason = "nix has no form of capset(2), capget(2) and of what prctl(2) does to capabilities")]

use super::outside;
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, chdir, chroot, geteuid, setgroups, setresgid, setresuid};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

/// Who the process is to be, and what it is to see.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The user; the one it is, without.
    pub user: Option<u32>,
    /// The group; the one it is of, without.
    pub group: Option<u32>,
    /// The root directory.
    pub root: Option<&'a Path>,
}

/// What could not be given up.
#[derive(Debug)]
pub struct Refused {
    /// The key of the configuration that asks for it.
    pub key: &'static str,
    /// Why not.
    pub why: Why,
}

/// Why something could not be given up.
#[derive(Debug)]
pub enum Why {
    /// The system's word.
    System(io::Error),
    /// It seemed to go well, and the kernel shows this.
    Shown(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::System(error) => write!(f, "{}: {error}", self.key),
            Why::Shown(text) => write!(f, "{}: not given up as it should be: {text}", self.key),
        }
    }
}

/// `CAP_SETGID`, `CAP_SETUID`, `CAP_SETPCAP` and `CAP_NET_BIND_SERVICE` of capabilities(7).
const SETGID: u32 = 6;
const SETUID: u32 = 7;
const SETPCAP: u32 = 8;
const NET_BIND_SERVICE: u32 = 10;
/// More capabilities than any kernel has.
const CAPABILITIES: libc::c_ulong = 64;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

/// Effective, permitted and inheritable ones: the low halves of all three, then the high ones.
type Sets = [[u32; 3]; 2];

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

/// Lets no program that the process runs have more privileges than it has itself.
///
/// # Errors
/// The system's.
pub fn refuse_new() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// Whether the process may listen on ports below 1024 that belong to nobody in particular.
#[must_use]
pub fn may_bind_low_ports() -> bool {
    has(NET_BIND_SERVICE)
}

/// Gives up everything but what `wanted` leaves, and looks whether that is so.
///
/// # Errors
/// What was refused. Some of it may be given up by then: the process must not go on.
pub fn give_up(wanted: &Wanted<'_>) -> Result<(), Refused> {
    let refused = |key: &'static str| move |errno: Errno| Refused { key, why: Why::System(errno.into()) };
    let shown = |text: String| Refused { key: "user", why: Why::Shown(text) };
    if wanted.user.is_some_and(|user| user != geteuid().as_raw()) && !has(SETUID) {
        return Err(refused("user")(Errno::EPERM));
    }
    let may_clear = has(SETPCAP);
    let may_leave_groups = has(SETGID);
    if let Some(root) = wanted.root {
        enter(root).map_err(|why| Refused { key: "chroot", why: Why::System(why) })?;
    }
    forget_capabilities(may_clear).map_err(refused("user"))?;
    if may_leave_groups {
        setgroups(&[]).map_err(refused("group"))?;
    }
    if let Some(group) = wanted.group.map(Gid::from_raw) {
        setresgid(group, group, group).map_err(refused("group"))?;
    }
    let user = wanted.user.map_or_else(geteuid, Uid::from_raw);
    setresuid(user, user, user).map_err(refused("user"))?;
    clear_sets().map_err(refused("user"))?;
    refuse_new().map_err(|error| Refused { key: "user", why: Why::System(error) })?;
    let mut status = String::new();
    let read = outside::open(Path::new("/proc/self/status")).and_then(|mut file| file.read_to_string(&mut status));
    read.map_err(|error| shown(format!("/proc/self/status cannot be read: {error}: mount /proc")))?;
    let groups = may_leave_groups.then_some("");
    verify(&status, user.as_raw(), wanted.group, groups, may_clear).map_err(shown)
}

/// Makes `root` the root directory, if it is not already.
fn enter(root: &Path) -> io::Result<()> {
    if outside::root().is_some() {
        // This program was executed in place of one that went in, and cannot go anywhere else.
        let identity = |file: std::fs::File| file.metadata().map(|it| (dev(&it), ino(&it)));
        let there = outside::look(root).and_then(identity)?;
        let here = std::fs::File::open("/").and_then(identity)?;
        return if here == there { Ok(()) } else { Err(io::Error::other("it is another one by now: restart needed")) };
    }
    outside::keep_root()?;
    chroot(root)?;
    Ok(chdir("/")?)
}

fn dev(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

fn ino(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

/// Takes all capabilities from what this process may ever execute.
fn forget_capabilities(may_clear: bool) -> nix::Result<()> {
    // SAFETY: these calls take numbers and touch no memory of ours.
    let clear = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    match Errno::result(clear) {
        // Kernels before 4.3 have none.
        Ok(_) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    for capability in (0..CAPABILITIES).take_while(|_| may_clear) {
        // SAFETY: as above.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(dropped) {
            Ok(_) => {}
            // The first one that this kernel does not have.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn clear_sets() -> nix::Result<()> {
    let (header, sets) = (Header { version: VERSION, pid: 0 }, Sets::default());
    // SAFETY: both have the form that this version of the call reads, and outlive it.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) }).map(drop)
}

/// Whether a capability is in effect.
fn has(capability: u32) -> bool {
    let (mut header, mut sets) = (Header { version: VERSION, pid: 0 }, Sets::default());
    // SAFETY: both have the form that this version of the call writes, and outlive it.
    let read = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, &raw mut sets) };
    read == 0 && sets[0][0] >> capability & 1 == 1
}

/// Whether `status`, of `/proc/self/status`, shows a process of this user and group with nothing to its name. `groups` and
/// `cleared`: as far as it could leave its groups, and empty the bounding set.
fn verify(status: &str, user: u32, group: Option<u32>, groups: Option<&str>, cleared: bool) -> Result<(), String> {
    let of = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| (name.to_owned(), value)))
    };
    let wrong = |(name, value): (String, &str)| format!("{name}: {}", value.trim());
    let all_are = |value: &str, id: u32| value.split_ascii_whitespace().all(|word| word.parse() == Ok(id));
    let check = |name: &str, good: &dyn Fn(&str) -> bool| match of(name) {
        Some(found) if !good(found.1) => Err(wrong(found)),
        Some(_) => Ok(()),
        None => Err(format!("{name} is not told")),
    };
    // What holds for the one thread there is holds for all that it starts.
    check("Threads", &|value| value.trim() == "1")?;
    check("Uid", &|value| all_are(value, user))?;
    if let Some(group) = group {
        check("Gid", &|value| all_are(value, group))?;
    }
    if let Some(groups) = groups {
        check("Groups", &|value| value.trim() == groups)?;
    }
    let none = |value: &str| u64::from_str_radix(value.trim(), 16) == Ok(0);
    for set in ["CapInh", "CapPrm", "CapEff"] {
        check(set, &none)?;
    }
    if cleared {
        check("CapBnd", &none)?;
    }
    // Older kernels do not tell these.
    for (name, good) in [("CapAmb", &none as &dyn Fn(&str) -> bool), ("NoNewPrivs", &|value| value.trim() == "1")] {
        if of(name).is_some() {
            check(name, good)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Name:\tbeelance\nUid:\t33\t33\t33\t33\nGid:\t34\t34\t34\t34\nGroups:\t \nThreads:\t1\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    #[test]
    fn what_the_kernel_shows_has_to_agree() {
        let verdict = |status: &str| verify(status, 33, Some(34), Some(""), true);
        assert_eq!(verdict(GOOD), Ok(()));
        let cases = [
            ("Uid:\t33\t33\t33\t33", "Uid:\t33\t33\t0\t33"),
            ("Gid:\t34\t34\t34\t34", "Gid:\t34\t34\t34\t0"),
            ("Groups:\t ", "Groups:\t4 24"),
            ("Threads:\t1", "Threads:\t2"),
            ("CapInh:\t0000000000000000", "CapInh:\t0000000000000400"),
            ("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000001"),
            ("CapEff:\t0000000000000000", "CapEff:\t0000000000000001"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff"),
            ("CapAmb:\t0000000000000000", "CapAmb:\t0000000000000400"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
        ];
        for (good, bad) in cases {
            assert!(GOOD.contains(good));
            let why = verdict(&GOOD.replace(good, bad)).unwrap_err();
            assert!(why.starts_with(good.split_once(':').unwrap().0), "{bad}: {why}");
        }
        // What is not told is not so, except where older kernels have no word for it.
        for (line, _) in cases {
            let told = GOOD.replace(line, "");
            let fine = line.starts_with("CapAmb") || line.starts_with("NoNewPrivs");
            assert_eq!(verdict(&told).is_ok(), fine, "{line}");
        }
    }

    #[test]
    fn who_was_not_root_keeps_what_nobody_can_take_from_him() {
        let status = GOOD.replace("Groups:\t ", "Groups:\t33 44").replace("CapBnd:\t0", "CapBnd:\tf");
        assert_eq!(verify(&status, 33, None, None, false), Ok(()));
        assert!(verify(&status, 33, None, None, true).is_err());
    }
}
