//! Which UDP ports belong to which session: arithmetic, so that a port names its shard.

use std::net::{IpAddr, SocketAddr};

use crate::SessionKey;

/// The media ports of all shards. Session slot `i` of shard `s` owns the even port
/// `first + s * block + 2 * i` for RTP and the odd one above it for RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortPlan {
    /// First port, even.
    pub first: u16,
    /// Ports of one shard: a power of two.
    pub block: u32,
}

impl PortPlan {
    /// The plan that divides the ports `first..=last` among `shards`, or `None` where a shard
    /// would have no port.
    pub fn divide(first: u16, last: u16, shards: u8) -> Option<Self> {
        let first = first.checked_add(first & 1)?;
        let ports = u32::from(last).checked_sub(u32::from(first))? + 1;
        let per_shard = ports / u32::from(shards.max(1));
        if per_shard < 2 {
            return None;
        }
        Some(Self { first, block: 1 << per_shard.ilog2() })
    }

    /// Sessions that one shard's block has ports for.
    pub fn sessions_per_shard(self) -> u32 {
        self.block / 2
    }

    /// The RTP port of a session; RTCP without multiplexing uses the next one.
    pub fn rtp_port(self, session: SessionKey) -> u16 {
        let offset = u32::from(session.shard()) * self.block + 2 * session.slot();
        self.first + offset as u16
    }
}

/// Where an endpoint sends to reach a session: what goes into our SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAddress {
    /// The address to advertise.
    pub address: IpAddr,
    /// The RTP port.
    pub rtp_port: u16,
}

impl MediaAddress {
    /// The RTP socket address.
    pub fn rtp(self) -> SocketAddr {
        SocketAddr::new(self.address, self.rtp_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_an_aligned_block_of_a_power_of_two() {
        let plan = PortPlan::divide(16384, 32767, 2).unwrap();
        assert_eq!((plan.block, plan.sessions_per_shard()), (8192, 4096));
        assert_eq!(plan.rtp_port(SessionKey::new(0, 0, 1)), 16384);
        assert_eq!(plan.rtp_port(SessionKey::new(1, 4095, 1)), 32766);
        assert_eq!(PortPlan::divide(40001, 40003, 1).unwrap().first, 40002);
        assert_eq!(PortPlan::divide(40000, 40001, 2), None);
    }
}
