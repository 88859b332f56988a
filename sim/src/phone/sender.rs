//! The sending half: packets in step with the sample clock, and the lies an endpoint may tell.

use media_units::{Encoding, Instant, RtpTimestamp, SequenceNumber, Ssrc};

use super::{Format, Voice};
use crate::Seed;
use crate::code::WINDOW_SAMPLES;
use crate::rtp::{HEADER_OCTETS, Header};

/// Packets whose sending time is remembered: a window's time and the longest way to an ear.
const REMEMBERED: usize = 64;

/// Samples of a packet of 20 ms, at 8 kHz.
const PACKET_SAMPLES: usize = 160;

/// One stream of RTP packets.
#[derive(Debug)]
pub struct Sender {
    next: Header,
    voice: Voice,
    packet_samples: usize,
    /// Samples of 8 kHz said so far: the position in the voice.
    said: u64,
    packets: u32,
    octets: u32,
    sent_at: [Instant; REMEMBERED],
}

/// One packet to be put on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Its header.
    pub header: [u8; HEADER_OCTETS],
    /// Its payload, shared.
    pub payload: &'a [u8],
}

impl Packet<'_> {
    /// Both parts in one.
    pub fn to_vec(&self) -> Vec<u8> {
        [&self.header, self.payload].concat()
    }
}

impl Sender {
    /// A stream that says `voice` in packets of 20 ms.
    pub fn new(voice: Voice, seed: &mut Seed) -> Self {
        let next = Header {
            marker: true,
            payload_type: Format::usual(voice.encoding()).payload_type,
            sequence: SequenceNumber(seed.next_u32() as u16),
            timestamp: RtpTimestamp(seed.next_u32()),
            ssrc: Ssrc(seed.next_u32()),
        };
        let sent_at = [Instant::START; REMEMBERED];
        Self {
            next,
            voice,
            packet_samples: PACKET_SAMPLES,
            said: 0,
            packets: 0,
            octets: 0,
            sent_at,
        }
    }

    /// Says something else from the next packet on, from its begin.
    pub fn say(&mut self, voice: Voice) {
        self.next.payload_type = Format::usual(voice.encoding()).payload_type;
        self.voice = voice;
        self.said = 0;
    }

    /// The next packet, sent at `now`.
    pub fn packet(&mut self, now: Instant) -> Packet<'_> {
        let header = self.next.octets();
        let samples = self.packet_samples;
        self.sent_at[(self.said / samples as u64) as usize % REMEMBERED] = now;
        let payload = self.voice.payload(self.said, samples);
        self.next.marker = false;
        self.next.sequence = self.next.sequence.plus(1);
        self.next.timestamp = self.next.timestamp.plus(units(self.voice.encoding(), samples));
        self.said += samples as u64;
        self.packets += 1;
        self.octets += payload.len() as u32;
        Packet { header, payload }
    }

    /// Lets one packet time pass without a packet, as a phone on hold does: the timestamp goes on.
    pub fn pause(&mut self) {
        let units = units(self.voice.encoding(), self.packet_samples);
        self.next.timestamp = self.next.timestamp.plus(units);
        self.next.marker = true;
        self.said += self.packet_samples as u64;
    }

    /// When the sample at `position` of the code's turn was last sent, no later than `by`.
    pub fn sent_at(&self, position: usize, by: Instant) -> Option<Instant> {
        let samples = self.packet_samples as u64;
        let packets = self.said / samples;
        let turn = WINDOW_SAMPLES as u64;
        let remembered = (packets.saturating_sub(REMEMBERED as u64)..packets).rev();
        remembered
            .filter(|packet| (position as u64 + turn - packet * samples % turn) % turn < samples)
            .map(|packet| self.sent_at[packet as usize % REMEMBERED])
            .find(|&sent| sent <= by)
    }

    /// Packets sent.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Payload octets sent.
    pub fn octets(&self) -> u32 {
        self.octets
    }

    /// How the voice is encoded.
    pub fn encoding(&self) -> Encoding {
        self.voice.encoding()
    }

    /// The header that the next packet will have.
    pub fn next_header(&self) -> Header {
        self.next
    }

    /// Another packet time, in milliseconds. The voice begins anew.
    pub fn set_packet_time_ms(&mut self, packet_time_ms: u8) {
        self.packet_samples = (8 * usize::from(packet_time_ms)).clamp(80, 480);
        self.said = 0;
    }

    /// The payload type that was agreed on; or a lie: another one for the same sound.
    pub fn set_payload_type(&mut self, payload_type: u8) {
        self.next.payload_type = payload_type;
    }

    /// A new source in the middle of the session (RFC 3550 section 8), as after a re-INVITE or a
    /// transfer behind a proxy: SSRC, sequence and timestamp begin anew.
    pub fn change_ssrc(&mut self, seed: &mut Seed) {
        self.next.ssrc = Ssrc(seed.next_u32());
        self.next.sequence = SequenceNumber(seed.next_u32() as u16);
        self.next.timestamp = RtpTimestamp(seed.next_u32());
        self.next.marker = true;
    }

    /// A jump of the timestamp without a change of source.
    pub fn jump_timestamp(&mut self, units: i32) {
        self.next.timestamp = self.next.timestamp.plus(units as u32);
    }

    /// The sequence number of the next packet; to be set before the first, or as a lie.
    pub fn set_sequence(&mut self, sequence: SequenceNumber) {
        self.next.sequence = sequence;
    }

    /// The timestamp of the next packet; to be set before the first, or as a lie.
    pub fn set_timestamp(&mut self, timestamp: RtpTimestamp) {
        self.next.timestamp = timestamp;
    }
}

/// Samples of 8 kHz in units of the format's RTP clock.
fn units(encoding: Encoding, samples: usize) -> u32 {
    (samples as u64 * u64::from(encoding.clock_rate()) / 8000) as u32
}

#[cfg(test)]
mod tests {
    use media_units::Law;

    use super::*;
    use crate::code::Code;

    fn sender() -> Sender {
        let voice = Voice::code(Code::of(5), 1000.0, Law::Mu);
        Sender::new(voice, &mut Seed::new(1))
    }

    #[test]
    fn packets_follow_each_other_and_only_the_first_is_marked() {
        let mut sender = sender();
        let headers: Vec<_> = (0..3)
            .map(|n| Header::read(&sender.packet(Instant::from_millis(20 * n)).to_vec()).unwrap().0)
            .collect();
        assert_eq!(headers.iter().map(|h| h.marker).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(headers[2].sequence.distance_from(headers[0].sequence), 2);
        assert_eq!(headers[2].timestamp.distance_from(headers[0].timestamp), 320);
    }

    #[test]
    fn a_position_of_the_turn_leads_to_its_latest_packet() {
        let mut sender = sender();
        for n in 0..40 {
            sender.packet(Instant::from_millis(20 * n));
        }
        let by = Instant::from_millis(790);
        // Packet 39 holds samples 6240..6400, which is 96..256 of the fourth turn.
        assert_eq!(sender.sent_at(100, by), Some(Instant::from_millis(780)));
        assert_eq!(sender.sent_at(95, by), Some(Instant::from_millis(760)));
        // Packet 26 holds 4160..4320: 64..224 of the third turn; 256..300 is in packet 27.
        assert_eq!(sender.sent_at(257, by), Some(Instant::from_millis(540)));
    }
}
