//! Opus (RFC 6716, RFC 7587) by libopus, whose calls are in [`media_opus`].
//!
//! This is policy: what may be decoded, when redundancy is used, how the wishes of an endpoint
//! become settings. Always one audio channel at 48 kHz: sound in stereo is mixed down by the
//! decoder, and a far end that prefers stereo decodes our one channel to both sides
//! (RFC 7587 section 3.4).

use media_opus::{Bandwidth, CONCEAL_SAMPLES, Packet, Settings};
use media_units::{Discard, EncodingParameters};

/// Octets of the longest packet that is sent: one frame at most (RFC 6716 section 3.4), which
/// fits into a datagram.
const PACKET_BYTES_MAX: usize = 1275;

/// A packet so short says that there is nothing to say (discontinuous transmission).
const NOTHING_BYTES: usize = 2;

/// Turns one stream's payloads into samples.
#[derive(Debug)]
pub struct OpusDecoder {
    decoder: media_opus::Decoder,
    /// Whether CELT alone coded what was decoded last: nothing can be recovered after that.
    after_celt: bool,
}

impl Default for OpusDecoder {
    /// A decoder without past.
    fn default() -> Self {
        let decoder = media_opus::Decoder::new().expect("libopus decodes one channel at 48 kHz");
        Self { decoder, after_celt: false }
    }
}

impl OpusDecoder {
    /// Forgets the stream.
    pub fn reset(&mut self) {
        self.decoder.reset().expect("libopus decodes one channel at 48 kHz");
        self.after_celt = false;
    }

    /// How many samples the payload holds.
    #[allow(clippy::unused_self)] // as those of other formats
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        Packet::parse(payload).map(|packet| packet.samples()).ok_or(Discard::PayloadSize)
    }

    /// Decodes the payload and says how many samples it was. What is wrong within its frames is
    /// concealed: its length holds.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let Some(packet) = Packet::parse(payload) else { return 0 };
        let Some(samples) = samples.get_mut(..packet.samples()) else { return 0 };
        self.after_celt = packet.is_celt();
        if self.decoder.decode(&packet, samples).is_err() && !self.conceal(samples) {
            samples.fill(0);
        }
        samples.len()
    }

    /// Recovers what is missing before `following`, where that holds a copy of it.
    pub fn recover(&mut self, following: &[u8], samples: &mut [i16]) -> bool {
        let Some(packet) = Packet::parse(following) else { return false };
        let usable = !packet.is_celt()
            && !self.after_celt
            && packet.has_redundancy()
            && samples.len() >= packet.frame_samples()
            && samples.len().is_multiple_of(CONCEAL_SAMPLES);
        usable && self.decoder.recover(&packet, samples).is_ok()
    }

    /// Whether a payload carries redundancy of the packet before it, to be used where that is lost.
    pub fn has_redundancy(payload: &[u8]) -> bool {
        Packet::parse(payload).is_some_and(|packet| !packet.is_celt() && packet.has_redundancy())
    }

    /// Invents what is missing, in multiples of 2.5 ms.
    pub fn conceal(&mut self, samples: &mut [i16]) -> bool {
        samples.len().is_multiple_of(CONCEAL_SAMPLES) && self.decoder.conceal(samples).is_ok()
    }
}

/// Turns samples into one stream's payloads.
#[derive(Debug)]
pub struct OpusEncoder {
    encoder: media_opus::Encoder,
    discontinuous: bool,
    /// How hard it was agreed to try, and how hard it does.
    complexity_agreed: u8,
    complexity: u8,
    /// The share of packets that we expect the far end not to get.
    loss_percent: u8,
}

impl OpusEncoder {
    /// An encoder without past.
    pub fn new(parameters: &EncodingParameters) -> Self {
        let settings = Settings {
            bit_rate: parameters.bit_rate,
            bandwidth: bandwidth(parameters.playback_rate),
            complexity: parameters.complexity,
            redundancy: parameters.in_band_fec,
            variable_bit_rate: !parameters.constant_bit_rate,
            discontinuous: parameters.discontinuous,
        };
        let encoder = media_opus::Encoder::new(&settings).expect("settings within their bounds");
        let complexity = parameters.complexity;
        Self {
            encoder,
            discontinuous: parameters.discontinuous,
            complexity_agreed: complexity,
            complexity,
            loss_percent: 0,
        }
    }

    /// Encodes 10, 20, 40 or 60 ms; of any other length nothing, for there is no such frame.
    pub fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> usize {
        let room = frame.len().min(PACKET_BYTES_MAX);
        let octets = self.encoder.encode(samples, &mut frame[..room]).unwrap_or(0);
        if self.discontinuous && octets <= NOTHING_BYTES { 0 } else { octets }
    }

    /// Expects as much loss as was reported: at once where it is more, and where it is less, half
    /// of what was expected until then, for losses come in bursts. Redundancy costs bits, so it is
    /// sent only while loss is expected.
    pub fn far_end_lost(&mut self, fraction_lost: u8) {
        let reported = (u32::from(fraction_lost) * 100).div_ceil(256) as u8;
        let percent = reported.max(self.loss_percent / 2);
        if percent != self.loss_percent && self.encoder.expect_loss(percent).is_ok() {
            self.loss_percent = percent;
        }
    }

    /// Tries no harder than this from now on, and no harder than agreed.
    pub fn limit_complexity(&mut self, most: u8) {
        let wanted = self.complexity_agreed.min(most);
        if wanted != self.complexity && self.encoder.set_complexity(wanted).is_ok() {
            self.complexity = wanted;
        }
    }

    /// Becomes what `other` is.
    pub fn continue_from(&mut self, other: &Self) {
        self.encoder.copy_from(&other.encoder);
        self.complexity_agreed = other.complexity_agreed;
        self.complexity = other.complexity;
        self.discontinuous = other.discontinuous;
        self.loss_percent = other.loss_percent;
    }
}

/// As much of the spectrum as a receiver that plays at this rate can make audible (RFC 7587
/// section 7.1, `maxplaybackrate`).
fn bandwidth(playback_rate: u32) -> Bandwidth {
    match playback_rate {
        0..=8000 => Bandwidth::Narrow,
        8001..=12_000 => Bandwidth::Medium,
        12_001..=16_000 => Bandwidth::Wide,
        16_001..=24_000 => Bandwidth::SuperWide,
        _ => Bandwidth::Full,
    }
}

#[cfg(test)]
mod tests;
