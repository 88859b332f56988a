//! What is kept of a call: tracks on the shard's sample clock, their container, what is said
//! about them, and the names of their files.
//!
//! Pure: blocks and numbers in, bytes and names out. Nothing here opens a file or reads a clock;
//! `recorder-writer` does. A track's position comes from the period of each block, never from
//! when it arrived, so that tracks of one room align by arithmetic.

pub mod container;
pub mod metadata;
pub mod naming;
pub mod retention;
pub mod track;
mod utc;
pub mod wav;

pub use container::{Container, Format, Sound, Unfit, Whole, whole};
pub use metadata::Metadata;
pub use retention::{Expiry, Kept, Retention};
pub use track::{Gap, GapCause, GapMarks, Misplaced, Track};
pub use utc::rfc3339;
