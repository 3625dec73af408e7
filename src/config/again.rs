//! The file read again, for a beelance that runs: what may change, and whether the tables made at the start have room for it.
//!
//! Owns what is fixed at the start. All that is wrong is told, as at the start, each with its line; what needs a restart says so.

use super::arrange::{Standing, arrange};
use super::effective::process;
use super::error::Errors;
use super::keys::Id;
use super::raw::RawConfig;
use super::settings::Settings;
use super::value::Value;
use super::{AccessLog, Config, Listener, read_file, resolve};
use crate::limits::{Beside, Budget, DEFAULT_CONNECTIONS, Machine, Sockets};
use std::path::Path;

/// What ends a message about a change that cannot be made.
const RESTART: &str = "restart needed";

/// What the tables, and what was set up once, were made from.
const FIXED: [Id; 17] = [
    Id::Memory,
    Id::Sndbuf,
    Id::Rcvbuf,
    Id::HeaderSize,
    Id::Splice,
    Id::User,
    Id::Group,
    Id::Chroot,
    Id::AdminSocket,
    Id::AdminSocketMode,
    Id::AdminSocketLevel,
    Id::Watchdog,
    Id::AdminListen,
    Id::AdminPerm,
    Id::LogMessages,
    Id::LogFormat,
    Id::LogFacility,
];

/// Reads the file at `path` again, and arranges it on what runs; see [`again`].
///
/// # Errors
/// Everything that is wrong with it, or that it cannot be read.
pub fn load_again(path: &Path, machine: &Machine, standing: &Standing<'_>) -> Result<Config, Errors> {
    let (name, bytes) = read_file(path)?;
    again(&name, &bytes, machine, standing)
}

/// The configuration that these bytes of a file make of the one that runs. `machine` is what it was at the start.
///
/// # Errors
/// Everything that is wrong with it, or that only a restart can change.
pub fn again(file_name: &str, bytes: &[u8], machine: &Machine, standing: &Standing<'_>) -> Result<Config, Errors> {
    let mut errors = Errors::new(file_name);
    let raw = RawConfig::read(bytes, &mut errors);
    let settings = Settings::read(&raw, &mut errors);
    let config = resolve::resolve(file_name, &settings, machine, &mut errors);
    if errors.count() > 0 {
        return errors.unless_any(config);
    }
    let mut again = Again { settings: &settings, errors: &mut errors };
    again.compare(standing, &config, machine);
    let budget = again.budget(standing, &config, machine);
    let arranged = again.arrange(standing, &config);
    let mut config = errors.unless_any(arranged)?.unwrap_or(config);
    config.limits.budget = budget;
    Ok(config)
}

struct Again<'s, 'a> {
    settings: &'s Settings<'a>,
    errors: &'s mut Errors,
}

impl Again<'_, '_> {
    fn refuse(&mut self, id: Id, name: &str, reason: &str) {
        self.errors.push(self.settings.line(id, name), &id.key().of(name), format!("{reason}: {RESTART}"));
    }

    /// What is fixed at the start must be what it was.
    fn compare(&mut self, standing: &Standing<'_>, new: &Config, machine: &Machine) {
        let now = standing.now;
        let there = |config: &Config, id| process(id, config).unwrap_or_default();
        for id in FIXED {
            let (was, is) = (there(now, id), there(new, id));
            if was != is {
                self.refuse(id, "", &format!("`{is}`: it is {was} since the start, and what was made of that stays"));
            }
        }
        let budget = &standing.began;
        let connections = self.settings.small(Id::Connections, "").map_or_else(
            || {
                // As many as at the start, when the file said nothing of them then either.
                let unsent = self.settings.small(Id::NotsentLowat, "");
                let beside = Beside { sockets: Sockets { unsent, ..budget.beside.sockets }, ..budget.beside };
                let machine = Machine { tcp_memory: budget.tcp_memory, ..*machine };
                let plan = Budget::plan(budget.memory, None, beside, &machine).unwrap_or(*budget);
                match self.settings.find(Id::Memory, "") {
                    Some(_) => plan.connections,
                    None => plan.connections.min(DEFAULT_CONNECTIONS),
                }
            },
            |count| count as usize,
        );
        if connections != budget.connections {
            let reason = format!("there are {} since the start, and tables for as many", budget.connections);
            self.refuse(Id::Connections, "", &reason);
        }
        if let Some(unsent) = self.settings.small(Id::NotsentLowat, "").filter(|&unsent| unsent != budget.unsent) {
            self.refuse(Id::NotsentLowat, "", &format!("`{unsent}`: it is {} since the start", budget.unsent));
        }
        let Beside { sessions, rates, crowd, .. } = budget.beside;
        for (_, pool) in new.pools().filter(|(_, pool)| pool.stick.is_some() && sessions == 0) {
            self.refuse(Id::Stick, &pool.name, "the session map is made at the start, where a pool has one");
        }
        if rates == 0 && new.clients.need_rates(&new.routes) {
            let rates = "the table of rates is made at the start, where a rate is bounded";
            for id in
                [Id::LimitRate, Id::LimitErrors, Id::Reserve].into_iter().filter(|&id| self.settings.is_set(id, ""))
            {
                self.refuse(id, "", rates);
            }
            for (_, routed) in new.routes().filter(|(_, routed)| routed.rate.is_some()) {
                self.refuse(Id::RouteRate, &routed.route.name, rates);
            }
        }
        if !crowd && new.clients.connections.is_some() {
            self.refuse(
                Id::PerClient,
                "",
                "the table of clients is made at the start, where their connections are counted",
            );
        }
        if let AccessLog::Syslog(to) = &new.logs.access
            && !now.logs.syslogs().contains(&to)
        {
            self.refuse(Id::LogAccess, "", "the sockets of syslogs are opened at the start");
        }
        for (_, listener) in new.listeners() {
            let same = |there: &&Listener| there.address == listener.address;
            let open = now.listeners().map(|(_, there)| there).find(same);
            if open.is_some_and(|open| open.only_v6 != listener.only_v6) {
                let reason = "the socket is open, and whether it takes IPv4 too cannot change";
                self.refuse(Id::Listen, &listener.name, reason);
            }
        }
    }

    /// What is beside the connections must fit with those there are.
    fn budget(&mut self, standing: &Standing<'_>, new: &Config, machine: &Machine) -> Budget {
        let now = standing.now.limits.budget;
        let (was, is) = (now.beside, new.limits.budget.beside);
        let beside = Beside {
            // These tables stay.
            sessions: was.sessions,
            rates: was.rates,
            crowd: was.crowd,
            objects: standing.room.objects(),
            sockets: was.sockets,
            ..is
        };
        now.with(beside, new.limits.budget.tcp_memory, machine).unwrap_or_else(|excess| {
            self.refuse(Id::Memory, "", &excess.to_string());
            now
        })
    }

    fn arrange(&mut self, standing: &Standing<'_>, new: &Config) -> Option<Config> {
        match arrange(new, standing) {
            Ok(config) => Some(config),
            Err(lacking) => {
                let id = match lacking.kind {
                    "listen" => Id::Listen,
                    "pool" => Id::BackendPool,
                    "backend" => Id::Backend,
                    _ => Id::RoutePool,
                };
                let key = format!("{}.{}", lacking.kind, lacking.name);
                let line = self.settings.first_line(id.key().kind, &lacking.name, id);
                let reason = format!(
                    "no place is free for it: {} were made at the start, and of those that are gone some are not done yet: {RESTART}, or reload again later",
                    lacking.room
                );
                self.errors.push(line, &key, reason);
                None
            }
        }
    }
}

impl Settings<'_> {
    /// The first line about an object; that of the key `id` in which others name it, where it has no line of its own.
    fn first_line(&self, kind: super::keys::Kind, name: &str, id: Id) -> u32 {
        let own = self.named(kind).into_iter().find(|(_, other)| *other == name).map(|(line, _)| line);
        let named = || self.of(id).iter().find(|it| it.value == Value::Text(name.to_owned())).map(|it| it.line);
        own.or_else(named).unwrap_or(self.last_line)
    }
}
