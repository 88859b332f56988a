//! What a flight recorder's ring is kept as: a line of JSON that seals the rest, one that says what
//! the shard was, and the ring's words.

use engine_control::{Command, Limits};
use media_units::WallClock;
use serde::{Deserialize, Serialize};

use super::{Kept, Records};

/// The form that is written. The first had no seal, the second none over what the shard was.
const VERSION: u32 = 3;

/// Rooms and sessions that a shard has at most: two ports each, and calls to services have no room.
const SESSIONS_MAX: u32 = 1 << 15;
const ROOMS_MAX: u32 = 1 << 16;

/// Most members of a room.
const MEMBERS_MAX: u32 = 1 << 14;

/// Most taps: three of each session and one of each room.
const TAPS_MAX: u32 = 3 * SESSIONS_MAX + ROOMS_MAX;

/// Most rooms that were spread.
const SPREAD_MAX: u32 = 64;

/// Most octets of the ring of its taps.
const TAP_RING_MAX: usize = 4 << 30;

/// A ring with all that is needed to run its shard again.
#[derive(Debug)]
pub struct FlightFile {
    /// What it is of.
    pub header: FlightHeader,
    octets: Vec<u8>,
}

/// The first line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    version: u32,
    /// How much is behind this line, and its CRC-32.
    octets: usize,
    crc32: u32,
}

/// The second line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlightHeader {
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
    /// It does not begin as one.
    Foreign,
    /// It is of another form: this one.
    Version(u32),
    /// Less or more is behind the first line than was written: this many octets, for so many.
    Length(usize, usize),
    /// What is behind the first line is not what was written.
    Checksum,
    /// What the shard was cannot be read.
    Header(String),
    /// Of one of its limits no shard could have been: its name, and its value.
    Limit(&'static str, u64),
}

impl FlightFile {
    /// What is to be kept of a shard, and why.
    pub fn new(cause: String, source: FlightSource, words: &[u64]) -> Self {
        let mut octets = vec![0; size_of_val(words)];
        for (place, word) in octets.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        Self { header: FlightHeader { cause, source }, octets }
    }

    /// As it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = line(&self.header);
        let mut crc32 = crc32fast::Hasher::new();
        crc32.update(&header);
        crc32.update(&self.octets);
        let octets = header.len() + self.octets.len();
        let seal = Seal { version: VERSION, octets, crc32: crc32.finalize() };
        [line(&seal).as_slice(), &header, &self.octets].concat()
    }

    /// What was written.
    pub fn read(bytes: &[u8]) -> Result<Self, FlightFileFault> {
        let (first, sealed) = split(bytes).ok_or(FlightFileFault::Foreign)?;
        let Form { version } =
            serde_json::from_slice(first).map_err(|_| FlightFileFault::Foreign)?;
        if version != VERSION {
            return Err(FlightFileFault::Version(version));
        }
        let seal: Seal = serde_json::from_slice(first).map_err(|_| FlightFileFault::Foreign)?;
        if sealed.len() != seal.octets {
            return Err(FlightFileFault::Length(sealed.len(), seal.octets));
        }
        if crc32fast::hash(sealed) != seal.crc32 {
            return Err(FlightFileFault::Checksum);
        }
        let unreadable = |why: &dyn ToString| FlightFileFault::Header(why.to_string());
        let (second, octets) = split(sealed).ok_or_else(|| unreadable(&"it has no end"))?;
        let header: FlightHeader =
            serde_json::from_slice(second).map_err(|fault| unreadable(&fault))?;
        check(&header.source.limits)?;
        Ok(Self { header, octets: octets.to_vec() })
    }

    /// What is in the ring.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.octets)
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The first line, and what is behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|octet| *octet == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// What is the same in the first line of every form.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// All that a shard reserves is reserved again to run it: where the numbers are wrong, no machine could.
fn check(limits: &Limits) -> Result<(), FlightFileFault> {
    let slots = [
        ("sessions_max", limits.sessions_max, SESSIONS_MAX),
        ("rooms_max", limits.rooms_max, ROOMS_MAX),
        ("room_members_max", limits.room_members_max, MEMBERS_MAX),
        ("taps_max", limits.taps_max, TAPS_MAX),
        ("monitors_max", limits.monitors_max, SESSIONS_MAX),
    ];
    if let Some((name, value, _)) = slots.into_iter().find(|(_, value, most)| value > most) {
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
        for foreign in ["", "{}", "{}\n", "{\"version\":3}\n"] {
            assert_eq!(refused(foreign.as_bytes()), FlightFileFault::Foreign, "{foreign}");
        }
        assert_eq!(refused(b"{\"version\":1}\n"), FlightFileFault::Version(1));
        let bytes = file().to_bytes();
        let sealed = split(&bytes).unwrap().1.len();
        for left in [0, 1, sealed - 8, sealed - 1] {
            let cut = &bytes[..bytes.len() - sealed + left];
            assert_eq!(refused(cut), FlightFileFault::Length(left, sealed));
        }
    }

    #[test]
    fn no_octet_can_change_without_notice() {
        let bytes = file().to_bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(FlightFile::read(&changed).is_err(), "octet {at}, bit {bit}");
            }
        }
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
