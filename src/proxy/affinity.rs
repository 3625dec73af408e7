//! What keeps a user on his backend: the affinity cookie first, then the session map. Read from a request's head, and
//! written into the response's.

use super::Proxy;
use super::ask::Ask;
use super::record::Record;
use crate::balance::{Affinity, Answering, CookieMode, Dates, SessionKey, own_value};
use crate::config::{Cookie, Pool};
use crate::fault::Fault;
use crate::http::cookie;
use crate::http::fields::{Cuts, TooManyCuts, offset};
use crate::http::key::Key;
use crate::http::request::RequestHead;
use crate::http::response::{Own, ResponseHead};
use crate::limits::{BackendId, MAX_PREFIXES, PREFIX_BYTES, PoolId};
use crate::runtime::Buffer;
use std::fmt::Write;
use std::net::SocketAddr;

/// What binds a request to a backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bond {
    /// Where its affinity cookie leads.
    pub affinity: Affinity,
    /// That cookie's dates.
    dates: Dates,
    /// Whether it is a POST.
    post: bool,
    /// Whose it is, in the session map.
    pub session: Option<SessionKey>,
    /// The backend that the session map knows for him.
    remembered: Option<BackendId>,
}

/// Whose request it is.
pub(super) struct Client<'c> {
    pub proxy: &'static Proxy,
    pub peer: &'c Option<SocketAddr>,
    /// It is only asked about: that a user is known counts for no use of his entry.
    pub is_guess: bool,
}

impl Bond {
    /// Reads it from a head; what the backend is not to see goes into `cuts`.
    ///
    /// # Errors
    /// [`TooManyCuts`].
    #[inline(always)]
    pub(super) fn of(
        client: &Client<'_>,
        (pool_id, pool): (PoolId, &Pool),
        bytes: &[u8],
        head: &RequestHead<'_, '_>,
        cuts: &mut Cuts,
    ) -> Result<Self, TooManyCuts> {
        match pool.cookie.is_none() && pool.stick.is_none() {
            true => Ok(Self::default()),
            false => Self::read(client, (pool_id, pool), bytes, head, cuts),
        }
    }

    #[inline(never)]
    fn read(
        client: &Client<'_>,
        (pool_id, pool): (PoolId, &Pool),
        bytes: &[u8],
        head: &RequestHead<'_, '_>,
        cuts: &mut Cuts,
    ) -> Result<Self, TooManyCuts> {
        let &Client { proxy, peer, is_guess } = client;
        let mut bond = Self::default();
        if let Some(cookie) = &pool.cookie {
            bond.post = head.method == b"POST";
            bond.read_cookie(proxy, pool_id, cookie, bytes, head, cuts)?;
        }
        if let Some(stick) = &pool.stick {
            let sessions = proxy.sessions.borrow();
            bond.session = match &stick.key {
                Key::Source => peer.map(|peer| sessions.source(pool_id, peer.ip())),
                Key::Uri { .. } | Key::Header(_) | Key::Cookie(_) | Key::UrlParam(_) => {
                    stick.key.of(head).and_then(|[value, _]| sessions.key(pool_id, value))
                }
            };
            drop(sessions);
            bond.recall(proxy, is_guess);
        }
        Ok(bond)
    }

    /// Of a client of which nothing but the address is known.
    pub(super) fn of_source(client: &Client<'_>, pool_id: PoolId, pool: &Pool) -> Self {
        let &Client { proxy, peer, is_guess } = client;
        let mut bond = Self::default();
        if pool.stick.is_some() {
            bond.session = peer.map(|peer| proxy.sessions.borrow().source(pool_id, peer.ip()));
            bond.recall(proxy, is_guess);
        }
        bond
    }

    /// Finds out where the session map leads, if that is up.
    fn recall(&mut self, proxy: &Proxy, is_guess: bool) {
        let mut sessions = proxy.sessions.borrow_mut();
        let now_ms = proxy.reactor.now_ms();
        let found = self.session.and_then(|session| match is_guess {
            true => sessions.peek(session, now_ms),
            false => sessions.find(session, now_ms),
        });
        self.remembered = found.filter(|&id| proxy.balancer.borrow().is_up(id));
    }

    fn read_cookie(
        &mut self,
        proxy: &Proxy,
        pool: PoolId,
        cookie: &Cookie,
        bytes: &[u8],
        head: &RequestHead<'_, '_>,
        cuts: &mut Cuts,
    ) -> Result<(), TooManyCuts> {
        let value = match cookie.rules.mode {
            CookieMode::Insert => cookie::take(bytes, head.fields, &cookie.name, cuts)?,
            CookieMode::Prefix => {
                for value in cookie::values(head.fields, &cookie.name) {
                    if let Some(own) = own_value(value) {
                        cuts.add(offset(bytes, value)..offset(bytes, own))?;
                    }
                }
                cookie::find(head.fields, &cookie.name)
            }
        };
        let Some(value) = value else {
            self.affinity = Affinity::None;
            return Ok(());
        };
        let (name, dates) = cookie.rules.read(value);
        let stale = if dates == Dates::NONE { None } else { dates.stale(&cookie.rules.lifetime, proxy.wall_ms()) };
        match stale {
            Some(stale) => self.affinity = Affinity::of_stale(stale),
            None => {
                self.affinity = Affinity::of(&proxy.balancer.borrow(), pool, name);
                self.dates = dates;
            }
        }
        Ok(())
    }

    /// Whether its pool keeps users, and can tell this one from others: then where he is led is counted.
    pub(super) fn counts(&self) -> bool {
        self.affinity != Affinity::Unused || self.session.is_some()
    }

    /// The backend it is bound to.
    pub(super) fn backend(&self) -> Option<BackendId> {
        self.affinity.backend().or(self.remembered)
    }

    /// Remembers the backend it was given.
    pub(super) fn remember(&self, proxy: &Proxy, backend: BackendId) {
        if let Some(session) = self.session {
            proxy.sessions.borrow_mut().store(session, backend, proxy.reactor.now_ms());
        }
    }
}

/// The affinity cookie of a pool, and what becomes of it where a backend sets it.
pub(super) fn own_cookie(pool: &Pool) -> Option<(&str, Own)> {
    let cookie = pool.cookie.as_ref()?;
    let own = match cookie.rules.mode {
        CookieMode::Insert if cookie.rules.preserve => Own::Keep,
        CookieMode::Insert => Own::Cut,
        CookieMode::Prefix => Own::Find,
    };
    Some((&cookie.name, own))
}

/// Bytes that a response's head may get longer in place.
pub(super) fn growth(pool: &Pool) -> usize {
    match &pool.cookie {
        Some(cookie) if cookie.rules.mode == CookieMode::Prefix => PREFIX_BYTES,
        Some(_) | None => 0,
    }
}

/// The Set-Cookie that a response gets.
pub(super) struct SetCookie<'a> {
    proxy: &'a Proxy,
    cookie: &'a Cookie,
    home: BackendId,
    dates: Dates,
    wall_ms: u64,
}

impl SetCookie<'_> {
    /// Writes it, and what keeps shared caches from it.
    pub(super) fn write(&self, out: &mut impl Write) -> std::fmt::Result {
        let Self { proxy, cookie, home, dates, wall_ms } = self;
        for part in ["Set-Cookie: ", &cookie.name, "=", proxy.balancer.borrow().cookie(*home)] {
            out.write_str(part)?;
        }
        dates.write(&cookie.rules.lifetime, *wall_ms, out)?;
        out.write_str(&cookie.attributes)?;
        out.write_str("\r\nCache-Control: private\r\n")
    }
}

/// Decides what becomes of the affinity cookie of a response, notes it for the log, and says what to set. `home` is the
/// backend where the user belongs.
pub(super) fn set_cookie<'a>(
    proxy: &'a Proxy,
    pool: &'a Pool,
    record: &mut Record,
    ask: &Ask,
    home: BackendId,
    head: &ResponseHead,
) -> Option<SetCookie<'a>> {
    let cookie = pool.cookie.as_ref()?;
    let (dates, wall_ms) = (ask.bond.dates, proxy.wall_ms());
    let deed = cookie.rules.answer(Answering {
        dates,
        at_home: ask.bond.affinity.backend() == Some(home),
        post: ask.bond.post,
        sets_it: head.sets_affinity,
        wall_ms,
    });
    record.server_cookie = deed.letter();
    deed.sets().then_some(SetCookie { proxy, cookie, home, dates, wall_ms })
}

/// Writes the backend's value, `name`, before each of `values` that its response gives the application's own cookie. The
/// head took `length` bytes of the buffer and has `rewritten` since it was cut; the same two numbers afterwards.
///
/// # Errors
/// [`Fault::BackendMalformed`] when there is no room, which [`growth`] bytes prevent.
pub(super) fn prefix(
    buffer: &mut Buffer,
    [length, rewritten]: [usize; 2],
    cuts: &Cuts,
    values: &[u16],
    name: &str,
) -> Result<[usize; 2], Fault> {
    const NO_ROOM: Fault = Fault::BackendMalformed("no room for what goes before the session cookie");
    let mut places = heapless::Vec::<usize, MAX_PREFIXES>::new();
    for place in values.iter().filter_map(|&at| cuts.moved(usize::from(at))) {
        places.push(place).map_err(|_| NO_ROOM)?;
    }
    let longer = length.max(rewritten + places.len() * (name.len() + 1));
    if !buffer.open(length, longer - length) {
        return Err(NO_ROOM);
    }
    let head = &mut buffer.filled_mut()[..longer];
    let rewritten = cookie::insert(head, rewritten, &places, [name.as_bytes(), b"~"]).ok_or(NO_ROOM)?;
    Ok([longer, rewritten])
}
