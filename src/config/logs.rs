//! `log.*`: where lines go, and in which form.
//!
//! Owns the names of facilities and what a syslog's address looks like. Refuses to open anything.

use super::address::{self, Address};
use super::keys::Id;
use super::settings::Settings;
use super::value::Value;

/// The facilities, as HAProxy names them; the place is RFC 5424's number.
pub(super) const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp", "audit",
    "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// `log.*`, but for the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Where lines of requests go.
    pub access: AccessLog,
    /// The syslog that gets messages too.
    pub messages: Option<Address>,
    /// The form of what syslogs get.
    pub form: LogForm,
    /// Its facility's number, 0..=23.
    pub facility: u8,
}

/// `log.access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// No lines.
    Off,
    /// Lines on standard error.
    Stderr,
    /// Datagrams to this socket.
    Syslog(Address),
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// `<PRI>Mon dd hh:mm:ss HOST beelance[PID]: TEXT`
    Rfc3164,
    /// `<PRI>1 TIME HOST beelance PID - - TEXT`
    Rfc5424,
}

impl Logs {
    pub(super) fn of(settings: &Settings<'_>) -> Self {
        let facility = settings.small(Id::LogFacility, "").and_then(|place| u8::try_from(place).ok());
        Self {
            access: match settings.value(Id::LogAccess, "") {
                Value::Address(address) => AccessLog::Syslog(address),
                Value::Number(1) => AccessLog::Stderr,
                _ => AccessLog::Off,
            },
            messages: match settings.value(Id::LogMessages, "") {
                Value::Address(address) => Some(address),
                _ => None,
            },
            form: if settings.number(Id::LogFormat, "") == Some(1) { LogForm::Rfc5424 } else { LogForm::Rfc3164 },
            facility: facility.unwrap_or(16),
        }
    }

    /// The syslogs, each once.
    #[must_use]
    pub fn syslogs(&self) -> Vec<&Address> {
        let access = match &self.access {
            AccessLog::Syslog(address) => Some(address),
            AccessLog::Off | AccessLog::Stderr => None,
        };
        let mut all: Vec<&Address> = access.into_iter().chain(&self.messages).collect();
        all.dedup();
        all
    }

    /// The keys' values.
    pub(super) fn effective(&self, id: Id) -> Option<String> {
        let syslog = |address: &Address| match address {
            Address::Inet(address) => format!("syslog:{address}"),
            Address::Unix(path) => format!("syslog:{path}"),
        };
        Some(match id {
            Id::LogAccess => match &self.access {
                AccessLog::Off => "off".to_owned(),
                AccessLog::Stderr => "stderr".to_owned(),
                AccessLog::Syslog(address) => syslog(address),
            },
            Id::LogMessages => self.messages.as_ref().map_or_else(|| "stderr".to_owned(), syslog),
            Id::LogFormat => match self.form {
                LogForm::Rfc3164 => "rfc3164".to_owned(),
                LogForm::Rfc5424 => "rfc5424".to_owned(),
            },
            Id::LogFacility => FACILITIES.get(usize::from(self.facility)).map(|&name| name.to_owned())?,
            _ => return None,
        })
    }
}

/// `syslog:/path`, `syslog:@name`, `syslog:ADDRESS:PORT`.
pub(super) fn syslog(text: &str) -> Result<Address, &'static str> {
    let to = text.strip_prefix("syslog:").ok_or("")?;
    if to.starts_with(['/', '@']) {
        return address::unix_path(to).map(Address::Unix);
    }
    match to.parse() {
        Ok(address) => Ok(Address::Inet(address)),
        Err(_) if to.rsplit_once(':').is_some_and(|(host, _)| host.contains(|c: char| c.is_ascii_alphabetic())) => {
            Err("a syslog is named by its address")
        }
        Err(_) => Err(""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, read};
    use super::*;

    #[test]
    fn where_lines_go() {
        const BASE: &str = "listen.l = 127.0.0.1:81\nbackend.z = h:1\n";
        let logs = |more: &str| read(&format!("{BASE}{more}")).logs;
        let unix = |path: &str| Address::Unix(path.into());
        let inet = |text: &str| Address::Inet(text.parse().unwrap());
        assert_eq!(logs("").access, AccessLog::Off);
        assert_eq!(logs("log.access = syslog:/dev/log\n").access, AccessLog::Syslog(unix("/dev/log")));
        assert_eq!(logs("log.access = syslog:[::1]:514\n").access, AccessLog::Syslog(inet("[::1]:514")));
        let both = logs("log.access = syslog:@x\nlog.messages = syslog:@x\nlog.facility = local7\n");
        assert_eq!((both.syslogs(), both.facility, both.form), (vec![&unix("@x")], 23, LogForm::Rfc3164));
        let two = logs("log.access = syslog:@x\nlog.messages = syslog:10.0.0.1:514\nlog.format = rfc5424\n");
        assert_eq!((two.syslogs().len(), two.facility, two.form), (2, 16, LogForm::Rfc5424));
        for (value, expected) in [
            ("syslog:logs.example:514", "a syslog is named by its address; expected off, stderr, syslog:/dev/log"),
            ("syslog:10.0.0.1", "expected off, stderr, syslog:/dev/log or syslog:ADDRESS:PORT"),
            ("syslog:", "expected off, stderr"),
            ("file:/x", "expected off, stderr"),
        ] {
            let text = errors(&format!("log.access = {value}\n")).join("\n");
            assert!(text.contains(expected), "{value}: {text}");
        }
        assert!(errors("log.messages = off\n")[0].contains("expected stderr, syslog:"));
    }
}
