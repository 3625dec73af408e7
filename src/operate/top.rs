//! `beelance ctl top`: what the dashboard shows, live in a terminal.
//!
//! A client of the runtime socket as any other: each second it asks `show info` and `show stat`, and shows them as a table of plain
//! ANSI, which a serial console knows. Where there is no terminal it is one table, and the end.

use super::{Failure, ctl, machine};
use crate::limits::TOP_PATIENCE_MS;
use crate::runtime::terminal::{CTRL_C, Happened, Terminal};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// Milliseconds from one table to the next.
const EVERY_MS: u16 = 1_000;
/// Another screen, without a cursor; and back to what was there.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";
const STRONG: &str = "\x1b[1m";
const INVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";
const WHAT: &str = "show info;show stat";

/// Shows it until `q`, Ctrl-C or a signal.
///
/// # Errors
/// [`Failure::System`] when nobody answers.
pub fn top(path: &Path) -> Result<u8, Failure> {
    let failed = |error: io::Error| Failure::System(format!("beelance: the terminal: {error}"));
    let answer = ctl::ask(path, WHAT, Some(Duration::from_millis(TOP_PATIENCE_MS.into())))?;
    let Some(terminal) = Terminal::open().map_err(failed)? else {
        return super::print(table(&answer, usize::MAX, usize::MAX, false).as_bytes()).map(|()| 0);
    };
    let shown = show(path, &terminal, answer);
    let _ = io::stdout().write_all(END.as_bytes()).and_then(|()| io::stdout().flush());
    drop(terminal);
    shown.map(|()| 0)
}

fn ends(key: u8) -> bool {
    matches!(key, b'q' | b'Q' | CTRL_C)
}

/// What is to be shown; nothing where the user does not wait for it.
fn figures(path: &Path, terminal: &Terminal) -> Result<Option<String>, Failure> {
    let mut ended = false;
    let answer = ctl::ask_while(path, WHAT, &mut |stream| {
        loop {
            match terminal.wait(Some(stream.as_fd()), TOP_PATIENCE_MS, ends) {
                Happened::Ready => return Ok(()),
                Happened::Nothing => return Err(ErrorKind::TimedOut.into()),
                Happened::Key(key) if !ends(key) => {}
                Happened::Resized => {}
                Happened::Key(_) | Happened::Ended => {
                    ended = true;
                    return Err(ErrorKind::Interrupted.into());
                }
            }
        }
    });
    if ended { Ok(None) } else { answer.map(Some) }
}

fn show(path: &Path, terminal: &Terminal, mut answer: String) -> Result<(), Failure> {
    let mut screen = String::from(BEGIN);
    loop {
        let [columns, lines] = terminal.size();
        // Each line replaces what was there; nothing flickers.
        screen.push_str("\x1b[H");
        // Not into the last column: many terminals stay there, and would erase what they just wrote.
        for line in table(&answer, columns.saturating_sub(1), lines, true).lines() {
            let _ = write!(screen, "{line}\x1b[K\r\n");
        }
        let shown = screen.trim_end_matches("\r\n").len();
        screen.truncate(shown);
        screen.push_str("\x1b[J");
        if io::stdout().write_all(screen.as_bytes()).and_then(|()| io::stdout().flush()).is_err() {
            return Ok(());
        }
        screen.clear();
        match terminal.wait(None, EVERY_MS, ends) {
            Happened::Ended => return Ok(()),
            Happened::Key(key) if ends(key) => return Ok(()),
            // Any other key is impatience.
            Happened::Key(_) | Happened::Nothing => match figures(path, terminal)? {
                Some(new) => answer = new,
                None => return Ok(()),
            },
            Happened::Resized | Happened::Ready => {}
        }
    }
}

/// A value of `show info`.
fn info<'a>(answer: &'a str, name: &str) -> &'a str {
    let mut lines = answer.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("-")
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// A number of thousands of millionths: 1234567 bytes are 1.1 MB.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The cells of a row: a comma within quotes is a peer's own.
fn cells(row: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    row.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

/// The columns that are shown, and how wide they are: with the name 79 in all, which a serial console has.
const COLUMNS: [(&str, usize); 7] =
    [("STATE", 11), ("IN FLIGHT", 12), ("WAITING", 8), ("RATE/S", 7), ("RESPONSE", 9), ("ERRORS", 7), ("WEIGHT", 7)];
/// The same of HAProxy's columns: state, now, limit, waiting, rate, response, errors (three), weight.
const NAMES: [&str; 10] = ["status", "scur", "slim", "qcur", "rate", "rtime", "econ", "eresp", "hrsp_5xx", "weight"];
/// Columns of a server's name.
const NAME: usize = 18;

/// The table, so wide and high at most.
fn table(answer: &str, width: usize, height: usize, colours: bool) -> String {
    let mut lines: Vec<(String, &str)> = Vec::new();
    let value = |name| info(answer, name);
    // HAProxy's version stands before its own.
    let version = value("Version").rsplit("beelance-").next().unwrap_or_default();
    lines.push((format!("beelance {version} on {}, up {}", value("node"), value("Uptime")), STRONG));
    // Where it is on this machine.
    let resident = machine::resident(value("Pid")).map_or("-".to_owned(), megabytes);
    let [hits, moved] = ["AffinityHits", "AffinityMoved"].map(|name| number(value(name)));
    let stayed = match (hits * 1_000).checked_div(hits + moved) {
        Some(thousandths) => format!("{}.{} %", thousandths / 10, thousandths % 10),
        None => "-".to_owned(),
    };
    lines.push((
        format!(
            "connections {} of {}  memory {resident} of {} MB  lag {} ms  users stayed {stayed}",
            value("CurrConns"),
            value("Maxconn"),
            megabytes(number(value("Memmax_bytes"))),
            value("LoopLagMs"),
        ),
        "",
    ));
    lines.push((String::new(), ""));
    let mut head = format!("{:NAME$}", "POOL / SERVER");
    for (name, wide) in COLUMNS {
        let _ = write!(head, "{name:>wide$}");
    }
    lines.push((head, INVERSE));
    // The statistics begin with the names of their columns.
    let mut rows = answer.lines().skip_while(|line| !line.starts_with("# pxname,"));
    let head: Vec<&str> = rows.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let places = NAMES.map(|name| head.iter().position(|known| *known == name));
    let mut servers: Vec<String> = Vec::new();
    for row in rows.filter(|row| !row.is_empty()) {
        let cells: Vec<&str> = cells(row).collect();
        let values = places.map(|place| place.and_then(|at| cells.get(at)).copied().unwrap_or(""));
        let (pool, name) = (cells[0], cells.get(1).copied().unwrap_or(""));
        match name {
            "FRONTEND" => {}
            // A pool comes behind its servers, and is shown before them.
            "BACKEND" => {
                lines.push((cells_of(pool, values), STRONG));
                lines.extend(servers.drain(..).map(|line| (line, "")));
            }
            name => servers.push(cells_of(&format!("  {name}"), values)),
        }
    }
    let hidden = lines.len().saturating_sub(height);
    if hidden > 0 {
        lines.truncate(height.saturating_sub(1));
        lines.push((format!("{} more lines", hidden + 1), ""));
    }
    let mut text = String::new();
    for (line, style) in lines {
        let end = line.char_indices().nth(width).map_or(line.len(), |(at, _)| at);
        match colours && !style.is_empty() {
            true => text.extend([style, &line[..end], PLAIN, "\n"]),
            false => text.extend([&line[..end], "\n"]),
        }
    }
    text
}

fn cells_of(name: &str, values: [&str; 10]) -> String {
    let [state, now, limit, waiting, rate, response, connect, broken, own, weight] = values;
    let flight = if matches!(limit, "" | "0") { now.to_owned() } else { format!("{now} of {limit}") };
    let errors = [connect, broken, own].map(number).iter().sum::<u64>().to_string();
    let response = format!("{} ms", number(response));
    let cells = [state, &flight, waiting, rate, &response, &errors, weight];
    let mut line = format!("{name:NAME$}");
    for (cell, (_, wide)) in cells.iter().zip(COLUMNS) {
        // At least a blank apart, where a name or a value is long.
        let _ = write!(line, " {cell:>wide$}", wide = wide - 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "Name: HAProxy\nVersion: 2.6.0-beelance-0.1.0\nPid: none\nUptime: 0d 0h01m05s\nMaxconn: 400\nCurrConns: 12\nnode: board\n\
        Memmax_bytes: 25165824\nLoopLagMs: 2\nAffinityHits: 199\nAffinityMoved: 1\n\n# pxname,svname,qcur,scur,slim,rate,rtime,status,weight,econ,eresp,hrsp_5xx,\n\
        web,FRONTEND,,12,400,50,,OPEN,,,,0,\nshop,s1,2,3,20,41,12,UP,10,1,2,4,\nshop,a-server-with-a-long-name,0,0,,0,,DOWN,1,0,0,0,\n\
        shop,BACKEND,5,3,,41,12,UP,11,1,2,4,\n\n";

    #[test]
    fn the_pool_before_its_servers_and_numbers_right() {
        let expected = "\
beelance 0.1.0 on board, up 0d 0h01m05s
connections 12 of 400  memory - of 24.0 MB  lag 2 ms  users stayed 99.5 %

POOL / SERVER           STATE   IN FLIGHT WAITING RATE/S RESPONSE ERRORS WEIGHT
shop                       UP           3       5     41    12 ms      7     11
  s1                       UP     3 of 20       2     41    12 ms      7     10
  a-server-with-a-long-name       DOWN           0       0      0     0 ms      0      1
";
        assert_eq!(table(ANSWER, usize::MAX, usize::MAX, false), expected);
    }

    #[test]
    fn a_comma_in_a_peers_words_moves_no_column() {
        for (row, expected) in [
            ("a,b,,c", &["a", "b", "", "c"][..]),
            (r#"s1,"L7STS, 503",12"#, &["s1", r#""L7STS, 503""#, "12"]),
            (r#""a ""b, c"" d",7,"""#, &[r#""a ""b, c"" d""#, "7", r#""""#]),
            (r#"one "quote, only"#, &[r#"one "quote, only"#]),
            ("", &[""]),
        ] {
            assert_eq!(cells(row).collect::<Vec<_>>(), expected, "{row}");
        }
        let answer = "# pxname,svname,last_chk,status,rtime,\nshop,s1,\"busy, very, \"\"very\"\"\",UP,12,\nshop,BACKEND,,UP,3,\n";
        let text = table(answer, usize::MAX, usize::MAX, false);
        assert!(text.lines().last().unwrap().contains(" 12 ms "), "{text}");
    }

    #[test]
    fn no_wider_and_no_higher_than_the_window() {
        let text = table(ANSWER, 20, 6, false);
        assert!(text.lines().all(|line| line.len() <= 20), "{text}");
        assert_eq!((text.lines().count(), text.lines().last()), (6, Some("2 more lines")));
        let coloured = table(ANSWER, 10, 4, true);
        assert!(coloured.starts_with("\x1b[1mbeelance 0\x1b[0m\n"), "{coloured:?}");
        // What is no answer at all is no reason to fall over.
        for answer in ["", "# pxname,svname\nx\n,\n", "Version: \n"] {
            assert!(table(answer, 80, 24, true).contains("beelance"));
        }
    }
}
