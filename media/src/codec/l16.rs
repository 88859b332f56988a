//! Linear samples of 16 bits in network byte order (RFC 3551 section 4.5.11), one audio channel.
//!
//! There is no state: a packet is its samples.

use media_units::Discard;

/// Turns payloads into samples.
#[derive(Debug, Clone, Copy)]
pub struct L16Decoder;

impl L16Decoder {
    /// How many samples the payload holds. Half a sample is refused.
    pub fn samples(self, payload: &[u8]) -> Result<usize, Discard> {
        if payload.len().is_multiple_of(2) {
            Ok(payload.len() / 2)
        } else {
            Err(Discard::PayloadSize)
        }
    }

    /// Decodes as many samples as both slices hold.
    pub fn decode(self, payload: &[u8], samples: &mut [i16]) -> usize {
        let octets = payload.as_chunks::<2>().0;
        for (sample, octets) in samples.iter_mut().zip(octets) {
            *sample = i16::from_be_bytes(*octets);
        }
        octets.len().min(samples.len())
    }
}

/// Turns samples into payloads.
#[derive(Debug, Clone, Copy)]
pub struct L16Encoder;

impl L16Encoder {
    /// Encodes as many samples as both slices hold, and says how many octets they take.
    pub fn encode(self, samples: &[i16], frame: &mut [u8]) -> usize {
        let octets = frame.as_chunks_mut::<2>().0;
        for (octets, sample) in octets.iter_mut().zip(samples) {
            *octets = sample.to_be_bytes();
        }
        2 * octets.len().min(samples.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_octet_comes_first() {
        let mut frame = [0; 4];
        assert_eq!(L16Encoder.encode(&[0x1234, -2], &mut frame), 4);
        assert_eq!(frame, [0x12, 0x34, 0xff, 0xfe]);
        let mut samples = [0; 2];
        assert_eq!(L16Decoder.decode(&frame, &mut samples), 2);
        assert_eq!(samples, [0x1234, -2]);
    }

    #[test]
    fn half_a_sample_is_refused() {
        assert_eq!(L16Decoder.samples(&[0; 320]), Ok(160));
        assert_eq!(L16Decoder.samples(&[0; 321]), Err(Discard::PayloadSize));
    }
}
