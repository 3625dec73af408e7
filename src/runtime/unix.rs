//! UNIX stream sockets: a connection to a path, and a path to listen on.
//!
//! The file of a listener is its own: what a process that is gone left behind is replaced, what somebody listens on, or is
//! no socket, is not touched, and what was made is removed. Nobody can connect before the file's permissions are set: until
//! then the socket does not listen.

#![allow(
    unsafe_code,
    reason = "nix checks and copies a path for each call; here it is checked once, in the configuration"
)]

use super::{bounds, outside};
use crate::limits::{MAX_UNIX_PATH, Sockets};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstatat, lstat};
use nix::unistd::{UnlinkatFlags, unlink, unlinkat};
use std::ffi::{CStr, OsStr};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path, or `@` and a name in Linux' abstract namespace, as the system has it: at most [`MAX_UNIX_PATH`] bytes and a zero.
#[derive(Clone, Copy)]
struct Address {
    raw: libc::sockaddr_un,
    length: libc::socklen_t,
}

const _: () = assert!(size_of::<libc::sockaddr_un>() == offset_of!(libc::sockaddr_un, sun_path) + MAX_UNIX_PATH + 1);

impl Address {
    fn new(path: &str) -> nix::Result<Self> {
        if path.len() > MAX_UNIX_PATH {
            return Err(Errno::ENAMETOOLONG);
        }
        // SAFETY: sockaddr_un is plain old data, for which all zeroes is a value.
        let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        raw.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or(0);
        for (place, byte) in raw.sun_path.iter_mut().zip(path.bytes()) {
            *place = libc::c_char::from_ne_bytes([byte]);
        }
        let is_abstract = path.starts_with('@');
        if is_abstract {
            raw.sun_path[0] = 0;
        }
        // A name has no zero behind it.
        let length = offset_of!(libc::sockaddr_un, sun_path) + path.len() + usize::from(!is_abstract);
        Ok(Self { raw, length: libc::socklen_t::try_from(length).unwrap_or(0) })
    }

    /// The path; `None` for a name.
    fn path(&self) -> Option<&CStr> {
        // SAFETY: as many bytes as the array has, and a byte is a byte.
        let bytes: &[u8; MAX_UNIX_PATH + 1] = unsafe { &*(&raw const self.raw.sun_path).cast() };
        CStr::from_bytes_until_nul(bytes).ok().filter(|path| !path.is_empty())
    }

    fn connect(&self, socket: &OwnedFd) -> nix::Result<()> {
        // SAFETY: the address has so many bytes and outlives the call; the descriptor is open.
        Errno::result(unsafe { libc::connect(socket.as_raw_fd(), (&raw const self.raw).cast(), self.length) }).map(drop)
    }

    fn bind(&self, socket: &OwnedFd) -> nix::Result<()> {
        // SAFETY: the address has so many bytes and outlives the call; the descriptor is open.
        Errno::result(unsafe { libc::bind(socket.as_raw_fd(), (&raw const self.raw).cast(), self.length) }).map(drop)
    }
}

fn open() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}

/// A connection to `path`, which stands: there is no handshake to wait for.
///
/// # Errors
/// The system's: nobody listens, no permission, or `EAGAIN` when as many connections wait there as its backlog takes.
pub fn connect_unix(path: &str) -> io::Result<OwnedFd> {
    let socket = open()?;
    Address::new(path)?.connect(&socket)?;
    Ok(socket)
}

/// The same, within `bounds`.
pub(super) fn connect_within(path: &str, bounds: &Sockets) -> io::Result<OwnedFd> {
    let socket = connect_unix(path)?;
    bounds::set_unix(&socket, bounds)?;
    Ok(socket)
}

/// The file of a listening socket; removed when dropped, unless another one has its place by then. Its folder is held: by
/// then the root directory may be another one.
pub struct SocketFile {
    folder: OwnedFd,
    address: Address,
    device: libc::dev_t,
    inode: libc::ino_t,
}

impl SocketFile {
    /// The file of a socket that is bound to `path` already; `None` when it is out of reach: it stays then.
    pub(super) fn found(path: &str) -> Option<Self> {
        let address = Address::new(path).ok()?;
        Self::at(address, address.path()?).ok()
    }

    /// The file that is at the address now.
    fn at(address: Address, path: &CStr) -> nix::Result<Self> {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::EINVAL) };
        let folder = if folder == "" { Path::new(".") } else { folder };
        let folder = outside::open_as(folder, OFlag::O_PATH | OFlag::O_DIRECTORY);
        let folder = folder.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let made = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(Self { folder, address, device: made.st_dev, inode: made.st_ino })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let path = self.address.path().map(|path| Path::new(OsStr::from_bytes(path.to_bytes())));
        let Some(name) = path.and_then(Path::file_name) else { return };
        let found = fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| (found.st_dev, found.st_ino) == (self.device, self.inode)) {
            // A folder that no longer lets go of it keeps it: the next start replaces it.
            let _ = unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// A socket bound to `path`, and the file it made, which has the permissions `mode`. It does not listen yet.
///
/// # Errors
/// The system's; [`io::ErrorKind::AddrInUse`] when somebody listens there, [`io::ErrorKind::AlreadyExists`] when what is
/// there is no socket.
pub(super) fn bind_unix(path: &str, mode: u32) -> io::Result<(OwnedFd, Option<SocketFile>)> {
    let (socket, address) = (open()?, Address::new(path)?);
    // What Linux makes of it is no more than this allows, whatever the umask.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let Some(path) = address.path() else {
        address.bind(&socket)?;
        return Ok((socket, None));
    };
    match address.bind(&socket) {
        Err(Errno::EADDRINUSE) => {
            remove_stale(&address, path)?;
            address.bind(&socket)?;
        }
        result => result?,
    }
    let file = SocketFile::at(address, path)?;
    fchmodat(AT_FDCWD, path, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)?;
    Ok((socket, Some(file)))
}

/// Removes the socket of a process that is gone.
fn remove_stale(address: &Address, path: &CStr) -> nix::Result<()> {
    if SFlag::from_bits_truncate(lstat(path)?.st_mode) & SFlag::S_IFMT != SFlag::S_IFSOCK {
        return Err(Errno::EEXIST);
    }
    match address.connect(&open()?) {
        Err(Errno::ECONNREFUSED) => unlink(path),
        // Whoever has a backlog listens, full or not; and of what cannot be asked nobody knows that it is stale.
        Ok(()) | Err(_) => Err(Errno::EADDRINUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("beelance-unix-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn bind_there(path: &std::path::Path) -> io::Result<(OwnedFd, Option<SocketFile>)> {
        bind_unix(path.to_str().unwrap(), 0o660)
    }

    #[test]
    fn what_is_at_the_path_already() {
        let folder = folder("stale");
        let path = folder.join("socket");
        let kind = |result: io::Result<_>| result.map(drop).map_err(|error| error.kind());
        // Somebody listens, or its backlog is full.
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(kind(bind_there(&path)), Err(io::ErrorKind::AddrInUse));
        let mut waiting = Vec::new();
        while let Ok(socket) = connect_unix(path.to_str().unwrap()) {
            waiting.push(socket);
        }
        assert_eq!(kind(bind_there(&path)), Err(io::ErrorKind::AddrInUse));
        // It is gone, its file is not.
        drop((listener, waiting));
        let (_socket, file) = bind_there(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o660);
        drop(file);
        assert!(!path.exists());
        // What is no stream socket, or no socket at all, or leads to one, stays.
        let datagrams = UnixDatagram::bind(&path).unwrap();
        assert_eq!(kind(bind_there(&path)), Err(io::ErrorKind::AddrInUse));
        drop(datagrams);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert_eq!(kind(bind_there(&path)), Err(io::ErrorKind::AlreadyExists));
        let link = folder.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(kind(bind_there(&link)), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_took_its_place_is_left_alone() {
        let folder = folder("successor");
        let path = folder.join("socket");
        let (_socket, file) = bind_there(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _successor = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_abstract_namespace_has_no_files() {
        let name = format!("@beelance-test-{}", std::process::id());
        let (socket, file) = bind_unix(&name, 0o600).unwrap();
        assert!(file.is_none());
        let taken = bind_unix(&name, 0o600).map(drop).map_err(|error| error.kind());
        assert_eq!(taken, Err(io::ErrorKind::AddrInUse));
        drop(socket);
        bind_unix(&name, 0o600).unwrap();
    }
}
