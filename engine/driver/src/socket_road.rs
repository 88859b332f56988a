//! The road of sockets: one for each stream, read when its room is due.

use std::io;
use std::mem::take;
use std::net::SocketAddr;

use engine::{Datagram, Port, Shard};
use media::{Demux, demux};
use media_units::{Arrival, Instant, PERIOD, PHASES, TICK};

use crate::batch::{Batch, Outcome, Read};
use crate::carrier::Carrier;
use crate::clock::StampClock;
use crate::network::{CHUNK, Network};
use crate::road::{Inlet, Outlet, Road};
use crate::sockets::{BACKLOG_MAX, Gave, SocketPair, SocketPlan, SocketTable, Visit};

/// Most times that the sockets of one tick are gone through: bounds what one sender can make a
/// shard do.
const PASSES_MAX: usize = 8;

/// Every so many visits a socket is read twice, to find a backlog (20 ms each: 320 ms).
const PROBE_VISITS: u64 = 16;

/// Every so many ticks an RTCP socket is read (2 s; reports come each 5 s). Its datagrams carry their
/// time of arrival.
const RTCP_TICKS: u64 = 400;

/// So many reads ahead the memory is asked for where a packet will go.
const AHEAD: usize = 4;

/// One shard's sockets to be, and the system calls that will carry their packets.
pub(crate) struct SocketRoad<N> {
    pub(crate) network: N,
    pub(crate) plan: SocketPlan,
}

impl<N: Network + Send + 'static> Road for SocketRoad<N> {
    type Inlet = SocketInlet;
    type Outlet = SocketOutlet<N>;

    fn adopt(&mut self) -> Result<(), (&'static str, io::Error)> {
        self.network.adopt().map_err(|error| ("io_uring_register(ENABLE)", error))
    }

    fn open(self, sessions_max: u32) -> (SocketInlet, SocketOutlet<N>) {
        let sockets = SocketTable::new(self.plan, sessions_max);
        let outlet = SocketOutlet { network: self.network, sockets, refused: 0 };
        (SocketInlet::new(sessions_max), outlet)
    }
}

/// All sockets of one shard, and what sends through them.
pub(crate) struct SocketOutlet<N> {
    pub(crate) network: N,
    pub(crate) sockets: SocketTable,
    refused: u64,
}

impl<N: Network> Outlet for SocketOutlet<N> {
    fn insert(&mut self, slot: u32, pair: SocketPair) -> SocketPair {
        self.sockets.insert(slot, pair)
    }

    fn remove(&mut self, slot: u32) -> SocketPair {
        self.sockets.remove(slot)
    }

    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        let Some(socket) = self.sockets.get(slot, port) else {
            self.refused += 1;
            return;
        };
        let to = (socket.connected_to() != Some(to)).then(|| in_family(to, self.sockets.is_ipv6()));
        self.network.send(socket.fd(), to, parts);
    }

    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        let is_ipv6 = self.sockets.is_ipv6();
        // What is queued was addressed by the old state of the socket.
        self.network.flush();
        let Some(socket) = self.sockets.get_mut(slot, port) else { return };
        let done = match source {
            Some(source) => socket.admit_only(source, in_family(source, is_ipv6)),
            None => socket.admit_anyone(),
        };
        // Where the address has no route the socket stays as it is: dearer, and the shard's own
        // check of the source goes on.
        self.refused += u64::from(done.is_err());
    }

    fn flush(&mut self) {
        self.network.flush();
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused) + self.network.take_refused()
    }
}

/// An address as a socket of this family takes it.
fn in_family(address: SocketAddr, is_ipv6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        _ => address,
    }
}

/// Which sockets are to be read, and the memory for what they say.
pub(crate) struct SocketInlet {
    batch: Batch,
    /// Sockets to be read now, and once more after all of these: at most two reads of each RTP
    /// socket and one of each RTCP socket.
    reads: Vec<(u32, Port)>,
    again: Vec<(u32, Port)>,
    slots: u32,
    tick: u64,
    /// No group of this tick was read yet.
    is_first: bool,
}

impl<N: Network> Inlet<SocketOutlet<N>> for SocketInlet {
    fn begin_tick(&mut self, tick: u64) {
        self.tick = tick;
        self.is_first = true;
        self.list_rtcp_reads();
    }

    fn read(
        &mut self,
        shard: &mut Shard,
        carrier: &mut Carrier<SocketOutlet<N>>,
        now: Instant,
        stamps: StampClock,
    ) {
        if take(&mut self.is_first) {
            carrier.outlet.sockets.wake();
        }
        let due = shard.next_tick();
        self.list_reads(shard, now.since(due) >= TICK, &mut carrier.outlet);
        self.read_sockets(shard, carrier, due, stamps);
    }
}

impl SocketInlet {
    fn new(sessions_max: u32) -> Self {
        Self {
            batch: Batch::new(),
            reads: Vec::with_capacity(3 * sessions_max as usize),
            again: Vec::with_capacity(3 * sessions_max as usize),
            slots: sessions_max,
            tick: 0,
            is_first: false,
        }
    }

    /// Reads the sockets of the list until none of them has more, within bounds.
    fn read_sockets<N: Network>(
        &mut self,
        shard: &mut Shard,
        carrier: &mut Carrier<SocketOutlet<N>>,
        due: Instant,
        stamps: StampClock,
    ) {
        let backlog = shard.left_out().min(BACKLOG_MAX) as usize;
        for _ in 0..PASSES_MAX + backlog {
            if self.reads.is_empty() {
                break;
            }
            self.again.clear();
            self.read_all(shard, carrier, due, stamps);
            std::mem::swap(&mut self.reads, &mut self.again);
        }
        self.reads.clear();
    }

    /// Lists the RTCP sockets whose turn it is.
    fn list_rtcp_reads(&mut self) {
        let first = (self.tick % RTCP_TICKS) as u32;
        let staggered = (first..self.slots).step_by(RTCP_TICKS as usize);
        self.reads.extend(staggered.map(|slot| (slot, Port::Rtcp)));
    }

    /// Adds the RTP sockets of the coming group.
    fn list_reads<N>(&mut self, shard: &Shard, is_late: bool, outlet: &mut SocketOutlet<N>) {
        let left_out = shard.left_out();
        for &slot in shard.group() {
            let number = u64::from(slot) + self.tick / PHASES;
            let is_probe = number.is_multiple_of(PROBE_VISITS);
            let times = outlet.sockets.begin_visit(slot, Visit { is_probe, is_late, left_out });
            self.reads.extend(std::iter::repeat_n((slot, Port::Rtp), times));
        }
    }

    /// Reads every socket of `reads` once; those worth another read are put into `again`.
    fn read_all<N: Network>(
        &mut self,
        shard: &mut Shard,
        carrier: &mut Carrier<SocketOutlet<N>>,
        due: Instant,
        stamps: StampClock,
    ) {
        let reads = std::mem::take(&mut self.reads);
        for chunk in reads.chunks(CHUNK) {
            let sockets = &carrier.outlet.sockets;
            let present = |&(slot, port)| Some(sockets.get(slot, port)?.read(slot, port));
            self.batch.fill(chunk.iter().filter_map(present));
            shard.prefetch(self.batch.reads().iter().map(|read| read.slot));
            carrier.outlet.network.receive(&mut self.batch);
            for index in 0..self.batch.reads().len() {
                if let Some(read) = self.batch.reads().get(index + AHEAD) {
                    shard.prefetch_place(read.slot);
                }
                self.take(index, shard, carrier, due, stamps);
            }
        }
        self.reads = reads;
    }

    /// Hands the outcome of one read to the shard.
    fn take<N: Network>(
        &mut self,
        index: usize,
        shard: &mut Shard,
        carrier: &mut Carrier<SocketOutlet<N>>,
        due: Instant,
        stamps: StampClock,
    ) {
        let read = self.batch.reads()[index];
        let gave = match self.batch.outcome(index) {
            Outcome::Received(received) => {
                // `None` would be an address that is neither IPv4 nor IPv6: such sockets are never
                // opened. A connected socket does not name the source.
                if let Some(source) = received.source.or(read.connected_to) {
                    carrier.hand_in(
                        shard,
                        Datagram {
                            slot: read.slot,
                            port: read.port,
                            source,
                            arrival: arrival(received.stamp_unix_nanos, read.stamps, due, stamps),
                            bytes: received.bytes,
                            truncated: received.truncated,
                        },
                    );
                }
                let is_packet = demux(received.bytes) == Demux::Rtp;
                if is_packet { Gave::Packet } else { Gave::Other }
            }
            Outcome::Empty => Gave::Nothing,
            Outcome::Refused => {
                carrier.count_refused();
                Gave::Error
            }
        };
        let Read { slot, port, connected_to, .. } = read;
        if let Some(socket) = carrier.outlet.sockets.get_mut(slot, port)
            && socket.after_read(gave, connected_to)
        {
            self.again.push((slot, port));
        }
    }
}

/// When a datagram came that is read in the turn due then.
///
/// Without a stamp a packet came at any time since its socket's last turn was due, a period ago: not
/// since then where the shard is late, for what came after that is read in the next turn. Where
/// stamps are only spared that is said so; where there are none, the middle is taken for exact: to
/// take the end would make playout wait for that much lateness.
fn arrival(stamp: Option<u64>, is_spared: bool, due: Instant, stamps: StampClock) -> Arrival {
    match stamp {
        Some(stamp) => Arrival::At(stamps.instant(stamp)),
        None if is_spared => Arrival::By(due),
        None => Arrival::At(due - PERIOD / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_socket_is_given_ipv4_addresses_mapped() {
        let v4 = SocketAddr::from(([192, 0, 2, 7], 5000));
        assert_eq!(in_family(v4, true), "[::ffff:192.0.2.7]:5000".parse().unwrap());
        assert_eq!(in_family(v4, false), v4);
    }
}
