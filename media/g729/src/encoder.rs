//! The encoder: G.729 Annex A.

use std::ffi::c_void;
use std::ops::Range;

use crate::state::{State, Word};
use crate::{FRAME_OCTETS, FRAME_SAMPLES};

unsafe extern "C" {
    fn initBcg729EncoderChannel(enable_vad: u8) -> *mut c_void;
    fn closeBcg729EncoderChannel(encoder: *mut c_void);
    fn bcg729Encoder(encoder: *mut c_void, samples: *const i16, octets: *mut u8, count: *mut u8);
}

/// Samples that are analysed at once. A state begins with them.
const WINDOW_SAMPLES: usize = 240;

/// Where in a state its two pointers are: behind the window, and into it.
const POINTERS: Range<usize> = {
    let words = WINDOW_SAMPLES * size_of::<i16>() / size_of::<Word>();
    words..words + 2
};

/// Where in the window they point: to the frame that came last, and to the one that is coded.
const TARGETS: [usize; 2] =
    [WINDOW_SAMPLES - FRAME_SAMPLES, WINDOW_SAMPLES - FRAME_SAMPLES - FRAME_SAMPLES / 2];

/// One encoder.
#[derive(Debug)]
pub struct Encoder(State);

impl Encoder {
    /// An encoder without past, that codes silence like sound. Allocates.
    pub fn new() -> Self {
        // SAFETY: the call takes no pointer, and its answer goes nowhere else.
        let encoder = Self(unsafe { State::of(initBcg729EncoderChannel(0)) });
        for (word, target) in encoder.0.words()[POINTERS].iter().zip(TARGETS) {
            let expected = encoder.0.words().as_ptr().addr() + target * size_of::<i16>();
            // SAFETY: the state has these words, and `init` has written all of it.
            let found = unsafe { word.assume_init() };
            assert_eq!(found, expected, "a state of libbcg729 1.1.1");
        }
        encoder
    }

    /// Encodes a frame.
    pub fn encode(&mut self, samples: &[i16; FRAME_SAMPLES]) -> [u8; FRAME_OCTETS] {
        let (mut octets, mut count) = ([0; FRAME_OCTETS], 0);
        // SAFETY: a state that is not closed, a frame of samples, and room for a frame of octets
        // and for their number. Without VAD it is always a whole frame.
        unsafe {
            let octets = octets.as_mut_ptr();
            bcg729Encoder(self.0.pointer(), samples.as_ptr(), octets, &raw mut count);
        }
        octets
    }

    /// Becomes what `other` is: the next frame of either follows on the last one of `other`.
    pub fn copy_from(&mut self, other: &Self) {
        let (own, other) = (self.0.words_mut(), other.0.words());
        let count = own.len().min(other.len());
        // Without VAD a state is one piece, and points nowhere but into itself.
        own[..POINTERS.start].copy_from_slice(&other[..POINTERS.start]);
        own[POINTERS.end..count].copy_from_slice(&other[POINTERS.end..count]);
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: a state that is not closed, and is not used again.
        unsafe { closeBcg729EncoderChannel(self.0.pointer()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that changes from frame to frame.
    fn frame(number: usize) -> [i16; FRAME_SAMPLES] {
        std::array::from_fn(|n| {
            let n = number * FRAME_SAMPLES + n;
            ((n * n / 7 % 4001) as i16 - 2000) * (n / 400 % 5) as i16
        })
    }

    #[test]
    fn an_encoder_becomes_another_and_outlives_it() {
        let (mut first, mut second) = (Encoder::new(), Encoder::new());
        for number in 0..50 {
            first.encode(&frame(number));
            second.encode(&frame(99 - number));
        }
        assert_ne!(first.encode(&frame(50)), second.encode(&frame(50)));
        second.copy_from(&first);
        let expected: Vec<_> = (51..99).map(|number| first.encode(&frame(number))).collect();
        drop(first);
        let octets: Vec<_> = (51..99).map(|number| second.encode(&frame(number))).collect();
        assert_eq!(octets, expected);
    }
}
