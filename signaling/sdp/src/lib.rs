//! Offer and answer: what an endpoint's session description means for one audio session, and
//! what we write back.
//!
//! RFC 3264 (offer/answer) over RFC 8866 (SDP), with RFC 3551 static payload types, RFC 4733
//! telephone events, RFC 3605 (`a=rtcp`) and RFC 5761 (`a=rtcp-mux`). Pure functions: bytes in,
//! values and text out. Nothing here resolves a name, reads a clock or draws a number; whatever
//! the network sends is answered with a value or a [`SdpRefusal`], never with a panic.
//!
//! Directions in [`engine_control::RemoteMedia`] and [`Local`] are seen from the server.

mod negotiation;
mod parse;
mod refusal;
mod stream;
mod write;

pub use negotiation::{Negotiation, accept_answer, negotiate, offer};
pub use parse::{ATTRIBUTES_MAX, BODY_BYTES_MAX, STREAMS_MAX};
pub use refusal::{Bound, SdpRefusal};

use engine_control::MediaAddress;
use media_units::{Direction, Encoding};

/// What this side can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Payload formats we encode and decode, in the order our own offers prefer. In an answer the
    /// offerer's order decides among them (RFC 3264 section 6.1).
    pub encodings: Vec<Encoding>,
    /// Whether RFC 4733 digits are understood.
    pub telephone_event: bool,
    /// Packet time we want to receive, in milliseconds.
    pub packet_time_ms: u8,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            encodings: vec![Encoding::Pcmu, Encoding::Pcma],
            telephone_event: true,
            packet_time_ms: 20,
        }
    }
}

/// What this side says about itself in one description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Where the endpoint is to send.
    pub address: MediaAddress,
    /// Number of the session in the origin line: the same for the whole dialog.
    pub session_id: u64,
    /// Version in the origin line: one more than before where the description differs from the
    /// last one sent, the same where it does not (RFC 3264 section 8).
    pub version: u64,
    /// The most this side wants, seen from the server: [`Direction::SendReceive`] unless we hold.
    pub direction: Direction,
}
