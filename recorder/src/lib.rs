//! What is kept of a call: sound on the shard's sample clock, its containers, what is said about
//! it, the journal that makes it survive, and the names of its files.
//!
//! Pure: blocks and numbers in, bytes and names out. Nothing here opens a file or reads a clock;
//! `recorder-writer` does. A track's position comes from the period of each block, never from
//! when it arrived, so that tracks of one room align by arithmetic.

pub mod account;
pub mod container;
pub mod gap;
pub mod journal;
pub mod metadata;
pub mod naming;
pub mod peaks;
pub mod portion;
pub mod retention;
mod utc;

pub use account::Account;
pub use container::{Container, Format, Sound, Unfit, Whole, whole};
pub use gap::{Gap, GapCause, GapMarks};
pub use metadata::Metadata;
pub use retention::{Expiry, Kept, Retention};
pub use utc::rfc3339;
