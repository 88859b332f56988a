//! Payload formats: frames of octets to samples, and back.
//!
//! A [`Decoder`] and an [`Encoder`] hold the state of one stream. They are built outside the
//! shard, because the larger formats allocate there; afterwards nothing here allocates. Samples are
//! at the format's own rate ([`Encoding::sample_rate`]), one audio channel. Each format is a file
//! of its own; this one only chooses among them. No payload can make any of them panic.

mod g722;
mod g726;
#[cfg(feature = "g729")]
mod g729;
mod gsm;
mod ilbc;
mod invented;
mod l16;
mod opus;

pub use g722::{G722Decoder, G722Encoder};
pub use g726::{G726Decoder, G726Encoder};
#[cfg(feature = "g729")]
pub use g729::{G729Decoder, G729Encoder};
pub use gsm::{GsmDecoder, GsmEncoder};
pub use ilbc::{IlbcDecoder, IlbcEncoder};
pub use l16::{L16Decoder, L16Encoder};
pub use opus::{OpusDecoder, OpusEncoder};

use media_kernels::Kernels;
use media_units::{Discard, Encoding, EncodingParameters, Law};

use crate::comfort_noise::ComfortNoise;
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
    /// Linear.
    L16(L16Decoder),
    /// G.722.
    G722(Box<G722Decoder>),
    /// G.726.
    G726(Box<G726Decoder>),
    /// Opus.
    Opus(Box<OpusDecoder>),
    /// GSM full rate.
    Gsm(Box<GsmDecoder>),
    /// iLBC.
    Ilbc(Box<IlbcDecoder>),
    /// G.729.
    #[cfg(feature = "g729")]
    G729(Box<G729Decoder>),
}

/// Turns samples into one stream's payloads.
#[derive(Debug)]
pub enum Encoder {
    /// G.711.
    G711(Law),
    /// Linear.
    L16(L16Encoder),
    /// G.722.
    G722(Box<G722Encoder>),
    /// G.726.
    G726(Box<G726Encoder>),
    /// Opus.
    Opus(Box<OpusEncoder>),
    /// GSM full rate.
    Gsm(Box<GsmEncoder>),
    /// iLBC.
    Ilbc(Box<IlbcEncoder>),
    /// G.729.
    #[cfg(feature = "g729")]
    G729(Box<G729Encoder>),
}

impl Decoder {
    /// A decoder without past. Allocates.
    pub fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Opus => Self::Opus(Box::default()),
            Encoding::G722 => Self::G722(Box::default()),
            Encoding::G726 => Self::G726(Box::default()),
            Encoding::Gsm => Self::Gsm(Box::default()),
            Encoding::Ilbc => Self::Ilbc(Box::default()),
            #[cfg(feature = "g729")]
            Encoding::G729 => Self::G729(Box::default()),
            Encoding::L16At8000
            | Encoding::L16At16000
            | Encoding::L16At44100
            | Encoding::L16At48000 => Self::L16(L16Decoder),
            other => Self::G711(other.law().unwrap_or(Law::Mu)),
        }
    }

    /// Forgets the stream: another source begins.
    pub fn reset(&mut self) {
        match self {
            Self::G711(_) | Self::L16(_) => {}
            Self::G722(decoder) => decoder.reset(),
            Self::G726(decoder) => decoder.reset(),
            Self::Opus(decoder) => decoder.reset(),
            Self::Gsm(decoder) => decoder.reset(),
            Self::Ilbc(decoder) => decoder.reset(),
            #[cfg(feature = "g729")]
            Self::G729(decoder) => decoder.reset(),
        }
    }

    /// How many samples the payload holds, 1 to [`PACKET_SAMPLES_MAX`], told without decoding it.
    /// Network input: anything may come, and what cannot be decoded is refused here.
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        let samples = match self {
            Self::G711(_) => payload.len(),
            Self::L16(decoder) => decoder.samples(payload)?,
            Self::G722(decoder) => decoder.samples(payload)?,
            Self::G726(decoder) => decoder.samples(payload)?,
            Self::Opus(decoder) => decoder.samples(payload)?,
            Self::Gsm(decoder) => decoder.samples(payload)?,
            Self::Ilbc(decoder) => decoder.samples(payload)?,
            #[cfg(feature = "g729")]
            Self::G729(decoder) => decoder.samples(payload)?,
        };
        match samples {
            1..=PACKET_SAMPLES_MAX => Ok(samples),
            _ => Err(Discard::PayloadSize),
        }
    }

    /// Decodes one payload and says how many samples it was. `samples` has room for what
    /// [`Decoder::samples`] said.
    pub fn decode(&mut self, kernels: &Kernels, payload: &[u8], samples: &mut [i16]) -> usize {
        match self {
            Self::G711(law) => {
                g711::decode(*law, kernels, payload, samples);
                payload.len().min(samples.len())
            }
            Self::L16(decoder) => decoder.decode(payload, samples),
            Self::G722(decoder) => decoder.decode(payload, samples),
            Self::G726(decoder) => decoder.decode(payload, samples),
            Self::Opus(decoder) => decoder.decode(payload, samples),
            Self::Gsm(decoder) => decoder.decode(payload, samples),
            Self::Ilbc(decoder) => decoder.decode(payload, samples),
            #[cfg(feature = "g729")]
            Self::G729(decoder) => decoder.decode(payload, samples),
        }
    }

    /// Recovers the packet before `following` from the redundancy in it (Opus in-band FEC).
    /// `samples` is as long as what is missing, in multiples of 2.5 ms. False where there is none;
    /// then nothing has changed.
    pub fn recover(&mut self, following: &[u8], samples: &mut [i16]) -> bool {
        match self {
            Self::Opus(decoder) => decoder.recover(following, samples),
            _ => false,
        }
    }

    /// Whether the payload carries redundancy, from which [`Decoder::recover`] could recover the
    /// packet before it.
    pub fn has_redundancy(&self, payload: &[u8]) -> bool {
        matches!(self, Self::Opus(_)) && OpusDecoder::has_redundancy(payload)
    }

    /// How the pause behind the payload sounds, where that begins one in the format's own way (GSM,
    /// G.729): what is missing then is meant. To be asked of every payload, as it comes in.
    pub fn pause_after(&self, payload: &[u8]) -> Option<ComfortNoise> {
        match self {
            Self::Gsm(decoder) => decoder.pause_after(payload),
            #[cfg(feature = "g729")]
            Self::G729(decoder) => decoder.pause_after(payload),
            _ => None,
        }
    }

    /// Invents what is missing by the format's own method, in multiples of 2.5 ms. False where the
    /// format has none: playout then invents from the samples it played.
    pub fn conceal(&mut self, samples: &mut [i16]) -> bool {
        match self {
            Self::Opus(decoder) => decoder.conceal(samples),
            Self::Gsm(decoder) => {
                decoder.conceal(samples);
                true
            }
            Self::Ilbc(decoder) => {
                decoder.conceal(samples);
                true
            }
            #[cfg(feature = "g729")]
            Self::G729(decoder) => {
                decoder.conceal(samples);
                true
            }
            _ => false,
        }
    }

    /// The next payload does not follow the last one, and what was in between was neither
    /// recovered nor concealed here: predictors are brought to where they do least harm.
    pub fn after_loss(&mut self) {
        if let Self::G722(decoder) = self {
            decoder.after_loss();
        }
    }
}

impl Encoder {
    /// An encoder without past. Allocates.
    pub fn new(encoding: Encoding, parameters: &EncodingParameters) -> Self {
        match encoding {
            Encoding::Opus => Self::Opus(Box::new(OpusEncoder::new(parameters))),
            Encoding::G722 => Self::G722(Box::default()),
            Encoding::G726 => Self::G726(Box::default()),
            Encoding::Gsm => Self::Gsm(Box::default()),
            Encoding::Ilbc => Self::Ilbc(Box::new(IlbcEncoder::new(parameters.ilbc_mode_ms))),
            #[cfg(feature = "g729")]
            Encoding::G729 => Self::G729(Box::default()),
            Encoding::L16At8000
            | Encoding::L16At16000
            | Encoding::L16At44100
            | Encoding::L16At48000 => Self::L16(L16Encoder),
            other => Self::G711(other.law().unwrap_or(Law::Mu)),
        }
    }

    /// Encodes `samples`, a packet's worth, into `frame` and says how many octets it takes; none
    /// where nothing need be sent (discontinuous transmission).
    pub fn encode(&mut self, kernels: &Kernels, samples: &[i16], frame: &mut [u8]) -> usize {
        match self {
            Self::G711(law) => {
                g711::encode(*law, kernels, samples, frame);
                samples.len().min(frame.len())
            }
            Self::L16(encoder) => encoder.encode(samples, frame),
            Self::G722(encoder) => encoder.encode(samples, frame),
            Self::G726(encoder) => encoder.encode(samples, frame),
            Self::Opus(encoder) => encoder.encode(samples, frame),
            Self::Gsm(encoder) => encoder.encode(samples, frame),
            Self::Ilbc(encoder) => encoder.encode(samples, frame),
            #[cfg(feature = "g729")]
            Self::G729(encoder) => encoder.encode(samples, frame),
        }
    }

    /// The endpoint reported this share of packets lost (RFC 3550 section 6.4.1: of 256). Where
    /// several listen, the worst of them counts.
    pub fn far_end_lost(&mut self, fraction_lost: u8) {
        if let Self::Opus(encoder) = self {
            encoder.far_end_lost(fraction_lost);
        }
    }

    /// Tries no harder than this (0 to 10) from now on, and no harder than agreed.
    pub fn limit_complexity(&mut self, most: u8) {
        if let Self::Opus(encoder) = self {
            encoder.limit_complexity(most);
        }
    }

    /// Goes on where `other`, of the same encoding and parameters, stands: whoever listened to
    /// `other` can listen to this one without hearing the change.
    pub fn continue_from(&mut self, other: &Self) {
        match (self, other) {
            (Self::G722(own), Self::G722(other)) => own.clone_from(other),
            (Self::G726(own), Self::G726(other)) => own.clone_from(other),
            (Self::Opus(own), Self::Opus(other)) => own.continue_from(other),
            (Self::Gsm(own), Self::Gsm(other)) => own.clone_from(other),
            (Self::Ilbc(own), Self::Ilbc(other)) => own.clone_from(other),
            #[cfg(feature = "g729")]
            (Self::G729(own), Self::G729(other)) => own.continue_from(other),
            // No state; or another encoding, which cannot be continued.
            _ => {}
        }
    }
}

#[cfg(all(test, feature = "g729"))]
pub(crate) use g729::tests::ROOM_NOISE;
#[cfg(test)]
pub(crate) use {gsm::tests::silence_descriptor, tests::voice};

#[cfg(test)]
mod continuity;
#[cfg(test)]
mod tests;
