//! The loop of one shard's thread, the same for both drivers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Datagram, Port, Shard};
use engine_control::{COMMANDS_PER_TICK, Command, Limits, TapReader};
use media::{Demux, demux};
use media_kernels::Kernels;
use media_units::{Arrival, Instant, PERIOD, PHASES};
use rtrb::Consumer;

use crate::batch::{Batch, Outcome, Read, Received};
use crate::carrier::Carrier;
use crate::clock::{EngineClock, StampClock};
use crate::host;
use crate::network::{CHUNK, Network};
use crate::rings::{Order, ShardEnds, Shared};
use crate::sockets::{Gave, SocketPlan, SocketTable};

/// Most times that the sockets of one tick are gone through: bounds what one sender can make a
/// shard do.
const PASSES_MAX: usize = 8;

/// Every so many visits a socket is read twice, to find a backlog (20 ms each: 320 ms).
const PROBE_VISITS: u64 = 16;

/// Every so many ticks an RTCP socket is read (1 s). Its datagrams carry their time of arrival.
const RTCP_TICKS: u64 = 200;

/// So many reads ahead the memory is asked for where a packet will go.
const AHEAD: usize = 4;

/// What a shard's thread is started with.
pub(crate) struct ThreadPlan {
    pub(crate) index: u8,
    pub(crate) core: Option<usize>,
    pub(crate) realtime: bool,
    pub(crate) limits: Limits,
    pub(crate) kernels: Kernels,
    pub(crate) seed: u64,
    pub(crate) sockets: SocketPlan,
}

/// Ties the calling thread to its core and its priority.
pub(crate) fn settle(plan: &ThreadPlan) -> Result<(), (&'static str, io::Error)> {
    if let Some(core) = plan.core {
        host::pin(core).map_err(|error| ("sched_setaffinity", error))?;
    }
    host::wake_precisely();
    if plan.realtime
        && let Err(error) = host::make_realtime()
    {
        let shard = plan.index;
        tracing::warn!(shard, %error, "no real-time priority: ticks may be late under load");
    }
    Ok(())
}

/// One shard with everything that carries it.
pub(crate) struct ShardThread<N> {
    shard: Shard,
    carrier: Carrier<N>,
    orders: Consumer<Order>,
    /// Where the control plane looks how it is.
    load: Arc<AtomicU64>,
    shared: Arc<Shared>,
    batch: Batch,
    /// Sockets to be read now, and once more after all of these: at most two reads of each RTP
    /// socket and one of each RTCP socket.
    reads: Vec<(u32, Port)>,
    again: Vec<(u32, Port)>,
    slots: u32,
    ticks: u64,
}

impl<N: Network> ShardThread<N> {
    /// Reserves everything. Called on the shard's own thread, so that its memory is near its core.
    pub(crate) fn new(plan: &ThreadPlan, network: N, ends: ShardEnds, shared: Arc<Shared>) -> Self {
        let slots = plan.limits.sessions_max;
        let sockets = SocketTable::new(plan.sockets, slots);
        let shard = Shard::new(plan.index, &plan.limits, plan.kernels, plan.seed);
        Self {
            shard,
            carrier: Carrier::new(network, sockets, ends.notices),
            orders: ends.orders,
            load: ends.load,
            shared,
            batch: Batch::new(),
            reads: Vec::with_capacity(3 * slots as usize),
            again: Vec::with_capacity(3 * slots as usize),
            slots,
            ticks: 0,
        }
    }

    /// Where all that the shard's taps carry is read. Given once.
    pub(crate) fn take_tap_reader(&mut self) -> Option<Box<TapReader>> {
        self.shard.take_tap_reader()
    }

    /// Runs on this clock until it is stopped.
    pub(crate) fn run(mut self, clock: EngineClock) {
        self.shard.set_wall(clock.wall());
        while !self.shared.is_stopped() {
            clock.sleep_until(self.shard.next_tick());
            let woken = clock.now();
            #[cfg(feature = "faults")]
            self.shared.commit_fault();
            self.obey(woken);
            self.tick(woken);
            let refused = self.carrier.finish_tick();
            self.shard.send_failed(refused);
            self.shard.worked(clock.now().since(woken), &mut self.carrier);
            self.load.store(self.shard.load().to_bits(), Ordering::Relaxed);
            self.ticks += 1;
        }
    }

    /// Applies the commands that wait, as many as belong into one tick.
    fn obey(&mut self, now: Instant) {
        for _ in 0..COMMANDS_PER_TICK {
            if !self.carrier.has_room() {
                break;
            }
            let Ok(Order { command, sockets, equipment }) = self.orders.pop() else { break };
            if let Command::OpenSession { session, .. } | Command::UpdateSession { session, .. } =
                &command
            {
                self.carrier.take_sockets(session.slot(), sockets);
            }
            self.shard.command(command, equipment, now, &mut self.carrier);
        }
    }

    /// Runs a tick group by group, so that a session and its sockets are still in the cache when
    /// it sends: read, mix, send, and on to the next group.
    fn tick(&mut self, now: Instant) {
        let stamps = StampClock::at(now);
        self.list_rtcp_reads();
        self.shard.begin_tick(now);
        loop {
            self.list_reads();
            self.read_sockets(now, stamps);
            if !self.shard.run_group(now, &mut self.carrier) {
                break;
            }
            self.carrier.network.flush();
        }
    }

    /// Reads the sockets of the list until none of them has more, within bounds.
    fn read_sockets(&mut self, now: Instant, stamps: StampClock) {
        for _ in 0..PASSES_MAX {
            if self.reads.is_empty() {
                break;
            }
            self.again.clear();
            self.read_all(now, stamps);
            std::mem::swap(&mut self.reads, &mut self.again);
        }
        self.reads.clear();
    }

    /// Lists the RTCP sockets whose turn it is.
    fn list_rtcp_reads(&mut self) {
        let first = (self.ticks % RTCP_TICKS) as u32;
        let staggered = (first..self.slots).step_by(RTCP_TICKS as usize);
        self.reads.extend(staggered.map(|slot| (slot, Port::Rtcp)));
    }

    /// Adds the RTP sockets of the coming group.
    fn list_reads(&mut self) {
        let Self { reads, shard, carrier, ticks, .. } = self;
        for &slot in shard.group() {
            let visit = u64::from(slot) + *ticks / PHASES;
            if let Some(socket) = carrier.sockets.get_mut(slot, Port::Rtp) {
                let times = socket.begin_visit(visit.is_multiple_of(PROBE_VISITS));
                reads.extend(std::iter::repeat_n((slot, Port::Rtp), times));
            }
        }
    }

    /// Reads every socket of `reads` once; those worth another read are put into `again`.
    fn read_all(&mut self, now: Instant, stamps: StampClock) {
        let reads = std::mem::take(&mut self.reads);
        for chunk in reads.chunks(CHUNK) {
            let sockets = &self.carrier.sockets;
            let present = |&(slot, port)| Some(sockets.get(slot, port)?.read(slot, port));
            self.batch.fill(chunk.iter().filter_map(present));
            self.shard.prefetch(self.batch.reads().iter().map(|read| read.slot));
            self.carrier.network.receive(&mut self.batch);
            for index in 0..self.batch.reads().len() {
                if let Some(read) = self.batch.reads().get(index + AHEAD) {
                    self.shard.prefetch_place(read.slot);
                }
                self.take(index, now, stamps);
            }
        }
        self.reads = reads;
    }

    /// Hands the outcome of one read to the shard.
    fn take(&mut self, index: usize, now: Instant, stamps: StampClock) {
        let read = self.batch.reads()[index];
        let gave = match self.batch.outcome(index) {
            Outcome::Received(received) => {
                let is_packet = demux(received.bytes) == Demux::Rtp;
                if let Some(datagram) = datagram(read, received, now, stamps) {
                    self.shard.receive(datagram, &mut self.carrier);
                }
                if is_packet { Gave::Packet } else { Gave::Other }
            }
            Outcome::Empty => Gave::Nothing,
            Outcome::Refused => {
                self.carrier.count_refused();
                Gave::Error
            }
        };
        let Read { slot, port, connected_to, .. } = read;
        if let Some(socket) = self.carrier.sockets.get_mut(slot, port)
            && socket.after_read(gave, connected_to)
        {
            self.again.push((slot, port));
        }
    }
}

/// What was received, as the shard takes it. A connected socket does not name the source. `None`
/// would be an address that is neither IPv4 nor IPv6: such sockets are never opened.
///
/// Without a stamp a packet came at any time since its socket's last turn, a period ago. Where
/// stamps are only spared that is said so; where there are none, the middle is taken for exact: to
/// take the end would make playout wait for that much lateness.
fn datagram(
    read: Read,
    received: Received<'_>,
    now: Instant,
    stamps: StampClock,
) -> Option<Datagram<'_>> {
    Some(Datagram {
        slot: read.slot,
        port: read.port,
        source: received.source.or(read.connected_to)?,
        arrival: match received.stamp_unix_nanos {
            Some(stamp) => Arrival::At(stamps.instant(stamp)),
            None if read.stamps => Arrival::By(now),
            None => Arrival::At(now - PERIOD / 2),
        },
        bytes: received.bytes,
        truncated: received.truncated,
    })
}
