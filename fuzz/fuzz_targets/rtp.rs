//! Any datagram, as one session would take it: told apart, read with its header extensions,
//! accounted for, and as a digit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::dtmf::DigitReceiver;
use media::reception::Reception;
use media::rtp::{HEADER_BYTES, RtpView};
use media::{Demux, demux};
use media_units::Instant;

fuzz_target!(|datagrams: Vec<&[u8]>| {
    let mut reception = Reception::new(media_units::CLOCK_RATE);
    let mut digits = DigitReceiver::new();
    for (index, bytes) in datagrams.into_iter().enumerate() {
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
        if reception.packet(&packet, arrival).is_ok() {
            let block = reception.report_block(arrival).expect("a packet was received");
            assert_eq!(block.ssrc, packet.ssrc());
        }
        if let Ok(Some(digit)) = digits.packet(&packet, 8000, arrival) {
            assert!("0123456789*#ABCD".contains(digit.digit));
        }
    }
});
