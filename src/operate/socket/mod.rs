//! The runtime socket: HAProxy's commands, with HAProxy's answers, on a UNIX socket.
//!
//! ```text
//!   serve: accept --> a place of a few --> lines --> words --> one command of COMMANDS --> pieces of its answer
//! ```
//!
//! The lines that came are answered, and the connection closed, unless `prompt` asked for more; several commands on a line
//! are separated by `;`. Whatever a command tells, it tells piece by piece through one fixed buffer, giving way between, so that
//! nobody's request waits for an operator. Owns the commands' names, levels and help; what they do is in `ceilings`, `change`,
//! `members`, `process`, `sessions`, `table` and `wait`, what they show in `explain`, `report`, `servers`, `sessions`, `show`,
//! `stat` and `table`.

mod ceilings;
mod change;
mod client;
mod explain;
mod members;
mod process;
mod report;
mod serve;
mod servers;
mod sessions;
mod show;
mod stat;
mod table;
mod wait;

pub(super) use serve::start;
pub(super) use stat::csv;

use super::level::Level;
use super::named::{self, Unknown};
use super::service::Service;
use super::text::Text;
use crate::limits::{BackendId, PoolId};
use crate::proxy::{Explained, Proxy};
use std::pin::Pin;

/// How messages begin (`set severity-output`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    None,
    Number,
    Word,
}

/// What an error begins with where that is asked for.
const ERROR: [&str; 2] = ["[3]: ", "[err]: "];

impl Severity {
    fn begin(self, [number, word]: [&str; 2], out: &mut Text<'_>) {
        out.bytes(match self {
            Self::None => b"",
            Self::Number => number.as_bytes(),
            Self::Word => word.as_bytes(),
        });
    }
}

/// What is remembered of a client from one command to the next.
struct Session {
    level: Level,
    /// It stays for more lines.
    prompt: bool,
    severity: Severity,
    idle_ms: u64,
    /// What `explain` is telling.
    explained: Option<Box<Explained>>,
    /// How far `show log` is.
    log_place: u64,
}

/// A command on its way.
struct Call<'a> {
    service: &'static Service,
    proxy: &'static Proxy,
    session: &'a mut Session,
    /// What follows the command's name.
    words: &'a [&'a str],
    /// How many pieces were written before.
    step: usize,
    /// When it came.
    began_ms: u64,
}

impl Call<'_> {
    /// What is written next is an error.
    fn begin_error(&self, out: &mut Text<'_>) {
        self.session.severity.begin(ERROR, out);
    }

    /// Says what is wrong, on a line.
    fn fail(&self, words: &[&str], out: &mut Text<'_>) {
        self.begin_error(out);
        words.iter().for_each(|word| out.bytes(word.as_bytes()));
        out.byte(b'\n');
    }

    /// What is written next is said, and nothing that was asked for.
    fn begin_note(&self, out: &mut Text<'_>) {
        self.session.severity.begin(["[6]: ", "[info]: "], out);
    }
}

/// What became of something that takes a while: as it is told in the log, be it an error or not.
type Told = Pin<Box<dyn Future<Output = Result<String, String>>>>;

/// What comes next.
enum Next {
    /// Another piece.
    More,
    /// Another piece, at this step.
    Skip(usize),
    /// Nothing.
    Done,
    /// The same again, at this time.
    Later(u64),
    /// `Success=1` or `Success=0`, and what is told then, as HAProxy's master socket answers.
    Told(Told),
    /// Nothing but this message: something is wrong.
    Error(&'static str),
    /// Nothing, and the client leaves.
    Quit,
}

type Run = fn(&mut Call<'_>, &mut Text<'_>) -> Next;

/// A command.
struct Command {
    name: &'static [&'static str],
    level: Level,
    /// Its arguments, and what it is for; nothing where it is not told of.
    help: [&'static str; 2],
    run: Run,
}

const fn command(name: &'static [&'static str], level: Level, help: [&'static str; 2], run: Run) -> Command {
    Command { name, level, help, run }
}

/// Every command, in the order of `help`. The words of HAProxy's help are kept where it has the command.
#[rustfmt::skip]
const COMMANDS: &[Command] = {
    use Level::{Admin, Operator, User};
    &[
    command(&["add", "server"], Admin, ["<bk>/<srv>", "create a new server"], members::add),
    command(&["clear", "counters"], Operator, ["[all]", "clear max statistics counters (or all counters)"], change::clear_counters),
    command(&["clear", "table"], Operator, ["<table> [key <k>]", "remove an entry from a table, or all of them"], table::clear),
    command(&["del", "server"], Admin, ["<bk>/<srv>", "remove a dynamically added server"], members::delete),
    command(&["disable", "agent"], Admin, ["", "disable agent checks"], change::disable_agent),
    command(&["disable", "health"], Admin, ["", "disable health checks"], change::disable_health),
    command(&["disable", "server"], Admin, ["(DEPRECATED)", "disable a server for maintenance (use 'set server' instead)"], change::disable_server),
    command(&["enable", "agent"], Admin, ["", "enable agent checks"], change::enable_agent),
    command(&["enable", "health"], Admin, ["", "enable health checks"], change::enable_health),
    command(&["enable", "server"], Admin, [" (DEPRECATED)", "enable a disabled server (use 'set server' instead)"], change::enable_server),
    command(&["explain"], User, ["{<method> <host> <path>|connection} [opts]", "tell what would become of a request or a connection now"], explain::explain),
    command(&["get", "weight"], User, ["<bk>/<srv>", "report a server's current weight"], change::get_weight),
    command(&["operator"], Operator, ["", "lower the level of the current CLI session to operator"], change::operator),
    command(&["reload"], Admin, ["", "read the configuration file again"], process::reload),
    command(&["set", "maxconn", "frontend"], Admin, ["<frontend> <value>", "change a frontend's maxconn setting"], ceilings::listener),
    command(&["set", "maxconn", "global"], Admin, ["<value>", "change the per-process maxconn setting"], ceilings::global),
    command(&["set", "maxconn", "server"], Admin, ["<bk>/<srv>", "change a server's maxconn setting"], change::set_maxconn),
    command(&["set", "server"], Admin, ["<bk>/<srv> [opts]", "change a server's state, weight or address"], change::set_server),
    command(&["set", "severity-output"], User, ["[none|number|string]", "set presence of severity level in feedback information"], change::set_severity),
    command(&["set", "table"], Operator, ["<table> key <k> data.server_id <id>", "remember the server of a user"], table::set),
    command(&["set", "timeout"], User, ["[cli] <delay>", "change a timeout setting"], change::set_timeout),
    command(&["set", "weight"], Admin, ["<bk>/<srv>  (DEPRECATED)", "change a server's weight (use 'set server' instead)"], change::set_weight),
    command(&["show", "backend"], User, ["", "list backends in the current running config"], show::backend),
    command(&["show", "cli", "level"], User, ["", "display the level of the current CLI session"], show::level),
    command(&["show", "errors"], Operator, ["", "report what went wrong by backend"], show::errors),
    command(&["show", "info"], User, ["", "report information about the running process"], show::info),
    command(&["show", "log"], Operator, ["", "show the last messages"], show::log),
    command(&["show", "report"], User, ["[<bk>/<srv>]", "tell how many servers would do, and which maxconn fits each"], report::report),
    command(&["show", "servers", "conn"], User, ["[<backend>]", "dump server connections status (all or for a single backend)"], servers::connections),
    command(&["show", "servers", "state"], User, ["[<backend>]", "dump volatile server information (all or for a single backend)"], servers::state),
    command(&["show", "sess"], Operator, ["[id]", "report the list of current sessions or dump this exact session"], sessions::show),
    command(&["show", "stat"], User, ["[<proxy> <type> <server>] [up|no-maint]", "report counters for each proxy and server"], stat::stat),
    command(&["show", "table"], Operator, ["[<table>]", "report table usage stats or dump this table's contents"], table::show),
    command(&["show", "version"], User, ["", "show version of the current process"], show::version),
    command(&["shutdown", "session"], Admin, ["[id]", "kill a specific session"], sessions::end),
    command(&["shutdown", "sessions", "server"], Admin, ["<bk>/<srv>", "kill sessions on a server"], sessions::end_of_server),
    command(&["upgrade"], Admin, ["[<program>]", "let a program take the place of this one"], process::upgrade),
    command(&["user"], User, ["", "lower the level of the current CLI session to user"], change::user),
    command(&["wait"], Admin, ["{-h|<delay>} [cond [args...]]", "wait the specified delay or condition"], wait::wait),
    command(&["help"], User, ["[<command>]", "list matching or all commands"], help),
    command(&["prompt"], User, ["", "toggle interactive mode with prompt"], change::prompt),
    command(&["quit"], User, ["", "disconnect"], |_, _| Next::Quit),
    ]
};

/// Columns of `help` before the colon.
const COLUMN: usize = 40;

/// The command that `words` name, and what follows its name.
fn find<'a, 'w>(words: &'a [&'w str]) -> Option<(&'static Command, &'a [&'w str])> {
    let is_it = |command: &&Command| words.len() >= command.name.len() && words.starts_with(command.name);
    let found = COMMANDS.iter().filter(is_it).max_by_key(|command| command.name.len())?;
    Some((found, &words[found.name.len()..]))
}

fn help(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    if call.step == 0 {
        out.bytes(b"The following commands are valid at this level:\n");
    }
    list(call, call.words, out)
}

/// What is told of a command that there is not.
fn unknown(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let known = call.words.first().filter(|first| COMMANDS.iter().any(|command| command.name[0] == **first));
    if call.step == 0 {
        call.begin_error(out);
        out.bytes(match known {
            Some(_) => b"Unknown command, but maybe one of the following ones is a better match:\n",
            None => b"Unknown command. Please enter one of the following commands only:\n",
        });
    }
    let like: &[&str] = if known.is_some() { &call.words[..1] } else { &[] };
    list(call, like, out)
}

/// One command a step, of those that begin with `like` and may be given; the last three always.
fn list(call: &Call<'_>, like: &[&str], out: &mut Text<'_>) -> Next {
    const ALWAYS: usize = 3;
    let Some(command) = COMMANDS.get(call.step) else { return Next::Done };
    let is_like = command.name.iter().zip(like).all(|(one, other)| one == other);
    if (is_like && command.level <= call.session.level) || call.step >= COMMANDS.len() - ALWAYS {
        let before = out.len();
        out.bytes(b" ");
        for word in command.name {
            out.byte(b' ');
            out.bytes(word.as_bytes());
        }
        if !command.help[0].is_empty() {
            out.byte(b' ');
            out.bytes(command.help[0].as_bytes());
        }
        while out.len() - before < COLUMN + 2 {
            out.byte(b' ');
        }
        out.bytes(b": ");
        out.bytes(command.help[1].as_bytes());
        out.byte(b'\n');
    }
    Next::More
}

/// Forms of HAProxy's answers that there are not: who asks for one could not read the other.
fn plain(options: &[&str]) -> Result<(), &'static str> {
    if options.iter().any(|option| ["typed", "json", "desc"].contains(option)) {
        return Err("'typed', 'json' and 'desc' are not supported.\n");
    }
    Ok(())
}

/// The server that `word` names.
fn server(proxy: &Proxy, word: Option<&&str>) -> Result<BackendId, &'static str> {
    named::server(&proxy.config(), word).map_err(Unknown::line)
}

/// The pool that `word` names.
fn pool(proxy: &Proxy, word: &str) -> Option<PoolId> {
    named::pool(&proxy.config(), word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_is_meant() {
        let name = |words: &[&str]| find(words).map(|(command, rest)| (command.name.join(" "), rest.len()));
        assert_eq!(name(&["show", "servers", "state", "x"]), Some(("show servers state".into(), 1)));
        assert_eq!(name(&["set", "maxconn", "server"]), Some(("set maxconn server".into(), 0)));
        assert_eq!(name(&["set", "maxconn"]), None);
        assert_eq!(name(&["show"]), None);
        assert_eq!(name(&[]), None);
    }

    #[test]
    fn no_two_commands_have_one_name() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
    }
}
