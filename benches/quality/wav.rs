//! WAV files: 16 bits, one audio channel.

use std::error::Error;
use std::path::Path;

/// Samples and their rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) samples: Vec<i16>,
    pub(crate) rate: u32,
}

/// Reads a file, which must have this rate where one is asked for.
pub(crate) fn read(path: &Path, rate: Option<u32>) -> Result<Sound, Box<dyn Error>> {
    let mut file = hound::WavReader::open(path)?;
    let spec = file.spec();
    if spec.channels != 1 || spec.bits_per_sample != 16 {
        return Err(format!("{}: not 16 bits and one audio channel", path.display()).into());
    }
    if let Some(rate) = rate.filter(|&rate| rate != spec.sample_rate) {
        return Err(format!("{}: {} Hz, not {rate}", path.display(), spec.sample_rate).into());
    }
    Ok(Sound { samples: file.samples().collect::<Result<_, _>>()?, rate: spec.sample_rate })
}

/// Writes a file.
pub(crate) fn write(path: &Path, sound: &Sound) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: sound.rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec)?;
    for &sample in &sound.samples {
        file.write_sample(sample)?;
    }
    file.finalize()
}
