//! The container: RIFF WAVE, linear PCM, one audio channel of 16 bits at 8 kHz.
//!
//! Sound has a fixed place in the file, so a header can be rewritten over itself at any time; a
//! file whose header is as old as its last flush plays up to that flush. What was never written
//! between two places reads as zeroes, which is silence.

use media_units::{Block, SAMPLE_RATE};

/// Bytes before the first sample.
pub const HEADER_BYTES: usize = 44;

/// Bytes of a sample.
pub const SAMPLE_BYTES: u64 = 2;

/// The longest track that the container's 32-bit sizes hold: 74 hours.
pub const SAMPLES_MAX: u64 = (u32::MAX as u64 - HEADER_BYTES as u64) / SAMPLE_BYTES;

/// The header of a file of `samples` (at most [`SAMPLES_MAX`]) samples.
pub fn header(samples: u64) -> [u8; HEADER_BYTES] {
    let data_bytes = (samples.min(SAMPLES_MAX) * SAMPLE_BYTES) as u32;
    let mut header = [0; HEADER_BYTES];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(data_bytes + HEADER_BYTES as u32 - 8).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(), // linear PCM
        &1_u16.to_le_bytes(), // one audio channel
        &SAMPLE_RATE.to_le_bytes(),
        &(SAMPLE_RATE * SAMPLE_BYTES as u32).to_le_bytes(),
        &(SAMPLE_BYTES as u16).to_le_bytes(),
        &(8 * SAMPLE_BYTES as u16).to_le_bytes(),
        b"data",
        &data_bytes.to_le_bytes(),
    ];
    let mut rest = &mut header[..];
    for field in fields {
        let (place, after) = rest.split_at_mut(field.len());
        place.copy_from_slice(field);
        rest = after;
    }
    header
}

/// Where a sample lies in the file.
pub const fn offset(sample: u64) -> u64 {
    HEADER_BYTES as u64 + sample * SAMPLE_BYTES
}

/// Appends a block as the file holds it.
pub fn append(block: &Block, bytes: &mut Vec<u8>) {
    bytes.extend(block.0.iter().flat_map(|sample| sample.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use media_units::BLOCK_SAMPLES;

    use super::*;

    #[test]
    fn another_reader_finds_every_sample() {
        let block = Block(std::array::from_fn(|i| (i as i16 - 80) * 400));
        let mut file = header(2 * BLOCK_SAMPLES as u64).to_vec();
        append(&block, &mut file);
        append(&Block::SILENCE, &mut file);
        let mut reader = hound::WavReader::new(file.as_slice()).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 8000, 16));
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(samples, [block.0, Block::SILENCE.0].concat());
    }

    #[test]
    fn a_file_cut_after_its_last_flush_plays_up_to_it() {
        let mut file = header(BLOCK_SAMPLES as u64).to_vec();
        append(&Block([7; BLOCK_SAMPLES]), &mut file);
        append(&Block([9; BLOCK_SAMPLES]), &mut file); // written, but not yet in the header
        file.truncate(file.len() - 5);
        let mut reader = hound::WavReader::new(file.as_slice()).unwrap();
        assert!(reader.samples::<i16>().map(Result::unwrap).eq([7; BLOCK_SAMPLES]));
    }

    #[test]
    fn the_longest_track_fits_the_sizes_of_the_header() {
        let header = header(SAMPLES_MAX);
        let riff_bytes = u32::from_le_bytes(header[4..8].try_into().unwrap());
        assert_eq!(u64::from(riff_bytes) + 8, offset(SAMPLES_MAX));
        assert_eq!(header, super::header(u64::MAX), "more is not claimed");
    }
}
