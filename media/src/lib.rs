//! One stream: from the wire to samples and back.
//!
//! Everything about a single RTP stream that needs neither a clock nor a socket: telling packets
//! apart, reading and writing their headers, reception statistics and RTCP (RFC 3550), G.711
//! (RFC 3551), playout, digits (RFC 4733), talk detection. Nothing here allocates after
//! construction, and no octet from the network can make it panic.

pub mod codec;
pub mod comfort_noise;
mod demux;
pub mod dtmf;
pub mod g711;
pub mod noise_suppression;
pub mod playout;
pub mod quality;
mod random;
pub mod reception;
pub mod resample;
pub mod rtcp;
pub mod rtp;
#[cfg(test)]
mod spoken;
pub mod talk;
pub mod tone;

pub use demux::{Demux, demux};
pub use random::Random;
