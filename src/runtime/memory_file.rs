//! A file that is nowhere but in memory: what a program leaves to the one that takes its place.

use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

/// Makes one of these bytes. It is gone with its last descriptor.
///
/// # Errors
/// The system's: a kernel before 3.17 has none.
pub fn write(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"beelance", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// Its bytes.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidData`] when there are more than `most`.
pub fn read(file: OwnedFd, most: usize) -> io::Result<Vec<u8>> {
    let mut file = File::from(file);
    if file.metadata()?.len() > most as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
