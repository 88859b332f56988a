//! The buffer against networks of all kinds, in virtual time.
//!
//! Every sample that is sent carries a label that tells its place, so that what is heard shows
//! what was played, in which order and how late, without looking into the buffer.

use std::time::Duration;

use media_kernels::Kernels;
use media_units::{
    Arrival, BLOCK_SAMPLES, Block, Discard, Instant, Law, PERIOD, RtpTimestamp, SequenceNumber,
    Ssrc,
};
use proptest::prelude::*;

use super::*;
use crate::codec::Decoder;
use crate::reception::Reception;
use crate::rtp::{RtpHeader, RtpView};
use crate::{Random, g711};

const LIMITS: PlayoutLimits = PlayoutLimits {
    delay_min: Duration::ZERO,
    delay_initial: Duration::ZERO,
    delay_max: Duration::from_millis(300),
};

mod pauses;
mod rig;

use rig::*;

#[test]
fn on_a_clean_network_every_packet_is_played_within_a_period_and_its_margin() {
    let mut waits = Vec::new();
    for phase in 0..200 {
        let packets = stream(START, 300, 160);
        let heard = play(&packets, Instant::from_nanos(phase * 100_000));
        assert_eq!(heard.waits.len(), 300);
        assert_eq!((heard.report.blocks_played, heard.late, heard.overflows), (300, 0, 0));
        assert_conserved(&heard, &packets);
        waits.extend(heard.waits.iter().map(|(_, wait)| *wait));
    }
    waits.sort_unstable();
    assert!(waits[0] >= millis(1), "the margin, {:?}", waits[0]);
    assert!(waits[waits.len() - 1] < millis(21), "{:?}", waits[waits.len() - 1]);
    assert!(waits[waits.len() / 2] <= millis(15) && waits[waits.len() * 99 / 100] <= millis(25));
}

#[test]
fn what_is_played_is_what_was_sent() {
    let mut line = Line::new();
    let packets = stream(START, 50, 160);
    for packet in &packets {
        line.receive(packet);
        let (_, block) = line.pull(packet.arrival + millis(5), &packets);
        let places = packet.position..packet.position + 160;
        let codes: Vec<u8> = places.map(code_at).collect();
        let mut expected = Block::SILENCE;
        g711::decode(ENCODING, &Kernels::SCALAR, &codes, &mut expected.0);
        assert_eq!(block, expected);
    }
}

#[test]
fn packets_of_any_length_are_played_without_a_gap() {
    for length in [80, 160, 240, 320, 400, 480, 96, 264, 176] {
        for phase in 0..20 {
            let packets = stream(START, 40_000 / length, length);
            let heard = play(&packets, Instant::from_millis(phase));
            let last = packets[packets.len() - 1].arrival;
            assert_eq!(heard.samples, length * (40_000 / length), "{length} {phase}");
            let concealed =
                |(at, pulled): &&(Instant, Pulled)| *at <= last && *pulled == Pulled::Concealed;
            assert_eq!(heard.pulls.iter().filter(concealed).count(), 0, "{length} {phase}");
            assert!(heard.longest_wait_after(0) <= millis(2 + 40), "{length} {phase}");
        }
    }
}

#[test]
fn packet_length_may_change_in_the_middle() {
    let mut packets = stream(START, 100, 160);
    let mut position = 100 * 160;
    for (index, length) in (0..150).map(|index| (index, [80, 480, 240][index as usize % 3])) {
        packets.push(Sent {
            arrival: START + samples(position + length),
            sequence: 65_500_u16.wrapping_add(100 + index),
            position,
            length,
            timestamp: 0xffff_f000_u32.wrapping_add(position as u32),
        });
        position += length;
    }
    let heard = play(&packets, Instant::from_millis(7));
    assert_eq!(heard.samples, position, "{:?}", heard.report);
}

#[test]
fn a_lost_packet_is_concealed_and_costs_no_delay() {
    let mut packets = stream(START, 300, 160);
    packets.retain(|packet| ![50, 120, 121, 200].contains(&(packet.position / 160)));
    let heard = play(&packets, Instant::from_millis(10));
    assert_eq!(heard.report.blocks_played, 296);
    let last = packets[packets.len() - 1].arrival;
    assert_eq!(heard.report.blocks_concealed as usize, 4 + heard.concealed_after(last + PERIOD));
    assert!(heard.longest_wait_after(0) < millis(22));
    assert_conserved(&heard, &packets);
}

#[test]
fn after_the_last_packet_sound_fades_and_silence_lasts() {
    let packets = stream(START, 50, 160);
    let heard = play(&packets, Instant::from_millis(10));
    assert_eq!(heard.count(Pulled::Concealed), 5, "100 ms");
    let tail: Vec<Pulled> = heard.pulls.iter().rev().take(40).map(|(_, pulled)| *pulled).collect();
    assert_eq!(tail, [Pulled::Silence; 40]);
    assert_eq!(heard.report.blocks_concealed, 5);
}

#[test]
fn delay_is_given_back_as_soon_as_stretching_is_allowed() {
    let mut packets = stream(START, 400, 160);
    let (from, until) = (START + millis(1000), START + millis(1200));
    for packet in packets.iter_mut().filter(|packet| packet.arrival >= from) {
        packet.arrival = packet.arrival.max(until);
    }
    let mut line = Line::new();
    let mut waiting = packets.iter().peekable();
    let mut delays = Vec::new();
    for number in 0..400 {
        let now = Instant::from_millis(1009) + PERIOD * number;
        line.scratch.allow_stretches(if number < 200 { 0 } else { 2 }, 0);
        while let Some(packet) = waiting.next_if(|packet| packet.arrival <= now) {
            line.receive(packet);
        }
        line.pull(now, &packets);
        delays.push(line.decoded.delay());
    }
    assert!(delays[199] > millis(150), "{delays:?}");
    assert!(delays[399] < millis(30), "{delays:?}");
    assert_eq!((line.heard.late, line.heard.overflows), (0, 0));
}

#[test]
fn a_relay_whose_source_is_lost_has_the_noise_of_its_line_for_5_s() {
    let mut line = Line::with_noise();
    let mut random = Random::new(3);
    for packet in &stream(START, 400, 160) {
        // Seconds of words, and seconds of a line at -51 dBov.
        let loud = if packet.position / 8000 % 2 == 0 { 30 } else { 1 };
        let samples: Vec<i16> =
            (0..160).map(|_| (random.next_u32() % 320) as i16 * loud - 160 * loud).collect();
        let mut codes = [0; BLOCK_SAMPLES];
        g711::encode(ENCODING, &Kernels::SCALAR, &samples, &mut codes);
        line.receive_payload(packet, &codes);
        line.pull_both(packet.arrival + millis(5));
    }
    let (mut power, mut periods) = (0, 0);
    for number in 400..800_u64 {
        let (pulled, block, frame) = line.pull_both(START + millis(20 * number + 5));
        if pulled == Pulled::Noise {
            let mut relayed = Block::SILENCE;
            g711::decode(ENCODING, &Kernels::SCALAR, &frame, &mut relayed.0);
            power += Kernels::SCALAR.energy(&relayed.0) / 160;
            periods += 1;
            let differs = block.0.iter().zip(relayed.0).any(|(a, b)| a.abs_diff(b) > 32);
            assert!(!differs, "both make the same noise, {number}");
        }
    }
    assert!((245..=250).contains(&periods), "{periods}");
    let dbov = 10.0 * (power as f64 / f64::from(periods) / 32768.0_f64.powi(2)).log10();
    assert!((-54.0..-49.0).contains(&dbov), "{dbov}");
    let last = line.heard.pulls.last().map(|(_, pulled)| *pulled);
    assert_eq!(last, Some(Pulled::Silence));
}

#[test]
fn concealment_continues_the_sound_and_fades() {
    let mut line = Line::new();
    let mut block = Block::SILENCE;
    for packet in &stream(START, 5, 160) {
        line.receive(packet);
        (_, block) = line.pull(packet.arrival + millis(5), &[]);
    }
    let peak = |block: &Block| block.0.iter().map(|s| s.unsigned_abs()).max().unwrap();
    let mut before = peak(&block);
    for index in 5..8 {
        let pulled;
        (pulled, block) = line.pull(START + millis(20 * index + 5), &[]);
        assert_eq!(pulled, Pulled::Concealed);
        assert!(peak(&block) < before && peak(&block) > 0);
        before = peak(&block);
    }
    assert!(block.0[BLOCK_SAMPLES - 1].unsigned_abs() < before.max(100));
}

#[test]
fn a_steady_jitter_is_absorbed_by_delay() {
    for jitter_ms in [5, 15, 30, 60, 90] {
        let mut random = Random::new(jitter_ms);
        let mut packets = stream(START, 3000, 160);
        for packet in &mut packets {
            packet.arrival += millis((u64::from(random.next_u32()) * jitter_ms) >> 32);
        }
        let heard = play(&packets, Instant::from_millis(3));
        let settled = START + millis(5000);
        let last = packets[packets.len() - 1].position;
        let end = START + samples(last);
        let concealed = heard.concealed_after(settled) - heard.concealed_after(end);
        assert!(concealed <= 28, "{jitter_ms} ms: {concealed} of 2750 concealed");
        let most = millis(jitter_ms + 45);
        let longest = heard.longest_wait_after(5 * 8000);
        assert!(longest <= most, "{jitter_ms} ms: waited {longest:?}");
        assert_conserved(&heard, &packets);
    }
}

#[test]
fn after_a_stall_nothing_is_lost_and_the_delay_recovers_within_seconds() {
    for stall_ms in [40, 100, 250] {
        let mut packets = stream(START, 1000, 160);
        let (from, until) = (START + millis(4000), START + millis(4000 + stall_ms));
        for packet in packets.iter_mut().filter(|packet| packet.arrival >= from) {
            packet.arrival = packet.arrival.max(until);
        }
        let heard = play(&packets, Instant::from_millis(9));
        assert_eq!((heard.late, heard.overflows), (0, 0), "{stall_ms}");
        assert!(heard.longest_wait_after(0) <= millis(stall_ms + 22), "{stall_ms}");
        assert!(heard.longest_wait_after(12 * 8000) <= millis(24), "{stall_ms}");
        assert_conserved(&heard, &packets);
    }
}

#[test]
fn after_a_long_stall_the_oldest_makes_way_and_the_delay_stays_bounded() {
    let mut packets = stream(START, 1000, 160);
    let (from, until) = (START + millis(4000), START + millis(5500));
    for packet in packets.iter_mut().filter(|packet| packet.arrival >= from) {
        packet.arrival = packet.arrival.max(until);
    }
    let heard = play(&packets, Instant::from_millis(9));
    assert!(heard.overflows > 50, "{}", heard.overflows);
    assert!(heard.longest_wait_after(0) <= millis(322), "{:?}", heard.longest_wait_after(0));
    assert!(heard.longest_wait_after(13 * 8000) <= millis(24));
    assert_conserved(&heard, &packets);
}

/// What is invented and cut out in the last minute of a call whose packets come ever later by up
/// to `longer_ms`, in one leap after another, and by up to 30 ms of jitter.
fn changed_on_a_longer_way(longer_ms: impl Fn(u64) -> u64) -> u64 {
    let mut random = Random::new(3);
    let mut packets = stream(START, 5000, 160);
    for (index, packet) in (0..).zip(&mut packets) {
        let jitter = Duration::from_micros((u64::from(random.next_u32()) * 30_000) >> 32);
        packet.arrival += millis(longer_ms(index)) + jitter;
    }
    let changed = |packets: &[Sent]| {
        let report = play(packets, START).report;
        report.samples_concealed + report.samples_accelerated + report.samples_expanded
    };
    changed(&packets) - changed(&packets[..2000])
}

#[test]
fn a_way_that_became_longer_than_any_delay_for_good_is_learned() {
    let usual = changed_on_a_longer_way(|_| 0);
    // A sender that stood still twice and whose timestamps did as well, and a queue that fills.
    let stalls = |index| 180 * (u64::from(index > 200) + u64::from(index > 350));
    let ramp = |index: u64| (index.saturating_sub(200) * 3).min(600);
    let after = [changed_on_a_longer_way(stalls), changed_on_a_longer_way(ramp)];
    assert!(after.iter().all(|&changed| changed < usual + 4000), "{after:?}, usually {usual}");
}

#[test]
fn clock_skew_is_absorbed() {
    for ppm in [-300_i64, 300] {
        let mut packets = stream(START, 30_000, 160);
        for packet in &mut packets {
            let elapsed = packet.arrival.since(START).as_nanos() as i64;
            packet.arrival =
                START + Duration::from_nanos((elapsed + elapsed * ppm / 1_000_000) as u64);
        }
        let heard = play(&packets, Instant::from_millis(5));
        // 600 s at 300 ppm are 180 ms: nine periods.
        let report = &heard.report;
        let changed = report.samples_accelerated + report.samples_expanded;
        assert!((1100..=1700).contains(&changed), "{ppm} ppm: {:?}", heard.report);
        assert!(heard.longest_wait_after(0) <= millis(45), "{:?}", heard.longest_wait_after(0));
        assert_conserved(&heard, &packets);
    }
}

#[test]
fn what_is_passed_over_takes_its_time_and_what_follows_is_in_its_place() {
    let packets = stream(START, 300, 160);
    let mut line = Line::new();
    let mut now = START + millis(9);
    for (number, packet) in packets.iter().enumerate() {
        line.receive(packet);
        if (100..200).contains(&number) {
            let mut frame = [0; BLOCK_SAMPLES];
            let scratch = &mut line.scratch;
            let relayed =
                line.relayed.pull_frame(now, ENCODING, &Kernels::SCALAR, scratch, &mut frame);
            assert_eq!((line.decoded.pass_over(now), relayed), (Pulled::Played, Pulled::Played));
        } else {
            let mut blocks = [Block::SILENCE; 2];
            let mut frame = [0; BLOCK_SAMPLES];
            let scratch = &mut line.scratch;
            let decoder = &mut Decoder::G711(ENCODING);
            let pulled =
                line.decoded.pull(now, decoder, &Kernels::SCALAR, scratch, &mut blocks[0].0);
            if pulled != Pulled::Played {
                assert!(number < 2, "nothing is lost");
                line.relayed.pull_frame(now, ENCODING, &Kernels::SCALAR, scratch, &mut frame);
                now += PERIOD;
                continue;
            }
            line.relayed.pull_frame(now, ENCODING, &Kernels::SCALAR, scratch, &mut frame);
            g711::decode(ENCODING, &Kernels::SCALAR, &frame, &mut blocks[1].0);
            // It fades in.
            let fade = if number == 200 { 40 } else { 0 };
            let [decoded, relayed] = blocks.map(|block| block.0[fade..].to_vec());
            assert_eq!(decoded, relayed, "{number}");
        }
        now += PERIOD;
    }
    assert_eq!(line.decoded.delay(), line.relayed.delay());
    assert_eq!(line.decoded.report().samples_concealed, 0);
}

#[test]
fn what_is_passed_over_gives_back_delay_and_nothing_is_invented_after_it() {
    let mut packets = stream(START, 400, 160);
    let (from, until) = (START + millis(1000), START + millis(1200));
    for packet in packets.iter_mut().filter(|packet| packet.arrival >= from) {
        packet.arrival = packet.arrival.max(until);
    }
    let mut line = Line::new();
    let mut waiting = packets.iter().peekable();
    let mut now = Instant::from_millis(9);
    while waiting.peek().is_some() {
        while let Some(packet) = waiting.next_if(|packet| packet.arrival <= now) {
            line.receive(packet);
        }
        line.decoded.pass_over(now);
        line.relayed.pass_over(now);
        now += PERIOD;
    }
    assert!(line.decoded.delay() <= millis(24), "{:?}", line.decoded.delay());
    let mut block = Block([1; BLOCK_SAMPLES]);
    now += PERIOD * 2;
    let decoder = &mut Decoder::G711(ENCODING);
    for _ in 0..3 {
        line.decoded.pull(now, decoder, &Kernels::SCALAR, &mut line.scratch, &mut block.0);
        now += PERIOD;
    }
    assert_eq!(block, Block::SILENCE, "the stream is over");
    assert_eq!(line.decoded.report().samples_concealed, 0);
}

#[test]
fn reordered_packets_are_played_in_order() {
    let mut packets = stream(START, 300, 160);
    for pair in packets.chunks_exact_mut(10) {
        pair[4].arrival += millis(25);
    }
    let heard = play(&packets, Instant::from_millis(4));
    assert!(heard.late <= 3, "after a few the delay has grown: {}", heard.late);
    assert_conserved(&heard, &packets);
}

#[test]
fn duplicates_are_counted_and_played_once() {
    let packets = stream(START, 200, 160);
    let mut twice = packets.clone();
    twice.extend(packets.iter().map(|p| Sent { arrival: p.arrival + millis(1), ..*p }));
    twice.extend(packets.iter().map(|p| Sent { arrival: p.arrival + millis(300), ..*p }));
    let heard = play(&twice, Instant::from_millis(4));
    assert_eq!((heard.stored, heard.duplicates), (200, 400));
    assert_eq!(heard.samples, 200 * 160);
}

#[test]
fn a_sender_that_pauses_is_silent_and_not_concealed_for_long() {
    let mut packets = stream(START, 100, 160);
    // Talkspurts of 10 packets, pauses of 30: the timestamps go on, the sequence does not.
    for packet in &mut packets {
        let pauses = packet.position / 1600;
        packet.arrival += millis(600 * pauses);
        packet.timestamp = packet.timestamp.wrapping_add(4800 * pauses as u32);
    }
    let heard = play(&packets, Instant::from_millis(4));
    assert_eq!(heard.report.blocks_played, 100);
    assert_eq!(heard.samples, 16_000);
    assert_eq!(heard.report.blocks_concealed, 50, "100 ms at the end of each talkspurt");
    assert!(heard.longest_wait_after(0) < millis(42), "{:?}", heard.longest_wait_after(0));
}

#[test]
fn a_pause_within_the_buffered_sound_is_silence_and_no_loss() {
    let mut line = Line::new();
    let mut packets = stream(START, 14, 160);
    for packet in packets.iter_mut().filter(|packet| packet.position >= 1600) {
        packet.timestamp = packet.timestamp.wrapping_add(320);
    }
    for packet in &packets {
        line.receive(packet); // All at once.
    }
    let start = packets[13].arrival;
    let pulls: Vec<Pulled> =
        (1..=17).map(|index| line.pull(start + millis(20 * index), &packets).0).collect();
    let count = |kind| pulls.iter().filter(|&&pulled| pulled == kind).count();
    assert_eq!(count(Pulled::Silence), 2, "{pulls:?}");
    let last = pulls.iter().rposition(|&pulled| pulled == Pulled::Played);
    let invented = pulls.iter().position(|&pulled| pulled == Pulled::Concealed);
    assert!(invented > last, "{pulls:?}");
}

#[test]
fn timestamps_that_jump_do_not_disturb_the_sound() {
    for jump in [1_000_000_u32, 0x8000_0000, 0xfff0_0000, 8000, 0xffff_e000] {
        let mut packets = stream(START, 200, 160);
        for packet in packets.iter_mut().filter(|packet| packet.position >= 16_000) {
            packet.timestamp = packet.timestamp.wrapping_add(jump);
        }
        let heard = play(&packets, Instant::from_millis(4));
        assert_eq!(heard.report.blocks_played, 200, "{jump:#x}");
        assert_eq!(heard.report.blocks_concealed, 5, "only at the very end, {jump:#x}");
        assert_conserved(&heard, &packets);
    }
}

#[test]
fn a_sequence_jump_restarts_the_stream() {
    let mut packets = stream(START, 200, 160);
    for packet in packets.iter_mut().filter(|packet| packet.position >= 16_000) {
        packet.sequence = packet.sequence.wrapping_add(20_000);
        packet.timestamp = packet.timestamp.wrapping_add(123_456_789);
    }
    let heard = play(&packets, Instant::from_millis(4));
    assert_eq!((heard.invalid, heard.stored), (1, 199));
    assert_eq!(heard.samples, 199 * 160);
}

#[test]
fn a_paused_clock_resumes_without_delay() {
    // Hold and resume by a phone whose timestamps stand still meanwhile.
    let mut packets = stream(START, 200, 160);
    for packet in packets.iter_mut().filter(|packet| packet.position >= 16_000) {
        packet.arrival += millis(5007);
    }
    let heard = play(&packets, Instant::from_millis(4));
    assert_eq!(heard.report.blocks_played, 200);
    assert!(heard.longest_wait_after(0) < millis(22), "{:?}", heard.longest_wait_after(0));
}

#[test]
fn after_a_long_pause_the_delay_begins_anew() {
    // The sender's clock ran 200 ms ahead meanwhile: nobody is to wait for that.
    let mut packets = stream(START, 200, 160);
    for packet in packets.iter_mut().filter(|packet| packet.position >= 16_000) {
        packet.arrival += millis(60_000);
        packet.timestamp = packet.timestamp.wrapping_add(60_200 * 8);
    }
    let heard = play(&packets, Instant::from_millis(4));
    assert_eq!(heard.report.blocks_played, 200);
    assert!(heard.longest_wait_after(0) < millis(22), "{:?}", heard.longest_wait_after(0));
}

#[test]
fn payloads_that_fit_no_slot_are_discarded() {
    let header = RtpHeader {
        payload_type: 0,
        marker: true,
        sequence: SequenceNumber(0),
        timestamp: RtpTimestamp(0),
        ssrc: Ssrc(1),
    };
    let mut playout = Playout::new(&LIMITS);
    for length in [0, PAYLOAD_BYTES_MAX + 1] {
        let bytes = [&header.write()[..], &vec![0; length]].concat();
        let view = RtpView::parse(&bytes).unwrap();
        let stored = playout.insert(
            &view,
            ExtendedSequence(1),
            Arrival::At(START),
            &Decoder::G711(ENCODING),
        );
        assert_eq!(stored, Err(Discard::PayloadSize));
    }
}

#[test]
fn memory_of_one_buffer_is_small() {
    assert!(size_of::<Playout>() <= 6 * 1024, "{}", size_of::<Playout>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn any_network_conserves_orders_bounds_and_recovers(
        seed: u64, jitter_ms in 0u64..120, loss in 0u32..30, duplication in 0u32..20,
        stall_ms in 0u64..400, phase in 0u64..20,
    ) {
        let mut random = Random::new(seed);
        let mut percent = move || ((u64::from(random.next_u32()) * 100) >> 32) as u32;
        let bad = START + millis(6000);
        let mut packets = Vec::new();
        for mut packet in stream(START, 2000, 160) {
            if packet.arrival < bad {
                if percent() < loss {
                    continue;
                }
                packet.arrival += millis(u64::from(percent()) * jitter_ms / 100);
                if packet.arrival >= START + millis(3000) {
                    packet.arrival = packet.arrival.max(START + millis(3000 + stall_ms));
                }
                if percent() < duplication {
                    let arrival = packet.arrival + millis(u64::from(percent()));
                    packets.push(Sent { arrival, ..packet });
                }
            }
            packets.push(packet);
        }
        let heard = play(&packets, Instant::from_millis(phase));
        assert_conserved(&heard, &packets);
        prop_assert!(heard.longest_wait_after(0) <= millis(322), "{:?} {:?}", heard.longest_wait_after(0), heard.report);
        // Seconds after the last disturbance the delay is back at what is aimed at; half a minute
        // after it all is as on a clean network.
        let recovered = 36 * 8000;
        prop_assert!(heard.waited_packets_after(recovered) >= 190);
        prop_assert!(heard.longest_wait_after(recovered) <= millis(40), "{:?} {:?}", heard.longest_wait_after(recovered), heard.report);
    }

    #[test]
    fn any_packets_at_any_time_are_stored_or_discarded(
        packets in prop::collection::vec(
            (any::<u16>(), any::<u32>(), 0u64..600, 0u64..100, any::<bool>()), 1..60
        ),
    ) {
        let mut line = Line::new();
        let mut now = START;
        let mut sequence = 0;
        let mut timestamp = 0_u32;
        for (wild_sequence, wild_timestamp, length, wait, is_wild) in packets {
            sequence = if is_wild { wild_sequence } else { sequence.wrapping_add(1) };
            timestamp = if is_wild { wild_timestamp } else { timestamp.wrapping_add(160) };
            now += millis(wait);
            let length = length.clamp(1, 480);
            line.receive(&Sent { arrival: now, sequence, position: 0, length, timestamp });
            line.pull_both(now);
        }
        prop_assert!(line.decoded.report().delay <= millis(520));
    }
}
