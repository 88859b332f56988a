//! What a flight recorder's ring is kept as: one line of JSON, which says what the shard was, and the
//! ring's words.

use engine_control::{Command, Limits};
use media_units::WallClock;
use serde::{Deserialize, Serialize};

use super::{Kept, Records};

/// The form that is written. The first did not say how much was behind its header.
const VERSION: u32 = 2;

/// Most slots of a kind that a shard is run again with: more than it could ever have had.
const SLOTS_MAX: u32 = 1 << 18;

/// Most rooms that were spread.
const SPREAD_MAX: u32 = 64;

/// Most octets of the ring of its taps.
const TAP_RING_MAX: usize = 4 << 30;

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
    /// How much is behind this line, and its CRC-32.
    octets: usize,
    crc32: u32,
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
    /// Of one of its limits no shard could have been: its name, and its value.
    Limit(&'static str, u64),
    /// Less or more is behind the first line than was written: this many octets, for so many.
    Length(usize, usize),
    /// What is behind the first line is not what was written.
    Checksum,
}

impl FlightFile {
    /// What is to be kept of a shard, and why.
    pub fn new(cause: String, source: FlightSource, words: &[u64]) -> Self {
        let mut octets = vec![0; size_of_val(words)];
        for (place, word) in octets.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        let (length, crc32) = (octets.len(), crc32fast::hash(&octets));
        let header = FlightHeader { version: VERSION, octets: length, crc32, cause, source };
        Self { header, octets }
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
        let unreadable = |fault: serde_json::Error| FlightFileFault::Header(fault.to_string());
        let Form { version } = serde_json::from_slice(&bytes[..end]).map_err(unreadable)?;
        if version != VERSION {
            return Err(FlightFileFault::Version(version));
        }
        let header: FlightHeader = serde_json::from_slice(&bytes[..end]).map_err(unreadable)?;
        check(&header.source.limits)?;
        let octets = bytes[end + 1..].to_vec();
        if octets.len() != header.octets {
            return Err(FlightFileFault::Length(octets.len(), header.octets));
        }
        if crc32fast::hash(&octets) != header.crc32 {
            return Err(FlightFileFault::Checksum);
        }
        Ok(Self { header, octets })
    }

    /// What is in the ring.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.octets)
    }
}

/// What is the same in the first line of every form.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// All that a shard reserves is reserved again to run it: where the numbers are wrong, no machine could.
fn check(limits: &Limits) -> Result<(), FlightFileFault> {
    let slots = [
        ("sessions_max", limits.sessions_max),
        ("rooms_max", limits.rooms_max),
        ("room_members_max", limits.room_members_max),
        ("taps_max", limits.taps_max),
        ("monitors_max", limits.monitors_max),
        ("commands_max", limits.commands_max),
        ("events_max", limits.events_max),
    ];
    if let Some((name, value)) = slots.into_iter().find(|(_, value)| *value > SLOTS_MAX) {
        return Err(FlightFileFault::Limit(name, u64::from(value)));
    }
    if limits.spread_max > SPREAD_MAX {
        return Err(FlightFileFault::Limit("spread_max", u64::from(limits.spread_max)));
    }
    if limits.tap_ring_bytes > TAP_RING_MAX {
        return Err(FlightFileFault::Limit("tap_ring_bytes", limits.tap_ring_bytes as u64));
    }
    Ok(())
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
        let length = read_length(&bytes);
        for cut in [1, 8] {
            let fault = FlightFileFault::Length(length - cut, length);
            assert_eq!(refused(&bytes[..bytes.len() - cut]), fault);
        }
        let mut changed = bytes.clone();
        changed[bytes.len() - 1] ^= 1;
        assert_eq!(refused(&changed), FlightFileFault::Checksum);
        let other = String::from_utf8_lossy(&bytes[..20]).replace(":2,", ":9,");
        let other = [other.as_bytes(), &bytes[20..]].concat();
        assert_eq!(refused(&other), FlightFileFault::Version(9));
        assert_eq!(refused(b"{\"version\":1}\n"), FlightFileFault::Version(1));
    }

    fn read_length(bytes: &[u8]) -> usize {
        FlightFile::read(bytes).unwrap().octets.len()
    }

    #[test]
    fn limits_that_no_shard_could_have_are_refused() {
        let refused = |change: fn(&mut Limits)| {
            let mut file = file();
            change(&mut file.header.source.limits);
            FlightFile::read(&file.to_bytes()).unwrap_err()
        };
        let limit = FlightFileFault::Limit;
        let most = u64::from(u32::MAX);
        assert_eq!(refused(|limits| limits.sessions_max = u32::MAX), limit("sessions_max", most));
        assert_eq!(refused(|limits| limits.rooms_max = u32::MAX), limit("rooms_max", most));
        assert_eq!(refused(|limits| limits.spread_max = 65_535), limit("spread_max", 65_535));
        let ring = refused(|limits| limits.tap_ring_bytes = usize::MAX);
        assert_eq!(ring, limit("tap_ring_bytes", u64::MAX));
    }
}
