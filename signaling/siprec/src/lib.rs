//! Bodies of recording sessions: several parts in one message, and the metadata about who is in
//! which stream.
//!
//! RFC 2046 section 5.1 and RFC 5621 (multipart bodies in SIP), RFC 7865 (recording metadata).
//!
//! Pure functions: bytes in, values and text out. Whatever the network sends is answered with a
//! value or a refusal, never with a panic; every list, text and depth has a bound; no entity is
//! ever expanded.

mod metadata;
pub mod multipart;
mod read;
mod refusal;
mod write;

pub use metadata::{Association, DataMode, Metadata, Participant, Presence, Session, Stream};
pub use read::{
    ASSOCIATIONS_MAX, BODY_BYTES_MAX, DEPTH_MAX, PARTICIPANTS_MAX, SESSIONS_MAX, STREAMS_MAX,
    TEXT_BYTES_MAX, read,
};
pub use refusal::Refusal;
pub use write::{identifier, timestamp, write};
