//! The taps of a shard: a list of fixed capacity, and at most one tap for each point.

use engine_control::{TapBlock, TapPoint, TapSink};
use media_units::{Block, Instant, PeriodIndex};

/// A tap's place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TapIndex(u32);

/// All taps.
#[derive(Debug)]
pub(crate) struct Taps {
    places: Vec<Option<Tap>>,
    /// Which are empty, the next to be used last.
    free: Vec<u32>,
    /// Blocks lost by taps that have ended.
    overruns_past: u64,
}

#[derive(Debug)]
struct Tap {
    point: TapPoint,
    sink: Box<TapSink>,
}

impl Taps {
    /// Memory for so many taps.
    pub(crate) fn new(taps_max: u32) -> Self {
        let mut places = Vec::new();
        places.resize_with(taps_max as usize, || None);
        Self { places, free: (0..taps_max).rev().collect(), overruns_past: 0 }
    }

    /// What [`Taps::new`] reserves.
    pub(crate) const fn memory_bytes(taps_max: u32) -> usize {
        taps_max as usize * (size_of::<Option<Tap>>() + size_of::<u32>())
    }

    /// Starts a tap, or hands the sink back where every place is taken.
    pub(crate) fn start(
        &mut self,
        point: TapPoint,
        sink: Box<TapSink>,
    ) -> Result<TapIndex, Box<TapSink>> {
        let Some(place) = self.free.pop() else { return Err(sink) };
        self.places[place as usize] = Some(Tap { point, sink });
        Ok(TapIndex(place))
    }

    /// Ends a tap and hands its sink back.
    pub(crate) fn end(&mut self, index: TapIndex) -> Option<(TapPoint, Box<TapSink>)> {
        let tap = self.places[index.0 as usize].take()?;
        self.free.push(index.0);
        self.overruns_past += tap.sink.overruns();
        Some((tap.point, tap.sink))
    }

    /// Writes a block into a tap.
    pub(crate) fn push(
        &mut self,
        index: TapIndex,
        period: PeriodIndex,
        at: Instant,
        block: &Block,
    ) {
        if let Some(tap) = &mut self.places[index.0 as usize] {
            tap.sink.push(TapBlock { period, at, block: *block });
        }
    }

    /// Blocks lost by all taps, past and present.
    pub(crate) fn overruns(&self) -> u64 {
        let present: u64 = self.places.iter().flatten().map(|tap| tap.sink.overruns()).sum();
        self.overruns_past + present
    }
}
