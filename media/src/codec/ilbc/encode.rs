//! Samples to payloads (section 3).

use super::analysis::{self, Analysis};
use super::filter::{HighPass, Predictor, dot};
use super::frame::Frame;
use super::spectrum::{self, Frequencies};
use super::tables::{INPUT_POLES, INPUT_ZEROS, MEAN_FREQUENCIES};
use super::{
    Filters, Mode, SAMPLES_MAX, STATE, SUBFRAME, SUBFRAMES_MAX, Samples, residual, search, state,
};

/// How much the roots of the weights are moved inwards.
const WEIGHTING: f32 = 0.4222;

/// Turns samples into one stream's payloads.
#[derive(Debug, Clone)]
pub struct IlbcEncoder {
    mode: Mode,
    high_pass: HighPass,
    analysis: Analysis,
    /// The frequencies of the frame before, as they were and as they were sent.
    frequencies: Frequencies,
    sent_frequencies: Frequencies,
    prediction: Predictor,
}

impl IlbcEncoder {
    /// An encoder without past, for frames of 20 ms or of 30 ms.
    pub fn new(mode_ms: u8) -> Self {
        Self {
            mode: if mode_ms == 20 { Mode::Short } else { Mode::Long },
            high_pass: HighPass::default(),
            analysis: Analysis::NEW,
            frequencies: MEAN_FREQUENCIES,
            sent_frequencies: MEAN_FREQUENCIES,
            prediction: Predictor::default(),
        }
    }

    /// Encodes whole frames and says how many octets they take.
    pub fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> usize {
        let mut count = 0;
        let blocks = samples.chunks_exact(self.mode.samples());
        for (block, octets) in blocks.zip(frame.chunks_exact_mut(self.mode.octets())) {
            self.frame(block, octets);
            count += octets.len();
        }
        count
    }

    fn frame(&mut self, samples: &[i16], octets: &mut [u8]) {
        let mode = self.mode;
        let mut sound = [0.0; SAMPLES_MAX];
        for (sound, sample) in sound.iter_mut().zip(samples) {
            *sound = self.high_pass.filter(&INPUT_ZEROS, &INPUT_POLES, f32::from(*sample));
        }
        self.high_pass.settle();
        let mut frame = Frame::EMPTY;
        let (filters, weights) = self.spectrum(&sound, &mut frame);

        let mut wanted = [0.0; SAMPLES_MAX];
        let subframes = wanted.as_chunks_mut::<SUBFRAME>().0.iter_mut();
        let sounds = sound.as_chunks::<SUBFRAME>().0;
        for ((wanted, sound), filter) in subframes.zip(sounds).zip(&filters).take(mode.subframes())
        {
            *wanted = self.prediction.analyse(filter, sound);
        }
        place_state(mode, &wanted, &mut frame);
        let range = residual::state_range(mode, &frame);
        state::encode(mode, &mut frame, &wanted[range], &filters, &weights);

        let mut pieces = frame.pieces;
        residual::make(mode, &frame, &filters, |task, past| {
            let weights = &weights[task.range.start / SUBFRAME];
            let piece =
                search::find(task.number, &task.read(&wanted), task.range.len(), past, weights);
            pieces[task.number] = piece;
            piece
        });
        frame.pieces = pieces;
        frame.pieces[1].leave_out_unsearched();
        frame.write(mode, octets);
    }

    /// The frame's filters as the decoder has them, and the weights of what is heard.
    fn spectrum(&mut self, sound: &Samples, frame: &mut Frame) -> (Filters, Filters) {
        let mode = self.mode;
        let sets = self.analysis.frequencies(mode, sound);
        for (code, set) in frame.frequencies.iter_mut().zip(&sets).take(mode.analyses()) {
            *code = spectrum::quantize(set);
        }
        let sent = spectrum::decode(frame.frequencies, mode);
        let filters = spectrum::filters(mode, &self.sent_frequencies, &sent);
        let weights = spectrum::filters(mode, &self.frequencies, &sets)
            .map(|filter| spectrum::widen(&filter, WEIGHTING));
        self.frequencies = sets[mode.analyses() - 1];
        self.sent_frequencies = sent[mode.analyses() - 1];
        (filters, weights)
    }
}

/// Where the start state is: in the loudest pair of subframes, at its louder end.
fn place_state(mode: Mode, wanted: &Samples, frame: &mut Frame) {
    frame.start = analysis::loudest(mode, wanted);
    let begin = (usize::from(frame.start) - 1) * SUBFRAME;
    let both = &wanted[begin..begin + STATE];
    let first = &both[..mode.state_samples()];
    let last = &both[STATE - mode.state_samples()..];
    frame.state_first = u8::from(dot(first, first) > dot(last, last));
}

const _: () = assert!(SUBFRAMES_MAX * SUBFRAME == SAMPLES_MAX);
