//! Where lines go, opened at the start: standard error, and the syslogs that the configuration names.

use super::access_log::AccessLog;
use super::header::{Form, Header};
use super::lines::Lines;
use super::messages::{self, Serving};
use super::sink::Sink;
use crate::config::{self, Address, Config};
use crate::proxy::Journal;
use std::io;
use std::os::fd::AsFd;

/// All destinations.
pub(super) struct Logs {
    /// Standard error first, then the syslogs.
    pub lines: &'static [Lines],
    /// An access log for each.
    access: &'static [AccessLog],
    syslogs: Vec<Address>,
}

impl Logs {
    /// Opens what `config` names, and makes `log`'s macros write there.
    ///
    /// # Errors
    /// The system's. A syslog that is not there is told of, and tried again with each line.
    pub(super) fn open(config: &Config, host: &str) -> io::Result<(Self, Serving)> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let syslogs: Vec<Address> = config.logs.syslogs().into_iter().cloned().collect();
        let mut headers = vec![header(config, None, host)];
        let mut all = vec![Lines::new(stderr)];
        let mut failed = Vec::new();
        for to in &syslogs {
            let (sink, why) = Sink::syslog(to)?;
            failed.extend(why.map(|why| (to, why)));
            let header = header(config, Some(to), host);
            all.push(Lines::syslog(sink, header.clone()));
            headers.push(header);
        }
        let lines: &'static [Lines] = Vec::leak(all);
        let access = headers.iter().zip(lines).map(|(header, lines)| AccessLog::new(header.clone(), lines)).collect();
        let logs = Self { lines, access: Vec::leak(access), syslogs: syslogs.clone() };
        let messages = config.logs.messages.as_ref().and_then(|to| logs.place(to));
        let syslog = messages.map(|place| (&lines[place], headers.swap_remove(place)));
        let serving = messages::set_up(config.log_level, &lines[0], syslog);
        for (to, why) in failed {
            log::warn!("syslog at {to}: {}: lines are lost until somebody is there", why.desc());
        }
        Ok((logs, serving))
    }

    fn place(&self, to: &Address) -> Option<usize> {
        self.syslogs.iter().position(|known| known == to).map(|place| place + 1)
    }

    /// Who writes the lines of requests, where they are asked for.
    pub(super) fn journal(&self, wanted: &config::Logs) -> Option<&'static dyn Journal> {
        let place = match &wanted.access {
            config::AccessLog::Off => return None,
            config::AccessLog::Stderr => 0,
            config::AccessLog::Syslog(to) => self.place(to)?,
        };
        self.access.get(place).map(|access| -> &'static dyn Journal { access })
    }
}

/// What stands before lines for standard error, or for a syslog.
fn header(config: &Config, to: Option<&Address>, host: &str) -> Header {
    let form = match to {
        None => Form::Plain,
        Some(Address::Unix(_)) => Form::Local(config.logs.form),
        Some(Address::Inet(_)) => Form::Remote(config.logs.form),
    };
    Header::new(form, config.logs.facility, host, std::process::id())
}
