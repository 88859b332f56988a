//! Payload formats: frames of octets to samples, and back.
//!
//! A [`Decoder`] and an [`Encoder`] hold the state of one stream. They are built outside the
//! shard, because the larger formats allocate there; afterwards nothing here allocates. Samples are
//! at the format's own rate ([`Encoding::sample_rate`]), one audio channel.

use media_kernels::Kernels;
use media_units::{Discard, Encoding, EncodingParameters, Law};

use crate::g711;

/// Octets that the longest frame of any format takes: 60 ms of linear sound at 48 kHz.
pub const FRAME_BYTES_MAX: usize = 2 * 2880;

/// Samples of the longest packet that is taken in: 120 ms at 48 kHz (RFC 6716 section 2.1.4).
pub const PACKET_SAMPLES_MAX: usize = 5760;

/// Turns one stream's payloads into samples.
#[derive(Debug)]
pub enum Decoder {
    /// G.711.
    G711(Law),
}

/// Turns samples into one stream's payloads.
#[derive(Debug)]
pub enum Encoder {
    /// G.711.
    G711(Law),
}

impl Decoder {
    /// A decoder without past. Allocates.
    pub fn new(encoding: Encoding) -> Self {
        Self::G711(encoding.law().unwrap_or(Law::Mu))
    }

    /// Forgets the stream: another source begins.
    pub fn reset(&mut self) {}

    /// How many samples the payload holds, told without decoding it. Network input: anything may
    /// come, and what cannot be decoded is refused here.
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        if payload.is_empty() { Err(Discard::PayloadSize) } else { Ok(payload.len()) }
    }

    /// Decodes one payload and says how many samples it was. `samples` has room for what
    /// [`Decoder::samples`] said.
    pub fn decode(&mut self, kernels: &Kernels, payload: &[u8], samples: &mut [i16]) -> usize {
        let Self::G711(law) = *self;
        g711::decode(law, kernels, payload, samples);
        payload.len()
    }

    /// Recovers the packet before `following` from the redundancy in it (Opus in-band FEC).
    /// `samples` is as long as what is missing. False where there is none.
    pub fn recover(&mut self, _following: &[u8], _samples: &mut [i16]) -> bool {
        false
    }

    /// Invents what is missing by the format's own method. False where the format has none:
    /// playout then invents from the samples it played.
    pub fn conceal(&mut self, _samples: &mut [i16]) -> bool {
        false
    }
}

impl Encoder {
    /// An encoder without past. Allocates.
    pub fn new(encoding: Encoding, _parameters: &EncodingParameters) -> Self {
        Self::G711(encoding.law().unwrap_or(Law::Mu))
    }

    /// Encodes `samples`, a packet's worth, into `frame` and says how many octets it takes; none
    /// where nothing need be sent (discontinuous transmission).
    pub fn encode(&mut self, kernels: &Kernels, samples: &[i16], frame: &mut [u8]) -> usize {
        let Self::G711(law) = *self;
        g711::encode(law, kernels, samples, frame);
        samples.len()
    }

    /// The endpoint reported this share of packets lost (RFC 3550 section 6.4.1: of 256).
    pub fn far_end_lost(&mut self, _fraction_lost: u8) {}

    /// Goes on where `other`, of the same encoding and parameters, stands: whoever listened to
    /// `other` can listen to this one without hearing the change.
    pub fn continue_from(&mut self, _other: &Self) {}
}
