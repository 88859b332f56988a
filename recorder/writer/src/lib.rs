//! The thread that writes recordings: drains taps, writes files, and never makes a shard wait.
//!
//! A recording is written as `<name>.wav.part`, whose header is right after every flush; at its
//! end `<name>.json` is written beside it, the sound is synced to the disk, and the file becomes
//! `<name>.wav`. A crash of the server leaves a playable `.wav.part` that lacks at most what came
//! after its last flush. A disk that refuses makes gaps and is asked again at every flush; the
//! taps are drained all the same.

mod recording;
mod report;
mod storage;
mod thread;
mod writer;

#[cfg(test)]
mod testing;

pub use report::{Event, RecordingId, Status};
pub use writer::{Failure, Writer, WriterConfig};
