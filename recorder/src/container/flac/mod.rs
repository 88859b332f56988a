//! FLAC (RFC 9639): every sample, in about half the room.
//!
//! Our own encoder, because there is none that streams, appends only and needs no more than
//! integers; the repair decodes with another's. Talkers are alone in their audio channels, so that
//! nothing is gained from what they have in common.
//!
//! Frames are as long as [`BLOCK_SAMPLES`] allows, and shorter at a flush. The head is STREAMINFO with the length
//! and the MD5 sum of all samples, so that `flac -t` tells a whole file. While a file grows, both are not known,
//! which FLAC has values for.

mod bits;
mod frame;

use std::io::{self, BufReader, Read};

use claxon::frame::FrameReader;
use claxon::input::ReadBytes;
use md5::{Digest, Md5};

use super::{Container, Sound, Whole, class_of, foreign, read_up_to};

/// Audio channels of one file.
pub const CHANNELS_MAX: u16 = 8;

/// Samples of each audio channel in the longest frame: what every player is bound to take.
pub const BLOCK_SAMPLES: usize = 4096;

/// Only the last frame may be shorter (RFC 9639 section 8.2).
const BLOCK_SAMPLES_MIN: usize = 16;
/// Sample numbers have 36 bits: 16 days at 48 kHz. After that they start again, and the length is
/// told as unknown.
const SAMPLES_MAX: u64 = (1 << 36) - 1;
/// `fLaC`, the header of the only metadata block, and STREAMINFO.
const HEAD_BYTES: usize = 4 + 4 + 34;

/// One file.
#[derive(Debug)]
pub struct Flac {
    sound: Sound,
    /// Samples that wait for their frame, interleaved.
    pending: Vec<i16>,
    written: Written,
    is_ended: bool,
}

impl Flac {
    /// An empty file.
    pub fn new(sound: Sound) -> Self {
        Self { sound, pending: Vec::new(), written: Written::default(), is_ended: false }
    }

    /// Writes the first `samples` of each audio channel as a frame.
    fn frame(&mut self, samples: usize, out: &mut Vec<u8>) {
        let interleaved = samples * usize::from(self.sound.channels);
        let block = &self.pending[..interleaved];
        frame::write(self.sound, self.written.samples & SAMPLES_MAX, block, out);
        self.written.count(samples as u64, block.iter().copied());
        self.pending.drain(..interleaved);
    }

    fn pending_samples(&self) -> usize {
        self.pending.len() / usize::from(self.sound.channels)
    }
}

impl Container for Flac {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.head(out);
    }

    fn append(&mut self, interleaved: &[i16], out: &mut Vec<u8>) {
        self.pending.extend(interleaved);
        while self.pending_samples() >= BLOCK_SAMPLES {
            self.frame(BLOCK_SAMPLES, out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.pending_samples() >= BLOCK_SAMPLES_MIN {
            self.frame(self.pending_samples(), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.frame(self.pending_samples(), out);
        }
        self.is_ended = true;
    }

    fn head(&self, out: &mut Vec<u8>) {
        if self.is_ended {
            self.written.head(self.sound, out);
        } else {
            stream_info(self.sound, 0, [0; 16], out);
        }
    }
}

/// What STREAMINFO says of the frames in the file.
#[derive(Debug, Clone, Default)]
struct Written {
    samples: u64,
    md5: Md5,
}

impl Written {
    fn count(&mut self, samples: u64, interleaved: impl Iterator<Item = i16>) {
        self.samples += samples;
        for sample in interleaved {
            self.md5.update(sample.to_le_bytes());
        }
    }

    fn head(&self, sound: Sound, out: &mut Vec<u8>) {
        let samples = if self.samples > SAMPLES_MAX { 0 } else { self.samples };
        stream_info(sound, samples, self.md5.clone().finalize().into(), out);
    }
}

/// What stands before the first frame. 0 samples and a sum of 0 are not known.
fn stream_info(sound: Sound, samples: u64, md5: [u8; 16], out: &mut Vec<u8>) {
    out.extend(b"fLaC\x80\0\0\x22"); // STREAMINFO is the last metadata block
    out.extend((BLOCK_SAMPLES_MIN as u16).to_be_bytes());
    out.extend((BLOCK_SAMPLES as u16).to_be_bytes());
    out.extend([0; 6]); // frames of any size
    let packed = u64::from(sound.rate.hertz()) << 44
        | u64::from(sound.channels - 1) << 41
        | 15 << 36 // 16 bits
        | samples;
    out.extend(packed.to_be_bytes());
    out.extend(md5);
}

/// All whole frames, each decoded, so that the sum can be told anew.
pub(super) fn whole(file: &mut impl Read) -> io::Result<Whole> {
    let mut file = BufReader::new(file);
    let mut head = [0; HEAD_BYTES];
    if read_up_to(&mut file, &mut head)? < HEAD_BYTES {
        return Err(foreign());
    }
    let sound = sound_of(&head).ok_or_else(foreign)?;
    let mut counted = Counted { file, bytes: HEAD_BYTES as u64, failure: None };
    let mut written = Written::default();
    let mut bytes = counted.bytes;
    let mut buffer = Vec::new();
    // Anything that is not a frame of ours ends the file.
    while let Ok(Some(block)) = FrameReader::new(&mut counted).read_next_or_eof(buffer) {
        let ours = block.channels() == u32::from(sound.channels)
            && block.time() == written.samples & SAMPLES_MAX
            && block.duration() as usize <= BLOCK_SAMPLES;
        if !ours {
            break;
        }
        let samples = 0..block.duration();
        let interleaved =
            samples.flat_map(|sample| (0..block.channels()).map(move |channel| (channel, sample)));
        let interleaved = interleaved.map(|(channel, sample)| block.sample(channel, sample) as i16);
        written.count(block.duration().into(), interleaved);
        bytes = counted.bytes;
        buffer = block.into_buffer();
    }
    counted.failure.map_or(Ok(()), Err)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    written.head(sound, &mut head);
    Ok(Whole { bytes, samples: written.samples, head, tail: Vec::new() })
}

/// What sound follows, where this is a head of ours.
fn sound_of(head: &[u8; HEAD_BYTES]) -> Option<Sound> {
    let packed = u64::from_be_bytes(head[18..26].try_into().ok()?);
    let channels = (packed >> 41 & 7) as u16 + 1;
    let sound = Sound { rate: class_of((packed >> 44) as u32)?, channels };
    let mut expected = Vec::with_capacity(HEAD_BYTES);
    stream_info(sound, 0, [0; 16], &mut expected);
    let ours = head[..18] == expected[..18] && packed >> 36 & 31 == 15;
    ours.then_some(sound)
}

/// A file that knows how far it was read, and why not further.
struct Counted<R> {
    file: R,
    bytes: u64,
    failure: Option<io::Error>,
}

impl<R: Read> Counted<R> {
    /// claxon holds every failure for the end of the stream; that of a disk is not.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = read_up_to(&mut self.file, buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            io::Error::from(kind)
        })?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<R: Read> ReadBytes for &mut Counted<R> {
    fn read_u8(&mut self) -> io::Result<u8> {
        self.read_u8_or_eof()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn read_u8_or_eof(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.read(&mut byte)? == 1).then_some(byte[0]))
    }

    fn read_into(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let whole = self.read(buffer)? == buffer.len();
        whole.then_some(()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn skip(&mut self, amount: u32) -> io::Result<()> {
        (0..amount).try_for_each(|_| self.read_u8().map(drop))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use media_units::RateClass;
    use proptest::prelude::*;

    use super::*;
    use crate::container::Format;
    use crate::container::testing::{file_of, repaired, sound, wave};

    fn read(file: &[u8]) -> (claxon::metadata::StreamInfo, Vec<i16>) {
        let mut reader = claxon::FlacReader::new(Cursor::new(file)).unwrap();
        let info = reader.streaminfo();
        (info, reader.samples().map(|sample| sample.unwrap() as i16).collect())
    }

    #[test]
    fn another_reader_finds_every_sample_at_each_rate_and_width() {
        for rate in RateClass::ALL {
            for channels in [1, 2, 5, CHANNELS_MAX] {
                let samples = wave(9001 * usize::from(channels));
                let file = file_of(Format::Flac, Sound { rate, channels }, &samples);
                let (info, read) = read(&file);
                assert_eq!((info.sample_rate, info.channels), (rate.hertz(), channels.into()));
                assert_eq!((info.samples, info.bits_per_sample), (Some(9001), 16));
                assert_eq!(info.md5sum, md5_of(&samples));
                assert!(read == samples);
            }
        }
    }

    fn md5_of(samples: &[i16]) -> [u8; 16] {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Md5::digest(bytes).into()
    }

    #[test]
    fn sound_that_can_be_foretold_takes_little_room() {
        let tone = |n: usize| (8000.0 * (n as f64 * 0.05).sin()) as i16;
        let tone: Vec<i16> = (0..40_960).map(tone).collect();
        let bytes = |samples: &[i16]| file_of(Format::Flac, sound(1), samples).len();
        assert!(bytes(&tone) < 40_960 * 2 / 3, "{}", bytes(&tone));
        assert!(bytes(&vec![0; 40_960]) < 1000);
        // Noise has no shorter form, and its form is hardly longer than it is.
        let mut seed = 1_u32;
        let noise = |_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as i16
        };
        let noise: Vec<i16> = (0..40_960).map(noise).collect();
        assert!(bytes(&noise) < 40_960 * 2 + 1500);
        let telephone: Vec<i16> = noise.iter().map(|sample| sample & !7).collect();
        assert!(bytes(&telephone) < 40_960 * 2 * 13 / 16 + 1500, "three bits of 16 are zero");
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_every_whole_frame() {
        let samples: Vec<i16> = wave(2 * 1500).iter().map(|sample| sample >> 8).collect();
        let file = file_of(Format::Flac, sound(2), &samples);
        let mut kept = 0;
        for cut in 0..=file.len() {
            let Some(repaired) = repaired(Format::Flac, &file[..cut]) else {
                assert!(cut < HEAD_BYTES, "{cut}");
                continue;
            };
            let (info, read) = read(&repaired);
            assert!(read == samples[..read.len()]);
            assert_eq!(info.md5sum, md5_of(&read));
            assert_eq!(info.samples, Some(read.len() as u64 / 2).filter(|&samples| samples > 0));
            assert!(read.len() >= kept, "more bytes, no less sound");
            kept = read.len();
        }
        assert_eq!(kept, samples.len());
    }

    #[test]
    fn a_flush_leaves_nothing_behind() {
        let mut flac = Flac::new(sound(1));
        let (mut file, samples) = (Vec::new(), wave(8000));
        flac.begin(&mut file);
        for second in samples.chunks(1000) {
            flac.append(second, &mut file);
            flac.flush(&mut file);
        }
        let (info, read) = read(&file);
        assert!(read == samples, "although it was never ended");
        assert_eq!((info.samples, info.md5sum), (None, [0; 16]));
    }

    proptest! {
        #[test]
        fn every_sample_comes_back(
            samples in proptest::collection::vec(
                prop_oneof![any::<i16>(), -3_i16..3, Just(i16::MIN), Just(i16::MAX)], 0..5000),
            shift in 0_u32..16,
        ) {
            let samples: Vec<i16> = samples.iter().map(|sample| sample << shift).collect();
            prop_assert_eq!(read(&file_of(Format::Flac, sound(1), &samples)).1, samples);
        }

        #[test]
        fn what_follows_a_cut_is_not_sound(
            cut in HEAD_BYTES..2500, garbage in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut file = file_of(Format::Flac, sound(1), &wave(3000));
            file.truncate(cut);
            let clean = repaired(Format::Flac, &file).unwrap();
            file.extend(&garbage);
            let repaired = repaired(Format::Flac, &file).unwrap();
            prop_assert!(repaired == clean || cut > clean.len() && repaired.starts_with(&clean[HEAD_BYTES..]));
        }
    }
}
