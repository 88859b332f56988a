//! What a flight recorder's ring is kept as: one line of JSON, which says what the shard was, and the
//! ring's words.

use engine_control::{Command, Limits};
use media_units::WallClock;
use serde::{Deserialize, Serialize};

use super::{Kept, Records};

/// The only form there is yet.
const VERSION: u32 = 1;

/// A ring with all that is needed to run its shard again.
#[derive(Debug)]
pub struct FlightFile {
    /// The first line.
    pub header: FlightHeader,
    octets: Vec<u8>,
}

/// The first line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlightHeader {
    /// The form of the file.
    version: u32,
    /// Why it was written.
    pub cause: String,
    /// What the shard was.
    #[serde(flatten)]
    pub source: FlightSource,
}

/// What a shard was started with, and what was kept beside its ring.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlightSource {
    /// Which shard.
    pub shard: u8,
    /// Its limits.
    pub limits: Limits,
    /// What its randomness comes from.
    pub seed: u64,
    /// What the wall clock showed at its start.
    pub wall: WallClock,
    /// How much of each datagram is kept.
    pub kept: Kept,
    /// The last commands by their number.
    pub commands: Vec<(u64, Command)>,
}

/// Why octets are no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlightFileFault {
    /// There is no first line.
    NoHeader,
    /// The first line is not what it should be.
    Header(String),
    /// It is of another form: this one.
    Version(u32),
    /// The ring is no whole number of words.
    Words,
}

impl FlightFile {
    /// What is to be kept of a shard, and why.
    pub fn new(cause: String, source: FlightSource, words: &[u64]) -> Self {
        let mut octets = vec![0; size_of_val(words)];
        for (place, word) in octets.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        Self { header: FlightHeader { version: VERSION, cause, source }, octets }
    }

    /// As it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.header).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.octets);
        bytes
    }

    /// What was written.
    pub fn read(bytes: &[u8]) -> Result<Self, FlightFileFault> {
        let end = bytes.iter().position(|octet| *octet == b'\n');
        let end = end.ok_or(FlightFileFault::NoHeader)?;
        let header: FlightHeader = serde_json::from_slice(&bytes[..end])
            .map_err(|fault| FlightFileFault::Header(fault.to_string()))?;
        if header.version != VERSION {
            return Err(FlightFileFault::Version(header.version));
        }
        let octets = bytes[end + 1..].to_vec();
        if !octets.len().is_multiple_of(size_of::<u64>()) {
            return Err(FlightFileFault::Words);
        }
        Ok(Self { header, octets })
    }

    /// What is in the ring.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.octets)
    }
}

#[cfg(test)]
mod tests {
    use engine_control::{RoomKey, SessionKey};
    use media_units::{Instant, RoomSound};

    use super::*;
    use crate::flight::{Record, flight_ring};

    fn file() -> FlightFile {
        let (mut sink, reader) = flight_ring(0);
        sink.begin(Instant::from_millis(5));
        sink.group();
        let room = RoomKey::new(3, 1, 1);
        let open = Command::OpenRoom { room, sound: RoomSound::DEFAULT };
        let close = Command::CloseSession { session: SessionKey::new(3, 7, 2) };
        let source = FlightSource {
            shard: 3,
            limits: Limits::default(),
            seed: u64::MAX,
            wall: WallClock { start_unix_nanos: 1_800_000_000_000_000_001 },
            kept: Kept::All,
            commands: vec![(7, open), (8, close)],
        };
        FlightFile::new("a test".to_owned(), source, &reader.copy())
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let written = file();
        let read = FlightFile::read(&written.to_bytes()).unwrap();
        assert_eq!(format!("{:?}", read.header), format!("{:?}", written.header));
        let records: Vec<Record<'_>> = read.records().collect();
        assert_eq!(records, [Record::Begin { now: Instant::from_millis(5) }, Record::Group]);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        let refused = |bytes: &[u8]| FlightFile::read(bytes).unwrap_err();
        let bytes = file().to_bytes();
        assert_eq!(refused(b"{}"), FlightFileFault::NoHeader);
        assert!(matches!(refused(b"{}\n"), FlightFileFault::Header(_)));
        assert_eq!(refused(&bytes[..bytes.len() - 1]), FlightFileFault::Words);
        let other = String::from_utf8_lossy(&bytes[..20]).replace(":1,", ":9,");
        let other = [other.as_bytes(), &bytes[20..]].concat();
        assert_eq!(refused(&other), FlightFileFault::Version(9));
    }
}
