//! ITU-T G.722 at 64 kbit/s (mode 1), bit exact: 16 kHz in two bands of ADPCM.
//!
//! A pair of quadrature mirror filters splits the sound in two bands of 8 kHz; the lower is
//! coded with six bits a sample, the upper with two. Each octet on the wire is one sample of each
//! band, so two of the sound (RFC 3551 section 4.5.2). Integers only, block numbers as in the
//! recommendation.

mod band;
mod mirror;
mod quantize;

use band::{High, Low};
use mirror::{Joiner, Splitter};

use media_units::Discard;

/// Octets that are worked on at a time: 10 ms. The filters keep their input on the stack.
const OCTETS: usize = 80;

/// Turns one stream's payloads into samples.
#[derive(Debug, Clone)]
pub struct G722Decoder {
    low: Low,
    high: High,
    joiner: Joiner,
}

impl Default for G722Decoder {
    /// A decoder without past.
    fn default() -> Self {
        Self { low: Low::NEW, high: High::NEW, joiner: Joiner::NEW }
    }
}

impl G722Decoder {
    /// Forgets the stream.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Payloads were lost.
    pub fn after_loss(&mut self) {
        self.low.after_loss();
        self.high.after_loss();
    }

    /// How many samples the payload holds: two in each octet.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // as those of other formats
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        Ok(2 * payload.len())
    }

    /// Decodes the payload and says how many samples it was.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let pairs = samples.as_chunks_mut::<2>().0;
        let mut bands = [[0; 2]; OCTETS];
        for (octets, pairs) in payload.chunks(OCTETS).zip(pairs.chunks_mut(OCTETS)) {
            for (bands, octet) in bands.iter_mut().zip(octets) {
                *bands = [self.low.decode(octet & 63), self.high.decode(octet >> 6)];
            }
            self.joiner.join(&bands[..octets.len().min(pairs.len())], pairs);
        }
        2 * payload.len().min(pairs.len())
    }
}

/// Turns samples into one stream's payloads.
#[derive(Debug, Clone)]
pub struct G722Encoder {
    splitter: Splitter,
    low: Low,
    high: High,
}

impl Default for G722Encoder {
    /// An encoder without past.
    fn default() -> Self {
        Self { splitter: Splitter::NEW, low: Low::NEW, high: High::NEW }
    }
}

impl G722Encoder {
    /// Encodes pairs of samples into an octet each, and says how many octets.
    pub fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> usize {
        let pairs = samples.as_chunks::<2>().0;
        let mut bands = [[0; 2]; OCTETS];
        for (pairs, octets) in pairs.chunks(OCTETS).zip(frame.chunks_mut(OCTETS)) {
            self.splitter.split(pairs, &mut bands);
            for ([low, high], octet) in bands.iter().zip(&mut octets[..]).take(pairs.len()) {
                *octet = self.high.encode(*high) << 6 | self.low.encode(*low);
            }
        }
        pairs.len().min(frame.len())
    }
}

#[cfg(test)]
mod tests;
