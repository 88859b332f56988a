//! Pages of Ogg (RFC 3533), as far as one logical stream whose packets never go over the end of a
//! page needs them.

use std::io::{self, Read};

use super::checksum::OGG;
use super::read_up_to;

/// The first page of a stream.
pub(super) const FIRST: u8 = 2;
/// The last page of a stream.
pub(super) const LAST: u8 = 4;
/// Pieces of 255 bytes that a page has room for.
pub(super) const SEGMENTS_MAX: usize = 255;

/// A page without its segments' lengths.
const HEADER_BYTES: usize = 27;
const CHECKSUM: std::ops::Range<usize> = 22..26;
/// Files have one stream each, so that its number tells nothing apart.
const SERIAL: u32 = 1;

/// Segments that a packet takes: it ends with the first that is not full.
pub(super) const fn segments(packet_bytes: usize) -> usize {
    packet_bytes / 255 + 1
}

/// Whole packets that wait for their page.
#[derive(Debug, Default)]
pub(super) struct Page {
    lacing: Vec<u8>,
    body: Vec<u8>,
}

impl Page {
    /// Whether no packet waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lacing.is_empty()
    }

    /// Whether the page has room for one more packet.
    pub(super) fn has_room(&self, packet_bytes: usize) -> bool {
        self.lacing.len() + segments(packet_bytes) <= SEGMENTS_MAX
    }

    /// Adds a packet, for which there is room.
    pub(super) fn add(&mut self, packet: &[u8]) {
        self.lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.lacing.push((packet.len() % 255) as u8);
        self.body.extend(packet);
    }

    /// Writes the page and empties it. `granule`: where its last packet ends.
    pub(super) fn write(&mut self, kind: u8, granule: u64, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(b"OggS\0");
        out.push(kind);
        out.extend(granule.to_le_bytes());
        out.extend(SERIAL.to_le_bytes());
        out.extend(sequence.to_le_bytes());
        out.extend([0; 4]);
        out.push(self.lacing.len() as u8);
        out.append(&mut self.lacing);
        out.append(&mut self.body);
        seal(&mut out[start..]);
    }
}

/// Puts the checksum of a page into it.
fn seal(page: &mut [u8]) {
    page[CHECKSUM].fill(0);
    let sum = OGG.of(page);
    page[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
}

/// A page that was read.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadPage {
    bytes: Vec<u8>,
}

impl ReadPage {
    /// Reads the next page; none where the file ends, is cut, or holds anything else.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; HEADER_BYTES];
        if read_up_to(file, &mut bytes)? < HEADER_BYTES || !bytes.starts_with(b"OggS\0") {
            return Ok(None);
        }
        let lacing_end = HEADER_BYTES + usize::from(bytes[HEADER_BYTES - 1]);
        bytes.resize(lacing_end, 0);
        if read_up_to(file, &mut bytes[HEADER_BYTES..])? < lacing_end - HEADER_BYTES {
            return Ok(None);
        }
        let body: usize = bytes[HEADER_BYTES..].iter().map(|&length| usize::from(length)).sum();
        bytes.resize(lacing_end + body, 0);
        if read_up_to(file, &mut bytes[lacing_end..])? < body {
            return Ok(None);
        }
        let mut sealed = bytes.clone();
        seal(&mut sealed);
        Ok((sealed == bytes).then_some(Self { bytes }))
    }

    /// As it stands in the file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is in it: one packet, where the page is one of the first two.
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES + usize::from(self.bytes[HEADER_BYTES - 1])..]
    }

    /// Where its last packet ends.
    pub(super) fn granule(&self) -> u64 {
        u64::from_le_bytes(self.bytes[6..14].try_into().expect("a page is longer"))
    }

    /// Its place among the pages of the stream.
    pub(super) fn sequence(&self) -> u32 {
        u32::from_le_bytes(self.bytes[18..22].try_into().expect("a page is longer"))
    }

    /// Whether it says that it is the last.
    pub(super) fn is_last(&self) -> bool {
        self.bytes[5] & LAST != 0
    }

    /// The same page as the last one of its stream.
    pub(super) fn into_last(mut self) -> Vec<u8> {
        self.bytes[5] |= LAST;
        seal(&mut self.bytes);
        self.bytes
    }
}
