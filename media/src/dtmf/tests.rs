//! Tones in the sound against ITU-T Q.24: what must be taken, what must not, and what is left.

use std::f64::consts::TAU;

use media_units::KEYS;
use proptest::prelude::*;

use super::tones::{GRID, HIGH, LOW};
use super::{Digit, ToneFilter, TonePair};
use crate::Random;
use crate::spoken::{noise, unit, voice};

/// A key as a phone's tones, that may be off.
#[derive(Clone, Copy)]
struct Burst {
    key: usize,
    /// Shares by which the row and the column are off.
    off: [f64; 2],
    /// Power of the row and of the column.
    dbm0: [f64; 2],
    duration_ms: f64,
}

const GOOD: Burst = Burst { key: 0, off: [0.0; 2], dbm0: [-10.0; 2], duration_ms: 60.0 };

impl Burst {
    fn amplitudes(&self) -> [f64; 2] {
        self.dbm0.map(|dbm0| 32636.0 * 10_f64.powf((dbm0 - 3.17) / 20.0))
    }

    fn samples(&self, rate: f64, random: &mut Random) -> Vec<f64> {
        let hertz = [
            f64::from(LOW[self.key / 4]) * (1.0 + self.off[0]),
            f64::from(HIGH[self.key % 4]) * (1.0 + self.off[1]),
        ];
        let amplitudes = self.amplitudes();
        let phases = [unit(random), unit(random)];
        let count = (self.duration_ms * rate / 1000.0).round() as usize;
        let tone = |at: usize, tone: usize| {
            amplitudes[tone] * (TAU * (hertz[tone] * at as f64 / rate + phases[tone])).sin()
        };
        (0..count).map(|at| tone(at, 0) + tone(at, 1)).collect()
    }

    fn digit(&self) -> char {
        KEYS[usize::from(GRID[self.key / 4][self.key % 4])]
    }
}

/// Plays bursts, each followed by a pause in ms, at any offset within a period. Returns what was
/// told, what went in and what came out, without the delay.
fn play(
    rate: f64,
    bursts: &[(Burst, f64)],
    noise_amplitude: f64,
    random: &mut Random,
) -> (Vec<Digit>, Vec<i16>, Vec<i16>) {
    let block = (rate / 50.0) as usize;
    let mut sound = vec![0.0; 2 * block + (unit(random) * block as f64) as usize];
    for (burst, pause_ms) in bursts {
        sound.extend(burst.samples(rate, random));
        sound.extend(vec![0.0; (pause_ms * rate / 1000.0) as usize]);
    }
    sound.resize(sound.len().next_multiple_of(block) + 6 * block, 0.0);
    let sample = |sample: &f64| (sample + noise_amplitude * noise(random)).round() as i16;
    let sound: Vec<i16> = sound.iter().map(sample).collect();
    let mut filter = ToneFilter::new();
    let mut out = sound.clone();
    let digits = out.chunks_mut(block).filter_map(|block| filter.block(block)).collect();
    (digits, sound, out.split_off(2 * block))
}

/// How many of some bursts of every key are taken as what they are, and nothing else, in percent.
fn taken(rate: f64, change: impl Fn(Burst) -> Burst, noise_db: Option<f64>) -> usize {
    let mut random = Random::new(24);
    let mut taken = 0;
    for run in 0..100 {
        let burst = change(Burst { key: run % 16, ..GOOD });
        let power: f64 = burst.amplitudes().iter().map(|a| a * a / 2.0).sum();
        let noise = noise_db.map_or(0.0, |db| power.sqrt() * 10_f64.powf(-db / 20.0));
        let (digits, ..) = play(rate, &[(burst, 0.0)], noise, &mut random);
        taken += usize::from(matches!(digits[..], [digit] if digit.digit == burst.digit()));
    }
    taken
}

#[test]
fn every_key_is_told_once_with_its_duration_at_every_rate() {
    let mut random = Random::new(1);
    for rate in [8000.0, 16_000.0, 48_000.0] {
        for key in 0..16 {
            let burst = Burst { key, duration_ms: 100.0, ..GOOD };
            let (digits, ..) = play(rate, &[(burst, 0.0)], 0.0, &mut random);
            let [digit] = digits[..] else { panic!("{digits:?}") };
            assert_eq!(digit.digit, burst.digit());
            assert!((90..=110).contains(&digit.duration_ms), "{digit:?}");
        }
    }
}

#[test]
fn frequencies_off_by_1_5_percent_are_taken_and_by_3_5_percent_are_not() {
    for rate in [8000.0, 16_000.0] {
        for off in [[0.015, 0.0], [0.0, -0.015], [-0.015, 0.015], [0.015, -0.015]] {
            assert_eq!(taken(rate, |burst| Burst { off, ..burst }, None), 100, "{off:?}");
        }
        for off in [[0.035, 0.0], [-0.035, 0.0], [0.0, 0.035], [0.0, -0.035]] {
            assert_eq!(taken(rate, |burst| Burst { off, ..burst }, None), 0, "{off:?}");
        }
    }
}

#[test]
fn a_column_4_db_louder_and_a_row_8_db_louder_are_taken() {
    for (dbm0, expected) in [
        ([-12.0, -8.0], 100),
        ([-8.0, -16.0], 100),
        ([-12.0, -3.0], 0), // no phone sends that, speech may
        ([-3.0, -16.0], 0),
    ] {
        assert_eq!(taken(8000.0, |burst| Burst { dbm0, ..burst }, None), expected, "{dbm0:?}");
    }
}

#[test]
fn levels_from_0_to_minus_25_dbm0_are_taken_and_minus_40_is_not() {
    for (level, expected) in [(0.0, 100), (-25.0, 100), (-29.0, 100), (-40.0, 0), (-55.0, 0)] {
        let dbm0 = [level; 2];
        assert_eq!(taken(8000.0, |burst| Burst { dbm0, ..burst }, None), expected, "{level}");
    }
}

#[test]
fn tones_of_40_ms_are_taken_and_of_23_ms_are_not() {
    for (duration_ms, expected) in [(10.0, 0), (20.0, 0), (23.0, 0), (40.0, 100), (60.0, 100)] {
        let change = |burst| Burst { duration_ms, ..burst };
        assert_eq!(taken(8000.0, change, None), expected, "{duration_ms} ms");
        assert_eq!(taken(8000.0, change, Some(25.0)), expected, "{duration_ms} ms with noise");
    }
}

#[test]
fn tones_of_40_ms_that_are_off_are_taken_in_noise_of_15_db() {
    let off = [-0.015, 0.015];
    let change = |burst| Burst { off, duration_ms: 40.0, dbm0: [-8.0, -14.0], ..burst };
    assert_eq!(taken(8000.0, change, Some(15.0)), 100);
}

#[test]
fn a_pause_of_40_ms_parts_two_presses_and_a_gap_of_10_ms_does_not() {
    let mut random = Random::new(3);
    for key in 0..16 {
        for (pause_ms, expected) in [(10.0, 1), (40.0, 2), (60.0, 2)] {
            let burst = Burst { key, ..GOOD };
            let (digits, ..) = play(8000.0, &[(burst, pause_ms), (burst, 0.0)], 0.0, &mut random);
            assert_eq!(digits.len(), expected, "{} after {pause_ms} ms", burst.digit());
        }
    }
}

#[test]
fn another_key_without_a_pause_is_another_digit() {
    let mut random = Random::new(4);
    let [one, other] = [0, 5].map(|key| Burst { key, ..GOOD });
    let (digits, _, out) = play(8000.0, &[(one, 0.0), (other, 0.0)], 0.0, &mut random);
    let pressed: String = digits.iter().map(|digit| digit.digit).collect();
    assert_eq!(pressed, "15");
    assert!(out.iter().all(|&sample| sample == 0));
}

#[test]
fn our_own_tones_are_digits() {
    for key in 0..16 {
        let mut filter = ToneFilter::new();
        let mut pair = TonePair::new(key, 10);
        let mut told = None;
        for period in 0..10 {
            let mut block = [0; 160];
            if period < 2 {
                pair.fill(8000, &mut block);
            }
            told = told.or(filter.block(&mut block));
        }
        assert_eq!(told.map(|digit| digit.digit), Some(KEYS[usize::from(key)]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever the key, the rate, the length and the place within a period: nothing of it is
    /// heard, and what was long before and after is heard as it was.
    #[test]
    fn no_sample_of_a_digit_comes_through(
        key in 0_usize..16,
        rate in prop::sample::select(vec![8000.0, 16_000.0, 48_000.0]),
        duration_ms in 40.0..400.0,
        off in prop::array::uniform2(-0.015..0.015),
        dbm0 in prop::array::uniform2(-14.0..-10.0),
        noise_amplitude in 0.0..200.0,
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let burst = Burst { key, off, dbm0, duration_ms };
        let (digits, sound, out) = play(rate, &[(burst, 100.0)], noise_amplitude, &mut random);
        prop_assert_eq!(digits.len(), 1);
        let ms = (rate / 1000.0) as usize;
        let is_loud = |&at: &usize| i32::from(sound[at]).abs() > 3000;
        let begin = (0..sound.len()).find(is_loud).unwrap();
        let end = (0..sound.len()).rev().find(is_loud).unwrap();
        prop_assert!(out[begin..=end].iter().all(|&sample| sample == 0));
        let after = (end + 35 * ms).min(out.len());
        prop_assert!(out[after..] == sound[after..out.len()], "sound goes on 35 ms later");
    }
}

/// Sound that is no digit comes out as it went in, two periods later, and tells nothing.
fn assert_untouched(rate: usize, sound: &[i16]) {
    let block = rate / 50;
    let mut filter = ToneFilter::new();
    let mut out = sound.to_vec();
    let digits: Vec<Digit> =
        out.chunks_exact_mut(block).filter_map(|block| filter.block(block)).collect();
    assert_eq!(digits, []);
    assert!(out[2 * block..] == sound[..sound.len() - 2 * block]);
}

#[test]
fn a_voice_is_no_digit() {
    for seed in 0..4 {
        assert_untouched(8000, &voice(15, &mut Random::new(seed)));
    }
}

#[test]
fn music_is_no_digit() {
    // Every pair and some triads of the tempered notes over four octaves, 100 ms each.
    let note = |at: u32| 110.0 * 2_f64.powf(f64::from(at) / 12.0);
    for (rate, step) in [(8000_usize, 1), (48_000, 5)] {
        let mut sound = Vec::new();
        for low in (0..48).step_by(step) {
            for high in (low + 1..48).step_by(step) {
                let fifth = low + 7;
                for at in 0..rate / 10 {
                    let tone = |hertz: f64, share: f64| {
                        let cycle = TAU * hertz * at as f64 / rate as f64;
                        share
                            * (cycle.sin() + 0.5 * (2.0 * cycle).sin() + 0.3 * (3.0 * cycle).sin())
                    };
                    let sum = tone(note(low), 4000.0)
                        + tone(note(high), 4000.0)
                        + tone(note(fifth), 2000.0);
                    sound.push(sum as i16);
                }
            }
        }
        sound.truncate(sound.len() / 960 * 960);
        assert_untouched(rate, &sound);
    }
}

#[test]
fn noise_dial_tone_and_ringing_are_no_digits() {
    let mut random = Random::new(5);
    let loud: Vec<i16> = (0..80_000).map(|_| (4000.0 * noise(&mut random)) as i16).collect();
    assert_untouched(8000, &loud);
    for (one, other) in
        [(350.0, 440.0), (440.0, 480.0), (480.0, 620.0), (425.0, 425.0), (1400.0, 2060.0)]
    {
        let wave = |hertz: f64, at: i32| 8000.0 * (TAU * hertz * f64::from(at) / 8000.0).sin();
        let tones: Vec<i16> =
            (0..16_000).map(|at| (wave(one, at) + wave(other, at)) as i16).collect();
        assert_untouched(8000, &tones);
    }
}

#[test]
fn blocks_of_another_rate_are_left_alone() {
    let mut filter = ToneFilter::new();
    let mut block = [5; 882];
    assert_eq!(filter.block(&mut block), None);
    assert_eq!(block, [5; 882]);
}

#[test]
fn a_reset_filter_plays_nothing_of_the_source_before() {
    let mut filter = ToneFilter::new();
    filter.block(&mut [7; 160]);
    filter.reset();
    let mut out = [9; 160];
    for _ in 0..2 {
        out = [9; 160];
        filter.block(&mut out);
        assert_eq!(out, [0; 160]);
    }
    let mut next = out;
    filter.block(&mut next);
    assert_eq!(next, [9; 160]);
}
