//! GSM full rate (ETSI EN 300 961, once GSM 06.10): 20 ms of sound in 33 octets.
//!
//! A regular pulse excitation passes a long-term predictor (the pitch) and a lattice of eight
//! reflection coefficients (the mouth). Written from the standard's sections 5.2 and 5.3, bit
//! exact, in its 16-bit arithmetic. On the wire a frame is as in RFC 3551 section 4.5.8.1; a packet
//! may hold several. Lost frames are invented as in EN 300 963 (GSM 06.11): the last frame again,
//! then fading to silence in 320 ms. Frames that describe silence (GSM 06.12, sent once before a
//! pause in discontinuous transmission) are heard as the noise that they mean.

mod arithmetic;
mod decode;
mod encode;
mod excitation;
mod frame;
mod lattice;

pub use decode::GsmDecoder;
pub use encode::GsmEncoder;

/// Samples in a frame.
const FRAME_SAMPLES: usize = 160;

/// Samples in a subframe, which has an excitation of its own.
const SUBFRAME_SAMPLES: usize = 40;

/// Subframes in a frame.
const SUBFRAMES: usize = 4;

/// The longest pitch period.
const LAG_MAX: usize = 120;

/// The past excitation, in which the pitch is looked for.
type Excitation = [i16; LAG_MAX];

/// Reflection coefficients in a frame.
const ORDER: usize = 8;

#[cfg(test)]
pub(super) mod tests;
