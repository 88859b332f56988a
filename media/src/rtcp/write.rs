//! Writing our compound packet: a report, our name, what we know beyond, and a goodbye at the end
//! (RFC 3550 sections 6.4 to 6.6, RFC 3611).

use media_units::Ssrc;

use super::extended::{Extended, XR_BYTES_MAX};
use super::{ReportBlock, SenderInfo};

/// Octets of the longest compound that we write.
pub const COMPOUND_BYTES_MAX: usize = 28 + 24 + 8 + 260 + XR_BYTES_MAX + 8;

/// Longest canonical name; a longer one is cut.
const CNAME_BYTES_MAX: usize = 255;

/// What we say to the endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Our SSRC.
    pub ssrc: Ssrc,
    /// What we sent. Present if we sent since the last report but one: then the report is a
    /// sender report, else a receiver report.
    pub sender: Option<SenderInfo>,
    /// What we received, once something came.
    pub block: Option<ReportBlock>,
    /// Our canonical name (RFC 7022).
    pub cname: &'a [u8],
    /// What we say beyond, to who takes it.
    pub extended: Extended,
    /// Whether we leave.
    pub bye: bool,
}

impl Report<'_> {
    /// Writes the compound and returns its length.
    pub fn write(&self, buffer: &mut [u8; COMPOUND_BYTES_MAX]) -> usize {
        let mut out = Cursor { buffer, length: 0 };
        self.write_report(&mut out);
        self.write_description(&mut out);
        self.extended.write(self.ssrc, &mut out);
        if self.bye {
            let bye = out.begin(1, rtcp_type::BYE);
            out.word(self.ssrc.0);
            out.end(bye);
        }
        out.length
    }

    fn write_report(&self, out: &mut Cursor<'_>) {
        let count = u8::from(self.block.is_some());
        let packet_type = if self.sender.is_some() { rtcp_type::SR } else { rtcp_type::RR };
        let report = out.begin(count, packet_type);
        out.word(self.ssrc.0);
        if let Some(info) = &self.sender {
            out.word((info.ntp.0 >> 32) as u32);
            out.word(info.ntp.0 as u32);
            out.word(info.timestamp.0);
            out.word(info.packets);
            out.word(info.octets);
        }
        if let Some(block) = &self.block {
            out.word(block.ssrc.0);
            let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            out.word(u32::from(block.fraction_lost) << 24 | lost);
            out.word(block.highest_sequence);
            out.word(block.jitter);
            out.word(block.last_sr);
            out.word(block.delay_since_last_sr);
        }
        out.end(report);
    }

    fn write_description(&self, out: &mut Cursor<'_>) {
        const CNAME: u8 = 1;
        let cname = &self.cname[..self.cname.len().min(CNAME_BYTES_MAX)];
        let description = out.begin(1, rtcp_type::SDES);
        out.word(self.ssrc.0);
        out.octets(&[CNAME, cname.len() as u8]);
        out.octets(cname);
        // The list of items ends with one to four zeros, on a word boundary.
        out.octets(&[0; 4][..4 - out.length % 4]);
        out.end(description);
    }
}

mod rtcp_type {
    pub(super) const SR: u8 = 200;
    pub(super) const RR: u8 = 201;
    pub(super) const SDES: u8 = 202;
    pub(super) const BYE: u8 = 203;
}

/// Appends to a buffer that is large enough for all we write.
pub(super) struct Cursor<'a> {
    buffer: &'a mut [u8; COMPOUND_BYTES_MAX],
    length: usize,
}

impl Cursor<'_> {
    /// Begins a packet, whose length `end` fills in. Returns its place.
    pub(super) fn begin(&mut self, count: u8, packet_type: u8) -> usize {
        let start = self.length;
        self.octets(&[0x80 | count, packet_type, 0, 0]);
        start
    }

    pub(super) fn end(&mut self, start: usize) {
        let words = (self.length - start) / 4 - 1;
        self.buffer[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
    }

    pub(super) fn word(&mut self, word: u32) {
        self.octets(&word.to_be_bytes());
    }

    pub(super) fn halves(&mut self, high: u16, low: u16) {
        self.word(u32::from(high) << 16 | u32::from(low));
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.buffer[self.length..self.length + octets.len()].copy_from_slice(octets);
        self.length += octets.len();
    }
}
