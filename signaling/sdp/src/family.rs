//! Address families of media.

use std::net::IpAddr;

/// The address families that media is received and sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both of them.
    Both,
}

impl Families {
    /// What sockets bound to `address` serve: those of `::` serve both families.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(any) if any.is_unspecified() => Self::Both,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Whether media can go to `address`.
    pub const fn serve(self, address: IpAddr) -> bool {
        match self {
            Self::Ipv4 => address.to_canonical().is_ipv4(),
            Self::Ipv6 => address.to_canonical().is_ipv6(),
            Self::Both => true,
        }
    }
}
