//! From payloads to sound at 8 kHz. G.711 by our own twin; what has a memory by the server's
//! decoders, and only while somebody listens: a decoder that begins in the middle of a stream is
//! given some packets to find its feet.

use media::codec::{Decoder, PACKET_SAMPLES_MAX};
use media_kernels::Kernels;
use media_units::Encoding;

use crate::g711;

/// Packets that a decoder hears before what it says is believed.
const WARM_UP: u32 = 10;

/// Understands one payload format.
#[derive(Debug)]
pub(super) struct Ear {
    encoding: Encoding,
    decoder: Decoder,
    /// Packets until it is believed.
    cold: u32,
    /// At the format's own rate, and at 8 kHz.
    own: Vec<i16>,
    heard: Vec<i16>,
}

impl Ear {
    pub(super) fn new(encoding: Encoding) -> Self {
        let decoder = Decoder::new(encoding);
        Self { encoding, decoder, cold: 0, own: Vec::new(), heard: Vec::new() }
    }

    /// How long a payload is, in units of the RTP clock; none where it is of another format.
    pub(super) fn units(&self, payload: &[u8]) -> Option<u32> {
        if self.encoding.law().is_some() {
            return Some(payload.len() as u32);
        }
        let samples = self.decoder.samples(payload).ok()? as u32;
        let (clock, rate) = (self.encoding.clock_rate(), self.encoding.sample_rate());
        Some(if clock == rate { samples } else { samples * clock / rate })
    }

    /// Somebody begins to listen.
    pub(super) fn prick(&mut self) {
        if self.encoding.law().is_none() {
            self.decoder.reset();
            self.cold = WARM_UP;
        }
    }

    /// A payload's sound at 8 kHz, once it is to be believed.
    pub(super) fn hear(&mut self, payload: &[u8]) -> Option<&[i16]> {
        self.heard.clear();
        if let Some(law) = self.encoding.law() {
            self.heard.extend(payload.iter().map(|&octet| g711::decode(law, octet)));
            return Some(&self.heard);
        }
        self.own.resize(PACKET_SAMPLES_MAX, 0);
        let samples = self.decoder.samples(payload).ok()?;
        let samples = self.decoder.decode(&Kernels::SCALAR, payload, &mut self.own[..samples]);
        if self.cold > 0 {
            self.cold -= 1;
            return None;
        }
        lower(&self.own[..samples], self.encoding.sample_rate() as usize, &mut self.heard);
        Some(&self.heard)
    }
}

/// Sound at 8 kHz from a higher rate, on straight lines. What lies above 4 kHz folds back; codes
/// have nothing there.
fn lower(own: &[i16], rate: usize, heard: &mut Vec<i16>) {
    let at = |index: usize| own.get(index).or(own.last()).copied().unwrap_or_default();
    heard.extend((0..own.len() * 8000 / rate).map(|n| {
        let (whole, part) = (n * rate / 8000, n * rate % 8000);
        let (one, next) = (i32::from(at(whole)), i32::from(at(whole + 1)));
        (one + (next - one) * part as i32 / 8000) as i16
    }));
}

#[cfg(test)]
mod tests {
    use media_units::{EncodingParameters, Instant, RtpTimestamp};

    use super::*;
    use crate::code::Code;
    use crate::phone::{Capture, Format, Voice};

    #[test]
    fn every_encoding_carries_a_code_from_mouth_to_ear() {
        for encoding in Encoding::ALL.into_iter().filter(|e| is_there(*e)) {
            let (code, other) = (Code::of(5), Code::of(6));
            let voice = Voice::code(code, 1500.0, encoding);
            let mut ear = Ear::new(encoding);
            ear.prick();
            let mut capture = Capture::default();
            for n in 0..40 {
                let payload = voice.payload(n * 160, 160);
                let units = ear.units(payload).unwrap();
                assert_eq!(units, encoding.clock_rate() / 50, "{encoding}");
                let Some(sound) = ear.hear(payload) else { continue };
                let timestamp = RtpTimestamp(n as u32 * units);
                if capture.add(Instant::START, timestamp, Format::usual(encoding), sound) {
                    break;
                }
            }
            assert!(capture.is_whole(), "{encoding}");
            let spectrum = capture.spectrum();
            let heard = spectrum.amplitude(code);
            assert!((1000.0..1900.0).contains(&heard), "{encoding}: {heard}");
            assert!(spectrum.amplitude(other) < 150.0, "{encoding}");
        }
    }

    /// Whether the server has it: what it has not, its encoder takes for mu-law.
    fn is_there(encoding: Encoding) -> bool {
        let encoder = media::codec::Encoder::new(encoding, &EncodingParameters::DEFAULT);
        encoding.law().is_some() || !matches!(encoder, media::codec::Encoder::G711(_))
    }
}
