//! Offer and answer: what an endpoint's session description means for one audio session, and
//! what we write back.
//!
//! RFC 3264 (offer/answer) over RFC 8866 (SDP), with RFC 3551 static payload types, the format
//! parameters of each encoding (RFC 7587 for Opus), RFC 4733 telephone events, RFC 3389 comfort
//! noise, RFC 8285 header extensions (RFC 6464 and 6465 levels), RFC 3611 `VoIP` metrics, RFC 3605
//! (`a=rtcp`), RFC 5761 (`a=rtcp-mux`) and RFC 4574 (`a=label`, in recording sessions). docs/sdp.md says what is offered, honoured and refused.
//!
//! Pure functions: bytes in, values and text out. Nothing here resolves a name, reads a clock or
//! draws a number; whatever the network sends is answered with a value or a [`SdpRefusal`], never
//! with a panic.
//!
//! Directions in [`engine_control::RemoteMedia`] and [`Local`] are seen from the server.

mod extension;
mod family;
mod format;
mod negotiation;
mod packet_time;
mod parameters;
mod parse;
mod refusal;
mod several;
mod stream;
mod write;

pub use family::Families;
pub use negotiation::{Negotiation, accept_answer, negotiate, offer};
pub use parse::{ATTRIBUTES_MAX, BODY_BYTES_MAX, STREAMS_MAX};
pub use refusal::{Bound, SdpRefusal};
pub use several::{OfferedStreams, OwnStreams};

use engine_control::MediaAddress;
use format::Format;
use media_units::{Direction, Encoding, EncodingParameters};

/// What this side can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the configuration")]
pub struct Capabilities {
    /// Where an endpoint can be for media to reach it.
    pub families: Families,
    /// Payload formats we encode and decode, in the order our own offers prefer.
    pub encodings: Vec<Encoding>,
    /// Whose order decides in an answer of ours.
    pub choice: CodecChoice,
    /// How we encode where the endpoint asks for nothing, and the most it gets where it does.
    pub parameters: EncodingParameters,
    /// Whether RFC 4733 digits are understood.
    pub telephone_event: bool,
    /// Whether comfort noise is understood (RFC 3389). Whether we send it is in `parameters`.
    pub comfort_noise: bool,
    /// Whether the levels that endpoints tell are read (RFC 6464).
    pub audio_levels: bool,
    /// Whether we tell the levels of those in the mix (RFC 6465).
    pub mixer_levels: bool,
    /// Whether `VoIP` metrics are reported (RFC 3611).
    pub voip_metrics: bool,
}

/// Whose order of preference decides which payload format an answer of ours takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecChoice {
    /// The offerer's (RFC 3264 section 6.1).
    Offerer,
    /// Ours.
    Ours,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            families: Families::Both,
            encodings: vec![Encoding::Pcmu, Encoding::Pcma],
            choice: CodecChoice::Offerer,
            parameters: Self::PARAMETERS,
            telephone_event: true,
            comfort_noise: false,
            audio_levels: false,
            mixer_levels: false,
            voip_metrics: false,
        }
    }
}

impl Capabilities {
    /// How we encode where nobody says otherwise: iLBC in the frames that a room's period has.
    pub const PARAMETERS: EncodingParameters =
        EncodingParameters { ilbc_mode_ms: 20, ..EncodingParameters::DEFAULT };

    /// Whether levels are read, and whether they are told.
    fn levels(&self) -> (bool, bool) {
        (self.audio_levels, self.mixer_levels)
    }

    /// The comfort noise beside a sound that has none of its own (RFC 3389 section 1).
    fn comfort_noise_beside(&self, encoding: Encoding) -> Option<Format> {
        let has_its_own = matches!(encoding, Encoding::Opus | Encoding::Gsm | Encoding::Ilbc)
            || encoding.is_g729();
        let is_needed = self.comfort_noise && !has_its_own;
        is_needed.then(|| Format::ComfortNoise(encoding.clock_rate()))
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
