//! A shard's list of the first hops to its endpoints.

use std::collections::HashMap;
use std::net::IpAddr;

use super::routes::{Ask, RouteAsker, Way};

/// Every so many packets to an address one goes the kernel's way, which keeps the kernel's
/// knowledge of the neighbour fresh: nobody else asks for it while frames go past it.
const KERNELS_SHARE: u32 = 256;

/// Addresses that one session may make us know: that of its RTP and that of its RTCP.
const ADDRESSES_PER_SESSION: usize = 2;

/// The hops by the address of the endpoint.
pub(crate) struct Hops {
    known: HashMap<IpAddr, Known>,
    capacity: usize,
    asker: RouteAsker,
}

/// What is known of an address.
struct Known {
    way: Way,
    sent: u32,
}

/// Bytes that the list reserves.
pub(crate) const fn memory_bytes(sessions_max: u32) -> usize {
    ADDRESSES_PER_SESSION * sessions_max as usize * (size_of::<IpAddr>() + size_of::<Known>())
}

impl Hops {
    pub(crate) fn new(asker: RouteAsker, sessions_max: u32) -> Self {
        let capacity = ADDRESSES_PER_SESSION * sessions_max as usize;
        Self { known: HashMap::with_capacity(capacity), capacity, asker }
    }

    /// Takes in what became known since the last time.
    pub(crate) fn refresh(&mut self) {
        while let Some((address, way)) = self.asker.answer() {
            // Absent: the list was begun anew after it was asked.
            if let Some(known) = self.known.get_mut(&address) {
                known.way = way;
            }
        }
    }

    /// The way of the next packet to this address.
    pub(crate) fn way(&mut self, to: IpAddr) -> Way {
        if let Some(known) = self.known.get_mut(&to) {
            known.sent = known.sent.wrapping_add(1);
            return match known.way {
                Way::Frame(hop) if known.sent.is_multiple_of(KERNELS_SHARE) => {
                    Way::Kernel(Some(hop.source))
                }
                way => way,
            };
        }
        if self.known.len() == self.capacity {
            // Endpoints came and went: those still here will be asked for again.
            self.known.clear();
            self.asker.ask(Ask::ForgetAll);
        }
        if self.asker.ask(Ask::Resolve(to)) {
            self.known.insert(to, Known { way: Way::UNKNOWN, sent: 0 });
        }
        Way::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes::{Hop, asker_with_ends};
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    const HOP: Hop = Hop {
        interface: 3,
        ethernet: [7; 14],
        source: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 200)),
    };

    #[test]
    fn an_address_is_asked_for_once_and_left_to_the_kernel_until_it_is_known() {
        let (asker, mut asks, mut answers) = asker_with_ends(8);
        let mut hops = Hops::new(asker, 4);
        for _ in 0..3 {
            assert_eq!(hops.way(address(1)), Way::UNKNOWN);
        }
        assert_eq!(asks.pop(), Ok(Ask::Resolve(address(1))));
        assert!(asks.pop().is_err(), "once");
        answers.push((address(1), Way::Frame(HOP))).unwrap();
        answers.push((address(9), Way::Frame(HOP))).unwrap();
        hops.refresh();
        let by_kernel = (0..2 * KERNELS_SHARE).filter(|_| hops.way(address(1)) != Way::Frame(HOP));
        assert_eq!(by_kernel.count(), 2, "to keep the neighbour known");
        let without_neighbour = Way::Kernel(Some(HOP.source));
        for way in [without_neighbour, Way::UNKNOWN] {
            answers.push((address(1), way)).unwrap();
            hops.refresh();
            assert_eq!(hops.way(address(1)), way, "the neighbour is gone, then the route");
        }
    }

    #[test]
    fn a_full_list_begins_anew() {
        let (asker, mut asks, _answers) = asker_with_ends(16);
        let mut hops = Hops::new(asker, 1);
        for last in [1, 2, 3, 1] {
            hops.way(address(last));
        }
        let asked: Vec<_> = std::iter::from_fn(|| asks.pop().ok()).collect();
        let resolve = |last| Ask::Resolve(address(last));
        assert_eq!(asked, [resolve(1), resolve(2), Ask::ForgetAll, resolve(3), resolve(1)]);
    }
}
