//! `user`, `group` and `chroot`: who beelance is once it listens, by what /etc/passwd and /etc/group say.
//!
//! Owns the form of these files, as passwd(5) and group(5) have it. Refuses to become anybody: that is `runtime`'s.

use super::error::Errors;
use super::keys::Id;
use super::settings::Settings;
use crate::limits::MAX_ACCOUNT_FILE;
use crate::runtime::outside;
use std::io::Read;
use std::path::Path;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As written: a name or a number.
    pub name: String,
    /// Its number.
    pub id: u32,
}

/// Who beelance is once it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `user`.
    pub user: Option<Account>,
    /// `group`.
    pub group: Option<Account>,
    /// The group it is of: `group`, or else the user's own.
    pub gid: Option<u32>,
    /// `chroot`.
    pub chroot: Option<String>,
}

impl Identity {
    /// Whether it gives anything up.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.user.is_some() || self.group.is_some() || self.chroot.is_some()
    }

    /// What the settings say; names that nobody has go to `errors`.
    pub(super) fn of(settings: &Settings<'_>, errors: &mut Errors) -> Self {
        let mut found = |id: Id, file: &str| {
            let name = settings.text(id, "")?;
            let entry = find(&read(file), &name);
            if entry.is_none() {
                let key = id.key().attribute;
                let reason = format!("`{name}`: no such {key} in {file}: add it there, or give its number");
                errors.push(settings.line(id, ""), key, reason);
            }
            let (id, gid) = entry?;
            Some((Account { name, id }, gid))
        };
        let user = found(Id::User, PASSWD);
        let group = found(Id::Group, GROUP).map(|(group, _)| group);
        let gid = group.as_ref().map(|group| group.id).or(user.as_ref().and_then(|(_, gid)| *gid));
        if let Some((user, _)) = &user
            && gid.is_none()
            && !settings.is_set(Id::Group, "")
        {
            let reason = format!("`{}`: {PASSWD} does not say of which group it is: set `group` too", user.name);
            errors.push(settings.line(Id::User, ""), Id::User.key().attribute, reason);
        }
        Self { user: user.map(|(user, _)| user), group, gid, chroot: settings.text(Id::Chroot, "") }
    }
}

/// Whether this may name an account: a name as useradd(8) allows, or a number.
pub(super) fn is_account(text: &str) -> bool {
    let name = text.strip_suffix('$').unwrap_or(text);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name.bytes().all(good)
        && (!is_number || number(text).is_some())
}

/// A number of a user or group: the last one means nobody's.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id != u32::MAX && !text.starts_with('+'))
}

/// The number of the account called `name`, or written as its number, and the group that follows it in a line of passwd.
fn find(text: &str, name: &str) -> Option<(u32, Option<u32>)> {
    let wanted = number(name);
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let (known, id) = (fields.next()?, number(fields.nth(1)?)?);
        (wanted.is_none() && known == name || wanted == Some(id)).then(|| (id, fields.next().and_then(number)))
    };
    text.lines().find_map(of_line).or(wanted.map(|id| (id, None)))
}

/// What the file says, as far as it can be read.
fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    let _ = outside::open(Path::new(path)).and_then(|file| file.take(MAX_ACCOUNT_FILE).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_as_they_are_written() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# www:x:9:9\nbroken\nodd:x:-1:7\n\
            www:x:33:34:www:/var/www:/usr/sbin/nologin\r\n7up:x:44:45::/:\nwww:x:50:51::/:\n";
        let group = "root:x:0:\nwww:x:34:a,b\nnumbers:x:35:1,2\n";
        let cases = [
            (passwd, "root", Some((0, Some(0)))),
            (passwd, "www", Some((33, Some(34)))),
            (passwd, "33", Some((33, Some(34)))),
            (passwd, "7up", Some((44, Some(45)))),
            (passwd, "44", Some((44, Some(45)))),
            (passwd, "60", Some((60, None))),
            (passwd, "odd", None),
            (passwd, "broken", None),
            (passwd, "nobody", None),
            ("", "nobody", None),
            (group, "www", Some((34, None))),
            (group, "numbers", Some((35, None))),
            (group, "35", Some((35, None))),
        ];
        for (file, name, expected) in cases {
            assert_eq!(find(file, name), expected, "{name}");
        }
    }

    #[test]
    fn what_may_be_an_account() {
        for name in ["www", "www-data", "_dhcp", "a.b", "host$", "0", "65534", "4294967294", "7up"] {
            assert!(is_account(name), "{name}");
        }
        for name in ["", "$", "-x", ".x", "a:b", "a b", "4294967295", "99999999999", "\u{e4}", "a/b"] {
            assert!(!is_account(name), "{name}");
        }
    }
}
