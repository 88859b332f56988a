//! The loop of one shard's thread, the same for both drivers.

use std::io;
use std::sync::Arc;

use engine::{Datagram, Port, Shard};
use engine_control::{Command, Limits};
use media_kernels::Kernels;
use media_units::Instant;
use rtrb::Consumer;

use crate::batch::{Batch, Outcome, Read, Received};
use crate::carrier::Carrier;
use crate::clock::{EngineClock, StampClock};
use crate::host;
use crate::network::{CHUNK, Network};
use crate::rings::{Order, ShardEnds, Shared};
use crate::sockets::{Gave, SocketPlan, SocketTable};

/// Most reads of one socket in one tick: bounds what one sender can make a shard do.
const PASSES_MAX: usize = 8;

/// Every so many visits a socket is read a second time, to find a backlog (20 ms each: 160 ms).
const PROBE_VISITS: u64 = 8;

/// Every so many ticks an RTCP socket is read (500 ms).
const RTCP_TICKS: u64 = 100;

/// What a shard's thread is started with.
pub(crate) struct ThreadPlan {
    pub(crate) index: u8,
    pub(crate) core: Option<usize>,
    pub(crate) realtime: bool,
    pub(crate) limits: Limits,
    pub(crate) kernels: Kernels,
    pub(crate) seed: u64,
    pub(crate) sockets: SocketPlan,
    pub(crate) clock: EngineClock,
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
    clock: EngineClock,
    shared: Arc<Shared>,
    batch: Batch,
    /// Sockets to be read in this pass, and in the next.
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
        let wall = plan.clock.wall();
        let shard = Shard::new(plan.index, &plan.limits, plan.kernels, wall, plan.seed);
        Self {
            shard,
            carrier: Carrier::new(network, sockets, ends.notices),
            orders: ends.orders,
            clock: plan.clock,
            shared,
            batch: Batch::new(),
            reads: Vec::with_capacity(2 * slots as usize),
            again: Vec::with_capacity(2 * slots as usize),
            slots,
            ticks: 0,
        }
    }

    /// Runs until it is stopped.
    pub(crate) fn run(mut self) {
        while !self.shared.is_stopped() {
            self.clock.sleep_until(self.shard.next_tick());
            let woken = self.clock.now();
            self.obey(woken);
            self.read_sockets(woken);
            self.shard.tick(woken, &mut self.carrier);
            let refused = self.carrier.finish_tick();
            self.shard.send_failed(refused);
            self.shard.worked(self.clock.now().since(woken));
            self.ticks += 1;
        }
    }

    /// Applies the commands that wait.
    fn obey(&mut self, now: Instant) {
        while self.carrier.has_room()
            && let Ok(Order { command, sockets }) = self.orders.pop()
        {
            if let Command::OpenSession { session, .. } | Command::UpdateSession { session, .. } =
                &command
            {
                self.carrier.take_sockets(session.slot(), sockets);
            }
            self.shard.command(command, now, &mut self.carrier);
        }
    }

    /// Reads the RTP sockets that are due, and now and then those of RTCP.
    fn read_sockets(&mut self, now: Instant) {
        self.reads.clear();
        self.reads.extend(self.shard.due().iter().map(|&slot| (slot, Port::Rtp)));
        let first = (self.ticks % RTCP_TICKS) as u32;
        let staggered = (first..self.slots).step_by(RTCP_TICKS as usize);
        self.reads.extend(staggered.map(|slot| (slot, Port::Rtcp)));
        let stamps = StampClock::at(now);
        for pass in 0..PASSES_MAX {
            self.again.clear();
            self.read_pass(pass, now, stamps);
            std::mem::swap(&mut self.reads, &mut self.again);
            if self.reads.is_empty() {
                break;
            }
        }
    }

    /// Reads every socket of `reads` once; those worth another read are put into `again`.
    fn read_pass(&mut self, pass: usize, now: Instant, stamps: StampClock) {
        let reads = std::mem::take(&mut self.reads);
        for chunk in reads.chunks(CHUNK) {
            let sockets = &self.carrier.sockets;
            let present = |&(slot, port)| Some(sockets.get(slot, port)?.read(slot, port));
            self.batch.fill(chunk.iter().filter_map(present));
            self.carrier.network.receive(&mut self.batch);
            for index in 0..self.batch.reads().len() {
                self.take(index, pass, now, stamps);
            }
        }
        self.reads = reads;
    }

    /// Hands the outcome of one read to the shard.
    fn take(&mut self, index: usize, pass: usize, now: Instant, stamps: StampClock) {
        let Read { slot, port, .. } = self.batch.reads()[index];
        let gave = match self.batch.outcome(index) {
            Outcome::Received(received) => {
                if let Some(datagram) = self.datagram(slot, port, received, now, stamps) {
                    self.shard.receive(datagram, &mut self.carrier);
                }
                Gave::Datagram
            }
            Outcome::Empty => Gave::Nothing,
            Outcome::Refused => {
                self.carrier.count_refused();
                Gave::Error
            }
        };
        let probe = port == Port::Rtcp || self.is_probed(slot);
        if let Some(socket) = self.carrier.sockets.get_mut(slot, port)
            && socket.after_read(pass, gave, probe)
        {
            self.again.push((slot, port));
        }
    }

    /// What was received, as the shard takes it. A connected socket does not name the source.
    fn datagram<'a>(
        &self,
        slot: u32,
        port: Port,
        received: Received<'a>,
        now: Instant,
        stamps: StampClock,
    ) -> Option<Datagram<'a>> {
        let connected_to = || self.carrier.sockets.get(slot, port)?.connected_to();
        Some(Datagram {
            slot,
            port,
            source: received.source.or_else(connected_to)?,
            arrival: received.stamp_unix_nanos.map_or(now, |stamp| stamps.instant(stamp)),
            bytes: received.bytes,
            truncated: received.truncated,
        })
    }

    /// Whether this visit of a slot looks for a backlog: staggered over slots.
    fn is_probed(&self, slot: u32) -> bool {
        (u64::from(slot) + self.ticks / media_units::PHASES).is_multiple_of(PROBE_VISITS)
    }
}
