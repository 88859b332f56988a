//! Frames to samples (section 5.3), and what is heard of frames that are lost.

use media_units::Discard;

use super::super::invented::Invented;
use super::arithmetic::multiply_rounded;
use super::frame::{FRAME_OCTETS, Frame};
use super::lattice::Lattice;
use super::{Excitation, FRAME_SAMPLES, LAG_MAX, ORDER, SUBFRAME_SAMPLES, excitation};
use crate::comfort_noise::{ComfortNoise, NoiseAnalyser};

/// By how much the pulses of each frame fade, while frames are lost.
const FADE: u8 = 4;

/// Frames of noise that are listened to, to say how it sounds: 80 ms.
const DESCRIBED_FRAMES: usize = 4;

/// The coefficient of the de-emphasis.
const DE_EMPHASIS: i16 = 28_180;

/// Turns one stream's payloads into samples.
#[derive(Debug, Clone)]
pub struct GsmDecoder {
    lattice: Lattice,
    /// The filter's state (v).
    filter: [i16; ORDER],
    excitation: Excitation,
    /// The last lag that was in range (nrp).
    lag: u8,
    /// What the de-emphasis put out last.
    emphasis: i16,
    /// The frame that is repeated when the next is lost.
    last: Frame,
    /// Whether the last frame was lost too.
    lost: bool,
    /// Chooses the grid of invented frames, and the pulses of noise.
    seed: u32,
    invented: Invented,
}

impl Default for GsmDecoder {
    /// A decoder without past.
    fn default() -> Self {
        Self {
            lattice: Lattice::default(),
            filter: [0; ORDER],
            excitation: [0; LAG_MAX],
            lag: 40,
            emphasis: 0,
            last: Frame::SILENCE,
            lost: false,
            seed: 1,
            invented: Invented::NONE,
        }
    }
}

impl GsmDecoder {
    /// Forgets the stream.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// How many samples the payload holds. What are no whole frames is refused.
    #[allow(clippy::unused_self)] // as those of other formats
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        let mut frames = payload.chunks(FRAME_OCTETS);
        if frames.all(Frame::is_one) {
            Ok(payload.len() / FRAME_OCTETS * FRAME_SAMPLES)
        } else {
            Err(Discard::PayloadSize)
        }
    }

    /// Decodes a payload and says how many samples it was.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let octets = payload.as_chunks::<FRAME_OCTETS>().0;
        let blocks = samples.as_chunks_mut::<FRAME_SAMPLES>().0;
        for (octets, block) in octets.iter().zip(&mut *blocks) {
            let mut frame = Frame::read(octets);
            if frame.describes_silence() {
                self.make_noise(&mut frame);
            }
            self.last = frame;
            self.lost = false;
            self.invented = Invented::NONE;
            self.synthesize(&frame, block);
        }
        octets.len().min(blocks.len()) * FRAME_SAMPLES
    }

    /// How the pause behind this payload sounds, where its last frame describes silence: nothing
    /// more is sent then, until somebody speaks (discontinuous transmission, GSM 06.31).
    #[allow(clippy::unused_self)] // as those of other formats
    pub fn pause_after(&self, payload: &[u8]) -> Option<ComfortNoise> {
        let frame = Frame::read(payload.as_chunks::<FRAME_OCTETS>().0.last()?);
        if !frame.describes_silence() {
            return None;
        }
        let (mut decoder, mut noise) = (Self::default(), [0; FRAME_SAMPLES]);
        let mut analyser = NoiseAnalyser::new();
        for number in 0..=DESCRIBED_FRAMES {
            let mut frame = frame;
            decoder.make_noise(&mut frame);
            decoder.synthesize(&frame, &mut noise);
            // The first is where the filters begin.
            if number > 0 {
                analyser.observe(&noise);
            }
        }
        Some(analyser.noise())
    }

    /// Makes a frame that can be heard of one that describes silence: loudness and spectrum are as
    /// it says, the pulses are random and nothing repeats (GSM 06.12 section 6.1).
    fn make_noise(&mut self, frame: &mut Frame) {
        for subframe in &mut frame.subframes {
            subframe.grid = self.random(4);
            subframe.gain = 0;
            subframe.pulses = subframe.pulses.map(|_| 1 + self.random(6));
        }
    }

    /// A number below `bound`.
    fn random(&mut self, bound: u32) -> u8 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((self.seed >> 16) * bound) >> 16) as u8
    }

    /// Invents what is lost.
    pub fn conceal(&mut self, samples: &mut [i16]) {
        let mut open = self.invented.take(samples);
        while !open.is_empty() {
            if self.lost {
                self.fade();
            }
            self.lost = true;
            let (frame, mut block) = (self.last, [0; FRAME_SAMPLES]);
            self.synthesize(&frame, &mut block);
            self.invented = Invented::new(&block);
            open = self.invented.take(open);
        }
    }

    /// Lets the frame that is repeated fade, once it has been.
    fn fade(&mut self) {
        if self.last.subframes.iter().all(|subframe| subframe.peak == 0) {
            self.last = Frame::SILENCE;
        }
        for subframe in &mut self.last.subframes {
            subframe.peak = subframe.peak.saturating_sub(FADE);
        }
        for number in 0..self.last.subframes.len() {
            self.last.subframes[number].grid = self.random(4);
        }
    }

    fn synthesize(&mut self, frame: &Frame, samples: &mut [i16; FRAME_SAMPLES]) {
        let blocks = samples.as_chunks_mut::<SUBFRAME_SAMPLES>().0;
        for (subframe, block) in frame.subframes.iter().zip(blocks) {
            if (40..=LAG_MAX as u8).contains(&subframe.lag) {
                self.lag = subframe.lag;
            }
            let predicted = excitation::predict(&self.excitation, self.lag, subframe.gain);
            let pulses = excitation::pulses(subframe);
            excitation::extend(&mut self.excitation, &pulses, &predicted);
            block.copy_from_slice(&self.excitation[LAG_MAX - SUBFRAME_SAMPLES..LAG_MAX]);
        }
        for (range, coefficients) in self.lattice.sets(frame.ratios) {
            for sample in &mut samples[range] {
                *sample = self.filter(&coefficients, *sample);
            }
        }
        for sample in samples {
            self.emphasis = sample.saturating_add(multiply_rounded(self.emphasis, DE_EMPHASIS));
            *sample = self.emphasis.saturating_add(self.emphasis) & !7;
        }
    }

    /// The inverse of the encoder's lattice.
    fn filter(&mut self, coefficients: &[i16; ORDER], sample: i16) -> i16 {
        let mut sample = sample;
        for i in (0..ORDER).rev() {
            sample = sample.saturating_sub(multiply_rounded(coefficients[i], self.filter[i]));
            let back = self.filter[i].saturating_add(multiply_rounded(coefficients[i], sample));
            if let Some(next) = self.filter.get_mut(i + 1) {
                *next = back;
            }
        }
        self.filter[0] = sample;
        sample
    }
}
