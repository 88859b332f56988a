//! Questions to the kernel's tables by rtnetlink: which way does a packet to this address go?

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::Failure;
use super::frame::{ETHERNET_IPV4, ETHERNET_IPV6};
use super::routes::{ETHERNET_BYTES, Hop, Way};

/// The kernel's routes, neighbours and links, one question at a time.
pub(crate) struct KernelTables {
    socket: Socket,
    /// The source of our packets, where it is not left to the route.
    address: Option<IpAddr>,
    sequence: u32,
}

/// What a route says.
struct Route {
    interface: u32,
    /// The neighbour: a gateway, or the address itself.
    neighbour: IpAddr,
    source: IpAddr,
}

/// An Ethernet interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) hardware: [u8; 6],
    /// How many queues it can send by.
    pub(crate) send_queues: u32,
}

impl KernelTables {
    pub(crate) fn open(address: IpAddr) -> Result<Self, Failure> {
        let socket = open(&[])?;
        let address = (!address.is_unspecified()).then_some(address);
        Ok(Self { socket, address, sequence: 0 })
    }

    /// The way to an address. The kernel's where it had better send by itself: there is no route, the
    /// neighbour is not known yet, the address is this machine's own or of many, or the interface is
    /// no Ethernet.
    pub(crate) fn way(&mut self, to: IpAddr) -> Way {
        let Some(route) = self.route(to) else { return Way::UNKNOWN };
        self.hop(&route, to).map_or(Way::Kernel(Some(route.source)), Way::Frame)
    }

    /// The first hop, where there is one.
    fn hop(&mut self, route: &Route, to: IpAddr) -> Option<Hop> {
        let ours = self.link(route.interface)?.hardware;
        let theirs = self.neighbour(route.interface, route.neighbour)?;
        let kind = if to.is_ipv4() { ETHERNET_IPV4 } else { ETHERNET_IPV6 };
        let mut ethernet = [0; ETHERNET_BYTES];
        ethernet[..6].copy_from_slice(&theirs);
        ethernet[6..12].copy_from_slice(&ours);
        ethernet[12..].copy_from_slice(&kind.to_be_bytes());
        Some(Hop {
            interface: i32::try_from(route.interface).ok()?,
            ethernet,
            source: route.source,
        })
    }

    /// The Ethernet interface that has this address.
    pub(crate) fn interface_of(&mut self, address: IpAddr) -> Option<Link> {
        let mut question = route_question(address);
        // The entry of the table itself: that of an own address names its interface, not the loopback.
        question.header.flags.insert(RouteFlags::FibMatch);
        let RouteNetlinkMessage::NewRoute(answer) =
            self.ask(RouteNetlinkMessage::GetRoute(question))?
        else {
            return None;
        };
        let index = answer.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })?;
        self.link(index).filter(|_| answer.header.kind == RouteType::Local)
    }

    fn route(&mut self, to: IpAddr) -> Option<Route> {
        let mut question = route_question(to);
        if let Some(source) = self.address.filter(|source| source.is_ipv4() == to.is_ipv4()) {
            question.header.source_prefix_length = question.header.destination_prefix_length;
            question.attributes.push(RouteAttribute::Source(source.into()));
        }
        let answer = match self.ask(RouteNetlinkMessage::GetRoute(question))? {
            RouteNetlinkMessage::NewRoute(answer)
                if matches!(answer.header.kind, RouteType::Unicast | RouteType::Local) =>
            {
                answer
            }
            _ => return None,
        };
        let (mut interface, mut neighbour, mut source) = (None, to, self.address);
        for attribute in &answer.attributes {
            match attribute {
                RouteAttribute::Oif(index) => interface = Some(*index),
                RouteAttribute::Gateway(RouteAddress::Inet(address))
                | RouteAttribute::Via(RouteVia::Inet(address)) => neighbour = (*address).into(),
                RouteAttribute::Gateway(RouteAddress::Inet6(address))
                | RouteAttribute::Via(RouteVia::Inet6(address)) => neighbour = (*address).into(),
                RouteAttribute::PrefSource(RouteAddress::Inet(address)) => {
                    source = source.or(Some((*address).into()));
                }
                RouteAttribute::PrefSource(RouteAddress::Inet6(address)) => {
                    source = source.or(Some((*address).into()));
                }
                _ => {}
            }
        }
        Some(Route { interface: interface?, neighbour, source: source? })
    }

    fn link(&mut self, interface: u32) -> Option<Link> {
        let mut question = LinkMessage::default();
        question.header.index = interface;
        let answer = match self.ask(RouteNetlinkMessage::GetLink(question))? {
            RouteNetlinkMessage::NewLink(answer)
                if answer.header.link_layer_type == LinkLayerType::Ether =>
            {
                answer
            }
            _ => return None,
        };
        let (mut name, mut hardware, mut send_queues) = (String::new(), None, 1);
        for attribute in answer.attributes {
            match attribute {
                LinkAttribute::IfName(own) => name = own,
                LinkAttribute::Address(address) => hardware = address.as_slice().try_into().ok(),
                LinkAttribute::NumTxQueues(count) => send_queues = count,
                _ => {}
            }
        }
        Some(Link { index: interface, name, hardware: hardware?, send_queues })
    }

    /// The hardware address of a neighbour that can be reached, as far as the kernel knows.
    fn neighbour(&mut self, interface: u32, address: IpAddr) -> Option<[u8; 6]> {
        let mut question = NeighbourMessage::default();
        question.header.family = family(address);
        question.header.ifindex = interface;
        question.attributes.push(NeighbourAttribute::Destination(match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        }));
        let RouteNetlinkMessage::NewNeighbour(answer) =
            self.ask(RouteNetlinkMessage::GetNeighbour(question))?
        else {
            return None;
        };
        if matches!(
            answer.header.state,
            NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::None
        ) {
            return None;
        }
        answer.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(address) => address.as_slice().try_into().ok(),
            _ => None,
        })
    }

    /// Asks one question that has one answer; none where the kernel refuses.
    fn ask(&mut self, question: RouteNetlinkMessage) -> Option<RouteNetlinkMessage> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).ok()?;
        loop {
            // The kernel answers before the question's call returns.
            let (bytes, _) = self.socket.recv_from_full().ok()?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).ok()?;
            if answer.header.sequence_number == self.sequence {
                return match answer.payload {
                    NetlinkPayload::InnerMessage(answer) => Some(answer),
                    _ => None,
                };
            }
        }
    }
}

/// What the kernel says of changes in its tables.
pub(crate) struct TableNews(Socket);

impl TableNews {
    pub(crate) fn open() -> Result<Self, Failure> {
        let groups = [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_NEIGH,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV4_ROUTE,
            libc::RTNLGRP_IPV6_IFADDR,
            libc::RTNLGRP_IPV6_ROUTE,
        ];
        let socket = open(&groups)?;
        socket.set_non_blocking(true).map_err(|error| ("fcntl(O_NONBLOCK)", error))?;
        Ok(Self(socket))
    }

    /// Takes all that waits. What it says is not read: everything is asked anew, also where so
    /// much happened that the kernel dropped some of it.
    pub(crate) fn clear(&mut self) {
        let mut buffer = Vec::with_capacity(65_536);
        loop {
            buffer.clear();
            match self.0.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Told once, and no more is known: what came before it was dropped (ENOBUFS).
                Err(_) => return,
            }
        }
    }
}

impl AsFd for TableNews {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket stays open as long as what it is borrowed from.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

fn open(groups: &[u32]) -> Result<Socket, Failure> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(|error| ("socket(AF_NETLINK)", error))?;
    socket.bind_auto().map_err(|error| ("bind(AF_NETLINK)", error))?;
    if groups.is_empty() {
        socket.connect(&SocketAddr::new(0, 0)).map_err(|error| ("connect(AF_NETLINK)", error))?;
    }
    for group in groups {
        socket
            .add_membership(*group)
            .map_err(|error| ("setsockopt(NETLINK_ADD_MEMBERSHIP)", error))?;
    }
    Ok(socket)
}

fn route_question(to: IpAddr) -> RouteMessage {
    let mut question = RouteMessage::default();
    question.header.address_family = family(to);
    question.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
    question.attributes.push(RouteAttribute::Destination(to.into()));
    question
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_this_machines_own_is_left_to_the_kernel_from_the_address_of_its_route() {
        for (bound, own) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "::1")] {
            let (bound, own) = (bound.parse().unwrap(), own.parse().unwrap());
            let mut tables = KernelTables::open(bound).unwrap();
            assert_eq!(tables.way(own), Way::Kernel(Some(own)), "bound to {bound}");
        }
    }

    #[test]
    fn an_interface_that_is_no_ethernet_and_one_that_is_not_there_have_no_address() {
        let mut tables = KernelTables::open("127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(tables.link(1), None, "the loopback");
        assert_eq!(tables.link(u32::MAX / 2), None);
    }
}
