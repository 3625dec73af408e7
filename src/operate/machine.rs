//! What the machine lets beelance have: the numbers behind [`Machine`], read once before the loop starts.
//!
//! Owns the files of /proc and /sys that say so, and the process's own limits. Refuses to decide: what follows from
//! the numbers is the budget in [`crate::limits`]. Whatever cannot be read counts as not said.

use crate::limits::Machine;
use crate::runtime::outside;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
use std::io::{self, Read};
use std::path::{Component, Path};

/// A cgroup limit from here on means none: version 1 writes the largest multiple of a page.
const UNLIMITED: u64 = 1 << 60;
/// The page size's key in /proc/self/auxv (`AT_PAGESZ` of getauxval(3)).
const AT_PAGESZ: usize = 6;

/// Reads all of it.
#[must_use]
pub fn read() -> Machine {
    Machine {
        address_space: [Resource::RLIMIT_AS, Resource::RLIMIT_DATA]
            .into_iter()
            .filter_map(|resource| limit(resource, |(soft, _)| soft))
            .min(),
        descriptors: limit(Resource::RLIMIT_NOFILE, |(_, hard)| hard),
        ..read_files(Path::new("/"))
    }
}

/// Raises the soft limit of file descriptors to the hard one and returns it.
///
/// # Errors
/// What getrlimit(2) or setrlimit(2) says.
#[allow(clippy::useless_conversion, reason = "rlim_t has 32 bits on some targets")]
pub fn raise_descriptors() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft != hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(u64::from(hard))
}

/// Lets no huge pages stand in for ordinary ones: with them the first byte of a table makes 2 MB resident, and what is
/// resident is no longer what is in use.
///
/// # Errors
/// What prctl(2) says: a kernel without huge pages.
pub fn refuse_huge_pages() -> io::Result<()> {
    Ok(nix::sys::prctl::set_thp_disable(true)?)
}

#[allow(clippy::useless_conversion, reason = "rlim_t has 32 bits on some targets")]
fn limit(resource: Resource, which: fn((rlim_t, rlim_t)) -> rlim_t) -> Option<u64> {
    let value = which(getrlimit(resource).ok()?);
    (value != RLIM_INFINITY).then_some(u64::from(value))
}

/// The part that is in files, below `root`.
fn read_files(root: &Path) -> Machine {
    let text = |path: &str| text(&root.join(path));
    let page_size = || page_size(&bytes(&root.join("proc/self/auxv"))?);
    Machine {
        memory_total: text("proc/meminfo").and_then(|text| memory(&text, "MemTotal:")),
        cgroup: text("proc/self/cgroup").and_then(|groups| cgroup_limit(&root.join("sys/fs/cgroup"), &groups)),
        tcp_memory: text("proc/sys/net/ipv4/tcp_mem").and_then(|pages| tcp_memory(&pages)?.checked_mul(page_size()?)),
        ..Machine::default()
    }
}

/// What is in a file, wherever the root directory is by now.
pub(super) fn text(path: &Path) -> Option<String> {
    String::from_utf8(bytes(path)?).ok()
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    outside::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Resident memory of a process, `self` or its number, in bytes.
pub(super) fn resident(process: &str) -> Option<u64> {
    memory(&text(Path::new(&format!("/proc/{process}/status")))?, "VmRSS:")
}

/// The figure behind this name in /proc/meminfo, or a process's status, in bytes.
fn memory(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_ascii_whitespace();
    let kilobytes: u64 = words.next()?.parse().ok()?;
    if words.next() == Some("kB") { kilobytes.checked_mul(1024) } else { None }
}

/// The third number of `net.ipv4.tcp_mem`, in pages.
fn tcp_memory(pages: &str) -> Option<u64> {
    pages.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// The page size in bytes: the auxiliary vector is pairs of native words.
fn page_size(auxv: &[u8]) -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    let mut pairs = auxv.chunks_exact(2 * WORD);
    let page = pairs.find_map(|pair| (word(&pair[..WORD])? == AT_PAGESZ).then(|| word(&pair[WORD..]))?)?;
    u64::try_from(page).ok()
}

/// The least memory limit of the process's cgroup and those above it, in version 2 (`0::/path`) and version 1
/// (`4:memory:/path`).
fn cgroup_limit(mount: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        if controllers.is_empty() {
            let unified = least_upwards(mount, path, "memory.max");
            unified.or_else(|| least_upwards(&mount.join("unified"), path, "memory.max"))
        } else if controllers.split(',').any(|controller| controller == "memory") {
            least_upwards(&mount.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The least number in the files called `file` from `mount` down to `path`.
fn least_upwards(mount: &Path, path: &str, file: &str) -> Option<u64> {
    let mut directory = mount.to_path_buf();
    // A path that leaves the mount (`/..`) belongs to another namespace: only the mount itself is ours to see.
    let inside = !Path::new(path).components().any(|part| part == Component::ParentDir);
    let below = if inside { path } else { "" };
    let read = |directory: &Path| -> Option<u64> { text(&directory.join(file))?.trim().parse().ok() };
    let mut least = read(&directory);
    for part in below.split('/').filter(|part| !part.is_empty()) {
        directory.push(part);
        least = least.into_iter().chain(read(&directory)).min();
    }
    least.filter(|&bytes| bytes < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// A directory with these files, gone when dropped.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, files: &[(&str, &[u8])]) -> Self {
            let root = std::env::temp_dir().join(format!("beelance-machine-{name}-{}", std::process::id()));
            for (path, bytes) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_board_without_cgroups() {
        let auxv: Vec<u8> = [33, 1, AT_PAGESZ, 4096, 0, 0].into_iter().flat_map(usize::to_ne_bytes).collect();
        let root = Root::with(
            "board",
            &[
                ("proc/meminfo", b"MemTotal:          58404 kB\nMemFree: 1 kB\n"),
                ("proc/sys/net/ipv4/tcp_mem", b"627\t836\t1254\n"),
                ("proc/self/auxv", &auxv),
            ],
        );
        let machine = read_files(&root.0);
        assert_eq!(machine.memory_total, Some(58_404 * 1024));
        assert_eq!(machine.tcp_memory, Some(1254 * 4096));
        assert_eq!(machine.cgroup, None);
    }

    #[test]
    fn cgroups_of_both_versions() {
        type Files = &'static [(&'static str, &'static [u8])];
        let cases: [(&str, Files, Option<u64>); 6] = [
            (
                "v2",
                &[("proc/self/cgroup", b"0::/a/b\n"), ("sys/fs/cgroup/a/b/memory.max", b"33554432\n")],
                Some(32 << 20),
            ),
            (
                "v2-above",
                &[
                    ("proc/self/cgroup", b"0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/memory.max", b"max\n"),
                    ("sys/fs/cgroup/a/memory.max", b"1048576\n"),
                ],
                Some(1 << 20),
            ),
            ("v2-none", &[("proc/self/cgroup", b"0::/\n"), ("sys/fs/cgroup/memory.max", b"max\n")], None),
            (
                "v1",
                &[
                    ("proc/self/cgroup", b"5:cpu:/x\n4:hugetlb,memory:/x\n0::/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", b"9223372036854771712\n"),
                    ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", b"16777216\n"),
                ],
                Some(16 << 20),
            ),
            (
                "v1-none",
                &[
                    ("proc/self/cgroup", b"4:memory:/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", b"9223372036854771712\n"),
                ],
                None,
            ),
            (
                "namespace",
                &[("proc/self/cgroup", b"0::/../other\n"), ("sys/fs/cgroup/memory.max", b"1048576\n")],
                Some(1 << 20),
            ),
        ];
        for (name, files, expected) in cases {
            let root = Root::with(name, files);
            assert_eq!(read_files(&root.0).cgroup, expected, "{name}");
        }
    }

    #[test]
    fn whatever_cannot_be_read_is_not_said() {
        let machine = read_files(Path::new("/nonexistent"));
        assert!(machine.memory_total.is_none() && machine.cgroup.is_none() && machine.tcp_memory.is_none());
        assert_eq!(memory("MemTotal: many kB", "MemTotal:"), None);
        assert_eq!(memory("MemTotal: 5 pages", "MemTotal:"), None);
        assert_eq!(memory("Name:\tx\nVmRSS:\t    1008 kB\nVmData: 5 kB\n", "VmRSS:"), Some(1008 * 1024));
        assert_eq!((resident("none"), resident("-")), (None, None));
        assert_eq!(tcp_memory("1 2"), None);
        assert_eq!(page_size(&[6, 0, 0]), None);
    }

    #[test]
    fn this_machine_has_memory_and_descriptors() {
        let machine = read();
        assert!(machine.memory_total.is_some_and(|bytes| bytes > 1 << 20));
        assert!(resident("self").is_some_and(|bytes| bytes > 1 << 20));
        let descriptors = raise_descriptors().unwrap();
        assert!(machine.descriptors.is_none_or(|hard| hard == descriptors));
        assert_eq!(raise_descriptors().unwrap(), descriptors);
    }
}
