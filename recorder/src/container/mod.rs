//! The containers: how sound and packets become the bytes of a file.
//!
//! Each of them only appends, so that what was written stays true, and a file that was cut at any
//! byte is whole up to its last frame, page or packet. What stands at a file's start and depends
//! on its length (RIFF sizes, FLAC's STREAMINFO) says that this is not known while the file
//! grows, so that it plays to its end at any moment; at the end it is asked for again
//! ([`Container::head`]) and takes the same room. [`whole`] tells of a cut file what is
//! to be kept, and what is to be put at its start and end so that every reader takes it.
//!
//! Pure: no file, no clock, no lock. What is read in [`whole`] may be anything: never a panic.

mod checksum;
pub mod flac;
mod ogg;
pub mod opus;
pub mod pcapng;
pub mod wav;

use std::io::{self, Read, Seek};

use media_units::RateClass;

/// Turns sound into the bytes of one file.
pub trait Container: Send {
    /// The file's first bytes.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// Whole frames of interleaved samples, one for each audio channel of the file. What comes
    /// out is to be appended; it may be nothing for a while.
    fn append(&mut self, interleaved: &[i16], out: &mut Vec<u8>);

    /// What is held back comes out, as far as it can stand alone: to be called before each flush
    /// to the disk, so that a cut after it costs less than 20 ms.
    fn flush(&mut self, out: &mut Vec<u8>);

    /// The file's last bytes.
    fn end(&mut self, out: &mut Vec<u8>);

    /// What is to stand at the file's start, as long as what `begin` gave: another after `end`,
    /// where the length is told there; nothing where the file only grows.
    fn head(&self, out: &mut Vec<u8>);
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// RIFF WAVE, linear PCM of 16 bits; RF64 where it is longer than 4 GiB.
    Wav,
    /// Opus in Ogg (RFC 7845).
    Opus,
    /// FLAC (RFC 9639).
    Flac,
    /// RTP packets as they were received, in pcapng.
    Pcapng,
}

/// What sound a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// Its rate.
    pub rate: RateClass,
    /// Its audio channels, from 1 to [`Format::channels_max`].
    pub channels: u16,
}

/// Why there is no such container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No audio channel, or more than the format has room for.
    Channels,
    /// The format holds packets, not sound.
    Packets,
    /// The codec did not start.
    Codec,
}

/// How much of a cut file is whole. Where all is well, `bytes` is the file's length, `head` is what
/// it begins with, and `tail` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Bytes to be kept.
    pub bytes: u64,
    /// Samples of each audio channel in them, or packets.
    pub samples: u64,
    /// To be put over the file's start.
    pub head: Vec<u8>,
    /// To be put after the bytes that are kept.
    pub tail: Vec<u8>,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Wav, Self::Opus, Self::Flac, Self::Pcapng];

    /// How names of such files end.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Pcapng => "pcapng",
        }
    }

    /// The media type, for a browser.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Opus => "audio/ogg",
            Self::Flac => "audio/flac",
            Self::Pcapng => "application/x-pcapng",
        }
    }

    /// The format of a file by the end of its name.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    /// How many audio channels one file may have.
    pub const fn channels_max(self) -> u16 {
        match self {
            Self::Wav => wav::CHANNELS_MAX,
            Self::Opus => opus::CHANNELS_MAX,
            Self::Flac => flac::CHANNELS_MAX,
            Self::Pcapng => 0,
        }
    }

    /// A new file's container.
    pub fn container(self, sound: Sound) -> Result<Box<dyn Container>, Unfit> {
        if self == Self::Pcapng {
            return Err(Unfit::Packets);
        }
        if !(1..=self.channels_max()).contains(&sound.channels) {
            return Err(Unfit::Channels);
        }
        Ok(match self {
            Self::Wav | Self::Pcapng => Box::new(wav::Wav::new(sound)),
            Self::Flac => Box::new(flac::Flac::new(sound)),
            Self::Opus => Box::new(opus::Opus::new(sound).map_err(|_| Unfit::Codec)?),
        })
    }
}

/// Reads a file of ours that may have been cut, or have anything at its end, and says what is
/// whole. Reads forward, with as much memory as the largest frame or page takes. A file whose very
/// beginning is not that of such a file is refused as `InvalidData`.
pub fn whole(format: Format, file: &mut (impl Read + Seek)) -> io::Result<Whole> {
    file.rewind()?;
    match format {
        Format::Wav => wav::whole(file),
        Format::Opus => opus::whole(file),
        Format::Flac => flac::whole(file),
        Format::Pcapng => pcapng::whole(file),
    }
}

/// Fills as much of `buffer` as the file still holds.
fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The file is not of this format.
fn foreign() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The class of a rate that a file names.
fn class_of(hertz: u32) -> Option<RateClass> {
    RateClass::ALL.into_iter().find(|class| class.hertz() == hertz)
}

#[cfg(test)]
mod testing;
