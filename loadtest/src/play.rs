//! WAV files as voices.

use std::path::Path;

use media_units::{Encoding, SAMPLE_RATE};
use sim::phone::Voice;

use crate::Failure;

/// The sound of a file.
pub(crate) fn voice(path: &Path, encoding: Encoding) -> Result<Voice, Failure> {
    let wrong = |why: String| Failure::Options(format!("--play {}: {why}", path.display()));
    let reader = hound::WavReader::open(path).map_err(|error| wrong(error.to_string()))?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (SAMPLE_RATE, 1, 16) {
        return Err(wrong(format!(
            "{} Hz, {} channels, {} bits; 8000 Hz, mono, 16 bits are played",
            spec.sample_rate, spec.channels, spec.bits_per_sample
        )));
    }
    let samples: Result<Vec<i16>, _> = reader.into_samples().collect();
    let samples = samples.map_err(|error| wrong(error.to_string()))?;
    Ok(Voice::pcm(&samples, encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, sample_rate: u32) -> std::path::PathBuf {
        let name = format!("loadtest-{}-{name}.wav", std::process::id());
        let path = std::env::temp_dir().join(name);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in [0_i16, 1000, -1000, 8000] {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        path
    }

    #[test]
    fn a_telephone_file_is_played_and_another_is_refused_with_the_reason() {
        let good = file("good", 8000);
        let voice = voice(&good, Encoding::Pcmu).unwrap();
        assert_eq!(voice.payload(0, 4), voice.payload(4, 4));
        let wide = file("wide", 48_000);
        let refusal = super::voice(&wide, Encoding::Pcmu).unwrap_err().to_string();
        assert!(refusal.contains("48000 Hz"), "{refusal}");
        for path in [good, wide] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
