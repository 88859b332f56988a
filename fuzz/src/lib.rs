//! Any input whatever, for everything that reads what came from outside.
//!
//! A target is a function of octets that panics where something is wrong. The tests run each over
//! its corpus and a fixed number of changes of it, the same in every run; `cargo fuzz` looks
//! further:
//!
//! ```text
//! cargo +nightly fuzz run rtp --features libfuzzer -- -max_total_time=60
//! ```
//!
//! What that finds goes into `corpus/<target>/` together with its mending.

pub mod codec;
pub mod configuration;
pub mod dtmf;
pub mod journal;
pub mod multipart;
pub mod naming;
pub mod playout;
pub mod rs_metadata;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip;

#[cfg(test)]
mod changes;
#[cfg(test)]
mod tests;
