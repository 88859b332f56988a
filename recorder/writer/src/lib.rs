//! The recorder's threads: empty the shards' rings, write files that survive a crash, and go on
//! when a disk refuses.
//!
//! The *collector* empties the rings, whatever disks do; the *keeper* encodes, tells a journal,
//! and writes the files. A slow or full disk never makes a shard wait: sound waits in a queue of
//! limited size, then it is lost, and marked. After a crash the journal makes every file whole up
//! to the last flush ([`repair`], at every start). docs/recording-format.md describes all files.

mod asks;
mod collector;
mod disk;
#[cfg(test)]
mod faults;
mod growing;
mod intake;
mod journal;
mod keeper;
#[cfg(test)]
mod lagging;
mod offline;
mod pauses;
mod recording;
mod repair;
mod replay;
mod report;
#[cfg(test)]
mod rig;
mod sealed;
mod sound;
mod storage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod threads;
mod track;
mod writer;

pub use journal::SyncPolicy;
pub use offline::{Fault, Finding, repair, verify, was_used};
pub use recorder::account::{About, Layout, Note, Participant, TrackKind};
pub use recorder::container::Format;
pub use report::{Event, RecordingId, Status};
pub use writer::{
    Failure, NotStarted, RecordingStart, STEM_BYTES_MAX, TrackStart, Writer, WriterConfig,
};
