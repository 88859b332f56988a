//! A shard: sessions and rooms run here. Pure: time is an argument, output is passed in.
//!
//! Packets are only stored on arrival ([`Shard::receive`]); everything audible happens in a tick
//! ([`Shard::tick`]); commands apply before one ([`Shard::command`]). A shard never allocates nor
//! frees after [`Shard::new`]: memory that it needs comes in a command's box and goes home in an
//! event. Network input can neither panic nor fail: what is not used is counted by reason.
//!
//! Every session has exactly one turn in every period of 20 ms, in one of four phases of 5 ms.
//! A room's members share its phase.

mod bench;
mod clock;
mod commands;
mod contributors;
mod decision;
mod digits;
mod equipment;
#[cfg(feature = "faults")]
mod fault;
pub mod flight;
mod groups;
mod latch;
mod load;
mod luggage;
mod moment;
mod monitor;
mod mute;
mod output;
mod passage;
mod prompts;
mod quality;
mod receive;
mod report;
mod roster;
mod rtcp;
mod send;
mod sender;
mod session;
mod shard;
mod spread;
mod tapping;
mod taps;
mod tick;
mod turn;

pub use decision::{Decision, Said};
pub use equipment::Equipment;
#[cfg(feature = "faults")]
pub use fault::FAULTY_SSRC;
pub use luggage::Luggage;
pub use output::{Datagram, Output, Port};
pub use passage::Traveller;
pub use shard::Shard;
pub use spread::{Exchange, exchange};
