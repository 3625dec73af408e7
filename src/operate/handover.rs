//! What a program leaves to the one that takes its place beside the sockets: what is said of the servers, what was changed of
//! them while it ran, and the session map.
//!
//! ```text
//!   FORM (8)  secret (16)  count of servers (2)  servers (36 each)  users (16 each)
//! ```
//!
//! Little-endian; a server is known by the hashes of its pool's name and its own, a user's server by its place in this list. The
//! one who reads believes nothing: what has another form, or breaks off, or is of a server that is not there, is left out.

use super::resolver::literal;
use crate::balance::{Admin, Authority, Hash, Saved};
use crate::config::{Backend, Config};
use crate::limits::{BackendId, MAX_BACKENDS, SESSION_BYTES, SESSIONS};
use crate::proxy::{Arrival, Proxy};
use crate::runtime::{Endpoint, memory_file};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// What it begins with: another number for every other form.
const FORM: u64 = u64::from_le_bytes(*b"beelanc1");
const SERVER_BYTES: usize = 36;
const MOST: usize = 26 + MAX_BACKENDS * SERVER_BYTES + SESSIONS * USER_BYTES;
const USER_BYTES: usize = 16;
const _: () = assert!(USER_BYTES as u64 == SESSION_BYTES);

/// The reason of a state that was taken over.
const WHY: &str = "as before the upgrade";

/// Flags of a server: what is not as after a start by the file.
const PROBED_DOWN: u64 = 1;
const AGENT_DOWN: u64 = 1 << 1;
const NO_PROBES: u64 = 1 << 2;
const NO_AGENT: u64 = 1 << 3;
const WEIGHT: u64 = 1 << 4;
const MAXCONN: u64 = 1 << 5;
const ADDRESS: u64 = 1 << 6;
/// Of the weight and the limit: the agent set them.
const AGENT_WEIGHT: u64 = 1 << 12;
const AGENT_MAXCONN: u64 = 1 << 13;
/// Where the two administrative states are, two bits each.
const OPERATOR: u32 = 8;
const AGENT: u32 = 10;

/// The servers it is about: which address fills which slot may be another matter next time.
fn servers(config: &Config) -> impl Iterator<Item = (BackendId, &Backend, u64)> {
    config.backends().filter(|(_, backend)| backend.slots.is_none()).map(|(id, backend)| {
        let pool = &config.pools[backend.pool.index()];
        let [pool, own] = [&pool.name, &backend.name].map(|name| Hash::Beelance.of(&[name.as_bytes()]));
        (id, backend, u64::from(pool) << 32 | u64::from(own))
    })
}

fn put(out: &mut Vec<u8>, number: u64, bytes: usize) {
    out.extend_from_slice(&number.to_le_bytes()[..bytes]);
}

/// Takes a number of so many bytes off the front.
fn take(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (number, behind) = rest.split_at_checked(bytes)?;
    *rest = behind;
    Some(number.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// All of it, in a file for the next program.
///
/// # Errors
/// The system's.
pub(super) fn save(proxy: &Proxy) -> io::Result<OwnedFd> {
    memory_file::write(&written(proxy))
}

fn written(proxy: &Proxy) -> Vec<u8> {
    let config = proxy.config();
    let mut out = Vec::with_capacity(MOST);
    let mut places = [None; MAX_BACKENDS];
    let known: Vec<_> = servers(&config).collect();
    put(&mut out, FORM, 8);
    proxy.with_sessions(|sessions| sessions.secret().into_iter().for_each(|half| put(&mut out, half, 8)));
    put(&mut out, known.len() as u64, 2);
    for (place, &(id, backend, name)) in known.iter().enumerate() {
        places[id.index()] = Some(place as u64);
        let said = proxy.said(id);
        let address = match proxy.address(&config, id) {
            Some(Endpoint::Inet(address)) => literal(backend).filter(|&literal| literal != address).map(|_| address),
            Some(Endpoint::Unix(_)) | None => None,
        };
        let flags = [
            (PROBED_DOWN, !said.probe_up),
            (AGENT_DOWN, !said.agent_up),
            (NO_PROBES, proxy.probes_rest(id)),
            (NO_AGENT, proxy.agent_rests(id)),
            (WEIGHT, said.weight != backend.weight),
            (MAXCONN, said.maxconn.is_some_and(|set| backend.auto.is_some() || set != backend.maxconn)),
            (ADDRESS, address.is_some()),
            (AGENT_WEIGHT, said.heeded.weight),
            (AGENT_MAXCONN, said.heeded.maxconn),
        ];
        let flags = flags.into_iter().fold(0, |all, (flag, is)| if is { all | flag } else { all });
        put(&mut out, name, 8);
        put(&mut out, flags | (said.operator as u64) << OPERATOR | (said.agent as u64) << AGENT, 4);
        put(&mut out, said.weight.into(), 2);
        put(&mut out, said.maxconn.unwrap_or(0).into(), 4);
        put(&mut out, address.map_or(0, |address| address.port()).into(), 2);
        let octets = match address.map(|address| address.ip()) {
            Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(ip)) => ip.octets(),
            None => [0; 16],
        };
        out.extend_from_slice(&octets);
    }
    let now_ms = proxy.reactor.now_ms();
    proxy.with_sessions(|sessions| {
        for Saved { hash, age, backend } in sessions.saved(now_ms) {
            if let Some(place) = places[backend.index()] {
                put(&mut out, hash, 8);
                put(&mut out, age.into(), 4);
                put(&mut out, place, 4);
            }
        }
    });
    out
}

/// Goes on with what the program before left; before anything is probed.
pub(super) fn go_on(proxy: &Proxy, file: OwnedFd) {
    let bytes = memory_file::read(file, MOST).unwrap_or_default();
    match read(proxy, &bytes) {
        Some([servers, users]) => log::info!("upgrade: the state of {servers} servers and {users} users is as before"),
        None => log::warn!("upgrade: the program before left its state in another form: servers and users start anew"),
    }
}

/// How many servers and users there were.
fn read(proxy: &Proxy, mut rest: &[u8]) -> Option<[usize; 2]> {
    let config = proxy.config();
    let known: Vec<_> = servers(&config).collect();
    let form = take(&mut rest, 8)?;
    let secret = [take(&mut rest, 8)?, take(&mut rest, 8)?];
    let count = usize::try_from(take(&mut rest, 2)?).ok()?;
    let is_whole =
        |length: usize| length.checked_sub(count * SERVER_BYTES).is_some_and(|users| users % USER_BYTES == 0);
    if form != FORM || count > MAX_BACKENDS || !is_whole(rest.len()) {
        return None;
    }
    let mut places = [None; MAX_BACKENDS];
    let mut counts = [0; 2];
    for place in &mut places[..count] {
        let (mut server, behind) = rest.split_at_checked(SERVER_BYTES)?;
        rest = behind;
        let name = take(&mut server, 8)?;
        let Some(&(id, backend, _)) = known.iter().find(|(.., known)| *known == name) else { continue };
        *place = Some((id, backend.pool));
        counts[0] += 1;
        change(proxy, &config, id, server)?;
    }
    let now_ms = proxy.reactor.now_ms();
    proxy.with_sessions(|sessions| {
        sessions.set_secret(secret);
        while let (Some(hash), Some(age), Some(place)) = (take(&mut rest, 8), take(&mut rest, 4), take(&mut rest, 4)) {
            let place = usize::try_from(place).ok().and_then(|place| *places.get(place)?);
            if let (Some((backend, pool)), Ok(age)) = (place, u32::try_from(age)) {
                sessions.restore(pool, Saved { hash, age, backend }, now_ms);
                counts[1] += 1;
            }
        }
    });
    Some(counts)
}

/// Changes a server as it was changed before. What the file does not have any more, nobody would take back: it is left out.
fn change(proxy: &Proxy, config: &Config, id: BackendId, mut server: &[u8]) -> Option<()> {
    let pool = &config.pools[config.backends[id.index()].pool.index()];
    let flags = take(&mut server, 4)?;
    let (weight, maxconn, port) = (take(&mut server, 2)?, take(&mut server, 4)?, take(&mut server, 2)?);
    let has = |flag| flags & flag != 0;
    let octets: Option<[u8; 16]> = server.try_into().ok();
    if let Some(octets) = octets.filter(|_| has(ADDRESS) && literal(&config.backends[id.index()]).is_some()) {
        let address = SocketAddr::new(Ipv6Addr::from(octets).to_canonical(), u16::try_from(port).ok()?);
        proxy.set_address(id, Some(address), Arrival::Change, "the program before");
    }
    let weight = if has(WEIGHT) { Some(u16::try_from(weight.min(256)).ok()?) } else { None };
    let maxconn = if has(MAXCONN) { Some(u32::try_from(maxconn).ok()?) } else { None };
    let (by_agent, is_heeded) = ([AGENT_WEIGHT, AGENT_MAXCONN].map(has), pool.agent.is_some());
    weight.filter(|_| !by_agent[0]).into_iter().for_each(|weight| proxy.set_weight(id, weight));
    maxconn.filter(|_| !by_agent[1]).into_iter().for_each(|maxconn| proxy.set_maxconn(id, maxconn));
    if is_heeded && by_agent != [false; 2] {
        proxy.heed(id, weight.filter(|_| by_agent[0]), maxconn.filter(|_| by_agent[1]));
    }
    proxy.let_probes_rest(id, has(NO_PROBES));
    proxy.let_agent_rest(id, has(NO_AGENT));
    proxy.set_admin(id, Authority::Operator, admin(flags >> OPERATOR));
    if pool.agent.is_some() {
        proxy.set_admin(id, Authority::Agent, admin(flags >> AGENT));
        if has(AGENT_DOWN) {
            proxy.set_agent_up(id, false, WHY);
        }
    }
    if pool.check.is_some() && has(PROBED_DOWN) {
        proxy.set_up(id, false, WHY);
    }
    Some(())
}

fn admin(bits: u64) -> Admin {
    match bits & 3 {
        1 => Admin::Drain,
        2 => Admin::Maint,
        _ => Admin::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::super::small::proxy;
    use super::*;
    use crate::limits::PoolId;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    const FILE: &str = "listen.l = 127.0.0.1:0\nbackend.a = 127.0.0.1:1\nbackend.b = 127.0.0.1:2\nbackend.c = 127.0.0.1:3\n\
        backend.c.pool = other\npool.*.stick = hdr:X-User\npool.*.check.uri = /\npool.*.check.agent-port = 9\n";

    fn id(index: usize) -> BackendId {
        BackendId::new(index).unwrap()
    }

    /// One of which everything was changed.
    fn changed() -> &'static Proxy {
        let proxy = proxy(FILE);
        proxy.set_up(id(0), false, "");
        proxy.set_weight(id(0), 7);
        proxy.set_admin(id(1), Authority::Operator, Admin::Drain);
        proxy.set_maxconn(id(1), 9);
        proxy.heed(id(2), Some(5), Some(6));
        proxy.let_probes_rest(id(2), true);
        let moved = "[2001:db8::7]:80".parse().ok();
        proxy.set_address(id(2), moved, Arrival::Change, "");
        for user in 0..40u8 {
            let pool = proxy.config().backends[usize::from(user % 3)].pool;
            let key = proxy.with_sessions(|sessions| sessions.key(pool, &[b'u', user])).unwrap();
            proxy.remember_session(key, id(usize::from(user % 3)));
        }
        proxy
    }

    fn all(proxy: &Proxy) -> Vec<String> {
        let of = |id| format!("{:?} {} {:?}", proxy.said(id), proxy.probes_rest(id), proxy.ip(id));
        (0..3).map(|index| of(id(index))).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let (before, after) = (changed(), proxy(FILE));
        let bytes = written(before);
        assert_eq!(bytes.len(), 26 + 3 * SERVER_BYTES + 40 * USER_BYTES);
        assert_eq!(read(after, &bytes), Some([3, 40]));
        assert_eq!(all(after), all(before));
        assert_eq!(written(after), bytes);
        // Who has no agent any more has nothing of what the agent set.
        let without = proxy(&FILE.replace("pool.*.check.agent-port = 9\n", ""));
        assert_eq!(read(without, &bytes), Some([3, 40]));
        assert_eq!((without.said(id(2)).weight, without.said(id(2)).maxconn), (1, Some(0)));
        assert_eq!((without.said(id(0)).weight, without.said(id(1)).maxconn), (7, Some(9)), "the operator's");
        // Who has one, has it until that leaves.
        after.unheed(id(2));
        assert_eq!((after.said(id(2)).weight, after.said(id(2)).maxconn), (1, Some(0)));
        // Where servers have other places, and one of them other users.
        let other = proxy(
            &FILE.replace("backend.a =", "backend.z = 127.0.0.1:9\nbackend.a =").replace("backend.b", "backend.x"),
        );
        assert_eq!(read(other, &bytes), Some([2, 27]));
    }

    #[test]
    fn another_form_is_none() {
        let bytes = written(changed());
        let after = proxy(FILE);
        let untouched = all(after);
        for length in (0..bytes.len()).filter(|length| length % USER_BYTES != bytes.len() % USER_BYTES) {
            assert_eq!(read(after, &bytes[..length]), None, "{length}");
        }
        let mut other = bytes.clone();
        other[7] += 1;
        assert_eq!(read(after, &other), None);
        assert_eq!(read(after, &bytes[..26 + 2 * SERVER_BYTES]), None);
        assert_eq!(all(after), untouched);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Whatever it is, it is read or left out.
        #[test]
        fn nothing_in_it_can_do_harm(places in prop::collection::vec((0usize..774, any::<u8>()), 1..20)) {
            static WRITTEN: OnceLock<Vec<u8>> = OnceLock::new();
            let mut bytes = WRITTEN.get_or_init(|| written(changed())).clone();
            for (place, byte) in places {
                bytes[place] = byte;
            }
            let after = proxy(FILE);
            read(after, &bytes);
            for pool in [0, 1].map(PoolId) {
                prop_assert!(after.pool_stats(pool).sessions <= 40);
            }
        }
    }
}
