//! The other side of the wire in virtual time.

pub mod caller;
pub mod code;
pub mod g711;
pub mod network;
pub mod phone;
pub mod rtp;
mod seed;

pub use seed::Seed;
