//! Any packets at any time into a playout buffer, pulled every 20 ms or not: it never panics, its
//! delay stays bounded, and relaying has the same timing as decoding.

use std::time::Duration;

use media::codec::Decoder;
use media::playout::{DELAY_MAX, Playout, PlayoutLimits, Scratch};
use media::reception::Reception;
use media::rtp::{RtpHeader, RtpView};
use media_kernels::Kernels;
use media_units::{
    Arrival, BLOCK_SAMPLES, Block, Instant, Law, PERIOD, RtpTimestamp, SequenceNumber, Ssrc,
};

/// Octets that describe one step.
const STEP_BYTES: usize = 8;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let limits = PlayoutLimits {
        delay_min: Duration::ZERO,
        delay_initial: Duration::ZERO,
        delay_max: DELAY_MAX,
    };
    let (mut decoder, mut scratch) = (Decoder::G711(Law::A), Scratch::new());
    let (mut decoded, mut relayed) = (Playout::new(&limits), Playout::new(&limits));
    let mut reception = Reception::new(media_units::CLOCK_RATE);
    let mut now = Instant::from_millis(1000);
    let mut header = RtpHeader {
        payload_type: 0,
        marker: false,
        sequence: SequenceNumber(0),
        timestamp: RtpTimestamp(0),
        ssrc: Ssrc(1),
    };
    for step in bytes.as_chunks::<STEP_BYTES>().0 {
        let [kind, sequence, timestamp, length, late, code, wild @ ..] = *step;
        header.sequence = header.sequence.plus(u16::from(sequence));
        header.timestamp = header.timestamp.plus(u32::from(timestamp) * 8);
        header.marker = kind & 1 != 0;
        if kind & 2 != 0 {
            header.timestamp = header.timestamp.plus(u32::from(u16::from_be_bytes(wild)) << 16);
        }
        if kind & 4 != 0 {
            header.sequence = header.sequence.plus(u16::from_be_bytes(wild));
        }
        let payload = [code; 512];
        let packet = [&header.write()[..], &payload[..usize::from(length) * 2]].concat();
        let view = RtpView::parse(&packet).expect("our own header");
        let arrival = now + Duration::from_millis(u64::from(late % 32));
        if let Ok(place) = reception.packet(&view, Some(arrival)) {
            if place.restarted {
                decoded.reset();
                relayed.reset();
            }
            let arrival = Arrival::At(arrival);
            let stored = decoded.insert(&view, place.extended, arrival, &decoder);
            assert_eq!(stored, relayed.insert(&view, place.extended, arrival, &decoder));
        }
        for _ in 0..kind >> 5 {
            now += PERIOD;
            let (mut block, mut frame) = (Block::SILENCE, [0; BLOCK_SAMPLES]);
            let pulled = {
                let samples = &mut block.0;
                decoded.pull(now, &mut decoder, &Kernels::SCALAR, &mut scratch, samples)
            };
            let frame = &mut frame;
            let relay = relayed.pull_frame(now, Law::A, &Kernels::SCALAR, &mut scratch, frame);
            assert_eq!(pulled, relay);
            assert_eq!(decoded.report(), relayed.report());
        }
        assert!(decoded.report().delay <= DELAY_MAX + 8 * PERIOD);
    }
}
