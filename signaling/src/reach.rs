//! Addresses: which a host is, and whether the address that an endpoint names can be its own.

use std::net::IpAddr;

use sipx_sip::Host;

/// The port of SIP where none is named.
pub(crate) const DEFAULT_PORT: u16 = 5060;

/// The address that `host` is, if it is not a name.
pub(crate) fn literal(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ip(address) => Some(address.to_canonical()),
        Host::Name(_) => None,
    }
}

/// An endpoint with a private address whose packets come from a public one cannot be reached at
/// the address it names.
pub(crate) fn is_behind_nat(named: IpAddr, seen: IpAddr) -> bool {
    let (named, seen) = (named.to_canonical(), seen.to_canonical());
    is_private(named) && !is_private(seen) && named != seen
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_private_address_seen_from_a_public_one_is_behind_a_nat() {
        let table = [
            ("192.168.1.5", "198.51.100.7", true),
            ("100.64.0.1", "198.51.100.7", true),
            ("fd00::1", "2001:db8::1", true),
            ("192.168.1.5", "::ffff:198.51.100.7", true),
            ("192.168.1.5", "10.0.0.1", false),
            ("203.0.113.9", "198.51.100.7", false),
            ("127.0.0.1", "127.0.0.1", false),
        ];
        for (named, seen, expected) in table {
            let (named, seen) = (named.parse().unwrap(), seen.parse().unwrap());
            assert_eq!(is_behind_nat(named, seen), expected, "{named} {seen}");
        }
    }
}
