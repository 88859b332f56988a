//! One file of sound: its tracks on one clock, brought to its rate, side by side, through its
//! container, and their waveform beside it.

use std::sync::Arc;

use media::resample::{History, Resampler};
use media_units::RateClass;
use recorder::account::Kept;
use recorder::container::{Container, Format, Sound, Unfit};
use recorder::peaks::Peaks;
use recorder::portion::{Portion, Run, Scattered, What};

use crate::growing::Growing;

/// Periods that are worked on at once: a second.
const PIECE_PERIODS: u64 = 50;

/// Memory in which files are encoded, one for each thread that does it.
#[derive(Debug)]
pub(crate) struct Bench {
    resampler: Resampler,
    planes: Vec<Vec<i16>>,
    interleaved: Vec<i16>,
    /// Where tracks are gathered: for each the memory of one before it, which is in the cache.
    portions: Vec<Portion>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            resampler: Resampler::new(media_kernels::Kernels::detect()),
            planes: Vec::new(),
            interleaved: Vec::new(),
            portions: Vec::new(),
        }
    }
}

/// What came of a track and is not in the file yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Of before the last that came: a period as a rule, which others of its recording did not
    /// have yet.
    rest: Portion,
    /// What came last, with the sound of all tracks that it is in.
    latest: Scattered,
    sound: Option<Arc<Vec<i16>>>,
}

impl Waiting {
    /// What came before there was a place for it.
    pub(crate) fn early(rest: Portion) -> Self {
        Self { rest, ..Self::default() }
    }

    /// Takes what came later, with the sound that it is in. What is given back is empty.
    pub(crate) fn take(&mut self, later: &mut Scattered, sound: &Arc<Vec<i16>>) {
        if let Some(sound) = self.sound.replace(Arc::clone(sound)) {
            self.rest.gather(&self.latest, &sound);
        }
        self.latest.clear();
        std::mem::swap(&mut self.latest, later);
    }

    /// Brings all that came together, in memory that is given back by [`Waiting::drop_before`].
    fn gather(&mut self, bench: &mut Bench) {
        let mut whole = bench.portions.pop().unwrap_or_default();
        whole.append(&self.rest);
        if let Some(sound) = self.sound.take() {
            whole.gather(&self.latest, &sound);
        }
        self.latest.clear();
        self.rest = whole;
    }

    /// The parts between two periods, each with its samples.
    pub(crate) fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (Run, &[i16])> {
        self.rest.between(from, to)
    }

    /// Takes away everything before `period`.
    fn drop_before(&mut self, period: u64, bench: &mut Bench) {
        self.rest.drop_before(period);
        let little = self.rest.clone();
        let mut whole = std::mem::replace(&mut self.rest, little);
        whole.clear();
        bench.portions.push(whole);
    }
}

/// A track's sound that waits for its place in the file.
#[derive(Debug)]
pub(crate) struct Voice {
    pub(crate) channel: u16,
    pub(crate) waiting: Waiting,
    /// For other rates than the file's.
    history: History,
    history_of: RateClass,
}

impl Voice {
    pub(crate) fn new(channel: u16, waiting: Waiting) -> Self {
        Self { channel, waiting, history: History::SILENT, history_of: RateClass::Narrow }
    }

    /// Writes its periods from `from` on over the plane, which is silent.
    fn play(&mut self, from: u64, plane: &mut [i16], rate: RateClass, resampler: &mut Resampler) {
        let block = rate.block_samples();
        let to = from + (plane.len() / block) as u64;
        let Self { waiting, history, history_of, .. } = self;
        for (run, samples) in waiting.between(from, to) {
            let at = (run.first - from) as usize * block;
            let place = &mut plane[at..at + run.periods as usize * block];
            match run.what {
                What::Sound { class, .. } if class == rate => place.copy_from_slice(samples),
                What::Sound { class, .. } => {
                    if *history_of != class {
                        (*history, *history_of) = (History::SILENT, class);
                    }
                    let blocks = samples.chunks_exact(class.block_samples());
                    for (samples, place) in blocks.zip(place.chunks_exact_mut(block)) {
                        resampler.resample(history, class.hertz(), samples, rate.hertz(), place);
                        history.keep(samples);
                    }
                }
                What::Silence(_) => *history = History::SILENT,
            }
        }
    }
}

/// A file of sound.
pub(crate) struct SoundFile<F> {
    pub(crate) rate: RateClass,
    channels: u16,
    container: Box<dyn Container>,
    peaks: Peaks,
    pub(crate) media: Growing<F>,
    pub(crate) preview: Growing<F>,
    pub(crate) periods: u64,
    pub(crate) voices: Vec<Voice>,
}

impl<F> SoundFile<F> {
    /// A file of that name without its ending, and its preview; they are numbers `number` and
    /// `number + 1` of the journal.
    pub(crate) fn new(
        stem: &str,
        format: Format,
        rate: RateClass,
        channels: u16,
        number: u32,
    ) -> Result<Self, Unfit> {
        let mut container = format.container(Sound { rate, channels })?;
        let mut head = Vec::new();
        container.begin(&mut head);
        let media = Growing::new(format!("{stem}.{}", format.extension()), number, head);
        let peaks = Peaks::new(rate, channels);
        let mut head = Vec::new();
        peaks.head(&mut head);
        let preview = Growing::new(format!("{stem}.peaks.dat"), number + 1, head);
        let voices = Vec::new();
        Ok(Self { rate, channels, container, peaks, media, preview, periods: 0, voices })
    }

    /// How much of it is kept.
    pub(crate) fn kept(&self) -> Kept {
        Kept { bytes: self.media.length, periods: self.periods }
    }

    /// Brings together what came of its tracks.
    pub(crate) fn gather(&mut self, bench: &mut Bench) {
        self.voices.iter_mut().for_each(|voice| voice.waiting.gather(bench));
    }

    /// Makes it `periods` long, the recording's first being `origin` on the shard's clock: with
    /// what waits, and silence where nothing does.
    pub(crate) fn advance(&mut self, origin: u64, periods: u64, bench: &mut Bench) {
        while self.periods < periods {
            let piece = (periods - self.periods).min(PIECE_PERIODS);
            let is_last = self.periods + piece == periods;
            self.encode(origin + self.periods, piece, is_last, bench);
            self.periods += piece;
        }
        self.media.append(|out| self.container.flush(out));
        for voice in &mut self.voices {
            voice.waiting.drop_before(origin + periods, bench);
        }
    }

    /// A long silence (of who joins late) is a hole in the file; the last piece of a flush never
    /// is, so that the file is always as long as what is kept of it.
    fn encode(&mut self, from: u64, periods: u64, is_last: bool, bench: &mut Bench) {
        let Bench { resampler, planes, interleaved, .. } = bench;
        let samples = periods as usize * self.rate.block_samples();
        let channels = usize::from(self.channels);
        planes.resize_with(channels, Vec::new);
        for plane in planes.iter_mut() {
            plane.clear();
            plane.resize(samples, 0);
        }
        for voice in &mut self.voices {
            if let Some(plane) = planes.get_mut(usize::from(voice.channel)) {
                voice.play(from, plane, self.rate, resampler);
            }
        }
        self.preview.append(|out| self.peaks.append(planes, out));
        interleave(planes, interleaved);
        let sound = if channels == 1 { &planes[0] } else { &*interleaved };
        let append = |out: &mut Vec<u8>| self.container.append(sound, out);
        if is_last {
            self.media.append(append);
        } else {
            self.media.append_or_leave_hole(append);
        }
    }

    /// Writes its end.
    pub(crate) fn end(&mut self) {
        let Self { container, peaks, media, preview, .. } = self;
        media.append(|out| container.end(out));
        preview.append(|out| peaks.end(out));
        self.refresh_heads();
    }

    /// Brings what stands at the files' starts up to date.
    pub(crate) fn refresh_heads(&mut self) {
        let mut head = Vec::new();
        self.container.head(&mut head);
        self.media.set_head(head);
        let mut head = Vec::new();
        self.peaks.head(&mut head);
        self.preview.set_head(head);
    }
}

/// Puts the planes side by side; one alone stays where it is.
fn interleave(planes: &[Vec<i16>], out: &mut Vec<i16>) {
    // What is there is written over: only what is longer needs to be made.
    match planes {
        [] | [_] => {}
        [left, right] => {
            out.resize(2 * left.len(), 0);
            for ((frame, &left), &right) in
                out.as_chunks_mut::<2>().0.iter_mut().zip(left).zip(right)
            {
                *frame = [left, right];
            }
        }
        [first, ..] => {
            out.resize(planes.len() * first.len(), 0);
            for (channel, plane) in planes.iter().enumerate() {
                let places = out[channel..].iter_mut().step_by(planes.len());
                places.zip(plane).for_each(|(place, &sample)| *place = sample);
            }
        }
    }
}
