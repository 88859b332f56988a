//! The loop of one shard's thread, the same for all drivers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Exchange, Shard};
use engine_control::{COMMANDS_PER_TICK, Command, Limits, TapReader};
use media_kernels::Kernels;
use media_units::Instant;
use rtrb::Consumer;

use crate::carrier::Carrier;
use crate::clock::{EngineClock, StampClock, cpu_time};
use crate::flight::Flight;
use crate::host;
use crate::rings::{Order, ShardEnds, Shared};
use crate::road::{Inlet, Outlet, Road};

/// What a shard's thread is started with.
pub(crate) struct ThreadPlan {
    pub(crate) index: u8,
    pub(crate) core: Option<usize>,
    pub(crate) realtime: bool,
    pub(crate) limits: Limits,
    pub(crate) kernels: Kernels,
    pub(crate) seed: u64,
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
pub(crate) struct ShardThread<R: Road> {
    shard: Shard,
    carrier: Carrier<R::Outlet>,
    inlet: R::Inlet,
    orders: Consumer<Order>,
    /// Where the control plane looks how it is.
    load: Arc<AtomicU64>,
    shared: Arc<Shared>,
    ticks: u64,
}

impl<R: Road> ShardThread<R> {
    /// Reserves everything. Called on the shard's own thread, so that its memory is near its core.
    pub(crate) fn new(
        plan: &ThreadPlan,
        road: R,
        ends: ShardEnds,
        shared: Arc<Shared>,
        flight: Flight,
    ) -> Self {
        let (inlet, outlet) = road.open(plan.limits.sessions_max);
        let shard = Shard::new(plan.index, &plan.limits, plan.kernels, plan.seed);
        Self {
            shard,
            carrier: Carrier::new(outlet, ends.notices, flight),
            inlet,
            orders: ends.orders,
            load: ends.load,
            shared,
            ticks: 0,
        }
    }

    /// Where all that the shard's taps carry is read. Given once.
    pub(crate) fn take_tap_reader(&mut self) -> Option<Box<TapReader>> {
        self.shard.take_tap_reader()
    }

    /// Where the shard meets the others.
    pub(crate) fn meet(&mut self, exchange: Exchange) {
        self.shard.meet(exchange);
    }

    /// Runs on this clock until it is stopped.
    pub(crate) fn run(mut self, clock: EngineClock) {
        self.shard.set_wall(clock.wall());
        while !self.shared.is_stopped() {
            clock.sleep_until(self.shard.next_tick());
            let (woken, before) = (clock.now(), cpu_time());
            #[cfg(feature = "faults")]
            self.shared.commit_fault();
            self.note_rest();
            self.obey(woken);
            self.tick(woken);
            let refused = self.carrier.finish_tick();
            // Not the time until now: what others took of the core meanwhile is no work.
            let busy = cpu_time().saturating_sub(before);
            self.carrier.flight.end(busy, refused);
            self.shard.send_failed(refused);
            self.shard.worked(busy, &mut self.carrier);
            self.load.store(self.shard.load().to_bits(), Ordering::Relaxed);
            self.ticks += 1;
        }
    }

    /// Tells the flight recorder where a shard that was at rest goes on from.
    fn note_rest(&mut self) {
        if !self.carrier.flight.has_ring() {
            return;
        }
        match self.shard.rest() {
            Some(_) if self.orders.is_empty() => self.carrier.flight.sleep(),
            rest => self.carrier.flight.wake(rest.as_ref()),
        }
    }

    /// Applies the commands that wait, as many as belong into one tick.
    fn obey(&mut self, now: Instant) {
        for _ in 0..COMMANDS_PER_TICK {
            if !self.carrier.has_room() {
                break;
            }
            let Ok(order) = self.orders.pop() else { break };
            let Order { command, sockets, luggage, number } = order;
            self.carrier.flight.command(&command, number, now);
            if let Command::OpenSession { session, .. }
            | Command::UpdateSession { session, .. }
            | Command::TakeIn { session } = &command
            {
                self.carrier.take_sockets(session.slot(), sockets);
            }
            self.shard.command(command, luggage, now, &mut self.carrier);
        }
    }

    /// Runs a tick group by group, so that a session and its sockets are still in the cache when
    /// it sends: read, mix, send, and on to the next group.
    fn tick(&mut self, now: Instant) {
        let stamps = StampClock::at(now);
        self.inlet.begin_tick(self.ticks);
        self.carrier.flight.begin(self.shard.next_tick(), now);
        self.shard.begin_tick(now);
        loop {
            self.inlet.read(&mut self.shard, &mut self.carrier, now, stamps);
            self.carrier.flight.group();
            if !self.shard.run_group(now, &mut self.carrier) {
                break;
            }
            self.carrier.outlet.flush();
        }
    }
}
