//! The other side of the wire in virtual time: phones, callers, a network, a clock and a seed
//! around the real front end and the real shards.
//!
//! [`phone`] and [`caller`] are sans-IO and also drive `loadtest` on real sockets. [`world`] puts
//! everything into one thread; [`oracle`] says what must be true in it; [`replay`] runs again what a
//! flight recorder kept. Nothing here reads a
//! clock, makes a system call or draws a random number that does not come from the seed. Nothing
//! here shares code with what it judges: G.711, RTP and SIP are read by our own few lines.

pub mod caller;
pub mod code;
pub mod g711;
pub mod network;
pub mod oracle;
pub mod phone;
pub mod replay;
pub mod rtp;
mod seed;
pub mod world;

pub use seed::Seed;
