//! A shard's list of the first hops to its endpoints.

use std::collections::HashMap;
use std::net::IpAddr;

use super::routes::{Ask, Hop, RouteAsker};

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

/// What is known of an address. Nothing: it was asked for, or is best left to the kernel.
#[derive(Default)]
struct Known {
    hop: Option<Hop>,
    sent: u32,
}

/// The way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As a frame of ours.
    Frame(Hop),
    /// By the kernel, from this address where it is known.
    Kernel(Option<IpAddr>),
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
        while let Some((address, hop)) = self.asker.answer() {
            // Absent: the list was begun anew after it was asked.
            if let Some(known) = self.known.get_mut(&address) {
                known.hop = hop;
            }
        }
    }

    /// The way of the next packet to this address.
    pub(crate) fn way(&mut self, to: IpAddr) -> Way {
        if let Some(known) = self.known.get_mut(&to) {
            known.sent = known.sent.wrapping_add(1);
            return match known.hop {
                Some(hop) if !known.sent.is_multiple_of(KERNELS_SHARE) => Way::Frame(hop),
                hop => Way::Kernel(hop.map(|hop| hop.source)),
            };
        }
        if self.known.len() == self.capacity {
            // Endpoints came and went: those still here will be asked for again.
            self.known.clear();
            self.asker.ask(Ask::ForgetAll);
        }
        if self.asker.ask(Ask::Resolve(to)) {
            self.known.insert(to, Known::default());
        }
        Way::Kernel(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes::asker_with_ends;
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
            assert_eq!(hops.way(address(1)), Way::Kernel(None));
        }
        assert_eq!(asks.pop(), Ok(Ask::Resolve(address(1))));
        assert!(asks.pop().is_err(), "once");
        answers.push((address(1), Some(HOP))).unwrap();
        answers.push((address(9), Some(HOP))).unwrap();
        hops.refresh();
        let by_kernel = (0..2 * KERNELS_SHARE).filter(|_| hops.way(address(1)) != Way::Frame(HOP));
        assert_eq!(by_kernel.count(), 2, "to keep the neighbour known");
        answers.push((address(1), None)).unwrap();
        hops.refresh();
        assert_eq!(hops.way(address(1)), Way::Kernel(None), "the route is gone");
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
