//! Reading a compound packet as a sequence of facts (RFC 3550 section 6.4 to 6.6, appendix A.2;
//! RFC 3611).

use media_units::{Discard, NtpTime, RtpTimestamp, Ssrc, VoipMetrics};
use rtcp_types::prelude::*;
use rtcp_types::{Bye, ReceiverReport, RtcpPacket, Sdes, SenderReport};

use super::extended::{self, Content, LastReference};
use super::{ReportBlock, SenderInfo};

/// Octets of a packet's own header.
const HEADER_BYTES: usize = 4;

/// Octets of a report block.
const BLOCK_BYTES: usize = 24;

/// A valid compound packet.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a>(&'a [u8]);

/// Something that a compound packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A source about itself.
    Sender {
        /// The source.
        ssrc: Ssrc,
        /// What it sent.
        info: SenderInfo,
    },
    /// A receiver about a source (ours, if `block.ssrc` is).
    Reception {
        /// The receiver.
        reporter: Ssrc,
        /// What it received.
        block: ReportBlock,
    },
    /// A source leaves.
    Goodbye {
        /// The source.
        ssrc: Ssrc,
    },
    /// A receiver's time, to be answered with a [`LastReference`] (RFC 3611 section 4.4).
    ReferenceTime {
        /// The receiver.
        ssrc: Ssrc,
        /// Its time.
        ntp: NtpTime,
    },
    /// The answer to a reference time (ours, if `answer.ssrc` is).
    Answered {
        /// The answer.
        answer: LastReference,
    },
    /// How a source (ours, if `source` is) sounds to a receiver (RFC 3611 section 4.7).
    Metrics {
        /// The receiver.
        reporter: Ssrc,
        /// The source.
        source: Ssrc,
        /// How it sounds.
        metrics: VoipMetrics,
    },
}

impl<'a> Compound<'a> {
    /// Checks a compound as RFC 3550 appendix A.2 demands: version 2 throughout, a report first,
    /// padding in the last packet only, lengths that add up; and the content of the packets whose
    /// facts we use. SDES content is not looked into, other types are skipped.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Discard> {
        let mut rest = bytes;
        let mut first = true;
        while !rest.is_empty() || first {
            let packet = split_packet(&mut rest).ok_or(Discard::MalformedRtcp)?;
            let is_report =
                matches!(packet[1], SenderReport::PACKET_TYPE | ReceiverReport::PACKET_TYPE);
            let is_padded = packet[0] & 0x20 != 0;
            let is_valid = match packet[1] {
                SenderReport::PACKET_TYPE => SenderReport::parse(packet).is_ok(),
                ReceiverReport::PACKET_TYPE => ReceiverReport::parse(packet).is_ok(),
                Bye::PACKET_TYPE => Bye::parse(packet).is_ok(),
                _ => true,
            };
            if !is_valid || (first && !is_report) || (is_padded && !rest.is_empty()) {
                return Err(Discard::MalformedRtcp);
            }
            first = false;
        }
        Ok(Self(bytes))
    }

    /// What it says, in order.
    pub fn facts(&self) -> Facts<'a> {
        Facts {
            rest: self.0,
            reporter: Ssrc(0),
            blocks: &[],
            leaving: &[],
            extended: &[],
            answers: &[],
        }
    }

    /// Whether it describes its source (SDES), as every full compound does.
    pub fn has_description(&self) -> bool {
        let mut rest = self.0;
        std::iter::from_fn(|| split_packet(&mut rest)).any(|packet| packet[1] == Sdes::PACKET_TYPE)
    }
}

/// Iterates over the facts of a compound.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    rest: &'a [u8],
    reporter: Ssrc,
    blocks: &'a [u8],
    leaving: &'a [u8],
    extended: &'a [u8],
    answers: &'a [u8],
}

impl Iterator for Facts<'_> {
    type Item = Fact;

    fn next(&mut self) -> Option<Fact> {
        loop {
            if let Some((block, blocks)) = self.blocks.split_at_checked(BLOCK_BYTES) {
                self.blocks = blocks;
                let block = read_block(block)?;
                return Some(Fact::Reception { reporter: self.reporter, block });
            }
            if let Some((ssrc, leaving)) = self.leaving.split_first_chunk() {
                self.leaving = leaving;
                return Some(Fact::Goodbye { ssrc: Ssrc(u32::from_be_bytes(*ssrc)) });
            }
            if let Some((answer, answers)) = self.answers.split_first_chunk() {
                self.answers = answers;
                return Some(Fact::Answered { answer: extended::read_answer(answer) });
            }
            if let Some((kind, content, rest)) = extended::split_block(self.extended) {
                self.extended = rest;
                match extended::read_block(self.reporter, kind, content) {
                    Content::Fact(fact) => return Some(fact),
                    Content::Answers(answers) => self.answers = answers,
                    Content::Nothing => {}
                }
                continue;
            }
            let packet = split_packet(&mut self.rest)?;
            if let Some(fact) = self.open(packet) {
                return Some(fact);
            }
        }
    }
}

impl<'a> Facts<'a> {
    /// Turns to the next packet. A sender report is a fact at once, lists are gone through later.
    fn open(&mut self, packet: &'a [u8]) -> Option<Fact> {
        let count = usize::from(packet[0] & 0x1f);
        match packet[1] {
            SenderReport::PACKET_TYPE => {
                let report = SenderReport::parse(packet).ok()?;
                self.reporter = Ssrc(report.ssrc());
                self.blocks = items(packet, SenderReport::MIN_PACKET_LEN, count * BLOCK_BYTES);
                let info = SenderInfo {
                    ntp: NtpTime(report.ntp_timestamp()),
                    timestamp: RtpTimestamp(report.rtp_timestamp()),
                    packets: report.packet_count(),
                    octets: report.octet_count(),
                };
                return Some(Fact::Sender { ssrc: self.reporter, info });
            }
            ReceiverReport::PACKET_TYPE => {
                self.reporter = Ssrc(ReceiverReport::parse(packet).ok()?.ssrc());
                self.blocks = items(packet, ReceiverReport::MIN_PACKET_LEN, count * BLOCK_BYTES);
            }
            Bye::PACKET_TYPE => {
                self.leaving = items(packet, Bye::MIN_PACKET_LEN, count * size_of::<Ssrc>());
            }
            extended::XR => {
                let (head, blocks) = packet.split_at_checked(extended::HEADER_BYTES)?;
                let ssrc = head.last_chunk()?;
                self.reporter = Ssrc(u32::from_be_bytes(*ssrc));
                self.extended = blocks;
                self.answers = &[];
            }
            _ => {}
        }
        None
    }
}

/// The list in a packet that starts at `start`.
fn items(packet: &[u8], start: usize, length: usize) -> &[u8] {
    packet.get(start..start + length).unwrap_or(&[])
}

/// Takes the first packet of a compound off its octets.
fn split_packet<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [first, _, high, low] = *rest.first_chunk::<HEADER_BYTES>()?;
    if first >> 6 != 2 {
        return None;
    }
    let length = HEADER_BYTES * (usize::from(u16::from_be_bytes([high, low])) + 1);
    let (packet, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(packet)
}

fn read_block(octets: &[u8]) -> Option<ReportBlock> {
    let block = rtcp_types::ReportBlock::parse(octets).ok()?;
    Some(ReportBlock {
        ssrc: Ssrc(block.ssrc()),
        fraction_lost: block.fraction_lost(),
        // 24 bits with sign, moved up and down again to extend the sign.
        cumulative_lost: ((block.cumulative_lost() << 8) as i32) >> 8,
        highest_sequence: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
        last_sr: block.last_sender_report_timestamp(),
        delay_since_last_sr: block.delay_since_last_sender_report_timestamp(),
    })
}
