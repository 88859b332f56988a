use media_units::EncodingParameters;

use super::super::continuity::voice_at;
use super::*;

/// 20 ms.
const BLOCK: usize = 960;

fn parameters() -> EncodingParameters {
    EncodingParameters::DEFAULT
}

/// The packets of a voice, 20 ms each.
fn packets(encoder: &mut OpusEncoder, voice: &[i16]) -> Vec<Vec<u8>> {
    let mut frame = [0; 1500];
    let encode = |block: &[i16]| {
        let octets = encoder.encode(block, &mut frame);
        frame[..octets].to_vec()
    };
    voice.chunks_exact(BLOCK).map(encode).collect()
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|&s| f64::from(s).powi(2)).sum()
}

#[test]
fn packets_of_10_20_40_and_60_ms_are_made_and_of_30_ms_none() {
    let voice = voice_at(48_000, 1);
    let (mut frame, mut samples) = ([0; 1500], [0; 5760]);
    for length in [480, 960, 1920, 2880] {
        let mut encoder = OpusEncoder::new(&parameters());
        let mut decoder = OpusDecoder::default();
        for block in voice.chunks_exact(length) {
            let octets = encoder.encode(block, &mut frame);
            assert_eq!(decoder.samples(&frame[..octets]), Ok(length));
            assert_eq!(decoder.decode(&frame[..octets], &mut samples), length);
        }
    }
    assert_eq!(OpusEncoder::new(&parameters()).encode(&voice[..1440], &mut frame), 0);
}

#[test]
fn the_bit_rate_is_what_was_asked_for() {
    let voice = voice_at(48_000, 4);
    for bit_rate in [12_000, 24_000, 64_000] {
        let mut encoder = OpusEncoder::new(&EncodingParameters { bit_rate, ..parameters() });
        let octets: usize = packets(&mut encoder, &voice).iter().map(Vec::len).sum();
        let asked = bit_rate as usize / 8 * 4;
        // The pauses of the voice need less.
        assert!((asked * 6 / 10..=asked).contains(&octets), "{octets}, asked {asked}");
    }
}

#[test]
fn a_constant_bit_rate_gives_packets_of_one_size() {
    let constant = EncodingParameters { constant_bit_rate: true, ..parameters() };
    let sent = packets(&mut OpusEncoder::new(&constant), &voice_at(48_000, 1));
    assert!(sent.iter().all(|packet| packet.len() == 80), "32 kbit/s");
}

#[test]
fn no_more_is_coded_than_can_be_played() {
    // The configuration in the first octet names the bandwidth (RFC 6716 table 2).
    let bandwidth = |packet: &Vec<u8>| match packet[0] >> 3 {
        0..4 | 16..20 => 8000,
        4..8 => 12_000,
        8..12 | 20..24 => 16_000,
        12..14 | 24..28 => 24_000,
        _ => 48_000,
    };
    let voice = voice_at(48_000, 1);
    for playback_rate in [8000, 12_000, 16_000, 24_000, 48_000] {
        let wish = EncodingParameters { playback_rate, bit_rate: 64_000, ..parameters() };
        let sent = packets(&mut OpusEncoder::new(&wish), &voice);
        assert!(sent.iter().all(|packet| bandwidth(packet) <= playback_rate), "{playback_rate}");
    }
}

#[test]
fn silence_is_not_sent_where_the_endpoint_agreed() {
    let silence = vec![0; 48_000 * 2];
    let sent = |discontinuous| {
        let wish = EncodingParameters { discontinuous, ..parameters() };
        let mut encoder = OpusEncoder::new(&wish);
        packets(&mut encoder, &voice_at(48_000, 1));
        packets(&mut encoder, &silence).iter().filter(|packet| !packet.is_empty()).count()
    };
    assert_eq!(sent(false), 100);
    assert!((1..40).contains(&sent(true)), "{}", sent(true));
}

#[test]
fn redundancy_is_sent_while_loss_is_reported() {
    let voice = voice_at(48_000, 1);
    let redundant = |encoder: &mut OpusEncoder| {
        let sent = packets(encoder, &voice);
        sent.iter().filter(|packet| Packet::parse(packet).unwrap().has_redundancy()).count()
    };
    let mut encoder = OpusEncoder::new(&parameters());
    assert_eq!(redundant(&mut encoder), 0);
    encoder.far_end_lost(26); // 10 %
    assert!(redundant(&mut encoder) > 25);
    for _ in 0..5 {
        encoder.far_end_lost(0);
    }
    redundant(&mut encoder);
    assert_eq!(redundant(&mut encoder), 0, "the loss is over");
    let mut unwilling =
        OpusEncoder::new(&EncodingParameters { in_band_fec: false, ..parameters() });
    unwilling.far_end_lost(26);
    assert_eq!(redundant(&mut unwilling), 0);
}

#[test]
fn a_lost_packet_is_recovered_from_the_next_better_than_invented() {
    let voice = voice_at(48_000, 4);
    let mut encoder = OpusEncoder::new(&parameters());
    encoder.far_end_lost(51);
    let sent = packets(&mut encoder, &voice);
    let mut whole = OpusDecoder::default();
    let (mut recovering, mut inventing) = (OpusDecoder::default(), OpusDecoder::default());
    let (mut recovered, mut invented, mut times) = (0.0, 0.0, 0);
    for (at, packet) in sent.iter().enumerate() {
        let mut block = [[0; BLOCK]; 3];
        whole.decode(packet, &mut block[0]);
        if at % 5 == 4 && at + 1 < sent.len() {
            times += usize::from(recovering.recover(&sent[at + 1], &mut block[1]));
            assert!(inventing.conceal(&mut block[2]));
        } else {
            recovering.decode(packet, &mut block[1]);
            inventing.decode(packet, &mut block[2]);
        }
        let difference = |other: &[i16; BLOCK]| {
            let pairs = block[0].iter().zip(other);
            pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>()
        };
        recovered += difference(&block[1]);
        invented += difference(&block[2]);
    }
    assert!(times >= 30, "{times} of 39");
    assert!(recovered < 0.6 * invented, "{recovered} against {invented}");
}

#[test]
fn nothing_is_recovered_from_a_packet_without_redundancy() {
    let sent = packets(&mut OpusEncoder::new(&parameters()), &voice_at(48_000, 1));
    let mut decoder = OpusDecoder::default();
    let mut samples = [0; BLOCK];
    decoder.decode(&sent[20], &mut samples);
    assert!(!decoder.recover(&sent[22], &mut samples));
    assert!(!decoder.recover(&[], &mut samples));
    assert!(!decoder.conceal(&mut samples[..100]), "not a multiple of 2.5 ms");
}

#[test]
fn a_long_loss_dies_away() {
    let sent = packets(&mut OpusEncoder::new(&parameters()), &voice_at(48_000, 1));
    let mut decoder = OpusDecoder::default();
    let mut samples = [0; BLOCK];
    for packet in &sent[..30] {
        decoder.decode(packet, &mut samples);
    }
    assert!(decoder.conceal(&mut samples) && energy(&samples) > 0.0);
    let first = energy(&samples);
    for _ in 0..100 {
        assert!(decoder.conceal(&mut samples));
    }
    assert!(energy(&samples) < first / 1000.0, "{} after {first}", energy(&samples));
}

#[test]
fn a_reset_decoder_is_a_new_one() {
    let sent = packets(&mut OpusEncoder::new(&parameters()), &voice_at(48_000, 1));
    let (mut used, mut new) = (OpusDecoder::default(), OpusDecoder::default());
    let mut samples = [[0; BLOCK]; 2];
    for packet in &sent {
        used.decode(packet, &mut samples[0]);
    }
    used.reset();
    for packet in &sent {
        used.decode(packet, &mut samples[0]);
        new.decode(packet, &mut samples[1]);
        assert_eq!(samples[0], samples[1]);
    }
}

#[test]
fn an_empty_frame_is_as_long_as_its_first_octet_says() {
    for (toc, length) in [(0b1111_1000, BLOCK), (0b1111_1100, BLOCK), (0b0001_1000, 2880)] {
        let mut decoder = OpusDecoder::default();
        assert_eq!(decoder.samples(&[toc]), Ok(length));
        let mut samples = [1; 2880];
        assert_eq!(decoder.decode(&[toc], &mut samples), length);
        assert!(samples[..length].iter().all(|&sample| sample == 0));
    }
}
