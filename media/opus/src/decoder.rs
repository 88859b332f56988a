//! The decoder.

use std::ffi::c_int;
use std::ptr::null;

use crate::memory::Memory;
use crate::{CONCEAL_SAMPLES, Failure, Packet, SAMPLE_RATE, count};

/// One stream's decoder: 48 kHz, one audio channel.
#[derive(Debug)]
pub struct Decoder(Memory);

impl Decoder {
    /// A decoder without past. Allocates.
    pub fn new() -> Result<Self, Failure> {
        // SAFETY: no pointers; any number of channels is answered.
        let size = unsafe { opusic_sys::opus_decoder_get_size(1) };
        let mut decoder = Self(Memory::of(size));
        decoder.reset()?;
        Ok(decoder)
    }

    /// Forgets the stream.
    pub fn reset(&mut self) -> Result<(), Failure> {
        // SAFETY: the memory is as large as libopus asked for, and this makes it a state.
        let answer =
            unsafe { opusic_sys::opus_decoder_init(self.0.pointer(), SAMPLE_RATE as i32, 1) };
        count(answer).map(drop)
    }

    /// Decodes a packet and says how many samples it was.
    pub fn decode(&mut self, packet: &Packet, samples: &mut [i16]) -> Result<usize, Failure> {
        self.call(packet.octets(), samples, false)
    }

    /// Decodes the frame before `following` from the redundancy in it, at the end of `samples`;
    /// what is before that is invented.
    pub fn recover(&mut self, following: &Packet, samples: &mut [i16]) -> Result<usize, Failure> {
        self.call(following.octets(), whole(samples), true)
    }

    /// Invents what is missing.
    pub fn conceal(&mut self, samples: &mut [i16]) -> Result<usize, Failure> {
        self.call(&[], whole(samples), false)
    }

    fn call(&mut self, octets: &[u8], samples: &mut [i16], fec: bool) -> Result<usize, Failure> {
        let pointer = if octets.is_empty() { null() } else { octets.as_ptr() };
        // SAFETY: the memory is an initialised state; the pointers are to as many octets and samples
        // as are told; no octets and null ask for concealment.
        let answer = unsafe {
            opusic_sys::opus_decode(
                self.0.pointer(),
                pointer,
                c_int::try_from(octets.len()).map_err(|_| Failure)?,
                samples.as_mut_ptr(),
                c_int::try_from(samples.len()).map_err(|_| Failure)?,
                c_int::from(fec),
            )
        };
        count(answer)
    }
}

/// As many samples as libopus can invent.
fn whole(samples: &mut [i16]) -> &mut [i16] {
    let length = samples.len() - samples.len() % CONCEAL_SAMPLES;
    &mut samples[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 20 ms in stereo.
    fn stereo_packets(left: i16, right: i16) -> Vec<Vec<u8>> {
        let mut error = 0;
        // SAFETY: lawful arguments; the encoder is checked not to be null.
        let encoder = unsafe {
            opusic_sys::opus_encoder_create(
                48_000,
                2,
                opusic_sys::OPUS_APPLICATION_AUDIO,
                &mut error,
            )
        };
        assert!(!encoder.is_null());
        // 1 kHz on both sides, each with its own amplitude.
        let sine = |n: usize| (n as f64 * std::f64::consts::TAU / 48.0).sin();
        let samples: Vec<i16> = (0..960)
            .flat_map(|n| [left, right].map(|amplitude| (f64::from(amplitude) * sine(n)) as i16))
            .collect();
        let mut packet = [0; 1500];
        let packets = (0..20)
            .map(|_| {
                // SAFETY: 960 samples of two channels, and as much room as is told.
                let octets = unsafe {
                    let (data, room) = (packet.as_mut_ptr(), packet.len() as i32);
                    opusic_sys::opus_encode(encoder, samples.as_ptr(), 960, data, room)
                };
                packet[..octets as usize].to_vec()
            })
            .collect();
        // SAFETY: created above and used no more.
        unsafe { opusic_sys::opus_encoder_destroy(encoder) };
        packets
    }

    #[test]
    fn stereo_is_mixed_down_to_the_mean_of_both_sides() {
        for (left, right) in [(8000, 8000), (8000, 0), (0, 8000)] {
            let mut decoder = Decoder::new().unwrap();
            let mut samples = [0; 960];
            for octets in &stereo_packets(left, right) {
                let packet = Packet::parse(octets).unwrap();
                assert_eq!(decoder.decode(&packet, &mut samples), Ok(960));
            }
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            let mean = u16::midpoint(left as u16, right as u16);
            assert!(peak.abs_diff(mean) < mean / 10, "{left} {right}: {peak}");
        }
    }
}
