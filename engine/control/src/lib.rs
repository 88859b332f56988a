//! The contract between the control plane and the shards: keys, commands, events, limits.
//!
//! Signaling and the server speak to a shard in these words only. Commands are imperative and
//! apply in order at the start of the next tick; events are facts in the past tense. Nothing
//! here makes a system call; memory that a shard needs is built outside, donated in a command's
//! `Box`, and comes back in an event to be dropped outside (a shard never allocates nor frees).

mod admission;
mod balance;
mod command;
mod event;
mod key;
mod limits;
mod load;
mod ports;
mod prompt;
mod report;
mod residence;
mod spread;
mod tap;

pub use admission::Admission;
pub use balance::{Balance, Relief};
pub use command::{
    Command, Refusal, RemoteMedia, Route, RtcpTransport, SessionOpen, TelephoneEvent,
};
pub use event::{DigitSource, Event};
pub use key::{RoomKey, SessionKey, SlotPool};
pub use limits::{COMMANDS_PER_TICK, Limits};
pub use load::{FULL_PRESSURE, NEVER_PERCENT, OverloadRule, ShardLoad, Shedding};
pub use ports::{MediaAddress, PortPlan};
pub use prompt::{Prompt, Renditions};
pub use report::{
    LATENESS_BOUNDS, Lateness, OPINION_BOUNDS, Opinions, SecondsTotal, SessionReport, ShardReport,
};
pub use residence::{Destination, Left, PASSAGES_MAX, Residences, WAITING_MAX};
pub use spread::{SpreadId, SpreadPool, choose_shard};
pub use tap::{
    PACKET_BYTES_MAX, SilenceCause, TapContent, TapId, TapItem, TapPoint, TapReader, TapSink,
    tap_ring,
};
