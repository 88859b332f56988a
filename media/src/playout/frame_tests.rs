//! Formats other than G.711, and packets that are no sound.

use std::time::Duration;

use media_kernels::Kernels;
use media_units::{
    Arrival, Discard, Encoding, EncodingParameters, ExtendedSequence, Instant, PERIOD,
    RtpTimestamp, SequenceNumber, Ssrc,
};
use proptest::prelude::*;

use super::*;
use crate::Random;
use crate::codec::{Decoder, Encoder, FRAME_BYTES_MAX, silence_descriptor};
use crate::rtp::{RtpHeader, RtpView};

const LIMITS: PlayoutLimits = PlayoutLimits {
    delay_min: Duration::ZERO,
    delay_initial: Duration::ZERO,
    delay_max: Duration::from_millis(300),
};

const START: Instant = Instant::from_millis(1000);

/// As for speech on a poor network: Opus has redundancy only where it codes a voice.
const PARAMETERS: EncodingParameters = EncodingParameters {
    bit_rate: 20_000,
    playback_rate: 16_000,
    ilbc_mode_ms: 20,
    ..EncodingParameters::DEFAULT
};

/// A sender, and the buffer at the other end.
struct Line {
    encoding: Encoding,
    encoder: Encoder,
    decoder: Decoder,
    playout: Playout,
    scratch: Scratch,
    sent: u64,
    sound: Vec<i16>,
}

impl Line {
    fn new(encoding: Encoding) -> Self {
        let mut playout = Playout::new(&LIMITS);
        assert!(playout.equip(Memory::new(encoding, &LIMITS)).is_none());
        Self {
            encoding,
            encoder: Encoder::new(encoding, &PARAMETERS),
            decoder: Decoder::new(encoding),
            playout,
            scratch: Scratch::new(),
            sent: 0,
            sound: Vec::new(),
        }
    }

    fn period(&self) -> usize {
        self.encoding.sample_rate() as usize / 50
    }

    /// The next 20 ms of something like a voice: pulses through a resonance.
    fn encode(&mut self) -> Vec<u8> {
        let rate = f64::from(self.encoding.sample_rate());
        let first = self.sent * self.period() as u64;
        let samples: Vec<i16> = (0..self.period() as u64)
            .map(|index| {
                let time = (first + index) as f64 / rate;
                let phase = (time * 125.0).fract() / 125.0;
                let ring = (phase * 700.0 * std::f64::consts::TAU).sin() * (-phase * 250.0).exp();
                let syllable = (time * 2.5 * std::f64::consts::TAU).sin().powi(2);
                (ring * syllable * 12_000.0) as i16
            })
            .collect();
        let mut frame = [0; FRAME_BYTES_MAX];
        let length = self.encoder.encode(&Kernels::SCALAR, &samples, &mut frame);
        frame[..length].to_vec()
    }

    fn packet(&self, number: u64, payload: &[u8]) -> Vec<u8> {
        let units = self.encoding.clock_rate() / 50;
        let header = RtpHeader {
            payload_type: 96,
            marker: false,
            sequence: SequenceNumber(number as u16),
            timestamp: RtpTimestamp((number as u32).wrapping_mul(units).wrapping_sub(5000)),
            ssrc: Ssrc(1),
        };
        [&header.write()[..], payload].concat()
    }

    /// Sends 20 ms; `arrives` says how much later they come, if at all.
    fn send(&mut self, arrival: Option<Arrival>) -> Result<(), Discard> {
        let payload = self.encode();
        let packet = self.packet(self.sent, &payload);
        self.sent += 1;
        let Some(arrival) = arrival else { return Ok(()) };
        let view = RtpView::parse(&packet).unwrap();
        let extended = ExtendedSequence(65_536 + self.sent - 1);
        self.playout.insert(&view, extended, arrival, &self.decoder)
    }

    fn pull(&mut self, now: Instant) -> Pulled {
        let mut samples = vec![0; self.period()];
        let Self { decoder, scratch, .. } = self;
        let pulled = self.playout.pull(now, decoder, &Kernels::SCALAR, scratch, &mut samples);
        self.sound.extend(samples);
        pulled
    }

    /// Sends and pulls so many periods, those of `lost` never arriving.
    fn run(&mut self, periods: u64, lost: impl Fn(u64) -> bool) -> Vec<Pulled> {
        let first = self.sent;
        (first..first + periods)
            .map(|number| {
                let at = START + PERIOD * number as u32;
                self.send((!lost(number)).then_some(Arrival::At(at))).unwrap();
                self.pull(at + Duration::from_millis(7))
            })
            .collect()
    }
}

fn framed() -> impl Iterator<Item = Encoding> {
    Encoding::ALL.into_iter().filter(|&encoding| {
        Memory::new(encoding, &LIMITS).is_some()
            && !matches!(Decoder::new(encoding), Decoder::G711(_))
    })
}

#[test]
fn every_format_is_played_without_delay_or_invention() {
    for encoding in framed() {
        let mut line = Line::new(encoding);
        let pulls = line.run(100, |_| false);
        let report = line.playout.report();
        assert!(pulls[1..].iter().all(|&pulled| pulled == Pulled::Played), "{encoding}");
        assert_eq!(report.samples_concealed + report.samples_accelerated, 0, "{encoding}");
        assert_eq!((report.packets_stored, report.packets_late), (100, 0));
        assert!(report.delay <= Duration::from_millis(10), "{encoding}: {:?}", report.delay);
        let loudest = line.sound.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!(loudest > 4000, "{encoding}: {loudest}");
    }
}

#[test]
fn a_lost_frame_is_invented_without_a_jump() {
    // Opus fills in itself what it foresees; the predictors of G.726 take a while to agree again.
    let other = [Encoding::Opus, Encoding::G726];
    for encoding in framed().filter(|encoding| !other.contains(encoding)) {
        let mut whole = Line::new(encoding);
        whole.run(60, |_| false);
        let mut line = Line::new(encoding);
        let pulls = line.run(60, |number| number == 40);
        assert_eq!(pulls.iter().filter(|&&p| p == Pulled::Concealed).count(), 1, "{encoding}");
        let steepest = |sound: &[i16]| {
            sound.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap()
        };
        let period = line.period();
        let (around, same) = (39 * period..43 * period, steepest(&whole.sound[39 * period..]));
        let steep = steepest(&line.sound[around]);
        assert!(steep <= same * 3 / 2, "{encoding}: {steep} instead of {same}");
        let report = line.playout.report();
        assert_eq!(report.samples_concealed, period as u64);
    }
}

#[test]
fn after_losses_the_redundancy_of_opus_is_waited_for_and_used() {
    let mut line = Line::new(Encoding::Opus);
    line.encoder.far_end_lost(40);
    line.run(600, |number| number % 12 == 7);
    let before = line.playout.report();
    assert!(before.packets_recovered > 10, "{before:?}");
    line.run(240, |number| number % 12 == 7);
    let after = line.playout.report();
    assert!(after.packets_recovered - before.packets_recovered >= 8, "of 20: {after:?}");
    assert!(after.delay <= Duration::from_millis(35), "{after:?}");
    line.run(1500, |_| false);
    let calm = line.playout.report();
    assert!(calm.delay <= Duration::from_millis(15), "it is given back: {calm:?}");
}

#[test]
fn a_pause_that_was_described_is_filled_with_its_noise() {
    let mut line = Line::new(Encoding::G722);
    line.run(20, |_| false);
    let noise = line.packet(20, &[60]);
    let at = START + PERIOD * 20;
    let view = RtpView::parse(&noise).unwrap();
    let extended = ExtendedSequence(65_536 + 20);
    assert_eq!(line.playout.insert_comfort_noise(&view, extended, Arrival::At(at)), Ok(()));
    for index in 0..50_u32 {
        let pulled = line.pull(at + PERIOD * index + Duration::from_millis(7));
        assert!(pulled != Pulled::Concealed, "{index}: a pause is no loss");
        assert!(index < 2 || pulled == Pulled::Noise, "{index} {pulled:?}");
    }
    let tail = &line.sound[line.sound.len() - 8000..];
    let loudest = tail.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((10..400).contains(&loudest), "about -60 dBov: {loudest}");
    // Sound goes on where the sender's clock stands.
    line.sent = 70;
    let pulls = line.run(20, |_| false);
    assert_eq!(pulls.iter().filter(|&&pulled| pulled == Pulled::Played).count(), 20);
}

/// Twenty packets, then a description of silence in the format's own way, made of the last of
/// them, nothing for a second, and sound again. The pause has begun after so many pulls.
fn assert_pause_after(encoding: Encoding, pulls: u32, describe: impl Fn(&[u8]) -> Vec<u8>) {
    let mut line = Line::new(encoding);
    line.run(20, |_| false);
    let speech = line.encode();
    let packet = line.packet(20, &describe(&speech));
    let at = START + PERIOD * 20;
    let view = RtpView::parse(&packet).unwrap();
    let extended = ExtendedSequence(65_536 + 20);
    let Line { playout, decoder, .. } = &mut line;
    assert_eq!(playout.insert(&view, extended, Arrival::At(at), decoder), Ok(()));
    let before = line.playout.report().blocks_concealed;
    for index in 0..50_u32 {
        let pulled = line.pull(at + PERIOD * index + Duration::from_millis(7));
        assert!(index < pulls || pulled == Pulled::Noise, "{encoding} {index} {pulled:?}");
    }
    assert_eq!(line.playout.report().blocks_concealed, before, "a pause is no loss");
    let tail = &line.sound[line.sound.len() - 4000..];
    assert!(tail.iter().any(|sample| *sample != 0));
    line.sent = 70;
    let pulls = line.run(20, |_| false);
    assert_eq!(pulls.iter().filter(|&&pulled| pulled == Pulled::Played).count(), 20);
}

#[test]
fn a_description_of_silence_in_gsm_begins_a_pause_that_is_filled_with_its_noise() {
    assert_pause_after(Encoding::Gsm, 2, |speech| silence_descriptor(speech).to_vec());
}

#[cfg(feature = "g729")]
#[test]
fn a_description_of_silence_in_g729_begins_a_pause_that_is_filled_with_its_noise() {
    use crate::codec::ROOM_NOISE;

    // Behind frames of speech in its packet, which are 20 ms more, and alone.
    assert_pause_after(Encoding::G729, 3, |_| ROOM_NOISE[0][20..].to_vec());
    assert_pause_after(Encoding::G729, 2, |_| ROOM_NOISE[1][40..].to_vec());
}

/// What is pulled in the 8 s after the last packet of somebody who was loud and soft by turns, a second
/// each, on a line with noise of this amplitude.
fn pulls_after_a_loss(noise: i16) -> (Vec<Pulled>, Vec<i16>) {
    let mut line = Line::new(Encoding::L16At16000);
    let mut random = Random::new(4);
    let pull_at = |number: u32| START + PERIOD * number + Duration::from_millis(7);
    for number in 0..400_u32 {
        let loud = if number / 50 % 2 == 0 { 30 } else { 1 };
        let samples: Vec<i16> =
            (0..320).map(|_| (random.next_u32() as i16 / 256 * noise / 128) * loud).collect();
        let payload: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
        let packet = line.packet(number.into(), &payload);
        let view = RtpView::parse(&packet).unwrap();
        let extended = ExtendedSequence(65_536 + u64::from(number));
        let arrival = Arrival::At(START + PERIOD * number);
        let Line { playout, decoder, .. } = &mut line;
        assert_eq!(playout.insert(&view, extended, arrival, decoder), Ok(()));
        line.pull(pull_at(number));
    }
    let heard = line.sound.len();
    let pulls = (400..800).map(|number| line.pull(pull_at(number))).collect();
    (pulls, line.sound.split_off(heard))
}

#[test]
fn a_long_loss_fades_to_the_noise_of_the_line_and_after_seconds_to_silence() {
    let (pulls, sound) = pulls_after_a_loss(128);
    let count = |wanted| pulls.iter().filter(|&&pulled| pulled == wanted).count();
    assert!((4..=6).contains(&count(Pulled::Concealed)), "{pulls:?}");
    assert!((245..=251).contains(&count(Pulled::Noise)), "5 s: {pulls:?}");
    assert_eq!(pulls.last(), Some(&Pulled::Silence));
    let power = |sound: &[i16]| {
        let energy: f64 = sound.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        10.0 * (energy / sound.len() as f64).log10()
    };
    // Evenly between -128 and 127.
    let change = power(&sound[320 * 20..320 * 240]) - 20.0 * (128.0_f64 / 3.0_f64.sqrt()).log10();
    assert!(change.abs() < 2.0, "{change}");
    let last = pulls.iter().rposition(|&pulled| pulled == Pulled::Noise).unwrap();
    assert!(power(&sound[320 * last..][..320]) < 10.0, "it fades");
    assert!(sound[320 * (last + 1)..].iter().all(|&sample| sample == 0));
}

#[test]
fn a_long_loss_on_a_silent_line_fades_to_silence() {
    let (pulls, sound) = pulls_after_a_loss(0);
    assert!(!pulls.contains(&Pulled::Noise), "{pulls:?}");
    assert!(sound.iter().all(|&sample| sample == 0));
}

#[test]
fn noise_that_nobody_wants_is_told_and_not_made() {
    let mut line = Line::new(Encoding::L16At16000);
    line.playout.want_noise(false);
    line.run(20, |_| false);
    let packet = line.packet(20, &[30]);
    let view = RtpView::parse(&packet).unwrap();
    let at = START + PERIOD * 20;
    let extended = ExtendedSequence(65_536 + 20);
    assert_eq!(line.playout.insert_comfort_noise(&view, extended, Arrival::At(at)), Ok(()));
    let wanted = |line: &mut Line, index: u32| {
        let pulled = line.pull(at + PERIOD * index + Duration::from_millis(7));
        let is_silent = line.sound[line.sound.len() - 320..].iter().all(|&sample| sample == 0);
        (pulled, !is_silent)
    };
    line.pull(at + Duration::from_millis(7));
    assert_eq!(wanted(&mut line, 1), (Pulled::Noise, false));
    line.playout.want_noise(true);
    assert_eq!(wanted(&mut line, 2), (Pulled::Noise, true));
}

#[test]
fn arrivals_that_are_not_exact_do_not_make_the_delay_grow() {
    let mut line = Line::new(Encoding::L16At16000);
    for number in 0..500_u32 {
        let read = START + PERIOD * number + Duration::from_millis(7);
        let arrival =
            if number % 8 == 0 { Arrival::At(read - PERIOD / 4) } else { Arrival::By(read) };
        line.send(Some(arrival)).unwrap();
        line.pull(read);
    }
    let report = line.playout.report();
    assert_eq!(report.samples_concealed + report.samples_expanded, 0, "{report:?}");
    assert!(report.delay_target <= Duration::from_millis(3), "{report:?}");
}

#[test]
fn memory_is_given_back_and_the_next_format_begins_anew() {
    let mut line = Line::new(Encoding::L16At44100);
    assert_eq!(line.period(), 882);
    line.run(10, |_| false);
    let back = line.playout.equip(Memory::new(Encoding::G722, &LIMITS));
    assert_eq!(back.map(|memory| memory.encoding()), Some(Encoding::L16At44100));
    assert_eq!(line.playout.equip(None).map(|memory| memory.encoding()), Some(Encoding::G722));
    assert!(Memory::new(Encoding::Pcma, &LIMITS).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn anything_at_any_time_is_stored_or_discarded(
        choice in any::<prop::sample::Index>(),
        seed: u64,
        steps in prop::collection::vec(
            (any::<u32>(), 0u64..70, 0usize..300, 0u8..8), 1..80
        ),
    ) {
        let encodings: Vec<Encoding> = framed().collect();
        let mut line = Line::new(encodings[choice.index(encodings.len())]);
        let mut random = Random::new(seed);
        let (mut now, mut sequence, mut timestamp) = (START, 70_000_u64, 0_u32);
        for (wild, wait, length, kind) in steps {
            sequence = if kind == 0 { 65_536 + u64::from(wild >> 12) } else { sequence + 1 };
            timestamp = timestamp.wrapping_add(if kind == 1 { wild } else { 160 });
            let payload = if kind < 3 {
                (0..length).map(|_| random.next_u32() as u8).collect()
            } else {
                line.encode()
            };
            let header = RtpHeader {
                payload_type: 96,
                marker: kind == 4,
                sequence: SequenceNumber(sequence as u16),
                timestamp: RtpTimestamp(timestamp),
                ssrc: Ssrc(1),
            };
            let bytes = [&header.write()[..], &payload].concat();
            let view = RtpView::parse(&bytes).unwrap();
            let arrival = if kind == 5 { Arrival::By(now) } else { Arrival::At(now) };
            let extended = ExtendedSequence(sequence);
            match kind {
                6 => line.playout.insert_event(extended),
                7 => { let _ = line.playout.insert_comfort_noise(&view, extended, arrival); }
                _ => { let _ = line.playout.insert(&view, extended, arrival, &line.decoder); }
            }
            let until = now + Duration::from_millis(wait);
            while now < until {
                now += PERIOD;
                line.pull(now);
            }
        }
        prop_assert!(line.playout.report().delay <= Duration::from_secs(1));
    }
}
