//! RIFF WAVE: linear PCM of 16 bits, any number of audio channels, as RF64 past 4 GiB.
//!
//! Between RIFF's own header and `fmt ` stands a chunk of 28 bytes that nobody reads (`JUNK`). Once
//! the 32-bit sizes do not suffice it becomes `ds64`, which holds them in 64 bits (EBU Tech 3306),
//! and the file is RF64; no sample moves. More than two audio channels are said with
//! `WAVE_FORMAT_EXTENSIBLE` and no place of a loudspeaker, because they are talkers and not places.
//!
//! While a file grows its header says that its length is not known, as that of a file does that is written
//! into a pipe: readers take what is there.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Container, Sound, Whole, class_of, foreign, read_up_to};

/// Audio channels of one file.
pub const CHANNELS_MAX: u16 = 64;

const SAMPLE_BYTES: u64 = 2;
/// Samples that are brought into the file's order at once.
const PIECE_SAMPLES: usize = 1024;
/// `RIFF`, its size, `WAVE`.
const RIFF_BYTES: usize = 12;
/// The chunk that is kept for the long sizes: name, size, content.
const LONG_SIZES_BYTES: u32 = 28;
/// Where `fmt ` begins.
const FORMAT_OFFSET: usize = RIFF_BYTES + 8 + LONG_SIZES_BYTES as usize;
/// The longest header: that of more than two audio channels.
const HEADER_BYTES_MAX: usize = FORMAT_OFFSET + 8 + 40 + 8;
/// What writers of pipes say, and readers understand: none believes that sound ends there.
const LENGTH_UNKNOWN: u64 = 0x7fff_f000;
const TAG_PCM: u16 = 1;
const TAG_EXTENSIBLE: u16 = 0xfffe;
/// `KSDATAFORMAT_SUBTYPE_PCM`, as it stands in a file.
const PCM_GUID: [u8; 16] = [1, 0, 0, 0, 0, 0, 16, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// One file.
#[derive(Debug)]
pub struct Wav {
    sound: Sound,
    data_bytes: u64,
    is_ended: bool,
}

impl Wav {
    /// An empty file.
    pub fn new(sound: Sound) -> Self {
        Self { sound, data_bytes: 0, is_ended: false }
    }
}

impl Container for Wav {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.head(out);
    }

    fn append(&mut self, interleaved: &[i16], out: &mut Vec<u8>) {
        self.data_bytes += size_of_val(interleaved) as u64;
        // By way of a piece that stays in the cache: the file's own memory is touched once.
        let mut piece = [[0; 2]; PIECE_SAMPLES];
        for samples in interleaved.chunks(PIECE_SAMPLES) {
            for (place, sample) in piece.iter_mut().zip(samples) {
                *place = sample.to_le_bytes();
            }
            out.extend_from_slice(piece[..samples.len()].as_flattened());
        }
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>) {
        self.is_ended = true;
    }

    fn head(&self, out: &mut Vec<u8>) {
        header(self.sound, if self.is_ended { self.data_bytes } else { LENGTH_UNKNOWN }, out);
    }
}

/// What stands before the first sample of so many bytes of sound.
fn header(sound: Sound, data_bytes: u64, out: &mut Vec<u8>) {
    let frames = data_bytes / (u64::from(sound.channels) * SAMPLE_BYTES);
    let format_bytes = if sound.channels > 2 { 40 } else { 16 };
    let before_data = (FORMAT_OFFSET + 8 + format_bytes + 8) as u64;
    let riff_bytes = before_data - 8 + data_bytes;
    // All ones say that the size is in `ds64`.
    let short = u32::try_from(riff_bytes).ok().filter(|&size| size != u32::MAX);
    out.extend(if short.is_some() { b"RIFF" } else { b"RF64" });
    out.extend(short.unwrap_or(u32::MAX).to_le_bytes());
    out.extend(b"WAVE");
    out.extend(if short.is_some() { b"JUNK" } else { b"ds64" });
    out.extend(LONG_SIZES_BYTES.to_le_bytes());
    for size in [riff_bytes, data_bytes, frames] {
        out.extend(if short.is_some() { 0 } else { size }.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes()); // no further long sizes
    format(sound, out);
    out.extend(b"data");
    out.extend(short.map_or(u32::MAX, |_| data_bytes as u32).to_le_bytes());
}

/// The chunk `fmt `.
fn format(sound: Sound, out: &mut Vec<u8>) {
    let extensible = sound.channels > 2;
    let frame_bytes = sound.channels * SAMPLE_BYTES as u16;
    let rate = sound.rate.hertz();
    out.extend(b"fmt ");
    out.extend(if extensible { 40_u32 } else { 16 }.to_le_bytes());
    out.extend(if extensible { TAG_EXTENSIBLE } else { TAG_PCM }.to_le_bytes());
    out.extend(sound.channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(frame_bytes)).to_le_bytes());
    out.extend(frame_bytes.to_le_bytes());
    out.extend(16_u16.to_le_bytes());
    if extensible {
        out.extend(22_u16.to_le_bytes()); // how long the extension is
        out.extend(16_u16.to_le_bytes()); // bits that are used
        out.extend(0_u32.to_le_bytes()); // no loudspeakers
        out.extend(PCM_GUID);
    }
}

/// All whole frames to the file's end: what follows the length in the header was appended after it.
pub(super) fn whole(file: &mut (impl Read + Seek)) -> io::Result<Whole> {
    let mut start = [0; HEADER_BYTES_MAX];
    let filled = read_up_to(file, &mut start)?;
    let sound = sound_of(&start[..filled]).ok_or_else(foreign)?;
    let mut head = Vec::with_capacity(HEADER_BYTES_MAX);
    header(sound, 0, &mut head);
    let frame_bytes = u64::from(sound.channels) * SAMPLE_BYTES;
    let length = file.seek(SeekFrom::End(0))?;
    let data_bytes = length.checked_sub(head.len() as u64).ok_or_else(foreign)?;
    let samples = data_bytes / frame_bytes;
    let bytes = head.len() as u64 + samples * frame_bytes;
    head.clear();
    header(sound, samples * frame_bytes, &mut head);
    Ok(Whole { bytes, samples, head, tail: Vec::new() })
}

/// What sound follows, where this is a header of ours.
fn sound_of(start: &[u8]) -> Option<Sound> {
    let format_chunk = start.get(FORMAT_OFFSET..)?;
    let channels = u16::from_le_bytes(format_chunk.get(10..12)?.try_into().ok()?);
    let rate = u32::from_le_bytes(format_chunk.get(12..16)?.try_into().ok()?);
    if !(1..=CHANNELS_MAX).contains(&channels) {
        return None;
    }
    let sound = Sound { rate: class_of(rate)?, channels };
    let mut expected = Vec::with_capacity(HEADER_BYTES_MAX);
    format(sound, &mut expected);
    expected.extend(b"data");
    let ours = start.starts_with(b"RIFF") || start.starts_with(b"RF64");
    (ours && start[8..12] == *b"WAVE" && format_chunk.starts_with(&expected)).then_some(sound)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use media_units::RateClass;

    use super::*;
    use crate::container::Format;
    use crate::container::testing::{file_of, repaired, sound, wave};

    fn read(file: &[u8]) -> (hound::WavSpec, Vec<i16>) {
        let mut reader = hound::WavReader::new(file).unwrap();
        let spec = reader.spec();
        (spec, reader.samples().map(Result::unwrap).collect())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn another_reader_finds_every_sample_at_each_rate_and_width() {
        for rate in RateClass::ALL {
            for channels in [1, 2, 3, CHANNELS_MAX] {
                let samples = wave(777 * usize::from(channels));
                let file = file_of(Format::Wav, Sound { rate, channels }, &samples);
                let (spec, read) = read(&file);
                assert_eq!((spec.channels, spec.sample_rate), (channels, rate.hertz()));
                assert_eq!((spec.bits_per_sample, read), (16, samples));
            }
        }
    }

    #[test]
    fn a_file_that_grows_tells_no_length_until_its_end() {
        let mut wav = Wav::new(sound(1));
        let (mut file, mut head) = (Vec::new(), Vec::new());
        wav.begin(&mut file);
        wav.append(&[7; 160], &mut file);
        wav.head(&mut head);
        assert!(file.starts_with(&head), "nothing is written twice");
        assert_eq!(head[76..80], [0, 0xf0, 0xff, 0x7f]);
        wav.end(&mut file);
        head.clear();
        wav.head(&mut head);
        file[..head.len()].copy_from_slice(&head);
        assert_eq!(read(&file).1, [7; 160]);
    }

    #[test]
    fn sizes_stay_in_32_bits_as_long_as_they_fit_and_move_to_64_after_that() {
        // The header has 80 bytes for one or two audio channels, of which 8 do not count.
        let last_short = (u64::from(u32::MAX) - 1 - 72) / 2;
        let mut head = Vec::new();
        header(sound(1), 2 * last_short, &mut head);
        assert_eq!((&head[..4], &head[12..16]), (&b"RIFF"[..], &b"JUNK"[..]));
        assert_eq!(u32::from_le_bytes(head[4..8].try_into().unwrap()), u32::MAX - 1);
        for frames in [last_short + 1, 1 << 33, 1 << 50] {
            let mut long = Vec::new();
            header(sound(1), 2 * frames, &mut long);
            assert_eq!(long.len(), head.len(), "no sample moves");
            assert_eq!((&long[..4], &long[12..16]), (&b"RF64"[..], &b"ds64"[..]));
            assert_eq!(u64_at(&long, 20), 72 + 2 * frames);
            assert_eq!((u64_at(&long, 28), u64_at(&long, 36)), (2 * frames, frames));
            assert_eq!((&long[4..8], &long[76..80]), (&[255; 4][..], &[255; 4][..]));
        }
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_every_whole_frame() {
        for channels in [1, 3] {
            let samples = wave(40 * usize::from(channels));
            let file = file_of(Format::Wav, sound(channels), &samples);
            let header = file.len() - samples.len() * 2;
            for cut in 0..=file.len() {
                let Some(repaired) = repaired(Format::Wav, &file[..cut]) else {
                    assert!(cut < header, "{cut}");
                    continue;
                };
                let frames = (cut - header) / 2 / usize::from(channels);
                assert_eq!(read(&repaired).1, samples[..frames * usize::from(channels)], "{cut}");
            }
        }
    }

    #[test]
    fn a_whole_file_is_told_to_be_whole() {
        let file = file_of(Format::Wav, sound(2), &wave(320));
        let whole = whole(&mut Cursor::new(&file)).unwrap();
        assert_eq!((whole.bytes, whole.samples), (file.len() as u64, 160));
        assert!(file.starts_with(&whole.head) && whole.tail.is_empty());
    }
}
