//! What can be changed: `POST /api/v1/servers/POOL/SERVER/WHAT/VALUE`, without a body, by somebody with a token.
//!
//! Paths of plain names, so that nothing has to be unescaped and a line of curl is enough.

use super::Level;
use super::answer::{Reply, who};
use super::guard;
use super::serve::Desk;
use crate::balance::{Admin, Authority};
use crate::operate::named;
use std::net::SocketAddr;

/// What the paths of all orders begin with.
pub(super) const PREFIX: &[u8] = b"/api/v1/servers/";

/// A change of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order<'b> {
    pool: &'b str,
    server: &'b str,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    State(Admin),
    Weight(u16),
    Maxconn(u32),
}

impl<'b> Order<'b> {
    /// Reads what follows the prefix.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(path: &'b [u8]) -> Result<Self, Reply> {
        const FORM: Reply =
            Reply::of(404, "nothing is served here: POOL/SERVER/state/drain, .../weight/N or .../maxconn/N");
        let mut parts = std::str::from_utf8(path).unwrap_or_default().split('/');
        let (Some(pool), Some(server), Some(what), Some(value), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FORM);
        };
        let number = |most: u32| {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() <= 7;
            value.parse::<u32>().ok().filter(|number| digits && *number <= most)
        };
        let change = match what {
            "state" => match value {
                "ready" => Change::State(Admin::Ready),
                "drain" => Change::State(Admin::Drain),
                "maint" => Change::State(Admin::Maint),
                _ => return Err(Reply::of(400, "a state is ready, drain or maint")),
            },
            "weight" => match number(256).and_then(|weight| u16::try_from(weight).ok()) {
                Some(weight) => Change::Weight(weight),
                None => return Err(Reply::of(400, "a weight is a whole number from 0 to 256")),
            },
            "maxconn" => match number(1_000_000) {
                Some(maxconn) => Change::Maxconn(maxconn),
                None => return Err(Reply::of(400, "maxconn is a whole number from 0 to 1000000")),
            },
            _ => return Err(FORM),
        };
        Ok(Self { pool, server, change })
    }

    fn needs(&self) -> Level {
        match self.change {
            Change::State(_) | Change::Weight(_) => Level::Operator,
            Change::Maxconn(_) => Level::Admin,
        }
    }

    /// Does it, if whoever asks may.
    pub(super) fn carry_out(&self, desk: &Desk, level: Level, peer: Option<SocketAddr>) -> Reply {
        let proxy = desk.proxy;
        let config = proxy.config();
        if level < self.needs() {
            let words = "this takes a token: Authorization: Bearer TOKEN";
            return match level {
                Level::User => Reply::of(401, guard::unless_none_is_set(config.admin.as_ref(), words)),
                Level::Operator | Level::Admin => Reply::of(403, "this takes admin.token.admin"),
            };
        }
        let pool = named::pool(&config, self.pool);
        let Some(id) = pool.and_then(|pool| named::member(&config, pool, self.server)) else {
            return Reply::of(404, "no such server");
        };
        log::info!("admin listener: {} for {} by {}", self.change, proxy.name(id), who(peer));
        match self.change {
            Change::State(admin) => proxy.set_admin(id, Authority::Operator, admin),
            Change::Weight(weight) => proxy.set_weight(id, weight),
            Change::Maxconn(maxconn) => proxy.set_maxconn(id, maxconn),
        }
        Reply::of(200, "done")
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(Admin::Ready) => f.write_str("ready"),
            Self::State(Admin::Drain) => f.write_str("drain"),
            Self::State(Admin::Maint) => f.write_str("maint"),
            Self::Weight(weight) => write!(f, "weight {weight}"),
            Self::Maxconn(maxconn) => write!(f, "maxconn {maxconn}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let order = |path: &'static str| Order::read(path.as_bytes());
        let change = |change| Ok(Order { pool: "web", server: "s1", change });
        assert_eq!(order("web/s1/state/drain"), change(Change::State(Admin::Drain)));
        assert_eq!(order("web/s1/weight/256"), change(Change::Weight(256)));
        assert_eq!(order("web/s1/maxconn/0"), change(Change::Maxconn(0)));
        for (path, status) in [
            ("web/s1/weight/257", 400),
            ("web/s1/weight/+1", 400),
            ("web/s1/weight/", 400),
            ("web/s1/weight/99999999999999999999", 400),
            ("web/s1/state/up", 400),
            ("web/s1/maxconn/1000001", 400),
            ("web/s1/state", 404),
            ("web/s1/state/drain/", 404),
            ("web/s1/name/x", 404),
            ("", 404),
        ] {
            assert_eq!(order(path).map_err(|reply| reply.status), Err(status), "{path}");
        }
        assert_eq!(Order::read(b"\xff/s1/state/drain").map_err(|reply| reply.status), Err(404));
    }
}
