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
