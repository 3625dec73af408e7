//! Giving up what was needed only to start, and what that means for whoever wants something later.
//!
//! Owns the words about it. What is done, and in which order, is [`crate::runtime::privileges`]'.

use super::machine;
use super::run::Failure;
use crate::config::{Address, Identity};
use crate::runtime::outside;
use crate::runtime::privileges::{self, Refused, Wanted, Why};
use nix::unistd::{AccessFlags, access, geteuid};
use std::io;
use std::path::Path;

/// Becomes who the configuration says. Only while there is one thread. `file`: the configuration, which is to be read again.
///
/// # Errors
/// [`Failure::System`].
pub(super) fn give_up(identity: &Identity, file: Option<&Path>) -> Result<(), Failure> {
    if !identity.is_given() {
        if let Err(error) = privileges::refuse_new() {
            log::warn!("programs that get more privileges are not ruled out (PR_SET_NO_NEW_PRIVS): {error}");
        }
        if file.is_some() && geteuid().is_root() {
            log::warn!("running as root: `user`, such as `user = nobody`, gives that up once the listeners listen");
        }
        return Ok(());
    }
    let wanted = Wanted {
        user: identity.user.as_ref().map(|user| user.id),
        group: identity.gid,
        root: identity.chroot.as_deref().map(Path::new),
    };
    privileges::give_up(&wanted)
        .map_err(|refused| Failure::System(format!("beelance: {refused}{}", hint(&refused))))?;
    if let Some(Err(error)) = file.map(|file| outside::open(file).map(drop)) {
        let who = identity.user.as_ref().map_or("it", |user| &user.name);
        log::warn!("{who} may not read the configuration again: {error}: a change of it needs a restart");
    }
    Ok(())
}

fn hint(refused: &Refused) -> &'static str {
    let Why::System(error) = &refused.why else { return "" };
    match (refused.key, error.kind()) {
        ("chroot", io::ErrorKind::NotFound) => ": the directory does not exist; make it",
        ("chroot", io::ErrorKind::NotADirectory) => ": it is no directory; name another",
        ("chroot", io::ErrorKind::PermissionDenied) => {
            ": only root may change its root directory; start it as root, or remove the key"
        }
        (_, io::ErrorKind::PermissionDenied) => {
            ": only root may become somebody else; start it as root, or remove the key"
        }
        _ => "",
    }
}

/// Whether this process, with what it has given up, may still begin to listen at `address`.
///
/// # Errors
/// Why not, for a message that goes on `: restart needed`.
pub fn may_listen(address: &Address) -> Result<(), &'static str> {
    match address {
        Address::Inet(address) => {
            let low = || machine::text(Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start"));
            let low = low().and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or(1024);
            match address.port() {
                port if port == 0 || port >= low || privileges::may_bind_low_ports() => Ok(()),
                _ => Err("a port that needs root, which was given up"),
            }
        }
        Address::Unix(path) if path.starts_with('@') => Ok(()),
        Address::Unix(_) if outside::root().is_some() => Err("a path outside of `chroot`"),
        Address::Unix(path) => {
            let folder = Path::new(path).parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
            let may = access(folder, AccessFlags::W_OK | AccessFlags::X_OK);
            may.map_err(|_| "a folder that this user may not write to")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_be_listened_at() {
        let folder = std::env::temp_dir();
        let path = |path: &Path| Address::Unix(path.to_str().unwrap().to_owned());
        assert_eq!(may_listen(&Address::Inet("127.0.0.1:0".parse().unwrap())), Ok(()));
        assert_eq!(may_listen(&Address::Inet("127.0.0.1:65535".parse().unwrap())), Ok(()));
        assert_eq!(may_listen(&Address::Unix("@name".to_owned())), Ok(()));
        assert_eq!(may_listen(&path(&folder.join("socket"))), Ok(()));
        assert!(may_listen(&path(&folder.join("no such folder/socket"))).is_err());
        let low = may_listen(&Address::Inet("127.0.0.1:1".parse().unwrap()));
        let start = machine::text(Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start")).unwrap();
        let anybody_may = start.trim().parse::<u16>().unwrap() <= 1;
        assert_eq!(low.is_ok(), anybody_may || privileges::may_bind_low_ports());
    }
}
