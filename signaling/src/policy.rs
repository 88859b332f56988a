//! Which endpoint may use which payload formats, and how each room sounds: the configuration's
//! tables, the first entry that matches decides.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use media_units::{Encoding, RoomSound};
use signaling_sdp::Capabilities;

use crate::FrontEndConfig;
use crate::routing::Pattern;

/// What some endpoints may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRule {
    /// Those whose SIP messages come from here; none: from anywhere.
    pub network: Option<Network>,
    /// Those with this user part in From; none: all.
    pub user: Option<Pattern>,
    /// The payload formats, in the order of our own offers; none: those of everyone.
    pub encodings: Vec<Encoding>,
    /// Whether they may have their calls and rooms recorded.
    pub may_record: bool,
    /// Whether their calls are recorded, asked for or not.
    pub is_recorded: bool,
}

/// What the rules say of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    pub(crate) capabilities: Arc<Capabilities>,
    pub(crate) may_record: bool,
    pub(crate) is_recorded: bool,
}

/// How some rooms sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRule {
    /// Those with such a name.
    pub name: Pattern,
    /// Their sound.
    pub sound: RoomSound,
    /// Whether they may be spread, as in [`crate::FrontEndConfig::room_spread_above`].
    pub spread_above: Option<u32>,
}

/// Addresses that begin with the same bits, written as `192.0.2.0/24`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl Network {
    /// Whether `address` is in it. An IPv4 address in IPv6 clothes is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| NotANetwork)?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(NotANetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The rules, ready to be looked up for each call.
#[derive(Debug)]
pub(crate) struct Policies {
    everyone: Arc<Capabilities>,
    some: Vec<(EndpointRule, Arc<Capabilities>)>,
    rooms: Vec<RoomRule>,
    room: RoomSound,
    spread_above: Option<u32>,
}

impl Policies {
    pub(crate) fn new(config: &FrontEndConfig) -> Self {
        let everyone = &config.capabilities;
        let some = config.endpoints.iter().map(|rule| {
            let usual = &everyone.encodings;
            let own = if rule.encodings.is_empty() { usual } else { &rule.encodings };
            let encodings = own.clone();
            (rule.clone(), Arc::new(Capabilities { encodings, ..everyone.clone() }))
        });
        Self {
            everyone: Arc::new(everyone.clone()),
            some: some.collect(),
            rooms: config.rooms.clone(),
            room: config.room_sound,
            spread_above: config.room_spread_above,
        }
    }

    /// What an endpoint may that calls from `source` as `user`.
    pub(crate) fn rights(&self, source: IpAddr, user: &str) -> Rights {
        let mut some = self.some.iter();
        let found = some.find(|(rule, _)| {
            rule.network.is_none_or(|network| network.contains(source))
                && rule.user.as_ref().is_none_or(|pattern| pattern.matches(user))
        });
        let capabilities = Arc::clone(found.map_or(&self.everyone, |(_, own)| own));
        let of = |right: fn(&EndpointRule) -> bool| found.is_some_and(|(rule, _)| right(rule));
        let (may_record, is_recorded) = (of(|rule| rule.may_record), of(|rule| rule.is_recorded));
        Rights { capabilities, may_record, is_recorded }
    }

    /// How the room of this name sounds.
    pub(crate) fn sound(&self, room: &str) -> RoomSound {
        let rule = self.rooms.iter().find(|rule| rule.name.matches(room));
        rule.map_or(self.room, |rule| rule.sound)
    }

    /// Whether the room of this name may be spread over shards, and above which share of the time
    /// of the first it is.
    pub(crate) fn spread_above(&self, room: &str) -> Option<u32> {
        let rule = self.rooms.iter().find(|rule| rule.name.matches(room));
        rule.map_or(self.spread_above, |rule| rule.spread_above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_known_by_its_first_bits() {
        assert!(is_in("192.0.2.0/24", "192.0.2.255") && !is_in("192.0.2.0/24", "192.0.3.0"));
        assert!(is_in("192.0.2.7", "192.0.2.7") && !is_in("192.0.2.7", "192.0.2.6"));
        assert!(is_in("0.0.0.0/0", "203.0.113.9") && !is_in("0.0.0.0/0", "2001:db8::1"));
        assert!(is_in("2001:db8::/32", "2001:db8:ffff::1") && !is_in("::/0", "192.0.2.1"));
        assert!(is_in("192.0.2.0/24", "::ffff:192.0.2.9"));
        for wrong in ["", "192.0.2.0/33", "192.0.2.0/", "host/8", "2001:db8::/129", "1.2.3.4/-1"] {
            assert_eq!(wrong.parse::<Network>(), Err(NotANetwork), "{wrong}");
        }
        assert_eq!("2001:db8::/32".parse::<Network>().unwrap().to_string(), "2001:db8::/32");
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rule = |network: Option<&str>, user: Option<&str>, encoding| EndpointRule {
            network: network.map(|text| text.parse().unwrap()),
            user: user.map(|text| text.parse().unwrap()),
            encodings: vec![encoding],
            may_record: encoding == Encoding::Gsm,
            is_recorded: encoding == Encoding::Opus,
        };
        let policies = Policies::new(&FrontEndConfig {
            endpoints: vec![
                rule(Some("192.0.2.0/24"), Some("30*"), Encoding::Gsm),
                rule(Some("192.0.2.0/24"), None, Encoding::Opus),
                rule(None, Some("gateway"), Encoding::G722),
            ],
            ..FrontEndConfig::default()
        });
        let rights = |source: &str, user| policies.rights(source.parse().unwrap(), user);
        let first = |source: &str, user| rights(source, user).capabilities.encodings[0];
        assert_eq!(first("192.0.2.9", "301"), Encoding::Gsm);
        assert_eq!(first("192.0.2.9", "gateway"), Encoding::Opus);
        assert_eq!(first("198.51.100.1", "gateway"), Encoding::G722);
        assert_eq!(first("198.51.100.1", "301"), Encoding::Pcmu);
        let recording = |source, user| {
            let Rights { may_record, is_recorded, .. } = rights(source, user);
            (may_record, is_recorded)
        };
        assert_eq!(recording("192.0.2.9", "301"), (true, false));
        assert_eq!(recording("192.0.2.9", "gateway"), (false, true));
        assert_eq!(recording("198.51.100.1", "301"), (false, false), "nobody may by default");
    }
}
