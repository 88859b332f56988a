//! Pauses that the sender announces: comfort noise (RFC 3389), decoded and relayed.

use super::*;

const COMFORT_NOISE: u8 = 13;

/// Samples of 5 ms.
const PART: usize = BLOCK_SAMPLES / 4;

impl Line {
    /// Comfort noise at this level follows a packet.
    fn receive_comfort_noise_after(&mut self, last: &Sent, at: Instant, level_dbov: u8) {
        let header = RtpHeader {
            payload_type: COMFORT_NOISE,
            marker: false,
            sequence: SequenceNumber(last.sequence.wrapping_add(1)),
            timestamp: RtpTimestamp(last.timestamp.wrapping_add(last.length as u32)),
            ssrc: Ssrc(1),
        };
        let bytes = [&header.write()[..], &[level_dbov]].concat();
        let view = RtpView::parse(&bytes).unwrap();
        let extended = self.reception.packet(&view, Some(at)).unwrap().extended;
        for playout in [&mut self.decoded, &mut self.relayed] {
            playout.insert_comfort_noise(&view, extended, Arrival::At(at)).unwrap();
        }
    }
}

#[test]
fn a_pause_that_overtook_the_last_sound_is_a_pause() {
    for overtakes in [false, true] {
        let mut line = Line::with_noise();
        let packets = stream(START, 20, 160);
        let last = &packets[19];
        for packet in &packets {
            if overtakes && packet.sequence == last.sequence {
                line.receive_comfort_noise_after(last, packet.arrival, 45);
            }
            line.receive(packet);
            line.pull_both(packet.arrival + millis(5));
        }
        let mut now = last.arrival + millis(5);
        if !overtakes {
            line.receive_comfort_noise_after(last, now, 45);
        }
        let before = line.heard.count(Pulled::Noise);
        for _ in 0..500 {
            now += PERIOD;
            line.pull_both(now);
        }
        let periods = line.heard.count(Pulled::Noise) - before;
        assert!(periods >= 495, "overtakes: {overtakes}, noise in {periods} of 500");
    }
}

#[test]
fn a_noisy_line_goes_over_into_its_comfort_noise_without_a_hole() {
    let mut random = Random::new(9);
    let mut line = Line::with_noise();
    let packets = stream(START, 50, 160);
    // As loud as -43 dBov.
    let mut noise = |_| ((random.next_u32() >> 24) as i16 - 128) * 3;
    for packet in &packets {
        let mut codes = [0; BLOCK_SAMPLES];
        let samples: Vec<i16> = (0..BLOCK_SAMPLES).map(&mut noise).collect();
        g711::encode(ENCODING, &Kernels::SCALAR, &samples, &mut codes);
        line.receive_payload(packet, &codes);
        line.pull_both(packet.arrival + millis(5));
    }
    let last = &packets[49];
    line.receive_comfort_noise_after(last, last.arrival + PERIOD, 43);
    let mut heard: [Vec<i16>; 2] = Default::default();
    for period in 1..5 {
        let (_, decoded, frame) = line.pull_both(last.arrival + millis(5) + PERIOD * period);
        let mut relayed = Block::SILENCE;
        g711::decode(ENCODING, &Kernels::SCALAR, &frame, &mut relayed.0);
        heard[0].extend_from_slice(&decoded.0);
        heard[1].extend_from_slice(&relayed.0);
    }
    // What was said fades in the first of them.
    for sound in heard {
        let root_mean_square =
            |part: &[i16]| (Kernels::SCALAR.energy(part) as f64 / part.len() as f64).sqrt();
        let parts: Vec<f64> = sound[PART..].chunks(PART).map(root_mean_square).collect();
        assert!(parts.iter().all(|&level| level > 222.0 / 3.0), "{parts:?}");
    }
}
