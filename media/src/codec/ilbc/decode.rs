//! Payloads to samples (section 4).

use media_units::Discard;

use super::super::invented::Invented;
use super::conceal::Concealer;
use super::enhance::Enhancer;
use super::filter::{HighPass, Predictor};
use super::frame::Frame;
use super::spectrum::{self, Frequencies};
use super::tables::{MEAN_FREQUENCIES, OUTPUT_POLES, OUTPUT_ZEROS};
use super::{Filters, IDENTITY, Mode, SAMPLES_MAX, SUBFRAME, SUBFRAMES_MAX, Samples, residual};

/// Turns one stream's payloads into samples.
#[derive(Debug, Clone)]
pub struct IlbcDecoder {
    mode: Mode,
    frequencies: Frequencies,
    /// The filters of the frame before: the enhancer is late.
    filters: Filters,
    concealer: Concealer,
    enhancer: Enhancer,
    /// The pitch that was heard last.
    lag: usize,
    /// Whether the last frame was invented.
    lost: bool,
    synthesis: Predictor,
    high_pass: HighPass,
    invented: Invented,
}

impl Default for IlbcDecoder {
    /// A decoder without past.
    fn default() -> Self {
        Self::new(Mode::Long)
    }
}

impl IlbcDecoder {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            frequencies: MEAN_FREQUENCIES,
            filters: [IDENTITY; SUBFRAMES_MAX],
            concealer: Concealer::NEW,
            enhancer: Enhancer::NEW,
            lag: 20,
            lost: false,
            synthesis: Predictor::default(),
            high_pass: HighPass::default(),
            invented: Invented::NONE,
        }
    }

    /// Forgets the stream.
    pub fn reset(&mut self) {
        *self = Self::new(self.mode);
    }

    /// How many samples the payload holds. What are no whole frames is refused.
    pub fn samples(&self, payload: &[u8]) -> Result<usize, Discard> {
        let mode = self.mode_of(payload).ok_or(Discard::PayloadSize)?;
        Ok(payload.len() / mode.octets() * mode.samples())
    }

    /// Decodes a payload and says how many samples it was.
    pub fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let Some(mode) = self.mode_of(payload) else { return 0 };
        if mode != self.mode {
            *self = Self::new(mode);
        }
        self.invented = Invented::NONE;
        let mut count = 0;
        for (octets, block) in
            payload.chunks(mode.octets()).zip(samples.chunks_exact_mut(mode.samples()))
        {
            self.frame(Frame::read(mode, octets), block);
            count += block.len();
        }
        count
    }

    /// Invents what is lost.
    pub fn conceal(&mut self, samples: &mut [i16]) {
        let mut open = self.invented.take(samples);
        while !open.is_empty() {
            let mut block = [0; SAMPLES_MAX];
            let block = &mut block[..self.mode.samples()];
            self.frame(None, block);
            self.invented = Invented::new(block);
            open = self.invented.take(open);
        }
    }

    /// The mode by the length. Where it may be both, it stays.
    fn mode_of(&self, payload: &[u8]) -> Option<Mode> {
        let fits = |mode: &Mode| !payload.is_empty() && payload.len().is_multiple_of(mode.octets());
        [self.mode, Mode::Long, Mode::Short].into_iter().find(fits)
    }

    /// The next frame's sound, of the frame or of nothing.
    fn frame(&mut self, frame: Option<Frame>, samples: &mut [i16]) {
        let after_loss = self.lost;
        self.lost = frame.is_none();
        let (residual, filters) = if let Some(frame) = frame {
            self.received(frame)
        } else {
            let (residual, filter) = self.concealer.invent(self.mode, self.lag);
            (residual, [filter; SUBFRAMES_MAX])
        };
        let (mut sound, lag) = self.enhancer.enhance(self.mode, &residual, after_loss);
        self.lag = lag;
        self.synthesize(&filters, &mut sound);
        self.filters = filters;
        for (sample, sound) in samples.iter_mut().zip(sound) {
            *sample = self.high_pass.filter(&OUTPUT_ZEROS, &OUTPUT_POLES, sound) as i16;
        }
        self.synthesis.settle();
        self.high_pass.settle();
    }

    /// The residual that a frame says, and its filters.
    fn received(&mut self, mut frame: Frame) -> (Samples, Filters) {
        frame.pieces[1].put_back_unsearched();
        let sets = spectrum::decode(frame.frequencies, self.mode);
        let filters = spectrum::filters(self.mode, &self.frequencies, &sets);
        self.frequencies = sets[self.mode.analyses() - 1];
        let residual =
            residual::make(self.mode, &frame, &filters, |task, _| frame.pieces[task.number]);
        self.concealer.keep(&residual, &filters[self.mode.subframes() - 1]);
        (residual, filters)
    }

    fn synthesize(&mut self, filters: &Filters, sound: &mut Samples) {
        let count = self.mode.subframes();
        // By how many subframes the enhancer is late.
        let late = match self.mode {
            Mode::Short => 1,
            Mode::Long => 2,
        };
        let filters = self.filters[count - late..count].iter().chain(filters);
        let subframes = &mut sound.as_chunks_mut::<SUBFRAME>().0[..count];
        for (subframe, filter) in subframes.iter_mut().zip(filters) {
            self.synthesis.synthesize(filter, subframe);
        }
    }
}
