//! The decoder: G.729 Annex A and the noise of Annex B.

use std::ffi::c_void;
use std::ptr::null;

use crate::state::{State, Word};
use crate::{FRAME_OCTETS, FRAME_SAMPLES, SILENCE_OCTETS};

unsafe extern "C" {
    fn initBcg729DecoderChannel() -> *mut c_void;
    fn closeBcg729DecoderChannel(decoder: *mut c_void);
    fn bcg729Decoder(
        decoder: *mut c_void,
        octets: *const u8,
        count: u8,
        is_missing: u8,
        is_silence: u8,
        is_rfc3389: u8,
        samples: *mut i16,
    );
}

/// One stream's decoder.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The state as it began. Its pointers are to where it is itself, and stay right.
    initial: Box<[Word]>,
}

impl Decoder {
    /// A decoder without past. Allocates.
    pub fn new() -> Self {
        // SAFETY: the call takes no pointer, and its answer goes nowhere else.
        let state = unsafe { State::of(initBcg729DecoderChannel()) };
        let initial = state.words().into();
        Self { state, initial }
    }

    /// Forgets the stream. What the library keeps apart from the state, about the noise, counts only
    /// after a frame that describes silence, which writes it anew.
    pub fn reset(&mut self) {
        self.state.words_mut().copy_from_slice(&self.initial);
    }

    /// Decodes a frame of speech.
    pub fn decode(&mut self, octets: &[u8; FRAME_OCTETS], samples: &mut [i16; FRAME_SAMPLES]) {
        // SAFETY: a state that is not closed, a frame of octets, and room for a frame of samples.
        unsafe { self.call(octets.as_ptr(), FRAME_OCTETS, false, false, samples) }
    }

    /// Makes the noise of a frame that describes silence.
    pub fn make_noise(
        &mut self,
        octets: &[u8; SILENCE_OCTETS],
        samples: &mut [i16; FRAME_SAMPLES],
    ) {
        // SAFETY: as above; a frame that is said to describe silence has two octets.
        unsafe { self.call(octets.as_ptr(), SILENCE_OCTETS, false, true, samples) }
    }

    /// Invents a frame that is missing: after a description of silence, more of the noise.
    pub fn conceal(&mut self, samples: &mut [i16; FRAME_SAMPLES]) {
        // SAFETY: as above; what is missing is null.
        unsafe { self.call(null(), 0, true, false, samples) }
    }

    /// # Safety
    ///
    /// `octets` points to `count` of them, which are what the flags say, or is null for what is
    /// missing.
    unsafe fn call(
        &mut self,
        octets: *const u8,
        count: usize,
        is_missing: bool,
        is_silence: bool,
        samples: &mut [i16; FRAME_SAMPLES],
    ) {
        let (is_missing, is_silence) = (is_missing.into(), is_silence.into());
        let (state, samples) = (self.state.pointer(), samples.as_mut_ptr());
        // SAFETY: the caller's, a state that is not closed, and a frame of samples.
        unsafe { bcg729Decoder(state, octets, count as u8, is_missing, is_silence, 0, samples) }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: a state that is not closed, and is not used again.
        unsafe { closeBcg729DecoderChannel(self.state.pointer()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anything: speech, silence and holes, with everything in them that octets can say.
    fn hear(decoder: &mut Decoder, frames: usize) -> Vec<i16> {
        let mut seed = 9_u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let mut heard = Vec::new();
        for _ in 0..frames {
            let mut samples = [0; FRAME_SAMPLES];
            match random() % 8 {
                0..=4 => decoder.decode(&std::array::from_fn(|_| random()), &mut samples),
                5 => decoder.make_noise(&[random(), random()], &mut samples),
                _ => decoder.conceal(&mut samples),
            }
            heard.extend(samples);
        }
        heard
    }

    #[test]
    fn a_decoder_that_was_reset_hears_what_a_new_one_hears() {
        let expected = hear(&mut Decoder::new(), 500);
        let mut decoder = Decoder::new();
        hear(&mut decoder, 333);
        decoder.make_noise(&[0x55, 0x2a], &mut [0; FRAME_SAMPLES]);
        decoder.reset();
        assert_eq!(hear(&mut decoder, 500), expected);
    }
}
