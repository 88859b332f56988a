//! Opus in Ogg (RFC 7845).
//!
//! A packet is 20 ms. Sound is never left out, whatever a pause would save, so that a place in the
//! file is a place on the clock; granule positions are exact, the encoder's delay is told as
//! pre-skip and made up for at the end. A page has at most a second, and a flush closes it.
//!
//! Audio channels are talkers, not loudspeakers: each has an encoder of its own, and no bit of one
//! is ever spent on another. Their packets go together as those of a multistream (RFC 6716
//! appendix B). Two of them are left and right (mapping family 1), more have no place (family 255).
//!
//! Long silence, such as that before who joined late, is encoded once and then repeated.

use std::io::{self, BufReader, Read};

use media_opus::{Bandwidth, Encoder, Failure, Settings};
use media_units::RateClass;

use super::ogg::{FIRST, LAST, Page, ReadPage};
use super::{Container, Sound, Whole, class_of, foreign};

/// Audio channels of one file: as many as a page has room for at the highest bit rate.
pub const CHANNELS_MAX: u16 = 32;

/// Granule positions count at this rate, whatever that of the sound.
const GRANULE_RATE: u32 = 48_000;
/// 20 ms.
const PACKET_GRANULES: u64 = 960;
const PAGE_GRANULES_MAX: u64 = 48_000;
/// The largest frame (RFC 6716 section 3.4).
const FRAME_BYTES_MAX: usize = 1275;
/// Of 0 to 10. Each step costs processor time; beyond this one nobody hears a difference in speech.
const COMPLEXITY: u8 = 5;
/// After half a second of silence each packet is like the one before.
const STILL_PACKETS: u32 = 25;
/// `OpusTags`, who wrote it, and no tags.
const TAGS: &[u8] = b"OpusTags\x08\0\0\0mixminus\0\0\0\0";

/// One file.
#[derive(Debug)]
pub struct Opus {
    sound: Sound,
    talkers: Vec<Talker>,
    /// Samples of less than a packet, interleaved.
    pending: Vec<i16>,
    /// Samples of each audio channel that were given.
    samples: u64,
    /// Packets that were encoded.
    packets: u64,
    page: Page,
    page_began: u64,
    sequence: u32,
    pre_skip: u16,
}

impl Opus {
    /// An empty file. Allocates the encoders.
    pub fn new(sound: Sound) -> Result<Self, Failure> {
        let mut talkers: Vec<_> =
            (0..sound.channels).map(|_| Talker::new(sound.rate)).collect::<Result<_, _>>()?;
        let ahead = talkers.first_mut().map_or(Ok(0), |talker| talker.encoder.look_ahead())?;
        Ok(Self {
            sound,
            talkers,
            pending: Vec::new(),
            samples: 0,
            packets: 0,
            page: Page::default(),
            page_began: 0,
            sequence: 0,
            pre_skip: (ahead as u32 * granules_of(sound.rate)) as u16,
        })
    }

    /// Encodes the packets that are whole.
    fn encode(&mut self, out: &mut Vec<u8>) {
        let packet_samples = self.sound.rate.block_samples() * self.talkers.len();
        let pending = std::mem::take(&mut self.pending);
        let mut packets = pending.chunks_exact(packet_samples);
        for interleaved in &mut packets {
            let mut packet = Vec::with_capacity(200 * self.talkers.len());
            let count = self.talkers.len();
            for (index, talker) in self.talkers.iter_mut().enumerate() {
                let samples = interleaved.iter().skip(index).step_by(count).copied();
                let frame = talker.encode(samples);
                put(frame, index + 1 == count, &mut packet);
            }
            if !self.page.has_room(packet.len()) {
                self.close(0, self.granule(), out);
            }
            self.page.add(&packet);
            self.packets += 1;
            if self.granule() - self.page_began >= PAGE_GRANULES_MAX {
                self.close(0, self.granule(), out);
            }
        }
        self.pending.extend(packets.remainder());
    }

    /// Where the last packet ends.
    fn granule(&self) -> u64 {
        self.packets * PACKET_GRANULES
    }

    fn close(&mut self, kind: u8, granule: u64, out: &mut Vec<u8>) {
        self.page.write(kind, granule, self.sequence, out);
        self.sequence = self.sequence.wrapping_add(1);
        self.page_began = granule;
    }
}

impl Container for Opus {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.page.add(&identification(self.sound, self.pre_skip));
        self.close(FIRST, 0, out);
        self.page.add(TAGS);
        self.close(0, 0, out);
    }

    fn append(&mut self, interleaved: &[i16], out: &mut Vec<u8>) {
        self.samples += (interleaved.len() / self.talkers.len()) as u64;
        self.pending.extend(interleaved);
        self.encode(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.page.is_empty() {
            self.close(0, self.granule(), out);
        }
    }

    /// Silence pushes out what the encoder still holds; the last granule position says how much of
    /// it is to be cut off again.
    fn end(&mut self, out: &mut Vec<u8>) {
        let granules = self.samples * u64::from(granules_of(self.sound.rate));
        let end = granules + u64::from(self.pre_skip);
        let packet_samples = self.sound.rate.block_samples() * self.talkers.len();
        while self.granule() < end {
            if self.granule() + PACKET_GRANULES >= end && self.granule() > self.page_began {
                // No page but the last may end before its last packet does.
                self.flush(out);
            }
            self.pending.resize(packet_samples, 0);
            self.encode(out);
        }
        self.close(LAST, end, out);
    }

    fn head(&self, _: &mut Vec<u8>) {}
}

/// Granule positions that one sample takes.
const fn granules_of(rate: RateClass) -> u32 {
    GRANULE_RATE / rate.hertz()
}

/// The packet `OpusHead` (RFC 7845 section 5.1).
fn identification(sound: Sound, pre_skip: u16) -> Vec<u8> {
    let channels = sound.channels as u8;
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(pre_skip.to_le_bytes());
    head.extend(sound.rate.hertz().to_le_bytes());
    head.extend(0_u16.to_le_bytes()); // as loud as it was
    head.push(match channels {
        1 => 0,
        2 => 1,
        _ => 255,
    });
    if channels > 1 {
        head.extend([channels, 0]); // streams, of which none is coupled
        head.extend(0..channels);
    }
    head
}

/// Appends a frame to a packet; all but the last tell their length (RFC 6716 appendix B).
fn put(frame: &[u8], last: bool, packet: &mut Vec<u8>) {
    let [configuration, compressed @ ..] = frame else { return };
    packet.push(*configuration);
    if !last {
        match compressed.len() {
            short @ 0..252 => packet.push(short as u8),
            long => packet.extend([252 + (long & 3) as u8, ((long - 252) >> 2) as u8]),
        }
    }
    packet.extend(compressed);
}

/// One audio channel: its encoder, and its last frame.
#[derive(Debug)]
struct Talker {
    encoder: Encoder,
    block: Vec<i16>,
    frame: Vec<u8>,
    still_packets: u32,
}

impl Talker {
    fn new(rate: RateClass) -> Result<Self, Failure> {
        let (bit_rate, bandwidth) = match rate {
            RateClass::Narrow => (16_000, Bandwidth::Narrow),
            RateClass::Wide => (24_000, Bandwidth::Wide),
            RateClass::Full => (40_000, Bandwidth::Full),
        };
        let settings = Settings {
            bit_rate,
            bandwidth,
            complexity: COMPLEXITY,
            redundancy: false,
            variable_bit_rate: true,
            discontinuous: false,
        };
        let encoder = Encoder::faithful(rate.hertz(), &settings)?;
        Ok(Self { encoder, block: Vec::new(), frame: Vec::new(), still_packets: 0 })
    }

    /// The next 20 ms, as a packet of one frame.
    fn encode(&mut self, samples: impl Iterator<Item = i16>) -> &[u8] {
        self.block.clear();
        self.block.extend(samples);
        let still = self.block.iter().all(|&sample| sample == 0);
        self.still_packets = if still { self.still_packets.saturating_add(1) } else { 0 };
        if self.still_packets <= STILL_PACKETS {
            self.frame.resize(1 + FRAME_BYTES_MAX, 0);
            let encoded = self.encoder.encode(&self.block, &mut self.frame);
            let bytes = encoded.ok().filter(|&bytes| bytes > 0 && is_one_frame(self.frame[0]));
            // A fault of the encoder is 20 ms that the decoder invents.
            self.frame[0] = if bytes.is_some() { self.frame[0] } else { INVENTED };
            self.frame.truncate(bytes.unwrap_or(1));
        }
        &self.frame
    }
}

/// Whether a packet that begins so holds one frame (code 0 of RFC 6716 section 3.2.2).
const fn is_one_frame(configuration: u8) -> bool {
    configuration.trailing_zeros() >= 2
}

/// A packet of one frame of 20 ms without content (RFC 6716 section 3.1: wideband, mono).
const INVENTED: u8 = 9 << 3;

/// All whole pages. The last of them is written once more, as the last of the stream.
pub(super) fn whole(file: &mut impl Read) -> io::Result<Whole> {
    let mut file = BufReader::new(file);
    let first = ReadPage::read(&mut file)?.ok_or_else(foreign)?;
    let (sound, pre_skip) = sound_of(first.body()).ok_or_else(foreign)?;
    let mut last = ReadPage::read(&mut file)?.ok_or_else(foreign)?;
    if first.sequence() != 0 || last.sequence() != 1 || !last.body().starts_with(b"OpusTags") {
        return Err(foreign());
    }
    let mut before_last = first.bytes().len() as u64;
    while !last.is_last()
        && let Some(page) = ReadPage::read(&mut file)?
        && page.sequence() == last.sequence().wrapping_add(1)
        && page.granule() >= last.granule()
    {
        before_last += last.bytes().len() as u64;
        last = page;
    }
    let granules = last.granule().saturating_sub(pre_skip.into());
    let samples = granules / u64::from(granules_of(sound.rate));
    let (bytes, tail) = if last.is_last() {
        (before_last + last.bytes().len() as u64, Vec::new())
    } else {
        (before_last, last.into_last())
    };
    Ok(Whole { bytes, samples, head: Vec::new(), tail })
}

/// What sound follows, and the pre-skip, where this is an identification of ours.
fn sound_of(packet: &[u8]) -> Option<(Sound, u16)> {
    let channels = u16::from(*packet.get(9)?);
    let pre_skip = u16::from_le_bytes(packet.get(10..12)?.try_into().ok()?);
    let rate = u32::from_le_bytes(packet.get(12..16)?.try_into().ok()?);
    if !(1..=CHANNELS_MAX).contains(&channels) {
        return None;
    }
    let sound = Sound { rate: class_of(rate)?, channels };
    (identification(sound, pre_skip) == packet).then_some((sound, pre_skip))
}

#[cfg(test)]
mod tests;
