//! G.729 (ITU-T G.729 Annexes A and B; RFC 3551 section 4.5.6) by libbcg729, whose calls are in
//! [`media_g729`]: 10 ms of sound in 10 octets.
//!
//! Only with the feature `g729`, which binds the whole program to the GPL 3 (decision 0018). A packet
//! holds frames, and after them it may describe silence in two octets: that is heard as the noise that it
//! means, and what is missing behind it is a pause. Lost frames are invented as the recommendation
//! says (section 4.4): the last one again, fading. We describe no silence of our own.

use std::cell::RefCell;

use media_g729::{FRAME_OCTETS, FRAME_SAMPLES, SILENCE_OCTETS};
use media_units::Discard;

use super::invented::Invented;
use crate::comfort_noise::{ComfortNoise, NoiseAnalyser};

/// Samples of noise that are listened to, to say how it sounds: 40 ms.
const DESCRIBED_SAMPLES: usize = 4 * FRAME_SAMPLES;

/// Turns one stream's payloads into samples.
#[derive(Debug)]
pub struct G729Decoder {
    decoder: media_g729::Decoder,
    /// Hears how pauses will sound, when their description comes in.
    listener: RefCell<Listener>,
    invented: Invented,
}

impl Default for G729Decoder {
    /// A decoder without past.
    fn default() -> Self {
        Self {
            decoder: media_g729::Decoder::new(),
            listener: RefCell::default(),
            invented: Invented::NONE,
        }
    }
}

impl G729Decoder {
    /// Forgets the stream.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.listener.get_mut().recent = [None; PREDICTING_FRAMES];
        self.invented = Invented::NONE;
    }

    /// How many samples the payload holds. Frames, and what describes silence behind them.
    #[allow(clippy::unused_self)] // as those of other formats
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        let (frames, rest) = payload.as_chunks::<FRAME_OCTETS>();
        match rest.len() {
            0 => Ok(frames.len() * FRAME_SAMPLES),
            SILENCE_OCTETS => Ok((frames.len() + 1) * FRAME_SAMPLES),
            _ => Err(Discard::PayloadSize),
        }
    }

    /// Decodes a payload and says how many samples it was.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        self.invented = Invented::NONE;
        let (frames, rest) = payload.as_chunks::<FRAME_OCTETS>();
        let mut blocks = samples.as_chunks_mut::<FRAME_SAMPLES>().0.iter_mut();
        let mut count = 0;
        for (octets, block) in frames.iter().zip(&mut blocks) {
            self.decoder.decode(octets, block);
            count += FRAME_SAMPLES;
        }
        if let (Ok(octets), Some(block)) = (rest.try_into(), blocks.next()) {
            self.decoder.make_noise(octets, block);
            count += FRAME_SAMPLES;
        }
        count
    }

    /// How the pause behind this payload sounds, where it ends with a description of silence:
    /// nothing more is sent then, until that changes or somebody speaks. To be asked of every
    /// payload, as it comes in.
    pub fn pause_after(&self, payload: &[u8]) -> Option<ComfortNoise> {
        self.listener.borrow_mut().take_in(payload)
    }

    /// Invents what is lost; after a description of silence, more of its noise.
    pub fn conceal(&mut self, samples: &mut [i16]) {
        let mut open = self.invented.take(samples);
        while !open.is_empty() {
            let mut block = [0; FRAME_SAMPLES];
            self.decoder.conceal(&mut block);
            self.invented = Invented::new(&block);
            open = self.invented.take(open);
        }
    }
}

/// Frames before it that the spectrum of a description of silence is predicted from.
const PREDICTING_FRAMES: usize = 4;

/// What one frame holds.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Speech([u8; FRAME_OCTETS]),
    Silence([u8; SILENCE_OCTETS]),
}

/// Keeps the frames that came in last, and decodes them when they tell how silence sounds.
#[derive(Debug, Default)]
struct Listener {
    decoder: media_g729::Decoder,
    /// The newest last.
    recent: [Option<Frame>; PREDICTING_FRAMES],
}

impl Listener {
    fn take_in(&mut self, payload: &[u8]) -> Option<ComfortNoise> {
        let (frames, rest) = payload.as_chunks::<FRAME_OCTETS>();
        for octets in frames {
            self.keep(Frame::Speech(*octets));
        }
        let silence = Frame::Silence(rest.try_into().ok()?);
        let noise = self.listen(silence);
        self.keep(silence);
        Some(noise)
    }

    fn keep(&mut self, frame: Frame) {
        self.recent.rotate_left(1);
        self.recent[PREDICTING_FRAMES - 1] = Some(frame);
    }

    /// How the pause behind such a frame sounds.
    fn listen(&mut self, silence: Frame) -> ComfortNoise {
        self.decoder.reset();
        let mut unheard = [0; FRAME_SAMPLES];
        for frame in self.recent.into_iter().flatten().chain([silence]) {
            match frame {
                Frame::Speech(octets) => self.decoder.decode(&octets, &mut unheard),
                Frame::Silence(octets) => self.decoder.make_noise(&octets, &mut unheard),
            }
        }
        let mut noise = [0; DESCRIBED_SAMPLES];
        for block in noise.as_chunks_mut().0 {
            self.decoder.conceal(block);
        }
        let mut analyser = NoiseAnalyser::new();
        analyser.observe(&noise);
        analyser.noise()
    }
}

/// Turns samples into one stream's payloads.
#[derive(Debug, Default)]
pub struct G729Encoder(media_g729::Encoder);

impl G729Encoder {
    /// Encodes whole frames and says how many octets they take.
    pub fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> usize {
        let blocks = samples.as_chunks::<FRAME_SAMPLES>().0;
        let frames = frame.as_chunks_mut::<FRAME_OCTETS>().0;
        for (block, octets) in blocks.iter().zip(&mut *frames) {
            *octets = self.0.encode(block);
        }
        blocks.len().min(frames.len()) * FRAME_OCTETS
    }

    /// Becomes what `other` is.
    pub fn continue_from(&mut self, other: &Self) {
        self.0.copy_from(&other.0);
    }
}

#[cfg(test)]
pub(super) mod tests;
