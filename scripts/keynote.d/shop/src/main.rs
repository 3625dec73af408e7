//! The shop that `scripts/keynote` measures: its servers, their database, and its users, a process each.
//!
//! ```text
//!   load (users) --> a balancer --> server, n times (workers, processors, a private session cache) --> database
//! ```
//!
//! Work is waiting, not computing: forty servers fit a small machine, and what is measured is how they queue. What
//! everything takes stands in one file, [`parameters`]. Each process says where it listens on its first line, and ends when
//! its standard input does, so that none outlives who started it.

#![allow(clippy::disallowed_methods, reason = "that there is one clock is a rule of the balancer")]

mod database;
mod http;
mod load;
mod machine;
mod parameters;
mod random;
mod server;
mod steps;
mod tally;

use parameters::Parameters;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

const USAGE: &str = "\
usage: shop server   --parameters FILE --name NAME --seed N --database ADDRESS
       shop database --parameters FILE --seed N
       shop load     --parameters FILE --seed N --target ADDRESS --servers N
                     (--ramp FROM | --users N --seconds N)
";

/// What was asked for on the command line.
#[derive(Default)]
struct Arguments {
    parameters: Option<String>,
    name: String,
    seed: u64,
    database: Option<SocketAddr>,
    target: Option<SocketAddr>,
    servers: usize,
    ramp: usize,
    users: usize,
    seconds: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("shop: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (role, arguments) = read_arguments()?;
    let file = arguments.parameters.ok_or("no --parameters")?;
    let parameters = Parameters::parse(&std::fs::read_to_string(&file)?).map_err(|error| format!("{file}: {error}"))?;
    end_with_standard_input();
    match role.as_str() {
        "server" => {
            let database = arguments.database.ok_or("no --database")?;
            http::serve(listen()?, server::Server::new(&arguments.name, parameters, database, arguments.seed))?;
        }
        "database" => http::serve(listen()?, database::Database::new(parameters, arguments.seed))?,
        "load" => {
            let target = arguments.target.ok_or("no --target")?;
            let plan = if arguments.ramp > 0 {
                steps::Plan::ramp(&parameters, arguments.ramp)
            } else {
                steps::Plan::steady(&parameters, arguments.users, arguments.seconds)
            };
            load::run(parameters, target, arguments.servers, arguments.seed, plan);
        }
        role => return Err(format!("no such role: {role}").into()),
    }
    Ok(())
}

fn read_arguments() -> Result<(String, Arguments), Box<dyn std::error::Error>> {
    use lexopt::prelude::{Long, Value, ValueExt};
    let mut parser = lexopt::Parser::from_env();
    let (mut role, mut read) = (String::new(), Arguments::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) if role.is_empty() => role = value.string()?,
            Long("parameters") => read.parameters = Some(parser.value()?.string()?),
            Long("name") => read.name = parser.value()?.string()?,
            Long("seed") => read.seed = parser.value()?.parse()?,
            Long("database") => read.database = Some(parser.value()?.parse()?),
            Long("target") => read.target = Some(parser.value()?.parse()?),
            Long("servers") => read.servers = parser.value()?.parse()?,
            Long("ramp") => read.ramp = parser.value()?.parse()?,
            Long("users") => read.users = parser.value()?.parse()?,
            Long("seconds") => read.seconds = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok((role, read))
}

/// A free port of loopback, said on the first line.
fn listen() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

/// Ends the process when whoever started it closes its standard input, or is gone.
fn end_with_standard_input() {
    std::thread::spawn(|| {
        let mut sink = [0; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
        std::process::exit(0);
    });
}
