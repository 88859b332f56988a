//! The driver: threads, sockets and clocks around the pure shards of [`engine`].
//!
//! Each shard runs on one thread of its own, woken at absolute deadlines every 5 ms (never by
//! packets): it takes its commands, reads the sockets whose room is due, ticks, and hands its
//! datagrams to the kernel. [`Engine`] is the other side: the control plane's only way to the
//! shards, used by one thread. Rings carry commands there and facts back; sockets are opened and
//! closed on the control plane's side and travel beside them.
//!
//! After its start a shard's thread never allocates, frees, locks or logs, and makes no system
//! call but those of its packets, its clock, and one wake-up of the control plane per tick.
//!
//! Two drivers carry the packets behind one private trait: `io_uring` (chunks of one-shot
//! operations that complete inline; nothing is ever left pending) and plain `recv`/`send`.

mod batch;
mod carrier;
mod clock;
mod config;
mod engine;
mod failure;
#[cfg(feature = "faults")]
mod fault;
mod host;
mod network;
mod plain;
mod plan;
mod rings;
mod sockets;
mod thread;
mod uring;

pub use config::{DriverChoice, EngineConfig};
pub use engine::Engine;
pub use failure::StartFailure;
#[cfg(feature = "faults")]
pub use fault::Breaker;
pub use plan::{MemoryPart, MemoryPlan};
