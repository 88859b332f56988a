//! The shard: the seam between what runs sessions and rooms, and what drives it.

use std::time::Duration;

use engine_control::{Command, Limits};
use media_kernels::Kernels;
use media_units::{Instant, WallClock};

use crate::clock::Clock;
use crate::{Datagram, Output};

/// One shard's sessions and rooms.
///
/// A driver's round is: [`Shard::command`] for every command that waits, read the sockets of
/// [`Shard::due`] into [`Shard::receive`], then [`Shard::tick`], then sleep until
/// [`Shard::next_tick`] (not at all where it has passed: late ticks run one after the other).
#[derive(Debug)]
pub struct Shard {
    index: u8,
    kernels: Kernels,
    wall: WallClock,
    seed: u64,
    clock: Clock,
    due: Vec<u32>,
    busy: Duration,
    send_failures: u64,
}

impl Shard {
    /// An empty shard. Everything it will ever need is reserved here.
    pub fn new(index: u8, _limits: &Limits, kernels: Kernels, wall: WallClock, seed: u64) -> Self {
        Self {
            index,
            kernels,
            wall,
            seed,
            clock: Clock::new(),
            due: Vec::new(),
            busy: Duration::ZERO,
            send_failures: 0,
        }
    }

    /// What [`Shard::new`] reserves under these limits, for the printed memory plan.
    pub fn memory_bytes(_limits: &Limits) -> usize {
        size_of::<Self>()
    }

    /// Applies one command. Call it at the start of a tick, before the sockets are read.
    pub fn command(&mut self, _command: Command, _now: Instant, _output: &mut impl Output) {}

    /// The slots whose sockets are to be read before the coming tick, in the order in which their
    /// memory is best walked.
    pub fn due(&self) -> &[u32] {
        &self.due
    }

    /// Stores one datagram. Never sends sound.
    pub fn receive(&mut self, _datagram: Datagram<'_>, _output: &mut impl Output) {}

    /// Runs the due phase: playout, taps, mix, encode, packets, RTCP, timeouts.
    pub fn tick(&mut self, _now: Instant, _output: &mut impl Output) {
        self.clock.advance();
    }

    /// When [`Shard::tick`] is to be called next: absolute, never drifting.
    pub fn next_tick(&self) -> Instant {
        self.clock.due()
    }

    /// The driver's account of time spent working (not waiting).
    pub fn worked(&mut self, busy: Duration) {
        self.busy += busy;
    }

    /// The driver's account of datagrams that the kernel refused to send.
    pub fn send_failed(&mut self, datagrams: u64) {
        self.send_failures += datagrams;
    }
}
