//! What those hear who are recorded: an announcement of the user's, and a beep.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_control::Renditions;
use hound::{SampleFormat, WavReader, WavSpec};
use media::resample::whole;
use media_kernels::Kernels;
use media_units::RateClass;

use super::keeper::Notice;

/// The sounds.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    announcement: Option<Arc<Renditions>>,
    beep: Option<Arc<Renditions>>,
}

/// A file that cannot be played.
#[derive(Debug)]
pub struct BadPrompt {
    path: PathBuf,
    why: String,
}

/// What can be played.
pub(crate) const PLAYABLE: &str = "a WAV file of 16 bits, mono or stereo, of at most 60 s";

/// An announcement longer than this is refused.
const SECONDS_MAX: u32 = 60;

/// The beep of recorded lines: 1,400 Hz, 0.2 s, at -20 dBm0 or so, with soft edges.
const BEEP_HERTZ: f64 = 1400.0;
const BEEP_SECONDS: f64 = 0.2;
const BEEP_PEAK: f64 = 3200.0;
const EDGE_SECONDS: f64 = 0.01;

impl Prompts {
    /// Reads the announcement, and makes the beep.
    pub(crate) fn new(announcement: Option<&Path>, beeps: bool) -> Result<Self, BadPrompt> {
        let announcement = announcement.map(read).transpose()?.map(Arc::new);
        let beep = beeps.then(|| Arc::new(Renditions::new(beep)));
        Ok(Self { announcement, beep })
    }

    /// What is played for a notice.
    pub(super) fn of(&self, notice: Notice) -> Option<Arc<Renditions>> {
        match notice {
            Notice::Announcement => self.announcement.clone(),
            Notice::Beep => self.beep.clone(),
        }
    }
}

impl fmt::Display for BadPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, why) = (self.path.display(), &self.why);
        write!(f, "recording.announcement = \"{path}\": {why}; name {PLAYABLE}")
    }
}

impl std::error::Error for BadPrompt {}

fn read(path: &Path) -> Result<Renditions, BadPrompt> {
    let (spec, samples) = samples(path).map_err(|why| BadPrompt { path: path.to_owned(), why })?;
    // One channel: the mean of all.
    let channels = usize::from(spec.channels.max(1));
    let mean = |frame: &[i16]| {
        frame.iter().map(|&sample| i64::from(sample)).sum::<i64>() / frame.len() as i64
    };
    let mono: Vec<i16> = samples.chunks_exact(channels).map(|frame| mean(frame) as i16).collect();
    Ok(Renditions::new(|class| whole(Kernels::detect(), &mono, spec.sample_rate, class.hertz())))
}

/// Why a file cannot be played as an announcement, if so.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    samples(path).map(|_| ())
}

fn samples(path: &Path) -> Result<(WavSpec, Vec<i16>), String> {
    let mut file = WavReader::open(path).map_err(|error| error.to_string())?;
    let spec = file.spec();
    if spec.sample_format != SampleFormat::Int || spec.bits_per_sample != 16 {
        return Err(format!("samples of {} bits", spec.bits_per_sample));
    }
    if !(8000..=192_000).contains(&spec.sample_rate) {
        return Err(format!("{} samples in a second", spec.sample_rate));
    }
    if file.duration() > SECONDS_MAX * spec.sample_rate {
        return Err("too long".to_owned());
    }
    let samples: Result<Vec<i16>, _> = file.samples::<i16>().collect();
    samples.map(|samples| (spec, samples)).map_err(|error| error.to_string())
}

fn beep(class: RateClass) -> Vec<i16> {
    let rate = f64::from(class.hertz());
    let sample = |index: usize| {
        let at = index as f64 / rate;
        let edge = (at.min(BEEP_SECONDS - at) / EDGE_SECONDS).clamp(0.0, 1.0);
        (BEEP_PEAK * edge * (std::f64::consts::TAU * BEEP_HERTZ * at).sin()).round() as i16
    };
    (0..(BEEP_SECONDS * rate) as usize).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beep_lasts_a_fifth_of_a_second_and_begins_softly() {
        for class in RateClass::ALL {
            let beep = beep(class);
            assert_eq!(beep.len() as u32, class.hertz() / 5);
            assert!(beep[0] == 0 && beep.iter().all(|sample| sample.abs() <= 3200));
            assert!(beep.iter().any(|sample| *sample > 3000));
        }
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_the_reason() {
        let refused = read(Path::new("/nowhere.wav")).unwrap_err().to_string();
        assert!(refused.starts_with("recording.announcement = \"/nowhere.wav\": "), "{refused}");
        assert!(refused.ends_with("of at most 60 s"));
    }
}
