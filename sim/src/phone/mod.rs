//! A phone's media side, sans-IO: what it says, what it hears, and every law that its peer's
//! stream must keep. The simulator carries its packets in virtual time, `loadtest` on sockets.

mod capture;
mod ear;
mod receiver;
mod rtcp;
mod sender;
mod voice;

pub use capture::Capture;
pub use receiver::{Arrival, Counts, Receiver};
pub use sender::{Packet, Sender};
pub use voice::Voice;

use media_units::{Encoding, Instant};

use crate::Seed;
use crate::caller::Media;

/// A payload format and the number that it has in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The format.
    pub encoding: Encoding,
    /// Its payload type.
    pub payload_type: u8,
}

impl Format {
    /// As phones offer it: by its static payload type, or by a number that is not the one of the
    /// server's own offers.
    pub const fn usual(encoding: Encoding) -> Self {
        let payload_type = match encoding.static_payload_type() {
            Some(payload_type) => payload_type,
            None => 112 + encoding as u8,
        };
        Self { encoding, payload_type }
    }
}

/// One RTP session seen from the endpoint.
#[derive(Debug)]
pub struct Phone {
    /// What it says.
    pub sender: Sender,
    /// What it hears.
    pub receiver: Receiver,
}

impl Phone {
    /// A phone that says nothing yet. SSRC, first sequence number and first timestamp come from
    /// the seed.
    pub fn new(encoding: impl Into<Encoding>, seed: &mut Seed) -> Self {
        let encoding = encoding.into();
        Self {
            sender: Sender::new(Voice::silence(encoding), seed),
            receiver: Receiver::new(encoding),
        }
    }

    /// Keeps to what offer and answer agreed on; what it says has to be encoded so.
    pub fn agree(&mut self, agreed: &Media) {
        self.receiver.set_format(agreed.receives_format());
        self.sender.set_payload_type(agreed.payload_type);
    }

    /// An RTCP compound packet about both directions; with a goodbye where it is the last.
    pub fn report(&self, now: Instant, goodbye: bool) -> Vec<u8> {
        rtcp::compound(&self.sender, &self.receiver, now, goodbye)
    }
}
