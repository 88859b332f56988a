//! The taps of a shard: how many there are, and the ring that they share; and who listens at one
//! point.

use engine_control::{
    Limits, Refusal, SilenceCause, TapContent, TapId, TapItem, TapReader, TapSink, tap_ring,
};
use media_units::{Instant, PeriodIndex, RateClass};

use crate::monitor::MonitorIndex;

/// Who listens at one point.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watch {
    pub(crate) tap: Option<TapId>,
    /// The first of its monitors.
    pub(crate) monitor: Option<MonitorIndex>,
}

impl Watch {
    /// Whether anybody does.
    pub(crate) fn is_watched(self) -> bool {
        self.tap.is_some() || self.monitor.is_some()
    }
}

/// What a point carries in a period, but for the sound itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Sound { concealed: bool },
    Silence(SilenceCause),
}

impl Carried {
    /// With the sound, which is not looked at where it is silence.
    pub(crate) fn with(self, class: RateClass, samples: &[i16]) -> TapContent<'_> {
        match self {
            Self::Sound { concealed } => TapContent::Block { class, concealed, samples },
            Self::Silence(cause) => TapContent::Silence { class, cause },
        }
    }
}

/// All taps of a shard.
#[derive(Debug)]
pub(crate) struct Taps {
    sink: TapSink,
    /// Until somebody takes it.
    reader: Option<Box<TapReader>>,
    open_max: usize,
}

impl Taps {
    /// The ring for these limits.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (sink, reader) = tap_ring(limits.tap_ring_bytes);
        Self { sink, reader: Some(Box::new(reader)), open_max: limits.taps_max as usize }
    }

    /// What [`Taps::new`] reserves.
    pub(crate) const fn memory_bytes(limits: &Limits) -> usize {
        TapSink::memory_bytes(limits.tap_ring_bytes) + size_of::<TapReader>()
    }

    /// The ring's other end, once.
    pub(crate) fn take_reader(&mut self) -> Option<Box<TapReader>> {
        self.reader.take()
    }

    /// Whether one more tap could begin.
    pub(crate) fn check_start(&self) -> Result<(), Refusal> {
        if self.sink.open() >= self.open_max {
            return Err(Refusal::Full);
        }
        if self.sink.can_start() { Ok(()) } else { Err(Refusal::Busy) }
    }

    /// One more tap begins.
    pub(crate) fn start(&mut self) {
        self.sink.start();
    }

    /// A tap ends before this period.
    pub(crate) fn end(&mut self, tap: TapId, period: PeriodIndex, at: Instant) {
        self.sink.end(tap, period, at);
    }

    /// Writes what a tap carries.
    pub(crate) fn push(
        &mut self,
        tap: TapId,
        period: PeriodIndex,
        at: Instant,
        content: TapContent<'_>,
    ) {
        self.sink.push(&TapItem { tap, period, at, content });
    }

    /// Records lost by all taps, past and present.
    pub(crate) fn lost(&self) -> u64 {
        self.sink.lost()
    }
}
