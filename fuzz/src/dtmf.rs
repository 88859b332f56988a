//! Digits from the network: events with any payload, order and time at any clock, and any sound
//! that is looked through for tones. Nothing panics, no packet is told as two digits, and what is
//! told is a key.

use std::time::Duration;

use media::dtmf::{Digit, DigitReceiver, ToneFilter, TonePair};
use media::rtp::{RtpHeader, RtpView};
use media_units::{Instant, KEYS, RtpTimestamp, SequenceNumber, Ssrc};

/// Octets that describe one step.
const STEP_BYTES: usize = 8;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut receiver = DigitReceiver::new();
    let mut filter = ToneFilter::new();
    let mut pair = TonePair::default();
    let mut now = Instant::START;
    let (mut packets, mut digits) = (0, 0);
    for step in bytes.as_chunks::<STEP_BYTES>().0 {
        let [kind, high, low, wait, payload @ ..] = *step;
        now += Duration::from_millis(u64::from(wait));
        let timestamp = u32::from(u16::from_be_bytes([high, low])) << (kind >> 4);
        match kind & 7 {
            0..4 => {
                let clock_rate = [8000, 16_000, 48_000, timestamp][usize::from(kind & 3)];
                packets += 1;
                digits += told(event(&mut receiver, timestamp, &payload, clock_rate, now));
            }
            4 => digits += told(receiver.expire(now)),
            5 => {
                // A payload that is too short.
                let short = &payload[..usize::from(low & 3)];
                assert_eq!(told(event(&mut receiver, timestamp, short, 8000, now)), 0);
            }
            kind => {
                let samples = [160, 320, 960, 441][usize::from(high & 3)];
                let mut block = vec![0; samples];
                if kind == 6 {
                    pair.fill(samples as u32 * 50, &mut block);
                } else {
                    pair = TonePair::new(payload[0], payload[1]);
                    for (at, sample) in block.iter_mut().enumerate() {
                        *sample = i16::from_le_bytes([payload[at % 4], payload[(at + at / 4) % 4]]);
                    }
                }
                told(filter.block(&mut block));
            }
        }
        assert!(digits <= packets, "one digit at most for each packet");
    }
}

fn event(
    receiver: &mut DigitReceiver,
    timestamp: u32,
    payload: &[u8],
    clock_rate: u32,
    now: Instant,
) -> Option<Digit> {
    let header = RtpHeader {
        payload_type: 101,
        marker: false,
        sequence: SequenceNumber(0),
        timestamp: RtpTimestamp(timestamp),
        ssrc: Ssrc(1),
    };
    let bytes = [&header.write()[..], payload].concat();
    let packet = RtpView::parse(&bytes).expect("a header of ours");
    receiver.packet(&packet, clock_rate, now).ok().flatten()
}

fn told(digit: Option<Digit>) -> usize {
    assert!(digit.is_none_or(|digit| KEYS.contains(&digit.digit)));
    usize::from(digit.is_some())
}
