//! UNIX stream sockets: a connection to a path, and a path to listen on.
//!
//! The file of a listener is its own: what a process that is gone left behind is replaced, what somebody listens on, or is
//! no socket, is not touched, and what was made is removed. Nobody can connect before the file's permissions are set: until
//! then the socket does not listen.

use super::bounds;
use crate::limits::Sockets;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
use nix::sys::stat::{Mode, fchmod};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

/// A path whose name in messages is `unix:PATH`; with `@` in front it is a name in Linux' abstract namespace.
fn address(path: &str) -> nix::Result<UnixAddr> {
    match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()),
        None => UnixAddr::new(path),
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
    connect(socket.as_raw_fd(), &address(path)?)?;
    Ok(socket)
}

/// The same, within `bounds`.
pub(super) fn connect_within(path: &str, bounds: &Sockets) -> io::Result<OwnedFd> {
    let socket = connect_unix(path)?;
    bounds::set_unix(&socket, bounds)?;
    Ok(socket)
}

/// The file of a listening socket; removed when dropped, unless another one has its place by then.
pub(super) struct SocketFile {
    path: Box<str>,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let mine = |found: &fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&*self.path).is_ok_and(|found| mine(&found)) {
            // A folder that no longer lets go of it keeps it: the next start replaces it.
            let _ = fs::remove_file(&*self.path);
        }
    }
}

/// A socket bound to `path`, and the file it made, which has the permissions `mode`. It does not listen yet.
///
/// # Errors
/// The system's; [`io::ErrorKind::AddrInUse`] when somebody listens there, [`io::ErrorKind::AlreadyExists`] when what is
/// there is no socket.
pub(super) fn bind_unix(path: &str, mode: u32) -> io::Result<(OwnedFd, Option<SocketFile>)> {
    let (socket, address) = (open()?, address(path)?);
    // What Linux makes of it is no more than this allows, whatever the umask.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) if !path.starts_with('@') => {
            remove_stale(path)?;
            bind(socket.as_raw_fd(), &address)?;
        }
        result => result?,
    }
    if path.starts_with('@') {
        return Ok((socket, None));
    }
    let made = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.into(), device: made.dev(), inode: made.ino() };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((socket, Some(file)))
}

/// Removes the socket of a process that is gone.
fn remove_stale(path: &str) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match connect_unix(path) {
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => fs::remove_file(path),
        // Whoever has a backlog listens, full or not; and of what cannot be asked nobody knows that it is stale.
        Ok(_) | Err(_) => Err(Errno::EADDRINUSE.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
