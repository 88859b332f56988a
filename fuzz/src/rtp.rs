//! Any datagrams, as one session would take them: told apart, read with their header extensions,
//! accounted for, and as digits.
//!
//! The input is datagrams one after the other, each behind its length in two octets.

use media::dtmf::DigitReceiver;
use media::reception::Reception;
use media::rtp::{HEADER_BYTES, RtpView};
use media::{Demux, demux};
use media_units::Instant;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut reception = Reception::new(media_units::CLOCK_RATE);
    let mut digits = DigitReceiver::new();
    for (index, bytes) in Datagrams(bytes).enumerate() {
        let arrival = Instant::from_millis(7 * index as u64);
        let Ok(packet) = RtpView::parse(bytes) else {
            continue;
        };
        assert!(matches!(demux(bytes), Demux::Rtp | Demux::Rtcp));
        assert!(packet.payload().len() + HEADER_BYTES <= bytes.len());
        for id in [1, 14, 15, 16, bytes[0]] {
            let room = bytes.len() - HEADER_BYTES - packet.payload().len();
            assert!(packet.extension(id).is_none_or(|element| element.len() < room));
            assert!(packet.audio_level(id).is_none_or(|level| level.dbov < 128));
        }
        if reception.packet(&packet, Some(arrival)).is_ok() {
            let block = reception.report_block(arrival).expect("a packet was received");
            assert_eq!(block.ssrc, packet.ssrc());
        }
        if let Ok(Some(digit)) = digits.packet(&packet, 8000, arrival) {
            assert!("0123456789*#ABCD".contains(digit.digit));
        }
    }
}

struct Datagrams<'a>(&'a [u8]);

impl<'a> Iterator for Datagrams<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        self.0 = rest;
        Some(datagram)
    }
}
