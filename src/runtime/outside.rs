//! Files by the paths they had before the process shut itself in with chroot(2).
//!
//! Owns a descriptor of the root directory of before, opened only when there will be another one: without `chroot` all of
//! this is plain opening. Such a descriptor is a way out for whoever can make this process run calls of his choice; what is
//! inside keeps paths in check, not code. Kernels before 5.6 have no openat2(2): there, absolute links in a path are looked
//! up inside and not found.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open as open_here, openat, openat2};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

/// One for the process, as its root directory is.
static ROOT: OnceLock<OwnedFd> = OnceLock::new();

/// Keeps the way to the root directory of now, for afterwards.
///
/// # Errors
/// The system's.
pub fn keep_root() -> io::Result<()> {
    keep(open_here("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?);
    Ok(())
}

/// The same with a descriptor of it that was handed over.
pub fn keep(root: OwnedFd) {
    // There is one chroot in the life of a process.
    let _ = ROOT.set(root);
}

/// The root directory of before, where there is another one now.
#[must_use]
pub fn root() -> Option<BorrowedFd<'static>> {
    ROOT.get().map(AsFd::as_fd)
}

/// Opens the file at `path` to read it.
///
/// # Errors
/// The system's.
pub fn open(path: &Path) -> io::Result<File> {
    open_as(path, OFlag::O_RDONLY).map(File::from)
}

/// A handle of what is at `path`: to ask about it, not to read it.
///
/// # Errors
/// The system's.
pub fn look(path: &Path) -> io::Result<File> {
    open_as(path, OFlag::O_PATH).map(File::from)
}

/// Opens what is at `path`, in the way `flags` say.
///
/// # Errors
/// The system's.
pub fn open_as(path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let flags = flags | OFlag::O_CLOEXEC;
    let Some(root) = root() else { return Ok(open_here(path, flags, Mode::empty())?) };
    let inner = path.strip_prefix("/").unwrap_or(path);
    let inner = if inner.as_os_str().is_empty() { Path::new(".") } else { inner };
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    match openat2(root, inner, how) {
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(openat(root, inner, flags, Mode::empty())?),
        result => Ok(result?),
    }
}
