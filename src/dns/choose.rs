//! Which of a name's addresses are used.

use super::Family;
use core::net::IpAddr;

/// The addresses of one family: of the preferred one if there are any and `reaches` says that there is a way to them, else
/// of the other one. A server that has both is one server.
pub fn of_one_family(
    prefer: Family,
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    mut reaches: impl FnMut(IpAddr) -> bool,
) -> Vec<IpAddr> {
    let (first, second) = match prefer {
        Family::V4 => (v4, v6),
        Family::V6 => (v6, v4),
    };
    match (first.first(), second.first()) {
        (None, _) => second,
        (Some(&address), Some(_)) if !reaches(address) => second,
        (Some(_), _) => first,
    }
}

/// The address of a backend whose name has these: the one it has, as long as it is among them; else the least.
#[must_use]
pub fn choose(now: Option<IpAddr>, addresses: &[IpAddr]) -> Option<IpAddr> {
    now.filter(|now| addresses.contains(now)).or_else(|| addresses.iter().min().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_preferred_family_where_there_is_a_way_to_it() {
        let (v4, v6) = (vec![ip("192.0.2.1")], vec![ip("2001:db8::1")]);
        // Preferred, has IPv4, has IPv6, reaches the preferred, what is used.
        let cases = [
            (Family::V6, true, true, true, &v6),
            (Family::V6, true, true, false, &v4),
            (Family::V6, true, false, false, &v4),
            (Family::V6, false, true, false, &v6),
            (Family::V4, true, true, true, &v4),
            (Family::V4, true, true, false, &v6),
            (Family::V4, false, true, true, &v6),
        ];
        for (prefer, has_v4, has_v6, reaches, expected) in cases {
            let of = |has: bool, addresses: &Vec<IpAddr>| if has { addresses.clone() } else { Vec::new() };
            let used = of_one_family(prefer, of(has_v4, &v4), of(has_v6, &v6), |_| reaches);
            assert_eq!(&used, expected, "{prefer:?} {has_v4} {has_v6} {reaches}");
        }
        assert!(of_one_family(Family::V6, Vec::new(), Vec::new(), |_| true).is_empty());
    }

    #[test]
    fn an_address_stays_as_long_as_the_name_has_it() {
        let [one, two, three] = ["192.0.2.1", "192.0.2.2", "192.0.2.30"].map(ip);
        assert_eq!(choose(None, &[three, two]), Some(two));
        assert_eq!(choose(Some(three), &[two, three]), Some(three));
        assert_eq!(choose(Some(one), &[three, two]), Some(two));
        assert_eq!(choose(Some(one), &[]), None);
    }
}
