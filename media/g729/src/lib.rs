//! libbcg729, safely: the few calls that we need of it.
//!
//! **libbcg729 is GPL 3: who passes on a program that this crate is linked into does so under the
//! GPL 3.** Nothing depends on this crate unless a feature is asked for (decision 0018).
//!
//! The library is held to version 1.1.1 and linked statically, because its states are copied here:
//! it offers neither a way back to the beginning without the allocator, nor a twin, by which a listener
//! changes from one encoder to another without hearing it. It allocates and frees in its `init` and
//! `close` calls only. Its decoder takes any octets: each index it reads has as many bits as its table has
//! entries. Nothing here decides anything: policy is in `media::codec`.

mod decoder;
mod encoder;
mod state;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// Samples in a frame: 10 ms at 8 kHz.
pub const FRAME_SAMPLES: usize = 80;

/// Octets of a frame of speech.
pub const FRAME_OCTETS: usize = 10;

/// Octets of a frame that describes silence (Annex B).
pub const SILENCE_OCTETS: usize = 2;
