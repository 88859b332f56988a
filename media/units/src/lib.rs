//! The quantities of the media path, as types.
//!
//! Floor 0: arithmetic only. Nothing here reads a clock, draws a random number or allocates.
//! Packet words come from RFC 3550, stream words from RFC 7656; direction is always seen from
//! the server (receive = endpoint to us, send = us to the endpoint).

mod arrival;
mod block;
mod digits;
mod direction;
mod discard;
mod encoding;
mod law;
mod quality;
mod rate;
mod room;
mod rtp;
mod time;

pub use arrival::Arrival;
pub use block::{BLOCK_SAMPLES, Block};
pub use digits::{Cadence, Digits, KEYS, key_number};
pub use direction::Direction;
pub use discard::{DISCARDS, Discard};
pub use encoding::{Encoding, EncodingParameters};
pub use law::Law;
pub use quality::{BAD_SECONDS, BadSecond, BurstGap, Rating, Seconds, StreamQuality, VoipMetrics};
pub use rate::{BLOCK_SAMPLES_MAX, RateClass};
pub use room::{Gain, RoomSound, Selection};
pub use rtp::{ExtendedSequence, RtpTimestamp, SequenceNumber, Ssrc};
pub use time::{
    CLOCK_RATE, Instant, NtpTime, PERIOD, PHASES, PeriodIndex, SAMPLE_RATE, TICK, WallClock,
};
