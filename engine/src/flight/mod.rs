//! The flight recorder: a ring of the last inputs of a shard, out of which it can be run again.
//!
//! A shard is deterministic: the same state, inputs and times give the same output. So what is kept
//! is what goes in (commands by their number, datagrams, times), what was decided about it, and a
//! hash of what came out, tick by tick. A shard *at rest* (no session, no room) has no past but what
//! [`Rest`] holds: from there it is run again bit for bit (docs/decisions/0012).
//!
//! The shard's thread writes words into a ring of atomics: it neither allocates nor locks nor
//! waits. Whoever wants the ring copies it meanwhile, and leaves out what was overwritten.

mod file;
mod record;
mod ring;
mod trace;

pub use file::{FlightFile, FlightFileFault, FlightHeader, FlightSource};
pub use record::{Kept, Record, Records};
pub use ring::{FlightReader, FlightSink, flight_ring};
pub use trace::Trace;

/// What is left of a shard at rest, as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The next tick.
    pub(crate) tick: u64,
    /// What its randomness goes on from.
    pub(crate) random: u64,
    /// What it knows of its pressure.
    pub(crate) load: [u64; 3],
}
