//! The driver: threads, sockets and clocks around the pure shards of [`engine`].
//!
//! Each shard runs on one thread of its own, woken at absolute deadlines every 5 ms (never by
//! packets): it takes its commands, reads the sockets whose room is due, ticks, and hands its
//! datagrams to the kernel. [`Engine`] is the other side: the control plane's only way to the
//! shards, used by one thread. Rings carry commands there and facts back; sockets are opened and
//! closed on the control plane's side and travel beside them.
//!
//! After its start a shard's thread never allocates, frees, locks or logs, and makes no system
//! call but those of its packets, its clock, and wake-ups: of the control plane once per tick, and of
//! the thread that knows the routes for an address that is new.
//!
//! Two roads lead to the network, behind one private trait: a socket for each stream, served by
//! `io_uring` (chunks of one-shot operations that complete inline; nothing is ever left pending)
//! or by plain `recv` and `send`; and the packet road, where one steered socket receives for all
//! streams of a shard and frames of our own go out, with AF_XDP as a shortcut of it.

mod batch;
mod carrier;
mod clock;
mod config;
mod engine;
mod failure;
#[cfg(feature = "faults")]
mod fault;
mod flight;
mod host;
mod message;
mod network;
mod option;
mod packet;
mod plain;
mod plan;
mod rings;
mod road;
mod roads;
mod sleepers;
mod socket_road;
mod sockets;
mod start;
mod thread;
mod uring;

pub use config::{DriverChoice, EngineConfig};
pub use engine::Engine;
pub use failure::StartFailure;
#[cfg(feature = "faults")]
pub use fault::Breaker;
pub use flight::FlightConfig;
pub use host::allow_files;
pub use plan::{MemoryPart, MemoryPlan};
