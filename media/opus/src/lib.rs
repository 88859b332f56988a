//! libopus, safely: the few calls that we need of it.
//!
//! The states live in memory of ours. libopus promises that a state is one piece without pointers
//! into itself, so that a state is copied as memory is ([`Encoder::clone_from`]): this is how a
//! listener changes from one encoder to another without hearing it (decision 0008). libopus is
//! built to keep its scratch memory on the stack; nothing here allocates after construction, and
//! nothing here decides anything: policy is in `media::codec`.
//!
//! Always one audio channel at 48 kHz; what is received in stereo is mixed down by libopus.

mod decoder;
mod encoder;
mod memory;
mod packet;

pub use decoder::Decoder;
pub use encoder::{Bandwidth, Encoder, Settings};
pub use packet::Packet;

/// Samples in a second of everything here.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of the longest packet: 120 ms (RFC 6716 section 3.2.5).
pub const PACKET_SAMPLES_MAX: usize = 5760;

/// libopus invents and recovers in multiples of this: 2.5 ms.
pub const CONCEAL_SAMPLES: usize = 120;

/// libopus did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure;

/// What a call that counts answered: the count, or a negative code.
fn count(answer: i32) -> Result<usize, Failure> {
    usize::try_from(answer).map_err(|_| Failure)
}
