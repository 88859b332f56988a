//! Takes what a shard produces to the kernel and to the control plane.

use std::net::SocketAddr;

use engine::{Datagram, Decision, Luggage, Output, Port, Shard};
use engine_control::{Command, Event};

use crate::flight::Flight;
use crate::rings::{Notice, NoticeSender};
use crate::road::Outlet;
use crate::sockets::SocketPair;

/// The [`Output`] of a shard that runs on a real network.
pub(crate) struct Carrier<O> {
    pub(crate) outlet: O,
    notices: NoticeSender,
    /// Sockets that came with the command in progress and found no place: they go home with the
    /// event that answers it.
    unplaced: SocketPair,
    /// What goes home with the next event.
    retired: Option<Luggage>,
    refused: u64,
    pub(crate) flight: Flight,
}

impl<O: Outlet> Carrier<O> {
    pub(crate) fn new(outlet: O, notices: NoticeSender, flight: Flight) -> Self {
        let unplaced = SocketPair::default();
        Self { outlet, notices, unplaced, retired: None, refused: 0, flight }
    }

    /// Hands a datagram to the shard.
    #[inline]
    pub(crate) fn hand_in(&mut self, shard: &mut Shard, datagram: Datagram<'_>) {
        self.flight.datagram(&datagram);
        shard.receive(datagram, self);
    }

    /// Whether the answer to one more command has room.
    pub(crate) fn has_room(&self) -> bool {
        self.notices.has_room()
    }

    /// Takes in the sockets that came with a command.
    pub(crate) fn take_sockets(&mut self, slot: u32, sockets: SocketPair) {
        self.unplaced = self.outlet.insert(slot, sockets);
    }

    /// Counts a datagram of ours that the network refused after it was sent.
    pub(crate) fn count_refused(&mut self) {
        self.refused += 1;
    }

    /// Hands everything to the kernel and wakes the control plane if there is news; returns how
    /// many datagrams were refused since the last time.
    pub(crate) fn finish_tick(&mut self) -> u64 {
        self.outlet.flush();
        self.notices.wake();
        std::mem::take(&mut self.refused) + self.outlet.take_refused()
    }

    /// The sockets that nobody needs once this event is told.
    fn released_by(&mut self, event: &Event) -> SocketPair {
        let slot = match event {
            Event::Refused { .. } | Event::MediaReturned { .. } if !self.unplaced.is_empty() => {
                return std::mem::take(&mut self.unplaced);
            }
            Event::SessionClosed { session } | Event::SessionLeft { session } => session.slot(),
            Event::Refused { command: Command::OpenSession { session, .. }, .. } => session.slot(),
            _ => return SocketPair::default(),
        };
        // What is queued still names the descriptors; the control plane closes them as soon as
        // it sees the event.
        self.outlet.flush();
        self.outlet.remove(slot)
    }
}

impl<O: Outlet> Output for Carrier<O> {
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        self.flight.sent(slot, port, to, parts);
        self.outlet.send(slot, port, to, parts);
    }

    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        self.flight.latched(slot, port, source);
        self.outlet.latch(slot, port, source);
    }

    fn retire(&mut self, luggage: Luggage) {
        self.retired = Some(luggage);
    }

    fn decided(&mut self, slot: u32, decision: Decision) {
        self.flight.decided(slot, decision);
    }

    fn event(&mut self, event: Event) {
        self.flight.told(&event);
        let sockets = self.released_by(&event);
        self.notices.push(Notice { event, sockets, luggage: self.retired.take() });
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::Arc;

    use engine_control::{Limits, Refusal, SessionKey};

    use super::*;
    use crate::batch::{Batch, Outcome};
    use crate::network::Network;
    use crate::plain::Plain;
    use crate::rings::{ControlEnds, Shared, rings};
    use crate::road::Road;
    use crate::socket_road::{SocketOutlet, SocketRoad};
    use crate::sockets::{Gave, SocketPlan};
    use crate::uring::Uring;

    const SLOT: u32 = 3;
    const PLAN: SocketPlan = SocketPlan {
        bind: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        receive_buffer_bytes: 16 * 1024,
        rtp_stamps: false,
    };

    /// A carrier with one session, and where its RTP socket listens.
    struct Bench<N> {
        carrier: Carrier<SocketOutlet<N>>,
        control: ControlEnds,
        here: SocketAddr,
        batch: Batch,
    }

    impl<N: Network + Send + 'static> Bench<N> {
        fn new(network: N) -> Self {
            let mut road = SocketRoad { network, plan: PLAN };
            road.adopt().unwrap();
            let limits = Limits { sessions_max: 8, ..Limits::default() };
            let (control, ends) = rings(&limits, &Arc::new(Shared::new().unwrap()));
            let (_, outlet) = road.open(limits.sessions_max);
            let mut carrier = Carrier::new(outlet, ends.notices, Flight::default());
            // A port of our choice, as in earnest: the kernel takes one of its own choice away
            // when the socket is disconnected.
            let (free, here) = endpoint();
            drop(free);
            let rtp = PLAN.open(Port::Rtp, here.port()).unwrap();
            carrier.take_sockets(SLOT, SocketPair { rtp: Some(rtp), rtcp: None });
            Self { carrier, control, here, batch: Batch::new() }
        }

        /// Reads the session's socket until it is empty: the bytes, and the source where named.
        fn read_all(&mut self) -> Vec<(Vec<u8>, Option<SocketAddr>)> {
            let mut all = Vec::new();
            loop {
                let socket = self.carrier.outlet.sockets.get(SLOT, Port::Rtp).unwrap();
                self.batch.fill(std::iter::once(socket.read(SLOT, Port::Rtp)));
                self.carrier.outlet.network.receive(&mut self.batch);
                let gave = match self.batch.outcome(0) {
                    Outcome::Received(r) => {
                        all.push((r.bytes.to_vec(), r.source));
                        Gave::Packet
                    }
                    Outcome::Empty => Gave::Nothing,
                    Outcome::Refused => Gave::Error,
                };
                let socket = self.carrier.outlet.sockets.get_mut(SLOT, Port::Rtp).unwrap();
                socket.after_read(gave, socket.connected_to());
                if gave == Gave::Nothing {
                    break;
                }
            }
            all
        }
    }

    fn endpoint() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn a_latched_socket_shuts_strangers_out_until_it_is_opened_again<
        N: Network + Send + 'static,
    >(
        network: N,
    ) {
        let mut bench = Bench::new(network);
        let ((phone, phone_at), (stranger, stranger_at)) = (endpoint(), endpoint());
        stranger.send_to(b"early", bench.here).unwrap();
        bench.carrier.latch(SLOT, Port::Rtp, Some(phone_at));
        stranger.send_to(b"late", bench.here).unwrap();
        phone.send_to(b"hello", bench.here).unwrap();
        assert_eq!(
            bench.read_all(),
            [(b"early".to_vec(), Some(stranger_at)), (b"hello".to_vec(), Some(phone_at))],
            "what waited before the latch keeps its source"
        );
        phone.send_to(b"again", bench.here).unwrap();
        assert_eq!(bench.read_all(), [(b"again".to_vec(), None)]);
        bench.carrier.latch(SLOT, Port::Rtp, None);
        stranger.send_to(b"me", bench.here).unwrap();
        assert_eq!(bench.read_all(), [(b"me".to_vec(), Some(stranger_at))]);
        assert_eq!(bench.carrier.finish_tick(), 0);
    }

    #[test]
    fn strangers_are_shut_out_by_both_drivers() {
        a_latched_socket_shuts_strangers_out_until_it_is_opened_again(Plain::new());
        a_latched_socket_shuts_strangers_out_until_it_is_opened_again(Uring::new().unwrap());
    }

    #[test]
    fn each_datagram_goes_where_it_was_addressed_whatever_the_latch() {
        let mut bench = Bench::new(Uring::new().unwrap());
        let ((first, first_at), (second, second_at)) = (endpoint(), endpoint());
        let send = |carrier: &mut Carrier<SocketOutlet<Uring>>, to, text: &[u8]| {
            carrier.send(SLOT, Port::Rtp, to, [text, b"."]);
        };
        send(&mut bench.carrier, first_at, b"one");
        bench.carrier.latch(SLOT, Port::Rtp, Some(first_at));
        send(&mut bench.carrier, first_at, b"two");
        send(&mut bench.carrier, second_at, b"three");
        bench.carrier.latch(SLOT, Port::Rtp, None);
        send(&mut bench.carrier, first_at, b"four");
        bench.carrier.send(SLOT, Port::Rtcp, first_at, [b"no such socket", b""]);
        assert_eq!(bench.carrier.finish_tick(), 1);
        let heard = |socket: &UdpSocket| {
            let mut buffer = [0; 16];
            let mut all = Vec::new();
            while let Ok(length) = socket.recv(&mut buffer) {
                all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            all
        };
        assert_eq!(heard(&first), ["one.", "two.", "four."]);
        assert_eq!(heard(&second), ["three."]);
    }

    #[test]
    fn a_closed_session_sends_its_last_words_and_its_socket_goes_home() {
        let mut bench = Bench::new(Uring::new().unwrap());
        let (phone, phone_at) = endpoint();
        let session = SessionKey::new(0, SLOT, 1);
        bench.carrier.send(SLOT, Port::Rtp, phone_at, [b"bye", b""]);
        bench.carrier.event(Event::SessionClosed { session });
        let notice = bench.control.notices.pop().unwrap();
        drop(notice.sockets.rtp.expect("the socket came home"));
        assert_eq!(phone.recv(&mut [0; 8]).unwrap(), 3, "said before the event was told");
        assert!(bench.carrier.outlet.sockets.get(SLOT, Port::Rtp).is_none());
    }

    #[test]
    fn a_command_refused_for_an_occupied_slot_takes_its_own_sockets_home_only() {
        let mut bench = Bench::new(Plain::new());
        let session = SessionKey::new(0, SLOT, 2);
        let second = PLAN.open(Port::Rtp, 0).unwrap();
        bench.carrier.take_sockets(SLOT, SocketPair { rtp: Some(second), rtcp: None });
        let command = Command::CloseSession { session };
        bench.carrier.event(Event::Refused { command, refusal: Refusal::Occupied });
        assert!(bench.control.notices.pop().unwrap().sockets.rtp.is_some());
        assert!(
            bench.carrier.outlet.sockets.get(SLOT, Port::Rtp).is_some(),
            "the tenant keeps its own"
        );
    }
}
