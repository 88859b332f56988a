//! The buffer against networks of all kinds.

use media_kernels::Kernels;
use media_units::{
    BLOCK_SAMPLES, Block, Encoding, ExtendedSequence, Instant, PERIOD, RtpTimestamp,
    SequenceNumber, Ssrc,
};
use std::time::Duration;

use super::*;
use crate::rtp::{RtpHeader, RtpView};

const LIMITS: PlayoutLimits =
    PlayoutLimits { delay_min: Duration::ZERO, delay_max: Duration::from_millis(300) };

fn insert(playout: &mut Playout, sequence: u16, timestamp: u32, payload: &[u8], at: Instant) {
    let header = RtpHeader {
        payload_type: 0,
        marker: false,
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc: Ssrc(1),
    };
    let bytes = [&header.write()[..], payload].concat();
    let view = RtpView::parse(&bytes).unwrap();
    playout.insert(&view, ExtendedSequence(u64::from(sequence)), at).unwrap();
}

#[test]
fn packets_on_a_clean_network_are_played_in_order_at_the_next_pull() {
    let mut playout = Playout::new(&LIMITS);
    let mut block = Block::SILENCE;
    for index in 0..200_u16 {
        let arrival = Instant::from_millis(100 + 20 * u64::from(index));
        let payload = [index as u8 & 0x7f; BLOCK_SAMPLES];
        insert(&mut playout, index, 7 + 160 * u32::from(index), &payload, arrival);
        let now = arrival + Duration::from_millis(5);
        let pulled = playout.pull(now, Encoding::Pcmu, &Kernels::SCALAR, &mut block);
        assert_eq!(pulled, Pulled::Played, "block {index}");
        let mut expected = Block::SILENCE;
        Kernels::SCALAR.decode_ulaw(&payload, &mut expected.0);
        assert_eq!(block, expected, "block {index}");
    }
    let report = playout.report();
    assert_eq!((report.blocks_played, report.blocks_concealed), (200, 0));
    assert!(report.delay < PERIOD, "delay {:?}", report.delay);
}
