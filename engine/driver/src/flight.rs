//! The flight recorder around a shard: what its thread notes, and what the control plane makes of it.
//!
//! On the shard's thread: words into a ring, no more. On the control plane's: the commands under
//! their numbers, and a copy of the ring when somebody wants it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::flight::{
    FlightFile, FlightReader, FlightSink, FlightSource, Kept, Rest, Trace, flight_ring,
};
use engine::{Datagram, Decision, Port};
use engine_control::{Command, Event};
use media_units::Instant;

/// Commands that are kept for one shard.
const COMMANDS_MAX: usize = 16 * 1024;

/// What is recorded of each shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlightConfig {
    /// How much of each datagram.
    pub kept: Kept,
    /// Octets of the ring of one shard; a power of two, or rounded up to one.
    pub ring_bytes: usize,
    /// A tick that is later than this is told by [`crate::Engine::late_tick`].
    pub late: Option<Duration>,
}

/// The recorder on a shard's thread. Without a ring it does nothing.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    sink: Option<FlightSink>,
    kept: Kept,
    /// Whether the tick in progress is recorded: not where the shard is at rest.
    is_on: bool,
    trace: Trace,
    late: Option<Duration>,
    latest_us: Arc<AtomicU64>,
}

/// The recorder on the control plane's side.
#[derive(Debug)]
pub(crate) struct FlightDesk {
    reader: FlightReader,
    next: u64,
    commands: VecDeque<(u64, Command)>,
    /// The latest tick that nobody was told of yet; 0 where there is none.
    latest_us: Arc<AtomicU64>,
}

impl FlightDesk {
    /// Both ends, for one shard.
    pub(crate) fn new(config: &FlightConfig) -> (Self, Flight) {
        let (sink, reader) = flight_ring(config.ring_bytes);
        let latest_us = Arc::new(AtomicU64::new(0));
        let flight = Flight {
            sink: Some(sink),
            kept: config.kept,
            late: config.late,
            latest_us: Arc::clone(&latest_us),
            ..Flight::default()
        };
        (Self { reader, next: 0, commands: VecDeque::new(), latest_us }, flight)
    }

    /// Keeps a command, and says under which number.
    pub(crate) fn keep(&mut self, command: &Command) -> u64 {
        if command.is_question() {
            return self.next;
        }
        self.next += 1;
        if self.commands.len() >= COMMANDS_MAX {
            self.commands.pop_front();
        }
        self.commands.push_back((self.next, command.clone()));
        self.next
    }

    /// How late the latest tick was since this was last asked, where it was too late.
    pub(crate) fn late_tick(&self) -> Option<Duration> {
        let latest = self.latest_us.swap(0, Ordering::Relaxed);
        (latest > 0).then(|| Duration::from_micros(latest))
    }

    /// All that is known.
    pub(crate) fn file(&self, cause: String, of: FlightSource) -> FlightFile {
        let commands = self.commands.iter().cloned().collect();
        FlightFile::new(cause, FlightSource { commands, ..of }, &self.reader.copy())
    }
}

impl Flight {
    /// Whether there is a ring.
    pub(crate) fn has_ring(&self) -> bool {
        self.sink.is_some()
    }

    /// A tick is due that has something to do: a shard that was at rest comes from there.
    pub(crate) fn wake(&mut self, rest: Option<&Rest>) {
        self.is_on = true;
        if let (Some(rest), Some(sink)) = (rest, &mut self.sink) {
            self.trace = Trace::default();
            sink.rest(rest);
        }
    }

    /// A tick is due that has nothing to do.
    pub(crate) fn sleep(&mut self) {
        self.is_on = false;
    }

    pub(crate) fn begin(&mut self, due: Instant, now: Instant) {
        let Some(sink) = self.on() else { return };
        sink.begin(now);
        let late = now.since(due);
        if self.late.is_some_and(|most| late > most) {
            self.latest_us.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn command(&mut self, command: &Command, number: u64, now: Instant) {
        if let Some(sink) = self.on()
            && !command.is_question()
        {
            sink.command(number, now);
        }
    }

    pub(crate) fn datagram(&mut self, datagram: &Datagram<'_>) {
        let kept = self.kept;
        if let Some(sink) = self.on() {
            sink.datagram(datagram, kept);
        }
    }

    pub(crate) fn group(&mut self) {
        if let Some(sink) = self.on() {
            sink.group();
        }
    }

    pub(crate) fn end(&mut self, busy: Duration, refused: u64) {
        let trace = self.trace.take();
        if let Some(sink) = self.on() {
            sink.end(busy, refused as u32, trace);
        }
    }

    pub(crate) fn decided(&mut self, slot: u32, decision: Decision) {
        if let Some(sink) = self.on() {
            sink.decision(slot, decision);
        }
        if let Some(trace) = self.trace() {
            trace.decided(slot, decision);
        }
    }

    pub(crate) fn sent(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        if let Some(trace) = self.trace() {
            trace.send(slot, port, to, parts);
        }
    }

    pub(crate) fn latched(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        if let Some(trace) = self.trace() {
            trace.latch(slot, port, source);
        }
    }

    pub(crate) fn told(&mut self, event: &Event) {
        if let Some(trace) = self.trace() {
            trace.event(event);
        }
    }

    fn on(&mut self) -> Option<&mut FlightSink> {
        self.sink.as_mut().filter(|_| self.is_on)
    }

    /// What comes out is of use only where it can be compared: where a shard can be run again.
    fn trace(&mut self) -> Option<&mut Trace> {
        (self.is_on && self.kept == Kept::All).then_some(&mut self.trace)
    }
}
