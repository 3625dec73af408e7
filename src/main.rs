//! Arguments to one of `run`, `check`, `demo`, `ctl` and `report`.

use beelance::{demo, operate};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
beelance, an HTTP/1.1 load balancer for small boards

  beelance run   [-c FILE]    run; FILE defaults to /etc/beelance.conf
  beelance check [-c FILE]    validate; print the effective configuration and the memory budget
  beelance demo  [--port N]   four shop servers on loopback, the balancer before them, a live table;
                              N defaults to 8080, or to a free port when that is taken
  beelance ctl   [-s SOCKET] COMMAND...
                              one command to the runtime socket of a running beelance, `help` for instance;
                              SOCKET defaults to /run/beelance.sock
  beelance ctl   [-s SOCKET] top
                              what it does, live; `q` ends
  beelance report [-s SOCKET] [POOL/SERVER]
                              what a running beelance has seen: how many servers would do, which maxconn fits each
  beelance --help | --version

Exit codes: 0 fine, 1 the configuration is wrong or the answer is an error, 2 wrong usage, 3 the system refused something.
";

enum Command {
    Run(PathBuf),
    Check(PathBuf),
    Demo(Option<u16>),
    Ctl(PathBuf, String),
    Print(String),
}

fn main() -> ExitCode {
    let command = match parse() {
        Ok(command) => command,
        Err(error) => {
            operate::tell(&format!("beelance: {error}\nsee beelance --help"));
            return ExitCode::from(2);
        }
    };
    let result = match command {
        Command::Run(path) => operate::run(&path),
        Command::Check(path) => operate::check(&path).map(|()| 0),
        Command::Demo(port) => demo::run(port),
        Command::Ctl(path, command) if command == "top" => operate::top(&path),
        Command::Ctl(path, command) => operate::ctl(&path, &command),
        Command::Print(text) => operate::print(text.as_bytes()).map(|()| 0),
    };
    result.map_or_else(
        |failure| {
            operate::tell(failure.text());
            ExitCode::from(failure.code())
        },
        ExitCode::from,
    )
}

fn parse() -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_env();
    let mut word = None;
    let mut file = PathBuf::from("/etc/beelance.conf");
    let mut port = None;
    let mut socket = PathBuf::from("/run/beelance.sock");
    let mut command = String::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Print(USAGE.into())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(format!("beelance {}\n", env!("CARGO_PKG_VERSION"))));
            }
            Short('c') if matches!(word.as_deref(), Some("run" | "check")) => file = parser.value()?.into(),
            Long("port") if word.as_deref() == Some("demo") => port = Some(parser.value()?.parse()?),
            Short('s') if matches!(word.as_deref(), Some("ctl" | "report")) && command.is_empty() => {
                socket = parser.value()?.into();
            }
            Value(server) if word.as_deref() == Some("report") && command.is_empty() => command = server.string()?,
            Value(value) if word.as_deref() == Some("ctl") => {
                // What follows is the command's, dashes and all.
                command = value.string()?;
                for more in parser.raw_args()? {
                    command = command + " " + &more.string()?;
                }
            }
            Value(value) if word.is_none() => word = Some(value.string()?),
            Value(file) if matches!(word.as_deref(), Some("run" | "check")) => {
                let file = file.to_string_lossy();
                return Err(format!("unexpected argument \"{file}\": use -c {file}").into());
            }
            // HAProxy's.
            Short('f') => return Err("invalid option '-f': the file is named by -c FILE".into()),
            Short('c') if word.is_none() => {
                return Err("a command comes first: beelance run -c FILE, or beelance check -c FILE".into());
            }
            argument => return Err(argument.unexpected()),
        }
    }
    match word.as_deref() {
        Some("run") => Ok(Command::Run(file)),
        Some("check") => Ok(Command::Check(file)),
        Some("demo") => Ok(Command::Demo(port)),
        Some("ctl") if command.is_empty() => {
            Err("a command for the runtime socket is missing: `help` lists them".into())
        }
        Some("ctl") => Ok(Command::Ctl(socket, command)),
        Some("report") => Ok(Command::Ctl(socket, format!("show report {command}"))),
        Some(other) => Err(format!("unknown command `{other}`").into()),
        None => Err("a command is missing".into()),
    }
}
