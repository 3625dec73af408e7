//! Executing a program in place of this one, and beside it, with descriptors handed over as [`super::inherited`] takes them.
//!
//! ```text
//!   parent                                  child
//!   fork --------------------------------->  reads from the pipe
//!   exec: the new program, the same pid
//!     it closed the pipe ................ .>  the end: it has all connections, and finishes them
//!   or exec failed: a byte --------------->  ends at once
//!     and goes on as if nothing had been
//! ```

#![allow(unsafe_code, reason = "fork and exec have no safe form")]

use super::inherited::FIRST;
use super::outside;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2, read, write};
use std::env;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

/// `LISTEN_PID=` and room for any process id.
const LISTEN_PID: &[u8] = b"LISTEN_PID=0000000000\0";
const DIGITS: usize = 10;

/// A program, with all that executing it takes: nothing is allocated any more between fork(2) and execve(2).
pub struct Program {
    /// The file, where it is out of reach by its path.
    file: Option<OwnedFd>,
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<Vec<u8>>,
    /// What is handed over, in this order.
    descriptors: Vec<RawFd>,
}

/// What became of it.
pub enum Replaced {
    /// This process is the child, and the program runs in place of its parent. The pipe at whose other end nobody is any more.
    Child(OwnedFd),
    /// It does not: nothing has changed.
    Failed(io::Error),
}

fn nul(_: std::ffi::NulError) -> io::Error {
    io::Error::other("a zero byte in a path or an argument")
}

impl Program {
    /// The program at `path`. `variables` are set beside those of this process, and its descriptors handed over by their names.
    /// The descriptors have to stay open until it is executed.
    ///
    /// # Errors
    /// The system's: there is no such file.
    pub fn new(
        path: &Path,
        arguments: &[&OsStr],
        variables: &[(&str, String)],
        descriptors: &[(String, RawFd)],
    ) -> io::Result<Self> {
        let file = outside::open_as(path, OFlag::O_PATH)?;
        let mut environment: Vec<Vec<u8>> = Vec::new();
        let ours = |name: &OsStr| {
            name.as_bytes().starts_with(b"LISTEN_") || variables.iter().any(|(variable, _)| name == *variable)
        };
        for (name, value) in env::vars_os().filter(|(name, _)| !ours(name)) {
            environment.push([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        let names: Vec<&str> = descriptors.iter().map(|(name, _)| name.as_str()).collect();
        let mut set = |name: &str, value: &str| environment.push(format!("{name}={value}\0").into_bytes());
        variables.iter().for_each(|(name, value)| set(name, value));
        if !descriptors.is_empty() {
            set("LISTEN_FDS", &descriptors.len().to_string());
            set("LISTEN_FDNAMES", &names.join(":"));
            environment.push(LISTEN_PID.to_vec());
        }
        let arguments = arguments.iter().map(|argument| CString::new(argument.as_bytes()).map_err(nul));
        Ok(Self {
            file: outside::root().map(|_| file),
            path: CString::new(path.as_os_str().to_owned().into_vec()).map_err(nul)?,
            arguments: arguments.collect::<io::Result<_>>()?,
            environment,
            descriptors: descriptors.iter().map(|&(_, descriptor)| descriptor).collect(),
        })
    }

    /// Runs it in a process of its own, without standard output; its id.
    ///
    /// # Errors
    /// The system's.
    pub fn run_beside(mut self) -> io::Result<Pid> {
        let (nowhere, _) = pipe2(OFlag::O_CLOEXEC)?;
        // SAFETY: another thread may hold a lock at this moment; the child takes none, it makes system calls and executes.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                // SAFETY: both numbers are descriptors; what was there is not used any more.
                unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDOUT_FILENO) };
                let _ = self.execute();
                // SAFETY: it ends the process, and runs nothing of it.
                unsafe { libc::_exit(127) }
            }
        }
    }

    /// Executes it in place of this process, of which a child stays that has everything it had.
    pub fn replace(mut self) -> Replaced {
        let (reader, writer) = match pipe2(OFlag::O_CLOEXEC) {
            Ok(pipe) => pipe,
            Err(errno) => return Replaced::Failed(errno.into()),
        };
        // SAFETY: async-io's thread may hold a lock of its own at this moment, which the child never takes: it runs no task that
        // uses async-io. Locks of the C library are another matter, since the child allocates: glibc and musl (from 1.2.2 on)
        // take those of the allocator before they fork, and give them back on both sides.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                drop(writer);
                loop {
                    match read(&reader, &mut [0]) {
                        Ok(0) => return Replaced::Child(reader),
                        Err(Errno::EINTR) => {}
                        // SAFETY: it ends the process, and runs nothing of it: all of that is its parent's still.
                        Ok(_) | Err(_) => unsafe { libc::_exit(0) },
                    }
                }
            }
            Ok(ForkResult::Parent { child }) => {
                drop(reader);
                let error = self.execute();
                let _ = write(&writer, b"x");
                let _ = waitpid(child, None);
                Replaced::Failed(error)
            }
            Err(errno) => Replaced::Failed(errno.into()),
        }
    }

    /// Executes it; returns only when that failed, and then all descriptors are as before.
    fn execute(&mut self) -> io::Error {
        self.say_who();
        let arranged = match Arranged::new(&self.descriptors) {
            Ok(arranged) => arranged,
            Err(errno) => return errno.into(),
        };
        let errno = self.call();
        drop(arranged);
        errno.into()
    }

    fn call(&self) -> Errno {
        // On the stack: a child may not allocate. One for each, and an end.
        let mut arguments = [ptr::null(); 16];
        let mut environment = [ptr::null(); 512];
        if self.arguments.len() >= arguments.len() || self.environment.len() >= environment.len() {
            return Errno::E2BIG;
        }
        for (place, argument) in arguments.iter_mut().zip(&self.arguments) {
            *place = argument.as_ptr();
        }
        for (place, variable) in environment.iter_mut().zip(&self.environment) {
            *place = variable.as_ptr().cast::<libc::c_char>();
        }
        let Some(file) = &self.file else {
            // SAFETY: strings that end in a zero, in arrays that end in a null, all of which outlive the call.
            unsafe { libc::execve(self.path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            return Errno::last();
        };
        // SAFETY: as above; the descriptor is open, and an empty path is the file itself.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                file.as_raw_fd(),
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        Errno::last()
    }

    /// Writes the id of this process into `LISTEN_PID`, which is nobody else's.
    fn say_who(&mut self) {
        let mut rest = std::process::id();
        let Some(variable) = self.environment.last_mut().filter(|last| last.len() == LISTEN_PID.len()) else { return };
        let end = variable.len() - 1;
        for digit in variable[end - DIGITS..end].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    }
}

/// Names this process among the processes, as executing it by its path does.
pub fn set_name() {
    // It is of use to those who look only.
    let _ = nix::sys::prctl::set_name(c"beelance");
}

/// Descriptors at the numbers where they are looked for. What was there before is back when this is dropped: an epoll set knows
/// its sockets by number and file, and both are the same then.
struct Arranged {
    /// What was at each of the numbers, with its flags.
    before: [Option<(RawFd, FdFlag)>; Self::MOST],
    count: usize,
}

impl Arranged {
    const MOST: usize = 64;

    fn new(wanted: &[RawFd]) -> nix::Result<Self> {
        if wanted.len() > Self::MOST {
            return Err(Errno::E2BIG);
        }
        let mut copies = [-1; Self::MOST];
        let beyond = FIRST + RawFd::try_from(wanted.len()).unwrap_or(RawFd::MAX - FIRST);
        let copy = |number: RawFd| {
            // SAFETY: for this call only, which finds out whether it is one.
            fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_DUPFD_CLOEXEC(beyond))
        };
        let mut arranged = Self { before: [None; Self::MOST], count: 0 };
        for (place, &number) in copies.iter_mut().zip(wanted) {
            // A failure is one of a table that is full, and leaves a few open that the next attempt leaves too.
            *place = copy(number)?;
        }
        for (&source, number) in copies.iter().zip(FIRST..beyond) {
            // SAFETY: as above.
            let flags = fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD);
            arranged.before[arranged.count] = match flags {
                Ok(flags) => Some((copy(number)?, FdFlag::from_bits_retain(flags))),
                Err(_) => None,
            };
            arranged.count += 1;
            // SAFETY: both are numbers of descriptors; what was there is kept, and its owner runs again only when it is back.
            Errno::result(unsafe { libc::dup2(source, number) })?;
            close(source);
        }
        Ok(arranged)
    }
}

impl Drop for Arranged {
    fn drop(&mut self) {
        for (before, number) in self.before.iter().take(self.count).zip(FIRST..) {
            let Some((copy, flags)) = before else {
                close(number);
                continue;
            };
            let cloexec = if flags.contains(FdFlag::FD_CLOEXEC) { libc::O_CLOEXEC } else { 0 };
            // SAFETY: what was at this number comes back to it.
            unsafe { libc::dup3(*copy, number, cloexec) };
            close(*copy);
        }
    }
}

fn close(number: RawFd) {
    // SAFETY: a copy of our own, which nobody else has.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn identity(number: RawFd) -> Option<(u64, u64, i32)> {
        use std::os::unix::fs::MetadataExt;
        // SAFETY: only to look; whether it is open is the question.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        let flags = fcntl(borrowed, FcntlArg::F_GETFD).ok()?;
        let about = File::from(borrowed.try_clone_to_owned().ok()?).metadata().ok()?;
        Some((about.dev(), about.ino(), flags))
    }

    #[test]
    fn the_id_of_the_process_is_written_where_it_is_looked_for() {
        let file = File::open("/dev/null").unwrap();
        let descriptors = [("web".to_owned(), file.as_raw_fd()), ("other".to_owned(), file.as_raw_fd())];
        let variables = [("BEELANCE_TEST", "x y".to_owned())];
        let mut program =
            Program::new(Path::new("/bin/true"), &[OsStr::new("true")], &variables, &descriptors).unwrap();
        program.say_who();
        let has = |line: &str| program.environment.iter().any(|variable| variable == format!("{line}\0").as_bytes());
        assert!(has(&format!("LISTEN_PID={:010}", std::process::id())));
        assert!(has("LISTEN_FDS=2") && has("LISTEN_FDNAMES=web:other") && has("BEELANCE_TEST=x y"));
        let nothing = Program::new(Path::new("/bin/true"), &[], &[], &[]).unwrap();
        assert!(!nothing.environment.iter().any(|variable| variable.starts_with(b"LISTEN_")));
        assert!(Program::new(Path::new("/no/such/program"), &[], &[], &[]).is_err());
    }

    /// In a process of its own: here other tests open and close descriptors meanwhile.
    #[test]
    fn what_could_not_be_executed_leaves_every_descriptor_as_it_was() {
        let wanted = [File::open("/dev/null").unwrap(), File::open("/dev/zero").unwrap(), File::open("/").unwrap()];
        let path = std::env::temp_dir().join(format!("beelance-no-program-{}", std::process::id()));
        std::fs::write(&path, "no program").unwrap();
        let descriptors: Vec<_> = wanted.iter().map(|file| (String::new(), file.as_raw_fd())).collect();
        let mut program = Program::new(&path, &[], &[], &descriptors).unwrap();
        // SAFETY: the child looks at descriptors, and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let look = || (0..100).map(identity).collect::<Vec<_>>();
                let before = look();
                let refused = program.execute().raw_os_error() == Some(libc::EACCES);
                let same = look() == before;
                // SAFETY: it runs nothing of the parent's.
                unsafe { libc::_exit(if refused && same { 0 } else { 1 }) }
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None).unwrap();
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}
