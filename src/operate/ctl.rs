//! `beelance ctl`: one command to the runtime socket of a running beelance, and its answer.
//!
//! An answer that is an error is told apart by its severity, which the socket is asked to give: it goes to standard error,
//! and the exit code says so. What is no error, and has one, loses it.

use super::Failure;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Asks for `[3]: ` before errors; its own answer is an empty line.
const SEVERITY: &str = "set severity-output number;";

/// Sends `command` to the socket at `path`; prints the answer.
///
/// # Errors
/// [`Failure::Config`] when the answer is an error, [`Failure::System`] when there is none.
pub fn ctl(path: &Path, command: &str) -> Result<u8, Failure> {
    let text = ask(path, command, None)?;
    super::print(text.as_bytes()).map(|()| 0)
}

/// The answer to `command`. `patience` is for who cannot wait: what takes how long is the server's to say, and a `wait` may
/// take days.
///
/// # Errors
/// As [`ctl`].
pub(super) fn ask(path: &Path, command: &str, patience: Option<Duration>) -> Result<String, Failure> {
    ask_while(path, command, &mut |stream| stream.set_read_timeout(patience))
}

/// The same; `wait` waits before each read until there is something, or gives up.
///
/// # Errors
/// As [`ctl`].
pub(super) fn ask_while(
    path: &Path,
    command: &str,
    wait: &mut dyn FnMut(&UnixStream) -> io::Result<()>,
) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::System(format!("beelance: {}: {error}{}", path.display(), hint(&error)));
    if command.contains(['\n', '\r']) {
        return Err(Failure::Config("beelance: a command is one line".into()));
    }
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.write_all(format!("{SEVERITY}{command}\n").as_bytes()).map_err(failed)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        wait(&stream).map_err(failed)?;
        match stream.read(&mut piece).map_err(failed)? {
            0 => break,
            count => answer.extend_from_slice(&piece[..count]),
        }
    }
    let (text, wrong) = told(&answer);
    let text = String::from_utf8_lossy(&text).into_owned();
    if wrong { Err(Failure::Config(text.trim_end().to_owned())) } else { Ok(text) }
}

/// The answer without what was asked for beside it, and whether any of it is an error.
fn told(answer: &[u8]) -> (Vec<u8>, bool) {
    let answer = answer.strip_prefix(b"\n").unwrap_or(answer);
    let answer = answer.strip_suffix(b"\n").unwrap_or(answer);
    let (mut text, mut wrong) = (Vec::with_capacity(answer.len()), false);
    for line in answer.split_inclusive(|&byte| byte == b'\n') {
        let error = line.strip_prefix(b"[3]: ");
        wrong |= error.is_some();
        text.extend_from_slice(error.or(line.strip_prefix(b"[6]: ")).unwrap_or(line));
    }
    (text, wrong)
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => ": no beelance has it; is `admin.socket` this path? (-s SOCKET)",
        io::ErrorKind::ConnectionRefused => ": the beelance that had it is gone",
        io::ErrorKind::PermissionDenied => ": it is another user's; `admin.socket.mode` says who may use it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_who_is_impatient_gives_up() {
        let path = std::env::temp_dir().join(format!("beelance-ctl-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let asked = |patience| {
            std::thread::scope(|scope| {
                let asks = scope.spawn(|| ask(&path, "wait 2m; show version", patience));
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                io::BufReader::new(&stream).read_line(&mut line).unwrap();
                assert_eq!(line, "set severity-output number;wait 2m; show version\n");
                // The whole of the answer came, or who asked left before.
                if patience.is_some() {
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it has left");
                } else {
                    stream.write_all(b"\nDone.\n\n1\n\n").unwrap();
                }
                drop(stream);
                asks.join().unwrap()
            })
        };
        assert!(matches!(asked(Some(Duration::from_millis(1))), Err(Failure::System(_))));
        assert_eq!(asked(None).unwrap(), "Done.\n\n1\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_error_is_told_apart() {
        for (answer, text, wrong) in [
            ("\n\n", "", false),
            ("\n[6]: Server deleted.\n", "Server deleted.", false),
            ("\n[3]: No such server.\n\n", "No such server.\n", true),
            ("\n0.1.0\n\n", "0.1.0\n", false),
            ("\n1 (initial 1)\n\n[3]: No such backend.\n\n", "1 (initial 1)\n\nNo such backend.\n", true),
            ("", "", false),
        ] {
            assert_eq!(told(answer.as_bytes()), (text.as_bytes().to_vec(), wrong), "{answer:?}");
        }
    }
}
