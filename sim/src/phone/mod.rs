//! A phone's media side, sans-IO: what it says, what it hears, and every law that its peer's
//! stream must keep. The simulator carries its packets in virtual time, `loadtest` on sockets.

mod capture;
mod receiver;
mod rtcp;
mod sender;
mod voice;

pub use capture::Capture;
pub use receiver::{Arrival, Counts, Receiver};
pub use sender::{Packet, Sender};
pub use voice::Voice;

use media_units::{Instant, Law};

use crate::Seed;

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
    pub fn new(law: Law, seed: &mut Seed) -> Self {
        Self { sender: Sender::new(Voice::silence(law), seed), receiver: Receiver::new(law) }
    }

    /// An RTCP compound packet about both directions; with a goodbye where it is the last.
    pub fn report(&self, now: Instant, goodbye: bool) -> Vec<u8> {
        rtcp::compound(&self.sender, &self.receiver, now, goodbye)
    }
}
